-- An HTTP/1.0 file server: sock.copy sends a file without bringing it into Lua.
-- lua5.4 examples/files.lua FOLDER [PORT], and elsewhere: curl 127.0.0.1:PORT/some/file
local sock = require "sock"
io.stdout:setvbuf("line")
local folder = assert(arg[1], "which folder?")

local function open(target) -- the file that it means, and its size
  local function byte(hex) return string.char(tonumber(hex, 16)) end
  local path = target:gsub("[?#].*", ""):gsub("%%(%x%x)", byte)
  if path:find("^[^/]") or path:find("\0") or (path .. "/"):find("/../", 1, true) then return end
  local file = io.open(folder .. path, "rb")
  if file and select(3, file:read(0)) then file = file:close() and nil end -- it was a folder
  return file, file and file:seek("end"), file and file:seek("set")
end

local function receive(client) -- a request's method and target
  local line = client:read() or ""
  for field in function() return client:read() end do
    if field == "" then break end
  end
  return line:match("^(%u+) (%S+) HTTP/1%.%d$")
end

local function status(method, known, file)
  return file and "200 OK" or known and "404 Not Found"
    or method and "501 Not Implemented" or "400 Bad Request"
end
local function handle(client)
  local method, target = sock.timeout(30, receive, client:setlimit(8192):setvbuf("full"))
  local known = method == "GET" or method == "HEAD"
  local file <close>, size = open(known and target or "")
  client:write("HTTP/1.0 ", status(method, known, file), "\r\n")
  client:write("Content-Length: ", size or 0, "\r\n\r\n")
  if file then sock.copy(file, client, method == "GET" and size or 0) end -- not what grows now
end
local server = assert(sock.serve("127.0.0.1", tonumber(arg[2]) or 0, handle, { timeout = 30 }))
print("listening on 127.0.0.1 port " .. server.address.port)
assert(sock.signal("INT", "TERM")):wait() -- and meanwhile the tasks go on
server:stop(5)
