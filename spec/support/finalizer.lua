--- Runs a function as a finalizer in the middle of the next call that makes a
-- value: `local _ <close> = finalizer(f)`, and then the call.

local after = setmetatable({}, {
  __close = function() collectgarbage("incremental", 200, 100, 13) end,
})

return function(f)
  collectgarbage()
  collectgarbage("stop")
  collectgarbage("incremental", 200, 1000, 40) -- one step is a whole cycle
  setmetatable({}, { __gc = f })
  collectgarbage("restart")
  return after
end
