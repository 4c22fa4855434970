-- A socket that several tasks use, and one that is closed while they do.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local closing, pair, listener = fixtures.closing, fixtures.pair, fixtures.listener

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
    local clients <close> = closing()
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
