-- The end of sock.signal: what a close leaves, and a program with one.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local signals = require "spec.support.signals"
local run = fixtures.run
local caught, send = signals.caught, signals.send

describe("A signal's close", function()
  it("gives the signal back", function()
    assert.is_false(caught("USR1"))
    local sig = sock.signal("USR1", "USR2")
    assert.is_true(caught("USR1"))
    assert.is_true(caught("USR2"))
    assert.truthy(sig:close())
    assert.is_false(caught("USR1"))
    assert.is_false(caught("USR2"))
  end)

  it("again is harmless", function()
    local one, two = sock.signal("USR1"), sock.signal("USR1")
    one:close()
    assert.truthy(one:close())
    assert.is_true(caught("USR1"))
    two:close()
    assert.is_false(caught("USR1"))
  end)

  it("gives the signal back only when the last object is closed", function()
    local one, two = sock.signal("USR1"), sock.signal("USR1")
    one:close()
    assert.is_true(caught("USR1"))
    send("USR1")
    assert.equal("USR1", two:wait(10))
    two:close()
    assert.is_false(caught("USR1"))
  end)

  it("is what __close and the collector do", function()
    do
      local sig <close> = sock.signal("USR1")
      assert.is_true(caught("USR1") and sig ~= nil)
    end
    assert.is_false(caught("USR1"))
    sock.signal("USR1")
    collectgarbage()
    assert.is_false(caught("USR1"))
  end)

  it("ends the waits for it", function()
    run(function()
      local sig = sock.signal("USR1")
      local tasks = { sock.spawn(sig.wait, sig), sock.spawn(sig.wait, sig, 10) }
      sig:close()
      for _, task in ipairs(tasks) do
        assert.same({ nil, "wait for a signal: closed", "EBADF" }, { task:join() })
      end
    end)
  end)

  it("lets later waits raise", function()
    local sig = sock.signal("USR1")
    sig:close()
    assert.has_error(function() sig:wait(0) end, "attempt to use a closed signal")
  end)

  it("does not happen while a task waits for it", function()
    run(function()
      local task = sock.spawn(function() return sock.signal("USR1"):wait() end)
      collectgarbage()
      assert.is_true(caught("USR1"))
      send("USR1")
      assert.equal("USR1", task:join())
    end)
    collectgarbage()
    assert.is_false(caught("USR1"))
  end)

  it("lets the signal do what it did before: end the process", function()
    local p = peer.lua([[
      local sock = require "sock"
      local sig = sock.signal("USR1")
      print("open")
      io.stdout:flush()
      print(sig:wait())
      sig:close()
      print("closed")
      io.stdout:flush()
      sock.sleep(20)
      print("still here")
    ]])
    p:expect("open")
    p:signal("USR1")
    p:expect("closed")
    p:signal("USR1")
    assert.equal("", p:rest())
    local _, how, number = p.out:close()
    p.out = nil
    assert.same({ "signal", 10 }, { how, number })
  end)

  it("lets the signal do what it did before: nothing", function()
    local p <close> = peer.start({ "sh", "-c", [[trap "" USR1; exec "$0" -e "$1"]],
      os.getenv("LUA") or "lua5.4", [[
      local sock = require "sock"
      local sig = sock.signal("USR1")
      print("open")
      io.stdout:flush()
      print(sig:wait())
      sig:close()
      io.popen("kill -USR1 $PPID"):close()
      print("still here")
    ]] }, { module = true })
    p:expect("open")
    p:signal("USR1")
    assert.equal("USR1\nstill here\n", p:rest())
  end)

  it("lets INT that comes while a task runs interrupt the wait outside", function()
    local p <close> = peer.start({ "timeout", "10", "env",
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), os.getenv("LUA") or "lua5.4", "-e", [[
      local sock = require "sock"
      sock.signal("INT"):close()
      sock.spawn(function()
        sock.sleep(0.001)
        io.popen("kill -INT $PPID"):close()
        sock.sleep(100)
      end)
      print(pcall(sock.sleep, 100))
      os.exit(true)
    ]], "-" }, { input = "" })
    assert.equal("false\tinterrupted!\n", p:rest())
  end)

  it("lets INT interrupt again", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      local sig = sock.signal("INT")
      io.popen("kill -INT $PPID"):close()
      print(sig:wait())
      sig:close()
      print(pcall(function()
        io.popen("kill -INT $PPID"):close()
        sock.sleep(20)
      end))
    ]])
    assert.equal("INT\nfalse\tinterrupted!\n", (p:rest():gsub("%(command line%):%d+: ", "")))
  end)
end)

describe("A program with sock.signal", function()
  it("ends with a wait pending", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      sig = sock.signal("TERM", "INT")
      sock.spawn(function() sig:wait() end)
    ]])
    assert.matches("still waiting at the end", p:rest())
    local ok = p.out:close()
    p.out = nil
    assert.is_true(ok)
  end)

  it("survives signals that come while it ends", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      sig = sock.signal("USR1")
      late = setmetatable({}, { __gc = function()
        for _ = 1, 20 do
          io.popen("kill -USR1 $PPID"):close()
        end
        print("ends")
      end })
    ]])
    assert.equal("ends\n", p:rest())
    assert.is_true(p.out:close())
    p.out = nil
  end)
end)
