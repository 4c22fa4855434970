-- The transcripts of examples/sessions/ and of README.md, played on terminals.

local lfs = require "lfs"
local sock = require "sock"
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

describe("session.play", function()
  local function complaint(text)
    local ok, message = pcall(session.play, text, { patience = 0.5 })
    assert.is_false(ok)
    return message
  end

  it("complains of what is not shown, and of what the transcript has not", function()
    assert.matches("^session:2: expected '43'\nthere is '42'", complaint "> 6 * 7\n43\n")
    assert.matches("expected no more\nthere is '42'", complaint "> 6 * 7\n> print()\n")
    assert.matches("expected '42'\nthere is nothing", complaint "> x = 42\n42\n")
    assert.matches("expected '> '\nthere is '>> '", complaint "> for i = 1, 2 do\n")
  end)

  it("knows a port again, and another from it", function()
    session.play('> "127.0.0.1:40000"\n127.0.0.1:40000\n', {})
    assert.matches("there is '127.0.0.1:%d+\t127.0.0.1:12345'",
      complaint '> "127.0.0.1:40000", "127.0.0.1:" .. 12345\n127.0.0.1:40000\t127.0.0.1:40000\n')
  end)
end)

--- What a section shows of the prompt: its indented lines, at their places in
-- the file; nil if there is none.
local function transcript(section, first)
  local lines, any = {}, false
  for line in section:gsub("\n```.-\n```", function(code) return code:gsub("[^\n]", "") end)
    :gmatch("([^\n]*)\n") do
    lines[#lines + 1] = line:match("^    (.*)$") or ""
    any = any or lines[#lines]:find("^> ") ~= nil
  end
  if not any then
    return nil
  elseif not section:find("\n    > sock = require") then
    lines[1] = '> sock = require "sock"' -- in place of the heading
  end
  return ("\n"):rep(first - 1) .. table.concat(lines, "\n") .. "\n"
end

--- The sections of README.md that show a prompt: name, transcript.
local function sections()
  local list, line = {}, 1
  for section in contents("README.md"):gsub("\n## ", "\n\0## "):gmatch("%Z+") do
    local text = transcript(section, line)
    if text then
      list[#list + 1] = { name = section:match("^## ([^\n]*)"), text = text }
    end
    line = line + select(2, section:gsub("\n", ""))
  end
  return list
end

for _, setting in ipairs(session.pollers()) do
  describe("README.md, " .. setting, function()
    it("has the sections that are played here", function()
      local list = {}
      for i, section in ipairs(sections()) do
        list[i] = section.name
      end
      assert.same({ "At the prompt", "When something goes wrong", "Servers and clients" }, list)
    end)

    for _, section in ipairs(sections()) do
      it("shows what happens in " .. section.name, function()
        local text = section.text
        if text:find("localhost", 1, true) and #sock.getaddrinfo("localhost") == 1 then
          -- as it says: one address, where the machine has only one
          text = text:gsub("%[::1%]:9: Connection refused; ", "")
        end
        play(text, { setting = setting, name = "README.md" })
      end)
    end
  end)
end
