--- sock.serve: a task for each connection.

local core = require "sock.core"
local listen = require "sock.listen"
local prefork = require "sock.prefork"
local proxy = require "sock.proxy"
local server = require "sock.server"
local settings = require "sock.settings"

local M = {}

--- The options of its own, beside listen's and those of sockets.
local own <const> = { type = "string", backlog = "number", mode = "string", timeout = "number",
  maxconns = "number", onerror = "function", workers = "number", proxy = "boolean|table" }

local LINGER <const> = 1 -- seconds for the peer to read our last bytes
local PAUSE <const>, LONGEST <const> = 0.05, 1 -- seconds between attempts that cannot succeed

--- What accept says when the listener is one no more.
local over <const> = { EBADF = true, EINVAL = true, ENOTSOCK = true, EOPNOTSUPP = true }

-- Connections -----------------------------------------------------------------

--- A close while input comes in would be a reset, which takes our last bytes
-- from the peer: so the peer ends first, if it does so soon.
local function farewell(conn)
  if core.type(conn) ~= "socket" or not conn:flush() or core.hasended(conn) then
    return
  end
  if conn:shutdown("send") then
    core.discard(conn, LINGER)
  end
end

--- Behind a balancer: the handler's peer is the balancer's client. Without a
-- header there is nobody to serve.
local function behind(self, conn, peer)
  local client, message = proxy.accept(conn, peer, self.trusted)
  if client then
    return self.handler(conn, client)
  elseif message and not self.stopping then
    error(message, 0)
  end
end

--- The life of a connection: its task's function.
local function attend(self, conn, peer)
  local task = core.task()
  server.enter(self, task, conn)
  if self.timeout then
    conn:settimeout(self.timeout)
  end
  local ok, failure
  if self.trusted then
    ok, failure = xpcall(behind, server.explain, self, conn, peer)
  else
    ok, failure = xpcall(self.handler, server.explain, conn, peer)
  end
  server.leave(self, task)
  if ok then
    pcall(farewell, conn) -- a cancel may end it
  else
    pcall(server.fail, self, failure, conn) -- whatever becomes of it, this ends
  end
  conn:close()
  server.exit(self, task, conn)
end

-- Listeners -------------------------------------------------------------------

--- One listener of several must not wait in accept: another's connection may
-- have taken the last place meanwhile. Also an accept that does not wait may
-- let others run, so a place is taken before it.
local function acceptinturn(self, listener)
  core.wait(listener, "r")
  if core.type(listener) ~= "socket" then
    return nil, nil, "EBADF"
  elseif self.open + self.accepting >= self.maxconns then
    core.sleep(0)
    return nil, nil, "ETIMEDOUT"
  end
  self.accepting = self.accepting + 1
  local ok, conn, peer, code = pcall(listener.accept, listener)
  self.accepting = self.accepting - 1
  if not ok then
    error(conn, 0)
  end
  return conn, peer, code
end

--- The next connection. The listener's own timeout, which may be 0, is none
-- of ours.
local function accept(self, listener)
  if self.turns then
    return acceptinturn(self, listener)
  end
  local conn, peer, code = listener:accept()
  if code == "ETIMEDOUT" then
    core.wait(listener, "r")
  end
  return conn, peer, code
end

--- Takes connections in while there is room. Where the system has none, of
-- descriptors or memory, the next attempt is when one of ours has ended, or
-- after a pause: the listener would say for ever that somebody is there.
local function read(self, listener)
  local pause = PAUSE
  while not self.stopping and core.type(listener) == "socket" do
    if self.open >= self.maxconns then
      server.wait(self)
    else
      local conn, peer, code = accept(self, listener)
      if conn then
        pause = PAUSE
        server.work(attend, self, conn, peer)
      elseif over[code] then
        return
      elseif code ~= "ETIMEDOUT" then
        server.wait(self, pause)
        pause = math.min(pause * 2, LONGEST)
      end
    end
  end
end

--- How many wait in a listener's queue, where the system says so (tcp(7)).
local function queued(listener)
  local info = listener:getsockopt("tcp_info")
  return info and info.unacked or math.huge
end

--- At the end: those that the kernel has accepted for us already, but none of
--- a flood that comes meanwhile.
local function letin(self, listener, deadline)
  local left = queued(listener)
  listener:settimeout(0)
  while left > 0 and self.open < self.maxconns and core.now() < deadline
    and core.type(listener) == "socket" do -- a handler may have stopped the server for good
    local conn, peer = listener:accept()
    if not conn then
      return
    end
    left = left - 1
    server.work(attend, self, conn, peer)
  end
end

-- The call --------------------------------------------------------------------

local function bad(arg, level, text, ...)
  error(("bad argument #%d to 'serve' (%s)"):format(arg, text:format(...)), level + 1)
end

local function checklistener(socket, level)
  if core.type(socket) == "closed socket" then
    error("attempt to use a closed socket", level + 1)
  elseif not socket:getsockopt("acceptconn") then
    bad(1, level + 1, "socket does not listen")
  end
  return socket
end

local function issocket(value)
  local kind = type(value) == "userdata" and core.type(value)
  return kind == "socket" or kind == "closed socket"
end

--- What to serve: listeners and what listen.read gives, and how many
-- arguments that took.
local function readplaces(a, b, level)
  if issocket(a) then
    return { checklistener(a, level + 1) }, 1
  elseif type(a) ~= "table" then
    local where, n, code = listen.read("serve", 1, a, b, level + 1)
    if not where then
      return nil, n, code
    end
    return { where }, n
  end
  local places = {}
  for i, each in ipairs(a) do
    local place, message, code
    if issocket(each) then
      place = checklistener(each, level + 1)
    else
      place, message, code = listen.read("serve", 1, each, nil, level + 1)
    end
    if not place then
      return nil, message, code
    end
    places[i] = place
  end
  if #places == 0 then
    bad(1, level + 1, "list is empty")
  end
  return places, 1
end

local function checkoptions(arg, options, places, level)
  local mine, sockets = settings.split("serve", arg, options, own, level + 1)
  for _, place in ipairs(places) do
    if not issocket(place) then
      listen.check("serve", arg, place, mine, level + 1)
    end
  end
  if mine.maxconns and not (mine.maxconns >= 1 and mine.maxconns % 1 == 0
      or mine.maxconns == math.huge) then
    bad(arg, level + 1, "option 'maxconns' must be at least 1, and whole")
  elseif mine.workers and not (math.tointeger(mine.workers) and mine.workers >= 1) then
    bad(arg, level + 1, "option 'workers' must be an integer from 1")
  end
  if mine.proxy then
    local trusted, why = proxy.trusted(mine.proxy)
    if not trusted then
      bad(arg, level + 1, "option 'proxy': %s", why)
    end
    mine.proxy = trusted
  end
  return mine, sockets
end

--- The listeners that have been made so far; without all of them, they close.
local Made = { __close = function(made)
  for _, listener in ipairs(made.complete and {} or made) do
    listener:close()
  end
end }

--- What the places are opened with, and what has been made so far.
local function opening(mine, sockets)
  local shared = { reuseport = mine.workers ~= nil or nil }
  for name, value in pairs(sockets) do
    shared[name] = value
  end
  return { own = { type = mine.type, backlog = mine.backlog, mode = mine.mode },
    sockets = sockets, shared = shared, made = setmetatable({}, Made) }
end

--- Whether several listeners can be there: a Unix path has one, and what
-- others made is one.
local function isshareable(place)
  return not issocket(place) and not place.systemd and not (place.address and place.address.path)
end

local function open(place, how)
  if issocket(place) then
    return settings.apply(place, how.sockets)
  end
  local listener, message, code = listen.open("listen", place, how.own,
    isshareable(place) and how.shared or how.sockets)
  how.made[#how.made + 1] = listener
  return listener, message, code
end

--- Where a second listener goes beside the first; nil: nowhere.
local function beside(place, first)
  if not isshareable(place) then
    return nil
  end
  local address = first:getsockname()
  return place.host == "*" and { host = "*", port = address.port } or { address = address }
end

--- A listener at each place, for each of the workers: all of them, or none.
-- @return for each worker a list; nil, message, code
local function openall(places, workers, how)
  local kept, made <close> = {}, how.made
  for w = 1, workers do
    kept[w] = {}
    for i, place in ipairs(places) do
      local first = w > 1 and kept[1][i]
      local again = first and beside(place, first)
      local listener, message, code = first, nil, nil
      if again or not first then
        listener, message, code = open(again or place, how)
      end
      if not listener then
        return nil, message, code
      end
      kept[w][i] = listener
    end
  end
  made.complete = true
  return kept
end

local function start(listeners, handler, mine)
  local self = server.new(listeners, {
    handler = handler,
    onerror = mine.onerror,
    timeout = mine.timeout,
    maxconns = mine.maxconns or math.huge,
    trusted = mine.proxy,
    letin = letin,
  })
  self.turns, self.accepting = #listeners > 1 and self.maxconns < math.huge, 0
  if self.turns then
    for _, listener in ipairs(listeners) do
      listener:settimeout(0)
    end
  end
  server.start(self, read)
  return self
end

--- sock.serve(ADDR or listener or list, handler [, options]); types.lua says
-- what it takes.
function M.serve(a, b, c, d)
  local places, n, code = readplaces(a, b, 2)
  if not places then
    return nil, n, code
  end
  local handler, options = b, c
  if n == 2 then
    handler, options = c, d
  end
  if type(handler) ~= "function" then
    bad(n + 1, 2, "function expected, got %s", handler == nil and "no value" or type(handler))
  end
  local mine, sockets = checkoptions(n + 2, options, places, 2)
  local kept, message
  kept, message, code = openall(places, math.tointeger(mine.workers or 1), opening(mine, sockets))
  if not kept then
    return nil, message, code
  elseif not mine.workers then
    return start(kept[1], handler, mine)
  end
  return prefork.start(kept, function(listeners) return start(listeners, handler, mine) end)
end

return M
