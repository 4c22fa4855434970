-- unpack and pack: string.unpack is the model, Python's struct the other end.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local pack = table.pack

local function pair()
  return fixtures.pair("stream", 20)
end

--- What string.unpack gives, without the position.
local function model(format, data)
  local values = pack(string.unpack(format, data))
  values[values.n] = nil
  values.n = values.n - 1
  return values
end

--- Reads the format in a task while the pieces arrive one by one; all of the
-- data must be taken, and not the byte behind it.
local function through(format, pieces)
  local a, b, _ <close> = pair()
  local task = sock.spawn(function() return pack(a:unpack(format)) end)
  for _, piece in ipairs(pieces) do
    assert(b:send(piece))
    sock.step(0)
    sock.step(0)
  end
  assert(b:write("|"))
  local values = task:join()
  assert.equal("|", a:recv())
  return values
end

local function everywhere(format, ...)
  local data = string.pack(format, ...)
  local want = model(format, data)
  local bytes = {}
  for at = 1, #data - 1 do
    assert.same(want, through(format, { data:sub(1, at), data:sub(at + 1) }), format)
  end
  for at = 1, #data do
    bytes[at] = data:sub(at, at)
  end
  assert.same(want, through(format, bytes), format)
  if #data > 0 then
    assert.same(want, through(format, { data }), format)
  end
end

local cases = {
  { "b", -5 }, { "B", 250 }, { "h", -300 }, { "H", 65000 }, { "l", -7 }, { "L", 7 },
  { "j", math.mininteger }, { "J", 1 << 62 }, { "T", 12345 },
  { "f", 1.5 }, { "d", math.pi }, { "n", -0.1 },
  { "i", -1 }, { "I", 1 }, { "<i3", -70000 }, { ">I3", 70000 }, { "i16", -3 }, { ">I16", 3 },
  { "i1i2i3i4i5i6i7i8", 1, -2, 3, -4, 5, -6, 7, -8 },
  { "c5", "abcde" }, { "c0" , "" }, { "z", "text" }, { "z", "" }, { "zz z", "a", "", "bc" },
  { "s1", "abc" }, { "s2", "" }, { ">s3", "abc" }, { "<s4", "a\0b" }, { "s5", "x" },
  { "s6", "y" }, { "s7", "z" }, { "s8", "abc" }, { "s", "abc" }, { ">s16", "ab" },
  { ">I2 s4 z", 7, "sieben", "sept" },
  { "<I2 >I2 =I2 <s2 >s2", 1, 2, 3, "four", "five" },
  { "x B xx B", 1, 2 }, { "!4 B I4", 1, 2 }, { "!8 B d B j", 1, 2.5, 3, 4 },
  { "! B i8 B n", 1, 2, 3, 4 }, { "!4 B Xi4 B Xi8 B", 1, 2, 3 }, { "!2 B s4 i4", 1, "abc", 2 },
  { "B !8 Xd", 1 }, { ">!4 s1 i4 z i4", "a", 1, "bc", 2 }, { "!16 B i16", 1, 2 },
  { " <!4 I1 ", 1 }, { "<!1 B i8", 1, 2 }, { "!4 z Xi4 z Xi4", "abcd", "ef" },
}

describe("unpack", function()
  for _, case in ipairs(cases) do
    it(("reads %q wherever its bytes are split"):format(case[1]), function()
      everywhere(table.unpack(case))
    end)
  end

  it("gives what string.unpack gives for random formats in random pieces", function()
    local seed = os.time()
    math.randomseed(seed)
    local integers = { "b", "h", "i", "l", "j", "i2", "i3", "i7", "i8" }
    local others = { "<", ">", "=", "!", "!1", "!2", "!4", "!8", "x", "Xi2", "Xi4", " ", "Xd" }
    for round = 1, 200 do
      local format, values = {}, {}
      for i = 1, math.random(12) do
        local kind = math.random(5)
        if kind == 1 then
          format[i] = integers[math.random(#integers)]
          values[#values + 1] = math.random(-100, 100)
        elseif kind == 2 then
          format[i] = "s" .. math.random(1, 2) * 2
          values[#values + 1] = ("s"):rep(math.random(0, 400))
        elseif kind == 3 then
          format[i] = "z"
          values[#values + 1] = ("z"):rep(math.random(0, 9))
        elseif kind == 4 then
          format[i] = "d"
          values[#values + 1] = math.random()
        else
          format[i] = others[math.random(#others)]
        end
      end
      format = table.concat(format, " ")
      local label = ("seed %d, round %d: %s"):format(seed, round, format)
      -- an odd size may not be aligned
      local ok, data = pcall(string.pack, format, table.unpack(values))
      if ok then
        local pieces, at = {}, 1
        while at <= #data do
          local n = math.random(math.random(2) == 1 and 3 or 300)
          pieces[#pieces + 1] = data:sub(at, at + n - 1)
          at = at + n
        end
        assert.same(model(format, data), through(format, pieces), label)
      else
        local a, _, _ <close> = pair()
        assert.has_error(function() a:unpack(format) end)
      end
    end
  end)

  it("gives more values than a small stack holds", function()
    local a, b, _ <close> = pair()
    assert(b:write(("\1"):rep(500)))
    assert.equal(500, pack(a:unpack(("B"):rep(500))).n)
  end)

  it("raises at once what string.unpack would", function()
    local a, _, _ <close> = pair()
    a:settimeout(0)
    for format, why in pairs {
      ["I4 Q"] = "invalid format option 'Q'", i17 = "integral size (17) out of limits [1,16]",
      ["z I0"] = "integral size (0) out of limits [1,16]",
      ["s4 c"] = "missing size for format option 'c'",
      ["!17"] = "integral size (17) out of limits [1,16]",
    } do
      assert.has_error(function() a:unpack(format) end, why)
    end
    for _, format in ipairs { "X", "Xz", "Xc1", "X ", "X<" } do
      assert.has_error(function() a:unpack("B" .. format) end,
        "bad argument #1 to 'unpack' (invalid next option for option 'X')")
    end
    assert.has_error(function() a:unpack("!4 i3") end,
      "bad argument #1 to 'unpack' (format asks for alignment not power of 2)")
    assert.has_error(function() a:unpack() end,
      "bad argument #1 to 'unpack' (string expected, got no value)")
  end)

  it("does not believe a length field of 4 GB", function()
    for _, format in ipairs { ">s4", ">B s4", ">s8", ">s16", ">s3" } do
      local a, b, _ <close> = pair()
      assert(b:write(("\xff"):rep(20)))
      local before = collectgarbage("count")
      local ok, message, code = a:unpack(format)
      assert.is_nil(ok)
      assert.matches("too long$", message)
      assert.equal("EMSGSIZE", code)
      assert.is_true(collectgarbage("count") - before < 100)
      assert.equal(20, #a:recv())
    end
  end)

  it("fails on an integer that Lua has none for, and leaves it there", function()
    local wide = {
      ["<i9"] = { -1, math.mininteger, ("\255"):rep(7) .. "\127\255", ("\0"):rep(8) .. "\1" },
      [">i9"] = { -1, math.maxinteger, "\255\127" .. ("\255"):rep(7), "\1" .. ("\0"):rep(8) },
      ["<I16"] = { 0, -1, ("\255"):rep(9) .. ("\0"):rep(7), ("\255"):rep(16) },
      [">I16"] = { 0, -1, ("\0"):rep(7) .. ("\255"):rep(9), ("\255"):rep(16) },
    }
    for format, row in pairs(wide) do
      for _, bytes in ipairs { row[3], row[4] } do
        local a, b, _ <close> = pair()
        assert.is_false((pcall(string.unpack, format, bytes)))
        assert(b:write(bytes))
        assert.equal("ERANGE", select(3, a:unpack(format)))
        assert.equal(bytes, a:recv())
      end
      for _, bytes in ipairs { format:pack(row[1]), format:lower():pack(row[2]) } do
        local a, b, _ <close> = pair()
        assert(b:write(bytes))
        local ok, value = pcall(string.unpack, format, bytes)
        assert.equal(ok and value or nil, (a:unpack(format)))
      end
    end
  end)

  it("keeps to setlimit, to the byte", function()
    local a, b, _ <close> = pair()
    assert(b:write("\0\x09123456789"))
    assert.equal("EMSGSIZE", select(3, a:setlimit(8):unpack(">s2")))
    assert.equal("123456789", a:setlimit(9):unpack(">s2"))
    assert(b:write("12345678\0"))
    assert.equal("EMSGSIZE", select(3, a:setlimit(8):unpack("z")))
    assert.equal("12345678", a:setlimit(9):unpack("z"))
    assert(b:write("1234567890123"))
    assert.equal("EMSGSIZE", select(3, a:setlimit(12):unpack("z")))
    assert.equal("1234567890123", a:setlimit(1):unpack("c13"))
  end)

  it("loses nothing to timeouts and cancels", function()
    local a, b, _ <close> = pair()
    local data = string.pack(">I2 s4 z", 7, "sieben", "sept")
    for i = 1, #data - 1 do
      assert(b:send(data:sub(i, i)))
      a:settimeout(0)
      assert.equal("ETIMEDOUT", select(3, a:unpack(">I2 s4 z")))
      a:settimeout(20)
      local task = sock.spawn(a.unpack, a, ">I2 s4 z")
      assert.equal("ECANCELED", select(3, task:cancel():join()))
    end
    assert(b:send("\0"))
    assert.same(pack(7, "sieben", "sept"), pack(a:unpack(">I2 s4 z")))
  end)

  it("fails at an end inside it, says how far it came, and leaves the bytes", function()
    for format, case in pairs {
      [">I4"] = { "abc", "3 of 4 bytes" }, [">s2"] = { "\0\5ab", "4 of 7 bytes" },
      [">I2 s4"] = { "\0\5ab", "4 of 6 bytes" }, [">I2 z"] = { "\0\5ab", "4 bytes" },
      ["B c9"] = { "12345", "5 of 10 bytes" }, ["!4 B Xi4"] = { "1", "1 of 4 bytes" },
    } do
      local a, b, _ <close> = pair()
      assert(b:write(case[1])):close()
      assert.same(pack(nil, "read unix:: ended after " .. case[2], "EPROTO"),
        pack(a:unpack(format)))
      assert.equal(case[1], a:recv())
      assert.same(pack(nil), pack(a:unpack(format)))
    end
  end)

  it("gives nothing for an empty format", function()
    local a, _, _ <close> = pair()
    assert.equal(0, pack(a:unpack("")).n)
  end)
end)

describe("pack", function()
  it("writes what string.pack makes, and gives the socket", function()
    local a, b, _ <close> = pair()
    assert.equal(a, a:pack(">I2 s4 z", 7, "x", "y"))
    assert.equal(string.pack(">I2 s4 z", 7, "x", "y"), b:recv())
    assert.equal(a, a:setvbuf("full"):pack("B", 1))
    assert.equal(a, a:flush())
    assert.equal("\1", b:recv())
  end)

  it("raises what string.pack raises", function()
    local a, _, _ <close> = pair()
    assert.has_error(function() a:pack("B", 300) end)
    assert.has_error(function() a:pack("B") end)
    assert.has_error(function() a:pack("Q", 1) end, "invalid format option 'Q'")
    assert.has_error(function() a:pack() end,
      "bad argument #1 to 'pack' (string expected, got no value)")
  end)

  it("and unpack talk to Python's struct", function()
    local l <close> = assert(sock.socket())
    assert(assert(l:bind("127.0.0.1", 0)):listen())
    local python <close> = peer.python([[
import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = s.makefile("rwb", 0)
form = struct.Struct(">HiQdf3s?")
for _ in range(20):
    data = b""
    while len(data) < form.size:
        data += f.read(form.size - len(data))
    values = form.unpack(data)
    for byte in form.pack(*values) + struct.pack("<I5s", 5, b"hello") + b"text\0":
        s.sendall(bytes([byte]))
print("done")
]], l:getsockname().port)
    local c <close> = assert(l:settimeout(20):accept())
    c:settimeout(20):setsockopt("tcp_nodelay", true)
    for i = 1, 20 do
      assert(c:pack(">I2 i4 I8 d f c3 B", i, -i, i << 40, i / 3, 0.5, "abc", i % 2))
      assert.same(pack(i, -i, i << 40, i / 3, 0.5, "abc", i % 2, "hello", "text"),
        pack(c:unpack(">I2 i4 I8 d f c3 B <s4 z")))
    end
    assert.equal("done\n", python:rest())
  end)
end)
