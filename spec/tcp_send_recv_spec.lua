-- send and recv over TCP.

local sock = require "sock"
local peer = require "spec.support.peer"
local tcp = require "spec.support.tcp"
local connection, drain, families = tcp.connection, tcp.drain, tcp.families

for _, at in ipairs(families) do
  describe("TCP over " .. at.name, function()
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
  end)
end
