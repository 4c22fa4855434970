/*
** stream.h: recv on a stream.
*/
#ifndef SOCK_STREAM_H
#define SOCK_STREAM_H

#include "net/socket.h"

/* The try of recv on a stream; index 2: the count, index 3: the flags. */
int sock_recvtry(lua_State *L, int why);

#endif
