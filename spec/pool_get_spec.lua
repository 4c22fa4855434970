-- How a pool gives connections, and takes their places back.

local sock = require "sock"
local pools = require "spec.support.pools"
local server, sockets, task = pools.server, pools.sockets, pools.task

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
