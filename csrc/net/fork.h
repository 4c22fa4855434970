/*
** fork.h: worker processes.
**
** fork(body [, sockets]) calls the body in a child process that has of its
** parent nothing but its memory, its standard descriptors and those sockets;
** see fork.c for what becomes of the rest. The parent gets a process
** (loop/process.h), or nil, message, code.
*/
#ifndef SOCK_FORK_H
#define SOCK_FORK_H

#include <lauxlib.h>
#include <lua.h>

extern const luaL_Reg sock_forkfunctions[];

#endif
