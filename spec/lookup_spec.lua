local sock = require "sock"
local peer = require "spec.support.peer"

--- Runs f as a task, and raises if it has not ended after a long time.
local function run(f)
  local results = table.pack(sock.timeout(20, sock.run, f))
  if results[3] == "ETIMEDOUT" then
    error("it hangs", 2)
  end
  return table.unpack(results, 1, results.n)
end

describe("A look-up in a task", function()
  it("gives what it gives outside of tasks", function()
    local outside = assert(sock.getaddrinfo("localhost", "http"))
    run(function()
      assert.same(outside, sock.getaddrinfo("localhost", "http"))
      assert.equal("EAI_NONAME",
        (select(3, sock.getaddrinfo("localhost", 80, { numerichost = true }))))
    end)
  end)

  it("lets others run", function()
    run(function()
      local task = sock.spawn(sock.getaddrinfo, "localhost")
      assert.equal("waiting", task:status())
      assert.is_true(#task:join() > 0)
    end)
  end)

  it("of getnameinfo works as well", function()
    local host, service = sock.getnameinfo("127.0.0.1", 80)
    run(function()
      local task = sock.spawn(sock.getnameinfo, "127.0.0.1", 80)
      assert.equal("waiting", task:status())
      assert.same({ host, service }, { task:join() })
    end)
  end)

  it("is one of a hundred at once", function()
    run(function()
      local tasks = {}
      for i = 1, 100 do
        tasks[i] = sock.spawn(sock.getaddrinfo, "localhost", i)
      end
      for i, task in ipairs(tasks) do
        assert.equal(i, task:join()[1].port)
      end
    end)
  end)

  it("is cancelled, at once", function()
    run(function()
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = sock.spawn(sock.getaddrinfo, "localhost", i)
        tasks[i]:cancel()
      end
      for _, task in ipairs(tasks) do
        assert.equal("ECANCELED", (select(3, task:join())))
      end
      collectgarbage()
      assert.is_true(#sock.getaddrinfo("localhost") > 0)
    end)
  end)

  it("for a socket that is closed meanwhile fails", function()
    run(function()
      local s <close> = assert(sock.socket())
      local task = sock.spawn(s.connect, s, "localhost", 9)
      s:close()
      local ok, message, code = task:join()
      assert.same({ nil, "EBADF" }, { ok, code })
      assert.matches("closed$", message)
    end)
  end)

  it("in string.gsub waits there", function()
    run(function()
      assert.equal("inet", (("127.0.0.1"):gsub(".+", function(host)
        return sock.getaddrinfo(host, 80)[1].family
      end)))
    end)
  end)

  it("in a finalizer is made at once", function()
    local found
    setmetatable({}, { __gc = function() found = sock.getaddrinfo("localhost", 80) end })
    collectgarbage()
    assert.is_table(found)
    assert.equal(80, found[1].port)
  end)
end)

describe("The threads of look-ups", function()
  it("block all signals", function()
    assert(sock.getaddrinfo("localhost"))
    local list <close> = assert(io.popen("grep -h SigBlk /proc/$PPID/task/*/status"))
    local threads, blocked = 0, 0
    for line in list:lines() do
      threads = threads + 1
      local mask = tonumber(line:match("%x+$"), 16)
      local all = true
      for number = 1, 31 do
        all = all and (number == 9 or number == 19 or mask >> (number - 1) & 1 == 1)
      end
      blocked = blocked + (all and 1 or 0)
    end
    assert.is_true(threads >= 2)
    -- the first thread, too, in popen, until its child has begun
    assert.is_true(blocked >= threads - 1)
  end)

  it("are no more than a few", function()
    run(function()
      local tasks = {}
      for i = 1, 500 do
        tasks[i] = sock.spawn(sock.getaddrinfo, "localhost", i)
      end
      local list <close> = assert(io.popen("ls /proc/$PPID/task | wc -l"))
      assert.is_true(list:read("n") <= 40)
      for _, task in ipairs(tasks) do
        task:join()
      end
    end)
  end)
end)

-- A name server that the program itself is, on an address of its own that
-- /etc/resolv.conf names in a mount namespace of its own. What it has for a
-- name: "host7.test" is 192.0.2.7; asked and not answered is anything else.
-- The address is this process's own, so that two runs do not meet.
local address
do
  local stat <close> = assert(io.open("/proc/self/stat"))
  local pid = stat:read("n")
  address = ("127.%d.%d.%d"):format(64 + (pid >> 16 & 127), pid >> 8 & 255, pid & 255)
end

local prelude = [[
  local sock = require "sock"
  local server = assert(sock.socket("inet", "dgram"))
  assert(server:bind("]] .. address .. [[", 53))

  local function question(data)
    local at, words = 13, {}
    while data:byte(at) > 0 do
      local word, stop = string.unpack("s1", data, at)
      words[#words + 1], at = word, stop
    end
    return table.concat(words, "."), string.unpack(">I2", data, at + 1), at + 4
  end

  local function answer(data, from)
    local name, kind, stop = question(data)
    local number = kind == 1 and name:match("^host(%d+)")
    local reply = data:sub(1, 2) .. string.pack(">I2I2I2I2I2", 0x8180, 1, number and 1 or 0, 0, 0)
      .. data:sub(13, stop)
    if number then
      reply = reply
        .. string.pack(">I2I2I2I4s2", 0xc00c, 1, 1, 60, "\192\0\2" .. string.char(number))
    end
    server:sendto(reply, from)
  end

  --- Waits until n names have been asked for.
  local function asked(n)
    local names, count, queries = {}, 0, {}
    while count < n do
      local data, from = server:recvfrom()
      local name = question(data)
      queries[#queries + 1] = { data, from }
      if not names[name] then
        names[name], count = true, count + 1
      end
    end
    return queries
  end

  --- Answers for ever.
  local function serve()
    while true do
      answer(server:recvfrom())
    end
  end
]]

local dir, cleaner

local function isolated(program, ...)
  local preload = os.getenv("LD_PRELOAD") or ""
  return peer.start({ "unshare", "-m", "sh", "-c",
    "mount --bind " .. dir .. "/resolv.conf /etc/resolv.conf && "
      .. "mount --bind " .. dir .. "/nsswitch.conf /etc/nsswitch.conf && "
      .. [[exec timeout 15 env LD_PRELOAD="$0" "$@"]], preload,
    os.getenv("LUA") or "lua5.4", "-e", prelude .. program, "-", ... }, { input = "" })
end

local function canisolate()
  return os.execute("id -u | grep -qx 0 && unshare -m true 2>/dev/null")
end

describe("A look-up whose server does not answer", function()
  setup(function()
    dir, cleaner = peer.tempdir()
    for name, text in pairs {
      ["resolv.conf"] = "nameserver " .. address .. "\noptions timeout:30 attempts:1\n",
      ["nsswitch.conf"] = "hosts: files dns\n",
    } do
      local file <close> = assert(io.open(dir .. "/" .. name, "w"))
      file:write(text)
    end
  end)

  teardown(function()
    getmetatable(cleaner).__close()
  end)

  --- An `it` with a program in its own mount namespace: what it prints.
  local function program(behaviour, expected, text)
    it(behaviour, function()
      if not canisolate() then
        return pending("needs root and a mount namespace of its own")
      end
      local p <close> = isolated(text)
      assert.equal(expected, p:rest())
      local ok = p.out:close()
      p.out = nil
      assert.is_true(ok)
    end)
  end

  program("in ten tasks leaves the others running", "10\ttrue\tcancelled\n", [[
    sock.run(function()
      local tasks, rounds = {}, 0
      for i = 1, 10 do
        tasks[i] = sock.spawn(sock.getaddrinfo, "silent" .. i .. ".test")
      end
      local other = sock.spawn(function()
        while true do
          sock.sleep(0.001)
          rounds = rounds + 1
        end
      end)
      asked(10)
      local before, waiting = rounds, 0
      while rounds < before + 20 do
        sock.sleep(0.001)
      end
      for _, task in ipairs(tasks) do
        waiting = waiting + (task:status() == "waiting" and 1 or 0)
      end
      for _, task in ipairs(tasks) do
        task:cancel()
        task:join()
      end
      other:cancel()
      other:join()
      print(waiting, rounds >= 20, tasks[10]:status())
    end)
  ]])

  program("gives its answer when that comes, each to its task", "10\t0\n", [[
    sock.run(function()
      local tasks, right = {}, 0
      for i = 1, 10 do
        tasks[i] = sock.spawn(sock.getaddrinfo, "host" .. i .. ".test", i)
      end
      local queries = asked(10)
      for i = #queries, 1, -1 do
        answer(table.unpack(queries[i]))
      end
      local server = sock.spawn(serve)
      for i, task in ipairs(tasks) do
        local list = assert(task:join())
        right = right + (tostring(list[1]) == "192.0.2." .. i .. ":" .. i and 1 or 0)
      end
      server:cancel()
      server:join()
      print(right, #sock.tasks() - 1)
    end)
  ]])

  program("outside of tasks lets them go on, and they may answer it", "192.0.2.7:80\n", [[
    local task = sock.spawn(serve)
    print(sock.getaddrinfo("host7.test", 80)[1])
    task:cancel()
    sock.run()
  ]])

  program("in string.gsub and a plain coroutine lets the tasks go on",
    "192.0.2.7:0192.0.2.8:0\n", [[
    local task = sock.spawn(serve)
    sock.run(function()
      print((("7 8"):gsub("%d", function(n)
        return tostring(coroutine.wrap(sock.getaddrinfo)("host" .. n .. ".test")[1])
      end):gsub(" ", "")))
    end)
    task:cancel()
    sock.run()
  ]])

  program("is cancelled at once", "nil\tcancelled\tECANCELED\n", [[
    sock.run(function()
      local task = sock.spawn(sock.getaddrinfo, "silent.test")
      asked(1)
      task:cancel()
      print(task:join())
    end)
  ]])

  program("is covered by sock.timeout",
    "nil\ttimed out\tETIMEDOUT\nnil\ttimed out\tETIMEDOUT\n", [[
    print(sock.timeout(0.05, sock.getaddrinfo, "silent.test"))
    sock.run(function() print(sock.timeout(0.05, sock.getaddrinfo, "silent.test")) end)
  ]])

  program("is covered by settimeout", "ETIMEDOUT\nETIMEDOUT\nETIMEDOUT\n", [[
    local function try()
      local s <close> = assert(sock.socket())
      print((select(3, s:settimeout(0.05):connect("silent.test", 80))))
    end
    try()
    sock.run(try)
    local u <close> = assert(sock.socket("inet", "dgram"))
    print((select(3, u:settimeout(0.05):sendto("x", "silent.test", 80))))
  ]])

  program("and is given up, gives its late answer to nobody", "192.0.2.9:0\n", [[
    sock.run(function()
      local task = sock.spawn(sock.getaddrinfo, "host5.test")
      local queries = asked(1)
      task:cancel()
      task:join()
      task = nil
      collectgarbage()
      for _, query in ipairs(queries) do
        answer(table.unpack(query))
      end
      local server = sock.spawn(serve)
      print(sock.getaddrinfo("host9.test")[1])
      sock.sleep(0.02)
      server:cancel()
      server:join()
    end)
  ]])

  program("in forty tasks is cancelled at once, queued or not", "40\n", [[
    sock.run(function()
      local tasks, cancelled = {}, 0
      for i = 1, 40 do
        tasks[i] = sock.spawn(sock.getaddrinfo, "silent" .. i .. ".test")
      end
      asked(10)
      for i, task in ipairs(tasks) do
        task:cancel()
        cancelled = cancelled + (select(3, task:join()) == "ECANCELED" and 1 or 0)
      end
      print(cancelled)
    end)
  ]])

  program("is no deadlock", "nil\tEAI_AGAIN\n", [[
    -- the server refuses, later: SERVFAIL
    local task = sock.spawn(function()
      local queries = asked(1)
      sock.sleep(0.05)
      for _ = 1, 10 do
        for _, query in ipairs(queries) do
          server:sendto(query[1]:sub(1, 2) .. "\x81\x82" .. query[1]:sub(5), query[2])
        end
        local data, from = server:settimeout(0.5):recvfrom()
        queries = { { data, from } }
        if not data then break end
      end
    end)
    local list, _, code = sock.getaddrinfo("silent.test")
    print(list, code)
    task:cancel()
    sock.run()
  ]])

  program("does not hold up the end of the program",
    "asked\nsock: 1 task was still waiting at the end\n", [[
    sock.spawn(sock.getaddrinfo, "silent.test")
    asked(1)
    print("asked")
    io.stdout:flush()
  ]])

  program("does not hold up os.exit", "asked\n", [[
    sock.spawn(sock.getaddrinfo, "silent.test")
    asked(1)
    print("asked")
    os.exit(true)
  ]])

  program("does not hold up os.exit with lua_close",
    "asked\nsock: 1 task was still waiting at the end\n", [[
    sock.spawn(sock.getaddrinfo, "silent.test")
    asked(1)
    print("asked")
    io.stdout:flush()
    os.exit(true, true)
  ]])

  program("does not hold up a program that its answer reaches too late",
    "sock: 1 task was still waiting at the end\n", [[
    sock.spawn(sock.getaddrinfo, "host3.test")
    local queries = asked(1)
    -- answered while the state closes: the thread is in the midst of it
    held = setmetatable({}, { __gc = function()
      for _, query in ipairs(queries) do
        answer(table.unpack(query))
      end
    end })
  ]])

  program("is interrupted by ^C outside of tasks", "false\tinterrupted!\n", [[
    sock.spawn(function()
      asked(1)
      io.popen("kill -INT $PPID"):close()
      sock.sleep(20)
    end)
    print(pcall(sock.getaddrinfo, "silent.test"))
    os.exit(true)
  ]])
end)
