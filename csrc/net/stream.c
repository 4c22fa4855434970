/* stream.c: recv on a stream: what has arrived first, then one system call. */
#include "base/platform.h"
#include "net/input.h"
#include "net/stream.h"
#include "net/transport.h"

/*
** Making a string may run a finalizer, and that may take the very bytes from
** the socket, or close it: then they are its, and the same is tried again.
*/
#define AGAIN (-100)

/* Takes up to n bytes of what has arrived, as a string. */
static int takearrived(lua_State *L, sock_Socket *s, size_t n, int peek) {
  size_t len;
  unsigned long takes = s->takes;
  const char *data = sock_arrived(s, &len);
  if (n > len)
    n = len;
  lua_pushlstring(L, data, n);
  if (s->takes != takes) {
    lua_pop(L, 1);
    return AGAIN;
  }
  if (!peek)
    sock_consume(L, s, n);
  return 1;
}

static int failrecv(lua_State *L, int err) {
  return sock_wouldblock(err)
             ? sock_waitsfor(lua_touserdata(L, 1), SOCK_WANTREAD)
             : sock_failsocket(L, 1, "recv", err);
}

static size_t arrived(const sock_Socket *s) {
  size_t len;
  (void)sock_arrived(s, &len);
  return len;
}

/* Up to n bytes, once there are `least` or the stream ends. */
static int recvleast(lua_State *L, sock_Socket *s, size_t least, size_t n,
                     int peek) {
  while (arrived(s) < least) {
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
    int filled = sock_fill(L, s), err = errno;
    if (filled < 0)
      return failrecv(L, err);
    if (filled == 0)
      break;
  }
  if (arrived(s) == 0 && n > 0) {
    lua_pushnil(L);
    return 1;
  }
  return takearrived(L, s, n, peek);
}

/*
** One receive straight to a string. The scratch is this socket's until the
** string exists, so that running out of memory in between loses nothing.
*/
static int recvnew(lua_State *L, sock_Socket *s, size_t n, int flags) {
  sock_Loop *loop = s->watch.loop;
  sock_claimscratch(L, loop);
  ssize_t got = sock_receive(s, loop->scratch, n, flags);
  int err = errno;
  if (got < 0)
    return failrecv(L, err);
  if (got == 0 && n > 0) {
    lua_pushnil(L);
    return 1;
  }
  if (flags & MSG_PEEK) {
    lua_pushlstring(L, loop->scratch, (size_t)got);
    return 1;
  }
  loop->owner = s;
  loop->heldstart = 0;
  loop->heldend = (size_t)got;
  return takearrived(L, s, (size_t)got, 0);
}

static int recvonce(lua_State *L, sock_Socket *s) {
  size_t n = (size_t)lua_tointeger(L, 2);
  int flags = (int)lua_tointeger(L, 3), peek = flags & MSG_PEEK;
  if (s->watch.fd < 0)
    return sock_failsocket(L, 1, "recv", EBADF);
  if (flags & MSG_WAITALL)
    return recvleast(L, s, n, n, peek);
  if (arrived(s) > 0 || n == 0)
    return takearrived(L, s, n, peek);
  if (peek && s->over.transport != NULL) /* which cannot look ahead */
    return recvleast(L, s, 1, n, peek);
  return recvnew(L, s, n > SOCK_SCRATCH ? SOCK_SCRATCH : n, flags);
}

int sock_recvtry(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int got = AGAIN;
  if (why != 0)
    return sock_failsocket(L, 1, "recv", why);
  while (got == AGAIN)
    got = recvonce(L, s);
  return got;
}

/* A TLS module will put its own in place of this one. */
static int s_starttls(lua_State *L) {
  sock_checkopen(L, 1);
  return luaL_error(L, "TLS is not installed");
}

const luaL_Reg sock_streammethods[] = {{"starttls", s_starttls}, {NULL, NULL}};
