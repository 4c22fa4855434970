-- A file server: HTTP/1.0, GET and HEAD. It shows sock.copy, which sends a
-- file without bringing it into Lua, and a task for each connection: a client
-- that reads slowly holds up nobody.
--
-- In one terminal:  lua5.4 examples/files.lua FOLDER [port]
-- In another:       curl http://127.0.0.1:PORT/some/file
-- Without a port the system picks a free one. ^C ends it.

local sock = require "sock"
io.stdout:setvbuf("line")

local folder = assert(arg[1], "which folder?")

--- The file that a request's target means; nil if there is none to give.
local function open(target)
  local path = target:gsub("[?#].*", ""):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end)
  if path:sub(1, 1) ~= "/" or path:find("\0") or (path .. "/"):find("/../", 1, true) then
    return nil -- it leads out of the folder
  end
  local file = io.open(folder .. path, "rb")
  if file and select(3, file:read(0)) then -- a folder opens, but does not read
    file = file:close() and nil
  end
  return file
end

--- A request's method and target.
local function receive(client)
  local line = client:read("l") or ""
  repeat
    local field = client:read("l") -- it says nothing that matters here
  until not field or field == ""
  return line:match("^(%u+) (%S+) HTTP/1%.%d$")
end

local function answer(client, status, size)
  client:write("HTTP/1.0 ", status, "\r\nContent-Length: ", size, "\r\n\r\n")
end

local function serve(client)
  local _ <close> = client:settimeout(30):setlimit(8192):setvbuf("full")
  local method, target = receive(client)
  if method ~= "GET" and method ~= "HEAD" then
    return answer(client, method and "501 Not Implemented" or "400 Bad Request", 0)
  end
  local file <close> = open(target)
  if not file then
    return answer(client, "404 Not Found", 0)
  end
  local size = file:seek("end")
  file:seek("set")
  answer(client, "200 OK", size)
  sock.copy(file, client, method == "GET" and size or 0) -- not what grows meanwhile
end

local listener = assert(sock.socket():setsockopt("reuseaddr", true))
assert(assert(listener:bind("127.0.0.1", tonumber(arg[2]) or 0)):listen())
print("listening on 127.0.0.1 port " .. listener:getsockname().port)
while true do
  local client, why = listener:accept()
  if client then
    sock.spawn(serve, client)
  else
    print(why)
    sock.sleep(0.1) -- too many open files, say: somebody may go
  end
end
