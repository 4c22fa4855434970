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
    local fits, ok, message, code = pcall(socket.setsockopt, socket, name, value)
    if not fits then -- a value of the wrong type: say which
      error(("option '%s': %s"):format(name, ok:match("%((.*)%)$") or ok), 0)
    elseif not ok then
      return nil, message, code
    end
  end
  return socket
end

return M
