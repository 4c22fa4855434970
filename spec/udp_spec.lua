local sock = require "sock"
local peer = require "spec.support.peer"

local families = {
  { family = "inet", name = "IPv4", host = "127.0.0.1", any = "0.0.0.0", longest = 65507 },
  { family = "inet6", name = "IPv6", host = "::1", any = "::", longest = 65527 },
}

local function bound(at)
  local s = assert(sock.socket(at.family, "dgram"))
  assert(s:settimeout(10):bind(at.host, 0))
  return s
end

--- Two bound sockets, the first connected to the second if asked.
local function two(at, connected)
  local a, b = bound(at), bound(at)
  if connected then
    assert(a:connect(b:getsockname()))
  end
  return a, b, setmetatable({}, { __close = function()
    a:close()
    b:close()
  end })
end

for _, at in ipairs(families) do
  describe("UDP over " .. at.name, function()
    describe("sendto and recvfrom", function()
      it("carry a datagram and tell where it came from", function()
        local a, b, _ <close> = two(at)
        assert.equal(5, a:sendto("hello", b:getsockname()))
        assert.same({ "hello", a:getsockname(), n = 2 }, table.pack(b:recvfrom()))
        assert.equal(5, b:sendto("there", a:getsockname()))
        assert.same({ "there", b:getsockname() }, { a:recvfrom(100) })
      end)

      it("give the same address value for the same peer", function()
        local a, b, _ <close> = two(at)
        assert(a:sendto("1", b:getsockname()))
        assert(a:sendto("2", b:getsockname()))
        local _, first = b:recvfrom()
        local _, second = b:recvfrom()
        assert.is_true(rawequal(first, second))
      end)

      it("take host and port", function()
        local a, b, _ <close> = two(at)
        assert(a:sendto("x", at.host, b:getsockname().port))
        assert(a:sendto("y", at.host, tostring(b:getsockname().port)))
        assert.equal("x", b:recvfrom())
        assert.equal("y", b:recvfrom())
      end)

      it("take one text with both", function()
        local a, b, _ <close> = two(at)
        assert(a:sendto("x", tostring(b:getsockname())))
        assert.equal("x", (b:recvfrom()))
      end)

      it("take a host name in the socket's family", function()
        local a, b, _ <close> = two(at)
        local list = sock.getaddrinfo("localhost", nil, { family = at.family })
        if not (list and list[1].host == at.host) then
          return pending("localhost is not " .. at.host .. " here")
        end
        assert(a:sendto("x", "localhost", b:getsockname().port))
        assert.equal("x", (b:recvfrom()))
        assert(a:sendto("y", "localhost:" .. b:getsockname().port))
        assert.equal("y", (b:recvfrom()))
      end)

      it("take a service by name", function()
        local a, _, _ <close> = two(at)
        local port = sock.getservbyname("discard", "udp")
        if not port then
          return pending("this system has no list of services")
        end
        assert(a:connect(at.host, "discard"))
        assert.equal(sock.address(at.host, port), a:getpeername())
      end)

      it("refuse a name that is no service", function()
        local a <close> = bound(at)
        local ok, message, code = a:sendto("x", at.host, "no-such-service")
        assert.same({ nil, "EINVAL" }, { ok, code })
        assert.matches('"no-such-service"', message, 1, true)
      end)

      it("refuse port 0", function()
        local a <close> = bound(at)
        local ok, message, code = a:sendto("x", at.host, 0)
        assert.same({ nil, "EINVAL" }, { ok, code })
        assert.matches("sendto " .. tostring(sock.address(at.host, 0)), message, 1, true)
      end)

      it("refuse an address of the other family", function()
        local a <close> = bound(at)
        local other = at.family == "inet" and "::1" or "unix:@nobody"
        local ok, _, code = a:sendto("x", sock.address(other, 9) or sock.address(other))
        assert.same({ nil, "EAFNOSUPPORT" }, { ok, code })
      end)

      it("raise without an address", function()
        local a <close> = bound(at)
        assert.has_error(function() a:sendto("x") end,
          "bad argument #2 to 'sendto' (address or host expected, got no value)")
      end)

      it("carry an empty datagram", function()
        local a, b, _ <close> = two(at)
        assert.equal(0, a:sendto("", b:getsockname()))
        assert.same({ "", a:getsockname(), n = 2 }, table.pack(b:recvfrom()))
      end)

      it("cut a datagram longer than asked for and tell its true length", function()
        local a, b, _ <close> = two(at)
        assert(a:sendto("0123456789", b:getsockname()))
        assert(a:sendto("next", b:getsockname()))
        assert.same({ "0123", a:getsockname(), 10 }, { b:recvfrom(4) })
        assert.same({ "next", a:getsockname(), n = 2 }, table.pack(b:recvfrom(4)))
      end)

      it("leave what was peeked at", function()
        local a, b, _ <close> = two(at)
        assert(a:sendto("abc", b:getsockname()))
        assert.same({ "ab", a:getsockname(), 3 }, { b:recvfrom(2, "peek") })
        assert.equal("abc", (b:recvfrom()))
      end)

      it("carry the longest datagram whole", function()
        local a, b, _ <close> = two(at)
        local data = ("x"):rep(at.longest)
        assert.equal(at.longest, a:sendto(data, b:getsockname()))
        local got, _, cut = b:recvfrom()
        assert.is_true(got == data)
        assert.is_nil(cut)
      end)

      it("refuse a longer one with EMSGSIZE", function()
        local a, b, _ <close> = two(at)
        local to = b:getsockname()
        assert.same({ nil, "sendto " .. tostring(to) .. ": message too long", "EMSGSIZE" },
          { a:sendto(("x"):rep(at.longest + 1), to) })
      end)

      it("time out and lose nothing", function()
        local a, b, _ <close> = two(at)
        local start = peer.uptime()
        assert.same({ nil, "recvfrom " .. tostring(b:getsockname()) .. ": timed out",
          "ETIMEDOUT" }, { b:settimeout(0.05):recvfrom() })
        assert.is_true(peer.uptime() - start >= 0.04)
        assert(a:sendto("late", b:getsockname()))
        assert.equal("late", (b:recvfrom()))
      end)

      it("do not wait with a timeout of 0", function()
        local a, b, _ <close> = two(at)
        local _, _, code = b:settimeout(0):recvfrom()
        assert.equal("ETIMEDOUT", code)
        assert(a:sendto("x", b:getsockname()))
        assert.equal("x", (b:recvfrom()))
      end)
    end)

    describe("a connected socket", function()
      it("sends to its peer", function()
        local a, b, _ <close> = two(at, true)
        assert.equal(b:getsockname(), a:getpeername())
        assert.equal(3, a:send("abc"))
        assert.same({ "abc", a:getsockname() }, { b:recvfrom() })
      end)

      it("receives only from its peer", function()
        local a, b, _ <close> = two(at, true)
        local stranger <close> = bound(at)
        assert(stranger:sendto("no", a:getsockname()))
        assert(b:sendto("yes", a:getsockname()))
        assert.equal("yes", a:recv())
      end)

      it("writes each write as one datagram", function()
        local a, b, _ <close> = two(at, true)
        assert.equal(a, a:write("one", 2, "three"))
        assert.equal(a, a:write("four"))
        assert.equal("one2three", b:recv())
        assert.equal("four", b:recv())
      end)

      it("sends and receives an empty datagram", function()
        local a, b, _ <close> = two(at, true)
        assert.equal(0, a:send(""))
        assert.equal(a, a:write(""))
        assert.same({ "", n = 1 }, table.pack(b:recv()))
        assert.same({ "", n = 1 }, table.pack(b:recv()))
      end)

      it("cuts a datagram longer than asked for and tells its true length", function()
        local a, b, _ <close> = two(at, true)
        assert(a:send("0123456789"))
        assert(a:send("next"))
        assert.same({ "012", 10, n = 2 }, table.pack(b:recv(3)))
        assert.same({ "", 4, n = 2 }, table.pack(b:recv(0)))
      end)

      it("leaves what was peeked at", function()
        local a, b, _ <close> = two(at, true)
        assert(a:send("abc"))
        assert.equal("abc", b:recv(10, "peek"))
        assert.equal("abc", b:recv())
      end)

      it("joins what is sent with more into one datagram", function()
        local a, b, _ <close> = two(at, true)
        assert.equal(4, a:send("head", "more"))
        assert.equal(4, a:send("body"))
        assert.equal("headbody", b:recv())
      end)

      it("hears that nobody is there", function()
        local a, b, _ <close> = two(at, true)
        local to = tostring(b:getsockname())
        b:close()
        assert.equal(1, a:send("x"))
        assert.same({ nil, "recv " .. to .. ": Connection refused", "ECONNREFUSED" },
          { a:recv() })
      end)

      it("connects to another peer", function()
        local a, _, _ <close> = two(at, true)
        local c <close> = bound(at)
        assert.equal(a, a:connect(c:getsockname()))
        assert.equal(c:getsockname(), a:getpeername())
        assert(a:send("x"))
        assert.equal("x", c:recv())
      end)

      it("shows both ends in tostring", function()
        local a, b, _ <close> = two(at, true)
        assert.equal(("udp %s <-> %s"):format(a:getsockname(), b:getsockname()), tostring(a))
        assert.equal("udp " .. tostring(b:getsockname()), tostring(b))
      end)
    end)

    it("binds the wildcard of its family for *", function()
      local s <close> = assert(sock.socket(at.family, "dgram"))
      assert(s:settimeout(10):bind("*", 0))
      assert.equal(at.any, s:getsockname().host)
      local a <close> = bound(at)
      assert(a:sendto("x", at.host, s:getsockname().port))
      assert.same({ "x", a:getsockname() }, { s:recvfrom() })
    end)

    it("says that it is not connected", function()
      local a <close> = bound(at)
      local _, _, code = a:send("x")
      assert.equal("EDESTADDRREQ", code)
      _, _, code = a:getpeername()
      assert.equal("ENOTCONN", code)
    end)

    it("neither listens nor accepts", function()
      local a <close> = bound(at)
      local _, _, code = a:listen()
      assert.equal("EOPNOTSUPP", code)
      _, _, code = a:accept()
      assert.equal("EOPNOTSUPP", code)
    end)

    it("sends thousands of datagrams to a reader that keeps up", function()
      local a, b, _ <close> = two(at, true)
      for i = 1, 5000 do
        assert(a:send(tostring(i)))
        assert.equal(tostring(i), b:recv())
      end
    end)
  end)
end

describe("UDP over both", function()
  it("shows an IPv4 peer of an IPv6 socket as inet, and sends to it", function()
    local six <close> = assert(sock.socket("inet6", "dgram"))
    assert(six:setsockopt("ipv6_v6only", false))
    assert(six:settimeout(10):bind("*", 0))
    local four <close> = bound(families[1])
    assert(four:sendto("x", "127.0.0.1", six:getsockname().port))
    assert.same({ "x", four:getsockname() }, { six:recvfrom() })
    assert(six:sendto("y", four:getsockname()))
    assert.equal("y", four:recv())
  end)
end)

describe("UDP to many", function()
  it("refuses a broadcast that was not asked for", function()
    local s <close> = bound { family = "inet", host = "0.0.0.0" }
    local _, _, code = s:sendto("x", "127.255.255.255", s:getsockname().port)
    assert.equal("EACCES", code)
  end)

  it("broadcasts on the loopback", function()
    local s <close> = bound { family = "inet", host = "0.0.0.0" }
    local r <close> = bound { family = "inet", host = "0.0.0.0" }
    assert(s:setsockopt("broadcast", true))
    assert(s:sendto("all", "127.255.255.255", r:getsockname().port))
    assert.equal("all", (r:recvfrom()))
  end)

  it("reaches the members of an IPv4 group", function()
    local s <close> = bound { family = "inet", host = "0.0.0.0" }
    local r <close> = bound { family = "inet", host = "0.0.0.0" }
    assert(r:setsockopt("ip_add_membership", { group = "239.255.77.77", interface = "lo" }))
    assert(s:setsockopt("ip_multicast_if", "lo"))
    assert(s:sendto("group", "239.255.77.77", r:getsockname().port))
    assert.equal("group", (r:recvfrom()))
    assert(r:setsockopt("ip_drop_membership", { group = "239.255.77.77", interface = "lo" }))
    assert(s:sendto("gone", "239.255.77.77", r:getsockname().port))
    assert(s:sendto("alone", "127.0.0.1", r:getsockname().port))
    assert.equal("alone", (r:recvfrom()))
  end)

  it("reaches the members of an IPv6 group", function()
    local name
    for _, interface in ipairs(sock.interfaces()) do
      for _, entry in ipairs(interface.up and interface.multicast and interface.addresses or {}) do
        if entry.address.family == "inet6" then
          name = interface.name
        end
      end
    end
    if not name then
      return pending("no interface here does IPv6 multicast")
    end
    local s <close> = bound { family = "inet6", host = "::" }
    local r <close> = bound { family = "inet6", host = "::" }
    assert(r:setsockopt("ipv6_join_group", { group = "ff02::7777", interface = name }))
    assert(s:sendto("group", "ff02::7777%" .. name, r:getsockname().port))
    local data, from = r:recvfrom()
    assert.equal("group", data)
    assert.matches("%%" .. name .. "$", from.host)
  end)
end)
