--- A tunnel through an HTTP proxy: CONNECT, RFC 9110, 9.3.6.

local M = {}

local LONGEST = 16384 -- bytes that the heads of an answer may have
local LIMIT = 1 << 20 -- of a new socket: API, setlimit

-- RFC 9110, 15.5 and 15.6
local codes = {
  ["401"] = "EACCES",
  ["403"] = "EACCES",
  ["407"] = "EACCES",
  ["404"] = "EHOSTUNREACH",
  ["502"] = "EHOSTUNREACH",
  ["503"] = "EHOSTUNREACH",
  ["504"] = "ETIMEDOUT",
}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(data)
  local text = data:gsub("..?.?", function(bytes)
    local a, b, c = bytes:byte(1, 3)
    local number = a << 16 | (b or 0) << 8 | (c or 0)
    local digits = {}
    for i = 1, #bytes + 1 do
      local digit = number >> (24 - 6 * i) & 63
      digits[i] = DIGITS:sub(digit + 1, digit + 1)
    end
    return table.concat(digits) .. ("="):rep(3 - #bytes)
  end)
  return text
end

--- A colon would end the user: RFC 7617, 2.
function M.check(proxy)
  if proxy.user:find(":", 1, true) then
    return nil, "a user with a colon"
  elseif (proxy.user .. proxy.password):find("%c") then
    return nil, "control characters in user or password"
  end
  return true
end

local function request(goal, proxy)
  local host = goal.family == "inet6" and "[" .. goal.host .. "]" or goal.host
  local place = host .. ":" .. goal.port
  local lines = { "CONNECT " .. place .. " HTTP/1.1", "Host: " .. place }
  if proxy.user then
    lines[#lines + 1] = "Proxy-Authorization: Basic "
      .. base64(proxy.user .. ":" .. proxy.password)
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function failed(message, code)
  if code == nil or code == "EPROTO" then
    return nil, "the proxy closed the connection", "EPROTO"
  elseif code == "EMSGSIZE" then
    return nil, "the proxy's answer is too long", "EPROTO"
  end
  return nil, message:match(": ([^:]*)$") or message, code
end

--- Reads a head, line by line: what comes after it stays for the socket's owner.
-- @param left how many bytes it may have
-- @return its first line, how many bytes are left; nil, message, code
local function head(s, left)
  local first
  repeat
    local line, message, code = s:setlimit(left):read("L")
    if not line then
      return failed(message, code)
    end
    left = left - #line
    first = first or line:match("^(.-)\r?\n?$")
  until line:find("^\r?\n$") or left <= 0
  if left <= 0 then
    return failed(nil, "EMSGSIZE")
  end
  return first, left
end

--- Whether the answer's first line allows the tunnel.
local function verdict(line)
  local status, reason = line:match("^HTTP/1%.%d (%d%d%d)%f[%D] ?(.*)$")
  if not status then
    return nil, "the proxy does not speak HTTP", "EPROTO"
  elseif status:find("^2") then
    return true
  end
  return nil, ("the proxy says: %s %s"):format(status, reason:gsub("%c", "?")),
    codes[status] or "EPROTO"
end

--- Asks the proxy at the other end of `s` for a connection.
-- @param goal host, port, and family where the host is an address
-- @return true; nil, message, code
function M.ask(s, goal, proxy)
  local ok, message, code = s:write(request(goal, proxy))
  if not ok then
    return failed(message, code)
  end
  local line, left
  line, left, code = head(s, LONGEST)
  while line and line:find("^HTTP/1%.%d 1%d%d") do -- news, no answer: RFC 9110, 15.2
    line, left, code = head(s, left)
  end
  if not line then
    return nil, left, code
  end
  s:setlimit(LIMIT)
  return verdict(line)
end

return M
