local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local nothing, pair, output = fixtures.nothing, fixtures.pair, peer.output

--- The number of the line `below` lines after the one that calls.
local function line(below)
  return debug.getinfo(2, "l").currentline + below
end

describe("sock.run with a function", function()
  it("gives what the function returned", function()
    assert.same({ 1, nil, "three", nil, n = 4 }, table.pack(sock.run(function()
      sock.sleep(0)
      return 1, nil, "three", nil
    end)))
    assert.equal(0, select("#", sock.run(nothing)))
  end)

  it("passes its arguments on", function()
    assert.same({ 3, "a", nil, nil, n = 4 },
      table.pack(sock.run(function(...) return select("#", ...), ... end, "a", nil, nil)))
  end)

  it("runs it as a task", function()
    assert.equal("task", sock.type(sock.run(sock.task)))
  end)

  it("waits for the tasks begun in it", function()
    local ended = false
    sock.run(function()
      sock.spawn(function()
        sock.sleep(0.01)
        ended = true
      end)
    end)
    assert.is_true(ended)
  end)

  it("waits for those that they begin, however late", function()
    local ended = 0
    local function generation(left)
      sock.sleep(0)
      ended = ended + 1
      if left > 0 then
        sock.spawn(generation, left - 1)
        sock.spawn(generation, left - 1)
      end
    end
    sock.run(function() sock.spawn(generation, 6) end)
    assert.equal(127, ended)
  end)

  it("waits for those that a scope's task begins outside the scope", function()
    local ended = false
    sock.run(function()
      sock.scope(function(scope)
        scope:spawn(function()
          sock.spawn(function()
            sock.sleep(0.01)
            ended = true
          end)
        end)
      end)
      assert(not ended)
    end)
    assert.is_true(ended)
  end)

  it("does not wait for tasks that were there before", function()
    local ch = sock.channel()
    local before = sock.spawn(function() return ch:get() end)
    assert.equal("result", sock.run(function() return "result" end))
    assert.equal("waiting", before:status())
    ch:put("end")
    assert.equal("end", before:join())
  end)

  it("raises what the function raised, the very value", function()
    for _, value in ipairs { {}, "text", 42, false } do
      local ok, err = pcall(sock.run, error, value, 0)
      assert.is_false(ok)
      assert.equal(value, err)
    end
    assert.same({ false, nil, n = 2 }, table.pack(pcall(sock.run, error)))
  end)

  it("that raises cancels its tasks, and awaits them", function()
    local order = {}
    local ok, err = pcall(sock.run, function()
      sock.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          order[#order + 1] = "closed"
        end })
        sock.channel():get()
      end)
      sock.spawn(function()
        sock.spawn(function()
          local _, caught = pcall(sock.sleep, 60)
          order[#order + 1] = tostring(caught)
        end)
      end)
      sock.sleep(0)
      error("stop", 0)
    end)
    assert.same({ false, "stop" }, { ok, err })
    table.sort(order)
    assert.same({ "cancelled", "closed" }, order)
    assert.same({}, sock.tasks())
  end)

  it("leaves the others alone when one of its tasks fails", function()
    local told = {}
    local before = sock.onerror(function(err) told[#told + 1] = err end)
    local result = sock.run(function()
      sock.spawn(error, "of a task")
      sock.sleep(0.01)
      return "result"
    end)
    sock.onerror(before)
    assert.equal("result", result)
    assert.same({ "of a task" }, told)
  end)

  it("gives nil, \"cancelled\", \"ECANCELED\" when its task is cancelled", function()
    assert.same({ nil, "cancelled", "ECANCELED" }, { sock.run(function()
      sock.task():cancel()
      sock.sleep(0)
    end) })
  end)

  it("raises for what is no function", function()
    assert.error_matches(function() sock.run(42) end, "function expected, got number")
    assert.error_matches(function() sock.run(nil, 1) end, "function expected, got nil")
    assert.same({}, sock.tasks())
  end)
end)

describe("sock.run in a task", function()
  it("waits for the tasks begun in it, and not for others", function()
    local ch, ended = sock.channel(), false
    sock.run(function()
      local other = sock.spawn(function() return ch:get() end)
      assert(sock.run(function()
        sock.spawn(function()
          sock.sleep(0)
          ended = true
        end)
        return "inner"
      end) == "inner")
      assert(ended and other:status() == "waiting")
      ch:put(1)
    end)
  end)

  it("raises what its function raised, and the others go on", function()
    local other
    local ok, err = sock.run(function()
      other = sock.spawn(function()
        sock.sleep(0.01)
        return "other"
      end)
      local value = {}
      local result = table.pack(pcall(sock.run, error, value))
      return result[1], result[2] == value
    end)
    assert.same({ false, true }, { ok, err })
    assert.equal("other", other:join())
  end)

  it("is cancelled with the task", function()
    local inner
    local t = sock.spawn(function()
      sock.run(function()
        inner = sock.spawn(sock.sleep, 60)
        sock.sleep(60)
      end)
    end)
    t:cancel()
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
    assert.equal("cancelled", inner:status())
  end)

  it("nests a hundred deep", function()
    local function nest(n)
      sock.sleep(0)
      return n == 0 and 0 or 1 + sock.run(nest, n - 1)
    end
    assert.equal(100, sock.run(nest, 100))
  end)
end)

describe("sock.run without a function", function()
  it("waits for all tasks", function()
    local ended = 0
    for _ = 1, 3 do
      sock.spawn(function()
        sock.sleep(0.01)
        sock.spawn(function()
          sock.sleep(0)
          ended = ended + 1
        end)
      end)
    end
    sock.run()
    assert.equal(3, ended)
    assert.same({}, sock.tasks())
  end)

  it("comes back at once where there is none", function()
    assert.is_true(sock.run())
  end)

  it("is for the main thread only", function()
    assert.error_matches(function() sock.run(function() sock.run() end) end, "main thread only")
    assert.error_matches(coroutine.wrap(function() sock.run() end), "main thread only")
  end)

  it("does not raise what tasks raise", function()
    local told = {}
    local before = sock.onerror(function(err) told[#told + 1] = err end)
    sock.spawn(function()
      sock.sleep(0)
      error("of a task", 0)
    end)
    sock.run()
    sock.onerror(before)
    assert.same({ "of a task" }, told)
  end)
end)

describe("The main thread", function()
  it("waits while tasks go on", function()
    local a, b, _ <close> = pair()
    local echo = sock.spawn(function()
      for text in function() return b:read("L") end do
        b:write(text)
      end
    end)
    for i = 1, 3 do
      a:write(i, "\n")
      assert.equal(tostring(i), a:read())
    end
    a:shutdown("send")
    echo:join()
  end)

  it("that never waits lets tasks run all the same", function()
    local a, b, _ <close> = pair()
    local runs = 0
    local t = sock.spawn(function()
      while runs < 5 do
        sock.sleep(0)
        runs = runs + 1
      end
    end)
    for _ = 1, 1000 do
      a:send("x")
      b:recv(1)
    end
    assert.equal(5, runs)
    t:join()
  end)

  it("does not wait for its tasks at the end, and says so", function()
    local text = output [[
      sock.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() print "closed" end })
        sock.sleep(60)
      end)
      sock.spawn(sock.sleep, 60)
      print "end" ]]
    assert.equal("end\nsock: 2 tasks were still waiting at the end\n", text)
    assert.equal("sock: 1 task was still waiting at the end\n", output "sock.spawn(sock.sleep, 60)")
  end)
end)

describe("A deadlock", function()
  local function get(ch)
    return (ch:get())
  end

  local getline = debug.getinfo(get, "S").linedefined + 1

  it("is raised by run, once its tasks have been cancelled and have ended", function()
    local ch, caught, inner = sock.channel()
    local ok, err = pcall(sock.run, function()
      inner = sock.spawn(function()
        caught = select(2, pcall(get, ch))
        sock.sleep(0)
      end)
      get(ch)
    end)
    assert.is_false(ok)
    assert.matches("^deadlock: ", err)
    assert.matches("spec/run_spec.lua:" .. getline, err)
    assert.equal(sock.run(function() return inner:status() end), "cancelled")
    assert.equal("cancelled", tostring(caught))
    assert.same({}, sock.tasks())
  end)

  it("tells the line on which each task waits", function()
    local ch, other = sock.channel(), sock.channel()
    local ok, err = pcall(sock.run, function()
      sock.spawn(function() other:put(1) end)
      ch:get()
    end)
    assert.is_false(ok)
    assert.matches("spec/run_spec.lua:" .. line(-4), err)
    assert.matches("spec/run_spec.lua:" .. line(-4), err)
  end)

  it("is raised by run without a function", function()
    local ch = sock.channel()
    local t = sock.spawn(get, ch)
    assert.error_matches(sock.run, "^deadlock: .*spec/run_spec.lua:" .. getline)
    assert.equal("cancelled", t:status())
    assert.same({}, sock.tasks())
  end)

  it("is raised by join, and the task waits on", function()
    local ch = sock.channel()
    local t = sock.spawn(get, ch)
    assert.error_matches(function() t:join() end, "^deadlock: .*spec/run_spec.lua:" .. getline)
    assert.equal("waiting", t:status())
    ch:put("value")
    assert.equal("value", t:join())
  end)

  it("is raised by a channel's get and put", function()
    local ch = sock.channel()
    assert.error_matches(function() ch:get() end, "^deadlock: ")
    assert.error_matches(function() ch:put(1) end, "^deadlock: ")
    local t = sock.spawn(function() return ch:get() end)
    ch:put("value")
    assert.equal("value", t:join())
  end)

  it("is raised by an endless sleep", function()
    assert.error_matches(function() sock.sleep(math.huge) end, "^deadlock: ")
  end)

  it("of tasks that join each other is raised, with their lines", function()
    local a, b
    a = sock.spawn(function()
      sock.sleep(0)
      b:join()
    end)
    b = sock.spawn(function()
      a:join()
    end)
    local ok, err = pcall(a.join, a)
    assert.is_false(ok)
    assert.matches("^deadlock: ", err)
    assert.matches("spec/run_spec.lua:" .. line(-8), err)
    assert.matches("spec/run_spec.lua:" .. line(-6), err)
    a:cancel()
    b:cancel()
    sock.run()
  end)

  it("is raised where a task waits without yielding", function()
    local ch = sock.channel()
    local err = sock.run(function()
      return (select(2, pcall(string.gsub, "x", "x", function() ch:get() end)))
    end)
    assert.matches("^deadlock: ", err)
  end)

  it("names twenty tasks and counts the rest", function()
    local ch = sock.channel()
    local ok, err = pcall(sock.run, function()
      for _ = 1, 30 do
        sock.spawn(get, ch)
      end
    end)
    assert.is_false(ok)
    local _, named = err:gsub("spec/run_spec.lua:" .. getline, "")
    assert.equal(20, named)
    assert.matches("10 more", err)
  end)

  it("is none while a timer, a descriptor, a look-up or a signal may end the wait", function()
    local ch = sock.channel()
    local a, b, _ <close> = pair()
    local signals = sock.signal("USR1")
    local stat <close> = assert(io.open("/proc/self/stat"))
    local kill = "kill -USR1 " .. stat:read("n")
    local function send() a:send("x") end
    local rows = {
      { function() sock.sleep(0.001) end, nothing },
      { function() sock.timeout(0.001, sock.sleep, 60) end, nothing },
      { function() ch:get(0.001) end, nothing },
      { function() assert(b:recv()) end, send },
      { function() assert(sock.wait(b, "r") and b:recv()) end, send },
      { function() assert(sock.select({ b:fd() }) and b:recv()) end, send },
      { function() assert(sock.getaddrinfo("localhost")) end, nothing },
      { function() assert(signals:wait() == "USR1") end, function() os.execute(kill) end },
    }
    for i, row in ipairs(rows) do
      local ended = sock.channel()
      local t = sock.spawn(function()
        row[1]()
        ended:put(i)
      end)
      row[2]()
      assert.equal(i, ended:get())
      t:join()
    end
    signals:close()
  end)

  it("is found again after many waits that were cut short", function()
    local a, _, _ <close> = pair()
    local ch = sock.channel()
    for _ = 1, 50 do
      sock.spawn(a.recv, a):cancel()
      sock.spawn(sock.wait, a, "r"):cancel()
      sock.spawn(sock.sleep, 60):cancel()
      sock.spawn(ch.get, ch, 60):cancel()
      sock.timeout(0.0001, a.recv, a)
      sock.timeout(0.0001, sock.select, { a, a:fd() })
      ch:get(0.0001)
    end
    sock.run()
    assert.error_matches(function() ch:get() end, "^deadlock: ")
  end)
end)
