local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local nothing = fixtures.nothing

--- A task that waits until the channel it takes from gives it something.
local function waiter()
  local ch = sock.channel()
  return sock.spawn(function() return ch:get() end), ch
end

describe("sock.sleep", function()
  it("takes at least as long as it says, by sock.now", function()
    local start = sock.now()
    sock.sleep(0.02)
    assert.is_true(sock.now() - start >= 0.02)
    sock.run(function()
      start = sock.now()
      sock.sleep(0.02)
      assert(sock.now() - start >= 0.02)
    end)
  end)

  it("ends in the order of the deadlines #order", function()
    local order = {}
    sock.run(function()
      for _, seconds in ipairs { 0.03, 0.01, 0.04, 0.02 } do
        sock.spawn(function()
          sock.sleep(seconds)
          order[#order + 1] = seconds
        end)
      end
    end)
    assert.same({ 0.01, 0.02, 0.03, 0.04 }, order)
  end)

  it("of no time lets each of the others run once", function()
    local runs = 0
    for _ = 1, 3 do
      sock.spawn(function()
        sock.sleep(0)
        runs = runs + 1
      end)
    end
    sock.sleep(0)
    assert.equal(3, runs)
    sock.run()
  end)

  it("takes a negative time for none", function()
    assert.is_truthy(sock.sleep(-1))
  end)

  it("raises for what is no time", function()
    assert.error_matches(function() sock.sleep("soon") end, "^bad argument #1 to 'sleep'")
    assert.error_matches(function() sock.sleep() end, "^bad argument #1 to 'sleep'")
    assert.error_matches(function() sock.sleep(0 / 0) end, "^bad argument #1 to 'sleep'")
  end)
end)

describe("sock.now", function()
  it("never goes back", function()
    local before = sock.now()
    for _ = 1, 1000 do
      local now = sock.now()
      assert.is_true(now >= before)
      before = now
    end
    assert.equal("float", math.type(before))
  end)
end)

describe("task:join", function()
  it("gives what the function returned", function()
    local t = sock.spawn(function()
      sock.sleep(0)
      return 1, nil, "three", nil
    end)
    assert.same({ 1, nil, "three", nil, n = 4 }, table.pack(t:join()))
  end)

  it("gives nothing where nothing was returned", function()
    assert.equal(0, select("#", sock.spawn(nothing):join()))
  end)

  it("gives the same values again and to everybody", function()
    local value, got = {}, {}
    local t, ch = waiter()
    for i = 1, 3 do
      sock.spawn(function() got[i] = t:join() end)
    end
    ch:put(value)
    assert.equal(value, t:join())
    assert.equal(value, t:join())
    sock.run()
    for i = 1, 3 do
      assert.equal(value, got[i])
    end
  end)

  it("raises the very value that the task raised, each time", function()
    for _, value in ipairs { {}, "text", 42, false, nothing, n = 6 } do
      local t = sock.spawn(function()
        sock.sleep(0)
        error(value, 0)
      end)
      for _ = 1, 2 do
        local result = table.pack(pcall(t.join, t))
        assert.same(2, result.n)
        assert.is_false(result[1])
        assert.equal(value, result[2])
      end
    end
  end)

  it("raises nil for a task that raised nil", function()
    local t = sock.spawn(error, nil)
    assert.same({ false, nil, n = 2 }, table.pack(pcall(t.join, t)))
    assert.equal("failed", t:status())
  end)

  it("gives nil, \"cancelled\", \"ECANCELED\" for a cancelled task", function()
    local t = waiter()
    t:cancel()
    assert.same({ nil, "cancelled", "ECANCELED", n = 3 }, table.pack(t:join()))
    assert.same({ nil, "cancelled", "ECANCELED", n = 3 }, table.pack(t:join()))
  end)

  it("gives up after its time, and the task goes on", function()
    local t, ch = waiter()
    assert.same({ nil, "join: timed out", "ETIMEDOUT", n = 3 }, table.pack(t:join(0)))
    assert.same({ nil, "join: timed out", "ETIMEDOUT", n = 3 }, table.pack(t:join(0.01)))
    sock.run(function()
      assert.same({ nil, "join: timed out", "ETIMEDOUT", n = 3 }, table.pack(t:join(0.01)))
    end)
    assert.equal("waiting", t:status())
    ch:put("late")
    assert.equal("late", t:join(10))
  end)

  it("raises in a task that joins itself", function()
    local t = sock.spawn(function() return pcall(sock.task().join, sock.task()) end)
    assert.same({ false, "a task cannot join itself" }, { t:join() })
  end)

  it("raises in a task that joins itself where it cannot yield", function()
    local t = sock.spawn(function()
      local result
      string.gsub("x", "x", function()
        result = table.pack(pcall(sock.task().join, sock.task()))
      end)
      return table.unpack(result)
    end)
    assert.same({ false, "a task cannot join itself" }, { t:join() })
  end)

  it("raises for what is no task and no time", function()
    local t = sock.spawn(nothing)
    assert.error_matches(function() t.join({}) end, "bad argument #1 to 'join' %(task expected")
    assert.error_matches(function() t:join("x") end, "bad argument #1 to 'join'")
  end)
end)

describe("task:status", function()
  it("is \"running\" in the task itself, and while it starts another", function()
    local inner
    local t
    t = sock.spawn(function()
      sock.sleep(0)
      inner = sock.spawn(function() return t:status() end)
      return t:status()
    end)
    assert.equal("running", t:join())
    assert.equal("running", inner:join())
  end)

  it("is \"waiting\" in a wait", function()
    local t, ch = waiter()
    assert.equal("waiting", t:status())
    ch:put(1)
    t:join()
  end)

  it("is \"waiting\" in a wait that cannot yield", function()
    local ch = sock.channel()
    local status
    local t = sock.spawn(function()
      sock.sleep(0)
      return (("x"):gsub("x", function() return ch:get() end))
    end)
    sock.spawn(function()
      while t:status() ~= "waiting" do
        sock.sleep(0)
      end
      status = t:status()
      ch:put("y")
    end)
    assert.equal("y", t:join())
    assert.equal("waiting", status)
  end)

  it("is \"ready\" when it can go on, or has yielded", function()
    local t, ch = waiter()
    ch:put(1)
    local u = sock.spawn(function() coroutine.yield() end)
    local v = sock.spawn(function() sock.sleep(0) end)
    assert.equal("ready", u:status())
    assert.equal("ready", v:status())
    sock.run()
    assert.equal("done", t:status())
  end)

  it("is \"done\", \"failed\" or \"cancelled\" at the end", function()
    local done, failed, cancelled = sock.spawn(nothing), sock.spawn(error, "no"), waiter()
    cancelled:cancel()
    pcall(failed.join, failed)
    sock.run()
    assert.same({ "done", "failed", "cancelled" },
      { done:status(), failed:status(), cancelled:status() })
  end)
end)

describe("task:traceback", function()
  it("tells where a task waits", function()
    local t, ch = waiter()
    local line = debug.getinfo(waiter, "S").linedefined + 2
    assert.matches("^stack traceback:\n.*spec/task_spec.lua:" .. line .. ":", t:traceback())
    ch:put(1)
    t:join()
  end)

  it("tells where a task failed", function()
    local function deep()
      error({})
    end
    local t = sock.spawn(function()
      sock.sleep(0)
      deep()
      return 1 -- no tail call
    end)
    pcall(t.join, t)
    local line = debug.getinfo(deep, "S").linedefined + 1
    assert.matches("spec/task_spec.lua:" .. line .. ": in .-deep", t:traceback())
  end)

  it("is nil of a task that returned or was cancelled", function()
    local returned = sock.spawn(function()
      pcall(sock.timeout, 1, error, "caught")
    end)
    local cancelled = waiter()
    cancelled:cancel()
    sock.run()
    assert.is_nil(returned:traceback())
    assert.is_nil(cancelled:traceback())
  end)

  it("is of the error that ended the task, not of one caught before", function()
    local t = sock.spawn(function()
      pcall(sock.timeout, 1, error, "caught")
      sock.sleep(0)
      error("another", 0)
    end)
    pcall(t.join, t)
    local line = debug.getinfo(1, "l").currentline - 3
    assert.matches("spec/task_spec.lua:" .. line .. ":", t:traceback())
  end)
end)

describe("sock.task", function()
  it("is the running task, and nil outside", function()
    assert.is_nil(sock.task())
    local t = sock.spawn(function()
      sock.sleep(0)
      local inner = sock.spawn(sock.task)
      return sock.task(), inner:join() == inner, sock.task()
    end)
    assert.same({ t, true, t }, { t:join() })
    assert.is_nil(sock.task())
  end)

  it("is the task also where it cannot yield, and in its coroutines", function()
    local t = sock.spawn(function()
      local list = {}
      string.gsub("x", "x", function()
        sock.sleep(0)
        list[1] = sock.task()
      end)
      coroutine.wrap(function()
        sock.sleep(0)
        list[2] = sock.task()
      end)()
      return table.unpack(list)
    end)
    assert.same({ t, t }, { t:join() })
  end)

  it("is nil in what another task's wait lets run outside tasks", function()
    local seen
    local ch = sock.channel()
    sock.spawn(function() ch:put(sock.task() ~= nil) end)
    seen = ch:get()
    assert.is_true(seen)
    assert.is_nil(sock.task())
  end)
end)

describe("sock.tasks", function()
  it("is a text at the prompt", function()
    assert.equal("no task runs", tostring(sock.tasks()))
    local one, other = sock.spawn(sock.sleep, 10), sock.spawn(sock.sleep, 10)
    local lines = { tostring(one), tostring(other) }
    table.sort(lines)
    local shown = {}
    for line in tostring(sock.tasks()):gmatch("[^\n]+") do
      shown[#shown + 1] = line
    end
    table.sort(shown)
    assert.same(lines, shown)
    for _, task in ipairs { one, other } do
      task:cancel()
      task:join()
    end
  end)

  it("lists those that have not ended", function()
    assert.same({}, sock.tasks())
    local t, ch = waiter()
    local u = sock.spawn(function() sock.sleep(0) end)
    local list = sock.tasks()
    assert.equal(2, #list)
    assert.is_true(list[1] == t and list[2] == u or list[1] == u and list[2] == t)
    u:join()
    assert.same({ t }, sock.tasks())
    ch:put(1)
    t:join()
    assert.same({}, sock.tasks())
  end)

  it("lists the running one, and no failed one", function()
    local failed = sock.spawn(error, "no")
    local t = sock.spawn(function() return sock.tasks() end)
    assert.same({ t }, t:join())
    pcall(failed.join, failed)
  end)
end)

describe("tostring of a task", function()
  local function text(task)
    return (tostring(task):gsub("^task %d+", "task N"))
  end

  it("tells its number, what it does, and where", function()
    local t, ch = waiter()
    local number = math.tointeger(tostring(t):match("^task (%d+): "))
    assert.matches("^task N: waiting at .*task_spec.lua:%d+$", text(t))
    ch:put(1)
    t:join()
    assert.equal("task N: done", text(t))
    local u = sock.spawn(function() return tostring(sock.task()) end)
    assert.matches("^task " .. number + 1 .. ": running at .*task_spec.lua:%d+$", u:join())
  end)

  it("tells why it failed, and that it was cancelled", function()
    local failed = sock.spawn(error, "oh dear", 0)
    assert.equal("task N: failed: oh dear", text(failed))
    pcall(failed.join, failed)
    local t = waiter()
    t:cancel():join()
    assert.equal("task N: cancelled", text(t))
    local odd = sock.spawn(error, {})
    assert.equal("task N: failed", text(odd))
    pcall(odd.join, odd)
  end)

  it("tells a line of the program, not one of the library", function()
    local t = sock.spawn(function() sock.run(sock.sleep, 0.01) end)
    assert.matches("^task N: waiting at .*task_spec.lua:%d+$", text(t))
    t:join()
  end)
end)
