local sock = require "sock"

--- What sock.help prints.
local function help(name)
  local lines, print = {}, _G.print
  _G.print = function(text) lines[#lines + 1] = text or "" end
  local ok, message = pcall(sock.help, name)
  _G.print = print
  assert(ok, message)
  return table.concat(lines, "\n") .. "\n"
end

--- Whether a text holds a line.
local function has(text, line)
  assert.truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. " is not in:\n" .. text)
end

describe("sock.help", function()
  it("shows a function with its parameters, its results and its comment", function()
    assert.equal([[
sock.getservbyname(name, protocol?)
  getservbyname(3), services(5).
    name: string
    protocol?: "tcp"|"udp"
    -> integer? port, string? message, string? code  -- ENOENT
]], help "getservbyname")
  end)

  it("takes the name with or without its module", function()
    assert.equal(help "getaddrinfo", help "sock.getaddrinfo")
    assert.equal(help "coroutine.wrap", help "sock.coroutine.wrap")
    has(help "coroutine.wrap", "sock.coroutine.wrap(f)")
  end)

  it("shows a method by its class", function()
    has(help "Socket:read", "Socket:read(...)")
    has(help "sock.Socket:read", "Socket:read(...)")
  end)

  it("shows all that have a name", function()
    assert.matches("^sock.connect%(.*\n\nSocket:connect%(", help "connect")
    local text = help "close"
    has(text, "Socket:close()")
    has(text, "Channel:close()")
    has(text, "Signal:close()")
    has(text, "sock.coroutine.close(thread)")
  end)

  it("shows a class, its fields and its methods", function()
    local text = help "Channel"
    has(text, "Channel")
    has(text, "    Channel:put(value, seconds?)")
    has(help "Address", "    family: sock.Family")
  end)

  it("shows a socket's option", function()
    assert.matches("^Options\n    tcp_nodelay: boolean  %-%- .*RFC 896\n$", help "tcp_nodelay")
  end)

  it("shows a value", function()
    assert.matches("^sock.cancelled\n  What", help "cancelled")
  end)

  it("lists every function by section, a line for each", function()
    local text = help()
    has(text, "Addresses")
    has(text, "At the prompt")
    for name, value in pairs(sock) do
      if type(value) == "function" then
        assert.matches("\n  sock%." .. name .. "%(.-%)[^\n]*\n", text)
      end
    end
    assert.matches("\n  Socket:accept%(%) +Waits for the next connection\n", text)
    for line in text:gmatch("[^\n]+") do
      assert.truthy(#line < 80, line)
    end
  end)

  it("suggests what may have been meant", function()
    assert.equal("no entry 'conect'; near it: Socket:connect, sock.connect\n", help "conect")
    assert.matches("^no entry 'getaddr'; near it: sock.getaddrinfo\n$", help "getaddr")
    assert.equal("no entry 'xyzzy'\n", help "xyzzy")
    assert.equal("no entry ''\n", help "")
  end)

  it("returns nothing, and refuses what is no name", function()
    local print = _G.print
    _G.print = function() end
    assert.equal(0, select("#", sock.help "spawn"))
    _G.print = print
    assert.error_matches(function() sock.help(1) end, "bad argument #1 to 'help'")
  end)

  it("says that the manual is not installed", function()
    local fresh = assert(loadfile("lua/sock/help.lua"))()
    local path, print, said = package.path, _G.print, nil
    package.path = ""
    _G.print = function(text) said = text end
    fresh.help "spawn"
    _G.print, package.path = print, path
    assert.equal("the manual, sock/types.lua, is not installed", said)
  end)
end)
