-- Scopes that are ended early: cancelled, by what they stand in, by a timeout.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local everywhere, forever = fixtures.everywhere, fixtures.forever

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
