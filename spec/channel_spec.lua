local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local busy, run, settle = fixtures.busy, fixtures.run, fixtures.settle

--- Whatever a channel still gives, as a list.
local function drain(ch)
  local list = {}
  for v in ch:each() do
    list[#list + 1] = v
  end
  return list
end

describe("sock.channel", function()
  it("makes what sock.type calls a channel", function()
    assert.equal("channel", sock.type(sock.channel()))
  end)

  it("has no room unless told", function()
    local ok, _, code = sock.channel():put("x", 0)
    assert.same({ nil, "ETIMEDOUT" }, { ok, code })
  end)

  it("raises for a capacity that is no count", function()
    assert.error_matches(function() sock.channel(-1) end, "^bad argument #1 to 'channel'")
    assert.error_matches(function() sock.channel(1.5) end, "^bad argument #1 to 'channel'")
    assert.error_matches(function() sock.channel(0 / 0) end, "^bad argument #1 to 'channel'")
    assert.error_matches(function() sock.channel("many") end, "^bad argument #1 to 'channel'")
    assert.error_matches(function() sock.channel({}) end, "^bad argument #1 to 'channel'")
  end)

  it("has methods that raise for what is no channel", function()
    local ch = sock.channel()
    for _, name in ipairs { "put", "get", "close", "each" } do
      assert.error_matches(function() ch[name](io.stdout, 1) end, "bad argument #1")
      assert.error_matches(function() ch[name]() end, "bad argument #1")
    end
  end)
end)

describe("A buffered channel", function()
  it("takes values without a getter, up to its capacity", function()
    local ch = sock.channel(2)
    assert.equal(ch, ch:put("a"))
    assert.equal(ch, ch:put("b"))
    assert.same({ nil, "put: timed out", "ETIMEDOUT" }, { ch:put("c", 0) })
  end)

  it("gives them in their order", function()
    local ch = sock.channel(3)
    ch:put(1):put(2):put(3)
    assert.same({ 1, 2, 3 }, { ch:get(), ch:get(), ch:get() })
  end)

  it("counts them", function()
    local ch = sock.channel(3)
    assert.equal(0, #ch)
    ch:put("a"):put("b")
    assert.equal(2, #ch)
    ch:get()
    assert.equal(1, #ch)
  end)

  it("has room again when one is taken", function()
    local ch = sock.channel(1)
    ch:put("a")
    ch:get()
    assert.equal(ch, ch:put("b", 0))
    assert.equal("b", ch:get(0))
  end)

  it("has no limit with math.huge", function()
    local ch = sock.channel(math.huge)
    for i = 1, 100000 do
      assert(ch:put(i, 0))
    end
    assert.equal(100000, #ch)
    local sum = 0
    for _ = 1, 100000 do
      sum = sum + ch:get(0)
    end
    assert.equal(5000050000, sum)
    assert.equal(0, #ch)
  end)

  it("holds false, and tables and functions as themselves", function()
    local ch, t = sock.channel(3), {}
    ch:put(false):put(t):put(print)
    assert.equal(false, ch:get())
    assert.equal(t, ch:get())
    assert.equal(print, ch:get())
  end)

  it("lets go what has been taken", function()
    local ch, weak = sock.channel(2), setmetatable({}, { __mode = "v" })
    weak[1] = {}
    ch:put(weak[1])
    collectgarbage()
    assert.is_table(weak[1])
    ch:get()
    collectgarbage()
    assert.is_nil(weak[1])
  end)

  it("lets a putter wait for room", function()
    run(function()
      local ch, log = sock.channel(1), {}
      local putter = sock.spawn(function()
        for i = 1, 3 do
          ch:put(i)
          log[#log + 1] = i
        end
      end)
      assert.same({ 1 }, log)
      assert.equal("waiting", putter:status())
      assert.equal(1, ch:get())
      settle()
      assert.same({ 1, 2 }, log)
      assert.equal(2, ch:get())
      assert.equal(3, ch:get())
      putter:join()
      assert.same({ 1, 2, 3 }, log)
    end)
  end)

  it("never holds more than its capacity while nobody waits for it", function()
    run(function()
      local ch, most = sock.channel(3), 0
      local putters = {}
      for i = 1, 10 do
        putters[i] = sock.spawn(function() ch:put(i) end)
      end
      for _ = 1, 10 do
        most = math.max(most, #ch)
        ch:get()
        settle()
      end
      assert.equal(3, most)
      for _, task in ipairs(putters) do
        task:join()
      end
    end)
  end)
end)

describe("An unbuffered channel", function()
  it("lets put wait until a getter comes", function()
    run(function()
      local ch, done = sock.channel(), false
      local putter = sock.spawn(function()
        ch:put("x")
        done = true
      end)
      settle()
      assert.is_false(done)
      assert.equal("x", ch:get())
      putter:join()
      assert.is_true(done)
    end)
  end)

  it("lets get wait until a putter comes", function()
    run(function()
      local ch = sock.channel()
      local getter = sock.spawn(function() return ch:get() end)
      assert.equal("waiting", getter:status())
      assert.equal(ch, ch:put("x", 0))
      assert.equal("x", getter:join())
    end)
  end)

  it("takes no more values than there are getters", function()
    run(function()
      local ch = sock.channel()
      local getters = { sock.spawn(ch.get, ch), sock.spawn(ch.get, ch) }
      assert(ch:put(1, 0))
      assert(ch:put(2, 0))
      assert.equal("ETIMEDOUT", (select(3, ch:put(3, 0))))
      local got = { getters[1]:join(), getters[2]:join() }
      table.sort(got)
      assert.same({ 1, 2 }, got)
    end)
  end)

  it("takes no value for a getter whose time is over", function()
    run(function()
      local ch, taken = sock.channel(), nil
      local putter = sock.spawn(function()
        sock.sleep(0.001)
        taken = ch:put("x", 0)
      end)
      local getter = sock.spawn(ch.get, ch, 0.01)
      busy(0.02) -- both timers are due; the getter's comes later
      putter:join()
      local got = getter:join()
      assert.equal(taken ~= nil, got == "x")
    end)
  end)

  it("gives false and holds nothing", function()
    run(function()
      local ch = sock.channel()
      local getter = sock.spawn(ch.get, ch)
      ch:put(false)
      assert.equal(false, getter:join())
      assert.equal(0, #ch)
    end)
  end)
end)

describe("A channel's close", function()
  it("lets what is left be taken, then gives nil and nothing else", function()
    local ch = sock.channel(2)
    ch:put("a"):put("b")
    ch:close()
    assert.equal("a", ch:get())
    assert.equal("b", ch:get())
    assert.same(table.pack(nil), table.pack(ch:get()))
    assert.same(table.pack(nil), table.pack(ch:get(0)))
  end)

  it("refuses what is put later", function()
    local ch = sock.channel(2)
    ch:close()
    assert.same({ nil, "closed", "EPIPE" }, { ch:put("x") })
    assert.same({ nil, "closed", "EPIPE" }, { ch:put("x", 0) })
    assert.equal(0, #ch)
  end)

  it("gives something, and again is harmless", function()
    local ch = sock.channel()
    assert.truthy(ch:close())
    assert.truthy(ch:close())
  end)

  it("wakes every getter", function()
    run(function()
      local ch, getters = sock.channel(), {}
      for i = 1, 5 do
        getters[i] = sock.spawn(function() return table.pack(ch:get()) end)
      end
      ch:close()
      for _, task in ipairs(getters) do
        assert.same(table.pack(nil), task:join())
      end
    end)
  end)

  it("wakes every putter, whose values are not taken", function()
    run(function()
      local ch, putters = sock.channel(1), {}
      ch:put("in")
      for i = 1, 5 do
        putters[i] = sock.spawn(function() return table.pack(ch:put(i)) end)
      end
      ch:close()
      for _, task in ipairs(putters) do
        assert.same(table.pack(nil, "closed", "EPIPE"), task:join())
      end
      assert.same({ "in" }, drain(ch))
    end)
  end)

  it("lets a getter that was woken before have its value", function()
    run(function()
      local ch = sock.channel()
      local getter = sock.spawn(ch.get, ch)
      assert(ch:put("x", 0))
      ch:close()
      assert.equal("x", getter:join())
    end)
  end)

  it("gives the values to those who wait, and nil to the rest", function()
    run(function()
      local ch, got, ended = sock.channel(), {}, 0
      local getters = {}
      for i = 1, 4 do
        getters[i] = sock.spawn(function()
          local v = ch:get()
          if v then
            got[#got + 1] = v
          else
            ended = ended + 1
          end
        end)
      end
      assert(ch:put("a", 0))
      assert(ch:put("b", 0))
      ch:close()
      for _, task in ipairs(getters) do
        task:join()
      end
      table.sort(got)
      assert.same({ "a", "b" }, got)
      assert.equal(2, ended)
    end)
  end)
end)

describe("each", function()
  it("gives every value until the channel is closed", function()
    run(function()
      local ch = sock.channel()
      local putter = sock.spawn(function()
        for i = 1, 5 do
          ch:put(i)
        end
        ch:close()
      end)
      assert.same({ 1, 2, 3, 4, 5 }, drain(ch))
      putter:join()
    end)
  end)

  it("goes on after false", function()
    local ch = sock.channel(3)
    ch:put(1):put(false):put(3)
    ch:close()
    assert.same({ 1, false, 3 }, drain(ch))
  end)

  it("can be left and begun again", function()
    local ch = sock.channel(3)
    ch:put(1):put(2):put(3)
    ch:close()
    local values, subject = ch:each()
    assert.equal(1, values(subject))
    assert.same({ 2, 3 }, drain(ch))
  end)

  it("serves several tasks at once, each value to one of them", function()
    run(function()
      local ch, sums, tasks = sock.channel(4), {}, {}
      for i = 1, 3 do
        tasks[i] = sock.spawn(function()
          local sum, n = 0, 0
          for v in ch:each() do
            sum, n = sum + v, n + 1
            sock.sleep(0)
          end
          sums[i] = n
          return sum
        end)
      end
      for v = 1, 300 do
        ch:put(v)
      end
      ch:close()
      assert.equal(45150, tasks[1]:join() + tasks[2]:join() + tasks[3]:join())
      assert.equal(300, sums[1] + sums[2] + sums[3])
    end)
  end)
end)

describe("tostring of a channel", function()
  it("tells what is in it, of how many, and who waits", function()
    local ch = sock.channel(10)
    ch:put(1):put(2)
    assert.equal("channel 2/10", tostring(ch))
    assert.equal("channel 0/any", tostring(sock.channel(math.huge)))
    local rendezvous = sock.channel()
    local getter = sock.spawn(rendezvous.get, rendezvous)
    assert.equal("channel 0/0 (1 waits to get)", tostring(rendezvous))
    rendezvous:put(1)
    getter:join()
    local putters = { sock.spawn(rendezvous.put, rendezvous, 1),
      sock.spawn(rendezvous.put, rendezvous, 2) }
    assert.equal("channel 0/0 (2 wait to put)", tostring(rendezvous))
    rendezvous:close()
    assert.equal("channel 0/0 (closed)", tostring(rendezvous))
    for _, putter in ipairs(putters) do
      putter:join()
    end
  end)
end)
