-- One call that never has to wait for long, but has much to do: it ends, and
-- meanwhile the clock and ^C reach it, in a task and outside of tasks.

local sock = require "sock"
local peer = require "spec.support.peer"
local closing = require("spec.support.fixtures").closing

--- A socket whose buffers are so small that much needs hundreds of system
-- calls; the peer in Python, whose end is `s`; what closes both.
local function connect(text)
  local program = peer.python([[
import socket
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
s, _ = listener.accept()
]] .. text)
  local port = math.tointeger(program:expect("listening on (%d+)"))
  local s = assert(sock.socket()):settimeout(60)
  s:setsockopt("rcvbuf", 4096):setsockopt("sndbuf", 4096)
  assert(s:connect("127.0.0.1", port))
  return s, program, closing(s, { close = function() program:stop() end })
end

local endless = [[
try:
    while True:
        s.sendall(b"x" * 65536)
except OSError:
    pass
]]

local places = {
  { name = "in a task", run = sock.run },
  { name = "outside of tasks", run = function(f, ...) return f(...) end },
}

for _, place in ipairs(places) do
  describe("A long call " .. place.name, function()
    it("reads what comes in hundreds of pieces", function()
      local s, _, _ <close> = connect [[
s.sendall(b"0123456789abcde\n" * 65536)
s.close()
]]
      local text = place.run(s.read, s, 1048576)
      assert.is_true(text == ("0123456789abcde\n"):rep(65536))
      assert.is_nil(s:read())
    end)

    it("writes what leaves in hundreds of pieces", function()
      local s, program, _ <close> = connect [[
data = b""
while len(data) < 1048576:
    data += s.recv(4096)
print(data == b"0123456789abcde\n" * 65536)
]]
      assert.equal(s, place.run(s.write, s, ("0123456789abcde\n"):rep(65536)))
      assert.equal("True\n", program:rest())
    end)

    it("is ended by settimeout while bytes go on to come", function()
      local s, _, _ <close> = connect(endless)
      s:settimeout(0.2)
      assert.equal("ETIMEDOUT", select(3, place.run(s.read, s, 1 << 40)))
      assert.is_true(s:buffered() > 0)
    end)

    it("is ended by sock.timeout while bytes go on to come", function()
      local s, _, _ <close> = connect(endless)
      assert.equal("ETIMEDOUT", select(3, place.run(sock.timeout, 0.2, s.read, s, 1 << 40)))
    end)
  end)
end

describe("A long call outside of tasks", function()
  it("is interrupted by ^C while bytes go on to come", function()
    local source <close> = peer.python([[
import socket
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
s, _ = listener.accept()
]] .. endless)
    local reader <close> = peer.lua([[
local sock = require "sock"
local s = assert(sock.socket():connect("127.0.0.1", tonumber(arg[1])))
io.stdout:setvbuf("no")
assert(s:read(1))
print(pcall(function()
  print("reading")
  s:read(1 << 40)
end))
]], math.tointeger(source:expect("listening on (%d+)")))
    reader:expect("reading")
    reader:signal("INT")
    assert.matches("^false\t.*interrupted!", reader:rest())
  end)
end)
