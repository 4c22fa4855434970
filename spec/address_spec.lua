local sock = require "sock"

local pack = table.pack

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
    assert.same(pack(nil, 'address "127.0.0.1": neither host:port nor [host]:port',
      "EINVAL"), pack(sock.address("127.0.0.1")))
    assert.same(pack(nil, 'address "127.1:80": not a numeric host', "EINVAL"),
      pack(sock.address("127.1:80")))
    assert.same(pack(nil, 'address "::1:65536": neither host:port nor [host]:port',
      "EINVAL"), pack(sock.address("::1:65536")))
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
