-- A stream over a transport of another C module: spec/support/cipher.c.

local sock = require "sock"
local peer = require "spec.support.peer"

local function source()
  local file <close> = assert(io.open("spec/support/cipher.c"))
  return file:read("a")
end

local cpath, cleaner = peer.cmodule("cipher", source())
local saved = package.cpath
package.cpath = cpath
local cipher = require "cipher"
package.cpath = saved

local function closing(...)
  local list = { ... }
  return setmetatable({}, {
    __close = function()
      for _, s in ipairs(list) do
        s:close()
      end
    end,
  }), ...
end

--- Two connected streams whose kernel buffers are small.
local function narrowpair()
  local listener <close> = assert(sock.socket():setsockopt("rcvbuf", 4096):bind("127.0.0.1", 0))
  assert(listener:listen())
  local a = assert(sock.socket():setsockopt("sndbuf", 4096):connect(listener:getsockname()))
  local b = assert(listener:accept())
  for _, s in ipairs { a, b } do
    assert(s:setsockopt("tcp_nodelay", true)) -- many records, each waited for
  end
  return a, b
end

local function over(pair, liar)
  local a, b = pair()
  return closing(assert(cipher.install(a, liar)), assert(cipher.install(b, liar)))
end

--- Texts of random lengths, from a seed that a failure shows.
local function texts(seed, n, longest)
  math.randomseed(seed)
  local list = {}
  for i = 1, n do
    list[i] = string.rep(string.char(math.random(33, 126)), math.random(0, longest))
  end
  return list
end

--- Both ends write all of their texts while they read the other's.
local function exchange(a, b, list)
  local expected = table.concat(list)
  local function write(s)
    for _, text in ipairs(list) do
      assert(s:write(text))
    end
  end
  sock.scope(function(scope)
    scope:spawn(write, a)
    scope:spawn(write, b)
    local reader = scope:spawn(a.read, a, #expected)
    assert.equal(expected, b:read(#expected))
    assert.equal(expected, reader:join())
  end)
  assert(a:shutdown("send"))
  assert.is_nil(b:read())
end

for name, pair in pairs { ["a pair of Unix sockets"] = sock.socketpair, TCP = narrowpair } do
  describe("a transport over " .. name, function()
    it("carries what both ends say at once", function()
      for seed = 1, 5 do
        local _ <close>, a, b = over(pair)
        exchange(a, b, texts(seed, 200, 100))
      end
    end)

    it("carries more than the kernel holds, one way after the other", function()
      local _ <close>, a, b = over(pair)
      local text = ("0123456789abcdef"):rep(6000)
      for _ = 1, 2 do
        local writer = sock.spawn(a.write, a, text)
        assert.equal(text, b:read(#text))
        assert.equal(a, writer:join())
        a, b = b, a
      end
    end)

    it("carries it where the other end is another task outside tasks", function()
      local _ <close>, a, b = over(pair)
      local echo = sock.spawn(function()
        local copied = sock.copy(b, b)
        b:shutdown("send")
        return copied
      end)
      for _, text in ipairs(texts(7, 50, 3000)) do
        assert(a:write(text, "\n"))
        assert.equal(text, a:read())
      end
      a:shutdown("send")
      assert.is_nil(a:read())
      assert.is_number(echo:join())
    end)

    it("works also if it asks to write without a reason", function()
      local _ <close>, a, b = over(pair, true)
      local writer = sock.spawn(a.write, a, "some words\n")
      assert.equal("some words", b:read())
      writer:join()
    end)
  end)
end

describe("a stream over a transport", function()
  teardown(function() getmetatable(cleaner).__close() end)

  it("reads in every shape", function()
    local _ <close>, a, b = over(sock.socketpair)
    a:write("one\ntwo\r\n", "three;", string.pack(">I2 s1 z", 7, "abc", "xyz"), "rest")
    a:shutdown("send")
    assert.equal("one", b:read())
    assert.equal("two\r\n", b:read("L"))
    assert.equal("three;", b:readuntil(";"))
    assert.same({ 7, "abc", "xyz" }, { b:unpack(">I2 s1 z") })
    assert.equal("r", b:recv(1))
    assert.equal("e", b:recv(1, "peek"))
    assert.equal("est", b:recv(3, "waitall"))
    assert.is_nil(b:recv())
    assert.is_nil(b:read())
  end)

  it("gathers small writes and full buffers", function()
    local _ <close>, a, b = over(sock.socketpair)
    a:write("a", "b", 1, "c")
    a:setvbuf("full")
    for i = 1, 100 do
      a:write(i, "\n")
    end
    local lines = {}
    for i = 1, 100 do
      lines[i] = tostring(i)
    end
    lines[1] = "ab1c1"
    for i = 1, 100 do
      assert.equal(lines[i], b:read())
    end
  end)

  it("goes on with its buffered output while nobody calls it", function()
    local _ <close>, a, b = over(narrowpair)
    local text = ("x"):rep(100000)
    a:setvbuf("full", #text)
    a:write(text)
    assert.equal(text, b:read(#text))
  end)

  it("tells what the transport holds as buffered and readable", function()
    local _ <close>, a, b = over(sock.socketpair)
    a:write("abcdefg")
    assert.equal("a", b:recv(1))
    assert.equal(6, b:buffered())
    assert.equal("r", b:wait("r", 0))
    assert.same({ b }, (sock.select({ b }, {}, 0)))
    assert.equal("bcdefg", b:read(6))
    assert.equal(0, b:buffered())
    assert.equal("ETIMEDOUT", select(3, b:wait("r", 0)))
  end)

  it("keeps deadlines, and loses nothing by them", function()
    local _ <close>, a, b = over(sock.socketpair)
    b:settimeout(0.02)
    a:write("half")
    assert.equal("ETIMEDOUT", select(3, b:read(8)))
    a:write("done")
    assert.equal("halfdone", b:read(8))
  end)

  it("ends writing when a write is cancelled between two of its bytes", function()
    local _ <close>, a, b = over(sock.socketpair)
    local writer = sock.spawn(a.write, a, ("x"):rep(1000))
    writer:cancel()
    assert.equal("ECANCELED", select(3, writer:join()))
    for _, call in ipairs { "write", "send" } do
      assert.equal("EPIPE", select(3, a[call](a, "more")))
    end
    assert.equal("EPIPE", select(3, sock.copy(b, a, 1)) or select(3, a:write("x")))
  end)

  it("ends writing when one has timed out in the middle of a record", function()
    local _ <close>, a, b = over(sock.socketpair)
    a:settimeout(0.01)
    local _, _, code, sent = a:write(("x"):rep(1000))
    assert.equal("ETIMEDOUT", code)
    assert.equal(112, sent) -- sixteen records
    assert.equal(b:recv(1), "x")
  end)

  it("wakes a writer if a recv that does not wait took what it waits for", function()
    local _ <close>, a, b = over(sock.socketpair)
    local writer = sock.spawn(a.write, a, ("x"):rep(7 * 17)) -- a record too many
    sock.sleep(0.01)
    assert(b:read(7 * 16))
    assert.equal("ETIMEDOUT", select(3, a:settimeout(0):recv()))
    assert.equal(a, writer:join(2))
  end)

  it("wakes a reader if a write that does not wait took what it waits for", function()
    local _ <close>, a, b = over(sock.socketpair)
    local reader = sock.spawn(a.read, a, 5)
    sock.sleep(0.01)
    assert(a:write(("x"):rep(7 * 16))) -- the window is full
    assert(b:read(7 * 16))
    assert(b:write("hello"))
    assert(a:settimeout(0):write("y"))
    assert.equal("hello", reader:join(2))
  end)

  it("relays between one and another", function()
    local _ <close>, a, b = over(sock.socketpair)
    local _ <close>, c, d = closing(sock.socketpair())
    local relay = sock.spawn(sock.relay, b, c)
    a:write("there\n")
    d:write("back\n")
    assert.equal("there", d:read())
    assert.equal("back", a:read())
    a:shutdown("send")
    d:shutdown("send")
    assert.same({ 6, 5 }, { relay:join() })
  end)

  it("is what a copy goes through that began before it was there", function()
    for _, way in ipairs { "from", "to" } do
      local a, b = sock.socketpair()
      local c, d = sock.socketpair()
      local _ <close> = closing(a, b, c, d)
      local copier = sock.spawn(sock.copy, b, c)
      sock.sleep(0.01)
      for _, s in ipairs(way == "from" and { a, b } or { c, d }) do
        assert(cipher.install(s))
      end
      assert(a:write("hello"))
      assert.equal("hello", d:settimeout(5):read(5))
      a:shutdown("send")
      assert.equal(5, copier:join(5))
    end
  end)

  it("copies a file through it", function()
    local _ <close>, a, b = over(sock.socketpair)
    local text = source()
    local file <close> = assert(io.open("spec/support/cipher.c"))
    local copied = sock.spawn(sock.copy, file, a)
    assert.equal(text, b:read(#text))
    assert.equal(#text, copied:join())
  end)

  it("may stand on another one", function()
    local _ <close>, a, b = over(function()
      local _, one, other = over(sock.socketpair)
      return one, other
    end)
    exchange(a, b, texts(3, 50, 100))
  end)

  it("tells its failures in its own words", function()
    local _ <close>, a, b = closing(sock.socketpair())
    assert(cipher.install(a))
    b:write("\255")
    local _, message, code = a:read()
    assert.equal("EPROTO", code)
    assert.truthy(message:find("this is no cipher", 1, true), message)
    b:close()
  end)

  it("refuses what only the bare descriptor could do", function()
    local _ <close>, a = over(sock.socketpair)
    assert.equal("EOPNOTSUPP", select(3, a:recv(1, "oob")))
    assert.equal("EOPNOTSUPP", select(3, a:send("x", "oob")))
    assert.equal("EOPNOTSUPP", select(3, a:sendmsg { data = "x" }))
    assert.equal("EOPNOTSUPP", select(3, a:recvmsg {}))
    assert.equal("EBUSY", select(3, a:detach()))
  end)

  it("is not put over bytes that came before it", function()
    local _ <close>, a, b = closing(sock.socketpair())
    a:write("STARTTLS\ninjected")
    assert.equal("STARTTLS", b:read())
    local _, message, code = cipher.install(b)
    assert.equal("EBUSY", code)
    assert.truthy(message:find("bytes are buffered", 1, true), message)
    assert.equal("injected", b:read(8))
    assert(cipher.install(b))
  end)

  it("is put over nothing but an open stream", function()
    local d <close> = sock.socket("inet", "dgram")
    assert.error_matches(function() cipher.install(d) end, "not a stream")
    local s = sock.socket()
    s:close()
    assert.error_matches(function() cipher.install(s) end, "closed socket")
  end)

  it("releases it once, closed or collected", function()
    local before = cipher.released()
    do
      local a, b = sock.socketpair()
      assert(cipher.install(a) and cipher.install(b))
      a:write("x")
      a:close()
      a:close()
      assert.equal("x", b:read("a"))
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before + 2, cipher.released())
  end)

  it("is released after its socket's last words when the state ends", function()
    local child <close> = peer.lua(([[
      package.cpath = %q .. ";" .. package.cpath
      local sock = require "sock"
      a, b = sock.socketpair()
      require("cipher").install(a):setvbuf("full")
      a:write("last words")
    ]]):format(cpath))
    assert.equal("", child:rest())
  end)

  it("says nothing where a fork's child closes its copy", function()
    local child <close> = peer.lua(([[
      package.cpath = %q .. ";" .. package.cpath
      local sock = require "sock"
      local a, b = sock.socketpair()
      local cipher = require "cipher"
      cipher.install(a)
      cipher.install(b)
      require("sock.core").fork(function() end):wait()
      assert(a:write("alive"))
      print(b:read(5))
    ]]):format(cpath))
    assert.equal("alive\n", child:rest())
  end)
end)
