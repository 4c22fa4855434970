--- Networks, and whether an address is in one of them.

local core = require "sock.core"

local M = {}

local Networks = {}
Networks.__index = Networks
Networks.__name = "networks"

-- ::ffff:0:0/96, what IPv4 looks like on an IPv6 socket (RFC 4291, 2.5.5.2).
local MAPPED <const> = ("\0"):rep(10) .. "\xff\xff"

--- 16 bytes that mean an IPv4 host as its 4; all else as it is.
function M.unmap(bytes)
  if #bytes == 16 and bytes:sub(1, 12) == MAPPED then
    return bytes:sub(13)
  end
  return bytes
end

--- The first `bits` of bytes, the others 0.
local function mask(bytes, bits)
  local whole, rest = bits // 8, bits % 8
  local head = bytes:sub(1, whole)
  if rest > 0 then
    head = head .. string.char(bytes:byte(whole + 1) & (0xff << (8 - rest)) & 0xff)
  end
  return head .. ("\0"):rep(#bytes - #head)
end

--- "10.0.0.0/8", "::1": its bytes and how many bits of them count.
local function read(text)
  local host, bits = text:match("^([^/]+)/?(%d*)$")
  local bytes = host and core.inet_pton(host)
  if not bytes or #bits > 3 or (bits == "" and text:find("/", 1, true)) then
    return nil
  end
  bits = math.tointeger(bits) or #bytes * 8
  if bits > #bytes * 8 then
    return nil
  end
  local short = M.unmap(bytes)
  if #short < #bytes and bits >= 96 then
    return short, bits - 96
  end
  return bytes, bits
end

local function add(self, text)
  if text == "unix:" then
    self.unix = true
    return true
  end
  local bytes, bits = read(text)
  if bytes then
    self[#self + 1] = { prefix = mask(bytes, bits), bits = bits }
  end
  return bytes
end

--- Compiles a list of texts: "10.0.0.0/8", "::1", or "unix:" for every peer
-- of a Unix socket. Bits behind the prefix are not looked at.
-- @return networks; nil, why not
function M.read(list)
  if type(list) ~= "table" then
    return nil, ("list of networks expected, got %s"):format(type(list))
  end
  local self = setmetatable({}, Networks)
  for i, text in ipairs(list) do
    if type(text) ~= "string" then
      return nil, ("network #%d: text expected, got %s"):format(i, type(text))
    elseif not add(self, text) then
      return nil, ("network #%d: %q is none"):format(i, text)
    end
  end
  return self
end

--- The same; what is no network raises, in `level`.
function M.compile(list, level)
  local self, why = M.read(list)
  if not self then
    error(why, (level or 1) + 1)
  end
  return self
end

--- Whether it is what compile gives.
function M.is(value)
  return getmetatable(value) == Networks
end

--- Whether an address is in one of them. An IPv4 host is one, however it is
-- written; a scope (%eth0) does not count.
function Networks:has(address)
  if address.family == "unix" then
    return self.unix == true
  end
  local host = (address.family == "inet" or address.family == "inet6") and address.host
  if not host then
    return false
  end
  local bytes = M.unmap(core.inet_pton((host:gsub("%%.*", ""))))
  for _, network in ipairs(self) do
    if #network.prefix == #bytes and mask(bytes, network.bits) == network.prefix then
      return true
    end
  end
  return false
end

return M
