local sock = require "sock"
local peer = require "spec.support.peer"
local closing = require("spec.support.fixtures").closing

local families = {
  { family = "inet", name = "IPv4", host = "127.0.0.1", any = "0.0.0.0" },
  { family = "inet6", name = "IPv6", host = "::1", any = "::" },
}

local function listener(at, backlog)
  local l = assert(sock.socket(at.family))
  l:settimeout(10)
  assert(l:bind(at.host, 0))
  assert(l:listen(backlog))
  return l
end

--- Two ends of a connection, and what closes them.
local function connection(at)
  local l <close> = listener(at)
  local a = assert(sock.socket(at.family))
  assert(a:settimeout(10):connect(l:getsockname()))
  local b = assert(l:accept())
  return a, b:settimeout(10), closing(a, b)
end

--- Connects until the queue of a listener is full; the connection that has
-- no room is the last one.
local function fillbacklog(l, at)
  local list = {}
  for i = 1, 10 do
    list[i] = assert(sock.socket(at.family))
    local ok, _, code = list[i]:settimeout(0.15):connect(l:getsockname())
    if not ok then
      assert.equal("ETIMEDOUT", code)
      return list
    end
  end
  error("the backlog has no end")
end

--- Everything up to the end of the stream.
local function drain(s)
  local pieces = {}
  for piece in function() return s:recv() end do
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

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

    describe("send and recv", function()
      it("carry bytes both ways", function()
        local a, b, _ <close> = connection(at)
        assert.equal(5, a:send("hello"))
        assert.equal("hello", b:recv())
        assert.equal(3, b:send("\0\255\0"))
        assert.equal("\0\255\0", a:recv())
      end)

      it("give at most n bytes", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abcdef"))
        assert.equal("ab", b:recv(2))
        assert.equal("cdef", b:recv(100))
      end)

      it("give up to 64 KiB without n", function()
        local a, b, _ <close> = connection(at)
        assert(b:setsockopt("rcvbuf", 400000))
        local sent, got = 0, 0
        while sent < 200000 do
          sent = sent + assert(a:send(("x"):rep(200000 - sent)))
        end
        while got < 200000 do
          local piece = assert(b:recv())
          assert.is_true(#piece <= 65536)
          got = got + #piece
        end
        assert.equal(200000, got)
      end)

      it("give an empty string for recv(0) at once", function()
        local a, b, _ <close> = connection(at)
        assert.equal("", b:recv(0))
        assert(a:send("x"))
        assert.equal("", b:recv(0))
        assert.equal("x", b:recv())
      end)

      it("send nothing for an empty string", function()
        local a, b, _ <close> = connection(at)
        assert.equal(0, a:send(""))
        local _, _, code = b:settimeout(0):recv()
        assert.equal("ETIMEDOUT", code)
      end)

      it("refuse a count below 0", function()
        local _, b, _ <close> = connection(at)
        assert.has_error(function() b:recv(-1) end,
          "bad argument #1 to 'recv' (count must not be negative)")
      end)

      it("refuse a flag that is none", function()
        local a, b, _ <close> = connection(at)
        assert.has_error(function() a:send("x", "peek") end,
          "bad argument #2 to 'send' (unknown flag \"peek\")")
        assert.has_error(function() b:recv(1, "peek", "pook") end,
          "bad argument #3 to 'recv' (unknown flag \"pook\")")
      end)

      it("refuse data that is no string", function()
        local a, _, _ <close> = connection(at)
        assert.has_error(function() a:send({}) end,
          "bad argument #1 to 'send' (string expected, got table)")
      end)

      it("leave what was peeked at", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abc"))
        assert.equal("ab", b:recv(2, "peek"))
        assert.equal("abc", b:recv(nil, "peek"))
        assert.equal("abc", b:recv())
      end)

      it("peek at what a read has buffered", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("line\nrest"))
        assert.equal("line", b:read())
        assert.equal("re", b:recv(2, "peek"))
        assert.equal("rest", b:recv())
      end)

      it("collect all n bytes with waitall", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abc"))
        local _, _, code = b:settimeout(0.02):recv(6, "waitall")
        assert.equal("ETIMEDOUT", code)
        assert(a:send("defg"))
        assert.equal("abcdef", b:recv(6, "waitall"))
        assert.equal("g", b:recv())
      end)

      it("give less than all with waitall when the stream ends", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abc"))
        a:close()
        assert.equal("abc", b:recv(6, "waitall"))
        assert.same({ n = 1 }, table.pack(b:recv(6, "waitall")))
      end)

      it("collect and leave all n bytes with waitall and peek", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abcdef"))
        assert.equal("abcd", b:recv(4, "waitall", "peek"))
        assert.equal("abcdef", b:recv())
      end)

      it("carry an urgent byte beside the stream", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("before"))
        assert.equal(1, a:send("!", "oob"))
        assert(a:send("after"))
        assert.equal("before", b:recv(6, "waitall"))
        assert.equal("!", peer.urgent(b))
        assert.equal("after", b:recv(5, "waitall"))
      end)

      it("tell an urgent byte from what is buffered in recvfrom too", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("before"))
        assert.equal("b", b:read(1))
        assert.equal(1, a:send("!", "oob"))
        assert.equal("!", peer.urgent(b, "recvfrom"))
        assert.equal("efore", b:recv())
      end)

      it("say that no urgent byte is there", function()
        local _, b, _ <close> = connection(at)
        local _, _, code = b:recv(1, "oob")
        assert.equal("EINVAL", code)
      end)

      it("hold back what is sent with more until the rest is", function()
        local a, b, _ <close> = connection(at)
        assert.equal(4, a:send("head", "more"))
        assert.equal(4, a:send("body"))
        assert.equal("headbody", b:recv(8, "waitall"))
      end)

      it("give nil and nothing else at the end of the stream", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("last"))
        a:close()
        assert.equal("last", b:recv())
        assert.same({ n = 1 }, table.pack(b:recv()))
        assert.same({ n = 1 }, table.pack(b:recv(10)))
        assert.same({ n = 1 }, table.pack(b:read("l")))
      end)

      it("time out and lose nothing", function()
        local a, b, _ <close> = connection(at)
        b:settimeout(0.05)
        local start = peer.uptime()
        assert.same({ nil, "recv " .. tostring(a:getsockname()) .. ": timed out", "ETIMEDOUT" },
          { b:recv() })
        assert.is_true(peer.uptime() - start >= 0.04)
        assert(a:send("late"))
        assert.equal("late", b:recv())
      end)

      it("do not wait with a timeout of 0", function()
        local a, b, _ <close> = connection(at)
        local _, _, code = b:settimeout(0):recv()
        assert.equal("ETIMEDOUT", code)
        assert(a:send("x"))
        assert.equal("r", b:wait("r", 10))
        assert.equal("x", b:recv())
      end)

      it("send a part when there is room for no more", function()
        local a, b, _ <close> = connection(at)
        local data = ("0123456789abcdef"):rep(1 << 21) -- 32 MiB
        local sent = assert(a:send(data))
        assert.is_true(sent > 0 and sent < #data)
        for _ = 1, 100000 do
          local more, _, code = a:settimeout(0):send(data:sub(sent + 1, sent + 65536))
          if not more then
            assert.equal("ETIMEDOUT", code)
            break
          end
          sent = sent + more
        end
        a:close()
        assert.is_true(drain(b) == data:sub(1, sent))
      end)

      it("give the peer of a stream with recvfrom", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abc"))
        assert.same({ "abc", a:getsockname() }, { b:recvfrom(10) })
      end)

      it("say that a socket is not connected", function()
        local s <close> = assert(sock.socket(at.family))
        local _, _, code = s:recv()
        assert.equal("ENOTCONN", code)
        _, _, code = s:send("x")
        assert.equal("EPIPE", code)
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

    describe("read", function()
      it("gives a line without its end", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("one\ntwo\n\nlast"))
        a:shutdown("send")
        assert.equal("one", b:read())
        assert.equal("two", b:read("l"))
        assert.equal("", b:read("*l"))
        assert.equal("last", b:read("l"))
        assert.same({ n = 1 }, table.pack(b:read("l")))
      end)

      it("drops one carriage return before the end of a line", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("one\r\ntwo\r\r\n\r\nthr\ree\n"))
        assert.equal("one", b:read("l"))
        assert.equal("two\r", b:read("l"))
        assert.equal("", b:read("l"))
        assert.equal("thr\ree", b:read("l"))
      end)

      it("keeps the carriage return of a last line without its end", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("last\r"))
        a:close()
        assert.equal("last\r", b:read("l"))
      end)

      it("gives a line with its end", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("one\r\ntwo\nlast"))
        a:close()
        assert.equal("one\r\n", b:read("L"))
        assert.equal("two\n", b:read("*L"))
        assert.equal("last", b:read("L"))
        assert.same({ n = 1 }, table.pack(b:read("L")))
      end)

      it("gives all that comes, and nothing is an empty string", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("one\ntwo"))
        a:close()
        assert.equal("one\ntwo", b:read("a"))
        assert.equal("", b:read("*a"))
        assert.same({ n = 1 }, table.pack(b:read(1)))
      end)

      it("gives exactly a count of bytes", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abc"))
        local _, _, code = b:settimeout(0.02):read(5)
        assert.equal("ETIMEDOUT", code)
        assert(a:send("def"))
        assert.equal("abcde", b:settimeout(10):read(5))
        assert.equal("f", b:read(1))
      end)

      it("gives an empty string for a count of 0 at once", function()
        local a, b, _ <close> = connection(at)
        assert.equal("", b:read(0))
        a:close()
        assert.equal("", b:read(0))
      end)

      it("leaves the bytes of a count cut short to recv", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("abc"))
        a:close()
        local data, message, code = b:read(10)
        assert.same({ nil, "EPROTO" }, { data, code })
        assert.matches("ended after 3 of 10 bytes", message, 1, true)
        assert.equal("abc", b:recv())
        assert.same({ n = 1 }, table.pack(b:read(10)))
      end)

      it("reads a count of many megabytes", function()
        local l <close> = listener(at)
        local writer <close> = peer.python([[
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"0123456789abcde\n" * (1 << 18))
]], at.host, l:getsockname().port)
        local c <close> = assert(l:accept())
        assert.is_true(c:read(1 << 22) == ("0123456789abcde\n"):rep(1 << 18))
        assert.same({ n = 1 }, table.pack(c:recv()))
        assert.equal("", writer:rest())
      end)

      it("loses nothing of a line when it times out", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("half"))
        local start = peer.uptime()
        local line, message, code = b:settimeout(0.05):read("l")
        assert.is_true(peer.uptime() - start >= 0.04)
        assert.same({ nil, "read " .. tostring(a:getsockname()) .. ": timed out", "ETIMEDOUT" },
          { line, message, code })
        assert(a:send(" a line\n"))
        assert.equal("half a line", b:read("l"))
      end)

      it("leaves to recv what a timeout has left", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("half"))
        local _, _, code = b:settimeout(0.02):read("a")
        assert.equal("ETIMEDOUT", code)
        assert.equal("half", b:recv())
      end)

      it("mixes with recv in any order", function()
        local a, b, _ <close> = connection(at)
        assert(a:send("head\n12345tail\nrest"))
        a:shutdown("send")
        assert.equal("head", b:read("l"))
        assert.equal("12", b:recv(2))
        assert.equal("345", b:read(3))
        assert.equal("ta", b:recv(2, "waitall"))
        assert.equal("il\n", b:read("L"))
        assert.equal("rest", b:read("a"))
      end)

      it("refuses a line longer than a mebibyte", function()
        local l <close> = listener(at)
        local writer <close> = peer.python([[
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"x" * (3 << 20))
]], at.host, l:getsockname().port)
        local c <close> = assert(l:accept())
        local line, message, code = c:read("l")
        assert.same({ nil, "EMSGSIZE" }, { line, code })
        assert.matches("too long", message, 1, true)
        assert.equal(3 << 20, #c:read("a"))
        assert.equal("", writer:rest())
      end)

      it("refuses a format that is none", function()
        local _, b, _ <close> = connection(at)
        assert.has_error(function() b:read("x") end,
          "bad argument #1 to 'read' (invalid format)")
        assert.has_error(function() b:read("*") end,
          "bad argument #1 to 'read' (invalid format)")
        assert.has_error(function() b:read(-1) end,
          "bad argument #1 to 'read' (count must not be negative)")
        assert.has_error(function() b:read(1.5) end,
          "bad argument #1 to 'read' (number has no integer representation)")
      end)
    end)

    describe("write", function()
      it("gives the socket itself", function()
        local a, b, _ <close> = connection(at)
        assert.equal(a, a:write("one", "two"))
        assert.equal("onetwo", b:recv())
      end)

      it("writes strings and numbers", function()
        local a, b, _ <close> = connection(at)
        assert(a:write("n=", 12, " x=", 1.5, "\n"))
        assert.equal("n=12 x=1.5", b:read())
      end)

      it("writes nothing for nothing", function()
        local a, b, _ <close> = connection(at)
        assert.equal(a, a:write())
        assert.equal(a, a:write("", ""))
        a:close()
        assert.same({ n = 1 }, table.pack(b:recv()))
      end)

      it("writes hundreds of pieces in their order", function()
        local a, b, _ <close> = connection(at)
        local pieces = {}
        for i = 1, 200 do
          pieces[i] = i % 7 == 0 and "" or i .. ","
        end
        assert(a:write(table.unpack(pieces)))
        a:close()
        assert.equal(table.concat(pieces), b:read("a"))
      end)

      it("refuses other values before anything is sent", function()
        local a, b, _ <close> = connection(at)
        assert.has_error(function() a:write("x", {}) end,
          "bad argument #2 to 'write' (string or number expected, got table)")
        a:close()
        assert.same({ n = 1 }, table.pack(b:recv()))
      end)

      it("times out and says how many bytes had gone", function()
        local a, b, _ <close> = connection(at)
        local data = ("0123456789abcdef"):rep(1 << 21)
        local start = peer.uptime()
        local ok, message, code, sent = a:settimeout(0.05):write(data:sub(1, 10), data:sub(11))
        assert.is_true(peer.uptime() - start >= 0.04)
        assert.same({ nil, "write " .. tostring(b:getsockname()) .. ": timed out", "ETIMEDOUT" },
          { ok, message, code })
        assert.is_true(sent > 0 and sent < #data)
        a:close()
        assert.is_true(drain(b) == data:sub(1, sent))
      end)

      it("sends 50 MB to a slow reader, byte for byte", function()
        local dir, _ <close> = peer.tempdir()
        local block = assert(io.open("/dev/urandom", "rb"))
        local bytes = block:read(1 << 20)
        block:close()
        local pieces = {}
        for i = 1, 50 do -- no two megabytes are alike
          pieces[i] = bytes:sub(i * 1000 + 1) .. bytes:sub(1, i * 1000)
        end
        local file <close> = assert(io.open(dir .. "/sent", "wb"))
        file:write(table.unpack(pieces))
        file:flush()
        local l <close> = listener(at)
        local reader <close> = peer.python([[
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100000)
s.connect((sys.argv[1], int(sys.argv[2])))
expected = open(sys.argv[3], "rb").read()
place = pause = 0
while True:
    data = s.recv(30000)
    if not data:
        break
    if data != expected[place:place + len(data)]:
        print("differs after", place)
        sys.exit()
    place += len(data)
    if place >= pause: # slow
        pause += 1 << 20
        time.sleep(0.005)
print("the same" if place == len(expected) else "cut", place)
]], at.host, l:getsockname().port, dir .. "/sent")
        local c <close> = assert(l:accept())
        assert.equal(c, c:settimeout(20):write(table.unpack(pieces)))
        c:close()
        assert.equal("the same 52428800\n", reader:rest())
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
