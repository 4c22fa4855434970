/*
** places.h: what lua/sock/pool.lua is made of: a number of places, a queue of
** those who wait for one, and sockets that hold one until their end.
**
** A taken place is a userdata. It is given back once: by its __close, unless
** a socket occupies it; by that socket's end, whoever closes or forgets it;
** or when nothing holds it any more. So no cancel and no error loses one.
*/
#ifndef SOCK_PLACES_H
#define SOCK_PLACES_H

#include "net/socket.h"

/* The socket has no place any more. No Lua, no allocation. */
void sock_vacate(sock_Socket *s);

void sock_openplaces(lua_State *L); /* [-0,+0,m] */
extern const luaL_Reg sock_placesfunctions[];

#endif
