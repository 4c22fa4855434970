-- All specs of tasks once more: with a ready queue in random order, and over
-- the poller that every system has. "#order" marks what a random order may
-- break, "#slow" what one run is enough for.

local again = require "spec.support.again"

describe("The specs of tasks hold #again", function()
  local files = { "spawn", "task", "run", "scope", "scope_end", "cancel", "failure", "nested",
    "fairness", "sharing" }

  for _, setting in ipairs { "SOCK_SHUFFLE=1", "SOCK_SHUFFLE=" .. os.time(),
    "SOCK_POLLER=poll" } do
    it("with " .. setting:gsub("%d%d+", "a random seed"), function()
      again(files, "order,slow,again", "env", setting)
    end)
  end
end)
