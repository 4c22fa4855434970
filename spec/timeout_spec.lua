local sock = require "sock"

local pack = table.pack

-- Two connected stream sockets, and what closes both at a block's end.
local function pair()
  local a, b = assert(sock.socketpair())
  return a, b, setmetatable({}, { __close = function()
    a:close()
    b:close()
  end })
end

describe("settimeout", function()
  it("gives the socket back", function()
    local s <close> = assert(sock.socket())
    assert.equal(s, s:settimeout(1))
  end)

  it("keeps seconds with their fraction", function()
    local s <close> = assert(sock.socket())
    assert.is_nil(s:gettimeout())
    assert.equal(0.25, s:settimeout(0.25):gettimeout())
    assert.equal(0, s:settimeout(0):gettimeout())
  end)

  it("takes nil and math.huge as for ever", function()
    local s <close> = assert(sock.socket())
    assert.is_nil(s:settimeout(1):settimeout(nil):gettimeout())
    assert.is_nil(s:settimeout(1):settimeout():gettimeout())
    assert.is_nil(s:settimeout(1):settimeout(math.huge):gettimeout())
  end)

  it("is not handed down to an accepted socket", function()
    local l <close> = assert(sock.socket())
    local c <close> = assert(sock.socket())
    assert(l:bind("127.0.0.1", 0)):listen():settimeout(5)
    assert(c:connect(l:getsockname()))
    local s <close> = assert(l:accept())
    assert.is_nil(s:gettimeout())
  end)

  it("limits accept", function()
    local s <close> = assert(sock.socket())
    assert(s:bind("127.0.0.1", 0)):listen():settimeout(0)
    assert.same(pack(nil, "accept " .. tostring(s:getsockname()) .. ": timed out", "ETIMEDOUT"),
      pack(s:accept()))
  end)

  it("limits recv, recvfrom and read", function()
    local s <close> = assert(sock.socket("inet", "dgram"))
    assert(s:bind("127.0.0.1", 0)):settimeout(0.01)
    local why = " " .. tostring(s:getsockname()) .. ": timed out"
    assert.same(pack(nil, "recv" .. why, "ETIMEDOUT"), pack(s:recv()))
    assert.same(pack(nil, "recvfrom" .. why, "ETIMEDOUT"), pack(s:recvfrom()))
    local a, b, _ <close> = pair()
    assert(b:write("no line's end"))
    a:settimeout(0.01)
    assert.same(pack(nil, "read unix:: timed out", "ETIMEDOUT"), pack(a:read()))
  end)

  it("limits send and write", function()
    local a, b, _ <close> = pair()
    a:settimeout(0)
    assert.is_nil(b:gettimeout())
    local message, code, sent = select(2, a:write(("x"):rep(10 << 20)))
    assert.equal("write unix:: timed out", message)
    assert.equal("ETIMEDOUT", code)
    assert.is_true(sent > 0)
    assert.same(pack(nil, "send unix:: timed out", "ETIMEDOUT"), pack(a:send("x")))
  end)

  it("loses nothing that had arrived", function()
    local a, b, _ <close> = pair()
    assert(b:write("half a "))
    assert.equal("ETIMEDOUT", select(3, a:settimeout(0):read()))
    assert(b:write("line\n"))
    assert.equal("half a line", a:read())
  end)

  it("gives at once what is there already", function()
    local a, b, _ <close> = pair()
    assert(b:write("x"))
    assert.equal("x", a:settimeout(0):recv())
  end)
end)
