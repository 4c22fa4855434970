-- sock.timeout, in tasks and outside of them.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local run, pair, busy = fixtures.run, fixtures.pair, fixtures.busy

local late = { nil, "timed out", "ETIMEDOUT" }

-- Everything stands for itself in a task and outside of tasks.
local places = {
  { name = "In a task", run = run },
  { name = "Outside of tasks", run = function(f) return f() end },
}

for _, place in ipairs(places) do
  local inside = place.run

  describe(place.name .. ", sock.timeout", function()
    it("gives what its function returns", function()
      inside(function()
        assert.same(table.pack(1, nil, "three", nil),
          table.pack(sock.timeout(10, function(...) return ... end, 1, nil, "three", nil)))
        assert.same(table.pack(), table.pack(sock.timeout(10, function() end)))
        assert.same(table.pack(nil, "no", "ENOENT"),
          table.pack(sock.timeout(10, function() return nil, "no", "ENOENT" end)))
      end)
    end)

    it("gives nil, timed out, ETIMEDOUT when the time has passed", function()
      inside(function()
        local start = sock.now()
        assert.same(late, { sock.timeout(0.02, sock.sleep, 10) })
        assert.is_true(sock.now() - start >= 0.02)
      end)
    end)

    it("ends a wait for a socket", function()
      inside(function()
        local a, b, _ <close> = pair()
        assert.same(late, { sock.timeout(0.01, a.recv, a) })
        assert.same(late, { sock.timeout(0.01, a.read, a, "l") })
        assert.same(late, { sock.timeout(0.01, a.wait, a, "r") })
        assert.same(late, { sock.timeout(0.01, sock.select, { a, b }, {}) })
        assert.same(late, { sock.timeout(0.01, a.write, a, ("x"):rep(1 << 22)) })
      end)
    end)

    it("ends a wait for a channel, a task, a signal", function()
      inside(function()
        local ch, sig = sock.channel(), sock.signal("USR1")
        local task = sock.spawn(sock.sleep, 10)
        assert.same(late, { sock.timeout(0.01, ch.get, ch) })
        assert.same(late, { sock.timeout(0.01, ch.put, ch, 1) })
        assert.same(late, { sock.timeout(0.01, sig.wait, sig) })
        assert.same(late, { sock.timeout(0.01, task.join, task) })
        sig:close()
        task:cancel()
        task:join()
      end)
    end)

    it("loses nothing of what had arrived", function()
      inside(function()
        local a, b, _ <close> = pair()
        assert(b:write("half a "))
        assert.same(late, { sock.timeout(0.01, a.read, a) })
        assert(b:write("line\n"))
        assert.equal("half a line", a:read())
      end)
    end)

    it("takes nil and math.huge as for ever", function()
      inside(function()
        for _, seconds in ipairs { math.huge, 1e300, 1e10, 4e9 } do
          assert.equal("x", sock.timeout(seconds, function()
            sock.sleep(0.001)
            return "x"
          end))
        end
        assert.equal("x", sock.timeout(nil, function()
          sock.sleep(0.001)
          return "x"
        end))
      end)
    end)

    it("with zero or less lets no wait begin, but what needs none", function()
      inside(function()
        for _, seconds in ipairs { 0, -1, -math.huge, 0.0 } do
          assert.same(late, { sock.timeout(seconds, sock.sleep, 10) })
          assert.equal(42, sock.timeout(seconds, function() return 42 end))
        end
      end)
    end)

    it("raises what its function raises", function()
      inside(function()
        local err = {}
        local ok, got = pcall(sock.timeout, 10, function() error(err) end)
        assert.is_false(ok)
        assert.equal(err, got)
        ok, got = pcall(sock.timeout, 0.001, function()
          pcall(sock.sleep, 10)
          error("later", 0)
        end)
        assert.is_false(ok)
        assert.equal("later", got)
      end)
    end)

    it("raises for what is no time and no function", function()
      inside(function()
        assert.error_matches(function() sock.timeout("soon", print) end,
          "^bad argument #1 to 'timeout'")
        assert.error_matches(function() sock.timeout(0 / 0, print) end,
          "^bad argument #1 to 'timeout'")
        assert.error_matches(function() sock.timeout(1) end, "^bad argument #2 to 'timeout'")
        assert.error_matches(function() sock.timeout(1, {}) end, "^bad argument #2 to 'timeout'")
      end)
    end)

    it("raises sock.cancelled at each wait after its time", function()
      inside(function()
        local caught = {}
        assert.equal("done", sock.timeout(0.01, function()
          for i = 1, 3 do
            caught[i] = select(2, pcall(sock.sleep, 10))
          end
          return "done"
        end))
        assert.same({ sock.cancelled, sock.cancelled, sock.cancelled }, caught)
      end)
    end)

    it("lets the results stand if the function catches that and returns", function()
      inside(function()
        assert.same({ "kept", false }, { sock.timeout(0.005, function()
          local ok = pcall(sock.sleep, 10)
          return "kept", ok
        end) })
      end)
    end)

    it("runs to-be-closed variables", function()
      inside(function()
        local closed, why
        assert.same(late, { sock.timeout(0.005, function()
          local _ <close> = setmetatable({}, { __close = function(_, err)
            closed, why = true, err
          end })
          sock.sleep(10)
        end) })
        assert.is_true(closed)
        assert.equal(sock.cancelled, why)
      end)
    end)

    it("is over when it is over", function()
      inside(function()
        sock.timeout(0.005, function() end)
        busy(0.01)
        assert.truthy(sock.sleep(0.001))
        assert.same(late, { sock.timeout(0.005, sock.sleep, 10) })
        assert.truthy(sock.sleep(0.001))
        pcall(sock.timeout, 0.005, error, "x")
        busy(0.01)
        assert.truthy(sock.sleep(0.001))
      end)
    end)

    it("does not end what never waits", function()
      inside(function()
        assert.equal("whole", sock.timeout(0.001, function()
          busy(0.005)
          return "whole"
        end))
      end)
    end)

    it("ends a wait that begins after its time", function()
      inside(function()
        local a, b, _ <close> = pair()
        assert.same(late, { sock.timeout(0.001, function()
          busy(0.005)
          return a:recv()
        end) })
        assert(b:send("x"))
        assert.equal("x", a:recv())
      end)
    end)

    it("ends a loop that never has to wait for its data", function()
      inside(function()
        local a, b, _ <close> = pair()
        assert.same(late, { sock.timeout(0.01, function()
          while true do
            assert(a:send("x"))
            assert(b:recv())
          end
        end) })
      end)
    end)

    it("ends a loop over a wait that is always ready", function()
      inside(function()
        local a, _, _ <close> = pair()
        local stop = sock.now() + 5
        assert.same(late, { sock.timeout(0.01, function()
          while sock.now() < stop do
            assert.equal("w", a:wait("w"))
          end
          return "never"
        end) })
      end)
    end)

    it("nests by the sooner: the inner", function()
      inside(function()
        local inner
        assert.equal("outer", sock.timeout(10, function()
          inner = { sock.timeout(0.005, sock.sleep, 10) }
          return "outer"
        end))
        assert.same(late, inner)
      end)
    end)

    it("nests by the sooner: the outer", function()
      inside(function()
        local inner = "not reached"
        assert.same(late, { sock.timeout(0.005, function()
          inner = { sock.timeout(10, sock.sleep, 10) }
        end) })
        assert.equal("not reached", inner)
      end)
    end)

    it("nests ten deep, and the soonest counts wherever it stands", function()
      inside(function()
        local function nest(depth, soonest, reached)
          if depth == 0 then
            return sock.sleep(10)
          end
          local result = sock.timeout(depth == soonest and 0.005 or 10, nest, depth - 1, soonest,
            reached)
          reached[depth] = true
          return result
        end
        for soonest = 1, 10 do
          local reached = {}
          assert.is_nil(nest(10, soonest, reached))
          for depth = 1, 10 do
            assert.equal(depth >= soonest or nil, reached[depth])
          end
        end
      end)
    end)

    it("is told to the outer one when both have passed", function()
      inside(function()
        local inner = "not reached"
        assert.same(late, { sock.timeout(0.002, function()
          inner = sock.timeout(0.001, function()
            busy(0.005)
            sock.sleep(10)
          end)
        end) })
        assert.equal("not reached", inner)
      end)
    end)

    it("is the sooner with a socket's own limit", function()
      inside(function()
        local a, _, _ <close> = pair()
        a:settimeout(10)
        assert.same(late, { sock.timeout(0.005, a.recv, a) })
        a:settimeout(0.005)
        assert.equal("ETIMEDOUT", select(3, sock.timeout(10, a.recv, a)))
        assert.matches("^recv ", select(2, sock.timeout(10, a.recv, a)))
      end)
    end)

    it("ends a wait inside string.gsub and inside a plain coroutine", function()
      inside(function()
        assert.same(late, { sock.timeout(0.005, string.gsub, "x", "x",
          function() sock.sleep(10) end) })
        assert.same(late, { sock.timeout(0.005, function()
          coroutine.wrap(function() sock.sleep(10) end)()
        end) })
      end)
    end)

    it("does not end tasks that its function spawns", function()
      inside(function()
        local task
        assert.same(late, { sock.timeout(0.005, function()
          task = sock.spawn(function()
            sock.sleep(0.02)
            return "went on"
          end)
          sock.sleep(10)
        end) })
        assert.equal("went on", task:join())
      end)
    end)

    it("ends the tasks of a scope that its function is in", function()
      inside(function()
        local task
        assert.same(late, { sock.timeout(0.005, sock.scope, function(scope)
          task = scope:spawn(sock.sleep, 10)
          sock.sleep(10)
        end) })
        assert.equal("cancelled", task:status())
      end)
    end)

    it("in a suspended generator does not count", function()
      inside(function()
        for _, library in ipairs { coroutine, sock.coroutine } do
          local co = library.create(function()
            return sock.timeout(0.005, function()
              library.yield("one")
              return sock.sleep(10)
            end)
          end)
          assert.same({ true, "one" }, { library.resume(co) })
          assert.truthy(sock.sleep(0.01))
          assert.same({ true, nil, "timed out", "ETIMEDOUT" }, { library.resume(co) })
          assert.truthy(sock.sleep(0.001))
        end
      end)
    end)

    it("in a generator that is collected leaves nothing behind", function()
      inside(function()
        for _, library in ipairs { coroutine, sock.coroutine } do
          for _ = 1, 50 do
            library.wrap(function()
              sock.timeout(0.001, function() library.yield() end)
            end)()
          end
          collectgarbage()
          collectgarbage()
          busy(0.003)
          assert.truthy(sock.sleep(0.001))
        end
      end)
    end)

    it("in a generator that is closed leaves nothing behind", function()
      inside(function()
        for _, library in ipairs { coroutine, sock.coroutine } do
          local co = library.create(function()
            sock.timeout(0.001, function() library.yield() end)
          end)
          library.resume(co)
          assert.is_true(library.close(co))
          busy(0.003)
          assert.truthy(sock.sleep(0.001))
        end
      end)
    end)

    it("around a generator counts in it", function()
      inside(function()
        for _, library in ipairs { coroutine, sock.coroutine } do
          assert.same(late, { sock.timeout(0.005, function()
            local wait = library.wrap(function() sock.sleep(10) end)
            wait()
          end) })
        end
      end)
    end)
  end)
end
