/*
** held.h: memory that others allocate (malloc, getifaddrs) and Lua owns:
** create it empty, then acquire.
*/
#ifndef SOCK_HELD_H
#define SOCK_HELD_H

#include <lua.h>

typedef struct sock_Held {
  void *memory; /* NULL: nothing held */
  void (*drop)(void *memory);
} sock_Held;

sock_Held *sock_newheld(lua_State *L, void (*drop)(void *)); /* [-0,+1,m] */
void sock_release(sock_Held *held); /* drops it now; harmless again */

#endif
