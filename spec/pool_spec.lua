local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local pools = require "spec.support.pools"
local nothing = fixtures.nothing
local server, sockets = pools.server, pools.sockets

--- Gives each line back.
local function echo(c)
  for line in function() return c:read("L") end do
    c:write(line)
  end
  c:close()
end

local function ask(c, text)
  assert(c:write(text, "\n"))
  return (assert(c:read()))
end

describe("sock.pool", function()
  it("gives a connection, and the same again once it was put", function()
    local there <close> = server(echo)
    local pool <close> = assert(sock.pool(there.address))
    local c = assert(pool:get())
    assert.equal("one", ask(c, "one"))
    assert.equal(pool, pool:put(c))
    assert.equal(c, (pool:get()))
    assert.equal("two", ask(c, "two"))
    local other = assert(pool:get())
    assert.not_equal(c, other)
    assert.equal("three", ask(other, "three"))
    assert.equal(2, #there.conns)
    pool:put(c)
    pool:put(other)
    assert.equal(other, (pool:get())) -- the one that was idle last
    other:close()
  end)

  it("takes an address, a text, or a host and a port, and options", function()
    local there <close> = server()
    local port = there.address.port
    for _, args in ipairs { { there.address }, { "127.0.0.1:" .. port }, { "127.0.0.1", port },
      { "127.0.0.1", port, { max = 1, timeout = 3 } }, { there.address, { idle = 1, timeout = 3 } },
      { "localhost:" .. port, { keepalive = true, timeout = 3 } } } do
      local pool <close> = assert(sock.pool(table.unpack(args)))
      local c <close> = assert(pool:get())
      local options = args[#args]
      assert.equal(type(options) == "table" and 3 or nil, c:gettimeout())
      assert.equal(type(options) == "table" and options.keepalive or false,
        c:getsockopt("keepalive"))
    end
  end)

  it("takes a function that makes a ready connection", function()
    local there <close> = server(echo)
    local pool <close> = sock.pool(function()
      local c = assert(sock.socket():connect(there.address))
      assert.equal("login", ask(c, "login"))
      return c
    end, { max = 2 })
    for _ = 1, 3 do
      assert.equal("x", pool:use(function(c) return ask(c, "x") end))
    end
    assert.equal(1, #there.conns)
  end)

  it("passes on why there is no connection, and keeps the place", function()
    local pool <close> = assert(sock.pool("127.0.0.1", peer.freeport(), { max = 1 }))
    for _ = 1, 3 do
      local c, message, code = pool:get(1)
      assert.is_nil(c)
      assert.matches("Connection refused", message)
      assert.equal("ECONNREFUSED", code)
    end
    local results = table.pack(pool:use(error))
    assert.equal("ECONNREFUSED", results[3])
  end)

  it("raises what the function raises, and keeps the place", function()
    local there <close> = sockets()
    local fail = true
    local pool <close> = sock.pool(function()
      if fail then
        error("no luck", 0)
      end
      return there.make()
    end, { max = 1 })
    assert.error_matches(function() pool:get() end, "^no luck$")
    assert.error_matches(function() pool:use(nothing) end, "^no luck$")
    fail = false
    assert.truthy(pool:get(0))
  end)

  it("raises where the function gives no connection", function()
    local given
    local pool <close> = sock.pool(function() return given end, { max = 1 })
    assert.error_matches(function() pool:get(1) end, "gave a nil, not a connection")
    given = "x"
    assert.error_matches(function() pool:get(1) end, "gave a string, not a connection")
    given = assert(sock.socket())
    given:close()
    assert.error_matches(function() pool:get(1) end, "gave a closed socket, not a connection")
  end)

  it("raises where the function gives one that is out", function()
    local a <close>, b = sock.socketpair()
    local pool <close> = sock.pool(function() return a end, { max = 2 })
    assert.equal(a, (pool:get()))
    assert.error_matches(function() pool:get() end, "has a place already")
    pool:put(a)
    assert.equal(a, (pool:get(0)))
    b:close()
  end)

  it("raises for what is no address and no option", function()
    assert.error_matches(function() sock.pool() end, "bad argument #1 to 'pool'")
    assert.error_matches(function() sock.pool("127.0.0.1", 70000) end, "bad argument #2 to 'pool'")
    assert.same({ nil, "EINVAL" }, { sock.pool("nothing"), (select(3, sock.pool("nothing"))) })
    for _, bad in ipairs { { max = 0 }, { max = 1.5 }, { max = -1 }, { max = "1" }, { max = 0 / 0 },
      { idle = -1 }, { idle = true }, { idle = 0 / 0 } } do
      assert.error_matches(function() sock.pool("127.0.0.1:1", bad) end,
        "bad argument #2 to 'pool' %(option '%w+'")
      assert.error_matches(function() sock.pool("127.0.0.1", 1, bad) end,
        "bad argument #3 to 'pool' %(option '%w+'")
      assert.error_matches(function() sock.pool(nothing, bad) end,
        "bad argument #2 to 'pool' %(option '%w+'")
    end
    assert.error_matches(function() sock.pool(nothing, { keepalive = true }) end,
      "unknown option 'keepalive'")
    for _, bad in ipairs { { bogus = 1 }, { timeout = "1" }, { keepalive = "x" } } do
      assert.error_matches(function() sock.pool("127.0.0.1", 1, bad) end,
        "bad argument #3 to 'pool' %(.*option '%w+'")
    end
    for _, seconds in ipairs { "x", {}, 0 / 0 } do
      local _, message = pcall(function() sock.pool(nothing):get(seconds) end)
      assert.matches("^spec/pool_spec.lua:%d+: bad argument #1 to 'get'", message)
    end
    assert.error_matches(function() sock.pool(nothing, 7) end, "table expected, got number")
    assert.error_matches(function() sock.pool("127.0.0.1:1", 7, 7) end, "table expected")
  end)
end)

describe("sock.pool at work", function()
  --- A command to Redis, its answer's first line, and of a text the second.
  local function redis(c, ...)
    local words = { ... }
    local out = { "*", #words, "\r\n" }
    for _, word in ipairs(words) do
      table.move({ "$", #word, "\r\n", word, "\r\n" }, 1, 5, #out + 1, out)
    end
    assert(c:write(table.unpack(out)))
    local first = assert(c:read())
    return first:find("^%$%d") and assert(c:read()) or first
  end

  it("shares a redis-server's connections", function()
    local server_ <close>, port = peer.redis()
    local pool <close> = assert(sock.pool("127.0.0.1", port, { max = 4 }))
    sock.scope(function(scope)
      for i = 1, 50 do
        scope:spawn(function()
          for _ = 1, 10 do
            assert(pool:use(function(c) return redis(c, "INCR", "n") end))
            local own = tostring(i)
            pool:use(function(c) return redis(c, "SET", own, own) end)
            assert.equal(own, pool:use(function(c) return redis(c, "GET", own) end))
          end
        end)
      end
    end)
    assert.equal("500", pool:use(function(c) return redis(c, "GET", "n") end))
    local seen = pool:use(function(c)
      redis(c, "CLIENT", "LIST")
      return false
    end)
    assert.is_false(seen)
    assert(server_)
  end)

  it("does not mix answers up where tasks are cancelled in the middle", function()
    local server_ <close>, port = peer.redis()
    local pool <close> = assert(sock.pool("127.0.0.1", port, { max = 3 }))
    math.randomseed(11)
    local answered = 0
    sock.scope(function(scope)
      for i = 1, 200 do
        local text = "text " .. i
        local t = scope:spawn(function()
          local got = pool:use(function(c)
            sock.sleep(math.random(0, 1) / 1000)
            return redis(c, "ECHO", text)
          end)
          assert.equal(text, got)
          answered = answered + 1
        end)
        if math.random(3) == 1 then
          scope:spawn(function()
            sock.sleep(math.random(0, 20) / 1000)
            t:cancel()
          end)
        end
      end
    end)
    assert.truthy(answered >= 100)
    for _ = 1, 3 do
      assert.equal("+PONG", pool:use(function(c) return redis(c, "PING") end))
    end
    assert.equal(math.tointeger(3), #pool.places)
    assert(server_)
  end)

  it("finds its way back to a server that was started again", function()
    local first, port = peer.redis()
    local pool <close> = assert(sock.pool("127.0.0.1", port, { max = 2 }))
    local function ping()
      return pool:use(function(c) return redis(c, "PING") end)
    end
    local a, b = pool:get(), pool:get()
    pool:put(a)
    pool:put(b)
    assert.equal("+PONG", ping())
    first:stop()
    assert.equal("ECONNREFUSED", select(3, ping()))
    local second <close> = peer.start { "redis-server", "--port", port, "--bind", "127.0.0.1",
      "--save", "", "--appendonly", "no", "--dir", "/tmp" }
    second:expect("eady to accept connections")
    assert.equal("+PONG", ping())
    assert.equal("+PONG", ping())
  end)

  it("closes a connection in a transaction that broke off", function()
    local server_ <close>, port = peer.redis()
    local pool <close> = assert(sock.pool("127.0.0.1", port, { max = 1 }))
    pcall(pool.use, pool, function(c)
      redis(c, "MULTI")
      assert.equal("+QUEUED", redis(c, "PING"))
      error("changed my mind")
    end)
    assert.equal("+PONG", pool:use(function(c) return redis(c, "PING") end))
    assert(server_)
  end)
end)
