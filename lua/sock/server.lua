--- The server object: what sock.serve and sock.serve_udp have in common.
--
-- A reader is the task that takes in what arrives at one of the server's
-- sockets; a worker is the task of one connection or datagram. The server
-- keeps no task but those, and is kept by them.

local core = require "sock.core"

local M = {}

local MOMENT <const> = 0.05 -- seconds for a handler to see its end, without any grace

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
  self.open, self.accepted, self.failed = 0, 0, 0
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

--- One reader's life. It may be ended from outside: its socket closed, its
-- task cancelled. The last one so ended stops the server.
local function live(self, socket, read)
  local task = core.task()
  self.readers[task] = socket
  local ok, err = pcall(read, self, socket)
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

--- Waits for tasks, but not for the one that this runs in.
local function joinall(tasks, deadline)
  local own = core.task()
  for _, task in ipairs(tasks) do
    if task ~= own then
      task:join(deadline and math.max(deadline - core.now(), 0))
    end
  end
end

--- Reads no more. What the kernel has accepted already, is let in where it is
-- to be served yet; the rest is told so by the close.
local function halt(self, grace)
  self.stopping = true
  self.room:close()
  local _ <close> = setmetatable({}, { __close = function() halted(self) end }) -- if cancelled, too
  local readers = keys(self.readers)
  for _, task in ipairs(readers) do
    task:cancel()
  end
  joinall(readers)
  for _, socket in ipairs(self.sockets) do
    if grace > 0 and self.letin and core.type(socket) == "socket" then
      self.letin(self, socket)
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

--- Cancels what runs, but for the task that this runs in; how many.
local function cancelall(self)
  local own, count = core.task(), 0
  for task in pairs(self.running) do
    if task ~= own then
      task:cancel()
      count = count + 1
    end
  end
  for task in pairs(self.leaving) do -- it may be held up by a peer that does not read
    task:cancel()
  end
  return count
end

--- Ends it: types.lua says how. A handler may call it too: then all but its
-- own connection end here.
function methods:stop(grace)
  if grace ~= nil and type(grace) ~= "number" then
    error(("bad argument #1 to 'stop' (number expected, got %s)"):format(type(grace)), 2)
  end
  local deadline = core.now() + (grace or 0)
  halt(self, grace or 0)
  joinall(drain(self), math.max(deadline, core.now() + MOMENT))
  joinall(keys(self.running, self.leaving), deadline)
  local count = cancelall(self)
  joinall(keys(self.running, self.leaving))
  settle(self)
  return count
end

--- Waits until it has stopped and all that it ran has ended.
function methods:join()
  if self.running[core.task()] then
    error("attempt to wait for a server in its own handler", 2)
  end
  self.done:get()
  return self
end

--- What it has done so far.
function methods:stats()
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

return M
