-- sock.serve in several processes. The server lives in a program of its own.

local sock = require "sock"
local peer = require "spec.support.peer"

--- A program that serves; `address` is where.
local function program(address, options, handler)
  local child = peer.lua(([[
    io.stdout:setvbuf "line"
    local sock, core = require "sock", require "sock.core"
    local server = assert(sock.serve(%q, %s, %s))
    print("serving " .. tostring(server.address))
    sock.spawn(function()
      while sock.signal("USR1"):wait() do
        local s = server:stats()
        print(("stats %%d %%d %%d"):format(s.accepted, s.failed, s.received))
      end
    end)
    server:join()
    print(sock.type(server), server.stopping)
    os.exit(true)
  ]]):format(address, handler, options))
  return child, assert(sock.address(child:expect("serving (.*)")))
end

local echo = [[function(conn) for line in conn:lines() do
  conn:write(core.getpid(), " ", line, "\n") end end]]

--- The process that answers a line on a new connection.
local function ask(address)
  local s <close> = assert(sock.connect(address, { timeout = 10 }))
  assert(s:write("hello\n"))
  local pid = assert(s:read()):match("^(%d+) hello$")
  return assert(math.tointeger(pid))
end

local function several(address)
  local pids, n = {}, 0
  for _ = 1, 200 do
    local pid = ask(address)
    n = n + (pids[pid] and 0 or 1)
    pids[pid] = true
  end
  return n, pids
end

describe("sock.serve with workers", function()
  it("shares connections out among processes", function()
    local server <close>, address = program("127.0.0.1:0", "{ workers = 3 }", echo)
    local n, pids = several(address)
    assert.equal(3, n)
    assert.is_nil(pids[server.pid])
  end)

  it("listens on both families with one port", function()
    local _ <close>, address = program("*:0", "{ workers = 2 }", echo)
    assert.truthy(ask(sock.address("127.0.0.1", address.port)))
    assert.truthy(ask(sock.address("::1", address.port)))
  end)

  it("serves at a Unix path", function()
    local dir, _ <close> = peer.tempdir()
    local _ <close>, address = program("unix:" .. dir .. "/s", "{ workers = 2 }", echo)
    assert.truthy(ask(address))
  end)

  it("ends in order when it is told to", function()
    local server <close>, address = program("127.0.0.1:0", "{ workers = 2 }", echo)
    for _ = 1, 10 do
      ask(address)
    end
    server:signal("TERM")
    assert.equal("server", server:expect("^(%S+)\ttrue$"))
    assert.equal("", server:rest())
    assert.equal("ECONNREFUSED", select(3, sock.connect(address)))
  end)

  it("sums what all of them have done", function()
    local server <close>, address = program("127.0.0.1:0", "{ workers = 3 }", echo)
    for _ = 1, 20 do
      ask(address)
    end
    server:signal("USR1")
    assert.equal("20 0 120", server:expect("^stats (.*)"))
  end)

  it("lets a request that is under way end", function()
    local server <close>, address = program("127.0.0.1:0", "{ workers = 2 }",
      [[function(conn) conn:read() sock.sleep(0.3) conn:write("the answer\n") end]])
    local s <close> = assert(sock.connect(address, { timeout = 10 }))
    s:write("a question\n")
    while s:getsockopt("tcp_info").unacked > 0 do
      sock.sleep(0.001)
    end
    server:signal("TERM")
    assert.equal("the answer", s:read())
    assert.equal("server", server:expect("^(%S+)\ttrue$"))
  end)

  it("replaces its workers on HUP, and a dead one", function()
    local server <close>, address = program("127.0.0.1:0", "{ workers = 1 }", echo)
    local first = ask(address)
    server:signal("HUP")
    local second
    repeat
      second = ask(address)
    until second ~= first
    while os.execute("kill -0 " .. first .. " 2>/dev/null") do
      sock.sleep(0.001) -- until then it may take one more
    end
    os.execute("kill -KILL " .. second)
    local third = ask(address) -- it waits in the queue until there is one
    assert.is_true(third ~= first and third ~= second)
  end)

  it("passes on the peer that a balancer names", function()
    local _ <close>, address = program("127.0.0.1:0", "{ workers = 2, proxy = true }",
      [[function(conn, peer) conn:write(tostring(peer), "\n") end]])
    local s <close> = assert(sock.connect(address, { timeout = 10,
      proxy = { version = 2, source = sock.address("192.0.2.7:4711"), destination = address } }))
    assert.equal("192.0.2.7:4711", s:read())
  end)
end)

describe("sock.serve behind a balancer", function()
  local function serve(handler, options)
    local said = {}
    options.onerror = function(err) said[#said + 1] = err end
    local server = assert(sock.serve("127.0.0.1:0", handler, options))
    return server, said
  end

  it("gives the handler the peer that a PROXY header names, and all that follows it", function()
    local server = serve(function(conn, from)
      conn:write(tostring(from), " ", conn:read(), "\n")
    end, { proxy = { "127.0.0.0/8" } })
    for version = 1, 2 do
      local s <close> = assert(sock.connect(server.address, { timeout = 10,
        proxy = { version = version, source = sock.address("192.0.2.7:4711"),
          destination = server.address } }))
      s:write("hello\n")
      assert.equal("192.0.2.7:4711 hello", s:read())
    end
    server:stop()
  end)

  it("serves a peer that is not trusted as what it is", function()
    local server = serve(function(conn, from)
      conn:write(tostring(from), " ", conn:read(), "\n")
    end, { proxy = { "10.0.0.0/8" } })
    local s <close> = assert(sock.connect(server.address, { timeout = 10 }))
    s:write("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n")
    assert.equal(tostring(s:getsockname()) .. " PROXY TCP4 192.0.2.7 192.0.2.8 1 2", s:read())
    server:stop()
  end)

  it("closes who sends none, and reports it; a mere look is nothing", function()
    local server, said = serve(function() error "never" end, { proxy = true })
    assert(sock.connect(server.address)):close()
    local s <close> = assert(sock.connect(server.address, { timeout = 10 }))
    s:write("GET / HTTP/1.0\r\n\r\n")
    assert.falsy(s:read())
    while server:stats().open > 0 do
      sock.sleep(0)
    end
    assert.equal(2, server:stats().accepted)
    assert.equal(1, server:stats().failed)
    assert.truthy(said[1]:find("no PROXY header", 1, true), said[1])
    server:stop()
  end)

  it("stops sooner when it is told again, and counts what that cancels", function()
    local server = assert(sock.serve("127.0.0.1:0", function(conn)
      conn:write(conn:read(), "\n")
      sock.sleep(1000)
    end, { workers = 1 }))
    local client <close> = assert(sock.connect(server.address, { timeout = 10 }))
    client:write("a\n")
    assert.equal("a", client:read())
    local patient = sock.spawn(server.stop, server, 1000)
    sock.sleep(0.05)
    local before = sock.now()
    assert.equal(1, server:stop())
    assert.is_true(sock.now() - before < 0.9)
    patient:join()
  end)

  it("stops with any grace that is a number, and for no other", function()
    local server = assert(sock.serve("127.0.0.1:0", print, { workers = 1 }))
    assert.error_matches(function() server:stop(0 / 0) end, "bad argument #1 to 'stop'")
    assert.is_false(server.stopping)
    assert.equal(0, server:stop(-math.huge))
  end)

  it("names what is wrong with its options", function()
    local function try(options)
      return function() sock.serve("127.0.0.1:0", print, options) end
    end
    assert.error_matches(try { proxy = { "nonsense" } }, "nonsense")
    assert.error_matches(try { proxy = 1 }, "option 'proxy': boolean or table expected, got number")
    assert.error_matches(try { workers = 0 }, "option 'workers' must be an integer from 1")
    assert.error_matches(try { workers = 1.5 }, "option 'workers' must be an integer from 1")
  end)
end)
