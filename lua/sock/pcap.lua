--- sock.pcap: a trace sink that writes a pcapng, which Wireshark opens.
-- A socket sees bytes, not packets: the headers are made up, but right. The
-- handshake stands where the connect or accept was, else before the first
-- bytes; each transfer is one segment, or as many as its size asks for. What
-- is no IP (Unix sockets) has addresses of RFC 5737 instead, and a comment.
-- pcapng: draft-ietf-opsawg-pcapng; RFC 9293, 768, 791, 8200, 1071.

local core = require "sock.core"

local M = {}

local pack <const>, unpack <const> = string.pack, string.unpack

local LINKTYPE_RAW <const> = 101 -- the packet begins with its IP header
local FIN <const>, SYN <const>, RST <const>, PSH <const>, ACK <const> = 1, 2, 4, 8, 16
local LARGEST <const> = 65495 -- bytes of data in a segment: 65535 and two headers of 20
local UNACKED <const> = 1 << 20 -- bytes that go without an answer, at most
local SYNOPTIONS <const> = pack(">BBI2BBBB", 2, 4, LARGEST, 1, 3, 3, 14) -- MSS; a scale of 2^14
local OURS <const>, THEIRS <const> = "\192\0\2\1", "\192\0\2\2"

-- Packets ---------------------------------------------------------------------

local WORDS <const> = ">" .. ("I4"):rep(16)

--- The sum of RFC 1071, to be folded; over words of 32 bits it is the same.
local function sum(data, total)
  data = data .. ("\0"):rep(-#data % 64)
  for at = 1, #data, 64 do
    local a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p = unpack(WORDS, data, at)
    total = total + a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p
  end
  return total
end

local function checksum(data, total)
  total = sum(data, total or 0)
  while total > 0xffff do
    total = (total & 0xffff) + (total >> 16)
  end
  return ~total & 0xffff
end

--- The header before `size` bytes of a protocol, and the sum of what a
-- checksum covers beside these.
local function header(self, from, to, protocol, size)
  local pseudo = sum(from.ip .. to.ip .. pack(">I4I4", size, protocol), 0)
  if #from.ip == 16 then
    return pack(">I4I2BB", 6 << 28, size, protocol, 64) .. from.ip .. to.ip, pseudo
  end
  self.packets = (self.packets + 1) & 0xffff
  local bare = pack(">BBI2I2I2BBI2", 0x45, 0, 20 + size, self.packets, 0x4000, 64, protocol, 0)
  local check = checksum(bare .. from.ip .. to.ip)
  return bare:sub(1, 10) .. pack(">I2", check) .. from.ip .. to.ip, pseudo
end

local function tcp(self, from, to, flags, data)
  local options = flags & SYN ~= 0 and SYNOPTIONS or ""
  local ack = flags & ACK ~= 0 and to.next or 0
  local bare = pack(">I2I2I4I4BBI2I2I2", from.port, to.port, from.next, ack,
    (20 + #options) // 4 << 4, flags, 65535, 0, 0) .. options
  local ip, pseudo = header(self, from, to, 6, #bare + #data)
  local check = checksum(bare .. data, pseudo)
  return ip .. bare:sub(1, 16) .. pack(">I2", check) .. bare:sub(19) .. data
end

--- Of a datagram that was cut, `size` is the whole; its checksum is unknown.
local function udp(self, from, to, data, size)
  local bare = pack(">I2I2I2", from.port, to.port, 8 + size)
  local ip, pseudo = header(self, from, to, 17, 8 + size)
  local check = size == #data and checksum(bare .. "\0\0" .. data, pseudo) or 0
  if check == 0 and size == #data then -- 0 says that there is none
    check = 0xffff
  end
  return ip .. bare .. pack(">I2", check) .. data
end

-- Blocks ----------------------------------------------------------------------

local function padded(data)
  return data .. ("\0"):rep(-#data % 4)
end

local function option(code, value)
  return pack("<I2I2", code, #value) .. padded(value)
end

local function block(kind, text)
  local size = 12 + #text
  return pack("<I4I4", kind, size) .. text .. pack("<I4", size)
end

local function preface()
  return block(0x0a0d0d0a, pack("<I4I2I2i8", 0x1a2b3c4d, 1, 0, -1) .. option(4, "sock")
    .. option(0, "")) .. block(1, pack("<I2I2I4", LINKTYPE_RAW, 0, 0) .. option(2, "sock")
    .. option(0, ""))
end

--- A packet at the event's time. Flags: 1 it came in, 2 it went out.
local function put(self, event, outward, packet, size)
  local time = event.time * 1e6 // 1 | 0
  local comment = event.comment
  event.comment = nil -- once
  assert(self.file:write(block(6, pack("<I4I4I4I4I4", 0, time >> 32, time & 0xffffffff, #packet,
    size or #packet) .. padded(packet) .. (comment and option(1, comment) or "")
    .. option(2, pack("<I4", outward and 2 or 1)) .. option(0, ""))))
end

-- Ends ------------------------------------------------------------------------

local function ip(address)
  if address and (address.family == "inet" or address.family == "inet6") then
    return core.inet_pton((address.host:gsub("%%.*", "")))
  end
end

--- The address that packets to a peer come from, of a socket that is bound to
-- none: what a connected socket would have. Nothing is sent.
local function route(self, peer)
  local found = self.routes[peer]
  if not found then
    local s <close> = core.socket(peer.family, "dgram")
    local address = s and s:connect(peer) and s:getsockname()
    found = address and ip(address) or ("\0"):rep(peer.family == "inet" and 4 or 16)
    self.routes[peer] = found
  end
  return found
end

local function place(host, address, size)
  return { ip = host or ("\0"):rep(size), port = address and address.port or 0 }
end

--- The ends of what is no IP.
local function madeup(event)
  event.comment = ("%s <-> %s: the addresses of these packets are made up")
    :format(event.here or "?", event.peer or "?")
  return { ip = OURS, port = 1024 + event.id % 64000 }, { ip = THEIRS, port = 1023 }
end

--- Both ends of an event as { ip=, port= }.
local function places(self, event)
  local here, peer = ip(event.here), ip(event.peer)
  if not here and not peer then
    return madeup(event)
  end
  local size = #(peer or here)
  local named = here and #here == size and here:find("[^\0]")
  if peer and not named then -- also one socket for both IPv4 and IPv6
    here = route(self, event.peer)
  end
  return place(here, event.here, size), place(peer, event.peer, size)
end

-- Connections -----------------------------------------------------------------

local function key(end_)
  return end_.ip .. pack(">I2", end_.port)
end

--- One segment from an end. `next` is the sequence number of what follows.
local function segment(self, event, from, to, flags, data)
  put(self, event, from.id == event.id, tcp(self, from, to, flags, data))
  local numbers = #data + (flags & (SYN | FIN) ~= 0 and 1 or 0)
  from.next = (from.next + numbers) & 0xffffffff
  if flags & ACK ~= 0 then
    to.unacked = 0
  end
  from.unacked = from.unacked + numbers
end

--- Who began it: whoever connected. Of a socket that others made it is not
-- known: most likely the one with the higher port.
local function beganhere(event, here, peer)
  if event.what == "error" and event.call == "connect" then
    return true
  elseif event.initiator then
    return event.initiator == "here"
  end
  return here.port >= peer.port
end

local function handshake(self, event, v)
  local from, to = v.here, v.peer
  if not beganhere(event, from, to) then
    from, to = to, from
  end
  segment(self, event, from, to, SYN, "")
  if event.what == "error" then
    segment(self, event, to, from, RST | ACK, "")
    v.c.over = true
    return
  end
  segment(self, event, to, from, SYN | ACK, "")
  segment(self, event, from, to, ACK, "")
end

--- A connection between two places, which nothing is known of yet.
local function newconnection(self, name, here, peer)
  self.count = self.count + 1
  for _, end_ in ipairs { here, peer } do
    end_.next = self.count * 64007 & 0xffffffff
    end_.seen, end_.unacked = 0, 0 -- bytes of its stream; of those, not answered
  end
  local c = { name = name, views = 0, [key(here)] = here, [key(peer)] = peer }
  self.connections[name] = c
  return c
end

--- How one socket sees a connection. If both ends are traced here, they are two
-- views of one, and each byte is seen twice.
local function newview(self, event)
  local here, peer = places(self, event)
  local a, b = key(here), key(peer)
  local name = a < b and a .. b or b .. a
  local c = self.connections[name]
  if not c or c.over then
    c = newconnection(self, name, here, peer)
  end
  local v = { c = c, here = c[a], peer = c[b] }
  local begun = event.what == "accept" or event.what == "connect"
  v.sent, v.received = begun and 0 or v.here.seen, begun and 0 or v.peer.seen
  v.here.id = event.id
  c.views = c.views + 1
  self.views[event.id] = v
  if not c.begun then
    c.begun = true
    handshake(self, event, v)
  end
  return v
end

--- The new ones of bytes that one view has seen: `count` are known to it now.
local function stream(self, event, from, to, count)
  local fresh = count - from.seen
  if fresh <= 0 or from.finished then
    return
  end
  local data = event.data:sub(-fresh)
  from.seen = count
  for at = 1, #data, LARGEST do
    local part = data:sub(at, at + LARGEST - 1)
    segment(self, event, from, to, at + #part > #data and PSH | ACK or ACK, part)
    if from.unacked >= UNACKED then
      segment(self, event, to, from, ACK, "")
    end
  end
end

local function finish(self, event, from, to)
  if not from.finished then
    from.finished = true
    segment(self, event, from, to, FIN | ACK, "")
    segment(self, event, to, from, ACK, "")
  end
end

local RESETS <const> = { ECONNRESET = true, ECONNREFUSED = true, ECONNABORTED = true }

local deeds = {}

function deeds.send(self, event, v)
  v.sent = v.sent + #event.data
  stream(self, event, v.here, v.peer, v.sent)
end

function deeds.recv(self, event, v)
  v.received = v.received + #event.data
  stream(self, event, v.peer, v.here, v.received)
end

deeds["end"] = function(self, event, v)
  finish(self, event, v.peer, v.here)
end

function deeds.shutdown(self, event, v)
  if event.how ~= "recv" then
    finish(self, event, v.here, v.peer)
  end
end

function deeds.close(self, event, v)
  finish(self, event, v.here, v.peer)
end

function deeds.error(self, event, v)
  if RESETS[event.code] then
    v.c.over = true
    segment(self, event, v.peer, v.here, RST | ACK, "")
  end
end

--- The socket is closed: its number and its name may come again.
local function forget(self, event, v)
  local c = v.c
  self.views[event.id] = nil
  c.views = c.views - 1
  if c.views == 0 and self.connections[c.name] == c then
    self.connections[c.name] = nil
  end
end

--- What tells of a connection: not a listener's or an unconnected one's life.
local function concerns(self, event)
  local what = event.what
  if self.views[event.id] or event.data or what == "accept" or what == "connect" then
    return event.peer ~= nil or event.here == nil
  end
  return what == "end" or what == "error" and event.peer ~= nil and RESETS[event.code]
end

local function streamed(self, event)
  if not concerns(self, event) then
    return
  end
  local v = self.views[event.id] or newview(self, event)
  if not v.c.over and deeds[event.what] then
    deeds[event.what](self, event, v)
  end
  if event.what == "close" then
    forget(self, event, v)
  end
end

--- A datagram of a Unix socket may be larger than one of IP.
local function fit(event, room)
  if event.size <= room then
    return event.data, event.size
  end
  event.comment = ("%s; %d bytes, of which %d have room"):format(event.comment, event.size, room)
  return event.data:sub(1, room), room
end

local function datagram(self, event)
  if not event.data then
    return
  end
  local from, to = places(self, event)
  local outward = event.what == "send"
  if not outward then
    from, to = to, from
  end
  local data, size = fit(event, 65527 - (#from.ip == 4 and 20 or 0))
  local packet = udp(self, from, to, data, size)
  put(self, event, outward, packet, #packet + size - #data)
end

-- The sink --------------------------------------------------------------------

local Pcap = { __name = "pcap" }
Pcap.__index = Pcap

--- One event of a trace; false once the file is closed.
function Pcap:event(event)
  if not self.file then
    return false
  end
  if event.type == "stream" then
    streamed(self, event)
  else
    datagram(self, event)
  end
  self.file:flush()
end

--- Ends the file, which is complete after each event. Again is harmless.
-- @return true; nil, message, code
function Pcap:close()
  local file = self.file
  self.file = nil
  if not file then
    return true
  end
  local ok, message, number = file:close()
  if not ok then
    return nil, "pcap: " .. message, core.errorname(number)
  end
  return true
end

Pcap.__close = Pcap.close
Pcap.__gc = Pcap.close

--- A sink for s:trace that writes a pcapng.
-- @return the sink; nil, message, code
function M.pcap(path)
  if type(path) ~= "string" then
    error(("bad argument #1 to 'pcap' (string expected, got %s)"):format(type(path)), 2)
  end
  local file, message, number = io.open(path, "wb")
  if not file then
    return nil, "pcap " .. message, core.errorname(number)
  end
  local self = setmetatable({ file = file, connections = {}, views = {}, routes = {},
    count = 0, packets = 0 }, Pcap)
  file:setvbuf("full", 65536)
  assert(file:write(preface()))
  file:flush()
  return self
end

return M
