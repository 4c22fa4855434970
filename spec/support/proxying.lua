--- What specs of the PROXY protocol share: the bytes of headers, and what
-- proxy.accept gives for them.

local sock = require "sock"
local proxy = require "sock.proxy"

local proxying = {}

proxying.SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"
proxying.OWN = sock.address("198.51.100.77:7") -- the peer that a socketpair has not

--- A header of version 2, its length as the block's if not given.
function proxying.v2(command, family, block, length)
  return proxying.SIGNATURE .. string.pack(">BBH", command, family, length or #block) .. block
end

proxying.inet = "\192\0\2\1\192\0\2\9" .. string.pack(">HH", 56324, 443)
proxying.inet6 = sock.inet_pton("2001:db8::1") .. sock.inet_pton("2001:db8::9")
  .. string.pack(">HH", 56324, 443)

--- The addresses of a header for Unix sockets.
function proxying.unix(from, to)
  return string.pack("c108c108", from, to)
end

--- What f raises, and where: luassert cuts that off.
function proxying.raised(f, ...)
  return tostring(select(2, pcall(f, ...)))
end

--- Two connected sockets, the second with a limit, and what closes them.
function proxying.ends()
  local a, b = assert(sock.socketpair())
  return a, b:settimeout(10), setmetatable({}, { __close = function()
    a:close()
    b:close()
  end })
end

--- What accept gives for a header that comes in these pieces; `after` may say
-- or look at more.
function proxying.given(pieces, after, trusted)
  local a, b, cleaner = proxying.ends()
  local _ <close> = cleaner
  local results
  sock.scope(function(scope)
    scope:spawn(function()
      results = table.pack(proxy.accept(b, proxying.OWN, trusted == nil or trusted))
    end)
    for _, piece in ipairs(pieces) do
      a:write(piece)
      sock.sleep(0)
      sock.sleep(0)
    end
    if after then
      after(a, b)
    end
  end)
  return table.unpack(results, 1, results.n)
end

return proxying
