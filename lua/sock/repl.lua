--- sock.repl: a prompt at which the tasks go on.
-- Under the stock interpreter it is the interpreter's own (prompt.c); where
-- that has none, or none with readline, it is the one below.

local core = require "sock.core"

local M = {}

-- Whether the interpreter will show its prompt, or does. ---------------------

--- The interpreter's own options, as a set, and whether a script follows
-- them. With a script it is arg[0], and they stand before it; without one
-- the interpreter is arg[0].
local function options()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  local last = first < 0 and -1 or #arg
  local set, i = {}, first + 1
  while i <= last do
    set[arg[i]] = true
    i = i + ((arg[i] == "-e" or arg[i] == "-l") and 2 or 1)
  end
  return set, first < 0
end

--- A prompt follows -i, or nothing at all. lua(1).
local function comes()
  if core.typed() then
    return true
  elseif type(arg) ~= "table" then
    return false
  end
  local set, script = options()
  return set["-i"] or not script and next(set) == nil
end

-- The prompt of its own. ------------------------------------------------------

local function show(name, default)
  local text = _G[name]
  io.stdout:write(text == nil and default or tostring(text)):flush()
end

--- One line; nil at the end. The loop goes on until there is one.
local function readline(name, default)
  show(name, default)
  assert(core.wait(io.stdin, "r"))
  return io.stdin:read("l")
end

--- Compiles a line, and those that it takes to complete it. 5.4's lua.c, doREPL.
local function compile(line)
  line = line:gsub("^=", "return ")
  local f = load("return " .. line, "=stdin")
  if f then
    return f
  end
  while true do
    local message
    f, message = load(line, "=stdin")
    local more = not f and message:find("<eof>$") and readline("_PROMPT2", ">> ")
    if not more then
      return f, message
    end
    line = line .. "\n" .. more
  end
end

local function describe(err)
  local plain = type(err) == "string" or type(err) == "number"
  return plain and err or ("(error object is a %s value)"):format(type(err))
end

--- The text of an error, with the traceback of what was typed.
local function explain(err)
  local meta = getmetatable(err)
  if type(meta) == "table" and meta.__tostring and type(err) ~= "string" then
    return tostring(err)
  end
  local text = debug.traceback(describe(err), 2)
  -- what follows is this file's, and what called it
  local cut = text:match("^(.*)\n\t%[C%]: in function 'xpcall'\n")
  return cut and cut .. "\n\t[C]: in ?" or text
end

local function report(text)
  io.stderr:write(describe(text), "\n"):flush()
end

local function results(ok, ...)
  if not ok then
    report((...))
  elseif select("#", ...) > 0 then
    local printed, message = pcall(print, ...)
    if not printed then
      report(("error calling 'print' (%s)"):format(describe(message)))
    end
  end
end

local function loop()
  io.stdin:setvbuf("no") -- so that waiting for the descriptor is enough
  core.sigint(true)
  for line in function() return readline("_PROMPT", "> ") end do
    local f, message = compile(line)
    if f then
      results(xpcall(f, explain))
    else
      report(message)
    end
    core.sigint() -- the interpreter's handler is good for one ^C
  end
  io.stdout:write("\n"):flush()
end

--- Makes the interpreter's prompt live and returns at once; or is a prompt,
-- and returns at its end, ^D. Raises if another Lua state has the prompt.
function M.repl()
  if comes() then
    local live, message = core.prompt()
    if live then
      return
    elseif message then
      error(message, 2)
    end
  end
  loop()
end

return M
