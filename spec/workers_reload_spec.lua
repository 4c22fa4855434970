-- Supervised worker processes: how HUP replaces them.

local sock = require "sock"
local peer = require "spec.support.peer"
local supervisor = require "spec.support.supervisor"
local ask, connect, finish = supervisor.ask, supervisor.connect, supervisor.finish
local kill, ready, start = supervisor.kill, supervisor.ready, supervisor.start

describe("HUP", function()
  it("replaces the workers one by one, and they answer", function()
    local p <close> = start "supervise(3):join()"
    local port = p:expect("port\t(%d+)")
    local before = ready(p, 3)
    p:signal("HUP")
    local after = {}
    for index = 1, 3 do -- in order
      assert.equal(index, math.tointeger((p:expect("^ready\t(%d+)", after))))
    end
    assert.matches("^%d+ [123]", ask(port))
    for _, pid in ipairs(before) do
      local stat = io.open("/proc/" .. pid .. "/stat")
      for _ = 1, 1000 do
        if not stat then break end
        stat:close()
        sock.select({}, {}, 0.01)
        stat = io.open("/proc/" .. pid .. "/stat")
      end
      assert.is_nil(stat)
    end
    p:signal("TERM")
    assert.is_true(select(2, finish(p)))
  end)

  it("under load: no connection is refused or reset", function()
    local p <close> = start "supervise(3):join()"
    local port = p:expect("port\t(%d+)")
    ready(p, 3)
    local clients = {}
    for i = 1, 3 do
      clients[i] = peer.lua([[
        local sock = require "sock"
        local port, n, pids = math.tointeger(arg[1]), 0, {}
        local stop
        sock.spawn(function()
          local sig <close> = sock.signal("USR1")
          sig:wait()
          stop = true
        end)
        io.stdout:setvbuf("line")
        print("running")
        while not stop do
          local c <close> = assert(sock.socket())
          c:settimeout(20)
          assert(c:connect("127.0.0.1", port))
          assert(c:write("x\n"))
          local pid = assert(c:read()):match("^%d+")
          n = n + 1
          pids[pid] = (pids[pid] or 0) + 1
        end
        local count = 0
        for _ in pairs(pids) do count = count + 1 end
        print("done", n, count)
      ]], port)
      clients[i]:expect("running")
    end
    for _ = 1, 5 do
      p:signal("HUP")
      ready(p, 3)
      sock.sleep(0.05)
    end
    for _, client in ipairs(clients) do
      client:signal("USR1")
      local n, pids = client:expect("^done\t(%d+)\t(%d+)")
      assert.is_true(tonumber(n) > 50, n)
      assert.is_true(tonumber(pids) > 3, pids)
      client:stop()
    end
    p:signal("TERM")
    assert.is_true(select(2, finish(p)))
  end)

  it("lets a conversation with an old worker end", function()
    local p <close> = start "supervise(1):join()"
    local port = p:expect("port\t(%d+)")
    local old = ready(p, 1)[1]
    local c <close> = connect(port)
    c:write("a conv")
    sock.sleep(0.05) -- it is accepted
    p:signal("HUP")
    local new = ready(p, 1)[1]
    local answer
    repeat -- the old one is told a moment later
      answer = math.tointeger(ask(port):match("^%d+"))
    until answer ~= old
    assert.equal(new, answer)
    c:write("ersation\n")
    assert.equal(old .. " 1 a conversation", c:read())
    p:signal("TERM")
    assert.is_true(select(2, finish(p)))
  end)

  it("leaves a worker in its place whose successor fails", function()
    local p <close> = start [[
      local list = listeners(1)
      local starts = 0
      local good
      supervise(1, { sockets = function() starts = starts + 1 return list end,
        body = function(control)
          if starts > 1 then error("broken") end
          return serve(list[1], control)
        end }):join()
    ]]
    local old = ready(p, 1)[1]
    p:signal("HUP")
    p:expect("^sock: worker 1 stays: its successor ended with exit 1")
    kill("USR1", old) -- ends it: so it lived
    p:expect("^sock: worker 1: ended with signal 10")
    p:signal("TERM")
    assert.is_true(select(2, finish(p)))
  end)

  it("to a worker is not for it", function()
    local p <close> = start "supervise(1):join()"
    local port = p:expect("port\t(%d+)")
    local pid = ready(p, 1)[1]
    kill("HUP", pid)
    assert.matches("^" .. pid .. " 1", ask(port))
    p:signal("TERM")
  end)
end)
