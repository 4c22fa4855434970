/*
** target.h: the ADDR of a call: an address; host and port; one text.
*/
#ifndef SOCK_TARGET_H
#define SOCK_TARGET_H

#include "net/socket.h"

/*
** Reads the ADDR that begins at `arg` for a call on socket `s`, looking its
** host up in the socket's family if it is a name, and calls `next` with the
** address on top of the stack. What is no address is nil, "op …", "EINVAL".
*/
int sock_withaddress(lua_State *L, const sock_Socket *s, int arg,
                     const char *op, sock_Try next);

/*
** The address at `index` as the kernel wants it for this socket: an inet
** address on an inet6 socket becomes ::ffff:…; 0 if the families differ.
*/
int sock_fitaddress(lua_State *L, const sock_Socket *s, int index,
                    sock_Sockaddr *a);

#endif
