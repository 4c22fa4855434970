--- The addresses of a name, as they come: RFC 8305, 3.
-- Both families are asked for in one question, whose answer is in the order of
-- RFC 6724 as the system's administrator has tuned it. Where that takes longer
-- than the Resolution Delay, IPv4 alone is asked for as well: name servers that
-- leave questions for IPv6 unanswered are known, and would cost many seconds.

local core = require "sock.core"

local DELAY = 0.05 -- seconds: RFC 8305, 8

--- A look-up, to be kept in a `<close>` variable: at its end nothing is left.
-- `open`: addresses may still come; `message` and `code`: why there are none.
-- @class sock.Lookup
local Lookup = {}
Lookup.__index = Lookup

function Lookup:__close()
  self.group:cancel()
  self.group:wait(true)
end

local M = {}

local function ask(self, family)
  local list, message, code = core.getaddrinfo(self.host, self.port,
    { family = family, type = self.type })
  self.answers:put { list = list, message = message, code = code, last = not family }
end

--- Begins to look up a sock.Target.
function M.begin(place, type)
  local self = setmetatable({
    host = place.host,
    port = place.port,
    type = type,
    open = true,
    answers = core.channel(2),
    group = core.group(),
  }, Lookup)
  self.group:spawn(ask, self)
  return self
end

local function take(self, answer)
  if answer.last then
    self.open, self.message, self.code = false, answer.message, answer.code
  end
  return answer.list
end

--- Waits for addresses.
-- @return a list; nothing where none will come any more
function Lookup:wait()
  while self.open do
    local answer = self.answers:get(not self.helped and DELAY or nil)
    local list = answer and take(self, answer)
    if list then
      return list
    elseif not answer then
      self.helped = true
      self.group:spawn(ask, self, "inet")
    end
  end
end

--- Those that have come meanwhile, if any.
function Lookup:poll()
  local answer = self.open and self.answers:get(0)
  return answer and take(self, answer)
end

return M
