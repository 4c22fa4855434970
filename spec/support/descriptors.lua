--- What specs of descriptors need: some of them, what the loop knows of them,
-- and the calls that the library does not give.

local sock = require "sock"
local peer = require "spec.support.peer"

local descriptors = {}

--- A FIFO, open for both, as a Lua file; its path; what closes and removes it.
function descriptors.fifo()
  local dir, cleaner = peer.tempdir()
  assert(os.execute("mkfifo " .. dir .. "/fifo"))
  local file = assert(io.open(dir .. "/fifo", "r+"))
  file:setvbuf("no")
  return file, dir .. "/fifo", setmetatable({}, { __close = function()
    if io.type(file) == "file" then
      file:close()
    end
    getmetatable(cleaner).__close()
  end })
end

--- How many descriptors the kernel watches for this loop; with a number,
-- whether it watches that one.
function descriptors.watched(number)
  local file <close> = assert(io.open("/proc/self/fdinfo/" .. sock.pollfd()))
  local count, found = 0, false
  for fd in file:read("a"):gmatch("tfd:%s*(%d+)") do
    count = count + 1
    found = found or math.tointeger(fd) == number
  end
  if number then
    return found
  end
  return count
end

descriptors.polling = os.getenv("SOCK_POLLER") == "poll"

-- What the library does not give: poll and dup, for a loop outside of ours.
local outer = [[
#include <lauxlib.h>
#include <poll.h>
#include <unistd.h>
static int l_poll(lua_State *L) { /* poll(fd, milliseconds) */
  struct pollfd p = {luaL_checkinteger(L, 1), POLLIN, 0};
  lua_pushboolean(L, poll(&p, 1, luaL_checkinteger(L, 2)) > 0);
  return 1;
}
static int l_dup(lua_State *L) {
  return lua_pushinteger(L, dup(luaL_checkinteger(L, 1))), 1;
}
static int l_close(lua_State *L) {
  return lua_pushboolean(L, close(luaL_checkinteger(L, 1)) == 0), 1;
}
static int l_pipe(lua_State *L) {
  int fd[2];
  if (pipe(fd) < 0)
    return luaL_error(L, "pipe");
  lua_pushinteger(L, fd[0]);
  lua_pushinteger(L, fd[1]);
  return 2;
}
static int l_write(lua_State *L) {
  return lua_pushinteger(L, write(luaL_checkinteger(L, 1), "x", 1)), 1;
}
int luaopen_outer(lua_State *L) {
  static const luaL_Reg all[] = {{"poll", l_poll}, {"dup", l_dup},
    {"close", l_close}, {"pipe", l_pipe}, {"write", l_write}, {NULL, NULL}};
  luaL_newlib(L, all);
  return 1;
}
]]

--- poll(fd, milliseconds), dup(fd), close(fd), pipe(), write(fd): compiled when
-- the first of them is asked for.
descriptors.posix = setmetatable({}, { __index = function(self, name)
  local path, _ <close> = peer.cmodule("outer", outer)
  local calls = assert(package.loadlib((path:gsub("%?", "outer")), "luaopen_outer"))()
  for key, call in pairs(calls) do
    self[key] = call
  end
  return calls[name]
end })

return descriptors
