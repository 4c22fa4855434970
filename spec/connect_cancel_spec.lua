-- sock.connect that is ended from outside, in each of its phases: at once, and
-- nothing of it is left.

local sock = require "sock"
local names = require "spec.support.names"
local peer = require "spec.support.peer"

local function blackhole(host)
  local l = assert(sock.socket(host:find(":") and "inet6" or "inet"))
  assert(l:bind(host, 0):listen(0))
  local filler = assert(sock.connect(l:getsockname()))
  return l:getsockname(), filler, l
end

local one, two, never, held

local function never_found()
  return never:get()
end

--- What is looked up, by phase; each of these connects never ends.
local known = {
  ["lookup.test"] = never_found,
  ["late.test"] = function(_, options)
    if options.family then
      return { one }
    end
    return never:get()
  end,
}

local phases = {
  ["alone"] = function(options) return sock.connect(two, options) end,
  ["in a look-up"] = function(options) return sock.connect("lookup.test", 9, options) end,
  ["in a race"] = function(options) return sock.connect("race.test", 9, options) end,
  ["in a race whose look-up goes on"] = function(options)
    return sock.connect("late.test", 9, options)
  end,
  ["at a silent proxy"] = function(options)
    options = options or {}
    options.via = "socks5://" .. tostring(held.stalled:getsockname())
    return sock.connect("target.test", 80, options)
  end,
  ["on the way to a proxy"] = function(options)
    options = options or {}
    options.via = "http://race.test:1"
    return sock.connect("target.test", 80, options)
  end,
}

for phase, connect in pairs(phases) do
  -- Each phase lasts for ever: after so many seconds it has begun, a look-up is
  -- helped by another, a race has its second attempt.
  local THERE = { 0, 0.01, phase:find("look%-up") and 0.07 or phase:find("race") and 0.3 }

  describe("sock.connect " .. phase, function()
    setup(function()
      held, never = {}, sock.channel()
      one, held.a, held.b = blackhole("127.0.0.1")
      two, held.c, held.d = blackhole("::1")
      known["race.test"] = { tostring(two), tostring(one) }
      held.stalled = assert(sock.socket():bind("127.0.0.1", 0):listen())
    end)

    teardown(function()
      for _, s in pairs(held) do
        s:close()
      end
    end)

    --- Runs f, and fails if it leaves a descriptor or a task behind.
    local function nothing_left(f)
      local descriptors, tasks = names.descriptors(), #sock.tasks()
      names.with(known, f)
      assert.equal(descriptors, names.descriptors())
      assert.equal(tasks, #sock.tasks())
    end

    it("ends with sock.timeout", function()
      for _, seconds in ipairs(THERE) do
        nothing_left(function()
          assert.same({ nil, "timed out", "ETIMEDOUT" }, { sock.timeout(seconds, connect) })
        end)
        nothing_left(function()
          sock.run(function()
            assert.same({ nil, "timed out", "ETIMEDOUT" }, { sock.timeout(seconds, connect) })
          end)
        end)
      end
    end)

    it("ends with its own timeout", function()
      for _, seconds in ipairs(THERE) do
        nothing_left(function()
          local s, message, code = connect { timeout = seconds }
          assert.same({ nil, "ETIMEDOUT" }, { s, code })
          assert.matches("^connect .*: timed out", message)
        end)
      end
    end)

    it("ends with the sooner of both", function()
      nothing_left(function()
        assert.same({ nil, "timed out", "ETIMEDOUT" },
          { sock.timeout(0.02, connect, { timeout = 30 }) })
        assert.matches("^connect ",
          (select(2, sock.timeout(30, connect, { timeout = 0.02 }))))
      end)
    end)

    it("ends with its task", function()
      for _, seconds in ipairs(THERE) do
        nothing_left(function()
          sock.run(function()
            local task = sock.spawn(connect)
            sock.sleep(seconds)
            task:cancel()
            assert.equal("ECANCELED", (select(3, task:join())))
            assert.equal("cancelled", task:status())
          end)
        end)
      end
    end)

    it("ends with its task before it has begun", function()
      nothing_left(function()
        sock.run(function()
          sock.spawn(function()
            local task = sock.task()
            task:cancel()
            connect()
          end):join()
        end)
      end)
    end)

    it("ends with its scope", function()
      for _, seconds in ipairs(THERE) do
        nothing_left(function()
          sock.scope(function(scope)
            scope:spawn(connect)
            sock.sleep(seconds)
            scope:cancel()
          end)
        end)
      end
    end)

    it("ends with another's error", function()
      nothing_left(function()
        assert.has_error(function()
          sock.scope(function(scope)
            scope:spawn(connect)
            scope:spawn(function()
              sock.sleep(0.01)
              error("enough", 0)
            end)
          end)
        end, "enough")
      end)
    end)

    it("in a plain coroutine ends with its task", function()
      nothing_left(function()
        sock.run(function()
          local task
          sock.spawn(function()
            sock.sleep(0.02)
            task:cancel()
          end)
          sock.spawn(function() -- returns when the coroutine's wait is over
            task = sock.task()
            coroutine.wrap(connect)()
          end)
          assert.equal("ECANCELED", (select(3, task:join())))
        end)
      end)
    end)

    it("in a generator of sock.coroutine ends with its task", function()
      nothing_left(function()
        sock.run(function()
          local task = sock.spawn(function() sock.coroutine.wrap(connect)() end)
          sock.sleep(0.02)
          task:cancel()
          assert.equal("ECANCELED", (select(3, task:join())))
        end)
      end)
    end)

    it("in a hundred tasks ends with them", function()
      nothing_left(function()
        sock.run(function()
          local tasks = {}
          for i = 1, 100 do
            tasks[i] = sock.spawn(connect)
          end
          sock.sleep(0.1)
          for _, task in ipairs(tasks) do
            task:cancel()
          end
          for _, task in ipairs(tasks) do
            assert.equal("ECANCELED", (select(3, task:join())))
          end
        end)
      end)
    end)
  end)
end

describe("sock.connect at the prompt", function()
  local function descriptors(pid)
    local count = 0
    for _ in require("lfs").dir("/proc/" .. pid .. "/fd") do
      count = count + 1
    end
    return count
  end

  it("is ended by ^C, alone, in a look-up and in a race, and nothing is left", function()
    local address, filler, l = blackhole("127.0.0.1")
    local _ <close> = filler
    local _ <close> = l -- luacheck: ignore 411
    local prompt <close> = peer.prompt()
    prompt:type('sock = require "sock" core = require "sock.core" a = sock.address("'
      .. tostring(address) .. '") sock.sleep(0.001)')
    prompt:await("> ")
    prompt:type('core.getaddrinfo = function(host) if host == "slow" then sock.sleep(60) end'
      .. ' return { a, sock.address("127.0.0.1:9"), a } end')
    prompt:await("> ")
    local before = descriptors(prompt.child)
    for _, call in ipairs { "a", '"slow", 9', '"race", 9' } do
      prompt:type("io.write('go', 'ing', string.char(10)) sock.connect(" .. call .. ")")
      prompt:await("going")
      peer.awaitstate(prompt.child, "S")
      prompt:press("\3")
      prompt:await("interrupted!")
      prompt:await("> ")
      assert.equal(before, descriptors(prompt.child))
    end
    prompt:type("print(#sock.tasks(), 6 * 7)")
    prompt:await("0\t42")
  end)

  it("works, and shows what it gives", function()
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local prompt <close> = peer.prompt()
    prompt:type('sock = require "sock"')
    prompt:await("> ")
    prompt:type('sock.connect("localhost", ' .. l:getsockname().port .. ")")
    prompt:await("<-> 127.0.0.1:" .. l:getsockname().port)
  end)
end)
