--- sock.udp: a datagram socket, ready to use.

local core = require "sock.core"
local held = require "sock.held"
local settings = require "sock.settings"
local target = require "sock.target"

local M = {}

local OWN = { family = "string", timeout = "number" }
local FAMILIES = { inet = 1, inet6 = 1, unix = 1, netlink = 1, packet = 1, vsock = 1 }

--- A socket of the family, bound where an address is given.
local function make(family, address, how)
  local s, message, code = core.socket(family, "dgram")
  if not s then
    return nil, message, code
  end
  local made <close> = held(s)
  local ok = true
  if how.dual then
    ok, message, code = s:setsockopt("ipv6_v6only", false)
  end
  if ok then
    ok, message, code = settings.apply(s, how.sockets)
  end
  if ok and address then
    ok, message, code = s:bind(address)
  end
  if not ok then
    return nil, message, code
  end
  return made:give():settimeout(how.timeout)
end

--- One socket for both: an inet6 one that takes IPv4 too; where the system has
-- no IPv6, an inet one.
local function wildcard(port, how)
  how.dual = true
  local s, message, code = make("inet6", core.address("::", port), how)
  if s then
    return s
  elseif code == "EAFNOSUPPORT" or code == "EADDRNOTAVAIL" then
    how.dual = false
    return make("inet", core.address("0.0.0.0", port), how)
  end
  return nil, message, code
end

local function lookup(place, family)
  local list, message, code = target.addresses(place,
    { type = "dgram", passive = true, family = family })
  if not list then
    return nil, message:gsub("^getaddrinfo", "udp", 1), code
  end
  return list
end

--- The first address; where no family is asked for, an IPv4 one if there is
-- one, since "inet" is what sock.socket begins with.
local function choose(list)
  for _, address in ipairs(list) do
    if address.family == "inet" then
      return address
    end
  end
  return list[1]
end

local function bound(place, family, how)
  local wanted = (family == "inet" or family == "inet6") and family or nil
  local list, message, code = lookup(place, wanted)
  if not list then
    return nil, message, code
  elseif place.host == "*" and not family then
    return wildcard(list[1].port, how)
  end
  local address = choose(list)
  return make(family or address.family, address, how)
end

--- A datagram socket, bound where ADDR is given; "*" as host means IPv6 and IPv4.
-- @param a, b ADDR, or nothing
-- @param c options: `family`, `timeout`, any socket option
-- @return a socket; nil, message, code
function M.udp(a, b, c)
  local place, used, code
  if a ~= nil then
    place, used, code = target.read("udp", 1, a, b, 2)
  end
  local arg, options = 3, c
  if used ~= 2 and b ~= nil then
    arg, options = 2, b
  end
  local own, sockets = settings.split("udp", arg, options, OWN, 2)
  local family = own.family
  if family and not FAMILIES[family] then
    error(("bad argument #%d to 'udp' (option 'family': unknown family %q)")
      :format(arg, family), 2)
  end
  local how = { sockets = sockets, timeout = own.timeout }
  if place then
    return bound(place, family, how)
  elseif a ~= nil then
    return nil, used, code
  end
  return make(family or "inet", nil, how)
end

return M
