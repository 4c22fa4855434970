-- sock.copy and sock.relay with other programs at the ends: socat, Python.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local closing, listener, pack = fixtures.closing, fixtures.listener, table.pack

local data = {}
for i = 1, 400000 do
  data[i] = ("%07d\n"):format(i)
end
data = table.concat(data) -- 3,200,000 bytes, more than what is in flight

--- A Lua file with these contents, its path, and what removes it.
local function file(text)
  local dir, cleaner = peer.tempdir()
  local f = assert(io.open(dir .. "/file", "w+b"))
  assert(f:write(text))
  f:seek("set")
  return f, dir .. "/file", closing(f, { close = getmetatable(cleaner).__close })
end

local function connect(port)
  return assert(assert(sock.socket()):settimeout(20):connect("127.0.0.1", port))
end

--- What a Python program prints that talks through `s`, a connection to
-- `port`, and knows `data`.
local function python(text, port)
  return peer.python([[
import socket, sys
data = b"".join(b"%07d\n" % i for i in range(1, 400001))
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
def receive(n=1 << 30):
    got = b""
    while len(got) < n:
        piece = s.recv(min(n - len(got), 65536))
        if not piece:
            break
        got += piece
    return got
]] .. text, port)
end

--- Runs a program with `port`, and serves its one connection meanwhile.
local function serve(text, f)
  local l <close> = listener()
  local program <close> = python(text, l:getsockname().port)
  local s <close> = assert(l:settimeout(20):accept()):settimeout(20)
  f(s)
  s:close()
  return program:rest()
end

describe("sock.copy with socat at the other end", function()
  it("receives what it sends, into a file", function()
    local _, path, _ <close> = file(data)
    local f, _, _ <close> = file("")
    local source <close>, port = peer.socat("TCP-LISTEN:0,bind=127.0.0.1", "OPEN:" .. path)
    local s <close> = connect(port)
    assert.equal(#data, sock.copy(s, f))
    f:seek("set")
    assert.is_true(f:read("a") == data)
    assert.truthy(source)
  end)

  it("sends it a file, of which it stores every byte", function()
    local f, _, _ <close> = file(data)
    local stored, path, _ <close> = file("")
    local sink <close>, port = peer.socat("TCP-LISTEN:0,bind=127.0.0.1",
      "SYSTEM:cat >" .. path)
    local s <close> = connect(port)
    assert.equal(#data, sock.copy(f, s))
    s:close()
    sink:rest()
    assert.is_true(stored:read("a") == data)
  end)

  it("sends from one to the other, over TCP and a Unix socket", function()
    local _, from, _ <close> = file(data)
    local stored, to, _ <close> = file("")
    local dir, _ <close> = peer.tempdir()
    local source <close>, port = peer.socat("TCP-LISTEN:0,bind=127.0.0.1", "OPEN:" .. from)
    local sink <close> = peer.socat("UNIX-LISTEN:" .. dir .. "/s", "SYSTEM:cat >" .. to)
    local a <close> = connect(port)
    local b <close> = assert(sock.socket("unix")):settimeout(20)
    assert(b:connect("unix:" .. dir .. "/s"))
    assert.equal(#data, sock.copy(a, b))
    b:close()
    sink:rest()
    assert.is_true(stored:read("a") == data)
    assert.truthy(source)
  end)
end)

describe("sock.copy with Python at the other end", function()
  it("echoes, and ends when it has ended its half", function()
    assert.equal("True\n", serve([[
import threading
t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
t.start()
print(receive() == data)
]], function(s) assert.equal(#data, sock.copy(s, s)) end))
  end)

  it("takes a count of what it sends, and leaves the rest", function()
    assert.equal("True\n", serve([[
s.sendall(b"head\n" + b"x" * 100000 + b"tail\n")
print(receive() == b"x" * 100000)
]], function(s)
      local f, _, _ <close> = file("")
      assert.equal("head", s:read())
      assert.equal(100000, sock.copy(s, f, 100000))
      assert.equal("tail", s:read())
      f:seek("set")
      assert.equal(100000, sock.copy(f, s))
    end))
  end)

  it("waits for it when it reads late and in small pieces", function()
    local f, _, _ <close> = file(data)
    assert.equal("True\n", serve([[
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
s.sendall(b"ready\n")
print(b"".join(iter(lambda: s.recv(1000), b"")) == data)
]], function(s)
      assert.equal("ready", s:read())
      assert.equal(#data, sock.copy(f, s))
    end))
  end)

  it("tells that it has gone in the middle", function()
    local f, _, _ <close> = file(data)
    local program <close> = peer.python [[
import socket
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
while True:
    s, _ = listener.accept()
    s.recv(1)
    s.shutdown(socket.SHUT_WR) # first the end, then, as much is unread, a reset
    s.close()
]]
    local port = math.tointeger(program:expect("listening on (%d+)"))
    for _ = 1, 200 do -- the reset may come while the kernel sends
      local s <close> = connect(port)
      local ok, code, moved
      repeat
        f:seek("set")
        ok, _, code, moved = sock.copy(f, s)
      until not ok
      assert.is_truthy(code == "ECONNRESET" or code == "EPIPE", code)
      assert.equal(#data - moved, #f:read("a"))
    end
  end)
end)

describe("sock.relay between other programs", function()
  --- Relays between a program in Python and a far side; the program's output.
  local function between(text, farport, there, back)
    local far <close> = connect(farport)
    return serve(text, function(near)
      assert.same(pack(there, back), pack(sock.relay(near, far)))
    end)
  end

  it("carries what socat echoes, both ways at once", function()
    local echo <close>, port = peer.socat("TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat")
    assert.equal("True\n", between([[
import threading
t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
t.start()
print(receive() == data)
]], port, #data, #data))
    assert.truthy(echo)
  end)

  it("carries the end over, and what is only then answered", function()
    local sums <close>, port = peer.socat("TCP-LISTEN:0,bind=127.0.0.1", "EXEC:md5sum")
    assert.equal("True\n", between([[
import hashlib
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print(receive().split()[0].decode() == hashlib.md5(data).hexdigest())
]], port, #data, 36))
    assert.truthy(sums)
  end)

  it("carries the end of the far side over, and lets the near side go on", function()
    local l <close> = listener()
    local far <close> = python([[
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print(receive() == data[::-1])
]], l:getsockname().port)
    local b <close> = assert(l:settimeout(20):accept()):settimeout(20)
    assert.equal("True\n", serve([[
print(receive() == data) # until the end
s.sendall(data[::-1])
]], function(near) assert.same(pack(#data, #data), pack(sock.relay(near, b))) end))
    b:close()
    assert.equal("True\n", far:rest())
  end)

  it("talks for as long as they take turns", function()
    local redis <close>, port = peer.redis()
    assert.equal("2000 True\n", between([[
f, right = s.makefile("rb"), 0
for i in range(1, 2001):
    s.sendall(b"INCR n\r\n")
    right += f.readline() == b":%d\r\n" % i
s.sendall(b"QUIT\r\n")
print(right, f.read() == b"+OK\r\n")
s.close()
]], port, 2000 * 8 + 6, 9 * 4 + 90 * 5 + 900 * 6 + 1001 * 7 + 5))
    assert.truthy(redis)
  end)
end)
