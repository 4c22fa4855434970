-- No task keeps the others from running, however much it finds to do.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local closing, pair, sorted = fixtures.closing, fixtures.pair, fixtures.sorted
local listener = fixtures.listener

-- Calls that never need to wait: each row gives one, to be called again and
-- again, and what closes what it uses.
local calls = {
  ["send and recv"] = function()
    local a, b, closer = pair()
    return function()
      a:send("x")
      b:recv()
    end, closer
  end,
  ["recv of what is there"] = function()
    local a, b, closer = pair()
    b:send(("x"):rep(100000))
    return function() assert(a:recv(1)) end, closer
  end,
  ["read of what is buffered"] = function()
    local a, b, closer = pair()
    b:send(("x\n"):rep(50000))
    return function() assert(a:read()) end, closer
  end,
  ["sock.wait"] = function()
    local a, _, closer = pair()
    return function() assert(sock.wait(a, "w")) end, closer
  end,
  ["select"] = function()
    local a, b, closer = pair()
    return function() assert(sock.select({}, { a, b:fd() })) end, closer
  end,
  ["a channel with room"] = function()
    local ch = sock.channel(10)
    return function()
      ch:put(1)
      ch:get()
    end
  end,
  ["join of a task that has ended"] = function()
    local t = sock.spawn(function() end)
    return function() t:join() end
  end,
  ["sendto and recvfrom"] = function()
    local s = assert(sock.socket("inet", "dgram"))
    assert(s:bind("127.0.0.1", 0))
    local to = s:getsockname()
    return function()
      assert(s:sendto("x", to))
      assert(s:recvfrom())
    end, s
  end,
}

describe("A task that never needs to wait", function()
  for _, name in ipairs(sorted(calls)) do
    it("lets the others run every 128 calls: " .. name .. " #order", function()
      local call, closer = calls[name]()
      local _ <close> = closer
      local busy, turns = true, 0
      local other = sock.spawn(function()
        while busy do
          sock.sleep(0)
          turns = turns + 1
        end
      end)
      sock.run(function()
        for _ = 1, 12800 do
          call()
        end
        busy = false
      end)
      other:join()
      assert.is_true(turns >= 98, turns .. " turns")
    end)

    it("lets descriptors and timers of the others be served: " .. name, function()
      local call, closer = calls[name]()
      local _ <close> = closer
      local a, b, _ <close> = pair()
      local served = 0
      local reader = sock.spawn(function()
        while b:read(1) do
          served = served + 1
        end
      end)
      local sleeper = sock.spawn(function()
        sock.sleep(0.0001)
        served = served + 1
      end)
      sock.run(function()
        local until_ = sock.now() + 10
        a:send("x")
        while served < 2 and sock.now() < until_ do
          call()
        end
      end)
      assert.equal(2, served)
      a:shutdown("send")
      reader:join()
      sleeper:join()
    end)
  end

  it("may be the main thread", function()
    local call, closer = calls["send and recv"]()
    local _ <close> = closer
    local turns = 0
    local t = sock.spawn(function()
      while turns < 10 do
        sock.sleep(0)
        turns = turns + 1
      end
    end)
    for _ = 1, 1280 do
      call()
    end
    assert.equal(10, turns)
    t:join()
  end)
end)

describe("A script that never needs to wait, outside of tasks,", function()
  for _, name in ipairs(sorted(calls)) do
    it("lets descriptors and timers of its tasks be served: " .. name, function()
      local call, closer = calls[name]()
      local _ <close> = closer
      local a, b, _ <close> = pair()
      local served = 0
      local reader = sock.spawn(function()
        while b:read(1) do
          served = served + 1
        end
      end)
      local sleeper = sock.spawn(function()
        sock.sleep(0.0001)
        served = served + 1
      end)
      local until_ = sock.now() + 5
      a:send("x")
      while served < 2 and sock.now() < until_ do
        call()
      end
      assert.equal(2, served)
      a:shutdown("send")
      reader:join()
      sleeper:join()
    end)
  end
end)

describe("A function in sock.timeout that never needs to wait", function()
  for _, name in ipairs(sorted(calls)) do
    it("ends when its time has passed: " .. name, function()
      local function endless()
        local call, closer = calls[name]()
        local _ <close> = closer
        return sock.timeout(0, function()
          for _ = 1, 1000 do
            call()
          end
          return "it went on"
        end)
      end
      assert.same({ nil, "timed out", "ETIMEDOUT" }, { endless() })
      assert.same({ nil, "timed out", "ETIMEDOUT" }, { sock.run(endless) })
    end)
  end
end)

describe("An accept loop under a flood", function()
  it("does not keep those from being served that it has accepted", function()
    local l <close> = listener()
    local clients = closing()
    for i = 1, 500 do
      clients[i] = assert(sock.socket())
      assert(clients[i]:connect(l:getsockname()))
      assert(clients[i]:write("request ", i, "\n"))
    end
    local _ <close> = clients
    local accepted, served, first = 0, 0, nil
    sock.run(function()
      for _ = 1, 500 do
        local s = assert(l:accept())
        accepted = accepted + 1
        sock.spawn(function()
          local _ <close> = s
          sock.sleep(0)
          first = first or accepted
          local line = assert(s:read("L"))
          assert(s:write(line))
          served = served + 1
        end)
      end
    end)
    assert.equal(500, served)
    assert.is_true(first <= 128, first .. " were accepted before one was served")
    for i, c in ipairs(clients) do
      assert.equal("request " .. i, c:read())
    end
  end)

  it("does not hold up timers and the connections that there are", function()
    local l <close> = listener()
    local clients <close> = closing()
    local accepted, rang, answered = 0, nil, nil
    sock.run(function()
      local old <close> = assert(sock.socket():connect(l:getsockname()))
      local served <close> = l:accept()
      for i = 1, 1000 do
        clients[i] = assert(sock.socket():connect(l:getsockname()))
      end
      sock.spawn(function()
        assert(served:read())
        answered = accepted
      end)
      sock.spawn(function()
        sock.sleep(0.001)
        rang = accepted
      end)
      assert(old:write("request\n"))
      for _ = 1, 1000 do
        assert(l:accept()):close()
        accepted = accepted + 1
        local began = sock.now()
        repeat until sock.now() - began > 20e-6
      end
    end)
    assert.is_true(rang <= 640, rang .. " were accepted before a timer rang")
    assert.is_true(answered <= 640, answered .. " were accepted before a request was seen")
  end)

  it("serves those who come meanwhile", function()
    local l <close> = listener()
    local served, answers = 0, 0
    sock.run(function()
      local server = sock.spawn(function()
        while true do
          local s = assert(l:accept())
          sock.spawn(function()
            local _ <close> = s
            for line in function() return s:read("L") end do
              assert(s:write(line))
            end
            served = served + 1
          end)
        end
      end)
      local clients = {}
      for i = 1, 50 do
        clients[i] = sock.spawn(function()
          for n = 1, 10 do
            local c <close> = assert(sock.socket())
            assert(c:connect(l:getsockname()))
            assert(c:write(i, " ", n, "\n"))
            local answer = c:read()
            answers = answers + (answer == i .. " " .. n and 1 or 0)
          end
        end)
      end
      for _, c in ipairs(clients) do
        c:join()
      end
      server:cancel()
    end)
    assert.equal(500, answers)
    assert.equal(500, served)
  end)
end)

describe("Nine thousand connections", function()
  it("are held by nine thousand tasks in one process #slow", function()
    if os.getenv "SOCK_POLLER" == "poll" then
      return -- poll(2) looks at every one of them each time
    end
    local p <close> = peer.widelua(20000, [[
      local sock = require "sock"
      local N = 9000
      local l = assert(sock.socket())
      assert(l:bind("127.0.0.1", 0))
      assert(l:listen(4096))
      local held, most, right = 0, 0, 0
      local all = sock.channel()
      local done, _, code = sock.timeout(60, sock.run, function()
        local server = sock.spawn(function()
          while true do
            local s = assert(l:accept())
            sock.spawn(function()
              local _ <close> = s
              held = held + 1
              most = math.max(most, held)
              for line in function() return s:read("L") end do
                assert(s:write(line))
              end
              held = held - 1
            end)
          end
        end)
        local clients = {}
        for i = 1, N do
          local c = assert(sock.socket())
          assert(c:connect(l:getsockname()))
          clients[i] = c
        end
        while held < N do
          sock.sleep(0)
        end
        assert(#sock.tasks() == N + 2)
        for i, c in ipairs(clients) do
          assert(c:write("connection ", i, "\n"))
        end
        for i, c in ipairs(clients) do
          local line = c:read()
          right = right + (line == "connection " .. i and 1 or 0)
          c:close()
        end
        while held > 0 do
          sock.sleep(0)
        end
        server:cancel()
        return true
      end)
      print(most, right, done, code, #sock.tasks())
    ]])
    if not p then
      return pending("this system allows no 20000 descriptors")
    end
    assert.equal("9000\t9000\ttrue\tnil\t0\n", p:rest())
  end)
end)
