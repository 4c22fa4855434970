/*
** place.h: where in a program something was called.
*/
#ifndef SOCK_PLACE_H
#define SOCK_PLACE_H

#include <lua.h>

/* Finds the innermost line of a program's own that is active in `co`: not one
** of this library's files, if there is another. Fills in short_src and
** currentline; 0 if there is none at all. [-0,+0,-] */
int sock_findplace(lua_State *co, lua_Debug *ar);

/* library(folder): where this library's own Lua files are. */
int sock_setlibrary(lua_State *L);

#endif
