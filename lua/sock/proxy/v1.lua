--- Version 1 of the PROXY protocol: one line of text.
-- "PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"

local core = require "sock.core"
local networks = require "sock.networks"

local M = {}

-- The longest line there can be, its CRLF included.
local LONGEST <const> = 107

--- How such a header begins.
M.beginnings = { "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN" }

--- Looks for the header's end. The first CR or LF is it, or a mistake: also
-- in the part of an UNKNOWN line that nobody reads.
-- @return its length; nil: more is needed; false, why it is none
function M.scan(bytes)
  local stop = bytes:find("[\r\n]")
  if (stop or #bytes + 1) > LONGEST - 1 then
    return false, ("its line is longer than %d bytes"):format(LONGEST)
  elseif not stop or (stop == #bytes and bytes:byte(stop) == 13) then
    return nil
  elseif bytes:sub(stop, stop + 1) ~= "\r\n" then
    return false, "its line does not end with CRLF"
  end
  return stop + 1
end

--- A host as the protocol writes it: IPv4 in its one form (so without zeros
-- in front), IPv6 in any.
local function readhost(family, text)
  local bytes = core.inet_pton(text)
  if not bytes or (#bytes == 4) ~= (family == "TCP4")
    or (#bytes == 4 and core.inet_ntop(bytes) ~= text) then
    return nil
  end
  return core.inet_ntop(networks.unmap(bytes))
end

local function readport(text)
  local number = #text <= 5 and text:find("^%d+$") and math.tointeger(tonumber(text))
  if not number or number > 65535 or (text:find("^0") and text ~= "0") then
    return nil
  end
  return number
end

local function readaddress(family, host, port)
  local numeric, number = readhost(family, host), readport(port)
  if not numeric then
    return nil, ("%q is no %s host"):format(host, family)
  elseif not number then
    return nil, ("%q is no port"):format(port)
  end
  return core.address(numeric, number)
end

--- Reads a whole header.
-- @return source, destination; nil: it says nothing; false, why it is none
function M.read(line)
  if line:find("^PROXY UNKNOWN[ \r]") then
    return nil
  end
  local family, from, to, fromport, toport =
    line:match("^PROXY (TCP[46]) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+)\r\n$")
  if not family then
    return false, "it is not a family, two hosts and two ports"
  end
  local source, why = readaddress(family, from, fromport)
  local destination
  if source then
    destination, why = readaddress(family, to, toport)
  end
  if not destination then
    return false, why
  end
  return source, destination
end

--- Some receivers know hexadecimal groups only, not ::ffff:192.0.2.1.
local function writehost(bytes)
  local text = core.inet_ntop(bytes)
  if #bytes == 16 and text:find(".", 1, true) then
    text = ("%x:%x:%x:%x:%x:%x:%x:%x"):format(string.unpack(">HHHHHHHH", bytes))
  end
  return text
end

--- Makes a header.
-- @param ends nil, or as proxy.lua makes them
function M.write(ends)
  if not ends or ends.family == "unix" then
    return "PROXY UNKNOWN\r\n"
  end
  return ("PROXY TCP%d %s %s %d %d\r\n"):format(#ends.from == 4 and 4 or 6,
    writehost(ends.from), writehost(ends.to), ends.fromport, ends.toport)
end

return M
