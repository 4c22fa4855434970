-- What the world does wrong is nil, a message that says what was tried on
-- what, and the error's symbolic name.

local sock = require "sock"
local peer = require "spec.support.peer"
local closing = require("spec.support.fixtures").closing

local pack = table.pack

-- The two ends of a TCP connection over loopback.
local function tcp(host)
  local family = sock.address(host, 0).family
  local listener <close> = assert(sock.socket(family))
  local client = assert(sock.socket(family))
  assert(listener:bind(host, 0)):listen()
  assert(client:connect(assert(listener:getsockname())))
  local server = assert(listener:accept())
  return client, server, closing(client, server)
end

describe("a refused connect", function()
  for _, host in ipairs { "127.0.0.1", "::1" } do
    it("is ECONNREFUSED: " .. host, function()
      local family = sock.address(host, 0).family
      local bound <close> = assert(sock.socket(family)) -- and not listening
      local s <close> = assert(sock.socket(family))
      assert(bound:bind(host, 0))
      local address = bound:getsockname()
      assert.same(pack(nil, "connect " .. tostring(address) .. ": Connection refused",
        "ECONNREFUSED"), pack(s:connect(address)))
    end)
  end

  it("names the address that a name stood for", function()
    local bound <close> = assert(sock.socket())
    local s <close> = assert(sock.socket())
    assert(bound:bind("127.0.0.1", 0))
    local port = bound:getsockname().port
    assert.same(pack(nil, "connect 127.0.0.1:" .. port .. ": Connection refused",
      "ECONNREFUSED"), pack(s:connect("localhost", port)))
  end)

  it("is ECONNREFUSED of a Unix path whose socket was closed", function()
    local folder, _ <close> = peer.tempdir()
    local path = "unix:" .. folder .. "/s"
    local gone = assert(sock.socket("unix"))
    assert(gone:bind(path)):listen()
    gone:close()
    local s <close> = assert(sock.socket("unix"))
    assert.same(pack(nil, "connect " .. path .. ": Connection refused", "ECONNREFUSED"),
      pack(s:connect(path)))
  end)

  it("comes to the next call of a connected datagram socket", function()
    local bound = assert(sock.socket("inet", "dgram"))
    assert(bound:bind("127.0.0.1", 0))
    local address = bound:getsockname()
    bound:close()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert(s:connect(address))
    assert(s:send("x"))
    assert.same(pack(nil, "recv " .. tostring(address) .. ": Connection refused", "ECONNREFUSED"),
      pack(s:recv()))
  end)

  it("leaves a socket that may try again", function()
    local l <close> = assert(sock.socket())
    local s <close> = assert(sock.socket())
    assert(l:bind("127.0.0.1", 0))
    local address = l:getsockname()
    assert.equal("ECONNREFUSED", select(3, s:connect(address)))
    assert(l:listen())
    assert.equal(s, s:connect(address))
  end)
end)

describe("an address in use", function()
  it("is EADDRINUSE to a second socket", function()
    for _, host in ipairs { "127.0.0.1", "::1" } do
      local family = sock.address(host, 0).family
      local first <close> = assert(sock.socket(family))
      local second <close> = assert(sock.socket(family))
      assert(first:bind(host, 0)):listen()
      local address = first:getsockname()
      assert.same(pack(nil, "bind " .. tostring(address) .. ": Address already in use",
        "EADDRINUSE"), pack(second:bind(address)))
    end
  end)

  it("is EADDRINUSE where a file stands at a Unix path", function()
    local folder, _ <close> = peer.tempdir()
    local path = "unix:" .. folder .. "/s"
    assert(io.open(folder .. "/s", "w")):close()
    local s <close> = assert(sock.socket("unix"))
    assert.same(pack(nil, "bind " .. path .. ": Address already in use", "EADDRINUSE"),
      pack(s:bind(path)))
  end)

  it("is EADDRINUSE where another program has it", function()
    local socat <close>, port = peer.socat("TCP4-LISTEN:0,bind=127.0.0.1", "PIPE")
    local s <close> = assert(sock.socket())
    assert.same(pack(nil, "bind 127.0.0.1:" .. port .. ": Address already in use", "EADDRINUSE"),
      pack(s:bind("127.0.0.1", port)))
    assert.is_not_nil(socat.pid)
  end)
end)

describe("an address that is not ours", function()
  it("is EADDRNOTAVAIL", function()
    local s <close> = assert(sock.socket())
    assert.same(pack(nil, "bind 203.0.113.1:0: Cannot assign requested address", -- RFC 5737
      "EADDRNOTAVAIL"), pack(s:bind("203.0.113.1", 0)))
  end)
end)

describe("a host that is not there", function()
  -- Where there is no name server, EAI_AGAIN is all that can be said.
  local function missing(op, result, message, code)
    assert.is_nil(result)
    assert.matches("^" .. op .. " no%-such%-host%.invalid", message) -- RFC 6761, 6.4
    assert.is_true(code == "EAI_NONAME" or code == "EAI_AGAIN", code)
  end

  it("is EAI_NONAME to connect", function()
    local s <close> = assert(sock.socket())
    missing("connect", s:connect("no-such-host.invalid", 80))
  end)

  it("is EAI_NONAME to bind", function()
    local s <close> = assert(sock.socket("inet6"))
    missing("bind", s:bind("no-such-host.invalid:80"))
  end)

  it("is EAI_NONAME to sendto", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    missing("sendto", s:sendto("x", "no-such-host.invalid", 80))
  end)
end)

describe("a path that is not there", function()
  it("is ENOENT to connect", function()
    local folder, _ <close> = peer.tempdir()
    local s <close> = assert(sock.socket("unix"))
    assert.same(pack(nil, "connect unix:" .. folder .. "/s: No such file or directory", "ENOENT"),
      pack(s:connect("unix:" .. folder .. "/s")))
  end)

  it("is ENOENT to bind in a folder that is missing", function()
    local folder, _ <close> = peer.tempdir()
    local s <close> = assert(sock.socket("unix"))
    assert.same(pack(nil, "bind unix:" .. folder .. "/no/s: No such file or directory", "ENOENT"),
      pack(s:bind("unix:" .. folder .. "/no/s")))
  end)

  it("is ENOTDIR to bind below a file", function()
    local folder, _ <close> = peer.tempdir()
    assert(io.open(folder .. "/file", "w")):close()
    local s <close> = assert(sock.socket("unix"))
    assert.same(pack(nil, "bind unix:" .. folder .. "/file/s: Not a directory", "ENOTDIR"),
      pack(s:bind("unix:" .. folder .. "/file/s")))
  end)
end)

describe("a path that is too long", function()
  it("is EINVAL, and says how long it may be", function()
    local s <close> = assert(sock.socket("unix"))
    local path = "unix:/tmp/" .. ("x"):rep(200)
    for _, op in ipairs { "bind", "connect" } do
      local result, message, code = s[op](s, path)
      assert.is_nil(result)
      assert.matches("^" .. op .. ' "unix:/tmp/x+".*: a unix path has at most %d+ bytes, not 205',
        message)
      assert.equal("EINVAL", code)
    end
  end)
end)

describe("no permission", function()
  it("is EACCES to send to everybody without the option", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert.same(pack(nil, "sendto 127.255.255.255:9: Permission denied", "EACCES"),
      pack(s:sendto("x", "127.255.255.255", 9)))
    assert.same(pack(nil, "connect 127.255.255.255:9: Permission denied", "EACCES"),
      pack(s:connect("127.255.255.255", 9)))
    assert(s:setsockopt("broadcast", true))
    assert.equal(1, s:sendto("x", "127.255.255.255", 9))
  end)
end)

describe("a peer that has closed", function()
  it("is EPIPE to write", function()
    local a, b = sock.socketpair()
    local _ <close> = a
    b:close()
    assert.same(pack(nil, "send unix:: Broken pipe", "EPIPE"), pack(a:send("x")))
    local result, message, code, sent = a:write("x", "y")
    assert.is_nil(result)
    assert.equal("write unix:: Broken pipe", message)
    assert.equal("EPIPE", code)
    assert.equal(0, sent)
  end)

  for _, host in ipairs { "127.0.0.1", "::1" } do
    it("is ECONNRESET where it left bytes unread, then EPIPE: " .. host, function()
      local c, s, _ <close> = tcp(host)
      local name = tostring(s:getpeername())
      assert(s:write("never read"))
      assert(c:wait("r"))
      c:close()
      assert(s:wait("r"))
      assert.same(pack(nil, "recv " .. name .. ": Connection reset by peer", "ECONNRESET"),
        pack(s:recv()))
      assert.same(pack(nil, "send " .. name .. ": Broken pipe", "EPIPE"), pack(s:send("x")))
    end)
  end

  it("is ECONNRESET when a program resets the connection", function()
    local python <close> = peer.python([[
import socket, struct
l = socket.create_server(("127.0.0.1", 0))
print(l.getsockname()[1])
c, _ = l.accept()
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
c.recv(1)
c.close()
]])
    local port = math.tointeger(python:expect("%d+"))
    local s <close> = assert(sock.socket())
    assert(s:connect("127.0.0.1", port))
    assert(s:write("x"))
    assert.same(pack(nil, "read 127.0.0.1:" .. port .. ": Connection reset by peer",
      "ECONNRESET"), pack(s:read()))
  end)

  it("says how much a write had moved", function()
    local a, b = sock.socketpair()
    local _ <close> = a
    assert(a:settimeout(0))
    local message, code, sent = select(2, a:write(("x"):rep(10 << 20)))
    assert.equal("write unix:: timed out", message)
    assert.equal("ETIMEDOUT", code)
    local got = 0
    a:close()
    for data in function() return b:recv() end do
      got = got + #data
    end
    b:close()
    assert.is_true(got > 0)
    assert.equal(got, sent)
  end)
end)

describe("a socket in the wrong state", function()
  it("is ENOTCONN before connect", function()
    local s <close> = assert(sock.socket())
    local why = " 0.0.0.0:0: Transport endpoint is not connected"
    assert.same(pack(nil, "getpeername" .. why, "ENOTCONN"), pack(s:getpeername()))
    assert.same(pack(nil, "shutdown" .. why, "ENOTCONN"), pack(s:shutdown()))
    local fresh <close> = assert(sock.socket())
    assert.same(pack(nil, "recv" .. why, "ENOTCONN"), pack(fresh:recv()))
  end)

  it("is EISCONN to connect again", function()
    local c, _, _ <close> = tcp("127.0.0.1")
    local address = c:getpeername()
    assert.same(pack(nil, "connect " .. tostring(address)
      .. ": Transport endpoint is already connected", "EISCONN"), pack(c:connect(address)))
  end)

  it("is EISCONN to connect to somebody else", function()
    local c, _, _ <close> = tcp("127.0.0.1")
    local other <close> = assert(sock.socket())
    assert(other:bind("127.0.0.1", 0)):listen()
    local before = tostring(c)
    local result, _, code = c:connect(other:getsockname())
    assert.is_nil(result)
    assert.equal("EISCONN", code)
    assert.equal(before, tostring(c))
  end)

  it("is EINVAL to bind again", function()
    local s <close> = assert(sock.socket())
    assert(s:bind("127.0.0.1", 0))
    assert.same(pack(nil, "bind 127.0.0.1:0: Invalid argument", "EINVAL"),
      pack(s:bind("127.0.0.1", 0)))
  end)

  it("is EINVAL to accept without listen", function()
    local s <close> = assert(sock.socket())
    assert.same(pack(nil, "accept 0.0.0.0:0: Invalid argument", "EINVAL"), pack(s:accept()))
  end)

  it("is EOPNOTSUPP to listen where nothing connects", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert.same(pack(nil, "listen 0.0.0.0:0: Operation not supported", "EOPNOTSUPP"),
      pack(s:listen()))
  end)

  it("is EDESTADDRREQ to send a datagram to nobody", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert(s:bind("127.0.0.1", 0))
    assert.same(pack(nil, "send " .. tostring(s:getsockname()) .. ": Destination address required",
      "EDESTADDRREQ"), pack(s:send("x")))
  end)

  it("is EMSGSIZE to send more than a datagram holds", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert.same(pack(nil, "sendto 127.0.0.1:9: message too long", "EMSGSIZE"),
      pack(s:sendto(("x"):rep(65508), "127.0.0.1", 9)))
  end)
end)

describe("no descriptor left", function()
  it("is EMFILE", function()
    local child <close> = peer.start({ "sh", "-c", 'ulimit -n 40; exec "$0" -e "$1"',
      os.getenv("LUA") or "lua5.4", [[
local sock = require "sock"
local listener, client, kept = assert(sock.socket()), assert(sock.socket()), {}
assert(listener:bind("127.0.0.1", 0)):listen()
assert(client:connect(listener:getsockname()))
repeat
  local s, message, code = sock.socket()
  kept[#kept + 1] = s
  if not s then
    print(message, code)
  end
until not s
print(select(2, sock.socketpair()))
print((select(2, listener:accept()):gsub("%d+: Too", "PORT: Too")))
print(select(3, listener:accept()))
print(select(3, sock.adopt(io.stdout)))
]] }, { module = true })
    assert.equal("socket inet stream: Too many open files\tEMFILE\n"
      .. "socketpair stream: Too many open files\tEMFILE\n"
      .. "accept 127.0.0.1:PORT: Too many open files\nEMFILE\n"
      .. "EMFILE\n", child:rest())
  end)
end)
