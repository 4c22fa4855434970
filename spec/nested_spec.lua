local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local pair, sorted = fixtures.pair, fixtures.sorted

local function nothing() end

--- An object with one metamethod.
local function with(event, f)
  return setmetatable({}, { [event] = f })
end

--- Where a wait may stand besides a task's own code.
local places = {
  ["string.gsub"] = function(f) string.gsub("x", "x", function() f() end) end,
  ["a comparator of table.sort"] = function(f)
    table.sort({ 2, 1 }, function(a, b)
      f()
      return a < b
    end)
  end,
  ["a reader of load"] = function(f)
    load(function() f() end)
  end,
  ["a plain coroutine"] = function(f) coroutine.wrap(f)() end,
  ["a coroutine of sock.coroutine"] = function(f) sock.coroutine.wrap(f)() end,
  ["pcall"] = function(f) assert(pcall(f)) end,
  ["xpcall"] = function(f) assert(xpcall(f, print)) end,
  ["a message handler"] = function(f)
    local _, result = xpcall(error, function(message)
      f()
      return message .. "!"
    end, "raised")
    assert(result == "raised!", result)
  end,
  ["require"] = function(f)
    package.preload["sock.spec"] = f
    package.loaded["sock.spec"] = nil
    require "sock.spec"
  end,
  ["__index"] = function(f)
    return with("__index", function()
      f()
      return 1
    end).field + 1
  end,
  ["__newindex"] = function(f) with("__newindex", f).field = 1 end,
  ["__call"] = function(f) with("__call", f)() end,
  ["__add"] = function(f) return with("__add", function() f() end) + 1, 1 end,
  ["__eq"] = function(f) return with("__eq", function() f() end) == {}, 1 end,
  ["__lt"] = function(f) return with("__lt", function() f() end) < {}, 1 end,
  ["__concat"] = function(f) return with("__concat", function() f() end) .. "x" .. "y", 1 end,
  ["__len"] = function(f) return #with("__len", function() f() end), 1 end,
  ["__tostring"] = function(f)
    tostring(with("__tostring", function()
      f()
      return "text"
    end))
  end,
  ["__close"] = function(f)
    local _ <close> = with("__close", function() f() end)
  end,
  ["__close after an error"] = function(f)
    local _, err = pcall(function()
      local _ <close> = with("__close", function() f() end)
      error("raised", 0)
    end)
    assert(err == "raised")
  end,
  ["__close in coroutine.close"] = function(f)
    local co = coroutine.create(function()
      local _ <close> = with("__close", function() f() end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert(coroutine.close(co))
  end,
  ["an iterator"] = function(f)
    for _ in function(_, i)
      f()
      return not i or nil
    end do
      nothing()
    end
  end,
}

--- A finalizer runs this in the middle of a program.
local function finalize(f)
  do
    local _ = with("__gc", function() f() end)
  end
  collectgarbage()
  collectgarbage()
end

for _, place in ipairs(sorted(places)) do
  describe("A wait in " .. place, function()
    local function waits()
      local a, b, _ <close> = pair()
      local ch, turns, got = sock.channel(), 0, {}
      local other = sock.spawn(function()
        for _ = 1, 3 do
          sock.sleep(0)
          turns = turns + 1
        end
        b:write("line\n")
        ch:put("value")
      end)
      local once
      places[place](function()
        if not once then
          once = true
          local line = a:read()
          local value = ch:get()
          got = { line, value, sock.sleep(0) }
        end
      end)
      other:join()
      assert(turns == 3)
      return table.unpack(got)
    end

    it("ends outside tasks, and tasks go on meanwhile", function()
      assert.same({ "line", "value", true }, { waits() })
    end)

    it("ends in a task, and the others go on meanwhile", function()
      assert.same({ "line", "value", true }, { sock.run(waits) })
    end)

    it("may raise", function()
      local value = {}
      local function raises()
        local err
        places[place](function()
          sock.sleep(0)
          err = err or select(2, pcall(function()
            sock.sleep(0)
            error(value)
          end))
        end)
        return err
      end
      assert.equal(value, raises())
      assert.equal(value, sock.run(raises))
    end)
  end)
end

describe("A wait in a finalizer", function()
  local function waits()
    local a, b, _ <close> = pair()
    local turns, got = 0, nil
    b:write("line\n")
    local other = sock.spawn(function()
      sock.sleep(0)
      turns = turns + 1
    end)
    finalize(function()
      local line = a:read()
      local _, _, code = a:settimeout(0.001):read()
      sock.sleep(0)
      got = { line, code, sock.sleep(0.001), turns }
    end)
    other:join()
    return table.unpack(got)
  end

  it("ends, and runs no task", function()
    assert.same({ "line", "ETIMEDOUT", true, 0 }, { waits() })
    assert.same({ "line", "ETIMEDOUT", true, 0 }, { sock.run(waits) })
  end)

  it("for the program itself raises", function()
    local results
    local t = sock.spawn(function() sock.sleep(0) end)
    finalize(function()
      results = {
        pcall(sock.channel().get, sock.channel()), pcall(t.join, t), pcall(sock.run, nothing),
      }
    end)
    t:join()
    sock.run()
    assert.same({ false, false, false }, { results[1], results[2], results[3] })
  end)
end)

describe("Waits that cannot yield", function()
  -- Each level waits in a task of its own until the deepest ends it all.
  local function nest(place)
    local ch, waiting, deepest, failed = sock.channel(), 0, 0, {}
    local function level()
      sock.spawn(function()
        sock.sleep(0)
        if #failed == 0 then
          level()
        end
      end)
      local ok, err = pcall(places[place], function()
        if ch then
          waiting = waiting + 1
          deepest = math.max(deepest, waiting)
          local fine, why = pcall(ch.get, ch)
          waiting = waiting - 1
          if not fine then
            failed[#failed + 1] = why
            ch:close()
          end
        end
      end)
      if not ok then
        failed[#failed + 1] = err
      end
    end
    sock.spawn(level)
    sock.run()
    return deepest, failed
  end

  for _, place in ipairs { "string.gsub", "a comparator of table.sort", "a plain coroutine",
    "__tostring" } do
    it("nest forty deep in " .. place .. ", the next raises", function()
      local deepest, failed = nest(place)
      assert.same({ "too many nested waits" }, failed)
      assert.is_true(deepest >= 40)
      assert.same({}, sock.tasks())
    end)
  end

  for _, place in ipairs { "a message handler", "a reader of load",
    "__close in coroutine.close" } do
    it("raise in " .. place .. " when they nest too deep, and all end", function()
      local deepest, failed = nest(place)
      assert.is_true(#failed > 0 and deepest > 20)
      assert.is_truthy(tostring(failed[1]):find "too many nested waits"
        or tostring(failed[1]):find "C stack overflow")
      assert.same({}, sock.tasks())
    end)
  end

  it("end in the order that they nest, the last first #order", function()
    local order, ch = {}, sock.channel(10)
    sock.run(function()
      for i = 1, 3 do
        sock.spawn(function()
          sock.sleep(0)
          string.gsub("x", "x", function() ch:get() end)
          order[#order + 1] = i
        end)
      end
      sock.sleep(0)
      ch:put(1):put(2):put(3)
    end)
    assert.equal(3, #order)
    assert.same({ 3, 2, 1 }, order)
  end)

  it("take what a channel has for them, although one further out was there before", function()
    local ch, got = sock.channel(10), 0
    local function take()
      string.gsub("x", "x", function() got = ch:get() + got end)
    end
    sock.run(function()
      sock.spawn(function()
        sock.sleep(0)
        take()
      end)
      sock.sleep(0)
      ch:put(1):put(20)
      sock.spawn(take):join()
    end)
    assert.equal(21, got)
  end)
end)

describe("A stranger", function()
  --- A task that waits, and the coroutine that it runs in.
  local function waiting(wait)
    local co
    local t = sock.spawn(function()
      co = coroutine.running()
      wait()
      return "result"
    end)
    return t, co
  end

  it("who resumes a waiting task's coroutine makes its wait raise", function()
    local caught
    local t, co = waiting(function()
      caught = select(2, pcall(sock.sleep, 60))
      error(caught, 0)
    end)
    coroutine.resume(co)
    assert.equal("attempt to resume a coroutine that waits", caught)
    local ok, err = pcall(t.join, t)
    assert.is_false(ok)
    assert.equal("string", type(err))
    assert.equal("failed", t:status())
  end)

  it("who closes a waiting task's coroutine ends the task, its variables closed", function()
    local closed = false
    local t, co = waiting(function()
      local _ <close> = with("__close", function() closed = true end)
      sock.sleep(60)
    end)
    assert.is_true(coroutine.close(co))
    assert.is_true(closed)
    assert.is_false(pcall(t.join, t))
    assert.equal("failed", t:status())
    assert.same({}, sock.tasks())
  end)

  it("who resumes a task that has caught that finds it sound or failed", function()
    local a, b, _ <close> = pair()
    local before = sock.onerror(nothing)
    for round = 1, 50 do
      local t, co = waiting(function()
        for _ = 1, 5 do
          pcall(sock.sleep, 0)
          pcall(a.recv, a, 1)
          pcall(coroutine.yield)
        end
      end)
      for _ = 1, round % 8 do
        b:send("xx")
        coroutine.resume(co)
        sock.sleep(0)
      end
      b:send(("x"):rep(10))
      t:cancel()
      pcall(t.join, t, 5)
      assert.is_true(t:status() ~= "waiting" and t:status() ~= "ready")
    end
    sock.onerror(before)
  end)

  it("whose coroutine.yield stands in a task only lets the others run", function()
    local order = {}
    local t = sock.spawn(function()
      for i = 1, 2 do
        order[#order + 1] = "a" .. i
        coroutine.yield("ignored", i)
      end
    end)
    local u = sock.spawn(function()
      for i = 1, 2 do
        order[#order + 1] = "b" .. i
        coroutine.yield()
      end
    end)
    t:join()
    u:join()
    assert.same({ "a1", "b1" }, { order[1], order[2] })
    assert.equal(4, #order)
  end)
end)
