-- check-rockspec: holds the rockspec's file lists against the tree, both ways.
-- For what is missing it prints the line to add.
--
-- Run from the project's root: lua5.4 tools/check-rockspec.lua

local path <const> = "rockspec/sock-scm-1.rockspec"

local wrong = 0
local function complain(text, ...)
  wrong = wrong + 1
  io.write(path, ": ", text:format(...), "\n")
end

local function find(folder, pattern)
  local found = {}
  local list = assert(io.popen(("find %s -name '%s' | LC_ALL=C sort"):format(folder, pattern)))
  for file in list:lines() do found[#found + 1] = file end
  list:close()
  return found
end

-- lua/sock/init.lua is sock, lua/sock/pool.lua is sock.pool.
local function module_of(file)
  local name = file:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", "")
  return (name:gsub("/", "."))
end

local function check_sources(listed)
  local left = {}
  for _, file in ipairs(listed) do
    if left[file] then complain("lists %s twice", file) end
    left[file] = true
  end
  for _, file in ipairs(find("csrc", "*.c")) do
    if not left[file] then complain('lacks the source  "%s",', file) end
    left[file] = nil
  end
  for file in pairs(left) do complain("lists %s, which is not there", file) end
end

local function check_modules(listed)
  local left = {}
  for name, file in pairs(listed) do
    if type(file) == "string" then left[name] = file end
  end
  for _, file in ipairs(find("lua", "*.lua")) do
    local name = module_of(file)
    if left[name] ~= file then complain('lacks the module  ["%s"] = "%s",', name, file) end
    left[name] = nil
  end
  for name, file in pairs(left) do
    complain("lists %s as %s, which is not there", file, name)
  end
end

local rockspec = {}
assert(loadfile(path, "t", rockspec))()
check_sources(rockspec.build.modules["sock.core"].sources)
check_modules(rockspec.build.modules)
io.write(("rockspec: %d differences from the tree\n"):format(wrong))
os.exit(wrong == 0)
