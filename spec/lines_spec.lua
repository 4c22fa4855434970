-- lines, readuntil, setlimit, buffered; what reading costs.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local pack = table.pack

local function pair()
  return fixtures.pair("stream", 20)
end

--- Reads with `read(a)` until nil, in a task, while data comes in pieces of n.
local function collect(data, n, read)
  local a, b, _ <close> = pair()
  local task = sock.spawn(function()
    local list = {}
    for value in read, a do
      list[#list + 1] = value
    end
    return list
  end)
  for at = 1, #data, n do
    assert(b:send(data:sub(at, at + n - 1)))
    sock.step(0)
    sock.step(0)
  end
  b:close()
  return task:join()
end

describe("lines", function()
  it("gives each line, and the last without its end", function()
    local a, b, _ <close> = pair()
    assert(b:write("one\ntwo\r\n\nlast")):close()
    local list = {}
    for line in a:lines() do
      list[#list + 1] = line
    end
    assert.same({ "one", "two", "", "last" }, list)
    assert.is_nil(a:lines()())
  end)

  it("takes formats as read does", function()
    local a, b, _ <close> = pair()
    assert(b:write("k1\nv1\nk2\nv2\n")):close()
    local list = {}
    for key, value in a:lines("l", "L") do
      list[key] = value
    end
    assert.same({ k1 = "v1\n", k2 = "v2\n" }, list)
  end)

  it("waits in a task, and outside", function()
    local a, b, _ <close> = pair()
    local n = 0
    sock.spawn(function()
      for i = 1, 50 do
        assert(b:write(i, "\n"))
        sock.sleep(0)
      end
      b:close()
    end)
    for line in a:lines() do
      n = n + 1
      assert.equal(n, math.tointeger(line))
    end
    assert.equal(50, n)
  end)

  it("raises on a failure", function()
    for _, formats in ipairs { { 9 }, { "l", 9 }, { 1, "l", 9 }, { "l", "l", "l", 9 } } do
      local a, b, _ <close> = pair()
      assert(b:write("a\nb\nc\nd")):close()
      local seen = 0
      local ok, why = pcall(function()
        for _ in a:lines(table.unpack(formats)) do
          seen = seen + 1
        end
      end)
      assert.is_false(ok)
      assert.matches("^read unix:: ended after %d of 9 bytes$", why)
    end
    local a, _, _ <close> = pair()
    a:settimeout(0)
    assert.has_error(a:lines(), "read unix:: timed out")
    assert.has_error(a:lines("l", "l", "l"), "read unix:: timed out")
  end)

  it("raises in a task too, after a wait", function()
    local a, _, _ <close> = pair()
    a:settimeout(0.01)
    local task = sock.spawn(function() return pcall(a:lines("l", 3)) end)
    assert.same(pack(false, "read unix:: timed out"), pack(task:join()))
  end)

  it("checks its formats at once", function()
    local a, _, _ <close> = pair()
    assert.has_error(function() a:lines("x") end, "bad argument #1 to 'lines' (invalid format)")
    local many = {}
    for i = 1, 251 do
      many[i] = "l"
    end
    assert.has_error(function() a:lines(table.unpack(many)) end)
    many[251] = nil
    assert.is_function(a:lines(table.unpack(many)))
  end)
end)

describe("readuntil", function()
  it("gives all up to and with the text, wherever the bytes are split", function()
    local data = "a--b-c---d--\0--"
    local want = { "a--", "b-c--", "-d--", "\0--" }
    for n = 1, #data do
      assert.same(want, collect(data, n, function(s) return s:readuntil("--") end))
    end
  end)

  it("finds a text that begins inside a false start", function()
    local data = "aabaabaac|aabaabaaab aabaac"
    for n = 1, #data do
      assert.same({ "aabaabaac", "|aabaabaaab aabaac" },
        collect(data, n, function(s) return s:readuntil("aabaac") end))
    end
  end)

  it("loses nothing to a timeout", function()
    local a, b, _ <close> = pair()
    a:settimeout(0)
    for byte in ("head\r\n\r"):gmatch(".") do
      assert(b:send(byte))
      assert.same(pack(nil, "read unix:: timed out", "ETIMEDOUT"), pack(a:readuntil("\r\n\r\n")))
    end
    assert(b:send("\nbody"))
    assert.equal("head\r\n\r\n", a:readuntil("\r\n\r\n"))
    assert.equal("body", a:recv())
  end)

  it("fails at an end that comes before the text, and leaves the bytes", function()
    local a, b, _ <close> = pair()
    assert(b:write("abc")):close()
    assert.same(pack(nil, "read unix:: ended after 3 bytes", "EPROTO"), pack(a:readuntil("x")))
    assert.equal("abc", a:recv())
    assert.same(pack(nil), pack(a:readuntil("x")))
  end)

  it("refuses an empty text", function()
    local a, _, _ <close> = pair()
    assert.has_error(function() a:readuntil("") end,
      "bad argument #1 to 'readuntil' (text is empty)")
  end)
end)

describe("setlimit", function()
  it("gives the socket and refuses what is no limit", function()
    local a, _, _ <close> = pair()
    assert.equal(a, a:setlimit(10))
    assert.equal(a, a:setlimit(math.huge))
    for _, bad in ipairs { 0, -1, 0 / 0 } do
      assert.has_error(function() a:setlimit(bad) end,
        "bad argument #1 to 'setlimit' (limit must be positive)")
    end
  end)

  it("takes a line that is just as long, its end included", function()
    for _, data in ipairs { "12345678\n", "1234567\r\n" } do
      local a, b, _ <close> = pair()
      assert(b:write(data))
      assert.equal("EMSGSIZE", select(3, a:setlimit(8):read()))
      assert.equal((data:gsub("%s", "")), a:setlimit(9):read())
    end
  end)

  it("fails as soon as a line is too long, and leaves the bytes", function()
    local a, b, _ <close> = pair()
    assert(b:write("123456789"))
    local ok, message, code = a:setlimit(8):read()
    assert.is_nil(ok)
    assert.matches("too long$", message)
    assert.equal("EMSGSIZE", code)
    assert.equal("EMSGSIZE", select(3, a:readuntil("x")))
    assert.equal("EMSGSIZE", select(3, a:read("L")))
    assert.equal("123456789", a:recv())
  end)

  it("is for each line, not for all of them", function()
    local a, b, _ <close> = pair()
    assert(b:write("12345\n12345\n12345\n"))
    assert.same(pack("12345", "12345", "12345"), pack(a:setlimit(6):read("l", "l", "l")))
  end)

  it("does not hold for counts and the rest", function()
    local a, b, _ <close> = pair()
    assert(b:write(("x"):rep(200))):close()
    assert.equal(100, #a:setlimit(8):read(100))
    assert.equal(100, #a:read("a"))
  end)

  it("is 1 MiB at first", function()
    local a, b, _ <close> = pair()
    sock.spawn(function()
      b:write(("x"):rep((1 << 20) - 1), "\n", ("y"):rep(1 << 20), "\n")
      b:close()
    end)
    assert.equal((1 << 20) - 1, #a:read())
    assert.equal("EMSGSIZE", select(3, a:read()))
    assert.equal(1 << 20, #a:setlimit(2 << 20):read())
  end)
end)

describe("buffered", function()
  it("is how many bytes a read has left", function()
    local a, b, _ <close> = pair()
    assert.equal(0, a:buffered())
    assert(b:write("one\ntwo\n"))
    assert.equal(0, a:buffered())
    a:read()
    assert.equal(4, a:buffered())
    a:read()
    assert.equal(0, a:buffered())
  end)
end)

describe("reading", function()
  local function linear(what, read, tail)
    it("looks at each byte of " .. what .. " once", function()
      local a, b, _ <close> = pair()
      a:setlimit(1 << 30)
      local piece <const> = ("x"):rep(50)
      local task = sock.spawn(function() return read(a) end)
      local began = os.clock()
      for _ = 1, (2 << 20) // #piece do -- 42,000 pieces; each look at all: 40 GB
        assert(b:send(piece))
        sock.step(0)
      end
      assert(b:send(tail))
      assert.equal((2 << 20) // #piece * #piece, #(task:join()))
      assert.is_true(os.clock() - began < (os.getenv("SOCK_ASAN") and 30 or 1.5))
    end)
  end

  linear("a line", function(s) return s:read() end, "\n")
  linear("a text before another", function(s) return s:readuntil("$$"):sub(1, -3) end, "$$")
  linear("a count", function(s) return s:read((2 << 20) // 50 * 50) end, "")
  linear("a zero-ended text", function(s) return (s:unpack("z")) end, "\0")
  linear("a zero-ended text behind others", function(s)
    local head, rest = s:unpack("c10 z z")
    return head .. rest
  end, "\0\0")

  it("holds no memory for idle sockets", function()
    -- with this setting the allocator gives back at once what is freed
    local child <close> = peer.start({ "env", "MALLOC_MMAP_THRESHOLD_=32768",
      os.getenv("LUA") or "lua5.4", "-e", [[
      local sock = require "sock"
      local function resident()
        local file <close> = assert(io.open("/proc/self/statm"))
        return select(2, file:read("n", "n")) * 4096
      end
      local list, line = {}, ("x"):rep(40000)
      for i = 1, 400, 2 do
        list[i], list[i + 1] = assert(sock.socketpair())
        list[i + 1]:setvbuf("full", 1 << 16)
      end
      local before = resident()
      for i = 1, #list, 2 do
        assert(list[i]:write(line, "\nrest"))
        assert(list[i + 1]:read(1000)) -- what is left is buffered …
        assert(list[i + 1]:write(line))
      end
      local held = resident()
      for i = 1, #list, 2 do
        assert(list[i + 1]:read("l", 4)) -- … until here
        assert(list[i]:read(#line))
        assert(list[i]:buffered() + list[i + 1]:buffered() == 0)
      end
      collectgarbage()
      print((held - before) >> 20, (resident() - before) >> 20)
    ]] }, { module = true, input = "" })
    local held, after = child:expect("^(%d+)%s+(%d+)$")
    if not os.getenv("SOCK_ASAN") then
      assert.is_true(math.tointeger(held) >= 12, held .. " MiB were held")
      assert.is_true(math.tointeger(after) <= 1, after .. " MiB are")
    end
  end)
end)
