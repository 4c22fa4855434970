/*
** loop.h: what belongs to one Lua state.
**
** There is one per Lua state, a userdata in its registry, made when the
** library is loaded and therefore finalized after every socket.
*/
#ifndef SOCK_LOOP_H
#define SOCK_LOOP_H

#include <lua.h>
#include <stddef.h>

#define SOCK_SCRATCH ((size_t)65536)

typedef struct sock_Loop {
  lua_State *main;             /* where the interpreter hangs its ^C hook */
  struct sock_Socket *sockets; /* all that are open; net/socket.c's */
  /* Whose bytes the scratch holds, and how many: from a stream's receive
  ** until the Lua string exists, so that running out of memory in between
  ** loses nothing; net/stream.c's. */
  struct sock_Socket *owner;
  size_t held;
  char scratch[SOCK_SCRATCH]; /* every receive's buffer */
} sock_Loop;

/* Makes this state's loop. [-0,+0,m] */
void sock_openloop(lua_State *L);

/* This state's loop. [-0,+0,-] */
sock_Loop *sock_loop(lua_State *L);

#endif
