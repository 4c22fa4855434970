local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"

local function pair(kind)
  return fixtures.pair(kind, 10)
end

--- Sends until there is no room.
local function choke(s)
  for _ = 1, 10000 do
    local _, _, code = s:settimeout(0):send(("x"):rep(65536))
    if code then
      assert.equal("ETIMEDOUT", code)
      return
    end
  end
  error("no end of room")
end

describe("sock.wait", function()
  it("says that a socket is readable", function()
    local a, b, _ <close> = pair()
    assert(a:send("x"))
    assert.equal("r", sock.wait(b, "r"))
    assert.equal("r", b:wait("r", 10))
  end)

  it("says that a socket is writable", function()
    local a, _, _ <close> = pair()
    assert.equal("w", sock.wait(a, "w"))
  end)

  it("says which of both", function()
    local a, b, _ <close> = pair()
    assert.equal("w", sock.wait(b, "rw"))
    assert(a:send("x"))
    assert.equal("rw", sock.wait(b, "rw"))
    choke(b)
    assert.equal("r", sock.wait(b, "rw"))
  end)

  it("gives only what was asked for", function()
    local a, b, _ <close> = pair()
    assert(a:send("x"))
    assert.equal("w", sock.wait(b, "w"))
  end)

  it("says that a stream at its end is readable", function()
    local a, b, _ <close> = pair()
    a:close()
    assert.equal("r", b:wait("r", 10))
    assert.is_nil(b:recv())
  end)

  it("says that a listener with a peer is readable", function()
    local l <close> = assert(sock.socket())
    assert(l:bind("127.0.0.1", 0))
    assert(l:listen())
    local a <close> = assert(sock.socket())
    assert(a:connect(l:getsockname()))
    assert.equal("r", l:wait("r", 10))
    local b <close> = assert(l:accept())
    assert.equal("socket", sock.type(b))
  end)

  it("counts buffered bytes as readable", function()
    local a, b, _ <close> = pair()
    assert(a:send("one\ntwo"))
    assert.equal("one", b:read())
    assert.equal("r", b:wait("r", 0))
    assert.equal("rw", b:wait("rw", 0))
    assert.equal("w", b:wait("w", 0))
    assert.equal("two", b:recv())
    assert.is_nil(b:wait("r", 0))
  end)

  it("times out, not before its time", function()
    local _, b, _ <close> = pair()
    local start = peer.uptime()
    local ready, message, code = b:wait("r", 0.05)
    assert.is_true(peer.uptime() - start >= 0.04)
    assert.same({ nil, "ETIMEDOUT" }, { ready, code })
    assert.matches("^wait unix:.*: timed out$", message)
  end)

  it("looks and does not wait with 0 seconds", function()
    local a, b, _ <close> = pair()
    assert.is_nil(b:wait("r", 0))
    assert.is_nil(b:wait("r", -1))
    assert(a:send("x"))
    assert.equal("r", b:wait("r", 0))
  end)

  it("takes the descriptor's number", function()
    local a, b, _ <close> = pair()
    assert.is_nil(sock.wait(b:fd(), "r", 0))
    assert(a:send("x"))
    assert.equal("r", sock.wait(b:fd(), "r", 10))
  end)

  it("takes a Lua file", function()
    local program <close> = assert(io.popen("echo ready"))
    assert.equal("r", sock.wait(program, "r", 10))
    assert.equal("ready", program:read())
  end)

  for _, method in ipairs { "fd", "getfd", "pollfd", "fileno" } do
    it("takes an object with a method " .. method, function()
      local a, b, _ <close> = pair()
      local foreign = setmetatable({ inner = b }, { __index = {
        [method] = function(self) return self.inner:fd() end,
      } })
      assert.is_nil(sock.wait(foreign, "r", 0))
      assert(a:send("x"))
      assert.equal("r", sock.wait(foreign, "r", 10))
      assert.equal("r", sock.wait({ [method] = function() return b:fd() end }, "r", 10))
    end)
  end

  it("raises what a foreign method raises", function()
    local foreign = { getfd = function() error("it is gone", 0) end }
    assert.has_error(function() sock.wait(foreign, "r", 0) end, "it is gone")
  end)

  it("raises for a closed socket", function()
    local a, b, _ <close> = pair()
    a:close()
    assert.has_error(function() sock.wait(a, "r", 0) end, "attempt to use a closed socket")
    assert.has_error(function() a:wait("r", 0) end, "attempt to use a closed socket")
    assert.equal("r", b:wait("r", 0))
  end)

  it("raises for a closed file", function()
    local file = assert(io.open("/dev/null"))
    file:close()
    assert.has_error(function() sock.wait(file, "r", 0) end, "attempt to use a closed file")
  end)

  it("raises for what has no descriptor", function()
    for _, value in ipairs { "text", true, {}, print, -1, 1.5, 1 << 40,
      { getfd = function() return nil end }, { fd = function() return -1 end },
      { fileno = 3 }, sock.address("127.0.0.1:80") } do
      assert.error_matches(function() sock.wait(value, "r", 0) end,
        "^bad argument #1 to 'wait' %(socket, file or descriptor expected, got ")
    end
  end)

  it("fails for a number that is no open descriptor", function()
    assert.same({ nil, "wait descriptor 999999: closed", "EBADF" },
      { sock.wait(999999, "r", 0) })
  end)

  it("raises for what is no direction", function()
    local a, _, _ <close> = pair()
    assert.has_error(function() sock.wait(a, "x") end,
      "bad argument #2 to 'wait' (invalid option 'x')")
    assert.error_matches(function() sock.wait(a) end, "^bad argument #2 to 'wait'")
    assert.error_matches(function() sock.wait(a, "r", "soon") end, "^bad argument #3 to 'wait'")
    assert.error_matches(function() sock.wait(a, "r", 0 / 0) end, "^bad argument #3 to 'wait'")
  end)
end)

describe("sock.select", function()
  it("gives the readers and writers that are ready", function()
    local a, b, _ <close> = pair()
    local c, d, _ <close> = pair()
    choke(c)
    assert(a:send("x"))
    assert.same({ { b }, { a } }, { sock.select({ b, a }, { c, a }) })
    assert.same({ { d }, { b, a } }, { sock.select({ a, d }, { b, a }) })
  end)

  it("keeps the order of its lists", function()
    local a, b, _ <close> = pair()
    local c, d, _ <close> = pair()
    assert(a:send("x"))
    assert(c:send("x"))
    assert.same({ { d, b }, {} }, { sock.select({ d, a, b }, {}) })
    assert.same({ { b, d }, {} }, { sock.select({ b, a, d }, nil) })
  end)

  it("takes one socket in both lists", function()
    local a, b, _ <close> = pair()
    assert(a:send("x"))
    assert.same({ { b }, { b } }, { sock.select({ b }, { b }) })
    assert.same({ { b, b }, {} }, { sock.select({ b, b }, {}) })
  end)

  it("takes only writers", function()
    local a, _, _ <close> = pair()
    assert.same({ {}, { a } }, { sock.select(nil, { a }) })
  end)

  it("takes whatever wait takes", function()
    local a, b, _ <close> = pair()
    local number = b:fd()
    local foreign = { getfd = function() return number end }
    local file <close> = assert(io.popen("echo ready"))
    assert(a:send("x"))
    assert.equal("r", sock.wait(file, "r", 10))
    assert.same({ { b, number, foreign, file }, {} },
      { sock.select({ b, number, foreign, file, a }, {}) })
    assert.equal("ready", file:read())
  end)

  it("counts buffered bytes as readable, and looks at the others too", function()
    local a, b, _ <close> = pair()
    local c, d, _ <close> = pair()
    assert(a:send("one\ntwo"))
    assert.equal("one", b:read())
    assert.same({ { b }, {} }, { sock.select({ b, d }, {}) })
    assert(c:send("x"))
    assert.same({ { b, d }, {} }, { sock.select({ b, d }, {}) })
    assert.same({ {}, { b } }, { sock.select({ a }, { b }) })
  end)

  it("times out, not before its time", function()
    local a, b, _ <close> = pair()
    choke(a)
    assert.equal("r", b:wait("r"))
    local start = peer.uptime()
    assert.same({ nil, "select: timed out", "ETIMEDOUT" }, { sock.select({ a }, { a }, 0.05) })
    assert.is_true(peer.uptime() - start >= 0.04)
    assert.same({ nil, "select: timed out", "ETIMEDOUT" }, { sock.select({ a }, {}, 0) })
  end)

  it("is a pause with empty lists", function()
    local start = peer.uptime()
    assert.same({ nil, "select: timed out", "ETIMEDOUT" }, { sock.select({}, {}, 0.05) })
    assert.is_true(peer.uptime() - start >= 0.04)
    local _, _, code = sock.select(nil, nil, 0.001)
    assert.equal("ETIMEDOUT", code)
  end)

  it("raises for a closed socket and a closed file", function()
    local a, b, _ <close> = pair()
    a:close()
    assert.has_error(function() sock.select({ b, a }, {}, 0) end,
      "attempt to use a closed socket")
    local file = assert(io.open("/dev/null"))
    file:close()
    assert.has_error(function() sock.select({}, { file }, 0) end, "attempt to use a closed file")
  end)

  it("raises for what has no descriptor, and says where", function()
    local a, _, _ <close> = pair()
    assert.has_error(function() sock.select({ a, "text" }, {}, 0) end,
      "bad argument #1 to 'select' (no descriptor at index 2 (a string))")
    assert.has_error(function() sock.select({}, { {} }, 0) end,
      "bad argument #2 to 'select' (no descriptor at index 1 (a table))")
    assert.error_matches(function() sock.select(a, {}, 0) end, "^bad argument #1 to 'select'")
    assert.error_matches(function() sock.select({}, a, 0) end, "^bad argument #2 to 'select'")
  end)

  it("fails for a number that is no open descriptor", function()
    assert.same({ nil, "select descriptor 999999: closed", "EBADF" },
      { sock.select({ 999999 }, {}, 0) })
  end)

  it("gives the ready ones of a thousand sockets above descriptor 1024", function()
    local p <close> = peer.widelua(4096, [[
      local sock = require "sock"
      local readers, writers = {}, {}
      for i = 1, 1000 do
        readers[i], writers[i] = assert(sock.socketpair(i % 2 == 0 and "dgram" or "stream"))
      end
      print(readers[1000]:fd() > 1024, readers[1000]:wait("r", 0) == nil)
      local r, _, code = sock.select(readers, {}, 0)
      print(r, code)
      for i = 1, 1000, 9 do
        assert(writers[i]:send("x"))
      end
      local r, w = sock.select(readers, writers, 10)
      local right = #r == 112 and #w == 1000
      for i, s in ipairs(r) do
        right = right and s == readers[1 + (i - 1) * 9] and s:recv() == "x"
      end
      print(right)
      assert(writers[1000]:send("last"))
      r = sock.select({ readers[999], readers[1000], readers[1000]:fd() }, nil, 10)
      print(#r, r[1] == readers[1000], r[2] == readers[1000]:fd(), readers[1000]:wait("r", 0))
    ]])
    if not p then
      return pending("this system allows no 4096 descriptors")
    end
    assert.equal("true\ttrue\nnil\tETIMEDOUT\ntrue\n2\ttrue\ttrue\tr\n", p:rest())
  end)
end)

describe("A thousand connections", function()
  it("are served at once by one process", function()
    local p <close> = peer.widelua(4096, [[
      local sock = require "sock"
      local l = assert(sock.socket("inet6"))
      assert(l:bind("::1", 0) and l:listen(2000))
      local clients, servers, order = {}, {}, {}
      for i = 1, 1000 do
        clients[i] = assert(sock.socket("inet6"))
        assert(clients[i]:connect(l:getsockname()))
        local s, from = assert(l:settimeout(10):accept())
        servers[s], order[i] = from, s
      end
      for i, c in ipairs(clients) do
        assert(c:write("hello from ", i, "\n"))
      end
      local answered = 0
      while answered < 1000 do
        local ready, message = sock.select(order, nil, 10)
        for _, s in ipairs(assert(ready, message)) do
          assert(s:write(assert(s:read("L"))))
          answered = answered + 1
        end
      end
      local right = 0
      for i, c in ipairs(clients) do
        if c:settimeout(10):read() == "hello from " .. i then
          right = right + 1
        end
      end
      print(right)
    ]])
    if not p then
      return pending("this system allows no 4096 descriptors")
    end
    assert.equal("1000\n", p:rest())
  end)
end)
