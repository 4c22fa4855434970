--- sock.scope and sock.run: tasks that end together.

local core = require "sock.core"

local M = {}

local Scope = {}
Scope.__index = Scope
Scope.__name = "scope"

--- Starts a task of this scope. Its first error cancels the others and the
-- scope's own function, and is raised where the scope stands.
function Scope:spawn(f, ...)
  if self.over then
    error("attempt to spawn in a scope that has ended", 2)
  end
  return self.group:spawn(f, ...)
end

--- Ends the scope: its tasks and its own function, without an error.
function Scope:cancel()
  self.ended = true
  self.group:cancel()
  self.frame:cancel()
  return self
end

--- Waits for a group to be empty, whatever happens meanwhile: what does
-- cancels its tasks, and is answered when the last of them has ended.
local function await(group, wait)
  local ok, err = pcall(wait, group)
  if not ok then
    group:cancel()
    group:wait(true)
  end
  return ok, err
end

--- Raises what a failed task raised.
local function raise(task)
  local _, err = pcall(task.join, task)
  if err == core.cancelled then -- whoever joins is, and had to let others run
    _, err = pcall(task.join, task)
  end
  error(err, 0)
end

local function leave(self, ok, ...)
  local group, err = self.group, ...
  local own = not ok and err ~= core.cancelled and not group:failure()
  if not ok then
    group:cancel()
  end
  local waited, why = await(group, group.wait)
  self.over = true
  if own then
    error(err, 0)
  elseif group:failure() then
    raise(group:failure())
  elseif not waited then
    error(why, 0)
  elseif ok then
    return ...
  elseif self.ended and not core.iscancelled() then
    return nil, "cancelled", "ECANCELED"
  end
  error(err, 0)
end

--- Runs f(scope) and waits for all tasks that scope:spawn begins.
-- @return what f returned; nil, "cancelled", "ECANCELED" after scope:cancel()
function M.scope(f)
  if type(f) ~= "function" then
    error("bad argument #1 to 'scope' (function expected, got " .. type(f) .. ")", 2)
  end
  local frame = core.frame()
  local self = setmetatable({ frame = frame, group = core.group(frame) }, Scope)
  return leave(self, core.guard(frame, f, self))
end

local function interrupted(err)
  return err ~= core.cancelled and not tostring(err):find("^deadlock: ")
end

local function runall()
  local ok, err = pcall(core.runall)
  if not ok then
    if not interrupted(err) then
      for _, task in ipairs(core.tasks()) do
        task:cancel()
      end
      core.runall(true)
    end
    error(err, 0)
  end
  return true
end

--- Runs f(...) as a task and waits for it and for every task begun in it.
-- Without f: waits for all tasks (main thread only).
-- @return what f returned
function M.run(f, ...)
  if f == nil and select("#", ...) == 0 then
    return runall()
  end
  local group = core.group()
  local task = group:spawn(f, ...)
  local ok, err = pcall(group.wait, group)
  if not ok then
    if interrupted(err) then -- ^C: the tasks live on
      error(err, 0)
    end
    group:cancel()
    group:wait(true)
  end
  if group:failure() then
    raise(task)
  elseif not ok then
    error(err, 0)
  end
  return task:join()
end

return M
