local sock = require "sock"
local peer = require "spec.support.peer"

--- Pauses instead of sleeping: runs f and gives what it would have slept.
local core = require "sock.core"
local function pauses(f)
  local list, sleep = {}, core.sleep
  local _ <close> = setmetatable({}, { __close = function() core.sleep = sleep end })
  core.sleep = function(seconds) list[#list + 1] = seconds end
  f()
  return list
end

local function never() return nil, "no", "ENO" end

describe("sock.retry", function()
  it("gives all that f returns, the first time it gives a value", function()
    local calls = 0
    local results = table.pack(sock.retry(function()
      calls = calls + 1
      return 0, nil, "three", nil
    end))
    assert.same({ 0, nil, "three", nil, n = 4 }, results)
    assert.equal(1, calls)
  end)

  it("calls f again after nil, false and nothing", function()
    local answers, calls = { {}, { nil, "why", "EWHY" }, { false }, { "value" } }, 0
    local function f(...)
      assert.equal(0, select("#", ...))
      calls = calls + 1
      return table.unpack(answers[calls])
    end
    assert.equal("value", sock.retry(f, { first = 0 }))
    assert.equal(4, calls)
  end)

  it("gives at last what the last attempt gave", function()
    local calls = 0
    local function f()
      calls = calls + 1
      return nil, "attempt " .. calls, "ECODE"
    end
    assert.same({ nil, "attempt 5", "ECODE" }, { sock.retry(f, { first = 0.001 }) })
    assert.same({ nil, "attempt 8", "ECODE" }, { sock.retry(f, { first = 0, attempts = 3 }) })
    assert.equal(0, select("#", sock.retry(function() end, { first = 0, attempts = 2 })))
    assert.is_false(sock.retry(function() return false end, { first = 0 }))
  end)

  it("with one attempt does not pause", function()
    assert.same({}, pauses(function() sock.retry(never, { attempts = 1 }) end))
  end)

  it("pauses between attempts, not after the last", function()
    assert.equal(4, #pauses(function() sock.retry(never) end))
    assert.equal(2, #pauses(function() sock.retry(never, { attempts = 3 }) end))
  end)

  it("pauses twice as long each time, from first to longest", function()
    for _ = 1, 50 do
      local list = pauses(function() sock.retry(never, { attempts = 12 }) end)
      local low = 0.1
      for i, seconds in ipairs(list) do
        assert.is_true(seconds >= math.min(low, 5) and seconds <= math.min(2 * low, 10),
          i .. ": " .. seconds)
        low = 2 * low
      end
    end
  end)

  it("never pauses longer than longest nor shorter than first", function()
    for _, how in ipairs { { 0.3, 0.4 }, { 2, 2 }, { 5, 1 }, { 0, 0 }, { 1e300, 3 } } do
      local least = math.min(how[1], how[2])
      for _, seconds in ipairs(pauses(function()
        sock.retry(never, { attempts = 2000, first = how[1], longest = how[2] })
      end)) do
        assert.is_true(seconds >= least and seconds <= how[2], tostring(seconds))
      end
    end
  end)

  it("pauses differently each time, whatever math.random was seeded with", function()
    local function once()
      math.randomseed(42)
      return pauses(function() sock.retry(never, { attempts = 3 }) end)
    end
    assert.not_same(once(), once())
    math.randomseed(7)
    local expected = math.random()
    math.randomseed(7)
    once()
    math.randomseed(7)
    assert.equal(expected, math.random())
  end)

  it("leaves math.random to the program", function()
    math.randomseed(7)
    local expected = { math.random(), math.random() }
    math.randomseed(7)
    local got = { math.random() }
    pauses(function() sock.retry(never) end)
    got[2] = math.random()
    assert.same(expected, got)
  end)

  it("pauses differently in each process", function()
    local seen = {}
    for _ = 1, 2 do
      local p <close> = peer.lua [[
        local core = require "sock.core"
        math.randomseed(1)
        core.sleep = print
        require "sock".retry(function() end)
      ]]
      seen[#seen + 1] = p:rest()
    end
    assert.not_equal(seen[1], seen[2])
  end)

  it("does without a source of randomness", function()
    local open = io.open
    io.open = function() return nil end -- luacheck: ignore 122
    local ok, list = pcall(pauses, function() sock.retry(never) end)
    io.open = open -- luacheck: ignore 122
    assert.is_true(ok)
    assert.equal(4, #list)
  end)

  it("for ever goes on for ever", function()
    local calls = 0
    assert.equal("done", sock.retry(function()
      calls = calls + 1
      return calls == 1100 and "done" -- 2^1024 is infinite
    end, { attempts = math.huge, first = 0 }))
  end)

  it("raises what f raises, at once", function()
    local calls = 0
    assert.has_error(function()
      sock.retry(function()
        calls = calls + 1
        error({ "mine" })
      end)
    end, { "mine" })
    assert.equal(1, calls)
  end)

  it("is cancelled in its pause, and by sock.timeout", function()
    assert.same({ nil, "timed out", "ETIMEDOUT" },
      { sock.timeout(0.01, sock.retry, never, { first = 60, longest = 60 }) })
    sock.run(function()
      local task = sock.spawn(sock.retry, never, { first = 60, longest = 60 })
      assert.equal("waiting", task:status())
      task:cancel()
      assert.equal("ECANCELED", (select(3, task:join())))
    end)
  end)

  it("pauses for ever where that is asked for", function()
    assert.same({ nil, "timed out", "ETIMEDOUT" },
      { sock.timeout(0.01, sock.retry, never, { first = math.huge, longest = math.huge }) })
  end)

  it("lets other tasks run in its pauses", function()
    sock.run(function()
      local turns = 0
      local other = sock.spawn(function()
        while true do
          sock.sleep(0)
          turns = turns + 1
        end
      end)
      sock.retry(never, { attempts = 3, first = 0.01 })
      other:cancel()
      assert.is_true(turns > 2)
    end)
  end)

  it("brings a client back to a server that comes late", function()
    local port = peer.freeport()
    sock.run(function()
      sock.spawn(function()
        sock.sleep(0.05)
        local l <close> = assert(sock.socket())
        assert(l:setsockopt("reuseaddr", true):bind("127.0.0.1", port):listen())
        l:accept():close()
      end)
      local s <close> = assert(sock.retry(function()
        return sock.connect("127.0.0.1", port)
      end, { first = 0.02, attempts = 20 }))
      assert.equal(port, s:getpeername().port)
    end)
  end)

  it("raises for arguments of the wrong type", function()
    local function refuses(pattern, ...)
      local arguments = table.pack(...)
      local _, message = pcall(function()
        sock.retry(table.unpack(arguments, 1, arguments.n))
      end)
      assert.matches("^spec/retry_spec%.lua:%d+: bad argument " .. pattern, message)
    end
    refuses("#1 to 'retry' %(function expected, got nil%)")
    refuses("#1 to 'retry' %(function expected, got table%)", {})
    refuses("#2 to 'retry' %(table expected, got number%)", never, 5)
    refuses("#2 to 'retry' %(unknown option 'tries'%)", never, { tries = 5 })
    refuses("#2 to 'retry' %(option 'attempts': number from 1 expected%)", never, { attempts = 0 })
    refuses("#2 to 'retry' %(option 'first': number from 0 expected%)", never, { first = -1 })
    refuses("#2 to 'retry' %(option 'longest': number from 0 expected%)", never,
      { longest = 0 / 0 })
    refuses("#2 to 'retry' %(option 'longest': number from 0 expected%)", never,
      { longest = "1" })
  end)
end)
