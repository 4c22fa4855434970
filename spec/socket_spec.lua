local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local closing, pair = fixtures.closing, fixtures.pair

local pack = table.pack

-- The two ends of a TCP connection over loopback.
local function tcp(host)
  local family = sock.address(host, 0).family
  local listener <close> = assert(sock.socket(family))
  local client = assert(sock.socket(family))
  assert(listener:bind(host, 0)):listen()
  assert(client:connect(assert(listener:getsockname())))
  local server = assert(listener:accept())
  return client, server, closing(client, server)
end

-- A socket that only root may have: pending where we may not.
local function privileged(...)
  local s, message, code = sock.socket(...)
  if not s then
    assert.equal("EPERM", code)
    pending(message)
  end
  return s
end

describe("sock.socket", function()
  it("makes an inet stream socket unless told otherwise", function()
    local s <close> = assert(sock.socket())
    assert.equal("inet", s:getsockopt("domain"))
    assert.equal("stream", s:getsockopt("type"))
  end)

  it("takes nil for what it is to choose", function()
    local s <close> = assert(sock.socket(nil, "dgram", nil))
    assert.equal("inet", s:getsockopt("domain"))
    assert.equal("dgram", s:getsockopt("type"))
  end)

  for _, case in ipairs { { "inet", "stream" }, { "inet", "dgram" }, { "inet6", "stream" },
    { "inet6", "dgram" }, { "unix", "stream" }, { "unix", "dgram" }, { "unix", "seqpacket" },
    { "netlink", "dgram" }, { "netlink", "raw" } } do
    local family, type = table.unpack(case)
    it("makes a socket: " .. family .. " " .. type, function()
      local s <close> = assert(sock.socket(family, type))
      assert.equal(family, s:getsockopt("domain"))
      assert.equal(type, s:getsockopt("type"))
      assert.equal(family, s:getsockname().family)
    end)
  end

  for _, case in ipairs { { "inet", "raw", "icmp" }, { "inet6", "raw", "ipv6-icmp" },
    { "packet", "raw" }, { "packet", "dgram" } } do
    local family, type, protocol = table.unpack(case)
    it("makes a socket for root: " .. family .. " " .. type, function()
      local s <close> = privileged(family, type, protocol)
      assert.equal(family, s:getsockopt("domain"))
      assert.equal(type, s:getsockopt("type"))
    end)
  end

  it("makes a vsock socket where the kernel has them", function()
    local s <close>, message, code = sock.socket("vsock")
    if not s then
      assert.equal("EAFNOSUPPORT", code)
      pending(message)
    end
    assert.equal("vsock", s:getsockopt("domain"))
    assert.equal("vsock", s:getsockname().family)
  end)

  it("takes a protocol's number", function()
    local s <close> = assert(sock.socket("inet", "dgram", 17))
    assert.equal(17, s:getsockopt("protocol"))
  end)

  it("takes a protocol's name", function()
    local s <close> = assert(sock.socket("inet", "dgram", "udp"))
    assert.equal(17, s:getsockopt("protocol"))
  end)

  it("takes a packet socket's protocol as the number that is on the wire", function()
    local s <close> = privileged("packet", "raw", 0x88b5) -- for experiments, IEEE 802
    assert(s:bind("packet:lo"))
    assert.equal("packet:lo:34997", tostring(s:getsockname()):match("^packet:lo:%d+"))
  end)

  it("takes IPv6 alone on an inet6 socket", function()
    local s <close> = assert(sock.socket("inet6"))
    assert.is_true(s:getsockopt("ipv6_v6only"))
  end)

  it("says which kind the system does not have", function()
    assert.same(pack(nil, "socket inet seqpacket: Socket type not supported", "ESOCKTNOSUPPORT"),
      pack(sock.socket("inet", "seqpacket")))
  end)

  it("says that a protocol is not of the type", function()
    local s, message, code = sock.socket("inet", "stream", "udp")
    assert.is_nil(s)
    assert.equal("socket inet stream: Protocol not supported", message)
    assert.equal("EPROTONOSUPPORT", code)
  end)

  it("raises for an unknown family, and names it", function()
    for _, family in ipairs { "ipx", "", "INET", "inet\0", "inet ", "\xff" } do
      assert.error_matches(function() sock.socket(family) end,
        "bad argument #1 to 'socket' (unknown family \"", 1, true)
    end
    assert.error_matches(function() sock.socket("ipx") end, 'unknown family "ipx"', 1, true)
  end)

  it("raises for an unknown type, and names it", function()
    for _, type in ipairs { "tcp", "", "Stream", "stream\0x" } do
      assert.error_matches(function() sock.socket("inet", type) end,
        "bad argument #2 to 'socket' (unknown type \"", 1, true)
    end
  end)

  it("raises for an unknown protocol", function()
    for _, protocol in ipairs { "no-such-protocol", "", "udp\0", "\xff", ("x"):rep(10 << 20) } do
      assert.error_matches(function() sock.socket("inet", "dgram", protocol) end,
        "bad argument #3 to 'socket' (unknown protocol", 1, true)
    end
  end)

  it("raises for a protocol's number out of range", function()
    for _, protocol in ipairs { -1, 65536, math.maxinteger } do
      assert.error_matches(function() sock.socket("inet", "dgram", protocol) end,
        "bad argument #3 to 'socket' (protocol out of range)", 1, true)
    end
  end)

  it("raises for arguments of other Lua types", function()
    assert.error_matches(function() sock.socket(2) end, "bad argument #1 to 'socket'")
    assert.error_matches(function() sock.socket({}) end, "bad argument #1 to 'socket'")
    assert.error_matches(function() sock.socket("inet", 1) end, "bad argument #2 to 'socket'")
    assert.error_matches(function() sock.socket("inet", "dgram", true) end,
      "bad argument #3 to 'socket'")
  end)
end)

describe("sock.socketpair", function()
  it("makes two stream sockets that are connected", function()
    local a, b, _ <close> = pair()
    assert.equal("unix", a:getsockopt("domain"))
    assert.equal("stream", b:getsockopt("type"))
    assert(a:write("to b\n"))
    assert(b:write("to a\n"))
    assert.equal("to b", b:read())
    assert.equal("to a", a:read())
  end)

  for _, type in ipairs { "dgram", "seqpacket" } do
    it("keeps the messages of a pair apart: " .. type, function()
      local a, b, _ <close> = pair(type)
      assert.equal(type, a:getsockopt("type"))
      assert(a:send("one"))
      assert(a:send("two"))
      assert.equal("one", b:recv())
      assert.equal("two", b:recv())
    end)
  end

  it("raises for what is no type", function()
    assert.error_matches(function() sock.socketpair("pipe") end,
      "bad argument #1 to 'socketpair' (unknown type \"pipe\")", 1, true)
    assert.error_matches(function() sock.socketpair(1) end, "bad argument #1 to 'socketpair'")
  end)
end)

describe("a socket's names", function()
  for _, host in ipairs { "127.0.0.1", "::1" } do
    it("are each other's at the two ends: " .. host, function()
      local c, s, _ <close> = tcp(host)
      assert.equal(c:getsockname(), s:getpeername())
      assert.equal(s:getsockname(), c:getpeername())
      assert.equal(host, c:getsockname().host)
      assert.not_equal(c:getsockname(), c:getpeername())
    end)

    it("are four values in tuple: " .. host, function()
      local c, s, _ <close> = tcp(host)
      local mine, its = c:getsockname().port, c:getpeername().port
      assert.same(pack(host, mine, host, its), pack(c:tuple()))
      assert.same(pack(host, its, host, mine), pack(s:tuple()))
    end)
  end

  it("are what another program sees", function()
    local python <close> = peer.python([[
import socket
l = socket.create_server(("127.0.0.1", 0))
print(l.getsockname()[1])
c, peer = l.accept()
print(peer[1])
c.recv(1)
]])
    local port = math.tointeger(python:expect("%d+"))
    local s <close> = assert(sock.socket())
    assert(s:connect("127.0.0.1", port))
    local seen = math.tointeger(python:expect("%d+"))
    assert.same(pack("127.0.0.1", seen, "127.0.0.1", port), pack(s:tuple()))
  end)

  it("are the wildcard before bind", function()
    local s <close> = assert(sock.socket("inet6"))
    assert.equal(sock.address("::", 0), s:getsockname())
  end)

  it("are unnamed for a pair", function()
    local a, b, _ <close> = pair()
    assert.equal(sock.address("unix:"), a:getsockname())
    assert.equal(sock.address("unix:"), b:getpeername())
  end)

  it("are a failure where there is no peer", function()
    local s <close> = assert(sock.socket())
    local why = " 0.0.0.0:0: Transport endpoint is not connected"
    assert.same(pack(nil, "getpeername" .. why, "ENOTCONN"), pack(s:getpeername()))
    assert.same(pack(nil, "tuple" .. why, "ENOTCONN"), pack(s:tuple()))
  end)
end)

describe("tostring of a socket", function()
  it("shows both ends of a connection", function()
    local c, s, _ <close> = tcp("127.0.0.1")
    local mine, its = c:getsockname().port, c:getpeername().port
    assert.equal("tcp 127.0.0.1:" .. mine .. " <-> 127.0.0.1:" .. its, tostring(c))
    assert.equal("tcp 127.0.0.1:" .. its .. " <-> 127.0.0.1:" .. mine, tostring(s))
  end)

  it("shows both ends in IPv6", function()
    local c, s, _ <close> = tcp("::1")
    local mine, its = c:getsockname().port, c:getpeername().port
    assert.equal("tcp [::1]:" .. mine .. " <-> [::1]:" .. its, tostring(c))
    assert.equal("tcp [::1]:" .. its .. " <-> [::1]:" .. mine, tostring(s))
  end)

  it("shows a listener", function()
    local s <close> = assert(sock.socket())
    assert(s:bind("*", 0)):listen()
    assert.equal("tcp 0.0.0.0:" .. s:getsockname().port .. " (listening)", tostring(s))
  end)

  it("shows a datagram socket, bound or connected", function()
    local s <close> = assert(sock.socket("inet6", "dgram"))
    assert.equal("udp [::]:0", tostring(s))
    assert(s:bind("::1", 0))
    local port = s:getsockname().port
    assert.equal("udp [::1]:" .. port, tostring(s))
    assert(s:connect("::1", 9))
    assert.equal("udp [::1]:" .. port .. " <-> [::1]:9", tostring(s))
  end)

  it("shows a Unix path that is listening", function()
    local folder, _ <close> = peer.tempdir()
    local s <close> = assert(sock.socket("unix"))
    assert(s:bind("unix:" .. folder .. "/s"))
    assert.equal("unix:" .. folder .. "/s", tostring(s))
    assert(s:listen())
    assert.equal("unix:" .. folder .. "/s (listening)", tostring(s))
  end)

  it("shows an abstract name", function()
    local s <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:"))
    assert.equal("unix:" .. s:getsockname().path, tostring(s))
  end)

  it("shows a pair", function()
    local a, b, _ <close> = pair()
    assert.equal("unix: <-> unix:", tostring(a))
    assert.equal("unix: <-> unix:", tostring(b))
  end)

  it("shows a raw socket", function()
    local s <close> = privileged("inet", "raw", "icmp")
    assert(s:bind("127.0.0.1"))
    assert.matches("^raw 127%.0%.0%.1", tostring(s))
  end)

  it("shows a netlink socket", function()
    local s <close> = assert(sock.socket("netlink", "raw"))
    assert(s:bind("netlink:0:0"))
    assert.matches("^netlink:%d+:0", tostring(s))
  end)

  it("shows a packet socket", function()
    local s <close> = privileged("packet", "dgram")
    assert(s:bind("packet:lo"))
    assert.matches("^packet:lo", tostring(s))
  end)

  it("shows that it is closed", function()
    local s = assert(sock.socket())
    s:close()
    assert.equal("socket (closed)", tostring(s))
  end)

  it("shows the peer still when the peer has gone", function()
    local c, s, _ <close> = tcp("127.0.0.1")
    local text = tostring(c)
    assert(s:setsockopt("linger", 0)) -- its close is a reset
    s:close()
    assert.equal("ECONNRESET", select(3, c:recv()))
    assert.equal(text:match("<%->.*"), tostring(c):match("<%->.*"))
  end)

  it("shows no peer after a connect that failed", function()
    local s <close> = assert(sock.socket())
    assert.equal("ECONNREFUSED", select(3, s:connect("127.0.0.1", peer.freeport())))
    assert.is_nil(tostring(s):find("<->", 1, true))
  end)
end)

describe("sock.type", function()
  it("tells a socket from a closed one", function()
    local s = assert(sock.socket())
    assert.equal("socket", sock.type(s))
    s:close()
    assert.equal("closed socket", sock.type(s))
  end)

  it("knows an address", function()
    assert.equal("address", sock.type(sock.address("unix:")))
  end)

  it("is nil for anything else", function()
    for _, value in ipairs { 1, "socket", true, {}, print, io.stdout, coroutine.create(print) } do
      assert.is_nil(sock.type(value))
    end
    assert.is_nil(sock.type(nil))
  end)

  it("raises without a value", function()
    assert.error_matches(function() sock.type() end, "bad argument #1 to 'type'")
  end)
end)
