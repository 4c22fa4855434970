local sock = require "sock"
local peer = require "spec.support.peer"

local families = {
  { family = "inet", name = "IPv4", host = "127.0.0.1", python = "AF_INET",
    tcp = "TCP4-LISTEN:0,bind=127.0.0.1", udp = "UDP4-LISTEN:0,bind=127.0.0.1",
    connect = "TCP4:127.0.0.1:%d", sendto = "UDP4-SENDTO:127.0.0.1:%d" },
  { family = "inet6", name = "IPv6", host = "::1", python = "AF_INET6",
    tcp = "TCP6-LISTEN:0,bind=[::1]", udp = "UDP6-LISTEN:0,bind=[::1]",
    connect = "TCP6:[::1]:%d", sendto = "UDP6-SENDTO:[::1]:%d" },
}

local function socket(family, kind)
  return assert(sock.socket(family, kind)):settimeout(10)
end


--- A conversation with a peer that echoes a stream.
local function converse(s)
  assert(s:write("hello ", 1, "\n"))
  assert.equal("hello 1", s:read())
  local data = ("0123456789abcde\n"):rep(2000)
  assert(s:write(data))
  assert.equal(data, s:read(#data))
  assert(s:shutdown("send"))
  assert.is_nil(s:recv())
end

local function redistalk(s)
  assert(s:write("PING\r\n"))
  assert.equal("+PONG", s:read())
  assert(s:write("*3\r\n$3\r\nSET\r\n$4\r\nname\r\n$5\r\na\r\nb\n\r\n"))
  assert.equal("+OK", s:read())
  assert(s:write("*2\r\n$3\r\nGET\r\n$4\r\nname\r\n"))
  assert.equal("$5", s:read())
  assert.equal("a\r\nb\n\r\n", s:read(7))
  assert(s:write("GET nothing\r\n"))
  assert.equal("$-1", s:read())
  assert(s:write("NONSENSE\r\n"))
  assert.matches("^%-ERR", s:read())
  assert(s:write("QUIT\r\n"))
  assert.equal("+OK", s:read())
  assert.is_nil(s:read())
end

local function redispipeline(s)
  local requests = {}
  for i = 1, 1000 do
    requests[i] = ("SET key%d value%d\r\nGET key%d\r\n"):format(i, i, i)
  end
  assert(s:write(table.unpack(requests)))
  for i = 1, 1000 do
    local value = "value" .. i
    assert.equal("+OK", s:read())
    assert.equal("$" .. #value, s:read())
    assert.equal(value .. "\r\n", s:read(#value + 2))
  end
end

for _, at in ipairs(families) do
  describe("Over " .. at.name, function()
    it("talks with a socat that echoes TCP", function()
      local _ <close>, port = peer.socat(at.tcp, "PIPE")
      local s <close> = socket(at.family)
      assert(s:connect(at.host, port))
      converse(s)
    end)

    it("accepts a socat that connects", function()
      local l <close> = socket(at.family)
      assert(l:bind(at.host, 0))
      assert(l:listen())
      local p <close> = peer.start { "socat", at.connect:format(l:getsockname().port), "PIPE" }
      local s <close>, from = assert(l:accept())
      assert.equal(at.host, from.host)
      converse(s:settimeout(10))
      assert.equal("", p:rest())
    end)

    it("talks with a socat that echoes UDP", function()
      local _ <close>, port = peer.socat(at.udp, "PIPE")
      local s <close> = socket(at.family, "dgram")
      assert(s:sendto("one", at.host, port))
      assert.same({ "one", sock.address(at.host, port) }, { s:recvfrom() })
      assert(s:connect(at.host, port))
      local data = ("x"):rep(8000)
      assert(s:send(data))
      assert.equal(data, s:recv())
    end)

    it("receives a datagram from socat", function()
      local s <close> = socket(at.family, "dgram")
      assert(s:bind(at.host, 0))
      local p <close> = peer.start({ "socat", "-u", "STDIN",
        at.sendto:format(s:getsockname().port) }, { input = "from socat" })
      local data, from = s:recvfrom()
      assert.equal("from socat", data)
      assert.equal(at.host, from.host)
      assert.equal("", p:rest())
    end)

    describe("redis-server", function()
      it("answers PING, SET and GET", function()
        local _ <close>, port = peer.redis(nil, at.host)
        local s <close> = socket(at.family)
        assert(s:connect(at.host, port))
        redistalk(s)
      end)

      it("answers a thousand pipelined requests", function()
        local _ <close>, port = peer.redis(nil, at.host)
        local s <close> = socket(at.family)
        assert(s:connect(at.host, port))
        redispipeline(s)
      end)
    end)

    describe("Python", function()
      it("sends datagrams, empty and large ones too", function()
        local s <close> = socket(at.family, "dgram")
        assert(s:bind(at.host, 0))
        local p <close> = peer.python([[
import socket, sys
s = socket.socket(getattr(socket, sys.argv[1]), socket.SOCK_DGRAM)
s.bind((sys.argv[2], 0))
to = (sys.argv[2], int(sys.argv[3]))
for data in b"small", b"", b"x" * 60000:
    s.sendto(data, to)
print(s.recvfrom(100))
]], at.python, at.host, s:getsockname().port)
        local data, from = s:recvfrom()
        assert.equal("small", data)
        assert.equal("", (s:recvfrom()))
        assert.equal(60000, #s:recvfrom())
        assert(s:sendto("back\0", from))
        assert.matches("(b'back\\x00', ('" .. at.host .. "', " .. s:getsockname().port, p:rest(),
          1, true)
      end)

      it("closes half of a connection", function()
        local l <close> = socket(at.family)
        assert(l:bind(at.host, 0))
        assert(l:listen())
        local p <close> = peer.python([[
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"question")
s.shutdown(socket.SHUT_WR)
print(s.recv(100, socket.MSG_WAITALL))
]], at.host, l:getsockname().port)
        local s <close> = assert(l:accept())
        assert.equal("question", s:settimeout(10):read("a"))
        assert(s:write("answer"))
        s:close()
        assert.equal("b'answer'\n", p:rest())
      end)

      it("resets a connection", function()
        local l <close> = socket(at.family)
        assert(l:bind(at.host, 0))
        assert(l:listen())
        local p <close> = peer.python([[
import socket, struct, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.recv(1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
]], at.host, l:getsockname().port)
        local s <close> = assert(l:accept())
        assert(s:settimeout(10):write("x"))
        local data, _, code = s:recv()
        assert.same({ nil, "ECONNRESET" }, { data, code })
        assert.equal("", p:rest())
      end)

      it("sends an urgent byte", function()
        local l <close> = socket(at.family)
        assert(l:bind(at.host, 0))
        assert(l:listen())
        local p <close> = peer.python([[
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.send(b"before")
s.send(b"!", socket.MSG_OOB)
s.send(b"after")
print(s.recv(5, socket.MSG_WAITALL))
]], at.host, l:getsockname().port)
        local s <close> = assert(l:accept())
        assert.equal("before", s:settimeout(10):recv(6, "waitall"))
        assert.equal("!", peer.urgent(s))
        assert.equal("after", s:recv(5, "waitall"))
        assert(s:send("there"))
        assert.equal("b'there'\n", p:rest())
      end)
    end)
  end)
end

describe("Over a Unix socket", function()
  it("talks with a socat that echoes a stream", function()
    local dir, _ <close> = peer.tempdir()
    local _ <close> = peer.socat("UNIX-LISTEN:" .. dir .. "/s", "PIPE")
    local s <close> = socket("unix")
    assert(s:connect("unix:" .. dir .. "/s"))
    converse(s)
  end)

  it("accepts a socat that connects", function()
    local dir, _ <close> = peer.tempdir()
    local l <close> = socket("unix")
    assert(l:bind("unix:" .. dir .. "/s"))
    assert(l:listen())
    local p <close> = peer.start { "socat", "UNIX-CONNECT:" .. dir .. "/s", "PIPE" }
    local s <close> = assert(l:accept())
    converse(s:settimeout(10))
    assert.equal("", p:rest())
  end)

  it("talks with a socat under an abstract name", function()
    local dir, _ <close> = peer.tempdir() -- its name serves as a unique one
    local p <close> = peer.socat("ABSTRACT-LISTEN:" .. dir, "PIPE")
    local s <close> = socket("unix")
    assert(s:connect("unix:@" .. dir))
    assert.equal("@" .. dir, s:getpeername().path)
    converse(s)
    assert.matches("exiting", p:rest())
  end)

  it("sends a datagram to a socat that echoes it", function()
    local dir, _ <close> = peer.tempdir()
    local p <close> = peer.start { "socat", "-d", "-d", "UNIX-RECVFROM:" .. dir .. "/s", "PIPE" }
    p:expect("receiving on")
    local s <close> = socket("unix", "dgram")
    assert(s:bind("unix:" .. dir .. "/own"))
    assert(s:sendto("datagram", "unix:" .. dir .. "/s"))
    assert.same({ "datagram", sock.address("unix:" .. dir .. "/s") }, { s:recvfrom() })
  end)

  it("receives a datagram from socat under an abstract name", function()
    local dir, _ <close> = peer.tempdir()
    local s <close> = socket("unix", "dgram")
    assert(s:bind("unix:@" .. dir))
    local p <close> = peer.start({ "socat", "-u", "STDIN", "ABSTRACT-SENDTO:" .. dir },
      { input = "from socat" })
    assert.equal("from socat", (s:recvfrom()))
    assert.equal("", p:rest())
  end)

  it("exchanges records with Python's seqpacket", function()
    local dir, _ <close> = peer.tempdir()
    local l <close> = socket("unix", "seqpacket")
    assert(l:bind("unix:" .. dir .. "/s"))
    assert(l:listen())
    local p <close> = peer.python([[
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(b"one")
s.send(b"two")
print(s.recv(100), s.recv(100))
]], dir .. "/s")
    local s <close> = assert(l:accept())
    assert.equal("one", s:settimeout(10):recv())
    assert.equal("two", s:recv())
    assert(s:send("three"))
    assert(s:send("four"))
    assert.equal("b'three' b'four'\n", p:rest())
    assert.is_nil(s:recv())
  end)

  describe("redis-server", function()
    it("answers PING, SET and GET", function()
      local dir, _ <close> = peer.tempdir()
      local p <close> = peer.redis(dir .. "/redis")
      local s <close> = socket("unix")
      assert(s:connect("unix:" .. dir .. "/redis"))
      redistalk(s)
      p:signal("TERM")
      assert.matches("bye bye", p:rest())
    end)

    it("answers a thousand pipelined requests", function()
      local dir, _ <close> = peer.tempdir()
      local _ <close> = peer.redis(dir .. "/redis")
      local s <close> = socket("unix")
      assert(s:connect("unix:" .. dir .. "/redis"))
      redispipeline(s)
      assert.equal("unix:" .. dir .. "/redis", tostring(s:getpeername()))
    end)
  end)
end)
