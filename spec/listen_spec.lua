local sock = require "sock"
local peer = require "spec.support.peer"

local function connect(...)
  local s = assert(sock.socket((...).family))
  return assert(s:settimeout(20):connect(...))
end

--- The words that start Lua with the module from a program that is run
-- without the sanitizers; `preload` comes behind those.
local function lua(preload, ...)
  return "env", "LD_PRELOAD=" .. (os.getenv("LD_PRELOAD") or "") .. " " .. preload,
    os.getenv("LUA") or "lua5.4", "-e", ...
end

describe("sock.listen", function()
  it("takes an address, a host and a port, and one text with both", function()
    for _, given in ipairs { { sock.address("127.0.0.1:0") }, { "127.0.0.1", 0 },
      { "127.0.0.1", "0" }, { "127.0.0.1:0" } } do
      local listener <close> = assert(sock.listen(table.unpack(given)))
      local address = listener:getsockname()
      assert.equal("127.0.0.1", address.host)
      assert.is_true(address.port > 0)
      local client <close> = connect(address)
      local conn <close>, from = listener:accept()
      assert.equal(client:getsockname(), from)
      assert.equal("socket", sock.type(conn))
    end
  end)

  it("takes a name for its first address", function()
    local first = assert(sock.getaddrinfo("localhost", 0))[1]
    local listener <close> = assert(sock.listen("localhost", 0))
    assert.equal(first.host, listener:getsockname().host)
  end)

  it("takes a service's name for a port", function()
    local listener, message, code = sock.listen("127.0.0.1", "no-such-service")
    assert.is_nil(listener)
    assert.truthy(message:find("no-such-service", 1, true))
    assert.equal("EAI_SERVICE", code)
  end)

  it("says what was tried on what", function()
    local listener <close> = assert(sock.listen("127.0.0.1", 0))
    local address = listener:getsockname()
    local again, message, code = sock.listen(address, { reuseaddr = false })
    assert.is_nil(again)
    assert.equal(("bind %s: Address already in use"):format(address), message)
    assert.equal("EADDRINUSE", code)
  end)

  it("sets options before the bind, and reuseaddr unless told otherwise", function()
    local one <close> = assert(sock.listen("127.0.0.1:0", { reuseport = true, rcvbuf = 20000 }))
    assert.is_true(one:getsockopt("reuseaddr"))
    assert.is_true(one:getsockopt("rcvbuf") >= 20000)
    local two <close> = assert(sock.listen(one:getsockname(), { reuseport = true }))
    assert.equal(one:getsockname(), two:getsockname())
    local three <close> = assert(sock.listen("127.0.0.1:0", { reuseaddr = false }))
    assert.is_false(three:getsockopt("reuseaddr"))
  end)

  it("fails with an option that the system refuses, and leaves nothing", function()
    local listener, message, code = sock.listen("127.0.0.1:0", { bindtodevice = "no-such-device" })
    assert.is_nil(listener)
    assert.truthy(message:find("bindtodevice", 1, true))
    assert.equal("ENODEV", code)
  end)

  it("gives the listener its timeout", function()
    local listener <close> = assert(sock.listen("127.0.0.1:0", { timeout = 0.001 }))
    assert.equal("ETIMEDOUT", select(3, listener:accept()))
  end)

  it("raises for what the caller got wrong", function()
    local function raises(text, ...)
      local ok, message = pcall(sock.listen, ...)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end
    raises("bad argument #1 to 'listen' (address or host expected, got no value)")
    raises("bad argument #1 to 'listen' (address or host expected, got table)", {})
    raises("bad argument #2 to 'listen' (port out of range)", "127.0.0.1", 70000)
    raises("bad argument #2 to 'listen' (unknown option 'bakclog')", "127.0.0.1:0", { bakclog = 1 })
    raises("bad argument #3 to 'listen' (table expected, got number)", "127.0.0.1", 0, 1)
    raises("option 'backlog': number expected", "127.0.0.1", 0, { backlog = "1" })
    raises("option 'backlog' out of range", "127.0.0.1", 0, { backlog = -1 })
    raises("bad argument #3 to 'listen' (table expected, got boolean)", "127.0.0.1", 0, false)
    raises("bad argument #3 to 'listen' (unknown option 'x')", "127.0.0.1:0", nil, { x = 1 })
    raises("bad argument #3 to 'listen' (option 'rcvbuf': number expected, got table)",
      "127.0.0.1", 0, { rcvbuf = {} })
    local _, message = pcall(function() sock.listen(7) end)
    assert.matches("^spec/listen_spec.lua:%d+: bad argument #1 to 'listen'", message)
    raises("no socket of type 'dgram' listens", "127.0.0.1", 0, { type = "dgram" })
    raises("option 'mode': for Unix paths only", "127.0.0.1", 0, { mode = "600" })
    raises("option 'mode': for Unix paths only", "unix:@x", { mode = "600" })
    raises("three octal digits expected, got '900'", "unix:/x", { mode = "900" })
  end)
end)

describe('sock.listen("*")', function()
  it("serves IPv6 and IPv4 on one port; IPv4 peers are inet", function()
    local listener <close> = assert(sock.listen("*", 0))
    local port = listener:getsockname().port
    for host, family in pairs { ["127.0.0.1"] = "inet", ["::1"] = "inet6" } do
      local client <close> = connect(sock.address(host, port))
      local conn <close>, from = listener:accept()
      assert.equal(family, from.family)
      assert.equal(host, from.host)
      assert.equal(from, conn:getpeername())
      assert.equal(client:getsockname(), from)
    end
  end)

  it("serves real peers of both families", function()
    local listener <close> = assert(sock.listen("*:0"))
    local port = listener:getsockname().port
    for _, address in ipairs { "TCP4:127.0.0.1:", "TCP6:[::1]:" } do
      local socat <close> = peer.start({ "socat", "-", address .. port }, { input = "hello\n" })
      local conn <close> = listener:accept()
      assert.equal("hello", conn:read())
      conn:write("bye\n")
      socat:expect("^bye$")
    end
  end)

  it("leaves IPv4 alone if told so", function()
    local listener <close> = assert(sock.listen("*", 0, { ipv6_v6only = true }))
    local s <close> = assert(sock.socket())
    assert.equal("ECONNREFUSED",
      select(3, s:connect("127.0.0.1", listener:getsockname().port)))
  end)

  it("is IPv4 where the system has no IPv6", function()
    local core = require "sock.core"
    local real = core.socket
    for _, code in ipairs { "EAFNOSUPPORT", "EADDRNOTAVAIL" } do
      core.socket = function(family, ...)
        if family == "inet6" then
          return nil, "no IPv6 here", code
        end
        return real(family, ...)
      end
      local _ <close> = setmetatable({}, { __close = function() core.socket = real end })
      local listener <close> = assert(sock.listen("*", 0))
      assert.equal("0.0.0.0", listener:getsockname().host)
    end
  end)
end)

describe("sock.listen on a Unix path", function()
  local function stat(path)
    local pipe <close> = assert(io.popen("stat -c '%a %F' " .. path .. " 2>&1"))
    return pipe:read("l")
  end

  --- Leaves a socket that nobody answers for: its server was killed.
  local function abandon(path)
    local server <close> = peer.lua([[
      local sock = require "sock"
      io.stdout:setvbuf "no"
      local listener = assert(sock.listen("unix:" .. arg[1]))
      print "listening"
      listener:accept()
    ]], path)
    server:expect("^listening$")
    server:signal("KILL")
    server:rest()
  end

  it("makes the path, and serves", function()
    local folder, _ <close> = peer.tempdir()
    local listener <close> = assert(sock.listen("unix:" .. folder .. "/s"))
    assert.equal(folder .. "/s", listener:getsockname().path)
    local socat <close> = peer.start({ "socat", "-", "UNIX:" .. folder .. "/s" }, { input = "a\n" })
    local conn <close> = listener:accept()
    assert.equal("a", conn:read())
    conn:close()
    socat:rest()
  end)

  it("gives it the mode that is asked for, whatever the umask", function()
    local folder, _ <close> = peer.tempdir()
    for _, umask in ipairs { "000", "022", "077", "777" } do
      for _, mode in ipairs { "600", "660", "666", "777", "000" } do
        local path = folder .. "/" .. umask .. mode
        local program <close> = peer.start({ "sh", "-c", ('umask %s; exec "$0" "$@"'):format(umask),
          lua("", [[
            local sock = require "sock"
            assert(sock.listen("unix:" .. arg[1], { mode = arg[2] }))
          ]], "-", path, mode) }, { input = "" })
        assert.equal("", program:rest())
        assert.equal((tonumber(mode, 8) == 0 and "0" or mode) .. " socket", stat(path))
      end
    end
  end)

  it("never lets it exist with wider rights", function()
    local shim, _ <close> = peer.cmodule("shim", [[
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <stdio.h>
      #include <string.h>
      #include <sys/socket.h>
      #include <sys/stat.h>
      #include <sys/un.h>
      int bind(int fd, const struct sockaddr *a, socklen_t len) {
        int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
        int got = real(fd, a, len);
        struct stat st;
        char path[200] = ""; /* the kernel needs no zero at its end */
        memcpy(path, ((struct sockaddr_un *)a)->sun_path, len - 2);
        if (a->sa_family == AF_UNIX && lstat(path, &st) == 0)
          printf("born %o\n", st.st_mode & 0777), fflush(stdout);
        return got;
      }
      int luaopen_shim(void *L) { return 0; }
    ]])
    local folder, _ <close> = peer.tempdir()
    local program <close> = peer.start({ "sh", "-c", 'umask 0; exec "$0" "$@"',
      lua(shim:gsub("%?", "shim"), [[
        assert(require "sock".listen("unix:" .. arg[1], { mode = "600" }))
      ]], "-", folder .. "/s") }, { input = "" })
    assert.equal("born 600\n", program:rest())
  end)

  it("replaces a socket that nobody answers for", function()
    local folder, _ <close> = peer.tempdir()
    local path = folder .. "/s"
    for _ = 1, 2 do
      abandon(path)
      assert.truthy(stat(path):find("socket$"))
      local listener <close> = assert(sock.listen("unix:" .. path, { mode = "640" }))
      assert.equal("640 socket", stat(path))
      local client <close> = connect(sock.address("unix:" .. path))
      local conn <close> = listener:accept()
      assert.truthy(client and conn)
    end
  end)

  it("leaves alone what somebody answers for", function()
    local folder, _ <close> = peer.tempdir()
    local address = "unix:" .. folder .. "/s"
    local listener <close> = assert(sock.listen(address))
    for _, type in ipairs { "stream", "seqpacket" } do
      local again, message, code = sock.listen(address, { type = type })
      assert.is_nil(again)
      assert.equal("bind " .. address .. ": Address already in use", message)
      assert.equal("EADDRINUSE", code)
    end
    local redis <close> = peer.redis(folder .. "/redis")
    assert.equal("EADDRINUSE", select(3, sock.listen("unix:" .. folder .. "/redis")))
    assert.truthy(redis)
    assert.truthy(listener)
  end)

  it("leaves alone what is no socket", function()
    local folder, _ <close> = peer.tempdir()
    assert(os.execute(("cd %s && echo precious >file && mkdir folder && mkfifo pipe && "
      .. "ln -s file link"):format(folder)))
    abandon(folder .. "/stale")
    assert(os.execute(("ln -s stale %s/stalelink"):format(folder)))
    for _, name in ipairs { "file", "folder", "link", "pipe", "stalelink" } do
      local before = stat(folder .. "/" .. name)
      local listener, _, code = sock.listen("unix:" .. folder .. "/" .. name)
      assert.is_nil(listener)
      assert.equal("EADDRINUSE", code)
      assert.equal(before, stat(folder .. "/" .. name))
    end
    local file <close> = assert(io.open(folder .. "/file"))
    assert.equal("precious\n", file:read("a"))
  end)

  it("lets one of several servers win that start at once", function()
    local folder, _ <close> = peer.tempdir()
    local barrier <close> = assert(sock.listen("127.0.0.1:0", { timeout = 20 }))
    local programs, clients = {}, {}
    local _ <close> = setmetatable({}, { __close = function()
      for _, each in ipairs(clients) do each:close() end
      for _, each in ipairs(programs) do each:stop() end
    end })
    for i = 1, 6 do
      programs[i] = peer.lua([[
        local sock = require "sock"
        local s = assert(sock.socket():connect("127.0.0.1", tonumber(arg[1])))
        local kept = {}
        for path in s:lines() do
          local listener, _, code = sock.listen("unix:" .. path)
          kept[#kept + 1] = listener
          s:write(listener and "won" or code, "\n")
        end
      ]], barrier:getsockname().port)
    end
    for i = 1, 6 do
      clients[i] = assert(barrier:accept()):settimeout(20)
    end
    abandon(folder .. "/stale")
    for round = 1, 20 do
      local path = folder .. "/" .. round -- a link to a socket's file is that socket
      assert(os.execute(("ln %s/stale %s"):format(folder, path)))
      for _, each in ipairs(clients) do
        assert(each:write(path, "\n"))
      end
      local won = 0
      for _, each in ipairs(clients) do
        local answer = each:read()
        won = won + (answer == "won" and 1 or 0)
        assert.truthy(answer == "won" or answer == "EADDRINUSE", answer)
      end
      assert.equal(1, won)
      connect(sock.address("unix:" .. path)):close()
    end
  end)

  it("waits for another who starts there, and lets tasks go on meanwhile", function()
    local folder, _ <close> = peer.tempdir()
    local other <close> = peer.start({ "flock", "-F", folder, "sh", "-c",
      "echo locked; exec sleep 20" })
    other:expect("^locked$")
    local starter = sock.spawn(function() return assert(sock.listen("unix:" .. folder .. "/s")) end)
    sock.sleep(0)
    assert.equal("waiting", starter:status())
    other:stop()
    local listener <close> = starter:join()
    assert.equal(folder .. "/s", listener:getsockname().path)
  end)

  it("does not wait for ever where a folder stays locked", function()
    local folder, _ <close> = peer.tempdir()
    local other <close> = peer.start({ "flock", "-F", folder, "sh", "-c",
      "echo locked; exec sleep 20" })
    other:expect("^locked$")
    local _ <close> = assert(sock.timeout(5, sock.listen, "unix:" .. folder .. "/s"))
    connect(sock.address("unix:" .. folder .. "/s")):close()
  end)

  it("fails where there is no such folder, and where the path is too long", function()
    local folder, _ <close> = peer.tempdir()
    assert.equal("ENOENT", select(3, sock.listen("unix:" .. folder .. "/none/s")))
    local long = "unix:" .. ("x"):rep(109)
    assert.equal("EINVAL", select(3, sock.listen(long)))
  end)

  it("takes sequenced packets too", function()
    local folder, _ <close> = peer.tempdir()
    local address = "unix:" .. folder .. "/s"
    local listener <close> = assert(sock.listen(address, { type = "seqpacket", backlog = 3 }))
    local client <close> = assert(sock.socket("unix", "seqpacket"):connect(address))
    local conn <close> = listener:accept()
    client:send("one")
    client:send("two")
    assert.equal("one", conn:recv())
    assert.equal("two", conn:recv())
  end)

  it("takes abstract names", function()
    local name = "unix:@sock-listen-" .. peer.freeport()
    local listener <close> = assert(sock.listen(name))
    assert.equal("EADDRINUSE", select(3, sock.listen(name)))
    connect(sock.address(name)):close()
    listener:accept():close()
  end)
end)

describe("sock.listen with descriptors of the service manager", function()
  -- What systemd does: descriptors from 3 on, and the number of the process.
  local manager = [[
import os, socket, sys
names, program = sys.argv[1], sys.argv[2:]
kept = []
for kind in names.split(":"):
    if kind == "udp":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
    else:
        s = socket.create_server(("127.0.0.1", 0))
    kept.append(s)
# out of the way of 3 and those that follow
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(kept)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_FDS"] = os.environ.get("FDS", str(len(high)))
os.environ["LISTEN_FDNAMES"] = names
os.environ["LISTEN_PID"] = str(os.getpid() + int(os.environ.get("WRONG", "0")))
for i, fd in enumerate(high):
    os.close(fd)
os.execvp(program[0], program)
]]

  local function handed(names, program, environment)
    return peer.start({ "env", environment or "A=a", "python3", "-c", manager, names, lua("",
      'local sock = require "sock"\nio.stdout:setvbuf "no"\n' .. program, "-") }, { input = "" })
  end

  it("takes each once, in order and by name", function()
    local program <close> = handed("web:admin:web", [[
      local admin = assert(sock.listen("systemd:admin"))
      local one, two = assert(sock.listen("systemd")), assert(sock.listen("systemd:web"))
      print(admin:fd(), one:fd(), two:fd())
      print(sock.listen("systemd"))
      print(select(3, sock.listen("systemd:admin")), select(3, sock.listen("systemd:none")))
    ]])
    assert.equal("4\t3\t5\n"
      .. "nil\tlisten systemd: no such descriptor was handed over\tENOENT\n"
      .. "ENOENT\tENOENT\n", program:rest())
  end)

  it("serves on them, and no child process inherits any", function()
    local program <close> = handed("web:other", [[
      local server
      server = assert(sock.serve("systemd:web", function(conn)
        conn:write("who: ", conn:read(), "\n")
        server:stop(1)
      end))
      print("port " .. server.address.port)
      os.execute "for f in 3 4; do readlink /proc/self/fd/$f || echo none; done"
      server:join()
    ]])
    local port = program:expect("^port (%d+)$")
    program:expect("^none$")
    program:expect("^none$")
    local client <close> = connect(sock.address("127.0.0.1:" .. port))
    client:write("me\n")
    assert.equal("who: me", client:read())
    assert.is_nil(client:read())
    assert.equal("", program:rest())
  end)

  it("tells listeners and datagram sockets apart", function()
    local program <close> = handed("udp", [[
      print(select(3, sock.listen("systemd")))
      local server = assert(sock.serve_udp("systemd:udp", function() end, { rcvbuf = 10000 }))
      print(sock.type(server), server:stop())
    ]])
    assert.equal("ENOENT\nserver\t0\n", program:rest())
  end)

  it("leaves alone what was handed to another process, or nothing at all", function()
    local program <close> = handed("web", 'print(select(3, sock.listen("systemd")))', "WRONG=1")
    assert.equal("ENOENT\n", program:rest())
    assert.equal("ENOENT", select(3, sock.listen("systemd")))
    assert.equal("ENOENT", select(3, sock.serve("systemd:x", print)))
  end)

  it("does not believe a number of descriptors that is none, or too large", function()
    for text, count in pairs { ["1000000000000"] = 1, ["99999999999999999999"] = 0, ["1e9"] = 0,
        ["0x1"] = 0, ["-1"] = 0, [""] = 0, ["1"] = 1 } do
      local program <close> = handed("web", [[
        local n = 0
        while sock.listen("systemd") do n = n + 1 end
        print(n)
      ]], "FDS=" .. text)
      assert.equal(count .. "\n", program:rest())
    end
  end)

  local activate = io.popen("command -v systemd-socket-activate"):read("l")
  local real = activate and it or pending
  real("takes them from systemd-socket-activate", function()
    local port = peer.freeport()
    local program <close> = peer.start({ "systemd-socket-activate", "-l", "127.0.0.1:" .. port,
      "--fdname=web", "-E", "LUA_PATH", "-E", "LUA_CPATH", lua("", [[
        local sock = require "sock"
        local server
        server = sock.serve("systemd:web", function(conn)
          conn:write("served\n")
          server:stop(1)
        end)
        server:join()
      ]]) }, { input = "" })
    program:expect("Listening on")
    local client <close> = connect(sock.address("127.0.0.1", port))
    assert.equal("served", client:read())
    assert.is_nil(client:read())
  end)
end)
