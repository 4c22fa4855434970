-- lint-floors: holds csrc/ against the house rules of the C core.
--
-- 1. A file includes only what is on its own floor or below:
--    base < loop < net < the files directly in csrc/.
-- 2. base/platform.h is the first include of every C file.
-- 3. Only base/platform.h asks which system this is. Elsewhere there is no
--    #if, #elif or #else and no macro that names a system: only a header's
--    guard, a guard around a whole file, and an #ifdef that keeps or drops
--    a table's row.
-- 4. No file is longer than 470 lines, no function longer than 50, but for
--    tables. The code is formatted, so a function ends at a } in column 1.
--
-- Run from the project's root: lua5.4 tools/lint-floors.lua [folder]

local root = arg[1] or "csrc"
local floors = { base = 1, loop = 2, net = 3 }
local TOP <const> = 4
local FILE_LINES <const>, FUNCTION_LINES <const> = 470, 50
local systems = {
  "__linux", "_WIN32", "__APPLE__", "BSD__", "__sun", "__CYGWIN__", "__unix",
}

local breaches = {}
local function breach(file, line, text, ...)
  breaches[#breaches + 1] = {
    file = file, line = line, text = text:format(...),
  }
end

local function before(a, b)
  if a.file ~= b.file then return a.file < b.file end
  return a.line < b.line
end

local function floor_of(file)
  local room = file:match("^([^/]+)/[^/]+$")
  return room and floors[room] or not file:find("/") and TOP
end

local function list()
  local files, known = {}, {}
  local find = assert(io.popen(("find '%s' -name '*.[ch]'"):format(root)))
  for path in find:lines() do
    local file = path:sub(#root + 2)
    files[#files + 1], known[file] = file, true
  end
  find:close()
  table.sort(files)
  return files, known
end

local function read(file)
  local lines = {}
  for line in io.lines(root .. "/" .. file) do lines[#lines + 1] = line end
  return lines
end

-- The first line of a definition may stand above the one with its brace.
local function opening(lines, brace)
  local first = brace
  while first > 1 and lines[first]:find("^%s")
    and not lines[first - 1]:find("^[}#]") and lines[first - 1] ~= "" do
    first = first - 1
  end
  return first
end

local function is_function(lines, first, brace)
  local head = table.concat(lines, " ", first, brace)
  return head:find("%)%s*{$") and not head:find("=") and head
end

local checks = {}

function checks.length(file, lines)
  if #lines > FILE_LINES then
    breach(file, #lines, "the file has %d lines, more than %d", #lines, FILE_LINES)
  end
end

function checks.functions(file, lines)
  local first, head
  for n, line in ipairs(lines) do
    if not first and line:find("{$") and not line:find("^#") then
      first = opening(lines, n)
      head = is_function(lines, first, n)
    elseif first and line:find("^}") then
      local length = n - first + 1
      if head and length > FUNCTION_LINES then
        breach(file, first, "%s has %d lines, more than %d",
          head:match("([%w_]+)%s*%(") or "a function", length, FUNCTION_LINES)
      end
      first = nil
    end
  end
end

local function check_include(file, n, name, known)
  local own, other = floor_of(file), floor_of(name)
  if not known[name] then
    breach(file, n, '"%s" is not a file under %s', name, root)
  elseif own and other and other > own then
    breach(file, n, '"%s" is on a higher floor', name)
  end
end

function checks.includes(file, lines, known)
  if not floor_of(file) then
    breach(file, 1, "there is no such floor: base, loop, net, or directly in %s", root)
  end
  local first
  for n, line in ipairs(lines) do
    local own = line:match('^#%s*include%s+"(.-)"')
    first = first or line:match("^#%s*include%s+(%S+)")
    if own then check_include(file, n, own, known) end
  end
  if file:find("%.c$") and first ~= '"base/platform.h"' then
    breach(file, 1, '"base/platform.h" must be the first include')
  end
end

-- Where the guard around a whole file begins and ends: the first conditional
-- opens it, with nothing but includes before it, and the last line ends it.
local function whole_guard(directives, lines)
  local last = #lines
  while last > 0 and lines[last] == "" do last = last - 1 end
  local depth, begin = 0, nil
  for _, d in ipairs(directives) do
    if d.word:find("^if") then
      begin = depth == 0 and d.line or begin
      depth = depth + 1
    elseif d.word == "endif" then
      depth = depth - 1
      if depth == 0 then return d.line == last and begin or nil end
    end
  end
end

local function conditionals(lines)
  local found = {}
  for n, line in ipairs(lines) do
    local word, rest = line:match("^%s*#%s*(%a+)%s*(.*)")
    if word and (word:find("^if") or word:find("^el") or word == "endif") then
      found[#found + 1] = { line = n, word = word, rest = rest }
    end
  end
  return found
end

local function names_system(text)
  for _, name in ipairs(systems) do
    if text:find(name, 1, true) then return name end
  end
end

function checks.conditionals(file, lines)
  if file == "base/platform.h" then return end
  local found = conditionals(lines)
  local guard = whole_guard(found, lines)
  for _, d in ipairs(found) do
    local system = names_system(d.rest)
    if d.line ~= guard and (d.word == "if" or d.word:find("^el")) then
      breach(file, d.line, "#%s: only base/platform.h may ask", d.word)
    elseif system then
      breach(file, d.line, "%s: only base/platform.h asks which system this is", system)
    end
  end
end

local files, known = list()
for _, file in ipairs(files) do
  local lines = read(file)
  for _, check in pairs(checks) do check(file, lines, known) end
end
table.sort(breaches, before)
for _, b in ipairs(breaches) do
  io.write(("%s/%s:%d: %s\n"):format(root, b.file, b.line, b.text))
end
io.write(("floors: %d files, %d breaches\n"):format(#files, #breaches))
os.exit(#breaches == 0 and #files > 0)
