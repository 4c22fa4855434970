return { repl = require "sock.core".prompt }
