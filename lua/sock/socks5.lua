--- SOCKS version 5: RFC 1928, with the user and password of RFC 1929.

local core = require "sock.core"

local M = {}

local VERSION, CONNECT = 5, 1
local NOAUTH, PASSWORD, REFUSED = 0, 2, 0xff
local NAME = 3 -- of an address; 1 is IPv4, 4 IPv6
local sizes = { 4, nil, nil, 16 }

-- RFC 1928, 6
local replies = {
  { "general failure", "EPROTO" },
  { "not allowed by its rules", "EACCES" },
  { "Network is unreachable", "ENETUNREACH" },
  { "No route to host", "EHOSTUNREACH" },
  { "Connection refused", "ECONNREFUSED" },
  { "TTL expired", "EHOSTUNREACH" },
  { "command not supported", "EOPNOTSUPP" },
  { "address type not supported", "EAFNOSUPPORT" },
}

--- The lengths are bytes of the protocol: RFC 1929, 2.
function M.check(proxy)
  if #proxy.user < 1 or #proxy.user > 255 or #proxy.password > 255 then
    return nil, "user and password have 1 to 255 bytes"
  end
  return true
end

--- Reads numbers and texts as string.pack has it. What comes after them stays
-- for the socket's owner.
local function take(s, format)
  local results = table.pack(s:unpack(format))
  if results[1] ~= nil then
    return table.unpack(results)
  elseif results[3] == nil or results[3] == "EPROTO" then
    return nil, "the proxy closed the connection", "EPROTO"
  end
  return nil, results[2]:match(": ([^:]*)$") or results[2], results[3]
end

local function unexpected()
  return nil, "the proxy does not speak SOCKS 5", "EPROTO"
end

local function authenticate(s, proxy)
  local ok, message, code = s:pack("B s1 s1", 1, proxy.user, proxy.password)
  if not ok then
    return nil, message, code
  end
  local version, status
  version, status, code = take(s, "B B")
  if not version then
    return nil, status, code
  elseif status ~= 0 then
    return nil, "the proxy refuses user and password", "EACCES"
  end
  return true
end

--- Agrees on a method, and follows it.
local function greet(s, proxy)
  local methods = proxy.user and string.char(NOAUTH, PASSWORD) or string.char(NOAUTH)
  local ok, message, code = s:pack("B s1", VERSION, methods)
  if not ok then
    return nil, message, code
  end
  local version, method
  version, method, code = take(s, "B B")
  if not version then
    return nil, method, code
  elseif version ~= VERSION then
    return unexpected()
  elseif method == PASSWORD and proxy.user then
    return authenticate(s, proxy)
  elseif method == REFUSED then
    return nil, proxy.user and "the proxy accepts neither user and password nor their absence"
      or "the proxy wants user and password", "EACCES"
  elseif method ~= NOAUTH then
    return unexpected()
  end
  return true
end

--- The address that the proxy uses is of no use here, but it has to be read.
local function skipaddress(s, kind)
  local length, message, code = sizes[kind], nil, nil
  if kind == NAME then
    length, message, code = take(s, "B")
  elseif not length then
    return unexpected()
  end
  if length then
    length, message, code = take(s, "c" .. length .. " I2")
  end
  return length ~= nil or nil, message, code
end

local function answer(s)
  local version, reply, code, kind = take(s, "B B B B")
  if not version then
    return nil, reply, code
  elseif version ~= VERSION then
    return unexpected()
  elseif reply ~= 0 then
    local why = replies[reply] or { "reply " .. reply, "EPROTO" }
    return nil, "the proxy says: " .. why[1], why[2]
  end
  return skipaddress(s, kind)
end

--- Asks the proxy at the other end of `s` for a connection.
-- @param goal host, port, and family where the host is an address
-- @return true; nil, message, code
function M.ask(s, goal, proxy)
  local ok, message, code = greet(s, proxy)
  if not ok then
    return nil, message, code
  end
  local address
  if goal.family then
    address = string.char(goal.family == "inet" and 1 or 4) .. core.inet_pton(goal.host)
  else
    address = string.pack("B s1", NAME, goal.host)
  end
  ok, message, code = s:write(string.pack("B B B", VERSION, CONNECT, 0), address,
    string.pack(">I2", goal.port))
  if not ok then
    return nil, message, code
  end
  return answer(s)
end

return M
