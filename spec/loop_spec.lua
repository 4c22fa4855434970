-- The turns of the loop, and what the library is to the program around it.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local run, busy = fixtures.run, fixtures.busy

local function pair(kind)
  return fixtures.pair(kind, 10)
end

-- In a random order a task may have to wait for some turns.
local TURNS <const> = os.getenv("SOCK_SHUFFLE") and 200 or 20

describe("A turn", function()
  it("runs what was ready at its start, then looks for events", function()
    run(function()
      local a, b, _ <close> = pair()
      local spins, stop = 0, false
      local spinner = sock.spawn(function()
        while not stop do
          coroutine.yield()
          spins = spins + 1
          assert.is_true(spins < 1000)
        end
      end)
      local reader = sock.spawn(a.recv, a)
      assert(b:send("x"))
      assert.equal("x", reader:join())
      stop = true
      spinner:join()
    end)
  end)

  it("comes to a task that never has to wait for its data", function()
    run(function()
      local a, b, _ <close> = pair()
      local others, calls = 0, 0
      local other = sock.spawn(function()
        for _ = 1, 10 do
          sock.sleep(0)
          others = others + 1
        end
      end)
      while others < 10 do
        assert(a:send("x"))
        assert.equal("x", b:recv())
        calls = calls + 2
        assert.is_true(calls <= TURNS * 128)
      end
      other:join()
    end)
  end)

  it("comes to a task that asks wait and select what is always ready", function()
    run(function()
      local a, _, _ <close> = pair()
      local others, calls = 0, 0
      local other = sock.spawn(function()
        for _ = 1, 10 do
          sock.sleep(0)
          others = others + 1
        end
      end)
      while others < 10 and calls < TURNS * 128 do
        assert.equal("w", a:wait("w"))
        assert(sock.select({}, { a }))
        calls = calls + 2
      end
      assert.equal(10, others)
      other:join()
    end)
  end)

  it("comes to a task that puts into an endless channel", function()
    run(function()
      local ch, others, calls = sock.channel(math.huge), 0, 0
      local other = sock.spawn(function()
        for _ = 1, 10 do
          sock.sleep(0)
          others = others + 1
        end
      end)
      while others < 10 do
        ch:put(calls)
        calls = calls + 1
        assert.is_true(calls <= TURNS * 128)
      end
      other:join()
    end)
  end)

  it("lets a cancel through to a task that only asks what is ready", function()
    run(function()
      local a, _, _ <close> = pair()
      local calls = 0
      local task = sock.spawn(function()
        sock.sleep(0)
        while calls < 10000 do
          a:wait("w")
          calls = calls + 1
        end
      end)
      task:cancel()
      task:join()
      assert.equal("cancelled", task:status())
      local other = sock.spawn(function()
        sock.sleep(0)
        sock.task():cancel()
        while calls < 10000 do
          a:wait("w")
          calls = calls + 1
        end
      end)
      other:join()
      assert.equal("cancelled", other:status())
    end)
  end)

  it("collects all timers that are due before any of them runs", function()
    run(function()
      local log, tasks = {}, {}
      for i = 1, 5 do
        tasks[i] = sock.spawn(function()
          sock.sleep(0.001)
          log[#log + 1] = i
          if #log == 1 then
            for _, task in ipairs(tasks) do
              if task ~= sock.task() then
                assert.equal("ready", task:status())
              end
            end
          end
        end)
      end
      busy(0.003)
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(5, #log)
    end)
  end)

  it("of an inner driver serves all who wait, also further out", function()
    run(function()
      local a, b, _ <close> = pair()
      local got
      local reader = sock.spawn(function() got = a:recv() end)
      local inside = (("x"):gsub("x", function()
        assert(b:send("served"))
        sock.sleep(0.005)
        return got
      end))
      assert.equal("served", inside)
      reader:join()
    end)
  end)

  it("keeps no batch from an inner driver: what it makes ready runs there", function()
    run(function()
      local order, tasks = {}, {}
      local ch = sock.channel()
      for i = 1, 3 do
        tasks[i] = sock.spawn(function()
          ch:get()
          order[#order + 1] = i
        end)
      end
      local inner = sock.spawn(function()
        coroutine.yield()
        return (("x"):gsub("x", function()
          for _ = 1, 3 do
            ch:put(true)
          end
          for _ = 1, 3 do
            tasks[_]:join()
          end
          return #order
        end))
      end)
      assert.equal("3", inner:join())
    end)
  end)
end)

describe("Spawns inside each other", function()
  it("start at once sixteen deep, and are queued beyond", function()
    run(function()
      local deepest, tasks = 0, {}
      local function nest(n)
        deepest = math.max(deepest, n)
        if n < 50 then
          tasks[#tasks + 1] = sock.spawn(nest, n + 1)
        end
      end
      nest(0)
      assert.is_true(deepest >= 14 and deepest <= 17)
      while deepest < 50 do
        sock.sleep(0)
      end
      for _, task in ipairs(tasks) do
        task:join()
      end
    end)
  end)
end)

describe("A task that cannot be resumed where the C stack is full", function()
  it("is resumed later", function()
    local p <close> = peer.lua([[
      local sock = require "sock"
      sock.run(function()
        local victim = sock.spawn(function()
          for _ = 1, 5 do sock.sleep(0) end
          return "lived"
        end)
        local function deep(n)
          local ok = pcall(string.gsub, "x", "x", function()
            if n > 185 then sock.sleep(0) else deep(n + 1) end
          end)
          if not ok then pcall(sock.sleep, 0) end
        end
        deep(1)
        print(victim:join())
      end)
    ]])
    assert.equal("lived\n", p:rest())
  end)
end)

describe("The library", function()
  it("has no globals but its two tables and their locks", function()
    local path = package.searchpath("sock.core", package.cpath)
    local pipe <close> = assert(io.popen("objdump -t " .. path .. " 2>/dev/null"))
    local text = pipe:read("a")
    if text == "" or os.getenv("SOCK_ASAN") then
      return pending("needs objdump, without the sanitizers")
    end
    local ours = {}
    for section, name in text:gmatch(" (%.%l+)%s+%x+%s+(%S+)") do
      -- but for what the compiler puts into every shared object
      if (section == ".data" or section == ".bss" or section == ".tbss")
        and not name:find("^_") and not name:find("^completed") and not name:find("^%.") then
        ours[#ours + 1] = name
      end
    end
    table.sort(ours)
    assert.same({ "lock", "process", "rows" }, ours) -- one has its lock inside
  end)

  it("stays loaded: threads may outlive the Lua state", function()
    local path = package.searchpath("sock.core", package.cpath)
    local pipe <close> = assert(io.popen("readelf -d " .. path .. " 2>/dev/null"))
    local text = pipe:read("a")
    if text == "" then
      return pending("needs readelf")
    end
    assert.matches("NODELETE", text)
  end)
end)
