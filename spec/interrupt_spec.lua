local sock = require "sock"
local peer = require "spec.support.peer"

-- A module that catches signals, as a library with handlers of its own does:
-- without SA_RESTART, so that every system call ends with EINTR.
local ticker = [[
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
static volatile sig_atomic_t count, limit;
static void set(long microseconds) {
  struct itimerval every = {{0, microseconds}, {0, microseconds}};
  setitimer(ITIMER_REAL, &every, NULL);
}
static void caught(int number) {
  if (++count >= limit && number == SIGALRM)
    set(0);
}
static int tick(lua_State *L) { /* tick(signal, most): 0 ends the ticking */
  struct sigaction how;
  memset(&how, 0, sizeof how);
  how.sa_handler = caught;
  count = 0;
  limit = luaL_checkinteger(L, 2);
  sigaction(luaL_checkinteger(L, 1), &how, NULL);
  if (luaL_checkinteger(L, 1) == SIGALRM)
    set(limit > 0 ? 1000 : 0);
  return 0;
}
static int ticks(lua_State *L) { return lua_pushinteger(L, count), 1; }
int luaopen_ticker(lua_State *L) {
  lua_pushinteger(L, SIGALRM);
  lua_setglobal(L, "ALRM");
  lua_pushinteger(L, SIGUSR1);
  lua_setglobal(L, "USR1");
  lua_register(L, "tick", tick);
  lua_register(L, "ticks", ticks);
  return 0;
}
]]

local prelude = [[
package.cpath = arg[1] .. ";" .. package.cpath
require "ticker"
sock = require "sock"
a, b = sock.socketpair()
function uptime()
  local file <close> = io.open("/proc/uptime")
  return file:read("n")
end
function listener(family, address)
  local l = assert(sock.socket(family))
  assert(l:bind(address))
  assert(l:listen(0))
  local full, list = nil, {}
  for i = 1, 10 do
    list[i] = assert(sock.socket(family))
    full = not list[i]:settimeout(0.15):connect(l:getsockname())
    if full then break end
  end
  assert(full)
  return l, list
end
]]

local function choke(name)
  return name .. ":settimeout(0) for _ = 1, 10000 do local _, _, code = " .. name
    .. ":send(('x'):rep(65536)) if code then break end end "
end

-- Calls that wait: what to prepare, what waits (with a limit of 0.25 s for
-- the sockets), all in one line for the prompt.
local calls = {
  { name = "recv", prepare = "s = a", call = "s:recv()" },
  { name = "read", prepare = "s = a", call = "s:read('l')" },
  { name = "recvfrom", prepare = "s = sock.socket('inet6', 'dgram') s:bind('::1', 0)",
    call = "s:recvfrom()" },
  { name = "send", prepare = choke "a" .. "s = a", call = "s:send('x')" },
  { name = "write", prepare = "s = a", call = "s:write(('x'):rep(1 << 24))" },
  { name = "accept", prepare = "s = sock.socket() s:bind('127.0.0.1', 0) s:listen()",
    call = "s:accept()" },
  { name = "connect to a full TCP backlog",
    prepare = "l, list = listener('inet6', '[::1]:0') s = sock.socket('inet6')",
    call = "s:connect(l:getsockname())" },
  { name = "connect to a full Unix backlog",
    prepare = "l, list = listener('unix', 'unix:') s = sock.socket('unix')",
    call = "s:connect(l:getsockname())" },
  { name = "sock.wait", prepare = "s = a", call = "sock.wait(s, 'r', LIMIT)" },
  { name = "select", prepare = "s = a", call = "sock.select({ s }, {}, LIMIT)" },
  { name = "select with empty lists", prepare = "s = a", call = "sock.select({}, {}, LIMIT)" },
}

describe("A signal with a handler", function()
  local path, cleaner

  setup(function()
    path, cleaner = peer.cmodule("ticker", ticker)
  end)

  teardown(function()
    getmetatable(cleaner).__close()
  end)

  for _, row in ipairs(calls) do
    it("neither ends nor prolongs " .. row.name, function()
      local p <close> = peer.lua(prelude .. [[
        LIMIT = 0.25
        ]] .. row.prepare .. [[

        s:settimeout(LIMIT)
        tick(ALRM, 20000)
        local start = uptime()
        local _, message, code = ]] .. row.call .. [[

        local took, n = uptime() - start, ticks()
        tick(ALRM, 0)
        print(code or message, took >= 0.24, n > 5, n < 20000)
      ]], path)
      assert.equal("ETIMEDOUT\ttrue\ttrue\ttrue\n", p:rest())
    end)
  end

  it("does not disturb a conversation", function()
    local l <close> = assert(sock.socket("inet6"))
    assert(l:settimeout(10):bind("::1", 0))
    assert(l:listen())
    local p <close> = peer.lua(prelude .. [[
      tick(ALRM, 20000)
      local s <close> = assert(sock.socket("inet6"))
      assert(s:connect("::1", math.tointeger(arg[2])))
      for line in function() return s:read("L") end do
        assert(s:write(line))
      end
      print(ticks() > 5)
      tick(ALRM, 0)
    ]], path, l:getsockname().port)
    local c <close> = assert(l:accept())
    local line = ("x"):rep(100000) .. "\n"
    c:settimeout(10)
    local rounds = 0
    for i = 1, 100 do
      assert(c:write(i, line))
      if c:read("L") == i .. line then
        rounds = rounds + 1
      end
    end
    assert.equal(100, rounds)
    c:close()
    assert.equal("true\n", p:rest())
  end)

  it("sent by another process does not end a recv", function()
    local l <close> = assert(sock.socket())
    assert(l:settimeout(10):bind("127.0.0.1", 0))
    assert(l:listen())
    local p <close> = peer.lua(prelude .. [[
      tick(USR1, 1000000)
      local s <close> = assert(sock.socket())
      assert(s:connect("127.0.0.1", math.tointeger(arg[2])))
      assert(s:write("here\n"))
      print(s:recv())
      print(ticks() > 0)
    ]], path, l:getsockname().port)
    local c <close> = assert(l:accept())
    assert.equal("here", c:settimeout(10):read())
    peer.awaitstate(p.pid, "S")
    os.execute("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do kill -USR1 "
      .. p.pid .. "; kill -CHLD " .. p.pid .. "; kill -WINCH " .. p.pid .. "; done")
    assert(c:write("data"))
    assert.equal("data\ntrue\n", p:rest())
  end)

  it("that stops the process and lets it go on does not end a recv", function()
    local l <close> = assert(sock.socket())
    assert(l:settimeout(10):bind("127.0.0.1", 0))
    assert(l:listen())
    local p <close> = peer.lua([[
      local sock = require "sock"
      local s <close> = assert(sock.socket())
      assert(s:connect("127.0.0.1", math.tointeger(arg[1])))
      assert(s:settimeout(20):write("here\n"))
      print(s:recv())
    ]], l:getsockname().port)
    local c <close> = assert(l:accept())
    assert.equal("here", c:settimeout(10):read())
    for _ = 1, 3 do
      peer.awaitstate(p.pid, "S")
      p:signal("STOP")
      peer.awaitstate(p.pid, "T")
      p:signal("CONT")
    end
    peer.awaitstate(p.pid, "S")
    assert(c:write("data"))
    assert.equal("data\n", p:rest())
  end)
end)

describe("SIGINT", function()
  it("ends a script that waits, with an error and a traceback", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      local a, b = sock.socketpair()
      print("waiting")
      io.stdout:flush()
      a:recv()
    ]])
    p:expect("waiting")
    peer.awaitstate(p.pid, "S")
    p:signal("INT")
    assert.matches("interrupted!.*traceback", p:rest())
  end)

  it("can be caught by pcall, and the socket lives on", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      local a, b = sock.socketpair()
      assert(b:write("half a "))
      print("waiting")
      io.stdout:flush()
      print(pcall(a.read, a, "l"))
      assert(b:write("line\n"))
      print(a:read("l"))
    ]])
    p:expect("waiting")
    peer.awaitstate(p.pid, "S")
    p:signal("INT")
    assert.equal("false\tinterrupted!\nhalf a line\n", p:rest())
  end)
end)

--- Interrupts what `line` waits in, and looks that the prompt works on.
local function interrupt(prompt, line)
  prompt:type("io.write('go', 'ing', string.char(10)) " .. line)
  prompt:await("going")
  peer.awaitstate(prompt.child, "S")
  prompt:press("\3")
  prompt:await("interrupted!")
  prompt:await("> ")
end

local function prepare(prompt, row)
  for line in (prelude:gsub("^.-\n.-\n", "") .. "LIMIT = nil\n"):gmatch("%s*(.-)\n") do
    prompt:press(line .. " ")
  end
  prompt:press(row.prepare .. " s:settimeout()\n")
  prompt:await("> ")
end

local function livesOn(prompt)
  prompt:type("c, d = sock.socketpair() c:write('a', 'live', string.char(10)) print(d:read())")
  prompt:await("alive")
  prompt:await("> ")
  prompt:type("print(sock.type(s), s:gettimeout(), 6 * 7)")
  prompt:await("socket\tnil\t42")
end

describe("^C at the stock prompt", function()
  for _, row in ipairs(calls) do
    it("interrupts " .. row.name .. ", and the prompt lives on", function()
      local prompt <close> = peer.prompt()
      prepare(prompt, row)
      interrupt(prompt, row.call)
      livesOn(prompt)
    end)

    it("interrupts " .. row.name .. " in a coroutine, and the prompt lives on", function()
      local prompt <close> = peer.prompt()
      prepare(prompt, row)
      interrupt(prompt, "coroutine.wrap(function() " .. row.call .. " end)()")
      livesOn(prompt)
    end)
  end

  it("interrupts again and again", function()
    local prompt <close> = peer.prompt()
    prepare(prompt, calls[1])
    for _ = 1, 5 do
      interrupt(prompt, "s:recv()")
      interrupt(prompt, "coroutine.wrap(function() s:recv() end)()")
    end
    livesOn(prompt)
  end)

  it("interrupts a coroutine in a coroutine", function()
    local prompt <close> = peer.prompt()
    prepare(prompt, calls[1])
    interrupt(prompt,
      "coroutine.wrap(function() coroutine.wrap(function() s:recv() end)() end)()")
    livesOn(prompt)
  end)

  it("interrupts a wait that begins after it was pressed in a busy coroutine", function()
    local dir, _ <close> = peer.tempdir()
    local prompt <close> = peer.prompt()
    prepare(prompt, calls[1])
    prompt:type("coroutine.wrap(function() io.write('go', 'ing', string.char(10)) "
      .. "repeat until io.open('" .. dir .. "/go') s:recv() end)()")
    prompt:await("going")
    prompt:press("\3")
    prompt:await("^C") -- the terminal has sent the signal
    assert(io.open(dir .. "/go", "w")):close()
    prompt:await("interrupted!")
    prompt:await("> ")
    livesOn(prompt)
  end)

  it("loses nothing of what had arrived", function()
    local prompt <close> = peer.prompt()
    prepare(prompt, calls[1])
    prompt:type("print(b == b:write('half a '))")
    prompt:await("true")
    prompt:await("> ")
    interrupt(prompt, "a:read()")
    prompt:type("b:write('line', string.char(10)) print(a:read())")
    prompt:await("half a line")
  end)
end)
