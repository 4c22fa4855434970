-- A TCP server. It shows the five calls of every server: socket, bind,
-- listen, accept, close, and that a connection is a socket of its own.
-- It answers each line with the same line in capitals.
--
-- In one terminal:  lua5.4 examples/tcp_server.lua [port]
-- Without a port the system picks a free one. ^C ends it.

local sock = require "sock"

io.stdout:setvbuf("line")

local listener = assert(sock.socket("inet", "stream"))
assert(listener:setsockopt("reuseaddr", true)) -- so that it can be started again at once
assert(listener:bind("127.0.0.1", tonumber(arg[1]) or 0))
assert(listener:listen())
print("listening on 127.0.0.1 port " .. listener:getsockname().port)

while true do
  local client, peer = assert(listener:accept())
  print("accepted a connection from " .. tostring(peer))
  print(("its four numbers: %s %d, %s %d"):format(client:tuple()))

  local line = client:read("l")
  while line do
    print("got  " .. line)
    assert(client:write(line:upper(), "\n"))
    line = client:read("l")
  end

  print("the client has closed its end")
  client:close()
end
