local sock = require "sock"
local peer = require "spec.support.peer"

local pollers = { "SOCK_POLLER=poll" }
do
  local fd <const> = sock.pollfd()
  if fd then
    pollers[2] = "SOCK_POLLER=epoll"
  end
end

--- Types a line and waits for what it prints last, and for the prompt.
local function enter(prompt, line, shown)
  prompt:type(line)
  if shown then
    prompt:await(shown)
  end
  return prompt:await("> ")
end

--- A stock prompt that is live.
local function live(...)
  local prompt = peer.prompt({ "-i" }, { ... })
  enter(prompt, "sock = require 'sock' sock.repl() print(('ready'):rep(2))", "readyready\r\n")
  return prompt
end

--- Starts a server there that answers lines in capitals; a client of it.
local function converse(prompt)
  prompt:type "l = sock.socket():bind('127.0.0.1', 0):listen()"
  prompt:await("> ")
  prompt:type("sock.spawn(function() local c <close> = l:accept() for line in c:lines() do "
    .. "c:write(line:upper(), '\\n') end end) print('port=' .. l:getsockname().port .. '.')")
  prompt:await("port=")
  prompt:await("port=")
  local port = prompt:await("."):match("%d+")
  prompt:await("> ")
  local client = assert(sock.socket())
  client:settimeout(10)
  assert(client:connect("127.0.0.1", math.tointeger(port)))
  return client
end

local function ask(client, text)
  assert(client:write(text, "\n"))
  return client:read()
end

for _, poller in ipairs(pollers) do
  describe("sock.repl under the stock interpreter, " .. poller, function()
    it("serves an outside client while the prompt is idle", function()
      local prompt <close> = live(poller)
      local client <close> = converse(prompt)
      assert.equal("HELLO", ask(client, "hello"))
      assert.equal("AGAIN", ask(client, "again"))
    end)

    it("serves it while a line is half typed, which then runs", function()
      local prompt <close> = live(poller)
      local client <close> = converse(prompt)
      prompt:press("print('half' ..")
      prompt:await("print('half' ..")
      assert.equal("MEANWHILE", ask(client, "meanwhile"))
      prompt:press(" ' a line')\n")
      assert.equal(" ' a line')\r\nhalf a line", prompt:await("half a line"))
    end)

    it("lets timers tick", function()
      local prompt <close> = live(poller)
      enter(prompt, "sock.spawn(function() for i = 1, 3 do sock.sleep(0.01) "
        .. "print('tick', i) end end)")
      prompt:await("tick\t1\r\n> ")
      prompt:await("tick\t2\r\n> ")
      prompt:await("tick\t3\r\n> ")
      enter(prompt, "print(6 * 7)", "42")
    end)

    it("lets look-ups end", function()
      local prompt <close> = live(poller)
      enter(prompt, "sock.spawn(function() print(#sock.getaddrinfo('localhost') > 0) end)")
      prompt:await("true\r\n> ")
    end)

    it("lives on when the terminal changes its size, and ends by SIGTERM", function()
      local prompt <close> = live(poller)
      prompt:press("print('half' ..")
      prompt:await("print('half' ..")
      os.execute("kill -WINCH " .. prompt.child)
      prompt:press(" ' a line')\n")
      prompt:await("half a line")
      prompt:await("> ")
      os.execute("kill -TERM " .. prompt.child)
      assert.equal("15", prompt:expect("ended with (%d+)"))
    end)

    it("shows a task's error above the line that is typed, which then runs", function()
      local prompt <close> = live(poller, "TERM=xterm")
      enter(prompt, "go = sock.channel() sock.spawn(function() go:get() error 'oh dear' end)")
      enter(prompt, "sock.spawn(function() sock.sleep(0.2) go:put(1) end)")
      prompt:press("print('half' ..")
      local shown = prompt:await("oh dear")
      assert.matches("\r\27%[K", shown) -- the line is taken off the screen
      shown = prompt:await("> print('half' ..")
      assert.matches("stack traceback:.*\r\n> print%('half' %.%.$", shown)
      prompt:press(" ' a line')\n")
      prompt:await("\r\n")
      prompt:await("half a line")
    end)

    it("shows what tasks print above the line, whichever way", function()
      local prompt <close> = live(poller, "TERM=xterm")
      enter(prompt, "a, b = sock.socketpair() sock.spawn(function() print(a:read()) "
        .. "io.write 'written' a:read() io.stderr:write('to stderr\\n') end)")
      prompt:press("1 +")
      prompt:await("1 +")
      enter(prompt, " 1", "2\r\n")
      prompt:press("b:write 'x\\n' 1 -")
      prompt:await(" 1 -")
      prompt:press("\21\11b:write 'line\\n'\n") -- ^U: another line instead
      assert.matches("\r\27%[K\rline\r\n", prompt:await("line\r\n"))
    end)

    it("refuses a task that reads the terminal", function()
      local prompt <close> = live(poller)
      enter(prompt, "t = sock.adopt(io.stdin)")
      enter(prompt, "sock.spawn(function() sock.sleep(0) print(pcall(io.read)) "
        .. "print(pcall(io.stdin.read, io.stdin)) end)",
        "the prompt reads the terminal\r\nfalse\tthe prompt reads the terminal\r\n")
      enter(prompt, "sock.spawn(function() print(t:recv()) end)")
      prompt:press("print")
      prompt:await("the prompt reads the terminal\tEBUSY\r\n> print")
      prompt:press("('on' .. 'wards')\n")
      prompt:await("onwards")
    end)

    it("lets ^C go to sock.signal, and to the interpreter when that is closed", function()
      local prompt <close> = live(poller)
      enter(prompt, "i = sock.signal('INT') sock.spawn(function() print(i:wait()) i:close() end)")
      peer.awaitstate(prompt.child, "S") -- before that it is readline's
      prompt:press("\3")
      prompt:await("INT\r\n> ")
      peer.awaitstate(prompt.child, "S")
      prompt:press("\3")
      assert.equal("2", prompt:expect("ended with (%d+)"))
    end)
  end)
end

describe("sock.repl under the stock interpreter", function()
  it("gives the prompt back when ^C ends a read, and the tasks live on", function()
    local prompt <close> = live()
    local client <close> = converse(prompt)
    enter(prompt, "a, b = sock.socketpair()")
    prompt:type("print('wait' .. 'ing') a:read()")
    prompt:await("waiting")
    assert.equal("THERE", ask(client, "there"))
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    prompt:await("interrupted!")
    prompt:await("> ")
    assert.equal("STILL THERE", ask(client, "still there"))
  end)

  it("ends by ^C at the idle prompt", function()
    local prompt <close> = live()
    enter(prompt, "sock.spawn(sock.sleep, 100)")
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    assert.equal("2", prompt:expect("ended with (%d+)"))
  end)

  it("ends by ^C while a task waits where it cannot yield", function()
    local prompt <close> = live()
    prompt:type("sock.spawn(function() sock.sleep(0) "
      .. "string.gsub('x', 'x', function() print('ins' .. 'ide') sock.sleep(100) end) end)")
    prompt:await("inside")
    peer.awaitstate(prompt.child, "S")
    prompt:press("\3")
    assert.equal("2", prompt:expect("ended with (%d+)"))
  end)

  it("leaves signals to what a task asked for, after the next line too", function()
    local prompt <close> = live()
    enter(prompt, "sock.spawn(function() sock.sleep(0) t = sock.signal('TERM') "
      .. "while true do print('told', t:wait()) end end)")
    enter(prompt, "sock.sleep(0.01) print('ano' .. 'ther line')", "another line\r\n")
    os.execute("kill -TERM " .. prompt.child)
    prompt:await("told\tTERM\r\n> ")
    prompt:press("print('half' ..")
    prompt:await("print('half' ..")
    os.execute("kill -TERM " .. prompt.child)
    prompt:await("told\tTERM\r\n")
    prompt:press(" ' a line')\n")
    prompt:await("half a line")
  end)

  it("ends by a signal that a task has asked for no more", function()
    local prompt <close> = live()
    enter(prompt, "t = sock.signal('TERM') sock.spawn(function() sock.sleep(0.01) t:close() "
      .. "print('clo' .. 'sed') end)", "closed\r\n")
    enter(prompt, "print('ano' .. 'ther line')", "another line\r\n")
    peer.awaitstate(prompt.child, "S")
    os.execute("kill -TERM " .. prompt.child .. "; sleep 0.5; kill -KILL " .. prompt.child
      .. " 2>/dev/null")
    assert.equal("15", prompt:expect("ended with (%d+)"))
  end)

  it("leaves its child processes their signals", function()
    local prompt <close> = live()
    enter(prompt, "sock.spawn(function() sock.sleep(0) local c = require 'sock.core'.fork("
      .. "function() sock.sleep(100) end) c:kill('TERM') print(c:wait(5)) c:kill('KILL') end)",
      "signal\t15\r\n")
  end)

  it("keeps its terminal when a child process calls os.exit", function()
    local prompt <close> = live("TERM=xterm")
    enter(prompt, "sock.spawn(function() sock.sleep(0) print(require 'sock.core'.fork(function() "
      .. "os.exit(3) end):wait()) end)")
    assert.not_matches("\27%[%?2004l", prompt:await("exit\t3\r\n")) -- readline gives it back
  end)

  it("gives the prompt back when ^C comes while a trace is told", function()
    local prompt <close> = live()
    enter(prompt, "a, b = sock.socketpair() a:trace(function() print('tell' .. 'ing') "
      .. "local t = os.clock() + 0.2 repeat until os.clock() > t end)")
    prompt:type("while true do a:send('x') end")
    prompt:await("telling")
    prompt:press("\3")
    assert.not_matches("has ended", prompt:await("stdin:1: interrupted!"))
    prompt:await("> ")
    enter(prompt, "a:send('x')", "telling")
  end)

  it("ends by ^D, and says what was still waiting", function()
    local prompt <close> = live()
    enter(prompt, "sock.spawn(sock.sleep, 100)")
    prompt:press("\4")
    assert.equal("0", prompt:expect("ended with (%d+)"))
  end)

  it("ends where a task calls os.exit, with the terminal as it was", function()
    local prompt <close> = live("TERM=xterm")
    enter(prompt, "sock.spawn(function() sock.sleep(0.01) os.exit(3) end)")
    prompt:await("\27[?2004l") -- readline puts it back
    assert.equal(tostring(3 << 8), prompt:expect("ended with (%d+)"))
  end)

  it("ends where a task closes the state", function()
    local prompt <close> = live()
    enter(prompt, "sock.spawn(function() sock.sleep(0.01) os.exit(4, true) end)")
    assert.equal(tostring(4 << 8), prompt:expect("ended with (%d+)"))
  end)

  it("takes a statement of several lines", function()
    local prompt <close> = live()
    local client <close> = converse(prompt)
    enter(prompt, "for i = 1, 2 do")
    assert.equal("BETWEEN", ask(client, "between"))
    enter(prompt, "print(i * 21)")
    prompt:type("end")
    prompt:await("21\r\n42\r\n> ")
  end)

  it("keeps the history", function()
    local prompt <close> = live("TERM=xterm")
    enter(prompt, "print('first' .. '.')", "first.")
    enter(prompt, "print('second' .. '.')", "second.")
    prompt:press("\27[A\27[A\n")
    prompt:await("first.")
  end)

  it("is harmless a second time, also in tasks and coroutines", function()
    local prompt <close> = live()
    enter(prompt, "sock.repl() sock.spawn(sock.repl) coroutine.wrap(sock.repl)()")
    enter(prompt, "print(6 * 7)", "42")
  end)

  it("may be called before the prompt is there", function()
    local prompt <close> = peer.prompt { "-i", "-e",
      "sock = require 'sock' sock.repl() "
      .. "sock.spawn(function() sock.sleep(0.01) print('tick') end)" }
    prompt:await("tick\r\n> ")
  end)

  it("is for one Lua state, until that is closed", function()
    local path, _ <close> = peer.cmodule("second", [[
      #include <lauxlib.h>
      #include <lualib.h>
      static int second(lua_State *L) { /* runs a text in a state of its own */
        lua_State *other = luaL_newstate();
        luaL_openlibs(other);
        (void)luaL_dostring(other, luaL_checkstring(L, 1));
        lua_pushstring(L, lua_tostring(other, -1));
        lua_close(other);
        return 1;
      }
      int luaopen_second(lua_State *L) { return lua_pushcfunction(L, second), 1; }
    ]])
    local prompt <close> = peer.prompt { "-i", "-e", "package.cpath = '" .. path
      .. ";' .. package.cpath second = require 'second'" }
    enter(prompt, "print(second \"return tostring(require 'sock.core'.prompt())\")", "true\r\n")
    enter(prompt, "sock = require 'sock' sock.repl()")
    enter(prompt, "print(second \"return tostring(select(2, pcall(require 'sock.core'.prompt)))\")",
      "another Lua state has the prompt\r\n")
    enter(prompt, "print(second \"return tostring(select(2, pcall(require 'sock'.repl)))\")",
      "another Lua state has the prompt\r\n")
    enter(prompt, "sock.spawn(function() sock.sleep(0.01) print('tick') end)")
    prompt:await("tick\r\n> ")
  end)

  it("leaves what print and io.write say of wrong arguments as it was", function()
    local prompt <close> = live()
    enter(prompt, "io.write {}", "stdin:1: bad argument #1 to 'write' (string expected, got table)")
    enter(prompt, "io.stdout:write(1, nil)", "stdin:1: bad argument #2 to 'write' (string")
    enter(prompt, "io.stdout.write()", "stdin:1: bad argument #1 to 'write' (FILE* expected")
    enter(prompt, "f = io.tmpfile() f:close() f:write '1'", "stdin:1: attempt to use a closed file")
    enter(prompt, "print(io.write('a', 1, '\\n') == io.stdout)", "a1\r\ntrue")
  end)
end)

local own = { "-e", "sock = require 'sock' sock.repl() print('af' .. 'ter')" }

for _, poller in ipairs(pollers) do
  describe("sock.repl's own prompt on a terminal, " .. poller, function()
    it("prints values as the stock one does", function()
      local prompt <close> = peer.prompt(own, { poller })
      enter(prompt, "6 * 7, nil", "\r\n42\tnil\r\n")
      enter(prompt, "= 'old', 'way'", "\r\nold\tway\r\n")
      enter(prompt, "x = 1")
      enter(prompt, "x", "\r\n1\r\n")
    end)

    it("takes a statement of several lines", function()
      local prompt <close> = peer.prompt(own, { poller })
      prompt:type("for i = 1, 2 do")
      prompt:await("\r\n>> ")
      prompt:type("print(i * 21) end")
      prompt:await("21\r\n42\r\n> ")
    end)

    it("shows errors with their traceback, and lives on", function()
      local prompt <close> = peer.prompt(own, { poller })
      assert.equal("error 'oh'\r\nstdin:1: oh\r\nstack traceback:\r\n\t[C]: in function 'error'\r\n"
        .. "\tstdin:1: in main chunk\r\n\t[C]: in ?\r\n> ", enter(prompt, "error 'oh'"))
      enter(prompt, "error {}", "(error object is a table value)")
      enter(prompt, "error(setmetatable({}, {__tostring = function() return 'my own' end}))",
        "\r\nmy own\r\n")
      enter(prompt, "x x", "stdin:1: syntax error near 'x'")
      enter(prompt, "setmetatable({}, {__tostring = function() error 'my' end})",
        "error calling 'print' (stdin:1: my)")
      enter(prompt, "setmetatable({}, {__tostring = error})", "error calling 'print'")
      enter(prompt, "6 * 7", "42")
    end)

    it("lets tasks go on", function()
      local prompt <close> = peer.prompt(own, { poller })
      local client <close> = converse(prompt)
      assert.equal("HELLO", ask(client, "hello"))
      prompt:press("print('half' ..")
      assert.equal("MEANWHILE", ask(client, "meanwhile"))
      enter(prompt, " ' a line')", "half a line")
    end)

    it("is given back by ^C during a call, again and again", function()
      local prompt <close> = peer.prompt(own, { poller })
      for _ = 1, 3 do
        prompt:type("print('wait' .. 'ing') sock.sleep(100)")
        prompt:await("waiting")
        peer.awaitstate(prompt.child, "S")
        prompt:press("\3")
        prompt:await("interrupted!")
        prompt:await("> ")
        prompt:type("print('comput' .. 'ing') while true do end")
        prompt:await("computing")
        prompt:press("\3")
        prompt:await("interrupted!")
        prompt:await("> ")
      end
      enter(prompt, "6 * 7", "42")
    end)

    it("ends by ^D, and the script goes on", function()
      local prompt <close> = peer.prompt(own, { poller })
      prompt:press("\4")
      prompt:await("after")
      assert.equal("0", prompt:expect("ended with (%d+)"))
    end)

    it("ends by ^C where nothing is called", function()
      local prompt <close> = peer.prompt(own, { poller })
      peer.awaitstate(prompt.child, "S")
      prompt:press("\3")
      prompt:await("interrupted!")
      assert.equal("256", prompt:expect("ended with (%d+)"))
    end)
  end)
end

describe("sock.repl's own prompt", function()
  it("asks with _PROMPT and _PROMPT2", function()
    local prompt <close> = peer.prompt(own)
    prompt:type("_PROMPT, _PROMPT2 = 'next: ', 'more: '")
    prompt:await("\r\nnext: ")
    prompt:type("print(")
    prompt:await("\r\nmore: ")
    prompt:type("6 * 7)")
    prompt:await("\r\n42\r\nnext: ")
  end)

  local function piped(text)
    local p <close> = peer.start({ os.getenv("LUA") or "lua5.4", table.unpack(own) },
      { module = true, input = text })
    return p:rest()
  end

  it("reads a pipe", function()
    assert.equal("> 42\n> >> 1\n> \nafter\n", piped "6 * 7\nprint(\n1)\n")
  end)

  it("leaves to a line what it reads itself", function()
    assert.equal("> a line\n> 42\n> \nafter\n", piped "io.read()\na line\n6 * 7")
  end)

  it("shows what is incomplete at the end", function()
    assert.matches("^> >> stdin:1: unexpected symbol near <eof>\n> \nafter\n$", piped "x =")
  end)

  it("reads nothing at all", function()
    assert.equal("> \nafter\n", piped "")
  end)
end)
