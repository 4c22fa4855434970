--- A socket that is closed unless it is given away: what a `<close>` variable
-- holds while a socket is being made ready.

local Held = {}
Held.__index = Held

function Held:__close()
  if self.socket then
    self.socket:close()
  end
end

--- The socket, which is the caller's from now on.
function Held:give()
  local s = self.socket
  self.socket = nil
  return s
end

return function(socket)
  return setmetatable({ socket = socket }, Held)
end
