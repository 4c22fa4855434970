-- A UDP client. It shows that a socket need not be connected to send: each
-- datagram is told where to go, and the first one gives the socket a port.
-- A datagram may get lost, so it waits for an answer only so long.
--
-- While examples/udp_server.lua runs:  lua5.4 examples/udp_client.lua PORT

local sock = require "sock"

local port = assert(tonumber(arg[1]), "which port? The server has printed it.")
local socket = assert(sock.socket("inet", "dgram"))
socket:settimeout(5)
print("my port before sending: " .. socket:getsockname().port)

for _, text in ipairs { "hello over udp", "and once more" } do
  print("send " .. text)
  assert(socket:sendto(text, "127.0.0.1", port))
  local data, from = assert(socket:recvfrom())
  print(("got  %s (from %s)"):format(data, tostring(from)))
end
print("my port now: " .. socket:getsockname().port)
socket:close()
