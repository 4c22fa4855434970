-- sock.connect through proxies: real ones, and ones that misbehave.

local sock = require "sock"
local names = require "spec.support.names"
local peer = require "spec.support.peer"

local function listener(host)
  local l = assert(sock.socket(host and host:find(":") and "inet6" or "inet"))
  assert(l:bind(host or "127.0.0.1", 0):listen())
  return l, l:getsockname().port
end

--- Waits until a program listens.
local function await(port)
  assert(sock.retry(function()
    local s = sock.connect("127.0.0.1", port)
    return s and s:close()
  end, { attempts = 100, first = 0.02, longest = 0.2 }))
  return port
end

local function microsocks(...)
  local port = peer.freeport()
  local p = peer.start { "microsocks", "-i", "127.0.0.1", "-p", port, ... }
  return p, await(port)
end

local function tinyproxy(lines)
  local dir, cleaner = peer.tempdir()
  local port = peer.freeport()
  local file <close> = assert(io.open(dir .. "/conf", "w"))
  file:write("Port ", port, "\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\n", lines or "")
  file:flush()
  local p = peer.start { "tinyproxy", "-d", "-c", dir .. "/conf" }
  await(port)
  getmetatable(cleaner).__close()
  return p, port
end

--- Talks both ways over a connection to `l`.
local function converse(l, s)
  local c <close> = assert(l:accept())
  s:write("to the target\n")
  assert.equal("to the target", c:read())
  c:write("and back\n")
  assert.equal("and back", s:read())
  c:close()
  assert.is_nil((s:read()))
end

--- Runs f with the port of a proxy that does as `script` says with each
-- connection, and all in it as tasks of one scope.
local function with(script, f)
  local before = names.descriptors()
  local failed, why
  sock.scope(function(scope)
    local l <close>, port = listener()
    scope:spawn(function()
      while true do
        local c <close> = l:accept()
        script(c)
      end
    end)
    failed, why = pcall(f, port)
    scope:cancel()
  end)
  if not failed then
    error(why, 0)
  end
  assert.equal(before, names.descriptors())
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

--- A script that reads an HTTP head and gives `answer` to it.
local function http(answer, request)
  return function(c)
    local head = c:readuntil("\r\n\r\n")
    if head and request then
      request(head)
    end
    c:write(answer)
    c:recv()
  end
end

local DONE = "\5\0\0\1\0\0\0\0\0\0"
local OK = "HTTP/1.1 200 Connection established\r\n\r\n"

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

describe("sock.connect via HTTP", function()
  it("reaches IPv4, IPv6 and names", function()
    local p <close>, port = tinyproxy()
    local l <close>, target = listener()
    local six <close>, sixth = listener("::1")
    assert.truthy(p)
    for i, addr in ipairs {
      { l:getsockname() }, { "127.0.0.1", target }, { "localhost", target },
      { "localhost:" .. target }, { "::1", sixth }, { six:getsockname() },
    } do
      addr[#addr + 1] = { via = "http://127.0.0.1:" .. port }
      local s <close> = assert(sock.connect(table.unpack(addr)))
      assert.equal(port, s:getpeername().port)
      converse(i < 5 and l or six, s)
    end
  end)

  it("shows user and password", function()
    local p <close>, port = tinyproxy("BasicAuth me s3cret\n")
    local l <close>, target = listener()
    assert.truthy(p)
    local s <close> = assert(sock.connect("127.0.0.1", target,
      { via = "http://me:s3cret@localhost:" .. port, timeout = 10 }))
    assert.equal(10, s:gettimeout())
    converse(l, s)
    for _, user in ipairs { "", "me@", "me:wrong@" } do
      local _, message, code = sock.connect("127.0.0.1", target,
        { via = ("http://%s127.0.0.1:%d"):format(user, port) })
      assert.equal("EACCES", code)
      assert.matches(("^connect 127.0.0.1:%d via 127.0.0.1:%d: the proxy says: 40[17] ")
        :format(target, port), message)
    end
  end)

  it("to a port that the proxy does not allow is EACCES", function()
    local p <close>, port = tinyproxy("ConnectPort 443\n")
    assert.truthy(p)
    local _, message, code = sock.connect("127.0.0.1:9", { via = "http://127.0.0.1:" .. port })
    assert.equal("EACCES", code)
    assert.matches("the proxy says: 403 ", message)
  end)

  it("to a port where nobody listens is a failure that names both", function()
    local p <close>, port = tinyproxy()
    assert.truthy(p)
    local s, message = sock.connect("127.0.0.1:9", { via = "http://127.0.0.1:" .. port })
    assert.is_nil(s)
    assert.matches(("^connect 127.0.0.1:9 via 127.0.0.1:%d: the proxy says: 5"):format(port),
      message)
  end)

  it("asks as RFC 9110 says", function()
    for addr, expected in pairs { ["far.test:80"] = "far.test:80",
      ["[2001:db8::5]:443"] = "[2001:db8::5]:443", ["10.1.2.3:8"] = "10.1.2.3:8" } do
      local head
      with(http(OK, function(text) head = text end), function(port)
        local s <close> = assert(sock.connect(addr,
          { via = "http://al%20addin:open%3Asesame@127.0.0.1:" .. port .. "/" }))
        assert.truthy(s)
      end)
      assert.equal(("CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic "
        .. "YWwgYWRkaW46b3BlbjpzZXNhbWU=\r\n\r\n"):format(expected, expected), head)
    end
  end)

  it("encodes user and password of every length", function()
    for user, expected in pairs { a = "YTo=", ab = "YWI6", abc = "YWJjOg==", ["\xff"] = "/zo=" } do
      local head
      with(http(OK, function(text) head = text end), function(port)
        local s <close> = assert(sock.connect("far.test:1",
          { via = "http://" .. user .. "@127.0.0.1:" .. port }))
        assert.truthy(s)
      end)
      assert.equal(expected, head:match("Basic (%S+)\r\n"))
    end
  end)

  it("loses no byte that follows the answer", function()
    for _, answer in ipairs { OK, "HTTP/1.0 200 OK\n\n", "HTTP/1.1 200\r\n\r\n",
      "HTTP/1.1 299 Fine\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n" .. OK } do
      with(http(answer .. "\r\nhello\nrest"), function(port)
        local s <close> = assert(sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port }))
        assert.same({ "", "hello" }, { s:read("l", "l") })
        assert.equal("rest", s:recv())
      end)
    end
  end)

  it("leaves the socket its usual limit", function()
    with(http(OK .. ("x"):rep(100000) .. "\n"), function(port)
      local s <close> = assert(sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port }))
      assert.equal(100000, #s:read())
    end)
  end)

  it("understands answers that come byte by byte", function()
    with(function(c)
      c:readuntil("\r\n\r\n")
      for byte in (OK .. "hello"):gmatch(".") do
        c:write(byte)
        sock.sleep(0)
      end
      c:shutdown("send")
      c:recv()
    end, function(port)
      local s <close> = assert(sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port }))
      assert.equal("hello", s:read("a"))
    end)
  end)

  it("gives the proxy's answers their codes", function()
    for status, expected in pairs { ["407"] = "EACCES", ["403"] = "EACCES", ["502"] =
      "EHOSTUNREACH", ["503"] = "EHOSTUNREACH", ["504"] = "ETIMEDOUT", ["500"] = "EPROTO",
      ["302"] = "EPROTO" } do
      with(http("HTTP/1.1 " .. status .. " No\27[31m way\r\nContent-Length: 0\r\n\r\n"),
        function(port)
          assert.same({ nil, ("connect far.test:1 via 127.0.0.1:%d: the proxy says: %s "
            .. "No?[31m way"):format(port, status), expected },
            { sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port }) })
        end)
    end
  end)

  it("with a proxy that is none is EPROTO", function()
    for _, answer in ipairs { "SSH-2.0-OpenSSH\r\n\r\n", "\5\0\r\n\r\n", "HTTP/2 200\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n", "\r\n" } do
      with(http(answer), function(port)
        local _, message, code = sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port })
        assert.equal("EPROTO", code)
        assert.matches("does not speak HTTP$", message)
      end)
    end
  end)

  it("reads no more than 16 KiB of an answer", function()
    local floods = {
      line = ("x"):rep(10 << 20),
      lines = "HTTP/1.1 200 OK\r\n" .. ("A: b\r\n"):rep(2 << 20),
      news = ("HTTP/1.1 100 Continue\r\n\r\n"):rep(1 << 19),
    }
    for _, flood in pairs(floods) do
      with(http(flood), function(port)
        assert.same({ nil, ("connect far.test:1 via 127.0.0.1:%d: the proxy's answer is too long")
          :format(port), "EPROTO" },
          { sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port }) })
      end)
    end
  end)
end)

describe("A proxy", function()
  it("that closes after any number of bytes is EPROTO", function()
    for scheme, conversation in pairs {
      socks5 = { { "B s1", "\5\2" }, { "B s1 s1", "\1\0" }, { "B B B B s1 I2", DONE } },
      http = { { "c1", OK } },
    } do
      local total = 0
      for _, step in ipairs(conversation) do
        total = total + #step[2]
      end
      for count = 0, total - 1 do
        with(function(c)
          local left = count
          for _, step in ipairs(conversation) do
            c:unpack(step[1])
            c:write(step[2]:sub(1, left))
            left = left - #step[2]
            if left < 0 then
              return
            end
          end
        end, function(port)
          local s, message, code = sock.connect("far.test:1",
            { via = scheme .. "://a:b@127.0.0.1:" .. port })
          assert.is_nil(s)
          assert.matches("^connect far.test:1 via 127.0.0.1:%d+: ", message)
          -- a close with the request unread is a reset
          assert.truthy(code == "EPROTO" or code == "ECONNRESET" or code == "EPIPE", message)
        end)
      end
    end
  end)

  it("that stalls in any phase is ended by the one deadline", function()
    for scheme, phases in pairs {
      socks5 = { "", "\5", "\5\2", "\5\2\1", "\5\2\1\0", "\5\2\1\0\5\0\0\3\9abc" },
      http = { "", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r" },
    } do
      for _, sent in ipairs(phases) do
        with(function(c)
          c:write(sent)
          sock.channel():get()
        end, function(port)
          assert.same({ nil, ("connect far.test:1 via 127.0.0.1:%d: timed out"):format(port),
            "ETIMEDOUT" }, { sock.connect("far.test:1",
            { via = scheme .. "://a:b@127.0.0.1:" .. port, timeout = 0.05 }) })
        end)
      end
    end
  end)

  it("that sends a byte now and then is ended by it too", function()
    with(function(c)
      while c:write("A") do
        sock.sleep(0.01)
      end
    end, function(port)
      local before = sock.now()
      assert.equal("ETIMEDOUT", (select(3, sock.connect("far.test:1",
        { via = "http://127.0.0.1:" .. port, timeout = 0.1 }))))
      assert.is_true(sock.now() - before < 5)
    end)
  end)

  it("that is not there is named, and what it was for", function()
    local port = peer.freeport()
    assert.same({ nil, ("connect far.test:1 via 127.0.0.1:%d: Connection refused"):format(port),
      "ECONNREFUSED" }, { sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port }) })
    names.with({ ["proxy.test"] = { "::1", "127.0.0.1" } }, function()
      assert.same({ nil, ("connect far.test:1 via proxy.test:%d: [::1]:%d: Connection refused; "
        .. "127.0.0.1:%d: Connection refused"):format(port, port, port), "ECONNREFUSED" },
        { sock.connect("far.test:1", { via = "socks5://u:geheim@proxy.test:" .. port }) })
    end)
    assert.same({ nil, "connect far.test:1 via nothing.invalid:1080: Name or service not known",
      "EAI_NONAME" }, { sock.connect("far.test:1", { via = "socks5://nothing.invalid" }) })
  end)

  it("gets the socket options and localaddr", function()
    local from
    with(function(c)
      from = c:getpeername().host
      http(OK)(c)
    end, function(port)
      local s <close> = assert(sock.connect("far.test:1", { via = "http://127.0.0.1:" .. port,
        keepalive = true, localaddr = "127.0.0.2" }))
      assert.is_true(s:getsockopt("keepalive"))
      assert.is_true(s:getsockopt("tcp_nodelay"))
    end)
    assert.equal("127.0.0.2", from)
  end)

  it("is not asked for what it cannot know", function()
    local via = { via = "http://127.0.0.1:9" }
    for _, addr in ipairs { "unix:/tmp/s", "unix:@s", "[fe80::1%lo]:80" } do
      assert.equal("EAFNOSUPPORT", (select(3, sock.connect(addr, via))), addr)
    end
    for _, host in ipairs { "a b", "a\r\nEvil: 1", "*", "", ("x"):rep(256), "a/b", "a\0b" } do
      local _, message, code = sock.connect(host, 80, via)
      assert.equal("EINVAL", code, host)
      assert.matches("^connect ", message)
    end
    for _, port in ipairs { "nosuchservice", "70000", "-1", "8.5" } do
      local s, _, code = sock.connect("far.test", port, via)
      assert.is_nil(s)
      assert.truthy(code == "EAI_SERVICE" or code == "EINVAL", port)
    end
  end)

  it("of a wrong form raises", function()
    for _, url in ipairs { "", "127.0.0.1:80", "https://p:1", "socks4://p:1", "ftp://p", "http://",
      "http://:80", "socks5://::1", "http://p:1/path", "http://a%zz@p:1", "http://a%4@p:1",
      "socks5://:b@p:1", "socks5://" .. ("u"):rep(256) .. ":p@p:1", "http://a%3Ab:c@p:1",
      "socks5://u:" .. ("p"):rep(256) .. "@p:1", "http://a%0d%0aEvil:c@p:1" } do
      local ok, message = pcall(function() sock.connect("127.0.0.1:9", { via = url }) end)
      assert.is_false(ok, url)
      assert.matches("^spec/via_spec%.lua:%d+: bad argument #2 to 'connect' %(option 'via': ",
        message)
    end
    assert.error_matches(function()
      sock.connect("127.0.0.1:9", { via = "socks5://p:1", type = "dgram" })
    end, "only streams go through a proxy")
  end)
end)
