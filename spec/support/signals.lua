--- Signals to this process, and what it does with them.

local signals = {}

--- Sends signals to this process; they have arrived when it returns.
function signals.send(...)
  local words = {}
  for i, name in ipairs { ... } do
    words[i] = "kill -" .. name .. " $PPID"
  end
  io.popen(table.concat(words, "; ")):close()
end

signals.numbers = { HUP = 1, INT = 2, QUIT = 3, USR1 = 10, USR2 = 12, PIPE = 13, ALRM = 14,
  TERM = 15, CHLD = 17, CONT = 18, TSTP = 20, TTIN = 21, TTOU = 22, URG = 23, XCPU = 24,
  XFSZ = 25, VTALRM = 26, PROF = 27, WINCH = 28, IO = 29, PWR = 30, SYS = 31 }

--- Whether this process has a handler for the signal.
function signals.caught(name)
  local file <close> = assert(io.open("/proc/self/status"))
  local mask = tonumber(file:read("a"):match("SigCgt:%s*(%x+)"), 16)
  return mask >> (signals.numbers[name] - 1) & 1 == 1
end

return signals
