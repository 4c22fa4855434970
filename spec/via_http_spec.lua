-- sock.connect through HTTP proxies.

local sock = require "sock"
local peer = require "spec.support.peer"
local proxies = require "spec.support.proxies"
local OK, await, converse, http = proxies.OK, proxies.await, proxies.converse, proxies.http
local listener, with = proxies.listener, proxies.with

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
