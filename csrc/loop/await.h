/*
** await.h: try, wait, try again.
**
** A call that may have to wait is written as a try (loop.h). sock_await calls
** it until it is done: in a task the task is suspended in between; anywhere
** else the loop runs from here, and the other tasks with it. Nothing else in
** the library waits, and no other file knows how waiting is done.
**
** A try must find everything on the Lua stack, at fixed indices, because it
** may be called again from another C stack; between two attempts it may
** keep progress there too.
*/
#ifndef SOCK_AWAIT_H
#define SOCK_AWAIT_H

#include "loop/loop.h"

/*
** Runs `try` to its end; its results are this function's. `direction` is
** the queue to stand in: whoever reads takes turns with other readers.
** `seconds` is the limit on the whole call, HUGE_VAL for none.
*/
int sock_await(lua_State *L, sock_Watch *watch, int direction, double seconds,
               sock_Try try);

/* The same, and a cancel does not end it. */
int sock_awaitshielded(lua_State *L, sock_Watch *watch, int direction,
                       double seconds, sock_Try try);

/* How a wait for something that is no descriptor is meant. */
enum {
  SOCK_INSIDE = 0,  /* only the program itself can end it */
  SOCK_OUTSIDE = 1, /* a thread or a signal may: no deadlock */
  SOCK_SHIELDED = 2 /* a cancel does not end it */
};

/* The same for a try that answers SOCK_WANTWAKE, to wait in `queue` (or
** nowhere, if NULL: then only its limit ends it). */
int sock_awaitqueue(lua_State *L, sock_Link *queue, double seconds, int how,
                    sock_Try try);

/* The same for a try that looks at the set (set.h) at stack index `index`:
** it answers SOCK_WANTWAKE while nothing in it is ready. */
int sock_awaitset(lua_State *L, int index, double seconds, sock_Try try);

/* Whether a wait here suspends its task; else it drives the loop. */
int sock_cansuspend(lua_State *L, const sock_Loop *loop);

/* An optional number of seconds: HUGE_VAL if absent; never negative. */
double sock_optseconds(lua_State *L, int arg);

#endif
