-- Messages: data and ancillary data in one call.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"

local function pair(type)
  return fixtures.pair(type, 10)
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
end)
