--- sock.sockets: every open socket, and the line that made it. sock.tasks.

local core = require "sock.core"

local M = {}

local Entry = {}

function Entry:__tostring()
  local made = self.made and "\tmade at " .. self.made or ""
  return tostring(self.socket) .. made
end

--- A list that the prompt shows with a line for each.
local function printable(empty)
  return { __tostring = function(self)
    local lines = {}
    for i, entry in ipairs(self) do
      lines[i] = tostring(entry)
    end
    return #self > 0 and table.concat(lines, "\n") or empty
  end }
end

local Sockets <const> = printable("no socket is open")
local Tasks <const> = printable("no task runs")

--- Lists them, the oldest first.
-- @return a list of {socket=, made="file:line"}; made is nil where no Lua
-- function stood behind it
function M.sockets()
  local sockets, places = core.opensockets()
  local list = setmetatable({}, Sockets)
  for i = #sockets, 1, -1 do
    list[#list + 1] = setmetatable({ socket = sockets[i], made = places[i] or nil }, Entry)
  end
  return list
end

--- All tasks, as core.tasks lists them.
-- @return a list
function M.tasks()
  return setmetatable(core.tasks(), Tasks)
end

return M
