/*
** output.h: the bytes of a full-buffered socket that have not left yet.
**
** A socket that holds output stands on its loop's dirty list; before the
** loop waits, it flushes that list as far as it goes without waiting. What
** the kernel does not take then goes when it can, without anybody's call.
*/
#ifndef SOCK_OUTPUT_H
#define SOCK_OUTPUT_H

#include "net/socket.h"

/* Room for n bytes behind what waits to leave; NULL if memory ran out, and
** then nothing has changed. Runs no Lua. */
char *sock_outputroom(lua_State *L, sock_Socket *s, size_t n);

/* n bytes stand in that room now. The socket must be open. */
void sock_putoutput(sock_Socket *s, size_t n);

/* The first n bytes have left. */
void sock_dropoutput(lua_State *L, sock_Socket *s, size_t n);

/*
** Sends what waits: 0 when all has left, else errno (EAGAIN: wait to write).
** A failure that came before, with nobody there to tell, is told now.
*/
int sock_pushoutput(lua_State *L, sock_Socket *s);

/* The same as a try's first step: 0, or what the try is to answer. `op` is
** what a failure is told of. */
int sock_flushfirst(lua_State *L, sock_Socket *s, const char *op);

#endif
