--- sock.replay: a recorded conversation (record.lua), played back by the other
-- end of a socket: what was answered is answered, and what is said to it must
-- be what was said.

local core = require "sock.core"
local held = require "sock.held"
local quote = require "sock.record".quote

local M = {}

local PATIENCE <const> = 5 -- seconds that it waits for a word

-- The script ------------------------------------------------------------------

--- From either side's recording: what the player is to say and to hear.
local SAYS <const> = { same = { send = "say", recv = "hear", shutdown = "leave", close = "leave",
  ["end"] = "left" }, other = { send = "hear", recv = "say", shutdown = "left", close = "left",
  ["end"] = "leave" } }

local function bad(text, ...)
  error("bad argument #1 to 'replay' (" .. text:format(...) .. ")", 0)
end

--- What the player does at an entry; nil if nothing.
local function deedof(entry, way)
  if entry[1] == "shutdown" and entry[3] == "recv" then
    return nil
  elseif entry[1] == "error" then
    return way == SAYS.other and entry[4] == "ECONNRESET" and "reset" or nil
  end
  return way[entry[1]]
end

--- One entry as a step { deed=, time=, data=, number= }.
local function step(number, entry, way)
  local deed = deedof(entry, way)
  local data = (deed == "say" or deed == "hear") and table.concat(entry, "", 3) or ""
  return deed and { deed = deed, time = tonumber(entry[2]) or 0, data = data, number = number }
end

local function script(list, side, conn)
  local way = side == (list.side or "client") and SAYS.same or SAYS.other
  local steps = {}
  for number, entry in ipairs(list) do
    if type(entry) ~= "table" or type(entry[1]) ~= "string" then
      bad("entry %d is no { what, seconds, data }", number)
    elseif (entry.conn or 1) == conn then
      steps[#steps + 1] = step(number, entry, way)
    end
  end
  return steps
end

-- What is wrong ---------------------------------------------------------------

--- The part of a text around a place, quoted, and how far in that place is.
local function around(text, at)
  local from = math.max(1, at - 24)
  local shown = quote(text:sub(from, at + 39))
  local before = at > 1 and quote(text:sub(from, at - 1)) or '""'
  return (from > 1 and "…" or " ") .. shown .. (#text > at + 39 and "…" or ""), #before - 1
end

local function firstdifference(a, b)
  local at = 1
  while at <= #b and a:byte(at) == b:byte(at) do
    at = at + 1
  end
  return at
end

--- Keeps the first thing that is wrong. `current`: the step that it was in.
local function complain(self, current, said, why)
  if self.diff then
    return false
  end
  local expected = current and current.data or ""
  local at = firstdifference(expected, said)
  local wanted, column = around(expected, at)
  local got = around(said, at)
  self.diff = table.concat({
    ("replay: the %s %s%s"):format(self.other, why,
      current and (", at entry %d"):format(current.number) or " after the last entry"),
    "  expected: " .. (expected == "" and " nothing" or wanted),
    "  said:     " .. (said == "" and " nothing" or got),
    (" "):rep(13 + column) .. "^",
  }, "\n")
  return false
end

-- The player ------------------------------------------------------------------

--- What is heard next; nil and why if nothing is. `want` is at most so much.
local function listen(self, want)
  local data, message, code = self.socket:recv(want)
  if data or not message then
    return data, "ended"
  elseif code == "ETIMEDOUT" then
    return nil, ("said nothing for %g s"):format(self.patience)
  end
  return nil, "ended (" .. code .. ")"
end

local deeds = {}

function deeds.hear(self, current)
  local expected, said = current.data, ""
  repeat
    local data, why = listen(self, self.datagrams and 65536 or #expected - #said)
    if not data then
      return complain(self, current, said, why)
    end
    said = said .. data
    if said ~= expected:sub(1, #said) or self.datagrams and said ~= expected then
      return complain(self, current, said, "said something else")
    end
  until said == expected
  return true
end

--- Where to cut: at the reset's place, and anywhere if pieces are asked for.
local function cut(self, data)
  local size = #data
  if self.split and size > 1 and not self.datagrams then
    size = self.random(1, math.min(size, self.split))
  end
  if self.reset then
    size = math.min(size, math.max(self.reset - self.said, 1))
  end
  return size
end

local function abort(self)
  self.socket:setsockopt("linger", 0) -- a close is a reset, then
  self.socket:close()
  return false
end

function deeds.say(self, current)
  local data = current.data
  repeat
    local size = cut(self, data)
    if self.reset and self.said >= self.reset then
      return abort(self)
    end
    local ok, _, code = self.socket:write(data:sub(1, size))
    if not ok then -- who does not listen any more, need not
      return code == "EPIPE" or code == "ECONNRESET" or complain(self, nil, "", "does not read")
    end
    self.said = self.said + size
    data = data:sub(size + 1)
    if data ~= "" then
      core.sleep(self.delay > 0 and self.random() * self.delay or 0)
    end
  until data == ""
  return not (self.reset and self.said >= self.reset) or abort(self)
end

function deeds.leave(self)
  self.socket:shutdown("send")
  return true
end

--- The recording's other end left here; this one may still be reading.
function deeds.left()
  return true
end

deeds.reset = abort

local function pause(self, current, before)
  if current.deed == "say" and self.recorded then
    core.sleep(math.max(current.time - before, 0))
  elseif current.deed == "say" and self.delay > 0 then
    core.sleep(self.random() * self.delay)
  end
end

--- The life of the other end.
local function play(self)
  local _ <close> = self.socket
  local before = 0
  for i, current in ipairs(self.steps) do
    pause(self, current, before)
    before = current.time
    if not deeds[current.deed](self, current) then
      return
    end
    self.played = i
  end
  if self.datagrams then -- which have no end
    self.socket:settimeout(0)
  end
  local more = listen(self)
  if more and more ~= "" then
    complain(self, nil, more, "said more")
  end
end

-- The call --------------------------------------------------------------------

local Replay = { __name = "replay" }
Replay.__index = Replay

--- Whether all was said as it was recorded. Waits for the end of it, and says to
-- the other end that no more comes.
-- @return true; nil, what was expected and what was said, "EPROTO"
function Replay:verify()
  if core.type(self.client) == "socket" then
    self.client:shutdown("send")
  end
  self.task:join()
  if self.diff then
    return nil, self.diff, "EPROTO"
  end
  return true
end

--- Two connected sockets; TCP ones where one is to reset the other.
local function pair(kind, resets)
  if not resets then
    return core.socketpair(kind)
  end
  local l <close> = assert(core.socket())
  assert(assert(l:bind("127.0.0.1", 0)):listen(1))
  local a <close> = held(assert(core.socket()))
  assert(a.socket:connect(l:getsockname()))
  local b = assert(l:accept())
  return a:give(), b
end

--- Runs without globals: it is a table, not a program.
local function load(path)
  local f, message = loadfile(path, "t", {})
  if not f then
    return nil, "replay " .. message
  end
  local ok, list = pcall(f)
  if not ok or type(list) ~= "table" then
    return nil, "replay " .. path .. ": " .. (ok and "no table" or list)
  end
  return list
end

local OWN <const> = { side = "string", conn = "number", seed = "number", delay = "number|string",
  split = "number|boolean", reset = "number|boolean", timeout = "number" }

local LEAST <const> = { conn = 1, seed = math.mininteger, split = 1, reset = 0 }

--- What is wrong with a number: of seconds, or of things; nil if nothing is.
local function wrongnumber(name, value)
  local least = LEAST[name]
  if not least then
    return (value ~= value or value < 0) and "seconds expected, 0 or more" or nil
  elseif not math.tointeger(value) or value < least then
    return name == "seed" and "an integer expected"
      or ("an integer from %d on expected"):format(least)
  end
end

--- What is wrong with an option's value; nil if nothing is.
local function wrong(name, value)
  local wanted = OWN[name]
  if not wanted:find(math.type(value) and "number" or type(value), 1, true) then
    return ("%s expected, got %s"):format((wanted:gsub("|", " or ")), type(value))
  elseif type(value) == "number" then
    return wrongnumber(name, value)
  elseif name == "delay" and value ~= "recorded" then
    return 'a number or "recorded" expected'
  end
end

local function check(options)
  for name, value in pairs(options) do
    local text = OWN[name] and wrong(name, value)
    if not OWN[name] then
      error(("bad argument #2 to 'replay' (unknown option '%s')"):format(name), 4)
    elseif text then
      error(("bad argument #2 to 'replay' (option '%s': %s)"):format(name, text), 4)
    end
  end
  if options.side and options.side ~= "server" and options.side ~= "client" then
    error("bad argument #2 to 'replay' (side must be \"server\" or \"client\")", 4)
  end
end

--- A generator of numbers that a seed decides; math.random's is the program's.
local function generator(seed)
  local state = seed
  return function(low, high)
    state = state * 6364136223846793005 + 1442695040888963407
    local fraction = (state >> 11) / 2.0 ^ 53
    return low and low + math.floor(fraction * (high - low + 1)) or fraction
  end
end

local function total(steps)
  local sum, resets = 0, false
  for _, current in ipairs(steps) do
    sum = sum + (current.deed == "say" and #current.data or 0)
    resets = resets or current.deed == "reset"
  end
  return sum, resets
end

--- A number, or true for this one.
local function chosen(option, number)
  if option then
    return option == true and number or option
  end
end

--- How the options want it played.
local function newreplay(list, options)
  local seed = math.floor(options.seed or math.random(1, 1 << 31))
  local self = setmetatable({
    seed = seed, random = generator(seed), said = 0, played = 0,
    steps = script(list, options.side or "server", options.conn or 1),
    other = options.side == "client" and "server" or "client",
    delay = tonumber(options.delay) or 0, recorded = options.delay == "recorded",
    patience = options.timeout or PATIENCE, datagrams = (list.type or "stream") ~= "stream",
  }, Replay)
  local sum, resets = total(self.steps)
  self.split = chosen(options.split, 1 << 16)
  self.reset = chosen(options.reset, self.random(0, math.max(sum - 1, 0)))
  return self, resets or self.reset ~= nil
end

--- Reads the arguments: a recording, and the options.
-- @return table, table; nil, message, code
local function read(source, options)
  if type(options) == "string" then
    options = { side = options }
  elseif type(options) ~= "table" then
    error(("bad argument #2 to 'replay' (side or options expected, got %s)")
      :format(type(options)), 3)
  end
  check(options)
  if type(source) == "table" then
    return source, options
  elseif type(source) ~= "string" then
    error(("bad argument #1 to 'replay' (path or table expected, got %s)"):format(type(source)), 3)
  end
  local list, message = load(source)
  if not list then
    return nil, message, message:find("No such file", 1, true) and "ENOENT" or "EINVAL"
  end
  return list, options
end

--- A connected socket whose other end plays one side of a recording.
-- @param source sock.record's file, or what it holds
-- @param options the side, or: `side="server"`, `conn=1`, and to see what a
--   client does about it, from a `seed`: `delay` (the longest pause, in seconds,
--   or "recorded"), `split` (into pieces, of at most so many bytes), `reset`
--   (after so many bytes, or anywhere); `timeout=5`, its patience in seconds
-- @return the socket, and a replay, whose `verify()` says whether all was said
--   as recorded; nil, message, code
function M.replay(source, options)
  local list, how, why = read(source, options or {})
  if not list then
    return nil, how, why
  end
  local self, resets = newreplay(list, how)
  local client, other, code = pair(list.type or "stream", resets)
  if not client then
    return nil, other, code
  end
  self.client, self.socket = client, other:settimeout(self.patience)
  self.task = core.spawn(play, self)
  return client, self
end

return M
