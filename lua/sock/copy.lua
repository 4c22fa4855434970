--- sock.copy and sock.relay: bytes from one end to the other.
-- The bytes themselves never come here: a copier (copy.c) moves them.

local core = require "sock.core"
local scope = require "sock.scope"

local M = {}

--- A copier, for sock.copy or sock.relay: what is wrong with the arguments is
-- raised where and as if that function had raised it.
local function open(what, from, to, count)
  local ok, copier, message, code = pcall(core.copier, from, to, count)
  if not ok then
    error((copier:gsub("^(bad argument #%d to )'[^']*'", "%1'" .. what .. "'")), 3)
  end
  return copier, message, code
end

--- Moves all there is to move. A pull that timed out while `other`, the
-- other way of a relay, was moving bytes is no silence.
local function move(copier, other)
  local more, message, code
  repeat
    local before = other and other:moved()
    more, message, code = copier:pull()
    if more then
      more, message, code = copier:push()
    elseif code == "ETIMEDOUT" and other and other:moved() ~= before then
      more = true
    end
  until not more
  if more == nil then
    return nil, message, code
  end
  return true
end

--- Moves bytes from one socket or Lua file to another, until the end.
-- @param count at most so many
-- @return how many; nil, message, code, how many on a failure
function M.copy(from, to, count)
  local copier <close>, message, code = open("copy", from, to, count)
  if not copier then
    return nil, message, code, 0
  end
  local ok
  ok, message, code = move(copier)
  if not ok then
    return nil, message, code, copier:moved()
  end
  return copier:moved()
end

--- Moves bytes both ways between two sockets, until both have ended; one
-- end's is told to the other.
-- @return bytes a→b, bytes b→a; nil, message, code and both on a failure
function M.relay(a, b)
  for i = 1, 2 do
    local kind = core.type(select(i, a, b))
    if kind ~= "socket" and kind ~= "closed socket" then
      error(("bad argument #%d to 'relay' (socket expected)"):format(i), 2)
    end
  end
  local there <close> = assert(open("relay", a, b))
  local back <close> = assert(open("relay", b, a))
  local failure
  scope.scope(function(s)
    local function way(copier, other, to)
      local ok, message, code = move(copier, other)
      if ok then
        to:shutdown("send")
      elseif not failure then
        failure = { message, code }
        s:cancel()
      end
    end
    s:spawn(way, there, back, b)
    way(back, there, a)
  end)
  if failure then
    return nil, failure[1], failure[2], there:moved(), back:moved()
  end
  return there:moved(), back:moved()
end

return M
