--- Supervisors of worker processes: each a program of its own, whose output
-- ends when the last of its processes has.

local sock = require "sock"
local peer = require "spec.support.peer"
local assert = require "luassert"

local supervisor = {}

-- A server on `count` listeners of one port, one for each worker. It answers
-- each connection with its process id, the worker's index and what it was sent.
local server = [[
  local core, sock, workers = require "sock.core", require "sock", require "sock.workers"
  io.stdout:setvbuf("line")
  function pid() return io.open("/proc/self/stat"):read("n") end
  function listeners(count)
    local list, port = {}, 0
    for i = 1, count do
      list[i] = assert(sock.socket())
      list[i]:setsockopt("reuseport", true)
      assert(list[i]:bind("127.0.0.1", port)):listen()
      port = list[i]:getsockname().port
    end
    return list, port
  end
  function serve(listener, control)
    local accepted, open = 0, {}
    control.stats = function() return { accepted = accepted } end
    local accepter = sock.spawn(function()
      while true do
        local c = assert(listener:accept())
        accepted = accepted + 1
        open[sock.spawn(function()
          local _ <close> = c
          local line = c:read()
          c:write(pid(), " ", control.index, " ", line or "", "\n")
        end)] = true
      end
    end)
    print("ready", control.index, pid())
    control:ready()
    local grace = control:wait()
    local limit = sock.now() + grace
    accepter:cancel()
    listener:close()
    local cancelled = 0
    for task in pairs(open) do
      if task:status() ~= "done" and not task:join(math.max(limit - sock.now(), 0)) then
        if task:status() ~= "done" then task:cancel() cancelled = cancelled + 1 end
      end
    end
    return cancelled
  end
  function supervise(count, options)
    local list, port = listeners(count)
    options = options or {}
    options.count = count
    options.sockets = options.sockets or function(index) return { list[index] } end
    options.body = options.body or function(control) return serve(list[control.index], control) end
    print("port", port)
    return assert(workers.supervise(options)), port
  end
]]

--- Starts a program that may supervise such a server.
function supervisor.start(program, ...)
  return peer.lua(server .. program, ...)
end

--- Reads the lines of `count` workers that are ready: their ids by index.
function supervisor.ready(p, count, list)
  list = list or {}
  for _ = 1, count do
    local index, pid = p:expect("^ready\t(%d+)\t(%d+)")
    list[math.tointeger(index)] = math.tointeger(pid)
  end
  return list
end

function supervisor.connect(port)
  local c = assert(sock.socket())
  c:settimeout(20)
  assert(c:connect("127.0.0.1", math.tointeger(port)))
  return c
end

--- What a worker at the port answers.
function supervisor.ask(port, text)
  local c <close> = supervisor.connect(port)
  c:write(text or "", "\n")
  return assert(c:read())
end

function supervisor.kill(name, pid)
  os.execute("kill -" .. name .. " " .. pid)
end

--- Its end, and how it ended.
function supervisor.finish(p)
  local text = p:rest()
  local ok, how, status = p.out:close()
  p.out = nil
  return text, ok, how, status
end

--- One that starts with less said, and answers what it printed.
function supervisor.run(program, ...)
  local p <close> = supervisor.start(program, ...)
  return p:rest()
end

return supervisor
