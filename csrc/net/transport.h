/*
** transport.h: how a socket's bytes get in and out.
**
** The one place that makes the transfer calls: without SIGPIPE, without
** EINTR, and for pipes and terminals too.
*/
#ifndef SOCK_TRANSPORT_H
#define SOCK_TRANSPORT_H

#include "net/socket.h"

#include <sys/uio.h>

/* How many pieces one transmit takes. */
#define SOCK_PIECES 64

/* One receive; bytes, or -1 and errno (EAGAIN: wait). */
ssize_t sock_receive(sock_Socket *s, void *data, size_t n, int flags);

/* The same with where it came from. */
ssize_t sock_receivefrom(sock_Socket *s, void *data, size_t n, int flags,
                         sock_Sockaddr *from);

/* One transmit of all the pieces; bytes, or -1 and errno (EAGAIN: wait). */
ssize_t sock_transmit(sock_Socket *s, struct iovec *piece, int n, int flags);

/* One datagram to an address. */
ssize_t sock_transmitto(sock_Socket *s, const char *data, size_t n,
                        const sock_Sockaddr *to);

/* Whether an attempt is worth its system call; else errno is EAGAIN. */
static inline int sock_mayread(const sock_Socket *s) {
  if (sock_likely(s->watch.readable))
    return 1;
  errno = EAGAIN;
  return 0;
}

static inline int sock_maywrite(const sock_Socket *s) {
  if (sock_likely(s->watch.writable))
    return 1;
  errno = EAGAIN;
  return 0;
}

/* Whether the kernel asks to wait. */
static inline int sock_wouldblock(int err) {
  return err == EAGAIN || err == EWOULDBLOCK;
}

#endif
