-- A TCP proxy. It shows sock.serve and sock.relay: the bytes of both ways go
-- from socket to socket without passing through Lua, and when one side has said
-- all it has to say, the other is told so, and may go on talking.
--
-- lua5.4 examples/proxy.lua PORT HOST HOSTPORT
-- and connections to 127.0.0.1:PORT go to HOST:HOSTPORT. If PORT is 0, the
-- system picks a free one. ^C ends it, when those who are connected have ended,
-- or after five seconds.

local sock = require "sock"
io.stdout:setvbuf("line")

local port, host, hostport = tonumber(arg[1]), arg[2], tonumber(arg[3])
assert(port and host and hostport, "what to forward? PORT HOST HOSTPORT")

local function forward(near, peer)
  local far <close>, why = sock.connect(host, hostport, { timeout = 10 })
  local done = far
  if far then
    far:settimeout(nil)
    done, why = sock.relay(near, far)
  end
  print(tostring(peer) .. (done and " has gone" or " is cut off: " .. why))
end

local server = assert(sock.serve("127.0.0.1", port, forward))
print("listening on 127.0.0.1 port " .. server.address.port)
assert(sock.signal("INT", "TERM")):wait() -- and meanwhile the tasks go on
server:stop(5)
