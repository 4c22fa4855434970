-- Worker processes, as the core makes them. Every fork is in a program of its
-- own, whose output ends when the last of its processes has.

local peer = require "spec.support.peer"
local forking = require "spec.support.forking"
local run = forking.run

-- A module that takes system calls away: filter "fork", filter "pidfd". As no
-- leak checker can work then, filter "exit" ends the program at once.
local filter = [[
#include <errno.h>
#include <lauxlib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static int refuse(lua_State *L) {
  int fork = strcmp(luaL_checkstring(L, 1), "fork") == 0;
  if (strcmp(lua_tostring(L, 1), "exit") == 0) {
    fflush(NULL);
    _exit(0);
  }
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fork ? SYS_clone : SYS_pidfd_open, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (fork ? EAGAIN : ENOSYS)),
  };
  struct sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  lua_pushboolean(L, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
  return 1;
}
int luaopen_filter(lua_State *L) { return lua_pushcfunction(L, refuse), 1; }
]]

describe("fork", function()
  it("runs a function in a child process", function()
    local text = run [[
      local p = fork(function() print("child", io.open("/proc/self/stat"):read("n")) end)
      print(p:wait(10))
      print("parent", p:pid())
    ]]
    assert.matches("^child\t(%d+)\nexit\t0\nparent\t%1\n$", text)
  end)

  it("gives the child's status: what the body returned", function()
    assert.equal("exit 0,exit 0,exit 1,exit 42,exit 3\n", run [[
      local list = {}
      for _, value in ipairs { "true", "'text'", "false", "42", "os.exit(3)" } do
        local how, status = fork(load("return " .. value)):wait(10)
        list[#list + 1] = how .. " " .. status
      end
      print(table.concat(list, ","))
    ]])
  end)

  it("says on stderr why a body failed, with a traceback", function()
    local text = run [[
      local function deep() error("oops", 0) end
      print(fork(function() deep() end):wait(10))
      local odd = setmetatable({}, { __tostring = function() return "odd" end })
      print(fork(function() error(odd) end):wait(10))
    ]]
    assert.matches("sock: a child process failed: oops\nstack traceback:.-'deep'", text)
    assert.matches("\nexit\t1\n", text)
    assert.matches("sock: a child process failed: odd\n", text)
  end)

  it("refuses what is no function, no open socket, and finalizers", function()
    assert.equal("false,false,false,false,false\n", run [[
      local list = {}
      local s = sock.socket()
      s:close()
      for _, args in ipairs { {}, { 1 }, { print, 1 }, { print, { 1 } }, { print, { s } } } do
        list[#list + 1] = tostring(pcall(core.fork, table.unpack(args)))
      end
      print(table.concat(list, ","))
    ]])
    assert.matches("^false\t.*finalizer", run [[
      setmetatable({}, { __gc = function() print(pcall(core.fork, print)) end })
      collectgarbage()
    ]])
  end)

  it("works wherever it is called from, and the body is not in a task", function()
    assert.equal("main task gsub coroutine generator onerror \n", run [[
      local function try(where)
        local how, status = fork(function()
          assert(sock.task() == nil and #sock.tasks() == 0)
          assert(select(2, coroutine.running()))
          local n = 0
          assert(sock.run(function()
            for _ = 1, 3 do sock.spawn(function() sock.sleep(0.001) n = n + 1 end) end
            return true
          end))
          sock.spawn(function() sock.sleep(0.001) n = n + 1 end)
          assert(sock.run() and n == 4)
          io.write(where, " ")
        end):wait(10)
        assert(how == "exit" and status == 0, how .. status)
      end
      try("main")
      sock.run(try, "task")
      sock.run(function()
        ("x"):gsub("x", function()
          sock.spawn(function() sock.sleep(0.001) end)
          sock.sleep(0.002)
          try("gsub")
        end)
      end)
      sock.run(coroutine.wrap(try), "coroutine")
      sock.run(sock.coroutine.wrap(try), "generator")
      sock.onerror(function() try("onerror") end)
      sock.spawn(error)
      sock.sleep(0.001)
      print()
    ]])
  end)

  it("is not in the deadlines and scopes of its parent", function()
    assert.equal("ETIMEDOUT\nslept\nexit\t0\n", run [[
      local p
      print(select(3, sock.timeout(0.01, function()
        p = fork(function()
          print(sock.timeout(1, function() sock.sleep(0.1) return "slept" end))
        end)
        sock.sleep(10)
      end)))
      print(p:wait(10))
    ]])
  end)

  it("fails with EAGAIN where there can be no more processes", function()
    local path, _ <close> = peer.cmodule("filter", filter)
    assert.equal("nil\tfork: Resource temporarily unavailable\tEAGAIN\n", run([[
      package.cpath = arg[1] .. ";" .. package.cpath
      assert(require "filter"("fork"))
      print(core.fork(print))
      require "filter"("exit")
    ]], path))
  end)

  it("fails with EMFILE before there is a child", function()
    local p <close> = peer.widelua(40, [[
      local core, sock = require "sock.core", require "sock"
      local full = {}
      repeat
        local s = sock.socket()
        full[#full + 1] = s
      until not s
      print(select(3, core.fork(function() print("child") end)))
      table.remove(full):close()
      print(core.fork(function() print("child") end):wait(10))
    ]])
    assert.equal("EMFILE\nchild\nexit\t0\n", p:rest())
  end)
end)

describe("A process", function()
  it("is waited for by several tasks, and again", function()
    assert.equal("waiting\nexit 3 exit 3 exit 3\n", run [[
      sock.run(function()
        local up, down = pair()
        local p = fork(function() up:read() return 3 end, { up })
        local a, b = sock.spawn(p.wait, p), sock.spawn(p.wait, p, 10)
        print(a:status())
        down:close()
        up:close()
        local list = {}
        for _, f in ipairs { a.join, b.join, p.wait } do
          list[#list + 1] = table.concat({ f(({ a, b, p })[#list + 1]) }, " ")
        end
        print(table.concat(list, " "))
      end)
    ]])
  end)

  it("is waited for with a limit, and with other work meanwhile", function()
    assert.equal("ETIMEDOUT\nETIMEDOUT\ntimed out\nticks\nsignal\t9\n", run [[
      local p = fork(function() sock.sleep(20) end)
      print(select(3, p:wait(0)))
      print(select(3, p:wait(0.01)))
      print((select(2, sock.timeout(0.01, p.wait, p))))
      sock.spawn(function() sock.sleep(0.01) print("ticks") p:kill("KILL") end)
      print(p:wait())
    ]])
  end)

  it("has its own end only", function()
    assert.equal("exit\t1\ntrue\texit\t0\n", run [[
      local other = io.popen("sleep 0.05; exit 0")
      local quick = io.popen("exit 0")
      sock.sleep(0.01)
      print(fork(function() return 1 end):wait(10))
      assert(quick:close())
      print(other:close())
    ]])
  end)

  it("is gone when it has been waited for", function()
    assert.equal("exit\t0\nESRCH\ntrue\n", run [[
      local p = fork(function() end)
      print(p:wait(10))
      print(select(3, p:kill("TERM")))
      print(tostring(p):find("^process %d+ %(ended%)$") ~= nil)
    ]])
  end)

  it("that somebody else has reaped is a failure", function()
    local p <close> = peer.start({ "python3", "-c", [[
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execvp("env", ["env"] + sys.argv[1:])]],
      "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or ""), os.getenv("LUA") or "lua5.4", "-e", [[
      local core = require "sock.core"
      print(select(3, core.fork(function() end):wait(10)))
    ]] })
    assert.equal("ECHILD\n", p:rest())
  end)

  it("leaves no descriptor when it has ended, or when nobody holds it", function()
    assert.equal("0\n", run [[
      local p
      fork(function() end):wait(10)
      local function count() local n = 0 for _ in pairs(open()) do n = n + 1 end return n end
      sock.pollfd() -- opens the poller
      sock.run(function() fork(function() end):wait(10) end)
      local before = count()
      for _ = 1, 20 do sock.run(function() fork(function() end):wait(10) end) end
      for _ = 1, 5 do fork(function() end) end
      collectgarbage()
      print(count() - before)
    ]])
  end)

  it("is told of through a pipe where the system has nothing better", function()
    local path, _ <close> = peer.cmodule("filter", filter)
    assert.equal("exit\t3\nexit\t4\nETIMEDOUT\nsignal\t9\nexit\t0\n", run([[
      package.cpath = arg[1] .. ";" .. package.cpath
      assert(require "filter"("pidfd"))
      print(fork(function() return 3 end):wait(10))
      sock.run(function()
        local p = fork(function() sock.sleep(0.02) return 4 end)
        local other = fork(function() fork(function() sock.sleep(0.1) end):wait() end)
        print(p:wait(10))
        p = fork(function() sock.sleep(20) end)
        print(select(3, p:wait(0.01)))
        print(p:kill("KILL"):wait(10))
        print(other:wait(10))
      end)
    ]], path))
  end)

  it("is one of twenty", function()
    assert.equal("20\n", run [[
      local list, sum = {}, 0
      for i = 1, 20 do list[i] = fork(function() sock.sleep(0.01) return i end) end
      for i, p in ipairs(list) do sum = sum + (select(2, p:wait(10)) == i and 1 or 0) end
      print(sum)
    ]])
  end)
end)
