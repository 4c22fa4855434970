-- Channels between many tasks.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local run, settle = fixtures.run, fixtures.settle

describe("Many putters and getters", function()
  for _, capacity in ipairs { 0, 1, 7, math.huge } do
    it("lose nothing and double nothing, capacity " .. capacity, function()
      run(function()
        local ch, seen, putters, getters = sock.channel(capacity), {}, {}, {}
        local backwards = 0
        for g = 1, 8 do
          getters[g] = sock.spawn(function()
            local last = {}
            for v in ch:each() do
              local p, i = v[1], v[2]
              seen[p * 1000 + i] = (seen[p * 1000 + i] or 0) + 1
              if i <= (last[p] or 0) then
                backwards = backwards + 1
              end
              last[p] = i
              if i % 3 == 0 then
                sock.sleep(0)
              end
            end
          end)
        end
        for p = 1, 8 do
          putters[p] = sock.spawn(function()
            for i = 1, 100 do
              ch:put { p, i }
              if i % 5 == 0 then
                sock.sleep(0)
              end
            end
          end)
        end
        for _, task in ipairs(putters) do
          task:join()
        end
        ch:close()
        for _, task in ipairs(getters) do
          task:join()
        end
        for p = 1, 8 do
          for i = 1, 100 do
            assert.equal(1, seen[p * 1000 + i])
          end
        end
        assert.equal(0, backwards)
        assert.equal(0, #ch)
      end)
    end)
  end

  it("lose nothing although many are cancelled and many time out", function()
    run(function()
      local ch, put, got, tasks = sock.channel(2), {}, {}, {}
      for i = 1, 200 do
        tasks[#tasks + 1] = sock.spawn(function()
          if ch:put(i, i % 4 == 0 and 0.001 or nil) then
            put[i] = true
          end
        end)
        tasks[#tasks + 1] = sock.spawn(function()
          local v = ch:get(i % 5 == 0 and 0.001 or nil)
          if v then
            got[#got + 1] = v
          end
        end)
        if i % 3 == 0 then
          tasks[math.random(#tasks)]:cancel()
        end
        if i % 7 == 0 then
          sock.sleep(0)
        end
      end
      settle()
      sock.sleep(0.002)
      ch:close()
      for _, task in ipairs(tasks) do
        task:join()
      end
      for v in ch:each() do
        got[#got + 1] = v
      end
      local count = 0
      for _ in pairs(put) do
        count = count + 1
      end
      local twice = {}
      for _, v in ipairs(got) do
        assert.is_nil(twice[v])
        twice[v] = true
      end
      for i in pairs(put) do
        assert.is_true(twice[i])
      end
      assert.is_true(count >= 20)
    end)
  end)

  it("put in the order in which they came #fifo", function()
    run(function()
      local ch, putters = sock.channel(), {}
      for i = 1, 20 do
        putters[i] = sock.spawn(ch.put, ch, i)
      end
      for i = 1, 20 do
        assert.equal(i, ch:get())
      end
      for _, task in ipairs(putters) do
        task:join()
      end
    end)
  end)

  it("get in the order in which they came #fifo", function()
    run(function()
      local ch, getters = sock.channel(), {}
      for i = 1, 20 do
        getters[i] = sock.spawn(ch.get, ch)
      end
      for i = 1, 20 do
        ch:put(i)
      end
      for i, task in ipairs(getters) do
        assert.equal(i, task:join())
      end
    end)
  end)

  it("keep their order when values come in bursts #fifo", function()
    run(function()
      local ch, getters = sock.channel(), {}
      for i = 1, 20 do
        getters[i] = sock.spawn(ch.get, ch)
      end
      local v = 0
      for _, burst in ipairs { 3, 1, 5, 2, 4, 5 } do
        for _ = 1, burst do
          v = v + 1
          ch:put(v)
        end
        settle()
      end
      for i, task in ipairs(getters) do
        assert.equal(i, task:join())
      end
    end)
  end)

  it("keep their order when room comes in bursts #fifo", function()
    run(function()
      local ch, putters, got = sock.channel(5), {}, {}
      for i = 1, 25 do
        putters[i] = sock.spawn(ch.put, ch, i)
      end
      for _, burst in ipairs { 3, 1, 5, 2, 4, 5, 5 } do
        for _ = 1, burst do
          got[#got + 1] = ch:get(0)
        end
        settle()
      end
      for i = 1, 25 do
        assert.equal(i, got[i])
        putters[i]:join()
      end
    end)
  end)

  it("do not overtake those who have waited longer #fifo", function()
    run(function()
      local ch = sock.channel()
      local first = sock.spawn(ch.get, ch)
      ch:put("one") -- first is woken, and has not run yet
      local second = sock.spawn(ch.get, ch)
      ch:put("two")
      assert.equal("one", first:join())
      assert.equal("two", second:join())
    end)
  end)
end)

describe("A channel and its tasks", function()
  it("need nobody to hold it", function()
    local got
    run(function()
      local task
      do
        local ch = sock.channel()
        task = sock.spawn(function() got = ch:get() end)
        sock.spawn(function()
          sock.sleep(0)
          collectgarbage()
          ch:put("x")
        end)
      end
      collectgarbage()
      task:join()
    end)
    assert.equal("x", got)
  end)

  it("pass values through string.gsub and table.sort", function()
    run(function()
      local ch = sock.channel()
      local putter = sock.spawn(function()
        for _, word in ipairs { "one", "two", "three" } do
          ch:put(word)
        end
      end)
      assert.equal("one-two-three", (("x-x-x"):gsub("x", function() return ch:get() end)))
      putter:join()
    end)
  end)

  it("are cheap: ten thousand wait at once and all are served", function()
    run(function()
      local ch, sum, tasks = sock.channel(), 0, {}
      for i = 1, 10000 do
        tasks[i] = sock.spawn(function()
          local v = ch:get()
          sum = sum + v
        end)
      end
      for i = 1, 10000 do
        assert(ch:put(i, 10))
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(50005000, sum)
    end)
  end)
end)
