--- sock: sockets for Lua 5.4.
-- This is the façade: what `require "sock"` returns, by name. The C core
-- gives the primitives; types.lua documents them.

local core = require "sock.core"

local sock = {}

for name, value in pairs(core) do
  sock[name] = value
end

return sock
