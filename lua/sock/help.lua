--- sock.help: the manual's entries at the prompt.
-- They are the comments of types.lua, which is read when the first is asked
-- for.

local M = {}

--- One entry: what `sock.help` prints for a name.
-- @class sock.HelpEntry
-- @field name "sock.connect", "Socket:read", "Socket"
-- @field title the name, with its parameters
-- @field section under which heading it stands
-- @field lines the comment, without its dashes

local manual -- all entries, in the order of the file, once it is read

-- Reading -------------------------------------------------------------------

--- What a line of code that follows a comment declares: name, parameters.
local function declared(line)
  local name, parameters = line:match("^function ([%w_.:]+)(%b())")
  if not name then
    name = line:match("^(sock%.[%w_]+) = ")
  end
  -- the library of coroutines is a local table there
  return name and name:gsub("^co%.", "sock.coroutine."), parameters
end

--- Parameters as they are declared, with a ? behind those that may be absent.
local function mark(parameters, lines)
  for _, line in ipairs(lines) do
    local optional = line:match("^@param ([%w_]+)%? ")
    if optional then
      parameters = parameters:gsub("%f[%w_]" .. optional .. "%f[^%w_]", optional .. "?")
    end
  end
  return parameters
end

local function add(entries, section, name, parameters, lines)
  local title = name .. (parameters and mark(parameters, lines) or "")
  entries[#entries + 1] = { name = name, title = title, section = section, lines = lines }
end

--- A class stands for itself, unless its comment only adds to another's.
local function addclass(entries, section, lines)
  for _, line in ipairs(lines) do
    local class = line:match("^@class sock%.([%w_]+)")
    if class then
      add(entries, section, class, nil, lines)
    end
  end
end

local function read(path)
  local entries, section, lines = {}, "", {}
  for line in io.lines(path) do
    local comment = line:match("^%-%-%-(.*)")
    local name, parameters = declared(line)
    if comment then
      lines[#lines + 1] = comment
    else
      if name then
        add(entries, section, name, parameters, lines)
      else
        addclass(entries, section, lines)
      end
      section = line:match("^%-%- (.-) %-%-%-") or section
      lines = {}
    end
  end
  return entries
end

local function load()
  if not manual then
    local path = package.searchpath("sock.types", package.path)
    manual = path and read(path)
  end
  return manual
end

-- Finding -------------------------------------------------------------------

--- The name without what it belongs to.
local function short(name)
  return name:match("[^.:]+$")
end

--- Those of a name, the module's own before methods.
local function find(entries, name)
  local found, own = {}, 0
  local wanted = name:gsub("^sock[.:]([A-Z])", "%1")
  for _, entry in ipairs(entries) do
    if entry.name == wanted or entry.name == "sock." .. wanted then
      own = own + 1
      table.insert(found, own, entry)
    elseif short(entry.name) == wanted then
      found[#found + 1] = entry
    end
  end
  return found
end

--- How many letters must change to make b of a: Levenshtein.
local function distance(a, b)
  local before = {}
  for j = 0, #b do
    before[j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + same)
    end
    before = row
  end
  return before[#b]
end

--- Names that may have been meant: those that hold it, or are a slip away.
local function near(entries, name)
  local wanted, list, seen = short(name:lower()) or "", {}, {}
  for _, entry in ipairs(entries) do
    local is = short(entry.name):lower()
    local close = #wanted > 2 and is:find(wanted, 1, true)
      or distance(is, wanted) <= (#wanted < 5 and 1 or 2)
    if close and not seen[entry.name] then
      seen[entry.name] = true
      list[#list + 1] = entry.name
    end
  end
  return list
end

-- Showing -------------------------------------------------------------------

--- A parameter, a field or a result: its name, what it is, what it means.
local function indent(line)
  local what, rest = line:match("^@(%a+) ?(.*)")
  local is, comment = rest:match("^(.-)%s+#%s*(.*)")
  is = is or rest
  if what == "param" or what == "field" then
    is = is:gsub("^(%S+) ", "%1: ")
  elseif what == "return" then
    is = "-> " .. is
  elseif what == "overload" then
    is = "or " .. is
  end
  return "    " .. is .. (comment and "  -- " .. comment or "")
end

local function shown(line)
  if line:find("^@class") or line:find("^@type") or line:find("^@operator") then
    return nil
  end
  return line:find("^@") and indent(line) or "  " .. line
end

--- A class is described by its fields and calls.
local function methods(entries, class)
  for _, entry in ipairs(entries) do
    if entry.name:match("^(.*):") == class then
      print("    " .. entry.title)
    end
  end
end

local function show(entries, entry)
  print(entry.title)
  for _, line in ipairs(entry.lines) do
    local text = shown(line)
    if text then
      print(text)
    end
  end
  methods(entries, entry.name)
end

--- A field of a class: an option of a socket, or of a call. Whether there is one.
local function showfields(entries, name)
  local any = false
  for _, entry in ipairs(entries) do
    for _, line in ipairs(entry.lines) do
      if line:match("^@field ([%w_]+)") == name then
        print(entry.name)
        print(indent(line))
        any = true
      end
    end
  end
  return any
end

--- The first sentence of a comment, as far as a line has room.
local function gist(entry, room)
  local text = {}
  for _, line in ipairs(entry.lines) do
    if line:find("^@") then
      break
    end
    text[#text + 1] = line
  end
  text = table.concat(text, " ")
  text = text:match("^(.-)%.%s") or text:match("^(.-)%.?$")
  return #text > room and text:sub(1, room - 3):gsub("%s+%S*$", "") .. "..." or text
end

local function index(entries)
  local section
  for _, entry in ipairs(entries) do
    if entry.title ~= entry.name or entry.name:find("^sock%.") then
      if entry.section ~= section then
        section = entry.section
        print(section)
      end
      local line = ("  %-40s"):format(entry.title)
      print((line .. " " .. gist(entry, 78 - #line)):match("^(.-)%s*$"))
    end
  end
end

--- Prints the entries of a name: "connect", "Socket:read", "read"; or, without
-- one, the names of all.
-- @param name what to look for
function M.help(name)
  if name ~= nil and type(name) ~= "string" then
    error(("bad argument #1 to 'help' (string expected, got %s)"):format(type(name)), 2)
  end
  local entries = load()
  if not entries then
    print("the manual, sock/types.lua, is not installed")
  elseif not name then
    index(entries)
  else
    local found = find(entries, name)
    for i, entry in ipairs(found) do
      if i > 1 then
        print()
      end
      show(entries, entry)
    end
    if #found == 0 and not showfields(entries, name) then
      local others = table.concat(near(entries, name), ", ")
      print(("no entry '%s'%s"):format(name, others ~= "" and "; near it: " .. others or ""))
    end
  end
end

return M
