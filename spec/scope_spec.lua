local sock = require "sock"

local function nothing() end

--- What `f` gives in a task, and outside tasks: both must be the same.
local function everywhere(f)
  local outside = table.pack(f())
  local inside = table.pack(sock.run(f))
  assert.same(outside, inside)
  return table.unpack(outside, 1, outside.n)
end

--- A task of the scope that waits for ever, and a list that tells its end.
local function forever(scope, log)
  return scope:spawn(function()
    local _ <close> = setmetatable({}, { __close = function(_, err)
      pcall(sock.sleep, 0)
      log[#log + 1] = tostring(err)
    end })
    sock.channel():get()
  end)
end

describe("sock.scope", function()
  it("gives what its function returns", function()
    assert.same({ 1, nil, "three", nil, n = 4 }, table.pack(everywhere(function()
      return sock.scope(function()
        sock.sleep(0)
        return 1, nil, "three", nil
      end)
    end)))
  end)

  it("gives nothing where nothing is returned", function()
    assert.equal(0, select("#", everywhere(function() return sock.scope(nothing) end)))
  end)

  it("ends after all its tasks", function()
    everywhere(function()
      local ended = 0
      sock.scope(function(scope)
        for i = 1, 3 do
          scope:spawn(function()
            sock.sleep(i / 1000)
            ended = ended + 1
          end)
        end
      end)
      assert.equal(3, ended)
    end)
  end)

  it("waits for tasks that its tasks begin in it", function()
    everywhere(function()
      local ended = false
      sock.scope(function(scope)
        scope:spawn(function()
          sock.sleep(0)
          scope:spawn(function()
            sock.sleep(0)
            scope:spawn(function() ended = true end)
          end)
        end)
      end)
      assert.is_true(ended)
    end)
  end)

  it("raises for what is no function", function()
    assert.error_matches(function() sock.scope(1) end, "^.-bad argument #1 to 'scope'")
    assert.error_matches(function() sock.scope() end, "^.-bad argument #1 to 'scope'")
    sock.scope(function(scope)
      assert.error_matches(function() scope:spawn(1) end, "function expected, got number")
      assert.error_matches(function() scope:spawn() end, "function expected")
    end)
  end)

  it("starts tasks at once, with their arguments, and gives them", function()
    sock.scope(function(scope)
      local got
      local t = scope:spawn(function(...)
        got = table.pack(...)
        return ...
      end, 1, nil)
      assert.same({ 1, nil, n = 2 }, got)
      assert.equal("task", sock.type(t))
      assert.same({ 1, nil, n = 2 }, table.pack(t:join()))
    end)
  end)
end)

describe("An error in a scope", function()
  it("of its function cancels the tasks and is raised, the very value", function()
    for _, value in ipairs { {}, "text", 42, false } do
      everywhere(function()
        local log, task = {}, nil
        local ok, err = pcall(sock.scope, function(scope)
          task = forever(scope, log)
          error(value, 0)
        end)
        assert.is_false(ok)
        assert.equal(value, err)
        assert.same({ "cancelled" }, log)
        assert.equal("cancelled", task:status())
      end)
    end
  end)

  it("that is nil is raised as nil", function()
    everywhere(function()
      assert.same({ false, nil, n = 2 }, table.pack(pcall(sock.scope, function() error(nil) end)))
      assert.same({ false, nil, n = 2 }, table.pack(pcall(sock.scope, function(scope)
        scope:spawn(error, nil)
      end)))
    end)
  end)

  it("of a task cancels the others and the function, and is raised", function()
    for _, value in ipairs { {}, "text", 42, false } do
      everywhere(function()
        local log = {}
        local ok, err = pcall(sock.scope, function(scope)
          forever(scope, log)
          scope:spawn(function()
            sock.sleep(0)
            error(value, 0)
          end)
          local _ <close> = setmetatable({}, { __close = function(_, why)
            log[#log + 1] = "body " .. tostring(why)
          end })
          sock.channel():get()
        end)
        assert.is_false(ok)
        assert.equal(value, err)
        table.sort(log)
        assert.same({ "body cancelled", "cancelled" }, log)
      end)
    end
  end)

  it("of a task that fails at its start is raised too", function()
    everywhere(function()
      assert.same({ false, "at once" }, { pcall(sock.scope, function(scope)
        scope:spawn(error, "at once", 0)
        sock.sleep(60)
      end) })
    end)
  end)

  it("of a task is raised when the function has returned", function()
    everywhere(function()
      assert.same({ false, "late" }, { pcall(sock.scope, function(scope)
        scope:spawn(function()
          sock.sleep(0.001)
          error("late", 0)
        end)
        return "result"
      end) })
    end)
  end)

  it("is the first, whatever others follow while they are cancelled", function()
    local told = {}
    local before = sock.onerror(function(err) told[#told + 1] = err end)
    everywhere(function()
      assert.same({ false, "first" }, { pcall(sock.scope, function(scope)
        scope:spawn(function()
          pcall(sock.sleep, 60)
          error("second", 0)
        end)
        scope:spawn(function()
          sock.sleep(0)
          error("first", 0)
        end)
        pcall(sock.sleep, 60)
        error("third", 0)
      end) })
    end)
    sock.sleep(0)
    sock.onerror(before)
    assert.same({ "second", "second" }, told)
  end)

  it("is not told to onerror", function()
    local told = 0
    local before = sock.onerror(function() told = told + 1 end)
    everywhere(function()
      pcall(sock.scope, function(scope)
        scope:spawn(function()
          sock.sleep(0)
          error("raised", 0)
        end)
      end)
      sock.sleep(0)
    end)
    sock.onerror(before)
    assert.equal(0, told)
  end)

  it("keeps its own traceback in the task", function()
    local task
    local function deep()
      error("deep")
    end
    pcall(sock.scope, function(scope)
      task = scope:spawn(function()
        sock.sleep(0)
        deep()
        return 1
      end)
    end)
    assert.matches("spec/scope_spec.lua:" .. debug.getinfo(deep, "S").linedefined + 1,
      task:traceback())
  end)

  it("of a task that is joined in it cancels the others all the same", function()
    everywhere(function()
      local log = {}
      assert.same({ false, "joined" }, { pcall(sock.scope, function(scope)
        forever(scope, log)
        local t = scope:spawn(function()
          sock.sleep(0)
          error("joined", 0)
        end)
        pcall(t.join, t)
        sock.sleep(60)
      end) })
      assert.same({ "cancelled" }, log)
    end)
  end)
end)

describe("A task cancelled in a scope", function()
  it("does not disturb the others", function()
    everywhere(function()
      assert.equal("result", sock.scope(function(scope)
        scope:spawn(sock.sleep, 60):cancel()
        local other = scope:spawn(function()
          sock.sleep(0)
          return "result"
        end)
        return (other:join())
      end))
    end)
  end)
end)

describe("scope:cancel", function()
  it("ends tasks and function from inside, without raising", function()
    everywhere(function()
      local log, after = {}, false
      local results = table.pack(sock.scope(function(scope)
        forever(scope, log)
        scope:cancel()
        sock.sleep(60)
        after = true
      end))
      assert.same({ nil, "cancelled", "ECANCELED", n = 3 }, results)
      assert.same({ "cancelled" }, log)
      assert.is_false(after)
    end)
  end)

  it("ends them from one of its tasks", function()
    everywhere(function()
      local log = {}
      assert.same({ nil, "cancelled", "ECANCELED" }, { sock.scope(function(scope)
        forever(scope, log)
        scope:spawn(function()
          sock.sleep(0)
          scope:cancel()
        end)
        sock.sleep(60)
      end) })
      assert.same({ "cancelled" }, log)
    end)
  end)

  it("ends them from outside", function()
    everywhere(function()
      local log, outer = {}, nil
      local t = sock.spawn(function()
        sock.sleep(0)
        outer:cancel()
      end)
      assert.same({ nil, "cancelled", "ECANCELED" }, { sock.scope(function(scope)
        outer = scope
        forever(scope, log)
        sock.sleep(60)
      end) })
      assert.same({ "cancelled" }, log)
      t:join()
      assert.equal("done", t:status())
    end)
  end)

  it("ends a function that only lets others run", function()
    everywhere(function()
      local turns = 0
      assert.same({ nil, "cancelled", "ECANCELED" }, { sock.scope(function(scope)
        scope:cancel()
        while turns < 1000 do
          sock.sleep(0)
          turns = turns + 1
        end
        return "it went on"
      end) })
      assert.equal(0, turns)
    end)
  end)

  it("ends the tasks of a scope whose function has returned", function()
    everywhere(function()
      local log, outer = {}, nil
      local t = sock.spawn(function()
        sock.sleep(0)
        outer:cancel()
      end)
      local results = table.pack(sock.scope(function(scope)
        outer = scope
        forever(scope, log)
        return "result"
      end))
      assert.same({ "result", n = 1 }, results)
      assert.same({ "cancelled" }, log)
      t:join()
    end)
  end)

  it("is not swallowed for good by one pcall", function()
    everywhere(function()
      local caught = 0
      assert.same({ nil, "cancelled", "ECANCELED" }, { sock.scope(function(scope)
        scope:cancel()
        for _ = 1, 3 do
          if not pcall(sock.sleep, 60) then
            caught = caught + 1
          end
        end
        sock.sleep(60)
      end) })
      assert.equal(3, caught)
    end)
  end)

  it("lets the results stand of a function that catches it and returns", function()
    everywhere(function()
      assert.same({ "result" }, { sock.scope(function(scope)
        scope:cancel()
        pcall(sock.sleep, 60)
        return "result"
      end) })
    end)
  end)

  it("does not hide an error", function()
    everywhere(function()
      assert.same({ false, "own" }, { pcall(sock.scope, function(scope)
        scope:cancel()
        pcall(sock.sleep, 60)
        error("own", 0)
      end) })
    end)
  end)

  it("again, or after the end, is harmless", function()
    everywhere(function()
      local ended
      sock.scope(function(scope)
        ended = scope
        scope:cancel()
        scope:cancel()
      end)
      ended:cancel()
      sock.sleep(0)
      assert.equal("result", sock.scope(function()
        sock.sleep(0)
        return "result"
      end))
    end)
  end)

  it("cancels tasks that are spawned afterwards before they start", function()
    everywhere(function()
      local ran, status = false, nil
      sock.scope(function(scope)
        scope:cancel()
        local t = scope:spawn(function() ran = true end)
        status = t:status()
        assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
      end)
      assert.is_false(ran)
      assert.equal("cancelled", status)
    end)
  end)
end)

describe("A scope that has ended", function()
  it("refuses to spawn", function()
    everywhere(function()
      local ended
      sock.scope(function(scope) ended = scope end)
      local ok, t = pcall(ended.spawn, ended, sock.sleep, 60)
      if ok then
        t:cancel()
      end
      assert.is_false(ok)
      assert.matches("scope", t)
    end)
  end)
end)

describe("A scope in a scope", function()
  it("ends before the outer one goes on", function()
    everywhere(function()
      local order = {}
      sock.scope(function(outer)
        outer:spawn(function()
          sock.scope(function(inner)
            inner:spawn(function()
              sock.sleep(0)
              order[#order + 1] = "inner task"
            end)
          end)
          order[#order + 1] = "inner scope"
        end)
      end)
      order[#order + 1] = "outer scope"
      assert.same({ "inner task", "inner scope", "outer scope" }, order)
    end)
  end)

  it("is ended by the outer one's cancel, which the outer one gives", function()
    everywhere(function()
      local log, after = {}, false
      assert.same({ nil, "cancelled", "ECANCELED" }, { sock.scope(function(outer)
        sock.scope(function(inner)
          forever(inner, log)
          outer:cancel()
          sock.sleep(60)
        end)
        after = true
      end) })
      assert.same({ "cancelled" }, log)
      assert.is_false(after)
    end)
  end)

  it("that is cancelled leaves the outer one as it is", function()
    everywhere(function()
      assert.same({ "ECANCELED", "outer" }, { sock.scope(function(outer)
        local other = outer:spawn(function()
          sock.sleep(0.001)
          return "outer"
        end)
        local _, _, code = sock.scope(function(inner)
          inner:cancel()
          sock.sleep(60)
        end)
        sock.sleep(0)
        return code, (other:join())
      end) })
    end)
  end)

  it("hands its error to the outer one", function()
    everywhere(function()
      local log, value = {}, {}
      local ok, err = pcall(sock.scope, function(outer)
        forever(outer, log)
        sock.scope(function(inner)
          forever(inner, log)
          inner:spawn(error, value)
          sock.sleep(60)
        end)
      end)
      assert.is_false(ok)
      assert.equal(value, err)
      assert.same({ "cancelled", "cancelled" }, log)
    end)
  end)
end)

describe("A scope in a cancelled task", function()
  it("is cancelled with it, its tasks first", function()
    local log = {}
    local t = sock.spawn(function()
      sock.scope(function(scope)
        forever(scope, log)
        sock.sleep(60)
      end)
      log[#log + 1] = "after"
    end)
    t:cancel()
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
    assert.same({ "cancelled" }, log)
  end)

  it("whose function has returned is cancelled too", function()
    local log = {}
    local t = sock.spawn(function()
      sock.scope(function(scope) forever(scope, log) end)
    end)
    t:cancel()
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
    assert.same({ "cancelled" }, log)
  end)

  it("still awaits its tasks, as long as they take", function()
    local steps = 0
    local t = sock.spawn(function()
      sock.scope(function(scope)
        scope:spawn(function()
          for _ = 1, 50 do
            pcall(sock.sleep, 60)
            steps = steps + 1
          end
        end)
      end)
    end)
    t:cancel()
    t:cancel()
    t:join()
    assert.equal(50, steps)
  end)

  it("raises what fails in it, not the cancel", function()
    local value = {}
    local t = sock.spawn(function()
      sock.scope(function(scope)
        scope:spawn(function()
          pcall(sock.sleep, 60)
          error(value)
        end)
        sock.sleep(60)
      end)
    end)
    t:cancel()
    local ok, err = pcall(t.join, t)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("raises what has failed in it also at the end of a long row of calls", function()
    local wrong = 0
    for calls = 100, 140 do
      local value, ch = {}, sock.channel(1000)
      local t = sock.spawn(function()
        sock.task():cancel()
        sock.scope(function(scope)
          scope:spawn(error, value)
          for _ = 1, calls do
            pcall(ch.put, ch, 1)
          end
        end)
      end)
      local ok, err = pcall(t.join, t)
      wrong = wrong + (not ok and err == value and 0 or 1)
    end
    assert.equal(0, wrong)
  end)
end)

describe("A scope in sock.timeout", function()
  it("that ends late is cancelled, its tasks first", function()
    local log = {}
    assert.same({ nil, "timed out", "ETIMEDOUT" }, { sock.timeout(0.001, function()
      sock.scope(function(scope) forever(scope, log) end)
    end) })
    assert.same({ "cancelled" }, log)
  end)
end)
