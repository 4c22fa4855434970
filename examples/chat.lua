-- A line chat. Each member has a task that reads and one that writes, and one
-- for the room alone knows who is here. It waits for nobody: who lets 100 lines
-- pile up is put out. Without PORT the system picks a free one. ^C ends it.
-- lua5.4 examples/chat.lua [PORT], and elsewhere: socat - TCP:127.0.0.1:PORT
local sock = require "sock"
io.stdout:setvbuf("line")
local news = sock.channel() -- of { text = line }; with mail, who comes; without scope, who goes

local function room(members)
  for item in news:each() do
    members[item.mail or ""] = item.scope
    for mail, scope in pairs(members) do
      if not mail:put(item.text, 0) then scope:cancel() end -- now or not at all
    end
  end
end

local function attend(client)
  local name = client:write("Your name?\n") and client:read()
  local mail = sock.channel(100)
  sock.scope(function(scope)
    if not name then return end
    news:put { mail = mail, scope = scope, text = name .. " has joined" }
    scope:spawn(function()
      for text in mail:each() do client:write(text, "\n") end
    end)
    for line in function() return client:read() end do
      news:put { text = name .. ": " .. line }
    end
    scope:cancel()
  end)
  if name then news:put { mail = mail, text = name .. " has left" } end
end

local server = assert(sock.serve("127.0.0.1", tonumber(arg[1]) or 0, attend))
print("listening on 127.0.0.1 port " .. server.address.port)
sock.spawn(room, {})
assert(sock.signal("INT", "TERM")):wait() -- and meanwhile the tasks go on
os.exit(server:stop(1) >= 0)
