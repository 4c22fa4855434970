--- sock.connect, for the time being: the first address that a name has.

local core = require "sock.core"
local settings = require "sock.settings"
local target = require "sock.target"

local M = {}

--- Connects to ADDR.
-- @return a socket; nil, message, code
function M.connect(...)
  local a, b = ...
  local to, count, code = target.read("connect", 1, a, b, 2)
  if not to then
    return nil, count, code
  end
  local own, options = settings.split("connect", count + 1, (select(count + 1, ...)),
    { timeout = "number" }, 2)
  local list, message
  list, message, code = target.addresses(to)
  if not list then
    return nil, message, code
  end
  local s
  s, message, code = core.socket(list[1].family)
  if s then
    s:settimeout(own.timeout)
    local ok
    ok, message, code = settings.apply(s, options)
    if ok then
      ok, message, code = s:connect(list[1])
    end
    if ok then
      return s
    end
    s:close()
  end
  return nil, message, code
end

return M
