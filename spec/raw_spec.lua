local sock = require "sock"
local peer = require "spec.support.peer"

local refusals = {
  EPERM = true, EACCES = true, EAFNOSUPPORT = true, EPROTONOSUPPORT = true,
  ESOCKTNOSUPPORT = true, ENODEV = true,
}

--- A socket, or the test is pending because the system refuses it.
local function socket(...)
  local s, message, code = sock.socket(...)
  if s then
    return s:settimeout(10)
  end
  assert.is_true(refusals[code], message)
  pending(message)
end

local function checksum(data)
  local sum = 0
  for i = 1, #data, 2 do
    sum = sum + (">I2"):unpack(data, i)
  end
  while sum > 0xffff do
    sum = (sum & 0xffff) + (sum >> 16)
  end
  return ~sum & 0xffff
end

local function echorequest(kind, id)
  local form = ">BBI2I2I2c8"
  local blank = form:pack(kind, 0, 0, id, 1, "sockspec")
  return form:pack(kind, 0, checksum(blank), id, 1, "sockspec")
end

--- Receives until the message `wanted` accepts.
local function await(s, wanted)
  for _ = 1, 1000 do
    local data, from = assert(s:recvfrom())
    local found = wanted(data, from)
    if found then
      return found, from
    end
  end
  error("a thousand other messages came")
end

describe("A raw socket", function()
  it("pings an IPv4 host", function()
    local s <close> = socket("inet", "raw", "icmp")
    local id = s:fd() + 1000
    assert.equal(16, s:sendto(echorequest(8, id), "127.0.0.1"))
    local payload, from = await(s, function(packet)
      local header = (packet:byte() & 15) * 4
      local kind, _, _, its, _, data = (">BBI2I2I2c8"):unpack(packet, header + 1)
      return kind == 0 and its == id and data -- an echo reply
    end)
    assert.equal("sockspec", payload)
    assert.equal(sock.address("127.0.0.1", 0), from)
  end)

  it("pings an IPv6 host", function()
    local s <close> = socket("inet6", "raw", "ipv6-icmp")
    local id = s:fd() + 1000
    assert.equal(16, s:sendto(echorequest(128, id), "::1"))
    local payload, from = await(s, function(packet)
      if #packet == 16 then
        local kind, _, _, its, _, data = (">BBI2I2I2c8"):unpack(packet)
        return kind == 129 and its == id and data
      end
    end)
    assert.equal("sockspec", payload)
    assert.equal("::1", from.host)
  end)

  it("sends to a connected peer", function()
    local s <close> = socket("inet", "raw", 253) -- a protocol for experiments
    local r <close> = socket("inet", "raw", 253)
    assert(r:bind("127.0.0.1"))
    assert(s:connect("127.0.0.1"))
    assert.equal(5, s:send("hello"))
    local packet = assert(r:recv())
    assert.equal("hello", packet:sub((packet:byte() & 15) * 4 + 1))
  end)

  it("cuts a packet longer than asked for and tells its true length", function()
    local s <close> = socket("inet6", "raw", 253)
    local r <close> = socket("inet6", "raw", 253)
    assert(r:bind("::1"))
    assert(s:sendto("0123456789", "::1"))
    local data, from, length = r:recvfrom(4)
    assert.same({ "0123", "::1", 10 }, { data, from.host, length })
  end)

  it("shows itself in tostring", function()
    local s <close> = socket("inet", "raw", "icmp")
    assert.matches("^raw ", tostring(s))
  end)
end)

describe("A packet socket", function()
  it("sees what passes an interface", function()
    local p <close> = socket("packet", "raw", 0x0800)
    assert(p:bind("packet:lo:2048"))
    assert.equal("lo", p:getsockname().host)
    local r <close> = assert(sock.socket("inet", "dgram"))
    assert(r:bind("127.0.0.1", 0))
    local port = r:getsockname().port
    assert(r:sendto("seen by a packet socket", "127.0.0.1", port))
    local frame, from = await(p, function(frame)
      return frame:find("seen by a packet socket", 1, true) and frame
    end)
    assert.equal("packet", from.family)
    assert.equal("lo", from.host)
    assert.equal(2048, from.protocol)
    local header = 14 + (frame:byte(15) & 15) * 4
    assert.equal(port, ((">I2"):unpack(frame, header + 3)))
  end)

  it("sends a frame of its own making", function()
    local s <close> = socket("packet", "dgram", 0)
    local r <close> = socket("packet", "dgram", 0x88b5) -- for experiments
    assert(r:bind("packet:lo:34997"))
    assert.equal(5, s:sendto("frame", "packet:lo:34997:00-00-00-00-00-00"))
    local data, from = r:recvfrom()
    assert.equal("frame", data)
    assert.equal(34997, from.protocol)
  end)
end)

describe("A netlink socket", function()
  local GETLINK, NEWLINK, DONE, ERROR = 18, 16, 3, 2

  local function request(kind, flags, body)
    return ("=I4I2I2I4I4"):pack(16 + #body, kind, flags, 77, 0) .. body
  end

  --- The messages in a datagram: kind and body.
  local function messages(data)
    local list, place = {}, 1
    while place < #data do
      local size, kind = ("=I4I2"):unpack(data, place)
      list[#list + 1] = { kind = kind, body = data:sub(place + 16, place + size - 1) }
      place = place + (size + 3 & ~3)
    end
    return list
  end

  it("answers RTM_GETLINK with the loopback", function()
    local s <close> = socket("netlink", "raw", 0)
    assert(s:bind("netlink:0:0"))
    assert.is_true(s:getsockname().pid > 0)
    local index = sock.if_nametoindex("lo")
    local info = ("=BBI2i4I4I4"):pack(0, 0, 0, index, 0, 0)
    assert(s:sendto(request(GETLINK, 1, info), "netlink:0:0"))
    local data, from = s:recvfrom()
    assert.equal(sock.address("netlink:0:0"), from)
    local answer = messages(data)[1]
    assert.equal(NEWLINK, answer.kind)
    assert.equal(index, (("=i4"):unpack(answer.body, 5)))
    assert.matches("lo\0", answer.body, 1, true)
  end)

  it("dumps every interface in datagrams, to a connected socket too", function()
    local s <close> = socket("netlink", "dgram", 0)
    assert(s:connect("netlink:0:0"))
    assert(s:send(request(GETLINK, 0x301, ("=BBI2i4I4I4"):pack(0, 0, 0, 0, 0, 0))))
    local found = {}
    local done = false
    for _ = 1, 1000 do
      for _, message in ipairs(messages(assert(s:recv()))) do
        done = done or message.kind == DONE
        if message.kind == NEWLINK then
          found[("=i4"):unpack(message.body, 5)] = true
        end
      end
      if done then
        break
      end
    end
    assert.is_true(done)
    for _, interface in ipairs(sock.interfaces()) do
      assert.is_true(found[interface.index])
    end
  end)

  it("hears why the kernel refuses", function()
    local s <close> = socket("netlink", "raw", 0)
    local info = ("=BBI2i4I4I4"):pack(0, 0, 0, 0x7ffffff0, 0, 0)
    assert(s:sendto(request(GETLINK, 1, info), "netlink:0:0"))
    local answer = messages(assert(s:recv()))[1]
    assert.equal(ERROR, answer.kind)
    assert.equal(-19, (("=i4"):unpack(answer.body))) -- ENODEV
  end)
end)

describe("A vsock socket", function()
  it("listens on a port of the kernel's choice", function()
    local l <close> = socket("vsock")
    assert(l:bind("vsock:4294967295:4294967295"))
    assert(l:listen())
    local address = l:getsockname()
    assert.equal("vsock", address.family)
    assert.is_true(address.port < 4294967295)
    assert.equal(address, sock.address(tostring(address)))
    assert.equal(tostring(address) .. " (listening)", tostring(l))
    local s <close> = socket("vsock")
    local _, _, code = s:bind(address)
    assert.equal("EADDRINUSE", code)
  end)

  it("talks within the machine", function()
    local l <close> = socket("vsock")
    assert(l:bind("vsock:4294967295:4294967295"))
    assert(l:listen())
    local a <close> = socket("vsock")
    -- whether the system can: what Python's connection to itself says
    local p <close> = peer.python([[
import socket
try:
    listener = socket.socket(socket.AF_VSOCK)
    listener.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
    listener.listen()
    s = socket.socket(socket.AF_VSOCK)
    s.settimeout(0.3)
    s.connect((1, listener.getsockname()[1]))
    print("connected")
except Exception as e:
    print(e)
]])
    local answer = p:rest()
    if answer ~= "connected\n" then
      return pending("no vsock loopback here: " .. answer)
    end
    assert.equal(a, a:connect("vsock:1:" .. l:getsockname().port))
    local b <close>, from = assert(l:accept())
    assert.equal(a:getsockname().port, from.port)
    assert(a:write("hello\n"))
    assert.equal("hello", b:read())
  end)

  it("says that nobody is there", function()
    local s <close> = socket("vsock")
    local start = peer.uptime()
    local ok, message, code = s:settimeout(0.05):connect("vsock:1:9")
    assert.is_nil(ok)
    assert.matches("^connect vsock:1:9: ", message)
    if code == "ETIMEDOUT" then
      assert.is_true(peer.uptime() - start >= 0.04)
    else
      assert.is_true(({ ECONNRESET = 1, ENETUNREACH = 1, ENODEV = 1 })[code] == 1)
    end
  end)
end)
