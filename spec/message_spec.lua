-- Messages: data and ancillary data in one call.

local sock = require "sock"
local peer = require "spec.support.peer"

local families = {
  { family = "inet", host = "127.0.0.1", pktinfo = "ip_pktinfo", ttl = "ip_recvttl",
    tos = "ip_recvtos", recverr = "ip_recverr" },
  { family = "inet6", host = "::1", pktinfo = "ipv6_recvpktinfo", ttl = "ipv6_recvhoplimit",
    tos = "ipv6_recvtclass", recverr = "ipv6_recverr" },
}

local function bound(case)
  local s = assert(sock.socket(case.family, "dgram"))
  s:settimeout(10)
  return assert(s:bind(case.host, 0))
end

local function pair(type)
  local a, b = assert(sock.socketpair(type))
  a:settimeout(10)
  b:settimeout(10)
  return a, b
end

local function closeall(list)
  for _, s in ipairs(list) do
    s:close()
  end
end

-- Whether a descriptor is close-on-exec.
local function closesonexec(fd)
  local info <close> = assert(io.open("/proc/self/fdinfo/" .. fd))
  return tonumber(info:read("a"):match("flags:%s*(%d+)"), 8) & tonumber("2000000", 8) ~= 0
end

for _, type in ipairs { "stream", "dgram", "seqpacket" } do
  describe("sendmsg and recvmsg on a unix " .. type, function()
    it("carry data", function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      assert.equal(5, a:sendmsg { data = "hello" })
      assert.same({ data = "hello", from = sock.address("unix:"), size = 5, truncated = false,
        control = {} }, b:recvmsg())
    end)

    it("wait as every call does", function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      local task = sock.spawn(function() return b:recvmsg() end)
      assert.equal("waiting", task:status())
      assert(a:sendmsg { data = "x" })
      assert.equal("x", task:join().data)
      b:settimeout(0.01)
      local m, message, code = b:recvmsg()
      assert.is_nil(m)
      assert.matches("^recvmsg .*timed out", message)
      assert.equal("ETIMEDOUT", code)
    end)

    it("pass sockets, files and descriptors", function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      local one <close>, other_ = pair()
      local other <close> = other_
      local file <close> = assert(io.tmpfile())
      file:write("in the file")
      assert(a:sendmsg { data = "x", control = { fds = { one, file, one:fd() } } })
      file:seek("set")
      local fds = assert(b:recvmsg()).control.fds
      assert.equal(3, #fds)
      for _, s in ipairs(fds) do
        assert.equal("socket", sock.type(s))
        assert.is_true(closesonexec(s:fd()))
      end
      assert(fds[1]:write("1"))
      assert(fds[3]:write("3"))
      assert.equal("13", other:read(2))
      assert.equal("in the file", fds[2]:read("a"))
      closeall(fds)
    end)

    it("pass nothing that stays open if nobody wants it", function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      local one <close>, other_ = pair()
      local other <close> = other_
      assert(a:sendmsg { data = "x", control = { fds = { one } } })
      assert(b:recvmsg())
      one:close()
      collectgarbage()
      collectgarbage()
      assert.is_nil((other:read()))
    end)

    it("tell who sent it", function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      assert(b:setsockopt("passcred", true))
      assert(a:sendmsg { data = "x" })
      local told = b:recvmsg().control.credentials
      assert.equal("integer", math.type(told.pid))
      assert(a:sendmsg { data = "y", control = { credentials = {} } })
      assert.same(told, b:recvmsg().control.credentials)
      assert(a:sendmsg { data = "z", control = { credentials = told } })
      assert.same(told, b:recvmsg().control.credentials)
    end)

    it("leave with peek what they look at", function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      assert(a:sendmsg { data = "look" })
      assert.equal("look", b:recvmsg { flags = "peek" }.data)
      assert.equal("look", b:recvmsg { flags = { "peek" } }.data)
      assert.equal("look", b:recv())
    end)
  end)
end

describe("recvmsg on a stream", function()
  it("takes what has arrived first", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:write("line\nrest"))
    assert.equal("line", b:read())
    assert.equal("re", b:recvmsg { size = 2, flags = "peek" }.data)
    assert.equal("re", b:recvmsg { size = 2 }.data)
    assert.equal("st", b:recvmsg().data)
    assert.equal(0, b:buffered())
  end)

  it("is nil at its end", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:sendmsg { data = "last" })
    a:close()
    assert.equal("last", b:recvmsg().data)
    assert.equal(1, select("#", b:recvmsg()))
    assert.is_nil((b:recvmsg()))
  end)

  it("says who the peer is", function()
    local listener <close> = assert(sock.socket())
    assert(listener:bind("127.0.0.1", 0)):listen()
    local client <close> = assert(sock.socket())
    assert(client:connect(listener:getsockname()))
    local server <close> = assert(listener:accept())
    assert(client:sendmsg { data = "x" })
    assert.equal(client:getsockname(), server:settimeout(10):recvmsg().from)
  end)

  it("leaves what is more than it asked for", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:write("abcdef"))
    local m = b:recvmsg { size = 4 }
    assert.same({ "abcd", 4, false }, { m.data, m.size, m.truncated })
    assert.equal("ef", b:recv())
  end)

  it("waits for all of it with waitall, and loses nothing", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local task = sock.spawn(function() return b:recvmsg { size = 6, flags = "waitall" } end)
    assert(a:write("abc"))
    sock.sleep(0)
    assert.equal("waiting", task:status())
    assert(a:write("defgh"))
    local m = task:join()
    assert.same({ "abcdef", 6 }, { m.data, m.size })
    b:settimeout(0.01)
    assert.equal("ETIMEDOUT", select(3, b:recvmsg { size = 6, flags = { "waitall" } }))
    assert.equal(2, b:buffered())
    a:close()
    assert.equal("gh", b:recvmsg { size = 6, flags = "waitall" }.data)
    assert.is_nil((b:recvmsg { size = 6, flags = "waitall" }))
  end)

  it("ends waitall at control data", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:write("abc"))
    assert(a:sendmsg { data = "d", control = { fds = { a } } })
    assert(a:write("efgh"))
    local m = b:recvmsg { size = 8, flags = "waitall" }
    assert.equal("abcd", m.data:sub(1, 4))
    assert.equal(1, #m.control.fds)
    closeall(m.control.fds)
  end)

  it("keeps the descriptors with their byte", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:write("before"))
    assert(a:sendmsg { data = "x", control = { fds = { a } } })
    local first = b:recvmsg()
    local second = first.control.fds and first or b:recvmsg()
    assert.equal(1, #second.control.fds)
    assert.equal("x", second.data:sub(-1))
    closeall(second.control.fds)
  end)
end)

describe("sendmsg", function()
  it("sends buffered output before", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    a:setvbuf("full")
    assert(a:write("first "))
    assert(a:sendmsg { data = "second" })
    assert.equal("first second", b:read(12))
  end)

  it("waits for room, in and outside tasks", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    a:settimeout(0)
    while a:sendmsg { data = ("x"):rep(65536) } do
      assert.is_true(true)
    end
    local _, message, code = a:sendmsg { data = "y" }
    assert.matches("^sendmsg .*timed out", message)
    assert.equal("ETIMEDOUT", code)
    a:settimeout(10)
    local task = sock.spawn(function() return a:sendmsg { data = "y" } end)
    assert.equal("waiting", task:status())
    local reader = sock.spawn(function()
      repeat
        local data = assert(b:recv())
      until data:sub(-1) == "y"
      return true
    end)
    assert.equal(1, task:join())
    assert.is_true(reader:join())
  end)

  it("fails on a broken stream without a signal", function()
    local a <close>, b_ = pair()
    b_:close()
    assert.equal("EPIPE", select(3, a:sendmsg { data = "x" }))
  end)

  it("names what is wrong with its table", function()
    local a <close>, b_ = pair("dgram")
    local b <close> = b_
    local cases = {
      { { data = "x", dta = 1 }, "unknown field 'dta'" },
      { { data = "x", flags = "nonsense" }, 'unknown flag "nonsense"' },
      { { data = "x", flags = { "more", "peek" } }, 'unknown flag "peek"' },
      { { data = "x", flags = 7 }, "a flag must be a text" },
      { {}, "data must be a text" },
      { { data = "x", to = 7 }, "to must be an address" },
      { { data = "x", control = 7 }, "control must be a table" },
      { { data = "x", control = { fd = {} } }, "unknown control data 'fd'" },
      { { data = "x", control = { {} } }, "kind of control data is a name" },
      { { data = "x", control = { ttl = 7 } }, "'ttl' cannot be sent here" },
      { { data = "x", control = { timestamp = 7 } }, "'timestamp' cannot be sent here" },
      { { data = "x", control = { fds = 7 } }, "fds must be a list" },
      { { data = "x", control = { fds = { "x" } } }, "fds%[1%] must be a socket" },
      { { data = "x", control = { fds = { a, -1 } } }, "fds%[2%] must be a socket" },
      { { data = "x", control = { credentials = { id = 1 } } }, "unknown field 'id'" },
      { { data = "x", control = { credentials = { pid = "x" } } }, "pid must be an integer" },
    }
    for _, case in ipairs(cases) do
      assert.error_matches(function() a:sendmsg(case[1]) end, case[2])
    end
    assert.error_matches(function() a:sendmsg("x") end, "table expected")
    assert.error_matches(function() b:recvmsg { sise = 1 } end, "unknown field 'sise'")
    assert.error_matches(function() b:recvmsg { size = -1 } end, "size must be")
    assert.error_matches(function() b:recvmsg { flags = { "peek", "more" } } end,
      'unknown flag "more"')
  end)

  it("takes no kind twice, whatever says it has its name", function()
    local a <close>, b_ = pair("dgram")
    local b <close> = b_
    local list, texts, objects = {}, {}, {}
    for i = 1, 253 do
      list[i] = b
    end
    for i = 1, 4 do
      texts["fds\0" .. i] = list
      objects[setmetatable({}, { __tostring = function() return "fds" end })] = list
    end
    for _, control in ipairs { texts, objects } do
      assert.error_matches(function() a:sendmsg { data = "x", control = control } end,
        "kind of control data is a name")
    end
  end)

  it("refuses closed sockets and files, and more than the kernel takes", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local file = io.tmpfile()
    file:close()
    local closed = sock.socket()
    closed:close()
    local many = {}
    for i = 1, 254 do
      many[i] = b
    end
    assert.error_matches(function() a:sendmsg { data = "x", control = { fds = { file } } } end,
      "attempt to use a closed file")
    assert.error_matches(function() a:sendmsg { data = "x", control = { fds = { closed } } } end,
      "attempt to use a closed socket")
    assert.error_matches(function() a:sendmsg { data = "x", control = { fds = many } } end,
      "more than 253 fds")
    assert.error_matches(function() a:sendmsg { data = "", control = { fds = { b } } } end,
      "goes with at least a byte")
    local _, _, code = a:sendmsg { data = "x", control = { fds = { 999999 } } }
    assert.equal("EBADF", code)
  end)

  it("passes as many as the kernel takes", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local many = {}
    for i = 1, 253 do
      many[i] = b
    end
    assert(a:sendmsg { data = "x", control = { fds = many } })
    local m = b:recvmsg()
    assert.equal(253, #m.control.fds)
    closeall(m.control.fds)
  end)

  it("leaves a socket that was passed in working order", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local c, d_ = pair()
    local d <close> = d_
    local reader = sock.spawn(function() return c:read() end) -- registers it
    assert(d:write("one\n"))
    assert.equal("one", reader:join())
    assert(a:sendmsg { data = "x", control = { fds = { c } } })
    c:close()
    local passed <close> = b:recvmsg().control.fds[1]
    local again = sock.spawn(function() return passed:read() end)
    assert(d:write("two\n"))
    assert.equal("two", again:join())
  end)
end)

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

for _, case in ipairs(families) do
  describe("messages over " .. case.family, function()
    it("carry data to an address and from one", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert.equal(1, s:sendmsg { data = "x", to = r:getsockname() })
      assert.same({ data = "x", from = s:getsockname(), size = 1, truncated = false, control = {} },
        r:recvmsg())
      assert.equal(0, s:sendmsg { data = "", to = tostring(r:getsockname()) })
      assert.equal("", r:recvmsg().data)
    end)

    it("tell what was cut", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert(s:sendmsg { data = "abcdef", to = r:getsockname() })
      local m = r:recvmsg { size = 4 }
      assert.same({ "abcd", 6, true }, { m.data, m.size, m.truncated })
    end)

    it("tell how a packet came, and take that for the answer", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert(r:setsockopt(case.pktinfo, true))
      assert(s:sendmsg { data = "x", to = r:getsockname() })
      local m = assert(r:recvmsg())
      local address = m.control.pktinfo.address
      assert.equal(case.host, address.host)
      assert.equal("lo", m.control.pktinfo.interface)
      assert(r:sendmsg { data = "y", to = m.from, control = m.control })
      assert.equal(r:getsockname(), assert(s:recvmsg()).from)
    end)

    it("fail where the interface to leave by is not there", function()
      local s <close> = bound(case)
      for _, interface in ipairs { "nonesuch", "lo\0x", 0x7fffffff } do
        local control = { pktinfo = { interface = interface } }
        local sent, _, code = s:sendmsg { data = "x", to = s:getsockname(), control = control }
        assert.same({ nil, "ENODEV" }, { sent, code })
      end
    end)

    it("tell TTL and TOS, and set them", function()
      local s <close> = bound(case)
      local r <close> = bound(case)
      assert(r:setsockopt(case.ttl, true):setsockopt(case.tos, true))
      assert(s:sendmsg { data = "x", to = r:getsockname(), control = { ttl = 7, tos = 16 } })
      assert.same({ ttl = 7, tos = 16 }, r:recvmsg().control)
      assert.error_matches(function()
        s:sendmsg { data = "x", to = r:getsockname(), control = { ttl = 256 } }
      end, "out of range")
    end)

    for _, option in ipairs { "timestamp", "timestampns" } do
      it("tell when they came: " .. option, function()
        local s <close> = bound(case)
        local r <close> = bound(case)
        assert(r:setsockopt(option, true))
        local before = os.time()
        assert(s:sendmsg { data = "x", to = r:getsockname() })
        local time = r:recvmsg().control.timestamp
        assert.equal("float", math.type(time))
        -- os.time may lag behind by a tick
        assert.is_true(time >= before and time <= os.time() + 2)
      end)
    end

    it("tell of an error, what was sent and where to", function()
      local s <close> = bound(case)
      local gone = bound(case)
      local to = gone:getsockname()
      gone:close()
      assert(s:setsockopt(case.recverr, true))
      assert(s:sendmsg { data = "lost", to = to })
      local m = assert(s:recvmsg { flags = "errqueue" })
      assert.same({ "lost", to }, { m.data, m.from })
      assert.same({ code = "ECONNREFUSED", message = "Connection refused",
        from = sock.address(case.host, 0) }, m.control.error)
    end)

    it("answer at once if the error queue is empty", function()
      local s <close> = bound(case)
      local reader = sock.spawn(function() return s:recvmsg() end)
      local m, message, code = s:recvmsg { flags = "errqueue" }
      assert.is_nil(m)
      assert.matches("^recvmsg ", message)
      assert.equal("EAGAIN", code)
      reader:cancel()
      pcall(reader.join, reader)
    end)

    it("are traded with Python", function()
      local program <close> = peer.python([[
import socket, sys
six = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
level, ask, kind = ((socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, socket.IPV6_HOPLIMIT) if six
    else (socket.IPPROTO_IP, 12, socket.IP_TTL)) # 12 is IP_RECVTTL, which Python does not name
s.setsockopt(level, ask, 1)
print("port", s.getsockname()[1])
data, control, flags, peer = s.recvmsg(100, 100)
told = [int.from_bytes(c[2], sys.byteorder) for c in control if c[:2] == (level, kind)]
s.sendmsg([data, b" ", str(told).encode()],
    [(level, kind, (9).to_bytes(4, sys.byteorder))], 0, peer)
]], case.host)
      local s <close> = bound(case)
      assert(s:setsockopt(case.ttl, true))
      local to = sock.address(case.host, math.tointeger(program:expect("port (%d+)")))
      assert(s:sendmsg { data = "x", to = to, control = { ttl = 33 } })
      local m = assert(s:recvmsg())
      assert.same({ "x [33]", 9, to }, { m.data, m.control.ttl, m.from })
    end)
  end)
end

describe("messages", function()
  it("may be longer than 64 KiB", function()
    local a <close>, b_ = pair("dgram")
    local b <close> = b_
    local data = ("0123456789"):rep(10000)
    assert.equal(#data, a:sendmsg { data = data })
    assert.is_true(b:recvmsg { size = 200000 }.data == data)
    assert(a:sendmsg { data = data })
    local m = b:recvmsg()
    assert.same({ 65536, 100000, true }, { #m.data, m.size, m.truncated })
  end)

  it("have no error queue on a unix socket", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:write("x"))
    assert.equal("EAGAIN", select(3, b:recvmsg { flags = "errqueue" }))
    assert.equal("x", b:recv())
  end)

  it("fail on what is no socket", function()
    local file <close> = assert(io.popen("true", "r"))
    local pipe <close> = assert(sock.adopt(file))
    assert.equal("ENOTSOCK", select(3, pipe:sendmsg { data = "x" }))
    assert.equal("ENOTSOCK", select(3, pipe:recvmsg()))
  end)

  it("set TTL for IPv4 peers of an inet6 socket too", function()
    local s <close> = assert(sock.socket("inet6", "dgram"))
    assert(s:setsockopt("ipv6_v6only", false):bind("*", 0))
    local r <close> = bound(families[1])
    assert(r:setsockopt("ip_recvttl", true))
    assert(s:sendmsg { data = "x", to = r:getsockname(), control = { ttl = 5,
      pktinfo = { address = "127.0.0.1" } } })
    local m = assert(r:recvmsg())
    assert.same({ 5, "127.0.0.1" }, { m.control.ttl, m.from.host })
    assert(s:connect(r:getsockname()))
    assert(s:sendmsg { data = "y", control = { ttl = 6 } })
    assert.equal(6, r:recvmsg().control.ttl)
  end)

  it("go to a name", function()
    local s <close> = bound(families[1])
    local r <close> = bound(families[1])
    assert(s:sendmsg { data = "x", to = "localhost:" .. r:getsockname().port })
    assert.equal("x", r:recvmsg().data)
    local _, message, code = s:sendmsg { data = "x", to = "no address" }
    assert.matches("^sendmsg ", message)
    assert.equal("EINVAL", code)
    assert.equal("EAFNOSUPPORT", select(3, s:sendmsg { data = "x", to = "[::1]:9" }))
  end)
end)
