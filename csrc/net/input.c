/* input.c: from the kernel to where a read finds it. */
#include "base/platform.h"
#include "net/input.h"
#include "net/transport.h"

#include <sys/ioctl.h>

/* A receive into less than this is not worth its system call. */
#define LEASTROOM ((size_t)4096)

static int inscratch(const sock_Socket *s) {
  return s->watch.loop->owner == s;
}

const char *sock_arrived(const sock_Socket *s, size_t *len) {
  const sock_Loop *loop = s->watch.loop;
  if (inscratch(s)) {
    *len = loop->heldend - loop->heldstart;
    return loop->scratch + loop->heldstart;
  }
  *len = sock_bufferlen(&s->in);
  return *len > 0 ? sock_bufferdata(&s->in) : "";
}

void sock_consume(lua_State *L, sock_Socket *s, size_t n) {
  sock_Loop *loop = s->watch.loop;
  if (n == 0)
    return;
  s->takes++;
  if (!inscratch(s)) {
    sock_bufferdrop(L, &s->in, n);
    return;
  }
  loop->heldstart += n;
  if (loop->heldstart == loop->heldend)
    loop->owner = NULL;
}

void sock_dropinput(lua_State *L, sock_Socket *s) {
  s->takes++;
  if (inscratch(s))
    s->watch.loop->owner = NULL;
  sock_bufferfree(L, &s->in);
}

void sock_claimscratch(lua_State *L, sock_Loop *loop) {
  sock_Socket *s = loop->owner;
  if (sock_likely(s == NULL))
    return;
  if (!sock_bufferadd(L, &s->in, loop->scratch + loop->heldstart,
                      loop->heldend - loop->heldstart))
    luaL_error(L, "not enough memory");
  loop->owner = NULL;
}

char *sock_receiveroom(lua_State *L, sock_Socket *s, size_t *n) {
  int there = 0;
  sock_claimscratch(L, s->watch.loop);
  if (*n > SOCK_SCRATCH && s->type != SOCK_STREAM)
    (void)ioctl(s->watch.fd, FIONREAD, &there);
  if (*n > SOCK_SCRATCH && there <= (int)SOCK_SCRATCH)
    *n = SOCK_SCRATCH;
  if (*n <= SOCK_SCRATCH)
    return s->watch.loop->scratch;
  if (*n > (size_t)there)
    *n = (size_t)there;
  return lua_newuserdatauv(L, *n, 0);
}

/* Into the scratch: what arrives is this socket's until it is read. */
static int fillscratch(sock_Socket *s) {
  sock_Loop *loop = s->watch.loop;
  ssize_t got = sock_receive(s, loop->scratch, SOCK_SCRATCH, 0);
  if (got <= 0)
    return (int)got;
  loop->owner = s;
  loop->heldstart = 0;
  loop->heldend = (size_t)got;
  return 1;
}

/* Straight behind what the buffer holds, whose room doubles with it. */
static int fillbuffer(lua_State *L, sock_Socket *s) {
  size_t room = sock_bufferlen(&s->in);
  room = room < LEASTROOM ? LEASTROOM : room;
  char *end = sock_bufferroom(L, &s->in, &room);
  if (end == NULL)
    return luaL_error(L, "not enough memory");
  ssize_t got = sock_receive(s, end, room, 0);
  if (got <= 0)
    return (int)got;
  s->in.end += (size_t)got;
  return 1;
}

int sock_fill(lua_State *L, sock_Socket *s) {
  sock_claimscratch(L, s->watch.loop);
  return sock_bufferlen(&s->in) > 0 ? fillbuffer(L, s) : fillscratch(s);
}
