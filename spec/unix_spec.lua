local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"

local function pair(kind)
  return fixtures.pair(kind, 10)
end

local nextname = 0

--- An abstract name that nobody else has.
local function abstract()
  nextname = nextname + 1
  local file <close> = assert(io.open("/proc/self/stat"))
  return ("unix:@sock spec %s %d"):format(file:read("n"), nextname)
end

local function socket(kind)
  return assert(sock.socket("unix", kind)):settimeout(10)
end

local function listener(address, kind, backlog)
  local l = socket(kind)
  assert(l:bind(address))
  assert(l:listen(backlog))
  return l
end

--- Connects until a listener's queue is full; answers a socket for which
-- there was no room, and what closes it and the others.
local function fillbacklog(address, kind)
  local list = {}
  for i = 1, 20 do
    list[i] = socket(kind):settimeout(0)
    local ok, _, code = list[i]:connect(address)
    if not ok then
      assert.equal("ETIMEDOUT", code)
      return list[i], setmetatable({}, { __close = function()
        for _, s in ipairs(list) do
          s:close()
        end
      end })
    end
  end
  error("the backlog has no end")
end

for _, kind in ipairs { "stream", "seqpacket" } do
  describe("Unix " .. kind, function()
    it("connects by path", function()
      local dir, _ <close> = peer.tempdir()
      local address = assert(sock.address("unix:" .. dir .. "/s"))
      local l <close> = listener(address, kind)
      assert.equal(address, l:getsockname())
      assert.equal("unix:" .. dir .. "/s (listening)", tostring(l))
      local a <close> = socket(kind)
      assert.equal(a, a:connect("unix:" .. dir .. "/s"))
      assert.equal(address, a:getpeername())
      local b <close>, from = assert(l:accept())
      assert.equal("unix:", tostring(from))
      assert(a:send("hello"))
      assert.equal("hello", b:recv())
      assert(b:send("there"))
      assert.equal("there", a:recv())
    end)

    it("connects by an abstract name, whose bytes it keeps", function()
      local name = abstract() .. "\0\255end\0"
      local l <close> = listener(name, kind)
      assert.equal(name:sub(6), l:getsockname().path)
      local a <close> = socket(kind)
      assert(a:connect(name))
      local b <close> = assert(l:accept())
      assert.equal(sock.address(name), b:getsockname())
      local c <close> = socket(kind)
      local _, _, code = c:connect(name:sub(1, -2))
      assert.equal("ECONNREFUSED", code)
    end)

    it("takes a name of the kernel's choice for the unnamed address", function()
      local l <close> = listener("unix:", kind)
      assert.matches("^@", l:getsockname().path)
      local a <close> = socket(kind)
      assert.equal(a, a:connect(l:getsockname()))
    end)

    it("tells the path of a bound client", function()
      local name = abstract()
      local l <close> = listener(name, kind)
      local a <close> = socket(kind)
      local own = abstract()
      assert(a:bind(own))
      assert(a:connect(name))
      local b <close>, from = assert(l:accept())
      assert.equal(sock.address(own), from)
      assert.same({ name:sub(6), nil, own:sub(6), nil, n = 4 }, table.pack(b:tuple()))
    end)

    it("ends with nil and nothing else", function()
      local a, b, _ <close> = pair(kind)
      assert(a:send("last"))
      a:close()
      assert.equal("last", b:recv())
      assert.same({ n = 1 }, table.pack(b:recv()))
      assert.same({ n = 1 }, table.pack(b:recv()))
    end)

    it("fails a write to a closed peer with EPIPE", function()
      local a, b, _ <close> = pair(kind)
      b:close()
      local _, _, code = a:send("x")
      assert.equal("EPIPE", code)
      local _, _, again, sent = a:write("x")
      assert.same({ "EPIPE", 0 }, { again, sent })
    end)

    it("refuses where nobody listens", function()
      local dir, _ <close> = peer.tempdir()
      local path = "unix:" .. dir .. "/s"
      local l = listener(path, kind)
      l:close()
      local a <close> = socket(kind)
      assert.same({ nil, "connect " .. path .. ": Connection refused", "ECONNREFUSED" },
        { a:connect(path) })
    end)

    it("says that a path does not exist", function()
      local a <close> = socket(kind)
      assert.same({ nil, "connect unix:/nonexistent/s: No such file or directory", "ENOENT" },
        { a:connect("unix:/nonexistent/s") })
    end)

    it("refuses a path in use", function()
      local dir, _ <close> = peer.tempdir()
      local l <close> = listener("unix:" .. dir .. "/s", kind)
      local s <close> = socket(kind)
      local _, message, code = s:bind(l:getsockname())
      assert.equal("EADDRINUSE", code)
      assert.matches("bind unix:" .. dir .. "/s", message, 1, true)
    end)

    describe("with a full backlog", function()
      it("lets connect time out, and then connect", function()
        local name = abstract()
        local l <close> = listener(name, kind, 1)
        local last, _ <close> = fillbacklog(name, kind)
        local start = peer.uptime()
        assert.same({ nil, "connect " .. name .. ": timed out", "ETIMEDOUT" },
          { last:settimeout(0.1):connect(name) })
        assert.is_true(peer.uptime() - start >= 0.09)
        assert(l:accept()):close()
        assert.equal(last, last:settimeout(0):connect(name))
      end)

      it("does not spin while it waits", function()
        local name = abstract()
        local l <close> = listener(name, kind, 1)
        local last, _ <close> = fillbacklog(l:getsockname(), kind)
        local used = os.clock()
        local _, _, code = last:settimeout(0.5):connect(name)
        assert.equal("ETIMEDOUT", code)
        assert.is_true(os.clock() - used < 0.1) -- of the processor's time
      end)

      it("connects as soon as another process accepts", function()
        local name = abstract()
        local l <close> = listener(name, kind, 1)
        local _, _ <close> = fillbacklog(l:getsockname(), kind)
        local p <close> = peer.lua([[
          local sock = require "sock"
          local s <close> = assert(sock.socket("unix", arg[2]))
          s:settimeout(0)
          print(select(3, s:connect(arg[1])))
          io.stdout:flush()
          s:settimeout(20)
          print(s:connect(arg[1]) == s and s:send("here"))
        ]], name, kind)
        p:expect("ETIMEDOUT")
        peer.awaitstate(p.pid, "S")
        local accepted, last = 0, nil
        while last ~= "here" and accepted < 20 do
          local b <close> = assert(l:accept())
          accepted = accepted + 1
          last = b:settimeout(accepted > 2 and 10 or 0):recv()
        end
        assert.equal("here", last)
        assert.equal("4\n", p:rest())
      end)
    end)
  end)
end

describe("Unix stream", function()
  it("reads lines and counts", function()
    local a, b, _ <close> = pair()
    assert(a:write("one\r\n", "12345", "last"))
    a:shutdown("send")
    assert.equal("one", b:read())
    assert.equal("12345", b:read(5))
    assert.equal("last", b:read("l"))
    assert.is_nil(b:read())
  end)

  it("sends megabytes to another process, byte for byte", function()
    local l <close> = listener(abstract())
    local p <close> = peer.python([[
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("\0" + sys.argv[1])
data = b""
while len(data) < 8 << 20:
    data += s.recv(50000)
print(data == b"0123456789abcdef" * (1 << 19))
]], l:getsockname().path:sub(2))
    local b <close> = assert(l:accept())
    assert.equal(b, b:write(("0123456789abcdef"):rep(1 << 19)))
    assert.equal("True\n", p:rest())
  end)

  it("resets when it closes with bytes unread", function()
    local a, b, _ <close> = pair()
    assert(a:send("unread"))
    b:close()
    local _, _, code = a:recv()
    assert.equal("ECONNRESET", code)
  end)
end)

describe("Unix seqpacket", function()
  it("keeps the bounds of its records", function()
    local a, b, _ <close> = pair("seqpacket")
    assert.equal(3, a:send("one"))
    assert.equal(a, a:write("t", "wo"))
    assert.equal("one", b:recv())
    assert.equal("two", b:recv())
  end)

  it("cuts a record longer than asked for and tells its true length", function()
    local a, b, _ <close> = pair("seqpacket")
    assert(a:send("0123456789"))
    assert(a:send("next"))
    assert.same({ "012", 10, n = 2 }, table.pack(b:recv(3)))
    assert.same({ "next", n = 1 }, table.pack(b:recv(100)))
  end)
end)

describe("Unix dgram", function()
  it("carries datagrams between paths", function()
    local dir, _ <close> = peer.tempdir()
    local a <close> = socket("dgram")
    local b <close> = socket("dgram")
    assert(a:bind("unix:" .. dir .. "/a"))
    assert(b:bind("unix:" .. dir .. "/b"))
    assert.equal(5, a:sendto("hello", "unix:" .. dir .. "/b"))
    assert.same({ "hello", sock.address("unix:" .. dir .. "/a") }, { b:recvfrom() })
    assert.equal(5, b:sendto("there", a:getsockname()))
    assert.same({ "there", b:getsockname() }, { a:recvfrom() })
  end)

  it("carries datagrams between abstract names", function()
    local a <close> = socket("dgram")
    local b <close> = socket("dgram")
    assert(a:bind(abstract()))
    assert(b:bind(abstract()))
    assert(a:connect(b:getsockname()))
    assert.equal(2, a:send("hi"))
    assert.same({ "hi", a:getsockname() }, { b:recvfrom() })
  end)

  it("shows a sender without a name as the unnamed address", function()
    local a <close> = socket("dgram")
    local b <close> = socket("dgram")
    assert(b:bind(abstract()))
    assert(a:sendto("x", b:getsockname()))
    local data, from = b:recvfrom()
    assert.equal("x", data)
    assert.equal(sock.address("unix:"), from)
  end)

  it("carries empty datagrams", function()
    local a, b, _ <close> = pair("dgram")
    assert.equal(0, a:send(""))
    assert.equal(a, a:write(""))
    assert.same({ "", n = 1 }, table.pack(b:recv()))
    assert.equal("", (b:recvfrom()))
  end)

  it("cuts a datagram longer than asked for and tells its true length", function()
    local a, b, _ <close> = pair("dgram")
    assert(a:send("0123456789"))
    assert(a:send("next"))
    assert.same({ "0123", 10, n = 2 }, table.pack(b:recv(4)))
    assert.same({ "next", n = 1 }, table.pack(b:recv(4)))
  end)

  it("carries datagrams above 64 KiB to who asks for so much", function()
    local a, b, _ <close> = pair("dgram")
    local data = ("0123456789"):rep(10000)
    assert.equal(#data, a:send(data))
    assert.equal(#data, a:send(data))
    local got, cut = b:recv(200000)
    assert.is_true(got == data)
    assert.is_nil(cut)
    got, cut = b:recv()
    assert.is_true(got == data:sub(1, 65536))
    assert.equal(#data, cut)
  end)

  it("waits while its peer's queue is full", function()
    local a, b, _ <close> = pair("dgram")
    a:settimeout(0)
    local code
    for _ = 1, 10000 do
      local went, _, why = a:send("x")
      if not went then
        code = why
        break
      end
    end
    assert.equal("ETIMEDOUT", code)
    assert.equal("x", b:recv())
    assert.equal(1, a:settimeout(10):send("y"))
  end)

  it("says that nobody is there", function()
    local a, b, _ <close> = pair("dgram")
    b:close()
    local _, _, code = a:send("x")
    assert.equal("ECONNREFUSED", code)
  end)
end)

describe("A receiver of Unix datagrams without room", function()
  local sends = {
    sendto = function(s, to) return s:sendto("x", to) end,
    sendmsg = function(s, to) return s:sendmsg { data = "x", to = to } end,
    sendmany = function(s, to) return s:sendmany { { "x", to } } end,
  }

  --- A receiver that another sender has filled, its address, how often.
  local function full()
    local r, a = socket("dgram"), socket("dgram"):settimeout(0)
    local address, n = abstract(), 0
    assert(r:bind(address))
    while a:sendto("x", address) do
      n = n + 1
    end
    a:close()
    return r, assert(r:getsockname()), n
  end

  for name, send in pairs(sends) do
    for _, place in ipairs { "in a task", "outside tasks" } do
      it("lets " .. name .. " wait " .. place .. ", no longer than it may, and asleep", function()
        local r <close>, address = full()
        local s <close> = socket("dgram"):settimeout(0.3)
        local start, cpu = sock.now(), os.clock()
        local code
        local function try()
          code = select(3, send(s, address))
        end
        if place == "in a task" then
          sock.run(try)
        else
          try()
        end
        assert.equal("ETIMEDOUT", code)
        assert.is_true(sock.now() - start >= 0.3)
        assert.is_true(os.clock() - cpu < 0.1)
        assert(r)
      end)
    end

    it("takes what " .. name .. " sends once it has some", function()
      local r <close>, address, n = full()
      local s <close> = socket("dgram")
      local task = sock.spawn(send, s, address)
      sock.sleep(0.01)
      for _ = 1, n do
        assert(r:recv())
      end
      assert.equal(1, task:join(5))
      assert.equal("x", r:recv())
    end)
  end
end)

describe("sock.socketpair", function()
  it("gives two unnamed streams", function()
    local a, b, _ <close> = pair()
    assert.equal("stream", a:getsockopt("type"))
    assert.equal("unix", b:getsockopt("domain"))
    assert.equal(sock.address("unix:"), a:getsockname())
    assert.equal(sock.address("unix:"), b:getpeername())
  end)

  it("refuses a type that is none", function()
    assert.has_error(function() sock.socketpair("datagram") end,
      "bad argument #1 to 'socketpair' (unknown type \"datagram\")")
  end)
end)
