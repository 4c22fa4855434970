--- sock.record: a trace sink that keeps a conversation as a Lua table, to be
-- read, edited and played back (replay.lua).

local core = require "sock.core"

local M = {}

local WIDTH <const> = 72 -- bytes of a text in one line

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"',
  ["\\"] = "\\\\" }

local function escape(c)
  return ESCAPES[c] or ("\\x%02x"):format(c:byte())
end

--- A text as Lua reads it; what is UTF-8 stays as it is.
function M.quote(text)
  local pattern = utf8.len(text) and '[%c"\\]' or '[%c"\\\x80-\xff]'
  return '"' .. text:gsub(pattern, escape) .. '"'
end

--- A text in pieces, each a line of its own or a part of it.
local function pieces(text)
  local list, at = {}, 1
  while at <= #text do
    local stop = math.min(text:find("\n", at, true) or #text, at + WIDTH - 1)
    while stop < #text and stop < at + WIDTH + 2 and text:find("^[\x80-\xbf]", stop + 1) do
      stop = stop + 1 -- not inside a character
    end
    list[#list + 1] = M.quote(text:sub(at, stop))
    at = stop + 1
  end
  return list
end

--- What is kept of each event, besides what it is and its time.
local KEPT <const> = {
  send = function(event) return pieces(event.data) end,
  recv = function(event) return pieces(event.data) end,
  shutdown = function(event) return { M.quote(event.how) } end,
  error = function(event) return { M.quote(event.call), M.quote(event.code) } end,
  ["end"] = function() return {} end,
  close = function() return {} end,
}

local Record = { __name = "record" }
Record.__index = Record

--- What stands at the head: what the first event tells of the conversation.
local function begin(self, event)
  self.began = event.time
  local side = event.initiator == "peer" and "server" or "client"
  self.file:write(("-- %s %s <-> %s, %s; each entry: what, seconds, data\n"):format(event.type,
    event.here or "?", event.peer or "?", os.date("!%Y-%m-%d %H:%M:%S UTC", event.time // 1)))
  assert(self.file:write(("return { side = %q, type = %q,\n"):format(side, event.type)))
end

--- One event of a trace; false once the file is closed. A second socket's is
-- told from the first one's by its number.
function Record:event(event)
  if not self.file then
    return false
  elseif not self.began then
    begin(self, event)
  else
    self.file:seek("cur", -2) -- what ends the table
  end
  local kept = KEPT[event.what]
  if kept then
    local parts = kept(event)
    table.insert(parts, 1, ("  { %q, %.6f"):format(event.what, event.time - self.began))
    if not self.numbers[event.id] then
      self.count = self.count + 1
      self.numbers[event.id] = self.count
    end
    local number = self.numbers[event.id]
    assert(self.file:write(table.concat(parts, #parts > 2 and ",\n    " or ", "),
      number > 1 and (", conn = %d"):format(number) or "", " },\n"))
  end
  assert(self.file:write("}\n"))
  self.file:flush()
end

--- Ends the file, which is complete after each event. Again is harmless.
-- @return true; nil, message, code
function Record:close()
  local file = self.file
  self.file = nil
  if not file then
    return true
  elseif not self.began then
    file:write("return {\n}\n")
  end
  local ok, message, number = file:close()
  if not ok then
    return nil, "record: " .. message, core.errorname(number)
  end
  return true
end

Record.__close = Record.close
Record.__gc = Record.close

--- A sink for s:trace that keeps a conversation as a Lua table.
-- @return the sink; nil, message, code
function M.record(path)
  if type(path) ~= "string" then
    error(("bad argument #1 to 'record' (string expected, got %s)"):format(type(path)), 2)
  end
  local file, message, number = io.open(path, "w+b")
  if not file then
    return nil, "record " .. message, core.errorname(number)
  end
  return setmetatable({ file = file, numbers = {}, count = 0 }, Record)
end

return M
