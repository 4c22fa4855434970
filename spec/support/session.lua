--- Transcripts of a person at the prompt, and the player that holds them
-- against what a terminal really shows. A transcript's lines:
--
--   $ lua5.4          starts the interpreter in this terminal
--   > line, >> line   is typed, as soon as that prompt is there; if it ends with
--                     "-- waits for …", the next prompt needs another terminal
--   ^Cwords           is pressed, once all before it is shown and the interpreter
--                     sleeps; words follow. (That a call waits, and not readline
--                     on its way to it, the call itself must have shown.)
--   -- words          after an empty line: for the reader; "-- terminal 2" (and
--                     more) says that what follows happens in that terminal
--   ...               stands for lines of which nothing is said
--   anything else     is shown, above the next prompt
--
-- Empty lines count neither here nor there. What varies, stands as an example:
--
--   a port            (four digits or five, after a host, or a ", or a ') is
--                     bound to another at first sight, to a free one if it is
--                     typed, and is that one from then on
--   a time            12:34:56.123456 is any, so is 2026-01-31 12:34:56
--   seconds           0.123456 are any, in what a recording says of time
--   /tmp/             is a folder of the player's own
--   /x/sock/y.lua:7   the module's own line, in a traceback, is any of that file
--   waits to read     in a trace: may be missing or too many, for it depends on
--                     whether the other end was there first

local sock = require "sock"
local peer = require "spec.support.peer"

local session = {}

-- What a terminal shows -------------------------------------------------------

--- As much of a terminal as readline and the traces use: a text takes the place
-- of what stood there.
local Screen = {}
Screen.__index = Screen

local function newscreen()
  return setmetatable({ rows = { "" }, column = 0, rest = "" }, Screen)
end

function Screen:put(text)
  local row = self.rows[#self.rows]
  self.rows[#self.rows] = row:sub(1, self.column) .. text .. row:sub(self.column + #text + 1)
  self.column = self.column + #text
end

local controls = {
  ["\r"] = function(self) self.column = 0 end,
  ["\b"] = function(self) self.column = math.max(self.column - 1, 0) end,
  ["\n"] = function(self) self.rows[#self.rows + 1] = (" "):rep(self.column) end,
  ["\a"] = function() end,
}

local sequences = {
  K = function(self)
    self.rows[#self.rows] = self.rows[#self.rows]:sub(1, self.column)
  end,
  h = function() end, -- modes
  l = function() end,
  m = function() end, -- colours
}

--- Takes one thing off the front of a text; what is left, nil if it is cut.
local function take(self, text)
  if text:find("^\27") then
    local letter, rest = text:match("^\27%[[%d;?]*(%a)(.*)$")
    if letter then
      assert(sequences[letter], "this screen knows no " .. letter)(self)
    end
    return rest
  elseif controls[text:sub(1, 1)] then
    controls[text:sub(1, 1)](self)
    return text:sub(2)
  end
  local plain = text:match("^[^\27\r\b\n\a]+")
  self:put(plain)
  return text:sub(#plain + 1)
end

function Screen:write(text)
  text = self.rest .. text
  while text and text ~= "" do
    self.rest = text
    text = take(self, text)
  end
  self.rest = text or self.rest
end

-- What varies -----------------------------------------------------------------

local PORT <const> = "%f[%d](%d%d%d%d%d?)%f[%D]"
local HOSTS <const> = { "%.%d+", "::1%]?", "localhost", "%*" }
local BETWEEN <const> = { ":", "[\"'], ?", "\t" } -- host:port; "host", port; as s:tuple() is shown

--- A line with `f(port)` in place of its ports.
local function ports(line, f)
  for _, host in ipairs(HOSTS) do
    for _, between in ipairs(BETWEEN) do
      line = line:gsub("(" .. host .. between .. ")" .. PORT, function(before, port)
        return before .. f(port)
      end)
    end
  end
  return line
end

local function plain(line)
  return (line:gsub("%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d", "(date)")
    :gsub("%d%d:%d%d:%d%d%.%d%d%d%d%d%d", "(time)")
    :gsub("%f[%d]%d+%.%d%d%d%d%d%d%f[%D]", "(seconds)")
    :gsub("[^%s'<>]*/sock/([%w_/]+%.lua):%d+", "(path)/%1:(line)")
    :gsub("%s+$", ""))
end

-- The player ------------------------------------------------------------------

local Player = {}
Player.__index = Player

Player.__close = function(self)
  for _, terminal in pairs(self.terminals) do
    terminal.prompt:stop()
  end
  local _ <close> = self.cleaner
end

--- From now on, a port of the transcript is this one.
function Player:bind(known, real)
  self.ports[known], self.known[real] = real, known
end

--- What is typed in place of what the transcript says.
function Player:real(line)
  line = ports(line, function(port)
    if not self.ports[port] then
      self:bind(port, tostring(peer.freeport()))
    end
    return self.ports[port]
  end)
  return (line:gsub("/tmp/", self.dir .. "/"))
end

--- Whether a row of a screen is what the transcript says.
function Player:same(line, row)
  local expected, new = {}, {}
  ports(line, function(port)
    expected[#expected + 1] = port
    return port
  end)
  row = row:gsub(self.dir:gsub("%p", "%%%0") .. "/", "/tmp/")
  row = ports(row, function(real)
    local known = table.remove(expected, 1)
    if known and not self.ports[known] and not self.known[real] then
      new[#new + 1] = { known, real }
      return known
    end
    return self.known[real] or "another port"
  end)
  if plain(line) ~= plain(row) then
    return false
  end
  for _, pair in ipairs(new) do
    self:bind(pair[1], pair[2])
  end
  return true
end

local function iswait(line)
  return line and line:find(" waits to %a+$")
end

--- Where the rows go on that "..." does not stand for.
function Player:skip(nextline, rows, j)
  while rows[j] and not (nextline and self:same(nextline, rows[j])) do
    j = j + 1
  end
  return j
end

--- Holds the transcript so far against the rows of a screen: true, or false,
-- the line that is not there, and what is in its place.
function Player:matches(lines, rows)
  local i, j = 1, 1
  while lines[i] or rows[j] do
    if lines[i] == "..." then
      j = self:skip(lines[i + 1], rows, j)
      i = i + 1
    elseif lines[i] and rows[j] and self:same(lines[i], rows[j]) then
      i, j = i + 1, j + 1
    elseif iswait(rows[j]) and not iswait(lines[i]) then
      j = j + 1
    elseif iswait(lines[i]) and not iswait(rows[j]) then
      i = i + 1
    else
      return false, lines[i], rows[j]
    end
  end
  return true
end

--- The rows of a screen that hold anything, without the one with the cursor, and
-- that one.
local function split(screen)
  local rows, last = {}, #screen.rows
  for i = 1, last - 1 do
    if screen.rows[i]:find("%S") then
      rows[#rows + 1] = screen.rows[i]
    end
  end
  return rows, screen.rows[last]
end

local function fail(terminal, line, row, rows, last)
  error(("%s: expected %s\nthere is %s\n\nThe terminal shows:\n%s\n%s"):format(terminal.place,
    line and "'" .. line .. "'" or "no more", row and "'" .. row .. "'" or "nothing",
    table.concat(rows, "\n"), last), 0)
end

--- Waits until a terminal shows what the transcript says it does, and then has
-- the prompt, if one is named.
function Player:await(terminal, prompt)
  while true do
    local rows, last = split(terminal.screen)
    local fits, line, row = self:matches(terminal.lines, rows)
    if fits and (not prompt or last == prompt) then
      return
    end
    local more = terminal.prompt.typist:recv()
    if not more then
      if fits then
        line, row = prompt, last
      end
      fail(terminal, line, row, rows, last)
    end
    terminal.screen:write(more)
  end
end

--- A terminal whose interpreter shows its first prompt.
function Player:open(name, words)
  local settings = { "TERM=xterm", "COLUMNS=200", self.setting }
  local terminal = { prompt = peer.prompt(words, settings), screen = newscreen(), lines = {} }
  terminal.screen:write("> ")
  terminal.prompt.typist:settimeout(self.patience)
  self.terminals[name] = terminal
  return terminal
end

--- The words of a command; those in '' may have blanks.
local function words(command)
  local list, at = {}, 1
  while command:find("%S", at) do
    local _, stop, word = command:find("^%s*'([^']*)'", at)
    if not word then
      _, stop, word = command:find("^%s*(%S+)", at)
    end
    list[#list + 1] = word
    at = stop + 1
  end
  return list
end

local deeds = {}

deeds["$"] = function(self, line)
  local argv = words(line)
  assert(argv[1] == "lua5.4", "not the interpreter: " .. line)
  table.remove(argv, 1)
  return self:open(self.name, argv[1] and argv)
end

local function typed(prompt)
  return function(self, line)
    local terminal = self.terminals[self.name] or self:open(self.name)
    terminal.place = self.place
    self:await(terminal, prompt)
    terminal.prompt:type(self:real(line))
    terminal.lines[#terminal.lines + 1] = prompt .. line
  end
end

deeds[">"] = typed("> ")
deeds[">>"] = typed(">> ")

deeds["^C"] = function(self, line)
  local terminal = self.terminals[self.name]
  self:await(terminal)
  terminal.lines[#terminal.lines + 1] = "^C" .. line
  peer.awaitstate(terminal.prompt.child, "S")
  terminal.prompt:press("\3")
end

--- Another terminal, once the one before is done, or waits for it.
local function switch(self, name)
  local terminal = self.terminals[self.name]
  if terminal then
    local waits = terminal.lines[#terminal.lines]:find("^> .*%-%- waits ")
    self:await(terminal, not waits and "> " or nil)
  end
  self.name = name
end

--- For the reader: after an empty line, or another comment.
local function iscomment(self, line)
  self.apart = line:find("^%-%-") and self.apart or not line:find("%S")
  return self.apart
end

local function play(self, line)
  local mark, rest = line:match("^(%^C)(.*)$")
  if not mark then
    mark, rest = line:match("^(%S*) ?(.*)$")
  end
  if iscomment(self, line) then
    local name = line:match("^%-%- terminal (%w+)")
    if name then
      switch(self, name)
    end
  elseif deeds[mark] then
    deeds[mark](self, rest)
  else
    local terminal = assert(self.terminals[self.name], "nothing is typed before " .. line)
    terminal.lines[#terminal.lines + 1] = line
    terminal.place = self.place
  end
end

--- Plays a transcript; raises where a terminal shows something else.
-- @param text the transcript
-- @param options ports: a table from those of the transcript to real ones;
-- setting: one of the interpreters' environment; name: of the transcript;
-- patience: seconds that a terminal may be silent, 10 if absent
function session.play(text, options)
  local dir, cleaner = peer.tempdir()
  local self <close> = setmetatable({ dir = dir, cleaner = cleaner, terminals = {}, name = "1",
    apart = true, patience = options.patience or 10, ports = {}, known = {},
    setting = options.setting }, Player)
  for known, real in pairs(options.ports or {}) do
    self:bind(tostring(known), tostring(real))
  end
  local number = 0
  for line in text:gmatch("([^\n]*)\n") do
    number = number + 1
    self.place = ("%s:%d"):format(options.name or "session", number)
    play(self, line)
  end
  for _, terminal in pairs(self.terminals) do
    self:await(terminal, "> ")
  end
end

--- The pollers there are, as settings of an environment.
function session.pollers()
  local fd <const> = sock.pollfd()
  return { "SOCK_POLLER=poll", fd and "SOCK_POLLER=epoll" }
end

return session
