--- Services, protocols, interfaces, and names looked up both ways. There
-- may be nothing but loopback here, so only localhost is known to be known.

local sock = require "sock"

local long = ("x"):rep(10 * 1024 * 1024)

--- Expects nil, a message that begins with `start`, and the code.
local function refused(start, code, ...)
  assert.equal(3, select("#", ...))
  local value, message, got = ...
  assert.is_nil(value)
  assert.equal(start, message:sub(1, #start))
  assert.is_true(#message < 400)
  assert.equal(code, got)
end

--- Expects an error that says all of the given texts.
local function raises(call, ...)
  local ok, message = pcall(call)
  assert.is_false(ok)
  for _, text in ipairs { ... } do
    assert.truthy(message:find(text, 1, true), message)
  end
end

local function contains(list, address)
  for _, one in ipairs(list) do
    if one == address then
      return true
    end
  end
  return false
end

local function loopback()
  for _, interface in ipairs(assert(sock.interfaces())) do
    if interface.loopback then
      return interface
    end
  end
end

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

describe("sock.getaddrinfo", function()
  it("gives a name's addresses as address values", function()
    local list = assert(sock.getaddrinfo("localhost", 80))
    assert.is_true(contains(list, sock.address("127.0.0.1", 80)))
  end)

  it("gives port 0 without a service", function()
    for _, address in ipairs(sock.getaddrinfo("localhost")) do
      assert.equal(0, address.port)
    end
  end)

  it("takes a service's name", function()
    for _, address in ipairs(sock.getaddrinfo("localhost", "http")) do
      assert.equal(80, address.port)
    end
  end)

  it("takes a port in digits", function()
    for _, address in ipairs(sock.getaddrinfo("localhost", "8080")) do
      assert.equal(8080, address.port)
    end
  end)

  it("lists no address twice", function()
    for _, host in ipairs { "localhost", "127.0.0.1", "*" } do
      local seen = {}
      for _, address in ipairs(sock.getaddrinfo(host, 80)) do
        assert.is_nil(seen[address])
        seen[address] = true
      end
    end
  end)

  it("takes a numeric host as it is", function()
    assert.same({ sock.address("192.0.2.1", 7) }, sock.getaddrinfo("192.0.2.1", 7))
    assert.same({ sock.address("2001:db8::1", 7) }, sock.getaddrinfo("2001:db8::1", 7))
    assert.same({ sock.address("192.0.2.1:0") }, sock.getaddrinfo("192.0.2.1"))
  end)

  it("takes a numeric host with a service's name", function()
    assert.same({ sock.address("192.0.2.1:80") }, sock.getaddrinfo("192.0.2.1", "http"))
    assert.same({ sock.address("[2001:db8::1]:80") }, sock.getaddrinfo("2001:db8::1", "http"))
  end)

  it("keeps a scope", function()
    local name = loopback().name
    local list = sock.getaddrinfo("fe80::1%" .. name, 7)
    assert.equal("fe80::1%" .. name, list[1].host)
  end)

  it("gives loopback without a host", function()
    local list = sock.getaddrinfo(nil, 80)
    assert.is_true(contains(list, sock.address("127.0.0.1:80")))
    assert.is_true(contains(list, sock.address("[::1]:80")))
    assert.equal(2, #list)
  end)

  it("gives the wildcard without a host where passive", function()
    local list = sock.getaddrinfo(nil, 80, { passive = true })
    assert.is_true(contains(list, sock.address("0.0.0.0:80")))
    assert.is_true(contains(list, sock.address("[::]:80")))
    assert.equal(2, #list)
  end)

  it("takes * for the wildcard", function()
    local list = sock.getaddrinfo("*", "http")
    assert.is_true(contains(list, sock.address("0.0.0.0:80")))
    assert.is_true(contains(list, sock.address("[::]:80")))
  end)

  it("keeps to one family where that is asked", function()
    assert.same({ sock.address("0.0.0.0:80") }, sock.getaddrinfo("*", 80, { family = "inet" }))
    assert.same({ sock.address("[::]:80") }, sock.getaddrinfo("*", 80, { family = "inet6" }))
    for _, address in ipairs(sock.getaddrinfo("localhost", 80, { family = "inet" })) do
      assert.equal("inet", address.family)
    end
  end)

  it("answers EAI_FAMILY for a numeric host of the other family", function()
    refused("getaddrinfo ::1: ", "EAI_FAMILY", sock.getaddrinfo("::1", 80, { family = "inet" }))
    refused("getaddrinfo 127.0.0.1: ", "EAI_FAMILY",
      sock.getaddrinfo("127.0.0.1", 80, { family = "inet6" }))
  end)

  it("looks services up for the type of socket", function()
    local list = sock.getaddrinfo("127.0.0.1", "tftp", { type = "dgram" })
    assert.same({ sock.address("127.0.0.1:69") }, list)
    refused("getaddrinfo 127.0.0.1:tftp: ", "EAI_SERVICE", sock.getaddrinfo("127.0.0.1", "tftp"))
  end)

  it("serves raw sockets, which have no services", function()
    local any = sock.getaddrinfo("*", nil, { type = "raw", family = "inet" })
    assert.same({ sock.address("0.0.0.0:0") }, any)
    local list = sock.getaddrinfo("localhost", nil, { type = "raw", family = "inet" })
    assert.is_true(contains(list, sock.address("127.0.0.1:0")))
  end)

  it("looks no name up where numerichost", function()
    local numeric = { numerichost = true }
    assert.same({ sock.address("127.0.0.1:1") }, sock.getaddrinfo("127.0.0.1", 1, numeric))
    refused("getaddrinfo localhost: ", "EAI_NONAME", sock.getaddrinfo("localhost", 1, numeric))
  end)

  it("answers the resolver's code for an unknown host", function()
    local value, message, code = sock.getaddrinfo("nosuch.invalid", 80)
    assert.is_nil(value)
    assert.truthy(message:find("^getaddrinfo nosuch%.invalid: %u"))
    assert.truthy(code == "EAI_NONAME" or code == "EAI_AGAIN", code)
  end)

  it("answers EAI_SERVICE for an unknown service", function()
    refused("getaddrinfo localhost:nosuch: ", "EAI_SERVICE",
      sock.getaddrinfo("localhost", "nosuch"))
    refused("getaddrinfo [::1]:nosuch: ", "EAI_SERVICE", sock.getaddrinfo("::1", "nosuch"))
  end)

  it("answers EINVAL for a service that is neither port nor name", function()
    for _, service in ipairs { "", "70000", "-1", "+80", " 80", "80 ", "a b", "http\0", long } do
      refused('getaddrinfo "', "EINVAL", sock.getaddrinfo("localhost", service))
    end
  end)

  it("answers EINVAL for what looks numeric and is no address", function()
    for _, host in ipairs { "127.1", "1", "0x7f.1", "1.2.3.4.5", "1.2.3.4.", "0x7f000001",
      "1.2.3.0XFF", "127.0.0.256", "::1%", "::1%nosuch0", "[::1", "[::1]", ":::", "a:b",
      "127.0.0.1:80", "127.0.0.1 ", "127.0.0.1\0" } do
      refused('getaddrinfo "', "EINVAL", sock.getaddrinfo(host, 80))
    end
  end)

  it("answers EINVAL for what is no host name", function()
    for _, host in ipairs { "", ".", "..", ".a", "a..b", "a..", "a b", "a\0b", "localhost\0",
      "a/b", "h\xC3\xB6st", ("x"):rep(64), ("a."):rep(127) .. "a", long } do
      refused('getaddrinfo "', "EINVAL", sock.getaddrinfo(host, 80))
    end
  end)

  it("says which text is no host name", function()
    local _, message = sock.getaddrinfo("a\0b")
    assert.equal([[getaddrinfo "a\x00b": not a host name]], message)
  end)

  it("raises for a port out of range", function()
    raises(function() sock.getaddrinfo("localhost", 70000) end, "#2", "port out of range")
    raises(function() sock.getaddrinfo("localhost", -1) end, "#2", "port out of range")
    raises(function() sock.getaddrinfo("localhost", 80.5) end, "#2", "integer")
  end)

  it("raises for arguments of another type", function()
    raises(function() sock.getaddrinfo({}) end, "#1", "string expected")
    raises(function() sock.getaddrinfo("localhost", true) end, "#2", "got boolean")
    raises(function() sock.getaddrinfo("localhost", 80, "inet") end, "#3", "table expected")
  end)

  it("raises for an unknown option, naming it", function()
    raises(function() sock.getaddrinfo("localhost", 80, { famly = "inet" }) end, "#3", "famly")
    raises(function() sock.getaddrinfo("localhost", 80, { "inet" }) end, "#3", "option 1")
    raises(function() sock.getaddrinfo("localhost", 80, { [long] = 1 }) end, "#3", "xxx")
  end)

  it("raises for an option of the wrong type, naming it", function()
    for option, value in pairs { family = 2, type = false, passive = 1, numerichost = "yes" } do
      raises(function() sock.getaddrinfo("localhost", 80, { [option] = value }) end,
        "#3", "'" .. option .. "'", "got ")
    end
  end)

  it("raises for a family or type it does not know", function()
    for _, family in ipairs { "inet5", "unix", "inet\0", "" } do
      raises(function() sock.getaddrinfo("localhost", 80, { family = family }) end, "'family'")
    end
    raises(function() sock.getaddrinfo("localhost", 80, { type = "foo" }) end, "'type'", "foo")
  end)

  it("raises before it looks anything up", function()
    raises(function() sock.getaddrinfo("not a host", "no port", { famly = 1 }) end, "famly")
  end)
end)

describe("sock.getnameinfo", function()
  local numeric = { numerichost = true, numericserv = true }

  it("gives an address's host and service", function()
    local host, service = sock.getnameinfo(sock.address("127.0.0.1:80"))
    assert.equal("localhost", host)
    assert.equal("http", service)
  end)

  it("takes an address, host and port, or one text", function()
    assert.same({ "127.0.0.1", "80" },
      { sock.getnameinfo(sock.address("127.0.0.1:80"), numeric) })
    assert.same({ "127.0.0.1", "80" }, { sock.getnameinfo("127.0.0.1", 80, numeric) })
    assert.same({ "127.0.0.1", "80" }, { sock.getnameinfo("127.0.0.1", "80", numeric) })
    assert.same({ "127.0.0.1", "80" }, { sock.getnameinfo("127.0.0.1:80", numeric) })
    assert.same({ "::1", "80" }, { sock.getnameinfo("[::1]:80", numeric) })
  end)

  it("takes no options at all", function()
    assert.equal("localhost", (sock.getnameinfo("127.0.0.1", 80)))
    assert.equal("localhost", (sock.getnameinfo("127.0.0.1:80")))
    assert.equal("localhost", (sock.getnameinfo("127.0.0.1", 80, nil)))
  end)

  it("gives digits for what is asked in digits", function()
    assert.same({ "127.0.0.1", "http" },
      { sock.getnameinfo("127.0.0.1:80", { numerichost = true }) })
    assert.same({ "localhost", "80" },
      { sock.getnameinfo("127.0.0.1:80", { numericserv = true }) })
  end)

  it("gives digits where there is no name", function()
    assert.same({ "0.0.0.0", "0" }, { sock.getnameinfo("0.0.0.0", 0) })
  end)

  it("answers EAI_NONAME where there is no name and one is required", function()
    refused("getnameinfo 0.0.0.0:0: ", "EAI_NONAME",
      sock.getnameinfo("0.0.0.0", 0, { namereqd = true }))
  end)

  it("keeps a scope", function()
    local host = "fe80::1%" .. loopback().name
    assert.equal(host, (sock.getnameinfo(host, 80, numeric)))
    assert.equal(host, (sock.getnameinfo(sock.address(host, 80), numeric)))
  end)

  it("answers EAI_FAMILY for an address that is not of IP", function()
    refused("getnameinfo unix:/x: ", "EAI_FAMILY", sock.getnameinfo("unix:/x"))
    refused("getnameinfo unix:/x: ", "EAI_FAMILY", sock.getnameinfo(sock.address("unix:/x")))
  end)

  it("answers EINVAL for text that is no numeric address", function()
    refused('getnameinfo "localhost": ', "EINVAL", sock.getnameinfo("localhost", 80))
    refused('getnameinfo "localhost:80": ', "EINVAL", sock.getnameinfo("localhost:80"))
    refused('getnameinfo "127.0.0.1": ', "EINVAL", sock.getnameinfo("127.0.0.1"))
    refused('getnameinfo "127.0.0.1\\x00": ', "EINVAL", sock.getnameinfo("127.0.0.1\0", 80))
    refused('getnameinfo "http": ', "EINVAL", sock.getnameinfo("127.0.0.1", "http"))
    refused('getnameinfo "*": ', "EINVAL", sock.getnameinfo("*", 80))
    refused('getnameinfo "xxx', "EINVAL", sock.getnameinfo(long, 80))
  end)

  it("raises for a port out of range", function()
    raises(function() sock.getnameinfo("127.0.0.1", 70000) end, "#2", "port out of range")
  end)

  it("raises for arguments of another type", function()
    raises(function() sock.getnameinfo() end, "#1")
    raises(function() sock.getnameinfo({}) end, "#1")
    raises(function() sock.getnameinfo("127.0.0.1", nil, {}) end, "#2")
    raises(function() sock.getnameinfo("127.0.0.1", 80, 1) end, "#3", "table expected")
    raises(function() sock.getnameinfo(sock.address("127.0.0.1:80"), 80) end, "#2")
  end)

  it("raises for an unknown option or one of the wrong type", function()
    raises(function() sock.getnameinfo("127.0.0.1", 80, { dgram = true }) end, "#3", "dgram")
    raises(function() sock.getnameinfo("127.0.0.1:80", { namereqd = 1 }) end, "#2", "'namereqd'")
  end)
end)

describe("a look-up without a free descriptor", function()
  local calls = {
    'sock.getservbyname("http")', "sock.getservbyport(80)", 'sock.getprotobyname("tcp")',
    "sock.interfaces()", "sock.if_nametoindex(lo)", "sock.if_indextoname(1)",
    'sock.getaddrinfo("localhost", 80)', 'sock.getnameinfo("127.0.0.1", 80)',
  }

  --- Runs each call in an interpreter that may open 40 descriptors and has
  -- opened them all; gives what each printed.
  local function exhausted(fill)
    local code = { 'local sock = require "sock"; local lo = sock.interfaces()[1].name', fill }
    for _, call in ipairs(calls) do
      code[#code + 1] = ("fill(); print(select(3, %s) or 'done')"):format(call)
    end
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(table.concat(code, "\n")))
    assert(file:flush())
    local lua = os.getenv("LUA") or "lua5.4"
    local pipe <close> = assert(io.popen(("ulimit -n 40; exec %s %s 2>&1"):format(lua, path)))
    local printed = {}
    for line in pipe:lines() do
      printed[#printed + 1] = line
    end
    os.remove(path)
    return printed
  end

  local function all(answer)
    local list = {}
    for i = 1, #calls do
      list[i] = answer
    end
    return list
  end

  it("answers EMFILE", function()
    assert.same(all("EMFILE"), exhausted [[
      local held = {}
      function fill()
        repeat
          local file = io.open("/dev/null")
          held[#held + 1] = file
        until not file
      end
    ]])
  end)

  it("first collects the sockets that nobody holds", function()
    assert.same(all("done"), exhausted [[
      collectgarbage("stop")
      function fill()
        local held = {}
        repeat
          local one = sock.socket()
          held[#held + 1] = one
        until not one
      end
    ]])
  end)
end)
