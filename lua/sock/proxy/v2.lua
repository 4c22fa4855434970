--- Version 2 of the PROXY protocol: a binary block.
-- 12 bytes of signature, version and command, family and transport, the
-- length of what follows: two addresses, then TLVs.

local core = require "sock.core"
local crc32c = require "sock.proxy.crc32c"
local networks = require "sock.networks"

local M = {}

local SIGNATURE <const> = "\r\n\r\n\0\r\nQUIT\n"
local FIXED <const> = 16
-- What may follow it: as much as HAProxy itself takes.
local LONGEST <const> = 16384 - FIXED
local LOCAL <const>, PROXY <const> = "\x20", "\x21"
local TLV_CRC32C <const> = 3

--- How such a header begins; another version or command is none.
M.beginnings = { SIGNATURE .. LOCAL, SIGNATURE .. PROXY }

local function readip(block, layout)
  local from, to, fromport, toport = layout:unpack(block)
  return core.address(core.inet_ntop(networks.unmap(from)), fromport),
    core.address(core.inet_ntop(networks.unmap(to)), toport)
end

--- A sockaddr_un's path: up to its zero, or an abstract name behind one.
local function readpath(field)
  if field:byte() == 0 then
    local name = field:match("^\0(.-)\0*$")
    return core.address(name == "" and "unix:" or "unix:@" .. name)
  end
  local path = field:match("^[^\0]+")
  return core.address("unix:" .. (path:find("^@") and "./" or "") .. path)
end

local function readunix(block)
  local from, to = ("c108c108"):unpack(block)
  return readpath(from), readpath(to)
end

--- By the upper half of byte 14: the addresses' size, how they are read.
local families = {
  [0] = { size = 0 },
  { size = 12, read = readip, layout = ">c4c4HH" },
  { size = 36, read = readip, layout = ">c16c16HH" },
  { size = 216, read = readunix },
}

--- What byte 14 names; nil where it may not be.
local function familyof(bytes)
  local family, transport = bytes:byte(14) >> 4, bytes:byte(14) & 15
  return transport <= 2 and families[family] or nil, transport
end

--- The family of a LOCAL header is not looked at.
local function check(bytes, length)
  local family = familyof(bytes)
  if bytes:sub(13, 13) == LOCAL then
    return FIXED + length
  elseif not family then
    return false, ("its family and transport are 0x%02x"):format(bytes:byte(14))
  elseif length < family.size then
    return false, ("its length is %d, less than %d"):format(length, family.size)
  end
  return FIXED + length
end

--- Looks for the header's end.
-- @return its length; nil: more is needed; false, why it is none
function M.scan(bytes)
  if #bytes < FIXED then
    return nil
  end
  local length = string.unpack(">H", bytes, 15)
  if length > LONGEST then
    return false, ("its length is %d, more than %d"):format(length, LONGEST)
  end
  local whole, why = check(bytes, length)
  if whole and #bytes < whole then
    return nil
  end
  return whole, why
end

--- Compares the sum at `position` with that of the header, where it counts
-- as 0.
local function checksum(header, position)
  local zeroed = header:sub(1, position - 1) .. "\0\0\0\0" .. header:sub(position + 4)
  return string.unpack(">I4", header, position) == crc32c(zeroed)
end

--- Walks over the TLVs from `position` on.
-- @return true; false, why they are none
local function walk(header, position)
  while position <= #header do
    if #header - position < 2 then
      return false, "its last TLV is cut"
    end
    local kind, length = string.unpack(">BH", header, position)
    position = position + 3
    if #header - position + 1 < length then
      return false, "its last TLV is cut"
    elseif kind == TLV_CRC32C and not (length == 4 and checksum(header, position)) then
      return false, "its checksum is wrong"
    end
    position = position + length
  end
  return true
end

--- Reads a whole header. Of a LOCAL one, and where family or transport is
-- unspecified, all that follows is skipped unread, as nobody says what it is.
-- @return source, destination; nil: it says nothing; false, why it is none
function M.read(header)
  local family, transport = familyof(header)
  if header:sub(13, 13) == LOCAL or family.size == 0 or transport == 0 then
    return nil
  end
  local ok, why = walk(header, FIXED + 1 + family.size)
  if not ok then
    return false, why
  end
  local source, destination = family.read(header:sub(FIXED + 1), family.layout)
  if not (source and destination) then
    return false, "its addresses are none"
  end
  return source, destination
end

local function writepath(path)
  return ("c108"):pack((path:gsub("^@", "\0")))
end

--- Makes a header.
-- @param ends nil, or as proxy.lua makes them
function M.write(ends)
  if not ends then
    return SIGNATURE .. LOCAL .. "\0\0\0"
  end
  local kind, block
  if ends.family == "unix" then
    kind, block = 0x31, writepath(ends.from) .. writepath(ends.to)
  else
    kind = #ends.from == 4 and 0x11 or 0x21
    block = ends.from .. ends.to .. string.pack(">HH", ends.fromport, ends.toport)
  end
  return SIGNATURE .. PROXY .. string.pack(">Bs2", kind, block)
end

return M
