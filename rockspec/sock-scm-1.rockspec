rockspec_format = "3.0"
package = "sock"
version = "scm-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "Sockets for Lua 5.4",
  detailed = [[
The socket calls of BSD with a C core: TCP, UDP, Unix and more, over IPv4 and
IPv6, with addresses as values and errors as nil, message, code.]],
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.4, < 5.5",
}
build = {
  type = "builtin",
  modules = {
    ["sock.core"] = {
      sources = {
        "csrc/base/buffer.c",
        "csrc/base/class.c",
        "csrc/base/error.c",
        "csrc/base/held.c",
        "csrc/core.c",
        "csrc/loop/await.c",
        "csrc/loop/channel.c",
        "csrc/loop/coroutine.c",
        "csrc/loop/frame.c",
        "csrc/loop/group.c",
        "csrc/loop/interrupt.c",
        "csrc/loop/job.c",
        "csrc/loop/loop.c",
        "csrc/loop/onerror.c",
        "csrc/loop/poller_epoll.c",
        "csrc/loop/poller_poll.c",
        "csrc/loop/process.c",
        "csrc/loop/set.c",
        "csrc/loop/signals.c",
        "csrc/loop/task.c",
        "csrc/loop/tasklib.c",
        "csrc/loop/workers.c",
        "csrc/net/address.c",
        "csrc/net/adopt.c",
        "csrc/net/calls.c",
        "csrc/net/control.c",
        "csrc/net/copy.c",
        "csrc/net/datagram.c",
        "csrc/net/descriptors.c",
        "csrc/net/family.c",
        "csrc/net/family_linux.c",
        "csrc/net/fork.c",
        "csrc/net/input.c",
        "csrc/net/lookup.c",
        "csrc/net/membership.c",
        "csrc/net/message.c",
        "csrc/net/names.c",
        "csrc/net/optionkinds.c",
        "csrc/net/options.c",
        "csrc/net/optiontable.c",
        "csrc/net/output.c",
        "csrc/net/read.c",
        "csrc/net/resolve.c",
        "csrc/net/socket.c",
        "csrc/net/splice_linux.c",
        "csrc/net/splice_none.c",
        "csrc/net/stream.c",
        "csrc/net/target.c",
        "csrc/net/tcpinfo.c",
        "csrc/net/transfer.c",
        "csrc/net/transport.c",
        "csrc/net/unpack.c",
        "csrc/net/wait.c",
        "csrc/net/write.c",
      },
      incdirs = { "csrc" },
      libraries = { "pthread" },
    },
    ["sock.copy"] = "lua/sock/copy.lua",
    ["sock"] = "lua/sock/init.lua",
    ["sock.scope"] = "lua/sock/scope.lua",
    ["sock.settings"] = "lua/sock/settings.lua",
    ["sock.target"] = "lua/sock/target.lua",
    ["sock.types"] = "lua/sock/types.lua",
  },
}
