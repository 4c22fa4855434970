--- sock: sockets for Lua 5.4.
-- This is the façade: what `require "sock"` returns, by name. The C core
-- gives the primitives; types.lua documents them.

local core = require "sock.core"
core.library((select(2, ...) or ""):match("^.*/") or "") -- what a program's own lines are not in

local connect = require "sock.connect"
local copy = require "sock.copy"
local help = require "sock.help"
local hexdump = require "sock.hexdump"
local listen = require "sock.listen"
local pcap = require "sock.pcap"
local pool = require "sock.pool"
local record = require "sock.record"
local replay = require "sock.replay"
local repl = require "sock.repl"
local retry = require "sock.retry"
local scope = require "sock.scope"
local serve = require "sock.serve"
local serve_udp = require "sock.serve_udp"
local server = require "sock.server"
local sockets = require "sock.sockets"
local udp = require "sock.udp"

require "sock.info" -- methods of sockets
require "sock.trace"

return {
  -- addresses and names
  address = core.address,
  portrange = core.portrange,
  inet_pton = core.inet_pton,
  inet_ntop = core.inet_ntop,
  getaddrinfo = core.getaddrinfo,
  getnameinfo = core.getnameinfo,
  getservbyname = core.getservbyname,
  getservbyport = core.getservbyport,
  getprotobyname = core.getprotobyname,
  gethostname = core.gethostname,
  interfaces = core.interfaces,
  if_nametoindex = core.if_nametoindex,
  if_indextoname = core.if_indextoname,

  -- sockets
  socket = core.socket,
  socketpair = core.socketpair,
  adopt = core.adopt,
  copy = copy.copy,
  relay = copy.relay,
  wait = core.wait,
  select = core.select,
  type = server.type,
  options = core.options,

  -- tasks
  spawn = core.spawn,
  run = scope.run,
  scope = scope.scope,
  sleep = core.sleep,
  now = core.now,
  task = core.task,
  tasks = sockets.tasks,
  timeout = core.timeout,
  channel = core.channel,
  signal = core.signal,
  onerror = core.onerror,
  step = core.step,
  pollfd = core.pollfd,
  deadline = core.deadline,
  cancelled = core.cancelled,
  coroutine = core.coroutine(),

  -- servers and clients
  pool = pool.pool,
  connect = connect.connect,
  listen = listen.listen,
  udp = udp.udp,
  serve = serve.serve,
  serve_udp = serve_udp.serve_udp,
  retry = retry.retry,

  -- at the prompt
  repl = repl.repl,
  hexdump = hexdump.hexdump,
  sockets = sockets.sockets,
  help = help.help,
  pcap = pcap.pcap,
  record = record.record,
  replay = replay.replay,
}
