/*
** read.h: reading a stream in shapes.
*/
#ifndef SOCK_READ_H
#define SOCK_READ_H

#include "net/socket.h"

/* The longest line or length-prefixed field, unless setlimit says another. */
#define SOCK_LIMIT ((size_t)1 << 20)

/* What a shape answers instead of how many bytes it took. */
enum {
  SOCK_MORE = -1,    /* not yet: `scanned` tells how far it has looked */
  SOCK_TOOLONG = -2, /* past the limit */
  SOCK_CUT = -3,     /* the stream has ended inside it */
  SOCK_NOTHING = -4, /* the stream has ended before it */
  SOCK_TOOWIDE = -5  /* an integer that is none of Lua's */
};

/* What a shape looks at. */
typedef struct sock_View {
  const char *data; /* what has arrived, from where the shape begins */
  size_t len;
  size_t scanned; /* of these, by an attempt before … */
  size_t mark;    /* … for what begins here, */
  size_t step;    /* … at this place of a format */
  size_t limit;
  size_t wanted; /* of SOCK_CUT: how many bytes it was; 0: not known */
  int ended;     /* nothing more will come */
} sock_View;

/*
** Tries the shape that the value at `index` stands for. Pushes its values
** and answers how many bytes they took, or one of the above.
*/
typedef ptrdiff_t (*sock_Shape)(lua_State *L, int index, sock_View *v);

/*
** Reads shapes, one for each of the values from index 2 to the top, of the
** socket at index 1; its results are theirs. Nothing is consumed unless all
** of them are there.
*/
int sock_readshapes(lua_State *L, sock_Shape shape);

/* unpack.c: raises on what is no format of string.pack. */
void sock_checkpackformat(lua_State *L, int arg);
ptrdiff_t sock_unpackshape(lua_State *L, int index, sock_View *v);

#endif
