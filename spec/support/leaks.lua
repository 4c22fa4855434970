--- Run by busted before the specs (.busted names it): fails any spec that
-- leaves a descriptor behind.

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

local function check(before)
  local left = {}
  for entry in pairs(open()) do
    if not before[entry] then
      left[#left + 1] = entry
    end
  end
  if #left > 0 then
    busted.fail("left open: " .. table.concat(left, ", "), 3)
  end
end

busted.subscribe({ "test", "start" }, function(element)
  local run, before = element.run, open()
  element.run = function(...)
    run(...)
    check(before)
  end
end)
