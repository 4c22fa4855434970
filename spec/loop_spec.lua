local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local run, settle, busy = fixtures.run, fixtures.settle, fixtures.busy

local function pair(kind)
  return fixtures.pair(kind, 10)
end

local function connection()
  return fixtures.connection(10)
end

local polling = os.getenv("SOCK_POLLER") == "poll"

--- A FIFO, open for both, as a Lua file; its path; what closes and removes it.
local function fifo()
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
local function watched(number)
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

local function notpolling()
  if polling then
    pending("poll(2) has no registration")
  end
  return not polling
end

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

local posix, cleaner

setup(function()
  local path
  path, cleaner = peer.cmodule("outer", outer)
  posix = assert(package.loadlib((path:gsub("%?", "outer")), "luaopen_outer"))()
end)

teardown(function()
  getmetatable(cleaner).__close()
end)

describe("sock.step", function()
  it("gives how many tasks are left", function()
    assert.equal(0, sock.step(0))
    local a, b = sock.spawn(sock.sleep, 0), sock.spawn(sock.sleep, 10)
    local left
    for _ = 1, 10 do
      left = sock.step(0)
    end
    assert.equal(1, left)
    assert.equal("done", a:status())
    b:cancel()
    for _ = 1, 10 do
      left = sock.step(0)
    end
    assert.equal(0, left)
    assert.equal("cancelled", b:status())
    b:join()
  end)

  it("drives a whole conversation", function()
    local a, b, _ <close> = pair()
    local log = {}
    sock.spawn(function()
      for line in function() return a:read() end do
        assert(a:write(line:upper(), "\n"))
      end
    end)
    sock.spawn(function()
      for i = 1, 5 do
        assert(b:write("line ", i, "\n"))
        log[#log + 1] = b:read()
        sock.sleep(0.001)
      end
      b:close()
    end)
    local turns = 0
    while sock.step(1) > 0 do
      turns = turns + 1
      assert.is_true(turns < 1000)
    end
    assert.same({ "LINE 1", "LINE 2", "LINE 3", "LINE 4", "LINE 5" }, log)
  end)

  it("does not wait with 0 seconds", function()
    local task = sock.spawn(sock.sleep, 100)
    for _ = 1, 100 do
      assert.equal(1, sock.step(0))
    end
    task:cancel()
    task:join()
  end)

  it("waits no longer than it is told, nor than the next timer", function()
    local task = sock.spawn(sock.sleep, 0.02)
    local start = sock.now()
    assert.equal(1, sock.step(0.005))
    assert.is_true(sock.now() - start >= 0.005)
    while sock.step() > 0 do
      assert.is_true(sock.now() - start < 10)
    end
    assert.is_true(sock.now() - start >= 0.02)
    task:join()
  end)

  it("does not wait when its tasks have ended", function()
    local p <close> = peer.start({ "timeout", "10", "env",
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), os.getenv("LUA") or "lua5.4", "-e", [[
      local sock = require "sock"
      sock.spawn(coroutine.yield)
      print(sock.step(1000))
    ]], "-" }, { input = "" })
    assert.equal("0\n", p:rest())
  end)

  it("raises no deadlock", function()
    local task = sock.spawn(function() sock.channel():get() end)
    assert.equal(1, sock.step(0))
    assert.equal(1, sock.step())
    task:cancel()
    task:join()
  end)

  it("raises in a task", function()
    run(function()
      assert.error_matches(function() sock.step(0) end, "step inside a task")
    end)
  end)

  it("raises for seconds that are none", function()
    assert.error_matches(function() sock.step("soon") end, "^bad argument #1 to 'step'")
    assert.error_matches(function() sock.step(0 / 0) end, "^bad argument #1 to 'step'")
  end)
end)

describe("sock.deadline", function()
  it("is nil where nothing is left to do", function()
    assert.is_nil(sock.deadline())
  end)

  it("is 0 while a task is ready", function()
    local task = sock.spawn(coroutine.yield)
    assert.equal(0, sock.deadline())
    task:join()
    assert.is_nil(sock.deadline())
  end)

  it("is the time to the next timer", function()
    local late, soon = sock.spawn(sock.sleep, 1000), sock.spawn(sock.sleep, 100)
    local left = sock.deadline()
    assert.is_true(left > 50 and left <= 100)
    soon:cancel()
    soon:join()
    left = sock.deadline()
    assert.is_true(left > 500 and left <= 1000)
    late:cancel()
    late:join()
    assert.is_nil(sock.deadline())
  end)

  it("is 0, not less, when the time has passed", function()
    local task = sock.spawn(sock.sleep, 0.001)
    busy(0.002)
    assert.equal(0, sock.deadline())
    task:join()
  end)

  it("is nil while tasks wait only for descriptors", function()
    local a, b = assert(sock.socketpair())
    local task = sock.spawn(a.recv, a)
    sock.step(0)
    assert.is_nil(sock.deadline())
    b:close()
    task:join()
    a:close()
  end)
end)

describe("sock.pollfd", function()
  it("is readable when step has work", function()
    if not notpolling() then
      return
    end
    local a, b, _ <close> = pair()
    a:settimeout()
    local task = sock.spawn(a.recv, a)
    repeat
      sock.step(0)
    until not posix.poll(sock.pollfd(), 0)
    assert.is_nil(sock.deadline())
    assert(b:send("x"))
    assert.is_true(posix.poll(sock.pollfd(), 10000))
    while sock.step(0) > 0 do
      assert.is_true(sock.deadline() == 0)
    end
    assert.equal("x", task:join())
  end)

  it("stays the same", function()
    if notpolling() then
      assert.equal(sock.pollfd(), sock.pollfd())
      assert.equal("integer", math.type(sock.pollfd()))
    end
  end)

  it("is readable when a look-up has ended, and when a signal has come", function()
    if not notpolling() then
      return
    end
    local lookup = sock.spawn(sock.getaddrinfo, "localhost")
    assert.is_true(posix.poll(sock.pollfd(), 10000))
    lookup:join()
    local sig <close> = sock.signal("USR1")
    local task = sock.spawn(sig.wait, sig)
    repeat
      sock.step(0)
    until not posix.poll(sock.pollfd(), 0)
    io.popen("kill -USR1 $PPID"):close()
    assert.is_true(posix.poll(sock.pollfd(), 10000))
    assert.equal("USR1", task:join())
  end)

  it("drives the loop from another", function()
    if not notpolling() then
      return
    end
    local a, b, _ <close> = pair()
    local got = {}
    sock.spawn(function()
      for line in function() return a:read() end do
        got[#got + 1] = line
        sock.sleep(0.001)
      end
    end)
    sock.spawn(function()
      for i = 1, 5 do
        assert(b:write(i, "\n"))
        sock.sleep(0.002)
      end
      b:close()
    end)
    local turns = 0
    repeat
      local seconds = sock.deadline() or 10
      posix.poll(sock.pollfd(), math.ceil(seconds * 1000))
      turns = turns + 1
    until sock.step(0) == 0
    assert.same({ "1", "2", "3", "4", "5" }, got)
    assert.is_true(turns < 200)
  end)

  it("cannot be waited for in its own loop", function()
    if notpolling() then
      run(function()
        local ready, _, code = sock.wait(sock.pollfd(), "r", 0.01)
        assert.is_true(ready == "r" or code ~= nil)
      end)
    end
  end)

  it("says ENOTSUP where the poller has none", function()
    local p <close> = peer.start({ "env", "SOCK_POLLER=poll",
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), os.getenv("LUA") or "lua5.4", "-e", [[
      local fd, message, code = require "sock".pollfd()
      print(fd, type(message), code)
    ]], "-" }, { input = "" })
    assert.equal("nil\tstring\tENOTSUP\n", p:rest())
  end)
end)

describe("SOCK_POLLER with a name that is none", function()
  it("fails the first wait, and says so", function()
    local p <close> = peer.start({ "env", "SOCK_POLLER=none",
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), os.getenv("LUA") or "lua5.4", "-e", [[
      local sock = require "sock"
      local a, b = sock.socketpair()
      sock.run(function()
        local got, message, code = a:recv()
        print(got, type(message), code)
      end)
    ]], "-" }, { input = "" })
    assert.equal("nil\tstring\tEINVAL\n", p:rest())
  end)
end)

describe("sock.wait in a task", function()
  it("suspends it until a socket is readable", function()
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(sock.wait, a, "r")
      settle()
      assert.equal("waiting", task:status())
      assert(b:send("x"))
      assert.equal("r", task:join())
      assert.equal("x", a:recv())
    end)
  end)

  it("tells which of both is ready", function()
    run(function()
      local a, b, _ <close> = pair()
      assert.equal("w", a:wait("rw"))
      assert(b:send("x"))
      assert.equal("rw", a:wait("rw"))
    end)
  end)

  it("waits for room to write", function()
    run(function()
      local a, b, _ <close> = pair("stream")
      while a:settimeout(0):send(("x"):rep(65536)) do
        settle()
      end
      local task = sock.spawn(a.wait, a, "w")
      settle()
      assert.equal("waiting", task:status())
      while b:settimeout(0):recv() do
        settle()
      end
      assert.equal("w", task:join())
    end)
  end)

  it("takes a descriptor's number", function()
    run(function()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.wait, from, "r")
      settle()
      assert.equal("waiting", task:status())
      posix.write(to)
      assert.equal("r", task:join())
      assert.equal("w", sock.wait(to, "w"))
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("takes a Lua file", function()
    run(function()
      local file, _, _ <close> = fifo()
      local task = sock.spawn(sock.wait, file, "r")
      settle()
      assert.equal("waiting", task:status())
      file:write("x")
      assert.equal("r", task:join())
    end)
  end)

  it("takes another library's object", function()
    run(function()
      local from, to = posix.pipe()
      for _, method in ipairs { "fd", "getfd", "pollfd", "fileno" } do
        local object = { [method] = function() return from end }
        local _, _, code = sock.wait(object, "r", 0.001)
        assert.equal("ETIMEDOUT", code)
        local task = sock.spawn(sock.wait, object, "r")
        assert.equal("waiting", task:status())
        task:cancel()
        task:join()
      end
      posix.write(to)
      assert.equal("r", sock.wait({ fd = function() return from end }, "r"))
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("serves two tasks that wait for one foreign descriptor", function()
    run(function()
      local from, to = posix.pipe()
      local a, b = sock.spawn(sock.wait, from, "r"), sock.spawn(sock.wait, from, "r")
      local c = sock.spawn(sock.wait, from, "r", 0.001)
      assert.equal("ETIMEDOUT", (select(3, c:join())))
      a:cancel()
      assert.equal("ECANCELED", (select(3, a:join())))
      assert.equal("waiting", b:status())
      local d = sock.spawn(sock.wait, from, "r")
      settle()
      posix.write(to)
      assert.equal("r", b:join())
      assert.equal("r", d:join())
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("serves a foreign descriptor's reader and writer at once", function()
    run(function()
      local a, b, _ <close> = pair()
      local number = posix.dup(a:fd())
      while a:settimeout(0):send(("x"):rep(65536)) do
        settle()
      end
      local reader, writer = sock.spawn(sock.wait, number, "r"), sock.spawn(sock.wait, number, "w")
      settle()
      assert(b:send("x"))
      assert.equal("r", reader:join())
      assert.equal("waiting", writer:status())
      while b:settimeout(0):recv() do
        settle()
      end
      assert.equal("w", writer:join())
      posix.close(number)
    end)
  end)

  it("says that a regular file is always ready", function()
    run(function()
      local file <close> = assert(io.open("README.md"))
      assert.equal("r", sock.wait(file, "r"))
      assert.equal("rw", sock.wait(file, "rw"))
      local r, w = sock.select({ file }, { file })
      assert.same({ { file }, { file } }, { r, w })
      local s <close> = assert(sock.adopt(file))
      assert.equal("r", s:wait("r"))
    end)
  end)

  it("fails for a number that is not open", function()
    run(function()
      assert.same({ nil, "wait descriptor 999999: closed", "EBADF" },
        { sock.wait(999999, "r") })
      assert.same({ nil, "select descriptor 999999: closed", "EBADF" },
        { sock.select({ 999999 }, {}) })
    end)
  end)

  it("ends when another task closes the socket", function()
    run(function()
      local a, _, _ <close> = pair()
      local tasks = { sock.spawn(a.wait, a, "r"), sock.spawn(sock.wait, a, "r"),
        sock.spawn(sock.wait, a:fd(), "r", 1) }
      settle()
      a:close()
      for i = 1, 3 do
        local ready, message, code = tasks[i]:join()
        assert.same({ i, nil, "EBADF" }, { i, ready, code })
        assert.matches("closed$", message)
      end
    end)
  end)

  it("sees the other end's close", function()
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.wait, a, "r")
      settle()
      b:close()
      assert.equal("r", task:join())
      assert.is_nil(a:recv())
    end)
  end)

  it("takes no bytes from a reader that waits already", function()
    run(function()
      local a, b, _ <close> = pair()
      local reader, waiter = sock.spawn(a.recv, a), sock.spawn(a.wait, a, "r", 0.05)
      settle()
      assert(b:send("x"))
      assert.equal("x", reader:join())
      local ready, _, code = waiter:join()
      assert.is_true(ready == "r" or code == "ETIMEDOUT")
      assert(b:send("y"))
      assert.equal("y", a:recv())
    end)
  end)

  it("counts buffered bytes", function()
    run(function()
      local a, b, _ <close> = pair()
      assert(b:send("one\ntwo"))
      assert.equal("one", a:read())
      assert.equal("r", a:wait("r"))
      assert.same({ { a }, {} }, { sock.select({ a }, {}) })
    end)
  end)

  it("works in the finalizer of something", function()
    run(function()
      local a, b, _ <close> = pair()
      local ran, seen, during = false, nil, nil
      local other = sock.spawn(function()
        coroutine.yield()
        ran = true
      end)
      assert(b:send("x"))
      setmetatable({}, { __gc = function()
        seen = { a:wait("r"), (select(3, b:wait("r", 0.001))), (a:recv()) }
        during = ran
      end })
      collectgarbage()
      assert.same({ "r", "ETIMEDOUT", "x" }, seen)
      assert.is_false(during)
      other:join()
    end)
  end)
end)

describe("sock.select in a task", function()
  it("gives the readers and writers that are ready", function()
    run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local task = sock.spawn(sock.select, { a, c }, {})
      settle()
      assert.equal("waiting", task:status())
      assert(d:send("x"))
      local r, w = task:join()
      assert.same({ { c }, {} }, { r, w })
      assert.same({ { c }, { b } }, { sock.select({ a, c }, { b }) })
    end)
  end)

  it("takes sockets, numbers, files and objects together", function()
    run(function()
      local a, b, _ <close> = pair()
      local file, _, _ <close> = fifo()
      local from, to = posix.pipe()
      local object = { fd = function() return from end }
      local list = { a, file, object, from }
      local task = sock.spawn(sock.select, list, {})
      settle()
      posix.write(to)
      local r = task:join()
      assert.same({ object, from }, r)
      assert(b:send("x"))
      file:write("x")
      r = sock.select(list, {})
      assert.same({ a, file, object, from }, r)
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("takes a thing twice", function()
    run(function()
      local a, b, _ <close> = pair()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.select, { a, a, from, from, a:fd() }, {})
      settle()
      assert(b:send("x"))
      posix.write(to)
      local r = task:join()
      assert.is_true(#r >= 2)
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("times out, and leaves nothing behind", function()
    run(function()
      local a, b, _ <close> = pair()
      local from, to = posix.pipe()
      assert.same({ nil, "select: timed out", "ETIMEDOUT" },
        { sock.select({ a, from }, {}, 0.005) })
      if not polling then
        assert.is_false(watched(from))
      end
      assert(b:send("x"))
      assert.equal("x", a:recv())
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("is a pause with empty lists", function()
    run(function()
      local start = sock.now()
      assert.equal("ETIMEDOUT", (select(3, sock.select({}, {}, 0.005))))
      assert.is_true(sock.now() - start >= 0.005)
    end)
  end)

  it("ends when one of its sockets is closed by another task, and says which", function()
    run(function()
      local a, _, _ <close> = pair()
      local c, _, _ <close> = pair()
      local task = sock.spawn(sock.select, { a, c }, {})
      settle()
      c:close()
      local r, message, code = task:join()
      assert.same({ nil, "EBADF" }, { r, code })
      assert.matches("^select .*closed$", message)
      assert.is_nil(message:find("-1", 1, true))
    end)
  end)

  it("is cancelled, and leaves nothing behind", function()
    run(function()
      local a, _, _ <close> = pair()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.select, { a, from }, { })
      settle()
      task:cancel()
      assert.equal("ECANCELED", (select(3, task:join())))
      if not polling then
        assert.is_false(watched(from))
      end
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("holds a thousand, and each wakes it once", function()
    run(function()
      local writers, readers = {}, {}
      for i = 1, 300 do
        readers[i], writers[i] = assert(sock.socketpair())
      end
      local seen, count = {}, 0
      local task = sock.spawn(function()
        while count < 300 do
          for _, s in ipairs((assert(sock.select(readers, {}, 10)))) do
            assert(s:recv())
            if not seen[s] then
              seen[s], count = true, count + 1
            end
          end
        end
      end)
      for i = 1, 300 do
        assert(writers[i]:send("x"))
        if i % 50 == 0 then
          settle()
        end
      end
      task:join()
      assert.equal(300, count)
      for i = 1, 300 do
        readers[i]:close()
        writers[i]:close()
      end
    end)
  end)
end)

describe("A descriptor's registration", function()
  it("is made by its first wait and ends with its close", function()
    if not notpolling() then
      return
    end
    run(function()
      local before = watched()
      local a, b = assert(sock.socketpair())
      assert.equal(before, watched())
      local task = sock.spawn(a.recv, a)
      assert.equal(before + 1, watched())
      assert(b:send("x"))
      task:join()
      assert.equal(before + 1, watched())
      a:close()
      b:close()
      assert.equal(before, watched())
    end)
  end)

  it("of a foreign one is for the wait only", function()
    if not notpolling() then
      return
    end
    run(function()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.wait, from, "r")
      assert.is_true(watched(from))
      posix.write(to)
      task:join()
      assert.is_false(watched(from))
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("ends with close though the descriptor was shown and duplicated", function()
    if not notpolling() then
      return
    end
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.recv, a)
      settle()
      assert(b:send("x"))
      task:join()
      local number = a:fd()
      local copy = posix.dup(number)
      a:close()
      assert.is_false(watched(number))
      repeat
        local quiet = not posix.poll(sock.pollfd(), 0)
        settle()
      until quiet
      assert(b:send("y")) -- the description lives on
      assert.is_false(posix.poll(sock.pollfd(), 0))
      posix.close(copy)
    end)
  end)

  it("ends with detach", function()
    if not notpolling() then
      return
    end
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.recv, a)
      settle()
      assert(b:send("x"))
      task:join()
      local number = a:detach()
      assert.is_false(watched(number))
      local again <close> = assert(sock.adopt(number))
      task = sock.spawn(again.recv, again)
      assert.is_true(watched(number))
      assert(b:send("y"))
      assert.equal("y", task:join())
    end)
  end)

  it("is one of epoll_ctl for each socket, and one recv for each request", function()
    if not notpolling() then
      return
    end
    if not os.execute("strace -o /dev/null true 2>/dev/null") or os.getenv("SOCK_ASAN") then
      return pending("needs strace, without the sanitizers")
    end
    local dir, _ <close> = peer.tempdir()
    local p <close> = peer.start({ "strace", "-f", "-o", dir .. "/trace", "-e",
      "trace=epoll_ctl,recvfrom,sendto,read,write,epoll_wait", os.getenv("LUA") or "lua5.4",
      "-e", [[
      local sock = require "sock"
      local l = assert(sock.socket())
      assert(l:bind("127.0.0.1", 0) and l:listen(100))
      sock.run(function()
        local server = sock.spawn(function()
          for _ = 1, 10 do
            local c = assert(l:accept())
            sock.spawn(function()
              for data in function() return c:recv() end do
                assert(c:send(data))
              end
              c:close()
            end)
          end
        end)
        for _ = 1, 10 do
          sock.spawn(function()
            local s = assert(sock.socket())
            assert(s:connect(l:getsockname()))
            for _ = 1, 100 do
              assert(s:send("ping"))
              assert(s:recv() == "ping")
            end
            s:close()
          end)
        end
        server:join()
      end)
      l:close()
      print("served")
    ]], "-" }, { module = true, input = "" })
    assert.matches("served", p:rest())
    local file <close> = assert(io.open(dir .. "/trace"))
    local counts = { add = 0, change = 0, received = 0, empty = 0, sent = 0 }
    for line in file:lines() do
      if line:find("EPOLL_CTL_ADD", 1, true) then
        counts.add = counts.add + 1
      elseif line:find("epoll_ctl", 1, true) then
        counts.change = counts.change + 1
      elseif line:find("recvfrom", 1, true) then
        counts.received = counts.received + 1
        counts.empty = counts.empty + (line:find("EAGAIN", 1, true) and 1 or 0)
      elseif line:find("sendto", 1, true) then
        counts.sent = counts.sent + 1
      end
    end
    assert.equal(21, counts.add) -- a listener and twenty ends
    assert.equal(0, counts.change)
    assert.equal(2000, counts.sent)
    -- besides a receive for each message: one for each end of stream, and
    -- one at first that finds nothing
    assert.is_true(counts.received <= 2000 + 40)
    assert.is_true(counts.empty <= 20)
  end)
end)

describe("An event", function()
  it("with data and the end in one edge gives both", function()
    run(function()
      for _ = 1, 20 do
        local a, b, _ <close> = connection()
        local got = {}
        local task = sock.spawn(function()
          for piece in function() return a:recv() end do
            got[#got + 1] = piece
          end
          return "end"
        end)
        assert.equal("waiting", task:status())
        assert(b:send("first"))
        settle() -- registered, and the edge of this is past
        while #got == 0 do
          sock.sleep(0)
        end
        assert(b:send("last words"))
        b:shutdown("send") -- before the loop looks
        assert.equal("end", task:join())
        assert.same({ "first", "last words" }, got)
      end
    end)
  end)

  it("with data and a close in one edge gives both, to read as well", function()
    run(function()
      for _, make in ipairs { connection, pair } do
        local a, b, _ <close> = make()
        local task = sock.spawn(a.read, a, "a")
        settle()
        assert(b:send("all"))
        b:close()
        assert.equal("all", task:join())
      end
    end)
  end)

  it("with a reset fails the read, and does not spin", function()
    run(function()
      local a, b, _ <close> = connection()
      local task = sock.spawn(a.recv, a)
      settle()
      b:setsockopt("linger", 0)
      b:close()
      assert.equal("ECONNRESET", (select(3, task:join())))
    end)
  end)

  it("is not lost between two waits", function()
    run(function()
      local a, b, _ <close> = connection()
      local reader = sock.spawn(function()
        local sum = 0
        for _ = 1, 500 do
          sum = sum + #assert(a:read(1))
        end
        return sum
      end)
      local writer = sock.spawn(function()
        for i = 1, 500 do
          assert(b:send("x"))
          if i % 3 == 0 then
            sock.sleep(0)
          end
        end
      end)
      assert.equal(500, reader:join())
      writer:join()
    end)
  end)

  it("of an urgent byte does not cut off what follows it", function()
    run(function()
      local a, b, _ <close> = connection()
      local got = ""
      local reader = sock.spawn(function()
        while #got < 8 do
          got = got .. assert(a:recv())
        end
      end)
      settle()
      assert(b:send("1234"))
      assert(b:send("!", "oob"))
      assert(b:send("5678"))
      reader:join()
      assert.equal("12345678", got)
    end)
  end)
end)

describe("A reused descriptor number", function()
  it("does not wake who waited for the old one", function()
    run(function()
      local old, _, _ <close> = pair()
      local number = old:fd()
      local first = sock.spawn(old.recv, old)
      local second = sock.spawn(old.wait, old, "r")
      settle()
      old:close()
      local new, other, _ <close> = pair()
      assert.equal(number, new:fd())
      assert(other:send("for the new one"))
      for _, task in ipairs { first, second } do
        local got, _, code = task:join()
        assert.same({ nil, "EBADF" }, { got, code })
      end
      assert.equal("for the new one", new:recv())
    end)
  end)

  it("does not wake a wait for a foreign number, and works itself", function()
    run(function()
      local from, to = posix.pipe()
      local foreign = sock.spawn(sock.wait, from, "r", 0.02)
      settle()
      posix.close(from)
      posix.close(to)
      local new, other, _ <close> = pair()
      assert.equal(from, new:fd())
      local reader = sock.spawn(new.recv, new)
      settle()
      local ready, _, code = foreign:join()
      assert.same({ nil, true }, { ready, code == "ETIMEDOUT" or code == "EBADF" })
      assert(other:send("still watched"))
      assert.equal("still watched", reader:join())
      assert(other:send("again"))
      assert.equal("again", new:recv())
    end)
  end)

  it("works for a foreign wait after ours is closed", function()
    run(function()
      local a, b, _ <close> = pair()
      local number = a:fd()
      local task = sock.spawn(a.recv, a)
      settle()
      assert(b:send("x"))
      task:join()
      a:close()
      b:close()
      local from, to = posix.pipe()
      assert.equal(number, from)
      task = sock.spawn(sock.wait, from, "r")
      settle()
      posix.write(to)
      assert.equal("r", task:join())
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("is right a thousand times", function()
    run(function()
      for i = 1, 1000 do
        local a, b = assert(sock.socketpair())
        local task = sock.spawn(a.recv, a)
        if i % 2 == 0 then
          sock.sleep(0)
        end
        assert(b:send(tostring(i)))
        if i % 3 == 0 then
          a:close()
          local got = task:join()
          assert.is_true(got == nil or got == tostring(i))
        else
          assert.equal(tostring(i), task:join())
        end
        a:close()
        b:close()
      end
    end)
  end)
end)

describe("A close", function()
  it("wakes all who wait on that socket", function()
    run(function()
      local a, _, _ <close> = pair()
      a:settimeout()
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = sock.spawn(a.recv, a)
      end
      tasks[4] = sock.spawn(a.read, a, "l")
      tasks[5] = sock.spawn(a.write, a, ("x"):rep(1 << 22))
      tasks[6] = sock.spawn(a.send, a, "behind the write")
      settle()
      a:close()
      for i, task in ipairs(tasks) do
        local got, message, code = task:join()
        assert.same({ i, nil, "EBADF" }, { i, got, code })
        assert.matches("closed$", message)
      end
    end)
  end)

  it("wakes accept and connect", function()
    run(function()
      local l = assert(sock.socket())
      assert(l:bind("127.0.0.1", 0) and l:listen())
      local task = sock.spawn(l.accept, l)
      settle()
      l:close()
      assert.equal("EBADF", (select(3, task:join())))
    end)
  end)

  it("by a task that was ready at the same time ends the other's read", function()
    run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local reader = sock.spawn(a.recv, a)
      local closer = sock.spawn(function()
        c:recv()
        a:close()
      end)
      settle()
      assert(b:send("x"))
      assert(d:send("x"))
      closer:join()
      local got, _, code = reader:join()
      assert.is_true(got == "x" or code == "EBADF")
    end)
  end)

  it("by the collector happens to no socket that a task waits for", function()
    run(function()
      local b
      local task
      do
        local a
        a, b = assert(sock.socketpair())
        task = sock.spawn(function(s) return s:recv() end, a)
      end
      collectgarbage()
      collectgarbage()
      assert(b:send("x"))
      assert.equal("x", task:join())
      b:close()
    end)
  end)
end)

describe("A turn", function()
  it("runs what was ready at its start, then looks for events", function()
    run(function()
      local a, b, _ <close> = pair()
      local spins, stop = 0, false
      local spinner = sock.spawn(function()
        while not stop do
          coroutine.yield()
          spins = spins + 1
          assert.is_true(spins < 1000)
        end
      end)
      local reader = sock.spawn(a.recv, a)
      assert(b:send("x"))
      assert.equal("x", reader:join())
      stop = true
      spinner:join()
    end)
  end)

  it("comes to a task that never has to wait for its data", function()
    run(function()
      local a, b, _ <close> = pair()
      local others, calls = 0, 0
      local other = sock.spawn(function()
        for _ = 1, 10 do
          sock.sleep(0)
          others = others + 1
        end
      end)
      while others < 10 do
        assert(a:send("x"))
        assert.equal("x", b:recv())
        calls = calls + 2
        assert.is_true(calls <= 128 * 20)
      end
      other:join()
    end)
  end)

  it("comes to a task that asks wait and select what is always ready", function()
    run(function()
      local a, _, _ <close> = pair()
      local others, calls = 0, 0
      local other = sock.spawn(function()
        for _ = 1, 10 do
          sock.sleep(0)
          others = others + 1
        end
      end)
      while others < 10 and calls < 128 * 20 do
        assert.equal("w", a:wait("w"))
        assert(sock.select({}, { a }))
        calls = calls + 2
      end
      assert.equal(10, others)
      other:join()
    end)
  end)

  it("comes to a task that puts into an endless channel", function()
    run(function()
      local ch, others, calls = sock.channel(math.huge), 0, 0
      local other = sock.spawn(function()
        for _ = 1, 10 do
          sock.sleep(0)
          others = others + 1
        end
      end)
      while others < 10 do
        ch:put(calls)
        calls = calls + 1
        assert.is_true(calls <= 128 * 20)
      end
      other:join()
    end)
  end)

  it("lets a cancel through to a task that only asks what is ready", function()
    run(function()
      local a, _, _ <close> = pair()
      local calls = 0
      local task = sock.spawn(function()
        sock.sleep(0)
        while calls < 10000 do
          a:wait("w")
          calls = calls + 1
        end
      end)
      task:cancel()
      task:join()
      assert.equal("cancelled", task:status())
      local other = sock.spawn(function()
        sock.sleep(0)
        sock.task():cancel()
        while calls < 10000 do
          a:wait("w")
          calls = calls + 1
        end
      end)
      other:join()
      assert.equal("cancelled", other:status())
    end)
  end)

  it("collects all timers that are due before any of them runs", function()
    run(function()
      local log, tasks = {}, {}
      for i = 1, 5 do
        tasks[i] = sock.spawn(function()
          sock.sleep(0.001)
          log[#log + 1] = i
          if #log == 1 then
            for _, task in ipairs(tasks) do
              if task ~= sock.task() then
                assert.equal("ready", task:status())
              end
            end
          end
        end)
      end
      busy(0.003)
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(5, #log)
    end)
  end)

  it("of an inner driver serves all who wait, also further out", function()
    run(function()
      local a, b, _ <close> = pair()
      local got
      local reader = sock.spawn(function() got = a:recv() end)
      local inside = (("x"):gsub("x", function()
        assert(b:send("served"))
        sock.sleep(0.005)
        return got
      end))
      assert.equal("served", inside)
      reader:join()
    end)
  end)

  it("keeps no batch from an inner driver: what it makes ready runs there", function()
    run(function()
      local order, tasks = {}, {}
      local ch = sock.channel()
      for i = 1, 3 do
        tasks[i] = sock.spawn(function()
          ch:get()
          order[#order + 1] = i
        end)
      end
      local inner = sock.spawn(function()
        coroutine.yield()
        return (("x"):gsub("x", function()
          for _ = 1, 3 do
            ch:put(true)
          end
          for _ = 1, 3 do
            tasks[_]:join()
          end
          return #order
        end))
      end)
      assert.equal("3", inner:join())
    end)
  end)
end)

describe("Spawns inside each other", function()
  it("start at once sixteen deep, and are queued beyond", function()
    run(function()
      local deepest, tasks = 0, {}
      local function nest(n)
        deepest = math.max(deepest, n)
        if n < 50 then
          tasks[#tasks + 1] = sock.spawn(nest, n + 1)
        end
      end
      nest(0)
      assert.is_true(deepest >= 14 and deepest <= 17)
      while deepest < 50 do
        sock.sleep(0)
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
    end)
  end)
end)

describe("A task that cannot be resumed where the C stack is full", function()
  it("is resumed later", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      sock.run(function()
        local victim = sock.spawn(function()
          for _ = 1, 5 do sock.sleep(0) end
          return "lived"
        end)
        local function deep(n)
          local ok = pcall(string.gsub, "x", "x", function()
            if n > 185 then sock.sleep(0) else deep(n + 1) end
          end)
          if not ok then pcall(sock.sleep, 0) end
        end
        deep(1)
        print(victim:join())
      end)
    ]])
    assert.equal("lived\n", p:rest())
  end)
end)

describe("The library", function()
  it("has no globals but its two tables and their locks", function()
    local path = package.searchpath("sock.core", package.cpath)
    local pipe <close> = assert(io.popen("objdump -t " .. path .. " 2>/dev/null"))
    local text = pipe:read("a")
    if text == "" or os.getenv("SOCK_ASAN") then
      return pending("needs objdump, without the sanitizers")
    end
    local ours = {}
    for section, name in text:gmatch(" (%.%l+)%s+%x+%s+(%S+)") do
      -- but for what the compiler puts into every shared object
      if (section == ".data" or section == ".bss" or section == ".tbss")
        and not name:find("^_") and not name:find("^completed") and not name:find("^%.") then
        ours[#ours + 1] = name
      end
    end
    table.sort(ours)
    assert.same({ "lock", "process", "rows" }, ours) -- one has its lock inside
  end)

  it("stays loaded: threads may outlive the Lua state", function()
    local path = package.searchpath("sock.core", package.cpath)
    local pipe <close> = assert(io.popen("readelf -d " .. path .. " 2>/dev/null"))
    local text = pipe:read("a")
    if text == "" then
      return pending("needs readelf")
    end
    assert.matches("NODELETE", text)
  end)
end)

-- The same specs once more, with other orders and the other poller.
if not os.getenv("SOCK_AGAIN") then
  local variants = {
    { "SOCK_POLLER=poll", "--exclude-tags=heavy" },
    { "SOCK_SHUFFLE=" .. os.time() % 1000000 + 1, "--exclude-tags=fifo,heavy" },
    { "SOCK_POLLER=poll", "SOCK_SHUFFLE=7", "--exclude-tags=fifo,heavy" },
  }
  for _, name in ipairs { "channel", "deadline", "coroutine", "lookup", "loop", "signal" } do
    for _, variant in ipairs(variants) do
      local how = table.concat(variant, " ")
      describe("spec/" .. name .. "_spec.lua with " .. how .. " #again", function()
        it("holds", function()
          if os.getenv("SOCK_ASAN") and name == "signal" then
            return pending("takes long under the sanitizers")
          end
          local argv = { "env", "SOCK_AGAIN=1", "LUA=" .. (os.getenv("LUA") or "lua5.4") }
          local command = { "timeout", "120", "tools/specs",
            os.getenv("SOCK_ASAN") and "--asan" or nil }
          for _, word in ipairs(variant) do
            local list = word:find("^%-") and command or argv
            list[#list + 1] = word
          end
          table.move(command, 1, #command, #argv + 1, argv)
          argv[#argv + 1] = "spec/" .. name .. "_spec.lua"
          local p <close> = peer.start(argv)
          local text = p:rest()
          assert.is_true(text:find(" 0 failures / 0 errors", 1, true) ~= nil, text)
        end)
      end)
    end
  end
end
