-- Memberships of multicast groups, as socket options.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local fails, raises = fixtures.fails, fixtures.raises

local has = {}
for _, name in ipairs(sock.options()) do
  has[name] = true
end

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
