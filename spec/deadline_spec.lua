local sock = require "sock"
local peer = require "spec.support.peer"
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

describe("sock.timeout in tasks", function()
  it("belongs to its task only", function()
    run(function()
      local task = sock.spawn(sock.timeout, 0.005, sock.sleep, 10)
      assert.truthy(sock.sleep(0.02))
      assert.same(late, { task:join() })
    end)
  end)

  it("does not take a cancel for its own end", function()
    run(function()
      local task = sock.spawn(sock.timeout, 10, sock.sleep, 10)
      task:cancel()
      assert.same({ nil, "cancelled", "ECANCELED" }, { task:join() })
      assert.equal("cancelled", task:status())
    end)
  end)

  it("carried in a generator to another task leaves the first alone", function()
    run(function()
      local step = sock.coroutine.wrap(function()
        return sock.timeout(0.005, function()
          sock.coroutine.yield()
          sock.sleep(0.02)
          return "slept"
        end)
      end)
      step()
      local other = sock.spawn(step)
      assert.truthy(sock.sleep(0.01))
      other:join()
    end)
  end)

  it("in a thousand tasks ends each at its own time", function()
    run(function()
      local tasks, ended = {}, 0
      for i = 1, 1000 do
        tasks[i] = sock.spawn(function()
          local start, limit = sock.now(), i % 20 / 1000
          local _, _, code = sock.timeout(limit, sock.sleep, 30)
          if code == "ETIMEDOUT" and sock.now() - start >= limit then
            ended = ended + 1
          end
        end)
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(1000, ended)
    end)
  end)
end)

describe("settimeout in a task", function()
  it("limits each call, and others go on", function()
    run(function()
      local a, _, _ <close> = pair()
      local rounds = 0
      local other = sock.spawn(function()
        for _ = 1, 3 do
          sock.sleep(0.001)
          rounds = rounds + 1
        end
      end)
      a:settimeout(0.02)
      local start = sock.now()
      assert.equal("ETIMEDOUT", (select(3, a:recv())))
      assert.is_true(sock.now() - start >= 0.02)
      assert.equal(3, rounds)
      other:join()
    end)
  end)

  it("is a limit on the whole call, not on each piece", function()
    run(function()
      local a, b, _ <close> = pair()
      a:settimeout(0.05)
      local dripping = sock.spawn(function()
        while b:send("x") do
          sock.sleep(0.002)
        end
      end)
      local _, message, code = a:read("l")
      assert.equal("ETIMEDOUT", code)
      assert.matches("timed out", message)
      a:close()
      dripping:join()
    end)
  end)

  it("with 0 looks and does not wait", function()
    run(function()
      local a, b, _ <close> = pair()
      local other = false
      local task = sock.spawn(function()
        sock.sleep(0)
        other = true
      end)
      assert.equal("ETIMEDOUT", (select(3, a:settimeout(0):recv())))
      assert.is_false(other)
      assert(b:send("x"))
      assert.equal("x", a:recv())
      task:join()
    end)
  end)

  it("loses nothing: what comes later is read by the next call", function()
    run(function()
      local a, b, _ <close> = pair()
      a:settimeout(0.005)
      for i = 1, 5 do
        assert(b:send("part " .. i))
        assert.equal("ETIMEDOUT", (select(3, a:read("l"))))
      end
      assert(b:send("\n"))
      assert.equal("part 1part 2part 3part 4part 5", a:read("l"))
    end)
  end)

  it("ends one reader, and the next in the queue reads", function()
    run(function()
      local a, b, _ <close> = pair()
      a:settimeout(0.005)
      local first = sock.spawn(a.recv, a)
      a:settimeout(10)
      local second = sock.spawn(a.recv, a)
      assert.equal("ETIMEDOUT", (select(3, first:join())))
      assert(b:send("x"))
      assert.equal("x", second:join())
    end)
  end)
end)

describe("A deadline", function()
  it("is not hastened or held up by signals", function()
    local path, _ <close> = peer.cmodule("alarm", [[
      #include <lauxlib.h>
      #include <signal.h>
      #include <string.h>
      #include <sys/time.h>
      static volatile sig_atomic_t count;
      static void caught(int number) { (void)number; count++; }
      static int start(lua_State *L) {
        struct sigaction how;
        struct itimerval every = {{0, 1000}, {0, 1000}};
        memset(&how, 0, sizeof how);
        how.sa_handler = caught; /* no SA_RESTART: every call ends with EINTR */
        sigaction(SIGALRM, &how, NULL);
        setitimer(ITIMER_REAL, &every, NULL);
        return 0;
      }
      static int stop(lua_State *L) { /* before this module is unloaded */
        struct itimerval never = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &never, NULL);
        return 0;
      }
      static int ticks(lua_State *L) { return lua_pushinteger(L, count), 1; }
      int luaopen_alarm(lua_State *L) {
        lua_register(L, "start", start);
        lua_register(L, "stop", stop);
        lua_register(L, "ticks", ticks);
        return 0;
      }
    ]])
    local p <close> = peer.lua([[
      package.cpath = arg[1] .. ";" .. package.cpath
      require "alarm"
      local sock = require "sock"
      start()
      local a, b = sock.socketpair()
      local ch = sock.channel()
      local calls = {
        { sock.sleep, 0.1 },
        { sock.timeout, 0.1, sock.sleep, 10 },
        { sock.wait, a, "r", 0.1 },
        { sock.select, { a }, {}, 0.1 },
        { ch.get, ch, 0.1 },
        { a:settimeout(0.1).recv, a },
      }
      local function try(where)
        for i, call in ipairs(calls) do
          local begun = sock.now()
          call[1](table.unpack(call, 2))
          local took = sock.now() - begun
          if took < 0.1 or took > 5 then
            print(where, i, took)
          end
        end
      end
      sock.run(try, "task")
      try("main")
      stop()
      print(ticks() > 100)
    ]], path)
    assert.equal("true\n", p:rest())
  end)

  it("never comes before its time", function()
    run(function()
      for i = 1, 30 do
        local seconds = i * 0.0001
        local start = sock.now()
        sock.sleep(seconds)
        assert.is_true(sock.now() - start >= seconds)
      end
    end)
  end)

  it("does not follow the clock on the wall", function()
    local first = sock.now()
    assert.is_true(sock.now() >= first)
    assert.is_true(first < 1e9) -- seconds since 1970 would be more
  end)

  it("runs in the order of the deadlines, not of the tasks", function()
    run(function()
      local order, tasks = {}, {}
      for _, seconds in ipairs { 0.03, 0.01, 0.02 } do
        tasks[#tasks + 1] = sock.spawn(function()
          sock.sleep(seconds)
          order[#order + 1] = seconds
        end)
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.same({ 0.01, 0.02, 0.03 }, order)
    end)
  end)
end)

describe("A hundred thousand pending timers", function()
  it("fall due in their order, and those taken off never #fifo #heavy", function()
    run(function()
      local n, tasks, kept, last, backwards, rung = 100000, {}, 0, -1, 0, 0
      local base, passed = sock.now() + 2, 0
      for i = 1, n do
        local place = i * 7919 % n -- neither ascending nor descending
        tasks[i] = sock.spawn(function()
          sock.sleep(base + place * 1e-5 - sock.now())
          rung = rung + 1
          -- but for a fifth of a second: sleep looks at the clock itself
          if place > passed and place < last - 20000 then
            backwards = backwards + 1
          end
          last = math.max(last, place)
        end)
      end
      -- on a slow machine the first are late before the last have begun
      passed = (sock.now() - base) * 1e5
      for i = 1, n do
        if i % 2 == 0 then
          tasks[i]:cancel()
        else
          kept = kept + 1
        end
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(kept, rung)
      assert.equal(0, backwards)
    end)
  end)

  it("cost a timeout that is set and cleared a few comparisons, not many #heavy", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      local tasks = {}
      local function cost()
        local a, b = sock.socketpair()
        local c = 0
        local start = os.clock()
        for _ = 1, 20000 do
          sock.timeout(5, sock.sleep, 0)
        end
        a:close() b:close()
        return os.clock() - start
      end
      sock.run(function()
        local few = cost()
        sock.scope(function(scope)
          for i = 1, 100000 do
            scope:spawn(sock.sleep, 100 + i * 7919 % 100000)
          end
          local many = cost()
          print(many < 20 * few)
          scope:cancel()
        end)
      end)
    ]])
    assert.equal("true\n", p:rest())
  end)
end)
