-- lua/sock/types.lua against the running module, both ways.

local sock = require "sock"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local text = read("lua/sock/types.lua")

--- The names that a pattern captures in a text, as a set.
local function names(source, pattern)
  local set = {}
  for name in source:gmatch(pattern) do
    set[name] = true
  end
  return set
end

--- The fields of a class, which may stand in several blocks, and their types.
local function fields(class)
  local set = {}
  local pattern = "%-%-%-@class " .. class:gsub("%.", "%%.") .. "\n(.-)\n[^-]"
  for block in (text .. "\n\n"):gmatch(pattern) do
    for name, kind in ("\n" .. block):gmatch("\n%-%-%-@field ([%w_]+)%?? (%S+)") do
      set[name] = kind
    end
  end
  return set
end

local function keys(t)
  local set = {}
  for key in pairs(t) do
    set[key] = true
  end
  return set
end

local function list(set)
  local sorted = {}
  for name in pairs(set) do
    sorted[#sorted + 1] = name
  end
  table.sort(sorted)
  return sorted
end

--- Fails with the names that one has and the other has not.
local function same(documented, there)
  assert.same(list(there), list(documented))
end

local function within(some, all)
  for name in pairs(some) do
    assert.truthy(all[name], name .. " is not documented, or not there")
  end
end

local function methods(object)
  return keys(getmetatable(object).__index)
end

--- Without what only Lua itself calls.
local function public(set)
  for name in pairs(set) do
    set[name] = not name:find("^__") or nil
  end
  return set
end

local function documented(class)
  return names(text, "\nfunction " .. class .. "[:.]([%w_]+)")
end

describe("sock.types", function()
  it("is Lua that runs", function()
    assert.is_table(dofile("lua/sock/types.lua"))
  end)

  it("names every function and value of the module, and no other", function()
    assert.truthy(text:find("\nsock.cancelled = ", 1, true))
    local known = documented("sock")
    known.cancelled = true
    known.coroutine = dofile("lua/sock/types.lua").coroutine ~= nil
    same(known, keys(sock))
  end)

  it("names every method of a socket", function()
    local s <close> = assert(sock.socket())
    same(documented("Socket"), methods(s))
  end)

  it("names every method of a task, a channel and a signal", function()
    local signal <close> = assert(sock.signal("USR1"))
    same(documented("Task"), methods(sock.spawn(function() end)))
    same(documented("Channel"), methods(sock.channel()))
    same(documented("Signal"), methods(signal))
  end)

  it("names every method of a scope", function()
    local there
    sock.scope(function(scope)
      there = methods(scope)
    end)
    same(documented("Scope"), public(there))
  end)

  it("names every method of a pool", function()
    same(documented("Pool"), public(methods(sock.pool("127.0.0.1:1"))))
  end)

  it("names every field of an event, of s:info and every method of the sinks", function()
    local pcap <close> = assert(sock.pcap("/dev/null"))
    local record <close> = assert(sock.record("/dev/null"))
    same(documented("Pcap"), public(methods(pcap)))
    same(documented("Record"), public(methods(record)))
    local found, events = {}, {}
    local l <close> = assert(sock.listen("127.0.0.1:0"))
    for name in pairs(l:info()) do
      found[name] = true
    end
    local client <close> = assert(sock.connect(l:getsockname())):settimeout(0)
    for name in pairs(client:trace(events):info()) do
      found[name] = true
    end
    found.timeout = true
    same(fields("sock.Info"), found)
    client:write("x")
    client:recv() -- nothing is there: an error
    client:shutdown("send")
    found = { lost = true }
    for _, event in ipairs(events) do
      within(keys(event), fields("sock.Event"))
      for name in pairs(event) do
        found[name] = true
      end
    end
    same(fields("sock.Event"), found)
    local s, replay = sock.replay({})
    s:close()
    assert.equal(true, replay:verify())
    same(documented("Replay"), public(methods(replay)))
  end)

  it("names every function of sock.coroutine", function()
    same(documented("co"), keys(sock.coroutine))
  end)

  it("names every option that this system has, and none that no system has", function()
    local here = {}
    for _, name in ipairs(sock.options()) do
      here[name] = true
    end
    local known = fields("sock.Options")
    within(here, known)
    within(known, names(read("csrc/net/optiontable.c"), '\n +{"([%w_]+)"'))
  end)

  it("says of every option what its value is", function()
    local values = { ["sock.TcpInfo"] = "table", ["sock.Credentials"] = "table",
      integer = "number", number = "number", boolean = "boolean", string = "string" }
    local seen = 0
    for _, made in ipairs { { "inet" }, { "inet", "dgram" }, { "inet6", "dgram" }, { "netlink",
      "dgram" }, { "unix" } } do
      local s <close> = assert(sock.socket(table.unpack(made)))
      for name, kind in pairs(fields("sock.Options")) do
        local readable, value = pcall(s.getsockopt, s, name)
        if readable and value ~= nil then
          local said, other = kind:match("^([^|]+)|?(.*)")
          assert.truthy(type(value) == values[said] or type(value) == values[other]
            or tostring(value) == other, name .. " is a " .. type(value))
          seen = seen + 1
        end
      end
    end
    assert.truthy(seen > 100)
  end)

  it("tells read-only options", function()
    local s <close> = assert(sock.socket())
    for _, name in ipairs(sock.options()) do
      local _, message = pcall(s.setsockopt, s, name, nil)
      local said = text:find("\n%-%-%-@field " .. name .. " [^\n]-%(read%)\n") ~= nil
      assert.equal(tostring(message):find("is read-only", 1, true) ~= nil, said, name)
    end
  end)

  it("names every field of tcp_info that this kernel gives, and none that none gives", function()
    local s <close> = assert(sock.socket())
    local known = fields("sock.TcpInfo")
    within(keys(assert(s:getsockopt("tcp_info"))), known)
    local source = read("csrc/net/tcpinfo.c")
    local all = names(source, "ROW%(([%w_]+),")
    for name in source:gmatch('lua_setfield%(L, %-2, "([%w_]+)"%)') do
      all[name] = true
    end
    all.name = nil -- of the macro
    same(known, all)
  end)

  it("names the fields of addresses", function()
    local samples = { "127.0.0.1:80", "unix:/tmp/x", "netlink:1:2", "vsock:3:1024",
      "packet:lo:2048:aa-bb-cc-dd-ee-ff:1" }
    local found = {}
    local known = fields("sock.Address")
    for _, sample in ipairs(samples) do
      local address = assert(sock.address(sample))
      for name in pairs(known) do
        found[name] = found[name] or address[name] ~= nil or nil
      end
    end
    same(known, found)
    local read_by_c = names(read("csrc/net/family.c") .. read("csrc/net/family_linux.c")
      .. read("csrc/net/address.c"), 'strcmp%(name, "(%w+)"%)')
    same(known, read_by_c)
  end)

  it("names the fields of interfaces, their addresses and credentials", function()
    local known, found = fields("sock.Interface"), {}
    for _, interface in ipairs(assert(sock.interfaces())) do
      within(keys(interface), known)
      for name in pairs(interface) do
        found[name] = true
      end
      for _, entry in ipairs(interface.addresses) do
        same(fields("sock.InterfaceAddress"), keys(entry))
      end
    end
    found.mac = true -- loopback alone has none
    same(known, found)
    local a, b = assert(sock.socketpair())
    same(fields("sock.Credentials"), keys(b:getsockopt("peercred")))
    a:close()
    b:close()
  end)

  it("names the options of look-ups", function()
    local function accepted(call, candidates)
      local set = {}
      for name in pairs(candidates) do
        local _, message = pcall(call, "127.0.0.1", 80, { [name] = print })
        set[name] = not tostring(message):find("unknown", 1, true) or nil
      end
      return set
    end
    local all = fields("sock.AddrinfoOptions")
    for name in pairs(fields("sock.NameinfoOptions")) do
      all[name] = true
    end
    same(fields("sock.AddrinfoOptions"), accepted(sock.getaddrinfo, all))
    same(fields("sock.NameinfoOptions"), accepted(sock.getnameinfo, all))
  end)

  it("names every method and field of a server", function()
    local server = assert(sock.serve("127.0.0.1:0", print))
    same(documented("Server"), methods(server))
    for name in pairs(fields("sock.Server")) do
      assert.not_nil(server[name])
    end
    same(fields("sock.ServerStats"), keys(server:stats()))
    server:stop()
  end)

  it("names the options of servers", function()
    local all = {}
    for _, class in ipairs { "sock.ListenOptions", "sock.ServeOptions", "sock.ServeUdpOptions" } do
      for name in pairs(fields(class)) do
        all[name] = true
      end
    end
    local function accepted(call, ...)
      local set = {}
      for name in pairs(all) do
        local given = table.pack(...)
        given[given.n + 1] = { [name] = {} } -- known, but of no right type
        local _, message = pcall(call, table.unpack(given, 1, given.n + 1))
        set[name] = message:find("unknown option", 1, true) == nil or nil
      end
      return set
    end
    same(fields("sock.ListenOptions"), accepted(sock.listen, "127.0.0.1:0"))
    same(fields("sock.ServeOptions"), accepted(sock.serve, "127.0.0.1:0", print))
    same(fields("sock.ServeUdpOptions"), accepted(sock.serve_udp, "127.0.0.1:0", print))
  end)

  it("documents parameters by their names, and nothing that is no parameter", function()
    local doc = {}
    for line in text:gmatch("[^\n]*") do
      local params = line:match("^function [%w_.:]+(%b())")
      if params then
        local there = names(params, "[%a_][%w_]*")
        there["..."] = params:find("...", 1, true) and true or nil
        same(names(table.concat(doc, "\n"), "@param (%.?%.?%.?[%w_]*)%??"), there)
      end
      doc = line:find("^%-%-%-") and doc or {}
      doc[#doc + 1] = line
    end
  end)
end)
