-- sock.spawn: how tasks begin.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local nothing = fixtures.nothing

describe("sock.spawn", function()
  it("starts the task at once", function()
    local order = {}
    local t = sock.spawn(function() order[#order + 1] = "task" end)
    order[#order + 1] = "spawner"
    t:join()
    assert.same({ "task", "spawner" }, order)
  end)

  it("comes back when the task waits", function()
    local order = {}
    local t = sock.spawn(function()
      order[#order + 1] = "before"
      sock.sleep(0)
      order[#order + 1] = "after"
    end)
    order[#order + 1] = "spawner"
    t:join()
    assert.same({ "before", "spawner", "after" }, order)
  end)

  it("passes its arguments on, nils among them", function()
    local t = sock.spawn(function(...) return select("#", ...), ... end, nil, 2, nil)
    assert.same({ 3, nil, 2, nil, n = 4 }, table.pack(t:join()))
  end)

  it("passes ten thousand arguments on", function()
    local list = {}
    for i = 1, 10000 do
      list[i] = i
    end
    local t = sock.spawn(function(...) return ... end, table.unpack(list))
    assert.same(list, { t:join() })
  end)

  it("gives a task", function()
    local t = sock.spawn(nothing)
    assert.equal("task", sock.type(t))
    assert.equal("userdata", type(t))
    t:join()
  end)

  it("starts sixteen tasks inside each other and queues the seventeenth", function()
    local depth, deepest, started, status = 0, 0, 0, {}
    local function dive(left)
      depth, started = depth + 1, started + 1
      deepest = math.max(deepest, depth)
      if left > 0 then
        local inner = sock.spawn(dive, left - 1)
        status[#status + 1] = inner:status()
        depth = depth - 1
        inner:join()
      else
        depth = depth - 1
      end
    end
    sock.run(dive, 20)
    assert.equal(16, deepest)
    assert.equal(21, started)
    assert.equal("ready", status[1]) -- of the sixteenth, who comes back first
    assert.equal("waiting", status[2])
  end)

  it("raises for what is no function", function()
    for _, value in ipairs { 1, "print", {}, true, coroutine.create(nothing) } do
      local message = "bad argument #1 to 'spawn' (function expected, got " .. type(value) .. ")"
      assert.has_error(function() sock.spawn(value) end, message)
    end
    assert.error_matches(function() sock.spawn(nil) end, "^bad argument #1 to 'spawn'")
    assert.error_matches(function() sock.spawn() end, "^bad argument #1 to 'spawn'")
    assert.equal(0, #sock.tasks())
  end)

  it("keeps a task and what it holds until it ends", function()
    local weak, ch = setmetatable({}, { __mode = "v" }), sock.channel()
    do
      local held = {}
      weak.held = held
      weak.task = sock.spawn(function()
        ch:get()
        return held
      end)
    end
    collectgarbage()
    collectgarbage()
    assert.is_truthy(weak.task and weak.held)
    weak.task:cancel()
    sock.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.same({}, weak)
  end)

  it("works in a finalizer, where the task is queued", function()
    local order = {}
    local ended = false
    setmetatable({}, { __gc = function()
      sock.spawn(function()
        order[#order + 1] = "task"
        sock.sleep(0)
        ended = true
      end)
      order[#order + 1] = "finalizer"
    end })
    collectgarbage()
    collectgarbage()
    sock.run()
    assert.same({ "finalizer", "task" }, order)
    assert.is_true(ended)
  end)

  it("runs a million short tasks #slow", function()
    local ended = 0
    sock.run(function()
      for i = 1, 1000000 do
        local t = sock.spawn(function()
          if i % 10 == 0 then
            sock.sleep(0)
          end
          ended = ended + 1
        end)
        if i % 1000 == 0 then
          t:join()
        end
      end
    end)
    assert.equal(1000000, ended)
    assert.equal(0, #sock.tasks())
  end)

  it("holds a hundred thousand tasks that wait #slow", function()
    local ch, got = sock.channel(), 0
    sock.run(function()
      for _ = 1, 100000 do
        sock.spawn(function()
          local one = ch:get()
          got = got + one
        end)
      end
      assert(#sock.tasks() == 100001)
      for _ = 1, 100000 do
        ch:put(1)
      end
    end)
    assert.equal(100000, got)
  end)
end)
