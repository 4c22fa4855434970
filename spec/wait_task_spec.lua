-- sock.wait and sock.select in tasks.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local descriptors = require "spec.support.descriptors"
local fifo, watched, posix = descriptors.fifo, descriptors.watched, descriptors.posix
local polling = descriptors.polling
local run, settle = fixtures.run, fixtures.settle

local function pair(kind)
  return fixtures.pair(kind, 10)
end

describe("sock.wait in a task", function()
  it("suspends it until a socket is readable", function()
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(sock.wait, a, "r")
      settle()
      assert.equal("waiting", task:status())
      assert(b:send("x"))
      assert.equal("r", task:join())
      assert.equal("x", a:recv())
    end)
  end)

  it("tells which of both is ready", function()
    run(function()
      local a, b, _ <close> = pair()
      assert.equal("w", a:wait("rw"))
      assert(b:send("x"))
      assert.equal("rw", a:wait("rw"))
    end)
  end)

  it("waits for room to write", function()
    run(function()
      local a, b, _ <close> = pair("stream")
      while a:settimeout(0):send(("x"):rep(65536)) do
        settle()
      end
      local task = sock.spawn(a.wait, a, "w")
      settle()
      assert.equal("waiting", task:status())
      while b:settimeout(0):recv() do
        settle()
      end
      assert.equal("w", task:join())
    end)
  end)

  it("takes a descriptor's number", function()
    run(function()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.wait, from, "r")
      settle()
      assert.equal("waiting", task:status())
      posix.write(to)
      assert.equal("r", task:join())
      assert.equal("w", sock.wait(to, "w"))
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("takes a Lua file", function()
    run(function()
      local file, _, _ <close> = fifo()
      local task = sock.spawn(sock.wait, file, "r")
      settle()
      assert.equal("waiting", task:status())
      file:write("x")
      assert.equal("r", task:join())
    end)
  end)

  it("takes another library's object", function()
    run(function()
      local from, to = posix.pipe()
      for _, method in ipairs { "fd", "getfd", "pollfd", "fileno" } do
        local object = { [method] = function() return from end }
        local _, _, code = sock.wait(object, "r", 0.001)
        assert.equal("ETIMEDOUT", code)
        local task = sock.spawn(sock.wait, object, "r")
        assert.equal("waiting", task:status())
        task:cancel()
        task:join()
      end
      posix.write(to)
      assert.equal("r", sock.wait({ fd = function() return from end }, "r"))
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("serves two tasks that wait for one foreign descriptor", function()
    run(function()
      local from, to = posix.pipe()
      local a, b = sock.spawn(sock.wait, from, "r"), sock.spawn(sock.wait, from, "r")
      local c = sock.spawn(sock.wait, from, "r", 0.001)
      assert.equal("ETIMEDOUT", (select(3, c:join())))
      a:cancel()
      assert.equal("ECANCELED", (select(3, a:join())))
      assert.equal("waiting", b:status())
      local d = sock.spawn(sock.wait, from, "r")
      settle()
      posix.write(to)
      assert.equal("r", b:join())
      assert.equal("r", d:join())
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("serves a foreign descriptor's reader and writer at once", function()
    run(function()
      local a, b, _ <close> = pair()
      local number = posix.dup(a:fd())
      while a:settimeout(0):send(("x"):rep(65536)) do
        settle()
      end
      local reader, writer = sock.spawn(sock.wait, number, "r"), sock.spawn(sock.wait, number, "w")
      settle()
      assert(b:send("x"))
      assert.equal("r", reader:join())
      assert.equal("waiting", writer:status())
      while b:settimeout(0):recv() do
        settle()
      end
      assert.equal("w", writer:join())
      posix.close(number)
    end)
  end)

  it("says that a regular file is always ready", function()
    run(function()
      local file <close> = assert(io.open("README.md"))
      assert.equal("r", sock.wait(file, "r"))
      assert.equal("rw", sock.wait(file, "rw"))
      local r, w = sock.select({ file }, { file })
      assert.same({ { file }, { file } }, { r, w })
      local s <close> = assert(sock.adopt(file))
      assert.equal("r", s:wait("r"))
    end)
  end)

  it("fails for a number that is not open", function()
    run(function()
      assert.same({ nil, "wait descriptor 999999: closed", "EBADF" },
        { sock.wait(999999, "r") })
      assert.same({ nil, "select descriptor 999999: closed", "EBADF" },
        { sock.select({ 999999 }, {}) })
    end)
  end)

  it("ends when another task closes the socket", function()
    run(function()
      local a, _, _ <close> = pair()
      local tasks = { sock.spawn(a.wait, a, "r"), sock.spawn(sock.wait, a, "r"),
        sock.spawn(sock.wait, a:fd(), "r", 1) }
      settle()
      a:close()
      for i = 1, 3 do
        local ready, message, code = tasks[i]:join()
        assert.same({ i, nil, "EBADF" }, { i, ready, code })
        assert.matches("closed$", message)
      end
    end)
  end)

  it("sees the other end's close", function()
    run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.wait, a, "r")
      settle()
      b:close()
      assert.equal("r", task:join())
      assert.is_nil(a:recv())
    end)
  end)

  it("takes no bytes from a reader that waits already", function()
    run(function()
      local a, b, _ <close> = pair()
      local reader, waiter = sock.spawn(a.recv, a), sock.spawn(a.wait, a, "r", 0.05)
      settle()
      assert(b:send("x"))
      assert.equal("x", reader:join())
      local ready, _, code = waiter:join()
      assert.is_true(ready == "r" or code == "ETIMEDOUT")
      assert(b:send("y"))
      assert.equal("y", a:recv())
    end)
  end)

  it("counts buffered bytes", function()
    run(function()
      local a, b, _ <close> = pair()
      assert(b:send("one\ntwo"))
      assert.equal("one", a:read())
      assert.equal("r", a:wait("r"))
      assert.same({ { a }, {} }, { sock.select({ a }, {}) })
    end)
  end)

  it("works in the finalizer of something", function()
    run(function()
      local a, b, _ <close> = pair()
      local ran, seen, during = false, nil, nil
      local other = sock.spawn(function()
        coroutine.yield()
        ran = true
      end)
      assert(b:send("x"))
      setmetatable({}, { __gc = function()
        seen = { a:wait("r"), (select(3, b:wait("r", 0.001))), (a:recv()) }
        during = ran
      end })
      collectgarbage()
      assert.same({ "r", "ETIMEDOUT", "x" }, seen)
      assert.is_false(during)
      other:join()
    end)
  end)
end)

describe("sock.select in a task", function()
  it("gives the readers and writers that are ready", function()
    run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local task = sock.spawn(sock.select, { a, c }, {})
      settle()
      assert.equal("waiting", task:status())
      assert(d:send("x"))
      local r, w = task:join()
      assert.same({ { c }, {} }, { r, w })
      assert.same({ { c }, { b } }, { sock.select({ a, c }, { b }) })
    end)
  end)

  it("takes sockets, numbers, files and objects together", function()
    run(function()
      local a, b, _ <close> = pair()
      local file, _, _ <close> = fifo()
      local from, to = posix.pipe()
      local object = { fd = function() return from end }
      local list = { a, file, object, from }
      local task = sock.spawn(sock.select, list, {})
      settle()
      posix.write(to)
      local r = task:join()
      assert.same({ object, from }, r)
      assert(b:send("x"))
      file:write("x")
      r = sock.select(list, {})
      assert.same({ a, file, object, from }, r)
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("takes a thing twice", function()
    run(function()
      local a, b, _ <close> = pair()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.select, { a, a, from, from, a:fd() }, {})
      settle()
      assert(b:send("x"))
      posix.write(to)
      local r = task:join()
      assert.is_true(#r >= 2)
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("times out, and leaves nothing behind", function()
    run(function()
      local a, b, _ <close> = pair()
      local from, to = posix.pipe()
      assert.same({ nil, "select: timed out", "ETIMEDOUT" },
        { sock.select({ a, from }, {}, 0.005) })
      if not polling then
        assert.is_false(watched(from))
      end
      assert(b:send("x"))
      assert.equal("x", a:recv())
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("is a pause with empty lists", function()
    run(function()
      local start = sock.now()
      assert.equal("ETIMEDOUT", (select(3, sock.select({}, {}, 0.005))))
      assert.is_true(sock.now() - start >= 0.005)
    end)
  end)

  it("ends when one of its sockets is closed by another task, and says which", function()
    run(function()
      local a, _, _ <close> = pair()
      local c, _, _ <close> = pair()
      local task = sock.spawn(sock.select, { a, c }, {})
      settle()
      c:close()
      local r, message, code = task:join()
      assert.same({ nil, "EBADF" }, { r, code })
      assert.matches("^select .*closed$", message)
      assert.is_nil(message:find("-1", 1, true))
    end)
  end)

  it("is cancelled, and leaves nothing behind", function()
    run(function()
      local a, _, _ <close> = pair()
      local from, to = posix.pipe()
      local task = sock.spawn(sock.select, { a, from }, { })
      settle()
      task:cancel()
      assert.equal("ECANCELED", (select(3, task:join())))
      if not polling then
        assert.is_false(watched(from))
      end
      posix.close(from)
      posix.close(to)
    end)
  end)

  it("holds a thousand, and each wakes it once", function()
    run(function()
      local writers, readers = {}, {}
      for i = 1, 300 do
        readers[i], writers[i] = assert(sock.socketpair())
      end
      local seen, count = {}, 0
      local task = sock.spawn(function()
        while count < 300 do
          for _, s in ipairs((assert(sock.select(readers, {}, 10)))) do
            assert(s:recv())
            if not seen[s] then
              seen[s], count = true, count + 1
            end
          end
        end
      end)
      for i = 1, 300 do
        assert(writers[i]:send("x"))
        if i % 50 == 0 then
          settle()
        end
      end
      task:join()
      assert.equal(300, count)
      for i = 1, 300 do
        readers[i]:close()
        writers[i]:close()
      end
    end)
  end)
end)
