--- Other programs as peers: started on free ports, ended by their id.

local sock = require "sock"

local peer = {}
peer.__index = peer
peer.__close = function(self) self:stop() end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Starts a program; its stdout and stderr are read with `peer:line()`.
-- A program that does not load the module runs without the sanitizers'
-- LD_PRELOAD; one that does asks for it with `module = true`.
function peer.start(argv, options)
  local words = {}
  for i, word in ipairs(argv) do
    words[i] = quote(tostring(word))
  end
  local unset = options and options.module and "" or "unset LD_PRELOAD; "
  local command = unset .. "echo $$; exec " .. table.concat(words, " ") .. " 2>&1"
  if options and options.input then
    command = "printf %s " .. quote(options.input) .. " | { " .. command .. "; }"
  end
  local out = assert(io.popen(command))
  local self = setmetatable({ out = out, argv = argv }, peer)
  self.pid = assert(math.tointeger(out:read("n")), "no process id")
  out:read("l")
  return self
end

--- The next line of its output that matches, and what the pattern captured.
function peer:expect(pattern)
  local seen = {}
  for line in self.out:lines() do
    seen[#seen + 1] = line
    if line:find(pattern) then
      return line:match(pattern)
    end
  end
  error(self.argv[1] .. " ended without " .. pattern .. ":\n" .. table.concat(seen, "\n"), 2)
end

--- All that it still has to say; waits for its end.
function peer:rest()
  return self.out:read("a")
end

function peer:signal(name)
  os.execute("kill -" .. name .. " " .. self.pid .. " 2>/dev/null")
end

--- Ends it and waits for its end. Harmless again.
function peer:stop()
  if self.out then
    self:signal("TERM")
    self.out:close()
    self.out = nil
  end
end

--- A TCP port that nobody listens on now.
function peer.freeport(host)
  local family = host and host:find(":") and "inet6" or "inet"
  local s <close> = assert(sock.socket(family))
  assert(s:bind(host or "127.0.0.1", 0))
  return assert(s:getsockname()).port
end

--- A path in a new folder of its own, and what removes both.
function peer.tempdir()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local path = pipe:read("l")
  return path, setmetatable({}, {
    __close = function() os.execute("rm -rf " .. quote(path)) end,
  })
end

--- socat with a first address that listens; answers the port it got.
function peer.socat(listen, to)
  local self = peer.start { "socat", "-d", "-d", listen, to }
  local port = self:expect("listening on .-(%d*)$")
  return self, math.tointeger(port)
end

--- A redis-server, on a free port or with `unixsocket`; answers the port.
function peer.redis(path)
  local port = path and 0 or peer.freeport()
  local argv = { "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
    "--appendonly", "no", "--dir", "/tmp" }
  if path then
    argv[#argv + 1] = "--unixsocket"
    argv[#argv + 1] = path
  end
  local self = peer.start(argv)
  self:expect("eady to accept connections")
  return self, port
end

--- A Python program, given as text.
function peer.python(program, ...)
  return peer.start { "python3", "-u", "-c", program, ... }
end

--- A Lua program that may `require "sock"`, given as text.
function peer.lua(program, ...)
  return peer.start({ os.getenv("LUA") or "lua5.4", "-e", program, "-", ... }, { module = true, input = "" })
end

return peer
