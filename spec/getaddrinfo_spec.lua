-- Names looked up both ways. There may be nothing but loopback here, so only
-- localhost is known to be known.

local sock = require "sock"
local fixtures = require "spec.support.fixtures"
local names = require "spec.support.names"
local raises = fixtures.raises
local loopback, refused = names.loopback, names.refused

local long = ("x"):rep(10 * 1024 * 1024)

local function contains(list, address)
  for _, one in ipairs(list) do
    if one == address then
      return true
    end
  end
  return false
end

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
