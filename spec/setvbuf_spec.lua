-- setvbuf, flush: what full-buffered output does, and when it leaves.

local sock = require "sock"
local finalizer = require "spec.support.finalizer"
local peer = require "spec.support.peer"
local again = require "spec.support.again"

local pack = table.pack

--- Two connected streams, the first full-buffered, and what closes both.
local function pair(size)
  local a, b = assert(sock.socketpair())
  a:settimeout(20):setvbuf("full", size)
  return a, b:settimeout(20), setmetatable({}, { __close = function()
    a:close()
    b:close()
  end })
end

--- What has arrived at a socket, without a turn of the loop.
local function arrived(s)
  return s:recv(65536, "peek")
end

--- How many bytes fit before the kernel takes no more.
local function fill(s)
  local n = 0
  s:settimeout(0)
  while true do
    local sent = s:send(("f"):rep(65536))
    if not sent then
      s:settimeout(20)
      return n
    end
    n = n + sent
  end
end

describe("setvbuf", function()
  it("gives the socket and refuses other modes", function()
    local a, _, _ <close> = pair()
    assert.equal(a, a:setvbuf("no"))
    assert.equal(a, a:setvbuf("full", 100))
    assert.has_error(function() a:setvbuf("line") end,
      "bad argument #1 to 'setvbuf' (invalid option 'line')")
    assert.has_error(function() a:setvbuf("full", 0) end,
      "bad argument #2 to 'setvbuf' (size out of range)")
  end)

  it("holds what is written until flush, which gives the socket", function()
    local a, b, _ <close> = pair()
    assert(a:write("one ", 2))
    assert(a:pack("s1", "three"))
    assert.equal("ETIMEDOUT", select(3, b:settimeout(0):recv()))
    assert.equal(a, a:flush())
    assert.equal("one 2\5three", b:settimeout(1):recv())
    assert.equal(a, a:flush())
  end)

  it("holds nothing for a socket that a finalizer closes meanwhile", function()
    local a, _, _ <close> = pair()
    local number = 10 ^ 30 -- its text is made by the write
    local _ <close> = finalizer(function() a:close() end)
    local s, _, code, sent = a:write(number)
    assert.same({ n = 3, nil, "EBADF", 0 }, pack(s, code, sent))
  end)

  it("lets go what is held before sendto, which does not follow a torn write", function()
    local listener <close> = assert(sock.socket())
    assert(assert(listener:bind("127.0.0.1", 0)):listen())
    local a <close> = assert(sock.socket())
    assert(a:connect(listener:getsockname()))
    local b <close> = assert(listener:accept())
    a:setvbuf("full")
    assert(a:write("one "))
    assert.equal(3, a:sendto("two", b:getsockname()))
    assert.equal("one two", b:settimeout(10):read(7))
    local writer = sock.spawn(a.write, a, ("x"):rep(2 ^ 24))
    writer:cancel()
    writer:join()
    b:settimeout(0)
    repeat until not b:recv()
    assert.equal("EPIPE", select(3, a:sendto("x", b:getsockname())))
  end)

  it("takes empty writes", function()
    local a, b, _ <close> = pair()
    assert.equal(a, a:write(""))
    assert.equal(a, a:write())
    sock.sleep(0)
    assert(a:write("", "x", ""))
    assert.equal("x", b:recv())
  end)

  it("keeps the order when the buffer is full", function()
    for _, size in ipairs { 1, 7, 100, 65536 } do
      local a, b, _ <close> = pair(size)
      local want = {}
      local reader = sock.spawn(b.read, b, "a")
      for i = 1, 200 do
        want[i] = ("%d,"):format(i):rep(i % 9)
        assert(a:write(want[i]))
      end
      a:close()
      assert.equal(table.concat(want), reader:join())
    end
  end)

  it("back to no keeps the order too", function()
    local a, b, _ <close> = pair()
    assert(a:write("one "))
    a:setvbuf("no")
    assert(a:write("two"))
    assert.equal("one two", b:recv())
  end)

  it("lets it leave before send, shutdown and close", function()
    local a, b, _ <close> = pair()
    assert(a:write("one "))
    assert(a:send("two"))
    assert.equal("one two", b:read(7))
    assert(a:write("three"))
    assert.equal(a, a:shutdown("send"))
    assert.equal("three", b:read("a"))
    local c, d, _ <close> = pair()
    assert(c:write("four"))
    assert.is_true(c:close())
    assert.equal("four", d:read("a"))
  end)

  it("lets it leave at a block's end", function()
    local a, b, _ <close> = pair()
    do
      local closing <close> = a
      assert(closing:write("text"))
    end
    assert.equal("text", b:read("a"))
  end)
end)

describe("The loop, before it waits,", function()
  it("lets a request out, so that its answer comes", function()
    local a, b, _ <close> = pair()
    b:setvbuf("full")
    sock.run(function()
      sock.spawn(function()
        for line in b:lines() do
          assert(b:write("answer to ", line, "\n"))
        end
      end)
      for i = 1, 100 do
        assert(a:write("request ", i))
        assert(a:write("\n"))
        assert.equal("answer to request " .. i, a:read())
      end
      a:shutdown("send")
    end)
  end)

  it("lets it out outside tasks too", function()
    local a, b, _ <close> = pair()
    assert(a:write("x"))
    assert.equal("x", b:recv())
    assert(a:write("y"))
    assert.equal("r", b:wait("r", 5))
    assert(a:write("z"))
    sock.sleep(0.001)
    assert.equal("yz", arrived(b))
  end)

  it("sends what many writes left in one piece", function()
    local l <close> = assert(sock.socket())
    assert(assert(l:bind("127.0.0.1", 0)):listen())
    local a <close> = assert(sock.socket())
    assert(a:connect(l:getsockname()))
    local b <close> = assert(l:accept())
    a:setvbuf("full")
    for _ = 1, 1000 do
      assert(a:write("0123456789"))
    end
    sock.sleep(0)
    assert.equal(10000, #b:settimeout(5):recv(65536))
  end)

  it("leaves to later what the kernel does not take, without a call", function()
    local a, b, _ <close> = pair(4 << 20)
    local data = ("0123456789abcdef"):rep(1 << 17) -- 2 MiB
    assert(a:write(data))
    sock.run(function()
      sock.spawn(function()
        local seen = {}
        while #table.concat(seen) < #data do
          seen[#seen + 1] = assert(b:recv(20000))
          if #seen % 10 == 0 then
            sock.sleep(0.0005)
          end
        end
        assert.is_true(table.concat(seen) == data)
      end)
    end)
  end)

  it("goes on while a call outside tasks waits for another socket", function()
    local python <close> = peer.python([[
import socket
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
talker, _ = listener.accept()
waiter, _ = listener.accept()
n = 0
while n < 16 << 20:
    n += len(talker.recv(65536))
waiter.sendall(b"all of it\n")
waiter.recv(1)
]])
    local port = math.tointeger(python:expect("listening on (%d+)"))
    local talker <close> = assert(sock.socket():connect("127.0.0.1", port))
    local waiter <close> = assert(sock.socket():connect("127.0.0.1", port))
    assert(talker:setvbuf("full", 32 << 20):write(("x"):rep(16 << 20)))
    assert.equal("all of it", waiter:settimeout(20):read())
  end)

  it("goes on when the flush that waited for it is cancelled", function()
    local a, b, _ <close> = pair(4 << 20)
    local data = ("0123456789abcdef"):rep(1 << 16) -- 1 MiB
    assert(a:write(data))
    local flush = sock.spawn(a.flush, a)
    local behind = sock.spawn(a.write, a, "never")
    behind:cancel()
    flush:cancel()
    assert.equal("ECANCELED", select(3, flush:join()))
    assert.equal("ECANCELED", select(3, behind:join()))
    assert.is_true(b:read(#data) == data)
  end)

  it("keeps the order of what is written meanwhile", function()
    local a, b, _ <close> = pair(1 << 20)
    local want = {}
    local reader = sock.spawn(function()
      local all = {}
      for piece in function() return b:recv(7000) end do
        all[#all + 1] = piece
        sock.sleep(0)
      end
      return table.concat(all)
    end)
    for i = 1, 400 do
      want[i] = ("%d,"):format(i):rep(i * 7 % 1000)
      assert(a:write(want[i]))
      if i % 3 == 0 then
        sock.sleep(0)
      end
    end
    a:close()
    assert.is_true(table.concat(want) == reader:join())
  end)
end)

describe("A failure of buffered output", function()
  local calls = {
    write = function(s) return s:write("more") end,
    flush = function(s) return s:flush() end,
    close = function(s) return s:close() end,
    send = function(s) return s:send("more") end,
  }
  for name, call in pairs(calls) do
    it("is the next " .. name .. "'s", function()
      local a, b, _ <close> = pair()
      assert(a:write("lost"))
      b:close()
      sock.step(0) -- nobody is there to be told
      local ok, message, code, sent = call(a)
      assert.is_nil(ok)
      assert.matches("^" .. name .. " .*: Broken pipe$", message)
      assert.equal("EPIPE", code)
      assert.equal(name == "write" and 0 or nil, sent)
      assert.is_true(a:close())
    end)
  end

  it("is told once", function()
    local a, b, _ <close> = pair()
    assert(a:write("lost"))
    b:close()
    sock.step(0)
    assert.equal("EPIPE", select(3, a:flush()))
    assert.equal(a, a:flush())
    assert.is_true(a:close())
    assert.is_true(a:close())
  end)

  it("is told once by the call that meets it", function()
    local a, b, _ <close> = pair(10)
    assert(a:write("lost"))
    b:close()
    assert.equal("EPIPE", select(3, a:write("more than ten")))
    assert.equal(a, a:flush())
    assert(a:write("lost"))
    assert.equal("EPIPE", select(3, a:flush()))
    assert.is_true(a:close())
  end)

  it("is a flush's timeout, after which the rest still goes", function()
    local a, b, _ <close> = pair()
    local n = fill(a)
    assert(a:write("rest"))
    assert.same(pack(nil, "flush unix:: timed out", "ETIMEDOUT"), pack(a:settimeout(0):flush()))
    local seen = 0
    while seen < n + 4 do
      seen = seen + #b:recv()
    end
    assert.equal(n + 4, seen)
  end)
end)

describe("close", function()
  it("waits for what is buffered, also in a cancelled task", function()
    local a, b, _ <close> = pair(1 << 20)
    local n = fill(a)
    local closed
    local task = sock.spawn(function()
      local s <close> = setmetatable({}, { __close = function() closed = a:close() end })
      assert(a:write(("w"):rep(1 << 19)))
      sock.sleep(10)
      return s
    end)
    sock.step(0)
    task:cancel()
    assert.equal(n + (1 << 19), #b:read("a"))
    task:join()
    assert.is_true(closed)
  end)

  it("gives up after five seconds #slow", function()
    local a, _, _ <close> = pair()
    fill(a)
    assert(a:write("lost"))
    local began = sock.now()
    local ok, message, code = a:settimeout(0.01):close()
    assert.is_nil(ok)
    assert.equal("close unix:: timed out", message)
    assert.equal("ETIMEDOUT", code)
    local took = sock.now() - began
    assert.is_true(took > 4.9 and took < 7, took)
    assert.equal("closed socket", sock.type(a))
  end)
end)

describe("A socket that nobody holds", function()
  it("flushes when it is collected", function()
    local b
    do
      local a
      a, b = sock.socketpair()
      assert(a:setvbuf("full"):write("last words"))
    end
    collectgarbage()
    collectgarbage()
    assert.equal("last words", b:read("a"))
    b:close()
  end)

  it("does not wait then", function()
    local b, n
    do
      local a
      a, b = sock.socketpair()
      n = fill(a)
      assert(a:setvbuf("full"):write("lost"))
    end
    local began = sock.now()
    collectgarbage()
    collectgarbage()
    assert.is_true(sock.now() - began < 1)
    assert.equal(n, #b:read("a"))
    b:close()
  end)

  it("flushes when the state is closed", function()
    local l <close> = assert(sock.socket())
    assert(assert(l:bind("127.0.0.1", 0)):listen())
    local child <close> = peer.lua([[
      local s = require "sock".socket()
      assert(s:connect("127.0.0.1", math.tointeger(arg[1])))
      kept = s:setvbuf("full")
      s:write("last words")
    ]], l:getsockname().port)
    local c <close> = assert(l:settimeout(20):accept())
    assert.equal("last words", c:read("a"))
    child:rest()
  end)
end)

-- All of reading and writing once more: over the poller that every system
-- has, and with a ready queue in random order.
describe("The specs of streams hold #again", function()
  local files = { "read", "lines", "unpack", "write", "setvbuf" }

  for _, setting in ipairs { "SOCK_POLLER=poll", "SOCK_SHUFFLE=1",
    "SOCK_SHUFFLE=" .. os.time() } do
    it("with " .. setting:gsub("%d%d+", "a random seed"), function()
      again(files, "slow,again", "env", setting)
    end)
  end
end)
