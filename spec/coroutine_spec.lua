local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local run, pair = fixtures.run, fixtures.pair

describe("sock.coroutine", function()
  it("has the functions of the coroutine library", function()
    for _, name in ipairs { "create", "wrap", "resume", "yield", "status", "close",
      "isyieldable", "running" } do
      assert.is_function(sock.coroutine[name])
    end
  end)

  it("suspends the task instead of nesting: forty and more at once", function()
    run(function()
      local ch, tasks, ended = sock.channel(), {}, {}
      for i = 1, 200 do
        tasks[i] = sock.spawn(sock.coroutine.wrap(function()
          assert(ch:get() == "go")
          ended[#ended + 1] = i
        end))
      end
      for _ = 1, 200 do
        ch:put("go")
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(200, #ended)
    end)
  end)

  it("lets waits end in another order than they began", function()
    run(function()
      local order, tasks = {}, {}
      for i, seconds in ipairs { 0.03, 0.02, 0.01 } do
        tasks[i] = sock.spawn(function()
          sock.coroutine.wrap(function() sock.sleep(seconds) end)()
          order[#order + 1] = i
        end)
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.same({ 3, 2, 1 }, order)
    end)
  end)

  it("serves ten thousand tasks, each with a generator that waits", function()
    run(function()
      local sum, tasks = 0, {}
      for i = 1, 10000 do
        tasks[i] = sock.spawn(function()
          for v in sock.coroutine.wrap(function()
            for n = 1, 3 do
              sock.sleep(0)
              sock.coroutine.yield(n)
            end
          end) do
            sum = sum + v
          end
        end)
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(60000, sum)
    end)
  end)

  it("works a hundred deep", function()
    run(function()
      local function deep(n)
        if n == 0 then
          sock.sleep(0.001)
          return "bottom"
        end
        return sock.coroutine.wrap(deep)(n - 1)
      end
      assert.equal("bottom", deep(100))
    end)
  end)

  it("raises an error where the nesting is too deep, and the task lives on", function()
    run(function()
      local function deep()
        sock.sleep(0)
        return sock.coroutine.wrap(deep)()
      end
      local ok, err = pcall(deep)
      assert.is_false(ok)
      assert.matches("overflow", tostring(err))
      assert.truthy(sock.sleep(0.001))
    end)
  end)

  it("refuses to resume a coroutine that waits", function()
    run(function()
      local c = sock.coroutine.create(function()
        sock.sleep(0.005)
        return "slept"
      end)
      local task = sock.spawn(sock.coroutine.resume, c)
      assert.equal("suspended", sock.coroutine.status(c))
      assert.has_error(function() sock.coroutine.resume(c) end,
        "attempt to resume a coroutine that waits")
      assert.same({ true, "slept" }, { task:join() })
    end)
  end)

  it("refuses to call a wrapped one that waits", function()
    run(function()
      local next = sock.coroutine.wrap(function()
        sock.sleep(0.005)
        return "slept"
      end)
      local task = sock.spawn(next)
      assert.error_matches(next, "attempt to resume a coroutine that waits")
      assert.equal("slept", task:join())
    end)
  end)

  it("refuses to close a coroutine that waits", function()
    run(function()
      local c = sock.coroutine.create(function()
        sock.sleep(0.005)
        return "slept"
      end)
      local task = sock.spawn(sock.coroutine.resume, c)
      assert.has_error(function() sock.coroutine.close(c) end,
        "attempt to close a coroutine that waits")
      assert.same({ true, "slept" }, { task:join() })
    end)
  end)

  it("closes one between two waits, with its variables", function()
    run(function()
      local closed = false
      local c = sock.coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function()
          sock.sleep(0.001)
          closed = true
        end })
        sock.sleep(0)
        sock.coroutine.yield("one")
        sock.sleep(10)
      end)
      assert.same({ true, "one" }, { sock.coroutine.resume(c) })
      assert.is_true(sock.coroutine.close(c))
      assert.is_true(closed)
      assert.truthy(sock.sleep(0.001))
    end)
  end)

  it("gives the standard library's errors", function()
    run(function()
      for _, co in ipairs { coroutine, sock.coroutine } do
        local wrapped = co.wrap(function() error("text") end)
        local ok, err = pcall(function() wrapped() end)
        assert.is_false(ok)
        assert.matches("^spec/coroutine_spec.lua:%d+: spec/coroutine_spec.lua:%d+: text$", err)
        ok, err = pcall(function() wrapped() end)
        assert.is_false(ok)
        assert.matches("^spec/coroutine_spec.lua:%d+: cannot resume dead coroutine$", err)
      end
      local _, err = sock.coroutine.resume(sock.coroutine.create(function() error() end))
      assert.is_nil(err)
    end)
  end)

  it("resumes with very many values", function()
    run(function()
      local list = {}
      for i = 1, 100000 do
        list[i] = i
      end
      local c = sock.coroutine.create(function(...)
        sock.sleep(0)
        sock.coroutine.yield(select("#", ...))
        return ...
      end)
      assert.same({ true, 100000 }, { sock.coroutine.resume(c, table.unpack(list)) })
      assert.equal(100001, select("#", sock.coroutine.resume(c)))
    end)
  end)

  it("mixes with plain coroutines", function()
    run(function()
      local plain = coroutine.wrap(function()
        for v in sock.coroutine.wrap(function()
          sock.sleep(0.001)
          sock.coroutine.yield("inner")
        end) do
          coroutine.yield(v)
        end
        return "end"
      end)
      assert.equal("inner", plain())
      assert.equal("end", plain())
      local own = sock.coroutine.wrap(function()
        for v in coroutine.wrap(function()
          sock.sleep(0.001)
          coroutine.yield("inner")
        end) do
          sock.sleep(0)
          sock.coroutine.yield(v)
        end
        return "end"
      end)
      assert.equal("inner", own())
      assert.equal("end", own())
    end)
  end)

  it("may spawn, join and time out inside", function()
    run(function()
      local next = sock.coroutine.wrap(function()
        local task = sock.spawn(function()
          sock.sleep(0.001)
          return "spawned"
        end)
        sock.coroutine.yield(task:join())
        sock.coroutine.yield(select(3, sock.timeout(0.001, sock.sleep, 10)))
        sock.coroutine.yield(sock.scope(function(scope)
          scope:spawn(sock.sleep, 0)
          return "scope"
        end))
      end)
      assert.same({ "spawned", "ETIMEDOUT", "scope" }, { next(), next(), next() })
    end)
  end)

  it("shows in a task's traceback where it waits", function()
    run(function()
      local function waitshere()
        sock.sleep(10)
      end
      local task = sock.spawn(function()
        sock.coroutine.wrap(function()
          waitshere()
          return nil
        end)()
      end)
      assert.matches("waitshere", task:traceback())
      task:cancel()
      task:join()
    end)
  end)
end)

describe("coroutine.yield in a task", function()
  it("is sock.sleep(0)", function()
    run(function()
      local log = {}
      local function noting(name)
        return function()
          for i = 1, 3 do
            log[#log + 1] = name .. i
            assert.same(table.pack(), table.pack(coroutine.yield()))
          end
        end
      end
      local a, b = sock.spawn(noting "a"), sock.spawn(noting "b")
      a:join()
      b:join()
      table.sort(log)
      assert.same({ "a1", "a2", "a3", "b1", "b2", "b3" }, log)
    end)
  end)

  it("takes turns #fifo", function()
    run(function()
      local log = {}
      local function noting(name)
        return function()
          for i = 1, 3 do
            log[#log + 1] = name .. i
            coroutine.yield("dropped", "values")
          end
        end
      end
      local a, b = sock.spawn(noting "a"), sock.spawn(noting "b")
      a:join()
      b:join()
      assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, log)
    end)
  end)

  it("lets sockets and timers have their turn", function()
    run(function()
      local a, b, _ <close> = pair()
      local got = false
      local reader = sock.spawn(function() got = a:recv() end)
      local sleeper = sock.spawn(sock.sleep, 0.001)
      assert(b:send("x"))
      local rounds = 0
      while not got or sleeper:status() ~= "done" do
        coroutine.yield()
        rounds = rounds + 1
        assert.is_true(rounds < 10000000)
      end
      assert.equal("x", got)
      reader:join()
      sleeper:join()
    end)
  end)

  it("is status ready, and not a wait that cancels", function()
    run(function()
      local task = sock.spawn(function()
        coroutine.yield()
        return "end"
      end)
      assert.equal("ready", task:status())
      task:cancel()
      local result = { task:join() }
      assert.is_true(result[1] == "end" or result[3] == "ECANCELED")
    end)
  end)
end)

describe("Plain coroutines that wait", function()
  it("nest forty deep at most: the next raise", function()
    run(function()
      local ch, ended, refused, tasks = sock.channel(), 0, 0, {}
      for i = 1, 60 do
        tasks[i] = sock.spawn(function()
          coroutine.yield()
          coroutine.wrap(function()
            local ok, err = pcall(ch.get, ch)
            if ok then
              ended = ended + 1
            elseif err:find("too many nested waits") then
              refused = refused + 1
            end
          end)()
        end)
      end
      local closer = sock.spawn(function()
        sock.sleep(0.01)
        ch:close()
      end)
      for _, task in ipairs(tasks) do
        task:join()
      end
      closer:join()
      assert.equal(60, ended + refused)
      assert.is_true(ended <= 40 and ended >= 35)
    end)
  end)

  it("end last-in first-out", function()
    run(function()
      local order, started = {}, sock.channel(1)
      local a = sock.spawn(function()
        coroutine.yield()
        coroutine.wrap(function()
          started:put(true)
          sock.sleep(0.001)
        end)()
        order[#order + 1] = "begun first"
      end)
      local b = sock.spawn(function()
        started:get()
        coroutine.wrap(function() sock.sleep(0.01) end)()
        order[#order + 1] = "begun last"
      end)
      a:join()
      b:join()
      assert.same({ "begun last", "begun first" }, order)
    end)
  end)

  it("of a driver serve all tasks meanwhile", function()
    run(function()
      local a, b, _ <close> = pair()
      local other = sock.spawn(function()
        for line in function() return a:read() end do
          assert(a:write(line:upper(), "\n"))
        end
      end)
      local answers = {}
      for answer in coroutine.wrap(function()
        for i = 1, 3 do
          assert(b:write("word", i, "\n"))
          coroutine.yield(b:read())
        end
      end) do
        answers[#answers + 1] = answer
      end
      assert.same({ "WORD1", "WORD2", "WORD3" }, answers)
      b:close()
      other:join()
    end)
  end)
end)
