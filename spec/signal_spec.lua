local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local signals = require "spec.support.signals"
local run = fixtures.run
local caught, numbers, send = signals.caught, signals.numbers, signals.send

-- A module that sends itself USR1 very often, then TERM once.
local flood = [[
#include <lauxlib.h>
#include <signal.h>
static int flood(lua_State *L) {
  for (int i = 0; i < 70000; i++)
    raise(SIGUSR1);
  raise(SIGTERM);
  return 0;
}
int luaopen_flood(lua_State *L) { return lua_pushcfunction(L, flood), 1; }
]]

describe("sock.signal", function()
  it("waits for a signal and gives its name", function()
    local sig <close> = sock.signal("USR1")
    send("USR1")
    assert.equal("USR1", sig:wait())
  end)

  for name in pairs(numbers) do
    it("catches " .. name, function()
      local sig <close> = sock.signal(name)
      assert.is_true(caught(name))
      send(name)
      assert.equal(name, sig:wait(10))
    end)
  end

  it("takes several names", function()
    local sig <close> = sock.signal("USR1", "USR2", "HUP")
    for _, name in ipairs { "HUP", "USR2", "USR1" } do
      send(name)
      assert.equal(name, sig:wait(10))
    end
  end)

  it("takes one name twice as once", function()
    local sig <close> = sock.signal("USR1", "USR1")
    send("USR1")
    assert.equal("USR1", sig:wait(10))
    assert.equal("ETIMEDOUT", (select(3, sig:wait(0))))
    sig:close()
    assert.is_false(caught("USR1"))
  end)

  it("tells of a child's end", function()
    local sig <close> = sock.signal("CHLD")
    local child = io.popen("exit 0")
    assert.equal("CHLD", sig:wait(10))
    child:close()
  end)

  it("raises for names that are none", function()
    for _, name in ipairs { "FOO", "", "SIG", "int", "INT ", "INT\0", "9", "SIGSIGINT" } do
      assert.error_matches(function() sock.signal(name) end, "^bad argument #1 to 'signal'")
      assert.error_matches(function() sock.signal("USR1", name) end,
        "^bad argument #2 to 'signal'")
    end
    for _, value in ipairs { true, {}, print } do
      assert.error_matches(function() sock.signal(value) end, "^bad argument #1 to 'signal'")
    end
    assert.error_matches(function() sock.signal() end, "^bad argument #1 to 'signal'")
    assert.error_matches(function() sock.signal("USR1", nil) end,
      "^bad argument #2 to 'signal'")
    assert.is_false(caught("USR1"))
  end)

  it("refuses those that cannot be waited for", function()
    for _, name in ipairs { "KILL", "STOP", "SEGV", "BUS", "FPE", "ILL" } do
      assert.has_error(function() sock.signal("USR1", name) end,
        "bad argument #2 to 'signal' (signal '" .. name .. "' cannot be waited for)")
    end
    assert.is_false(caught("USR1"))
  end)

  it("keeps for the next wait what comes before it", function()
    local sig <close> = sock.signal("USR1", "USR2")
    send("USR1", "USR2")
    local got = { sig:wait(10), sig:wait(10) }
    table.sort(got)
    assert.same({ "USR1", "USR2" }, got)
    assert.equal("ETIMEDOUT", (select(3, sig:wait(0))))
  end)

  it("counts a signal that comes twice before the wait as one", function()
    local sig <close> = sock.signal("USR1")
    send("USR1", "USR1", "USR1")
    assert.equal("USR1", sig:wait(10))
    assert.equal("ETIMEDOUT", (select(3, sig:wait(0))))
  end)

  it("is not told of signals that came before it", function()
    do
      local other <close> = sock.signal("USR1")
      send("USR1")
      assert.equal("USR1", other:wait(10))
    end
    local sig <close> = sock.signal("USR1")
    assert.equal("ETIMEDOUT", (select(3, sig:wait(0))))
  end)

  it("loses no signal in a flood of another", function()
    local path, _ <close> = peer.cmodule("flood", flood)
    local p <close> = peer.lua([[
      package.cpath = arg[1] .. ";" .. package.cpath
      local sock, flood = require "sock", require "flood"
      local sig = sock.signal("USR1", "TERM")
      flood() -- more than a pipe holds, and nobody looks meanwhile
      local got = { sig:wait(10), (sig:wait(1)) }
      table.sort(got)
      print(table.concat(got, " "))
    ]], path)
    assert.equal("TERM USR1\n", p:rest())
  end)
end)

describe("A signal's wait", function()
  it("that has come is seen by a wait of no time, inside and outside tasks", function()
    local sig <close> = assert(sock.signal("USR1"))
    send("USR1")
    assert.equal("USR1", sig:wait(0))
    assert.equal("USR1", run(function()
      send("USR1")
      return sig:wait(0)
    end))
  end)

  it("times out", function()
    local sig <close> = sock.signal("USR1")
    assert.same({ nil, "wait for a signal: timed out", "ETIMEDOUT" }, { sig:wait(0.01) })
    assert.same({ nil, "wait for a signal: timed out", "ETIMEDOUT" }, { sig:wait(0) })
    assert.same({ nil, "wait for a signal: timed out", "ETIMEDOUT" }, { sig:wait(-1) })
  end)

  it("raises for seconds that are none", function()
    local sig <close> = sock.signal("USR1")
    assert.error_matches(function() sig:wait("soon") end, "^bad argument #1 to 'wait'")
    assert.error_matches(function() sig:wait(0 / 0) end, "^bad argument #1 to 'wait'")
  end)

  it("suspends a task, and others go on", function()
    run(function()
      local sig <close> = sock.signal("USR1")
      local task = sock.spawn(sig.wait, sig)
      assert.equal("waiting", task:status())
      send("USR1")
      assert.equal("USR1", task:join())
    end)
  end)

  it("outside of tasks lets the tasks go on", function()
    local sig <close> = sock.signal("USR1")
    local rounds = 0
    local task = sock.spawn(function()
      for _ = 1, 5 do
        sock.sleep(0.001)
        rounds = rounds + 1
      end
      send("USR1")
    end)
    assert.equal("USR1", sig:wait())
    assert.equal(5, rounds)
    task:join()
  end)

  it("is no deadlock", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      local sig = sock.signal("TERM")
      sock.spawn(function() print("task", sig:wait()) end)
      print("waiting")
      io.stdout:flush()
      print("main", sig:wait())
      sock.run()
    ]])
    p:expect("waiting")
    peer.awaitstate(p.pid, "S")
    p:signal("TERM")
    local lines = p:rest()
    assert.matches("main\tTERM", lines)
    assert.matches("task\tTERM", lines)
  end)

  it("in two tasks tells both of one signal", function()
    run(function()
      local sig <close> = sock.signal("USR1")
      local a, b = sock.spawn(sig.wait, sig, 10), sock.spawn(sig.wait, sig, 10)
      send("USR1")
      assert.equal("USR1", a:join())
      assert.equal("USR1", b:join())
      assert.equal("ETIMEDOUT", (select(3, sig:wait(0))))
    end)
  end)

  it("in three hundred tasks tells each of them once", function()
    run(function()
      local sig <close> = sock.signal("USR1")
      local tasks, told = {}, 0
      for i = 1, 300 do
        tasks[i] = sock.spawn(sig.wait, sig, 0.5)
      end
      send("USR1")
      for _, task in ipairs(tasks) do
        told = told + (task:join() == "USR1" and 1 or 0)
      end
      assert.equal(300, told)
      assert.equal("ETIMEDOUT", (select(3, sig:wait(0))))
    end)
  end)

  it("on two objects tells both of one signal", function()
    run(function()
      local one <close> = sock.signal("USR1")
      local two <close> = sock.signal("USR1", "USR2")
      local a, b = sock.spawn(one.wait, one, 10), sock.spawn(two.wait, two, 10)
      send("USR1")
      assert.equal("USR1", a:join())
      assert.equal("USR1", b:join())
    end)
  end)

  it("is not ended by a signal that another object asked for", function()
    run(function()
      local one <close> = sock.signal("USR1")
      local two <close> = sock.signal("USR2")
      local a = sock.spawn(one.wait, one, 10)
      send("USR2")
      assert.equal("USR2", two:wait(10))
      assert.equal("waiting", a:status())
      send("USR1")
      assert.equal("USR1", a:join())
    end)
  end)

  it("is ended by a cancel, and loses no signal that comes later", function()
    run(function()
      local sig <close> = sock.signal("USR1")
      local task = sock.spawn(sig.wait, sig)
      task:cancel()
      assert.equal("ECANCELED", (select(3, task:join())))
      send("USR1")
      assert.equal("USR1", sig:wait(10))
    end)
  end)

  it("is ended by a sock.timeout", function()
    run(function()
      local sig <close> = sock.signal("USR1")
      assert.same({ nil, "timed out", "ETIMEDOUT" }, { sock.timeout(0.01, sig.wait, sig) })
      send("USR1")
      assert.equal("USR1", sig:wait(10))
    end)
  end)

  it("gives what came while Lua was busy", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      local sig = sock.signal("INT", "USR1")
      print("busy")
      io.stdout:flush()
      local stop = sock.now() + 0.2
      repeat until sock.now() > stop
      print(sig:wait(10))
    ]])
    p:expect("busy")
    p:signal("INT")
    assert.equal("INT\n", p:rest())
  end)

  it("comes through while a task waits where it cannot yield", function()
    run(function()
      local sig <close> = sock.signal("USR1")
      local sender = sock.spawn(function()
        sock.sleep(0.001)
        send("USR1")
      end)
      assert.equal("USR1", (("x"):gsub("x", function() return (sig:wait(10)) end)))
      sender:join()
    end)
  end)
end)

describe("^C at the stock prompt", function()
  it("goes to sock.signal only", function()
    local prompt <close> = peer.prompt()
    prompt:type("sock = require 'sock' sig = sock.signal('INT') "
      .. "io.write('go', 'ing', string.char(10)) print('got ' .. sig:wait())")
    prompt:await("going")
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    prompt:await("got INT")
    prompt:await("> ")
    prompt:type("print(6 * 7)")
    prompt:await("42")
  end)

  it("goes to a sock.signal that was made in an earlier line", function()
    local prompt <close> = peer.prompt()
    prompt:type("sock = require 'sock' sig = sock.signal('INT')")
    prompt:await("> ")
    prompt:type("io.write('go', 'ing', string.char(10)) print('got ' .. sig:wait())")
    prompt:await("going")
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    prompt:await("got INT")
  end)

  it("does not interrupt another wait meanwhile", function()
    local prompt <close> = peer.prompt()
    prompt:type("sock = require 'sock' sig = sock.signal('INT') "
      .. "io.write('go', 'ing', string.char(10)) print('got ' .. sock.spawn(function() "
      .. "local name = sig:wait() sock.sleep(0.01) return name end):join())")
    prompt:await("going")
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    prompt:await("got INT")
  end)

  it("interrupts again after the close", function()
    local prompt <close> = peer.prompt()
    prompt:type("sock = require 'sock' sock.signal('INT'):close() "
      .. "io.write('go', 'ing', string.char(10)) sock.sleep(100)")
    prompt:await("going")
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    prompt:await("interrupted!")
    prompt:await("> ")
  end)
end)
