--- Programs that fork.

local peer = require "spec.support.peer"

local forking = {}

--- Runs a program and answers what it and its children wrote.
function forking.run(program, ...)
  local p <close> = peer.lua([[
    core, sock = require "sock.core", require "sock"
    function fork(...) return assert(core.fork(...)) end
    --- What this process has open: number -> what it is.
    function open()
      local lfs, list = require "lfs", {}
      for fd in lfs.dir("/proc/self/fd") do
        local what = tonumber(fd) and lfs.symlinkattributes("/proc/self/fd/" .. fd, "target")
        if what and not what:find("^/proc/") then list[tonumber(fd)] = what end
      end
      return list
    end
    function pair()
      local a, b = assert(sock.socketpair())
      a:settimeout(10)
      b:settimeout(10)
      return a, b
    end
  ]] .. program, ...)
  return p:rest()
end

return forking
