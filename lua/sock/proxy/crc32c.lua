--- The CRC32C of RFC 4960, Appendix B (Castagnoli's polynomial, reflected).

local bytewise = {}

--- What each byte does to the sum; made by the first that asks.
local function fill()
  for byte = 0, 255 do
    local sum = byte
    for _ = 1, 8 do
      sum = sum & 1 == 1 and (sum >> 1) ~ 0x82F63B78 or sum >> 1
    end
    bytewise[byte] = sum
  end
end

return function(bytes)
  if not bytewise[0] then
    fill()
  end
  local sum = 0xFFFFFFFF
  for i = 1, #bytes do
    sum = (sum >> 8) ~ bytewise[(sum ~ bytes:byte(i)) & 0xFF]
  end
  return sum ~ 0xFFFFFFFF
end
