-- The PROXY protocol with HAProxy on the other side.

local sock = require "sock"
local haproxy = require "spec.support.haproxy"
local peer = require "spec.support.peer"
local proxy = require "sock.proxy"

local function listener(address)
  local family = address and "unix" or "inet"
  local l = assert(sock.socket(family)):settimeout(10)
  assert(l:bind(address or "127.0.0.1:0"))
  assert(l:listen())
  return l, tostring(l:getsockname()):gsub("^unix:", "unix@")
end

local function connect(address)
  local to = sock.type(address) and address or sock.address(address)
  return assert(assert(sock.socket(to.family)):settimeout(10):connect(to))
end

--- Accepts one connection from HAProxy, and what proxy.accept gives for it.
local function served(l)
  local b, from = l:accept()
  assert(b, from)
  b:settimeout(10)
  return b, from, proxy.accept(b, from, { "127.0.0.0/8", "unix:" })
end

describe("proxy behind HAProxy", function()
  local sends = { "send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id" }
  local front = "frontend %d\n  bind %s\n  unique-id-format %%{+X}o%%ts\n  default_backend %d\n"
    .. "backend %d\n  server s %s %s\n"

  --- One frontend for each way of sending, at an address with a `%d` for its
  -- number.
  local function start(bind, backend, host)
    local config = {}
    for i, send in ipairs(sends) do
      config[i] = front:format(i, bind:format(i), i, i, backend, send)
    end
    return haproxy.start(table.concat(config), host)
  end

  --- Connects to each frontend: the client's ends are those that arrive.
  local function check(l, server, host)
    for i = 1, #sends do
      local a <close> = connect(sock.address(host, server.ports[i]))
      a:write("hello\n")
      local b <close>, from, source, destination = served(l)
      assert.equal(a:getsockname(), source, sends[i])
      assert.equal(a:getpeername(), destination, sends[i])
      assert.not_equal(from, source)
      assert.equal("hello", b:read())
      b:write("good bye\n")
      assert.equal("good bye", a:read())
    end
  end

  for _, host in ipairs { "127.0.0.1", "::1" } do
    it("knows the client at " .. host, function()
      local l <close>, backend = listener()
      local server <close> = start(host .. ":%%%d", backend, host)
      check(l, server, host)
    end)
  end

  it("knows an IPv4 client of a frontend for both", function()
    local l <close>, backend = listener()
    local server <close> = start(":::%%%d v4v6", backend, "::1")
    check(l, server, "127.0.0.1")
  end)

  it("knows it over a Unix socket", function()
    local dir, cleaner = peer.tempdir()
    local _ <close> = cleaner
    local l <close>, backend = listener("unix:" .. dir .. "/backend")
    local server <close> = start("127.0.0.1:%%%d", backend)
    check(l, server, "127.0.0.1")
  end)

  it("takes HAProxy's own checks as from HAProxy", function()
    for _, send in ipairs { "send-proxy", "send-proxy-v2" } do
      local l <close>, backend = listener()
      local _ <close> = haproxy.start("listen x\n  bind unix@%s/x\n  server s " .. backend .. " "
        .. send .. " check inter 50ms check-send-proxy\n")
      for _ = 1, 3 do
        local b <close>, from, source, destination = served(l)
        assert.equal(from.host, assert(source, destination).host)
        if send == "send-proxy-v2" then -- LOCAL
          assert.equal(from, source)
        end
        assert.falsy((b:read("a") or ""):find("PROXY")) -- it resets, mostly
      end
    end
  end)

  it("takes a client of HAProxy's Unix socket", function()
    for _, send in ipairs(sends) do
      local l <close>, backend = listener()
      local server <close> = haproxy.start("listen x\n  bind unix@%s/x\n  server s " .. backend
        .. " " .. send .. "\n")
      local a <close> = connect("unix:" .. server.dir .. "/x")
      a:write("hello\n")
      local b <close>, from, source = served(l)
      assert.truthy(source == from or source.family == "unix", tostring(source))
      assert.equal("hello", b:read())
    end
  end)
end)

describe("proxy.send to HAProxy", function()
  local rows = { { "192.0.2.1:1234", "192.0.2.9:443" },
    { "[2001:db8::1]:1234", "[2001:db8::9]:443" }, { "192.0.2.1:1234", "[2001:db8::9]:443" } }

  it("is believed, and passed on", function()
    local l <close>, backend = listener()
    local server <close> = haproxy.start("listen x\n  bind unix@%s/x accept-proxy\n  server s "
      .. backend .. " send-proxy-v2\n")
    for version = 1, 2 do
      for _, row in ipairs(rows) do
        local a <close> = connect("unix:" .. server.dir .. "/x")
        proxy.send(a, { version = version, source = row[1], destination = row[2] })
        a:write("hello\n")
        local b <close>, _, source, destination = served(l)
        assert.same(row, { tostring(source), tostring(destination) })
        assert.equal("hello", b:read())
      end
    end
  end)

  it("is believed where it is for nobody", function()
    local l <close>, backend = listener()
    local server <close> = haproxy.start("listen x\n  bind unix@%s/x accept-proxy\n  server s "
      .. backend .. "\n")
    for version = 1, 2 do
      local a <close> = connect("unix:" .. server.dir .. "/x")
      proxy.send(a, { version = version, source = false })
      a:write("hello\n")
      local b <close> = assert(l:accept())
      assert.equal("hello", b:read())
    end
  end)
end)
