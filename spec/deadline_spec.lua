local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local run, pair = fixtures.run, fixtures.pair

local late = { nil, "timed out", "ETIMEDOUT" }

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
