local sock = require "sock"
local peer = require "spec.support.peer"

--- What closes several sockets at the end of a block.
local function both(...)
  local list = { ... }
  return setmetatable(list, { __close = function()
    for _, s in ipairs(list) do
      s:close()
    end
  end })
end

local function pair()
  local a, b = assert(sock.socketpair())
  return a, b, both(a, b)
end

local function listener()
  local l = assert(sock.socket())
  assert(l:bind("127.0.0.1", 0))
  assert(l:listen())
  return l
end

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

local function sorted(map)
  local names = {}
  for name in pairs(map) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

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
    local clients = both()
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

describe("Two tasks on one socket", function()
  it("read in turns, in the order in which they came #order", function()
    local a, b, _ <close> = pair()
    local got = {}
    sock.run(function()
      for i = 1, 5 do
        sock.spawn(function() got[i] = a:read() end)
      end
      for i = 1, 5 do
        b:write("line ", i, "\n")
        sock.sleep(0)
      end
    end)
    assert.same({ "line 1", "line 2", "line 3", "line 4", "line 5" }, got)
  end)

  it("never read parts of one record", function()
    local a, b, _ <close> = pair()
    local right, letters = 0, {}
    sock.run(function()
      for _ = 1, 10 do
        sock.spawn(function()
          for _ = 1, 20 do
            local record = assert(a:read(1000))
            local letter = record:sub(1, 1)
            if record == letter:rep(1000) then
              right = right + 1
              letters[letter] = (letters[letter] or 0) + 1
            end
          end
        end)
      end
      for i = 0, 199 do
        local record = string.char(65 + i % 20):rep(1000)
        for from = 1, 1000, 300 do
          b:write(record:sub(from, from + 299))
          sock.sleep(0)
        end
      end
    end)
    assert.equal(200, right)
    for _, times in pairs(letters) do
      assert.equal(10, times)
    end
  end)

  -- Each block is a length and as many equal letters: whatever stands between
  -- is seen.
  local function blocks(b, n)
    local right = 0
    for _ = 1, n do
      local header = b:read(8) or ""
      local letter, len = header:sub(1, 1), math.tointeger(tonumber(header:sub(2)))
      if not len then
        return right
      end
      local body = b:read(len)
      right = right + (body == letter:rep(len) and 1 or 0)
    end
    return right
  end

  local function block(i, len)
    local letter = string.char(65 + i % 26)
    return ("%s%07d"):format(letter, len), letter:rep(len)
  end

  it("never mix what they write", function()
    local a, b, _ <close> = pair()
    local right
    sock.run(function()
      for i = 1, 30 do
        sock.spawn(function()
          for n = 1, 5 do
            assert(a:write(block(i, n * 100000)))
          end
        end)
      end
      right = blocks(b, 150)
    end)
    assert.equal(150, right)
  end)

  it("never mix small writes into large ones", function()
    local a, b, _ <close> = pair()
    local right
    sock.run(function()
      sock.spawn(function()
        for i = 1, 20 do
          assert(a:write(block(i, 1000000)))
        end
      end)
      for i = 1, 20 do
        sock.spawn(function()
          for _ = 1, 20 do
            assert(a:write(block(i, 10)))
            sock.sleep(0)
          end
        end)
      end
      right = blocks(b, 420)
    end)
    assert.equal(420, right)
  end)

  it("never mix, whenever one of them has to let the others run first", function()
    local wrong = 0
    for calls_ = 120, 135 do
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local right
      sock.run(function()
        sock.spawn(function()
          sock.sleep(0)
          for _ = 1, calls_ do
            c:send("x")
          end
          assert(a:write(block(1, 10)))
        end)
        sock.spawn(function()
          sock.sleep(0)
          assert(a:write(block(2, 2000000)))
        end)
        right = blocks(b, 2)
        d:recv()
        b:close() -- what has gone wrong may still be stuck
      end)
      wrong = wrong + 2 - right
    end
    assert.equal(0, wrong)
  end)

  it("never read parts of one record, whenever one has to let the others run first", function()
    local wrong, sent = 0, {}
    for i = 1, 10001 do
      sent[i] = ("%010d"):format(i)
    end
    for calls_ = 120, 135 do
      local a, b, _ <close> = pair()
      local c, _, _ <close> = pair()
      local got = {}
      sock.run(function()
        sock.spawn(function()
          sock.sleep(0)
          for _ = 1, calls_ do
            c:send("x")
          end
          got[1] = a:read(10)
        end)
        sock.spawn(function()
          sock.sleep(0)
          got[2] = a:read(100000)
        end)
        for _, piece in ipairs(sent) do
          b:write(piece)
          sock.sleep(0)
        end
      end)
      local all = table.concat(sent)
      local inturn = got[1] .. got[2] == all or got[2] .. got[1] == all
      wrong = wrong + (inturn and 0 or 1)
    end
    assert.equal(0, wrong)
  end)

  it("read and write at the same time", function()
    local a, b, _ <close> = pair()
    local data, got = ("x"):rep(3000000), {}
    sock.run(function()
      for _, s in ipairs { a, b } do
        sock.spawn(function() assert(s:write(data)) end)
        sock.spawn(function()
          local all = assert(s:read(#data))
          got[#got + 1] = #all
        end)
      end
    end)
    assert.same({ #data, #data }, got)
  end)
end)

describe("Closing a socket that others wait on", function()
  local closed = { nil, "closed", "EBADF" }

  --- A task's results: nil, how the message ends, the code.
  local function ending(t)
    local value, message, code = t:join(10)
    return { value, tostring(message):match("closed$"), code }
  end

  it("ends every read and write", function()
    local a, _, _ <close> = pair()
    local tasks = {}
    for _ = 1, 3 do
      tasks[#tasks + 1] = sock.spawn(a.recv, a)
      tasks[#tasks + 1] = sock.spawn(a.read, a, "l")
      tasks[#tasks + 1] = sock.spawn(a.write, a, ("x"):rep(1 << 22))
      tasks[#tasks + 1] = sock.spawn(a.send, a, ("x"):rep(1 << 16))
    end
    for _, t in ipairs(tasks) do
      assert.equal("waiting", t:status())
    end
    a:close()
    for _, t in ipairs(tasks) do
      assert.same(closed, ending(t))
    end
  end)

  it("ends sock.wait, s:wait and select", function()
    local a, b, _ <close> = pair()
    local tasks = {
      sock.spawn(sock.wait, a, "r"), sock.spawn(a.wait, a, "r"),
      sock.spawn(sock.select, { b, a }, {}),
    }
    a:close()
    for _, t in ipairs(tasks) do
      assert.same(closed, ending(t))
    end
  end)

  it("ends every accept of a listener", function()
    local l = listener()
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = sock.spawn(l.accept, l)
    end
    l:close()
    for _, t in ipairs(tasks) do
      assert.same(closed, ending(t))
    end
  end)

  it("ends a connect", function()
    local l <close> = assert(sock.socket("unix"))
    assert(l:bind("unix:"))
    assert(l:listen(0))
    local clients <close> = both()
    local waiting
    repeat
      local c = assert(sock.socket("unix"))
      clients[#clients + 1] = c
      waiting = sock.spawn(c.connect, c, l:getsockname())
    until waiting:status() == "waiting" or #clients > 10
    clients[#clients]:close()
    assert.same(closed, ending(waiting))
  end)

  it("ends also those who can already go on", function()
    local a, b, _ <close> = pair()
    local t = sock.spawn(function() return a:recv() end)
    local u = sock.spawn(function()
      b:send("x")
      sock.sleep(0)
    end)
    a:close()
    assert.same(closed, ending(t))
    u:join()
  end)

  it("in a task that waits on it itself, by another, leaves no descriptor mixed up", function()
    for _ = 1, 100 do
      local a, _, _ <close> = pair()
      local t = sock.spawn(a.recv, a)
      a:close()
      local c, d, _ <close> = pair() -- the same number again
      local u = sock.spawn(c.recv, c)
      d:send("for the new one")
      assert.equal("for the new one", u:join())
      assert.same(closed, ending(t))
    end
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

-- All specs of tasks once more: with a ready queue in random order, and over
-- the poller that every system has. "#order" marks what a random order may
-- break, "#slow" what one run is enough for.
describe("The specs of tasks hold #again", function()
  local files = { "task", "run", "scope", "cancel", "failure", "nested", "fairness" }

  --- This very interpreter and busted, on those files, with one more word in
  -- the environment: all that it says, and whether it is content.
  local function again(setting)
    local argv, first = { "env", setting, "timeout", "100" }, -1
    while arg[first] do
      first = first - 1
    end
    for i = first + 1, 0 do
      argv[#argv + 1] = arg[i]
    end
    argv[#argv + 1] = "--exclude-tags=order,slow,again"
    for _, name in ipairs(files) do
      argv[#argv + 1] = "spec/" .. name .. "_spec.lua"
    end
    local p <close> = peer.start(argv, { module = true, input = "" })
    local text = p:rest()
    return text, text:find("%f[%d]0 failures? / 0 errors?") ~= nil
  end

  for _, seed in ipairs { 1, os.time() } do
    it("in a random order", function()
      local text, content = again("SOCK_SHUFFLE=" .. seed)
      assert.is_true(content, "SOCK_SHUFFLE=" .. seed .. "\n" .. text)
    end)
  end

  it("over poll(2)", function()
    local text, content = again("SOCK_POLLER=poll")
    assert.is_true(content, text)
  end)
end)
