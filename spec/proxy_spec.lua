local sock = require "sock"
local proxy = require "sock.proxy"
local crc32c = require "sock.proxy.crc32c"
local proxying = require "spec.support.proxying"
local OWN, ends, given, inet = proxying.OWN, proxying.ends, proxying.given, proxying.inet
local inet6, raised, unix, v2 = proxying.inet6, proxying.raised, proxying.unix, proxying.v2

local function tlv(kind, value)
  return string.pack(">Bs2", kind, value)
end

--- A header whose last TLV is its checksum.
local function summed(sum)
  local header = v2(0x21, 0x11, inet .. tlv(1, "h2") .. tlv(3, "\0\0\0\0"))
  return header:sub(1, -5) .. string.pack(">I4", sum or crc32c(header))
end

local valid = {
  { "PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n", "192.0.2.1:56324", "192.0.2.9:443" },
  { "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
    "255.255.255.255:65535" },
  { "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0" },
  { "PROXY TCP6 2001:db8::1 2001:DB8:0::9 56324 443\r\n", "[2001:db8::1]:56324",
    "[2001:db8::9]:443" },
  { "PROXY TCP6 " .. ("ffff:"):rep(7) .. "ffff " .. ("ffff:"):rep(7) .. "ffff 65535 65535\r\n",
    "[" .. ("ffff:"):rep(7) .. "ffff]:65535", "[" .. ("ffff:"):rep(7) .. "ffff]:65535" },
  { "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:209 1 2\r\n", "192.0.2.1:1", "192.0.2.9:2" },
  { "PROXY UNKNOWN\r\n" },
  { "PROXY UNKNOWN what ever, and \0 more\r\n" },
  { "PROXY UNKNOWN " .. ("x"):rep(91) .. "\r\n" },
  { v2(0x21, 0x11, inet), "192.0.2.1:56324", "192.0.2.9:443" },
  { v2(0x21, 0x12, inet), "192.0.2.1:56324", "192.0.2.9:443" },
  { v2(0x21, 0x21, inet6), "[2001:db8::1]:56324", "[2001:db8::9]:443" },
  { v2(0x21, 0x22, inet6), "[2001:db8::1]:56324", "[2001:db8::9]:443" },
  { v2(0x21, 0x21, sock.inet_pton("::ffff:192.0.2.1") .. sock.inet_pton("::1") .. "\0\1\0\2"),
    "192.0.2.1:1", "[::1]:2" },
  { v2(0x21, 0x31, unix("/run/a", "\0name")), "unix:/run/a", "unix:@name" },
  { v2(0x21, 0x32, unix("", ("p"):rep(108))), "unix:", "unix:" .. ("p"):rep(108) },
  { v2(0x21, 0x31, unix("@a\0left over", "/b")), "unix:./@a", "unix:/b" },
  { v2(0x21, 0x11, inet .. tlv(4, "") .. tlv(0xEE, ("x"):rep(300))), "192.0.2.1:56324",
    "192.0.2.9:443" },
  { summed(), "192.0.2.1:56324", "192.0.2.9:443" },
  { v2(0x20, 0, "") },
  { v2(0x20, 0x11, inet) },
  { v2(0x20, 0xFF, "any family, any block") },
  { v2(0x21, 0, "what is unspecified is skipped") },
  { v2(0x21, 0x01, "so is this") },
  { v2(0x21, 0x10, inet) },
}

local hosts = "192.0.2.1 192.0.2.9 "
local malformed = {
  -- how it begins
  "GET / HTTP/1.0\r\n\r\n", "proxy TCP4 " .. hosts .. "1 2\r\n", "\0", "\r\n\r\n\r\n",
  "PROXY\tTCP4 " .. hosts .. "1 2\r\n", "PROXY  TCP4 " .. hosts .. "1 2\r\n",
  " PROXY TCP4 " .. hosts .. "1 2\r\n", "PROXYTCP4", "PROXY \r\n", "PROXY\r\n",
  "PROXY UNKNOW\r\n", "PROXY UNKNOWNX\r\n", "PROXY TCP5 ::1 ::1 1 2\r\n",
  "PROXY UDP4 " .. hosts .. "1 2\r\n", "PROXY TCP4\r\n", "PROXY tcp4 " .. hosts .. "1 2\r\n",
  -- its end
  "PROXY TCP4 " .. hosts .. "1 2\n", "PROXY TCP4 " .. hosts .. "1 2\rX",
  "PROXY TCP4 " .. hosts .. "1 2\r\r\n", "PROXY UNKNOWN\n", "PROXY UNKNOWN \rX\r\n",
  "PROXY UNKNOWN \nX\r\n", "PROXY UNKNOWN " .. ("x"):rep(92) .. "\r\n",
  "PROXY UNKNOWN " .. ("x"):rep(92), "PROXY TCP4 " .. ("1"):rep(2000),
  -- its fields
  "PROXY TCP4 \r\n", "PROXY TCP4 192.0.2.1\r\n", "PROXY TCP4 " .. hosts .. "\r\n",
  "PROXY TCP4 " .. hosts .. "1\r\n", "PROXY TCP4 " .. hosts .. "1 \r\n",
  "PROXY TCP4 " .. hosts .. "1 2 \r\n", "PROXY TCP4 " .. hosts .. "1 2 3\r\n",
  "PROXY TCP4  " .. hosts .. "1 2\r\n", "PROXY TCP4 " .. hosts .. " 1 2\r\n",
  "PROXY TCP4 " .. hosts .. "1  2\r\n", "PROXY TCP4 " .. hosts .. "1\t2\r\n",
  -- hosts
  "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 " .. hosts .. "1 2\r\n",
  "PROXY TCP4 192.0.2.1 ::1 1 2\r\n", "PROXY TCP6 ::1 192.0.2.9 1 2\r\n",
  "PROXY TCP4 192.0.2.01 192.0.2.9 1 2\r\n", "PROXY TCP4 192.0.2 192.0.2.9 1 2\r\n",
  "PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n", "PROXY TCP4 192.0.2.1.5 192.0.2.9 1 2\r\n",
  "PROXY TCP4 0xC0000201 192.0.2.9 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.+9 1 2\r\n",
  "PROXY TCP4 localhost localhost 1 2\r\n", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
  "PROXY TCP6 1::2::3 ::1 1 2\r\n", "PROXY TCP6 12345::1 ::1 1 2\r\n",
  "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n",
  "PROXY TCP6 [::1] ::1 1 2\r\n", "PROXY TCP4 192.0.2.1\0 192.0.2.9 1 2\r\n",
  -- ports
  "PROXY TCP4 " .. hosts .. "65536 2\r\n", "PROXY TCP4 " .. hosts .. "1 65536\r\n",
  "PROXY TCP4 " .. hosts .. "01 2\r\n", "PROXY TCP4 " .. hosts .. "1 00\r\n",
  "PROXY TCP4 " .. hosts .. "-1 2\r\n", "PROXY TCP4 " .. hosts .. "+1 2\r\n",
  "PROXY TCP4 " .. hosts .. "1.0 2\r\n", "PROXY TCP4 " .. hosts .. "0x1 2\r\n",
  "PROXY TCP4 " .. hosts .. "1e1 2\r\n", "PROXY TCP4 " .. hosts .. "http 2\r\n",
  "PROXY TCP4 " .. hosts .. "99999999999999999999 2\r\n", "PROXY TCP4 " .. hosts .. "1\0 2\r\n",
  -- version 2: version, command, family, transport
  v2(0x11, 0x11, inet), v2(0x31, 0x11, inet), v2(0x01, 0x11, inet), v2(0x22, 0x11, inet),
  v2(0x2F, 0x11, inet), v2(0x21, 0x13, inet), v2(0x21, 0x1F, inet), v2(0x21, 0x41, inet),
  v2(0x21, 0xF0, inet), v2(0x21, 0x03, inet),
  -- version 2: lengths
  v2(0x21, 0x11, ""), v2(0x21, 0x11, inet:sub(1, 11)), v2(0x21, 0x21, inet6:sub(1, 35)),
  v2(0x21, 0x31, ("x"):rep(215)), v2(0x21, 0x21, inet), v2(0x21, 0x31, inet6),
  v2(0x21, 0x11, inet, 0xFFFF), v2(0x20, 0x00, "", 0x4000), v2(0x21, 0x00, "", 16369),
  -- version 2: TLVs
  v2(0x21, 0x11, inet .. "\4"), v2(0x21, 0x11, inet .. "\4\0"), v2(0x21, 0x11, inet .. "\4\0\1"),
  v2(0x21, 0x11, inet .. tlv(4, "ab") .. "\4\255\255xx"), v2(0x21, 0x11, inet .. tlv(3, "abc")),
  v2(0x21, 0x11, inet .. tlv(3, "abcde")), v2(0x21, 0x11, inet .. tlv(3, "")), summed(0),
  summed(0xFFFFFFFF),
}

--- What tells one header from the others in a message.
local function shown(header)
  return ("%q"):format(#header > 130 and header:sub(1, 130) .. "…" or header)
end

--- Calls f with two pieces, cut at each place.
local function eachsplit(header, f)
  for at = 0, math.min(#header, 300) do
    f { header:sub(1, at), header:sub(at + 1) }
  end
end

describe("proxy.accept", function()
  it("gives the client's address and the one it connected to", function()
    for _, row in ipairs(valid) do
      local source, destination = given { row[1] }
      assert.equal(tostring(row[2] or OWN), tostring(source), shown(row[1]))
      if row[2] then
        assert.equal(row[3], tostring(destination), shown(row[1]))
        assert.equal("address", sock.type(destination))
      end
    end
  end)

  it("does so wherever the header is cut", function()
    for _, row in ipairs(valid) do
      eachsplit(row[1], function(pieces)
        assert.equal(tostring(row[2] or OWN), tostring((given(pieces))), shown(row[1]))
      end)
    end
  end)

  it("does so where it comes byte by byte", function()
    for _, row in ipairs(valid) do
      local pieces = {}
      for i = 1, #row[1] do
        pieces[i] = row[1]:sub(i, i)
      end
      assert.equal(tostring(row[2] or OWN), tostring((given(pieces))), shown(row[1]))
    end
  end)

  it("takes not one byte behind the header", function()
    for _, row in ipairs(valid) do
      local a, b, cleaner = ends()
      local _ <close> = cleaner
      a:write(row[1], "\r\nPROXY and so on")
      assert(proxy.accept(b, OWN, true))
      assert.equal(0, b:buffered()) -- the descriptor itself can be given away
      a:shutdown("send")
      assert.equal("\r\nPROXY and so on", b:read("a"), shown(row[1]))
    end
  end)

  it("takes a header that an earlier read has brought along", function()
    for _, row in ipairs(valid) do
      local a, b, cleaner = ends()
      local _ <close> = cleaner
      a:write("first\n", row[1], "last\n")
      assert.equal("first", b:read())
      assert.equal(tostring(row[2] or OWN), tostring((proxy.accept(b, OWN, true))))
      assert.equal("last", b:read())
    end
  end)

  it("takes one of 16 KiB, with its checksum", function()
    local header = v2(0x21, 0x11, inet .. tlv(4, ("n"):rep(16384 - 16 - 12 - 3 - 7))
      .. tlv(3, "\0\0\0\0"))
    header = header:sub(1, -5) .. string.pack(">I4", crc32c(header))
    assert.equal(16384, #header)
    assert.equal("192.0.2.1:56324", tostring((given { header:sub(1, 9000), header:sub(9001) })))
  end)

  it("refuses what is none, without waiting for more", function()
    for _, header in ipairs(malformed) do
      local source, message, code = given { header }
      assert.is_nil(source, shown(header))
      assert.equal("EPROTO", code, shown(header))
      assert.matches("^accept 198%.51%.100%.77:7: no PROXY header: .", message)
    end
  end)

  it("refuses it wherever it is cut", function()
    for _, header in ipairs(malformed) do
      eachsplit(header, function(pieces)
        assert.equal("EPROTO", select(3, given(pieces)), shown(header))
      end)
    end
  end)

  it("refuses a wrong byte anywhere in what tells the versions", function()
    for _, good in ipairs { "PROXY TCP4 " .. hosts .. "1 2\r\n", v2(0x21, 0x11, inet) } do
      for at = 1, good:sub(1, 1) == "P" and 11 or 13 do
        local bad = good:sub(1, at - 1) .. "~"
        assert.equal("EPROTO", select(3, given { bad }), shown(bad))
        eachsplit(bad, function(pieces)
          assert.equal("EPROTO", select(3, given(pieces)), shown(bad))
        end)
      end
    end
  end)

  it("refuses one that ends inside", function()
    for _, row in ipairs(valid) do
      for at = 1, math.min(#row[1] - 1, 250) do
        local source, message, code = given({ row[1]:sub(1, at) }, function(a)
          a:shutdown("send")
        end)
        assert.is_nil(source)
        assert.equal("EPROTO", code)
        assert.matches("it ended after " .. at .. " bytes$", message)
      end
    end
  end)

  it("sees the end of one that never began", function()
    assert.same({ n = 1 }, table.pack(given({}, function(a) a:shutdown("send") end)))
  end)

  it("waits no longer than it should for the rest of one", function()
    local cut = 0
    sock.scope(function(scope)
      for _, row in ipairs(valid) do
        for at = 0, #row[1] - 1, #row[1] > 100 and 17 or 1 do
          scope:spawn(function()
            local a, b, cleaner = ends()
            local _ <close> = cleaner
            a:write(row[1]:sub(1, at))
            local source, message, code = proxy.accept(b, OWN, true, 0.05)
            assert.is_nil(source)
            assert.equal("ETIMEDOUT", code)
            assert.equal("accept 198.51.100.77:7: PROXY header timed out", message)
            assert.equal(10, b:gettimeout())
            cut = cut + 1
          end)
        end
      end
    end)
    assert.truthy(cut > 300)
  end)

  it("limits the whole header, not each of its bytes", function()
    local a, b, cleaner = ends()
    local _ <close> = cleaner
    sock.scope(function(scope)
      local drip = scope:spawn(function()
        for byte in ("PROXY UNKNOWN " .. ("x"):rep(80)):gmatch(".") do
          a:write(byte)
          sock.sleep(0.005)
        end
      end)
      assert.equal("ETIMEDOUT", select(3, proxy.accept(b, OWN, true, 0.1)))
      drip:cancel()
    end)
  end)

  it("keeps to the connection's own limit where that is sooner", function()
    local _, b, cleaner = ends()
    local _ <close> = cleaner
    b:settimeout(0.01)
    assert.equal("ETIMEDOUT", select(3, proxy.accept(b, OWN, true)))
    assert.equal(0.01, b:gettimeout())
  end)

  it("needs no waiting where the header is there", function()
    local a, b, cleaner = ends()
    local _ <close> = cleaner
    a:write("PROXY UNKNOWN\r\n")
    assert.equal(OWN, (proxy.accept(b, OWN, true, 0)))
  end)

  it("tells a reset by its code", function()
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0):listen())
    local a = assert(sock.socket():connect(l:getsockname()))
    local b <close> = assert(l:accept())
    a:write("PROXY TC")
    a:setsockopt("linger", 0)
    a:close()
    assert.equal("ECONNRESET", select(3, proxy.accept(b, OWN, true)))
  end)

  it("can be cancelled", function()
    local a, b, cleaner = ends()
    local _ <close> = cleaner
    a:write("PROXY TC")
    local t = sock.spawn(proxy.accept, b, OWN, true)
    sock.sleep(0)
    t:cancel()
    assert.same({ nil, "cancelled", "ECANCELED" }, { t:join() })
    a:write("more")
    assert.equal("more", b:recv())
  end)

  it("survives any bytes", function()
    math.randomseed(7)
    for _ = 1, 3000 do
      local header = valid[math.random(#valid)][1]
      for _ = 1, math.random(3) do
        local at = math.random(#header)
        header = header:sub(1, at - 1) .. string.char(math.random(0, 255)) .. header:sub(at + 1)
      end
      local source, _, code = given({ header }, function(a) a:shutdown("send") end)
      assert.truthy(sock.type(source) == "address" or code == "EPROTO", shown(header))
    end
  end)
end)

describe("proxy.accept from a peer that is not trusted", function()
  it("gives its own address and leaves its bytes alone", function()
    local a, b, cleaner = ends()
    local _ <close> = cleaner
    local header = "PROXY TCP4 " .. hosts .. "1 2\r\n"
    a:write(header)
    assert.equal(OWN, (proxy.accept(b, OWN, { "10.0.0.0/8" })))
    assert.equal(header, b:recv())
  end)

  it("does not wait for it to speak", function()
    local _, b, cleaner = ends()
    local _ <close> = cleaner
    assert.equal(OWN, (proxy.accept(b, OWN, {})))
  end)

  it("wants a header from the others", function()
    assert.equal("EPROTO", select(3, given({ "GET /" }, nil, { "198.51.100.0/24" })))
  end)
end)

describe("proxy.networks", function()
  local function has(list, address)
    return proxy.networks(list):has(assert(sock.address(address)))
  end

  it("compares as many bits as each says", function()
    for bits = 0, 32 do
      local bytes = { 0xC0, 0xA8, 0x55, 0xAA }
      local network = "192.168.85.170/" .. bits
      assert.is_true(has({ network }, "192.168.85.170:1"), network)
      if bits > 0 then
        local at = (bits - 1) // 8 + 1
        bytes[at] = bytes[at] ~ (0x80 >> (bits - 1) % 8)
        assert.is_false(has({ network }, table.concat(bytes, ".") .. ":1"), network)
      end
      if bits < 32 then
        bytes = { 0xC0, 0xA8, 0x55, 0xAA }
        bytes[bits // 8 + 1] = bytes[bits // 8 + 1] ~ (0x80 >> bits % 8)
        assert.is_true(has({ network }, table.concat(bytes, ".") .. ":1"), network)
      end
    end
  end)

  it("takes hosts, IPv6, and the peers of Unix sockets", function()
    local list = { "127.0.0.1", "::1", "fd00::/8", "fe80::/10", "unix:" }
    for _, address in ipairs { "127.0.0.1:5", "[::1]:5", "[fd12::9]:5", "[fe80::5%lo]:1", "unix:",
      "unix:/x", "unix:@x" } do
      assert.is_true(has(list, address), address)
    end
    for _, address in ipairs { "127.0.0.2:5", "[::2]:5", "[fc00::1]:5", "netlink:0:1" } do
      assert.is_false(has(list, address), address)
    end
    assert.is_false(has({ "0.0.0.0/0", "::/0" }, "unix:/x"))
  end)

  it("sees an IPv4 host in an IPv6 address", function()
    assert.is_true(has({ "10.0.0.0/8" }, "[::ffff:10.1.2.3]:5"))
    assert.is_true(has({ "::ffff:10.0.0.0/104" }, "10.1.2.3:5"))
    assert.is_false(has({ "::/0" }, "10.1.2.3:5"))
    assert.is_false(has({ "10.0.0.0/8" }, "[::ffff:11.1.2.3]:5"))
  end)

  it("passes true, and what it has compiled", function()
    assert.is_true(proxy.networks(true))
    local list = proxy.networks { "::1" }
    assert.equal(list, proxy.networks(list))
  end)

  it("raises for what is none", function()
    for _, text in ipairs { "", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/8/8", "10/8",
      "10.0.0.0/-1", "10.0.0.0/0x8", "10.0.0.0/1e0", "localhost", "fe80::1%lo", "127.0.0.1:80",
      "unix:/x", "10.0.0.0/ 8" } do
      local message = raised(function() proxy.networks { text } end)
      assert.matches("^spec/proxy_spec.lua:%d+: network #1: .* is none$", message)
    end
    assert.error_matches(function() proxy.networks { "::1", 7 } end, "network #2: text expected")
    assert.error_matches(function() proxy.networks("::1") end, "list of networks expected")
  end)
end)
