--- s:info: all there is to know of a socket, as a table that prints itself.

local core = require "sock.core"

local M = {}

--- The options worth a look, where the socket has them.
local OPTIONS <const> = { "reuseaddr", "reuseport", "keepalive", "broadcast", "linger", "rcvbuf",
  "sndbuf", "bindtodevice", "mark", "priority", "peercred", "ip_ttl", "ip_tos", "ipv6_v6only",
  "ipv6_unicast_hops", "tcp_nodelay", "tcp_cork", "tcp_keepidle", "tcp_keepintvl", "tcp_keepcnt",
  "tcp_user_timeout", "tcp_congestion", "tcp_fastopen" }

local PROTOCOLS <const> = { [6] = "tcp", [17] = "udp", [1] = "icmp", [58] = "ipv6-icmp" }

local function options(socket)
  local found = {}
  for _, name in ipairs(OPTIONS) do
    local known, value = pcall(socket.getsockopt, socket, name)
    if known and value ~= nil and value ~= "" then
      found[name] = value
    end
  end
  return found
end

local function state(inside, peer)
  if inside.listening then
    return "listening"
  elseif inside.connecting then
    return "connecting"
  elseif inside.kind ~= "socket" then
    return "open"
  end
  return peer and "connected" or "unconnected"
end

--- What a socket's family and type are; a pipe has neither.
local function nature(self, socket, inside)
  if inside.kind ~= "socket" then
    self.protocol = nil
    return
  end
  self.family = socket:getsockopt("domain") or nil
  self.type = socket:getsockopt("type") or nil
  self.protocol = PROTOCOLS[inside.protocol] or inside.protocol
  self.here = socket:getsockname()
  self.peer = socket:getpeername() or nil
  self.options = options(socket)
  if self.family ~= "unix" then -- others say that they know none
    self.options.peercred = nil
  end
  if self.protocol == "tcp" then
    self.tcp = socket:getsockopt("tcp_info") or nil
  end
end

-- Printing --------------------------------------------------------------------

--- What comes first when it is printed; the rest follows in its order.
local FIRST <const> = { "socket", "kind", "state", "family", "type", "protocol", "descriptor",
  "here", "peer", "timeout", "input", "output", "unread", "unsent", "received", "sent" }

local function keys(t)
  local list, placed = {}, {}
  for _, name in ipairs(FIRST) do
    placed[name] = true
    list[#list + 1] = t[name] ~= nil and name or nil
  end
  local rest = {}
  for name in pairs(t) do
    rest[#rest + 1] = not placed[name] and name or nil
  end
  table.sort(rest)
  return table.move(rest, 1, #rest, #list + 1, list)
end

local function show(value)
  if type(value) ~= "table" then
    return type(value) == "number" and ("%.15g"):format(value) or tostring(value)
  end
  local parts = {}
  for _, each in ipairs(value) do
    parts[#parts + 1] = show(each)
  end
  if #parts == 0 then
    for _, name in ipairs(keys(value)) do
      parts[#parts + 1] = name .. "=" .. show(value[name])
    end
  end
  return #parts > 0 and table.concat(parts, " ") or "none"
end

--- A line as wide as a page, and what follows it further in.
local function wrap(name, text)
  local lines, line = {}, ("%-12s"):format(name)
  for word in text:gmatch("%S+") do
    if #line + #word > 78 and line:find("%S", 13) then
      lines[#lines + 1] = line
      line = (" "):rep(12)
    end
    line = line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local Info = { __name = "info" }

function Info:__tostring()
  local lines = {}
  for _, name in ipairs(keys(self)) do
    lines[#lines + 1] = wrap(name, show(self[name]))
  end
  return table.concat(lines, "\n")
end

--- Both ends, options, TCP's state and counters, what is buffered, who waits.
-- @return a table
function M.info(socket)
  local inside = core.inside(socket)
  local self = setmetatable(inside, Info)
  self.socket = tostring(socket)
  self.timeout = socket:gettimeout()
  nature(self, socket, inside)
  self.state = state(inside, self.peer)
  self.listening, self.connecting = nil, nil
  return self
end

core.method("info", M.info)

return M
