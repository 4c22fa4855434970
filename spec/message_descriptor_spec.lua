-- Descriptors that go from process to process in messages.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"

local function pair(type)
  return fixtures.pair(type, 10)
end

describe("descriptors between processes", function()
  local function meeting()
    local dir, cleaner = peer.tempdir()
    local path = dir .. "/s"
    local listener = assert(sock.socket("unix"))
    assert(listener:settimeout(10):bind("unix:" .. path)):listen()
    return listener, path, cleaner
  end

  it("come from Python", function()
    local listener_, path, cleaner = meeting()
    local listener <close> = listener_
    local _ <close> = cleaner
    local program <close> = peer.python([[
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
r, w = os.pipe()
s.sendmsg([b"here"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w]))])
os.close(w)
print("read", os.read(r, 100).decode())
]], path)
    local conn <close> = assert(listener:accept())
    assert(conn:setsockopt("passcred", true))
    local m = assert(conn:recvmsg())
    assert.equal("here", m.data)
    local pipe <close> = m.control.fds[1]
    assert.matches("^pipe", tostring(pipe))
    assert(pipe:write("through the pipe"))
    pipe:close()
    assert.equal("through the pipe", program:expect("read (.*)"))
  end)

  it("go to Python", function()
    local listener_, path, cleaner = meeting()
    local listener <close> = listener_
    local _ <close> = cleaner
    local program <close> = peer.python([[
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
data, control, flags, _ = s.recvmsg(100, socket.CMSG_SPACE(8))
fds = array.array("i")
for level, kind, body in control:
    fds.frombytes(body)
print("got", data.decode(), len(fds))
os.write(fds[1], b"from python")
]], path)
    local conn <close> = assert(listener:accept())
    local one <close>, other_ = pair()
    local other <close> = other_
    assert(conn:sendmsg { data = "two", control = { fds = { conn, one } } })
    assert.equal("two 2", program:expect("got (.*)"))
    assert.equal("from python", other:read(11))
  end)

  it("go to another Lua, which goes on with the connection", function()
    local listener_, path, cleaner = meeting()
    local listener <close> = listener_
    local _ <close> = cleaner
    local program <close> = peer.lua(([[
local sock = require "sock"
local s <close> = assert(sock.socket("unix"))
assert(s:connect("unix:%s"))
local m = assert(s:recvmsg())
local conn <close> = m.control.fds[1]
sock.run(function() conn:write(conn:read():upper(), "\n") end)
print "done"
]]):format(path))
    local conn <close> = assert(listener:accept())
    local one, other_ = pair()
    local other <close> = other_
    assert(conn:sendmsg { data = "x", control = { fds = { one } } })
    one:close()
    assert(other:write("hello\n"))
    assert.equal("HELLO", other:read())
    program:expect("done")
  end)

  it("are not inherited by programs that are started", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local pipe <close> = assert(io.popen("cat", "w"))
    assert(a:sendmsg { data = "x", control = { fds = { pipe } } })
    local got <close> = b:recvmsg().control.fds[1]
    assert.is_nil(os.execute(("test -e /proc/self/fd/%d"):format(got:fd())))
  end)

  it("are closed where there is no room for more, and it is told", function()
    local listener_, path, cleaner = meeting()
    local listener <close> = listener_
    local _ <close> = cleaner
    local program <close> = peer.widelua(24, ([[
local sock = require "sock"
local s <close> = assert(sock.socket("unix"))
assert(s:connect("unix:%s"))
local function count()
  local n = 0
  for fd = 0, 23 do
    local file <close> = io.open("/proc/self/fdinfo/" .. fd)
    n = n + (file and 1 or 0)
  end
  return n
end
local before = count()
local m = assert(s:recvmsg())
print("got", #m.control.fds > 0 and #m.control.fds < 40, m.control.truncated, m.truncated)
for _, fd in ipairs(m.control.fds) do fd:close() end
print("left", count() - before)
]]):format(path))
    local conn <close> = assert(listener:accept())
    local many = {}
    for i = 1, 40 do
      many[i] = conn
    end
    assert(conn:sendmsg { data = "x", control = { fds = many } })
    assert.equal("true\ttrue\tfalse", program:expect("got\t(.*)"))
    assert.equal("0", program:expect("left\t(.*)"))
  end)
end)
