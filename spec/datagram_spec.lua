-- Many datagrams in one call.

local sock = require "sock"
local peer = require "spec.support.peer"

local families = { { "inet", "127.0.0.1" }, { "inet6", "::1" } }

local function bound(family, host)
  local s = assert(sock.socket(family, "dgram"))
  s:settimeout(10)
  return assert(s:bind(host, 0))
end

local function pair(type)
  local a, b = assert(sock.socketpair(type or "dgram"))
  a:settimeout(10)
  b:settimeout(10)
  return a, b
end

-- The texts "1" … "n".
local function texts(n)
  local list = {}
  for i = 1, n do
    list[i] = tostring(i)
  end
  return list
end

local function connected()
  local a, b = bound("inet", "127.0.0.1"), bound("inet", "127.0.0.1")
  assert(a:connect(b:getsockname()))
  assert(b:connect(a:getsockname()))
  return a, b
end

for _, case in ipairs(families) do
  local family, host = case[1], case[2]
  describe("sendmany over " .. family, function()
    it("sends each with its address", function()
      local s <close> = bound(family, host)
      local one <close> = bound(family, host)
      local two <close> = bound(family, host)
      assert.equal(3, s:sendmany { { "a", one:getsockname() }, { "b", two:getsockname() },
        { "c", tostring(one:getsockname()) } })
      assert.same({ { "a", "c" }, { s:getsockname(), s:getsockname() } }, { one:recvmany() })
      assert.same({ { "b" }, { s:getsockname() } }, { two:recvmany() })
    end)

    it("sends more than one system call takes", function()
      local s <close> = bound(family, host)
      local r <close> = bound(family, host)
      assert(s:connect(r:getsockname()))
      local list = texts(200)
      assert.equal(200, s:sendmany(list))
      assert.same(list, (r:recvmany(200, 10)))
    end)
  end)

  describe("recvmany over " .. family, function()
    it("takes what is there, up to the count", function()
      local s <close> = bound(family, host)
      local r <close> = bound(family, host)
      assert(s:connect(r:getsockname()))
      assert(s:sendmany(texts(5)))
      local data, from, cut = r:recvmany(3)
      assert.same({ "1", "2", "3" }, data)
      assert.same({ s:getsockname(), s:getsockname(), s:getsockname() }, from)
      assert.is_nil(cut)
      assert.same({ "4", "5" }, (r:recvmany(3)))
    end)

    it("keeps many senders apart", function()
      local r <close> = bound(family, host)
      local a <close> = bound(family, host)
      local b <close> = bound(family, host)
      local to = r:getsockname()
      for _, s in ipairs { a, a, b, a } do
        assert(s:sendto("x", to))
      end
      local _, from = r:recvmany()
      assert.same({ a:getsockname(), a:getsockname(), b:getsockname(), a:getsockname() }, from)
    end)

    it("tells the true size of what it cut", function()
      local s <close> = bound(family, host)
      local r <close> = bound(family, host)
      assert(s:connect(r:getsockname()))
      assert(s:sendmany { "abcdef", "abc", "", "abcd" })
      assert.same({ { "abc", "abc", "", "abc" }, { [1] = 6, [4] = 4 } },
        (function(data, _, cut) return { data, cut } end)(r:recvmany(64, 3)))
    end)

    it("trades batches with another program", function()
      local echo <close> = peer.python([[
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
print("port", s.getsockname()[1])
while True:
    data, peer = s.recvfrom(100)
    s.sendto(data.upper(), peer)
]], host)
      local s <close> = bound(family, host)
      local to = sock.address(host, math.tointeger(echo:expect("port (%d+)")))
      assert.equal(2, s:sendmany { { "a", to }, { "b", to } })
      local all = {}
      while #all < 2 do
        local data, from = assert(s:recvmany())
        table.move(data, 1, #data, #all + 1, all)
        assert.equal(to, from[1])
      end
      assert.same({ "A", "B" }, all)
    end)
  end)
end

describe("sendmany", function()
  it("sends nothing for an empty list", function()
    local s <close> = bound("inet", "127.0.0.1")
    assert.equal(0, s:sendmany {})
  end)

  it("names the element that cannot be sent, and sends none", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert.error_matches(function() a:sendmany { "x", {} } end, "#1.*element 2 has no address")
    assert.error_matches(function() a:sendmany { "x", 7 } end, "element 2 has no text")
    assert.error_matches(function() a:sendmany { { "x", "nowhere" } } end,
      "element 1 has no address")
    assert.error_matches(function() a:sendmany("x") end, "table expected")
    b:settimeout(0)
    assert.equal("ETIMEDOUT", select(3, b:recvmany()))
  end)

  it("tells what failed if nothing went", function()
    local s <close> = bound("inet", "127.0.0.1")
    local sent, message, code = s:sendmany { { "x", sock.address("[::1]:9") }, "y" }
    assert.is_nil(sent)
    assert.matches("^sendmany %[::1%]:9: ", message)
    assert.equal("EAFNOSUPPORT", code)
    assert.equal("EDESTADDRREQ", select(3, s:sendmany { "x" }))
  end)

  it("answers how many went before a failure", function()
    local a <close>, b_ = connected()
    local b <close> = b_
    assert.equal(2, a:sendmany { "x", "y", ("z"):rep(70000), "w" })
    assert.same({ "x", "y" }, (b:recvmany()))
    assert.equal(1, a:sendmany { "x", { "y", sock.address("[::1]:9") } })
  end)

  it("answers how many went before the kernel had no more room", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local list = texts(10000)
    local sent = a:sendmany(list)
    assert.is_true(sent > 0 and sent < #list)
    a:settimeout(0)
    assert.equal("ETIMEDOUT", select(3, a:sendmany { "late" }))
    assert.equal("1", b:recvmany(1)[1])
  end)

  it("waits until the first can go", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local sent = a:sendmany(texts(10000))
    local task = sock.spawn(function() return a:sendmany { "late", "later" } end)
    assert.equal("waiting", task:status())
    for _ = 1, sent do
      assert(b:recv())
    end
    local late = task:join()
    assert.is_true(late >= 1)
    assert.equal("late", b:recv())
  end)

  it("is refused on a stream", function()
    local a <close>, b_ = pair("stream")
    local b <close> = b_
    local _, message, code = a:sendmany { "x" }
    assert.matches("a stream has no datagrams", message)
    assert.equal("EOPNOTSUPP", code)
    assert.equal("EOPNOTSUPP", select(3, b:recvmany()))
  end)

  it("maps inet addresses on an inet6 socket", function()
    local s <close> = assert(sock.socket("inet6", "dgram"))
    assert(s:setsockopt("ipv6_v6only", false):bind("*", 0))
    local r <close> = bound("inet", "127.0.0.1")
    assert.equal(1, s:sendmany { { "x", r:getsockname() } })
    local data, from = r:recvmany()
    assert.same({ "x" }, data)
    assert(r:sendto("y", from[1]))
    assert.same({ { "y" }, { r:getsockname() } }, { s:settimeout(10):recvmany() })
  end)
end)

describe("recvmany", function()
  it("waits for at least one", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local task = sock.spawn(function() return b:recvmany() end)
    assert.equal("waiting", task:status())
    assert(a:send("x"))
    assert.same({ "x" }, (task:join()))
    b:settimeout(0.01)
    local data, message, code = b:recvmany()
    assert.is_nil(data)
    assert.matches("^recvmany .*timed out", message)
    assert.equal("ETIMEDOUT", code)
  end)

  it("ends as sequenced packets end", function()
    local a <close>, b_ = pair("seqpacket")
    local b <close> = b_
    assert(a:sendmany { "x", "y" })
    a:close()
    assert.same({ "x", "y" }, (b:recvmany()))
    assert.equal(1, select("#", b:recvmany()))
    assert.is_nil((b:recvmany()))
  end)

  it("takes empty datagrams as such", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert.equal(3, a:sendmany { "", "x", "" })
    assert.same({ "", "x", "" }, (b:recvmany()))
  end)

  it("names a sender without a name", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:send("x"))
    assert.same({ { "x" }, { sock.address("unix:") } }, { b:recvmany() })
  end)

  for _, type in ipairs { "dgram", "seqpacket" } do
    it("leaves no descriptor open that came with a message: " .. type, function()
      local a <close>, b_ = pair(type)
      local b <close> = b_
      local one, other = pair("stream")
      assert(a:sendmsg { data = "x", control = { fds = { one } } })
      assert.same({ "x" }, (b:recvmany()))
      one:close()
      assert.equal(1, select("#", other:settimeout(1):recv())) -- the end
      other:close()
    end)
  end

  it("raises for a count or size that is none", function()
    local a <close>, other = pair()
    local _ <close> = other
    assert.error_matches(function() a:recvmany(0) end, "#1.*count must be positive")
    assert.error_matches(function() a:recvmany(1, 0) end, "#2.*size must be positive")
  end)

  it("takes any count and size, with bounded memory", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    assert(a:sendmany(texts(3)))
    assert.same({ "1", "2", "3" }, (b:recvmany(math.maxinteger, 10)))
    assert(a:send("x"))
    assert.same({ "x" }, (b:recvmany(64, math.maxinteger)))
    assert(a:send(("x"):rep(100000)))
    assert.equal(100000, #b:recvmany(1, 200000)[1])
  end)

  it("may be called by a finalizer inside", function()
    local a <close>, b_ = pair()
    local b <close> = b_
    local c <close>, d_ = pair()
    local d <close> = d_
    local seen = 0
    for round = 1, 200 do
      assert(c:send("inner"))
      setmetatable({}, { __gc = function() seen = seen + #(d:recvmany(1) or {}) end })
      assert(a:sendmany(texts(20)))
      assert.same(texts(20), (b:recvmany()), "round " .. round)
    end
    collectgarbage()
    assert.equal(200, seen)
  end)
end)

describe("segmentation offload", function()
  local function offload(s, r)
    return s:setsockopt("udp_segment", 4) and r:setsockopt("udp_gro", true)
  end

  for _, case in ipairs(families) do
    local family, host = case[1], case[2]
    it("gives recvmany the datagrams that were sent over " .. family, function()
      local s <close> = bound(family, host)
      local r <close> = bound(family, host)
      assert(s:connect(r:getsockname()))
      if not offload(s, r) then
        return pending("no segmentation offload here")
      end
      assert(s:send("aaaabbbbcc"))
      local from = s:getsockname()
      assert.same({ { "aaaa", "bbbb", "cc" }, { from, from, from } }, { r:recvmany() })
    end)

    it("is told by recvmsg, and asked for in sendmsg, over " .. family, function()
      local s <close> = bound(family, host)
      local r <close> = bound(family, host)
      if not r:setsockopt("udp_gro", true) then
        return pending("no segmentation offload here")
      end
      assert.equal(9, s:sendmsg { data = "aaaabbbbc", to = r:getsockname(),
        control = { segment = 4 } })
      local m = assert(r:recvmsg())
      assert.same({ "aaaabbbbc", 4 }, { m.data, m.control.segment })
    end)
  end

  it("is seen behind all that the kernel can be asked to tell", function()
    local s <close>, r_ = connected()
    local r <close> = r_
    if not offload(s, r) then
      return pending("no segmentation offload here")
    end
    local told = { [35] = 1, [37] = 0x1a, [40] = 1, [75] = 1, [82] = 1 }
    for number, value in pairs(told) do -- SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_RXQ_OVFL …
      r:setsockopt(1, number, string.pack("i4", value))
    end
    assert(s:send("aaaabbbbcc"))
    assert.same({ "aaaa", "bbbb", "cc" }, (r:recvmany()))
  end)

  it("tells what recvmany cut of it", function()
    local s <close>, r_ = connected()
    local r <close> = r_
    if not offload(s, r) then
      return pending("no segmentation offload here")
    end
    assert(s:send("aaaabbbbcc"))
    local data, _, cut = r:recvmany(64, 6)
    assert.same({ { "aaaa", "bb", "" }, { [2] = 4, [3] = 2 } }, { data, cut })
  end)
end)
