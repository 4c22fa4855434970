local sock = require "sock"
local peer = require "spec.support.peer"

local pack = table.pack

-- Bytes of garbage that a thousand calls leave.
local function garbage(f)
  collectgarbage()
  collectgarbage()
  collectgarbage("stop")
  f() -- what a first call makes for good is no garbage
  local before = collectgarbage("count")
  for _ = 1, 1000 do
    f()
  end
  local after = collectgarbage("count")
  collectgarbage("restart")
  return (after - before) * 1024
end

describe("sock.address", function()
  describe("of IPv4", function()
    it("reads a host and a port", function()
      local a = assert(sock.address("127.0.0.1", 80))
      assert.equal("inet", a.family)
      assert.equal("127.0.0.1", a.host)
      assert.equal(80, a.port)
      assert.equal("integer", math.type(a.port))
      assert.is_nil(a.path)
    end)

    it("reads both from one text", function()
      local a = assert(sock.address("192.0.2.255:65535"))
      assert.equal("192.0.2.255", a.host)
      assert.equal(65535, a.port)
    end)

    it("takes a port in digits", function()
      assert.equal(sock.address("127.0.0.1", 80), sock.address("127.0.0.1", "80"))
    end)

    it("takes a float that is whole", function()
      assert.equal(sock.address("127.0.0.1", 80), sock.address("127.0.0.1", 80.0))
    end)
  end)

  describe("of IPv6", function()
    it("reads a host and a port", function()
      local a = assert(sock.address("::1", 80))
      assert.equal("inet6", a.family)
      assert.equal("::1", a.host)
      assert.equal(80, a.port)
      assert.is_nil(a.path)
    end)

    it("reads a host in brackets and a port", function()
      local a = assert(sock.address("[2001:db8::1]:443"))
      assert.equal("2001:db8::1", a.host)
      assert.equal(443, a.port)
    end)

    it("keeps a scope by the interface's name", function()
      local a = assert(sock.address("[fe80::1%lo]:80"))
      assert.equal("fe80::1%lo", a.host)
      assert.equal("[fe80::1%lo]:80", tostring(a))
    end)

    it("reads a scope by the interface's index", function()
      local index = assert(sock.if_nametoindex("lo"))
      assert.equal(sock.address("fe80::1%lo", 80), sock.address("fe80::1%" .. index, 80))
    end)

    it("keeps the index of an interface that is not there", function()
      local a = assert(sock.address("[fe80::1%123456]:80"))
      assert.equal("fe80::1%123456", a.host)
    end)

    it("tells scopes apart", function()
      local a, b = sock.address("fe80::1%1", 80), sock.address("fe80::1%123456", 80)
      assert.not_equal(a, b)
      assert.not_equal(a, sock.address("fe80::1", 80))
    end)

    it("writes a host in its shortest form", function()
      assert.equal("2001:db8::1", sock.address("2001:0DB8:0:0:0:0:0:1", 0).host)
    end)

    it("shows a mapped IPv4 host as inet", function()
      assert.equal(sock.address("192.0.2.1:80"), sock.address("[::ffff:192.0.2.1]:80"))
    end)
  end)

  describe("of Unix", function()
    it("reads a path", function()
      local a = assert(sock.address("unix:/run/x.sock"))
      assert.equal("unix", a.family)
      assert.equal("/run/x.sock", a.path)
      assert.is_nil(a.host)
      assert.is_nil(a.port)
    end)

    it("reads a relative path", function()
      assert.equal("x.sock", sock.address("unix:x.sock").path)
    end)

    it("keeps colons, spaces and bytes that are no text in a path", function()
      local path = "/tmp/a:1 \n\xff\xfe[::1]:80"
      assert.equal(path, sock.address("unix:" .. path).path)
    end)

    it("reads an abstract name", function()
      assert.equal("@name", sock.address("unix:@name").path)
    end)

    it("keeps every byte of an abstract name", function()
      local name = "@\0a\0\xff:/\0"
      assert.equal(name, sock.address("unix:" .. name).path)
    end)

    it("tells abstract names apart by their last zero byte", function()
      assert.not_equal(sock.address("unix:@a"), sock.address("unix:@a\0"))
    end)

    it("tells an empty abstract name from the unnamed address", function()
      assert.not_equal(sock.address("unix:@"), sock.address("unix:"))
      assert.equal("@", sock.address("unix:@").path)
    end)

    it("reads the unnamed address", function()
      local a = assert(sock.address("unix:"))
      assert.equal("", a.path)
    end)

    it("takes an abstract name of 108 bytes with its @", function()
      local text = "unix:@" .. ("x"):rep(107)
      assert.equal(text, tostring(sock.address(text)))
    end)

    it("says how long a path may be", function()
      local a, message, code = sock.address("unix:/" .. ("x"):rep(200))
      assert.is_nil(a)
      assert.matches("a unix path has at most 10[78] bytes, not 201", message)
      assert.equal("EINVAL", code)
    end)

    it("says how long an abstract name may be", function()
      local a, message, code = sock.address("unix:@" .. ("x"):rep(108))
      assert.is_nil(a)
      assert.matches("a unix path has at most 108 bytes, not 109", message)
      assert.equal("EINVAL", code)
    end)
  end)

  describe("of the system's own families", function()
    it("reads a vsock context and port", function()
      local a = assert(sock.address("vsock:3:4294967295"))
      assert.equal("vsock", a.family)
      assert.equal("3", a.host)
      assert.equal(4294967295, a.port)
    end)

    it("reads a netlink port id and groups", function()
      local a = assert(sock.address("netlink:0:1"))
      assert.equal("netlink", a.family)
      assert.is_nil(a.path)
      assert.is_nil(a.host)
    end)

    it("reads a packet interface", function()
      local a = assert(sock.address("packet:lo"))
      assert.equal("packet", a.family)
      assert.equal("lo", a.host)
    end)

    it("says that a packet interface is not there", function()
      local a, message, code = sock.address("packet:nosuch0")
      assert.is_nil(a)
      assert.matches("no such interface", message)
      assert.equal("EINVAL", code)
    end)
  end)

  it("gives an address back as it is", function()
    local a = sock.address("127.0.0.1:80")
    assert.equal(a, sock.address(a))
  end)

  for _, port in ipairs { 0, 1, 1023, 1024, 49151, 49152, 65535 } do
    it("takes port " .. port, function()
      assert.equal(port, sock.address("127.0.0.1", port).port)
      assert.equal(port, sock.address("[::1]:" .. port).port)
    end)
  end

  for _, port in ipairs { -1, 65536, 70000, math.maxinteger, math.mininteger } do
    it("raises for port " .. port, function()
      assert.error_matches(function() sock.address("127.0.0.1", port) end,
        "bad argument #2 to 'address' (port out of range)", 1, true)
    end)
  end

  it("raises for a port that is no integer", function()
    for _, port in ipairs { 1.5, 0 / 0, math.huge } do
      assert.error_matches(function() sock.address("127.0.0.1", port) end,
        "bad argument #2 to 'address' (number has no integer representation)", 1, true)
    end
  end)

  it("raises for what is neither text nor number", function()
    for _, value in ipairs { true, {}, print } do
      assert.error_matches(function() sock.address(value) end, "bad argument #1 to 'address'")
      assert.error_matches(function() sock.address("::1", value) end,
        "bad argument #2 to 'address'")
    end
    assert.error_matches(function() sock.address() end, "bad argument #1 to 'address'")
    assert.error_matches(function() sock.address(80) end, "bad argument #1 to 'address'")
  end)

  it("looks no name up", function()
    assert.equal("EINVAL", select(3, sock.address("localhost:80")))
    assert.equal("EINVAL", select(3, sock.address("localhost", 80)))
    assert.equal("EINVAL", select(3, sock.address("127.0.0.1:http")))
    assert.equal("EINVAL", select(3, sock.address("127.0.0.1", "http")))
    assert.equal("EINVAL", select(3, sock.address("*:80")))
    assert.equal("EINVAL", select(3, sock.address("*", 80)))
  end)

  it("says what is wrong with a text", function()
    assert.same(pack(nil, 'address "127.0.0.1": neither host:port nor [host]:port:'
      .. " Invalid argument", "EINVAL"), pack(sock.address("127.0.0.1")))
    assert.same(pack(nil, 'address "127.1:80": not a numeric host: Invalid argument', "EINVAL"),
      pack(sock.address("127.1:80")))
    assert.same(pack(nil, 'address "::1:65536": neither host:port nor [host]:port:'
      .. " Invalid argument", "EINVAL"), pack(sock.address("::1:65536")))
  end)

  it("is immutable", function()
    local a = sock.address("127.0.0.1:80")
    assert.has_error(function() a.port = 81 end)
    assert.has_error(function() a.note = "mine" end)
    assert.equal("127.0.0.1:80", tostring(a))
  end)

  it("has no field of another name", function()
    local a = sock.address("127.0.0.1:80")
    for _, name in ipairs { "", "hosts", "Host", "host\0", "family\0x", "__gc", 1, true } do
      assert.is_nil(a[name])
    end
  end)
end)

describe("an address's text", function()
  local texts = {
    "0.0.0.0:0", "127.0.0.1:80", "255.255.255.255:65535",
    "[::]:0", "[::1]:80", "[2001:db8::1]:65535", "[fe80::1%lo]:80", "[fe80::1%123456]:0",
    "[::102:304]:80",
    "unix:", "unix:/run/x.sock", "unix:x.sock", "unix:./@x", "unix:/tmp/\n\xff : ",
    "unix:@", "unix:@name", "unix:@a\0b\0", "unix:@@", "unix:@\0\0",
    "unix:/" .. ("x"):rep(106), "unix:@" .. ("x"):rep(107),
    "vsock:3:1024", "vsock:4294967295:4294967295",
    "netlink:0:0", "netlink:4294967295:4294967295",
    "packet:lo", "packet:0", "packet:123456", "packet:lo:2048",
    "packet:lo:2048:02-00-00-ab-cd-ef", "packet:lo:0:02-00-00-ab-cd-ef:4", "packet:lo:3::4",
    "packet:lo:0:01-02-03-04-05-06-07-08",
  }
  for _, text in ipairs(texts) do
    it(("reads back: %q"):format(text), function()
      local a = sock.address(text)
      local again = a and sock.address(tostring(a))
      assert.is_not_nil(a)
      assert.equal(a, again)
    end)
  end

  it("is the shortest of each kind", function()
    assert.equal("127.0.0.1:80", tostring(sock.address("127.0.0.1", 80)))
    assert.equal("[::1]:80", tostring(sock.address("0::0:1", 80)))
    assert.equal("unix:@a\0b", tostring(sock.address("unix:@a\0b")))
    assert.equal("packet:lo", tostring(sock.address("packet:lo:0")))
  end)

  it("reads back for a Unix path without room for a final zero", function()
    -- Linux takes 108 bytes: unix(7), "Pathname sockets"
    local folder, _ <close> = peer.tempdir()
    local path = folder .. "/" .. ("x"):rep(107 - #folder)
    local s <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:")) -- unnamed: the kernel chooses a name, unix(7)
    local python <close> = peer.python([[
import ctypes, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = (socket.AF_UNIX).to_bytes(2, sys.byteorder) + sys.argv[1].encode()
assert ctypes.CDLL(None).bind(s.fileno(), name, len(name)) == 0
s.sendto(b"x", "\0" + sys.argv[2])
print("sent")
]], path, assert(s:getsockname()).path:sub(2))
    python:expect("sent")
    local _, from = assert(s:recvfrom())
    assert.equal(path, from.path)
    assert.equal(from, (sock.address(tostring(from))))
  end)
end)

describe("equal addresses", function()
  it("are one value, however they are written", function()
    local a = sock.address("[::1]:80")
    assert.equal(a, sock.address("::1", 80))
    assert.equal(a, sock.address("0:0:0:0:0:0:0:1", "80"))
    assert.not_equal(a, sock.address("::1", 81))
    assert.not_equal(a, sock.address("::2", 80))
  end)

  it("serve as table keys", function()
    local seen = { [sock.address("127.0.0.1:80")] = "v4", [sock.address("unix:@x")] = "abstract" }
    assert.equal("v4", seen[sock.address("127.0.0.1", 80)])
    assert.equal("abstract", seen[sock.address("unix:@x")])
    assert.is_nil(seen[sock.address("127.0.0.1", 81)])
  end)

  it("are one value after a collection while one is in use", function()
    local a = sock.address("192.0.2.7:4000")
    local seen = { [sock.address("192.0.2.8:4000")] = true }
    collectgarbage()
    collectgarbage()
    assert.equal(a, sock.address("192.0.2.7:4000"))
    assert.is_true(seen[sock.address("192.0.2.8:4000")])
  end)

  it("are collected when none is in use, and one value again", function()
    local seen = setmetatable({}, { __mode = "k" })
    for port = 1, 100 do
      seen[sock.address("192.0.2.9", port)] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
    assert.equal(sock.address("192.0.2.9", 1), sock.address("192.0.2.9:1"))
  end)

  it("are one value with what the kernel tells", function()
    local folder, _ <close> = peer.tempdir()
    for _, text in ipairs { "127.0.0.1:0", "[::1]:0", "unix:" .. folder .. "/s" } do
      local s <close> = assert(sock.socket(sock.address(text).family, "dgram"))
      assert(s:bind(text))
      local a = assert(s:getsockname())
      assert.equal(a, sock.address(tostring(a)))
    end
  end)

  for _, text in ipairs { "127.0.0.1:0", "[::1]:0", "unix:" } do
    local family = sock.address(text).family
    it("make no garbage for datagrams of a known peer of " .. family, function()
      local receiver <close> = assert(sock.socket(family, "dgram"))
      local sender <close> = assert(sock.socket(family, "dgram"))
      assert(receiver:bind(text))
      assert(sender:bind(text))
      local to, known = assert(receiver:getsockname()), assert(sender:getsockname())
      local from
      local bytes = garbage(function()
        sender:sendto("x", to)
        from = select(2, receiver:recvfrom())
      end)
      assert.equal(known, from)
      assert.equal(0, bytes)
    end)
  end

  it("make no garbage for datagrams of a known peer with a long path", function()
    local folder, _ <close> = peer.tempdir()
    local receiver <close> = assert(sock.socket("unix", "dgram"))
    local sender <close> = assert(sock.socket("unix", "dgram"))
    assert(receiver:bind("unix:" .. folder .. "/receiver"))
    assert(sender:bind("unix:" .. folder .. "/" .. ("x"):rep(60)))
    local to, known = assert(receiver:getsockname()), assert(sender:getsockname())
    local from
    local bytes = garbage(function()
      sender:sendto("x", to)
      from = select(2, receiver:recvfrom())
    end)
    assert.equal(known, from)
    assert.equal(0, bytes)
  end)
end)

describe("addresses of real peers", function()
  it("keep the zero bytes of an abstract name", function()
    local s <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:"))
    local mine = assert(s:getsockname()).path
    local python <close> = peer.python([[
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(b"\0a\0%d\0" % os.getpid())
s.sendto(b"hello", "\0" + sys.argv[1])
print(os.getpid(), s.recv(10))
]], mine:sub(2))
    local data, from = s:recvfrom()
    assert.equal("hello", data)
    assert.equal("@a\0" .. python.pid .. "\0", from.path)
    assert(s:sendto("answer", "unix:@a\0" .. python.pid .. "\0"))
    assert.equal("b'answer'", python:expect("^%d+ (.*)$"))
  end)

  it("keep the scope of a link-local host", function()
    local host
    for _, interface in ipairs(sock.interfaces()) do
      for _, each in ipairs(interface.addresses) do
        host = tostring(each.address):match("^%[(fe80:.*%%.*)%]") or host
      end
    end
    if not host then
      pending("no interface here has a link-local address")
    end
    local receiver <close> = assert(sock.socket("inet6", "dgram"))
    local sender <close> = assert(sock.socket("inet6", "dgram"))
    assert(receiver:bind(host, 0))
    assert(sender:bind(host, 0))
    assert(sender:sendto("x", assert(receiver:getsockname())))
    local _, from = receiver:recvfrom()
    assert.equal(host, from.host)
    assert.equal(sender:getsockname(), from)
  end)

  it("are unnamed for a Unix socket that is not bound", function()
    local s <close> = assert(sock.socket("unix"))
    local c <close> = assert(sock.socket("unix"))
    assert(s:bind("unix:")):listen()
    assert(c:connect(assert(s:getsockname())))
    local conn <close>, from = s:accept()
    assert.equal(sock.address("unix:"), from)
    assert.equal(sock.address("unix:"), conn:getpeername())
  end)

  it("are unnamed for a datagram from a Unix socket that is not bound", function()
    local s <close> = assert(sock.socket("unix", "dgram"))
    local c <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:"))
    assert(c:sendto("x", assert(s:getsockname())))
    local data, from = s:recvfrom()
    assert.equal("x", data)
    assert.equal(sock.address("unix:"), from)
  end)
end)

describe("sock.portrange", function()
  local ranges = { { 0, "well-known" }, { 80, "well-known" }, { 1023, "well-known" },
    { 1024, "registered" }, { 49151, "registered" }, { 49152, "dynamic" }, { 65535, "dynamic" } }
  for _, range in ipairs(ranges) do
    local port, name = table.unpack(range)
    it("says " .. name .. " of port " .. port, function()
      assert.equal(name, sock.portrange(port))
    end)
  end

  it("raises for what is no port", function()
    for _, port in ipairs { -1, 65536, 1.5, "x", true } do
      assert.error_matches(function() sock.portrange(port) end,
        "bad argument #1 to 'portrange'")
    end
    assert.error_matches(function() sock.portrange() end, "bad argument #1 to 'portrange'")
  end)
end)

describe("sock.inet_pton", function()
  it("gives the four bytes of an IPv4 host", function()
    assert.equal("\127\0\0\1", sock.inet_pton("127.0.0.1"))
  end)

  it("gives the sixteen bytes of an IPv6 host", function()
    assert.equal(("\0"):rep(15) .. "\1", sock.inet_pton("::1"))
    assert.equal(("\0"):rep(10) .. "\xff\xff\1\2\3\4", sock.inet_pton("::ffff:1.2.3.4"))
  end)

  it("says that a text is no numeric host", function()
    for _, text in ipairs { "", "127.1", "0x7f.1", "1.2.3", "1.2.3.256", "1.2.3.4\0", "::1%lo",
      "::1%", "[::1]", "12345::", "localhost", ("1"):rep(10 << 20) } do
      local bytes, message, code = sock.inet_pton(text)
      assert.is_nil(bytes)
      assert.matches("^inet_pton \"", message)
      assert.equal("EINVAL", code)
    end
  end)

  it("raises for what is no text", function()
    assert.error_matches(function() sock.inet_pton({}) end, "bad argument #1 to 'inet_pton'")
  end)
end)

describe("sock.inet_ntop", function()
  it("gives the text of four or sixteen bytes", function()
    assert.equal("192.0.2.255", sock.inet_ntop("\192\0\2\255"))
    assert.equal("::1", sock.inet_ntop(("\0"):rep(15) .. "\1"))
    assert.equal("::ffff:1.2.3.4", sock.inet_ntop(("\0"):rep(10) .. "\xff\xff\1\2\3\4"))
  end)

  it("is the inverse of inet_pton", function()
    for _, text in ipairs { "0.0.0.0", "255.255.255.255", "::", "2001:db8::8:800:200c:417a" } do
      assert.equal(text, sock.inet_ntop(sock.inet_pton(text)))
    end
  end)

  it("raises for another number of bytes", function()
    for _, bytes in ipairs { "", "\0\0\0", "\0\0\0\0\0", ("\0"):rep(15), ("\0"):rep(17) } do
      assert.error_matches(function() sock.inet_ntop(bytes) end,
        "bad argument #1 to 'inet_ntop' (4 or 16 bytes expected)", 1, true)
    end
  end)
end)
