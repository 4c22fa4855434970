local sock = require "sock"
local peer = require "spec.support.peer"

local function isopen(fd)
  local info <close> = io.open("/proc/self/fdinfo/" .. fd)
  return info ~= nil
end

describe("close", function()
  it("closes the descriptor", function()
    local s = assert(sock.socket())
    local fd = s:fd()
    assert.is_true(s:close())
    assert.is_false(isopen(fd))
  end)

  it("is harmless again", function()
    local s = assert(sock.socket())
    assert.is_true(s:close())
    assert.is_true(s:close())
  end)

  it("closes no other socket that has got the number since", function()
    local s = assert(sock.socket())
    local fd = s:fd()
    s:close()
    local other <close> = assert(sock.socket())
    assert.equal(fd, other:fd())
    s:close()
    assert.is_true(isopen(fd))
  end)

  it("lets the peer see the end", function()
    local a, b = sock.socketpair()
    assert(a:write("last words"))
    a:close()
    assert.equal("last words", b:recv())
    assert.is_nil((b:recv()))
    b:close()
  end)

  it("gives the port back", function()
    local s = assert(sock.socket())
    assert(s:bind("127.0.0.1", 0)):listen()
    local address = s:getsockname()
    s:close()
    local again <close> = assert(sock.socket())
    assert.equal(again, again:bind(address))
  end)
end)

describe("a to-be-closed variable", function()
  it("closes its socket at the block's end", function()
    local fd, kept
    do
      local s <close> = assert(sock.socket())
      fd, kept = s:fd(), s
    end
    assert.is_false(isopen(fd))
    assert.equal("closed socket", sock.type(kept))
  end)

  it("closes its socket when an error passes", function()
    local kept
    assert.error_matches(function()
      local s <close> = assert(sock.socket())
      kept = s
      error("passing")
    end, "passing")
    assert.equal("closed socket", sock.type(kept))
  end)

  it("may hold one that is closed already", function()
    local s <close> = assert(sock.socket())
    assert.is_true(s:close())
  end)
end)

describe("the collector", function()
  it("closes a socket that nothing refers to", function()
    local function forget()
      return assert(sock.socket()):fd()
    end
    local fd = forget()
    collectgarbage()
    collectgarbage()
    assert.is_false(isopen(fd))
  end)

  it("leaves the peer of a forgotten socket its end", function()
    local function forget()
      local a, b = sock.socketpair()
      assert(b:write("x"))
      return a
    end
    local a <close> = forget()
    collectgarbage()
    collectgarbage()
    assert.equal("x", a:recv())
    assert.is_nil((a:recv()))
  end)

  it("finds descriptors when the process has none left", function()
    local child <close> = peer.start({ "sh", "-c", 'ulimit -n 40; exec "$0" -e "$1"',
      os.getenv("LUA") or "lua5.4", [[
local sock = require "sock"
collectgarbage("stop") -- only what is missing collects
for _ = 1, 1000 do assert(sock.socket()) end
for _ = 1, 1000 do assert(sock.socketpair()) end
local listener = assert(sock.socket())
assert(listener:bind("127.0.0.1", 0)):listen()
for _ = 1, 1000 do
  assert(assert(sock.socket()):connect(listener:getsockname()))
  assert(listener:accept())
end
print("done")
]] }, { module = true })
    assert.equal("done\n", child:rest())
  end)
end)

describe("the end of the program", function()
  it("closes what is open", function()
    local listener <close> = assert(sock.socket())
    assert(listener:bind("127.0.0.1", 0)):listen()
    local child <close> = peer.lua([[
local sock = require "sock"
kept = assert(sock.socket())
assert(kept:connect(arg[1]))
pair = { sock.socketpair() }
print(kept:getsockname().port)
]], tostring(listener:getsockname()))
    local port = math.tointeger(child:expect("^%d+$"))
    local s <close>, from = assert(listener:accept())
    assert.equal(port, from.port)
    assert.is_nil((s:recv()))
    assert.equal("", child:rest())
  end)
end)

describe("SIGPIPE", function()
  it("does not end a program that writes to a closed peer", function()
    local child <close> = peer.start({ "env", "--default-signal=PIPE",
      os.getenv("LUA") or "lua5.4", "-e", [[
local sock = require "sock"
local function code(_, _, name) return name end
local function broken(type)
  local a, b = assert(sock.socketpair(type))
  b:close()
  return a
end
print("send", code(broken():send("x")))
print("write", code(broken():write("x", "y")))
print("seqpacket", code(broken("seqpacket"):send("x")))

local l, c = assert(sock.socket()), assert(sock.socket())
assert(l:bind("127.0.0.1", 0)):listen()
assert(c:connect(l:getsockname()))
local s = assert(l:accept())
assert(s:shutdown("send"))
print("shutdown", code(s:write("x")))

local pipe = assert(sock.adopt(assert(io.popen("true", "w"))))
repeat
  local written, _, name = pipe:write(("x"):rep(65536))
  if not written then print("pipe", name) end
until not written
]] }, { module = true })
    assert.equal("send\tEPIPE\nwrite\tEPIPE\nseqpacket\tEPIPE\nshutdown\tEPIPE\npipe\tEPIPE\n",
      child:rest())
  end)

  it("still comes to the program's own files", function()
    local child <close> = peer.start({ "env", "--default-signal=PIPE", "sh", "-c",
      [["$0" -e "$1" 2>&1; echo "ended with $?"]], os.getenv("LUA") or "lua5.4", [[
local sock = require "sock"
local file = assert(io.popen("true", "w"))
local pipe = assert(sock.adopt(file))
repeat
  local ok = pipe:write(("x"):rep(65536))
until not ok
pipe:close()
file:setvbuf("no")
file:write("x")
print("not reached")
]] }, { module = true })
    assert.equal("ended with 141", child:expect("^ended.*")) -- 128 + SIGPIPE
  end)
end)
