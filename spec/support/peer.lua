--- Other programs as peers: started on free ports, ended by their id.

local sock = require "sock"

local peer = {}
peer.__index = peer
peer.__close = function(self) self:stop() end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Starts a program; its stdout and stderr are read with `peer:expect()`.
-- Options: `module` if the program loads the module (else it runs without
-- the sanitizers' LD_PRELOAD); `input`, a text on its stdin, or `stdin`, the
-- path of a file for it; `descriptors`, how many it may have open.
function peer.start(argv, options)
  options = options or {}
  local words = {}
  for i, word in ipairs(argv) do
    words[i] = quote(tostring(word))
  end
  -- The exec keeps the process id that the shell has told.
  local command = "echo $$; exec " .. table.concat(words, " ") .. " 2>&1"
  if not options.module then
    command = "unset LD_PRELOAD; " .. command
  end
  if options.descriptors then
    command = "ulimit -n " .. options.descriptors .. " && " .. command
  end
  local stdin = options.stdin or options.input == "" and "/dev/null"
  if stdin then
    command = command .. " <" .. quote(stdin)
  elseif options.input then
    -- a shell of its own, because $$ in a pipeline is the outer shell
    command = "printf %s " .. quote(options.input) .. " | sh -c " .. quote(command)
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

--- Waits until the process `pid` is in this state: "S" asleep, "T" stopped.
function peer.awaitstate(pid, state)
  local seen
  for _ = 1, 5000 do
    local stat <close> = assert(io.open("/proc/" .. pid .. "/stat"))
    seen = stat:read("a"):match("%) (%a)")
    if seen == state then
      return
    end
    sock.select({}, {}, 0.002)
  end
  error("process " .. pid .. " is " .. seen .. ", not " .. state, 2)
end

--- The urgent byte of a stream, as soon as it is there: until then the
-- kernel says EINVAL and offers nothing to wait for.
function peer.urgent(s, call)
  for _ = 1, 5000 do
    local byte, message, code = s[call or "recv"](s, 1, "oob")
    if code ~= "EINVAL" then
      return byte, message, code
    end
    sock.select({}, {}, 0.002)
  end
  error("no urgent byte came", 2)
end

--- Seconds since the machine started, in steps of a hundredth.
function peer.uptime()
  local file <close> = assert(io.open("/proc/uptime"))
  return file:read("n")
end

--- Ends it and waits for its end. Harmless again.
function peer:stop()
  if self.typist then
    self.typist:close()
  end
  if self.out then
    -- A stopped process ends only when it goes on. Not the other way round: at
    -- its end LeakSanitizer stops its threads, and would wait for ever.
    self:signal("CONT")
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

--- A redis-server, on a free port of `host` or at a Unix path; answers the
-- port.
function peer.redis(path, host)
  local port = path and 0 or peer.freeport(host)
  local argv = { "redis-server", "--port", port, "--bind", host or "127.0.0.1", "--save", "",
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

local function interpreter()
  return os.getenv("LUA") or "lua5.4"
end

--- A Lua program that may `require "sock"`, given as text.
function peer.lua(program, ...)
  return peer.start({ interpreter(), "-e", program, "-", ... }, { module = true, input = "" })
end

--- A Lua program with its arguments, as `lua5.4` takes them, that may load the
-- module, and is ended if it has not ended after a minute.
function peer.limited(argv, options)
  -- timeout(1) itself runs without the sanitizers, which can hang its fork.
  local words = { "timeout", "60", "env", "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""),
    interpreter() }
  table.move(argv, 1, #argv, #words + 1, words)
  return peer.start(words, options or { input = "" })
end

--- What a Lua program, given as text, prints, and its errors. `sock` is there.
function peer.output(program)
  local self <close> = peer.limited { "-e", "local sock = require 'sock' " .. program, "-" }
  return self:rest()
end

--- peer.lua with room for `descriptors`; nil if the system refuses so many.
function peer.widelua(descriptors, program, ...)
  if not os.execute("ulimit -n " .. descriptors .. " 2>/dev/null") then
    return nil
  end
  return peer.start({ interpreter(), "-e", program, "-", ... },
    { module = true, input = "", descriptors = descriptors })
end

--- Compiles a Lua module out of C text; answers a package.cpath for it and
-- what removes it.
function peer.cmodule(name, text)
  local dir, cleaner = peer.tempdir()
  local file <close> = assert(io.open(dir .. "/" .. name .. ".c", "w"))
  file:write(text)
  file:flush()
  assert(os.execute(("unset LD_PRELOAD; %s -shared -fPIC -w -Icsrc/net"
    .. " -I\"${LUA_INCDIR:-$(tools/find-lua headers)}\" -o %s/%s.so %s/%s.c")
    :format(os.getenv("CC") or "cc", dir, name, dir, name)))
  return dir .. "/?.so", cleaner
end

-- A program on a terminal of its own: what a socket brings is typed, what
-- it shows goes to the socket.
local terminal = [[
import os, pty, select, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
typist, _ = listener.accept()
typist.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
listener.close()
child, screen = pty.fork()
if child == 0:
    typist.close()
    os.environ.update(TERM="dumb", HISTFILE="/dev/null", INPUTRC="/dev/null")
    os.execvp("env", ["env"] + sys.argv[1:])
print("child", child)
try:
    while True:
        for ready in select.select([typist, screen], [], [])[0]:
            data = os.read(ready.fileno() if ready is typist else screen, 65536)
            if not data:
                raise OSError
            (typist.sendall if ready is screen else lambda d: os.write(screen, d))(data)
except OSError:
    pass
os.close(screen)
print("ended with", os.waitpid(child, 0)[1])
]]

--- A stock interpreter on a pseudo-terminal, at its prompt. Words of its
-- command may be given ("-i" if none), and settings of its environment ("TERM"
-- is "dumb" else), both as lists.
-- `prompt:type(line)` types a line, `prompt:press(key)` a key,
-- `prompt:await(text)` waits until the text appears and answers all that was
-- shown up to its end. `prompt.child` is the interpreter's process id.
function peer.prompt(words, settings)
  local preload = os.getenv("LD_PRELOAD")
  local command = { preload and "LD_PRELOAD=" .. preload or "A=a" }
  table.move(settings or {}, 1, #(settings or {}), 2, command)
  command[#command + 1] = interpreter()
  words = words or { "-i" }
  table.move(words, 1, #words, #command + 1, command)
  local self = peer.python(terminal, table.unpack(command))
  local port = math.tointeger(self:expect("listening on (%d+)"))
  self.typist = assert(sock.socket())
  self.typist:settimeout(10)
  assert(self.typist:connect("127.0.0.1", port))
  self.child = math.tointeger(self:expect("child (%d+)"))
  self.seen = ""
  self:await("> ")
  return self
end

function peer:press(key)
  assert(self.typist:write(key))
end

function peer:type(line)
  self:press(line .. "\n")
end

function peer:await(text)
  while true do
    local _, stop = self.seen:find(text, 1, true)
    if stop then
      local shown = self.seen:sub(1, stop)
      self.seen = self.seen:sub(stop + 1)
      return shown
    end
    local more, why = self.typist:recv()
    if not more then
      error(("no %q at the prompt (%s):\n%s"):format(text, why or "it ended", self.seen), 2)
    end
    self.seen = self.seen .. more
  end
end

return peer
