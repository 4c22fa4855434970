-- examples/redis.lua and examples/files.lua, run as they are, with real peers.

local sock = require "sock"
local peer = require "spec.support.peer"

--- Runs `f` with the path of a file that holds this text.
local function withfile(text, f)
  local dir, _ <close> = peer.tempdir()
  local file <close> = assert(io.open(dir .. "/file", "wb"))
  assert(file:write(text))
  file:close()
  return f(dir .. "/file", dir)
end

describe("examples/redis.lua", function()
  --- What it prints for these lines.
  local function talk(port, lines)
    return withfile(table.concat(lines, "\n") .. "\n", function(path)
      local program <close> = peer.limited({ "examples/redis.lua", "127.0.0.1", port },
        { stdin = path })
      return program:rest()
    end)
  end

  --- A server in Python whose function `serve(s)` talks to one client.
  local function server(text)
    local program = peer.python([[
import socket
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
]] .. text .. [[

while True:
    s, _ = listener.accept()
    with s:
        try:
            serve(s)
        except OSError as e:
            print(e)
]])
    return program, math.tointeger(program:expect("listening on (%d+)"))
  end

  it("prints replies of every kind", function()
    local redis <close>, port = peer.redis()
    assert.equal([[
"OK"
"forty-one"
(error) ERR value is not an integer or out of range
(integer) 1
(integer) -9223372036854775807
(integer) -9223372036854775808
(nil)
""
]], talk(port, { "SET word forty-one", "GET word", "INCR word", "INCR n",
      "DECRBY m 9223372036854775807", "DECR m", "GET none", "EVAL return'' 0" }))
    assert.truthy(redis)
  end)

  it("prints arrays, also those in arrays, empty ones and those that are none", function()
    local redis <close>, port = peer.redis()
    assert.equal([[
(array of 5)
  (integer) 1
  (array of 2)
    "two"
    (array of 1)
      (array of 0)
  (nil)
  (error) ERR three
  "four"
(nil)
(array of 0)
]], talk(port, { "EVAL return{1,{'two',{{}}},false,redis.error_reply('ERR\\32three'),'four'} 0",
      "BLPOP none 0.001", "KEYS *" }))
    assert.truthy(redis)
  end)

  it("takes strings of any bytes", function()
    local redis <close>, port = peer.redis()
    local text = "$3\r\n-ERR\r\n\0\255*1\r\n"
    assert.equal(("%q\n"):format(text), talk(port, {
      [[EVAL return'$3\r\n-ERR\r\n\0\255*1\r\n' 0]] }))
    assert.truthy(redis)
  end)

  it("keeps the order of very many", function()
    local redis <close>, port = peer.redis()
    local lines, expected = {}, {}
    for i = 1, 20000 do
      lines[i] = "INCR n"
      expected[i] = "(integer) " .. i .. "\n"
    end
    assert.is_true(talk(port, lines) == table.concat(expected))
    assert.truthy(redis)
  end)

  it("sends all of them before the first is answered", function()
    local program <close>, port = server [[
def serve(s):
    data = b""
    while data.count(b"PING") < 1000:
        data += s.recv(65536)
    assert data == b"*1\r\n$4\r\nPING\r\n" * 1000
    s.sendall(b"+PONG\r\n" * 1000)
]]
    local lines = {}
    for i = 1, 1000 do
      lines[i] = "PING"
    end
    assert.equal(('"PONG"\n'):rep(1000), talk(port, lines))
    assert.truthy(program)
  end)

  it("reads while it writes: neither side is stuck", function()
    local program <close>, port = server [[
def serve(s):
    f = s.makefile("rb")
    while f.readline() == b"*2\r\n":
        f.readline(), f.readline()
        size = f.readline()
        s.sendall(size + f.read(int(size[1:]) + 2)) # and reads nothing meanwhile
]]
    local lines, expected = {}, {}
    for i = 1, 1000 do
      local text = i .. ("x"):rep(20000)
      lines[i] = "ECHO " .. text
      expected[i] = '"' .. text .. '"\n'
    end
    assert.is_true(talk(port, lines) == table.concat(expected))
    assert.truthy(program)
  end)

  local faults = {
    ["ends within a string"] = { "$10\r\nabc", "ended after 3 of 12 bytes" },
    ["ends before a reply"] = { "", "the server has ended" },
    ["gives a string without its end"] = { "$3\r\nabcdefgh\r\n", "a string without its end" },
    ["gives a size that is none"] = { "$x\r\n", "no size" },
    ["gives a count that is none"] = { "*\r\n", "no count" },
    ["gives a number that is none"] = { ":one\r\n", "no number" },
    ["speaks HTTP"] = { "HTTP/1.0 400 Bad Request\r\n\r\n", "no reply of Redis" },
    ["ends within an array"] = { "*3\r\n:1\r\n", "the server has ended" },
  }
  for name, fault in pairs(faults) do
    it("says what is wrong with a server that " .. name, function()
      local program <close>, port = server(([[
def serve(s):
    s.recv(65536)
    s.sendall(%s)
]]):format(("b%q"):format(fault[1]):gsub("\\13\\\n", "\\r\\n")))
      local text = talk(port, { "PING" })
      assert.is_truthy(text:find(fault[2], 1, true), text)
      assert.truthy(program)
    end)
  end
end)

describe("examples/files.lua", function()
  local big = {}
  for i = 1, 1000000 do
    big[i] = ("%07d\n"):format(i)
  end
  big = table.concat(big) -- 8,000,000 bytes

  --- A server of a folder with some files in it; its port; a path to `big`.
  local function start()
    local dir, cleaner = peer.tempdir()
    assert(os.execute("mkdir " .. dir .. "/public " .. dir .. "/public/sub"))
    for name, text in pairs { big = big, empty = "", ["a b"] = "with a blank\n",
      ["sub/file"] = "below\n", ["..file"] = "no way up\n", ["../secret"] = "secret" } do
      local file <close> = assert(io.open(dir .. "/public/" .. name, "wb"))
      assert(file:write(text))
    end
    local program = peer.limited { "examples/files.lua", dir .. "/public", 0 }
    local port = math.tointeger(program:expect(" port (%d+)$"))
    return setmetatable({ port = port, path = dir .. "/public/big" }, { __close = function()
      program:stop()
      getmetatable(cleaner).__close()
    end })
  end

  local function request(server, ...)
    local client = assert(sock.socket()):settimeout(20)
    assert(client:setsockopt("rcvbuf", 65536):connect("127.0.0.1", server.port))
    assert(client:write(...))
    return client
  end

  --- The status, the fields and the body of the answer to a request.
  local function ask(server, ...)
    local client <close> = request(server, ...)
    local head = assert(client:readuntil("\r\n\r\n"))
    return math.tointeger(head:match("^HTTP/1%.0 (%d+) ")), head, assert(client:read("a"))
  end

  it("gives Python's urllib a large file, byte by byte", function()
    local server <close> = start()
    local program <close> = peer.python([[
import sys, urllib.request
answer = urllib.request.urlopen("http://127.0.0.1:" + sys.argv[1] + "/big", timeout=20)
print(answer.status, answer.headers["Content-Length"])
print(answer.read() == open(sys.argv[2], "rb").read())
]], server.port, server.path)
    assert.equal("200 8000000\nTrue\n", program:rest())
  end)

  it("gives curl what it asks for", function()
    if not os.execute("command -v curl >/dev/null") then
      return pending("needs curl")
    end
    local server <close> = start()
    local url = "http://127.0.0.1:" .. server.port
    for path, text in pairs { ["/a%20b"] = "with a blank\n", ["/sub/file?x=1"] = "below\n",
      ["/empty"] = "", ["/sub/../..file"] = "no way up\n" } do
      local program <close> = peer.start { "curl", "-sS", "-m", "20", url .. path }
      assert.equal(text, program:rest())
    end
    local head <close> = peer.start { "curl", "-sS", "-m", "20", "-I", url .. "/big" }
    assert.equal("HTTP/1.0 200 OK\r\nContent-Length: 8000000\r\n\r\n", head:rest())
  end)

  it("answers HEAD with the size and no body", function()
    local server <close> = start()
    local status, head, body = ask(server, "HEAD /a%20b HTTP/1.0\r\n\r\n")
    assert.same({ 200, "" }, { status, body })
    assert.matches("\r\nContent%-Length: 13\r\n", head)
    assert.same({ 404, "" }, { (ask(server, "HEAD /none HTTP/1.0\r\n\r\n")), body })
  end)

  it("refuses what leads out of the folder, and what is not there", function()
    local server <close> = start()
    for _, target in ipairs { "/none", "/sub", "/", "/../secret", "/..", "/sub/../../secret",
      "/%2e%2e/secret", "/..%2fsecret", "/sub/..", "../secret", "secret", "/empty%00.html",
      "/%2E./secret" } do
      local status, _, body = ask(server, "GET ", target, " HTTP/1.0\r\n\r\n")
      assert.same({ target, 404, "" }, { target, status, body })
    end
    assert.same({ 200 }, { (ask(server, "GET /..file HTTP/1.1\r\nHost: here\r\n\r\n")) })
  end)

  it("refuses what it does not know", function()
    local server <close> = start()
    assert.equal(501, (ask(server, "POST /big HTTP/1.0\r\n\r\n")))
    for _, line in ipairs { "hello", "GET /big", "GET big file HTTP/1.0", "get /big HTTP/1.0" } do
      assert.same({ line, 400 }, { line, (ask(server, line, "\r\n\r\n")) })
    end
  end)

  it("waits for no slow reader, who loses nothing", function()
    local server <close> = start()
    local slow <close> = request(server, "GET /big HTTP/1.0\r\n\r\n")
    assert(slow:readuntil("\r\n\r\n"))
    local half <close> = request(server, "GET /big HT") -- and no more
    for _ = 1, 3 do
      local _, _, body = ask(server, "GET /big HTTP/1.0\r\n\r\n")
      assert.is_true(body == big)
    end
    assert.is_true(slow:read("a") == big)
    assert(half:write("TP/1.0\r\n\r\n"))
    assert(half:readuntil("\r\n\r\n"))
    assert.is_true(half:read("a") == big)
  end)

  it("outlives clients that go in the middle, or that talk without end", function()
    local server <close> = start()
    for _ = 1, 10 do
      local client <close> = request(server, "GET /big HTTP/1.0\r\n\r\n")
      assert(client:read(1000))
      assert(client:setsockopt("linger", 0))
    end
    request(server):close()
    local endless <close> = request(server)
    local text = ("x"):rep(10000)
    repeat until not endless:write("GET /", text) -- too long a line: it hangs up
    assert.equal(200, (ask(server, "GET /empty HTTP/1.0\r\n\r\n")))
  end)
end)
