--- sock.connect: from a name to a connected socket.

local core = require "sock.core"
local dial = require "sock.dial"
local proxy = require "sock.proxy"
local settings = require "sock.settings"
local target = require "sock.target"
local via = require "sock.via"

local M = {}

local OWN = { type = "string", timeout = "number", localaddr = "string|userdata", via = "string",
  proxy = "number|table" }
local TYPES = { stream = true, dgram = true, seqpacket = true, raw = true }

local function bad(arg, level, name, text)
  error(("bad argument #%d to 'connect' (option '%s': %s)"):format(arg, name, text), level + 1)
end

--- An address, or a text that is one, its port left out or not.
local function localaddress(value, arg, level)
  if core.type(value) == "address" then
    return value
  elseif type(value) ~= "string" then
    bad(arg, level + 1, "localaddr", "address or host expected")
  end
  local address, message, code = core.address(value, 0)
  address = address or core.address(value)
  if not address then
    return nil, "connect: localaddr: " .. message:gsub("^address ", ""), code
  end
  return address
end

--- The header of the PROXY protocol that is to be sent first, or nil.
local function announcement(option, type, arg, level)
  if option and type ~= "stream" then
    bad(arg, level + 1, "proxy", "only streams begin with a header")
  end
  local header = option and proxy.option(option, level + 1)
  return header
end

--- Sends that header, where there is one and a connection.
local function announce(how, s, message, code)
  if not s then
    return nil, message, code
  elseif not how.proxy then
    return s
  end
  local ok
  ok, message, code = proxy.send(s, how.proxy)
  if not ok then
    s:close()
    return nil, message, code
  end
  return s
end

--- Reads the options at `arg`; what is wrong in them raises.
-- @return sock.Dialing; nil, message, code
local function read(arg, options, level)
  local own, sockets = settings.split("connect", arg, options, OWN, level + 1)
  local how = { type = own.type or "stream", timeout = own.timeout, sockets = sockets }
  if not TYPES[how.type] then
    bad(arg, level + 1, "type", ("unknown type %q"):format(how.type))
  end
  if own.via then
    local why
    how.via, why = via.parse(own.via)
    if not how.via then
      bad(arg, level + 1, "via", why)
    elseif how.type ~= "stream" then
      bad(arg, level + 1, "via", "only streams go through a proxy")
    end
  end
  how.proxy = announcement(own.proxy, how.type, arg, level + 1)
  if own.localaddr then
    local message, code
    how.localaddr, message, code = localaddress(own.localaddr, arg, level + 1)
    if not how.localaddr then
      return nil, message, code
    end
  end
  return how
end

--- Connects to an address, or to a name: to each of its addresses, IPv6 and
-- IPv4 in turns, 250 ms apart, until one answers: RFC 8305.
-- @param a, b ADDR
-- @param c options: `type`, `timeout` (seconds for it all; then the socket's),
--   `localaddr`, `via` (a proxy's URL), `proxy` (what proxy.send takes: the
--   PROXY protocol's header goes first), any socket option; tcp_nodelay is true
-- @return a connected socket; nil, message (each address and why), code
function M.connect(a, b, c)
  local place, used, code = target.read("connect", 1, a, b, 2)
  local arg, options = 3, c
  if used ~= 2 and b ~= nil then
    arg, options = 2, b
  end
  local how, message, why = read(arg, options, 2)
  if not place then
    return nil, used, code
  elseif not how then
    return nil, message, why
  elseif how.via then
    return announce(how, via.reach(place, how))
  end
  return announce(how, dial.reach(place, how))
end

return M
