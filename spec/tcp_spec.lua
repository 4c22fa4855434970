-- TCP connections, from bind to close.

local sock = require "sock"
local peer = require "spec.support.peer"
local closing = require("spec.support.fixtures").closing
local tcp = require "spec.support.tcp"
local connection, families, fillbacklog = tcp.connection, tcp.families, tcp.fillbacklog
local listener = tcp.listener

for _, at in ipairs(families) do
  describe("TCP over " .. at.name, function()
    describe("bind and listen", function()
      it("give the socket itself", function()
        local s <close> = assert(sock.socket(at.family))
        assert.equal(s, s:bind(at.host, 0))
        assert.equal(s, s:listen())
      end)

      it("take a free port for port 0", function()
        local s <close> = assert(sock.socket(at.family))
        assert(s:bind(at.host, 0))
        local address = s:getsockname()
        assert.equal(at.family, address.family)
        assert.equal(at.host, address.host)
        assert.is_true(address.port > 0)
      end)

      it("take the wildcard of the family for *", function()
        local s <close> = assert(sock.socket(at.family))
        assert(s:bind("*", 0))
        assert.equal(at.any, s:getsockname().host)
      end)

      it("take an address and one text", function()
        local s <close> = assert(sock.socket(at.family))
        assert(s:bind(sock.address(at.host, 0)))
        local t <close> = assert(sock.socket(at.family))
        assert(t:bind(tostring(sock.address(at.host, 0))))
        assert.equal(at.host, t:getsockname().host)
      end)

      it("refuse a port in use", function()
        local l <close> = listener(at)
        local address = l:getsockname()
        local s <close> = assert(sock.socket(at.family))
        assert.same({ nil, "bind " .. tostring(address) .. ": Address already in use",
          "EADDRINUSE" }, { s:bind(address) })
      end)

      it("refuse a backlog that is no count", function()
        local s <close> = assert(sock.socket(at.family))
        assert.has_error(function() s:listen(-1) end,
          "bad argument #1 to 'listen' (backlog out of range)")
      end)
    end)

    describe("connect and accept", function()
      it("make a connection", function()
        local l <close> = listener(at)
        local a <close> = assert(sock.socket(at.family))
        assert.equal(a, a:connect(l:getsockname()))
        local b <close>, from = assert(l:accept())
        assert.equal("socket", sock.type(b))
        assert.equal(a:getsockname(), from)
        assert.equal(b:getsockname(), a:getpeername())
      end)

      it("take host and port, and one text", function()
        local l <close> = listener(at)
        local a <close> = assert(sock.socket(at.family))
        assert(a:connect(at.host, l:getsockname().port))
        local b <close> = assert(sock.socket(at.family))
        assert(b:connect(tostring(l:getsockname())))
        assert.equal(l:getsockname(), b:getpeername())
      end)

      it("take a name in the socket's family", function()
        local l <close> = listener(at)
        local a <close> = assert(sock.socket(at.family))
        local name
        for _, known in ipairs { "localhost", "ip6-localhost" } do
          local list = sock.getaddrinfo(known, nil, { family = at.family })
          name = name or list and list[1].host == at.host and known
        end
        if not name then
          return pending("this system has no name for " .. at.host)
        end
        assert(a:connect(name, l:getsockname().port))
        assert.equal(l:getsockname(), a:getpeername())
      end)

      it("tell both ends in a tuple", function()
        local a, b, _ <close> = connection(at)
        assert.same({ at.host, a:getsockname().port, at.host, b:getsockname().port },
          { a:tuple() })
      end)

      it("refuse where nobody listens", function()
        local address = sock.address(at.host, peer.freeport(at.host))
        local s <close> = assert(sock.socket(at.family))
        assert.same({ nil, "connect " .. tostring(address) .. ": Connection refused",
          "ECONNREFUSED" }, { s:connect(address) })
      end)

      it("try again after a refusal", function()
        local l = listener(at)
        local address = l:getsockname()
        l:close()
        local s <close> = assert(sock.socket(at.family))
        local _, _, code = s:connect(address)
        assert.equal("ECONNREFUSED", code)
        local again <close> = assert(sock.socket(at.family))
        assert(again:bind(address))
        assert(again:listen())
        assert.equal(s, s:connect(address))
        assert.equal(address, s:getpeername())
      end)

      it("say that a socket is connected already", function()
        local a, b, _ <close> = connection(at)
        local other <close> = listener(at)
        local ok, _, code = a:connect(other:getsockname())
        assert.same({ nil, "EISCONN" }, { ok, code })
        ok, _, code = a:connect(b:getsockname())
        assert.same({ nil, "EISCONN" }, { ok, code })
      end)

      it("say that an accepting socket does not listen", function()
        local s <close> = assert(sock.socket(at.family))
        local _, _, code = s:accept()
        assert.equal("EINVAL", code)
      end)

      it("let accept time out, and then accept", function()
        local l <close> = listener(at)
        l:settimeout(0.05)
        local start = peer.uptime()
        assert.same({ nil, "accept " .. tostring(l:getsockname()) .. ": timed out", "ETIMEDOUT" },
          { l:accept() })
        assert.is_true(peer.uptime() - start >= 0.04)
        local a <close> = assert(sock.socket(at.family))
        assert(a:connect(l:getsockname()))
        local b <close> = assert(l:accept())
        assert.equal(a:getsockname(), b:getpeername())
      end)

      it("let connect time out on a full backlog, and then go on", function()
        local l <close> = listener(at, 0)
        local list = fillbacklog(l, at)
        local _ <close> = closing(table.unpack(list))
        local last = list[#list]
        local start = peer.uptime()
        assert.same({ nil, "connect " .. tostring(l:getsockname()) .. ": timed out",
          "ETIMEDOUT" }, { last:connect(l:getsockname()) })
        assert.is_true(peer.uptime() - start >= 0.14)
        for _ = 2, #list do
          local accepted <close> = assert(l:accept())
          assert.equal("socket", sock.type(accepted))
        end
        assert.equal(last, last:settimeout(20):connect(l:getsockname()))
        local b <close> = assert(l:accept())
        assert.equal(last:getsockname(), b:getpeername())
      end)

      it("say that an attempt at another address is under way", function()
        local l <close> = listener(at, 0)
        local list = fillbacklog(l, at)
        local _ <close> = closing(table.unpack(list))
        local other <close> = listener(at)
        local _, _, code = list[#list]:connect(other:getsockname())
        assert.equal("EALREADY", code)
      end)

      it("do not wait with a timeout of 0", function()
        local l <close> = listener(at)
        l:settimeout(0)
        local _, _, code = l:accept()
        assert.equal("ETIMEDOUT", code)
        local a <close> = assert(sock.socket(at.family))
        a:settimeout(0)
        local ok
        ok, _, code = a:connect(l:getsockname())
        if not ok then
          assert.equal("ETIMEDOUT", code)
          assert.equal("w", a:wait("w", 10))
          ok = a:connect(l:getsockname())
        end
        assert.equal(a, ok)
      end)

      it("show a connection in tostring", function()
        local a, b, _ <close> = connection(at)
        assert.equal(("tcp %s <-> %s"):format(a:getsockname(), b:getsockname()), tostring(a))
      end)
    end)

    describe("shutdown", function()
      it("ends one direction and leaves the other", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("question"))
        assert.equal(a, a:shutdown("send"))
        assert.equal("question", b:read("a"))
        assert.same({ n = 1 }, table.pack(b:recv()))
        assert(b:write("answer"))
        b:close()
        assert.equal("answer", a:read("a"))
      end)

      it("fails later writes with EPIPE", function()
        local a, _, _ <close> = connection(at)
        a:shutdown("send")
        local _, _, code = a:send("x")
        assert.equal("EPIPE", code)
        local _, _, again, sent = a:write("x")
        assert.same({ "EPIPE", 0 }, { again, sent })
      end)

      it("ends receiving with recv", function()
        local _, b, _ <close> = connection(at)
        assert.equal(b, b:shutdown("recv"))
        assert.same({ n = 1 }, table.pack(b:recv()))
      end)

      it("ends both when told nothing", function()
        local a, b, _ <close> = connection(at)
        assert.equal(a, a:shutdown())
        assert.same({ n = 1 }, table.pack(b:recv()))
        local _, _, code = a:send("x")
        assert.equal("EPIPE", code)
      end)

      it("says that a socket is not connected", function()
        local s <close> = assert(sock.socket(at.family))
        local _, _, code = s:shutdown("send")
        assert.equal("ENOTCONN", code)
      end)

      it("refuses what is no direction", function()
        local a, _, _ <close> = connection(at)
        assert.has_error(function() a:shutdown("read") end,
          "bad argument #1 to 'shutdown' (invalid option 'read')")
      end)
    end)

    describe("a peer that resets", function()
      local function reset(s)
        assert(s:setsockopt("linger", 0))
        s:close()
      end

      it("fails recv with ECONNRESET", function()
        local a, b, _ <close> = connection(at)
        local from = tostring(a:getsockname())
        reset(a)
        assert.same({ nil, "recv " .. from .. ": Connection reset by peer", "ECONNRESET" },
          { b:recv() })
      end)

      it("fails read with ECONNRESET, not with an end", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("half a li"))
        assert.equal("half a li", b:recv(9, "waitall", "peek"))
        reset(a)
        local line, _, code = b:read("l")
        assert.same({ nil, "ECONNRESET" }, { line, code })
      end)

      it("fails write, which says how much had gone", function()
        local a, b, _ <close> = connection(at)
        local data = ("x"):rep(1 << 25)
        b:settimeout(0.02)
        local ok, _, code, sent = b:write(data)
        assert.same({ nil, "ETIMEDOUT" }, { ok, code })
        assert.is_true(sent > 0 and sent < #data)
        reset(a)
        ok, _, code, sent = b:write(data)
        assert.same({ nil, "ECONNRESET", 0 }, { ok, code, sent })
      end)

      it("raises no SIGPIPE", function()
        local a, b, _ <close> = connection(at)
        reset(a)
        assert.equal("rw", b:wait("rw", 10))
        local _, _, code = b:write("x")
        assert.equal("ECONNRESET", code)
        _, _, code = b:write("x")
        assert.equal("EPIPE", code)
      end)
    end)

    describe("close", function()
      it("gives true, and again", function()
        local a, b, _ <close> = connection(at)
        assert.is_true(a:close())
        assert.is_true(a:close())
        assert.equal("closed socket", sock.type(a))
        assert.same({ n = 1 }, table.pack(b:recv()))
      end)

      it("makes every call raise", function()
        local a, b, _ <close> = connection(at)
        local to = b:getsockname()
        a:close()
        for name, arguments in pairs {
          bind = { to }, listen = {}, connect = { to }, accept = {}, send = { "x" }, recv = {},
          sendto = { "x", to }, recvfrom = {}, read = {}, write = { "x" }, shutdown = {},
          getsockname = {}, getpeername = {}, tuple = {}, getsockopt = { "type" },
          setsockopt = { "keepalive", true }, settimeout = { 1 }, gettimeout = {}, fd = {},
          detach = {}, wait = { "r" },
        } do
          assert.has_error(function() a[name](a, table.unpack(arguments)) end,
            "attempt to use a closed socket")
        end
      end)
    end)
  end)
end

describe("TCP over both", function()
  it("lets an IPv6 listener take IPv4 peers, who appear as inet", function()
    local l <close> = assert(sock.socket("inet6"))
    assert(l:setsockopt("ipv6_v6only", false))
    assert(l:bind("*", 0))
    assert(l:listen())
    local a <close> = assert(sock.socket("inet"))
    assert(a:connect("127.0.0.1", l:getsockname().port))
    local b <close>, from = assert(l:settimeout(10):accept())
    assert.equal(a:getsockname(), from)
    assert.equal("inet", b:getsockname().family)
  end)

  it("keeps an IPv6 socket to IPv6 unless told otherwise", function()
    local shared
    for _ = 1, 20 do -- another program may have the port in IPv4
      local six <close> = assert(sock.socket("inet6"))
      assert(six:bind("*", 0))
      assert(six:listen())
      local four <close> = assert(sock.socket("inet"))
      shared = four:bind("*", six:getsockname().port) and four:listen()
      if shared then
        break
      end
    end
    assert.is_truthy(shared)
  end)

  it("refuses an address of the other family", function()
    local four <close> = assert(sock.socket("inet"))
    local _, message, code = four:connect("::1", 9)
    assert.equal("EAFNOSUPPORT", code)
    assert.matches("connect [::1]:9", message, 1, true)
  end)

  it("raises for a port above 65535", function()
    local s <close> = assert(sock.socket())
    assert.has_error(function() s:connect("127.0.0.1", 70000) end,
      "bad argument #2 to 'connect' (port out of range)")
  end)

  it("raises for what is no address", function()
    local s <close> = assert(sock.socket())
    assert.has_error(function() s:connect({}) end,
      "bad argument #1 to 'connect' (address or host expected, got table)")
  end)

  it("refuses a settimeout that is no number", function()
    local s <close> = assert(sock.socket())
    assert.has_error(function() s:settimeout("soon") end,
      "bad argument #1 to 'settimeout' (number expected, got string)")
  end)

  it("remembers its timeout", function()
    local s <close> = assert(sock.socket())
    assert.is_nil(s:gettimeout())
    assert.equal(s, s:settimeout(1.5))
    assert.equal(1.5, s:gettimeout())
    assert.is_nil(s:settimeout(math.huge):gettimeout())
    assert.equal(0, s:settimeout(0):gettimeout())
    assert.is_nil(s:settimeout(nil):gettimeout())
  end)
end)
