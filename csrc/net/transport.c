/*
** transport.c: recv(2) and send(2), and read(2) and write(2) for the rest; and
** the transports that stand between them and a stream.
*/
#include "base/platform.h"
#include "net/input.h"
#include "net/tap.h"
#include "net/transport.h"

/*
** A terminal stays blocking, because its description is shared with whoever
** started us; so it is asked before it is used. A file never blocks.
*/
static int askfirst(const sock_Socket *s, short events) {
  struct pollfd p = {s->watch.fd, events, 0};
  sock_Prompt *prompt = s->watch.loop->prompt;
  if (prompt != NULL && events == POLLIN && prompt->owns(prompt, p.fd)) {
    errno = EBUSY;
    return 0;
  }
  if (prompt != NULL && events == POLLOUT)
    prompt->giveway(prompt, p.fd, 1);
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

static ssize_t receive(sock_Socket *s, void *data, size_t n, int flags) {
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
  if (sock_istapped(s))
    sock_tapreceived(s, data, n, got, flags, from);
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

static ssize_t transmit(sock_Socket *s, struct iovec *piece, int n, int flags) {
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

static ssize_t unsupported(void) {
  errno = EOPNOTSUPP;
  return -1;
}

ssize_t sock_transmitto(sock_Socket *s, const char *data, size_t n,
                        const sock_Sockaddr *to) {
  ssize_t sent;
  if (s->over.transport != NULL)
    return unsupported();
  if (!sock_maywrite(s))
    return -1;
  do {
    sent = sendto(s->watch.fd, data, n, SOCK_NOSIGNAL, &to->u.sa, to->len);
  } while (sent < 0 && errno == EINTR);
  if (sock_istapped(s)) {
    const struct iovec piece = {(void *)(uintptr_t)data, n};
    sock_tapsent(s, &piece, 1, sent, to);
  }
  sock_notesent(s, sent);
  return sent;
}

int sock_waitstosend(const sock_Socket *s) {
  struct pollfd p = {s->watch.fd, POLLOUT, 0};
  if (s->family == AF_UNIX && s->type != SOCK_STREAM && poll(&p, 1, 0) > 0)
    return SOCK_WANTPAUSE;
  return SOCK_WANTWRITE;
}

/* ------------------------------------------- the bare one, as a transport */

/*
** What a transport receives may be for another than the one who called: for a
** reader where a writer called it, or the other way. For bytes that are gone
** no event will come, so whoever waits for some looks again.
*/
static ptrdiff_t bare_receive(void *self, char *data, size_t n) {
  sock_Socket *s = self;
  ssize_t got = receive(s, data, n, 0);
  if (got > 0)
    sock_wakewaiters(&s->watch, SOCK_READ);
  if (got >= 0)
    return got;
  if (!sock_wouldblock(errno))
    return SOCK_TRANSPORT_FAILED;
  s->watch.readable = 0;
  return SOCK_TRANSPORT_WANTSREAD;
}

static ptrdiff_t bare_send(void *self, const char *data, size_t n) {
  sock_Socket *s = self;
  struct iovec piece = {(void *)(uintptr_t)data, n};
  ssize_t sent = transmit(s, &piece, 1, 0);
  if (sent >= 0)
    return sent;
  if (!sock_wouldblock(errno))
    return SOCK_TRANSPORT_FAILED;
  s->watch.writable = 0;
  return SOCK_TRANSPORT_WANTSWRITE;
}

static int bare_shutdown(void *self) {
  const sock_Socket *s = self;
  return shutdown(s->watch.fd, SHUT_WR) == 0 ? SOCK_TRANSPORT_DONE
                                             : SOCK_TRANSPORT_FAILED;
}

static size_t bare_pending(void *self) {
  (void)self;
  return 0;
}

static void bare_release(void *self) {
  (void)self;
}

static const sock_Transport bare = {
    SOCK_TRANSPORT_VERSION, bare_receive, bare_send, bare_shutdown,
    bare_pending,           bare_release, NULL};

/* ----------------------------------------------------- over a transport */

/*
** Its answer as a system call's. One that asks to wait though the descriptor
** is ready would wait for an edge that has been: it is asked again, in
** growing pauses.
*/
static ssize_t settle(sock_Socket *s, ptrdiff_t answer) {
  if (answer >= 0)
    return answer;
  if (answer == SOCK_TRANSPORT_FAILED) {
    s->failed = errno = sock_wouldblock(errno) ? EPROTO : errno;
    return -1;
  }
  int read = answer == SOCK_TRANSPORT_WANTSREAD;
  s->want = read ? SOCK_WANTREAD : SOCK_WANTWRITE;
  if (read ? s->watch.readable : s->watch.writable)
    s->want = SOCK_WANTPAUSE;
  errno = EAGAIN;
  return -1;
}

/* Small pieces as one: a transport has a price for each call. */
static ssize_t offer(sock_Socket *s, const struct iovec *piece, int n) {
  char together[4096];
  const char *data = piece[0].iov_base;
  size_t len = piece[0].iov_len;
  if (n > 1 && len < sizeof together) {
    len = 0;
    for (int i = 0; i < n && len < sizeof together; i++) {
      size_t room = sizeof together - len;
      size_t part = piece[i].iov_len < room ? piece[i].iov_len : room;
      memcpy(together + len, piece[i].iov_base, part);
      len += part;
    }
    data = together;
  }
  if (len == 0)
    return 0;
  ptrdiff_t answer = s->over.transport->send(s->over.self, data, len);
  if (answer == 0) { /* nothing, and nothing to wait for */
    errno = EPIPE;
    answer = SOCK_TRANSPORT_FAILED;
  }
  s->offered =
      answer == SOCK_TRANSPORT_WANTSREAD || answer == SOCK_TRANSPORT_WANTSWRITE;
  return settle(s, answer);
}

/* Through what it has: the descriptor, or a transport. */
static ssize_t pull(sock_Socket *s, void *data, size_t n, int flags) {
  if (sock_likely(s->over.transport == NULL))
    return receive(s, data, n, flags);
  if (flags != 0)
    return unsupported();
  return settle(s, s->over.transport->receive(s->over.self, data, n));
}

static ssize_t push(sock_Socket *s, struct iovec *piece, int n, int flags) {
  if (sock_likely(s->over.transport == NULL))
    return transmit(s, piece, n, flags);
  if (flags & ~SOCK_MOREHINT)
    return unsupported();
  return offer(s, piece, n);
}

/* Apart, so that the calls below end in a jump where nobody listens. */
static ssize_t tappedpull(sock_Socket *s, void *data, size_t n, int flags) {
  ssize_t got = pull(s, data, n, flags);
  sock_tapreceived(s, data, n, got, flags, NULL);
  return got;
}

static ssize_t tappedpush(sock_Socket *s, struct iovec *piece, int n,
                          int flags) {
  ssize_t sent = push(s, piece, n, flags);
  sock_tapsent(s, piece, n, sent, NULL);
  return sent;
}

ssize_t sock_receive(sock_Socket *s, void *data, size_t n, int flags) {
  if (sock_istapped(s))
    return tappedpull(s, data, n, flags);
  return pull(s, data, n, flags);
}

ssize_t sock_transmit(sock_Socket *s, struct iovec *piece, int n, int flags) {
  if (sock_istapped(s))
    return tappedpush(s, piece, n, flags);
  return push(s, piece, n, flags);
}

int sock_endsending(sock_Socket *s) {
  int answer = s->over.transport->shutdown(s->over.self);
  return (int)settle(s, answer == SOCK_TRANSPORT_DONE ? 0 : answer);
}

/* --------------------------------------------------------------- install */

/* What has come is not its, nor what was written before it was there: so
** nothing that an attacker sends ahead is taken for what it protects. */
static int isbusy(const sock_Socket *s) {
  size_t len;
  (void)sock_arrived(s, &len);
  return len > 0 || sock_bufferlen(&s->out) > 0 || s->halfway || s->offered;
}

static int install(lua_State *L, int index, const sock_Transport *transport,
                   sock_Lower *lower) {
  sock_Socket *s = sock_checkopen(L, index);
  void *self = lua_touserdata(L, -1);
  luaL_argcheck(L, s->type == SOCK_STREAM, index, "not a stream");
  if (transport->version != SOCK_TRANSPORT_VERSION || !lua_isuserdata(L, -1))
    return luaL_error(L, "sock has another version of transports");
  index = lua_absindex(L, index);
  if (isbusy(s)) {
    lua_pop(L, 1);
    return sock_failsocketas(L, index, "transport", EBUSY,
                             "bytes are buffered");
  }
  lua_createtable(L, 2, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  lua_getiuservalue(L, index, SOCK_TRANSPORTVALUE);
  lua_rawseti(L, -2, 2);
  lua_setiuservalue(L, index, SOCK_TRANSPORTVALUE);
  lower->transport = s->over.transport != NULL ? s->over.transport : &bare;
  lower->self = s->over.transport != NULL ? s->over.self : s;
  s->over.transport = transport;
  s->over.self = self;
  return 0;
}

static const sock_TransportAPI api = {SOCK_TRANSPORT_VERSION, install};

void sock_opentransport(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&api);
  lua_setfield(L, LUA_REGISTRYINDEX, SOCK_TRANSPORT_KEY);
}
