/*
** write.c: write, pack, setvbuf, flush.
**
** A write is one call of sendmsg where it fits: what waits in the buffer,
** then its own values. Writes take turns, so none stands in another; one
** that was cancelled half way leaves `halfway` behind, and nothing may
** follow it.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/output.h"
#include "net/transport.h"

#include <lualib.h>

#define BUFFERSIZE ((size_t)16384)

/* index 2: how many of the values' bytes have left, and one, once it has
** begun; 0 before; from index 3: those */
enum { SENT = 2, FIRST = 3 };

/* The output that waits and the values, without their first `skip` bytes. */
static int gather(lua_State *L, const sock_Socket *s, size_t skip,
                  struct iovec *piece) {
  int n = 0, top = lua_gettop(L);
  size_t waits = sock_bufferlen(&s->out);
  if (waits > 0) {
    piece[n].iov_base = (void *)(uintptr_t)sock_bufferdata(&s->out);
    piece[n++].iov_len = waits;
    if (s->over.transport != NULL) /* which must be offered just this again */
      return n;
  }
  for (int i = FIRST; i <= top && n < SOCK_PIECES; i++) {
    size_t len;
    const char *data = lua_tolstring(L, i, &len);
    if (len <= skip) {
      skip -= len;
      continue;
    }
    piece[n].iov_base = (void *)(uintptr_t)(data + skip);
    piece[n++].iov_len = len - skip;
    skip = 0;
  }
  return n;
}

static size_t total(lua_State *L) {
  size_t sum = 0;
  for (int i = lua_gettop(L); i >= FIRST; i--)
    sum += lua_rawlen(L, i);
  return sum;
}

/* `halfway` may be another's, who is in the middle or was torn there. */
static int failwrite(lua_State *L, sock_Socket *s, int err, size_t sent) {
  int n = sock_failsocket(L, 1, "write", err);
  lua_pushinteger(L, (lua_Integer)sent);
  if (sent > 0) /* and the caller knows how much of it went */
    s->halfway = 0;
  return n + 1;
}

static int done(lua_State *L, sock_Socket *s) {
  s->halfway = 0;
  lua_settop(L, 1);
  return 1;
}

/* All values into the buffer, if it has room for them. */
static int store(lua_State *L, sock_Socket *s, size_t n) {
  if (n == 0)
    return 1;
  if (sock_bufferlen(&s->out) + n > s->vbuf)
    return 0;
  char *at = sock_outputroom(L, s, n);
  if (at == NULL)
    luaL_error(L, "not enough memory");
  for (int i = FIRST; i <= lua_gettop(L); i++) {
    size_t len;
    const char *data = lua_tolstring(L, i, &len);
    memcpy(at, data, len);
    at += len;
  }
  sock_putoutput(s, n);
  return 1;
}

/* The first `went` bytes of what was gathered have left. */
static size_t advance(lua_State *L, sock_Socket *s, size_t went) {
  size_t waited = sock_bufferlen(&s->out);
  if (went < waited)
    waited = went;
  sock_dropoutput(L, s, waited);
  return went - waited;
}

/* Sends until the kernel or the budget stops it. */
static int sendall(lua_State *L, sock_Socket *s, size_t sent, size_t n) {
  struct iovec piece[SOCK_PIECES];
  for (;;) {
    int pieces = gather(L, s, sent, piece);
    if (pieces == 0)
      return done(L, s);
    ssize_t went = sock_transmit(s, piece, pieces, 0);
    int err = errno;
    if (went < 0 && !sock_wouldblock(err)) {
      sock_dropoutput(L, s, sock_bufferlen(&s->out)); /* lost, and told */
      return failwrite(L, s, err, sent);
    }
    if (went >= 0)
      sent += advance(L, s, (size_t)went);
    s->halfway = sent > 0 && sent < n;
    if (went >= 0 && sent == n && sock_bufferlen(&s->out) == 0)
      return done(L, s);
    lua_pushinteger(L, (lua_Integer)sent + 1);
    lua_replace(L, SENT);
    if (went < 0)
      return sock_waitsfor(s, SOCK_WANTWRITE);
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
  }
}

static int write_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  size_t begun = (size_t)lua_tointeger(L, SENT), n = total(L);
  size_t sent = begun > 0 ? begun - 1 : 0;
  if (why == 0 && s->watch.fd < 0) /* a finalizer closed it */
    why = EBADF;
  if (why != 0)
    return failwrite(L, s, why, sent);
  if (s->outerror != 0) {
    int err = s->outerror;
    s->outerror = 0;
    return failwrite(L, s, err, sent);
  }
  if (!begun && sock_istorn(s)) /* an earlier one was */
    return failwrite(L, s, EPIPE, 0);
  if (s->vbuf > 0 && !begun && store(L, s, n))
    return done(L, s);
  return sendall(L, s, sent, n);
}

/* One datagram, which may be empty. index 2: unused; index 3: the data */
static int writedatagram_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  struct iovec piece;
  piece.iov_base = (void *)(uintptr_t)lua_tolstring(L, FIRST, &piece.iov_len);
  if (why != 0)
    return failwrite(L, s, why, 0);
  ssize_t went = sock_transmit(s, &piece, 1, 0);
  int err = errno;
  if (went < 0)
    return sock_wouldblock(err) ? SOCK_WANTWRITE : failwrite(L, s, err, 0);
  return done(L, s);
}

/* Writes the values from index 2 on. */
static int writevalues(lua_State *L, sock_Socket *s) {
  int n = lua_gettop(L) - 1;
  lua_pushinteger(L, 0);
  lua_insert(L, SENT);
  if (s->type == SOCK_STREAM)
    return sock_call(L, s, SOCK_WRITE, write_try);
  lua_concat(L, n);
  return sock_call(L, s, SOCK_WRITE, writedatagram_try);
}

static int s_write(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  int top = lua_gettop(L);
  for (int i = 2; i <= top; i++)
    if (lua_tostring(L, i) == NULL) /* turns numbers into strings, in place */
      return luaL_typeerror(L, i, "string or number");
  return writevalues(L, s);
}

static int s_pack(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  luaL_checkstring(L, 2);
  luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
  lua_getfield(L, -1, "pack");
  lua_remove(L, -2);
  lua_insert(L, 2);
  lua_call(L, lua_gettop(L) - 2, 1);
  return writevalues(L, s);
}

/* -------------------------------------------------------------- buffers */

static int s_setvbuf(lua_State *L) {
  static const char *const modes[] = {"no", "full", NULL};
  sock_Socket *s = sock_checkopen(L, 1);
  int full = luaL_checkoption(L, 2, NULL, modes);
  lua_Integer size = luaL_optinteger(L, 3, (lua_Integer)BUFFERSIZE);
  luaL_argcheck(L, size >= 1 && size <= INT32_MAX, 3, "size out of range");
  s->vbuf = full ? (size_t)size : 0;
  lua_settop(L, 1);
  return 1;
}

static int flush_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  if (why != 0)
    return sock_failsocket(L, 1, "flush", why);
  int first = sock_flushfirst(L, s, "flush");
  return first != 0 ? first : 1;
}

static int s_flush(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  lua_settop(L, 1);
  return sock_call(L, s, SOCK_WRITE, flush_try);
}

const luaL_Reg sock_writemethods[] = {{"write", s_write},
                                      {"pack", s_pack},
                                      {"setvbuf", s_setvbuf},
                                      {"flush", s_flush},
                                      {NULL, NULL}};
