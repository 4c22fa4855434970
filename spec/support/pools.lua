--- What pools have in their specs: connections to a server here, or out of
-- nowhere.

local sock = require "sock"
local assert = require "luassert"

local pools = {}

--- A server that keeps what it accepts in `conns`, and the address of it.
-- `serve`, if given, is called with each.
function pools.server(serve)
  local l = assert(sock.socket():setsockopt("reuseaddr", true):bind("127.0.0.1", 0)):listen()
  local self = { conns = {}, address = l:getsockname() }
  self.task = sock.spawn(function()
    while true do
      local c = assert(l:accept())
      table.insert(self.conns, c)
      if serve then
        self[#self + 1] = sock.spawn(serve, c)
      end
    end
  end)
  return setmetatable(self, { __close = function()
    for _, t in ipairs(self) do
      t:cancel()
      t:join()
    end
    self.task:cancel()
    self.task:join()
    l:close()
    for _, c in ipairs(self.conns) do
      c:close()
    end
  end })
end

--- Connections out of nowhere: `made` is how many, `ends` their other ends.
function pools.sockets()
  local self = { made = 0, ends = {} }
  function self.make()
    local a, b = assert(sock.socketpair())
    self.made = self.made + 1
    self.ends[a] = b
    return a
  end
  return setmetatable(self, { __close = function()
    for a, b in pairs(self.ends) do
      a:close()
      b:close()
    end
  end })
end

--- A task that has begun to wait.
function pools.task(f, ...)
  local t = sock.spawn(f, ...)
  sock.sleep(0)
  return t
end

return pools
