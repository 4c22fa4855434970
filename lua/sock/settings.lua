--- The options of the helpers: a helper's own, and any socket option by its
-- name, which is set before the socket is bound or connected.

local core = require "sock.core"

local M = {}

local known = {}
for _, name in ipairs(core.options()) do
  known[name] = true
end

local function bad(what, arg, level, text, ...)
  error(("bad argument #%d to '%s' (%s)"):format(arg, what, text:format(...)), level + 1)
end

--- Refuses a value that setsockopt would.
local function check(what, arg, name, value, level)
  local fits, why = pcall(core.checkoption, nil, name, value)
  if not fits then
    bad(what, arg, level + 1, "option '%s': %s", name, why:match("%((.*)%)$") or why)
  end
end

--- Splits options into the helper's own and the sockets'. What is unknown, or
-- of another type than the helper wants, raises in `level`.
-- @param own the types of its own ones, by name: { timeout = "number" }; several: "table|boolean"
-- @return own ones, socket options
function M.split(what, arg, options, own, level)
  local mine, sockets = {}, {}
  if type(options) ~= "table" and options ~= nil then
    bad(what, arg, level + 1, "table expected, got %s", type(options))
  end
  for name, value in pairs(options or {}) do
    if own[name] then
      if not ("|" .. own[name] .. "|"):find("|" .. type(value) .. "|", 1, true) then
        bad(what, arg, level + 1, "option '%s': %s expected, got %s", name,
          own[name]:gsub("|", " or "), type(value))
      elseif value ~= value then
        bad(what, arg, level + 1, "option '%s': not a number", name)
      end
      mine[name] = value
    elseif known[name] then
      check(what, arg, name, value, level + 1)
      sockets[name] = value
    else
      bad(what, arg, level + 1, "unknown option '%s'", tostring(name))
    end
  end
  return mine, sockets
end

--- Sets socket options.
-- @return the socket; nil, message, code
function M.apply(socket, options)
  for name, value in pairs(options) do
    local ok, message, code = socket:setsockopt(name, value)
    if not ok then
      return nil, message, code
    end
  end
  return socket
end

return M
