--- The server object: what sock.serve and sock.serve_udp have in common.
--
-- A reader is the task that takes in what arrives at one of the server's
-- sockets; a worker is the task of one connection or datagram. The server
-- keeps no task but those, and is kept by them.

local core = require "sock.core"

local M = {}

-- Seconds for a handler to see its end, without any grace; between attempts.
local MOMENT <const> = 0.05

local methods = {}

local function text(self)
  local state = self.stopping and "stopping" or self.open .. " open"
  return ("server %s (%s)"):format(self.address, state)
end

local Server = { __index = methods, __name = "server", __tostring = text }

--- The metatables of servers.
M.kinds = { [Server] = true }

--- sock.type: the core's kinds, and these.
function M.type(...)
  local value = ...
  if type(value) == "table" and M.kinds[getmetatable(value)] then
    return "server"
  end
  local kind = core.type(...)
  return kind
end

--- A new server that reads from these sockets, at least one.
-- @param fields what the kind of server keeps in it: handler, onerror …
function M.new(sockets, fields)
  local self = setmetatable(fields, Server)
  self.addresses, self.sockets = {}, sockets
  for i, socket in ipairs(sockets) do
    self.addresses[i] = socket:getsockname()
  end
  self.address = self.addresses[1]
  self.stopping = false
  self.readers = {} -- task -> its socket
  self.running = {} -- task -> what its handler talks to
  self.leaving = {} -- the same, when the handler has returned
  self.stoppers = {} -- of both, those that are in a stop
  self.open, self.accepted, self.failed = 0, 0, 0
  self.cancelled = 0 -- by all stops
  self.received, self.sent = 0, 0 -- by those that have closed
  self.room = core.channel(#sockets) -- a word to a reader that waits for a worker's end
  self.waiting = 0 -- readers that do
  self.done = core.channel() -- closed when all has ended
  return self
end

--- Counts that the prompt shows as words.
local Stats = { __name = "stats" }

function Stats:__tostring()
  return ("%d accepted, %d open, %d failed; %d bytes received, %d sent"):format(self.accepted,
    self.open, self.failed, self.received, self.sent)
end

--- What server:stats gives, made of a table of counts.
function M.counts(counts)
  return setmetatable(counts, Stats)
end

-- What readers do -----------------------------------------------------------

local function closeall(self)
  for _, socket in ipairs(self.sockets) do
    socket:close()
  end
end

--- When nothing is read any more and the last worker has ended: so has the
-- server.
local function settle(self)
  if self.halted and self.open == 0 and next(self.readers) == nil then
    closeall(self)
    self.done:close()
  end
end

--- Nothing is to be read any more. Listeners close now; handlers may still
-- send on datagram sockets.
local function halted(self)
  self.stopping, self.halted = true, true
  if self.letin then
    closeall(self)
  end
  settle(self)
end

--- Reads until there is no more to read. Where memory ran out, it does so
-- again after a pause: what is under way will give some back.
local function persist(self, socket, read)
  local ok, err
  repeat
    ok, err = pcall(read, self, socket)
    if ok or err ~= "not enough memory" then
      return ok, err
    end
    ok, err = pcall(core.sleep, MOMENT)
  until err == core.cancelled
  return ok, err
end

--- One reader's life. It may be ended from outside: its socket closed, its
-- task cancelled. The last one so ended stops the server.
local function live(self, socket, read)
  local task = core.task()
  self.readers[task] = socket
  local ok, err = persist(self, socket, read)
  self.readers[task] = nil
  if next(self.readers) == nil and not self.stopping then
    halted(self)
  end
  settle(self)
  if not ok then
    error(err, 0)
  end
end

--- Starts to read: a task for each socket.
function M.start(self, read)
  for _, socket in ipairs(self.sockets) do
    core.spawn(live, self, socket, read)
  end
end

--- Waits until a worker ends, or for so long.
function M.wait(self, seconds)
  self.waiting = self.waiting + 1
  self.room:get(seconds)
  self.waiting = self.waiting - 1
end

--- Tells a reader. A cancelled task must give way before its call counts, and
-- that raises, once.
local function tell(room)
  if not pcall(room.put, room, true, 0) then
    pcall(room.put, room, true, 0)
  end
end

--- Starts a worker. It counts from its beginning on: so where it was only
-- queued, as the last of too many nested starts, it goes first.
function M.work(f, self, what, ...)
  local ok, task = pcall(core.spawn, f, self, what, ...)
  if not ok then -- for want of memory
    if core.type(what) == "socket" then
      what:close()
    end
    error(task, 0)
  elseif task:status() == "ready" then
    core.sleep(0)
  end
end

-- What workers do -----------------------------------------------------------

--- A worker begins, on a connection (or true, of a datagram's).
function M.enter(self, task, conn)
  self.running[task] = conn
  self.open = self.open + 1
  self.accepted = self.accepted + 1
end

--- Its handler has returned.
function M.leave(self, task)
  self.leaving[task], self.running[task] = self.running[task], nil
end

--- It ends.
function M.exit(self, task, conn)
  self.running[task], self.leaving[task] = nil, nil
  self.open = self.open - 1
  if conn then
    local received, sent = core.traffic(conn)
    self.received, self.sent = self.received + received, self.sent + sent
  end
  for _ = 1, self.waiting do
    tell(self.room)
  end
  settle(self)
end

--- The message handler of all handlers: what failed, and where.
function M.explain(err)
  if err == core.cancelled then
    return err
  end
  return { err = err, traceback = debug.traceback(nil, 2) }
end

--- Tells of a handler that failed; `failure` is what M.explain made.
function M.fail(self, failure, conn)
  if failure == core.cancelled then
    return
  end
  self.failed = self.failed + 1
  local err, traceback = failure, ""
  if type(failure) == "table" and failure.traceback then -- else there was no memory for it
    err, traceback = failure.err, failure.traceback
  end
  local ok, why
  if self.onerror then
    ok, why = pcall(self.onerror, err, traceback, conn)
  else
    ok, why = pcall(core.onerror(), err, traceback, core.task())
  end
  if not ok and why ~= core.cancelled then
    io.stderr:write("sock: onerror failed: ", tostring(why), "\n")
  end
end

-- The end ---------------------------------------------------------------------

local function keys(...)
  local list = {}
  for _, set in ipairs { ... } do
    for key in pairs(set) do
      list[#list + 1] = key
    end
  end
  return list
end

--- Whether a stop leaves this task alone: it is its own, or of two handlers
-- that both stop the server, the other's, which would wait for this one.
local function isspared(self, task)
  local own = core.task()
  return task == own or (self.stoppers[own] and self.stoppers[task])
end

--- Waits for tasks, but for those that are spared.
local function joinall(self, tasks, deadline)
  for _, task in ipairs(tasks) do
    if not isspared(self, task) then
      task:join(deadline and math.max(deadline - core.now(), 0))
    end
  end
end

--- Reads no more. What the kernel has accepted already, is let in where it is
-- to be served yet; the rest is told so by the close.
local function halt(self, deadline)
  self.stopping = true
  self.room:close()
  local _ <close> = setmetatable({}, { __close = function() halted(self) end }) -- if cancelled, too
  local readers = keys(self.readers)
  for _, task in ipairs(readers) do
    task:cancel()
  end
  joinall(self, readers)
  for _, socket in ipairs(self.sockets) do
    if self.letin and core.type(socket) == "socket" then
      self.letin(self, socket, deadline)
    end
  end
end

--- Asks all connections to end at their next pause; the tasks of those that
-- are in one.
local function drain(self)
  local told = {}
  for task, conn in pairs(self.running) do
    if conn ~= true and core.drain(conn) then
      told[#told + 1] = task
    end
  end
  return told
end

--- Cancels what runs, but for what is spared; how many.
local function cancelall(self)
  local count = 0
  for task in pairs(self.running) do
    if not isspared(self, task) then
      task:cancel()
      count = count + 1
    end
  end
  for task in pairs(self.leaving) do -- it may be held up by a peer that does not read
    if not isspared(self, task) then
      task:cancel()
    end
  end
  self.cancelled = self.cancelled + count
  return count
end

--- For who writes a dot where a colon belongs.
function M.check(self, name)
  if not M.kinds[getmetatable(self)] then
    error(("bad argument #1 to '%s' (server expected, got %s)")
      :format(name, self == nil and "no value" or type(self)), 3)
  end
end

--- Whether this runs in one of the server's own workers.
local function isinside(self)
  local task = core.task()
  return task and (self.running[task] or self.leaving[task]) and true
end

--- Notes who is in a stop, until it is over.
local function stopper(self)
  local task = isinside(self) and core.task()
  if not task or self.stoppers[task] then
    return nil
  end
  self.stoppers[task] = true
  return setmetatable({}, { __close = function() self.stoppers[task] = nil end })
end

--- The argument of a stop, in seconds.
function M.grace(seconds, level)
  if seconds == nil then
    return 0
  elseif type(seconds) ~= "number" or seconds ~= seconds then
    local got = type(seconds) == "number" and "not a number" or type(seconds)
    error(("bad argument #1 to 'stop' (number expected, got %s)"):format(got), level + 1)
  end
  return math.max(seconds, 0)
end

--- Ends it: types.lua says how. A handler may call it too: then all but its
-- own connection end here.
function methods:stop(grace)
  M.check(self, "stop")
  grace = M.grace(grace, 2)
  local deadline = core.now() + grace
  local _ <close> = stopper(self)
  halt(self, deadline)
  joinall(self, drain(self), math.max(deadline, core.now() + MOMENT))
  joinall(self, keys(self.running, self.leaving), deadline)
  local count = cancelall(self)
  joinall(self, keys(self.running, self.leaving))
  settle(self)
  return count
end

--- Waits until it has stopped and all that it ran has ended.
function methods:join()
  M.check(self, "join")
  if isinside(self) then
    error("attempt to wait for a server in its own handler", 2)
  end
  self.done:get()
  return self
end

--- What it has done so far.
function methods:stats()
  M.check(self, "stats")
  local received, sent = self.received, self.sent
  local function add(socket)
    if socket ~= true then
      local r, s = core.traffic(socket)
      received, sent = received + r, sent + s
    end
  end
  for _, set in ipairs { self.running, self.leaving, self.sockets } do
    for _, socket in pairs(set) do
      add(socket)
    end
  end
  return M.counts { accepted = self.accepted, open = self.open, failed = self.failed,
    received = received, sent = sent }
end

--- Traces each connection that it takes in from now on; of serve_udp, each
-- datagram. False ends that.
-- @param sink as of Socket:trace
-- @return the server
function methods:trace(sink)
  for _, socket in ipairs(self.sockets) do
    if core.type(socket) == "socket" then
      socket:trace(sink)
    end
  end
  return self
end

return M
