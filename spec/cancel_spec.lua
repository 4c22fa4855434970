local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local closing, pair, sorted = fixtures.closing, fixtures.pair, fixtures.sorted
local nothing, listener = fixtures.nothing, fixtures.listener

--- A Unix socket whose buffers have no room left.
local function full()
  local a, b, closer = pair()
  a:settimeout(0)
  repeat until not a:send(("x"):rep(65536))
  a:settimeout()
  return a, b, closer
end

--- A listener whose queue has no room left, and what closes all.
local function fulllistener(family, address)
  local l = listener(family, address, 0)
  local list = closing(l)
  for _ = 1, 10 do
    local c = assert(sock.socket(family))
    list[#list + 1] = c
    if not c:settimeout(0.1):connect(l:getsockname()) then
      return l, list
    end
  end
  error("the backlog has no end")
end

--- Kinds of wait: each makes what is needed and gives a function that waits
-- for ever, and what closes it.
local kinds = {
  ["recv"] = function()
    local a, _, closer = pair()
    return function() a:recv() end, closer
  end,
  ["read"] = function()
    local a, b, closer = pair()
    b:send("half a line")
    return function() a:read("l") end, closer
  end,
  ["recvfrom"] = function()
    local s = assert(sock.socket("inet", "dgram"))
    assert(s:bind("127.0.0.1", 0))
    return function() s:recvfrom() end, s
  end,
  ["send"] = function()
    local a, _, closer = full()
    return function() a:send("x") end, closer
  end,
  ["write"] = function()
    local a, _, closer = pair()
    return function() a:write(("x"):rep(1 << 24)) end, closer
  end,
  ["accept"] = function()
    local l = listener("inet", "127.0.0.1:0")
    return function() l:accept() end, l
  end,
  ["connect over TCP"] = function()
    local l, closer = fulllistener("inet", "127.0.0.1:0")
    local s = assert(sock.socket())
    closer[#closer + 1] = s
    return function() s:connect(l:getsockname()) end, closer
  end,
  ["connect to a Unix socket"] = function()
    local l, closer = fulllistener("unix", "unix:")
    local s = assert(sock.socket("unix"))
    closer[#closer + 1] = s
    return function() s:connect(l:getsockname()) end, closer
  end,
  ["sock.wait"] = function()
    local a, _, closer = pair()
    return function() sock.wait(a, "r") end, closer
  end,
  ["sock.wait for a foreign descriptor"] = function()
    local a, _, closer = pair()
    local fd = a:fd()
    return function() sock.wait(fd, "r") end, closer
  end,
  ["select"] = function()
    local a, b, closer = pair()
    return function() sock.select({ a, b }, {}) end, closer
  end,
  ["select with empty lists"] = function()
    return function() sock.select({}, {}) end
  end,
  ["sleep"] = function()
    return function() sock.sleep(60) end
  end,
  ["sleep for ever"] = function()
    return function() sock.sleep(math.huge) end
  end,
  ["join"] = function()
    local t = sock.spawn(sock.sleep, 60)
    return function() t:join() end, setmetatable({}, { __close = function()
      t:cancel()
      t:join()
    end })
  end,
  ["a channel's get"] = function()
    local ch = sock.channel()
    return function() ch:get() end
  end,
  ["a channel's put"] = function()
    local ch = sock.channel(1):put("full")
    return function() ch:put("more") end
  end,
  ["a signal"] = function()
    local signals = sock.signal("USR1")
    return function() signals:wait() end, signals
  end,
  ["getaddrinfo"] = function()
    return function() sock.getaddrinfo("localhost") end
  end,
  ["getnameinfo"] = function()
    return function() sock.getnameinfo("127.0.0.1", 80) end
  end,
  ["the look-up of a connect"] = function()
    local s = assert(sock.socket())
    return function() s:connect("localhost", 1) end, s
  end,
  ["the end of a scope"] = function()
    return function()
      sock.scope(function(scope) scope:spawn(sock.sleep, 60) end)
    end
  end,
  ["run"] = function()
    return function() sock.run(sock.sleep, 60) end
  end,
}

--- Where a wait may stand.
local places = {
  ["a task"] = function(f) f() end,
  ["string.gsub"] = function(f) string.gsub("x", "x", f) end,
  ["a plain coroutine"] = function(f) coroutine.wrap(f)() end,
  ["a coroutine of sock.coroutine"] = function(f) sock.coroutine.wrap(f)() end,
  ["sock.timeout"] = function(f) sock.timeout(60, f) end,
  ["a scope"] = function(f) sock.scope(f) end,
}

describe("task:cancel", function()
  for _, kind in ipairs(sorted(kinds)) do
    for _, place in ipairs(sorted(places)) do
      it("ends " .. kind .. " in " .. place, function()
        local wait, closer = kinds[kind]()
        local _ <close> = closer
        local caught, went, target
        sock.spawn(function()
          repeat
            sock.sleep(0)
          until target and target:status() == "waiting"
          assert(target:cancel() == target)
        end)
        local t = sock.spawn(function()
          local _ <close> = setmetatable({}, { __close = function(_, err) caught = err end })
          target = sock.task()
          places[place](wait)
          went = true
        end)
        assert.same({ nil, "cancelled", "ECANCELED", n = 3 }, table.pack(t:join(10)))
        assert.equal("cancelled", t:status())
        assert.equal(sock.cancelled, caught)
        assert.is_nil(went)
      end)
    end
  end

  it("lets the others run once, then raises #order", function()
    local order = {}
    local t = sock.spawn(function()
      sock.task():cancel()
      sock.spawn(function()
        sock.sleep(0)
        order[#order + 1] = "other"
      end)
      pcall(sock.sleep, 60)
      order[#order + 1] = "caught"
      pcall(sock.sleep, 60)
    end)
    t:join()
    sock.run()
    assert.same({ "other", "caught" }, order)
  end)

  it("is not swallowed for good by one pcall", function()
    local caught = 0
    local t = sock.spawn(function()
      for _ = 1, 5 do
        local ok, err = pcall(sock.sleep, 60)
        caught = caught + (not ok and err == sock.cancelled and 1 or 0)
      end
      sock.channel():get()
    end)
    t:cancel()
    t:join()
    assert.equal(5, caught)
    assert.equal("cancelled", t:status())
  end)

  it("raises in calls that have no need to wait, at the latest after 128 of them", function()
    local a, b, _ <close> = pair()
    local calls = 0
    local t = sock.spawn(function()
      sock.task():cancel()
      while true do
        calls = calls + 1
        a:send("x")
        b:recv(1)
      end
    end)
    t:join()
    assert.equal("cancelled", t:status())
    assert.is_true(calls <= 128)
  end)

  it("leaves the process going when a task catches it for ever", function()
    local stop, rounds = false, 0
    local t = sock.spawn(function()
      while not stop do
        pcall(sock.sleep, 60)
        rounds = rounds + 1
      end
    end)
    t:cancel()
    for _ = 1, 100 do
      sock.sleep(0)
    end
    stop = true
    t:join()
    assert.is_true(rounds >= 99 and rounds <= 102)
  end)

  it("ends a task before it started", function()
    local ran, inner = false, nil
    local function dive(left)
      if left > 0 then
        sock.spawn(dive, left - 1)
      else
        inner = sock.spawn(function() ran = true end)
        assert(inner:status() == "ready")
        inner:cancel()
      end
    end
    sock.run(dive, 15)
    assert.equal("cancelled", inner:status())
    assert.same({ nil, "cancelled", "ECANCELED" }, { inner:join() })
    assert.is_false(ran)
  end)

  it("of oneself raises at the next wait", function()
    local reached
    local t = sock.spawn(function()
      sock.task():cancel()
      reached = sock.task():status()
      sock.sleep(0)
      reached = "too far"
    end)
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
    assert.equal("running", reached)
  end)

  it("of a task that can already go on wins", function()
    local ch, got = sock.channel(1), nil
    local t = sock.spawn(function() got = ch:get() end)
    ch:put("value")
    t:cancel()
    t:join()
    assert.is_nil(got)
    assert.equal("value", ch:get(0))
  end)

  it("again, or after the end, is harmless", function()
    local t = sock.spawn(sock.sleep, 60)
    t:cancel():cancel()
    t:join()
    local done = sock.spawn(nothing)
    done:cancel()
    assert.equal("cancelled", t:cancel():status())
    assert.equal("done", done:status())
  end)

  it("does not reach the tasks that the task has begun", function()
    local inner
    local t = sock.spawn(function()
      inner = sock.spawn(function()
        sock.sleep(0)
        return "inner"
      end)
      sock.sleep(60)
    end)
    t:cancel()
    t:join()
    assert.equal("inner", inner:join())
  end)
end)

describe("A cancelled task", function()
  it("runs its __close handlers, whose waits raise too", function()
    local log = {}
    local t = sock.spawn(function()
      local _ <close> = setmetatable({}, { __close = function(_, err)
        log[#log + 1] = err
        local _, caught = pcall(sock.sleep, 60)
        log[#log + 1] = caught
      end })
      local _ <close> = setmetatable({}, { __close = function(_, err)
        log[#log + 1] = err
        sock.sleep(60)
        log[#log + 1] = "too far"
      end })
      sock.sleep(60)
    end)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.equal(3, #log)
    for _, err in ipairs(log) do
      assert.equal(sock.cancelled, err)
    end
  end)

  it("that catches it and returns is \"done\"", function()
    local t = sock.spawn(function()
      pcall(sock.sleep, 60)
      return "result"
    end)
    t:cancel()
    assert.equal("result", t:join())
    assert.equal("done", t:status())
  end)

  it("that raises another error has failed", function()
    local t = sock.spawn(function()
      pcall(sock.sleep, 60)
      error("another", 0)
    end)
    t:cancel()
    assert.same({ false, "another" }, { pcall(t.join, t) })
    assert.equal("failed", t:status())
  end)

  it("whose __close raises has failed", function()
    local t = sock.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() error("in close", 0) end })
      sock.sleep(60)
    end)
    t:cancel()
    assert.same({ false, "in close" }, { pcall(t.join, t) })
  end)

  it("is not told to onerror", function()
    local told = 0
    local before = sock.onerror(function() told = told + 1 end)
    sock.spawn(sock.sleep, 60):cancel()
    sock.run()
    sock.onerror(before)
    assert.equal(0, told)
  end)

  it("that raises sock.cancelled without having been cancelled counts as cancelled", function()
    local t = sock.spawn(function() error(sock.cancelled) end)
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
  end)

  it("leaves to the next reader what arrives", function()
    local a, b, _ <close> = pair()
    local first = sock.spawn(a.read, a, "l")
    local second = sock.spawn(a.read, a, "l")
    b:write("a ")
    sock.sleep(0)
    first:cancel()
    b:write("line\n")
    assert.equal("a line", second:join())
    assert.equal("cancelled", first:status())
  end)

  it("leaves the queue of readers where it stood", function()
    local a, b, _ <close> = pair()
    local readers = {}
    for i = 1, 5 do
      readers[i] = sock.spawn(a.read, a, "l")
    end
    readers[1]:cancel()
    readers[3]:cancel()
    readers[5]:cancel()
    b:write("one\ntwo\n")
    assert.equal("one", readers[2]:join())
    assert.equal("two", readers[4]:join())
    sock.run()
  end)

  it("takes no value out of a channel and puts none in", function()
    local ch = sock.channel()
    local getters = { sock.spawn(ch.get, ch), sock.spawn(ch.get, ch) }
    local putter = sock.spawn(sock.sleep, 60)
    putter:cancel()
    ch:put("value")
    getters[1]:cancel()
    assert.equal("value", getters[2]:join())
    local late = sock.spawn(ch.put, ch, "never")
    late:cancel()
    sock.run()
    assert.same({ nil, "get: timed out", "ETIMEDOUT" }, { ch:get(0) })
  end)

  it("leaves to another acceptor who connects", function()
    local l <close> = listener("inet", "127.0.0.1:0")
    local first, second = sock.spawn(l.accept, l), sock.spawn(l.accept, l)
    first:cancel()
    local c <close> = assert(sock.socket())
    assert(c:connect(l:getsockname()))
    local s <close> = assert(second:join())
    assert.equal(c:getsockname(), s:getpeername())
  end)

  it("can use its socket no worse than before", function()
    local a, b, _ <close> = pair()
    local t = sock.spawn(function() return a:recv() end)
    t:cancel()
    t:join()
    b:send("data")
    assert.equal("data", a:recv())
  end)
end)

describe("Thousands of cancels", function()
  it("at any step leave nothing behind", function()
    local a, b, _ <close> = pair()
    local ch = sock.channel()
    local ended = 0
    for round = 1, 1000 do
      local t = sock.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
        for _ = 1, 10 do
          sock.sleep(0)
          pcall(ch.get, ch, 0.0001)
          sock.wait(a, "r", 0.0001)
          sock.timeout(0.0001, b.recv, b)
        end
      end)
      for _ = 1, round % 7 do
        sock.sleep(0)
      end
      t:cancel()
    end
    sock.run()
    assert.equal(1000, ended)
    assert.error_matches(function() ch:get() end, "^deadlock: ")
  end)
end)

describe("sock.cancelled", function()
  it("reads as \"cancelled\" and is one value", function()
    assert.equal("cancelled", tostring(sock.cancelled))
    assert.equal(sock.cancelled, require("sock").cancelled)
  end)
end)
