-- ADDR: what bind, connect and sendto take for an address.

local sock = require "sock"
local peer = require "spec.support.peer"

local pack = table.pack

-- A datagram socket bound to a free port of the family's loopback.
local function receiver(family)
  local s = assert(sock.socket(family, "dgram"))
  assert(s:bind(family == "inet6" and "::1" or "127.0.0.1", 0))
  return s, assert(s:getsockname())
end

describe("bind", function()
  it("takes an address", function()
    local s <close> = assert(sock.socket("inet6"))
    assert.equal(s, s:bind(sock.address("[::1]:0")))
    assert.equal("::1", s:getsockname().host)
  end)

  it("takes a host and a port", function()
    local s <close> = assert(sock.socket())
    assert.equal(s, s:bind("127.0.0.1", 0))
    assert.equal("127.0.0.1", s:getsockname().host)
  end)

  it("takes one text with both", function()
    local s <close> = assert(sock.socket("inet6"))
    assert.equal(s, s:bind("[::1]:0"))
    assert.equal("::1", s:getsockname().host)
  end)

  it("takes the port it is told", function()
    local s <close> = assert(sock.socket())
    local port = peer.freeport()
    assert(s:bind("127.0.0.1", tostring(port)))
    assert.equal(port, s:getsockname().port)
  end)

  it("gets a free port for port 0", function()
    local s <close> = assert(sock.socket())
    assert(s:bind("127.0.0.1", 0))
    assert.is_true(s:getsockname().port > 0)
  end)

  it("takes a Unix path", function()
    local folder, _ <close> = peer.tempdir()
    local s <close> = assert(sock.socket("unix"))
    assert(s:bind("unix:" .. folder .. "/s"))
    assert.equal(folder .. "/s", s:getsockname().path)
  end)

  it("takes an abstract name with zero bytes", function()
    local s <close> = assert(sock.socket("unix"))
    local text = "unix:@\0sock\0" .. peer.freeport() .. "\0"
    assert(s:bind(text))
    assert.equal(text, tostring(s:getsockname()))
  end)

  it("gets a name from the kernel for the unnamed address", function()
    local s <close> = assert(sock.socket("unix"))
    assert(s:bind("unix:"))
    assert.matches("^@%x+$", s:getsockname().path)
  end)

  it("takes an interface's scope", function()
    local s <close> = assert(sock.socket("inet6", "dgram"))
    assert(s:bind("ff02::1%lo", 0))
    assert.equal("ff02::1%lo", s:getsockname().host)
  end)

  it("takes a netlink address", function()
    local s <close> = assert(sock.socket("netlink", "raw"))
    assert(s:bind("netlink:0:1"))
    assert.matches("^netlink:%d+:1$", tostring(s:getsockname()))
  end)
end)

describe("connect", function()
  for _, family in ipairs { "inet", "inet6" } do
    describe("of " .. family, function()
      it("takes an address", function()
        local r <close>, address = receiver(family)
        local s <close> = assert(sock.socket(family, "dgram"))
        assert.equal(s, s:connect(address))
        assert.equal(address, s:getpeername())
        assert.equal(r:getsockname(), s:getpeername())
      end)

      it("takes a host and a port", function()
        local _ <close>, address = receiver(family)
        local s <close> = assert(sock.socket(family, "dgram"))
        assert.equal(s, s:connect(address.host, address.port))
        assert.equal(address, s:getpeername())
      end)

      it("takes one text with both", function()
        local _ <close>, address = receiver(family)
        local s <close> = assert(sock.socket(family, "dgram"))
        assert.equal(s, s:connect(tostring(address)))
        assert.equal(address, s:getpeername())
      end)
    end)
  end

  it("takes a Unix path", function()
    local folder, _ <close> = peer.tempdir()
    local socat <close> = peer.socat("UNIX-LISTEN:" .. folder .. "/s", "PIPE")
    local s <close> = assert(sock.socket("unix"))
    assert(s:connect("unix:" .. folder .. "/s"))
    assert(s:write("hello\n"))
    assert.equal("hello", s:read())
    assert.is_not_nil(socat.pid)
  end)

  it("takes an abstract name", function()
    local name = "sock-spec-" .. peer.freeport()
    local socat <close> = peer.socat("ABSTRACT-LISTEN:" .. name, "PIPE")
    local s <close> = assert(sock.socket("unix"))
    assert(s:connect("unix:@" .. name))
    assert(s:write("hello\n"))
    assert.equal("hello", s:read())
    assert.is_not_nil(socat.pid)
  end)
end)

describe("sendto", function()
  for _, family in ipairs { "inet", "inet6" } do
    describe("of " .. family, function()
      it("takes an address", function()
        local r <close>, address = receiver(family)
        local s <close> = assert(sock.socket(family, "dgram"))
        assert.equal(5, s:sendto("hello", address))
        assert.equal("hello", (r:recvfrom()))
      end)

      it("takes a host and a port", function()
        local r <close>, address = receiver(family)
        local s <close> = assert(sock.socket(family, "dgram"))
        assert.equal(5, s:sendto("hello", address.host, address.port))
        assert.equal("hello", (r:recvfrom()))
      end)

      it("takes one text with both", function()
        local r <close>, address = receiver(family)
        local s <close> = assert(sock.socket(family, "dgram"))
        assert.equal(5, s:sendto("hello", tostring(address)))
        assert.equal("hello", (r:recvfrom()))
      end)
    end)
  end

  it("takes an abstract name", function()
    local r <close> = assert(sock.socket("unix", "dgram"))
    local s <close> = assert(sock.socket("unix", "dgram"))
    assert(r:bind("unix:"))
    assert.equal(5, s:sendto("hello", tostring(r:getsockname())))
    assert.equal("hello", (r:recvfrom()))
  end)
end)

describe("a service's name", function()
  it("stands for its port", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert(s:connect("127.0.0.1", "ntp"))
    assert.equal(123, s:getpeername().port)
  end)

  it("stands in one text too", function()
    local s <close> = assert(sock.socket("inet6", "dgram"))
    assert(s:connect("[::1]:ntp"))
    assert.equal(sock.address("::1", 123), s:getpeername())
  end)

  it("is looked for among the socket's own services", function()
    -- port 512 is biff's in UDP and exec's in TCP
    local udp <close> = assert(sock.socket("inet", "dgram"))
    assert(udp:connect("127.0.0.1", "biff"))
    assert.equal(512, udp:getpeername().port)
    local tcp <close> = assert(sock.socket())
    assert.same(pack(nil, 'connect "biff": neither a port nor a service',
      "EINVAL"), pack(tcp:connect("127.0.0.1", "biff")))
  end)

  it("is named when it is unknown", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    local result, message, code = s:sendto("x", "127.0.0.1", "no-such-service")
    assert.is_nil(result)
    assert.matches('^sendto "no%-such%-service": ', message)
    assert.equal("EINVAL", code)
  end)
end)

describe("the host *", function()
  it("is IPv4's wildcard on an inet socket", function()
    local s <close> = assert(sock.socket("inet"))
    assert(s:bind("*", 0))
    assert.equal("0.0.0.0", s:getsockname().host)
  end)

  it("is IPv6's wildcard on an inet6 socket", function()
    local s <close> = assert(sock.socket("inet6"))
    assert(s:bind("*", 0))
    assert.equal("::", s:getsockname().host)
  end)

  it("stands in one text too", function()
    local s <close> = assert(sock.socket("inet6"))
    assert(s:bind("*:0"))
    assert.equal("::", s:getsockname().host)
  end)

  it("is nothing to a Unix socket", function()
    local s <close> = assert(sock.socket("unix"))
    local result, _, code = s:bind("*", 0)
    assert.is_nil(result)
    assert.equal("EAFNOSUPPORT", code)
  end)
end)

describe("a host that is a name", function()
  for _, family in ipairs { "inet", "inet6" } do
    local found = sock.getaddrinfo("localhost", 0, { family = family })

    it("means its first address in the socket's family: " .. family, function()
      local s <close> = assert(sock.socket(family))
      local result, _, code = s:bind("localhost", 0)
      if found then
        assert.equal(s, result)
        assert.equal(found[1].host, s:getsockname().host)
        assert.equal(family, s:getsockname().family)
      else -- /etc/hosts has none of this family
        assert.matches("^EAI_", code)
      end
    end)
  end

  it("is looked up for bind, connect and sendto", function()
    local r <close> = assert(sock.socket("inet", "dgram"))
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert(r:bind("localhost:0"))
    local address = assert(r:getsockname())
    assert(s:sendto("one", "localhost", address.port))
    assert(s:connect("localhost:" .. address.port))
    assert(s:send("two"))
    assert.equal("127.0.0.1", address.host)
    assert.equal("one", (r:recvfrom()))
    assert.equal("two", (r:recvfrom()))
  end)

  it("is nothing to a Unix socket", function()
    local s <close> = assert(sock.socket("unix"))
    local result, message, code = s:connect("localhost", 80)
    assert.is_nil(result)
    assert.matches("^connect .*localhost", message)
    assert.equal("EAFNOSUPPORT", code)
  end)
end)

describe("a port", function()
  it("may be left out for a raw socket", function()
    for _, host in ipairs { "127.0.0.1", "::1" } do
      local family = sock.address(host, 0).family
      local s <close>, message, code = sock.socket(family, "raw", 253) -- for experiments
      if not s then
        assert.equal("EPERM", code)
        pending(message)
      end
      assert(s:bind(host))
      assert(s:sendto("hello", host))
      local data, from = s:recvfrom() -- IPv4's header comes with it
      assert.equal("hello", data:sub(-5))
      assert.equal(sock.address(host, 0), from)
      assert(s:connect(host))
      assert.equal(5, s:send("again"))
    end
  end)

  it("may not be left out elsewhere", function()
    for _, type in ipairs { "stream", "dgram" } do
      local s <close> = assert(sock.socket("inet", type))
      local result, message, code = s:connect("127.0.0.1")
      assert.is_nil(result)
      assert.matches('^connect "127%.0%.0%.1": ', message)
      assert.equal("EINVAL", code)
    end
  end)
end)

describe("an inet address", function()
  -- An inet6 socket that takes IPv4 too.
  local function both(type)
    local s = assert(sock.socket("inet6", type))
    return assert(s:setsockopt("ipv6_v6only", false))
  end

  it("is how an IPv4 peer of an inet6 socket appears", function()
    local s <close> = both()
    local c <close> = assert(sock.socket("inet"))
    assert(s:bind("*", 0)):listen()
    assert(c:connect("127.0.0.1", s:getsockname().port))
    local conn <close>, from = s:accept()
    assert.equal(c:getsockname(), from)
    assert.equal(c:getsockname(), conn:getpeername())
    assert.equal(c:getpeername(), conn:getsockname())
    assert.equal("inet", from.family)
  end)

  it("is what an inet6 socket connects to", function()
    local s <close> = assert(sock.socket("inet"))
    local c <close> = both()
    assert(s:bind("127.0.0.1", 0)):listen()
    assert.equal(c, c:connect(s:getsockname()))
    assert.equal(s:getsockname(), c:getpeername())
  end)

  it("is what an inet6 socket binds to", function()
    local s <close> = both()
    assert(s:bind("127.0.0.1", 0))
    assert.equal("inet", s:getsockname().family)
    assert.equal("127.0.0.1", s:getsockname().host)
  end)

  it("is what an inet6 socket sends to", function()
    local r <close>, address = receiver("inet")
    local s <close> = both("dgram")
    assert.equal(5, s:sendto("hello", address))
    local _, from = r:recvfrom()
    assert.equal(5, r:sendto("again", from))
    assert.same(pack("again", address), pack(s:recvfrom()))
  end)

  it("is nothing to an inet6 socket that takes IPv6 alone", function()
    local _ <close>, address = receiver("inet")
    local s <close> = assert(sock.socket("inet6", "dgram"))
    local result, message = s:connect(address)
    assert.is_nil(result)
    assert.matches("connect " .. tostring(address) .. ": ", message, 1, true)
  end)
end)

describe("an address of another family", function()
  for _, case in ipairs { { "inet", "[::1]:80" }, { "inet", "unix:/x" }, { "unix", "127.0.0.1:80" },
    { "inet6", "unix:@x" }, { "netlink", "[::1]:80" } } do
    local family, text = table.unpack(case)
    it("is refused: " .. text .. " on " .. family, function()
      local s <close> = assert(sock.socket(family, "dgram"))
      local why = " " .. text .. ": Address family not supported by protocol"
      assert.same(pack(nil, "bind" .. why, "EAFNOSUPPORT"), pack(s:bind(text)))
      assert.same(pack(nil, "connect" .. why, "EAFNOSUPPORT"), pack(s:connect(text)))
      assert.same(pack(nil, "sendto" .. why, "EAFNOSUPPORT"), pack(s:sendto("x", text)))
    end)
  end
end)
