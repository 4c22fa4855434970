-- Headers of the PROXY protocol that are made and sent.

local sock = require "sock"
local proxy = require "sock.proxy"
local proxying = require "spec.support.proxying"
local OWN, ends, given, inet = proxying.OWN, proxying.ends, proxying.given, proxying.inet
local raised, unix, v2 = proxying.raised, proxying.unix, proxying.v2

describe("proxy.header", function()
  local function header(version, from, to)
    return proxy.header(version, from and sock.address(from), to and sock.address(to))
  end

  it("makes what accept reads", function()
    local rows = { { "192.0.2.1:1", "192.0.2.9:2" }, { "[2001:db8::1]:1", "[2001:db8::9]:65535" },
      { "192.0.2.1:1", "[::1]:2" }, { "[::1]:1", "192.0.2.9:2" } }
    for _, row in ipairs(rows) do
      for version = 1, 2 do
        local source, destination = given { header(version, row[1], row[2]) }
        assert.same(row, { tostring(source), tostring(destination) })
      end
    end
    local source, destination = given { header(2, "unix:@name", "unix:/run/x") }
    assert.same({ "unix:@name", "unix:/run/x" }, { tostring(source), tostring(destination) })
  end)

  it("writes what the specification shows", function()
    assert.equal("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
      header(1, "192.168.0.1:56324", "192.168.0.11:443"))
    assert.equal("PROXY TCP6 ::1 0:0:0:0:0:ffff:c000:209 1 2\r\n", header(1, "[::1]:1",
      "192.0.2.9:2"))
    assert.equal(v2(0x21, 0x11, inet), header(2, "192.0.2.1:56324", "192.0.2.9:443"))
    assert.equal(v2(0x21, 0x31, unix("/a", "\0b")), header(2, "unix:/a", "unix:@b"))
  end)

  it("says that it is for nobody: UNKNOWN, LOCAL", function()
    assert.equal("PROXY UNKNOWN\r\n", header(1))
    assert.equal("PROXY UNKNOWN\r\n", header(1, "unix:/a", "unix:/b"))
    assert.equal(v2(0x20, 0, ""), header(2))
  end)

  it("fails for ends that no header holds", function()
    assert.same({ nil, "PROXY header: unix:/a and 192.0.2.1:1 in one", "EINVAL" },
      { header(2, "unix:/a", "192.0.2.1:1") })
    assert.equal("EINVAL", select(3, header(1, "netlink:0:1", "netlink:0:1")))
    assert.error_matches(function() header(3) end, "version 1 or 2 expected")
  end)
end)

describe("proxy.send", function()
  local function sent(option)
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local a <close> = assert(sock.socket():connect(l:getsockname()))
    local b <close> = assert(l:accept())
    local own, there = a:getsockname(), a:getpeername()
    assert.equal(a, proxy.send(a, option))
    local source, destination = proxy.accept(b, OWN, true)
    return source, destination, own, there
  end

  it("tells the connection's own ends", function()
    for _, option in ipairs { 1, 2, { version = 1 }, { version = 2 } } do
      local source, destination, own, there = sent(option)
      assert.equal(own, source)
      assert.equal(there, destination)
    end
  end)

  it("tells the ends it is given, as addresses or texts", function()
    for version = 1, 2 do
      local source, destination, _, there = sent { version = version, source = "[2001:db8::1]:9" }
      assert.equal("[2001:db8::1]:9", tostring(source))
      assert.equal(there, destination)
      source, destination = sent { version = version, source = sock.address("192.0.2.1:9"),
        destination = "192.0.2.2:8" }
      assert.same({ "192.0.2.1:9", "192.0.2.2:8" }, { tostring(source), tostring(destination) })
    end
  end)

  it("tells that it is for nobody", function()
    for version = 1, 2 do
      assert.equal(OWN, (sent { version = version, source = false }))
    end
  end)

  it("fails as a write does", function()
    local a, b = assert(sock.socketpair())
    b:close()
    assert.equal("EPIPE", select(3, proxy.send(a, 2)))
    a:close()
  end)

  it("raises for options that are none", function()
    local a, _, cleaner = ends()
    local _ <close> = cleaner
    for _, bad in ipairs { 3, "1", true, {}, { version = 0 }, { version = 2, from = "x" },
      { version = 2, source = "localhost:1" }, { version = 2, destination = 7 } } do
      local message = raised(function() proxy.send(a, bad) end)
      assert.matches("^spec/proxy_header_spec.lua:%d+: option 'proxy': .", message)
    end
  end)
end)

describe("sock.connect with proxy", function()
  it("sends the header before all else", function()
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0):listen())
    for _, option in ipairs { 1, 2, { version = 2, source = "192.0.2.1:5" } } do
      local a <close> = assert(sock.connect(l:getsockname(), { proxy = option }))
      a:write("hello\n")
      local b <close>, from = l:accept()
      local source = assert(proxy.accept(b, from, true))
      assert.equal(type(option) == "table" and "192.0.2.1:5" or tostring(a:getsockname()),
        tostring(source))
      assert.equal("hello", b:read())
    end
  end)

  it("is an option of a pool's address, too", function()
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local pool <close> = sock.pool(l:getsockname(), { proxy = 2 })
    local a <close> = assert(pool:get())
    local b <close>, from = l:accept()
    assert.equal(a:getsockname(), (proxy.accept(b, from, true)))
  end)

  it("closes what it cannot be sent on", function()
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local option = { version = 1, source = "192.0.2.1:5", destination = "unix:/x" }
    assert.equal("EINVAL", select(3, sock.connect(l:getsockname(), { proxy = option })))
    local b <close> = l:accept()
    assert.is_nil(b:recv())
  end)

  it("raises for options that are none", function()
    for _, bad in ipairs { 3, {}, { version = 1, from = "x" } } do
      local message = raised(function() sock.connect("127.0.0.1:1", { proxy = bad }) end)
      assert.matches("^spec/proxy_header_spec.lua:%d+: bad argument #2 to 'connect' "
        .. "%(option 'proxy': .", message)
    end
    assert.error_matches(function()
      sock.connect("127.0.0.1:1", { proxy = 1, type = "dgram" })
    end, "bad argument #2 to 'connect' %(option 'proxy': only streams")
  end)
end)
