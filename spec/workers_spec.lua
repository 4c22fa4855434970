-- Supervised worker processes.

local sock = require "sock"
local peer = require "spec.support.peer"
local supervisor = require "spec.support.supervisor"
local ask, connect, finish = supervisor.ask, supervisor.connect, supervisor.finish
local kill, ready, run, start = supervisor.kill, supervisor.ready, supervisor.run, supervisor.start

describe("Workers", function()
  it("are as many as asked for, and each knows its index", function()
    local p <close> = start "supervise(4):join()"
    local pids = ready(p, 4)
    assert.equal(4, #pids)
    p:signal("TERM")
  end)

  it("answer on one port until they are told to stop", function()
    local p <close> = start "supervise(2):join() print('over')"
    local port = p:expect("port\t(%d+)")
    for i = 1, 10 do
      assert.matches("^%d+ [12] text" .. i, ask(port, "text" .. i))
    end
    p:signal("TERM")
    local text, ok, how, status = finish(p)
    assert.matches("over\n$", text)
    assert.same({ true, "exit", 0 }, { ok, how, status })
  end)

  it("end with INT as with TERM, and a second one is for at once", function()
    local p <close> = start "print(supervise(2, { grace = 20 }):join(30))"
    local port = p:expect("port\t(%d+)")
    local c <close> = connect(port)
    ask(port)
    local before = peer.uptime()
    p:signal("INT")
    sock.sleep(0.05)
    p:signal("INT")
    assert.matches("true\n$", p:rest())
    assert.is_true(peer.uptime() - before < 10)
    assert.is_nil((c:read()))
  end)

  it("let what is under way end within the grace", function()
    local p <close> = start "supervise(1, { grace = 20 }):join()"
    local port = p:expect("port\t(%d+)")
    local pid = ready(p, 1)[1]
    local c <close> = connect(port)
    c:write("half ")
    sock.sleep(0.05) -- it is accepted
    p:signal("TERM")
    sock.sleep(0.05)
    c:write("and half\n")
    assert.equal(pid .. " 1 half and half", c:read())
    assert.is_true(select(2, finish(p)))
  end)

  it("that take too long are cancelled, and counted", function()
    local text = run [[
      local supervisor, port = supervise(1)
      local c = assert(sock.socket())
      assert(c:connect("127.0.0.1", port))
      c:write("half")
      sock.sleep(0.05)
      print("cancelled", supervisor:stop(0.05))
    ]]
    assert.matches("cancelled\t1\n", text)
  end)

  it("that do not listen are cancelled after the grace", function()
    local text = run [[
      local supervisor = supervise(1, { body = function(control)
        local _ <close> = setmetatable({}, { __close = function() print("closed") end })
        control:ready()
        sock.sleep(100)
      end })
      print("cancelled", supervisor:stop(0.05))
    ]]
    assert.matches("closed\ncancelled\t0\n", text)
  end)

  it("that hang are killed", function()
    local text = run [[
      local supervisor = supervise(2, { body = function(control)
        print("busy")
        while control.index == 1 do end
      end })
      print("cancelled", supervisor:stop(0))
    ]]
    assert.matches("cancelled\t1\n", text)
  end)

  it("stay where a successor does not become ready", function()
    local text = run [[
      local born = os.tmpname()
      os.remove(born)
      local listening = listeners(1)
      local function body(control)
        if io.open(born) then
          return control:wait() * 0
        end
        io.open(born, "w"):close()
        return serve(listening[1], control)
      end
      local supervisor = supervise(1, { patience = 0.2, body = body,
        sockets = function() return listening end })
      sock.sleep(0.3)
      print("reload", supervisor:reload())
      local s = sock.connect(listening[1]:getsockname(), { timeout = 5 })
      s:write("x\n")
      print("served", s:read():match(" .*"))
      os.remove(born)
      print("cancelled", supervisor:stop(1))
    ]]
    assert.matches("reload\tnil\tits successor is not ready\n.*served\t 1 x\n.*cancelled\t0", text)
  end)

  it("that hang are killed once, however many stop them", function()
    local text = run [[
      local supervisor = supervise(1, { body = function(control)
        print("busy")
        while true do end
      end })
      local other = sock.spawn(supervisor.stop, supervisor, 0)
      print("cancelled", supervisor:stop(0), other:join())
    ]]
    assert.matches("cancelled\t1\t1\n", text)
  end)

  it("that are killed are replaced, and what was queued for them is served", function()
    local p <close> = start "supervise(2):join()"
    local port = p:expect("port\t(%d+)")
    local pids = ready(p, 2)
    kill("KILL", pids[1])
    local clients = {}
    for i = 1, 20 do -- about half of them are the dead one's
      clients[i] = connect(port)
      clients[i]:write("text\n")
    end
    p:expect("^sock: worker 1: ended with signal 9; another starts in 0.1 s")
    local index, pid = p:expect("^ready\t(%d+)\t(%d+)")
    assert.equal("1", index)
    assert.not_equal(pids[1], math.tointeger(pid))
    for _, c in ipairs(clients) do
      assert.matches("^%d+ [12] text", (assert(c:read())))
      c:close()
    end
    p:signal("TERM")
    assert.is_true(select(2, finish(p)))
  end)

  it("that die young are replaced after pauses that grow", function()
    local p <close> = start [[
      supervise(1, { body = function() error("broken") end }):join()
    ]]
    for _, pause in ipairs { "0.1", "0.2", "0.4" } do
      p:expect("^sock: worker 1 failed: .*broken")
      p:expect("^sock: worker 1: ended with exit 1; another starts in " .. pause .. " s")
    end
    p:signal("TERM") -- in the middle of the pause
    local _, ok = finish(p)
    assert.is_true(ok)
  end)

  it("that end by themselves are replaced", function()
    local p <close> = start "supervise(1, { body = function() print('here') end }):join()"
    p:expect("^here")
    p:expect("^sock: worker 1: ended with exit 0")
    p:expect("^here")
    p:signal("TERM")
    assert.is_true(select(2, finish(p)))
  end)

  it("end when the parent is killed", function()
    local p <close> = start "supervise(3):join()"
    ready(p, 3)
    p:signal("KILL")
    assert.equal("", (p:rest()))
  end)

  it("end when the parent's script does", function()
    assert.matches("still waiting at the end", run [[
      supervise(2)
      sock.sleep(0.05)
    ]])
  end)

  it("end with the scope that they were started in", function()
    local text = run [[
      print(pcall(sock.run, function()
        supervise(2, { grace = 0 })
        sock.sleep(0.05)
        error("enough", 0)
      end))
      sock.run()
      print("none left")
    ]]
    assert.matches("false\tenough\n.*none left\n$", text)
  end)

  it("do not draw the same random numbers", function()
    local p <close> = start [[
      supervise(4, { body = function(control)
        print("drew", math.random(0))
        control:wait()
      end }):join()
    ]]
    local seen = {}
    for _ = 1, 4 do
      local number = p:expect("drew\t(.*)")
      assert.is_nil(seen[number])
      seen[number] = true
    end
    p:signal("TERM")
  end)

  it("are not to be had where there can be no more processes", function()
    local path, _ <close> = peer.cmodule("filter", [[
#include <errno.h>
#include <lauxlib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static int refuse(lua_State *L) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
  };
  struct sock_fprog program = {4, code};
  (void)L;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  return 0;
}
static int quit(lua_State *L) { (void)L; fflush(NULL); _exit(0); }
int luaopen_filter(lua_State *L) {
  return lua_pushcfunction(L, refuse), lua_setglobal(L, "refuse"), lua_pushcfunction(L, quit), 1;
}
]])
    assert.equal("nil\tfork: Resource temporarily unavailable\tEAGAIN\n", run([[
      package.cpath = arg[1] .. ";" .. package.cpath
      local quit = require "filter"
      refuse()
      print(workers.supervise { count = 3, body = print })
      quit()
    ]], path))
  end)

  it("may be twenty", function()
    local p <close> = start "supervise(20):join() print('over')"
    local port = p:expect("port\t(%d+)")
    assert.matches("^%d+ %d+ hello", ask(port, "hello"))
    p:signal("TERM")
    assert.matches("over\n$", (p:rest()))
  end)
end)

describe("A supervisor", function()
  it("sums what its workers count, and keeps what those counted that ended", function()
    local text = run [[
      local supervisor, port = supervise(3)
      local function ask()
        local c <close> = assert(sock.socket())
        assert(c:connect("127.0.0.1", port))
        c:write("x\n")
        assert(c:read())
      end
      for _ = 1, 10 do ask() end
      print("first", supervisor:stats().accepted)
      assert(supervisor:reload() == supervisor)
      for _ = 1, 10 do ask() end
      print("second", supervisor:stats().accepted)
      supervisor:stop(1)
      print("last", supervisor:stats().accepted)
    ]]
    assert.matches("first\t10\n", text)
    assert.matches("second\t20\n", text)
    assert.matches("last\t20\n", text)
  end)

  it("can be stopped again, and joined with a limit", function()
    local text = run [[
      local supervisor = supervise(2)
      print(select(3, supervisor:join(0.01)))
      print(supervisor:stop(), supervisor.stopping)
      print(supervisor:stop(1), supervisor:join(0))
    ]]
    assert.matches("ETIMEDOUT\n.*0\ttrue\n0\ttrue\n$", text)
  end)

  it("leaves the signals alone where they are not for it", function()
    local p = start "supervise(1, { signals = false }):join()"
    ready(p, 1)
    p:signal("TERM")
    local _, _, how, status = finish(p)
    assert.same({ "signal", 15 }, { how, status })
  end)

  it("gives the signals back at its end", function()
    local text = run [[
      local supervisor = supervise(1)
      supervisor:stop()
      local mask = io.open("/proc/self/status"):read("a"):match("SigCgt:%s*(%x+)")
      print("caught", tonumber(mask, 16) >> 14 & 1)
    ]]
    assert.matches("caught\t0\n", text)
  end)
end)
