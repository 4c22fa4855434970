-- sock.connect through SOCKS 5 proxies.

local sock = require "sock"
local names = require "spec.support.names"
local peer = require "spec.support.peer"
local proxies = require "spec.support.proxies"
local DONE, await, converse = proxies.DONE, proxies.await, proxies.converse
local listener, with = proxies.listener, proxies.with

local function microsocks(...)
  local port = peer.freeport()
  local p = peer.start { "microsocks", "-i", "127.0.0.1", "-p", port, ... }
  return p, await(port)
end

--- A script that reads a SOCKS 5 greeting and request and gives `answer` to it.
local function socks(answer, request)
  return function(c)
    c:unpack("B s1")
    c:write("\5\0")
    local kind = select(4, c:unpack("B B B B"))
    local host = c:unpack(kind == 1 and "c4" or kind == 4 and "c16" or "s1")
    local port = c:unpack(">I2")
    if request then
      request(kind, host, port)
    end
    c:write(answer)
    c:recv()
  end
end

describe("sock.connect via SOCKS 5", function()
  it("reaches IPv4, IPv6 and names", function()
    local p <close>, port = microsocks()
    local l <close>, target = listener()
    local six <close>, sixth = listener("::1")
    local any <close> = assert(sock.listen("*", 0)) -- whatever the name means to the proxy
    local anyport = any:getsockname().port
    assert.truthy(p)
    for _, case in ipairs {
      { l, l:getsockname() }, { l, "127.0.0.1", target }, { any, "localhost", anyport },
      { any, "localhost:" .. anyport }, { six, "::1", sixth }, { six, six:getsockname() },
    } do
      case[#case + 1] = { via = "socks5://127.0.0.1:" .. port }
      local s <close> = assert(sock.connect(table.unpack(case, 2)))
      assert.equal(port, s:getpeername().port)
      converse(case[1], s)
    end
  end)

  it("shows user and password, percent-encoded or not", function()
    local l <close>, target = listener()
    for user, text in pairs { plain = "plain:secret", ["a@b:c"] = "a%40b%3ac:secret" } do
      local p <close>, port = microsocks("-u", user, "-P", "secret")
      assert.truthy(p)
      local s <close> = assert(sock.connect("127.0.0.1", target,
        { via = ("socks5://%s@localhost:%d"):format(text, port), timeout = 10 }))
      assert.equal(10, s:gettimeout())
      converse(l, s)
    end
  end)

  it("with a wrong password, or none, is EACCES", function()
    local p <close>, port = microsocks("-u", "me", "-P", "secret")
    assert.truthy(p)
    local _, message, code = sock.connect("127.0.0.1:9",
      { via = "socks5://me:wrong@127.0.0.1:" .. port })
    assert.same({ ("connect 127.0.0.1:9 via 127.0.0.1:%d: the proxy refuses user and password")
      :format(port), "EACCES" }, { message, code })
    _, message, code = sock.connect("127.0.0.1:9", { via = "socks5://127.0.0.1:" .. port })
    assert.same({ ("connect 127.0.0.1:9 via 127.0.0.1:%d: the proxy wants user and password")
      :format(port), "EACCES" }, { message, code })
  end)

  it("to a port where nobody listens is ECONNREFUSED", function()
    local p <close>, port = microsocks()
    assert.truthy(p)
    assert.same({ nil, ("connect localhost:9 via 127.0.0.1:%d: the proxy says: Connection refused")
      :format(port), "ECONNREFUSED" },
      { sock.connect("localhost", 9, { via = "socks5://127.0.0.1:" .. port }) })
  end)

  it("lets the proxy resolve the name", function()
    local seen
    with(socks(DONE, function(...) seen = { ... } end), function(port)
      names.with({ ["far.test"] = function() error("looked up here") end }, function()
        local s <close> = assert(sock.connect("far.test", "http",
          { via = "socks5://127.0.0.1:" .. port }))
        assert.truthy(s)
      end)
    end)
    assert.same({ 3, "far.test", 80 }, seen)
  end)

  it("sends addresses as addresses", function()
    for addr, expected in pairs {
      ["10.1.2.3:258"] = { 1, "\10\1\2\3", 258 },
      ["[2001:db8::5]:443"] = { 4, sock.inet_pton("2001:db8::5"), 443 },
    } do
      local seen
      with(socks(DONE, function(...) seen = { ... } end), function(port)
        local s <close> = assert(sock.connect(addr, { via = "socks5://127.0.0.1:" .. port }))
        assert.truthy(s)
      end)
      assert.same(expected, seen)
    end
  end)

  it("loses no byte that follows the answer, whatever address that names", function()
    for _, bound in ipairs { "\1\1\2\3\4\0\80", "\4" .. ("x"):rep(16) .. "\0\80",
      "\3\9some.name\0\80", "\3\0\0\80" } do
      with(socks("\5\0\0" .. bound .. "hello\nrest"), function(port)
        local s <close> = assert(sock.connect("far.test:1",
          { via = "socks5://127.0.0.1:" .. port }))
        assert.equal("hello", s:read())
        assert.equal("rest", s:recv())
      end)
    end
  end)

  it("understands answers that come byte by byte", function()
    with(function(c)
      local function dribble(text)
        for byte in text:gmatch(".") do
          c:write(byte)
          sock.sleep(0.001)
        end
      end
      c:unpack("B s1")
      dribble("\5\2")
      c:unpack("B s1 s1")
      dribble("\1\0")
      c:unpack("B B B B s1 I2")
      dribble(DONE .. "hello")
      c:shutdown("send")
      c:recv()
    end, function(port)
      local s <close> = assert(sock.connect("far.test:1",
        { via = "socks5://a:b@127.0.0.1:" .. port }))
      assert.equal("hello", s:read("a"))
    end)
  end)

  it("gives the proxy's replies their codes", function()
    for reply, expected in pairs { [1] = "EPROTO", [2] = "EACCES", [3] = "ENETUNREACH",
      [4] = "EHOSTUNREACH", [5] = "ECONNREFUSED", [6] = "EHOSTUNREACH", [7] = "EOPNOTSUPP",
      [8] = "EAFNOSUPPORT", [9] = "EPROTO", [255] = "EPROTO" } do
      with(socks("\5" .. string.char(reply) .. "\0\1\0\0\0\0\0\0"), function(port)
        local _, message, code = sock.connect("far.test:1", { via = "socks5://127.0.0.1:" .. port })
        assert.equal(expected, code)
        assert.matches("^connect far.test:1 via 127.0.0.1:%d+: the proxy says: ", message)
      end)
    end
  end)

  it("with a proxy that is none is EPROTO", function()
    for _, answer in ipairs { "\4\90\0\0", "HTTP/1.0 400 Bad Request\r\n\r\n", "\5\7", "\5\2" } do
      with(function(c)
        c:unpack("B s1")
        c:write(answer)
        c:recv()
      end, function(port)
        local _, message, code = sock.connect("far.test:1", { via = "socks5://127.0.0.1:" .. port })
        assert.equal("EPROTO", code)
        assert.matches("does not speak SOCKS 5$", message)
      end)
    end
    for _, answer in ipairs { "\4\0\0\1", "\5\0\0\2" } do
      with(socks(answer), function(port)
        assert.equal("EPROTO",
          (select(3, sock.connect("far.test:1", { via = "socks5://127.0.0.1:" .. port }))))
      end)
    end
  end)
end)
