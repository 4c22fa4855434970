--- What specs of TCP begin with: both families, and connections over them.

local sock = require "sock"
local assert = require "luassert"
local closing = require("spec.support.fixtures").closing

local tcp = {}

tcp.families = {
  { family = "inet", name = "IPv4", host = "127.0.0.1", any = "0.0.0.0" },
  { family = "inet6", name = "IPv6", host = "::1", any = "::" },
}

--- A listener, limited to ten seconds.
function tcp.listener(at, backlog)
  local l = assert(sock.socket(at.family))
  l:settimeout(10)
  assert(l:bind(at.host, 0))
  assert(l:listen(backlog))
  return l
end

--- Two ends of a connection, and what closes them.
function tcp.connection(at)
  local l <close> = tcp.listener(at)
  local a = assert(sock.socket(at.family))
  assert(a:settimeout(10):connect(l:getsockname()))
  local b = assert(l:accept())
  return a, b:settimeout(10), closing(a, b)
end

--- Connects until the queue of a listener is full; the connection that has
-- no room is the last one.
function tcp.fillbacklog(l, at)
  local list = {}
  for i = 1, 10 do
    list[i] = assert(sock.socket(at.family))
    local ok, _, code = list[i]:settimeout(0.15):connect(l:getsockname())
    if not ok then
      assert.equal("ETIMEDOUT", code)
      return list
    end
  end
  error("the backlog has no end")
end

--- Everything up to the end of the stream.
function tcp.drain(s)
  local pieces = {}
  for piece in function() return s:recv() end do
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

return tcp
