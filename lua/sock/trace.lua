--- s:trace: what a socket does, told to a sink as it happens.
-- The C core (tap.c) gives each event to a function; this makes one out of
-- what a person gives: a file, a list, an object, nothing.

local core = require "sock.core"
local hexdump = require "sock.hexdump".hexdump

local M = {}

local SHOWN <const> = 1024 -- bytes of one transfer that a text shows

-- Events as text --------------------------------------------------------------

local function dump(data)
  return "  " .. hexdump(data):gsub("\n", "\n  ") .. "\n"
end

local ARROWS <const> = { send = "->", connect = "->", shutdown = "->", recv = "<-", accept = "<-",
  ["end"] = "<-" }
local WAITS <const> = { r = "waits to read", w = "waits to write" }

--- "tcp ", "udp "; nothing where the address says it itself.
local function protocol(event)
  local family = (event.here or event.peer or event).family
  if family ~= "inet" and family ~= "inet6" then
    return ""
  end
  return event.type == "stream" and "tcp " or event.type == "dgram" and "udp "
    or event.type .. " "
end

--- Both ends, and which way it went.
local function ends(event)
  if not event.here then
    return event.socket and tostring(event.socket) or "socket " .. event.id
  elseif not event.peer then
    return tostring(event.here)
  end
  return ("%s %s %s"):format(event.here, ARROWS[event.what] or "--", event.peer)
end

local function deed(event)
  local what = event.what
  if event.data then
    local cut = event.size > #event.data and (" of %d"):format(event.size) or ""
    return ("%s %d%s bytes"):format(what, #event.data, cut)
  elseif what == "error" then
    return ("%s: %s"):format(event.call, event.code)
  elseif what == "wait" then
    return WAITS[event.how]
  end
  return event.how and what .. " " .. event.how or what
end

local function headline(event)
  local seconds = event.time // 1
  local lost = event.lost and (" (%d events before it are lost)"):format(event.lost) or ""
  return ("%s.%06d %s%s %s%s"):format(os.date("%H:%M:%S", seconds),
    (event.time - seconds) * 1e6 // 1, protocol(event), ends(event), deed(event), lost)
end

local function body(event)
  local data = event.data
  if not data or data == "" then
    return ""
  elseif #data > SHOWN then
    return dump(data:sub(1, SHOWN)) .. ("  … %d more bytes\n"):format(#data - SHOWN)
  end
  return dump(data)
end

local Event = { __name = "event" }

function Event:__tostring()
  return headline(self) .. "\n" .. body(self)
end

-- Sinks -----------------------------------------------------------------------

local COLOURS <const> = { send = "\27[32m", recv = "\27[36m", error = "\27[31m" }

local function texts(file)
  local coloured = core.isterminal(file) and not os.getenv("NO_COLOR")
  return function(event)
    local line = headline(event)
    if coloured then
      line = (COLOURS[event.what] or "\27[2m") .. line .. "\27[0m"
    end
    assert(file:write(line, "\n", body(event)))
    file:flush()
  end
end

--- A sink's function, and whether it is to hear of waits.
local function read(sink)
  if sink == nil then
    return texts(io.stderr), true
  elseif type(sink) == "function" then
    return sink
  elseif io.type(sink) == "file" then
    return texts(sink), true
  elseif type(sink) == "table" and sink.event then
    return function(event) return sink:event(event) end
  elseif type(sink) == "table" then
    return function(event) sink[#sink + 1] = event end
  end
end

local STARVED <const> = "not enough memory" -- as Lua raises it, without a place

--- What fails once is not asked again, nor what says false: for none of the
-- sockets that it was for. Without memory, only this event is lost.
local function guard(f)
  local over, lost = false, 0
  return function(event)
    if over then
      return false
    elseif lost > 0 then
      event.lost, lost = (event.lost or 0) + lost, 0
    end
    local ok, result = xpcall(f, debug.traceback, setmetatable(event, Event))
    if not ok and result == STARVED then
      lost = (event.lost or 0) + 1
      return true
    elseif not ok then
      io.stderr:write("sock: a trace has ended: ", tostring(result), "\n")
    end
    over = not ok or result == false
    return not over
  end
end

--- Tells `sink` of all that a socket does, and the connections that it accepts;
-- false ends that.
-- @return the socket
function M.trace(socket, sink)
  if sink == false then
    return core.tap(socket, false)
  end
  local f, waits = read(sink)
  if not f then
    error(("bad argument #1 to 'trace' (function, file, list or sink expected, got %s)")
      :format(io.type(sink) or type(sink)), 2)
  end
  return core.tap(socket, guard(f), waits)
end

core.method("trace", M.trace)

return M
