-- Coroutines of tasks in the hands of a stranger, who resumes or closes them.

local peer = require "spec.support.peer"

--- A Lua program that ends, or is ended.
local function limited(program)
  return peer.limited { "-e", program, "-" }
end

-- What strangers do to a task's own coroutine. In a child each, because it
-- might hang.
local prelude = [[
  local sock = require "sock"
  local told = {}
  sock.onerror(function(err) told[#told + 1] = tostring(err) end)
  local thread
  local function victim(body)
    return sock.spawn(function(...)
      thread = coroutine.running()
      return body(...)
    end)
  end
  -- Lets the loop look: the task is found dead.
  local function settle()
    for _ = 1, 10 do sock.sleep(0) end
    sock.sleep(0.01)
  end
]]

describe("A stranger's coroutine.resume of a task that waits", function()
  it("raises in the task, which has failed", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function() sock.sleep(0.01) return "slept" end)
      local ok, err = coroutine.resume(thread)
      settle()
      print(task:status(), #told)
      print(pcall(task.join, task))
    ]])
    local text = p:rest()
    assert.matches("^failed\t1\nfalse\t.+\n$", text)
  end)

  it("tells whoever joins why it failed", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function() sock.sleep(0.01) return "slept" end)
      coroutine.resume(thread)
      print(select(2, pcall(task.join, task)))
    ]])
    assert.equal("the task was ended from outside\n", p:rest())
  end)

  it("leaves the others running, and its socket readable", function()
    local p <close> = limited(prelude .. [[
      local a, b = sock.socketpair()
      local task = victim(function() return a:recv() end)
      local other = sock.spawn(function() return a:recv() end)
      coroutine.resume(thread)
      settle()
      b:send("x")
      print(task:status(), other:join(), #sock.tasks())
    ]])
    assert.equal("failed\tx\t0\n", p:rest())
  end)

  it("is survived by a task that catches it", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        local ok, err = pcall(sock.sleep, 10)
        return "caught", ok, tostring(err)
      end)
      coroutine.resume(thread)
      settle()
      print(task:status() ~= "waiting", #sock.tasks())
    ]])
    assert.equal("true\t0\n", p:rest())
  end)

  it("that catches it and waits again ends all the same", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        pcall(sock.sleep, 0.02)
        sock.sleep(0.02)
        return "end"
      end)
      coroutine.resume(thread)
      settle()
      print(#sock.tasks(), task:status() ~= "running")
    ]])
    assert.equal("0\ttrue\n", p:rest())
  end)

  it("that only yielded runs it there, to its end", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        coroutine.yield()
        sock.sleep(0.01)
        return "end"
      end)
      print((coroutine.resume(thread)))
      settle()
      print(#sock.tasks(), task:status() ~= "running")
    ]])
    assert.equal("true\n0\ttrue\n", p:rest())
  end)

  it("fails it in every kind of wait", function()
    local p <close> = limited(prelude .. [[
      local a, b = sock.socketpair()
      local ch, sig = sock.channel(), sock.signal("USR1")
      local sleeper = sock.spawn(sock.sleep, 0.2)
      local waits = {
        function() sock.sleep(10) end, function() a:recv() end, function() a:wait("r") end,
        function() sock.select({ a }, {}) end, function() ch:get() end,
        function() ch:put(1) end, function() sig:wait() end, function() sleeper:join() end,
        function() sock.getaddrinfo("localhost") sock.sleep(10) end,
        function() sock.scope(function() sock.sleep(10) end) end,
        function() sock.timeout(10, sock.sleep, 10) end,
        function() sock.coroutine.wrap(function() sock.sleep(10) end)() end,
      }
      for i, wait in ipairs(waits) do
        local task = victim(wait)
        coroutine.resume(thread)
        settle()
        if task:status() ~= "failed" then
          print(i, task:status())
        end
        task:cancel()
      end
      sleeper:join()
      print(#sock.tasks())
    ]])
    assert.equal("0\n", p:rest())
  end)
end)

describe("A stranger's coroutine.close of a task that waits", function()
  it("ends the task, which has failed", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function() sock.sleep(0.01) return "slept" end)
      print(coroutine.close(thread))
      settle()
      print(task:status(), #told, #sock.tasks())
      print((pcall(task.join, task)))
    ]])
    assert.equal("true\nfailed\t1\t0\nfalse\n", p:rest())
  end)

  it("runs its to-be-closed variables", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        local _ <close> = setmetatable({}, { __close = function() print("closed") end })
        sock.sleep(10)
      end)
      coroutine.close(thread)
      print((pcall(task.join, task)))
    ]])
    assert.equal("closed\nfalse\n", p:rest())
  end)

  it("leaves nothing waiting in its place", function()
    local p <close> = limited(prelude .. [[
      local a, b = sock.socketpair()
      local ch = sock.channel()
      for _, wait in ipairs { function() a:recv() end, function() ch:get() end,
          function() sock.timeout(0.001, a.recv, a) end } do
        victim(wait)
        coroutine.close(thread)
      end
      b:send("x")
      print(a:settimeout(1):recv())
      print(ch:put("y", 0))
      collectgarbage()
      sock.sleep(0.01)
      print(#sock.tasks())
    ]])
    assert.equal("x\nnil\tput: timed out\tETIMEDOUT\n0\n", p:rest())
  end)

  it("whose generator waits ends both", function()
    local p <close> = limited(prelude .. [[
      local task = victim(function()
        sock.coroutine.wrap(function() sock.sleep(10) end)()
      end)
      coroutine.close(thread)
      print((pcall(task.join, task)))
      collectgarbage()
      print(#sock.tasks())
    ]])
    assert.equal("false\n0\n", p:rest())
  end)

  it("in a scope raises there and cancels the others", function()
    local p <close> = limited(prelude .. [[
      local other
      print((pcall(sock.scope, function(scope)
        scope:spawn(function()
          thread = coroutine.running()
          sock.sleep(10)
        end)
        other = scope:spawn(sock.sleep, 10)
        coroutine.close(thread)
      end)))
      print(other:status(), #sock.tasks())
    ]])
    assert.equal("false\ncancelled\t0\n", p:rest())
  end)
end)

describe("A stranger's coroutine.resume of a generator that waits", function()
  it("ends the generator, not the task that waits for it", function()
    local p <close> = limited(prelude .. [[
      local inner
      local task = sock.spawn(function()
        inner = sock.coroutine.create(function() sock.sleep(0.01) return "slept" end)
        return sock.coroutine.resume(inner)
      end)
      print((coroutine.resume(inner)))
      print(task:join())
      print(#sock.tasks())
    ]])
    assert.matches("^false\nfalse\t.*\n0\n$", p:rest())
  end)

  it("with coroutine.close does the same", function()
    local p <close> = limited(prelude .. [[
      local inner
      local task = sock.spawn(function()
        inner = sock.coroutine.create(function() sock.sleep(0.01) return "slept" end)
        return sock.coroutine.resume(inner)
      end)
      print((coroutine.close(inner)))
      print(task:join())
      print(#sock.tasks())
    ]])
    assert.matches("^true\nfalse\t.*\n0\n$", p:rest())
  end)
end)
