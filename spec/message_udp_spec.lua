-- Messages over UDP: where they came from and went, and what became of them.

local sock = require "sock"
local peer = require "spec.support.peer"

local families = {
  { family = "inet", host = "127.0.0.1", pktinfo = "ip_pktinfo", ttl = "ip_recvttl",
    tos = "ip_recvtos", recverr = "ip_recverr" },
  { family = "inet6", host = "::1", pktinfo = "ipv6_recvpktinfo", ttl = "ipv6_recvhoplimit",
    tos = "ipv6_recvtclass", recverr = "ipv6_recverr" },
}

local function bound(case)
  local s = assert(sock.socket(case.family, "dgram"))
  s:settimeout(10)
  return assert(s:bind(case.host, 0))
end

for _, case in ipairs(families) do
  describe("messages over " .. case.family, function()
    it("carry data to an address and from one", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert.equal(1, s:sendmsg { data = "x", to = r:getsockname() })
      assert.same({ data = "x", from = s:getsockname(), size = 1, truncated = false, control = {} },
        r:recvmsg())
      assert.equal(0, s:sendmsg { data = "", to = tostring(r:getsockname()) })
      assert.equal("", r:recvmsg().data)
    end)

    it("tell what was cut", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert(s:sendmsg { data = "abcdef", to = r:getsockname() })
      local m = r:recvmsg { size = 4 }
      assert.same({ "abcd", 6, true }, { m.data, m.size, m.truncated })
    end)

    it("tell how a packet came, and take that for the answer", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert(r:setsockopt(case.pktinfo, true))
      assert(s:sendmsg { data = "x", to = r:getsockname() })
      local m = assert(r:recvmsg())
      local address = m.control.pktinfo.address
      assert.equal(case.host, address.host)
      assert.equal("lo", m.control.pktinfo.interface)
      assert(r:sendmsg { data = "y", to = m.from, control = m.control })
      assert.equal(r:getsockname(), assert(s:recvmsg()).from)
    end)

    it("fail where the interface to leave by is not there", function()
      local s <close> = bound(case)
      for _, interface in ipairs { "nonesuch", "lo\0x", 0x7fffffff } do
        local control = { pktinfo = { interface = interface } }
        local sent, _, code = s:sendmsg { data = "x", to = s:getsockname(), control = control }
        assert.same({ nil, "ENODEV" }, { sent, code })
      end
    end)

    it("tell TTL and TOS, and set them", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert(r:setsockopt(case.ttl, true):setsockopt(case.tos, true))
      assert(s:sendmsg { data = "x", to = r:getsockname(), control = { ttl = 7, tos = 16 } })
      assert.same({ ttl = 7, tos = 16 }, r:recvmsg().control)
      assert.error_matches(function()
        s:sendmsg { data = "x", to = r:getsockname(), control = { ttl = 256 } }
      end, "out of range")
    end)

    for _, option in ipairs { "timestamp", "timestampns" } do
      it("tell when they came: " .. option, function()
        local s <close> = bound(case)
        local r <close> = bound(case)
        assert(r:setsockopt(option, true))
        local before = os.time()
        assert(s:sendmsg { data = "x", to = r:getsockname() })
        local time = r:recvmsg().control.timestamp
        assert.equal("float", math.type(time))
        -- os.time may lag behind by a tick
        assert.is_true(time >= before and time <= os.time() + 2)
      end)
    end

    it("tell of an error, what was sent and where to", function()
      local s <close> = bound(case)
      local gone = bound(case)
      local to = gone:getsockname()
      gone:close()
      assert(s:setsockopt(case.recverr, true))
      assert(s:sendmsg { data = "lost", to = to })
      local m = assert(s:recvmsg { flags = "errqueue" })
      assert.same({ "lost", to }, { m.data, m.from })
      assert.same({ code = "ECONNREFUSED", message = "Connection refused",
        from = sock.address(case.host, 0) }, m.control.error)
    end)

    it("answer at once if the error queue is empty", function()
      local s <close> = bound(case)
      local reader = sock.spawn(function() return s:recvmsg() end)
      local m, message, code = s:recvmsg { flags = "errqueue" }
      assert.is_nil(m)
      assert.matches("^recvmsg ", message)
      assert.equal("EAGAIN", code)
      reader:cancel()
      pcall(reader.join, reader)
    end)

    it("are traded with Python", function()
      local program <close> = peer.python([[
import socket, sys
six = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
level, ask, kind = ((socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, socket.IPV6_HOPLIMIT) if six
    else (socket.IPPROTO_IP, 12, socket.IP_TTL)) # 12 is IP_RECVTTL, which Python does not name
s.setsockopt(level, ask, 1)
print("port", s.getsockname()[1])
data, control, flags, peer = s.recvmsg(100, 100)
told = [int.from_bytes(c[2], sys.byteorder) for c in control if c[:2] == (level, kind)]
s.sendmsg([data, b" ", str(told).encode()],
    [(level, kind, (9).to_bytes(4, sys.byteorder))], 0, peer)
]], case.host)
      local s <close> = bound(case)
      assert(s:setsockopt(case.ttl, true))
      local to = sock.address(case.host, math.tointeger(program:expect("port (%d+)")))
      assert(s:sendmsg { data = "x", to = to, control = { ttl = 33 } })
      local m = assert(s:recvmsg())
      assert.same({ "x [33]", 9, to }, { m.data, m.control.ttl, m.from })
    end)
  end)
end

describe("messages", function()
  it("set TTL for IPv4 peers of an inet6 socket too", function()
    local s <close> = assert(sock.socket("inet6", "dgram"))
    assert(s:setsockopt("ipv6_v6only", false):bind("*", 0))
    local r <close> = bound(families[1])
    assert(r:setsockopt("ip_recvttl", true))
    assert(s:sendmsg { data = "x", to = r:getsockname(), control = { ttl = 5,
      pktinfo = { address = "127.0.0.1" } } })
    local m = assert(r:recvmsg())
    assert.same({ 5, "127.0.0.1" }, { m.control.ttl, m.from.host })
    assert(s:connect(r:getsockname()))
    assert(s:sendmsg { data = "y", control = { ttl = 6 } })
    assert.equal(6, r:recvmsg().control.ttl)
  end)

  it("go to a name", function()
    local s <close> = bound(families[1])
    local r <close> = bound(families[1])
    assert(s:sendmsg { data = "x", to = "localhost:" .. r:getsockname().port })
    assert.equal("x", r:recvmsg().data)
    local _, message, code = s:sendmsg { data = "x", to = "no address" }
    assert.matches("^sendmsg ", message)
    assert.equal("EINVAL", code)
    assert.equal("EAFNOSUPPORT", select(3, s:sendmsg { data = "x", to = "[::1]:9" }))
  end)
end)
