-- Services, protocols, interfaces.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local names = require "spec.support.names"
local raises = fixtures.raises
local loopback, refused = names.loopback, names.refused

local long = ("x"):rep(10 * 1024 * 1024)

describe("sock.getservbyname", function()
  it("gives a service's port", function()
    assert.equal(80, sock.getservbyname("http"))
  end)

  it("knows a service by its alias", function()
    assert.equal(80, sock.getservbyname("www"))
  end)

  it("looks in one protocol where that is given", function()
    assert.equal(53, sock.getservbyname("domain", "tcp"))
    assert.equal(69, sock.getservbyname("tftp", "udp"))
    refused("getservbyname tftp: ", "ENOENT", sock.getservbyname("tftp", "tcp"))
  end)

  it("looks in every protocol where none is given", function()
    assert.equal(69, sock.getservbyname("tftp"))
    assert.equal(69, sock.getservbyname("tftp", nil))
  end)

  it("answers ENOENT for an unknown service", function()
    refused("getservbyname nosuch: unknown service", "ENOENT", sock.getservbyname("nosuch"))
  end)

  it("answers EINVAL for text that is no name", function()
    refused('getservbyname "": ', "EINVAL", sock.getservbyname(""))
    refused('getservbyname "a b": ', "EINVAL", sock.getservbyname("a b"))
    refused('getservbyname "http\\x00": ', "EINVAL", sock.getservbyname("http\0"))
  end)

  it("shortens a huge name in its message", function()
    refused('getservbyname "xxx', "EINVAL", sock.getservbyname(long))
  end)

  it("escapes in its message what a terminal must not get", function()
    refused('getservbyname "\\xC2\\x9B": ', "ENOENT", sock.getservbyname("\xC2\x9B"))
  end)

  it("raises for another protocol, naming the argument", function()
    raises(function() sock.getservbyname("http", "foo") end, "#2", '"foo"')
    raises(function() sock.getservbyname("http", "tcp\0") end, "#2", [["tcp\x00"]])
    raises(function() sock.getservbyname("http", {}) end, "#2")
  end)

  it("raises for a name that is no string", function()
    raises(function() sock.getservbyname() end, "#1", "string expected")
    raises(function() sock.getservbyname({}) end, "#1", "string expected")
  end)
end)

describe("sock.getservbyport", function()
  it("gives a port's service", function()
    assert.equal("http", sock.getservbyport(80))
  end)

  it("looks in one protocol where that is given", function()
    assert.equal("tftp", sock.getservbyport(69, "udp"))
    refused("getservbyport 69: ", "ENOENT", sock.getservbyport(69, "tcp"))
  end)

  it("answers ENOENT for a port without a service", function()
    refused("getservbyport 0: unknown service", "ENOENT", sock.getservbyport(0))
  end)

  it("raises for a port out of range", function()
    raises(function() sock.getservbyport(70000) end, "#1", "port out of range")
    raises(function() sock.getservbyport(-1) end, "#1", "port out of range")
  end)

  it("raises for what is no whole number", function()
    raises(function() sock.getservbyport(80.5) end, "#1", "integer")
    raises(function() sock.getservbyport("http") end, "#1", "number expected")
  end)

  it("raises for another protocol", function()
    raises(function() sock.getservbyport(80, "foo") end, "#2", '"foo"')
  end)
end)

describe("sock.getprotobyname", function()
  it("gives a protocol's number", function()
    assert.equal(6, sock.getprotobyname("tcp"))
    assert.equal(17, sock.getprotobyname("udp"))
    assert.equal(1, sock.getprotobyname("icmp"))
  end)

  it("answers ENOENT for an unknown protocol", function()
    refused("getprotobyname nosuch: unknown protocol", "ENOENT", sock.getprotobyname("nosuch"))
  end)

  it("answers EINVAL for text that is no name", function()
    refused('getprotobyname "tcp\\x00": ', "EINVAL", sock.getprotobyname("tcp\0"))
    refused('getprotobyname "xxx', "EINVAL", sock.getprotobyname(long))
  end)

  it("raises for a name that is no string", function()
    raises(function() sock.getprotobyname() end, "#1", "string expected")
  end)
end)

describe("sock.gethostname", function()
  it("gives what the system calls itself", function()
    local pipe <close> = assert(io.popen("uname -n"))
    assert.equal(pipe:read(), sock.gethostname())
  end)
end)

describe("sock.interfaces", function()
  it("lists the loopback interface", function()
    local lo = assert(loopback())
    assert.is_true(lo.up)
    assert.equal("boolean", type(lo.multicast))
    assert.is_true(lo.mtu > 0)
  end)

  it("gives addresses as address values with port 0, and their prefix", function()
    local localhost = sock.address("127.0.0.1", 0)
    local found
    for _, one in ipairs(loopback().addresses) do
      if one.address == localhost then
        found = one
      end
    end
    assert.equal(8, found.prefix)
  end)

  it("gives loopback no hardware address", function()
    assert.is_nil(loopback().mac)
  end)

  it("writes a hardware address in hexadecimal", function()
    for _, interface in ipairs(sock.interfaces()) do
      if interface.mac then
        assert.truthy(interface.mac:match("^" .. ("%x%x:"):rep(5) .. "%x%x$"))
        assert.equal(interface.mac:lower(), interface.mac)
      end
    end
  end)

  it("lists each interface once, by ascending index", function()
    local last = 0
    for _, interface in ipairs(sock.interfaces()) do
      assert.is_true(interface.index > last)
      last = interface.index
    end
  end)

  it("lists exactly what the system has", function()
    local pipe = io.popen("ls /sys/class/net 2>/dev/null")
    local there = {}
    for name in pipe:lines() do
      if sock.if_nametoindex(name) then -- bonding_masters is a file
        there[name] = true
      end
    end
    pipe:close()
    if not next(there) then
      pending("no /sys/class/net here")
      return
    end
    local listed = {}
    for _, interface in ipairs(sock.interfaces()) do
      listed[interface.name] = true
    end
    assert.same(there, listed)
  end)

  it("agrees with if_nametoindex", function()
    for _, interface in ipairs(sock.interfaces()) do
      assert.equal(interface.index, sock.if_nametoindex(interface.name))
    end
  end)
end)

describe("sock.if_nametoindex", function()
  it("gives an interface's index", function()
    local lo = loopback()
    assert.equal(lo.index, sock.if_nametoindex(lo.name))
  end)

  it("answers ENODEV for an unknown interface", function()
    local value, message, code = sock.if_nametoindex("foo0")
    assert.is_nil(value)
    assert.equal("if_nametoindex foo0: No such device", message)
    assert.equal("ENODEV", code)
  end)

  it("answers EINVAL for text that is no name", function()
    refused('if_nametoindex "": ', "EINVAL", sock.if_nametoindex(""))
    refused('if_nametoindex "lo\\x00": ', "EINVAL", sock.if_nametoindex("lo\0"))
    refused('if_nametoindex "xxx', "EINVAL", sock.if_nametoindex(long))
  end)

  it("raises for a name that is no string", function()
    raises(function() sock.if_nametoindex() end, "#1", "string expected")
  end)
end)

describe("sock.if_indextoname", function()
  it("gives an interface's name", function()
    local lo = loopback()
    assert.equal(lo.name, sock.if_indextoname(lo.index))
  end)

  it("answers ENXIO where there is no such interface", function()
    refused("if_indextoname 0: ", "ENXIO", sock.if_indextoname(0))
    refused("if_indextoname 2147483647: ", "ENXIO", sock.if_indextoname(2147483647))
  end)

  it("raises for what is no index", function()
    raises(function() sock.if_indextoname(-1) end, "#1", "index out of range")
    raises(function() sock.if_indextoname(2 ^ 40) end, "#1", "index out of range")
    raises(function() sock.if_indextoname("lo") end, "#1", "number expected")
  end)
end)
