-- sock.connect through proxies of any kind, and those that misbehave.

local sock = require "sock"
local names = require "spec.support.names"
local peer = require "spec.support.peer"
local proxies = require "spec.support.proxies"
local DONE, OK, http, with = proxies.DONE, proxies.OK, proxies.http, proxies.with

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
