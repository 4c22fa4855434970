/*
** made.h: which sockets are open, and the line that made each.
**
** A weak table in the registry leads from a socket's address to its userdata.
** The line stands in the socket; its file is a user value, cut to a length
** at which Lua keeps equal strings once.
*/
#ifndef SOCK_MADE_H
#define SOCK_MADE_H

#include "net/socket.h"

/* The new socket on top of the stack enters the table. [-0,+0,m] */
void sock_notemade(lua_State *L, sock_Socket *s);

/* It is open no more. [-0,+0,-] */
void sock_forgetmade(lua_State *L, const sock_Socket *s);

void sock_openmade(lua_State *L);
extern const luaL_Reg sock_madefunctions[];

#endif
