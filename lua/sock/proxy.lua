--- The PROXY protocol: a balancer says, in front of all else, for whom it
-- made this connection. HAProxy's doc/proxy-protocol.txt, sections 2 and 5.
--
-- Nothing is guessed: from a trusted peer a header must come, within
-- seconds, and from any other peer the same bytes are its own business. The
-- header is looked at before it is taken, so that not one byte behind it is.

local core = require "sock.core"
local networks = require "sock.networks"
local v1 = require "sock.proxy.v1"
local v2 = require "sock.proxy.v2"

local M = {}

local versions = { v1, v2 }

-- How long a header may take: more than a retransmission (3 s).
local SECONDS <const> = 5
-- How much is looked at: most headers at once.
local AHEAD <const> = 1024

-- -------------------------------------------------------------- receiving

--- The version that may begin, or begins, so.
local function versionof(bytes)
  for _, version in ipairs(versions) do
    for _, beginning in ipairs(version.beginnings) do
      local n = math.min(#bytes, #beginning)
      if bytes:sub(1, n) == beginning:sub(1, n) then
        return version
      end
    end
  end
end

--- Where the header in `bytes` ends.
-- @return its length, its version; nil: more is needed; false, why it is none
local function scan(bytes)
  local version = versionof(bytes)
  if not version then
    return false, "it begins otherwise"
  end
  local length, why = version.scan(bytes)
  return length, length and version or why
end

--- Takes exactly the header: what is there is looked at, and taken as far as
-- it belongs to it.
-- @return header, version; false, why it is none; nil, message, code
local function receive(conn)
  local header = ""
  local length, what
  repeat
    local seen, message, code = conn:recv(AHEAD, "peek")
    if message then
      return nil, message, code
    elseif not seen and header == "" then
      return nil -- a look at whether somebody listens: a balancer's check, say
    elseif not seen then
      return false, ("it ended after %d bytes"):format(#header)
    end
    length, what = scan(header .. seen)
    if length == false then
      return false, what
    end
    local own = length and length - #header or #seen
    seen, message, code = conn:recv(own)
    if not seen then
      return nil, message, code
    end
    header = header .. seen
  until #header == length
  return header, what
end

--- true for every peer; else a list of networks, compiled once.
-- @return that; nil, what is wrong
function M.trusted(list)
  if list == true or networks.is(list) then
    return list
  end
  return networks.read(list)
end

--- The same; what is wrong raises, in `level`.
function M.networks(list, level)
  local trusted, why = M.trusted(list)
  if not trusted then
    error(why, (level or 1) + 1)
  end
  return trusted
end

local function trusts(trusted, peer)
  return trusted == true or M.networks(trusted, 3):has(peer)
end

local function fail(peer, why, code)
  return nil, ("accept %s: %s"):format(peer, why), code
end

--- Reads the header of a connection that was accepted from `peer`.
-- A peer that is not trusted is a client as any other: nothing is read. So
-- is, but for its header, one that says LOCAL or UNKNOWN.
-- @param trusted true, or networks
-- @param seconds for the whole header; 5 if absent
-- @return the client's address, the one it connected to (where known); nil
-- where the stream ended before it; nil, message, code: EPROTO where it is no
-- header, ETIMEDOUT …
function M.accept(conn, peer, trusted, seconds)
  if not trusts(trusted, peer) then
    return peer, (conn:getsockname())
  end
  local header, what, code = core.timeout(seconds or SECONDS, receive, conn)
  if code == "ETIMEDOUT" then
    return fail(peer, "PROXY header timed out", code)
  elseif header == nil and not what then
    return nil
  elseif header == nil then
    return nil, what, code
  end
  local source, destination = false, what
  if header then
    source, destination = what.read(header)
  end
  if source == false then
    return fail(peer, "no PROXY header: " .. destination, "EPROTO")
  elseif source == nil then
    return peer, (conn:getsockname())
  end
  return source, destination
end

-- ---------------------------------------------------------------- sending

local MAPPED <const> = ("\0"):rep(10) .. "\xff\xff"

local function toaddress(value)
  if core.type(value) == "address" then
    return value
  end
  return type(value) == "string" and core.address(value) or nil
end

local function hostbytes(address)
  return core.inet_pton((address.host:gsub("%%.*", "")))
end

local ip = { inet = true, inet6 = true }

--- Both ends as the versions write them; IPv4 beside IPv6 goes as IPv6.
-- @return nil if they cannot stand in one header
local function makeends(source, destination)
  if source.family == "unix" and destination.family == "unix" then
    return { family = "unix", from = source.path, to = destination.path }
  elseif not (ip[source.family] and ip[destination.family]) then
    return nil
  end
  local from, to = hostbytes(source), hostbytes(destination)
  if #from ~= #to then
    from = #from == 4 and MAPPED .. from or from
    to = #to == 4 and MAPPED .. to or to
  end
  return { from = from, to = to, fromport = source.port, toport = destination.port }
end

--- Makes a header.
-- @param version 1 or 2
-- @param source, destination addresses; without source: UNKNOWN or LOCAL
-- @return bytes; nil, message, "EINVAL": no header can hold these two
function M.header(version, source, destination)
  local writer = versions[version]
  if not writer then
    error("bad argument #1 to 'header' (version 1 or 2 expected)", 2)
  elseif not source then
    return writer.write(nil)
  end
  local ends = makeends(source, destination)
  if not ends then
    return nil, ("PROXY header: %s and %s in one"):format(source, destination), "EINVAL"
  end
  return writer.write(ends)
end

local fields = { version = true, source = true, destination = true }

--- Checks what sock.connect's option `proxy` says: 1, 2, or { version=,
-- source=, destination= }.
-- @return the option as a table; nil, what is wrong
function M.option(option)
  if type(option) ~= "table" then
    option = { version = option }
  end
  if not versions[option.version] then
    return nil, "version 1 or 2 expected"
  end
  for name in pairs(option) do
    if not fields[name] then
      return nil, ("unknown field '%s'"):format(name)
    end
  end
  for _, name in ipairs { "source", "destination" } do
    local value = option[name]
    if value and not toaddress(value) then
      return nil, name .. " is no address"
    end
  end
  return option
end

--- Sends the header on a new connection: for whom it is made (`source`), and
-- to where that one had connected. Absent, they are the connection's own
-- ends; source = false says that it is for nobody (LOCAL, UNKNOWN).
-- @return conn; nil, message, code
function M.send(conn, option)
  local why
  option, why = M.option(option)
  if not option then
    error("option 'proxy': " .. why, 2)
  end
  local source, destination, message, code
  if option.source ~= false then
    source, message, code = toaddress(option.source), nil, nil
    if not source then
      source, message, code = conn:getsockname()
    end
    destination = toaddress(option.destination)
    if source and not destination then
      destination, message, code = conn:getpeername()
    end
    if not (source and destination) then
      return nil, message, code
    end
  end
  local header
  header, message, code = M.header(option.version, source, destination)
  if not header then
    return nil, message, code
  end
  return conn:write(header)
end

return M
