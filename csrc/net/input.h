/*
** input.h: the bytes of a stream that have arrived and not been read.
**
** They stand in the loop's scratch, into which they were received, as long
** as nobody else needs it, and else in the socket's own buffer: so what is
** read at once is copied once, and an idle socket holds no memory.
*/
#ifndef SOCK_INPUT_H
#define SOCK_INPUT_H

#include "net/socket.h"

/* What has arrived: its first byte, and how many follow. */
const char *sock_arrived(const sock_Socket *s, size_t *len);

/* The first n have been read. */
void sock_consume(lua_State *L, sock_Socket *s, size_t n);

/*
** Receives once more behind what has arrived: 1, 0 at the end, or -1 and
** errno. Without memory it raises, and nothing is lost. [-0,+0,m]
*/
int sock_fill(lua_State *L, sock_Socket *s);

/* Makes the scratch free for somebody's receive. [-0,+0,m] */
void sock_claimscratch(lua_State *L, sock_Loop *loop);

/*
** Where one receive of up to n bytes goes: the scratch, or for a datagram that
** is larger a userdata (left on the stack) of its size. `n` becomes what it
** may take. [-0,+(0|1),m]
*/
char *sock_receiveroom(lua_State *L, sock_Socket *s, size_t *n);

/* Drops everything. */
void sock_dropinput(lua_State *L, sock_Socket *s);

#endif
