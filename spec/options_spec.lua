-- Socket options by name: what each reads and takes, and that what was set
-- is what is read. The names are the system's, so the walk below asks
-- sock.options() and needs to know of each name how it behaves.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local raises = fixtures.raises

local linux = assert(io.open("/proc/version")):read("a"):find("Linux", 1, true)

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
