-- A pool while it is used: put, use, idle connections, close.

local sock = require "sock"
local pools = require "spec.support.pools"
local sockets, task = pools.sockets, pools.task

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
