--- ADDR, as the helpers take it: an address; host and port; one text with both.

local core = require "sock.core"

local M = {}

--- What a helper is to talk or listen to: `address`, or `host` and `port`.
-- @class sock.Target

local function quote(text)
  return ("%q"):format(text):gsub("\\\n", "\\n")
end

local function check(what, arg, a, b, level)
  if type(a) ~= "string" then
    error(("bad argument #%d to '%s' (address or host expected, got %s)")
      :format(arg, what, a == nil and "no value" or type(a)), level + 1)
  elseif type(b) == "number" and not (math.tointeger(b) and b >= 0 and b <= 65535) then
    error(("bad argument #%d to '%s' (port out of range)"):format(arg + 1, what), level + 1)
  elseif type(b) == "boolean" or type(b) == "userdata" or type(b) == "thread" then
    error(("bad argument #%d to '%s' (port expected, got %s)")
      :format(arg + 1, what, type(b)), level + 1)
  end
end

--- One text: an address, or "host:port" with names in it.
local function split(what, text)
  local address, message = core.address(text)
  if address then
    return { address = address }, 1
  end
  local host, port = core.splithost(text)
  if host then
    return { host = host, port = port }, 1
  end
  return nil, ("%s %s: %s"):format(what, quote(text), message:match(": (.*)") or message), "EINVAL"
end

--- Reads the ADDR in a and b. A mistake of the caller raises, in `level`.
-- @param what the helper's name, for messages
-- @param arg which argument a is
-- @return target, how many of the two it took; nil, message, code
function M.read(what, arg, a, b, level)
  if core.type(a) == "address" then
    return { address = a }, 1
  end
  check(what, arg, a, b, level + 1)
  if b == nil or type(b) == "table" or type(b) == "function" then
    return split(what, a)
  end
  return { host = a, port = type(b) == "number" and math.tointeger(b) or b }, 2
end

--- Its addresses, in the order of RFC 6724.
-- @param options as sock.getaddrinfo's
-- @return a list; nil, message, code
function M.addresses(target, options)
  if target.address then
    return { target.address }
  end
  return core.getaddrinfo(target.host, target.port, options)
end

--- The text that names it: "localhost:80", "[::1]:80", "unix:/run/x".
function M.text(target)
  if target.address then
    return tostring(target.address)
  end
  local host = target.host:find(":", 1, true) and "[" .. target.host .. "]" or target.host
  return host .. ":" .. target.port
end

return M
