--- sock.listen: a socket that is bound, and listens.

local core = require "sock.core"
local held = require "sock.held"
local settings = require "sock.settings"
local systemd = require "sock.systemd"
local target = require "sock.target"

local M = {}

--- The options of its own, beside those of sockets.
M.own = { type = "string", backlog = "number", timeout = "number", mode = "string" }

local BACKLOG <const> = 4096 -- the system cuts it to its own limit: listen(2)

--- What says that this system, or this machine now, has no IPv6.
local noipv6 <const> = { EAFNOSUPPORT = true, EADDRNOTAVAIL = true, EPROTONOSUPPORT = true }

local function bad(what, arg, level, text, ...)
  error(("bad argument #%d to '%s' (%s)"):format(arg, what, text:format(...)), level + 1)
end

--- What to listen to, in a and b: as target.read, and "systemd[:name]".
function M.read(what, arg, a, b, level)
  if b == nil or type(b) == "table" or type(b) == "function" then
    local name = systemd.match(a)
    if name then
      return { systemd = name }, 1
    end
  end
  local where, n, code = target.read(what, arg, a, b, level + 1)
  return where, n, code
end

local function ispath(address)
  return address and address.path and address.path:find("^[^@]") ~= nil
end

--- Refuses what no listener can have.
function M.check(what, arg, where, own, level)
  if own.mode and not own.mode:find("^[0-7][0-7][0-7]$") then
    bad(what, arg, level + 1, "option 'mode': three octal digits expected, got '%s'", own.mode)
  elseif own.mode and not ispath(where.address) then
    bad(what, arg, level + 1, "option 'mode': for Unix paths only")
  elseif own.type and own.type ~= "stream" and own.type ~= "seqpacket" then
    bad(what, arg, level + 1, "option 'type': no socket of type '%s' listens", own.type)
  elseif own.backlog and not (math.tointeger(own.backlog) and own.backlog >= 0
      and own.backlog <= 0x7fffffff) then
    bad(what, arg, level + 1, "option 'backlog' out of range")
  end
end

--- An address of the file system: what stands there may be left over.
local function bindpath(s, address, own)
  local mode = own.mode and tonumber(own.mode, 8) or -1
  return core.bindpath(s, address, mode, own.type == "dgram" and -1 or own.backlog or BACKLOG)
end

local function bind(s, own, addr, port)
  if not port and ispath(addr) then
    return bindpath(s, addr, own)
  end
  local ok, message, code = s:bind(addr, port)
  if ok and own.type ~= "dgram" then
    return s:listen(own.backlog or BACKLOG)
  end
  return ok, message, code
end

--- Without it a server that ended while it had clients cannot start again
-- for a minute. Of datagram sockets it would let others steal the port.
local function reusable(family, own)
  return own.type ~= "dgram" and (family == "inet" or family == "inet6")
end

--- A new socket, with all that is to be set before it is bound. Then ADDR.
local function make(family, own, sockets, ...)
  local s, message, code = core.socket(family, own.type)
  if not s then
    return nil, message, code
  end
  local made <close>, ok = held(s), true
  if sockets.reuseaddr == nil and reusable(family, own) then
    ok, message, code = s:setsockopt("reuseaddr", true)
  end
  if ok then
    ok, message, code = settings.apply(s, sockets)
  end
  if ok then
    ok, message, code = bind(s, own, ...)
  end
  if not ok then
    return nil, message, code
  end
  return made:give()
end

--- One socket for IPv6 and IPv4; for IPv4 alone where there is nothing else.
local function wildcard(port, own, sockets)
  local both = { ipv6_v6only = false }
  for name, value in pairs(sockets) do
    both[name] = value
  end
  local s, message, code = make("inet6", own, both, "*", port)
  if s or not noipv6[code] then
    return s, message, code
  end
  return make("inet", own, sockets, "*", port)
end

local function open(what, where, own, sockets)
  if where.systemd then
    local option, value = "acceptconn", true
    if own.type == "dgram" then
      option, value = "type", "dgram"
    end
    local s, message, code = systemd.take(what, where.systemd, option, value)
    if not s then
      return nil, message, code
    end
    return settings.apply(s, sockets)
  elseif where.host == "*" then
    return wildcard(where.port, own, sockets)
  end
  local list, message, code = target.addresses(where, { type = own.type or "stream" })
  if not list then
    return nil, message, code
  end
  return make(list[1].family, own, sockets, list[1])
end

--- Opens what M.read has read. `own.type` may be "dgram": then it is bound.
-- @return socket; nil, message, code
function M.open(what, where, own, sockets)
  local s, message, code = open(what, where, own, sockets)
  if s and own.timeout then
    s:settimeout(own.timeout)
  end
  return s, message, code
end

--- sock.listen(ADDR [, options]); types.lua says what it takes.
function M.listen(a, b, c)
  local where, n, code = M.read("listen", 1, a, b, 2)
  if not where then
    return nil, n, code
  end
  local arg, options = 3, c
  if n == 1 and b ~= nil then
    arg, options = 2, b
  end
  local own, sockets = settings.split("listen", arg, options, M.own, 2)
  M.check("listen", arg, where, own, 2)
  return M.open("listen", where, own, sockets)
end

return M
