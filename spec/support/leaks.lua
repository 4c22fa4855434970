--- Run by busted before the specs (.busted names it): fails any spec that
-- leaves a descriptor or a task behind.

local busted = require "busted"
local lfs = require "lfs"

-- What the loop opens once and keeps: its poller, its pipes.
local sock = require "sock"
sock.getaddrinfo("localhost")
sock.signal("USR2"):close()

--- What this process has open: "descriptor what-it-is" -> true.
local function open()
  collectgarbage()
  collectgarbage()
  local list = {}
  for fd in lfs.dir("/proc/self/fd") do
    local what = tonumber(fd) and lfs.symlinkattributes("/proc/self/fd/" .. fd, "target")
    if what and not what:find("^/proc/") then -- that one is the folder being read
      list[fd .. " " .. what] = true
    end
  end
  return list
end

--- Ends every task there is, as far as it lets itself be ended.
local function endtasks()
  local tasks = sock.tasks()
  for _, task in ipairs(tasks) do
    task:cancel()
  end
  for _, task in ipairs(tasks) do
    pcall(task.join, task, 1)
  end
end

local function check(before)
  local left = {}
  for _, task in ipairs(sock.tasks()) do
    left[#left + 1] = tostring(task)
  end
  endtasks()
  for entry in pairs(open()) do
    if not before[entry] then
      left[#left + 1] = entry
    end
  end
  if #left > 0 then
    busted.fail("left behind: " .. table.concat(left, ", "), 3)
  end
end

busted.subscribe({ "test", "start" }, function(element)
  endtasks() -- of a spec that failed
  local run, before = element.run, open()
  element.run = function(...)
    run(...)
    check(before)
  end
end)
