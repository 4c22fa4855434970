--- sock.pool: connections that are used again.
--
-- A connection that is out holds a place of the core (places.c), and its
-- end gives the place back, however it comes about: put, closed by hand, or
-- forgotten and collected. Those that are idle hold none: whoever has got a
-- place takes an idle one before it makes another, so there are never more
-- than `max` of both.
--
-- No task watches the idle ones, because sock.run would wait for it: those
-- that have been idle for too long are closed by the next call of the pool.

local connect = require "sock.connect"
local core = require "sock.core"
local settings = require "sock.settings"
local target = require "sock.target"

local M = {}

local Pool = {}
Pool.__index = Pool
Pool.__name = "pool"

local own = { max = "number", idle = "number" }

-- ------------------------------------------------------ one connection

--- Whether nothing can be read from it: neither bytes nor an end. Where that
-- raises, for a look may let others run, it is closed.
local function quiet(c)
  if c:buffered() > 0 then
    return false
  end
  local ok, ready, _, code = pcall(c.wait, c, "r", 0)
  if not ok then
    c:close()
    error(ready, 0)
  end
  return not ready and code == "ETIMEDOUT"
end

--- Closes what has been idle for too long: the first of the list have been
-- there longest.
local function expire(self)
  local list, now = self.list, core.now()
  while list[1] and now - list[1].since >= self.idle do
    table.remove(list, 1).conn:close()
  end
end

--- The one that was idle last; those found dead or unread are closed.
local function reuse(self)
  while #self.list > 0 do
    local c = table.remove(self.list).conn
    if core.type(c) == "socket" and quiet(c) then
      return c
    end
    c:close()
  end
end

local function make(self, limit)
  local c, message, code = core.timeout(limit and limit - core.now(), self.make)
  if core.type(c) == "socket" then
    return c
  elseif c == nil and message then
    return nil, message, code
  end
  error(("the pool's function gave a %s, not a connection")
    :format(core.type(c) or type(c)), 0)
end

-- ---------------------------------------------------------------- places

--- A connection that was forgotten holds its place until it is collected.
-- Looking for such takes at most a hundredth of the time.
local function collect(self)
  local before = core.now()
  if before >= self.nextlook then
    collectgarbage()
    self.nextlook = before + 100 * (core.now() - before)
  end
end

local function fail(self, why, code)
  return nil, ("get %s: %s"):format(self.name, why), code
end

local function take(self, seconds)
  if #self.places == 0 then
    collect(self)
  end
  local place, _, code = self.places:take(seconds)
  if place then
    return place
  end
  return fail(self, code == "EPIPE" and "the pool is closed" or "timed out", code)
end

--- A connection, and its place; nil, message, code.
local function obtain(self, seconds)
  local limit = seconds and core.now() + seconds
  expire(self)
  local place <close>, message, code = take(self, seconds)
  if not place then
    return nil, message, code
  end
  local c = reuse(self)
  if not c then
    c, message, code = make(self, limit)
  end
  if c and self.closed then
    c:close()
    return fail(self, "the pool is closed", "EPIPE")
  elseif not c and code == "ETIMEDOUT" and message == "timed out" then
    return fail(self, message, code)
  elseif not c then
    return nil, message, code
  end
  core.occupy(c, place)
  return c, place
end

local function restore(self, c)
  if not self.closed and quiet(c) and not self.closed and core.occupies(c, self.places) then
    self.list[#self.list + 1] = { conn = c, since = core.now() }
    core.vacate(c)
  else
    c:close()
  end
  expire(self)
end

-- --------------------------------------------------------------- methods

--- A connection that is alive and has nothing unread: an idle one, or a new
-- one. Where `max` are out, waits for its turn.
-- @param seconds for all of it; for ever if absent
-- @return connection; nil, message, code: ETIMEDOUT, EPIPE (closed), …
function Pool:get(seconds)
  if seconds ~= nil and (type(seconds) ~= "number" or seconds ~= seconds) then
    local got = type(seconds) == "number" and "not a number" or type(seconds)
    error(("bad argument #1 to 'get' (number expected, got %s)"):format(got), 2)
  end
  local c, message, code = obtain(self, seconds)
  if not c then
    return nil, message, code
  end
  return c
end

--- Takes a connection back, or closes it: where something is unread, or the
-- pool is closed. One that is closed already is welcome.
function Pool:put(c)
  if core.type(c) == "closed socket" then
    return self
  elseif core.type(c) ~= "socket" or not core.occupies(c, self.places) then
    error("bad argument #1 to 'put' (connection got from this pool expected)", 2)
  end
  restore(self, c)
  return self
end

--- What pool:use has lent: closed, unless it went back.
local Loan = {
  __close = function(loan)
    if loan.place:held() then
      loan.conn:close()
    end
  end,
}

local function finish(self, loan, ...)
  if (...) and loan.place:held() then
    restore(self, loan.conn)
  end
  return ...
end

--- Calls f with a connection, which goes back only if f's first result is
-- neither nil nor false.
-- @return f's results; nil, message, code where there is no connection
function Pool:use(f)
  if type(f) ~= "function" then
    error(("bad argument #1 to 'use' (function expected, got %s)"):format(type(f)), 2)
  end
  local c, place, code = obtain(self)
  if not c then
    return nil, place, code
  end
  local loan <close> = setmetatable({ conn = c, place = place }, Loan)
  return finish(self, loan, f(c))
end

--- Closes the idle connections now and the others when they are put. Who
-- waits in a get is told. Again is harmless.
function Pool:close()
  self.closed = true
  self.places:close()
  while #self.list > 0 do
    table.remove(self.list).conn:close()
  end
  return true
end

Pool.__close = Pool.close

-- ----------------------------------------------------------------- a pool

--- Splits pool's options off those of sock.connect, which only an address has.
local function split(arg, options, isfunction)
  local known, others = {}, {}
  for name, kind in pairs(isfunction and {} or connect.own) do
    known[name] = kind
  end
  for name, kind in pairs(own) do
    known[name] = kind
  end
  local mine, sockets = settings.split("pool", arg, options, known, 3)
  if isfunction and next(sockets) then
    error(("bad argument #%d to 'pool' (unknown option '%s')"):format(arg, (next(sockets))), 3)
  end
  for name, value in pairs(options or {}) do
    if not own[name] then
      others[name] = value
    end
  end
  return mine, others
end

local function check(arg, mine)
  local max, idle = mine.max or math.huge, mine.idle or math.huge
  if not (max >= 1 and (max == math.huge or math.tointeger(max))) then
    error(("bad argument #%d to 'pool' (option 'max': not a whole number from 1)"):format(arg), 3)
  elseif idle < 0 or idle ~= idle then
    error(("bad argument #%d to 'pool' (option 'idle': seconds expected)"):format(arg), 3)
  end
  return max == math.huge and math.maxinteger or math.tointeger(max), idle
end

--- What makes the connections, and a name for messages.
local function maker(to, count, a, b, others)
  return function()
    if count == 2 then
      return connect.connect(a, b, others)
    end
    return connect.connect(a, others)
  end, target.text(to)
end

--- Makes a pool of connections to ADDR, or of those that f() makes.
-- @param ... ADDR or f; options: `max` that are out or idle, `idle` seconds
-- after which one is closed, and for ADDR those of sock.connect
-- @return pool; nil, message, code: EINVAL, ADDR is none
function M.pool(...)
  local a, b = ...
  local f, name = a, "from pool"
  local max, idle
  if type(a) == "function" then
    max, idle = check(2, (split(2, b, true)))
  else
    local to, count, code = target.read("pool", 1, a, b, 2)
    if not to then
      return nil, count, code
    end
    local mine, others = split(count + 1, (select(count + 1, ...)))
    max, idle = check(count + 1, mine)
    f, name = maker(to, count, a, b, others)
  end
  return setmetatable({ make = f, name = name, idle = idle, list = {},
    places = core.places(max), nextlook = 0 }, Pool)
end

return M
