/*
** transfer.c: send, sendto, recv, recvfrom: one system call each.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/control.h"
#include "net/flags.h"
#include "net/input.h"
#include "net/output.h"
#include "net/stream.h"
#include "net/tap.h"
#include "net/target.h"
#include "net/transport.h"

/* -------------------------------------------------------------- flags */

/* The flags from `arg` to the last argument, which are dropped. */
static int checkflags(lua_State *L, int arg, int use) {
  int flags = 0;
  for (int i = arg; i <= lua_gettop(L); i++) {
    luaL_checkstring(L, i);
    flags |= sock_checkflag(L, i, use, i);
  }
  lua_settop(L, arg - 1);
  return flags;
}

/* ------------------------------------------------------- send, sendto */

/* index 2: data; index 3: flags; index 4: whether it has begun */
static int send_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  struct iovec piece;
  piece.iov_base = (void *)(uintptr_t)lua_tolstring(L, 2, &piece.iov_len);
  ssize_t sent = -1;
  int err = why, first = why == 0 ? sock_flushfirst(L, s, "send") : 0;
  if (first != 0)
    return first;
  if (why == 0 && !lua_toboolean(L, 4) && sock_istorn(s))
    err = EPIPE; /* a write was torn: nothing may follow it */
  else if (why == 0) {
    sent = sock_transmit(s, &piece, 1, (int)lua_tointeger(L, 3));
    err = errno;
  }
  if (sent < 0 && why == 0 && sock_wouldblock(err)) {
    lua_pushboolean(L, 1);
    lua_replace(L, 4);
    return sock_waitsfor(s, SOCK_WANTWRITE);
  }
  if (sent < 0)
    return sock_failsocket(L, 1, "send", err);
  lua_pushinteger(L, (lua_Integer)sent);
  return 1;
}

static int s_send(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  luaL_checkstring(L, 2);
  lua_pushinteger(L, checkflags(L, 3, SOCK_SENDS));
  lua_pushboolean(L, 0);
  return sock_call(L, s, SOCK_WRITE, send_try);
}

/* index 2: data; index 3: address */
static int sendto_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  size_t len;
  const char *data = lua_tolstring(L, 2, &len);
  sock_Sockaddr to;
  ssize_t sent = -1;
  int err = why;
  int first = why == 0 ? sock_flushfirst(L, s, "sendto") : 0;
  if (first != 0)
    return first;
  int fits = sock_fitaddress(L, s, 3, &to);
  if (why == 0 && sock_istorn(s)) {
    err = EPIPE; /* nothing may follow a torn write */
  } else if (why == 0 && fits) {
    sent = sock_transmitto(s, data, len, &to);
    err = errno;
  }
  if (sent >= 0) {
    lua_pushinteger(L, (lua_Integer)sent);
    return 1;
  }
  if (why == 0 && fits && sock_wouldblock(err))
    return sock_waitstosend(s);
  sock_toaddress(L, 3, &to);
  return sock_fail(L, fits ? err : EAFNOSUPPORT, "sendto %s",
                   sock_addresstext(L, &to));
}

static int sendto_resolved(lua_State *L, int why) {
  (void)why;
  lua_replace(L, 3);
  lua_settop(L, 3);
  sock_Socket *s = lua_touserdata(L, 1);
  if (s->watch.fd < 0)
    return sendto_try(L, EBADF);
  return sock_endcall(L, s, SOCK_WRITE, sendto_try);
}

static int s_sendto(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  luaL_checkstring(L, 2);
  sock_begincall(s);
  return sock_withaddress(L, s, 3, "sendto", sendto_resolved);
}

/* ----------------------------------------------------- recv, recvfrom */

/* The optional count of a receive: SOCK_SCRATCH where it is absent. */
static size_t optcount(lua_State *L, int arg) {
  lua_Integer n = luaL_optinteger(L, arg, (lua_Integer)SOCK_SCRATCH);
  luaL_argcheck(L, n >= 0, arg, "count must not be negative");
  return (size_t)n;
}

/* A datagram that was longer than asked for tells its true length. */
static int pushdatagram(lua_State *L, const char *data, ssize_t got, size_t n) {
  int cut = (size_t)got > n;
  lua_pushlstring(L, data, cut ? n : (size_t)got);
  return cut;
}

/* One receive. Who traces the socket is told where a datagram came from. */
static ssize_t receive(sock_Socket *s, char *data, size_t n, int flags) {
  sock_Sockaddr from;
  if (s->type == SOCK_STREAM) /* TCP takes MSG_TRUNC as a wish to throw away */
    return sock_receive(s, data, n, flags);
  if (sock_istapped(s))
    return sock_receivefrom(s, data, n, flags | SOCK_TRUNC, &from);
  return sock_receive(s, data, n, flags | SOCK_TRUNC);
}

/*
** index 2: count; index 3: flags. A connected pair of sequenced packets ends
** with an empty receive; a datagram may be empty.
*/
static int recv_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  size_t n = (size_t)lua_tointeger(L, 2);
  int flags = (int)lua_tointeger(L, 3), err = why;
  ssize_t got = -1;
  lua_settop(L, 3);
  char *data = NULL;
  if (why == 0) {
    data = sock_receiveroom(L, s, &n);
    got = receive(s, data, n, flags);
    err = errno;
  }
  if (got < 0)
    return why == 0 && sock_wouldblock(err)
               ? SOCK_WANTREAD
               : sock_failsocket(L, 1, "recv", err);
  if (got == 0 && (s->type == SOCK_SEQPACKET || s->readdone)) {
    lua_pushnil(L);
    return 1;
  }
  if (!pushdatagram(L, data, got, n))
    return 1;
  lua_pushinteger(L, (lua_Integer)got);
  return 2;
}

static int s_recv(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  size_t n = optcount(L, 2);
  int flags = checkflags(L, 3, SOCK_RECVS);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)n);
  lua_pushinteger(L, flags);
  if (s->type == SOCK_STREAM && !(flags & MSG_OOB))
    return sock_call(L, s, SOCK_READ, sock_recvtry);
  return sock_call(L, s, SOCK_READ, recv_try);
}

/* index 2: count; index 3: flags */
static int recvfrom_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  size_t n = (size_t)lua_tointeger(L, 2);
  int flags = (int)lua_tointeger(L, 3), err = why;
  sock_Sockaddr from;
  ssize_t got = -1;
  lua_settop(L, 3);
  char *data = NULL;
  if (why == 0) {
    data = sock_receiveroom(L, s, &n);
    got = sock_receivefrom(s, data, n, flags | SOCK_TRUNC, &from);
    err = errno;
  }
  if (got < 0)
    return why == 0 && sock_wouldblock(err)
               ? SOCK_WANTREAD
               : sock_failsocket(L, 1, "recvfrom", err);
  if (got == 0 && (s->type == SOCK_SEQPACKET || s->readdone)) {
    lua_pushnil(L);
    return 1;
  }
  int cut = pushdatagram(L, data, got, n);
  sock_pushsender(L, s, &from);
  if (!cut)
    return 2;
  lua_pushinteger(L, (lua_Integer)got);
  return 3;
}

/* On a stream: what recv gives, and the peer. */
static int recvfromstream_try(lua_State *L, int why) {
  const sock_Socket *s = lua_touserdata(L, 1);
  sock_Sockaddr peer;
  int oob = (int)lua_tointeger(L, 3) & MSG_OOB;
  int got = oob ? recv_try(L, why) : sock_recvtry(L, why);
  if (got != 1 || lua_isnil(L, -1))
    return got;
  if (sock_peername(s, &peer) == 0)
    sock_pushaddress(L, &peer);
  else
    lua_getiuservalue(L, 1, SOCK_PEERVALUE);
  return 2;
}

static int s_recvfrom(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  size_t n = optcount(L, 2);
  int flags = checkflags(L, 3, SOCK_RECVS);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)n);
  lua_pushinteger(L, flags);
  return sock_call(L, s, SOCK_READ,
                   s->type == SOCK_STREAM ? recvfromstream_try : recvfrom_try);
}

const luaL_Reg sock_transfermethods[] = {{"send", s_send},
                                         {"recv", s_recv},
                                         {"sendto", s_sendto},
                                         {"recvfrom", s_recvfrom},
                                         {NULL, NULL}};
