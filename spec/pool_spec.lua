local sock = require "sock"
local peer = require "spec.support.peer"

local function nothing() end

--- A server that keeps what it accepts in `conns`, and the address of it.
-- `serve`, if given, is called with each.
local function server(serve)
  local l = assert(sock.socket():setsockopt("reuseaddr", true):bind("127.0.0.1", 0)):listen()
  local self = { conns = {}, address = l:getsockname() }
  self.task = sock.spawn(function()
    while true do
      local c = assert(l:accept())
      table.insert(self.conns, c)
      if serve then
        self[#self + 1] = sock.spawn(serve, c)
      end
    end
  end)
  return setmetatable(self, { __close = function()
    for _, t in ipairs(self) do
      t:cancel()
      t:join()
    end
    self.task:cancel()
    self.task:join()
    l:close()
    for _, c in ipairs(self.conns) do
      c:close()
    end
  end })
end

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

--- Connections out of nowhere: `made` is how many, `ends` their other ends.
local function sockets()
  local self = { made = 0, ends = {} }
  function self.make()
    local a, b = assert(sock.socketpair())
    self.made = self.made + 1
    self.ends[a] = b
    return a
  end
  return setmetatable(self, { __close = function()
    for a, b in pairs(self.ends) do
      a:close()
      b:close()
    end
  end })
end

local function task(f, ...)
  local t = sock.spawn(f, ...)
  sock.sleep(0)
  return t
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

describe("pool:get", function()
  it("never gives a connection that has ended", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make)
    local dead, alive = pool:get(), pool:get()
    pool:put(alive)
    pool:put(dead)
    there.ends[dead]:close()
    assert.equal(alive, (pool:get()))
    assert.equal("closed socket", sock.type(dead))
    assert.equal(2, there.made)
  end)

  it("never gives one with unread bytes", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make)
    local c = pool:get()
    pool:put(c)
    there.ends[c]:write("late")
    assert.not_equal(c, (pool:get()))
    assert.equal("closed socket", sock.type(c))
  end)

  it("never gives one that was reset, or closed by hand", function()
    local there <close> = server()
    local pool <close> = assert(sock.pool(there.address))
    local list = {}
    for i = 1, 3 do
      list[i] = pool:get()
    end
    sock.sleep(0.01)
    for i = 1, 3 do
      pool:put(list[i])
    end
    there.conns[3]:setsockopt("linger", 0)
    there.conns[3]:close()
    list[2]:close()
    assert.equal(list[1], (pool:get()))
    list[1]:close()
  end)

  it("makes no more than max, idle ones included", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 3 })
    local out, most = 0, 0
    math.randomseed(3)
    sock.scope(function(scope)
      for _ = 1, 20 do
        scope:spawn(function()
          for _ = 1, 10 do
            pool:use(function()
              out = out + 1
              most = math.max(most, out)
              sock.sleep(math.random(0, 2) / 1000)
              out = out - 1
              return true
            end)
          end
        end)
      end
    end)
    assert.equal(3, most)
    assert.equal(3, there.made)
  end)

  it("says when it has waited long enough", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local c = pool:get()
    for _, seconds in ipairs { 0, 0.02 } do
      local before = sock.now()
      assert.same({ nil, "get from pool: timed out", "ETIMEDOUT" }, { pool:get(seconds) })
      assert.truthy(sock.now() - before >= seconds)
    end
    pool:put(c)
    assert.equal(c, (pool:get(0)))
  end)

  it("limits the making of a connection too", function()
    local there <close> = sockets()
    local slow = true
    local pool <close> = sock.pool(function()
      if slow then
        sock.sleep(60)
      end
      return there.make()
    end, { max = 1 })
    assert.same({ nil, "get from pool: timed out", "ETIMEDOUT" }, { pool:get(0.02) })
    slow = false
    assert.truthy(pool:get(0.02))
  end)

  it("serves those who wait in the order of coming", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local order = {}
    local c = pool:get()
    sock.scope(function(scope)
      for i = 1, 5 do
        scope:spawn(function()
          local own = pool:get()
          order[#order + 1] = i
          sock.sleep(0)
          pool:put(own)
        end)
      end
      pool:put(c)
      pool:put((pool:get())) -- comes last
      order[#order + 1] = 6
    end)
    assert.same({ 1, 2, 3, 4, 5, 6 }, order)
    assert.equal(1, there.made)
  end)

  it("goes on with the next when one that waited gave up", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local c = pool:get()
    local first = task(pool.get, pool)
    local second = task(pool.get, pool, 0.01)
    local third = task(pool.get, pool)
    first:cancel()
    assert.equal("ETIMEDOUT", select(3, second:join()))
    pool:put(c)
    assert.equal(c, (third:join(5)))
    assert.same({ nil, "cancelled", "ECANCELED" }, { first:join() })
  end)

  it("loses no place to a cancel that comes with its turn", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    for _, cancelfirst in ipairs { true, false } do
      local c = pool:get(0)
      local waiting = task(pool.get, pool)
      local next = task(pool.get, pool)
      if cancelfirst then
        waiting:cancel()
      end
      pool:put(c)
      if not cancelfirst then
        waiting:cancel()
      end
      assert.equal(c, (next:join(5)))
      pool:put(c)
    end
  end)

  it("loses no place to a cancel while a connection is made", function()
    local there <close> = sockets()
    local slow = true
    local pool <close> = sock.pool(function()
      local half <close> = there.make()
      if slow then
        sock.sleep(60)
      end
      return half and there.make()
    end, { max = 1 })
    local first = task(pool.get, pool)
    local second = task(pool.get, pool)
    slow = false
    first:cancel()
    assert.equal("socket", sock.type((second:join(5))))
  end)

  it("loses no place where a coroutine in it is closed, or forgotten", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(function()
      coroutine.yield()
      return there.make()
    end, { max = 1 })
    local co = coroutine.create(function() pool:get() end)
    coroutine.resume(co)
    assert.equal("ETIMEDOUT", select(3, pool:get(0)))
    coroutine.close(co)
    co = coroutine.create(function() pool:get() end)
    assert.is_true(coroutine.resume(co))
    co = nil -- luacheck: no unused
    collectgarbage()
    co = coroutine.create(function() return pool:get(0) end)
    assert.is_true(coroutine.resume(co))
    assert.equal("suspended", coroutine.status(co))
    coroutine.close(co)
  end)

  it("works outside tasks, in tasks, and in callbacks that cannot yield", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local function once()
      local c
      ;("x"):gsub("x", function() c = pool:get(5) end)
      pool:put(c)
    end
    once()
    sock.run(once)
    local c = pool:get()
    sock.spawn(function()
      sock.sleep(0.01)
      pool:put(c)
    end)
    local t = task(once)
    once()
    t:join(5)
  end)
end)

describe("a connection's end frees its place", function()
  local function full()
    local there = sockets()
    local pool = sock.pool(there.make, { max = 1 })
    return there, pool, pool:get()
  end

  it("where it is closed by hand", function()
    local there <close>, pool, c = full()
    c:close()
    assert.truthy(pool:get(0))
    assert.equal(2, there.made)
  end)

  it("and wakes who waits", function()
    local there <close>, pool, c = full()
    local t = task(pool.get, pool)
    assert.equal("waiting", t:status())
    c:close()
    assert.equal("socket", sock.type((t:join(5))))
    assert.equal(2, there.made)
  end)

  it("where its descriptor is given away", function()
    local there <close>, pool, c = full()
    local own <close> = assert(sock.adopt(c:detach()))
    assert.truthy(pool:get(0))
    assert.equal(2, there.made)
    assert(own)
  end)

  it("where it is forgotten and collected", function()
    local pool <close> = sock.pool(function() return (sock.socketpair()) end, { max = 1 })
    pool:get()
    assert.truthy(pool:get(0)) -- looked for it
    local t = task(pool.get, pool)
    collectgarbage()
    assert.equal("socket", sock.type((t:join(5))))
  end)

  it("only once", function()
    local there <close>, pool, c = full()
    c:close()
    c:close()
    pool:put(c)
    c = nil -- luacheck: no unused
    collectgarbage()
    local own = pool:get(0)
    assert.equal("ETIMEDOUT", select(3, pool:get(0)))
    assert.equal(2, there.made)
    assert(own)
  end)

  it("not where it is idle", function()
    local there <close>, pool, c = full()
    pool:put(c)
    c:close()
    local own = pool:get(0)
    assert.equal("ETIMEDOUT", select(3, pool:get(0)))
    assert.equal(2, there.made)
    assert(own)
  end)

  it("and a pool that is forgotten closes what is idle", function()
    local there <close> = sockets()
    local a, b = sock.socketpair()
    local pool = sock.pool(function() return a end)
    pool:put((pool:get()))
    pool, a = nil, nil -- luacheck: no unused
    collectgarbage()
    collectgarbage()
    assert.is_nil(b:settimeout(5):recv())
    b:close()
    assert(there)
  end)
end)

describe("pool:put", function()
  it("closes one with something unread", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    for _, partly in ipairs { true, false } do
      local c = pool:get(0)
      there.ends[c]:write("one\ntwo\n")
      if partly then
        assert.equal("one", c:read())
      end
      assert.equal(pool, pool:put(c))
      assert.equal("closed socket", sock.type(c))
    end
  end)

  it("closes one that has ended", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local c = pool:get()
    there.ends[c]:close()
    pool:put(c)
    assert.equal("closed socket", sock.type(c))
    assert.truthy(pool:get(0))
  end)

  it("takes one that is closed", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make)
    local c = pool:get()
    c:close()
    assert.equal(pool, pool:put(c))
  end)

  it("raises for what is not out of this pool", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make)
    local other <close> = sock.pool(there.make)
    local c, foreign <close> = pool:get(), there.make()
    pool:put(c)
    for _, bad in ipairs { c, foreign, (other:get()), 7, "x" } do
      assert.error_matches(function() pool:put(bad) end, "bad argument #1 to 'put'")
    end
    assert.error_matches(function() pool:put() end, "bad argument #1 to 'put'")
  end)
end)

describe("pool:use", function()
  it("gives what its function gives, and puts the connection back", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local own
    assert.same({ 1, nil, "three", nil, n = 4 }, table.pack(pool:use(function(c)
      own = c
      return 1, nil, "three", nil
    end)))
    assert.equal(own, (pool:get(0)))
  end)

  it("closes it where the first result is nil or false", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    for _, results in ipairs { { n = 0 }, { nil, "why", "ECODE", n = 3 }, { false, n = 1 } } do
      local own
      assert.same(results, table.pack(pool:use(function(c)
        own = c
        return table.unpack(results, 1, results.n)
      end)))
      assert.equal("closed socket", sock.type(own))
    end
    assert.equal(3, there.made)
  end)

  it("closes it where something is unread", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local own
    assert.is_true(pool:use(function(c)
      own = c
      there.ends[c]:write("more")
      return true
    end))
    assert.equal("closed socket", sock.type(own))
  end)

  it("closes it after an error, which goes on", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local own
    local failure = {}
    local ok, err = pcall(pool.use, pool, function(c)
      own = c
      sock.sleep(0)
      error(failure)
    end)
    assert.is_false(ok)
    assert.equal(failure, err)
    assert.equal("closed socket", sock.type(own))
    assert.truthy(pool:get(0))
  end)

  it("closes it after a cancel in the middle, or a timeout", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local own
    local function read(c)
      own = c
      return c:read()
    end
    local t = task(pool.use, pool, read)
    t:cancel()
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join(5) })
    assert.equal("closed socket", sock.type(own))
    assert.same({ nil, "timed out", "ETIMEDOUT" }, { sock.timeout(0.01, pool.use, pool, read) })
    assert.equal("closed socket", sock.type(own))
    assert.equal(2, there.made)
    assert.truthy(pool:get(0))
  end)

  it("leaves alone one that its function has put itself", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    local other
    for _, fails in ipairs { false, true } do
      pcall(pool.use, pool, function(c)
        pool:put(c)
        other = pool:get(0)
        assert.equal(c, other)
        assert.is_false(fails)
        return true
      end)
      assert.equal("socket", sock.type(other))
      pool:put(other)
    end
  end)

  it("takes one that its function has closed", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { max = 1 })
    assert.is_true(pool:use(function(c) return c:close() end))
    assert.truthy(pool:get(0))
  end)

  it("raises for what is no function", function()
    local pool <close> = sock.pool(error)
    assert.error_matches(function() pool:use() end, "function expected, got nil")
  end)
end)

describe("a pool's idle connections", function()
  it("are closed by its next call once they have been idle for too long", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { idle = 0.05 })
    local list = { pool:get(), pool:get(), pool:get() }
    pool:put(list[1])
    pool:put(list[2])
    sock.sleep(0.06)
    pool:put(list[3])
    assert.same({ "closed socket", "closed socket", "socket" },
      { sock.type(list[1]), sock.type(list[2]), sock.type(list[3]) })
    assert.equal(list[3], (pool:get()))
    pool:put(list[3])
    sock.sleep(0.06)
    assert.not_equal(list[3], (pool:get()))
    assert.equal("closed socket", sock.type(list[3]))
  end)

  it("are none where idle is 0", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { idle = 0 })
    local c = pool:get()
    pool:put(c)
    assert.equal("closed socket", sock.type(c))
  end)

  it("do not keep a program, nor sock.run", function()
    local there <close> = sockets()
    local pool <close> = sock.pool(there.make, { idle = 100 })
    assert.is_true(sock.run(function() return pool:use(function() return true end) end))
    assert.same({}, sock.tasks())
  end)
end)

describe("pool:close", function()
  it("closes the idle ones now and the others when they are put", function()
    local there <close> = sockets()
    local pool = sock.pool(there.make)
    local idle, out, used = pool:get(), pool:get(), nil
    pool:put(idle)
    pool:use(function(c)
      used = c
      assert.is_true(pool:close())
      assert.equal("socket", sock.type(out))
      return true
    end)
    assert.equal("closed socket", sock.type(used)) -- which was the idle one
    assert.equal(pool, pool:put(out))
    assert.equal("closed socket", sock.type(out))
    assert.is_true(pool:close())
  end)

  it("tells those who wait, and those who come", function()
    local there <close> = sockets()
    local pool = sock.pool(there.make, { max = 1 })
    local c = pool:get()
    local t = { task(pool.get, pool), task(pool.use, pool, error) }
    pool:close()
    local told = { nil, "get from pool: the pool is closed", "EPIPE" }
    assert.same(told, { t[1]:join(5) })
    assert.same(told, { t[2]:join(5) })
    assert.same(told, { pool:get() })
    assert.same(told, { pool:get(0) })
    pool:put(c)
    assert.equal("closed socket", sock.type(c))
  end)

  it("closes one that was being made", function()
    local there <close> = sockets()
    local made
    local pool = sock.pool(function()
      made = there.make()
      sock.sleep(0.01)
      return made
    end)
    local t = task(pool.get, pool)
    pool:close()
    assert.equal("EPIPE", select(3, t:join(5)))
    assert.equal("closed socket", sock.type(made))
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
