-- The loop driven from outside: a turn at a time, or out of another loop.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local descriptors = require "spec.support.descriptors"
local posix = descriptors.posix
local run, busy = fixtures.run, fixtures.busy

local function pair(kind)
  return fixtures.pair(kind, 10)
end

local function notpolling()
  return not descriptors.polling or pending("poll(2) has no registration") and false
end

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
