-- read and write over TCP.

local peer = require "spec.support.peer"
local tcp = require "spec.support.tcp"
local connection, drain, families, listener = tcp.connection, tcp.drain, tcp.families, tcp.listener

for _, at in ipairs(families) do
  describe("TCP over " .. at.name, function()
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
  end)
end
