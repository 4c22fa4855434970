-- write: several values, partial writes, failures, turns, torn writes.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local pack = table.pack

local function pair()
  return fixtures.pair("stream", 20)
end

--- Starts a task that reads all, slowly if asked; join gives it.
local function drain(s, pause)
  return sock.spawn(function()
    local pieces = {}
    for piece in function() return s:recv() end do
      pieces[#pieces + 1] = piece
      if pause then
        sock.sleep(pause)
      end
    end
    return table.concat(pieces)
  end)
end

--- How many bytes fit before the kernel takes no more.
local function fill(s, byte)
  local before, n = s:gettimeout(), 0
  s:settimeout(0)
  while true do
    local sent = s:send((byte or "f"):rep(65536))
    if not sent then
      s:settimeout(before)
      return n
    end
    n = n + sent
  end
end

--- The writes that strace sees of a Lua program: "sendto", "sendmsg" ….
local function calls(program)
  local dir, _ <close> = peer.tempdir()
  local child <close> = peer.start({ "strace", "-f", "-o", dir .. "/log", "-e",
    "trace=sendto,sendmsg,write,writev", "-e", "signal=none", os.getenv("LUA") or "lua5.4",
    "-e", program }, { module = true, input = "" })
  local said = child:rest()
  local log <close> = assert(io.open(dir .. "/log"), said)
  local list = {}
  for name in log:read("a"):gmatch("(send%a+)%(%d+, ") do
    list[#list + 1] = name
  end
  return list
end

local traceable = not os.getenv("SOCK_ASAN") and os.execute("strace -V >/dev/null 2>&1")

describe("write", function()
  it("gives the socket, also for nothing", function()
    local a, b, _ <close> = pair()
    assert.equal(a, a:write("x"))
    assert.equal(a, a:write())
    assert.equal(a, a:write("", ""))
    assert.equal("x", b:recv())
  end)

  it("takes strings and numbers", function()
    local a, b, _ <close> = pair()
    assert(a:write("a", 1, "", 2.5, "\0", math.mininteger))
    assert.equal("a12.5\0" .. math.mininteger, b:recv())
  end)

  it("refuses other values before it sends anything", function()
    local a, b, _ <close> = pair()
    for _, bad in ipairs { true, {}, print } do
      assert.has_error(function() a:write("x", bad) end,
        "bad argument #2 to 'write' (string or number expected, got " .. type(bad) .. ")")
    end
    assert.has_error(function() a:write(nil) end)
    assert.equal("ETIMEDOUT", select(3, b:settimeout(0):recv()))
    a:close()
    assert.has_error(function() a:write("x") end, "attempt to use a closed socket")
    assert.has_error(function() a:flush() end, "attempt to use a closed socket")
  end)

  it("gathers its values into one system call", function()
    if not traceable then
      return pending("needs strace")
    end
    assert.same({ "sendmsg" }, calls [[
      local a, b = require "sock".socketpair()
      a:write("a", "b", 3, "d")
    ]])
    assert.same({ "sendto" }, calls [[
      local a, b = require "sock".socketpair()
      a:setvbuf("full")
      for i = 1, 1000 do a:write(i, "\n") end
      b:read()
    ]])
  end)

  for _, n in ipairs { 63, 64, 65, 200, 5000 } do
    it("takes " .. n .. " values", function()
      local a, b, _ <close> = pair()
      local values = {}
      for i = 1, n do
        values[i] = i % 5 == 0 and "" or ("%d,"):format(i)
      end
      local reader = drain(b)
      assert.equal(a, a:write(table.unpack(values)))
      a:close()
      assert.equal(table.concat(values), reader:join())
    end)
  end

  for _, pause in ipairs { false, 0.0001 } do
    it("goes on where the kernel stopped it" .. (pause and ", with a slow reader" or ""), function()
      local a, b, _ <close> = pair()
      a:setsockopt("sndbuf", 4096)
      local values = {}
      for i = 1, 300 do
        values[i] = tostring(i % 10):rep(i * 37 % 20000)
      end
      local reader = drain(b, pause)
      assert.equal(a, a:write(table.unpack(values)))
      a:close()
      assert.is_true(reader:join() == table.concat(values))
    end)
  end

  it("takes one huge value", function()
    local a, b, _ <close> = pair()
    local data = ("0123456789abcdef"):rep(1 << 20)
    local reader = drain(b)
    assert.equal(a, a:write(data))
    a:close()
    assert.is_true(reader:join() == data)
  end)

  it("says on failure how many of its bytes went", function()
    local a, b, _ <close> = pair()
    a:settimeout(0)
    local data = ("0123456789"):rep(100000)
    local ok, message, code, sent = a:write("head", data, "tail")
    assert.is_nil(ok)
    assert.equal("write unix:: timed out", message)
    assert.equal("ETIMEDOUT", code)
    local seen = {}
    for piece in function() return (b:settimeout(0):recv()) end do
      seen[#seen + 1] = piece
    end
    assert.equal(("head" .. data):sub(1, sent), table.concat(seen))
  end)

  it("goes on after settimeout's end: the caller knows how much went", function()
    local a, b, _ <close> = pair()
    local data = ("0123456789"):rep(100000)
    local sent = select(4, a:settimeout(0.01):write(data))
    local reader = drain(b)
    assert.equal(a, a:settimeout(20):write(data:sub(sent + 1)))
    a:close()
    assert.is_true(reader:join() == data)
  end)

  it("tells that the peer is gone", function()
    local a, b, _ <close> = pair()
    b:close()
    assert.same(pack(nil, "write unix:: Broken pipe", "EPIPE", 0), pack(a:write("x")))
  end)

  it("tells what went before the peer was gone", function()
    local a, b, _ <close> = pair()
    local task = sock.spawn(a.write, a, ("x"):rep(10 << 20))
    sock.step(0)
    b:close()
    local _, _, code, sent = task:join()
    assert.is_true(code == "EPIPE" or code == "ECONNRESET", code)
    assert.is_true(sent > 0 and sent < 10 << 20)
  end)

  it("is told when the socket is closed meanwhile", function()
    local a, _, _ <close> = pair()
    local task = sock.spawn(a.write, a, ("x"):rep(10 << 20))
    sock.step(0)
    a:close()
    local _, _, code, sent = task:join()
    assert.equal("EBADF", code)
    assert.is_true(sent > 0)
  end)

  it("is told when sending is shut down meanwhile", function()
    local a, _, _ <close> = pair()
    local first = sock.spawn(a.write, a, ("x"):rep(10 << 20))
    local second = sock.spawn(a.write, a, "y")
    sock.step(0)
    assert(a:shutdown("send"))
    local _, _, code, sent = first:join(5)
    assert.equal("EPIPE", code)
    assert.is_true(sent > 0)
    assert.same({ "EPIPE", 0 }, { select(3, second:join(5)) })
  end)

  for _, mode in ipairs { "no", "full" } do
    it("of several tasks never mixes, with setvbuf " .. mode, function()
      local a, b, _ <close> = pair()
      a:setsockopt("sndbuf", 4096)
      a:setvbuf(mode, 1000)
      local reader = drain(b)
      sock.run(function()
        for i = 1, 20 do
          sock.spawn(function()
            local letter = string.char(96 + i)
            for n = 1, 10 do
              assert(a:write("<", letter:rep(n * i * 97 % 30000), ">"))
            end
          end)
        end
      end)
      a:close()
      local count = 0
      for text in reader:join():gmatch("(%b<>)") do
        local letter = text:sub(2, 2)
        assert.equal(letter:rep(#text - 2), text:sub(2, -2))
        count = count + 1
      end
      assert.equal(200, count)
    end)

    it("torn by a cancel ends writing, with setvbuf " .. mode, function()
      local a, b, _ <close> = pair()
      a:setvbuf(mode)
      local task = sock.spawn(a.write, a, ("x"):rep(10 << 20))
      local waiting = sock.spawn(a.write, a, "never")
      sock.step(0)
      task:cancel()
      assert.equal("ECANCELED", select(3, task:join()))
      local broken = pack(nil, "write unix:: Broken pipe", "EPIPE", 0)
      assert.same(broken, pack(waiting:join()))
      assert.same(broken, pack(a:write("y")))
      assert.same(broken, pack(a:settimeout(0):pack("B", 1)))
      local reader = drain(b)
      a:close()
      assert.is_nil(reader:join():find("[^x]"))
    end)
  end

  it("torn by sock.timeout ends writing", function()
    local a, b, _ <close> = pair()
    assert.equal("ETIMEDOUT", select(3, sock.timeout(0.01, a.write, a, ("x"):rep(10 << 20))))
    assert.equal("EPIPE", select(3, a:write("y")))
    assert.equal("EPIPE", select(3, a:send("y")))
    assert.truthy(b:recv())
    assert.equal("EPIPE", select(3, a:write("y")))
    assert.truthy(b:write("the other way goes on"))
    assert.equal("the", a:read(3))
  end)

  it("that waits behind a torn one ends writing no less when its time is over", function()
    local a, _, _ <close> = pair()
    local task = sock.spawn(a.write, a, ("x"):rep(10 << 20))
    sock.step(0)
    assert.equal("ETIMEDOUT", select(3, a:settimeout(0.01):write("y")))
    task:cancel()
    task:join()
    assert.equal("EPIPE", select(3, a:write("y")))
  end)

  it("that a cancel ends before its first byte harms nothing", function()
    local a, b, _ <close> = pair()
    local n = fill(a)
    local task = sock.spawn(a.write, a, "never")
    sock.step(0)
    task:cancel()
    task:join()
    local reader = drain(b)
    assert.equal(a, a:write("y"))
    a:close()
    assert.equal(("f"):rep(n) .. "y", reader:join())
  end)

  it("raises nothing when a signal would", function()
    local child <close> = peer.lua [[
      local sock = require "sock"
      local a, b = sock.socketpair()
      b:close()
      print((select(3, a:write("x"))))
      local p = io.popen("exec true", "w")
      local w = sock.adopt(p)
      p:close()
      print((select(3, w:write("x"))))
    ]]
    assert.equal("EPIPE\nEPIPE\n", child:rest())
  end)
end)
