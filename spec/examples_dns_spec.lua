-- examples/dns.lua, run as it is, against a server of many faces.

local peer = require "spec.support.peer"
local closing = require("spec.support.fixtures").closing

local text
do
  local file <close> = assert(io.open("spec/support/dnsserver.py"))
  text = file:read("a")
end

--- A server; a function that asks it, which gives what the example prints;
-- what ends the server.
local function start()
  local server = peer.python(text)
  local port = server:expect("^port (%d+)$")
  local function ask(name)
    local program <close> = peer.limited { "examples/dns.lua", name, "127.0.0.1", port }
    return program:rest()
  end
  return ask, server, closing { close = function() server:stop() end }
end

--- The two lines of a name with the addresses that are to be believed.
local function good(name)
  return ("%s A 192.0.2.1\n%s AAAA 2001:db8::1\n"):format(name, name)
end

local function failed(why)
  return ("failed: " .. why .. "\n"):rep(2)
end

describe("examples/dns.lua", function()
  it("prints the addresses of a name", function()
    local ask, _, _ <close> = start()
    assert.equal(good "plain.test", ask "plain.test")
    assert.equal(good "plain.test", ask "Plain.TEST.")
    assert.equal(good "plain", ask "plain")
    assert.equal("two.test A 192.0.2.1\ntwo.test A 6.6.6.6\n"
      .. "two.test AAAA 2001:db8::1\ntwo.test AAAA ::6606\n", ask "two.test")
    assert.equal("", ask "empty.test")
  end)

  it("follows aliases through compressed names", function()
    local ask, _, _ <close> = start()
    assert.equal(good "really.real.test", ask "alias.test")
    assert.equal(good "really.real.a.long.name.test", ask "alias.a.long.name.test")
    local label = ("x"):rep(57)
    local long = table.concat({ label, label, label, label }, ".") -- 231 bytes
    assert.equal(good("really.real." .. long), ask("alias." .. long))
  end)

  it("says that there is no such name, and other refusals", function()
    local ask, _, _ <close> = start()
    assert.equal(failed "there is no such name", ask "none.test")
    assert.equal(failed "the server refuses", ask "refused.test")
    assert.equal(failed "the server refuses: 15", ask "odd.test")
  end)

  it("refuses what is no name before it asks", function()
    local ask, server, _ <close> = start()
    for _, name in ipairs { "", ".", "a..b", ".a", "a b", "a\nb", "\27[31m", ("x."):rep(128) } do
      assert.matches("this is no name", ask(name))
    end
    assert.matches("longer than 63 bytes", ask(("x"):rep(64) .. ".test"))
    ask "plain.test"
    assert.matches("^%d+ plain", server:expect(".+"))
  end)

  it("asks again, with the same id, when an answer is lost", function()
    local ask, server, _ <close> = start()
    assert.equal(good "lost.test", ask "lost.test")
    local ids = { ["1"] = {}, ["28"] = {} }
    while #ids["1"] < 2 or #ids["28"] < 2 do
      local kind, id = server:expect("^(%d+) lost%.test (%x+)$")
      table.insert(ids[kind], id)
    end
    for _, list in pairs(ids) do
      assert.equal(list[1], list[2])
    end
  end)

  it("gives up on a server that is silent", function()
    local ask, _, _ <close> = start()
    assert.equal(failed "no answer", ask "dead.test")
  end)

  it("asks over TCP for what is longer than a datagram", function()
    local ask, _, _ <close> = start()
    local lines = {}
    for i = 0, 199 do
      lines[i + 1] = "long.test A 192.0.2." .. i
      lines[i + 201] = ("long.test AAAA 2001:db8::%x"):format(i)
    end
    lines[201] = "long.test AAAA 2001:db8::"
    assert.equal(table.concat(lines, "\n") .. "\n", ask "long.test")
  end)

  local strangers = {
    id = "another id, two hundred times", question = "another name",
    kind = "the other kind of address", echo = "no answer at all, but a question",
    scraps = "less than the question", stranger = "another server, or for another name",
    shout = "a name in capitals, which is ours",
  }
  for name, what in pairs(strangers) do
    it("is not misled by " .. what, function()
      local ask, _, _ <close> = start()
      assert.equal(good(name .. ".test"), ask(name .. ".test"))
    end)
  end

  local faults = {
    itself = "a name that leads forward", each = "a name that leads forward",
    forward = "a name that leads forward", label = "a name that leads forward",
    ["ladder-4"] = "a name that is too long", ["ladder-9"] = "a name that is too long",
    reserved = "a name that is too long", size = "an address of the wrong size",
  }
  for name, why in pairs(faults) do
    it("finds the fault in an answer: " .. name, function()
      local ask, _, _ <close> = start()
      local line = "failed: [^\n]*" .. why .. "\n"
      assert.matches("^" .. line .. line .. "$", ask(name .. ".test"))
    end)
  end

  it("takes names on a ladder that is not too high", function()
    local ask, _, _ <close> = start()
    local name = ("x"):rep(63) .. "."
    assert.equal((name:rep(3) .. "ladder-3.test A 6.6.6.6\n")
      .. (name:rep(3) .. "ladder-3.test AAAA 666::\n"), ask "ladder-3.test")
  end)

  it("refuses an answer that is cut off anywhere", function()
    local ask, _, _ <close> = start()
    for n = 0, 15 do
      local printed = ask("cut-" .. n .. ".test")
      assert.matches("^failed: .*too short.*\nfailed: .*too short.*\n$", printed)
    end
    assert.matches("^failed: .*too short.*\nfailed: .*too short.*\n$", ask "count.test")
  end)

  it("ends, and prints no address, whatever else an answer holds", function()
    local ask, _, _ <close> = start()
    for n = 1, 20 do
      local printed = ask("noise-" .. n .. ".test")
      assert.matches("^failed: [^\n]+\nfailed: [^\n]+\n$", printed)
      assert.is_nil(printed:find("traceback"))
    end
  end)

  it("sends nothing of an answer to the terminal that could steer it", function()
    local ask, _, _ <close> = start()
    assert.equal(good "??31m?", ask "escape.test")
  end)
end)
