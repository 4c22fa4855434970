-- getsockopt and setsockopt: the values of options, and what they refuse.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local fails, raises = fixtures.fails, fixtures.raises

describe("s:getsockopt", function()
  it("reads type and domain as sock.socket takes them", function()
    for _, family in ipairs { "inet", "unix" } do
      for _, kind in ipairs { "stream", "dgram" } do
        local s <close> = assert(sock.socket(family, kind))
        assert.equal(kind, s:getsockopt("type"))
        assert.equal(family, s:getsockopt("domain"))
      end
    end
  end)

  it("reads whether a socket listens", function()
    local s <close> = sock.socket()
    assert.is_false(s:getsockopt("acceptconn"))
    assert(s:bind("127.0.0.1", 0):listen())
    assert.is_true(s:getsockopt("acceptconn"))
  end)

  it("reads a pending error as its code, once", function()
    local closed <close> = sock.socket("inet", "dgram")
    assert(closed:bind("127.0.0.1", 0))
    local s <close> = sock.socket("inet", "dgram")
    assert(s:connect(closed:getsockname()))
    assert.is_false(s:getsockopt("error"))
    closed:close()
    s:send("x") -- the answer is an ICMP message, at once on loopback
    assert.equal("ECONNREFUSED", s:getsockopt("error"))
    assert.is_false(s:getsockopt("error"))
  end)

  it("reads who is at the other end of a Unix socket", function()
    local a <close>, b = sock.socketpair()
    local _ <close> = b
    local peer = a:getsockopt("peercred")
    assert.is_true(peer.pid > 0)
    assert.same(peer, b:getsockopt("peercred"))
    assert.equal("integer", math.type(peer.uid))
    assert.equal("integer", math.type(peer.gid))
  end)

  it("answers what the kernel refuses with the option's name", function()
    local a <close>, b = sock.socketpair()
    local _ <close> = b
    fails("getsockopt tcp_maxseg: Operation not supported", "EOPNOTSUPP",
      a:getsockopt("tcp_maxseg"))
    fails("setsockopt tcp_nodelay: Operation not supported", "EOPNOTSUPP",
      b:setsockopt("tcp_nodelay", true))
    local s <close> = sock.socket("inet", "dgram")
    fails("setsockopt tcp_nodelay: Protocol not available", "ENOPROTOOPT",
      s:setsockopt("tcp_nodelay", true))
    fails("getsockopt ip_mtu: Transport endpoint is not connected", "ENOTCONN",
      s:getsockopt("ip_mtu"))
  end)

  it("reads the path's MTU of a connected socket", function()
    local s <close> = sock.socket("inet", "dgram")
    assert(s:connect("127.0.0.1", 9))
    assert.is_true(s:getsockopt("ip_mtu") >= 576)
  end)
end)

describe("tcp_info", function()
  local function pair()
    local listener <close> = sock.socket()
    assert(listener:bind("127.0.0.1", 0):listen())
    local a = sock.socket()
    assert(a:connect(listener:getsockname()))
    local b = assert(listener:accept())
    return a, b
  end

  it("names the state", function()
    local s <close> = sock.socket()
    assert.equal("CLOSE", s:getsockopt("tcp_info").state)
    assert(s:bind("127.0.0.1", 0):listen())
    assert.equal("LISTEN", s:getsockopt("tcp_info").state)
    local a <close>, b = pair()
    local _ <close> = b
    assert.equal("ESTABLISHED", a:getsockopt("tcp_info").state)
    b:close()
    assert.is_nil((a:recv(1)))
    assert.equal("CLOSE_WAIT", a:getsockopt("tcp_info").state)
  end)

  it("counts bytes and segments", function()
    local a <close>, b = pair()
    local _ <close> = b
    assert.equal(1000, a:send(("x"):rep(1000)))
    assert.equal(1000, #b:recv(1000))
    local info = b:getsockopt("tcp_info")
    assert.equal(1000, info.bytes_received)
    assert.equal(1, info.data_segs_in)
    assert.equal(1000, a:getsockopt("tcp_info").bytes_sent)
  end)

  it("gives times in seconds", function()
    local a <close>, b = pair()
    local _ <close> = b
    a:send("x")
    b:recv(1)
    local info = a:getsockopt("tcp_info")
    assert.equal("float", math.type(info.rtt))
    assert.is_true(info.rtt > 0 and info.rtt < 1)
    assert.is_true(info.rto >= 0.001 and info.rto < 10)
    assert.is_true(info.min_rtt <= info.rtt * 10 and info.last_data_sent < 10)
  end)

  it("gives an unlimited rate as math.huge", function()
    local s <close> = sock.socket()
    assert.equal(math.huge, s:getsockopt("tcp_info").max_pacing_rate)
    assert(s:setsockopt("max_pacing_rate", 100000))
    assert.equal(100000, s:getsockopt("tcp_info").max_pacing_rate)
  end)
end)

describe("s:setsockopt", function()
  local s
  before_each(function()
    s = sock.socket()
  end)
  after_each(function()
    s:close()
  end)

  --- Setting it raises an error about the value.
  local function refuses(name, value, text)
    local ok, message = pcall(s.setsockopt, s, name, value)
    assert.is_false(ok)
    assert.truthy(message:find("bad argument #3", 1, true), message)
    assert.truthy(message:find(text, 1, true), message)
  end

  it("returns the socket", function()
    assert.equal(s, s:setsockopt("reuseaddr", true))
  end)

  it("takes only a boolean where the option is one", function()
    refuses("tcp_nodelay", 1, "boolean expected, got number")
    refuses("reuseaddr", "yes", "boolean expected, got string")
    refuses("keepalive", nil, "boolean expected, got nil")
    refuses("linger", true, "false or seconds expected")
  end)

  it("takes only whole numbers in range where the option is one", function()
    refuses("rcvbuf", true, "number expected, got boolean")
    refuses("rcvbuf", 1.5, "number has no integer representation")
    refuses("rcvbuf", 1 << 31, "number out of range")
    refuses("tcp_keepidle", 1.5, "number has no integer representation")
    refuses("linger", -1, "number out of range")
    refuses("linger", 0.5, "number has no integer representation")
    refuses("mark", -1, "number out of range")
    refuses("mark", 1 << 32, "number out of range")
    refuses("max_pacing_rate", -1, "number out of range")
  end)

  it("takes only times that there are", function()
    for _, time in ipairs { -1, -math.huge, 0 / 0, 1e300, math.huge } do
      refuses("tcp_user_timeout", time, "time out of range")
    end
    refuses("tcp_user_timeout", "soon", "number expected, got string")
  end)

  it("never makes a short time none", function()
    assert(s:setsockopt("tcp_user_timeout", 0.000001))
    assert.equal(0.001, s:getsockopt("tcp_user_timeout"))
  end)

  it("keeps fractions of a second where the kernel does", function()
    assert(s:setsockopt("tcp_user_timeout", 4.35))
    assert.equal(4.35, s:getsockopt("tcp_user_timeout"))
    assert.equal(4350, (string.unpack("i4", s:getsockopt(6, 18, 4))))
  end)

  it("takes only texts that can be a kernel's name", function()
    refuses("tcp_congestion", ("x"):rep(16), "text too long")
    refuses("tcp_congestion", ("x"):rep(1e7), "text too long")
    refuses("tcp_congestion", "reno\0", "text contains zeros")
    refuses("bindtodevice", "lo\0", "text contains zeros")
    refuses("bindtodevice", {}, "string expected, got table")
    fails("setsockopt tcp_congestion: No such file or directory", "ENOENT",
      s:setsockopt("tcp_congestion", "no such one"))
  end)

  it("takes an interface by name or index", function()
    local u <close> = sock.socket("inet", "dgram")
    assert(u:setsockopt("ip_multicast_if", "lo"))
    assert.equal("lo", u:getsockopt("ip_multicast_if"))
    assert(u:setsockopt("ip_multicast_if", 1))
    assert.equal(1, u:getsockopt("ip_multicast_if"))
  end)

  it("refuses an interface that is none, and keeps what was", function()
    local u <close> = sock.socket("inet", "dgram")
    assert(u:setsockopt("ip_multicast_if", "lo"))
    for _, name in ipairs { "nosuch", "", "lo\0", ("x"):rep(1e6) } do
      fails("setsockopt ip_multicast_if: No such device", "ENODEV",
        u:setsockopt("ip_multicast_if", name))
    end
    assert.is_nil((u:setsockopt("ip_multicast_if", 0x7fffffff)))
    assert.equal("lo", u:getsockopt("ip_multicast_if"))
    refuses("bindtodevice", 1.5, "interface out of range")
    refuses("bindtodevice", -1, "interface out of range")
    refuses("ip_multicast_if", true, "interface must be a name or an index")
  end)

  it("reads an interface that was set by its address", function()
    local u <close> = sock.socket("inet", "dgram")
    assert(u:setsockopt(0, 32, "\127\0\0\1")) -- IPPROTO_IP, IP_MULTICAST_IF
    assert.equal("lo", u:getsockopt("ip_multicast_if"))
  end)

  it("forces buffers past the limit where it may", function()
    local done, message, code = s:setsockopt("rcvbufforce", 65536)
    if done then
      assert.equal(131072, s:getsockopt("rcvbuf"))
    else
      assert.equal("setsockopt rcvbufforce: Operation not permitted", message)
      assert.equal("EPERM", code)
    end
  end)

  it("binds to a device", function()
    local a <close> = sock.socket("inet", "dgram")
    local b <close> = sock.socket("inet", "dgram")
    assert(b:setsockopt("bindtodevice", "lo"))
    assert(b:bind("127.0.0.1", 0))
    assert(a:sendto("here", b:getsockname()))
    b:settimeout(5)
    assert.equal("here", b:recv())
  end)

  it("is refused on a closed socket", function()
    s:close()
    raises(function()
      s:setsockopt("reuseaddr", true)
    end, "attempt to use a closed socket")
    raises(function()
      s:getsockopt("reuseaddr")
    end, "attempt to use a closed socket")
  end)

  it("survives a table that closes the socket while it is read", function()
    local trap = setmetatable({ interface = "lo" }, {
      __index = function()
        s:close()
        return "239.1.2.3"
      end,
    })
    local done, _, code = s:setsockopt("ip_add_membership", trap)
    assert.is_nil(done)
    assert.equal("EBADF", code)
  end)
end)

describe("a level and a number", function()
  local SOL_SOCKET <const>, SO_RCVBUF <const> = 1, 8

  it("read and set the kernel's bytes", function()
    local s <close> = sock.socket()
    assert.equal(s, s:setsockopt(SOL_SOCKET, SO_RCVBUF, string.pack("i4", 50000)))
    assert.equal(string.pack("i4", 100000), s:getsockopt(SOL_SOCKET, SO_RCVBUF, 4))
    assert.equal(100000, s:getsockopt("rcvbuf"))
  end)

  it("give as many bytes as the kernel has", function()
    local s <close> = sock.socket()
    assert.equal("", s:getsockopt(SOL_SOCKET, SO_RCVBUF, 0))
    assert.equal(4, #s:getsockopt(SOL_SOCKET, SO_RCVBUF, 65536))
  end)

  it("are told in a failure", function()
    local s <close> = sock.socket()
    fails("getsockopt 1 9999: Protocol not available", "ENOPROTOOPT",
      s:getsockopt(SOL_SOCKET, 9999, 4))
    fails("setsockopt 1 9999: Protocol not available", "ENOPROTOOPT",
      s:setsockopt(SOL_SOCKET, 9999, "\0\0\0\0"))
    fails("setsockopt 1 8: Invalid argument", "EINVAL", s:setsockopt(SOL_SOCKET, SO_RCVBUF, ""))
  end)

  it("are numbers in range, and so is the size", function()
    local s <close> = sock.socket()
    local function refuses(text, method, ...)
      local ok, message = pcall(s[method], s, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    refuses("bad argument #2", "getsockopt", 1 << 31, 8, 4)
    refuses("bad argument #2", "getsockopt", 1.5, 8, 4)
    refuses("bad argument #3", "getsockopt", 1, 1 << 40, 4)
    refuses("bad argument #3", "getsockopt", 1)
    refuses("bad argument #4", "getsockopt", 1, 8)
    refuses("bad argument #4", "getsockopt", 1, 8, -1)
    refuses("bad argument #4", "getsockopt", 1, 8, 65537)
    refuses("bad argument #4", "setsockopt", 1, 8)
    refuses("bad argument #4", "setsockopt", 1, 8, ("x"):rep(65537))
  end)
end)
