-- What the caller does wrong raises, and says which argument it was.

local sock = require "sock"

-- Each method with arguments that would serve an open socket.
local calls = {
  { "bind", "127.0.0.1", 0 }, { "listen" }, { "connect", "127.0.0.1", 9 }, { "accept" },
  { "send", "x" }, { "recv", 1 }, { "sendto", "x", "127.0.0.1", 9 }, { "recvfrom", 1 },
  { "read", "l" }, { "write", "x" }, { "shutdown", "both" }, { "getsockname" },
  { "getpeername" }, { "tuple" }, { "getsockopt", "type" }, { "setsockopt", "keepalive", true },
  { "settimeout", 1 }, { "gettimeout" }, { "wait", "r", 0 }, { "fd" }, { "detach" },
}

-- A datagram socket, so that no call here has to wait for a peer.
local function new()
  return assert(sock.socket("inet", "dgram"))
end

describe("a closed socket", function()
  for _, call in ipairs(calls) do
    local name = call[1]
    it("raises in " .. name, function()
      local s = new()
      s:close()
      assert.error_matches(function() s[name](s, table.unpack(call, 2)) end,
        "attempt to use a closed socket", 1, true)
    end)
  end

  it("raises in sock.wait and sock.select", function()
    local s = new()
    s:close()
    assert.error_matches(function() sock.wait(s, "r", 0) end, "attempt to use a closed socket")
    assert.error_matches(function() sock.select({ s }, nil, 0) end,
      "attempt to use a closed socket")
  end)

  it("raises after detach as after close", function()
    local s = new()
    local fd = s:detach()
    local again <close> = assert(sock.adopt(fd))
    assert.error_matches(function() s:recv() end, "attempt to use a closed socket")
    assert.equal(fd, again:fd())
  end)

  it("still closes, and is printed", function()
    local s = new()
    s:close()
    assert.is_true(s:close())
    assert.equal("socket (closed)", tostring(s))
  end)
end)

describe("a method without its socket", function()
  local methods = { { "close" } }
  table.move(calls, 1, #calls, 2, methods)
  for _, call in ipairs(methods) do
    local name = call[1]
    it("raises: " .. name, function()
      local s <close> = new()
      local method = s[name]
      if name ~= "wait" then -- which takes what sock.wait takes
        for _, value in ipairs { 1, "x", true, {}, print, io.stdout, sock.address("unix:") } do
          assert.error_matches(function() method(value, table.unpack(call, 2)) end,
            "^[^\n]*bad argument #1 to '%w+' %(socket expected, got ")
        end
      end
      assert.error_matches(function() method() end, "bad argument #1 to 'method'")
    end)
  end
end)

-- A call, the number of the argument that is wrong in it, and what is said.
local wrong = {
  bind = {
    { 1, "address or host expected, got no value" }, { 1, "address or host expected", 80 },
    { 1, "address or host expected", {} }, { 1, "address or host expected", true },
    { 2, "number expected, got table", "::1", {} }, { 2, "number expected", "::1", true },
    { 2, "port out of range", "::1", -1 }, { 2, "port out of range", "::1", 70000 },
    { 2, "port out of range", "::1", math.maxinteger },
    { 2, "number has no integer representation", "::1", 0.5 },
  },
  connect = {
    { 1, "address or host expected, got no value" }, { 1, "address or host expected", 80 },
    { 2, "number expected, got table", "::1", {} }, { 2, "port out of range", "::1", 65536 },
  },
  sendto = {
    { 1, "string expected, got no value" }, { 1, "string expected", {}, "::1", 9 },
    { 2, "address or host expected, got no value", "x" },
    { 2, "address or host expected", "x", 80 }, { 3, "port out of range", "x", "::1", 65536 },
    { 3, "number expected, got boolean", "x", "::1", false },
  },
  listen = {
    { 1, "number expected, got string", "x" }, { 1, "backlog out of range", -1 },
    { 1, "backlog out of range", 1 << 31 }, { 1, "number has no integer", 1.5 },
  },
  send = {
    { 1, "string expected, got no value" }, { 1, "string expected, got table", {} },
    { 1, "string expected, got nil", nil, "oob" },
    { 2, 'unknown flag "nosuch"', "x", "nosuch" }, { 2, 'unknown flag "peek"', "x", "peek" },
    { 2, "unknown flag", "x", "more\0" },
    { 3, "string expected, got table", "x", "more", {} },
  },
  recv = {
    { 1, "number expected, got string", "x" }, { 1, "count must not be negative", -1 },
    { 1, "number has no integer", 1.5 }, { 1, "number expected", {} },
    { 2, 'unknown flag "nosuch"', 1, "nosuch" }, { 2, 'unknown flag "more"', 1, "more" },
    { 3, 'unknown flag ""', 1, "peek", "" },
  },
  recvfrom = {
    { 1, "number expected, got table", {} }, { 1, "count must not be negative", -1 },
    { 2, 'unknown flag "nosuch"', nil, "nosuch" },
  },
  read = {
    { 1, "invalid format", "q" }, { 1, "invalid format", "" }, { 1, "invalid format", "*" },
    { 1, "string expected, got table", {} }, { 1, "count must not be negative", -1 },
    { 1, "number has no integer", 1.5 },
  },
  write = {
    { 1, "string or number expected, got table", {} },
    { 2, "string or number expected, got nil", "x", nil, "y" },
    { 3, "string or number expected, got boolean", "x", 1, true },
  },
  shutdown = {
    { 1, "invalid option 'up'", "up" }, { 1, "string expected, got table", {} },
  },
  settimeout = {
    { 1, "number expected, got string", "x" }, { 1, "number expected, got boolean", true },
    { 1, "not a number", 0 / 0 },
  },
  wait = {
    { 1, "string expected, got no value" }, { 1, "invalid option 'x'", "x" },
    { 2, "number expected, got string", "r", "x" }, { 2, "not a number", "r", 0 / 0 },
  },
  getsockopt = {
    { 1, "got no value" }, { 1, "nosuch", "nosuch" }, { 1, "", {} },
  },
  setsockopt = {
    { 1, "got no value" }, { 1, "nosuch", "nosuch", true }, { 2, "", "keepalive" },
    { 2, "", "keepalive", "yes" }, { 2, "", "rcvbuf", {} },
  },
}

describe("a wrong argument raises, and is named:", function()
  for _, call in ipairs(calls) do
    local name = call[1]
    for i, case in ipairs(wrong[name] or {}) do
      it(("%s, %d: argument %d"):format(name, i, case[1]), function()
        local s <close> = name == "read" and assert(sock.socket()) or new()
        local before = tostring(s)
        local run = load(("local s = ... s:%s(select(2, ...))"):format(name))
        local ok, message = pcall(run, s, table.unpack(case, 3, #case))
        assert.is_false(ok)
        local start = ("bad argument #%d to '%s' ("):format(case[1], name)
        assert.is_truthy(message:find(start, 1, true), message)
        assert.is_truthy(message:find(case[2], 1, true), message)
        assert.equal(before, tostring(s))
      end)
    end
  end
end)
