std = "lua54"
max_cyclomatic_complexity = 12
max_line_length = 100
include_files = { "lua", "spec", "examples", "bench", "tools", "rockspec", ".luacheckrc" }
files["spec"] = { std = "+busted" }
files["rockspec"] = { std = "+rockspec" }
