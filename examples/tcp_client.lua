-- A TCP client. It shows connect, and that both ends see the same four
-- numbers, each from its own side. It sends two lines, one after the other,
-- and waits for the answer to each.
--
-- While examples/tcp_server.lua runs:  lua5.4 examples/tcp_client.lua PORT

local sock = require "sock"

local port = assert(tonumber(arg[1]), "which port? The server has printed it.")
local server = assert(sock.socket("inet", "stream"))
server:settimeout(5)
assert(server:connect("127.0.0.1", port))
print("connected: " .. tostring(server))
print(("my four numbers:  %s %d, %s %d"):format(server:tuple()))

for _, line in ipairs { "hello over tcp", "and once more" } do
  print("send " .. line)
  assert(server:write(line, "\n"))
  print("got  " .. assert(server:read("l")))
end
server:close()
