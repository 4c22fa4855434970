-- A DNS client (RFC 1035). It shows datagrams, in the language of string.pack:
-- a question is asked again if it or its answer gets lost, and what comes from
-- a stranger is checked before it is believed.
--
-- lua5.4 examples/dns.lua NAME SERVER [PORT] prints the addresses of a name:
--   lua5.4 examples/dns.lua www.lua.org 9.9.9.9

local sock = require "sock"

local wanted = assert(arg[1], "which name? NAME SERVER [PORT]"):lower():gsub("%.$", "")
assert(#wanted < 254 and ("." .. wanted):gsub("%.[%w_-]+", "") == "", "this is no name")
local server = assert(sock.address(assert(arg[2], "which server?"), tonumber(arg[3] or 53)))

local types = { A = 1, CNAME = 5, AAAA = 28 }
local sizes = { A = 4, AAAA = 16 }
local refusals = { "the server cannot read the question", "the server has failed",
  "there is no such name", "the server cannot do that", "the server refuses" }

local function question(kind)
  local name = wanted:gsub("([^.]+)%.?", function(label)
    assert(#label < 64, "a label is longer than 63 bytes")
    return string.pack("s1", label)
  end)
  -- An id, "please ask others too", one question and no records.
  return string.pack(">I2 I2 I2 I2 I2 I2 z I2 I2", math.random(0, 0xFFFF), 0x100, 1, 0, 0, 0,
    name, types[kind], 1)
end

--- Whether a message answers the question: same id, same name and type.
local function answers(message, query)
  return #message >= #query and message:sub(1, 2) == query:sub(1, 2)
    and message:byte(3) & 0x80 ~= 0 and message:sub(5, 6) == query:sub(5, 6)
    and message:sub(13, #query):lower() == query:sub(13):lower()
end

local function overudp(query)
  local s <close> = assert(sock.socket(server.family, "dgram"))
  for _, seconds in ipairs { 0.5, 1, 2 } do -- one of the two may have got lost
    assert(s:sendto(query, server))
    local message = sock.timeout(seconds, function()
      while true do
        local data, from = assert(s:recvfrom())
        if from == server and answers(data, query) then
          return data
        end -- else it is late, or somebody tries his luck: wait on
      end
    end)
    if message then
      return message
    end
  end
  error("no answer", 0)
end

--- For what is longer than a datagram: the same with lengths before it.
local function overtcp(query)
  local s <close> = assert(sock.socket(server.family)):settimeout(5)
  assert(assert(s:connect(server)):pack(">s2", query))
  local message = assert(s:unpack(">s2"))
  assert(answers(message, query), "an answer to another question")
  return message
end

--- The name at a position, and the position after it. A name may go on
-- elsewhere in the message, but only further to the front: so it has an end.
local function readname(message, at)
  local labels, length, after, start = {}, 0, nil, at
  while true do
    local n = string.unpack("B", message, at)
    if n == 0 then
      return table.concat(labels, "."):lower(), after or at + 1
    elseif n >= 0xC0 then
      local target = string.unpack(">I2", message, at) - 0xC000 + 1
      assert(target < start, "a name that leads forward")
      after, at, start = after or at + 2, target, target
    else
      length = length + n + 1
      assert(n < 64 and length < 255, "a name that is too long")
      local label
      label, at = string.unpack("s1", message, at)
      labels[#labels + 1] = label:gsub("[^%w_-]", "?") -- it may end on a terminal
    end
  end
end

--- The lines to print. The records that stand for our name come in order:
-- first what it is an alias of, if it is one, then the addresses of that.
local function read(message, query, kind)
  local lines, name, at = {}, wanted, #query + 1
  for _ = 1, (string.unpack(">I2", message, 7)) do
    local owner, type, class, _, data, after
    owner, at = readname(message, at)
    type, class, _, data, after = string.unpack(">I2 I2 I4 s2", message, at)
    if owner == name and class == 1 and type == types.CNAME then
      name = readname(message, after - #data)
    elseif owner == name and class == 1 and type == types[kind] then
      assert(#data == sizes[kind], "an address of the wrong size")
      lines[#lines + 1] = ("%s %s %s"):format(name, kind, sock.inet_ntop(data))
    end
    at = after
  end
  return lines
end

local function lookup(kind)
  local query = question(kind)
  local message = overudp(query)
  if message:byte(3) & 2 ~= 0 then -- cut off
    message = overtcp(query)
  end
  local refusal = message:byte(4) & 15
  if refusal ~= 0 then
    error(refusals[refusal] or "the server refuses: " .. refusal, 0)
  end
  return read(message, query, kind)
end

local failed = false
for _, task in ipairs { sock.spawn(pcall, lookup, "A"), sock.spawn(pcall, lookup, "AAAA") } do
  local ok, result = task:join() -- both have been asked at once
  for _, line in ipairs(ok and result or { "failed: " .. result }) do
    print(line)
  end
  failed = failed or not ok
end
os.exit(not failed, true)
