-- What an address is worth: its text, its identity, and that of real peers.

local sock = require "sock"
local peer = require "spec.support.peer"

-- Bytes of garbage that a thousand calls leave.
local function garbage(f)
  collectgarbage()
  collectgarbage()
  collectgarbage("stop")
  f() -- what a first call makes for good is no garbage
  local before = collectgarbage("count")
  for _ = 1, 1000 do
    f()
  end
  local after = collectgarbage("count")
  collectgarbage("restart")
  return (after - before) * 1024
end

describe("an address's text", function()
  local texts = {
    "0.0.0.0:0", "127.0.0.1:80", "255.255.255.255:65535",
    "[::]:0", "[::1]:80", "[2001:db8::1]:65535", "[fe80::1%lo]:80", "[fe80::1%123456]:0",
    "[::102:304]:80",
    "unix:", "unix:/run/x.sock", "unix:x.sock", "unix:./@x", "unix:/tmp/\n\xff : ",
    "unix:@", "unix:@name", "unix:@a\0b\0", "unix:@@", "unix:@\0\0",
    "unix:/" .. ("x"):rep(106), "unix:@" .. ("x"):rep(107),
    "vsock:3:1024", "vsock:4294967295:4294967295",
    "netlink:0:0", "netlink:4294967295:4294967295",
    "packet:lo", "packet:0", "packet:123456", "packet:lo:2048",
    "packet:lo:2048:02-00-00-ab-cd-ef", "packet:lo:0:02-00-00-ab-cd-ef:4", "packet:lo:3::4",
    "packet:lo:0:01-02-03-04-05-06-07-08",
  }
  for _, text in ipairs(texts) do
    it(("reads back: %q"):format(text), function()
      local a = sock.address(text)
      local again = a and sock.address(tostring(a))
      assert.is_not_nil(a)
      assert.equal(a, again)
    end)
  end

  it("is the shortest of each kind", function()
    assert.equal("127.0.0.1:80", tostring(sock.address("127.0.0.1", 80)))
    assert.equal("[::1]:80", tostring(sock.address("0::0:1", 80)))
    assert.equal("unix:@a\0b", tostring(sock.address("unix:@a\0b")))
    assert.equal("packet:lo", tostring(sock.address("packet:lo:0")))
  end)

  it("reads back for a Unix path without room for a final zero", function()
    -- Linux takes 108 bytes: unix(7), "Pathname sockets"
    local folder, _ <close> = peer.tempdir()
    local path = folder .. "/" .. ("x"):rep(107 - #folder)
    local s <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:")) -- unnamed: the kernel chooses a name, unix(7)
    local python <close> = peer.python([[
import ctypes, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = (socket.AF_UNIX).to_bytes(2, sys.byteorder) + sys.argv[1].encode()
assert ctypes.CDLL(None).bind(s.fileno(), name, len(name)) == 0
s.sendto(b"x", "\0" + sys.argv[2])
print("sent")
]], path, assert(s:getsockname()).path:sub(2))
    python:expect("sent")
    local _, from = assert(s:recvfrom())
    assert.equal(path, from.path)
    assert.equal(from, (sock.address(tostring(from))))
  end)
end)

describe("equal addresses", function()
  it("are one value, however they are written", function()
    local a = sock.address("[::1]:80")
    assert.equal(a, sock.address("::1", 80))
    assert.equal(a, sock.address("0:0:0:0:0:0:0:1", "80"))
    assert.not_equal(a, sock.address("::1", 81))
    assert.not_equal(a, sock.address("::2", 80))
  end)

  it("serve as table keys", function()
    local seen = { [sock.address("127.0.0.1:80")] = "v4", [sock.address("unix:@x")] = "abstract" }
    assert.equal("v4", seen[sock.address("127.0.0.1", 80)])
    assert.equal("abstract", seen[sock.address("unix:@x")])
    assert.is_nil(seen[sock.address("127.0.0.1", 81)])
  end)

  it("are one value after a collection while one is in use", function()
    local a = sock.address("192.0.2.7:4000")
    local seen = { [sock.address("192.0.2.8:4000")] = true }
    collectgarbage()
    collectgarbage()
    assert.equal(a, sock.address("192.0.2.7:4000"))
    assert.is_true(seen[sock.address("192.0.2.8:4000")])
  end)

  it("are collected when none is in use, and one value again", function()
    local seen = setmetatable({}, { __mode = "k" })
    for port = 1, 100 do
      seen[sock.address("192.0.2.9", port)] = true
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(seen))
    assert.equal(sock.address("192.0.2.9", 1), sock.address("192.0.2.9:1"))
  end)

  it("are one value with what the kernel tells", function()
    local folder, _ <close> = peer.tempdir()
    for _, text in ipairs { "127.0.0.1:0", "[::1]:0", "unix:" .. folder .. "/s" } do
      local s <close> = assert(sock.socket(sock.address(text).family, "dgram"))
      assert(s:bind(text))
      local a = assert(s:getsockname())
      assert.equal(a, sock.address(tostring(a)))
    end
  end)

  for _, text in ipairs { "127.0.0.1:0", "[::1]:0", "unix:" } do
    local family = sock.address(text).family
    it("make no garbage for datagrams of a known peer of " .. family, function()
      local receiver <close> = assert(sock.socket(family, "dgram"))
      local sender <close> = assert(sock.socket(family, "dgram"))
      assert(receiver:bind(text))
      assert(sender:bind(text))
      local to, known = assert(receiver:getsockname()), assert(sender:getsockname())
      local from
      local bytes = garbage(function()
        sender:sendto("x", to)
        from = select(2, receiver:recvfrom())
      end)
      assert.equal(known, from)
      assert.equal(0, bytes)
    end)
  end

  it("make no garbage for datagrams of a known peer with a long path", function()
    local folder, _ <close> = peer.tempdir()
    local receiver <close> = assert(sock.socket("unix", "dgram"))
    local sender <close> = assert(sock.socket("unix", "dgram"))
    assert(receiver:bind("unix:" .. folder .. "/receiver"))
    assert(sender:bind("unix:" .. folder .. "/" .. ("x"):rep(60)))
    local to, known = assert(receiver:getsockname()), assert(sender:getsockname())
    local from
    local bytes = garbage(function()
      sender:sendto("x", to)
      from = select(2, receiver:recvfrom())
    end)
    assert.equal(known, from)
    assert.equal(0, bytes)
  end)
end)

describe("addresses of real peers", function()
  it("keep the zero bytes of an abstract name", function()
    local s <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:"))
    local mine = assert(s:getsockname()).path
    local python <close> = peer.python([[
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(b"\0a\0%d\0" % os.getpid())
s.sendto(b"hello", "\0" + sys.argv[1])
print(os.getpid(), s.recv(10))
]], mine:sub(2))
    local data, from = s:recvfrom()
    assert.equal("hello", data)
    assert.equal("@a\0" .. python.pid .. "\0", from.path)
    assert(s:sendto("answer", "unix:@a\0" .. python.pid .. "\0"))
    assert.equal("b'answer'", python:expect("^%d+ (.*)$"))
  end)

  it("keep the scope of a link-local host", function()
    local host
    for _, interface in ipairs(sock.interfaces()) do
      for _, each in ipairs(interface.addresses) do
        host = tostring(each.address):match("^%[(fe80:.*%%.*)%]") or host
      end
    end
    if not host then
      pending("no interface here has a link-local address")
    end
    local receiver <close> = assert(sock.socket("inet6", "dgram"))
    local sender <close> = assert(sock.socket("inet6", "dgram"))
    assert(receiver:bind(host, 0))
    assert(sender:bind(host, 0))
    assert(sender:sendto("x", assert(receiver:getsockname())))
    local _, from = receiver:recvfrom()
    assert.equal(host, from.host)
    assert.equal(sender:getsockname(), from)
  end)

  it("are unnamed for a Unix socket that is not bound", function()
    local s <close> = assert(sock.socket("unix"))
    local c <close> = assert(sock.socket("unix"))
    assert(s:bind("unix:")):listen()
    assert(c:connect(assert(s:getsockname())))
    local conn <close>, from = s:accept()
    assert.equal(sock.address("unix:"), from)
    assert.equal(sock.address("unix:"), conn:getpeername())
  end)

  it("are unnamed for a datagram from a Unix socket that is not bound", function()
    local s <close> = assert(sock.socket("unix", "dgram"))
    local c <close> = assert(sock.socket("unix", "dgram"))
    assert(s:bind("unix:"))
    assert(c:sendto("x", assert(s:getsockname())))
    local data, from = s:recvfrom()
    assert.equal("x", data)
    assert.equal(sock.address("unix:"), from)
  end)
end)
