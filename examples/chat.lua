-- A chat server. It shows tasks and channels: two tasks for each member, one
-- that reads and one that writes, and one for the room, which alone knows who
-- is here. The room waits for nobody: who lets 100 lines pile up is put out.
--
-- In one terminal:  lua5.4 examples/chat.lua [port]
-- In some others:   socat - TCP:127.0.0.1:PORT
-- Without a port the system picks a free one. ^C ends it.

local sock = require "sock"
io.stdout:setvbuf("line")

local news = sock.channel() -- of { who = member, text = line, left = true }

local function room()
  local members = {}
  for item in news:each() do
    members[item.who] = not item.left or nil
    for member in pairs(members) do
      if not member.mail:put(item.text, 0) then -- now or not at all
        member.scope:cancel()
      end
    end
  end
end

local function talk(member, client)
  while true do
    local line = client:read("l")
    if not line then -- the end, or the connection has failed
      break
    end
    news:put { who = member, text = member.name .. ": " .. line }
  end
  member.scope:cancel()
end

local function listen(member, client)
  for text in member.mail:each() do
    if not client:write(text, "\n") then
      member.scope:cancel()
    end
  end
end

local function attend(client)
  local _ <close> = client -- however this ends
  client:write("Your name?\n")
  local name = client:read("l")
  if not name then
    return
  end
  local member = { name = name, mail = sock.channel(100) }
  sock.scope(function(scope)
    member.scope = scope
    news:put { who = member, text = name .. " has joined" }
    scope:spawn(talk, member, client)
    scope:spawn(listen, member, client)
  end)
  news:put { who = member, text = name .. " has left", left = true }
end

local function welcome(listener)
  while true do
    local client, why = listener:accept()
    if client then
      sock.spawn(attend, client)
    else
      print(why)
      sock.sleep(0.1) -- too many open files, say: somebody may leave
    end
  end
end

local listener = assert(sock.socket("inet", "stream"))
assert(listener:setsockopt("reuseaddr", true)) -- so that it can start again at once
assert(listener:bind("127.0.0.1", tonumber(arg[1]) or 0))
assert(listener:listen())
print("listening on 127.0.0.1 port " .. listener:getsockname().port)

sock.spawn(room)
sock.spawn(welcome, listener)
assert(sock.signal("INT", "TERM")):wait() -- and meanwhile the tasks go on
os.exit(true)
