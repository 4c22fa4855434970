/* output.c: what a full-buffered socket holds, and how it leaves. */
#include "base/platform.h"
#include "net/output.h"
#include "net/transport.h"

static sock_Socket *socketof(sock_Watch *w) {
  return (sock_Socket *)(void *)w; /* its first member */
}

static void forget(sock_Socket *s) {
  sock_listremove(&s->watch.dirty);
  s->watch.loop->flushing -= s->watch.flushing != 0;
  s->watch.flushing = 0;
}

void sock_dropoutput(lua_State *L, sock_Socket *s, size_t n) {
  if (n > 0)
    sock_bufferdrop(L, &s->out, n);
  if (sock_bufferlen(&s->out) == 0)
    forget(s);
}

/* As far as it goes without waiting: 0, or errno. The word was said when it
** was written, whatever has been heard since. */
static int sendoutput(lua_State *L, sock_Socket *s) {
  size_t len;
  unsigned char heard = s->heard;
  while ((len = sock_bufferlen(&s->out)) > 0) {
    struct iovec piece = {(void *)(uintptr_t)sock_bufferdata(&s->out), len};
    ssize_t sent = sock_transmit(s, &piece, 1, 0);
    s->heard = heard;
    if (sent < 0)
      return errno;
    sock_dropoutput(L, s, (size_t)sent);
  }
  return 0;
}

/*
** Called by the loop, before it waits and when the kernel takes more. Nobody
** is there to tell of a failure: the next call on the socket does.
*/
static void flush(sock_Watch *w) {
  sock_Socket *s = socketof(w);
  int err = sendoutput(w->loop->main, s);
  if (err == 0)
    return;
  sock_listremove(&w->dirty);
  if (sock_wouldblock(err)) {
    int read = sock_waitsfor(s, SOCK_WANTWRITE) == SOCK_WANTREAD;
    if (read)
      w->readable = 0;
    else
      w->writable = 0;
    w->loop->flushing -= w->flushing != 0;
    w->flushing = 0;
    if (sock_register(w) == 0)
      w->flushing = read ? SOCK_READ : SOCK_WRITE;
    w->loop->flushing += w->flushing != 0;
    return;
  }
  s->outerror = err;
  sock_bufferfree(w->loop->main, &s->out);
  forget(s);
}

char *sock_outputroom(lua_State *L, sock_Socket *s, size_t n) {
  return sock_bufferroom(L, &s->out, &n);
}

void sock_putoutput(sock_Socket *s, size_t n) {
  s->out.end += n;
  s->heard = 0;
  s->watch.flush = flush;
  if (!s->watch.flushing && sock_listempty(&s->watch.dirty))
    sock_listpushback(&s->watch.loop->dirty, &s->watch.dirty);
}

int sock_pushoutput(lua_State *L, sock_Socket *s) {
  int err = s->outerror;
  s->outerror = 0;
  if (err == 0)
    err = sendoutput(L, s);
  if (err != 0 && !sock_wouldblock(err)) /* lost, and told */
    sock_dropoutput(L, s, sock_bufferlen(&s->out));
  return err;
}

int sock_flushfirst(lua_State *L, sock_Socket *s, const char *op) {
  if (sock_likely(sock_bufferlen(&s->out) == 0 && s->outerror == 0))
    return 0;
  int err = sock_pushoutput(L, s);
  if (err == 0)
    return 0;
  return sock_wouldblock(err) ? sock_waitsfor(s, SOCK_WANTWRITE)
                              : sock_failsocket(L, 1, op, err);
}
