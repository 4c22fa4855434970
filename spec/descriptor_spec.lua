-- Descriptors: taken over, looked at, given up.

local sock = require "sock"
local peer = require "spec.support.peer"

-- Whether a descriptor has a flag of fcntl(2), by its octal digits.
local function has(fd, flag)
  local info <close> = assert(io.open("/proc/self/fdinfo/" .. fd))
  local flags = info:read("a"):match("flags:%s*(%d+)")
  return tonumber(flags, 8) & flag ~= 0
end

local function nonblocking(fd) return has(fd, tonumber("4000", 8)) end
local function closesonexec(fd) return has(fd, tonumber("2000000", 8)) end

local function isopen(fd)
  local info <close> = io.open("/proc/self/fdinfo/" .. fd)
  return info ~= nil
end

-- A duplicate of a Lua file's descriptor, to see what becomes of both.
local function duplicate(file)
  return assert(sock.adopt(file)):detach()
end

describe("fd", function()
  it("is the descriptor's number", function()
    local s <close> = assert(sock.socket())
    assert.equal("integer", math.type(s:fd()))
    assert.is_true(isopen(s:fd()))
  end)
end)

describe("detach", function()
  it("gives the descriptor up, open", function()
    local s = assert(sock.socket())
    local fd = s:fd()
    assert.equal(fd, s:detach())
    assert.equal("closed socket", sock.type(s))
    assert.is_true(s:close())
    assert.is_true(isopen(fd))
    assert(sock.adopt(fd)):close()
    assert.is_false(isopen(fd))
  end)

  it("leaves nothing for the collector to close", function()
    local fd = assert(sock.socket()):detach()
    collectgarbage()
    collectgarbage()
    local s <close> = assert(sock.adopt(fd))
    assert.equal("tcp 0.0.0.0:0", tostring(s))
  end)

  it("is refused while bytes are buffered", function()
    local a, b = sock.socketpair()
    local _ <close> = a
    assert(b:write("one\ntwo\n"))
    b:close()
    assert.equal("one", a:read())
    local fd, message, code = a:detach()
    assert.is_nil(fd)
    assert.matches("^detach.*4 bytes are buffered", message)
    assert.equal("EBUSY", code)
    assert.equal("two", a:read())
    fd = a:detach()
    assert(sock.adopt(fd)):close()
  end)
end)

describe("sock.adopt", function()
  for _, case in ipairs { { "inet", "stream" }, { "inet", "dgram" }, { "inet6", "stream" },
    { "inet6", "dgram" }, { "unix", "stream" }, { "unix", "dgram" }, { "unix", "seqpacket" },
    { "netlink", "raw" } } do
    local family, type = table.unpack(case)
    it("finds out what a socket is: " .. family .. " " .. type, function()
      local made = assert(sock.socket(family, type))
      local text = tostring(made)
      local s <close> = assert(sock.adopt(made:detach()))
      assert.equal(text, tostring(s))
      assert.equal("socket", sock.type(s))
      assert.equal(family, s:getsockname().family)
      assert.equal(type, s:getsockopt("type"))
    end)
  end

  it("takes a connected socket's messages as messages", function()
    local a, b = sock.socketpair("seqpacket")
    local s <close> = assert(sock.adopt(a:detach()))
    assert(b:send("one"))
    b:close()
    assert.equal("one", s:recv())
    assert.is_nil((s:recv()))
  end)

  it("sees that a socket is listening", function()
    local made = assert(sock.socket())
    assert(made:bind("127.0.0.1", 0)):listen()
    local text = tostring(made)
    local s <close> = assert(sock.adopt(made:detach()))
    assert.equal(text, tostring(s))
    assert.matches("%(listening%)$", tostring(s))
  end)

  it("takes a listening socket that another program has made", function()
    local child <close> = peer.start({ "python3", "-u", "-c", [[
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
listener.set_inheritable(True)
print("port", listener.getsockname()[1])
os.execvp(sys.argv[1], [sys.argv[1], "-e", sys.argv[2] % listener.fileno()])
]], os.getenv("LUA") or "lua5.4", [[
local function flags(fd)
  local info <close> = io.open("/proc/self/fdinfo/" .. fd)
  return tonumber(info:read("a"):match("flags:%%s*(%%d+)"), 8)
end
local sock, fd = require "sock", %d
local before = flags(fd)
local s <close> = assert(sock.adopt(fd))
print(s)
local conn <close>, from = assert(s:accept())
assert(conn:write("hello ", from.port, "\n"))
s:detach()
print(flags(fd) == before & ~tonumber("2000000", 8) | flags(fd) & tonumber("2000000", 8))
]] }, { module = true })
    local port = math.tointeger(child:expect("^port (%d+)$"))
    local s <close> = assert(sock.socket())
    assert(s:connect("127.0.0.1", port))
    assert.equal("hello " .. s:getsockname().port, s:read())
    assert.equal("tcp 127.0.0.1:" .. port .. " (listening)\ntrue\n", child:rest())
  end)

  it("takes a pipe that a program writes to", function()
    local file <close> = assert(io.popen("printf 'one\\ntwo'"))
    local s <close> = assert(sock.adopt(file))
    assert.matches("^pipe ", tostring(s))
    assert.equal("one", s:read())
    assert.equal("two", s:read("a"))
    assert.is_nil((s:recv()))
  end)

  it("takes a pipe that a program reads from", function()
    local folder, _ <close> = peer.tempdir()
    local file = assert(io.popen("cat > " .. folder .. "/out", "w"))
    local s <close> = assert(sock.adopt(file))
    local text = ("x"):rep(1 << 20)
    assert.equal(s, s:write(text))
    s:close()
    assert.is_true(file:close())
    local out <close> = assert(io.open(folder .. "/out"))
    assert.equal(text, out:read("a"))
  end)

  it("waits no longer for a pipe than it is told", function()
    local silent <close> = peer.start { "sleep", "60" }
    local s <close> = assert(sock.adopt(silent.out))
    local line, message, code = s:settimeout(0):read()
    assert.is_nil(line)
    assert.equal("read descriptor " .. s:fd() .. ": timed out", message)
    assert.equal("ETIMEDOUT", code)
  end)

  it("takes a terminal", function()
    -- the terminal is Python's own, so that it does not become ours
    local python <close> = peer.python([[
import fcntl, os, pty, termios, tty
os.setsid()
master, slave = pty.openpty()
tty.setraw(slave)
fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
print(os.ttyname(slave))
while True:
    os.write(master, os.read(master, 100).upper())
]])
    local file <close> = assert(io.open(python:expect("^/.*"), "r+"))
    local s <close> = assert(sock.adopt(file))
    assert.matches("^terminal ", tostring(s))
    assert(s:write("hello\n"))
    assert.equal("HELLO", s:read())
    assert.equal("ETIMEDOUT", select(3, s:settimeout(0):read()))
    assert.is_false(nonblocking(s:fd())) -- others use the same terminal
  end)

  it("takes a regular file", function()
    local file <close> = assert(io.tmpfile())
    assert(file:write("one\ntwo\n"))
    assert(file:seek("set"))
    local s <close> = assert(sock.adopt(file))
    assert.matches("^file ", tostring(s))
    assert.equal("one", s:read())
    assert.equal("two\n", s:read("a"))
  end)

  it("duplicates a Lua file's descriptor", function()
    local file = assert(io.popen("printf hello"))
    local s <close> = assert(sock.adopt(file))
    file:close()
    assert.equal("hello", s:read("a"))
  end)

  it("leaves a Lua file open", function()
    local file <close> = assert(io.popen("printf hello"))
    assert(sock.adopt(file)):close()
    assert.equal("hello", file:read("a"))
  end)

  it("writes after what the Lua file has buffered", function()
    local file <close> = assert(io.tmpfile())
    file:setvbuf("full")
    assert(file:write("first "))
    local s <close> = assert(sock.adopt(file))
    assert(s:write("second"))
    file:seek("set")
    assert.equal("first second", file:read("a"))
  end)

  it("says that pipes have no calls of sockets", function()
    local file <close> = assert(io.popen("true"))
    local s <close> = assert(sock.adopt(file))
    for _, op in ipairs { "getsockname", "getpeername", "tuple", "accept", "listen", "shutdown" } do
      local result, message, code = s[op](s)
      assert.is_nil(result)
      assert.equal(op .. " ", message:sub(1, #op + 1))
      assert.equal("ENOTSOCK", code)
    end
  end)

  it("does not call closed what is open the other way", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    local s <close> = assert(sock.adopt(file))
    os.remove(path)
    local message = ("read descriptor %d: Bad file descriptor"):format(s:fd())
    assert.same({ nil, message, "EBADF" }, { s:read() })
  end)

  it("says that a descriptor is not open", function()
    local s = assert(sock.socket())
    local fd = s:fd()
    s:close()
    local adopted, message, code = sock.adopt(fd)
    assert.is_nil(adopted)
    assert.equal("adopt " .. fd, message:match("^adopt %d+"))
    assert.equal("EBADF", code)
  end)

  it("raises for a descriptor that belongs to a socket", function()
    local s <close> = assert(sock.socket())
    assert.error_matches(function() sock.adopt(s:fd()) end,
      "bad argument #1 to 'adopt' (descriptor belongs to a socket already)", 1, true)
    assert.equal("tcp 0.0.0.0:0", tostring(s))
  end)

  it("raises for what is no descriptor", function()
    local closed = assert(io.tmpfile())
    closed:close()
    local s <close> = assert(sock.socket())
    for _, value in ipairs { -1, 1 << 31, 1.5, 0 / 0, "0", true, {}, print, s,
      sock.address("unix:") } do
      assert.error_matches(function() sock.adopt(value) end, "bad argument #1 to 'adopt'")
    end
    assert.error_matches(function() sock.adopt() end, "bad argument #1 to 'adopt'")
    assert.error_matches(function() sock.adopt(closed) end, "attempt to use a closed file")
  end)
end)

describe("a blocking descriptor", function()
  it("does not block while it is adopted, and does again after close", function()
    local file <close> = assert(io.popen("true"))
    local fd = duplicate(file)
    assert.is_false(nonblocking(fd))
    local s = assert(sock.adopt(file))
    assert.is_true(nonblocking(fd))
    s:close()
    assert.is_false(nonblocking(fd))
    assert(sock.adopt(fd)):close()
  end)

  it("does again after detach", function()
    local file <close> = assert(io.popen("true"))
    local fd = duplicate(file)
    local s = assert(sock.adopt(fd))
    assert.is_true(nonblocking(fd))
    assert.equal(fd, s:detach())
    assert.is_false(nonblocking(fd))
    assert(sock.adopt(fd)):close()
  end)

  it("does again after a collection", function()
    local file <close> = assert(io.popen("true"))
    local fd = duplicate(file)
    do
      assert.is_true(nonblocking(assert(sock.adopt(file)):fd()))
    end
    collectgarbage()
    collectgarbage()
    assert.is_false(nonblocking(fd))
    assert(sock.adopt(fd)):close()
  end)
end)

describe("a descriptor that does not block", function()
  it("stays so when it is given back", function()
    local fd = assert(sock.socket()):detach()
    assert.is_true(nonblocking(fd))
    assert.equal(fd, assert(sock.adopt(fd)):detach())
    assert.is_true(nonblocking(fd))
    assert(sock.adopt(fd)):close()
  end)
end)

describe("close-on-exec", function()
  it("is set from socket", function()
    for _, family in ipairs { "inet", "inet6", "unix", "netlink" } do
      local s <close> = assert(sock.socket(family, "dgram"))
      assert.is_true(closesonexec(s:fd()))
    end
  end)

  it("is set from socketpair", function()
    for _, type in ipairs { "stream", "dgram", "seqpacket" } do
      local a, b = sock.socketpair(type)
      local both = closesonexec(a:fd()) and closesonexec(b:fd())
      a:close()
      b:close()
      assert.is_true(both)
    end
  end)

  it("is set from accept", function()
    local l <close> = assert(sock.socket())
    local c <close> = assert(sock.socket())
    assert(l:bind("127.0.0.1", 0)):listen()
    assert(c:connect(l:getsockname()))
    local s <close> = assert(l:accept())
    assert.is_true(closesonexec(s:fd()))
  end)

  it("is set on an adopted descriptor", function()
    local folder, _ <close> = peer.tempdir()
    local file <close> = assert(io.open(folder .. "/x", "w")) -- Lua's own do not have it
    local s <close> = assert(sock.adopt(file))
    assert.is_true(closesonexec(s:fd()))
  end)

  it("is set on a descriptor that had it not", function()
    local child <close> = peer.lua([[
local sock = require "sock"
local function flags(fd)
  local info <close> = io.open("/proc/self/fdinfo/" .. fd)
  return tonumber(info:read("a"):match("flags:%s*(%d+)"), 8) & tonumber("2000000", 8) ~= 0
end
print(flags(0))
local s = assert(sock.adopt(0))
print(flags(0))
s:detach()
]])
    assert.equal("false\ntrue\n", child:rest())
  end)

  it("keeps a socket from a program that is started", function()
    local s <close> = assert(sock.socket())
    local program <close> = assert(io.popen("readlink /proc/self/fd/" .. s:fd() .. " || echo none"))
    assert.equal("none", program:read())
  end)
end)
