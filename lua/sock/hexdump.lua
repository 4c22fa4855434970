--- sock.hexdump: bytes as `hexdump -C` shows them, for eyes.

local M = {}

local WIDTH <const> = 16

--- Sixteen bytes: two groups of eight in hexadecimal, and as text.
local function row(offset, bytes)
  local hex = bytes:gsub(".", function(c) return ("%02x "):format(c:byte()) end)
  if #bytes > WIDTH // 2 then
    hex = hex:sub(1, WIDTH // 2 * 3) .. " " .. hex:sub(WIDTH // 2 * 3 + 1)
  end
  local text = bytes:gsub("[^\x20-\x7e]", ".")
  return ("%08x  %-50s|%s|"):format(offset, hex, text)
end

--- One line for each sixteen bytes; "" for none.
-- @param data a text, or a number as its text
-- @return text
function M.hexdump(data)
  if type(data) ~= "string" and type(data) ~= "number" then
    error(("bad argument #1 to 'hexdump' (string expected, got %s)")
      :format(data == nil and "no value" or type(data)), 2)
  end
  data = tostring(data)
  local lines = {}
  for first = 1, #data, WIDTH do
    lines[#lines + 1] = row(first - 1, data:sub(first, first + WIDTH - 1))
  end
  return table.concat(lines, "\n")
end

return M
