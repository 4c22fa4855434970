--- Attempts at several addresses, begun one after another without waiting for
-- the one before: RFC 8305, 5. No task is needed for them: each is a socket
-- whose connection is under way, and select tells which of them has an outcome.

local core = require "sock.core"

local STAGGER = 0.25 -- seconds from attempt to attempt: RFC 8305, 8
local SELVES = 8 -- how many sockets may meet themselves

--- A race, to be kept in a `<close>` variable: at its end the losers close.
-- @class sock.Race
local Race = {}
Race.__index = Race

function Race:__close()
  for _, s in ipairs(self.pending) do
    s:close()
  end
end

local M = {}

--- A race whose sockets are of this type, and `prepare(socket, address)` before
-- they connect: it gives true, or nil, message, code.
-- @param localaddr only addresses of its family are tried; nil: all
function M.new(type, prepare, localaddr)
  local fixed = localaddr and localaddr.port and localaddr.port > 0
  return setmetatable({
    type = type,
    prepare = prepare,
    family = localaddr and localaddr.family,
    limit = fixed and 1 or SELVES,
    queue = {}, -- all addresses, in their order
    next = 1, -- which of them is to be tried next
    due = 0, -- and when
    why = {}, -- address: what became of it
    pending = {}, -- sockets whose connection is under way
    of = {}, -- socket: its address
    selves = 0, -- how many sockets have met themselves
  }, Race)
end

--- The two families in turns, beginning with `family`; within one, the order
-- stays that of RFC 6724: RFC 8305, 4.
local function weave(list, family)
  local first, other, woven = {}, {}, {}
  for _, address in ipairs(list) do
    local side = address.family == family and first or other
    side[#side + 1] = address
  end
  for i = 1, math.max(#first, #other) do
    woven[#woven + 1] = first[i]
    woven[#woven + 1] = other[i]
  end
  return woven
end

--- Further addresses to try; they take turns with those still untried.
-- @return whether there was a list
function Race:add(list)
  if not list then
    return false
  end
  local untried = table.move(self.queue, self.next, #self.queue, 1, {})
  for _, address in ipairs(list) do
    if not self.why[address] then
      self.why[address] = { reason = "not tried" }
      untried[#untried + 1] = address
    end
  end
  local last = self.queue[self.next - 1]
  local family = untried[1] and untried[1].family
  if last then
    family = last.family == "inet" and "inet6" or "inet"
  end
  table.move(weave(untried, family), 1, #untried, self.next, self.queue)
  return true
end

--- Takes a socket out of the race.
local function take(self, s)
  for i, other in ipairs(self.pending) do
    if other == s then
      table.remove(self.pending, i)
    end
  end
  self.of[s] = nil
  return s
end

--- Notes why an address is not to be had; the next one has its turn at once.
local function fail(self, address, message, code)
  local prefix = "connect " .. tostring(address) .. ": "
  if message:sub(1, #prefix) == prefix then
    message = message:sub(#prefix + 1)
  end
  self.why[address] = { reason = message, code = code }
  self.due = 0
end

--- A socket ready to connect, which the race owns.
local function open(self, address)
  local s, message, code = core.socket(address.family, self.type)
  if not s then
    return nil, message, code
  end
  table.insert(self.pending, s)
  self.of[s] = address
  local ok
  ok, message, code = self.prepare(s, address)
  if not ok then
    take(self, s):close()
    return nil, message, code
  end
  return s
end

--- Connecting to a closed port of the range that the system itself picks from
-- can make a socket its own peer: RFC 9293, 3.5 (simultaneous open).
local function isself(s, address)
  local here = address.port and s:getsockname()
  return here and here.port == address.port and here == s:getpeername()
end

local try

--- The outcome of a try. A socket that met itself is closed and another tried,
-- which gets another port.
-- @return a connected socket; nil, message, code; nothing while it is under way
local function conclude(self, s, ok, message, code)
  local address = self.of[s]
  take(self, s)
  if ok and not isself(s, address) then
    return s
  end
  s:close()
  if not ok then
    return nil, message, code
  end
  self.selves = self.selves + 1
  if self.selves < self.limit then
    return try(self, address)
  end
  return nil, "connect " .. tostring(address) .. ": connected to itself", "ECONNREFUSED"
end

--- One attempt; in a race it is only begun.
function try(self, address)
  local s, message, code = open(self, address)
  if not s then
    return nil, message, code
  end
  local ok
  ok, message, code = s:settimeout(self.seconds):connect(address)
  if self.racing and code == "ETIMEDOUT" then
    return nil
  end
  return conclude(self, s, ok, message, code)
end

--- Tries one address alone, and waits for its outcome.
function Race:alone(address, seconds)
  self.seconds = seconds
  return try(self, address)
end

--- A winner, or nothing yet; a failure is noted.
local function note(self, address, s, message, code)
  if not s and code then
    fail(self, address, message, code)
  end
  return s
end

--- Begins the next attempt.
-- @return a connected socket, or nothing yet
local function start(self)
  local address = self.queue[self.next]
  self.next = self.next + 1
  self.due = core.now() + STAGGER
  if self.family and address.family ~= self.family then
    fail(self, address, "not of localaddr's family")
    return nil
  end
  self.why[address] = { reason = "timed out", code = "ETIMEDOUT" }
  return note(self, address, try(self, address))
end

--- What became of an attempt that select has called ready.
local function outcome(self, s)
  local address = self.of[s]
  return note(self, address, conclude(self, s, s:connect(address)))
end

--- The system cannot wait, say for want of memory: all that were under way fail.
local function failall(self, message, code)
  for _, s in ipairs(table.move(self.pending, 1, #self.pending, 1, {})) do
    note(self, self.of[s], conclude(self, s, nil, message, code))
  end
end

--- Waits until an attempt has an outcome, for so long.
local function await(self, seconds)
  local _, ready, code = core.select(nil, self.pending, seconds)
  if code then
    if code ~= "ETIMEDOUT" then
      failall(self, ready, code)
    end
    return nil
  end
  for _, s in ipairs(ready) do
    local winner = outcome(self, s)
    if winner then
      return winner
    end
  end
end

local function pause(self, more)
  if self.next <= #self.queue then
    return math.max(0, self.due - core.now())
  end
  return more and STAGGER or nil -- to see whether more addresses have come
end

--- Runs until one is connected, or all have failed.
-- @param lookup where addresses come from
-- @return the socket, which is the caller's; or nothing
function Race:run(lookup)
  self.racing, self.seconds = true, 0
  while true do
    local winner
    if self.next <= #self.queue and core.now() >= self.due then
      winner = start(self)
    elseif #self.pending > 0 then
      winner = await(self, pause(self, lookup.open))
    elseif not self:add(lookup:wait()) then
      return nil
    end
    if winner then
      return winner
    end
    self:add(lookup:poll())
  end
end

--- Each address and why it was not to be had, and a code: the first one's.
function Race:reasons()
  local texts, first = {}, nil
  for i, address in ipairs(self.queue) do
    local why = self.why[address]
    texts[i] = tostring(address) .. ": " .. why.reason
    first = first or why.code
  end
  return table.concat(texts, "; "), first or "EAFNOSUPPORT"
end

return M
