/*
** stream.h: reading and writing a stream of bytes.
*/
#ifndef SOCK_STREAM_H
#define SOCK_STREAM_H

#include "net/socket.h"

/* The longest line that is accepted unless told otherwise. */
#define SOCK_LIMIT ((size_t)1 << 20)

/*
** Makes the scratch free for a receive: bytes that ran out of memory on
** their way to a Lua string move to their socket's buffer. [-0,+0,m]
*/
void sock_claimscratch(lua_State *L, sock_Loop *loop);

/* The try of recv on a stream; index 2: the count, index 3: the flags. */
int sock_recvtry(lua_State *L, int why);

#endif
