--- sock.serve with `workers`: the same server in several processes.
--
-- Each has listeners of its own on the same addresses (SO_REUSEPORT, socket(7)),
-- between which the kernel shares out the connections; where that cannot be,
-- all have the same. The parent made them and keeps them while it serves, so
-- that what queues while a worker is replaced is the next one's.

local server = require "sock.server"
local workers = require "sock.workers"

local M = {}

local methods = {}

local function text(self)
  local state = self.stopping and "stopping" or #self.kept .. " workers"
  return ("server %s (%s)"):format(self.address, state)
end

local Prefork = { __index = methods, __name = "server", __tostring = text }
server.kinds[Prefork] = true

local function closeall(self)
  for _, listeners in ipairs(self.kept) do
    for _, listener in ipairs(listeners) do
      listener:close()
    end
  end
end

--- What a worker does: serves until it is told to stop.
local function work(start, listeners, control)
  local own = start(listeners)
  control.stats = function() return own:stats() end
  control.hasten = function(grace) own:stop(grace) end
  control:ready()
  own:stop(control:wait())
  return own.cancelled
end

--- Starts the workers.
-- @param kept for each of them, its listeners
-- @param start makes a server of such listeners, in the worker
-- @return server; nil, message, code
function M.start(kept, start)
  local self = setmetatable({ kept = kept, addresses = {}, stopping = false }, Prefork)
  for i, listener in ipairs(kept[1]) do
    self.addresses[i] = listener:getsockname()
  end
  self.address = self.addresses[1]
  local message, code
  self.supervisor, message, code = workers.supervise {
    count = #kept,
    sockets = function(index) return kept[index] end,
    body = function(control) return work(start, kept[control.index], control) end,
    halted = function()
      self.stopping = true
      closeall(self)
    end,
  }
  if not self.supervisor then
    closeall(self)
    return nil, message, code
  end
  return self
end

function methods:stop(grace)
  server.check(self, "stop")
  return self.supervisor:stop((server.grace(grace, 2)))
end

function methods:join()
  server.check(self, "join")
  self.supervisor:join()
  return self
end

--- The sums over all workers, those that have ended included.
function methods:stats()
  server.check(self, "stats")
  local sums = self.supervisor:stats()
  for _, name in ipairs { "accepted", "open", "failed", "received", "sent" } do
    sums[name] = sums[name] or 0
  end
  return server.counts(sums)
end

--- The workers have the listener: a trace of it, begun before them, is theirs.
function methods.trace()
  error("a server with workers is traced by its listener, before: serve(listener:trace(…), …)", 2)
end

return M
