-- What parent and child have after a fork. Every fork is in a program of its
-- own, whose output ends when the last of its processes has.

local peer = require "spec.support.peer"
local forking = require "spec.support.forking"
local run = forking.run

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

describe("After a fork", function()
  it("what was printed is printed once", function()
    local dir, _ <close> = peer.tempdir()
    assert.equal("a|b|c|", run([[
      io.write("a|")
      local file = assert(io.open(arg[1] .. "/file", "w"))
      file:write("once|")
      fork(function() io.write("b|") file:write("child|") end):wait(10)
      file:write("parent|")
      io.write("c|")
    ]], dir))
    assert.equal("once|child|parent|", read(dir .. "/file"))
  end)

  it("what was written to a full-buffered socket is sent once", function()
    assert.equal("exit\t0\nonce", run [[
      local a, b = pair()
      a:setvbuf("full")
      a:write("once")
      local p = fork(function()
        sock.sleep(0.01)
        a, b = nil, nil
        collectgarbage()
      end)
      print(p:wait(10))
      a:close()
      io.write(b:read("a"))
    ]])
  end)

  it("what the kernel has not taken yet is sent once", function()
    assert.equal("exit\t0\n4000001\n", run [[
      local a, b = pair()
      a:setvbuf("full", 8000000)
      a:write(("x"):rep(4000000))
      sock.spawn(function() sock.sleep(0.001) end):join() -- begins to leave
      local p
      sock.run(function() p = fork(function() collectgarbage() sock.sleep(0.05) end) end)
      sock.spawn(function() print(p:wait(10)) a:write("y") a:close() end)
      sock.spawn(function() sock.sleep(0.02) print(#b:read("a")) end)
      sock.run()
    ]])
  end)

  it("a kept socket holds nothing of what its parent has to send or read", function()
    assert.equal("exit\t0\ntrue\tchildparent\n", run [[
      local a, b = pair()
      b:write("first\nsecond\n")
      assert(a:read("L") == "first\n" and a:buffered() > 0)
      a:setvbuf("full")
      a:write("parent\n")
      local p = fork(function()
        assert(a:buffered() == 0)
        a:write("child\n")
        a:flush()
      end, { a })
      print(p:wait(10))
      assert(a:read() == "second")
      a:close()
      local lines = { b:read(), b:read(), b:read() }
      table.sort(lines)
      print(#lines == 2, table.concat(lines))
    ]])
  end)

  it("no task of the parent runs in the child, nor is one unwound", function()
    local dir, _ <close> = peer.tempdir()
    local text = run([[
      local function note(text)
        local file <close> = assert(io.open(arg[1] .. "/notes", "a"))
        file:write(text, "\n")
      end
      local a, b = pair()
      local ch = sock.channel()
      local function task(wait)
        return sock.spawn(function()
          local _ <close> = setmetatable({}, { __close = function() note("closed") end })
          wait()
          note("ran")
        end)
      end
      local sig = sock.signal("USR1")
      local tasks = {
        task(function() sock.sleep(0.05) end),
        task(function() a:read() end),
        task(function() ch:get() end),
        task(function() sock.wait(a, "r") end),
        task(function() sock.select({ a:fd() }, {}, 10) end),
        task(function() sig:wait() end),
        task(function() sock.scope(function(s) s:spawn(sock.sleep, 0.05) end) end),
        task(function() sock.timeout(10, sock.sleep, 0.05) end),
        task(function() sock.getaddrinfo("localhost") sock.sleep(0.05) end),
      }
      local ready = sock.spawn(function() sock.sleep(0) note("ready ran") end)
      local p
      sock.spawn(function()
        sock.sleep(0.01)
        p = fork(function()
          for i, t in ipairs(tasks) do
            assert(t:status() == "cancelled" and select(3, t:join()) == "ECANCELED", i)
          end
          assert(sock.step(0.01) == 0 and sock.deadline() == nil)
          collectgarbage()
          collectgarbage()
          sock.sleep(0.2)
          assert(ch:put("x", 0) == nil)
          assert(sock.run(function() sock.sleep(0.01) return true end))
        end)
      end)
      -- this one waits where it cannot yield: the fork is on top of it
      tasks[10] = task(function() ("x"):gsub("x", function() sock.sleep(0.1) end) end)
      print(p:wait(10))
      b:write("line\n")
      b:close()
      ch:put(1)
      os.execute("kill -USR1 $PPID")
      ready:join()
      for _, t in ipairs(tasks) do t:join() end
    ]], dir)
    assert.equal("exit\t0\n", text)
    local count = {}
    for line in read(dir .. "/notes"):gmatch("[^\n]+") do
      count[line] = (count[line] or 0) + 1
    end
    assert.same({ closed = 10, ran = 10, ["ready ran"] = 1 }, count)
  end)

  it("what only a task of the parent holds is not finalized in the child", function()
    assert.equal("exit\t0\nfinalized\n", run [[
      local t = sock.spawn(function()
        local held = setmetatable({}, { __gc = function() print("finalized") end })
        sock.sleep(0.01)
        return held and nil
      end)
      print(fork(function() for _ = 1, 3 do collectgarbage() end end):wait(10))
      t:join()
      t = nil
      collectgarbage()
    ]])
  end)

  it("failures of the parent's tasks are not told by the child", function()
    assert.equal("oops\n", run [[
      sock.onerror(function(err) print(err) end)
      sock.spawn(error, "oops")
      fork(function() sock.sleep(0.01) end):wait(10)
      sock.sleep(0.01)
    ]])
  end)

  it("the child has the standard descriptors and what it keeps, and no other", function()
    local text = run [[
      local base = open() -- what this program was started with
      local kept = assert(sock.socket())
      assert(kept:bind("127.0.0.1", 0):listen())
      local a, b = pair()
      local sig = sock.signal("USR1", "USR2")
      sock.getaddrinfo("localhost")
      local adopted = assert(sock.adopt(io.stdout))
      local standard = assert(sock.adopt(1))
      sock.spawn(function() a:read() end)
      local other = fork(function() sock.sleep(0.3) end)
      local p = fork(function()
        local mine = open()
        for fd, what in pairs(base) do
          assert(mine[fd] == what, fd .. " " .. what)
          mine[fd] = nil
        end
        assert(mine[kept:fd()]:find("^socket:"))
        mine[kept:fd()] = nil
        for fd, what in pairs(mine) do print("left", fd, what) end
        assert(sock.type(a) == "closed socket" and sock.type(adopted) == "closed socket")
        assert(not pcall(sig.wait, sig, 0))
        assert(select(3, other:wait(0)) == "ECHILD")
        print("still prints")
      end, { kept })
      print(p:wait(10))
      other:wait()
      b:write("\n")
      sock.run()
    ]]
    assert.equal("still prints\nexit\t0\n", text)
  end)

  it("the parent's sockets go on being told of events", function()
    assert.equal("one\nexit\t0\ntwo\nthree\n", run [[
      local a, b = pair()
      local seen = sock.channel(10)
      sock.spawn(function() for line in a:lines() do seen:put(line) end end)
      sock.spawn(function() sock.wait(a:fd(), "w") sock.wait(a, "w", 1) end)
      b:write("one\n")
      print(seen:get(10))
      print(fork(function() collectgarbage() sock.sleep(0.01) end):wait(10))
      b:write("two\n")
      print(seen:get(10))
      local p = fork(function() a:close() b:close() sock.sleep(10) end, { a, b })
      b:write("three\n")
      print(seen:get(10))
      p:kill("KILL"):wait()
      b:close()
      sock.run()
    ]])
  end)

  it("the end that the parent closes arrives while the child lives", function()
    assert.equal("nil\nexit\t0\n", run [[
      local l = assert(sock.socket())
      l:bind("127.0.0.1", 0):listen()
      local c = assert(sock.socket())
      c:connect(l:getsockname())
      local s = l:accept()
      s:settimeout(10)
      local up, down = pair()
      local p = fork(function() up:write("up\n") down:close() up:read() end, { up })
      up:close()
      down:read()
      c:close()
      print(s:read())
      down:close()
      print(p:wait(10))
    ]])
  end)

  it("a description that was adopted blocking stays as it is", function()
    assert.equal("exit\t0\ntrue\n", run [[
      local file = io.popen("sleep 0.1; echo", "r")
      local s = assert(sock.adopt(file))
      local function flags()
        return io.open("/proc/self/fdinfo/" .. s:fd()):read("a"):match("flags:%s*(%d+)")
      end
      local before = flags()
      print(fork(function() collectgarbage() end):wait(10))
      print(before == flags())
    ]])
  end)

  it("signals do in the child what they did before", function()
    assert.equal("signal\t10\nsignal\t15\nUSR1\nUSR2\nETIMEDOUT\nexit\t0\n", run [[
      local sig = sock.signal("USR1", "USR2", "TERM")
      print(fork(function() sock.sleep(10) end):kill("USR1"):wait(10))
      print(sock.run(function()
        return fork(function() sock.sleep(10) end):kill("TERM"):wait(10)
      end))
      local up, down = pair()
      local p = fork(function()
        local mine = sock.signal("USR1", "USR2")
        up:write("ready\n")
        print(mine:wait(10))
        up:write("got\n")
        print(mine:wait(10))
      end, { up })
      down:read()
      p:kill("USR1")
      down:read()
      p:kill("USR2")
      p:wait(10)
      print(select(3, sig:wait(0.01)))
      print(p:wait(10))
    ]])
  end)

  it("look-ups work in the child, also while the parent has some under way", function()
    assert.equal("yes\nexit\t0\ntrue\n", run [[
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = sock.spawn(function() return #assert(sock.getaddrinfo("localhost")) end)
      end
      tasks[51] = sock.spawn(function() return 1 end)
      local p = fork(function()
        collectgarbage()
        local n = 0
        sock.run(function()
          for _ = 1, 50 do
            sock.spawn(function()
              local found = sock.getaddrinfo("localhost")
              n = n + (found and 1 or 0)
            end)
          end
        end)
        print(n == 50 and "yes" or n)
      end)
      print(p:wait(20))
      local all = true
      for _, t in ipairs(tasks) do all = all and t:join() > 0 end
      print(all)
    ]])
  end)

  it("both accept from a listener that was kept, and one may close it", function()
    assert.equal("child\nexit\t0\nparent\n", run [[
      local l = assert(sock.socket())
      l:bind("127.0.0.1", 0):listen()
      l:settimeout(10)
      local function client()
        local c = assert(sock.socket())
        return assert(c:connect(l:getsockname()))
      end
      local c = client()
      local p = fork(function()
        sock.run(function()
          local s = l:accept()
          s:write("child\n")
          s:close()
        end)
        l:close()
      end, { l })
      print(c:read())
      print(p:wait(10))
      c = client()
      sock.spawn(function() l:accept():write("parent\n") end)
      print(c:read())
    ]])
  end)

  it("a child's own output leaves at its end", function()
    assert.equal("last words", run [[
      local a, b = pair()
      local p = fork(function() a:setvbuf("full") a:write("last words") end, { a })
      a:close()
      p:wait(10)
      io.write(b:read("a"))
    ]])
  end)

  it("a child may fork", function()
    assert.equal("grandchild\nexit\t5\nexit\t4\n", run [[
      local a, b = pair()
      print(fork(function()
        local c, d = pair()
        print(sock.run(function()
          return fork(function()
            assert(sock.type(a) == "closed socket" and sock.type(c) == "closed socket")
            print("grandchild")
            return 5
          end):wait(10)
        end))
        return 4
      end):wait(10))
    ]])
  end)

  it("a child ends when its parent is killed", function()
    local p <close> = peer.lua [[
      local core, sock = require "sock.core", require "sock"
      core.fork(function()
        core.fork(function() print("there") io.stdout:flush() sock.sleep(20) end)
        sock.sleep(20)
      end)
      sock.sleep(20)
    ]]
    p:expect("there")
    p:signal("KILL")
    local before = peer.uptime()
    p:rest()
    assert.is_true(peer.uptime() - before < 10)
  end)
end)
