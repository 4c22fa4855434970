-- Texts that are no addresses, and what takes them for one would connect to
-- somewhere else. Each is refused with a clear message by whatever reads an
-- address, before anything reaches the kernel.

local sock = require "sock"

local huge <const> = 10 << 20

-- One text with host and port.
local texts = {
  "", ":", "::", ":80", "127.0.0.1", "::1", "[::1]", "[::1", "[::1:80", "::1]:80", "[]:80",
  "127.1:80", "127.0.1:80", "2130706433:80", "0x7f.1:80", "0x7f000001:80", "0x7f.0.0.1:80",
  "0177.0.0.01:80", "1.2.3.4.5:80", "1.2.3.4.:80", "256.0.0.1:80", "1.2.3.4 :80", " 1.2.3.4:80",
  "1.2.3.4:99999", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+80", "1.2.3.4:80 ", "1.2.3.4: 80",
  "1.2.3.4:0x50", "1.2.3.4:8e1", "1.2.3.4:80.0", "1.2.3.4:", "1.2.3.4:80:80",
  "1.2.3.4:4294967376", "1.2.3.4:18446744073709551696",
  "::1%", "[::1%]:80", "[::1%%lo]:80", "[::1%lo%lo]:80", "[::1%nosuchinterface0]:80",
  "[::1%lo\0]:80", "[::1%0]:80", "[::1%-1]:80", "[::1%4294967297]:80", "127.0.0.1%lo:80",
  "[1.2.3.4]:80", "[localhost]:80", "[::1]80", "[::1]x:80", "[[::1]]:80", "[::1]:99999",
  "[:::]:80", "[1::2::3]:80", "[12345::]:80", "[::1.2.3]:80", "[::g]:80", "[::1\0]:80",
  "127.0.0.1\0:80", "127.0.0.1:80\0", "\000127.0.0.1:80", "127.0.0.1:8\0000", "\0", "\0:80",
  "localhost\0.example:80", "local host:80", "localhost\n:80", "-\27[31m:80", ".:80", "a..b:80",
  "\xff\xfe:80", "\xc0\xaf:80", "１２７.0.0.1:80", "127。0。0。1:80", "b\xc3\xbccher:80",
  "UNIX:/x", "unix", "unix:a\0b", "unix:\0a", "unix:/x\0",
  "unix:" .. ("x"):rep(109), "unix:@" .. ("x"):rep(108),
  "netlink:", "netlink:1", "netlink:-1:0", "netlink:0:0:0", "netlink:4294967296:0",
  "vsock:", "vsock:3", "vsock:-1:1", "vsock:3:4294967296", "vsock:3:1:1", "vsock:3:1\0",
  "packet:", "packet:nosuch0", "packet:lo:65536", "packet:lo:1:zz", "packet:lo:1:02-00:256",
  "packet:lo:1:02-00:0:0", "packet:lo\0", "packet:lo:1:02-", "packet:-1",
  ("x"):rep(huge), ("1"):rep(huge) .. ":80", "127.0.0.1:" .. ("8"):rep(huge),
  "[" .. (":"):rep(huge) .. "]:80", "[::1%" .. ("9"):rep(huge) .. "]:80",
  ("a."):rep(huge // 2) .. "a:80", ("\0"):rep(huge), ("\xff"):rep(huge) .. ":80",
  "unix:" .. ("x"):rep(huge), "unix:@" .. ("\0"):rep(huge), "netlink:" .. ("0"):rep(huge) .. ":0",
  "packet:" .. ("x"):rep(huge), "vsock:3:" .. ("1"):rep(huge),
}

-- A host beside the port 80.
local hosts = {
  "", "127.1", "0x7f.1", "0x7f000001", "2130706433", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ",
  "127.0.0.1\0", "::1%", "::1%nosuchinterface0", "[::1", "[::1]", "127.0.0.1:80", "unix:/x",
  "localhost\0", "local host", "a..b", "\xff\xfe", "b\xc3\xbccher", ("x"):rep(64),
  ("1"):rep(huge), ("x"):rep(huge), (":"):rep(huge), ("\0"):rep(huge),
}

-- A port beside the host 127.0.0.1.
local ports = {
  "", "-1", "+80", " 80", "80 ", "80\0", "8\0000", "0x50", "8e1", "80.0", "65536", "99999",
  "4294967376", "http\0", "no-such-service", "\xff", "ht tp", ("8"):rep(huge), ("x"):rep(huge),
}

local function shown(text)
  if #text > 60 then
    return ("%q... (%d bytes)"):format(text:sub(1, 20), #text)
  end
  return ("%q"):format(text)
end

-- What sock.address, bind, connect and sendto say to an address of one or
-- two arguments, each socket being none the wiser.
local function refused(...)
  local address, why, number = sock.address(...)
  assert.is_nil(address)
  assert.equal("EINVAL", number)
  assert.matches("^address ", why)
  for _, family in ipairs { "inet", "inet6", "unix" } do
    local s <close> = assert(sock.socket(family, "dgram"))
    local before = tostring(s)
    for _, op in ipairs { "bind", "connect", "sendto" } do
      local result, message, code
      if op == "sendto" then
        result, message, code = s:sendto("data", ...)
      else
        result, message, code = s[op](s, ...)
      end
      assert.is_nil(result)
      assert.equal("EINVAL", code)
      assert.equal(op .. " ", message:sub(1, #op + 1))
      assert.is_true(#message < 400) -- nobody reads ten megabytes
      assert.is_nil(message:find("[^\32-\126]")) -- nor wants them in a terminal
    end
    assert.equal(before, tostring(s))
  end
end

describe("a text that is no address is refused:", function()
  for _, text in ipairs(texts) do
    it(shown(text), function() refused(text) end)
  end
end)

describe("a host that is none is refused:", function()
  for _, host in ipairs(hosts) do
    it(shown(host), function() refused(host, 80) end)
  end
end)

describe("a port that is none is refused:", function()
  for _, port in ipairs(ports) do
    it(shown(port), function() refused("127.0.0.1", port) end)
  end
end)
