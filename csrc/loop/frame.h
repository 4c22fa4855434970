/*
** frame.h: deadlines and cancellable stretches of code.
**
** A frame is a userdata on the stack of the coroutine that made it, in the
** list of the task (or of all that runs outside tasks). While that coroutine
** is suspended as somebody's generator, the frame does not count.
*/
#ifndef SOCK_FRAME_H
#define SOCK_FRAME_H

#include "loop/loop.h"

typedef struct sock_Frame {
  sock_Link link;
  sock_Loop *loop;
  sock_Home *home;  /* NULL: not entered, or left */
  lua_State *owner; /* held by a user value, as the home's task is */
  double deadline;
  unsigned char active; /* counts for the wait that its home is in */
} sock_Frame;

/* The soonest deadline that counts for a wait on L: -HUGE_VAL if it has been
** cancelled, HUGE_VAL if there is none. Marks the frames that count. */
double sock_framelimit(lua_State *L, sock_Home *home);

/* Ends the frame's code: its waits raise sock.cancelled from now on. */
void sock_cancelframe(sock_Frame *frame);

/* Before the home's memory goes. */
void sock_dropframes(sock_Home *home);

sock_Frame *sock_checkframe(lua_State *L, int arg);

void sock_openframe(lua_State *L);
extern const luaL_Reg sock_framefunctions[];

#endif
