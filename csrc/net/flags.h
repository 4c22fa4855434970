/*
** flags.h: the flags of transfers, by name.
*/
#ifndef SOCK_FLAGS_H
#define SOCK_FLAGS_H

#include <lua.h>

/* What calls a flag is for. */
enum { SOCK_SENDS = 1, SOCK_RECVS = 2, SOCK_RECVMSGS = 4 };

/* The bit of the flag whose name, a text, is at `index`; raises, as argument
** `arg`, if calls of that use know none. */
int sock_checkflag(lua_State *L, int index, int use, int arg);

#endif
