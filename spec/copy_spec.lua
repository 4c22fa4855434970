-- sock.copy and sock.relay.

local sock = require "sock"
local core = require "sock.core"
local finalizer = require "spec.support.finalizer"
local peer = require "spec.support.peer"
local again = require "spec.support.again"
local fixtures = require "spec.support.fixtures"
local pack = table.pack

local function unixpair()
  return fixtures.pair("stream", 20)
end

local function tcppair()
  return fixtures.connection(20)
end

local data = {}
for i = 1, 100000 do
  data[i] = ("%07d\n"):format(i)
end
data = table.concat(data) -- 800,000 bytes

--- A temporary Lua file with these contents, at their beginning.
local function file(text)
  local f = assert(io.tmpfile())
  assert(f:write(text or ""))
  f:seek("set")
  return f
end

local function contents(f)
  f:seek("set")
  return f:read("a")
end

local pairsof = { Unix = unixpair, TCP = tcppair }

for name, pair in pairs(pairsof) do
  describe("sock.copy between sockets over " .. name, function()
    it("moves all bytes until the end, and says how many", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local writer = sock.spawn(function()
        assert(a:write(data))
        a:shutdown("send")
      end)
      local reader = sock.spawn(d.read, d, "a")
      assert.equal(#data, sock.copy(b, c))
      c:shutdown("send")
      assert.is_true(reader:join() == data)
      writer:join()
      assert.same(pack(0), pack(sock.copy(b, c)))
    end)

    it("moves a count exactly, and leaves the rest", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      assert(a:write("0123456789abc\nrest"))
      assert.equal(0, sock.copy(b, c, 0))
      assert.equal(3, sock.copy(b, c, 3))
      assert.equal(4, sock.copy(b, c, 4.0))
      assert.equal("0123456", d:read(7))
      assert.equal("789abc", b:read())
      assert.equal(4, sock.copy(b, c, 4))
      assert.equal("rest", d:read(4))
    end)

    it("takes what is buffered first, and lets buffered output go first", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      assert(a:write("line\nbuffered "))
      assert.equal("line", b:read())
      assert(a:write("and not")):shutdown("send")
      assert(c:setvbuf("full"):write("output, "))
      assert.equal(16, sock.copy(b, c))
      assert.equal("output, buffered and not", d:read(24))
    end)

    it("echoes", function()
      local a, b, _ <close> = pair()
      local echo = sock.spawn(sock.copy, b, b)
      local reader = sock.spawn(a.read, a, #data)
      assert(a:write(data))
      assert.is_true(reader:join() == data)
      a:shutdown("send")
      assert.equal(#data, echo:join())
    end)

    it("is limited by settimeout on each silence", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      b:settimeout(0.4)
      sock.spawn(function()
        for _ = 1, 6 do
          a:write("xx")
          sock.sleep(0.1)
        end
      end)
      local ok, message, code, moved = sock.copy(b, c)
      assert.is_nil(ok)
      assert.matches("^copy .*: timed out$", message)
      assert.equal("ETIMEDOUT", code)
      assert.equal(12, moved)
      assert.equal(12, #d:read(12))
    end)

    it("loses nothing that it could not pass on", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      sock.spawn(function()
        assert(a:write(data))
        a:shutdown("send")
      end)
      c:setsockopt("sndbuf", 4096):settimeout(0.05)
      d:setsockopt("rcvbuf", 4096)
      local _, _, code, moved = sock.copy(b, c, math.huge)
      if code then -- else all of it went
        assert.equal("ETIMEDOUT", code)
        assert.is_true(moved < #data)
        local rest = sock.spawn(b.read, b, "a")
        assert.equal(data:sub(1, moved), d:read(moved))
        assert.is_true(rest:join() == data:sub(moved + 1))
      end
    end)

    it("gives it back before what a read has received since", function()
    local a, b, _ <close> = unixpair()
    local c, _, _ <close> = unixpair()
    c:settimeout(0)
    repeat until not c:send(("x"):rep(65536))
    c:settimeout(0.1)
    assert(a:write("one, "))
    local copier = sock.spawn(sock.copy, b, c)
    sock.sleep(0.01)
    local reader = sock.spawn(b.read, b, 15)
    sock.sleep(0.01)
    assert(a:write("two, "))
    assert.equal("ETIMEDOUT", select(3, copier:join()))
    assert(a:write("three"))
    assert.equal("one, two, three", reader:join(2))
  end)

  it("loses nothing to a cancel", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      assert(a:write("one"))
      local task = sock.spawn(sock.copy, b, c)
      assert.equal("one", d:read(3))
      task:cancel()
      task:join()
      assert(a:write("two"))
      assert.equal("two", b:recv())
    end)

    it("tells that the peer is gone", function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      d:close()
      local task = sock.spawn(a.write, a, data)
      local ok, message, code, moved = sock.copy(b, c)
      assert.is_nil(ok)
      assert.matches("^copy ", message)
      assert.is_true(code == "EPIPE" or code == "ECONNRESET")
      assert.is_true(moved < #data)
      b:close()
      task:join()
    end)
  end)

  describe("sock.copy from a Lua file over " .. name, function()
    it("sends it from its position, which moves on", function()
      local a, b, _ <close> = pair()
      local f <close> = file(data)
      local reader = sock.spawn(b.read, b, "a")
      assert.equal("0000001", f:read())
      assert.equal(8, sock.copy(f, a, 8))
      assert.equal("0000003", f:read())
      assert.equal(#data - 24, sock.copy(f, a))
      assert.equal("", f:read("a"))
      assert.equal(0, sock.copy(f, a))
      a:shutdown("send")
      assert.is_true(reader:join() == data:sub(9, 16) .. data:sub(25))
    end)

    it("sends what has just been written to it", function()
      local a, b, _ <close> = pair()
      local f <close> = file()
      f:write("not flushed")
      f:seek("set", 4)
      assert.equal(7, sock.copy(f, a, math.huge))
      assert.equal("flushed", b:read(7))
    end)

    it("lets buffered output go first", function()
      local a, b, _ <close> = pair()
      local f <close> = file("file")
      assert(a:setvbuf("full"):write("head "))
      assert.equal(4, sock.copy(f, a))
      assert.equal("head file", b:read(9))
    end)
  end)

  describe("sock.copy into a Lua file over " .. name, function()
    it("writes at its position, which moves on", function()
      local a, b, _ <close> = pair()
      local f <close> = file()
      f:write("head\n")
      assert(a:write("buffered\n"))
      assert(b:wait("r"))
      local task = sock.spawn(function()
        assert(a:write(data))
        a:shutdown("send")
      end)
      assert.equal("buf", b:read(3))
      assert.equal(#data + 6, sock.copy(b, f))
      task:join()
      f:write("tail")
      assert.is_true(contents(f) == "head\nfered\n" .. data .. "tail")
    end)

    it("appends to a file that is open for that", function()
      local a, b, _ <close> = pair()
      local path = os.tmpname()
      local f <close> = assert(io.open(path, "a+"))
      f:write("head ")
      assert(a:write("body")):shutdown("send")
      assert.equal(4, sock.copy(b, f))
      f:write(" tail")
      assert.equal("head body tail", contents(f))
      os.remove(path)
    end)
  end)
end

describe("sock.copy", function()
  it("goes from file to file", function()
    local f <close> = file(data)
    local g <close> = file()
    f:seek("set", 8)
    assert.equal(16, sock.copy(f, g, 16))
    assert.equal(#data - 24, sock.copy(f, g))
    assert.is_true(contents(g) == data:sub(9))
  end)

  it("takes adopted pipes", function()
    local a, b, _ <close> = unixpair()
    local p <close> = assert(io.popen("printf 'from a pipe'"))
    local s <close> = assert(sock.adopt(p))
    assert.equal(11, sock.copy(s, a))
    assert.equal("from a pipe", b:read(11))
  end)

  it("refuses what is no stream", function()
    local a, b, _ <close> = unixpair()
    local u <close> = assert(sock.socket("inet", "dgram"))
    assert.has_error(function() sock.copy(u, a) end)
    assert.has_error(function() sock.copy(a, 5) end)
    assert.has_error(function() sock.copy(a, b, -1) end)
    assert.has_error(function() sock.copy(a, b, 1.5) end)
    local f = file()
    f:close()
    assert.has_error(function() sock.copy(f, a) end, "attempt to use a closed file")
    b:close()
    assert.has_error(function() sock.copy(a, b) end, "attempt to use a closed socket")
    assert.has_error(function() sock.relay(a, f) end,
      "bad argument #2 to 'relay' (socket expected)")
  end)

  it("refuses a Lua file that a finalizer closes as it begins", function()
    local f, b = file("x"), assert(sock.socketpair())
    local copier = core.copier
    local _ <close> = finalizer(function() f:close() end)
    local ok, message = pcall(copier, f, b)
    b:close()
    assert.is_false(ok)
    assert.matches("closed file", message)
  end)

  it("names itself and its argument, where it was called", function()
    local a, b, _ <close> = unixpair()
    local u <close> = assert(sock.socket("inet", "dgram"))
    local x, y = assert(sock.socketpair())
    x:close()
    y:close()
    local cases = {
      { "copy", a, "b", nil, "bad argument #2 to 'copy' (socket or file expected, got string)" },
      { "copy", nil, b, nil, "bad argument #1 to 'copy' (socket or file expected, got nil)" },
      { "copy", a, u, nil, "bad argument #2 to 'copy' (not a stream)" },
      { "copy", a, b, -1, "bad argument #3 to 'copy' (count must not be negative)" },
      { "copy", a, b, {}, "bad argument #3 to 'copy' (number expected, got table)" },
      { "copy", x, b, nil, "attempt to use a closed socket" },
      { "relay", u, b, nil, "bad argument #1 to 'relay' (not a stream)" },
      { "relay", a, nil, nil, "bad argument #2 to 'relay' (socket expected)" },
      { "relay", a, x, nil, "attempt to use a closed socket" },
    }
    local line = debug.getinfo(1, "l").currentline + 3
    for _, case in ipairs(cases) do
      local _, message = pcall(function()
        local _ = sock[case[1]](case[2], case[3], case[4])
      end)
      assert.equal(("copy_spec.lua:%d: %s"):format(line, case[5]), message:match("[^/]*$"))
    end
  end)

  it("refuses a Lua file that is open for the other way only", function()
    local a, b, _ <close> = unixpair()
    local path = os.tmpname()
    local out <close> = assert(io.open(path, "w"))
    local source <close> = assert(io.open(path))
    os.remove(path)
    a:write("data")
    assert.has_error(function() sock.copy(out, a) end,
      "bad argument #1 to 'copy' (file is not open for reading)")
    assert.has_error(function() sock.copy(b, source) end,
      "bad argument #2 to 'copy' (file is not open for writing)")
    assert.equal("data", b:read(4))
  end)

  it("says which end was closed meanwhile", function()
    local a, b, _ <close> = unixpair()
    local f = file(data)
    local task = sock.spawn(sock.copy, f, a)
    sock.step(0)
    f:close()
    local reader = sock.spawn(b.read, b, "a")
    assert.equal("copy: closed", select(2, task:join()))
    a:close()
    assert.equal(select(4, task:join()), #reader:join())
  end)

  it("fails with a Lua file that has no position", function()
    local a, _, _ <close> = unixpair()
    local p <close> = assert(io.popen("exit"))
    assert.same(pack(nil, "copy: Illegal seek", "ESPIPE", 0), pack(sock.copy(p, a)))
  end)

  it("does not follow a torn write", function()
    local a, b, _ <close> = unixpair()
    local f <close> = file("text")
    sock.timeout(0.01, a.write, a, ("x"):rep(10 << 20))
    assert.equal("EPIPE", select(3, sock.copy(f, a)))
    assert.truthy(b:recv())
  end)

  it("is told when an end is closed meanwhile", function()
    local a, b, _ <close> = unixpair()
    local c, d, _ <close> = unixpair()
    local task = sock.spawn(sock.copy, a, c)
    sock.step(0)
    a:close()
    assert.equal("EBADF", select(3, task:join()))
    local f <close> = file(data)
    task = sock.spawn(sock.copy, f, c)
    sock.step(0)
    c:close()
    assert.equal("EBADF", select(3, task:join()))
    assert.equal(select(4, task:join()), #d:read("a"))
    assert.is_nil(b:read())
  end)
end)

describe("sock.copy at an urgent mark", function()
  local function urgent()
    local a, b, closer = tcppair()
    assert(a:write("abc"))
    assert(a:send("!", "oob"))
    assert(a:write("def"))
    return a, b, closer
  end

  it("goes on behind it, as read does", function()
    local a, b, _ <close> = urgent()
    local c, d, _ <close> = unixpair()
    a:shutdown("send")
    assert.equal(6, sock.copy(b, c))
    assert.equal("abcdef", d:read(6))
  end)

  it("goes on behind it also while no end is in sight, and waits asleep", function()
    local a, b, _ <close> = urgent()
    local c, d, _ <close> = unixpair()
    local copier = sock.spawn(sock.copy, b, c)
    assert.equal("abcdef", d:settimeout(2):read(6))
    local cpu = os.clock()
    sock.sleep(0.2)
    assert.is_true(os.clock() - cpu < 0.1)
    a:shutdown("send")
    assert.equal(6, copier:join(2))
  end)
end)

describe("sock.relay", function()
  for name, pair in pairs(pairsof) do
    it("moves both ways and carries each end over, over " .. name, function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local relay = sock.spawn(sock.relay, b, c)
      local there = sock.spawn(d.read, d, "a")
      assert(a:write(data)):shutdown("send")
      assert.is_true(there:join() == data)
      local back = sock.spawn(a.read, a, "a")
      assert(d:write("answer")):shutdown("send")
      assert.equal("answer", back:join())
      assert.same(pack(#data, 6), pack(relay:join()))
    end)
  end

  it("works outside tasks", function()
    local a, b, _ <close> = unixpair()
    local c, d, _ <close> = unixpair()
    assert(a:write("ping")):shutdown("send")
    assert(d:write("pong!")):shutdown("send")
    assert.same(pack(4, 5), pack(sock.relay(b, c)))
    assert.equal("ping", d:read("a"))
    assert.equal("pong!", a:read("a"))
  end)

  it("fails with both counts after a silence, not while one way is busy", function()
    local a, b, _ <close> = unixpair()
    local c, d, _ <close> = unixpair()
    b:settimeout(0.4)
    c:settimeout(0.4)
    sock.spawn(function()
      for _ = 1, 6 do
        a:write("xx")
        sock.sleep(0.15)
      end
    end)
    local ok, message, code, there, back = sock.relay(b, c)
    assert.is_nil(ok)
    assert.matches("timed out$", message)
    assert.same(pack("ETIMEDOUT", 12, 0), pack(code, there, back))
    assert.equal(12, #d:read(12))
  end)
end)

-- Once more: over the poller that every system has, and where the kernel
-- moves nothing by itself.
describe("sock.copy does the same #again", function()
  local function oncemore(...)
    again({ "copy", "copy_peers" }, "again", ...)
  end

  it("over poll(2)", function() oncemore("env", "SOCK_POLLER=poll") end)

  for _, code in ipairs { "EINVAL", "ENOSYS" } do
    it("where splice and sendfile say " .. code, function()
      if os.getenv("SOCK_ASAN") or not os.execute("strace -V >/dev/null 2>&1") then
        return pending("needs strace")
      end
      oncemore("strace", "-f", "-o", "/dev/null", "-e", "trace=splice,sendfile",
        "-e", "inject=splice,sendfile:error=" .. code)
    end)
  end

  it("where there is no pipe left", function()
    if os.getenv("SOCK_ASAN") or not os.execute("strace -V >/dev/null 2>&1") then
      return pending("needs strace")
    end
    local p <close> = peer.start({ "strace", "-f", "-o", "/dev/null", "-e", "trace=pipe2", "-e",
      "inject=pipe2:error=EMFILE", os.getenv("LUA") or "lua5.4", "-e", [[
      local sock = require "sock"
      local a, b = sock.socketpair()
      local c, d = sock.socketpair()
      a:write("through"):shutdown("send")
      print(sock.copy(b, c), d:read(7))
    ]] }, { module = true, input = "" })
    assert.equal("7\tthrough\n", p:rest())
  end)
end)
