/*
** coroutine.h: sock.coroutine: coroutines that pass a wait through to the
** task they run in.
*/
#ifndef SOCK_COROUTINE_H
#define SOCK_COROUTINE_H

#include <lauxlib.h>
#include <lua.h>

extern const luaL_Reg sock_coroutinefunctions[];

#endif
