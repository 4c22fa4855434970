local sock = require "sock"
local core = require "sock.core"
local names = require "spec.support.names"
local peer = require "spec.support.peer"

describe("sock.udp", function()
  it("without ADDR gives an unbound datagram socket", function()
    local s <close> = assert(sock.udp())
    assert.same({ "dgram", "inet" }, { s:getsockopt("type"), s:getsockopt("domain") })
    assert.equal(0, s:getsockname().port)
  end)

  it("takes a family without ADDR", function()
    local s <close> = assert(sock.udp(nil, { family = "inet6" }))
    local u <close> = assert(sock.udp(nil, nil, { family = "unix" }))
    assert.same({ "inet6", "unix" }, { s:getsockopt("domain"), u:getsockopt("domain") })
  end)

  it("binds to an address, to host and port, to one text with both", function()
    local free = peer.freeport()
    for _, addr in ipairs {
      { sock.address("127.0.0.1:0") }, { "127.0.0.1", 0 }, { "127.0.0.1", "0" },
      { "127.0.0.1:0" }, { "localhost", 0 }, { "localhost:0" }, { "127.0.0.1", free },
    } do
      local s <close> = assert(sock.udp(table.unpack(addr)))
      assert.equal("127.0.0.1", s:getsockname().host)
      assert.is_true(s:getsockname().port > 0)
    end
    local s <close> = assert(sock.udp("::1", 0))
    assert.equal("::1", s:getsockname().host)
  end)

  it("with * sends to a name, whichever addresses it has", function()
    local receiver <close> = assert(sock.udp("*", 0))
    local sender <close> = assert(sock.udp("*", 0))
    local port = receiver:getsockname().port
    assert.equal(5, sender:sendto("hello", "localhost", port))
    local data, from = receiver:settimeout(10):recvfrom()
    assert.equal("hello", data)
    assert.equal(sender:getsockname().port, from.port)
  end)

  it("takes a name's IPv4 address, or the family's that is asked for", function()
    names.with({ ["two.test"] = function(port, options)
      local both = { core.address("::1", port), core.address("127.0.0.1", port) }
      return options.family and { both[options.family == "inet6" and 1 or 2] } or both
    end, ["six.test"] = { "::1" } }, function()
      for expected, call in pairs {
        ["127.0.0.1"] = { "two.test", 0 },
        ["::1"] = { "two.test", 0, { family = "inet6" } },
      } do
        local s <close> = assert(sock.udp(table.unpack(call)))
        assert.equal(expected, s:getsockname().host)
      end
      local s <close> = assert(sock.udp("six.test", 0))
      assert.equal("::1", s:getsockname().host)
    end)
  end)

  it("sets options before it binds, and the timeout", function()
    local a <close> = assert(sock.udp("127.0.0.1:0", { reuseport = true, timeout = 0.01 }))
    local b <close> = assert(sock.udp(a:getsockname(), { reuseport = true }))
    assert.same({ 0.01, nil }, { a:gettimeout(), b:gettimeout() })
    assert.equal("ETIMEDOUT", (select(3, a:recv())))
    assert.equal("EADDRINUSE", (select(3, sock.udp(a:getsockname()))))
  end)

  it("binds Unix datagram sockets", function()
    local folder, _ <close> = peer.tempdir()
    local a <close> = assert(sock.udp("unix:" .. folder .. "/a"))
    local b <close> = assert(sock.udp("unix:" .. folder .. "/b"))
    b:sendto("hello", a:getsockname())
    local data, from = a:recvfrom()
    assert.same({ "hello", b:getsockname() }, { data, from })
  end)

  it("talks to other programs", function()
    local port = peer.freeport()
    local other <close> = peer.start { "socat", "-d", "-d",
      "UDP4-RECVFROM:" .. port .. ",fork,bind=127.0.0.1", "EXEC:cat" }
    local s <close> = assert(sock.udp("127.0.0.1", 0, { timeout = 0.2 }))
    local data
    repeat -- until socat is there
      s:sendto("hello", "127.0.0.1", port)
      data = s:recvfrom()
    until data
    assert.truthy(other)
    assert.equal("hello", data)
  end)
end)

describe('sock.udp with "*"', function()
  it("hears IPv4 and IPv6 on one port, and answers both", function()
    for _, call in ipairs { { "*", 0 }, { "*:0" } } do
      local s <close> = assert(sock.udp(table.unpack(call)))
      local port = s:getsockname().port
      assert.equal("inet6", s:getsockopt("domain"))
      assert.is_false(s:getsockopt("ipv6_v6only"))
      for _, host in ipairs { "127.0.0.1", "::1" } do
        local c <close> = assert(sock.udp(host, 0, { timeout = 5 }))
        assert(c:sendto("question", host, port))
        local data, from = s:recvfrom()
        assert.same({ "question", c:getsockname() }, { data, from })
        assert.equal(host == "::1" and "inet6" or "inet", from.family)
        assert(s:sendto("answer", from))
        local answer, whence = c:recvfrom()
        assert.same({ "answer", host, port }, { answer, whence.host, whence.port })
      end
    end
  end)

  it("gives inet addresses in recvmany and recvmsg as well", function()
    local s <close> = assert(sock.udp("*", 0))
    local c <close> = assert(sock.udp("127.0.0.1", 0))
    for _ = 1, 2 do
      c:sendto("x", "127.0.0.1", s:getsockname().port)
    end
    assert.equal(c:getsockname(), s:recvmsg().from)
    local _, from = s:recvmany()
    assert.equal(c:getsockname(), from[1])
  end)

  it("takes service names", function()
    local s, _, code = sock.udp("*", "domain")
    if s then
      assert.equal(53, s:getsockname().port)
      s:close()
    else -- no right, or taken
      assert.truthy(code == "EACCES" or code == "EADDRINUSE", code)
    end
  end)

  it("and a family is of that family alone", function()
    local four <close> = assert(sock.udp("*", 0, { family = "inet" }))
    local six <close> = assert(sock.udp("*", four:getsockname().port, { family = "inet6" }))
    assert.equal("0.0.0.0", four:getsockname().host)
    assert.equal("::", six:getsockname().host)
    assert.is_true(six:getsockopt("ipv6_v6only"))
  end)

  it("is what the caller says of v6only", function()
    local s <close> = assert(sock.udp("*", 0, { ipv6_v6only = true }))
    assert.is_true(s:getsockopt("ipv6_v6only"))
  end)

  it("is IPv4 where the system has no IPv6", function()
    for _, code in ipairs { "EAFNOSUPPORT", "EADDRNOTAVAIL" } do
      local socket = core.socket
      local _ <close> = setmetatable({}, { __close = function() core.socket = socket end })
      core.socket = function(family, ...)
        if family == "inet6" then
          return nil, "socket: no such thing", code
        end
        return socket(family, ...)
      end
      local s <close> = assert(sock.udp("*", 0))
      assert.equal("0.0.0.0", s:getsockname().host)
    end
  end)
end)

describe("A failure of sock.udp", function()
  it("names what was tried", function()
    assert.same({ nil, "bind 192.0.2.77:0: Cannot assign requested address", "EADDRNOTAVAIL" },
      { sock.udp("192.0.2.77:0") })
    assert.same({ nil, "udp nothing.invalid: Name or service not known", "EAI_NONAME" },
      { sock.udp("nothing.invalid", 0) })
    assert.same({ nil, 'udp "nonsense": neither host:port nor [host]:port', "EINVAL" },
      { sock.udp("nonsense") })
    assert.equal("EAI_SERVICE", (select(3, sock.udp("*", "nosuchservice"))))
  end)

  it("leaves no descriptor", function()
    local before = names.descriptors()
    for _ = 1, 20 do
      sock.udp("192.0.2.77:0")
      pcall(sock.udp, "127.0.0.1:0", { broadcast = "x" })
      sock.udp("127.0.0.1:0", { family = "inet6" })
    end
    assert.equal(before, names.descriptors())
  end)

  it("of the caller's is an error", function()
    local function refuses(pattern, ...)
      local arguments = table.pack(...)
      local _, message = pcall(function()
        sock.udp(table.unpack(arguments, 1, arguments.n))
      end)
      assert.matches("^spec/udp_helper_spec%.lua:%d+: bad argument " .. pattern, message)
    end
    refuses("#1 to 'udp' %(address or host expected, got number%)", 53)
    refuses("#2 to 'udp' %(port out of range%)", "127.0.0.1", -1)
    refuses("#2 to 'udp' %(unknown option 'famly'%)", "127.0.0.1:0", { famly = "inet" })
    refuses("#3 to 'udp' %(option 'family': unknown family \"ipv4\"%)", "127.0.0.1", 0,
      { family = "ipv4" })
    refuses("#3 to 'udp' %(option 'timeout': number expected, got boolean%)", "127.0.0.1", 0,
      { timeout = true })
  end)
end)
