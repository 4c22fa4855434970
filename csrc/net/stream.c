/*
** stream.c: buffered reading and gathered writing.
**
** What arrives is received into the loop's scratch; what a read does not
** take moves into the socket's own buffer, which later reads empty first.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/stream.h"
#include "net/transport.h"

void sock_claimscratch(lua_State *L, sock_Loop *loop) {
  sock_Socket *s = loop->owner;
  if (sock_likely(s == NULL))
    return;
  if (!sock_bufferadd(L, &s->in, loop->scratch, loop->held))
    luaL_error(L, "not enough memory");
  loop->owner = NULL;
}

/* From here until release, the scratch holds n bytes of this socket. */
static void hold(sock_Socket *s, ssize_t n) {
  s->watch.loop->held = (size_t)n;
  s->watch.loop->owner = s;
}

/* Instead of a number of results: a finalizer has been at the socket, so the
** same once more. */
#define AGAIN (-100)

/* ------------------------------------------------------------------ recv */

/*
** Pushes the n bytes that start the buffer and drops the first `drop`. To make
** a string may run a finalizer, and that may take the same bytes: then they
** are its, nothing is pushed, and the answer is 0.
*/
static int take(lua_State *L, sock_Socket *s, size_t n, size_t drop) {
  unsigned long takes = s->takes;
  lua_pushlstring(L, n > 0 ? sock_bufferdata(&s->in) : "", n);
  if (s->takes != takes || s->watch.fd < 0) {
    lua_pop(L, 1);
    return 0;
  }
  if (drop > 0) {
    s->takes++;
    sock_bufferdrop(L, &s->in, drop);
  }
  return 1;
}

/* Takes up to n buffered bytes, as a string; or AGAIN. */
static int takebuffered(lua_State *L, sock_Socket *s, size_t n, int peek) {
  size_t len = sock_bufferlen(&s->in);
  if (n > len)
    n = len;
  return take(L, s, n, peek ? 0 : n) ? 1 : AGAIN;
}

/* One receive into the buffer: 1, 0 at the end, or -1 and errno. */
static int fill(lua_State *L, sock_Socket *s) {
  sock_claimscratch(L, s->watch.loop);
  ssize_t got = sock_receive(s, s->watch.loop->scratch, SOCK_SCRATCH, 0);
  if (got <= 0)
    return (int)got;
  hold(s, got);
  sock_claimscratch(L, s->watch.loop);
  return 1;
}

static int failrecv(lua_State *L, const char *op, int err, int why) {
  if (why == 0 && sock_wouldblock(err))
    return SOCK_WANTREAD;
  return sock_failsocket(L, 1, op, err);
}

/* All n bytes, or what there is when the stream ends. */
static int recvall(lua_State *L, sock_Socket *s, size_t n, int peek) {
  while (sock_bufferlen(&s->in) < n) {
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
    int filled = fill(L, s), err = errno;
    if (filled < 0)
      return failrecv(L, "recv", err, 0);
    if (filled == 0)
      break;
  }
  if (sock_bufferlen(&s->in) == 0 && n > 0) {
    lua_pushnil(L);
    return 1;
  }
  return takebuffered(L, s, n, peek);
}

static int recvnew(lua_State *L, sock_Socket *s, size_t n, int flags) {
  if (n > SOCK_SCRATCH)
    n = SOCK_SCRATCH;
  ssize_t got = sock_receive(s, s->watch.loop->scratch, n, flags);
  int err = errno;
  if (got < 0)
    return failrecv(L, "recv", err, 0);
  if (got == 0 && n > 0) {
    lua_pushnil(L);
    return 1;
  }
  if (!(flags & MSG_PEEK))
    hold(s, got);
  lua_pushlstring(L, s->watch.loop->scratch, (size_t)got);
  if (!(flags & MSG_PEEK) && s->watch.loop->owner != s) {
    lua_pop(L, 1); /* a finalizer's receive has put them into the buffer */
    return AGAIN;
  }
  s->watch.loop->owner = NULL;
  return 1;
}

static int recvonce(lua_State *L, sock_Socket *s) {
  size_t n = (size_t)lua_tointeger(L, 2);
  int flags = (int)lua_tointeger(L, 3), peek = flags & MSG_PEEK;
  if (s->watch.fd < 0)
    return failrecv(L, "recv", EBADF, EBADF);
  sock_claimscratch(L, s->watch.loop);
  if (flags & MSG_WAITALL)
    return recvall(L, s, n, peek);
  if (sock_bufferlen(&s->in) > 0 || n == 0)
    return takebuffered(L, s, n, peek);
  return recvnew(L, s, n, flags);
}

/* index 2: count; index 3: flags */
int sock_recvtry(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int got;
  if (why != 0)
    return failrecv(L, "recv", why, why);
  do {
    got = recvonce(L, s);
  } while (got == AGAIN);
  return got;
}

/* ------------------------------------------------------------------ read */

/* Drops the first `drop` bytes and gives the first `n` of them. */
static int give(lua_State *L, sock_Socket *s, size_t n, size_t drop) {
  if (take(L, s, n, drop))
    return 1;
  if (lua_type(L, 2) == LUA_TSTRING) { /* the search begins anew */
    lua_pushinteger(L, 0);
    lua_replace(L, 3);
  }
  return AGAIN;
}

/* A line whose end stands at `len` - 1; without its end unless it is kept. */
static int giveline(lua_State *L, sock_Socket *s, size_t len, int keep) {
  const char *data = sock_bufferdata(&s->in);
  size_t n = len;
  if (!keep) {
    n--;
    if (n > 0 && data[n - 1] == '\r')
      n--;
  }
  return give(L, s, n, len);
}

static int giverest(lua_State *L, sock_Socket *s) {
  size_t len = sock_bufferlen(&s->in);
  return give(L, s, len, len);
}

/* index 3: how far the search for a line's end has come */
static int readline(lua_State *L, sock_Socket *s, int ended, int keep) {
  size_t len = sock_bufferlen(&s->in), from = (size_t)lua_tointeger(L, 3);
  const char *data = sock_bufferdata(&s->in), *end = NULL;
  if (len > from)
    end = memchr(data + from, '\n', len - from);
  if (end != NULL)
    return giveline(L, s, (size_t)(end - data) + 1, keep);
  if (len > SOCK_LIMIT)
    return sock_failsocket(L, 1, "read a line", EMSGSIZE);
  lua_pushinteger(L, (lua_Integer)len);
  lua_replace(L, 3);
  if (!ended)
    return SOCK_WANTREAD;
  if (len > 0)
    return giverest(L, s);
  lua_pushnil(L);
  return 1;
}

static int readcount(lua_State *L, sock_Socket *s, int ended, size_t n) {
  size_t len = sock_bufferlen(&s->in);
  if (len >= n)
    return give(L, s, n, n);
  if (!ended)
    return SOCK_WANTREAD;
  if (len > 0) {
    lua_pushfstring(L, "read: ended after %I of %I bytes", (lua_Integer)len,
                    (lua_Integer)n);
    int results = sock_failsocket(L, 1, lua_tostring(L, -1), EPROTO);
    return results;
  }
  lua_pushnil(L);
  return 1;
}

/* The format at index 2 tried on what is buffered. */
static int readformat(lua_State *L, sock_Socket *s, int ended) {
  if (lua_type(L, 2) == LUA_TNUMBER)
    return readcount(L, s, ended, (size_t)lua_tointeger(L, 2));
  switch (*lua_tostring(L, 2)) {
  case 'a':
    return ended ? giverest(L, s) : SOCK_WANTREAD;
  case 'L':
    return readline(L, s, ended, 1);
  default:
    return readline(L, s, ended, 0);
  }
}

static int read_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int filled = 1, err = why;
  if (why != 0)
    return failrecv(L, "read", why, why);
  sock_claimscratch(L, s->watch.loop);
  while (filled >= 0) {
    int got = readformat(L, s, filled == 0);
    if (got >= 0)
      return got;
    if (s->watch.fd < 0)
      return failrecv(L, "read", EBADF, EBADF);
    if (got == AGAIN)
      continue;
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
    filled = fill(L, s);
    err = errno;
  }
  return failrecv(L, "read", err, 0);
}

/* A format or a count, as in Lua's files; a leading * is skipped. */
static void checkformat(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TNUMBER) {
    luaL_argcheck(L, luaL_checkinteger(L, arg) >= 0, arg,
                  "count must not be negative");
    return;
  }
  const char *format = luaL_checkstring(L, arg);
  if (*format == '*')
    format++;
  luaL_argcheck(L, *format != 0 && strchr("alL", *format) != NULL, arg,
                "invalid format");
  lua_pushlstring(L, format, 1);
  lua_replace(L, arg);
}

static int s_read(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_pushliteral(L, "l");
  }
  lua_settop(L, 2);
  checkformat(L, 2);
  lua_pushinteger(L, 0);
  return sock_call(L, s, SOCK_READ, read_try);
}

/* ----------------------------------------------------------------- write */

/* The arguments from index 3 on as pieces, without their first `skip`
** bytes. */
static int gather(lua_State *L, size_t skip, struct iovec *piece) {
  int n = 0, top = lua_gettop(L);
  for (int i = 3; i <= top && n < SOCK_PIECES; i++) {
    size_t len;
    const char *data = lua_tolstring(L, i, &len);
    if (len <= skip) {
      skip -= len;
      continue;
    }
    piece[n].iov_base = (void *)(uintptr_t)(data + skip);
    piece[n].iov_len = len - skip;
    skip = 0;
    n++;
  }
  return n;
}

static int failwrite(lua_State *L, int err, size_t sent) {
  int n = sock_failsocket(L, 1, "write", err);
  lua_pushinteger(L, (lua_Integer)sent);
  return n + 1;
}

/* index 2: how many bytes have gone; from index 3: what to write */
static int write_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  size_t sent = (size_t)lua_tointeger(L, 2);
  struct iovec piece[SOCK_PIECES];
  int n;
  if (why != 0)
    return failwrite(L, why, sent);
  while ((n = gather(L, sent, piece)) > 0) {
    ssize_t went = sock_transmit(s, piece, n, 0);
    int err = errno;
    if (went < 0 && !sock_wouldblock(err))
      return failwrite(L, err, sent);
    sent += went > 0 ? (size_t)went : 0;
    lua_pushinteger(L, (lua_Integer)sent);
    lua_replace(L, 2);
    if (went < 0)
      return SOCK_WANTWRITE;
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
  }
  lua_settop(L, 1);
  return 1;
}

/* One datagram, which may be empty. index 2: unused; index 3: the data */
static int writedatagram_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  struct iovec piece;
  piece.iov_base = (void *)(uintptr_t)lua_tolstring(L, 3, &piece.iov_len);
  if (why != 0)
    return failwrite(L, why, 0);
  ssize_t went = sock_transmit(s, &piece, 1, 0);
  int err = errno;
  if (went < 0)
    return sock_wouldblock(err) ? SOCK_WANTWRITE : failwrite(L, err, 0);
  lua_settop(L, 1);
  return 1;
}

static int s_write(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  int top = lua_gettop(L);
  for (int i = 2; i <= top; i++)
    luaL_checkstring(L, i); /* turns numbers into strings, in place */
  lua_pushinteger(L, 0);
  lua_insert(L, 2);
  if (s->type == SOCK_STREAM)
    return sock_call(L, s, SOCK_WRITE, write_try);
  lua_concat(L, top - 1);
  return sock_call(L, s, SOCK_WRITE, writedatagram_try);
}

const luaL_Reg sock_streammethods[] = {
    {"read", s_read}, {"write", s_write}, {NULL, NULL}};
