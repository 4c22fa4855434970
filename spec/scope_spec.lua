-- Scopes: what they give, wait for and raise.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local everywhere, forever, nothing = fixtures.everywhere, fixtures.forever, fixtures.nothing

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
