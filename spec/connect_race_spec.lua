-- What sock.connect does with the addresses of a name: RFC 8305.

local sock = require "sock"
local names = require "spec.support.names"
local peer = require "spec.support.peer"

local function listener(host, port)
  local l = assert(sock.socket(host:find(":") and "inet6" or "inet"))
  assert(l:bind(host, port or 0):listen())
  return l, l:getsockname().port
end

--- An address where connecting gets no answer: its backlog is full, and the
-- kernel drops what comes. What it gives second is to be kept, and closed.
local function blackhole(host, port)
  local l = assert(sock.socket(host:find(":") and "inet6" or "inet"))
  assert(l:setsockopt("reuseaddr", true):bind(host, port or 0):listen(0))
  local filler = assert(sock.connect(l:getsockname()))
  return tostring(l:getsockname()), setmetatable({}, { __close = function()
    l:close()
    filler:close()
  end })
end

local function everywhere(f)
  f()
  sock.run(f)
  coroutine.wrap(f)()
  sock.run(function() coroutine.wrap(f)() end)
end

local function connect(addresses, options)
  return names.with({ ["many.test"] = addresses }, sock.connect, "many.test", 9, options)
end

--- The addresses that a failure lists, in its order.
local function listed(addresses, options)
  local s, message = connect(addresses, options)
  assert.is_nil(s)
  local list = {}
  for address in message:gmatch("(%S+): %u") do
    list[#list + 1] = address ~= "many.test:9" and address or nil
  end
  return list
end

describe("A race", function()
  it("takes the families in turns, beginning with that of the first address", function()
    assert.same({ "[::1]:1", "127.0.0.1:1", "[::1]:2", "127.0.0.1:2", "127.0.0.1:3" },
      listed { "[::1]:1", "[::1]:2", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3" })
    assert.same({ "127.0.0.1:1", "[::1]:1", "127.0.0.1:2" },
      listed { "127.0.0.1:1", "127.0.0.1:2", "[::1]:1" })
    assert.same({ "[::1]:1", "127.0.0.1:1", "[::1]:2" },
      listed { "[::1]:1", "[::1]:2", "127.0.0.1:1" })
  end)

  it("goes on at once after a refusal", function()
    everywhere(function()
      local l <close> = listener("127.0.0.1")
      local refused = {}
      for port = 1, 20 do
        refused[port] = "[::1]:" .. port
      end
      refused[#refused + 1] = tostring(l:getsockname())
      local before = sock.now()
      local s <close> = assert(connect(refused))
      assert.equal(l:getsockname(), s:getpeername())
      assert.is_true(sock.now() - before < 2) -- 20 pauses would be 5
    end)
  end)

  it("goes on after 250 ms without an answer", function()
    everywhere(function()
      local silent, _ <close> = blackhole("::1")
      local l <close> = listener("127.0.0.1")
      local before = sock.now()
      local s <close> = assert(connect { silent, tostring(l:getsockname()) })
      assert.equal(l:getsockname(), s:getpeername())
      assert.is_true(sock.now() - before >= 0.25)
    end)
  end)

  it("lets a slow address win while later ones are still silent", function()
    local slow, held = blackhole("127.0.0.1")
    local silent, _ <close> = blackhole("::1")
    held = getmetatable(held).__close
    local port = math.tointeger(slow:match("%d+$"))
    sock.run(function()
      sock.spawn(function()
        sock.sleep(0.4) -- both are under way: now the first one answers
        held()
        local l <close> = assert(sock.socket())
        assert(l:setsockopt("reuseaddr", true):bind("127.0.0.1", port):listen())
        l:accept():close()
      end)
      local s <close> = assert(connect { slow, silent })
      assert.equal(slow, tostring(s:getpeername()))
    end)
  end)

  it("makes no attempt after one has succeeded", function()
    local l <close> = listener("127.0.0.1")
    local other <close> = listener("::1")
    local s <close> = assert(connect { tostring(l:getsockname()), tostring(other:getsockname()) })
    assert.truthy(s)
    assert.is_nil((sock.wait(other, "r", 0.3)))
  end)

  it("closes the losers at once", function()
    everywhere(function()
      local one, _ <close> = blackhole("::1")
      local two, _ <close> = blackhole("127.0.0.1")
      local l <close> = listener("127.0.0.1")
      local before = names.descriptors()
      local s <close> = assert(connect { one, two, tostring(l:getsockname()) })
      assert.equal(l:getsockname(), s:getpeername())
      assert.equal(before + 1, names.descriptors())
    end)
  end)

  it("needs no task of its own", function()
    local silent, _ <close> = blackhole("::1")
    local l <close> = listener("127.0.0.1")
    sock.run(function()
      local started = sock.task()
      local watcher = sock.spawn(function()
        sock.sleep(0.1)
        return #sock.tasks()
      end)
      local s <close> = assert(connect { silent, tostring(l:getsockname()) })
      assert.truthy(s)
      assert.equal(2, watcher:join())
      assert.equal(started, sock.task())
    end)
  end)

  it("leaves other tasks running", function()
    local silent, _ <close> = blackhole("::1")
    local l <close> = listener("127.0.0.1")
    sock.run(function()
      local turns = 0
      local other = sock.spawn(function()
        while true do
          sock.sleep(0.001)
          turns = turns + 1
        end
      end)
      local s <close> = assert(connect { silent, tostring(l:getsockname()) })
      assert.truthy(s)
      other:cancel()
      other:join()
      assert.is_true(turns > 10)
    end)
  end)

  it("that nobody wins ends with the deadline, and tells where each one was", function()
    everywhere(function()
      local one, _ <close> = blackhole("::1")
      local two, _ <close> = blackhole("127.0.0.1")
      local before = names.descriptors()
      local _, message, code = connect({ "[::1]:9", one, two }, { timeout = 0.1 })
      assert.equal(("connect many.test:9: [::1]:9: Connection refused; %s: timed out; "
        .. "%s: not tried"):format(two, one), message)
      assert.equal("ETIMEDOUT", code)
      assert.equal(before, names.descriptors())
    end)
  end)

  it("has one deadline over all attempts", function()
    local addresses, held = {}, {}
    for i = 1, 4 do
      addresses[i], held[i] = blackhole("127.0.0." .. i)
    end
    local before = sock.now()
    assert.equal("ETIMEDOUT", (select(3, connect(addresses, { timeout = 0.6 }))))
    local took = sock.now() - before
    assert.is_true(took >= 0.6 and took < 1.2)
    for _, one in ipairs(held) do
      getmetatable(one).__close()
    end
  end)

  it("does without addresses whose socket cannot be made or set up", function()
    local l <close> = listener("127.0.0.1")
    local s <close> = assert(connect({ "[::1]:9", tostring(l:getsockname()) },
      { tcp_congestion = "reno" }))
    assert.equal(l:getsockname(), s:getpeername())
    local _, message = connect({ "[::1]:9", "127.0.0.1:9" }, { ipv6_unicast_hops = 5 })
    assert.matches("%[::1%]:9: Connection refused; 127.0.0.1:9: .*setsockopt.*not available",
      message)
  end)
end)

describe("A race in a system that cannot wait", function()
  it("is a failure, and leaves nothing", function()
    local core = require "sock.core"
    local one, _ <close> = blackhole("::1")
    local before, select_ = names.descriptors(), core.select
    core.select = function() return nil, "select: Too many open files", "EMFILE" end
    local ok, s, message, code = pcall(connect, { one, "127.0.0.1:9" })
    core.select = select_
    assert.same({ true, nil, "EMFILE" }, { ok, s, code })
    assert.matches(": select: Too many open files; 127%.0%.0%.1:9: ", message)
    assert.equal(before, names.descriptors())
  end)
end)

describe("A look-up for a race", function()
  --- A getaddrinfo that gives `full` and `four` when their channels say so.
  local function slow(asked, full, four)
    return function(_, options)
      asked[#asked + 1] = options.family or "both"
      return table.unpack((options.family and four or full):get())
    end
  end

  it("asks for IPv4 alone when the whole answer takes long", function()
    local l <close>, port = listener("127.0.0.1")
    local asked, full, four = {}, sock.channel(1), sock.channel(1)
    four:put { { sock.address("127.0.0.1", port) } }
    names.with({ ["slow.test"] = slow(asked, full, four) }, function()
      local s <close> = assert(sock.connect("slow.test", port))
      assert.equal(l:getsockname(), s:getpeername())
    end)
    assert.same({ "both", "inet" }, asked)
    assert.same({}, sock.tasks())
  end)

  it("does not where it comes soon", function()
    local l <close>, port = listener("127.0.0.1")
    local asked, full = {}, sock.channel(1)
    full:put { { sock.address("127.0.0.1", port) } }
    names.with({ ["quick.test"] = slow(asked, full) }, function()
      local s <close> = assert(sock.connect("quick.test", port))
      assert.equal(l:getsockname(), s:getpeername())
    end)
    assert.same({ "both" }, asked)
  end)

  it("brings in late addresses while attempts are under way", function()
    local silent, _ <close> = blackhole("127.0.0.1")
    local l <close> = listener("::1")
    local full, four = sock.channel(1), sock.channel(1)
    four:put { { sock.address(silent) } }
    names.with({ ["slow.test"] = slow({}, full, four) }, function()
      sock.run(function()
        sock.spawn(function()
          sock.sleep(0.1)
          full:put { { sock.address(silent), l:getsockname() } }
        end)
        local s <close> = assert(sock.connect("slow.test", 9))
        assert.equal(l:getsockname(), s:getpeername())
      end)
    end)
  end)

  it("waits for late addresses when the first have failed", function()
    local l <close> = listener("::1")
    local full, four = sock.channel(1), sock.channel(1)
    four:put { { sock.address("127.0.0.1:9") } }
    names.with({ ["slow.test"] = slow({}, full, four) }, function()
      sock.run(function()
        sock.spawn(function()
          sock.sleep(0.1)
          full:put { { sock.address("127.0.0.1:9"), l:getsockname() } }
        end)
        local s <close> = assert(sock.connect("slow.test", 9))
        assert.equal(l:getsockname(), s:getpeername())
      end)
    end)
  end)

  it("believes the whole answer, not the part of it", function()
    local full, four = sock.channel(1), sock.channel(1)
    four:put { nil, "getaddrinfo slow.test: No address", "EAI_NONAME" }
    names.with({ ["slow.test"] = slow({}, full, four) }, function()
      sock.run(function()
        sock.spawn(function()
          sock.sleep(0.1)
          full:put { nil, "getaddrinfo slow.test: Temporary failure in name resolution",
            "EAI_AGAIN" }
        end)
        assert.same({ nil, "connect slow.test:9: Temporary failure in name resolution",
          "EAI_AGAIN" }, { sock.connect("slow.test", 9) })
      end)
    end)
  end)

  it("that never ends is ended by the deadline", function()
    everywhere(function()
      local never = sock.channel()
      names.with({ ["slow.test"] = slow({}, never, never) }, function()
        for _, seconds in ipairs { 0, 0.01, 0.1 } do
          assert.same({ nil, "connect slow.test:9: timed out", "ETIMEDOUT" },
            { sock.connect("slow.test", 9, { timeout = seconds }) })
        end
      end)
    end)
    assert.same({}, sock.tasks())
  end)
end)

--- An `it` with a program that sees its own files in /etc: what it prints.
local function program(behaviour, etc, network, expected, text)
  it(behaviour, function()
    if not names.canisolate() then
      return pending("needs root and namespaces of its own")
    end
    local p <close> = names.isolated(etc, network, 'local sock = require "sock"\n' .. text)
    assert.equal(expected, p:rest())
  end)
end

local files = { ["nsswitch.conf"] = "hosts: files dns\n",
  hosts = "127.0.0.1 localhost two.test\n::1 two.test\n2001:db8::1 dead.test\n"
    .. "127.0.0.1 dead.test\n127.0.0.2 both.test\n127.0.0.1 both.test\n" }

describe("A name of the system", function()
  program("with a dead IPv6 and a live IPv4 address is reached", files, true,
    "127.0.0.1\n127.0.0.1\n", [[
    local l = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local port = l:getsockname().port
    print(sock.connect("dead.test", port):getpeername().host)
    print(sock.connect("two.test", port):getpeername().host)
  ]])

  program("with both is reached by IPv6", files, true, "::1\n", [[
    local a = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local port = a:getsockname().port
    local b = assert(sock.socket("inet6"):bind("::1", port):listen())
    print(sock.connect("two.test", port):getpeername().host)
  ]])

  program("is told with each of its addresses", files, true,
    "connect two.test:9: [::1]:9: Connection refused; 127.0.0.1:9: Connection refused\n"
    .. "connect dead.test:9: 127.0.0.1:9: Connection refused; "
    .. "[2001:db8::1]:9: Network is unreachable\n", [[
    print((select(2, sock.connect("two.test", 9))))
    print((select(2, sock.connect("dead.test", 9))))
  ]])

  program("localhost is found on a machine with nothing but loopback", files, true,
    "ECONNREFUSED\n", [[
    print((select(3, sock.connect("localhost", 9))))
  ]])

  program("whose server leaves questions for IPv6 unanswered is reached by IPv4",
    { ["nsswitch.conf"] = "hosts: dns\n",
      ["resolv.conf"] = "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n" }, true,
    "127.0.0.1\ttrue\n", [[
    local server = assert(sock.udp("127.0.0.1", 53))
    local l = assert(sock.socket():bind("127.0.0.1", 0):listen())
    sock.spawn(function()
      while true do
        local data, from = server:recvfrom()
        local stop = data:find("\0", 13, true) + 4
        if string.unpack(">I2", data, stop - 3) == 1 then -- A
          server:sendto(data:sub(1, 2) .. string.pack(">I2I2I2I2I2", 0x8180, 1, 1, 0, 0)
            .. data:sub(13, stop)
            .. string.pack(">I2I2I2I4s2", 0xc00c, 1, 1, 60, "\127\0\0\1"), from)
        end
      end
    end)
    local before = sock.now()
    local s = assert(sock.connect("host.test", l:getsockname().port))
    print(s:getpeername().host, sock.now() - before < 3)
    os.exit(true)
  ]])

  program("that nobody answers for ends with the deadline, and nothing is left",
    { ["nsswitch.conf"] = "hosts: dns\n",
      ["resolv.conf"] = "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n" }, true,
    "nil\tconnect host.test:80: timed out\tETIMEDOUT\n0\ntrue\n", [[
    local server = assert(sock.udp("127.0.0.1", 53))
    local before = sock.now()
    print(sock.connect("host.test:80", { timeout = 0.2 }))
    print(#sock.tasks())
    print(sock.now() - before < 5)
    os.exit(true)
  ]])
end)

describe("A socket that would meet itself", function()
  program("is noticed, and another tried, alone and in a race", files, true,
    "true\nECONNREFUSED\nECONNREFUSED\n", [[
    local function range(first)
      local file <close> = assert(io.open("/proc/sys/net/ipv4/ip_local_port_range", "w"))
      assert(file:write(first .. " " .. first + 7))
    end
    range(40000)
    local met = false -- each port meets itself once, then rests in TIME_WAIT
    for i = 0, 999 do
      local s <close> = assert(sock.socket())
      if s:connect("127.0.0.1", 40000 + i % 8) then
        met = met or s:getsockname() == s:getpeername()
      end
    end
    print(met)
    for first, host in pairs { [41000] = "127.0.0.1", [42000] = "both.test" } do
      range(first)
      local codes = {}
      for i = 0, 999 do
        codes[select(3, sock.connect(host, first + i % 8)) or "connected"] = true
      end
      for code in pairs(codes) do
        print(code)
      end
    end
  ]])

  it("because its own port is to be that one is given up", function()
    local port = peer.freeport()
    for _, host in ipairs { "127.0.0.1", "one.test" } do
      names.with({ ["one.test"] = { "127.0.0.1" } }, function()
        local _, message, code = sock.connect(host, port, { localaddr = "127.0.0.1:" .. port })
        assert.equal("ECONNREFUSED", code)
        assert.matches("127%.0%.0%.1:%d+: connected to itself$", message)
      end)
      port = peer.freeport() -- the one before stays in TIME_WAIT
    end
  end)
end)

describe("A thousand connections at once", function()
  it("to a name with a dead address are all made", function()
    local p <close> = peer.widelua(8192, [[
      local sock = require "sock"
      local core = require "sock.core"
      local l = assert(sock.socket():bind("127.0.0.1", 0):listen())
      local port = l:getsockname().port
      core.getaddrinfo = function()
        sock.sleep(0)
        return { sock.address("::1", port), sock.address("127.0.0.1", port) }
      end
      local made, accepted = 0, {}
      local acceptor = sock.spawn(function()
        while true do
          accepted[#accepted + 1] = assert(l:accept())
        end
      end)
      sock.scope(function(scope)
        for i = 1, 1000 do
          scope:spawn(function()
            local s <close> = assert(sock.connect("many.test", port, { timeout = 20 }))
            made = made + 1
            s:write(i, "\n")
            s:shutdown("send")
          end)
        end
      end)
      local sum = 0
      while #accepted < 1000 do sock.sleep(0.01) end
      for _, c in ipairs(accepted) do
        sum = sum + math.tointeger(c:read())
      end
      acceptor:cancel()
      acceptor:join()
      print(made, sum, #sock.tasks())
    ]])
    if not p then
      return pending("the system refuses so many descriptors")
    end
    assert.equal("1000\t500500\t0\n", p:rest())
  end)
end)
