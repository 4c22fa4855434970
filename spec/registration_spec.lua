-- What the loop watches: when the poller learns of a descriptor, what its events
-- bring, and what becomes of them when the number is closed or used anew.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local descriptors = require "spec.support.descriptors"
local posix, watched = descriptors.posix, descriptors.watched
local run, settle = fixtures.run, fixtures.settle

local function pair(kind)
  return fixtures.pair(kind, 10)
end

local function connection()
  return fixtures.connection(10)
end

local function notpolling()
  return not descriptors.polling or pending("poll(2) has no registration") and false
end

describe("A descriptor's registration", function()
  it("is made by its first wait and ends with its close", function()
    if not notpolling() then
      return
    end
    run(function()
      local before = watched()
      local a, b = assert(sock.socketpair())
      assert.equal(before, watched())
      local task = sock.spawn(a.recv, a)
      assert.equal(before + 1, watched())
      assert(b:send("x"))
      task:join()
      assert.equal(before + 1, watched())
      a:close()
      b:close()
      assert.equal(before, watched())
    end)
  end)

  it("of a foreign one is for the wait only", function()
    if not notpolling() then
      return
    end
    run(function()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.wait, from, "r")
      assert.is_true(watched(from))
      posix.write(to)
      task:join()
      assert.is_false(watched(from))
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("ends with close though the descriptor was shown and duplicated", function()
    if not notpolling() then
      return
    end
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.recv, a)
      settle()
      assert(b:send("x"))
      task:join()
      local number = a:fd()
      local copy = posix.dup(number)
      a:close()
      assert.is_false(watched(number))
      repeat
        local quiet = not posix.poll(sock.pollfd(), 0)
        settle()
      until quiet
      assert(b:send("y")) -- the description lives on
      assert.is_false(posix.poll(sock.pollfd(), 0))
      posix.close(copy)
    end)
  end)

  it("ends with detach", function()
    if not notpolling() then
      return
    end
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.recv, a)
      settle()
      assert(b:send("x"))
      task:join()
      local number = a:detach()
      assert.is_false(watched(number))
      local again <close> = assert(sock.adopt(number))
      task = sock.spawn(again.recv, again)
      assert.is_true(watched(number))
      assert(b:send("y"))
      assert.equal("y", task:join())
    end)
  end)

  it("is one of epoll_ctl for each socket, and one recv for each request", function()
    if not notpolling() then
      return
    end
    if not os.execute("strace -o /dev/null true 2>/dev/null") or os.getenv("SOCK_ASAN") then
      return pending("needs strace, without the sanitizers")
    end
    local dir, _ <close> = peer.tempdir()
    local p <close> = peer.start({ "strace", "-f", "-o", dir .. "/trace", "-e",
      "trace=epoll_ctl,recvfrom,sendto,read,write,epoll_wait", os.getenv("LUA") or "lua5.4",
      "-e", [[
      local sock = require "sock"
      local l = assert(sock.socket())
      assert(l:bind("127.0.0.1", 0) and l:listen(100))
      sock.run(function()
        local server = sock.spawn(function()
          for _ = 1, 10 do
            local c = assert(l:accept())
            sock.spawn(function()
              for data in function() return c:recv() end do
                assert(c:send(data))
              end
              c:close()
            end)
          end
        end)
        for _ = 1, 10 do
          sock.spawn(function()
            local s = assert(sock.socket())
            assert(s:connect(l:getsockname()))
            for _ = 1, 100 do
              assert(s:send("ping"))
              assert(s:recv() == "ping")
            end
            s:close()
          end)
        end
        server:join()
      end)
      l:close()
      print("served")
    ]], "-" }, { module = true, input = "" })
    assert.matches("served", p:rest())
    local file <close> = assert(io.open(dir .. "/trace"))
    local counts = { add = 0, change = 0, received = 0, empty = 0, sent = 0 }
    for line in file:lines() do
      if line:find("EPOLL_CTL_ADD", 1, true) then
        counts.add = counts.add + 1
      elseif line:find("epoll_ctl", 1, true) then
        counts.change = counts.change + 1
      elseif line:find("recvfrom", 1, true) then
        counts.received = counts.received + 1
        counts.empty = counts.empty + (line:find("EAGAIN", 1, true) and 1 or 0)
      elseif line:find("sendto", 1, true) then
        counts.sent = counts.sent + 1
      end
    end
    assert.equal(21, counts.add) -- a listener and twenty ends
    assert.equal(0, counts.change)
    assert.equal(2000, counts.sent)
    -- besides a receive for each message: one for each end of stream, and
    -- one at first that finds nothing
    assert.is_true(counts.received <= 2000 + 40)
    assert.is_true(counts.empty <= 20)
  end)
end)

describe("An event", function()
  it("with data and the end in one edge gives both", function()
    run(function()
      for _ = 1, 20 do
        local a, b, _ <close> = connection()
        local got = {}
        local task = sock.spawn(function()
          for piece in function() return a:recv() end do
            got[#got + 1] = piece
          end
          return "end"
        end)
        assert.equal("waiting", task:status())
        assert(b:send("first"))
        settle() -- registered, and the edge of this is past
        while #got == 0 do
          sock.sleep(0)
        end
        assert(b:send("last words"))
        b:shutdown("send") -- before the loop looks
        assert.equal("end", task:join())
        assert.same({ "first", "last words" }, got)
      end
    end)
  end)

  it("with data and a close in one edge gives both, to read as well", function()
    run(function()
      for _, make in ipairs { connection, pair } do
        local a, b, _ <close> = make()
        local task = sock.spawn(a.read, a, "a")
        settle()
        assert(b:send("all"))
        b:close()
        assert.equal("all", task:join())
      end
    end)
  end)

  it("with a reset fails the read, and does not spin", function()
    run(function()
      local a, b, _ <close> = connection()
      local task = sock.spawn(a.recv, a)
      settle()
      b:setsockopt("linger", 0)
      b:close()
      assert.equal("ECONNRESET", (select(3, task:join())))
    end)
  end)

  it("is not lost between two waits", function()
    run(function()
      local a, b, _ <close> = connection()
      local reader = sock.spawn(function()
        local sum = 0
        for _ = 1, 500 do
          sum = sum + #assert(a:read(1))
        end
        return sum
      end)
      local writer = sock.spawn(function()
        for i = 1, 500 do
          assert(b:send("x"))
          if i % 3 == 0 then
            sock.sleep(0)
          end
        end
      end)
      assert.equal(500, reader:join())
      writer:join()
    end)
  end)

  it("of an urgent byte does not cut off what follows it", function()
    run(function()
      local a, b, _ <close> = connection()
      local got = ""
      local reader = sock.spawn(function()
        while #got < 8 do
          got = got .. assert(a:recv())
        end
      end)
      settle()
      assert(b:send("1234"))
      assert(b:send("!", "oob"))
      assert(b:send("5678"))
      reader:join()
      assert.equal("12345678", got)
    end)
  end)
end)

describe("A reused descriptor number", function()
  it("does not wake who waited for the old one", function()
    run(function()
      local old, _, _ <close> = pair()
      local number = old:fd()
      local first = sock.spawn(old.recv, old)
      local second = sock.spawn(old.wait, old, "r")
      settle()
      old:close()
      local new, other, _ <close> = pair()
      assert.equal(number, new:fd())
      assert(other:send("for the new one"))
      for _, task in ipairs { first, second } do
        local got, _, code = task:join()
        assert.same({ nil, "EBADF" }, { got, code })
      end
      assert.equal("for the new one", new:recv())
    end)
  end)

  it("does not wake a wait for a foreign number, and works itself", function()
    run(function()
      local from, to = posix.pipe()
      local foreign = sock.spawn(sock.wait, from, "r", 0.02)
      settle()
      posix.close(from)
      posix.close(to)
      local new, other, _ <close> = pair()
      assert.equal(from, new:fd())
      local reader = sock.spawn(new.recv, new)
      settle()
      local ready, _, code = foreign:join()
      assert.same({ nil, true }, { ready, code == "ETIMEDOUT" or code == "EBADF" })
      assert(other:send("still watched"))
      assert.equal("still watched", reader:join())
      assert(other:send("again"))
      assert.equal("again", new:recv())
    end)
  end)

  it("works for a foreign wait after ours is closed", function()
    run(function()
      local a, b, _ <close> = pair()
      local number = a:fd()
      local task = sock.spawn(a.recv, a)
      settle()
      assert(b:send("x"))
      task:join()
      a:close()
      b:close()
      local from, to = posix.pipe()
      assert.equal(number, from)
      task = sock.spawn(sock.wait, from, "r")
      settle()
      posix.write(to)
      assert.equal("r", task:join())
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("is right a thousand times", function()
    run(function()
      for i = 1, 1000 do
        local a, b = assert(sock.socketpair())
        local task = sock.spawn(a.recv, a)
        if i % 2 == 0 then
          sock.sleep(0)
        end
        assert(b:send(tostring(i)))
        if i % 3 == 0 then
          a:close()
          local got = task:join()
          assert.is_true(got == nil or got == tostring(i))
        else
          assert.equal(tostring(i), task:join())
        end
        a:close()
        b:close()
      end
    end)
  end)
end)

describe("A close", function()
  it("wakes all who wait on that socket", function()
    run(function()
      local a, _, _ <close> = pair()
      a:settimeout()
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = sock.spawn(a.recv, a)
      end
      tasks[4] = sock.spawn(a.read, a, "l")
      tasks[5] = sock.spawn(a.write, a, ("x"):rep(1 << 22))
      tasks[6] = sock.spawn(a.send, a, "behind the write")
      settle()
      a:close()
      for i, task in ipairs(tasks) do
        local got, message, code = task:join()
        assert.same({ i, nil, "EBADF" }, { i, got, code })
        assert.matches("closed$", message)
      end
    end)
  end)

  it("wakes accept and connect", function()
    run(function()
      local l = assert(sock.socket())
      assert(l:bind("127.0.0.1", 0) and l:listen())
      local task = sock.spawn(l.accept, l)
      settle()
      l:close()
      assert.equal("EBADF", (select(3, task:join())))
    end)
  end)

  it("by a task that was ready at the same time ends the other's read", function()
    run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local reader = sock.spawn(a.recv, a)
      local closer = sock.spawn(function()
        c:recv()
        a:close()
      end)
      settle()
      assert(b:send("x"))
      assert(d:send("x"))
      closer:join()
      local got, _, code = reader:join()
      assert.is_true(got == "x" or code == "EBADF")
    end)
  end)

  it("by the collector happens to no socket that a task waits for", function()
    run(function()
      local b
      local task
      do
        local a
        a, b = assert(sock.socketpair())
        task = sock.spawn(function(s) return s:recv() end, a)
      end
      collectgarbage()
      collectgarbage()
      assert(b:send("x"))
      assert.equal("x", task:join())
      b:close()
    end)
  end)
end)
