--- sock.retry: once more, after a pause.

local core = require "sock.core"

local M = {}

local DEFAULTS = { attempts = 5, first = 0.1, longest = 10 }

--- A number from 0 to 1 that no other process comes upon. Not math.random: a
-- program may have seeded that for its own ends, and forked processes share it.
local function random()
  local file <close> = io.open("/dev/urandom", "rb")
  local bytes = file and file:setvbuf("no") and file:read(4)
  if not bytes then -- out of descriptors, or in a jail
    return math.random()
  end
  return string.unpack("I4", bytes) / 2^32
end

--- The pause after a failure: twice the one before it, and random in its upper
-- half, yet never out of the bounds that were given.
local function pause(failures, first, longest)
  local high = math.min(longest, first * 2.0 ^ math.min(failures, 1023)) -- 2^1024 is infinite
  local low = math.min(high, math.max(first, high / 2))
  return low == high and low or low + (high - low) * random()
end

local function read(options, level)
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #2 to 'retry' (table expected, got %s)"):format(type(options)), level + 1)
  end
  local all = setmetatable({}, { __index = DEFAULTS })
  for name, value in pairs(options or {}) do
    local least = name == "attempts" and 1 or 0
    if not DEFAULTS[name] then
      error(("bad argument #2 to 'retry' (unknown option '%s')"):format(tostring(name)), level + 1)
    elseif type(value) ~= "number" or value ~= value or value < least then
      error(("bad argument #2 to 'retry' (option '%s': number from %d expected)")
        :format(name, least), level + 1)
    end
    all[name] = value
  end
  return all
end

--- Calls f until it gives a value, that is, its first result is neither nil nor
-- false. An error that it raises is raised.
-- @param options `attempts`, and of the pauses `first` and `longest`, in seconds
-- @return what f returned at last
function M.retry(f, options)
  if type(f) ~= "function" then
    error("bad argument #1 to 'retry' (function expected, got " .. type(f) .. ")", 2)
  end
  local how = read(options, 2)
  local failures = 0
  while true do
    local results = table.pack(f())
    failures = failures + 1
    if results[1] or failures >= how.attempts then
      return table.unpack(results, 1, results.n)
    end
    core.sleep(pause(failures, how.first, how.longest))
  end
end

return M
