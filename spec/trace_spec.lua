-- s:trace: what a socket does, told as it happens; and s:info.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local closing, connection, listener, pair = fixtures.closing, fixtures.connection,
  fixtures.listener, fixtures.pair

--- What the events of a list were, each as a text.
local function deeds(list)
  local words = {}
  for i, event in ipairs(list) do
    words[i] = event.what .. (event.data and " " .. event.data or "")
      .. (event.how and " " .. event.how or "")
      .. (event.code and (" %s %s"):format(event.call, event.code) or "")
  end
  return words
end

--- What a program writes to stderr.
local function stderr(program)
  return peer.output(program)
end

describe("s:trace", function()
  it("answers the socket", function()
    local a, _, _ <close> = pair()
    assert.equal(a, a:trace({}))
    assert.equal(a, a:trace(false))
  end)

  it("tells of each transfer, before the call that made it returns", function()
    fixtures.everywhere(function()
      local a, b, _ <close> = pair()
      local list = {}
      a:trace(list)
      a:write("one")
      assert.same({ "send one" }, deeds(list))
      b:write("two\nthree")
      assert.equal("two", a:read())
      assert.same({ "send one", "recv two\nthree" }, deeds(list))
      assert.equal("three", a:recv())
      assert.equal(2, #list)
    end)
  end)

  it("tells of a connection from its beginning to its end", function()
    local l <close> = listener()
    local client <close> = assert(sock.socket())
    local events = {}
    client:trace(events)
    client:connect(l:getsockname())
    local server <close> = assert(l:accept())
    client:write("hello")
    client:shutdown("send")
    assert.equal("hello", server:read("a"))
    server:write("bye")
    server:close()
    assert.equal("bye", client:read("a"))
    assert.is_nil(client:recv())
    local name, other = client:getsockname(), l:getsockname()
    client:close()
    assert.same({ "connect", "send hello", "shutdown send", "recv bye", "end", "close" },
      deeds(events))
    for _, event in ipairs(events) do
      assert.equal(client, event.socket)
      assert.equal(name, event.here)
      assert.equal(other, event.peer)
      assert.equal("stream", event.type)
      assert.truthy(math.abs(event.time - os.time()) < 60)
    end
  end)

  it("tells of failures, and who refused", function()
    local s <close> = assert(sock.socket())
    local events = {}
    local port = peer.freeport()
    s:trace(events):connect("127.0.0.1", port)
    assert.same({ "error connect ECONNREFUSED" }, deeds(events))
    assert.equal(sock.address("127.0.0.1", port), events[1].peer)
    local a, b, _ <close> = pair()
    a:trace(events):settimeout(0):recv()
    b:close()
    a:write("x")
    assert.same({ "error recv ETIMEDOUT", "error write EPIPE" },
      { deeds(events)[2], deeds(events)[3] })
  end)

  it("tells of each connection that a traced listener accepts", function()
    local l <close> = listener()
    local events = {}
    l:trace(events)
    local a <close> = assert(sock.connect(l:getsockname()))
    local b <close> = assert(l:accept())
    a:write("x")
    b:recv()
    assert.same({ "accept", "recv x" }, deeds(events))
    assert.equal(b, events[1].socket)
    assert.equal(a:getsockname(), events[1].peer)
    l:trace(false)
    local c <close> = assert(sock.connect(l:getsockname()))
    local d <close> = assert(l:accept())
    c:write("y")
    d:recv()
    assert.equal(2, #events)
  end)

  it("tells of each connection of a server", function()
    local l = assert(sock.listen("127.0.0.1:0"))
    local events = {}
    fixtures.run(function()
      local server = sock.serve(l, function(conn)
        conn:write(conn:read(), "\n")
      end)
      assert.equal(server, server:trace(events))
      local s <close> = assert(sock.connect(server.address))
      s:write("line\n")
      assert.equal("line", s:read())
      s:close()
      server:stop(5)
    end)
    local words = table.concat(deeds(events), ",")
    assert.truthy(words:find("^accept,recv line\n,send line\n,"), words)
    assert.truthy(words:find(",close", 1, true), words)
  end)

  it("tells where datagrams go and come from, whatever call takes them", function()
    local a, b = assert(sock.udp("127.0.0.1:0")), assert(sock.udp("127.0.0.1:0"))
    local _ <close> = closing(a, b)
    local to, from, events = b:getsockname(), a:getsockname(), {}
    a:trace(events)
    b:trace(events)
    a:sendto("one", to)
    assert.equal("one", b:recvfrom())
    a:sendmany { { "two", to }, { "three", to } }
    assert.same({ "two", "three" }, { b:recvfrom(), b:recv() })
    a:sendmsg { data = "four", to = to }
    assert.equal("four", b:recvmsg().data)
    a:sendmany { { "five", to }, { "", to } }
    while #events < 12 do
      assert(b:recvmany())
    end
    local said = {}
    for i, event in ipairs(events) do
      assert.equal(event.socket == a and from or to, event.here)
      assert.equal(event.socket == a and to or from, event.peer)
      assert.equal("dgram", event.type)
      said[i] = event.what .. " " .. event.data
    end
    assert.same({ "send one", "recv one", "send two", "send three", "recv two", "recv three",
      "send four", "recv four", "send five", "send ", "recv five", "recv " }, said)
  end)

  it("tells what a datagram was cut to, and its length", function()
    local a, b, _ <close> = pair("dgram")
    local events = {}
    b:trace(events)
    a:send("0123456789")
    assert.equal("0123", b:recv(4))
    assert.same({ "0123", 10 }, { events[1].data, events[1].size })
  end)

  it("does not tell of bytes that are only looked at", function()
    local a, b, _ <close> = pair()
    local events = {}
    b:trace(events)
    a:write("x")
    b:recv(1, "peek")
    assert.same({}, events)
    b:recv(1)
    assert.same({ "recv x" }, deeds(events))
  end)

  it("tells of what copy and relay move", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local events = {}
      c:trace(events)
      sock.spawn(function()
        a:write("through")
        a:shutdown("send")
      end)
      assert.equal(7, sock.copy(b, c))
      assert.equal("through", d:recv())
      assert.same({ "send through" }, deeds(events))
    end)
  end)

  it("sees what a copy that is under way goes on to move", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local copy = sock.spawn(sock.copy, b, c)
      a:write("unseen")
      assert.equal("unseen", d:recv())
      local events = {}
      b:trace(events)
      a:write("seen")
      assert.equal("seen", d:recv())
      a:close()
      assert.equal(10, copy:join())
      assert.same({ "recv seen", "end" }, deeds(events))
    end)
  end)

  it("tells of buffered output when it leaves, before the loop waits", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local events = {}
      a:trace(events):setvbuf("full")
      a:write("one ")
      a:write("two")
      assert.same({}, events)
      assert.equal("one two", b:read(7))
      assert.same({ "send one two" }, deeds(events))
    end)
  end)

  it("tells of all there is, in order, while many tasks talk", function()
    fixtures.run(function()
      local sent, events = {}, {}
      sock.scope(function(scope)
        for i = 1, 20 do
          local a, b = pair()
          a:trace(events)
          scope:spawn(function()
            local _ <close> = closing(a)
            for round = 1, 20 do
              local text = ("%d:%d\n"):format(i, round)
              sent[#sent + 1] = text
              a:write(text)
              assert.equal(text, a:read("L"))
            end
          end)
          scope:spawn(function()
            local _ <close> = closing(b)
            for line in b:lines("L") do
              b:write(line)
            end
          end)
        end
      end)
      local rounds, ids = {}, {}
      for _, event in ipairs(events) do
        if event.data then
          local round = rounds[event.id] or 0
          ids[event.id] = event.data:match("^%d+")
          assert.equal(("%s:%d\n"):format(ids[event.id], round // 2 + 1), event.data)
          rounds[event.id] = round + 1
        end
      end
      assert.equal(2 * #sent + 20, #events) -- and the twenty closes
    end)
  end)

  it("hands a large write on as it leaves, not all at its end", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local size, most = 0, 0
      a:trace(function(event)
        if event.data then
          size = size + #event.data
          most = math.max(most, #event.data)
        end
      end)
      sock.spawn(function() a:write(("x"):rep(4000000)) end)
      assert.equal(4000000, #b:read(4000000))
      assert.equal(4000000, size)
      assert.truthy(most < 4000000)
    end)
  end)

  it("tells of a socket that nobody held any more", function()
    local a, b, _ <close> = pair()
    local said = {}
    local function tell(event) -- a list of events would hold their sockets
      said[#said + 1] = ("%s %s"):format(event.what, event.socket and "held" or "gone")
    end
    local function leave()
      local c <close>, d = assert(sock.socketpair())
      d:trace(tell)
      c:write("x")
      d:recv()
    end
    leave()
    collectgarbage()
    collectgarbage()
    a:trace(tell):write("later")
    b:recv()
    assert.same({ "recv held", "close gone", "send held" }, said)
  end)
end)

describe("a sink", function()
  it("may be a function", function()
    local a, _, _ <close> = pair()
    local seen
    a:trace(function(event) seen = event end)
    a:write("x")
    assert.equal("x", seen.data)
  end)

  it("may be an object with a method `event`", function()
    local a, _, _ <close> = pair()
    local object = { event = function(self, event) self.data = event.data end }
    a:trace(object):write("x")
    assert.equal("x", object.data)
  end)

  it("may be a file, which gets text", function()
    local a, b, _ <close> = connection()
    local file <close> = assert(io.tmpfile())
    a:trace(file):write("GET / HTTP/1.1\r\n\0")
    b:write("ok")
    a:recv()
    a:close()
    file:seek("set")
    local here, there = tostring(b:getpeername()), tostring(b:getsockname())
    local text = file:read("a"):gsub("%d%d:%d%d:%d%d%.%d%d%d%d%d%d ", "")
    text = text:gsub("[^\n]* waits to read\n", "")
    assert.equal(("tcp A -> B send 17 bytes\n"
      .. "  00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|\n"
      .. "  00000010  00                                                |.|\n"
      .. "tcp A <- B recv 2 bytes\n"
      .. "  00000000  6f 6b                                             |ok|\n"
      .. "tcp A -- B close\n"):gsub("A", here):gsub("B", there), text)
  end)

  it("is stderr if there is none, without colours where that is no terminal", function()
    local text = stderr [[
      local a, b = sock.socketpair()
      a:trace()
      a:write("hello")
      sock.run(function()
        sock.spawn(function() b:write("x") end)
        a:recv()
        sock.spawn(function() sock.sleep(0) b:write("y") end)
        a:recv()
      end)]]
    assert.truthy(text:find("^%d+:%d+:%d+%.%d+ unix: %-> unix: send 5 bytes\n  00000000  68"), text)
    assert.truthy(text:find("unix: %-%- unix: waits to read\n"), text)
    assert.falsy(text:find("\27", 1, true), text)
  end)

  it("is in colours on a terminal", function()
    local prompt <close> = peer.prompt()
    prompt:type('sock = require "sock" a, b = sock.socketpair() a:trace()')
    prompt:await("\n> ")
    prompt:type('assert(a:write("hello"))')
    assert.truthy(prompt:await("|hello|"):find("\27%[32m%d+:%d+:[^\n]*send 5 bytes\27%[0m"))
    prompt:await("> ")
  end)

  it("shows what a server hears and says while the prompt is idle", function()
    local prompt <close> = peer.prompt()
    prompt:type('sock = require "sock" sock.repl()')
    prompt:await("> ")
    prompt:type('server = sock.serve("127.0.0.1:0", function(c) c:write(c:read():upper()) end)')
    prompt:await("> ")
    prompt:type('server:trace() print("port=" .. server.address.port .. ".")')
    prompt:await("port=") -- as it is typed
    prompt:await("port=")
    local port = tonumber(prompt:await("."):match("%d+"))
    local client <close> = assert(sock.connect("127.0.0.1", port))
    client:write("hello\n")
    assert.equal("HELLO", client:read("a"))
    local shown = prompt:await("close")
    for _, what in ipairs { "accept", "recv 6 bytes", "|hello.|", "send 5 bytes", "|HELLO|" } do
      assert.truthy(shown:find(what, 1, true), shown)
    end
  end)

  it("is told at the end of a program what its last sockets did", function()
    local text = stderr [[
      local a, b = sock.socketpair()
      a:trace()
      A = a]]
    assert.truthy(text:find("unix: %-%- unix: close\n$"), text)
  end)

  it("is no other thing", function()
    local a, _, _ <close> = pair()
    for _, what in ipairs { 1, "x", true, a } do
      local ok, message = pcall(a.trace, a, what)
      assert.falsy(ok)
      assert.truthy(message:find("bad argument #1 to 'trace'", 1, true))
    end
    local closed = assert(io.tmpfile())
    closed:close()
    assert.has_error(function() a:trace(closed) end,
      "bad argument #1 to 'trace' (function, file, list or sink expected, got closed file)")
  end)

  it("may end its trace: it answers false", function()
    local a, _, _ <close> = pair()
    local calls = 0
    a:trace(function()
      calls = calls + 1
      return calls < 2
    end)
    for _ = 1, 4 do
      a:write("x")
    end
    assert.equal(2, calls)
  end)

  it("that raises is told of once, and no call fails for it", function()
    local text = stderr [[
      local l = sock.listen("127.0.0.1:0"):trace(function(event)
        error("sink broke at " .. event.what)
      end)
      for i = 1, 3 do
        local a = sock.connect(l:getsockname())
        local b = l:accept()
        a:write("fine")
        print(b:recv())
      end]]
    local _, times = text:gsub("sink broke", "")
    assert.equal(1, times)
    assert.truthy(text:find("sock: a trace has ended: [^\n]*sink broke at accept\n"), text)
    assert.equal(3, select(2, text:gsub("fine", "")))
  end)

  it("that yields has raised", function()
    local text = stderr [[
      sock.run(function()
        local a, b = sock.socketpair()
        a:trace(function() coroutine.yield() end)
        a:write("fine")
        print(b:recv(), sock.task():status())
      end)]]
    assert.truthy(text:find("attempt to yield", 1, true), text)
    assert.truthy(text:find("fine\trunning\n", 1, true), text)
  end)

  it("may wait, and others go on meanwhile and are told of in order", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local c, d, _ <close> = pair()
      local words, gate = {}, sock.channel()
      local function sink(event)
        words[#words + 1] = event.what .. " " .. (event.data or "")
        if #words == 1 then
          gate:get()
          words[#words + 1] = "waited"
        end
      end
      a:trace(sink)
      c:trace(sink)
      sock.spawn(function()
        sock.sleep(0)
        c:write("other")
        assert.equal("other", d:recv())
        gate:put(true)
      end)
      a:write("first")
      assert.equal("first", b:recv())
      assert.same({ "send first", "waited", "send other" }, words)
    end)
  end)

  it("is not cancelled with the task that it is told of", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local slept
      a:trace(function()
        sock.sleep(0.001)
        slept = true
      end)
      local task = sock.spawn(function()
        sock.sleep(0)
        sock.task():cancel()
        a:send("x")
      end)
      task:join()
      assert.equal("x", b:recv())
      assert.is_true(slept)
    end)
  end)

  it("is not told of what it does itself", function()
    local a, b, _ <close> = pair()
    local calls = 0
    a:trace(function()
      calls = calls + 1
      a:write("from the sink")
    end)
    a:write("x")
    a:trace(false)
    assert.equal(1, calls)
    assert.equal("xfrom the sink", b:recv())
  end)

  it("may close the socket, end the trace or begin another", function()
    local a, b, _ <close> = pair()
    a:trace(function() a:trace(false) end)
    a:write("1")
    local list = {}
    b:trace(function() b:trace(list) end)
    b:recv()
    b:write("2")
    assert.same({ "send 2" }, deeds(list))
    a:trace(function() a:close() end)
    assert.equal("2", a:recv())
    assert.equal("closed socket", sock.type(a))
  end)

  it("is not told twice by a child process", function()
    local text = stderr [[
      local a, b = sock.socketpair()
      a:trace(function(event) print(event.what, event.data) end)
      a:write("x")
      local core = require "sock.core"
      core.fork(function() return 0 end):wait()
      a:close()]]
    assert.equal("send\tx\nclose\tnil\n", text)
  end)
end)

-- An allocator that gives so often, then refuses so often; without numbers, it
-- goes. (Lua itself asks again after a collection.)
local starve <const> = [[
#include <lua.h>
#include <lauxlib.h>
static lua_Alloc f;
static void *ud;
static long given, refused;
static void *alloc(void *u, void *p, size_t old, size_t size) {
  if (size > (p ? old : 0) && --given < 0 && --refused >= 0)
    return NULL;
  return f(ud, p, old, size);
}
static int set(lua_State *L) {
  given = luaL_optinteger(L, 1, 0);
  refused = luaL_optinteger(L, 2, 0);
  if (lua_isnone(L, 1))
    lua_setallocf(L, f, ud);
  return 0;
}
int luaopen_starve(lua_State *L) {
  f = lua_getallocf(L, &ud);
  lua_setallocf(L, alloc, NULL);
  lua_pushcfunction(L, set);
  return 1;
}
]]

--- Prints what is wrong with a traced talk for which memory runs out anywhere.
local starving <const> = [[
  package.cpath = %q
  local starve, lost = require "starve", 0
  local function try(given, refused)
    local l = assert(sock.listen("127.0.0.1:0"))
    local c = assert(sock.connect(l:getsockname()))
    c:write("hello")
    local said
    local events = {}
    local function talk()
      l:trace(events)
      local d = assert(l:accept())
      said = d:recv()
      d:write("x")
      d:close()
    end
    starve(given, refused)
    local done = pcall(talk)
    starve(0, 0)
    local told = #events
    for _, event in ipairs(events) do
      told = told + (event.lost or 0)
      lost = lost + (event.lost or 0)
    end
    -- what is lost at the very end, no event tells
    local last = #events > 0 and events[#events].what
    local all = refused > 1 or told == (last == "close" and 4 or 3)
    if done and not (said == "hello" and all) then
      print(given, refused, said, told, last)
    end
    c:close()
    l:close()
  end
  for given = 0, 300 do
    try(given, 1)
    try(given, 9)
  end
  starve()
  print(lost > 0)
]]

describe("a trace without memory", function()
  it("loses events and counts them, and the calls lose nothing", function()
    local path, _ <close> = peer.cmodule("starve", starve)
    assert.equal("true\n", peer.output(starving:format(path)))
  end)
end)

describe("s:info", function()
  it("tells both ends, what they are, and TCP's state", function()
    local a, b, _ <close> = connection(3)
    a:write("hello")
    local info = a:info()
    assert.same({ a:getsockname(), a:getpeername(), "inet", "stream", "tcp", "connected", 3 },
      { info.here, info.peer, info.family, info.type, info.protocol, info.state, info.timeout })
    assert.equal("ESTABLISHED", info.tcp.state)
    assert.equal(5, info.sent)
    assert.equal("boolean", type(info.options.tcp_nodelay))
    assert.equal("hello", b:recv())
    assert.equal(5, b:info().received)
  end)

  it("tells what is buffered, in and out, here and in the kernel", function()
    local a, b, _ <close> = pair()
    a:setvbuf("full")
    a:write("four")
    assert.same({ 4, 16384 }, { a:info().output, a:info().vbuf })
    a:flush()
    a:write("line\nrest")
    a:flush()
    assert.equal("fourline", b:read())
    a:write("more")
    a:flush()
    assert.same({ 4, 4 }, { b:info().input, b:info().unread })
  end)

  it("tells who waits", function()
    fixtures.run(function()
      local a, b, _ <close> = pair()
      local task = sock.spawn(a.recv, a)
      assert.same({ task }, a:info().readers)
      b:write("x")
      task:join()
      assert.same({}, a:info().readers)
    end)
  end)

  it("knows listeners, datagram sockets and pipes", function()
    local l, u = listener(), assert(sock.udp())
    local _ <close> = closing(l, u)
    assert.same({ "listening", "LISTEN" }, { l:info().state, l:info().tcp.state })
    assert.same({ "unconnected", "udp" }, { u:info().state, u:info().protocol })
    local file <close> = assert(io.popen("true"))
    local p <close> = assert(sock.adopt(file))
    assert.same({ "pipe", "open" }, { p:info().kind, p:info().state })
    assert.is_nil(p:info().family)
  end)

  it("prints as lines for a person", function()
    local a, _, _ <close> = connection()
    local text = tostring(a:info())
    assert.truthy(text:find("^socket       tcp 127%.0%.0%.1"))
    assert.truthy(text:find("\nstate        connected\n", 1, true))
    assert.truthy(text:find("\ntcp          state=ESTABLISHED ", 1, true))
    for line in text:gmatch("[^\n]+") do
      assert.truthy(#line <= 80, line)
    end
  end)

  it("raises for a closed socket", function()
    local a, _, _ <close> = pair()
    a:close()
    assert.has_error(function() a:info() end, "attempt to use a closed socket")
  end)
end)

describe("A listener that waits", function()
  it("is told later of what it missed, and memory has an end", function()
    local a, b, _ <close> = fixtures.pair("stream", 20)
    local go, gate, seen, lost = sock.channel(1), sock.channel(1), 0, 0
    local piece, times = ("y"):rep(1 << 20), 24
    local reader = sock.spawn(b.read, b, 1 + #piece * times)
    local writer = sock.spawn(function()
      go:get()
      for _ = 1, times do
        assert(a:write(piece))
      end
      gate:put(true)
    end)
    a:trace(function(event)
      seen = seen + 1
      lost = lost + (event.lost or 0)
      if seen == 1 then
        go:put(true)
        gate:get()
      end
    end)
    assert(a:write("x"))
    writer:join()
    reader:join()
    a:write("last")
    assert.equal("last", b:read(4))
    a:trace(false)
    assert.is_true(lost > 0)
    assert.is_true(seen > 10)
  end)
end)
