local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local run, pair = fixtures.run, fixtures.pair

--- A Lua program that ends, or is ended.
local function limited(program)
  return peer.limited { "-e", program, "-" }
end

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

-- What strangers do to a task's own coroutine. In a child each, because it
-- might hang.
local prelude = [[
  local sock = require "sock"
  local told = {}
  sock.onerror(function(err) told[#told + 1] = tostring(err) end)
  local thread
  local function victim(body)
    return sock.spawn(function(...)
      thread = coroutine.running()
      return body(...)
    end)
  end
  -- Lets the loop look: the task is found dead.
  local function settle()
    for _ = 1, 10 do sock.sleep(0) end
    sock.sleep(0.01)
  end
]]

describe("A stranger's coroutine.resume of a task that waits", function()
  it("raises in the task, which has failed", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function() sock.sleep(0.01) return "slept" end)
      local ok, err = coroutine.resume(thread)
      settle()
      print(task:status(), #told)
      print(pcall(task.join, task))
    ]])
    local text = p:rest()
    assert.matches("^failed\t1\nfalse\t.+\n$", text)
  end)

  it("tells whoever joins why it failed", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function() sock.sleep(0.01) return "slept" end)
      coroutine.resume(thread)
      print(select(2, pcall(task.join, task)))
    ]])
    assert.equal("the task was ended from outside\n", p:rest())
  end)

  it("leaves the others running, and its socket readable", function()
    local p <close> = limited(prelude .. [[
      local a, b = sock.socketpair()
      local task = victim(function() return a:recv() end)
      local other = sock.spawn(function() return a:recv() end)
      coroutine.resume(thread)
      settle()
      b:send("x")
      print(task:status(), other:join(), #sock.tasks())
    ]])
    assert.equal("failed\tx\t0\n", p:rest())
  end)

  it("is survived by a task that catches it", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        local ok, err = pcall(sock.sleep, 10)
        return "caught", ok, tostring(err)
      end)
      coroutine.resume(thread)
      settle()
      print(task:status() ~= "waiting", #sock.tasks())
    ]])
    assert.equal("true\t0\n", p:rest())
  end)

  it("that catches it and waits again ends all the same", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        pcall(sock.sleep, 0.02)
        sock.sleep(0.02)
        return "end"
      end)
      coroutine.resume(thread)
      settle()
      print(#sock.tasks(), task:status() ~= "running")
    ]])
    assert.equal("0\ttrue\n", p:rest())
  end)

  it("that only yielded runs it there, to its end", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        coroutine.yield()
        sock.sleep(0.01)
        return "end"
      end)
      print((coroutine.resume(thread)))
      settle()
      print(#sock.tasks(), task:status() ~= "running")
    ]])
    assert.equal("true\n0\ttrue\n", p:rest())
  end)

  it("fails it in every kind of wait", function()
    local p <close> = limited(prelude .. [[
      local a, b = sock.socketpair()
      local ch, sig = sock.channel(), sock.signal("USR1")
      local sleeper = sock.spawn(sock.sleep, 0.2)
      local waits = {
        function() sock.sleep(10) end, function() a:recv() end, function() a:wait("r") end,
        function() sock.select({ a }, {}) end, function() ch:get() end,
        function() ch:put(1) end, function() sig:wait() end, function() sleeper:join() end,
        function() sock.getaddrinfo("localhost") sock.sleep(10) end,
        function() sock.scope(function() sock.sleep(10) end) end,
        function() sock.timeout(10, sock.sleep, 10) end,
        function() sock.coroutine.wrap(function() sock.sleep(10) end)() end,
      }
      for i, wait in ipairs(waits) do
        local task = victim(wait)
        coroutine.resume(thread)
        settle()
        if task:status() ~= "failed" then
          print(i, task:status())
        end
        task:cancel()
      end
      sleeper:join()
      print(#sock.tasks())
    ]])
    assert.equal("0\n", p:rest())
  end)
end)

describe("A stranger's coroutine.close of a task that waits", function()
  it("ends the task, which has failed", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function() sock.sleep(0.01) return "slept" end)
      print(coroutine.close(thread))
      settle()
      print(task:status(), #told, #sock.tasks())
      print((pcall(task.join, task)))
    ]])
    assert.equal("true\nfailed\t1\t0\nfalse\n", p:rest())
  end)

  it("runs its to-be-closed variables", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        local _ <close> = setmetatable({}, { __close = function() print("closed") end })
        sock.sleep(10)
      end)
      coroutine.close(thread)
      print((pcall(task.join, task)))
    ]])
    assert.equal("closed\nfalse\n", p:rest())
  end)

  it("leaves nothing waiting in its place", function()
    local p <close> = limited(prelude .. [[
      local a, b = sock.socketpair()
      local ch = sock.channel()
      for _, wait in ipairs { function() a:recv() end, function() ch:get() end,
          function() sock.timeout(0.001, a.recv, a) end } do
        victim(wait)
        coroutine.close(thread)
      end
      b:send("x")
      print(a:settimeout(1):recv())
      print(ch:put("y", 0))
      collectgarbage()
      sock.sleep(0.01)
      print(#sock.tasks())
    ]])
    assert.equal("x\nnil\tput: timed out\tETIMEDOUT\n0\n", p:rest())
  end)

  it("whose generator waits ends both", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        sock.coroutine.wrap(function() sock.sleep(10) end)()
      end)
      coroutine.close(thread)
      print((pcall(task.join, task)))
      collectgarbage()
      print(#sock.tasks())
    ]])
    assert.equal("false\n0\n", p:rest())
  end)

  it("in a scope raises there and cancels the others", function()
    local p <close> = limited(prelude .. [[
      local other
      print((pcall(sock.scope, function(scope)
        scope:spawn(function()
          thread = coroutine.running()
          sock.sleep(10)
        end)
        other = scope:spawn(sock.sleep, 10)
        coroutine.close(thread)
      end)))
      print(other:status(), #sock.tasks())
    ]])
    assert.equal("false\ncancelled\t0\n", p:rest())
  end)
end)

describe("A stranger's coroutine.resume of a generator that waits", function()
  it("ends the generator, not the task that waits for it", function()
    local p <close> = limited(prelude .. [[
      local inner
      local task = sock.spawn(function()
        inner = sock.coroutine.create(function() sock.sleep(0.01) return "slept" end)
        return sock.coroutine.resume(inner)
      end)
      print((coroutine.resume(inner)))
      print(task:join())
      print(#sock.tasks())
    ]])
    assert.matches("^false\nfalse\t.*\n0\n$", p:rest())
  end)

  it("with coroutine.close does the same", function()
    local p <close> = limited(prelude .. [[
      local inner
      local task = sock.spawn(function()
        inner = sock.coroutine.create(function() sock.sleep(0.01) return "slept" end)
        return sock.coroutine.resume(inner)
      end)
      print((coroutine.close(inner)))
      print(task:join())
      print(#sock.tasks())
    ]])
    assert.matches("^true\nfalse\t.*\n0\n$", p:rest())
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
