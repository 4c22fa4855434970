/*
** write.c: gathered writing.
*/
#include "base/platform.h"
#include "net/transport.h"

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

const luaL_Reg sock_writemethods[] = {{"write", s_write}, {NULL, NULL}};
