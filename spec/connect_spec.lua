-- sock.connect: addresses, names, options. What its races do is in
-- connect_race_spec.lua, how they end in connect_cancel_spec.lua.

local sock = require "sock"
local names = require "spec.support.names"
local peer = require "spec.support.peer"

local function listener(host, family)
  local l = assert(sock.socket(family or "inet"))
  assert(l:bind(host or "127.0.0.1", 0):listen())
  return l, l:getsockname().port
end

--- A call outside tasks, in one, and in a plain coroutine of each.
local function everywhere(f)
  f()
  sock.run(f)
  coroutine.wrap(f)()
  sock.run(function() coroutine.wrap(f)() end)
end

describe("sock.connect", function()
  it("takes an address, host and port, and one text with both", function()
    everywhere(function()
      local l <close>, port = listener()
      for _, addr in ipairs {
        { l:getsockname() }, { "127.0.0.1", port }, { "127.0.0.1", tostring(port) },
        { "127.0.0.1:" .. port }, { "localhost", port }, { "localhost:" .. port },
      } do
        local s <close> = assert(sock.connect(table.unpack(addr)))
        local c <close>, from = assert(l:accept())
        assert.equal(l:getsockname(), s:getpeername())
        assert.equal(from, s:getsockname())
        s:write("ping\n")
        assert.equal("ping", c:read())
      end
    end)
  end)

  it("takes options after each of them", function()
    local l <close>, port = listener()
    for _, arguments in ipairs {
      { l:getsockname(), { keepalive = true } }, { "127.0.0.1", port, { keepalive = true } },
      { "localhost:" .. port, { keepalive = true } },
      { "localhost:" .. port, nil, { keepalive = true } },
    } do
      local s <close> = assert(sock.connect(table.unpack(arguments, 1, 3)))
      assert.is_true(s:getsockopt("keepalive"))
    end
  end)

  it("reaches IPv6", function()
    local l <close>, port = listener("::1", "inet6")
    local a <close> = assert(sock.connect("::1", port))
    local b <close> = assert(sock.connect("[::1]:" .. port))
    assert.equal("::1", a:getpeername().host)
    assert.equal(l:getsockname(), b:getpeername())
  end)

  it("takes a service's name", function()
    local _, message, code = sock.connect("127.0.0.1", "discard")
    assert.same({ "connect 127.0.0.1:discard: 127.0.0.1:9: Connection refused", "ECONNREFUSED" },
      { message, code })
    _, message, code = sock.connect("localhost:discard")
    assert.equal("ECONNREFUSED", code)
    assert.matches("^connect localhost:discard: .*127%.0%.0%.1:9: Connection refused", message)
  end)

  it("reaches Unix sockets, stream and datagram", function()
    local folder, _ <close> = peer.tempdir()
    local path = "unix:" .. folder .. "/s"
    local l <close> = assert(sock.socket("unix"))
    assert(l:bind(path):listen())
    local s <close> = assert(sock.connect(path))
    assert.equal(path, tostring(s:getpeername()))
    local q <close> = assert(sock.socket("unix", "dgram"))
    assert(q:bind("unix:" .. folder .. "/d"))
    local d <close> = assert(sock.connect("unix:" .. folder .. "/d",
      { type = "dgram", localaddr = "unix:" .. folder .. "/e" }))
    d:write("one")
    local data, from = q:recvfrom()
    assert.same({ "one", folder .. "/e" }, { data, from.path })
  end)

  it("reaches Unix sockets that keep messages apart", function()
    local folder, _ <close> = peer.tempdir()
    local path = "unix:" .. folder .. "/s"
    local l <close> = assert(sock.socket("unix", "seqpacket"))
    assert(l:bind(path):listen())
    local s <close> = assert(sock.connect(path, { type = "seqpacket" }))
    local c <close> = assert(l:accept())
    s:write("a")
    s:write("b")
    assert.equal("a", c:recv())
    assert.equal("b", c:recv())
  end)

  it("connects datagram sockets to a name", function()
    local u <close> = assert(sock.udp("127.0.0.1", 0))
    local s <close> = assert(sock.connect("127.0.0.1", u:getsockname().port, { type = "dgram" }))
    s:write("hello")
    assert.equal("hello", u:recv())
    local named <close> = assert(sock.connect("localhost", "domain", { type = "dgram" }))
    assert.equal(53, named:getpeername().port)
  end)

  it("reaches other programs", function()
    local redis <close>, port = peer.redis()
    assert.truthy(redis)
    everywhere(function()
      local s <close> = assert(sock.connect("localhost", port, { timeout = 10 }))
      s:write("PING\r\n")
      assert.equal("+PONG", s:read())
    end)
  end)

  it("turns Nagle's algorithm off unless told otherwise", function()
    local l <close>, port = listener()
    local a <close> = assert(sock.connect("127.0.0.1", port))
    local b <close> = assert(sock.connect("127.0.0.1", port, { tcp_nodelay = false }))
    local c <close> = assert(sock.connect("localhost", port))
    assert.truthy(l)
    assert.is_true(a:getsockopt("tcp_nodelay"))
    assert.is_false(b:getsockopt("tcp_nodelay"))
    assert.is_true(c:getsockopt("tcp_nodelay"))
  end)

  it("sets options before it connects", function()
    local l <close>, port = listener()
    local s <close> = assert(sock.connect("127.0.0.1", port, { tcp_maxseg = 600, rcvbuf = 5000 }))
    assert.truthy(l)
    assert.is_true(s:getsockopt("tcp_info").advmss <= 600) -- fixed by the handshake
    assert.equal(10000, s:getsockopt("rcvbuf")) -- Linux doubles it
  end)

  it("gives the socket its timeout", function()
    local l <close>, port = listener()
    for _, host in ipairs { "127.0.0.1", "localhost" } do
      local a <close> = assert(sock.connect(host, port, { timeout = 7 }))
      local b <close> = assert(sock.connect(host, port))
      local c <close> = assert(sock.connect(host, port, { timeout = math.huge }))
      assert.equal(7, a:gettimeout())
      assert.is_nil(b:gettimeout())
      assert.is_nil(c:gettimeout())
    end
    assert.truthy(l)
  end)
end)

describe("localaddr", function()
  it("is where the connection comes from", function()
    local l <close>, port = listener()
    local free = peer.freeport("127.0.0.3")
    for i, from in ipairs { "127.0.0.2", "127.0.0.2:0", sock.address("127.0.0.2:0"),
      "127.0.0.3:" .. free } do
      local s <close> = assert(sock.connect("localhost", port, { localaddr = from }))
      local c <close>, seen = l:accept()
      assert.truthy(c)
      assert.equal(i < 4 and "127.0.0.2" or "127.0.0.3", seen.host)
      assert.equal(s:getsockname(), seen)
      assert.is_true(i < 4 or seen.port == free)
    end
  end)

  it("passes over addresses of another family, and says so", function()
    local l <close>, port = listener()
    names.with({ ["two.test"] = { "::1", "127.0.0.1" } }, function()
      local s <close> = assert(sock.connect("two.test", port, { localaddr = "127.0.0.1" }))
      assert.equal("inet", s:getpeername().family)
      l:close()
      assert.same({ nil, ("connect two.test:%d: [::1]:%d: not of localaddr's family; "
        .. "127.0.0.1:%d: Connection refused"):format(port, port, port), "ECONNREFUSED" },
        { sock.connect("two.test", port, { localaddr = "127.0.0.1" }) })
    end)
  end)

  it("of another family than all addresses is a failure", function()
    assert.same({ nil, "connect 127.0.0.1:9: not of localaddr's family", "EAFNOSUPPORT" },
      { sock.connect("127.0.0.1", 9, { localaddr = "::1" }) })
    names.with({ ["four.test"] = { "127.0.0.1" } }, function()
      assert.same({ nil, "connect four.test:9: 127.0.0.1:9: not of localaddr's family",
        "EAFNOSUPPORT" }, { sock.connect("four.test", 9, { localaddr = "::1" }) })
    end)
  end)

  it("that is not this machine's is a failure", function()
    assert.same({ nil, "bind 192.0.2.77:0: Cannot assign requested address", "EADDRNOTAVAIL" },
      { sock.connect("127.0.0.1", 9, { localaddr = "192.0.2.77" }) })
  end)

  it("that is no address is a failure", function()
    local _, message, code = sock.connect("127.0.0.1", 9, { localaddr = "nonsense" })
    assert.same({ 'connect: localaddr: "nonsense": not a numeric host', "EINVAL" },
      { message, code })
  end)
end)

describe("A failure of sock.connect", function()
  it("to one numeric address is the primitive's", function()
    everywhere(function()
      local s <close> = assert(sock.socket())
      assert.same({ s:connect("127.0.0.1", 9) }, { sock.connect("127.0.0.1", 9) })
      assert.same({ nil, "connect [::1]:9: Connection refused", "ECONNREFUSED" },
        { sock.connect("[::1]:9") })
    end)
  end)

  it("to a Unix path names it", function()
    assert.same({ nil, "connect unix:/nowhere/s: No such file or directory", "ENOENT" },
      { sock.connect("unix:/nowhere/s") })
  end)

  it("to a name lists each address and why", function()
    names.with({ ["two.test"] = { "::1", "127.0.0.1" } }, function()
      everywhere(function()
        assert.same({ nil, "connect two.test:9: [::1]:9: Connection refused; "
          .. "127.0.0.1:9: Connection refused", "ECONNREFUSED" }, { sock.connect("two.test", 9) })
      end)
    end)
  end)

  it("has the code of the first address", function()
    names.with({ ["two.test"] = { "255.255.255.255:9", "127.0.0.1:9" } }, function()
      local _, message, code = sock.connect("two.test", 9)
      assert.equal("ENETUNREACH", code)
      assert.matches("255: Network is unreachable; 127.0.0.1:9: Connection refused$",
        (message:gsub(":9: Net", ": Net")))
    end)
  end)

  it("to find a name names it", function()
    everywhere(function()
      assert.same({ nil, "connect nothing.invalid:80: Name or service not known", "EAI_NONAME" },
        { sock.connect("nothing.invalid", 80) })
    end)
  end)

  it("to find a service names it", function()
    local _, message, code = sock.connect("localhost", "nosuchservice")
    assert.equal("EAI_SERVICE", code)
    assert.matches("^connect localhost:nosuchservice: ", message)
  end)

  it("is a text that is no address", function()
    for _, text in ipairs { "nonsense", "", "host:70000", "a b:80", "::1:80:", "vsock:x" } do
      local s, message, code = sock.connect(text)
      assert.same({ nil, "EINVAL" }, { s, code }, text)
      assert.matches("^connect ", message)
    end
  end)

  it("leaves no descriptor", function()
    local before = names.descriptors()
    names.with({ ["two.test"] = { "::1", "127.0.0.1" } }, function()
      for _ = 1, 50 do
        sock.connect("127.0.0.1", 9)
        sock.connect("two.test", 9)
        sock.connect("localhost", 9, { localaddr = "192.0.2.77" })
      end
    end)
    assert.equal(before, names.descriptors())
  end)

  it("is also an option that this socket does not have", function()
    local l <close> = assert(sock.socket("unix"))
    assert(l:bind("unix:@sock." .. peer.freeport()):listen())
    local before = names.descriptors()
    local s, _, code = sock.connect(l:getsockname(), { tcp_keepcnt = 3 })
    assert.is_nil(s)
    assert.truthy(code == "EOPNOTSUPP" or code == "ENOPROTOOPT", code)
    assert.equal(before, names.descriptors())
  end)
end)

describe("sock.connect raises", function()
  local function refuses(pattern, ...)
    local arguments = table.pack(...)
    local _, message = pcall(function()
      sock.connect(table.unpack(arguments, 1, arguments.n))
    end)
    assert.matches("spec/connect_spec%.lua:%d+: bad argument " .. pattern, message)
  end

  it("for what is no ADDR", function()
    refuses("#1 to 'connect' %(address or host expected, got no value%)")
    refuses("#1 to 'connect' %(address or host expected, got number%)", 80)
    refuses("#1 to 'connect' %(address or host expected, got table%)", {})
    refuses("#2 to 'connect' %(port out of range%)", "localhost", 70000)
    refuses("#2 to 'connect' %(port out of range%)", "localhost", 80.5)
    refuses("#2 to 'connect' %(port expected, got boolean%)", "localhost", true)
  end)

  it("for options of the wrong type", function()
    refuses("#3 to 'connect' %(table expected, got number%)", "localhost", 80, 5)
    refuses("#3 to 'connect' %(unknown option 'timout'%)", "localhost", 80, { timout = 1 })
    refuses("#2 to 'connect' %(unknown option '1'%)", "localhost:80", { "x" })
    refuses("#2 to 'connect' %(option 'timeout': number expected, got string%)", "localhost:80",
      { timeout = "1" })
    refuses("#2 to 'connect' %(option 'timeout': not a number%)", "localhost:80",
      { timeout = 0 / 0 })
    refuses("#2 to 'connect' %(option 'type': string expected", "localhost:80", { type = 1 })
    refuses("#2 to 'connect' %(option 'type': unknown type \"tcp\"", "localhost:80",
      { type = "tcp" })
    refuses("#2 to 'connect' %(option 'localaddr': ", "localhost:80", { localaddr = 1 })
    refuses("#2 to 'connect' %(option 'localaddr': ", "localhost:80", { localaddr = io.stdout })
    refuses("#2 to 'connect' %(option 'via': string expected", "localhost:80", { via = true })
  end)

  it("for a socket option's value of the wrong type, and leaves no descriptor", function()
    local before = names.descriptors()
    for _, host in ipairs { "127.0.0.1", "localhost" } do
      refuses("#3 to 'connect' %(option 'keepalive': boolean expected, got string%)$", host, 9,
        { keepalive = "yes" })
      refuses("#3 to 'connect' %(option 'error': 'error' is read%-only%)$", host, 9, { error = 1 })
    end
    assert.equal(before, names.descriptors())
  end)
end)
