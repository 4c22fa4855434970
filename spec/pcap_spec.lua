-- sock.pcap, read by tshark.

local sock = require "sock"
local peer = require "spec.support.peer"
local fixtures = require "spec.support.fixtures"
local closing, listener, pair = fixtures.closing, fixtures.listener, fixtures.pair

local CHECKED <const> = { "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
  "-o", "udp.check_checksum:TRUE" }

--- What tshark says of a file.
local function tshark(path, ...)
  local argv = { "sh", "-c", 'exec "$@" 2>/dev/null', "sh", "tshark", "-n" }
  table.move(CHECKED, 1, #CHECKED, #argv + 1, argv)
  local rest = { "-r", path, ... }
  table.move(rest, 1, #rest, #argv + 1, argv)
  local self <close> = peer.start(argv)
  return self:rest()
end

--- A sink, the file that it writes, and what removes both.
local function capture()
  local dir, cleaner = peer.tempdir()
  local path = dir .. "/talk.pcapng"
  local pcap = assert(sock.pcap(path))
  return pcap, path, closing({ close = function()
    pcap:close()
    getmetatable(cleaner).__close()
  end })
end

--- tshark finds nothing wrong with it.
local function healthy(path)
  assert.equal("", tshark(path, "-Y", "_ws.malformed || tcp.analysis.flags"
    .. " || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0"
    .. " || _ws.expert.severity >= 6291456"))
end

--- The bytes of a conversation each way, as tshark puts them together.
local function follow(path, number)
  local text = tshark(path, "-q", "-z", "follow,tcp,raw," .. (number or 0))
  local there, back = {}, {}
  for indent, hex in text:gmatch("\n(\t?)(%x+)%f[\n\0]") do
    local data = hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
    table.insert(indent == "" and there or back, data)
  end
  return table.concat(there), table.concat(back)
end

--- One column of each packet: "tcp.flags.str" …
local function column(path, filter, ...)
  local fields = { "-T", "fields" }
  for _, name in ipairs { ... } do
    fields[#fields + 1] = "-e"
    fields[#fields + 1] = name
  end
  local lines = {}
  for line in tshark(path, "-Y", filter, table.unpack(fields)):gmatch("[^\n]*") do
    lines[#lines + 1] = line ~= "" and line or nil
  end
  return lines
end

--- The flags of a conversation's packets: "S", "SA" …
local function flags(path, filter)
  local lines = column(path, filter or "tcp", "tcp.flags.str")
  for i, line in ipairs(lines) do
    lines[i] = line:gsub("[^A-Z]", "")
  end
  return table.concat(lines, " ")
end

--- Two ends that talk: `sink` traces the client, the server or both.
local function talk(host, client, server)
  fixtures.run(function()
    local l <close> = assert(sock.listen(host, 0))
    if server then
      l:trace(server)
    end
    local a <close> = assert(sock.socket(host:find(":") and "inet6" or "inet"))
    if client then
      a:trace(client)
    end
    assert(a:connect(l:getsockname()))
    local b <close> = assert(l:accept())
    a:write("GET / HTTP/1.0\r\n\r\n")
    assert(b:readuntil("\r\n\r\n"))
    b:write("HTTP/1.0 200 OK\r\n\r\n")
    b:write("body\0\255")
    b:shutdown("send")
    assert(a:read("a"))
    a:close()
    assert.is_nil(b:recv())
  end)
end

describe("sock.pcap", function()
  for _, host in ipairs { "127.0.0.1", "::1" } do
    for name, ends in pairs { ["the client"] = { true, false }, ["the server"] = { false, true },
      ["both ends"] = { true, true } } do
      it(("writes a conversation that tshark follows: %s, seen by %s"):format(host, name),
        function()
          local pcap, path, _ <close> = capture()
          talk(host, ends[1] and pcap, ends[2] and pcap)
          pcap:close()
          healthy(path)
          local there, back = follow(path)
          assert.equal("GET / HTTP/1.0\r\n\r\n", there)
          assert.equal("HTTP/1.0 200 OK\r\n\r\nbody\0\255", back)
          local seen = flags(path)
          assert.truthy(seen:find("^S AS A AP "), seen)
          local _, ends_ = seen:gsub("AF", "")
          assert.equal(2, ends_)
        end)
    end
  end

  it("has the true addresses, ports and times", function()
    local pcap, path, _ <close> = capture()
    local l <close> = listener()
    local before = os.time()
    local a <close> = assert(sock.connect(l:getsockname()))
    a:trace(pcap):write("x")
    local port, other = a:getsockname().port, l:getsockname().port
    pcap:close()
    local line = column(path, "tcp.len > 0", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport",
      "frame.time_epoch")[1]
    local from, fromport, to, toport, time = line:match("(%S+)\t(%d+)\t(%S+)\t(%d+)\t(%S+)")
    assert.same({ "127.0.0.1", tostring(port), "127.0.0.1", tostring(other) },
      { from, fromport, to, toport })
    assert.truthy(tonumber(time) >= before and tonumber(time) <= os.time() + 1)
  end)

  it("begins with a handshake where the trace began late", function()
    local pcap, path, _ <close> = capture()
    local l <close> = listener()
    local a <close> = assert(sock.connect(l:getsockname()))
    local b <close> = assert(l:accept())
    a:write("unseen")
    b:recv()
    b:trace(pcap):write("answer")
    pcap:close()
    healthy(path)
    assert.equal("S AS A AP", flags(path))
    assert.equal(tostring(a:getsockname().port), column(path, "tcp", "tcp.srcport")[1])
    assert.same({ "", "answer" }, { follow(path) })
  end)

  it("writes large transfers as several segments, both ways at once", function()
    local pcap, path, _ <close> = capture()
    local data, back = ("0123456789"):rep(400000), ("abcdefg"):rep(300000)
    fixtures.run(function()
      local a, b, _ <close> = fixtures.connection(20)
      a:trace(pcap)
      sock.spawn(function() a:write(data) end)
      sock.spawn(function() b:write(back) end)
      local other = sock.spawn(a.read, a, #back)
      assert.equal(data, b:read(#data))
      assert.equal(back, other:join())
    end)
    pcap:close()
    healthy(path)
    local to, from = follow(path)
    if to ~= data then
      to, from = from, to
    end
    assert.is_true(to == data and from == back)
  end)

  it("tells a refused connection and a reset one", function()
    local pcap, path, _ <close> = capture()
    local s <close> = assert(sock.socket())
    s:trace(pcap):connect("127.0.0.1", peer.freeport())
    local a, b, _ <close> = fixtures.connection(5)
    a:trace(pcap):write("x")
    b:setsockopt("linger", 0)
    b:close()
    assert.equal("ECONNRESET", select(3, a:recv()))
    a:close()
    pcap:close()
    assert.equal("S AR", flags(path, "tcp.stream == 0"))
    assert.equal("S AS A AP AR", flags(path, "tcp.stream == 1"))
    assert.equal("", tshark(path, "-Y", "_ws.malformed || tcp.checksum.status == 0"))
  end)

  it("keeps connections apart, also those that follow each other", function()
    local pcap, path, _ <close> = capture()
    fixtures.run(function()
      local l = assert(sock.listen("127.0.0.1:0"))
      local s = sock.serve(l:trace(pcap), function(conn)
        for line in conn:lines("L") do
          conn:write(line:upper())
        end
      end)
      sock.scope(function(scope)
        for i = 1, 10 do
          scope:spawn(function()
            local c <close> = assert(sock.connect(s.address))
            c:write(("line %d\n"):format(i))
            assert.equal(("LINE %d"):format(i), c:read())
          end)
        end
      end)
      s:stop(5)
    end)
    pcap:close()
    healthy(path)
    local seen = {}
    for i = 0, 9 do
      local there, back = follow(path, i)
      assert.equal(there:upper(), back)
      seen[there] = true
    end
    for i = 1, 10 do
      assert.truthy(seen[("line %d\n"):format(i)])
    end
  end)

  it("writes datagrams, of IPv4 and IPv6, to and from one socket for both", function()
    local pcap, path, _ <close> = capture()
    local u <close> = assert(sock.udp("*", 0))
    local port = u:getsockname().port
    u:trace(pcap)
    for i, host in ipairs { "127.0.0.1", "::1" } do
      local s <close> = assert(sock.udp(nil, nil, { family = i == 1 and "inet" or "inet6" }))
      s:sendto("question", host, port)
      local _, from = u:recvfrom()
      u:sendto("answer", from)
      u:sendto("", from)
    end
    pcap:close()
    healthy(path)
    local q, a = "7175657374696f6e", "616e73776572"
    assert.same({ q, a, q, a }, column(path, "udp.length > 8", "udp.payload"))
    assert.equal(3, #column(path, "ip.src == 127.0.0.1 && ip.dst == 127.0.0.1", "frame.number"))
    assert.equal(3, #column(path, "ipv6.src == ::1 && ipv6.dst == ::1", "frame.number"))
  end)

  it("writes what there was of a cut datagram, and how long it was", function()
    local pcap, path, _ <close> = capture()
    local u, s = assert(sock.udp("127.0.0.1:0")), assert(sock.udp())
    local _ <close> = closing(u, s)
    u:trace(pcap)
    s:sendto("0123456789", u:getsockname())
    u:recvfrom(4)
    pcap:close()
    assert.same({ "38\t32" }, column(path, "udp", "frame.len", "frame.cap_len"))
  end)

  it("gives Unix sockets made-up addresses, and says so", function()
    local pcap, path, _ <close> = capture()
    local a, b, _ <close> = pair()
    a:trace(pcap):write("to b")
    b:write("to a")
    a:recv()
    local c, d, _ <close> = pair("dgram")
    c:trace(pcap):send("datagram")
    d:recv()
    pcap:close()
    healthy(path)
    assert.same({ "to b", "to a" }, { follow(path) })
    assert.equal("unix: <-> unix:: the addresses of these packets are made up",
      column(path, "tcp", "frame.comment")[1])
    assert.same({ "192.0.2.1\t192.0.2.2" }, column(path, "udp", "ip.src", "ip.dst"))
  end)

  it("cuts a Unix datagram that is larger than any of IP, and says so", function()
    local pcap, path, _ <close> = capture()
    local a, _, _ <close> = pair("dgram")
    a:trace(pcap)
    assert(a:setsockopt("sndbuf", 200000))
    assert(a:send(("x"):rep(100000)))
    assert(a:send("y"))
    assert.same({ "65515", "9" }, column(path, "udp", "udp.length"))
    assert.matches("; 100000 bytes, of which 65507 have room",
      column(path, "udp", "frame.comment")[1])
    healthy(path)
  end)

  it("writes what Redis and a client say", function()
    local pcap, path, _ <close> = capture()
    local redis <close>, port = peer.redis()
    local s <close> = assert(sock.socket())
    s:trace(pcap)
    assert(s:connect("127.0.0.1", port))
    s:write("PING\r\nSET key value\r\nGET key\r\n")
    assert.same({ "+PONG", "+OK", "$5", "value" }, { s:read("l", "l", "l", "l") })
    s:close()
    redis:stop()
    pcap:close()
    healthy(path)
    assert.same({ "PING\r\nSET key value\r\nGET key\r\n", "+PONG\r\n+OK\r\n$5\r\nvalue\r\n" },
      { follow(path) })
  end)

  it("is whole after each event", function()
    local pcap, path, _ <close> = capture()
    local a, _, _ <close> = pair()
    a:trace(pcap):write("x")
    assert.equal("x", (follow(path)))
  end)

  it("takes nothing once it is closed, which is harmless again", function()
    local pcap, _, _ <close> = capture()
    local a, _, _ <close> = pair()
    a:trace(pcap)
    assert.equal(true, pcap:close())
    assert.equal(true, pcap:close())
    a:write("x")
    assert.is_false(pcap:event({}))
  end)

  it("says why a file cannot be written", function()
    local pcap, message, code = sock.pcap("/nowhere/x")
    assert.same({ nil, "pcap /nowhere/x: No such file or directory", "ENOENT" },
      { pcap, message, code })
    assert.has_error(function() sock.pcap() end,
      "bad argument #1 to 'pcap' (string expected, got nil)")
  end)
end)
