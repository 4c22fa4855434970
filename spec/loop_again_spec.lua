-- The specs of the loop once more, with other orders and the other poller.

local peer = require "spec.support.peer"

local variants = {
  { "SOCK_POLLER=poll", "--exclude-tags=heavy" },
  { "SOCK_SHUFFLE=" .. os.time() % 1000000 + 1, "--exclude-tags=fifo,heavy" },
  { "SOCK_POLLER=poll", "SOCK_SHUFFLE=7", "--exclude-tags=fifo,heavy" },
}

-- The files of one subject are run together.
local subjects = {
  { "channel", "channel_put_get", "channel_many" },
  { "deadline_timeout", "deadline" },
  { "coroutine_generator", "coroutine_stranger", "coroutine" },
  { "lookup" },
  { "step", "wait_task", "registration", "loop" },
  { "signal", "signal_close" },
}

for _, names in ipairs(subjects) do
  for _, variant in ipairs(variants) do
    local how = table.concat(variant, " ")
    describe("The specs " .. table.concat(names, ", ") .. " with " .. how .. " #again", function()
      it("holds", function()
        if os.getenv("SOCK_ASAN") and names[1] == "signal" then
          return pending("takes long under the sanitizers")
        end
        local argv = { "env", "LUA=" .. (os.getenv("LUA") or "lua5.4") }
        local command = { "timeout", "120", "tools/specs",
          os.getenv("SOCK_ASAN") and "--asan" or nil }
        for _, word in ipairs(variant) do
          local list = word:find("^%-") and command or argv
          list[#list + 1] = word
        end
        table.move(command, 1, #command, #argv + 1, argv)
        for _, name in ipairs(names) do
          argv[#argv + 1] = "spec/" .. name .. "_spec.lua"
        end
        local p <close> = peer.start(argv)
        local text = p:rest()
        assert.is_true(text:find(" 0 failures / 0 errors", 1, true) ~= nil, text)
      end)
    end)
  end
end
