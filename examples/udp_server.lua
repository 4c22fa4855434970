-- A UDP server. It shows that there is no listen and no accept: one socket
-- takes datagrams from everybody, and recvfrom tells from whom each came.
-- It sends each back in capitals.
--
-- In one terminal:  lua5.4 examples/udp_server.lua [port]
-- Without a port the system picks a free one. ^C ends it.

local sock = require "sock"

local socket = assert(sock.socket("inet", "dgram"))
assert(socket:bind("127.0.0.1", tonumber(arg[1]) or 0))
print("bound to 127.0.0.1 port " .. socket:getsockname().port)

while true do
  local data, from = assert(socket:recvfrom())
  print(("got  %s (%d bytes from %s)"):format(data, #data, tostring(from)))
  assert(socket:sendto(data:upper(), from))
end
