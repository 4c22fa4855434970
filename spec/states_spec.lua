local sock = require "sock"
local peer = require "spec.support.peer"

-- Programs in C with several Lua states in one process: each argument is a
-- Lua program for a state and a thread of its own. With "=" before it, it is
-- run on the first thread, in order. A state is closed when its program ends.
local host = [[
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_barrier_t barrier;

/* meet(): waits for the other threads */
static int meet(lua_State *L) {
  (void)L;
  pthread_barrier_wait(&barrier);
  return 0;
}

/* exit without closing what other states hold */
static int leave(lua_State *L) {
  fflush(stdout);
  exit((int)luaL_optinteger(L, 1, 0));
}

static void *run(void *text) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "meet", meet);
  lua_register(L, "leave", leave);
  if (luaL_dostring(L, text) != LUA_OK) {
    fprintf(stderr, "failed: %s\n", lua_tostring(L, -1));
    fflush(stderr);
  }
  lua_close(L);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[64];
  int n = 0;
  for (int i = 1; i < argc; i++)
    n += argv[i][0] != '=';
  pthread_barrier_init(&barrier, NULL, n > 0 ? (unsigned)n : 1);
  n = 0;
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] == '=')
      run(argv[i] + 1);
    else
      pthread_create(&threads[n++], NULL, run, argv[i]);
  }
  for (int i = 0; i < n; i++)
    pthread_join(threads[i], NULL);
  puts("end");
  return 0;
}
]]

local path, cleaner

--- Compiles the host; nil if there is no library to link it with.
local function compile()
  local dir
  dir, cleaner = peer.tempdir()
  local file <close> = assert(io.open(dir .. "/host.c", "w"))
  file:write(host)
  file:flush()
  for _, library in ipairs { "-llua5.4", "-llua-5.4", "-llua" } do
    if os.execute(("unset LD_PRELOAD; %s -w -I\"${LUA_INCDIR:-$(tools/find-lua headers)}\" "
      .. "-o %s/host %s/host.c -Wl,-E %s -lm -ldl -lpthread 2>/dev/null")
      :format(os.getenv("CC") or "cc", dir, dir, library)) then
      return dir .. "/host"
    end
  end
end

--- Runs the programs; all that they print, and whether the process ended well.
local function states(...)
  local argv = { "timeout", "20", "env", "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), path }
  for _, program in ipairs { ... } do
    argv[#argv + 1] = program
  end
  local p <close> = peer.start(argv, { input = "" })
  local text = p:rest()
  local ok, how, code = p.out:close()
  p.out = nil
  return text, ok and "well" or how .. " " .. code
end

local busyserver = [[
  local sock = require "sock"
  local l = assert(sock.socket())
  assert(l:bind("127.0.0.1", 0) and l:listen(100))
  meet()
  local sum = sock.run(function()
    local sum = 0
    local server = sock.spawn(function()
      for _ = 1, 10 do
        local c = assert(l:accept())
        sock.spawn(function()
          for line in function() return c:read() end do
            assert(c:write(line, "\n"))
          end
          c:close()
        end)
      end
    end)
    for i = 1, 10 do
      sock.spawn(function()
        local s = assert(sock.socket())
        assert(s:connect(l:getsockname()))
        for n = 1, 50 do
          assert(s:write(i * 100 + n, "\n"))
          local got = assert(s:read())
          sum = sum + got
        end
        s:close()
      end)
    end
    server:join()
    return function() return sum end
  end)()
  l:close()
  io.stdout:write(math.tointeger(sum) .. "\n")
]]

setup(function()
  path = compile()
end)

teardown(function()
  getmetatable(cleaner).__close()
end)

describe("Lua states", function()
  --- An `it` that needs the host.
  local function with(behaviour, f)
    it(behaviour, function()
      if not path then
        return pending("there is no liblua5.4 to link with")
      end
      f()
    end)
  end

  with("on two threads each run a server and its clients", function()
    local text, how = states(busyserver, busyserver)
    assert.equal("well", how)
    assert.equal("287750\n287750\nend\n", text)
  end)

  with("on eight threads do", function()
    local program = busyserver
    local text, how = states(program, program, program, program, program, program, program, program)
    assert.equal("well", how)
    assert.equal(("287750\n"):rep(8) .. "end\n", text)
  end)

  with("on two threads both look names up", function()
    local program = [[
      local sock = require "sock"
      meet()
      local right = 0
      sock.run(function()
        for i = 1, 100 do
          sock.spawn(function()
            local list = assert(sock.getaddrinfo("localhost", i))
            right = right + (list[1].port == i and 1 or 0)
          end)
        end
      end)
      io.stdout:write(right .. "\n")
    ]]
    local text, how = states(program, program)
    assert.same({ "100\n100\nend\n", "well" }, { text, how })
  end)

  with("on two threads are both told of one signal", function()
    local program = [[
      local sock = require "sock"
      local sig = sock.signal("USR1")
      meet()
      local name
      sock.run(function()
        local waiter = sock.spawn(function() name = sig:wait(10) end)
        sock.sleep(0)
      end)
      io.stdout:write(tostring(name) .. "\n")
      meet()
    ]]
    local sender = [[
      meet()
      io.popen("kill -USR1 $PPID"):close()
      meet()
    ]]
    local text, how = states(program, program, sender)
    assert.same({ "USR1\nUSR1\nend\n", "well" }, { text, how })
  end)

  with("give a signal back when the last of them lets it go", function()
    local text, how = states([[=
      -- a state of its own, closed with its signal still open
      held = require "sock".signal("USR1")
    ]], [[=
      local sock = require "sock"
      local function caught()
        local file <close> = io.open("/proc/self/status")
        return tonumber(file:read("a"):match("SigCgt:%s*(%x+)"), 16) >> 9 & 1 == 1
      end
      io.stdout:write(tostring(caught()) .. "\n")
      local sig = sock.signal("USR1")
      io.stdout:write(tostring(caught()) .. "\n")
      sig:close()
      io.stdout:write(tostring(caught()) .. "\n")
    ]])
    assert.same({ "false\ntrue\nfalse\nend\n", "well" }, { text, how })
  end)

  with("do not share addresses, channels or tasks", function()
    local program = [[
      local sock = require "sock"
      meet()
      for i = 1, 2000 do
        local a = sock.address("127.0.0.1", i)
        assert(a == sock.address("127.0.0.1", i))
        if i % 100 == 0 then collectgarbage() end
      end
      local ch = sock.channel(1)
      assert(#sock.tasks() == 0)
      sock.run(function() ch:put(1) assert(#sock.tasks() == 1) end)
      io.stdout:write(ch:get() .. "\n")
    ]]
    local text, how = states(program, program, program)
    assert.same({ "1\n1\n1\nend\n", "well" }, { text, how })
  end)

  with("one after another in one process all work", function()
    local program = [[=
      local sock = require "sock"
      sock.run(function()
        local a, b = sock.socketpair()
        local task = sock.spawn(a.recv, a)
        b:send("x")
        assert(task:join() == "x")
        assert(sock.getaddrinfo("localhost"))
        sock.signal("USR1"):close()
      end)
    ]]
    local list = {}
    for i = 1, 20 do
      list[i] = program
    end
    local text, how = states(table.unpack(list))
    assert.same({ "end\n", "well" }, { text, how })
  end)
end)

describe("lua_close", function()
  -- What is pending when the state is closed.
  local pending_things = {
    { "tasks in every wait", 8, [[
      local a, b = sock.socketpair()
      local ch, sig = sock.channel(), sock.signal("USR1", "TERM")
      sock.spawn(sock.sleep, 100)
      sock.spawn(a.recv, a)
      sock.spawn(a.wait, a, "r")
      sock.spawn(sock.select, { a }, { })
      sock.spawn(ch.get, ch)
      sock.spawn(sig.wait, sig)
      sock.spawn(sock.timeout, 100, sock.sleep, 100)
      sock.spawn(function() sock.scope(function() sock.sleep(100) end) end)
    ]] },
    { "look-ups on their threads", 50, [[
      for i = 1, 50 do sock.spawn(sock.getaddrinfo, "localhost", i) end
    ]] },
    { "signals", 1, [[
      sig = sock.signal("USR1")
      sock.spawn(sig.wait, sig)
      io.popen("kill -USR1 $PPID"):close()
    ]] },
    { "tasks that are ready", 3, [[
      for _ = 1, 3 do sock.spawn(coroutine.yield) end
    ]] },
    { "generators that wait", 2, [[
      sock.spawn(function() sock.coroutine.wrap(function() sock.sleep(100) end)() end)
      sock.spawn(function() for v in sock.coroutine.wrap(function()
        while true do sock.sleep(0.001) sock.coroutine.yield(1) end end) do end end)
    ]] },
    { "waits for foreign descriptors", 2, [[
      for _ = 1, 2 do sock.spawn(sock.wait, 0, "r") end
    ]] },
    { "a million bytes half written", 1, [[
      local a, b = sock.socketpair()
      sock.spawn(a.write, a, ("x"):rep(1 << 22))
    ]] },
  }

  for _, row in ipairs(pending_things) do
    it("with " .. row[1] .. " pending ends, and says so", function()
      if not path then
        return pending("there is no liblua5.4 to link with")
      end
      local program = "=local sock = require 'sock' " .. row[3]
      local text, how = states(program, program)
      local tasks = row[2] == 1 and "1 task was" or row[2] .. " tasks were"
      local said = 0
      if row[1] == "waits for foreign descriptors" then
        -- /dev/null is always ready: they may have ended
        assert.matches("end\n$", text)
      else
        for line in text:gmatch("[^\n]+") do
          said = said + (line == "sock: " .. tasks .. " still waiting at the end" and 1 or 0)
        end
        assert.equal(2, said)
      end
      assert.equal("well", how)
    end)
  end

  it("with finalizers that wait ends", function()
    if not path then
      return pending("there is no liblua5.4 to link with")
    end
    local text, how = states([[=
      local sock = require "sock"
      local a, b = sock.socketpair()
      local task = sock.spawn(a.recv, a)
      for i = 1, 3 do
        setmetatable({}, { __gc = function()
          sock.sleep(0.001)
          print(sock.wait(0, "w", 0.001) ~= false, (select(3, sock.timeout(0.001, sock.sleep, 1))))
          sock.spawn(print, "never")
        end })
      end
      keep = setmetatable({}, { __gc = function()
        b:send("x")
        print(pcall(task.join, task, 0.01))
        print(sock.getaddrinfo("127.0.0.1", 80)[1])
      end })
    ]])
    assert.equal("well", how)
    assert.matches("127%.0%.0%.1:80", text)
    assert.matches("end\n$", text)
    assert.is_nil(text:find("never"))
  end)

  it("in one thread does not disturb a signal and look-ups in another", function()
    if not path then
      return pending("there is no liblua5.4 to link with")
    end
    local text, how = states([[
      local sock = require "sock"
      sock.signal("USR1", "USR2")
      sock.spawn(sock.getaddrinfo, "localhost")
      sock.spawn(function() sock.signal("USR1"):wait() end)
      meet()
    ]], [[
      local sock = require "sock"
      local sig = sock.signal("USR1")
      meet()
      for i = 1, 20 do
        io.popen("kill -USR1 $PPID"):close()
        assert(sig:wait(10) == "USR1")
        assert(sock.getaddrinfo("localhost"))
      end
      io.stdout:write("told\n")
    ]])
    assert.equal("well", how)
    assert.matches("told\n", text)
    assert.matches("end\n$", text)
  end)

  it("is not needed: exit with all pending ends well", function()
    if not path then
      return pending("there is no liblua5.4 to link with")
    end
    local _, how = states([[
      local sock = require "sock"
      for i = 1, 20 do sock.spawn(sock.getaddrinfo, "localhost") end
      local sig = sock.signal("USR1")
      sock.spawn(sig.wait, sig)
      meet()
      sock.sleep(5)
    ]], [[
      local sock = require "sock"
      for i = 1, 20 do sock.spawn(sock.getaddrinfo, "localhost") end
      meet()
      leave(0)
    ]])
    assert.equal("well", how)
  end)

  it("of a state whose library was loaded twice in it ends", function()
    if not path then
      return pending("there is no liblua5.4 to link with")
    end
    local text, how = states([[=
      local first = require "sock"
      for name in pairs(package.loaded) do
        if name:find("^sock") then package.loaded[name] = nil end
      end
      local second = require "sock"
      local ch = first.channel()
      second.spawn(function() ch:put("through") end)
      print(ch:get())
      first.spawn(second.sleep, 100)
    ]])
    assert.equal("through\nsock: 1 task was still waiting at the end\nend\n", text)
    assert.equal("well", how)
    assert.equal("channel", sock.type(sock.channel()))
  end)
end)
