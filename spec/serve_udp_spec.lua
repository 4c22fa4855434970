local sock = require "sock"
local peer = require "spec.support.peer"

local function client(address)
  local s = assert(sock.socket(address.family, "dgram")):settimeout(20)
  return assert(s:connect(address))
end

local function serve(handler, options, ...)
  local server = assert(sock.serve_udp("127.0.0.1:0", handler, options, ...))
  return server, setmetatable({}, { __close = function() server:stop() end })
end

local function shout(data, from, socket)
  socket:sendto(data:upper(), from)
end

describe("sock.serve_udp", function()
  it("calls the handler with each datagram, its sender and the socket", function()
    local seen
    local server, _ <close> = serve(function(data, from, socket)
      seen = from
      shout(data, from, socket)
    end)
    assert.equal("server", sock.type(server))
    local s <close> = client(server.address)
    for _, data in ipairs { "one", "", ("x"):rep(60000) } do
      s:send(data)
      assert.equal(data:upper(), s:recv())
    end
    assert.equal(s:getsockname(), seen)
    assert.same({ accepted = 3, open = 0, failed = 0, received = 60003, sent = 60003 },
      server:stats())
  end)

  it("serves real clients", function()
    local server, _ <close> = serve(shout)
    local socat <close> = peer.start({ "socat", "-t", "20", "-",
      "UDP:127.0.0.1:" .. server.address.port }, { input = "hello\n" })
    local out <close> = sock.adopt(socat.out)
    assert.equal("HELLO", out:read())
  end)

  it("takes the wildcard for both families", function()
    local server <const> = assert(sock.serve_udp("*", 0, shout))
    for _, host in ipairs { "127.0.0.1", "::1" } do
      local s <close> = client(sock.address(host, server.address.port))
      s:send("a")
      assert.equal("A", s:recv())
    end
    server:stop()
  end)

  it("takes a Unix path", function()
    local folder, _ <close> = peer.tempdir()
    local address = sock.address("unix:" .. folder .. "/s")
    for _ = 1, 2 do -- and again the one that is left over
      local server = assert(sock.serve_udp(address, shout))
      local s <close> = assert(sock.socket("unix", "dgram")):settimeout(20)
      assert(s:bind("unix:")):connect(address)
      s:send("a")
      assert.equal("A", s:recv())
      assert.equal("EADDRINUSE", select(3, sock.serve_udp(address, shout)))
      server:stop()
    end
  end)

  it("runs at most maxtasks handlers; more datagrams wait in the kernel", function()
    local most, now, gate = 0, 0, sock.channel()
    local server, _ <close> = serve(function(data, from, socket)
      now = now + 1
      most = math.max(most, now)
      gate:get()
      now = now - 1
      shout(data, from, socket)
    end, { maxtasks = 3 })
    local s <close> = client(server.address)
    for i = 1, 10 do
      s:send("d" .. i)
    end
    local seen = {}
    for i = 1, 10 do
      gate:put(true)
      seen[s:recv()] = true
      assert.truthy(server:stats().accepted <= i + 3)
    end
    for i = 1, 10 do
      assert.is_true(seen["D" .. i])
    end
    assert.equal(3, most)
  end)

  it("survives an error in a handler, and tells of it", function()
    local told
    local server, _ <close> = serve(function(data, from, socket)
      if data == "fail" then
        error("as asked", 0)
      end
      shout(data, from, socket)
    end, { onerror = function(...) told = table.pack(...) end })
    local s <close> = client(server.address)
    s:send("fail")
    s:send("a")
    assert.equal("A", s:recv())
    assert.equal("as asked", told[1])
    assert.truthy(told[2]:find("stack traceback"))
    assert.equal("socket", sock.type(told[3]))
    assert.equal(1, server:stats().failed)
  end)

  it("survives a peer that has gone", function()
    local server, _ <close> = serve(shout, { ip_recverr = true })
    for _ = 1, 5 do
      local gone <close> = client(server.address)
      gone:send("x")
    end
    local s <close> = client(server.address)
    s:send("a")
    assert.equal("A", s:recv())
  end)

  it("survives its own timeout", function()
    local server, _ <close> = serve(shout, { timeout = 0.001 })
    local s <close> = client(server.address)
    sock.sleep(0.01)
    s:send("a")
    assert.equal("A", s:recv())
  end)

  it("stops: handlers answer within the grace, the rest is cancelled", function()
    local gate = sock.channel()
    local server = serve(function(data, from, socket)
      gate:get()
      shout(data, from, socket)
    end)
    local s <close> = client(server.address)
    s:send("a")
    s:send("b")
    repeat sock.sleep(0.001) until server:stats().open == 2
    local joiner = sock.spawn(server.join, server)
    local stopper = sock.spawn(server.stop, server, 0.1)
    sock.sleep(0)
    assert.is_true(server.stopping)
    gate:put(true)
    assert.truthy(s:recv())
    assert.equal(1, stopper:join())
    assert.equal(server, joiner:join())
    s:send("c")
    assert.equal("ECONNREFUSED", select(3, s:recv()))
  end)

  it("may be stopped in a handler", function()
    local server
    server = serve(function(data, from, socket)
      server:stop(1000)
      shout(data, from, socket)
    end)
    local s <close> = client(server.address)
    s:send("a")
    assert.equal("A", s:recv())
    server:join()
  end)

  it("does not spin where a handler sets the socket's timeout to 0", function()
    local server, _ <close> = serve(function(data, from, socket)
      socket:settimeout(0)
      shout(data, from, socket)
    end)
    local s <close> = client(server.address)
    local before
    for _ = 1, 2 do
      s:send("a")
      assert.equal("A", s:recv())
      before = before or os.clock()
      sock.sleep(0.15)
    end
    assert.is_true(os.clock() - before < 0.1)
  end)

  it("raises for what the caller got wrong", function()
    local function raises(text, ...)
      local ok, message = pcall(sock.serve_udp, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    raises("bad argument #1 to 'serve_udp' (address or host expected, got no value)")
    raises("bad argument #2 to 'serve_udp' (function expected, got no value)", "127.0.0.1:0")
    raises("bad argument #4 to 'serve_udp' (unknown option 'maxconns')", "127.0.0.1", 0, shout,
      { maxconns = 1 })
    for _, max in ipairs { 0, 1.5, -math.huge } do
      raises("option 'maxtasks' must be at least 1", "127.0.0.1:0", shout, { maxtasks = max })
    end
  end)

  it("fails where it cannot bind", function()
    local server, _ <close> = serve(shout)
    local again, message, code = sock.serve_udp(server.address, shout)
    assert.is_nil(again)
    assert.truthy(message:find("^bind 127.0.0.1:%d+: Address already in use$"))
    assert.equal("EADDRINUSE", code)
  end)
end)
