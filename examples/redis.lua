-- A Redis client. It shows pipelining: all commands leave at once, in as few
-- system calls as fit, and their replies come back in the same order. One task
-- writes while another reads, so neither side waits for a reader.
--
-- While a redis-server runs:
--   printf 'SET n 41\nINCR n\nGET n\n' | lua5.4 examples/redis.lua 127.0.0.1 6379
-- Each line of stdin is a command, its words separated by blanks.

local sock = require "sock"

local host, port = arg[1], tonumber(arg[2])
assert(host and port, "which server? HOST PORT")

local null = {} -- the reply that stands for nothing

--- A command is an array of bulk strings: counts first, so any byte may follow.
local function send(server, words)
  assert(server:write("*", #words, "\r\n"))
  for _, word in ipairs(words) do
    assert(server:write("$", #word, "\r\n", word, "\r\n"))
  end
end

local receive

--- Replies by their first byte: what follows it on the line, and then.
local kinds = {
  ["+"] = function(_, text) return text end,
  ["-"] = function(_, text) return { failure = text } end,
  [":"] = function(_, text) return math.tointeger(text) end,
  ["$"] = function(server, size)
    if size == "-1" then
      return null
    end
    local data = assert(server:read(assert(math.tointeger(size), "no size") + 2))
    assert(data:sub(-2) == "\r\n", "a string without its end")
    return data:sub(1, -3)
  end,
  ["*"] = function(server, count)
    if count == "-1" then
      return null
    end
    local list = {}
    for i = 1, assert(math.tointeger(count), "no count") do
      list[i] = receive(server)
    end
    return list
  end,
}

function receive(server)
  local line = assert(server:read("l"), "the server has ended")
  local kind = assert(kinds[line:sub(1, 1)], "no reply of Redis")
  return assert(kind(server, line:sub(2)), "no number")
end

local function show(reply, indent)
  if math.type(reply) then
    print(indent .. "(integer) " .. reply)
  elseif type(reply) == "string" then
    print(indent .. ("%q"):format(reply))
  elseif reply == null then
    print(indent .. "(nil)")
  elseif reply.failure then
    print(indent .. "(error) " .. reply.failure)
  else
    print(indent .. "(array of " .. #reply .. ")")
    for _, item in ipairs(reply) do
      show(item, indent .. "  ")
    end
  end
end

local commands = {}
for line in io.lines() do
  local words = {}
  for word in line:gmatch("%S+") do
    words[#words + 1] = word
  end
  commands[#commands + 1] = words[1] and words -- an empty line is none
end

local server <close> = assert(sock.socket():settimeout(10):connect(host, port))
server:setvbuf("full")
sock.scope(function(scope)
  scope:spawn(function()
    for _, words in ipairs(commands) do
      send(server, words)
    end
    assert(server:flush())
  end)
  for _ = 1, #commands do
    show(receive(server), "")
  end
end)
