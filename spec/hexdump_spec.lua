local sock = require "sock"

describe("sock.hexdump", function()
  it("shows where bytes stand, what they are, and their text", function()
    assert.equal("00000000  68 65 6c 6c 6f 0d 0a                              |hello..|",
      sock.hexdump "hello\r\n")
  end)

  it("shows sixteen bytes in a line, in two groups of eight", function()
    assert.equal(
      "00000000  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  |0123456789:;<=>?|\n"
      .. "00000010  40 41 42 43 44 45 46 47  48                       |@ABCDEFGH|",
      sock.hexdump "0123456789:;<=>?@ABCDEFGH")
    assert.equal("00000000  30 31 32 33 34 35 36 37                           |01234567|",
      sock.hexdump "01234567")
  end)

  it("is as hexdump -C has it, but for the length at its end", function()
    local hexdump = os.execute("command -v hexdump >/dev/null")
    if not hexdump then
      return
    end
    local bytes = {}
    for i = 0, 255 do
      bytes[i] = string.char(i)
    end
    local data = table.concat(bytes, "", 0)
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "wb"))
    file:write(data)
    file:flush()
    local out <close> = assert(io.popen("hexdump -C " .. path))
    local text = out:read("a")
    os.remove(path)
    assert.equal(text, sock.hexdump(data) .. "\n00000100\n")
  end)

  it("says nothing of nothing", function()
    assert.equal("", sock.hexdump "")
  end)

  it("refuses what is no text", function()
    assert.error_matches(function() sock.hexdump() end, "bad argument #1 to 'hexdump'")
    assert.error_matches(function() sock.hexdump {} end, "string expected, got table")
    assert.equal("00000000  31 32                                             |12|",
      sock.hexdump(12))
  end)
end)
