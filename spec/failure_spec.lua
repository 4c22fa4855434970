local sock = require "sock"
local peer = require "spec.support.peer"
local output = peer.output

--- What onerror is told while `f` runs and all tasks end: a list of its
-- arguments.
local function told(f)
  local list = {}
  local before = sock.onerror(function(...) list[#list + 1] = table.pack(...) end)
  f()
  sock.run()
  sock.sleep(0)
  sock.onerror(before)
  return list
end

describe("A failed task", function()
  it("that nobody has joined is told once: error, traceback, task", function()
    local task, value = nil, {}
    local function fail()
      error(value)
    end
    local list = told(function()
      task = sock.spawn(function()
        sock.sleep(0)
        fail()
        return 1
      end)
    end)
    assert.equal(1, #list)
    assert.equal(3, list[1].n)
    assert.equal(value, list[1][1])
    assert.matches("^stack traceback:\n.*spec/failure_spec.lua:"
      .. debug.getinfo(fail, "S").linedefined + 1, list[1][2])
    assert.equal(task, list[1][3])
  end)

  it("still raises for a later join", function()
    local task
    local list = told(function() task = sock.spawn(error, "late", 0) end)
    assert.equal("late", list[1][1])
    assert.same({ false, "late" }, { pcall(task.join, task) })
    assert.equal(0, #told(function() sock.sleep(0) end))
  end)

  it("that is joined before the loop has nothing to do is not told", function()
    assert.same({}, told(function()
      local task = sock.spawn(error, "joined")
      pcall(task.join, task)
    end))
    assert.same({}, told(function()
      sock.run(function()
        local task = sock.spawn(error, "joined")
        sock.spawn(function() pcall(task.join, task) end)
      end)
    end))
  end)

  it("that somebody waits for is not told", function()
    assert.same({}, told(function()
      local task = sock.spawn(function()
        sock.sleep(0.001)
        error("awaited")
      end)
      pcall(task.join, task)
    end))
  end)

  it("is told even if a join gave up before it failed", function()
    local list = told(function()
      local task = sock.spawn(function()
        sock.sleep(0.01)
        error("after", 0)
      end)
      task:join(0)
      task:join(0.001)
    end)
    assert.equal(1, #list)
    assert.equal("after", list[1][1])
  end)

  it("ends nobody else", function()
    local ended = 0
    local list = told(function()
      for i = 1, 10 do
        sock.spawn(function()
          sock.sleep(0)
          if i % 2 == 0 then
            error(i, 0)
          end
          sock.sleep(0)
          ended = ended + 1
        end)
      end
    end)
    assert.equal(5, ended)
    assert.equal(5, #list)
  end)

  it("that raised nil, false, or memory's end is told too", function()
    local list = told(function()
      sock.spawn(error, nil)
      sock.spawn(error, false)
      sock.spawn(string.rep, "x", 1 << 46)
    end)
    assert.equal(3, #list)
    for _, row in ipairs(list) do
      assert.equal(3, row.n)
    end
  end)

  it("of an endless recursion is told, and the others go on", function()
    local function deeper()
      return 1 + deeper()
    end
    local list = told(function()
      sock.spawn(deeper)
      sock.spawn(string.gsub, "x", "x", function() return deeper() end)
    end)
    assert.equal(2, #list)
    assert.matches("stack overflow", list[1][1])
  end)

  it("is not kept once it has been told", function()
    local weak = setmetatable({}, { __mode = "v" })
    told(function() weak.task = sock.spawn(error, "gone") end)
    collectgarbage()
    collectgarbage()
    assert.same({}, weak)
  end)

  it("of a __close that raises has that error", function()
    local list = told(function()
      sock.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() error("in close", 0) end })
        sock.sleep(0)
      end)
      sock.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          sock.sleep(0)
          error("instead", 0)
        end })
        sock.sleep(0)
        error("first", 0)
      end)
    end)
    local errors = { list[1][1], list[2] and list[2][1] }
    table.sort(errors)
    assert.same({ "in close", "instead" }, errors)
  end)
end)

describe("sock.onerror", function()
  it("gives the one before, and without an argument changes nothing", function()
    local function mine() end
    local first = sock.onerror()
    assert.equal("function", type(first))
    assert.equal(first, sock.onerror(mine))
    assert.equal(mine, sock.onerror())
    assert.equal(mine, sock.onerror(first))
    assert.equal(first, sock.onerror())
  end)

  it("takes nil for the first, which writes to stderr", function()
    local first = sock.onerror(function() end)
    sock.onerror(nil)
    assert.equal(first, sock.onerror())
  end)

  it("refuses what is no function", function()
    local before = sock.onerror()
    assert.error_matches(function() sock.onerror(1) end, "^bad argument #1 to 'onerror'")
    assert.error_matches(function() sock.onerror({}) end, "^bad argument #1 to 'onerror'")
    assert.equal(before, sock.onerror())
  end)

  it("may wait, spawn and fail tasks", function()
    local list = {}
    local before
    before = sock.onerror(function(err)
      sock.sleep(0.001)
      list[#list + 1] = err
      if err == "first" then
        sock.spawn(error, "second", 0)
      end
    end)
    sock.spawn(error, "first", 0)
    sock.sleep(0)
    sock.run()
    sock.sleep(0)
    sock.onerror(before)
    assert.same({ "first", "second" }, list)
  end)

  it("may raise: that is written to stderr, and the others are told", function()
    local text = output [[
      local told = 0
      sock.onerror(function(err) told = told + 1 error(err, 0) end)
      sock.spawn(error, "a text", 0)
      sock.spawn(error, {}, 0)
      sock.spawn(error, setmetatable({}, { __tostring = function() error "in __tostring" end }))
      sock.spawn(function() sock.sleep(0) print "alive" end)
      sock.run()
      print(told) ]]
    assert.matches("a text", text)
    assert.matches("no text", text)
    assert.matches("alive", text)
    assert.matches("\n3\n$", text)
  end)

  it("at first writes error and traceback to stderr, once", function()
    local text = output [[
      local function fail() error "the message" end
      sock.spawn(function() sock.sleep(0) fail() return 1 end)
      sock.run()
      sock.run()
      print "end" ]]
    assert.matches("^sock: .-the message\nstack traceback:\n.-fail.-\nend\n$", text)
    local _, times = text:gsub("the message", "")
    assert.equal(1, times)
  end)

  it("at first writes what tostring makes of an error that is no text", function()
    local text = output [[
      sock.spawn(error, setmetatable({}, { __tostring = function() return "its text" end }))
      sock.spawn(error, { 1 })
      sock.spawn(error, nil)
      sock.run() ]]
    assert.matches("its text", text)
    assert.matches("table: ", text)
    assert.matches("failed: nil", text)
  end)

  it("at first survives an error in __tostring, and one that gives no text", function()
    local text = output [[
      sock.spawn(error, setmetatable({}, { __tostring = function() error "in __tostring" end }))
      sock.spawn(error, setmetatable({}, { __tostring = function() return {} end }))
      sock.spawn(error, "another", 0)
      sock.run()
      print "end" ]]
    assert.matches("in __tostring", text)
    assert.matches("must return a string", text)
    assert.matches("another", text)
    assert.matches("^end\n", text)
  end)

  it("is told at the end of a program that never waits", function()
    assert.matches("^end\nsock: .-the message\n", output [[
      sock.spawn(error, "the message", 0)
      print "end" ]])
  end)
end)
