--- From a sock.Target to a connected socket: an address, or a name with all
-- its addresses.

local core = require "sock.core"
local lookup = require "sock.lookup"
local race = require "sock.race"
local settings = require "sock.settings"
local target = require "sock.target"

local M = {}

--- How to connect, as sock.connect's options say it.
-- @class sock.Dialing
-- @field type the sockets'
-- @field sockets socket options, by name
-- @field localaddr an address to bind to, or nil
-- @field timeout seconds, or nil

local NOPORT = "ip_bind_address_no_port"
local late = false -- whether this system has it
for _, name in ipairs(core.options()) do
  late = late or name == NOPORT
end

--- Let the system choose the local port when it knows the peer: then one port
-- serves for several peers, and there are enough of them: ip(7).
local function bind(s, localaddr, how)
  if late and localaddr.port == 0 and how.type == "stream" then
    s:setsockopt(NOPORT, true)
  end
  return s:bind(localaddr)
end

--- Makes sockets ready to connect.
local function preparation(how)
  return function(s, address)
    local tcp = how.type == "stream" and address.family:find("^inet")
    if tcp and how.sockets.tcp_nodelay == nil then
      s:setsockopt("tcp_nodelay", true)
    end
    local ok, message, code = settings.apply(s, how.sockets)
    if ok and how.localaddr then
      ok, message, code = bind(s, how.localaddr, how)
    end
    return ok, message, code
  end
end

local function begin(how)
  return race.new(how.type, preparation(how), how.localaddr)
end

local function toaddress(address, how)
  local attempts <close> = begin(how)
  if attempts.family and attempts.family ~= address.family then
    return nil, "connect " .. tostring(address) .. ": not of localaddr's family", "EAFNOSUPPORT"
  end
  return attempts:alone(address, how.timeout)
end

--- Why there is no connection to a name.
local function failure(place, attempts, question, timedout)
  local text = "connect " .. target.text(place) .. ": "
  if #attempts.queue > 0 then
    local reasons, code = attempts:reasons()
    return nil, text .. reasons, timedout and "ETIMEDOUT" or code
  elseif timedout then
    return nil, text .. "timed out", "ETIMEDOUT"
  end
  return nil, text .. (question.message:match("^getaddrinfo .*: (.-)$") or question.message),
    question.code
end

local function toname(place, how)
  local attempts <close> = begin(how)
  local question <close> = lookup.begin(place, how.type)
  local s, _, timedout = core.timeout(how.timeout, attempts.run, attempts, question)
  if not s then
    return failure(place, attempts, question, timedout)
  end
  return s
end

--- Connects.
-- @param place sock.Target
-- @param how sock.Dialing
-- @return a socket that has the timeout of `how`; nil, message, code
function M.reach(place, how)
  local address = place.address or core.address(place.host, place.port)
  local s, message, code
  if address then
    s, message, code = toaddress(address, how)
  else
    s, message, code = toname(place, how)
  end
  if not s then
    return nil, message, code
  end
  return s:settimeout(how.timeout)
end

return M
