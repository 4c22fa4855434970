/*
** control.h: ancillary data, encoded and decoded; one table row per kind.
**
** Descriptors that came with a message are owned from the moment the kernel
** gave them: by the box, which exists before the receive and closes what
** nobody took out of it.
*/
#ifndef SOCK_CONTROL_H
#define SOCK_CONTROL_H

#include "net/socket.h"

#define SOCK_MAXFDS 253 /* the kernel's limit for one message: SCM_MAX_FD */

/* Room for one of each kind, aligned as the kernel wants it. */
typedef union sock_Control {
  struct cmsghdr align;
  char bytes[2048];
} sock_Control;

/* Received descriptors that no socket owns yet. */
typedef struct sock_Descriptors {
  int next, count;
  int fd[SOCK_MAXFDS];
} sock_Descriptors;

/* Pushes an empty one. [-0,+1,m] */
sock_Descriptors *sock_newdescriptors(lua_State *L);

/*
** The control table at `index` as the kernel takes it, in `c`; how many bytes
** that are. `family`: of where the message goes. Raises for what is unknown,
** or cannot be sent; argument 2 is blamed. [-0,+0,m]
*/
size_t sock_encodecontrol(lua_State *L, int index, int family, sock_Control *c);

/* Puts the descriptors of a received message into the box. Cannot fail. */
void sock_collect(struct msghdr *m, sock_Descriptors *box);

/* Pushes the table of a received message's control data; the box's
** descriptors become sockets in it. [-0,+1,m] */
void sock_pushcontrol(lua_State *L, struct msghdr *m, sock_Descriptors *box);

/* For the table of kinds (descriptors.c): the box's as a list of sockets; the
** list on top of the stack as the kernel takes it. */
void sock_pushfds(lua_State *L, const char *data, size_t len,
                  sock_Descriptors *box);
size_t sock_encodefds(lua_State *L, char *data);

/* How long the datagrams are that the kernel has put together in this one
** (udp_gro); 0: it is one. */
size_t sock_segment(struct msghdr *m);

/* Pushes a datagram's sender; nil where the kernel gave none. [-0,+1,m] */
void sock_pushsender(lua_State *L, const sock_Socket *s, sock_Sockaddr *from);

#endif
