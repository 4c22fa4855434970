--- Proxies for specs of sock.connect: real ones, and scripts that misbehave.

local sock = require "sock"
local names = require "spec.support.names"
local assert = require "luassert"

local proxies = {}

--- A listener, and its port.
function proxies.listener(host)
  local l = assert(sock.socket(host and host:find(":") and "inet6" or "inet"))
  assert(l:bind(host or "127.0.0.1", 0):listen())
  return l, l:getsockname().port
end

--- Waits until a program listens.
function proxies.await(port)
  assert(sock.retry(function()
    local s = sock.connect("127.0.0.1", port)
    return s and s:close()
  end, { attempts = 100, first = 0.02, longest = 0.2 }))
  return port
end

--- Talks both ways over a connection to `l`.
function proxies.converse(l, s)
  local c <close> = assert(l:accept())
  s:write("to the target\n")
  assert.equal("to the target", c:read())
  c:write("and back\n")
  assert.equal("and back", s:read())
  c:close()
  assert.is_nil((s:read()))
end

--- Runs f with the port of a proxy that does as `script` says with each
-- connection, and all in it as tasks of one scope.
function proxies.with(script, f)
  local before = names.descriptors()
  local failed, why
  sock.scope(function(scope)
    local l <close>, port = proxies.listener()
    scope:spawn(function()
      while true do
        local c <close> = l:accept()
        script(c)
      end
    end)
    failed, why = pcall(f, port)
    scope:cancel()
  end)
  if not failed then
    error(why, 0)
  end
  assert.equal(before, names.descriptors())
end

--- A script that reads an HTTP head and gives `answer` to it.
function proxies.http(answer, request)
  return function(c)
    local head = c:readuntil("\r\n\r\n")
    if head and request then
      request(head)
    end
    c:write(answer)
    c:recv()
  end
end

proxies.DONE = "\5\0\0\1\0\0\0\0\0\0"
proxies.OK = "HTTP/1.1 200 Connection established\r\n\r\n"

return proxies
