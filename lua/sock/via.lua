--- Connecting through a proxy: `via = "socks5://user:password@host:port"` or
-- `"http://…"`. The names of targets are the proxy's to resolve.

local core = require "sock.core"
local dial = require "sock.dial"
local held = require "sock.held"
local target = require "sock.target"

local M = {}

local handshakes = {
  socks5 = require("sock.socks5"),
  http = require("sock.tunnel"),
}
local ports = { socks5 = 1080, http = 80 }

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- "user:password" in percent-encoding: RFC 3986, 2.1 and 3.2.1.
local function userinfo(proxy, text)
  if not text then
    return true
  elseif text:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil, "a % without two hexadecimal digits"
  end
  local user, password = text:match("^([^:]*):?(.*)$")
  proxy.user, proxy.password = decode(user), decode(password)
  return handshakes[proxy.scheme].check(proxy)
end

--- Reads a proxy's URL.
-- @return a sock.Proxy: scheme, place, user, password; nil, why not
function M.parse(url)
  local scheme, authority = url:match("^(%a[%w+.-]*)://([^/?#]*)/?$")
  scheme = scheme and scheme:lower()
  if not handshakes[scheme] then
    return nil, "socks5://host:port or http://host:port expected"
  end
  local info, text = authority:match("^(.*)@(.-)$")
  text = text or authority
  if not text:find(":%w+$") then
    text = text .. ":" .. ports[scheme]
  end
  local host, port = core.splithost(text)
  if not host or host == "" then
    return nil, "no host and port of a proxy"
  end
  local proxy = { scheme = scheme, place = { host = host, port = port } }
  local ok, why = userinfo(proxy, info)
  if not ok then
    return nil, why
  end
  return proxy
end

--- What the proxy is told: the target's host, its port in digits, and the
-- family where the host is an address.
-- @return host, port, family; nil, why not, code
local function destination(place)
  local address = place.address or core.address(place.host, place.port)
  if address then
    if not core.inet_pton(address.host or "") then -- a scope is this machine's own
      return nil, "an address that means nothing to a proxy", "EAFNOSUPPORT"
    end
    return address.host, address.port, address.family
  elseif not place.host:find("^[%w._\x80-\xff-]+$") or #place.host > 255 then
    return nil, "not a host name", "EINVAL"
  end
  local port = type(place.port) == "number" and place.port or place.port:match("^%d+$")
  port = math.tointeger(tonumber(port)) or core.getservbyname(place.port, "tcp")
  if not port or port > 65535 then
    return nil, "neither a port nor a service", "EAI_SERVICE"
  end
  return place.host, port
end

--- Connects to the proxy and asks it for the target.
local function reach(proxy, how, goal)
  local s, message, code = dial.reach(proxy.place, how)
  if not s then
    return nil, message:gsub("^connect .-: ", "", 1), code
  end
  local connection <close> = held(s)
  local ok
  ok, message, code = handshakes[proxy.scheme].ask(s, goal, proxy)
  if not ok then
    return nil, message, code
  end
  return connection:give()
end

--- Connects to a sock.Target through the proxy of `how`.
-- @return a socket; nil, message, code
function M.reach(place, how)
  local proxy = how.via
  local whole = ("connect %s via %s: "):format(target.text(place), target.text(proxy.place))
  local host, port, family = destination(place)
  if not host then
    return nil, whole .. port, family
  end
  local goal = { host = host, port = port, family = family }
  local inner = { type = how.type, sockets = how.sockets, localaddr = how.localaddr }
  local s, message, code = core.timeout(how.timeout, reach, proxy, inner, goal)
  if not s then
    return nil, whole .. message, code
  end
  return s:settimeout(how.timeout)
end

return M
