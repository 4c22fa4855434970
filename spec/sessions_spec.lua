-- The transcripts of examples/sessions/ and of README.md, played on terminals.

local lfs = require "lfs"
local peer = require "spec.support.peer"
local session = require "spec.support.session"

local function contents(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function names()
  local list = {}
  for name in lfs.dir("examples/sessions") do
    list[#list + 1] = name:match("^(.*)%.txt$")
  end
  table.sort(list)
  return list
end

local function play(text, options)
  if text:find("6379", 1, true) then
    local server <close>, port = peer.redis()
    options.ports = { ["6379"] = port }
    session.play(text, options)
    assert.truthy(server)
  else
    session.play(text, options)
  end
end

for _, setting in ipairs(session.pollers()) do
  describe("examples/sessions, " .. setting, function()
    for _, name in ipairs(names()) do
      it("shows what happens in " .. name .. ".txt", function()
        local path = "examples/sessions/" .. name .. ".txt"
        play(contents(path), { setting = setting, name = path })
      end)
    end
  end)
end
