/*
** transport.h: how a socket's bytes get in and out.
**
** The one place that makes the transfer calls: without SIGPIPE, without
** EINTR, and for pipes and terminals too; or that asks the transport that
** another module has put over the descriptor (sock_transport.h).
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

/* What a receive and a transmit have moved; less than 0 is nothing. */
static inline void sock_notereceived(sock_Socket *s, ssize_t got) {
  if (got > 0) {
    s->received += (uint64_t)got;
    s->heard = 1;
  } else if (got == 0 && !s->readdone) {
    s->ended = 1;
  }
}

static inline void sock_notesent(sock_Socket *s, ssize_t sent) {
  if (sent > 0) {
    s->sent += (uint64_t)sent;
    s->heard = 0;
  }
}

/* What a receive without a system call answers: -1, to wait; or 0, the end
** that core.drain lets a connection see. */
static inline ssize_t sock_dry(const sock_Socket *s) {
  return s->watch.ends != NULL && s->watch.ends(&s->watch) ? 0 : -1;
}

/* Whether the kernel asks to wait. */
static inline int sock_wouldblock(int err) {
  return err == EAGAIN || err == EWOULDBLOCK;
}

/* What a try answers then: `want` on a bare descriptor; a transport may have
** to wait for the other direction. */
static inline int sock_waitsfor(const sock_Socket *s, int want) {
  return sock_likely(s->over.transport == NULL) ? want : s->want;
}

/*
** What a try of a datagram answers then. Whether the receiver of a Unix
** datagram has room, only a connected socket is told: poll(2) says yes, and
** each attempt, which takes room and gives it back, is an event.
*/
int sock_waitstosend(const sock_Socket *s);

/* Whether nothing may be written any more: a write ended half way, or the
** transport has half of what its writer did not stay to give it again. */
static inline int sock_istorn(const sock_Socket *s) {
  return s->halfway || (s->offered && sock_bufferlen(&s->out) == 0);
}

/* What a receive gives without a system call. */
static inline size_t sock_pending(const sock_Socket *s) {
  return sock_likely(s->over.transport == NULL)
             ? 0
             : s->over.transport->pending(s->over.self);
}

/* Ends sending through the transport; 0, or -1 and errno (EAGAIN: wait). */
int sock_endsending(sock_Socket *s);

/* Publishes what other modules install transports with. [-0,+0,m] */
void sock_opentransport(lua_State *L);

#endif
