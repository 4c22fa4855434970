--- A worker process from inside: what it is told, and what it tells.
-- Lines go both ways over a socket pair. Its parent says "stop <seconds>" and
-- "stats"; it says "ready", "stats name=number …" and, last, "past …" and
-- "result n". The end of that stream is the end of the parent, however it came.

local core = require "sock.core"
local scope = require "sock.scope"

local M = {}

-- So long after its grace a worker's body is cancelled, and once more so long
-- after that it is left.
local LEAVE <const> = 1

---What a worker's body is given.
---@class sock.WorkerControl
---@field index integer # which of the workers it is, from 1
---@field stopping boolean # it is to end
---@field hasten? fun(grace: number) # set by the body: called when it is to end sooner
---@field stats? fun(): table<string, number> # set by the body: asked by its parent's stats()
local Control = {}
Control.__index = Control

--- What numbers the body counts, as text.
local function numbers(control)
  local words = {}
  local ok, list = pcall(control.stats or function() return {} end)
  for name, value in pairs(ok and type(list) == "table" and list or {}) do
    if type(name) == "string" and math.type(value) then
      words[#words + 1] = name .. "=" .. value
    end
  end
  return table.concat(words, " ")
end

local function tell(control, ...)
  return control.socket:write(table.concat({ ... }, " "), "\n")
end

--- Each line that comes, and its first word; then nothing, at the end or at a
-- failure.
function M.words(socket)
  return function()
    local line = socket:read()
    if line then
      return line:match("^(%S+) ?(.*)")
    end
  end
end

--- Each of the signals that comes, until they are closed.
function M.each(signals)
  return function()
    return (signals:wait())
  end
end

--- The other way round: "a=1 b=2".
function M.parse(text)
  local list = {}
  for name, value in text:gmatch("(%S-)=(%S+)") do
    list[name] = tonumber(value)
  end
  return list
end

---It serves now: a successor that says so takes its predecessor's place.
function Control:ready()
  tell(self, "ready")
  return self
end

---Waits until it is to end.
---@return number grace # seconds that what is under way may take
function Control:wait()
  if not self.stopping then
    self.stopped:get()
  end
  return math.max(self.limit - core.now(), 0)
end

--- Again, it can only be sooner.
local function stop(control, grace)
  local limit = core.now() + grace
  if control.stopping and control.hasten and limit < control.limit then
    core.spawn(control.hasten, grace)
  end
  control.limit = math.min(control.limit, limit)
  control.stopping = true
  control.stopped:close()
  control.sooner:close()
  control.sooner = core.channel()
end

--- Cancels the body when its time is over, and gives up when that is in vain.
local function hurry(control, body, done)
  control.stopped:get()
  while control.limit + LEAVE > core.now() do
    control.sooner:get(control.limit + LEAVE - core.now())
  end
  body:cancel()
  core.sleep(LEAVE)
  done:close()
end

--- What the parent says.
local function listen(control, grace)
  for word, rest in M.words(control.socket) do
    if word == "stop" then
      stop(control, tonumber(rest))
    elseif word == "stats" then
      tell(control, "stats", numbers(control))
    end
  end
  stop(control, grace)
end

--- What the world says: to all of a terminal's processes, or to this one. HUP
-- is the parent's to answer.
local function obey(control, signals, grace)
  for name in M.each(signals) do
    if name ~= "HUP" then
      stop(control, control.stopping and 0 or grace)
    end
  end
end

local function describe(err)
  return err == core.cancelled and err or debug.traceback(tostring(err), 2)
end

--- Where an error is not lost: a body that fails takes its tasks with it.
local function guarded(body, control)
  local ok, result = xpcall(body, describe, control)
  if not ok then
    error(result, 0)
  end
  return result
end

--- The whole life of a worker; answers its exit status.
-- @param grace seconds, where nobody says how many
function M.live(index, socket, body, grace)
  math.randomseed(math.random(0), math.floor(core.now() * 1e6) ~ index << 48) -- not all the same
  local control = setmetatable({ index = index, socket = socket, stopping = false,
    limit = math.huge, stopped = core.channel(), sooner = core.channel() }, Control)
  local done = core.channel(1)
  local signals = assert(core.signal("INT", "TERM", "HUP"))
  core.spawn(obey, control, signals, grace)
  core.spawn(listen, control, grace)
  local task = core.spawn(scope.run, guarded, body, control)
  core.spawn(hurry, control, task, done)
  core.spawn(function() done:put { pcall(task.join, task) } end)
  local result = done:get() or { true }
  tell(control, "past", numbers(control))
  if result[1] then
    tell(control, "result", math.tointeger(result[2]) or 0)
    return 0
  end
  io.stderr:write("sock: worker ", index, " failed: ", tostring(result[2]), "\n")
  return 1
end

return M
