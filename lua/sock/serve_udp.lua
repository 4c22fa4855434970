--- sock.serve_udp: a task for each datagram.

local core = require "sock.core"
local listen = require "sock.listen"
local server = require "sock.server"
local settings = require "sock.settings"

local M = {}

--- The options of its own, beside those of sockets.
local own <const> = { timeout = "number", maxtasks = "number", onerror = "function" }

local MAXTASKS <const> = 256
local PAUSE <const> = 0.05 -- seconds, where the system has no memory

--- What recvfrom says when the socket is no more.
local over <const> = { EBADF = true, ENOTSOCK = true }

--- What it says when there was nothing to be had just now: a pause helps.
local short <const> = { ENOBUFS = true, ENOMEM = true }

--- The life of a datagram: its task's function.
local function answer(self, data, from, socket)
  local task = core.task()
  server.enter(self, task, true)
  local ok, failure = xpcall(self.handler, server.explain, data, from, socket)
  server.leave(self, task)
  if not ok then
    pcall(server.fail, self, failure, socket)
  end
  server.exit(self, task)
end

--- Takes datagrams in while there is room; more wait in the kernel. Other
-- failures are news of what was sent before (ICMP), told once.
local function read(self, socket)
  while not self.stopping and core.type(socket) == "socket" do
    if self.open >= self.maxtasks then
      server.wait(self)
    else
      local data, from, code = socket:recvfrom()
      if data then
        server.work(answer, self, data, from, socket)
      elseif code == nil or over[code] then
        return
      elseif code == "ETIMEDOUT" then -- it may be set to 0
        core.wait(socket, "r")
      elseif short[code] then
        server.wait(self, PAUSE)
      end
    end
  end
end

local function bad(arg, text, ...)
  error(("bad argument #%d to 'serve_udp' (%s)"):format(arg, text:format(...)), 3)
end

--- sock.serve_udp(ADDR, handler [, options]); types.lua says what it takes.
function M.serve_udp(a, b, c, d)
  local where, n, code = listen.read("serve_udp", 1, a, b, 2)
  if not where then
    return nil, n, code
  end
  local handler, options = b, c
  if n == 2 then
    handler, options = c, d
  end
  if type(handler) ~= "function" then
    bad(n + 1, "function expected, got %s", handler == nil and "no value" or type(handler))
  end
  local mine, sockets = settings.split("serve_udp", n + 2, options, own, 2)
  local max = mine.maxtasks or MAXTASKS
  if not (max >= 1 and max % 1 == 0 or max == math.huge) then
    bad(n + 2, "option 'maxtasks' must be at least 1, and whole")
  end
  local socket, message
  socket, message, code = listen.open("serve_udp", where,
    { type = "dgram", timeout = mine.timeout }, sockets)
  if not socket then
    return nil, message, code
  end
  local self = server.new({ socket }, { handler = handler, onerror = mine.onerror,
    maxtasks = max })
  server.start(self, read)
  return self
end

return M
