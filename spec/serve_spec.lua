local sock = require "sock"
local peer = require "spec.support.peer"

local function connect(address)
  local s = assert(sock.socket(address.family)):settimeout(20)
  return assert(s:connect(address))
end

--- A server on a free port that ends with the block it stands in.
local function serve(handler, options, addr)
  local server = assert(sock.serve(addr or "127.0.0.1:0", handler, options))
  return server, setmetatable({}, { __close = function() server:stop() end })
end

--- Each line in capitals.
local function shout(conn)
  for line in function() return conn:read() end do
    if not conn:write(line:upper(), "\n") then
      return
    end
  end
end

--- All that a program says, while our own tasks go on.
local function rest(program)
  local out <close> = sock.adopt(program.out)
  return out:read("a")
end

--- Waits until f gives true; each look lets the tasks go on.
local function await(f)
  for _ = 1, 10000 do
    if f() then
      return
    end
    sock.sleep(0.001)
  end
  error("it never came true", 2)
end

local function empty(server)
  await(function() return server:stats().open == 0 end)
end

describe("sock.serve", function()
  it("calls the handler with each connection and its peer", function()
    local seen = {}
    local server, _ <close> = serve(function(conn, from)
      seen[#seen + 1] = from
      assert(sock.type(conn) == "socket" and conn:getpeername() == from)
      shout(conn)
    end)
    local clients = {}
    for i = 1, 10 do
      clients[i] = connect(server.address)
      clients[i]:write("from ", i, "\n")
    end
    for i = 10, 1, -1 do
      assert.equal("FROM " .. i, clients[i]:read())
      assert.equal(clients[i]:getsockname(), seen[i])
      clients[i]:close()
    end
    empty(server)
  end)

  it("gives a server", function()
    local server, _ <close> = serve(shout)
    assert.equal("server", sock.type(server))
    assert.equal("inet", server.address.family)
    assert.same({ server.address }, server.addresses)
    assert.is_false(server.stopping)
    assert.equal("server " .. tostring(server.address) .. " (0 open)", tostring(server))
    server:stop()
    assert.is_true(server.stopping)
    assert.equal("server " .. tostring(server.address) .. " (stopping)", tostring(server))
  end)

  it("serves real clients", function()
    local server, _ <close> = serve(function(conn)
      for line in conn:lines() do
        if line == "PING" then
          conn:write("+PONG\r\n")
        end
      end
    end)
    local redis <close> = peer.start({ "redis-cli", "-p", server.address.port, "PING" })
    assert.equal("PONG\n", rest(redis))
    local echo, _ <close> = serve(function(conn) sock.copy(conn, conn) end)
    local socat <close> = peer.start({ "socat", "-t", "20", "-",
      "TCP:127.0.0.1:" .. echo.address.port }, { input = "hello\n" })
    assert.equal("hello\n", rest(socat))
  end)

  it("takes what listen takes, a listener, or a list of these", function()
    local folder, _ <close> = peer.tempdir()
    local listener = assert(sock.listen("127.0.0.1:0"))
    local path = "unix:" .. folder .. "/s"
    for _, given in ipairs { { "127.0.0.1", 0 }, { "127.0.0.1:0" }, { "*", 0 }, { path },
      { sock.address("[::1]:0") }, { listener } } do
      given[#given + 1] = shout
      local server = assert(sock.serve(table.unpack(given)))
      local client <close> = connect(server.address.host ~= "::" and server.address
        or sock.address("127.0.0.1", server.address.port))
      client:write("a\n")
      assert.equal("A", client:read())
      server:stop()
    end
    assert.equal("closed socket", sock.type(listener))
    local several = assert(sock.serve({ "127.0.0.1:0", path, "[::1]:0",
      assert(sock.listen("*", 0)) }, shout))
    assert.equal(4, #several.addresses)
    assert.equal(several.addresses[1], several.address)
    for i = 1, 3 do
      local client <close> = connect(several.addresses[i])
      client:write("b\n")
      assert.equal("B", client:read())
    end
    several:stop()
  end)

  it("opens all listeners or none", function()
    local taken <close> = assert(sock.listen("127.0.0.1:0"))
    local server, message, code = sock.serve({ "127.0.0.1:0", taken:getsockname() }, shout)
    assert.is_nil(server)
    assert.truthy(message:find("Address already in use", 1, true))
    assert.equal("EADDRINUSE", code)
    assert.equal(0, #sock.tasks())
  end)

  it("raises for what the caller got wrong", function()
    local function raises(text, ...)
      local ok, message = pcall(sock.serve, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    local listener, other <close> = assert(sock.listen("127.0.0.1:0")), assert(sock.socket())
    listener:close()
    raises("bad argument #1 to 'serve' (address or host expected, got no value)")
    raises("bad argument #1 to 'serve' (list is empty)", {}, shout)
    raises("bad argument #1 to 'serve' (socket does not listen)", other, shout)
    raises("attempt to use a closed socket", listener, shout)
    raises("attempt to use a closed socket", { listener }, shout)
    raises("bad argument #2 to 'serve' (function expected, got no value)", "127.0.0.1:0")
    raises("bad argument #3 to 'serve' (function expected, got table)", "127.0.0.1", 0, {})
    raises("bad argument #3 to 'serve' (unknown option 'maxcons')", "127.0.0.1:0", shout,
      { maxcons = 1 })
    for _, max in ipairs { 0, 1.5, -math.huge } do
      raises("option 'maxconns' must be at least 1", "127.0.0.1:0", shout, { maxconns = max })
    end
    raises("bad argument #3 to 'serve' (option 'proxy': network #1: \"x\" is none)", "127.0.0.1:0",
      shout, { proxy = { "x" } })
    local _, message = pcall(function() sock.serve(7, shout) end)
    assert.matches("^spec/serve_spec.lua:%d+: bad argument #1 to 'serve'", message)
    raises("option 'onerror': function expected", "127.0.0.1:0", shout, { onerror = 1 })
    raises("option 'mode': for Unix paths only", "127.0.0.1:0", shout, { mode = "600" })
  end)

  it("sets options on listeners, and connections inherit them", function()
    local got
    local server, _ <close> = serve(function(conn)
      got = { conn:getsockopt("tcp_nodelay"), conn:getsockopt("keepalive"), conn:gettimeout() }
    end, { tcp_nodelay = true, keepalive = true, timeout = 7 })
    local client <close> = connect(server.address)
    assert.is_nil(client:read())
    assert.same({ true, true, 7 }, got)
  end)

  it("lives without a variable", function()
    local weak = setmetatable({ sock.serve("127.0.0.1:0", shout) }, { __mode = "v" })
    local address = weak[1].address
    collectgarbage()
    collectgarbage()
    local client <close> = connect(address)
    client:write("still here\n")
    assert.equal("STILL HERE", client:read())
    weak[1]:stop()
  end)

  it("ends a run only when it has stopped", function()
    local server
    sock.run(function()
      server = assert(sock.serve("127.0.0.1:0", function(conn)
        shout(conn)
        sock.spawn(server.stop, server)
      end))
      sock.spawn(function()
        local client <close> = connect(server.address)
        client:write("a\n")
        assert(client:read() == "A")
      end)
    end)
    assert.is_true(server.stopping)
    assert.equal(1, server:stats().accepted)
  end)

  it("ends with its run, if that fails", function()
    local server, client
    assert.error_matches(function()
      sock.run(function()
        server = assert(sock.serve("127.0.0.1:0", shout))
        client = connect(server.address)
        client:write("a\n")
        client:read()
        error("enough")
      end)
    end, "enough")
    assert.is_true(server.stopping)
    assert.is_nil(client:read())
    server:join()
    local s <close> = assert(sock.socket())
    assert.equal("ECONNREFUSED", select(3, s:connect(server.address)))
    client:close()
  end)

  it("stops when its listener is closed by another", function()
    local listener = assert(sock.listen("127.0.0.1:0"))
    local server = assert(sock.serve(listener, shout))
    local client <close> = connect(server.address)
    client:write("a\n")
    assert.equal("A", client:read())
    listener:close()
    await(function() return server.stopping end)
    client:write("b\n")
    assert.equal("B", client:read())
    client:close()
    assert.equal(server, server:join())
  end)
end)

describe("A connection of sock.serve", function()
  it("is flushed, shut and closed when the handler returns", function()
    local kept
    local server, _ <close> = serve(function(conn)
      kept = conn
      conn:setvbuf("full")
      conn:write("last ", "words")
    end)
    local client <close> = connect(server.address)
    assert.equal("last words", client:read("a"))
    assert.equal("socket", sock.type(kept)) -- until the client has ended, too
    client:close()
    empty(server)
    assert.equal("closed socket", sock.type(kept))
  end)

  it("brings its last bytes to a peer that is still sending", function()
    local server, _ <close> = serve(function(conn)
      conn:read()
      conn:write("too much\n")
    end)
    for _ = 1, 20 do
      local client <close> = connect(server.address)
      local sent = sock.spawn(function()
        return client:write("request\n", ("x"):rep(8 << 20)) and client:shutdown("send")
      end)
      assert.truthy(sent:join()) -- all of it, and no reset
      assert.equal("too much", client:read())
      assert.same({}, { client:read() })
    end
    empty(server)
  end)

  it("is closed after a second at most, whatever the peer does", function()
    local server, _ <close> = serve(function(conn) conn:write("bye") end)
    local silent <close> = connect(server.address)
    local chatty <close> = connect(server.address)
    local flood = sock.spawn(function()
      while chatty:write(("x"):rep(1 << 20)) do end -- until it is refused
      return "refused"
    end)
    assert.equal("bye", silent:read("a"))
    assert.equal("refused", flood:join(20))
    empty(server)
    assert.equal(2, server:stats().accepted)
  end)

  it("may be closed, detached or handed on by its handler", function()
    local given
    local server, _ <close> = serve(function(conn)
      local what = conn:read()
      if what == "close" then
        conn:close()
      elseif what == "detach" then
        given = assert(sock.adopt(conn:detach()))
      else
        conn:shutdown("both")
      end
    end)
    for _, what in ipairs { "close", "detach", "shutdown" } do
      local client <close> = connect(server.address)
      client:write(what, "\n")
      if what == "detach" then
        await(function() return given end)
        given:write("still open\n")
        assert.equal("still open", client:read())
        given:close()
      end
      assert.is_nil((client:read()))
    end
    empty(server)
    assert.equal(0, server:stats().failed)
  end)

  it("has the server's timeout, so that an idle peer can be let go", function()
    local code
    local server, _ <close> = serve(function(conn)
      code = select(3, conn:read())
    end, { timeout = 0.001 })
    local client <close> = connect(server.address)
    assert.is_nil(client:read())
    assert.equal("ETIMEDOUT", code)
  end)
end)

describe("An error in a handler", function()
  it("closes only its connection, and is told with its traceback", function()
    local told = {}
    local server, _ <close> = serve(function(conn)
      local line = conn:read()
      if line == "fail" then
        error("as asked")
      end
      conn:write(line, "\n")
      conn:read()
    end, { onerror = function(...) told[#told + 1] = table.pack(...) end })
    local other <close> = connect(server.address)
    local client <close> = connect(server.address)
    client:write("fail\n")
    assert.is_nil((client:read()))
    other:write("works\n")
    assert.equal("works", other:read())
    other:write("done\n")
    assert.is_nil((other:read()))
    assert.equal(1, #told)
    local err, traceback, conn = table.unpack(told[1])
    assert.truthy(err:find("serve_spec.lua:%d+: as asked$"))
    assert.truthy(traceback:find("^stack traceback:\n.*serve_spec.lua:%d+"))
    assert.equal("closed socket", sock.type(conn))
    assert.equal(1, server:stats().failed)
  end)

  it("is the very value", function()
    for _, value in ipairs { {}, 42, false, setmetatable({ traceback = 1 }, {}) } do
      local told = {}
      local server, _ <close> = serve(function() error(value) end,
        { onerror = function(err) told[#told + 1] = err end })
      local client <close> = connect(server.address)
      assert.is_nil((client:read()))
      empty(server)
      assert.equal(1, #told)
      assert.equal(value, told[1])
    end
  end)

  it("may be answered in onerror", function()
    local server, _ <close> = serve(function(conn)
      conn:read()
      error("no")
    end, { onerror = function(_, _, conn) conn:write("500\n") end })
    local client <close> = connect(server.address)
    client:write("x\n")
    assert.equal("500\n", client:read("a"))
  end)

  it("goes where sock.onerror says, to stderr at first", function()
    local told
    local before = sock.onerror(function(...) told = table.pack(...) end)
    local _ <close> = setmetatable({}, { __close = function() sock.onerror(before) end })
    local server, _ <close> = serve(function() error("x", 0) end)
    local client <close> = connect(server.address)
    assert.is_nil((client:read()))
    empty(server)
    assert.equal("x", told[1])
    assert.equal("task", sock.type(told[3]))

    local program <close> = peer.lua([[
      local sock = require "sock"
      local server
      server = sock.serve("127.0.0.1:0", function(conn) error "an accident" end)
      local client = sock.socket():connect(server.address)
      print(client:read())
      server:stop()
    ]])
    local said = program:rest()
    assert.truthy(said:find("^sock: a task failed: .-an accident\nstack traceback:\n.-\nnil\n$"))
  end)

  it("that onerror itself raises ends nothing else", function()
    local program <close> = peer.lua([[
      local sock = require "sock"
      io.stdout:setvbuf "no"
      local server = sock.serve("127.0.0.1:0", function(conn) error "first" end,
        { onerror = function() error("second", 0) end })
      for i = 1, 2 do
        local client = sock.socket():connect(server.address)
        client:read()
      end
      print(server:stats().failed, server:stop(5))
    ]])
    assert.equal(("sock: onerror failed: second\n"):rep(2) .. "2\t0\n", program:rest())
  end)
end)

describe("maxconns", function()
  it("serves a thousand at once, ten at a time", function()
    local most, now = 0, 0
    local server, _ <close> = serve(function(conn)
      now = now + 1
      most = math.max(most, now)
      shout(conn)
      now = now - 1
    end, { maxconns = 10, backlog = 1000 })
    local program <close> = peer.widelua(2000, [[
      local sock = require "sock"
      local served, address = 0, sock.address(arg[1])
      sock.run(function()
        for i = 1, 1000 do
          sock.spawn(function()
            local s <close> = assert(sock.socket())
            assert(s:connect(address))
            s:write(i, "a\n")
            if s:read() == i .. "A" then served = served + 1 end
          end)
        end
      end)
      print("served " .. served)
    ]], server.address)
    assert.equal("served 1000\n", rest(program))
    empty(server)
    assert.equal(10, most)
    assert.equal(1000, server:stats().accepted)
  end)

  it("counts for all listeners of a server together", function()
    local most, now = 0, 0
    local server, _ <close> = serve(function(conn)
      now = now + 1
      most = math.max(most, now)
      shout(conn)
      now = now - 1
    end, { maxconns = 3 }, { "127.0.0.1:0", "127.0.0.1:0", "[::1]:0" })
    local served = 0
    sock.run(function()
      for i = 1, 200 do
        sock.spawn(function()
          local client <close> = connect(server.addresses[i % 3 + 1])
          client:write(i, "a\n")
          if client:read() == i .. "A" then
            served = served + 1
          end
        end)
      end
    end)
    assert.equal(200, served)
    assert.equal(3, most)
    empty(server)
  end)

  it("of one serves one listener after another", function()
    local server, _ <close> = serve(shout, { maxconns = 1 }, { "127.0.0.1:0", "127.0.0.1:0" })
    for i = 1, 20 do
      local client <close> = connect(server.addresses[i % 2 + 1])
      client:write("a\n")
      assert.equal("A", client:read())
    end
    empty(server)
  end)
end)

describe("Out of descriptors, a server", function()
  --- Counts the attempts to accept, and tells them beside what was accepted.
  local program = [[
    local sock = require "sock"
    io.stdout:setvbuf "no"
    local attempts, server = 0, nil
    local listener = assert(sock.listen("127.0.0.1:0"))
    local class = getmetatable(listener).__index
    local accept = class.accept
    function class.accept(...)
      attempts = attempts + 1
      return accept(...)
    end
    server = sock.serve(listener, function(conn)
      for line in conn:lines() do
        conn:write(server:stats().accepted, " ", attempts, "\n")
      end
    end)
    print("port " .. server.address.port)
    server:join()
  ]]

  it("waits without spinning, and goes on when one of its own closes", function()
    local child <close> = peer.widelua(24, program)
    local address = sock.address("127.0.0.1:" .. child:expect("^port (%d+)$"))
    local clients <close> = setmetatable({}, { __close = function(list)
      for _, each in ipairs(list) do each:close() end
    end })
    for i = 1, 40 do
      clients[i] = connect(address)
    end
    local function ask(i)
      assert(clients[i]:write("how many?\n"))
      local accepted, attempts = assert(clients[i]:read()):match("(%d+) (%d+)")
      return math.tointeger(accepted), math.tointeger(attempts)
    end
    local accepted, attempts
    repeat -- until there were some that failed
      accepted, attempts = ask(1)
    until attempts > accepted + 3
    assert.truthy(accepted > 10 and accepted < 24)
    for _ = 1, 1000 do
      ask(1)
    end
    local again, later = ask(1)
    assert.equal(accepted, again)
    assert.truthy(later < attempts + 100)
    for i = 2, 6 do -- as many others as go, are served
      clients[i]:close()
      assert.equal(accepted + i - 1, (ask(accepted + i - 1)))
    end
    clients[1]:close()
    for i = 7, 40 - accepted do
      clients[i]:close()
    end
    for i = 40 - accepted + 1, 40 do
      ask(i)
    end
    assert.equal(40, (ask(40)))
  end)
end)

describe("The slow peers of the world", function()
  it("are served one byte at a time", function()
    local server, _ <close> = serve(shout)
    local client <close> = connect(server.address)
    local fast <close> = connect(server.address)
    for byte in ("slow\n"):gmatch(".") do
      client:write(byte)
      fast:write("fast\n")
      assert.equal("FAST", fast:read())
    end
    assert.equal("SLOW", client:read())
    client:close()
    fast:close()
    empty(server)
  end)

  it("may connect and say nothing, or half-close and wait", function()
    local server, _ <close> = serve(function(conn)
      local all = conn:read("a")
      conn:setvbuf("full")
      conn:write(#all, "\n")
    end)
    local silent <close> = connect(server.address)
    local half <close> = connect(server.address)
    half:write(("x"):rep(100000))
    half:shutdown("send")
    assert.equal("100000\n", half:read("a"))
    silent:close()
    half:close()
    empty(server)
    assert.equal(0, server:stats().failed)
  end)

  it("may reset the connection in each phase", function()
    local server, _ <close> = serve(function(conn)
      local line = conn:read()
      if line then
        conn:setvbuf("full")
        conn:write(("x"):rep(line == "much" and 4 << 20 or 10000))
      end
    end)
    local function reset(client)
      client:setsockopt("linger", 0)
      client:close()
    end
    for _ = 1, 20 do
      reset(connect(server.address)) -- before it is accepted
      local reading = connect(server.address)
      reading:write("half a li")
      sock.sleep(0)
      reset(reading)
      local writing = connect(server.address)
      writing:write("much\n")
      writing:recv(1)
      reset(writing)
      local leaving = connect(server.address)
      leaving:write("little\n")
      assert.equal(10000, #leaving:read(10000))
      reset(leaving)
    end
    empty(server)
    local client <close> = connect(server.address)
    client:write("fine\n")
    assert.equal(10000, #client:read("a"))
  end)

  it("may come and go by the thousand", function()
    local server, _ <close> = serve(shout)
    sock.run(function()
      for _ = 1, 50 do
        sock.spawn(function()
          for _ = 1, 40 do
            local client <close> = connect(server.address)
            client:write("a\n")
            assert(client:read() == "A")
          end
        end)
      end
    end)
    empty(server)
    assert.equal(2000, server:stats().accepted)
  end)
end)

describe("sock.serve with listeners of one's own", function()
  it("does not spin where one's timeout is 0", function()
    local listener = assert(sock.listen("127.0.0.1", 0)):settimeout(0)
    local server, _ <close> = serve(shout, nil, listener)
    local before = os.clock()
    sock.sleep(0.3)
    assert.is_true(os.clock() - before < 0.1)
    local client <close> = connect(server.address)
    client:write("a\n")
    assert.equal("A", client:read())
  end)

  it("goes on with the others when one is closed, and ends with the last", function()
    for _, options in ipairs { {}, { maxconns = 1 } } do
      local told
      local before = sock.onerror(function(err) told = err end)
      local one, two = sock.listen("127.0.0.1", 0), sock.listen("127.0.0.1", 0)
      local server, _ <close> = serve(shout, options, { one, two })
      sock.sleep(0)
      one:close()
      sock.sleep(0.01)
      assert.is_false(server.stopping)
      two:close()
      server:join()
      sock.onerror(before)
      assert.is_nil(told)
    end
  end)

  it("keeps to maxconns also where an accept lets others run", function()
    local listeners = { sock.listen("127.0.0.1", 0), sock.listen("127.0.0.1", 0) }
    local first, second = listeners[1]:getsockname(), listeners[2]:getsockname()
    for _ = 1, 150 do -- that end without a wait, more than a turn may have
      connect(first):close()
    end
    local clients = { connect(first), connect(second) }
    local open, most = 0, 0
    local server, _ <close> = serve(function(conn)
      open = open + 1
      most = math.max(most, open)
      conn:read()
      open = open - 1
    end, { maxconns = 1 }, listeners)
    for _, client in ipairs(clients) do
      client:write("x\n")
      assert.is_nil((client:read()))
      client:close()
    end
    empty(server)
    assert.equal(152, server:stats().accepted)
    assert.equal(1, most)
  end)

  it("goes on when memory has run out for a while", function()
    local core = require "sock.core"
    local spawn, left = core.spawn, 3
    local server, _ <close> = serve(shout)
    core.spawn = function(...)
      left = left - 1
      if left >= 0 then
        error("not enough memory", 0)
      end
      return spawn(...)
    end
    local clients = {}
    for i = 1, 4 do
      clients[i] = connect(server.address)
      clients[i]:write("a\n")
    end
    local answers = {}
    for i, client in ipairs(clients) do
      answers[i] = client:read() or "closed"
      client:close()
    end
    core.spawn = spawn
    assert.same({ "closed", "closed", "closed", "A" }, answers)
    assert.is_false(server.stopping)
    empty(server)
  end)

  it("keeps to maxconns however deep it is started", function()
    for depth = 14, 17 do
      local listener, clients = assert(sock.listen("127.0.0.1", 0)), {}
      for i = 1, 5 do
        clients[i] = connect(listener:getsockname())
      end
      local server
      local function start(left)
        if left > 0 then
          return sock.spawn(start, left - 1)
        end
        server = serve(shout, { maxconns = 1 }, listener)
      end
      start(depth)
      sock.sleep(0.01)
      assert.equal(1, server:stats().open)
      server:stop()
      for _, client in ipairs(clients) do
        client:close()
      end
    end
  end)

  it("leaves no listener behind when it is cancelled while it opens them", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local locker <close> = peer.start { "flock", "-F", folder,
      "sh", "-c", "echo locked; exec sleep 20" }
    locker:expect "locked"
    local port = peer.freeport()
    local task = sock.spawn(sock.serve, { "127.0.0.1:" .. port, "unix:" .. folder .. "/s" }, shout)
    sock.sleep(0.05)
    assert.equal("waiting", task:status())
    collectgarbage("stop")
    task:cancel()
    task:join()
    assert.equal("ECONNREFUSED", select(3, sock.connect("127.0.0.1", port)))
    collectgarbage("restart")
    os.execute("rmdir " .. folder)
  end)
end)

describe("server:stats", function()
  it("counts connections and bytes, also those that never reach Lua", function()
    local server, _ <close> = serve(function(conn) sock.copy(conn, conn) end)
    assert.same({ accepted = 0, open = 0, failed = 0, received = 0, sent = 0 }, server:stats())
    local one <close> = connect(server.address)
    local data = ("x"):rep(1000000)
    local writer = sock.spawn(function() one:write(data):shutdown("send") end)
    assert.equal(data, one:read("a"))
    writer:join()
    local two <close> = connect(server.address)
    two:write("12345")
    assert.equal("12345", two:read(5))
    assert.same({ accepted = 2, open = 1, failed = 0, received = 1000005, sent = 1000005 },
      server:stats())
    assert.equal("2 accepted, 1 open, 0 failed; 1000005 bytes received, 1000005 sent",
      tostring(server:stats()))
    one:close()
    two:close()
    empty(server)
    assert.equal(1000005, server:stats().sent)
  end)

  it("counts what is read by any call once, and what is peeked at not", function()
    local server, _ <close> = serve(function(conn)
      conn:recv(3, "peek")
      conn:recv(1)
      conn:read(1)
      conn:recvmsg()
      conn:sendmsg { data = "abc" }
      conn:send("d")
    end, nil, "*:0")
    local client <close> = connect(sock.address("127.0.0.1", server.address.port))
    client:write("123")
    assert.equal("abcd", client:read("a"))
    client:close()
    empty(server)
    local stats = server:stats()
    assert.equal(3, stats.received)
    assert.equal(4, stats.sent)
  end)
end)
