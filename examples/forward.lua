-- A port-forwarder. It shows two tasks on one connection, one for each way,
-- and that a stream has two ends: when one side has said all it has to say,
-- the other is told so, and may go on talking.
--
-- In one terminal:  lua5.4 examples/forward.lua PORT HOST HOSTPORT
-- and connections to 127.0.0.1:PORT go to HOST:HOSTPORT. If PORT is 0, the
-- system picks a free one. ^C ends it.

local sock = require "sock"
io.stdout:setvbuf("line")

local port, host, hostport = tonumber(arg[1]), arg[2], tonumber(arg[3])
assert(port and host and hostport, "what to forward? PORT HOST HOSTPORT")

local function pour(from, to)
  while true do
    local data, why = from:recv()
    if not data then
      assert(not why, why) -- the end has no message, a failure has
      break
    end
    assert(to:write(data))
  end
  to:shutdown("send")
end

local function forward(client)
  local near <close> = client
  local far <close> = assert(sock.socket("inet", "stream"))
  assert(far:settimeout(10):connect(host, hostport))
  far:settimeout(nil)
  sock.scope(function(scope) -- ends when both ways have, or one has failed
    scope:spawn(pour, near, far)
    scope:spawn(pour, far, near)
  end)
end

local function attend(client, peer)
  local name = tostring(peer)
  print(name .. " has come")
  local ok, why = pcall(forward, client)
  print(name .. (ok and " has gone" or " is cut off: " .. tostring(why)))
end

local listener = assert(sock.socket("inet", "stream"))
assert(listener:setsockopt("reuseaddr", true)) -- so that it can start again at once
assert(listener:bind("127.0.0.1", port))
assert(listener:listen())
print("listening on 127.0.0.1 port " .. listener:getsockname().port)

sock.spawn(function()
  while true do
    local client, peer = listener:accept()
    if client then
      sock.spawn(attend, client, peer)
    else
      print(peer) -- the reason
      sock.sleep(0.1) -- too many open files, say: somebody may go
    end
  end
end)
assert(sock.signal("INT", "TERM")):wait() -- and meanwhile the tasks go on
os.exit(true)
