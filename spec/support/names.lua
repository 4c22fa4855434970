--- Names for specs: in this process, in place of the system's look-up; or for
-- a program of its own, in a mount namespace with files of its own in /etc.

local core = require "sock.core"
local lfs = require "lfs"
local peer = require "spec.support.peer"
local sock = require "sock"
local assert = require "luassert"

local names = {}

--- Runs f while look-ups of the names in `known` give their addresses: a list
-- of texts, or a function of port and options that gives what getaddrinfo does.
function names.with(known, f, ...)
  local system = core.getaddrinfo
  local _ <close> = setmetatable({}, { __close = function() core.getaddrinfo = system end })
  core.getaddrinfo = function(host, port, options)
    local found = known[host]
    if type(found) == "function" then
      return found(port, options)
    elseif not found then
      return system(host, port, options)
    end
    local list = {}
    for i, text in ipairs(found) do
      list[i] = assert(core.address(text) or core.address(text, port))
    end
    return list
  end
  return f(...)
end

--- How many descriptors this process has open.
function names.descriptors()
  local count = 0
  for _ in lfs.dir("/proc/self/fd") do
    count = count + 1
  end
  return count
end

--- Whether programs may have namespaces of their own here.
function names.canisolate()
  return os.execute("id -u | grep -qx 0 && unshare -mn true 2>/dev/null")
end

local loopback = [[python3 -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))' && ]]

--- Starts a Lua program that sees `files` (name: text) in /etc; with
-- `network`, in a network of its own that has only a loopback interface.
-- @return its peer
function names.isolated(files, network, program, ...)
  local dir = peer.tempdir() -- removed when it is mounted
  local script = network and loopback or ""
  for name, text in pairs(files) do
    local file <close> = assert(io.open(dir .. "/" .. name, "w"))
    file:write(text)
    script = script .. ("mount --bind %s/%s /etc/%s && "):format(dir, name, name)
  end
  local preload = os.getenv("LD_PRELOAD") or ""
  return peer.start({ "unshare", network and "-mn" or "-m", "sh", "-c",
    script .. "rm -rf " .. dir .. [[ && exec timeout 20 env LD_PRELOAD="$0" "$@"]], preload,
    os.getenv("LUA") or "lua5.4", "-e", program, "-", ... }, { input = "" })
end

--- Expects nil, a message that begins with `start`, and the code.
function names.refused(start, code, ...)
  assert.equal(3, select("#", ...))
  local value, message, got = ...
  assert.is_nil(value)
  assert.equal(start, message:sub(1, #start))
  assert.is_true(#message < 400)
  assert.equal(code, got)
end

--- The loopback interface.
function names.loopback()
  for _, interface in ipairs(assert(sock.interfaces())) do
    if interface.loopback then
      return interface
    end
  end
end

return names
