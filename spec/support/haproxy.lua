--- An HAProxy of our own, as a peer.

local sock = require "sock"
local peer = require "spec.support.peer"

local haproxy = setmetatable({}, { __index = peer })
haproxy.__index = haproxy
haproxy.__close = function(self) self:stop() end

-- Debian has it where only root looks.
local command = [[PATH=$PATH:/usr/sbin:/usr/local/sbin exec haproxy -db -f "$0"]]

-- It says nothing when it is ready: then this frontend takes and closes.
local defaults = [[
defaults
  mode tcp
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend ready
  bind unix@%s/ready
]]

local function alive(pid)
  local stat <close> = assert(io.open("/proc/" .. pid .. "/stat"))
  return stat:read("a"):match("%) (%a)") ~= "Z"
end

local function connects(address)
  local s <close> = assert(sock.socket("unix")):settimeout(10)
  return s:connect(address) and s:wait("r")
end

--- Waits until it runs, or has given up. It binds the frontend `ready` before
-- it may fail to bind another, but never takes from it then: so once is none.
local function runs(self)
  for _ = 1, 5000 do
    if not alive(self.pid) then
      return false
    elseif connects(self.ready) then
      return connects(self.ready) ~= nil
    end
    sock.select({}, {}, 0.002)
  end
end

--- Starts one with these frontends and backends, in mode tcp. In them `%s`
-- stands for its folder, `%1` to `%9` for free ports of `host`; where one was
-- taken meanwhile, others are tried. In the answer: `dir`, `ports`.
function haproxy.start(config, host)
  local dir, cleaner = peer.tempdir()
  local output
  for _ = 1, 5 do
    local ports = {}
    local text = config:gsub("%%(%d)", function(i)
      ports[tonumber(i)] = ports[tonumber(i)] or peer.freeport(host)
      return ports[tonumber(i)]
    end)
    local file <close> = assert(io.open(dir .. "/config", "w"))
    file:write(defaults:format(dir), (text:gsub("%%s", dir)))
    file:flush()
    local self = setmetatable(peer.start { "sh", "-c", command, dir .. "/config" }, haproxy)
    self.dir, self.ports, self.cleaner = dir, ports, cleaner
    self.ready = "unix:" .. dir .. "/ready"
    if runs(self) then
      return self
    end
    self:signal("TERM")
    output = self:rest()
    self.out:close()
  end
  error("HAProxy does not start:\n" .. output, 2)
end

function haproxy:stop()
  peer.stop(self)
  getmetatable(self.cleaner).__close()
end

return haproxy
