--- sock.sockets: every open socket, and the line that made it.

local core = require "sock.core"

local M = {}

local Entry = {}

function Entry:__tostring()
  local made = self.made and "\tmade at " .. self.made or ""
  return tostring(self.socket) .. made
end

local List = {}

--- A line for each; so that the prompt shows it.
function List:__tostring()
  if #self == 0 then
    return "no socket is open"
  end
  local lines = {}
  for i, entry in ipairs(self) do
    lines[i] = tostring(entry)
  end
  return table.concat(lines, "\n")
end

--- Lists them, the oldest first.
-- @return a list of {socket=, made="file:line"}; made is nil where no Lua
-- function stood behind it
function M.sockets()
  local sockets, places = core.opensockets()
  local list = setmetatable({}, List)
  for i = #sockets, 1, -1 do
    list[#list + 1] = setmetatable({ socket = sockets[i], made = places[i] or nil }, Entry)
  end
  return list
end

return M
