-- sock.record and sock.replay: a conversation kept, and played back.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local closing, listener, pair = fixtures.closing, fixtures.listener, fixtures.pair

--- A path for a recording, and what removes it.
local function place()
  local dir, cleaner = peer.tempdir()
  return dir .. "/talk.lua", cleaner
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- The entries of a recording without their times.
local function entries(path)
  local list = {}
  for i, entry in ipairs(dofile(path)) do
    list[i] = entry[1] .. " " .. table.concat(entry, "", 3)
  end
  return list
end

local talk <const> = { side = "client",
  { "send", 0.000, "PING\r\n" }, { "recv", 0.002, "+PONG\r\n" },
  { "send", 0.003, "GET a\r\n" }, { "recv", 0.004, "$1\r\n", "b\r\n" },
  { "close", 0.005 },
}

--- A client of `talk`: what it was answered.
local function client(s)
  s:write("PING\r\n")
  local first = s:read()
  s:write("GET a\r\n")
  return first, s:read("l", "l")
end

describe("sock.record", function()
  it("keeps a conversation as a table that Lua reads", function()
    local path, _ <close> = place()
    local record <close> = assert(sock.record(path))
    local a, b, _ <close> = pair()
    a:trace(record):write("PING\r\n")
    b:write("+PONG\r\n")
    a:recv()
    b:shutdown("send")
    a:recv()
    a:shutdown("send")
    a:close()
    assert.equal(true, record:close())
    assert.same({ "send PING\r\n", "recv +PONG\r\n", "end ", "shutdown send", "close " },
      entries(path))
    local list = dofile(path)
    assert.same({ "client", "stream" }, { list.side, list.type })
    local last = 0
    for _, entry in ipairs(list) do
      assert.truthy(entry[2] >= last and entry[2] < 60)
      last = entry[2]
    end
  end)

  it("is for eyes: a line for a line, UTF-8 as it is, what is binary escaped", function()
    local path, _ <close> = place()
    local record <close> = assert(sock.record(path))
    local a, _, _ <close> = pair()
    a:trace(record)
    a:write('one "\\\r\n', "zwölf\n", "three")
    a:write("\0\1\255")
    a:write(("ä"):rep(60))
    record:close()
    local text = read(path):gsub("%d%.%d%d%d%d%d%d", "T")
    assert.equal([[
return { side = "client", type = "stream",
  { "send", T,
    "one \"\\\r\n",
    "zwölf\n",
    "three" },
  { "send", T, "\x00\x01\xff" },
  { "send", T,
    "]] .. ("ä"):rep(36) .. [[",
    "]] .. ("ä"):rep(24) .. [[" },
}
]], text:match("\n(.*)"))
  end)

  it("gives back any bytes", function()
    local path, _ <close> = place()
    local record <close> = assert(sock.record(path))
    local a, b, _ <close> = pair()
    local bytes = {}
    for i = 0, 255 do
      bytes[#bytes + 1] = string.char(i, 255 - i)
    end
    local data = table.concat(bytes):rep(30)
    a:trace(record):write(data)
    b:read(#data)
    assert.equal("send " .. data, entries(path)[1])
  end)

  it("knows who began, and tells connections apart", function()
    local path, _ <close> = place()
    local record <close> = assert(sock.record(path))
    local l <close> = listener()
    l:trace(record)
    local list <close> = closing()
    for i = 1, 2 do
      list[#list + 1] = assert(sock.connect(l:getsockname()))
      list[#list + 1] = assert(l:accept())
      list[#list - 1]:write("from ", i)
      list[#list]:recv()
    end
    record:close()
    local kept = dofile(path)
    assert.equal("server", kept.side)
    assert.same({ "recv from 1", "recv from 2" }, entries(path))
    assert.is_nil(kept[1].conn)
    assert.equal(2, kept[2].conn)
  end)

  it("is whole after each event", function()
    local path, _ <close> = place()
    local record <close> = assert(sock.record(path))
    local a, _, _ <close> = pair()
    a:trace(record)
    for i = 1, 3 do
      a:write(i)
      assert.equal(i, #dofile(path))
    end
  end)

  it("is an empty table where nothing was said", function()
    local path, _ <close> = place()
    assert(sock.record(path)):close()
    assert.same({}, dofile(path))
  end)

  it("says why a file cannot be written", function()
    local record, message, code = sock.record("/nowhere/x")
    assert.same({ nil, "record /nowhere/x: No such file or directory", "ENOENT" },
      { record, message, code })
  end)
end)

describe("sock.replay", function()
  it("answers what was recorded", function()
    fixtures.everywhere(function()
      local s <close>, replay = sock.replay(talk)
      assert.equal("socket", sock.type(s))
      assert.same({ "+PONG", "$1", "b" }, { client(s) })
      s:close()
      assert.equal(true, replay:verify())
    end)
  end)

  it("plays what Redis said, with no Redis", function()
    local path, _ <close> = place()
    local function session(s)
      local answers = {}
      for _, command in ipairs { "PING", "SET key value", "GET key", "INCR key" } do
        s:write(command, "\r\n")
        local line = s:read()
        answers[#answers + 1] = line:find("^%$") and s:read() or line
      end
      s:close()
      return answers
    end
    local recorded
    do
      local record <close> = assert(sock.record(path))
      local redis <close>, port = peer.redis()
      recorded = session(assert(sock.connect("127.0.0.1", port)):trace(record))
      redis:stop()
    end
    assert.same({ "+PONG", "+OK", "value", "-ERR value is not an integer or out of range" },
      recorded)
    local s, replay = assert(sock.replay(path))
    assert.same(recorded, session(s))
    assert(replay:verify())
  end)

  it("does not mind how what is said is cut", function()
    local s <close>, replay = sock.replay(talk)
    for c in ("PING\r\n"):gmatch(".") do
      s:send(c)
    end
    assert.equal("+PONG", s:read())
    s:write("GET ")
    s:write("a\r\n")
    assert.equal("$1\r\nb\r\n", s:read(7))
    assert.equal(true, replay:verify())
  end)

  it("complains with a diff when something else is said, and hangs up", function()
    local s <close>, replay = sock.replay(talk)
    s:write("PING\r\n")
    s:read()
    s:write("GOT a\r\n")
    assert.is_nil(s:read())
    assert.same({ nil, table.concat({
      "replay: the client said something else, at entry 3",
      '  expected:  "GET a\\r\\n"',
      '  said:      "GOT a\\r\\n"',
      "               ^" }, "\n"), "EPROTO" }, { replay:verify() })
    assert.equal(replay.diff, select(2, replay:verify()))
  end)

  it("complains when less is said, more, or nothing", function()
    local s <close>, replay = sock.replay(talk)
    s:write("PI")
    s:shutdown("send")
    local _, diff = replay:verify()
    assert.truthy(diff:find("the client ended, at entry 1\n", 1, true), diff)
    local more <close>, other = sock.replay(talk)
    client(more)
    more:write("more")
    _, diff = other:verify()
    assert.truthy(diff:find("said more after the last entry", 1, true), diff)
    local silent <close>, third = sock.replay(talk, { timeout = 0.01 })
    assert.is_nil(silent:recv())
    _, diff = third:verify()
    assert.truthy(diff:find("said nothing for 0.01 s, at entry 1", 1, true), diff)
  end)

  it("plays the client, to try a server", function()
    local s <close>, replay = sock.replay(talk, "client")
    assert.equal("PING", s:read())
    s:write("+PONG\r\n")
    assert.equal("GET a", s:read())
    s:write("$1\r\nb\r\n")
    assert.is_nil(s:read())
    assert.equal(true, replay:verify())
  end)

  it("plays either side of what a server has recorded", function()
    local path, _ <close> = place()
    do
      local record <close> = assert(sock.record(path))
      local l <close> = listener()
      local a <close> = assert(sock.connect(l:getsockname()))
      local b <close> = assert(l:accept())
      b:trace(record)
      a:write("question")
      b:recv()
      b:write("answer")
      b:close()
    end
    local s <close>, replay = assert(sock.replay(path))
    s:write("question")
    assert.equal("answer", s:read("a"))
    assert.equal(true, replay:verify())
    local server <close>, other = assert(sock.replay(path, "client"))
    assert.equal("question", server:recv())
    server:write("answer")
    server:close()
    assert.equal(true, other:verify())
  end)

  it("says the end where it was said", function()
    local s <close>, replay = sock.replay { { "send", 0, "x" }, { "recv", 0, "y" }, { "end", 0 } }
    s:write("x")
    assert.equal("y", s:read("a"))
    assert.equal(true, replay:verify())
  end)

  it("resets where it was reset", function()
    local s <close>, replay = sock.replay { { "send", 0, "x" }, { "recv", 0, "y" },
      { "error", 0, "recv", "ECONNRESET" } }
    s:write("x")
    assert.equal("y", s:recv(1))
    assert.equal("ECONNRESET", select(3, s:recv()))
    s:close()
    assert.equal(true, replay:verify())
  end)

  it("splits and delays what it says as the seed wants, the same each time", function()
    local function pieces(seed)
      local list = {}
      local s <close>, replay = sock.replay({ { "recv", 0, ("abcdefgh"):rep(10) } },
        { seed = seed, split = 16, delay = 0.001 })
      for data in function() return s:recv() end do
        list[#list + 1] = data
        assert.truthy(#data <= 16)
        if #table.concat(list) == 80 then
          break
        end
      end
      assert.equal(("abcdefgh"):rep(10), table.concat(list))
      assert.equal(true, replay:verify())
      assert.equal(seed, replay.seed)
      return #list
    end
    fixtures.run(function()
      assert.equal(pieces(1), pieces(1))
      local different = {}
      for seed = 1, 10 do
        different[pieces(seed)] = true
      end
      assert.truthy(next(different, (next(different))))
    end)
  end)

  it("resets after so many bytes, or where the seed wants", function()
    fixtures.run(function()
      local answer = { { "recv", 0, ("x"):rep(1000) } }
      for _, options in ipairs { { reset = 10 }, { reset = 0 }, { reset = true, seed = 7 },
        { reset = true, seed = 7 } } do
        local s <close>, replay = sock.replay(answer, options)
        local got, code = 0, nil
        while not code do
          local data, _, why = s:recv()
          got, code = got + #(data or ""), why
        end
        assert.equal("ECONNRESET", code)
        assert.truthy(got <= (options.reset == true and 999 or options.reset))
        s:close()
        assert.equal(true, replay:verify())
      end
    end)
  end)

  it("speaks with the recorded pauses", function()
    fixtures.run(function()
      local s <close>, replay = sock.replay({ { "send", 0, "x" }, { "recv", 0.05, "y" } },
        { delay = "recorded" })
      local before = sock.now()
      s:write("x")
      assert.equal("y", s:recv())
      assert.truthy(sock.now() - before >= 0.045)
      assert.equal(true, replay:verify())
    end)
  end)

  it("plays datagrams one by one", function()
    local s <close>, replay = sock.replay { type = "dgram", { "send", 0, "one" },
      { "recv", 0, "two" }, { "recv", 0, "three" } }
    s:send("one")
    assert.equal("two", s:recv())
    assert.equal("three", s:recv())
    s:close()
    assert.equal(true, replay:verify())
  end)

  it("plays the connection that is asked for", function()
    local s <close>, replay = sock.replay({ { "recv", 0, "first" },
      { "recv", 0, "second", conn = 2 }, { "end", 0, conn = 2 } }, { conn = 2 })
    assert.equal("second", s:read("a"))
    assert.equal(true, replay:verify())
  end)

  it("refuses what is no recording", function()
    local path, _ <close> = place()
    local s, message, code = sock.replay(path)
    assert.same({ nil, "ENOENT" }, { s, code })
    assert.truthy(message:find(path, 1, true))
    local file = assert(io.open(path, "w"))
    file:write("return os.exit()")
    file:close()
    assert.same({ nil, "EINVAL" }, { sock.replay(path), (select(3, sock.replay(path))) })
    for text, arguments in pairs {
      ["bad argument #1 to 'replay' (path or table expected, got nil)"] = { nil },
      ["bad argument #1 to 'replay' (entry 1 is no { what, seconds, data })"] = { { 1 } },
      ["bad argument #2 to 'replay' (unknown option 'x')"] = { talk, { x = 1 } },
      ["bad argument #2 to 'replay' (side must be \"server\" or \"client\")"] = { talk, "both" },
      ["bad argument #2 to 'replay' (option 'split': number or boolean expected, got string)"] =
        { talk, { split = "x" } },
      ["bad argument #2 to 'replay' (option 'split': an integer from 1 on expected)"] =
        { talk, { split = -1 } }, -- would cut off nothing for ever
      ["bad argument #2 to 'replay' (option 'seed': an integer expected)"] =
        { talk, { seed = 0.5 } },
      ["bad argument #2 to 'replay' (option 'delay': a number or \"recorded\" expected)"] =
        { talk, { delay = "x" } },
      ["bad argument #2 to 'replay' (option 'timeout': seconds expected, 0 or more)"] =
        { talk, { timeout = -1 } },
    } do
      assert.has_error(function() sock.replay(table.unpack(arguments, 1, 2)) end, text)
    end
  end)
end)
