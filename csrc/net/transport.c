/* transport.c: recv(2) and send(2), and read(2) and write(2) for the rest. */
#include "base/platform.h"
#include "net/transport.h"

/*
** A terminal stays blocking, because its description is shared with whoever
** started us; so it is asked before it is used. A file never blocks.
*/
static int askfirst(const sock_Socket *s, short events) {
  struct pollfd p = {s->watch.fd, events, 0};
  if (s->kind != SOCK_KIND_TERMINAL || poll(&p, 1, 0) > 0)
    return 1;
  errno = EAGAIN;
  return 0;
}

/*
** A TCP receive that came back short has emptied the socket, and the next
** event is the next edge; so the call that would only say EAGAIN is saved.
** Not so after a hang-up, whose edge may have been this one, and not where
** something else cuts receives short: an urgent mark, a flag, a record.
*/
static void noteshort(sock_Socket *s, ssize_t got, size_t n, int flags) {
  if (got > 0 && (size_t)got < n && s->watch.registered &&
      s->protocol == IPPROTO_TCP && flags == 0 && !s->watch.hungup &&
      !s->watch.urgent && !s->records)
    s->watch.readable = 0;
}

ssize_t sock_receive(sock_Socket *s, void *data, size_t n, int flags) {
  ssize_t got;
  if (!sock_mayread(s))
    return sock_dry(s);
  do {
    if (sock_likely(s->kind == SOCK_KIND_SOCKET))
      got = recv(s->watch.fd, data, n, flags);
    else
      got = askfirst(s, POLLIN) ? read(s->watch.fd, data, n) : -1;
  } while (got < 0 && errno == EINTR);
  noteshort(s, got, n, flags);
  if (sock_likely(!(flags & MSG_PEEK)))
    sock_notereceived(s, got);
  return got;
}

ssize_t sock_receivefrom(sock_Socket *s, void *data, size_t n, int flags,
                         sock_Sockaddr *from) {
  ssize_t got;
  if (!sock_mayread(s))
    return -1;
  do {
    sock_clearaddress(from);
    got = recvfrom(s->watch.fd, data, n, flags, &from->u.sa, &from->len);
  } while (got < 0 && errno == EINTR);
  sock_notereceived(s, got);
  return got;
}

/*
** write(2) knows no MSG_NOSIGNAL. The signal goes to the thread that wrote:
** it is held back, and taken off again if it came from this very write.
*/
static ssize_t writequietly(int fd, const struct iovec *piece, int n) {
  sigset_t pipe, old, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  (void)pthread_sigmask(SIG_BLOCK, &pipe, &old);
  (void)sigpending(&pending);
  ssize_t sent = writev(fd, piece, n);
  int err = errno;
  if (sent < 0 && err == EPIPE && !sigismember(&pending, SIGPIPE)) {
    const struct timespec now = {0, 0};
    while (sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
      continue;
  }
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = err;
  return sent;
}

static ssize_t sendpieces(int fd, struct iovec *piece, int n, int flags) {
  if (n == 1)
    return send(fd, piece->iov_base, piece->iov_len, flags);
  struct msghdr m;
  memset(&m, 0, sizeof m);
  m.msg_iov = piece;
  m.msg_iovlen = (size_t)n;
  return sendmsg(fd, &m, flags);
}

ssize_t sock_transmit(sock_Socket *s, struct iovec *piece, int n, int flags) {
  ssize_t sent;
  if (!sock_maywrite(s))
    return -1;
  do {
    if (sock_likely(s->kind == SOCK_KIND_SOCKET))
      sent = sendpieces(s->watch.fd, piece, n, flags | SOCK_NOSIGNAL);
    else
      sent = askfirst(s, POLLOUT) ? writequietly(s->watch.fd, piece, n) : -1;
  } while (sent < 0 && errno == EINTR);
  sock_notesent(s, sent);
  return sent;
}

ssize_t sock_transmitto(sock_Socket *s, const char *data, size_t n,
                        const sock_Sockaddr *to) {
  ssize_t sent;
  if (!sock_maywrite(s))
    return -1;
  do {
    sent = sendto(s->watch.fd, data, n, SOCK_NOSIGNAL, &to->u.sa, to->len);
  } while (sent < 0 && errno == EINTR);
  sock_notesent(s, sent);
  return sent;
}
