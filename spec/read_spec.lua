-- read, and read beside recv: against a model in memory.

local sock = require "sock"
local finalizer = require "spec.support.finalizer"
local fixtures = require "spec.support.fixtures"

local pack = table.pack

local function pair()
  return fixtures.pair("stream", 10)
end

-- ------------------------------------------------------------- the model

--- What a stream of these bytes, ended, gives: a cursor over a string.
local model = {}
model.__index = model

function model.l(self)
  local stop = self.data:find("\n", self.at, true)
  local line = self.data:sub(self.at, (stop or 0) - 1)
  self.at = (stop or #self.data) + 1
  if stop then
    return (line:gsub("\r$", ""))
  end
  return line ~= "" and line or nil
end

function model.L(self)
  local stop = self.data:find("\n", self.at, true) or #self.data
  local line = self.data:sub(self.at, stop)
  self.at = stop + 1
  return line ~= "" and line or nil
end

function model.a(self)
  local rest = self.data:sub(self.at)
  self.at = #self.data + 1
  return rest
end

function model.count(self, n)
  local left = #self.data - self.at + 1
  if n == 0 or left >= n then
    self.at = self.at + n
    return self.data:sub(self.at - n, self.at - 1)
  end
  return nil, left > 0 and "EPROTO" or nil
end

--- One read: its values, or nil, nil, "EPROTO"; then nothing is consumed.
function model.read(self, ...)
  local values, before = { n = 0 }, self.at
  for _, format in ipairs { ... } do
    local value, code
    if type(format) == "number" then
      value, code = self:count(format)
    else
      value = self[format](self)
    end
    if code then
      self.at = before
      return { n = 3, nil, nil, code }
    end
    values.n = values.n + 1
    values[values.n] = value
    if value == nil then
      break
    end
  end
  return values
end

--- Reads a script of formats of the stream: a list of what each gave.
local function perform(script, read)
  local seen = {}
  for i, formats in ipairs(script) do
    local got = read(table.unpack(formats))
    if got.n == 3 and got[1] == nil then
      got[2] = nil -- the message is looked at elsewhere
    end
    seen[i] = got
  end
  return seen
end

local function expected(data, script)
  local m = setmetatable({ data = data, at = 1 }, model)
  return perform(script, function(...) return m:read(...) end)
end

--- The same of a real stream in which the pieces arrive one by one.
local function through(pieces, script)
  local a, b, _ <close> = pair()
  local seen
  local task = sock.spawn(function()
    seen = perform(script, function(...) return pack(a:read(...)) end)
  end)
  for _, piece in ipairs(pieces) do
    assert(b:send(piece))
    sock.step(0)
    sock.step(0)
  end
  b:close()
  task:join()
  return seen
end

--- The same with the reader outside tasks.
local function throughplain(pieces, script)
  local a, b, _ <close> = pair()
  local task = sock.spawn(function()
    for _, piece in ipairs(pieces) do
      assert(b:send(piece))
      sock.sleep(0)
    end
    b:close()
  end)
  local seen = perform(script, function(...) return pack(a:read(...)) end)
  task:join()
  return seen
end

local function bytes(data)
  local list = {}
  for i = 1, #data do
    list[i] = data:sub(i, i)
  end
  return list
end

local function cut(data, at)
  if at == 0 or at == #data then
    return { data }
  end
  return { data:sub(1, at), data:sub(at + 1) }
end

local conversations = {
  { name = "lines without their ends", data = "a\n\nbc\r\n\r\nd\re\nlast\r",
    script = { { "l" }, {}, { "*l" }, { "line" }, { "l" }, { "l" }, { "l" } } },
  { name = "lines with their ends", data = "a\n\nbc\r\n\nlast",
    script = { { "L" }, { "*L" }, { "L" }, { "L" }, { "L" }, { "L" } } },
  { name = "counts", data = "abcdefghij",
    script = { { 3 }, { 0 }, { 4 }, { 3 }, { 1 }, { 0 } } },
  { name = "the rest", data = "head\nbody\nbody",
    script = { { "l" }, { "a" }, { "a" }, { "l" } } },
  { name = "several formats at once", data = "GET /\nabcde\r\n12rest of it",
    script = { { "l", 3, "L", 2 }, { "a", "a", "l" } } },
  { name = "the end between several formats", data = "one\ntwo",
    script = { { "l", "l", "l", "l" }, { "l" } } },
  { name = "the end inside a count", data = "one\nabc",
    script = { { "l", 4 }, { "l" }, { 4 }, { 3 }, { 3 } } },
}

--- The model's formats: as the reader takes them, without * and long names.
local function plainscript(script)
  local plain = {}
  for i, formats in ipairs(script) do
    plain[i] = {}
    for j, format in ipairs(formats) do
      plain[i][j] = type(format) == "string" and format:match("^%*?(.)") or format
    end
    if #formats == 0 then
      plain[i] = { "l" }
    end
  end
  return plain
end

describe("read", function()
  for _, case in ipairs(conversations) do
    local want = expected(case.data, plainscript(case.script))

    it("gives " .. case.name .. " however the bytes arrive", function()
      for at = 0, #case.data do
        assert.same(want, through(cut(case.data, at), case.script))
        assert.same(want, throughplain(cut(case.data, at), case.script))
      end
      assert.same(want, through(bytes(case.data), case.script))
      assert.same(want, throughplain(bytes(case.data), case.script))
    end)
  end

  it("gives what the model gives for random data in random pieces", function()
    local seed = os.time()
    math.randomseed(seed)
    local alphabet = { "\n", "\r\n", "x", "yy", "\0", ("z"):rep(300), ("w"):rep(70000) }
    local formats = { "l", "L", "l", "L", 0, 1, 7, 1000, 66000 }
    for round = 1, 60 do
      local data, script, pieces, at = {}, {}, {}, 1
      for i = 1, math.random(30) do
        data[i] = alphabet[math.random(math.random(#alphabet))]
      end
      data = table.concat(data)
      for i = 1, 20 do
        script[i] = {}
        for j = 1, math.random(3) do
          script[i][j] = formats[math.random(#formats)]
        end
      end
      script[#script + 1] = { "a" }
      while at <= #data do
        local n = math.random(math.random(2) == 1 and 5 or 40000)
        pieces[#pieces + 1] = data:sub(at, at + n - 1)
        at = at + n
      end
      if #pieces < 5000 then
        assert.same(expected(data, script), through(pieces, script),
          ("seed %d, round %d"):format(seed, round))
      end
    end
  end)

  it("gives nothing but nil at the end, again and again", function()
    local a, b, _ <close> = pair()
    b:close()
    for _ = 1, 3 do
      assert.same(pack(nil), pack(a:read()))
      assert.same(pack(nil), pack(a:read(1)))
      assert.same(pack("", ""), pack(a:read("a", 0)))
    end
  end)

  it("gives an empty text for a count of 0 without waiting", function()
    local a, _, _ <close> = pair()
    assert.equal("", a:settimeout(0):read(0))
  end)

  it("tells how much of a count came, and leaves it for recv", function()
    local a, b, _ <close> = pair()
    assert(b:write("abc")):close()
    assert.same(pack(nil, "read unix:: ended after 3 of 10 bytes", "EPROTO"), pack(a:read(10)))
    assert.equal(3, a:buffered())
    assert.equal("abc", a:recv())
    assert.same(pack(nil), pack(a:recv()))
  end)

  it("consumes nothing of several formats until all are there", function()
    local a, b, _ <close> = pair()
    assert(b:write("one\ntwo\nthr"))
    a:settimeout(0.01)
    assert.same(pack(nil, "read unix:: timed out", "ETIMEDOUT"), pack(a:read("l", "L", 5)))
    assert.equal(11, a:buffered())
    assert(b:write("ee"))
    assert.same(pack("one", "two\n", "three"), pack(a:read("l", "L", 5)))
  end)

  it("takes 200 formats", function()
    local a, b, _ <close> = pair()
    local formats = {}
    for i = 1, 200 do
      formats[i] = i % 2 == 0 and 2 or "l"
    end
    local task = sock.spawn(function() return a:read(table.unpack(formats)) end)
    for _ = 1, 100 do
      assert(b:write("x\n"))
      sock.step(0)
      assert(b:write("12"))
      sock.step(0)
    end
    local got = pack(task:join())
    assert.equal(200, got.n)
    assert.equal("x", got[199])
    assert.equal("12", got[200])
  end)

  it("refuses what is no format", function()
    local a, _, _ <close> = pair()
    for _, format in ipairs { "", "*", "n", "x", "*n", "5" } do
      assert.has_error(function() a:read("l", format) end,
        "bad argument #2 to 'read' (invalid format)")
    end
    assert.has_error(function() a:read(-1) end,
      "bad argument #1 to 'read' (count must not be negative)")
    assert.has_error(function() a:read(1.5) end,
      "bad argument #1 to 'read' (number has no integer representation)")
    assert.has_error(function() a:read({}) end,
      "bad argument #1 to 'read' (string expected, got table)")
  end)

  it("refuses a closed socket", function()
    local a, b, _ <close> = pair()
    a:close()
    for _, name in ipairs { "read", "lines", "readuntil", "unpack", "buffered", "starttls" } do
      assert.has_error(function() a[name](a, "l") end, "attempt to use a closed socket")
    end
    assert.has_error(function() b:starttls {} end, "TLS is not installed")
  end)

  it("is told when the socket is closed meanwhile", function()
    local a, b, _ <close> = pair()
    assert(b:write("half"))
    local task = sock.spawn(function() return a:read() end)
    sock.step(0)
    a:close()
    local ok, message, code = task:join()
    assert.is_nil(ok)
    assert.equal("EBADF", code)
    assert.truthy(message:find("^read "))
  end)

  it("gives two tasks their turns, each a whole value", function()
    local a, b, _ <close> = pair()
    local got = {}
    sock.run(function()
      for i = 1, 4 do
        sock.spawn(function() got[i] = a:read("l", 3) end)
      end
      for _, piece in ipairs(bytes("l1\nabcl2\nabcl3\nabcl4\nabc")) do
        assert(b:send(piece))
        sock.sleep(0)
      end
    end)
    table.sort(got)
    assert.same({ "l1", "l2", "l3", "l4" }, got)
  end)

  for _, how in ipairs { "a cancel", "sock.timeout" } do
    it("loses nothing to " .. how .. " at any byte", function()
      local a, b, _ <close> = pair()
      local data = "one\r\ntwo\n4444last"
      for i = 1, #data do
        assert(b:send(data:sub(i, i)))
        if i == #data then
          break
        elseif how == "a cancel" then
          local task = sock.spawn(a.read, a, "l", "L", 4, 4)
          sock.step(0)
          assert.equal("ECANCELED", select(3, task:cancel():join()))
        else
          assert.equal("ETIMEDOUT", select(3, sock.timeout(0, a.read, a, "l", "L", 4, 4)))
        end
      end
      assert.same(pack("one", "two\n", "4444", "last"), pack(a:read("l", "L", 4, 4)))
    end)
  end
end)

describe("read and recv", function()
  it("mix: recv takes what a read has left", function()
    local a, b, _ <close> = pair()
    assert(b:write("line\nrest of it"))
    assert.equal("line", a:read())
    assert.equal(10, a:buffered())
    assert.equal("rest", a:recv(4, "peek"))
    assert.equal("rest", a:recv(4))
    assert(b:write("\nmore"))
    assert.equal(" of it", a:recv())
    assert.equal("", a:read())
    assert.equal("mo", a:read(2))
    assert.equal("re", a:recv())
    assert.equal(0, a:buffered())
  end)

  it("mix over two sockets that share the loop's memory", function()
    local a, b, _ <close> = pair()
    local c, d, _ <close> = pair()
    assert(b:write("a1\na2\na3"))
    assert(d:write("c1\nc2\nc3"))
    assert.equal("a1", a:read())
    assert.equal("c1", c:read())
    assert.equal("a2", a:read())
    assert.equal("c2", c:read())
    assert.equal("a3", a:recv())
    assert.equal("c3", c:recv())
  end)

  it("give each byte once where a finalizer reads in the middle", function()
    local a, b, _ <close> = pair()
    local first = ("-"):rep(100)
    assert(b:write(first))
    local inner
    local _ <close> = finalizer(function()
      inner = a:recv()
      b:write("defg")
      inner = inner .. a:read(1)
    end)
    local outer = a:recv()
    assert.same({ first .. "d", "efg" }, { inner, outer })
  end)

  it("count buffered bytes as readable", function()
    local a, b, _ <close> = pair()
    assert(b:write("line\nrest"))
    a:read()
    assert.equal("r", a:wait("r", 0))
    assert.same({ a }, (sock.select({ a, b }, {}, 0)))
  end)
end)

describe("A socket of datagrams", function()
  it("is no stream", function()
    local u <close> = assert(sock.udp("127.0.0.1", 0))
    for _, call in ipairs { { "read" }, { "lines" }, { "readuntil", "x" }, { "unpack", "B" } } do
      assert.error_matches(function() return u[call[1]](u, call[2]), 1 end,
        "not a stream: use recv")
    end
  end)
end)
