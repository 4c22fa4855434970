/*
** await.h: try, wait, try again.
**
** A call that may have to wait is written as a *try*: a function that makes
** one attempt with what stands on the Lua stack and answers with the number
** of its results, or with what it wants to wait for. sock_await calls it
** until it is done. Nothing else in the library waits, and no other file
** knows how waiting is done.
**
** A try must find everything on the Lua stack, at fixed indices, because it
** may be called again from another C stack; between two attempts it may
** keep progress there too.
*/
#ifndef SOCK_AWAIT_H
#define SOCK_AWAIT_H

#include <lauxlib.h>
#include <lua.h>

#include "loop/loop.h"

enum {
  SOCK_READ = 1,
  SOCK_WRITE = 2,
  SOCK_NOTOPEN = 4 /* in an entry's `ready`: no such descriptor */
};

/* What a try answers instead of a number of results. */
enum {
  SOCK_WANTREAD = -1,  /* again when the descriptor is readable */
  SOCK_WANTWRITE = -2, /* again when it is writable */
  SOCK_WANTPAUSE = -3, /* again in a moment: the kernel cannot tell when */
};

/*
** `why` is 0, or the reason that ended the wait: ETIMEDOUT, or EBADF when
** the socket was closed meanwhile. The try then reports that as its failure
** and does not try again.
*/
typedef int (*sock_Try)(lua_State *L, int why);

/* A descriptor that can be waited for; part of whatever owns it. */
typedef struct sock_Watch {
  int fd; /* -1: closed */
} sock_Watch;

/* Several descriptors at once, for wait and select. */
typedef struct sock_Entry {
  sock_Watch *watch; /* a socket's own, or NULL for a foreign descriptor */
  int fd;
  short wanted; /* SOCK_READ, SOCK_WRITE or both */
  short ready;  /* which of them are */
} sock_Entry;

typedef struct sock_Set {
  int count;
  sock_Entry entry[];
} sock_Set;

/*
** Runs `try` to its end; its results are this function's. `direction` is
** the queue to stand in: whoever reads takes turns with other readers.
** `seconds` is the limit on the whole call, HUGE_VAL for none.
*/
int sock_await(lua_State *L, sock_Watch *watch, int direction, double seconds,
               sock_Try try);

/*
** Waits until an entry of the set at stack index `index` is ready, then
** calls `done` once, with 0 or ETIMEDOUT.
*/
int sock_awaitset(lua_State *L, int index, double seconds, sock_Try done);

/* An optional number of seconds: HUGE_VAL if absent; never negative. */
double sock_optseconds(lua_State *L, int arg);

#endif
