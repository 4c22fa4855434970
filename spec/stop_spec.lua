-- server:stop: what it lets end, what it waits for, what it cancels.

local sock = require "sock"
local peer = require "spec.support.peer"

local function connect(address)
  local s = assert(sock.socket(address.family)):settimeout(20)
  return assert(s:connect(address))
end

--- Leaves the kernel to connect it: nobody else runs meanwhile.
local function knock(address)
  local s = assert(sock.socket(address.family)):settimeout(0)
  s:connect(address)
  return s:settimeout(20)
end

local function serve(handler, options, addr)
  local server = assert(sock.serve(addr or "127.0.0.1:0", handler, options))
  return server, setmetatable({}, { __close = function() server:stop() end })
end

local function shout(conn)
  for line in function() return conn:read() end do
    conn:write(line:upper(), "\n")
  end
end

--- The peer has ended, and nothing has failed.
local function assertend(client)
  assert.same({ n = 1 }, table.pack(client:read()))
end

--- Stops with a grace that is never needed, while these clients see their end.
local function stop(server, ...)
  local stopper = sock.spawn(server.stop, server, 1000)
  for _, client in ipairs { ... } do
    assertend(client)
    client:close() -- until then, or for a second, the server stays to listen
  end
  return stopper:join()
end

local function await(f)
  for _ = 1, 10000 do
    if f() then
      return
    end
    sock.sleep(0.001)
  end
  error("it never came true", 2)
end

--- Waits until the server has received so many bytes.
local function received(server, count)
  await(function() return server:stats().received >= count end)
end

describe("server:stop", function()
  it("ends connections that wait for the next request, at once", function()
    for _, addr in ipairs { "127.0.0.1:0", "unix:@sock-stop-" .. peer.freeport() } do
      local server = serve(shout, nil, addr)
      local idle <close> = connect(server.address)
      idle:write("a\n")
      assert.equal("A", idle:read())
      assert.equal(0, stop(server, idle))
      assert.equal(0, server:stats().open)
    end
  end)

  it("answers the first request of one that has just come", function()
    local server = serve(shout)
    local fresh <close> = connect(server.address)
    await(function() return server:stats().open == 1 end)
    local stopper = sock.spawn(server.stop, server, 1000)
    await(function() return server.stopping end)
    fresh:write("a\n")
    assert.equal("A", fresh:read())
    assertend(fresh)
    fresh:close()
    assert.equal(0, stopper:join())
  end)

  it("whatever they read with", function()
    local ways = {
      function(conn) return conn:read("a") end,
      function(conn) return conn:recv() end,
      function(conn) return conn:recv(10, "waitall") end,
      function(conn) return conn:unpack("s4") end,
      function(conn) return conn:readuntil("\r\n\r\n") end,
      function(conn) return (conn:recvmsg() or {}).data end,
      function(conn) return conn:recvfrom() end,
      function(conn) return sock.copy(conn, conn) end,
      function(conn) return conn:lines()() end,
    }
    for _, read in ipairs(ways) do
      local code
      local server = serve(function(conn)
        conn:write("ready\n")
        code = select(3, read(conn))
      end)
      local client <close> = connect(server.address)
      assert.equal("ready", client:read())
      assert.equal(0, stop(server, client))
      assert.is_nil(code)
    end
  end)

  it("lets busy ones finish, those too that become idle meanwhile", function()
    local gate = sock.channel()
    local server = serve(function(conn)
      for line in function() return conn:read() end do
        gate:get()
        conn:write(line:upper(), "\n")
      end
    end)
    local client <close> = connect(server.address)
    client:write("first\n")
    received(server, 6)
    local stopper = sock.spawn(server.stop, server, 1000)
    await(function() return stopper:status() == "waiting" end)
    gate:put(true)
    assert.equal("FIRST", client:read())
    assertend(client)
    client:close()
    assert.equal(0, stopper:join())
  end)

  it("takes half a request for one under way", function()
    for _, split in ipairs { { "ha", "lf\n" }, { "a\nha", "lf\n" } } do
      local server = serve(shout)
      local client <close> = connect(server.address)
      client:write(split[1])
      received(server, #split[1])
      local stopper = sock.spawn(server.stop, server, 1000)
      sock.sleep(0)
      client:write(split[2])
      if #split[1] > 2 then
        assert.equal("A", client:read())
      end
      assert.equal("HALF", client:read())
      assertend(client)
      client:close()
      assert.equal(0, stopper:join())
    end
  end)

  it("knows the last word of full-buffered output", function()
    local server = serve(function(conn)
      conn:setvbuf("full")
      for line in function() return conn:read() end do
        conn:write("you said ", line, "\n")
        if line == "more" then
          conn:write("and ", conn:read(), "\n")
        end
      end
    end)
    local idle <close> = connect(server.address)
    local busy <close> = connect(server.address)
    idle:write("a\n")
    assert.equal("you said a", idle:read())
    busy:write("more\nx")
    assert.equal("you said more", busy:read()) -- sent after the x was heard
    local stopper = sock.spawn(server.stop, server, 1000)
    assertend(idle)
    idle:close()
    busy:write("yz\n")
    assert.equal("and xyz", busy:read())
    assertend(busy)
    busy:close()
    assert.equal(0, stopper:join())
  end)

  it("cuts none of a hundred requests in flight", function()
    local gate = sock.channel()
    local server = serve(function(conn)
      for line in function() return conn:read() end do
        gate:get() -- which is closed, and gives nil, once the stop has begun
        conn:write(line:upper(), "\n")
      end
    end)
    local answered, ended, bytes = 0, 0, 0
    sock.run(function()
      for i = 1, 100 do
        bytes = bytes + #(i .. "a\n")
        sock.spawn(function()
          local client <close> = connect(server.address)
          client:write(i, "a\n")
          local answer = client:read()
          answered = answered + (answer == i .. "A" and 1 or 0)
          local line, why = client:read()
          ended = ended + (line == nil and why == nil and 1 or 0)
        end)
      end
      received(server, bytes)
      local stopper = sock.spawn(server.stop, server, 1000)
      await(function() return server.stopping end)
      gate:close()
      assert.equal(0, stopper:join())
    end)
    assert.equal(100, answered)
    assert.equal(100, ended)
  end)

  it("cancels the rest, and says how many", function()
    local log = {}
    local server = serve(function(conn)
      local _ <close> = setmetatable({}, { __close = function(_, err) log[#log + 1] = err end })
      conn:write("welcome\n")
      if conn:read() then
        sock.channel():get()
      end
    end)
    local clients = {}
    for i = 1, 3 do
      clients[i] = connect(server.address)
      clients[i]:write("x\n")
    end
    local idle <close> = connect(server.address)
    assert.equal("welcome", idle:read())
    received(server, 6)
    assert.equal(3, server:stop(0.001))
    assert.equal(3, #log)
    assert.equal(0, server:stats().open)
    assert.equal(0, server:stats().failed)
    assertend(idle)
    for _, client in ipairs(clients) do
      assert.equal("welcome", client:read())
      assert.is_nil((client:read()))
      client:close()
    end
  end)

  it("without a grace cancels at once", function()
    local server = serve(function(conn)
      conn:read()
      sock.sleep(1000)
    end)
    local client <close> = connect(server.address)
    client:write("x\n")
    received(server, 2)
    assert.equal(1, server:stop())
    assert.is_nil((client:read()))
  end)

  it("refuses new connections, and frees the port", function()
    local server = serve(shout)
    local client <close> = connect(server.address)
    client:write("a\n")
    client:read()
    stop(server, client)
    local s <close> = assert(sock.socket())
    assert.equal("ECONNREFUSED", select(3, s:connect(server.address)))
    local again <close> = assert(sock.listen(server.address))
    assert.truthy(again)
  end)

  it("with a grace serves those that the kernel has accepted already", function()
    local clients = {}
    local server = serve(shout, { maxconns = 3 }, "unix:@sock-stop-" .. peer.freeport())
    for i = 1, 3 do
      clients[i] = connect(server.address)
      clients[i]:write(i, "a\n")
    end
    -- none of our tasks has run since: nobody has accepted any
    assert.equal(0, server:stats().accepted)
    local stopper = sock.spawn(server.stop, server, 1000)
    for i = 1, 3 do
      assert.equal(i .. "A", clients[i]:read())
      assertend(clients[i])
      clients[i]:close()
    end
    assert.equal(0, stopper:join())
    assert.equal(3, server:stats().accepted)
  end)

  it("lets none in of a flood that goes on", function()
    for _, addr in ipairs { "127.0.0.1:0", "unix:@sock-stop-" .. peer.freeport() } do
      local clients, server = {}, nil
      local function come()
        clients[#clients + 1] = knock(server.address)
      end
      server = serve(function()
        if #clients < 3000 then
          come()
        end
      end, nil, addr)
      come()
      local began = sock.now()
      assert.equal(0, server:stop(0.05))
      assert.is_true(#clients < 3000, #clients .. " were let in")
      assert.is_true(sock.now() - began < 10)
      for _, client in ipairs(clients) do
        client:close()
      end
    end
  end)

  it("may be called by one that was let in at the end", function()
    local server, failed = nil, nil
    server = serve(function() server:stop() end, { onerror = function(err) failed = err end })
    local a <close> = knock(server.address)
    local b <close> = knock(server.address)
    local ok, err = pcall(server.stop, server, 1)
    assert.is_true(ok, err)
    assert.is_nil(failed)
    a:read()
    b:read()
  end)

  it("works while it waits for room", function()
    local server = serve(shout, { maxconns = 1 }, { "127.0.0.1:0", "127.0.0.1:0" })
    local one <close> = connect(server.addresses[1])
    one:write("a\n")
    assert.equal("A", one:read())
    local two <close> = connect(server.addresses[2])
    assert.equal(0, stop(server, one))
    assert.is_nil((two:read())) -- there was no room for it to the end
  end)

  it("lets the farewell of a handler that has returned go on", function()
    local server = serve(function(conn)
      conn:read()
      conn:write("last\n")
    end)
    local client <close> = connect(server.address)
    client:write("x\n", ("y"):rep(10))
    assert.equal("last", client:read())
    local stopper = sock.spawn(server.stop, server)
    sock.sleep(0)
    assert(client:write(("y"):rep(1000)))
    assertend(client)
    client:close()
    assert.equal(0, stopper:join())
  end)

  it("is not held up by a peer that does not read", function()
    local server = serve(function(conn)
      conn:read()
      conn:write(("x"):rep(64 << 20))
    end)
    local client <close> = connect(server.address)
    client:write("x\n")
    received(server, 2)
    assert.equal(1, server:stop(0.01))
  end)

  it("may be called in a handler, whose own connection goes on", function()
    local server, count
    server = serve(function(conn)
      for line in function() return conn:read() end do
        if line == "quit" then
          count = server:stop(1000)
          conn:write("bye\n")
          return
        end
        conn:write(line, "\n")
      end
    end)
    local other <close> = connect(server.address)
    other:write("a\n")
    assert.equal("a", other:read())
    local client <close> = connect(server.address)
    client:write("quit\n")
    assertend(other)
    other:close()
    assert.equal("bye", client:read())
    assertend(client)
    assert.equal(0, count)
    client:close()
    server:join()
  end)

  it("may be called again with less patience", function()
    local server = serve(function(conn)
      conn:read()
      sock.sleep(1000)
    end)
    local client <close> = connect(server.address)
    client:write("x\n")
    received(server, 2)
    local patient = sock.spawn(server.stop, server, 1000)
    sock.sleep(0)
    assert.equal(1, server:stop(0))
    assert.equal(0, patient:join())
    assert.equal(0, server:stop(1000))
  end)

  it("may be called in two handlers at once, which do not wait for each other", function()
    local server, counts = nil, {}
    server = serve(function(conn)
      conn:read()
      local count = server:stop(1000)
      counts[#counts + 1] = count
      conn:write("bye\n")
    end)
    local one, two = connect(server.address), connect(server.address)
    await(function() return server:stats().open == 2 end)
    one:write("quit\n")
    two:write("quit\n")
    assert.equal("bye", one:read())
    assert.equal("bye", two:read())
    assert.same({ 0, 0 }, counts)
    one:close()
    two:close()
    server:join()
  end)

  it("may be called by a handler that it lets in", function()
    local server, count
    server = serve(function(conn)
      conn:read()
      count = server:stop()
    end)
    local one <close> = sock.socket()
    local two <close> = sock.socket()
    for _, each in ipairs { one, two } do -- accepted by nobody yet, as no task has run
      each:settimeout(0):connect(server.address)
      each:write("quit\n")
    end
    assert.equal(0, server:stop(1000))
    assert.equal(0, count)
  end)

  it("may be called in onerror", function()
    local server, count
    server = serve(function(conn)
      error(conn:read())
    end, { onerror = function() count = server:stop() end })
    local other <close> = connect(server.address)
    local client <close> = connect(server.address)
    await(function() return server:stats().open == 2 end)
    client:write("x\n")
    assertend(client)
    assert.equal(1, count)
    assertend(other)
    server:join()
  end)

  it("can itself be given up", function()
    local server = serve(function(conn)
      conn:read()
      sock.sleep(1000)
    end)
    local client <close> = connect(server.address)
    client:write("x\n")
    received(server, 2)
    assert.equal("ETIMEDOUT", select(3, sock.timeout(0.01, server.stop, server, 1000)))
    assert.is_true(server.stopping)
    assert.equal(1, server:stats().open)
    assert.equal(1, server:stop())
  end)

  it("ends both ways of a relay that nobody talks through", function()
    local far, _ <close> = serve(shout)
    local server = serve(function(conn)
      local backend <close> = connect(far.address)
      sock.relay(conn, backend)
    end)
    local client <close> = connect(server.address)
    client:write("a\n")
    assert.equal("A", client:read())
    assert.equal(0, stop(server, client))
  end)

  it("answers no request with a reset that comes while it ends", function()
    local server = serve(function(conn)
      shout(conn)
      conn:write("closing\n")
    end)
    local client <close> = connect(server.address)
    client:write("a\n")
    assert.equal("A", client:read())
    local stopper = sock.spawn(server.stop, server, 1000)
    assert.equal("closing", client:read())
    assert(client:write("b\n")) -- too late, but it crosses the end
    assert(client:write("c\n"))
    assertend(client)
    client:close()
    assert.equal(0, stopper:join())
  end)

  it("raises for what is no grace", function()
    local server, _ <close> = serve(shout)
    for _, each in ipairs { "x", 0 / 0 } do
      local _, message = pcall(function() server:stop(each) end)
      assert.matches("^spec/stop_spec.lua:%d+: bad argument #1 to 'stop' %(number expected, got ",
        message)
      assert.is_false(server.stopping)
    end
    local client <close> = connect(server.address) -- it still serves
    client:write("a\n")
    assert.equal("A", client:read())
  end)
end)

describe("server:join", function()
  it("waits until it has stopped and all have ended", function()
    local server = serve(shout)
    local client <close> = connect(server.address)
    client:write("a")
    received(server, 1)
    local joiner = sock.spawn(server.join, server)
    local stopper = sock.spawn(server.stop, server, 1000)
    sock.sleep(0.001)
    assert.equal("waiting", joiner:status())
    client:write("\n")
    assert.equal("A", client:read())
    assertend(client)
    client:close()
    assert.equal(server, joiner:join())
    assert.equal(0, stopper:join())
    assert.equal(server, server:join())
  end)

  it("is refused in the server's own handler", function()
    local told, server
    server = serve(function() server:join() end, { onerror = function(err) told = err end })
    local client <close> = connect(server.address)
    assert.is_nil((client:read()))
    assert.truthy(told:find("attempt to wait for a server in its own handler", 1, true))
    server:stop()
  end)

  it("is refused in onerror as well", function()
    local ok, server
    server = serve(error, { onerror = function() ok = pcall(server.join, server) end })
    local client <close> = connect(server.address)
    assert.is_nil((client:read()))
    assert.is_false(ok)
    server:stop()
  end)
end)
