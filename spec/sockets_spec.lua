local sock = require "sock"

local function here(offset)
  local info = debug.getinfo(2, "Sl")
  return info.short_src .. ":" .. info.currentline + (offset or 0)
end

--- The entry of a socket.
local function entry(s)
  for _, e in ipairs(sock.sockets()) do
    if e.socket == s then
      return e
    end
  end
end

describe("sock.sockets", function()
  it("lists what is open, the oldest first", function()
    local before = #sock.sockets()
    local a, b = assert(sock.socketpair())
    local c <close> = assert(sock.socket())
    local list = sock.sockets()
    assert.equal(before + 3, #list)
    assert.equal(a, list[before + 1].socket)
    assert.equal(b, list[before + 2].socket)
    assert.equal(c, list[before + 3].socket)
    b:close()
    a:close()
    assert.equal(before + 1, #sock.sockets())
    assert.is_nil(entry(b))
  end)

  it("tells the line that made each", function()
    local s <close> = assert(sock.socket())
    assert.equal(here(-1), entry(s).made)
  end)

  it("tells the line of an accept, also after a wait in a task", function()
    local l <close> = assert(sock.socket():bind("127.0.0.1", 0)):listen()
    local made
    local task = sock.spawn(function()
      local s <close> = assert(l:accept())
      made = here(-1)
      assert.equal(made, entry(s).made)
    end)
    local c <close> = assert(sock.socket():connect(l:getsockname()))
    task:join()
    assert.is_string(made)
    assert.matches("^tcp 127.0.0.1:%d+ <%-> 127.0.0.1:%d+\tmade at .*sockets_spec.lua:%d+$",
      tostring(entry(c)))
  end)

  it("tells the program's line, not one of the library's", function()
    local folder = debug.getinfo(sock.sockets, "S").source:match("^@.*/")
    local helper = assert(load("local s = sock.socket() return s", folder .. "helper.lua", "t",
      { sock = sock }))
    local s <close> = helper()
    assert.equal(here(-1), entry(s).made)
  end)

  it("is a text at the prompt", function()
    local s <close> = assert(sock.socket():bind("127.0.0.1", 0)):listen()
    local text = tostring(sock.sockets())
    assert.matches("tcp 127.0.0.1:" .. s:getsockname().port .. " %(listening%)\tmade at ", text)
  end)

  it("says that nothing is open", function()
    local list = sock.sockets()
    for i in ipairs(list) do
      list[i] = nil
    end
    assert.equal("no socket is open", tostring(list))
  end)

  it("does not hold what it lists", function()
    local before = #sock.sockets()
    assert(sock.socket())
    collectgarbage()
    collectgarbage()
    assert.equal(before, #sock.sockets())
  end)

  it("cuts a long name at its front, and does without one", function()
    local chunk = assert(load("return sock.socket()", "@" .. ("long/"):rep(20) .. "name.lua", "t",
      { sock = sock }))
    local s <close> = chunk()
    assert.matches("^%.%.%.[long/]+/name.lua:1$", entry(s).made)
    local t <close> = coroutine.wrap(sock.socket)()
    assert.is_nil(entry(t).made)
  end)
end)
