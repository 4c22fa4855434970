-- The programs in examples/, run as they are, with several clients each.

local sock = require "sock"
local peer = require "spec.support.peer"

local function start(name, ...)
  local program = peer.start({ os.getenv("LUA") or "lua5.4", "examples/" .. name, ... },
    { module = true, input = "" })
  return program, math.tointeger(program:expect(" port (%d+)$"))
end

local function connect(port)
  local client = assert(sock.socket()):settimeout(20)
  return assert(client:connect("127.0.0.1", port))
end

--- The other side has ended, and nothing has failed.
local function assertend(s)
  local data, why = s:read()
  assert.is_nil(data)
  assert.is_nil(why)
end

--- Reads lines until this one; answers how many others came before it.
local function await(client, text)
  local others = 0
  while true do
    local line = assert(client:read("l"))
    if line == text then
      return others
    end
    others = others + 1
  end
end

describe("examples/tcp_server.lua and tcp_client.lua", function()
  it("talk to each other, twice", function()
    local server <close>, port = start("tcp_server.lua")
    for _ = 1, 2 do
      local client <close> = peer.start({ os.getenv("LUA") or "lua5.4",
        "examples/tcp_client.lua", port }, { module = true })
      client:expect("^got  AND ONCE MORE$")
    end
    assert.truthy(server)
  end)
end)

describe("examples/chat.lua", function()
  local function join(port, name)
    local client = connect(port)
    assert.equal("Your name?", client:read())
    assert(client:write(name, "\n"))
    await(client, name .. " has joined")
    return client
  end

  it("tells all what one says, and who comes and goes", function()
    local server <close>, port = start("chat.lua", 0)
    local ann <close> = join(port, "Ann")
    local bob <close> = join(port, "Bob")
    local eve <close> = join(port, "Eve")
    assert.equal(0, await(bob, "Eve has joined"))
    assert(ann:write("hello\n"))
    for _, member in ipairs { ann, bob, eve } do
      await(member, "Ann: hello")
    end
    bob:close()
    assert.equal(0, await(ann, "Bob has left"))
    assert.equal(0, await(eve, "Bob has left"))
    assert(eve:write("so few\n"))
    assert.equal(0, await(ann, "Eve: so few"))
    assert.truthy(server)
  end)

  it("takes two members of one name for two", function()
    local server <close>, port = start("chat.lua", 0)
    local one <close> = join(port, "Ann")
    local two <close> = join(port, "Ann")
    await(one, "Ann has joined")
    two:close()
    await(one, "Ann has left")
    assert(one:write("still here\n"))
    await(one, "Ann: still here")
    assert.truthy(server)
  end)

  it("forgets a client that goes without a name, or with a reset", function()
    local server <close>, port = start("chat.lua", 0)
    connect(port):close()
    local ann <close> = join(port, "Ann")
    local bob <close> = join(port, "Bob")
    assert(bob:setsockopt("linger", 0))
    bob:close()
    await(ann, "Bob has left")
    assert.truthy(server)
  end)

  it("loses no line of a fast talker", function()
    local server <close>, port = start("chat.lua", 0)
    local ann <close> = join(port, "Ann")
    local bob <close> = join(port, "Bob")
    sock.run(function()
      sock.spawn(function()
        for i = 1, 5000 do
          assert(ann:write(i, "\n"))
        end
      end)
      sock.spawn(await, ann, "Ann: 5000")
      await(bob, "Ann: 1")
      assert.equal(4998, await(bob, "Ann: 5000"))
    end)
    assert.truthy(server)
  end)

  it("puts out a member that does not read, and stalls nobody", function()
    local server <close>, port = start("chat.lua", 0)
    local slow <close> = assert(sock.socket()):settimeout(20)
    assert(slow:setsockopt("rcvbuf", 4096))
    assert(slow:connect("127.0.0.1", port))
    assert(slow:write("Slow\n"))
    await(slow, "Slow has joined")
    local ann <close> = join(port, "Ann")
    local long = ("x"):rep(100000)
    sock.run(function()
      sock.spawn(function()
        while ann:write(long, "\n") do
          sock.sleep(0)
        end
      end)
      await(ann, "Slow has left")
      ann:shutdown("both")
    end)
    assert.truthy(server)
  end)

  it("ends on ^C, also while members wait", function()
    local server <close>, port = start("chat.lua", 0)
    local ann <close> = join(port, "Ann")
    server:signal("INT")
    assert.equal("", server:rest())
    assertend(ann)
    local again <close>, same = start("chat.lua", port)
    assert.equal(port, same)
    assert.truthy(again)
  end)
end)

describe("examples/proxy.lua", function()
  local name = "proxy.lua"

  it("carries several connections at once", function()
    local echo <close>, far = peer.socat("TCP-LISTEN:0,bind=127.0.0.1,fork", "EXEC:cat")
    local program <close>, port = start(name, 0, "127.0.0.1", far)
    local clients = {}
    for i = 1, 10 do
      clients[i] = connect(port)
      assert(clients[i]:write("I am ", i, "\n"))
    end
    for i = 10, 1, -1 do
      assert.equal("I am " .. i, clients[i]:read())
      clients[i]:close()
    end
    for _ = 1, 10 do
      program:expect(" has gone$")
    end
    assert.truthy(echo)
  end)

  it("tells the far side of the end, and brings back what it says then", function()
    local sums <close>, far = peer.socat("TCP-LISTEN:0,bind=127.0.0.1,fork", "EXEC:md5sum")
    local program <close>, port = start(name, 0, "localhost", far)
    local client <close> = connect(port)
    assert(client:write("hello")):shutdown("send")
    assert.equal("5d41402abc4b2a76b9719d911017c592  -\n", client:read("a"))
    program:expect(" has gone$")
    assert.truthy(sums)
  end)

  it("tells the near side of the end, and lets it go on", function()
    local listener <close> = assert(sock.socket():settimeout(20):bind("127.0.0.1", 0)):listen()
    local program <close>, port = start(name, 0, "127.0.0.1",
      listener:getsockname().port)
    local client <close> = connect(port)
    local far <close> = assert(listener:accept()):settimeout(20)
    assert(far:write("bye\n")):shutdown("send")
    assert.equal("bye", client:read())
    assertend(client)
    assert(client:write("already?\n"))
    assert.equal("already?", far:read())
    client:close()
    assertend(far)
    program:expect(" has gone$")
  end)

  it("moves much, both ways at once, without loss", function()
    local echo <close>, far = peer.socat("TCP-LISTEN:0,bind=127.0.0.1,fork", "EXEC:cat")
    local program <close>, port = start(name, 0, "127.0.0.1", far)
    local data = {}
    for i = 1, 200000 do
      data[i] = i
    end
    data = table.concat(data, " ")
    local client <close> = connect(port)
    sock.run(function()
      sock.spawn(function()
        assert(client:write(data)):shutdown("send")
      end)
      assert.is_true(data == assert(client:read("a")))
    end)
    program:expect(" has gone$")
    assert.truthy(echo)
  end)

  it("says who is cut off and why, and serves the others", function()
    local far = peer.freeport()
    local program <close>, port = start(name, 0, "127.0.0.1", far)
    local client <close> = connect(port)
    assertend(client)
    assert.truthy(program:expect("is cut off: (.*)$"):find("connect 127.0.0.1:" .. far, 1, true))

    local listener <close> = assert(sock.socket():settimeout(20):bind("127.0.0.1", far)):listen()
    local second <close> = connect(port)
    local server = assert(listener:accept())
    assert(second:write("x"))
    assert.equal("x", server:settimeout(20):read(1))
    assert(server:setsockopt("linger", 0))
    server:close() -- a reset
    assert.is_nil((second:read()))
    assert.truthy(program:expect("is cut off: (.*)$"):find("reset"))
  end)
end)

describe("README.md", function()
  local blocks = {}
  do
    local file <close> = assert(io.open("README.md"))
    for block in file:read("a"):gmatch("\n```lua\n(.-)```") do
      blocks[#blocks + 1] = block
    end
  end

  local function isserver(block)
    return block:find("4000", 1, true) and not block:find("connect(", 1, true)
  end

  --- What a block says that it prints.
  local function promised(block)
    local lines = {}
    for line in block:gmatch("%-%-> ([^\n]*)") do
      lines[#lines + 1] = line .. "\n"
    end
    return table.concat(lines)
  end

  local function run(block, port)
    return peer.lua((block:gsub("4000", port or "4000")))
  end

  --- Connects as soon as the server listens.
  local function reach(port)
    for _ = 1, 5000 do
      local client = sock.socket():settimeout(20)
      if client:connect("127.0.0.1", port) then
        return client
      end
      client:close()
      sock.sleep(0.002)
    end
    error("nobody listens")
  end

  it("has servers that answer its client", function()
    local servers, client = {}, nil
    for _, block in ipairs(blocks) do
      if isserver(block) then
        servers[#servers + 1] = block
      elseif block:find("4000", 1, true) then
        client = block
      end
    end
    assert.equal(2, #servers)
    for _, block in ipairs(servers) do
      local port = peer.freeport()
      local server <close> = run(block, port)
      reach(port):close()
      local program <close> = run(client, port)
      assert.equal(promised(client), program:rest())
      assert.truthy(server)
    end
  end)

  it("has servers for many, that serve them at once", function()
    for _, block in ipairs(blocks) do
      if isserver(block) then
        local port = peer.freeport()
        local server <close> = run(block, port)
        local idle <close> = reach(port)
        local client <close> = connect(port)
        assert(client:write("hello\n"))
        assert.equal("HELLO", client:read())
        assert(idle:write("me too\n"))
        assert.equal("ME TOO", idle:read())
        assert.truthy(server)
      end
    end
  end)

  it("has programs that print what it says", function()
    local count = 0
    for _, block in ipairs(blocks) do
      if not block:find("4000", 1, true) then
        local program <close> = run("io.stdout:setvbuf 'line'\n" .. block)
        if block:find("signal", 1, true) then
          program:expect("tick")
          program:signal("INT")
        end
        local printed = program:rest():gsub("tick\n", "")
        assert.equal(promised(block), printed)
        count = count + 1
      end
    end
    assert.equal(6, count)
  end)
end)
