--- Worker processes, and who looks after them.
--
--     local listeners = {}            -- one for each, made here with reuseport
--     local supervisor = assert(workers.supervise {
--       count = 4,
--       sockets = function(index) return { listeners[index] } end,
--       body = function(control)      -- in the worker
--         local server = serve(listeners[control.index], handler)
--         control.stats = function() return server:stats() end
--         control:ready()
--         return server:stop(control:wait())
--       end,
--     })
--     supervisor:join()
--
-- The parent holds all listeners for ever and hands the same ones to a
-- worker's successor: closing a listener would reset what waits in its
-- queue, and so what comes while a worker is replaced is served by the next.

local core = require "sock.core"
local worker = require "sock.worker"

local M = {}

local FIRST <const>, LONGEST <const> = 0.1, 10 -- pauses before another is started
local SETTLED <const> = 5 -- one that lived so long begins them anew
local READY <const> = 10  -- how long a successor may take, if nobody says
local LATE <const> = 3    -- how long after its grace a worker is killed
local ANSWER <const> = 1  -- how long it may take to tell its numbers

---What supervise is to do. The body runs in each worker, as a task; its end
---is the worker's. What it returns is how many it had to cancel.
---@class sock.WorkersOptions
---@field count integer # how many
---@field body fun(control: sock.WorkerControl): integer? # see below
---@field sockets? fun(index: integer): sock.Socket[] # what this worker keeps of the parent's
---@field grace? number # seconds, where a signal or the parent's end stops them; 10 if absent
---@field patience? number # seconds that a successor may take to be ready; 10 if absent
---@field signals? boolean # false: INT, TERM and HUP are not for them
---@field halted? fun() # called when they are told to end
---@field report? fun(text: string) # of what went wrong; to stderr if absent

---@class sock.Supervisor
---@field stopping boolean
local Supervisor = {}
Supervisor.__index = Supervisor
Supervisor.__name = "supervisor"

--- Starts one of its tasks; when the last has ended, all is over.
local function task(self, f, ...)
  self.tasks = self.tasks + 1
  return core.spawn(function(...)
    local _ <close> = setmetatable({}, { __close = function()
      self.tasks = self.tasks - 1
      if self.tasks == 0 then
        self.over:close()
      end
    end })
    return f(...)
  end, ...)
end

-- One worker ------------------------------------------------------------------

--- What it says. Its last words are for good.
local function listen(self, one)
  for word, rest in worker.words(one.socket) do
    if word == "ready" then
      one.readiness:close()
    elseif word == "stats" and one.asked then
      one.stats = worker.parse(rest)
      one.asked:close()
      one.asked = nil
    elseif word == "past" then
      one.past = true
      for name, value in pairs(worker.parse(rest)) do
        self.past[name] = (self.past[name] or 0) + value
      end
    elseif word == "result" then
      self.cancelled = self.cancelled + tonumber(rest)
    end
  end
end

--- Who does not end in time is killed.
-- @return true to the first who does it
local function reap(one, seconds)
  local how = one.process:wait(seconds)
  if not how and one.process:kill("KILL") then
    local first = not one.killed
    one.killed = true
    one.process:wait()
    return first
  end
end

--- Asks it to end.
local function tell(self, one, grace)
  task(self, function()
    if reap(one, grace + LATE) then
      self.cancelled = self.cancelled + 1
    end
  end)
  one.socket:write(("stop %.17g\n"):format(math.min(grace, 1e9)))
end

local Worker = {}
Worker.__index = Worker

--- The end of its line is what it stops at. Its end is awaited outside of a
-- scope that is cancelled.
function Worker:__close()
  self.socket:close()
  if not self.ended then
    core.group():spawn(reap, self, self.grace + LATE)
  end
end

local function fork(self, index)
  local ours, theirs, code = core.socketpair()
  if not ours then
    return nil, theirs, code
  end
  local kept = { theirs, table.unpack(self.sockets and self.sockets(index) or {}) }
  local process, message, why = core.fork(function()
    return worker.live(index, theirs, self.body, self.grace)
  end, kept)
  theirs:close()
  if not process then
    ours:close()
    return nil, message, why
  end
  return setmetatable({ index = index, process = process, socket = ours, grace = self.grace,
    began = core.now(), readiness = core.channel() }, Worker)
end

--- Waits for its end, and for its last words.
local function await(self, one)
  local how, status = one.process:wait()
  one.ended = how and how .. " " .. status or status
  if not one.reader:join(ANSWER) then
    one.reader:cancel()
  end
  one.readiness:close()
  if one.asked then
    one.asked:close()
  end
  self.alive[one] = nil
end

-- One place for a worker, and who is in it ------------------------------------

local tend

--- @param takes whether it takes the place at once
local function start(self, slot, takes)
  local one, message, code = fork(self, slot.index)
  if not one then
    return nil, message, code
  end
  self.alive[one] = true
  slot.worker = takes and one or slot.worker
  one.reader = task(self, function()
    listen(self, one)
    return true
  end)
  task(self, tend, self, slot, one)
  return one
end

--- Another one, after a pause that grows as long as they die young.
local function revive(self, slot, reason)
  while not self.stopping do
    self.report(("worker %d: %s; another starts in %.3g s"):format(slot.index, reason, slot.pause))
    slot.resting = core.task()
    core.sleep(slot.pause)
    slot.resting = nil
    slot.pause = math.min(slot.pause * 2, LONGEST)
    if self.stopping then
      return
    end
    local one, message = start(self, slot, true)
    if one then
      return
    end
    reason = message
  end
end

--- When nobody is left to look after, signals are not for us.
local function leave(self)
  self.tending = self.tending - 1
  if self.tending == 0 and self.signals then
    self.signals:close()
  end
end

--- From its start to its end, and then on to the next in its place.
function tend(self, slot, one)
  self.tending = self.tending + 1
  local _ <close> = setmetatable({}, { __close = function() leave(self) end })
  do
    local _ <close> = one
    await(self, one)
  end
  if slot.worker ~= one or self.stopping then
    return
  end
  slot.worker = nil
  if core.now() - one.began >= SETTLED then
    slot.pause = FIRST
  end
  revive(self, slot, "ended with " .. one.ended)
end

-- All of them -----------------------------------------------------------------

--- Those that live now: while one is written to, others may come and go.
local function living(self)
  local list = {}
  for one in pairs(self.alive) do
    list[#list + 1] = one
  end
  return list
end

local function halt(self, grace)
  if not self.stopping then
    self.stopping = true
    self.halted()
  end
  for _, slot in ipairs(self.slots) do
    if slot.resting then
      slot.resting:cancel()
    end
  end
  for _, one in ipairs(living(self)) do
    tell(self, one, grace)
  end
end

---Asks all workers to end, waits for that, and kills those that are late.
---@param grace? number # seconds for what is under way; 0 if absent
---@return integer cancelled # what the bodies returned, and one for each that was killed
function Supervisor:stop(grace)
  halt(self, grace or 0)
  self:join()
  return self.cancelled
end

---Waits until they have ended, after a stop or a signal.
---@param seconds? number
---@return true? ended, string? message, string? code # ETIMEDOUT
function Supervisor:join(seconds)
  local _, message, code = self.over:get(seconds)
  if code then
    return nil, message, code
  end
  return true
end

--- Puts a successor in a worker's place when it is ready; the old one ends in
-- its own time. Without one that lives there is no change.
local function replace(self, slot)
  local old, new, message = slot.worker, start(self, slot)
  if not new then
    return nil, message
  end
  local _, _, late = new.readiness:get(self.patience)
  if new.ended then
    return nil, "its successor ended with " .. new.ended
  elseif late and not self.stopping and slot.worker == old then
    tell(self, new, 0)
    return nil, "its successor is not ready"
  elseif self.stopping or slot.worker ~= old then -- it died meanwhile
    tell(self, new, self.grace)
  else
    slot.worker = new
    slot.pause = FIRST
    tell(self, old, self.grace)
  end
  return true
end

---Replaces the workers one by one by new ones, as HUP does.
---@return sock.Supervisor? self, string? message # nil: one could not be replaced
function Supervisor:reload()
  for _, slot in ipairs(self.slots) do
    if slot.worker and not self.stopping then -- else one is about to be started
      local ok, message = replace(self, slot)
      if not ok then
        self.report(("worker %d stays: %s"):format(slot.index, message))
        return nil, message
      end
    end
  end
  return self
end

local function ask(one)
  if not one.asked then
    one.asked = core.channel()
    one.socket:write("stats\n")
  end
  return one.asked
end

---The sums of what all workers count, those that have ended in order included.
---@return table<string, number>
function Supervisor:stats()
  local sum, answers = {}, {}
  local limit = core.now() + ANSWER
  for _, one in ipairs(living(self)) do
    answers[one] = ask(one)
  end
  for _, answer in pairs(answers) do
    answer:get(limit - core.now())
  end
  for name, value in pairs(self.past) do
    sum[name] = value
  end
  for one in pairs(answers) do
    for name, value in pairs(not one.past and one.stats or {}) do
      sum[name] = (sum[name] or 0) + value
    end
  end
  return sum
end

--- One HUP after another, and for any number meanwhile one more.
local function again(self)
  self.asked = true
  while self.asked and not self.reloading do
    self.asked, self.reloading = false, true
    self:reload()
    self.reloading = false
  end
end

--- HUP replaces them; INT and TERM end them, at once when one comes again.
local function obey(self)
  local signals, grace = self.signals, self.grace
  for name in worker.each(signals) do
    if name == "HUP" then
      task(self, again, self)
    else
      halt(self, grace)
      grace = 0
    end
  end
end

local function report(text)
  io.stderr:write("sock: ", text, "\n")
end

--- Starts workers and looks after them, in tasks, until stop, INT or TERM.
---@param options sock.WorkersOptions
---@return sock.Supervisor? supervisor, string? message, string? code
function M.supervise(options)
  local self = setmetatable({ body = options.body, sockets = options.sockets,
    grace = options.grace or 10, patience = options.patience or READY,
    report = options.report or report, stopping = false,
    halted = options.halted or function() end,
    slots = {}, alive = {}, past = {}, tasks = 0, tending = 0, cancelled = 0, over = core.channel(),
  }, Supervisor)
  if options.signals ~= false then
    local signals, message, code = core.signal("INT", "TERM", "HUP")
    if not signals then
      return nil, message, code
    end
    self.signals = signals
    task(self, obey, self)
  end
  for index = 1, options.count do
    local slot = { index = index, pause = FIRST }
    self.slots[index] = slot
    local one, message, code = start(self, slot, true)
    if not one then
      self.tending = self.tending + 1 -- there may be none
      leave(self)
      self:stop()
      return nil, message, code
    end
  end
  return self
end

return M
