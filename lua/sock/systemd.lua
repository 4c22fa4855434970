--- Descriptors that the service manager hands over at the start: systemd's
-- socket activation, sd_listen_fds(3).

local core = require "sock.core"

local M = {}

local FIRST <const> = 3 -- SD_LISTEN_FDS_START

local handed -- { name =, socket = } for each that nobody has taken; nil: not looked yet

--- What a variable says in digits; nil where it says anything else.
local function number(name)
  local text = os.getenv(name)
  return text and text:find "^%d+$" and math.tointeger(tonumber(text)) or nil
end

--- Adopts all at once, so that no child process inherits any of them. The
-- variables stay, but they name this process, and no child believes them.
local function look()
  local list, names = {}, {}
  if number "LISTEN_PID" ~= core.getpid() then
    return list
  end
  for name in ((os.getenv "LISTEN_FDNAMES" or "") .. ":"):gmatch("([^:]*):") do
    names[#names + 1] = name
  end
  for i = 1, number "LISTEN_FDS" or 0 do
    local socket, _, code = core.adopt(FIRST + i - 1)
    if code == "EBADF" then -- nor are there those behind it
      break
    elseif socket then
      list[#list + 1] = { name = names[i], socket = socket }
    end
  end
  return list
end

--- The name of what this text asks for: "" of any; nil if it does not ask.
function M.match(text)
  if type(text) == "string" then
    return text == "systemd" and "" or text:match("^systemd:(.*)$")
  end
end

--- Takes the first that is left of this name.
-- @param option, value what a socket option must be: not every descriptor listens
-- @return socket; nil, message, code
function M.take(what, name, option, value)
  handed = handed or look()
  for i, entry in ipairs(handed) do
    if (name == "" or entry.name == name) and entry.socket:getsockopt(option) == value then
      table.remove(handed, i)
      return entry.socket
    end
  end
  return nil, ("%s systemd%s: no such descriptor was handed over")
    :format(what, name == "" and "" or ":" .. name), "ENOENT"
end

return M
