-- A server of ours between a balancer and a web server: HAProxy in front of it,
-- nginx behind it. Who the client is, goes the whole way.

local sock = require "sock"
local haproxy = require "spec.support.haproxy"
local peer = require "spec.support.peer"

local config = [[
daemon off;
pid %s/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi;
  scgi_temp_path %s/scgi;
  server {
    listen unix:%s/web proxy_protocol;
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $uri\n"; }
  }
}
]]

--- An nginx that answers with who its client is, at the path of a folder.
local function nginx(dir)
  local file <close> = assert(io.open(dir .. "/nginx.conf", "w"))
  file:write((config:gsub("%%s", dir)))
  file:flush()
  local server = peer.start { "sh", "-c",
    [[PATH=$PATH:/usr/sbin:/usr/local/sbin exec nginx -c "$0/nginx.conf" -p "$0"]], dir }
  local web = "unix:" .. dir .. "/web"
  assert(sock.retry(function() return sock.connect(web) end,
    { attempts = 2000, first = 0.002, longest = 0.01 })):close()
  return server, web
end

describe("sock.serve between HAProxy and nginx", function()
  local function chain(f)
    local dir, _ <close> = peer.tempdir()
    local behind <close>, web = nginx(dir)
    local server
    server = assert(sock.serve("127.0.0.1", 0, function(client, from)
      local far <close> = assert(sock.connect(web, {
        proxy = { version = 2, source = from, destination = server.address } }))
      sock.relay(client, far)
    end, { proxy = { "127.0.0.0/8" }, timeout = 20 }))
    local front <close> = haproxy.start(([[
frontend in
  bind 127.0.0.1:%%1
  default_backend ours
backend ours
  server one 127.0.0.1:%d send-proxy-v2
]]):format(server.address.port))
    f(front.ports[1], server)
    assert.truthy(behind)
    server:stop()
  end

  --- Asks for a path; what the web server says of the client, and who it is.
  local function get(port, path)
    local s <close> = assert(sock.connect("127.0.0.1", port, { timeout = 20 }))
    s:write("GET ", path, " HTTP/1.0\r\nHost: here\r\n\r\n")
    assert.matches("^HTTP/1.1 200", s:read())
    assert(s:readuntil("\r\n\r\n"))
    local here = s:getsockname()
    return s:read("a"), ("%s %d %s\n"):format(here.host, here.port, path)
  end

  it("tells the web server who asks", function()
    chain(function(port)
      assert.equal(get(port, "/one"))
    end)
  end)

  it("mixes none of a hundred up", function()
    chain(function(port, server)
      local answered = 0
      sock.scope(function(scope)
        for i = 1, 100 do
          scope:spawn(function()
            assert.equal(get(port, "/" .. i))
            answered = answered + 1
          end)
        end
      end)
      assert.equal(100, answered)
      assert.equal(0, server:stats().failed)
    end)
  end)
end)
