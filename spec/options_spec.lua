--- Socket options by name: what each reads and takes, and that what was set
-- is what is read. The names are the system's, so the walk below asks
-- sock.options() and needs to know of each name how it behaves.

local sock = require "sock"

local linux = assert(io.open("/proc/version")):read("a"):find("Linux", 1, true)

--- An error is raised that says all of the given texts.
local function raises(call, ...)
  local ok, message = pcall(call)
  assert.is_false(ok)
  for _, text in ipairs { ... } do
    assert.truthy(message:find(text, 1, true), message)
  end
end

--- Expects nil, message and code.
local function fails(message, code, ...)
  assert.same({ nil, message, code, n = 3 }, table.pack(...))
end

local function set(list)
  local found = {}
  for name in list:gmatch("%S+") do
    found[name] = true
  end
  return found
end

local has = {}
for _, name in ipairs(sock.options()) do
  has[name] = true
end

-- Where options are tried; the rest are a TCP socket's.
local homes = {
  { "^ip_hdrincl", "inet", "raw", 255 },
  { "^ip_nodefrag", "inet", "raw", 255 },
  { "^ip_router_alert", "inet", "raw", 253 }, -- "for experiments"
  { "^ipv6_router_alert", "inet6", "raw", 255 },
  { "^ip_", "inet", "dgram" },
  { "^ipv6_", "inet6", "dgram" },
  { "^mcast_", "inet", "dgram" },
  { "^udp_", "inet", "dgram" },
  { "^netlink_", "netlink", "raw", 0 },
  { "^packet_", "packet", "raw", 0 },
  { "^vm_sockets_", "vsock", "stream" },
  { "^rcvmark", "inet", "dgram" },
  { "^pass", "unix", "dgram" },
  { "^peer", "unix", "dgram" },
}

--- A socket that suits the option; or nil, message, code.
local function home(name)
  for _, row in ipairs(homes) do
    if name:find(row[1]) then
      return sock.socket(row[2], row[3], row[4])
    end
  end
  return sock.socket("inet", "stream")
end

local readonly = set [[
  acceptconn cookie domain error incoming_napi_id ip_mtu peercred peersec
  protocol tcp_info type
]]

-- What these do cannot be read; each has its own specs below.
local writeonly = set [[
  ip_add_membership ip_drop_membership ip_add_source_membership
  ip_drop_source_membership ip_block_source ip_unblock_source
  ipv6_join_group ipv6_leave_group mcast_join_group mcast_leave_group
  mcast_join_source_group mcast_leave_source_group mcast_block_source
  mcast_unblock_source netlink_add_membership netlink_drop_membership
  packet_add_membership packet_drop_membership rcvbufforce sndbufforce
]]

-- What the kernel scales, so that another value may be read.
local scaled = set [[
  rcvbuf sndbuf
  tcp_window_clamp
  tcp_defer_accept
  vm_sockets_buffer_size
]]
-- rcvbuf, sndbuf: doubled, for the kernel's own bookkeeping.
-- tcp_window_clamp: raised to the least receive buffer.
-- tcp_defer_accept: rounded to a number of retransmissions.
-- vm_sockets_buffer_size: kept between its _min_size and _max_size.

-- What a fresh socket cannot set or read, and why.
local special = {
  sndlowat = "Linux does not let it be set",
  ipv6_mtu = "read on a connected socket only",
  ipv6_router_alert = "set as a number, read as whether there is one",
  packet_fanout = "needs a bound socket",
  tcp_ulp = "needs a connection and the protocol's module",
}

-- What may need a privilege (capabilities(7)) or a security module; to bind
-- to a device is free, to change it is not.
local privileged = set [[
  bindtodevice bindtoifindex busy_poll debug ip_transparent ipv6_transparent mark
  netlink_listen_all_nsid peersec prefer_busy_poll priority rcvmark
]]

-- Values to try; a boolean option is tried with both, and without a row
-- here the value that a socket begins with and the next are.
local values = {
  bindtodevice = { "lo", "", 1 },
  bindtoifindex = { "lo", 1, 0 },
  busy_poll = { 0.00005, 0.0 },
  incoming_cpu = { 0 },
  ip_mtu_discover = { 0, 1, 2, 3 },
  ip_multicast_if = { "lo", 1, 0 },
  ip_tos = { 0x10, 0xb8 },
  ip_ttl = { 1, 64, 255 },
  ip_unicast_if = { "lo", 1, 0 },
  ipv6_mtu_discover = { 0, 1, 2, 3 },
  ipv6_multicast_hops = { 0, 1, 255 },
  ipv6_multicast_if = { "lo", 1, 0 },
  ipv6_unicast_if = { "lo", 1, 0 },
  linger = { 0, 5, false },
  mark = { 1, 0xffffffff, 0 },
  max_pacing_rate = { 1000000, math.huge },
  packet_version = { 0, 1, 2 },
  priority = { 0, 6 },
  tcp_congestion = { "reno" },
  tcp_keepidle = { 1, 7200 },
  tcp_notsent_lowat = { 1, 0xffffffff },
  tcp_tx_delay = { 0.25, 0.000001, 0.0 },
  tcp_user_timeout = { 0.3, 1.001, 30, 0 },
  timestamping = { 0, 8 },
  vm_sockets_connect_timeout = { 0.5, 3.0 },
}

local function candidates(name, now)
  if values[name] then
    return values[name]
  elseif type(now) == "boolean" then
    return { true, false }
  end
  return { now, now + 1 }
end

local function refusal(name, code)
  return privileged[name] and (code == "EPERM" or code == "EACCES" or code == "ENOPROTOOPT")
end

describe("sock.options", function()
  it("lists what this system has, sorted, each once", function()
    local list = sock.options()
    assert.is_true(#list > 30)
    for i = 2, #list do
      assert.is_true(list[i - 1] < list[i])
    end
  end)

  it("gives a fresh table each time", function()
    sock.options()[1] = nil
    assert.truthy(sock.options()[1])
  end)

  it("lists what every system has", function()
    for name in
      pairs(set [[
        reuseaddr keepalive broadcast linger rcvbuf sndbuf error type
        acceptconn oobinline dontroute tcp_nodelay ip_ttl ip_tos
        ip_multicast_ttl ip_multicast_loop ip_multicast_if ip_add_membership
        ip_drop_membership ip_add_source_membership ipv6_v6only
        ipv6_unicast_hops ipv6_multicast_hops ipv6_join_group
        ipv6_leave_group
      ]])
    do
      assert.is_true(has[name], name)
    end
  end)

  if linux then
    it("lists what Linux has", function()
      for name in
        pairs(set [[
          reuseport domain protocol bindtodevice mark priority incoming_cpu
          timestamp timestampns passcred peercred busy_poll rcvbufforce
          sndbufforce rxq_ovfl tcp_keepidle tcp_keepintvl tcp_keepcnt
          tcp_user_timeout tcp_defer_accept tcp_fastopen
          tcp_fastopen_connect tcp_quickack tcp_cork tcp_congestion tcp_info
          tcp_maxseg tcp_linger2 tcp_syncnt tcp_window_clamp
          tcp_notsent_lowat tcp_ulp ip_pktinfo ip_recverr ip_recvttl
          ip_recvtos ip_freebind ip_transparent ip_mtu ip_mtu_discover
          ip_bind_address_no_port ip_minttl ip_multicast_all ip_hdrincl
          ip_drop_source_membership ip_block_source ip_unblock_source
          ipv6_recvpktinfo ipv6_recverr ipv6_recvhoplimit ipv6_tclass
          ipv6_recvtclass ipv6_mtu ipv6_mtu_discover ipv6_transparent
          ipv6_freebind udp_segment udp_gro udp_cork
        ]])
      do
        assert.is_true(has[name], name)
      end
    end)
  end

  it("leaves out what settimeout is for", function()
    assert.is_nil(has.rcvtimeo)
    assert.is_nil(has.sndtimeo)
  end)
end)

describe("each option", function()
  for name in pairs(has) do
    if readonly[name] then
      it(name .. " is read-only", function()
        local s <close> = assert(home(name))
        raises(function()
          s:setsockopt(name, 1)
        end, name, "read-only", "bad argument #1")
      end)
    elseif writeonly[name] then
      it(name .. " is write-only", function()
        local s <close> = sock.socket()
        raises(function()
          s:getsockopt(name)
        end, name, "write-only", "bad argument #1")
      end)
    elseif not special[name] then
      it(name .. " reads as it was set", function()
        local s <close> = home(name)
        if not s then
          return -- the system has no such socket, or not for us
        end
        local now, message = s:getsockopt(name)
        assert.truthy(now ~= nil, message)
        for _, value in ipairs(candidates(name, now)) do
          local done, why, code = s:setsockopt(name, value)
          if not refusal(name, code) then
            assert.equal(s, done, why)
            local read = s:getsockopt(name)
            assert.equal(type(value), type(read))
            if not scaled[name] then
              assert.equal(value, read)
            end
          end
        end
      end)
    end
  end
end)

describe("s:getsockopt", function()
  it("reads type and domain as sock.socket takes them", function()
    for _, family in ipairs { "inet", "unix" } do
      for _, kind in ipairs { "stream", "dgram" } do
        local s <close> = assert(sock.socket(family, kind))
        assert.equal(kind, s:getsockopt("type"))
        assert.equal(family, s:getsockopt("domain"))
      end
    end
  end)

  it("reads whether a socket listens", function()
    local s <close> = sock.socket()
    assert.is_false(s:getsockopt("acceptconn"))
    assert(s:bind("127.0.0.1", 0):listen())
    assert.is_true(s:getsockopt("acceptconn"))
  end)

  it("reads a pending error as its code, once", function()
    local closed <close> = sock.socket("inet", "dgram")
    assert(closed:bind("127.0.0.1", 0))
    local s <close> = sock.socket("inet", "dgram")
    assert(s:connect(closed:getsockname()))
    assert.is_false(s:getsockopt("error"))
    closed:close()
    s:send("x") -- the answer is an ICMP message, at once on loopback
    assert.equal("ECONNREFUSED", s:getsockopt("error"))
    assert.is_false(s:getsockopt("error"))
  end)

  it("reads who is at the other end of a Unix socket", function()
    local a <close>, b = sock.socketpair()
    local _ <close> = b
    local peer = a:getsockopt("peercred")
    assert.is_true(peer.pid > 0)
    assert.same(peer, b:getsockopt("peercred"))
    assert.equal("integer", math.type(peer.uid))
    assert.equal("integer", math.type(peer.gid))
  end)

  it("answers what the kernel refuses with the option's name", function()
    local a <close>, b = sock.socketpair()
    local _ <close> = b
    fails("getsockopt tcp_maxseg: Operation not supported", "EOPNOTSUPP",
      a:getsockopt("tcp_maxseg"))
    fails("setsockopt tcp_nodelay: Operation not supported", "EOPNOTSUPP",
      b:setsockopt("tcp_nodelay", true))
    local s <close> = sock.socket("inet", "dgram")
    fails("setsockopt tcp_nodelay: Protocol not available", "ENOPROTOOPT",
      s:setsockopt("tcp_nodelay", true))
    fails("getsockopt ip_mtu: Transport endpoint is not connected", "ENOTCONN",
      s:getsockopt("ip_mtu"))
  end)

  it("reads the path's MTU of a connected socket", function()
    local s <close> = sock.socket("inet", "dgram")
    assert(s:connect("127.0.0.1", 9))
    assert.is_true(s:getsockopt("ip_mtu") >= 576)
  end)
end)

describe("tcp_info", function()
  local function pair()
    local listener <close> = sock.socket()
    assert(listener:bind("127.0.0.1", 0):listen())
    local a = sock.socket()
    assert(a:connect(listener:getsockname()))
    local b = assert(listener:accept())
    return a, b
  end

  it("names the state", function()
    local s <close> = sock.socket()
    assert.equal("CLOSE", s:getsockopt("tcp_info").state)
    assert(s:bind("127.0.0.1", 0):listen())
    assert.equal("LISTEN", s:getsockopt("tcp_info").state)
    local a <close>, b = pair()
    local _ <close> = b
    assert.equal("ESTABLISHED", a:getsockopt("tcp_info").state)
    b:close()
    assert.is_nil((a:recv(1)))
    assert.equal("CLOSE_WAIT", a:getsockopt("tcp_info").state)
  end)

  it("counts bytes and segments", function()
    local a <close>, b = pair()
    local _ <close> = b
    assert.equal(1000, a:send(("x"):rep(1000)))
    assert.equal(1000, #b:recv(1000))
    local info = b:getsockopt("tcp_info")
    assert.equal(1000, info.bytes_received)
    assert.equal(1, info.data_segs_in)
    assert.equal(1000, a:getsockopt("tcp_info").bytes_sent)
  end)

  it("gives times in seconds", function()
    local a <close>, b = pair()
    local _ <close> = b
    a:send("x")
    b:recv(1)
    local info = a:getsockopt("tcp_info")
    assert.equal("float", math.type(info.rtt))
    assert.is_true(info.rtt > 0 and info.rtt < 1)
    assert.is_true(info.rto >= 0.001 and info.rto < 10)
    assert.is_true(info.min_rtt <= info.rtt * 10 and info.last_data_sent < 10)
  end)

  it("gives an unlimited rate as math.huge", function()
    local s <close> = sock.socket()
    assert.equal(math.huge, s:getsockopt("tcp_info").max_pacing_rate)
    assert(s:setsockopt("max_pacing_rate", 100000))
    assert.equal(100000, s:getsockopt("tcp_info").max_pacing_rate)
  end)
end)

describe("s:setsockopt", function()
  local s
  before_each(function()
    s = sock.socket()
  end)
  after_each(function()
    s:close()
  end)

  --- Setting it raises an error about the value.
  local function refuses(name, value, text)
    local ok, message = pcall(s.setsockopt, s, name, value)
    assert.is_false(ok)
    assert.truthy(message:find("bad argument #3", 1, true), message)
    assert.truthy(message:find(text, 1, true), message)
  end

  it("returns the socket", function()
    assert.equal(s, s:setsockopt("reuseaddr", true))
  end)

  it("takes only a boolean where the option is one", function()
    refuses("tcp_nodelay", 1, "boolean expected, got number")
    refuses("reuseaddr", "yes", "boolean expected, got string")
    refuses("keepalive", nil, "boolean expected, got nil")
    refuses("linger", true, "false or seconds expected")
  end)

  it("takes only whole numbers in range where the option is one", function()
    refuses("rcvbuf", true, "number expected, got boolean")
    refuses("rcvbuf", 1.5, "number has no integer representation")
    refuses("rcvbuf", 1 << 31, "number out of range")
    refuses("tcp_keepidle", 1.5, "number has no integer representation")
    refuses("linger", -1, "number out of range")
    refuses("linger", 0.5, "number has no integer representation")
    refuses("mark", -1, "number out of range")
    refuses("mark", 1 << 32, "number out of range")
    refuses("max_pacing_rate", -1, "number out of range")
  end)

  it("takes only times that there are", function()
    for _, time in ipairs { -1, -math.huge, 0 / 0, 1e300, math.huge } do
      refuses("tcp_user_timeout", time, "time out of range")
    end
    refuses("tcp_user_timeout", "soon", "number expected, got string")
  end)

  it("never makes a short time none", function()
    assert(s:setsockopt("tcp_user_timeout", 0.000001))
    assert.equal(0.001, s:getsockopt("tcp_user_timeout"))
  end)

  it("keeps fractions of a second where the kernel does", function()
    assert(s:setsockopt("tcp_user_timeout", 4.35))
    assert.equal(4.35, s:getsockopt("tcp_user_timeout"))
    assert.equal(4350, (string.unpack("i4", s:getsockopt(6, 18, 4))))
  end)

  it("takes only texts that can be a kernel's name", function()
    refuses("tcp_congestion", ("x"):rep(16), "text too long")
    refuses("tcp_congestion", ("x"):rep(1e7), "text too long")
    refuses("tcp_congestion", "reno\0", "text contains zeros")
    refuses("bindtodevice", "lo\0", "text contains zeros")
    refuses("bindtodevice", {}, "string expected, got table")
    fails("setsockopt tcp_congestion: No such file or directory", "ENOENT",
      s:setsockopt("tcp_congestion", "no such one"))
  end)

  it("takes an interface by name or index", function()
    local u <close> = sock.socket("inet", "dgram")
    assert(u:setsockopt("ip_multicast_if", "lo"))
    assert.equal("lo", u:getsockopt("ip_multicast_if"))
    assert(u:setsockopt("ip_multicast_if", 1))
    assert.equal(1, u:getsockopt("ip_multicast_if"))
  end)

  it("refuses an interface that is none, and keeps what was", function()
    local u <close> = sock.socket("inet", "dgram")
    assert(u:setsockopt("ip_multicast_if", "lo"))
    for _, name in ipairs { "nosuch", "", "lo\0", ("x"):rep(1e6) } do
      fails("setsockopt ip_multicast_if: No such device", "ENODEV",
        u:setsockopt("ip_multicast_if", name))
    end
    assert.is_nil((u:setsockopt("ip_multicast_if", 0x7fffffff)))
    assert.equal("lo", u:getsockopt("ip_multicast_if"))
    refuses("bindtodevice", 1.5, "interface out of range")
    refuses("bindtodevice", -1, "interface out of range")
    refuses("ip_multicast_if", true, "interface must be a name or an index")
  end)

  it("reads an interface that was set by its address", function()
    local u <close> = sock.socket("inet", "dgram")
    assert(u:setsockopt(0, 32, "\127\0\0\1")) -- IPPROTO_IP, IP_MULTICAST_IF
    assert.equal("lo", u:getsockopt("ip_multicast_if"))
  end)

  it("forces buffers past the limit where it may", function()
    local done, message, code = s:setsockopt("rcvbufforce", 65536)
    if done then
      assert.equal(131072, s:getsockopt("rcvbuf"))
    else
      assert.equal("setsockopt rcvbufforce: Operation not permitted", message)
      assert.equal("EPERM", code)
    end
  end)

  it("binds to a device", function()
    local a <close> = sock.socket("inet", "dgram")
    local b <close> = sock.socket("inet", "dgram")
    assert(b:setsockopt("bindtodevice", "lo"))
    assert(b:bind("127.0.0.1", 0))
    assert(a:sendto("here", b:getsockname()))
    b:settimeout(5)
    assert.equal("here", b:recv())
  end)

  it("is refused on a closed socket", function()
    s:close()
    raises(function()
      s:setsockopt("reuseaddr", true)
    end, "attempt to use a closed socket")
    raises(function()
      s:getsockopt("reuseaddr")
    end, "attempt to use a closed socket")
  end)

  it("survives a table that closes the socket while it is read", function()
    local trap = setmetatable({ interface = "lo" }, {
      __index = function()
        s:close()
        return "239.1.2.3"
      end,
    })
    local done, _, code = s:setsockopt("ip_add_membership", trap)
    assert.is_nil(done)
    assert.equal("EBADF", code)
  end)
end)

describe("an option's name", function()
  local function unknown(name, ...)
    local s <close> = sock.socket()
    local ok, message = pcall(s.setsockopt, s, name, true)
    assert.is_false(ok)
    assert.is_true(#message < 400)
    for _, text in ipairs { "bad argument #2", ... } do
      assert.truthy(message:find(text, 1, true), message)
    end
    assert.equal(message, select(2, pcall(s.getsockopt, s, name)))
    return message
  end

  it("is known, or near names are told", function()
    unknown("nodelay", "unknown option 'nodelay' (did you mean 'tcp_nodelay'?)")
    unknown("tcp_nodealy", "did you mean 'tcp_nodelay'?")
    unknown("reusaddr", "did you mean 'reuseaddr'?")
    unknown("SO_REUSEADDR", "did you mean 'reuseaddr'?")
    unknown("TCP_KEEPIDLE", "did you mean 'tcp_keepidle'?")
    unknown("add_membership", "did you mean 'ip_add_membership'")
  end)

  it("has no near ones when it is far from all", function()
    assert.is_nil(unknown("frobnicate", "unknown option 'frobnicate'"):find("mean"))
    assert.is_nil(unknown("", "unknown option ''"):find("mean"))
  end)

  it("may be of any length and contain anything", function()
    unknown(("x"):rep(10 * 1024 * 1024), "unknown option")
    unknown("tcp_nodelay\0", [[unknown option "tcp_nodelay\x00"]])
    unknown("\27[31m", [[unknown option "\x1B[31m"]])
    unknown("%s%n", "unknown option")
  end)

  it("may be one that only other systems have", function()
    if linux then
      unknown("nosigpipe", "this system has no option 'nosigpipe'")
    end
  end)

  it("is a text", function()
    local s <close> = sock.socket()
    raises(function()
      s:getsockopt({})
    end, "bad argument #1", "string expected, got table")
    raises(function()
      s:getsockopt()
    end, "string expected, got no value")
    raises(function()
      s:setsockopt("reuseaddr")
    end, "value expected")
  end)

  it("is not one of those that settimeout is for", function()
    unknown("rcvtimeo", "settimeout")
    unknown("sndtimeo", "settimeout")
  end)
end)

describe("a level and a number", function()
  local SOL_SOCKET <const>, SO_RCVBUF <const> = 1, 8

  it("read and set the kernel's bytes", function()
    local s <close> = sock.socket()
    assert.equal(s, s:setsockopt(SOL_SOCKET, SO_RCVBUF, string.pack("i4", 50000)))
    assert.equal(string.pack("i4", 100000), s:getsockopt(SOL_SOCKET, SO_RCVBUF, 4))
    assert.equal(100000, s:getsockopt("rcvbuf"))
  end)

  it("give as many bytes as the kernel has", function()
    local s <close> = sock.socket()
    assert.equal("", s:getsockopt(SOL_SOCKET, SO_RCVBUF, 0))
    assert.equal(4, #s:getsockopt(SOL_SOCKET, SO_RCVBUF, 65536))
  end)

  it("are told in a failure", function()
    local s <close> = sock.socket()
    fails("getsockopt 1 9999: Protocol not available", "ENOPROTOOPT",
      s:getsockopt(SOL_SOCKET, 9999, 4))
    fails("setsockopt 1 9999: Protocol not available", "ENOPROTOOPT",
      s:setsockopt(SOL_SOCKET, 9999, "\0\0\0\0"))
    fails("setsockopt 1 8: Invalid argument", "EINVAL", s:setsockopt(SOL_SOCKET, SO_RCVBUF, ""))
  end)

  it("are numbers in range, and so is the size", function()
    local s <close> = sock.socket()
    local function refuses(text, method, ...)
      local ok, message = pcall(s[method], s, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    refuses("bad argument #2", "getsockopt", 1 << 31, 8, 4)
    refuses("bad argument #2", "getsockopt", 1.5, 8, 4)
    refuses("bad argument #3", "getsockopt", 1, 1 << 40, 4)
    refuses("bad argument #3", "getsockopt", 1)
    refuses("bad argument #4", "getsockopt", 1, 8)
    refuses("bad argument #4", "getsockopt", 1, 8, -1)
    refuses("bad argument #4", "getsockopt", 1, 8, 65537)
    refuses("bad argument #4", "setsockopt", 1, 8)
    refuses("bad argument #4", "setsockopt", 1, 8, ("x"):rep(65537))
  end)
end)

describe("a membership", function()
  -- 239/8 is for one site, 232/8 for memberships with a source.
  local group <const>, ssm <const> = "239.255.77.77", "232.77.77.77"

  local receiver, sender
  before_each(function()
    receiver = assert(sock.socket("inet", "dgram"))
    assert(receiver:setsockopt("ip_multicast_all", false))
    assert(receiver:bind("0.0.0.0", 0))
    receiver:settimeout(5)
    sender = assert(sock.socket("inet", "dgram"))
    assert(sender:bind("127.0.0.1", 0)) -- else the source is another interface's
    assert(sender:setsockopt("ip_multicast_if", "lo"))
  end)
  after_each(function()
    receiver:close()
    sender:close()
  end)

  local function send(data, to)
    assert(sender:sendto(data, to, receiver:getsockname().port))
  end

  --- Loopback delivers before sendto returns, so what did not arrive won't.
  local function arrived()
    receiver:settimeout(0)
    return (receiver:recv())
  end

  it("receives what is sent to the group until it is dropped", function()
    local joined = { group = group, interface = "lo" }
    assert.equal(receiver, receiver:setsockopt("ip_add_membership", joined))
    send("one", group)
    assert.equal("one", receiver:recv())
    assert.equal(receiver, receiver:setsockopt("ip_drop_membership", joined))
    send("two", group)
    assert.is_nil(arrived())
  end)

  it("takes an address as group and an index as interface", function()
    local joined = { group = sock.address(group, 0), interface = 1 }
    assert(receiver:setsockopt("ip_add_membership", joined))
    send("one", group)
    assert.equal("one", receiver:recv())
  end)

  it("is held once", function()
    local joined = { group = group, interface = "lo" }
    assert(receiver:setsockopt("ip_add_membership", joined))
    fails("setsockopt ip_add_membership: Address already in use", "EADDRINUSE",
      receiver:setsockopt("ip_add_membership", joined))
    assert(receiver:setsockopt("ip_drop_membership", joined))
    fails("setsockopt ip_drop_membership: Cannot assign requested address", "EADDRNOTAVAIL",
      receiver:setsockopt("ip_drop_membership", joined))
  end)

  it("may be of one source", function()
    local from = { group = ssm, interface = "lo", source = "127.0.0.1" }
    local other = { group = ssm, interface = "lo", source = sock.address("127.0.0.2", 0) }
    assert(receiver:setsockopt("ip_add_source_membership", other))
    send("one", ssm)
    assert.is_nil(arrived())
    receiver:settimeout(5)
    assert(receiver:setsockopt("ip_add_source_membership", from))
    send("two", ssm)
    assert.equal("two", receiver:recv())
    assert(receiver:setsockopt("ip_drop_source_membership", from))
    send("three", ssm)
    assert.is_nil(arrived())
  end)

  it("may leave out a source", function()
    local but = { group = group, interface = "lo", source = "127.0.0.1" }
    assert(receiver:setsockopt("ip_add_membership", { group = group, interface = "lo" }))
    assert(receiver:setsockopt("ip_block_source", but))
    send("one", group)
    assert.is_nil(arrived())
    receiver:settimeout(5)
    assert(receiver:setsockopt("ip_unblock_source", but))
    send("two", group)
    assert.equal("two", receiver:recv())
  end)

  it("follows the group's family where the option does not say", function()
    assert(receiver:setsockopt("mcast_join_group", { group = group, interface = "lo" }))
    send("one", group)
    assert.equal("one", receiver:recv())
    assert(receiver:setsockopt("mcast_leave_group", { group = group, interface = "lo" }))
    send("two", group)
    assert.is_nil(arrived())
  end)

  it("of IPv6 takes the interface from the field or the scope", function()
    local s <close> = sock.socket("inet6", "dgram")
    if not s then
      return
    end
    local joined = { group = "ff02::7777", interface = "lo" }
    assert(s:setsockopt("ipv6_join_group", joined))
    fails("setsockopt mcast_join_group: Address already in use", "EADDRINUSE",
      s:setsockopt("mcast_join_group", { group = "ff02::7777%lo" }))
    assert(s:setsockopt("ipv6_leave_group", { group = sock.address("ff02::7777%lo", 0) }))
    assert(s:setsockopt("mcast_join_group", joined))
    assert(s:setsockopt("mcast_leave_group", joined))
  end)

  it("is refused when its fields are wrong", function()
    local function refuses(name, value, text)
      local ok, message = pcall(receiver.setsockopt, receiver, name, value)
      assert.is_false(ok)
      assert.truthy(message:find("bad argument #3", 1, true), message)
      assert.truthy(message:find(text, 1, true), message)
    end
    refuses("ip_add_membership", group, "table expected, got string")
    refuses("ip_add_membership", {}, "field 'group' must be an address or a numeric host")
    refuses("ip_add_membership", { group = 5 }, "field 'group'")
    refuses("ip_add_membership", { group = group, interface = {} },
      "field 'interface' must be a name or an index")
    refuses("ip_add_membership", { group = group, interface = -1 },
      "field 'interface' out of range")
    refuses("ip_add_membership", { group = group, iface = "lo" }, [[unknown field "iface"]])
    refuses("ip_add_membership", { group = group, source = "127.0.0.1" },
      [[unknown field "source"]])
    refuses("ip_add_source_membership", { group = ssm }, "field 'source'")
  end)

  it("is of a group that there is, on an interface that there is", function()
    local function join(code, value)
      assert.equal(code, select(3, receiver:setsockopt("ip_add_membership", value)))
    end
    join("EINVAL", { group = "localhost" })
    join("EINVAL", { group = group .. "\0" })
    join("EINVAL", { group = "10.0.0.1" })
    join("EAFNOSUPPORT", { group = "ff02::1" })
    join("EAFNOSUPPORT", { group = sock.address("unix:/tmp/x") })
    join("ENODEV", { group = group, interface = "nosuch" })
  end)

  if has.netlink_add_membership then
    it("of netlink is a number", function()
      local s <close> = assert(sock.socket("netlink", "raw", 0))
      assert.equal(s, s:setsockopt("netlink_add_membership", { group = 1 }))
      assert.equal(s, s:setsockopt("netlink_drop_membership", { group = 1 }))
      raises(function()
        s:setsockopt("netlink_add_membership", { group = "x" })
      end, "field 'group' must be a number")
    end)
  end

  if has.packet_add_membership then
    it("of a packet socket is a MAC address, or all there is", function()
      local s <close> = sock.socket("packet", "raw", 0)
      if not s then
        return -- needs CAP_NET_RAW
      end
      for _, which in ipairs { "promisc", "allmulti", "33:33:00:00:00:01" } do
        assert.equal(s, s:setsockopt("packet_add_membership", { group = which, interface = "lo" }))
        assert.equal(s, s:setsockopt("packet_drop_membership", { group = which, interface = "lo" }))
      end
      for _, which in ipairs { "", "x", "33:33", "33:33:00:00:00:01:02" } do
        fails("setsockopt packet_add_membership: Invalid argument", "EINVAL",
          s:setsockopt("packet_add_membership", { group = which, interface = "lo" }))
      end
    end)
  end
end)
