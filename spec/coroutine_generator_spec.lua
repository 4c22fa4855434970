-- Generators, as sock.coroutine and the stock library make them: what both do
-- alike.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local run, pair = fixtures.run, fixtures.pair

local libraries = {
  { name = "sock.coroutine", library = sock.coroutine },
  { name = "coroutine", library = coroutine },
}

for _, row in ipairs(libraries) do
  local co = row.library

  describe("A generator of " .. row.name, function()
    it("gives what is passed through yield and resume", function()
      local function check()
        local c = co.create(function(...)
          local sum = select("#", ...)
          while true do
            sum = sum + co.yield(sum, nil)
          end
        end)
        assert.same(table.pack(true, 3, nil), table.pack(co.resume(c, nil, nil, nil)))
        assert.same(table.pack(true, 10, nil), table.pack(co.resume(c, 7)))
        assert.equal("suspended", co.status(c))
        assert.is_true(co.close(c))
        assert.equal("dead", co.status(c))
      end
      check()
      run(check)
    end)

    it("gives its results at its end, and is dead", function()
      local function check()
        local c = co.create(function(...) return ... end)
        assert.same(table.pack(true, 1, nil), table.pack(co.resume(c, 1, nil)))
        assert.equal("dead", co.status(c))
        assert.same({ false, "cannot resume dead coroutine" }, { co.resume(c) })
      end
      check()
      run(check)
    end)

    it("reads from a socket inside a task", function()
      run(function()
        local a, b, _ <close> = pair()
        local writer = sock.spawn(function()
          for i = 1, 5 do
            assert(b:write("line ", i, "\n"))
            sock.sleep(0)
          end
          b:shutdown("send")
        end)
        local lines = {}
        for line in co.wrap(function()
          for text in function() return a:read() end do
            co.yield(text:upper())
          end
        end) do
          lines[#lines + 1] = line
        end
        assert.same({ "LINE 1", "LINE 2", "LINE 3", "LINE 4", "LINE 5" }, lines)
        writer:join()
      end)
    end)

    it("reads from a socket outside of tasks", function()
      local a, b, _ <close> = pair()
      local writer = sock.spawn(function()
        sock.sleep(0.001)
        b:write("one\ntwo\n")
        b:shutdown("send")
      end)
      local lines = {}
      for line in co.wrap(function()
        for text in function() return a:read() end do
          co.yield(text)
        end
      end) do
        lines[#lines + 1] = line
      end
      assert.same({ "one", "two" }, lines)
      writer:join()
    end)

    it("waits for sleep, channels, tasks and look-ups as well", function()
      run(function()
        local ch = sock.channel()
        local task = sock.spawn(function()
          sock.sleep(0)
          ch:put("value")
          return "result"
        end)
        local next = co.wrap(function()
          sock.sleep(0.001)
          co.yield(ch:get())
          co.yield(task:join())
          co.yield(sock.getaddrinfo("127.0.0.1", 80)[1].port)
        end)
        assert.same({ "value", "result", 80 }, { next(), next(), next() })
      end)
    end)

    it("works three deep", function()
      run(function()
        local a, b, _ <close> = pair()
        local function level(inner)
          return co.wrap(function()
            for v in inner do
              sock.sleep(0)
              co.yield(v .. "'")
            end
          end)
        end
        local writer = sock.spawn(function()
          for i = 1, 3 do
            assert(b:write(i, "\n"))
            sock.sleep(0.001)
          end
          b:shutdown("send")
        end)
        local got = {}
        for v in level(level(level(function() return a:read() end))) do
          got[#got + 1] = v
        end
        assert.same({ "1'''", "2'''", "3'''" }, got)
        writer:join()
      end)
    end)

    it("lets an error through, from a wait on, three deep", function()
      run(function()
        local err = {}
        local function deep(n)
          if n == 0 then
            sock.sleep(0.001)
            error(err)
          end
          return co.wrap(deep)(n - 1)
        end
        local ok, got = pcall(deep, 3)
        assert.is_false(ok)
        assert.equal(err, got)
        assert.truthy(sock.sleep(0.001))
      end)
    end)

    it("answers resume with its error, and the task waits on", function()
      run(function()
        local c = co.create(function()
          sock.sleep(0.001)
          error("gone", 0)
        end)
        assert.same({ false, "gone" }, { co.resume(c) })
        assert.equal("dead", co.status(c))
        assert.truthy(sock.sleep(0.001))
      end)
    end)

    it("is ended by its task's cancel, and its variables are closed", function()
      run(function()
        local closed = {}
        local function note(name)
          return setmetatable({}, { __close = function(_, err)
            closed[#closed + 1] = name .. (err == sock.cancelled and " cancelled" or "")
          end })
        end
        local task
        local canceller = sock.spawn(function()
          sock.sleep(0.001)
          task:cancel()
        end)
        task = sock.spawn(function()
          sock.sleep(0)
          local _ <close> = note "task"
          co.wrap(function()
            local _ <close> = note "generator"
            sock.sleep(10)
          end)()
        end)
        canceller:join()
        assert.same({ nil, "cancelled", "ECANCELED" }, { task:join() })
        assert.same({ "generator cancelled", "task cancelled" }, closed)
      end)
    end)

    it("may be given from one task to another between its values", function()
      run(function()
        local next = co.wrap(function()
          for i = 1, 10 do
            sock.sleep(0)
            co.yield(i)
          end
        end)
        local got = {}
        for _ = 1, 5 do
          got[#got + 1] = next()
          got[#got + 1] = sock.spawn(next):join()
        end
        assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, got)
      end)
    end)

    it("can be abandoned in the middle and collected", function()
      run(function()
        local weak = setmetatable({}, { __mode = "k" })
        for _ = 1, 20 do
          local c = co.create(function()
            sock.sleep(0)
            co.yield()
          end)
          co.resume(c)
          weak[c] = true
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil(next(weak))
      end)
    end)

    it("lets the running coroutine and yieldability be asked", function()
      run(function()
        local c
        c = co.create(function()
          local me, main = co.running()
          sock.sleep(0)
          return me == c, main, co.isyieldable(), co.status(c)
        end)
        assert.same({ true, true, false, true, "running" }, { co.resume(c) })
      end)
    end)

    it("raises where it is started by what is no function", function()
      assert.error_matches(function() co.create(1) end, "^bad argument #1 to 'create'")
      assert.error_matches(function() co.wrap() end, "^bad argument #1 to 'wrap'")
      assert.error_matches(function() co.resume({}) end, "^bad argument #1 to 'resume'")
      assert.error_matches(function() co.close(1) end, "^bad argument #1 to 'close'")
    end)

    it("cannot resume itself or who resumed it", function()
      run(function()
        local outer
        outer = co.create(function()
          local inner = co.create(function() return co.resume(outer) end)
          local result = { co.resume(inner) }
          return { co.resume(co.running()) }, result
        end)
        local _, own, inner = co.resume(outer)
        assert.same({ false, "cannot resume non-suspended coroutine" }, own)
        assert.same({ true, false, "cannot resume non-suspended coroutine" }, inner)
      end)
    end)

    it("in string.gsub waits, and others go on", function()
      run(function()
        local others = 0
        local other = sock.spawn(function()
          for _ = 1, 3 do
            sock.sleep(0)
            others = others + 1
          end
        end)
        local text = ("ab"):gsub(".", function(c)
          return co.wrap(function()
            sock.sleep(0.001)
            return c:upper()
          end)()
        end)
        assert.equal("AB", text)
        assert.equal(3, others)
        other:join()
      end)
    end)
  end)
end
