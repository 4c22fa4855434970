--- What many specs begin with: sockets in pairs, and what closes them at a
-- block's end; a task that may not hang.

local sock = require "sock"
local assert = require "luassert"

local fixtures = {}

function fixtures.nothing() end

local closer = { __close = function(list)
  for _, x in ipairs(list) do
    x:close()
  end
end }

--- Closes what it is given, and what is added to it, at a block's end.
function fixtures.closing(...)
  return setmetatable({ ... }, closer)
end

--- Two connected sockets, and what closes them. With `seconds`, that is the
-- limit on each of their calls.
function fixtures.pair(kind, seconds)
  local a, b = assert(sock.socketpair(kind))
  return a:settimeout(seconds), b:settimeout(seconds), fixtures.closing(a, b)
end

--- A listener, at a free port of this machine if no address is given.
function fixtures.listener(family, address, backlog)
  local l = assert(sock.socket(family))
  assert(l:bind(address or "127.0.0.1:0"))
  return assert(l:listen(backlog))
end

--- The two ends of a TCP connection, and what closes them.
function fixtures.connection(seconds)
  local l <close> = fixtures.listener()
  local a = assert(sock.socket())
  assert(a:settimeout(seconds):connect(l:getsockname()))
  local b = assert(l:accept())
  return a, b:settimeout(seconds), fixtures.closing(a, b)
end

--- Runs f as a task, and raises if it has not ended after a long time.
function fixtures.run(f, ...)
  local results = table.pack(sock.timeout(30, sock.run, f, ...))
  if results[3] == "ETIMEDOUT" then
    error("it hangs", 2)
  end
  return table.unpack(results, 1, results.n)
end

--- Keeps the processor for so long.
function fixtures.busy(seconds)
  local stop = sock.now() + seconds
  repeat until sock.now() >= stop
end

--- Lets all tasks run until they wait.
function fixtures.settle()
  for _ = 1, 5 do
    sock.sleep(0)
  end
end

--- The keys of a table, in order.
function fixtures.sorted(map)
  local names = {}
  for name in pairs(map) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- What `f` gives in a task, and outside tasks: both must be the same.
function fixtures.everywhere(f)
  local outside = table.pack(f())
  local inside = table.pack(sock.run(f))
  assert.same(outside, inside)
  return table.unpack(outside, 1, outside.n)
end

--- A task of a scope that waits for ever, and a list that tells its end.
function fixtures.forever(scope, log)
  return scope:spawn(function()
    local _ <close> = setmetatable({}, { __close = function(_, err)
      pcall(sock.sleep, 0)
      log[#log + 1] = tostring(err)
    end })
    sock.channel():get()
  end)
end

--- An error is raised that says all of the given texts.
function fixtures.raises(call, ...)
  local ok, message = pcall(call)
  assert.is_false(ok)
  for _, text in ipairs { ... } do
    assert.truthy(message:find(text, 1, true), message)
  end
end

--- Expects nil, message and code.
function fixtures.fails(message, code, ...)
  assert.same({ nil, message, code, n = 3 }, table.pack(...))
end

return fixtures
