/*
** calls.c: the BSD calls that make and end a connection. Each reads its
** arguments, puts what its try needs at fixed stack indices, and awaits.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/output.h"
#include "net/tap.h"
#include "net/target.h"
#include "net/transport.h"

/* ----------------------------------------------- bind, listen, connect */

/* The address of `next` functions: on top; it goes to index 2. */
static sock_Socket *settle(lua_State *L) {
  lua_replace(L, 2);
  lua_settop(L, 2);
  return lua_touserdata(L, 1);
}

/* nil, "op address: why", code, for the address at index 2. */
static int failaddress(lua_State *L, const char *op, int err) {
  sock_Sockaddr a;
  sock_Socket *s = lua_touserdata(L, 1);
  sock_toaddress(L, 2, &a);
  if (sock_istapped(s) && strcmp(op, "connect") == 0)
    sock_taprefused(s, &a, err);
  else if (sock_istapped(s))
    sock_tapevent(s, SOCK_ERROR, op, err);
  return sock_fail(L, err, "%s %s", op, sock_addresstext(L, &a));
}

/* A look-up took its time, and the socket may have been closed. */
static int failclosed(lua_State *L, const char *op) {
  return failaddress(L, op, EBADF);
}

static int bind_resolved(lua_State *L, int why) {
  (void)why;
  sock_Sockaddr a;
  sock_Socket *s = settle(L);
  if (s->watch.fd < 0)
    return failclosed(L, "bind");
  if (!sock_fitaddress(L, s, 2, &a))
    return failaddress(L, "bind", EAFNOSUPPORT);
  if (bind(s->watch.fd, &a.u.sa, a.len) < 0)
    return failaddress(L, "bind", errno);
  lua_settop(L, 1);
  return 1;
}

static int s_bind(lua_State *L) {
  return sock_withaddress(L, sock_checkopen(L, 1), 2, "bind", bind_resolved);
}

static int s_listen(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  lua_Integer backlog = luaL_optinteger(L, 2, SOMAXCONN);
  luaL_argcheck(L, backlog >= 0 && backlog <= INT32_MAX, 2,
                "backlog out of range");
  lua_settop(L, 1);
  if (listen(s->watch.fd, (int)backlog) < 0)
    return sock_failsocket(L, 1, "listen", errno);
  s->listening = 1;
  return 1;
}

/*
** While an attempt is under way, the same call again asks for its outcome,
** and only that settles the kernel's own state.
*/
static int connectonce(lua_State *L, const sock_Socket *s) {
  sock_Sockaddr a;
  if (!sock_fitaddress(L, s, 2, &a))
    return EAFNOSUPPORT;
  if (connect(s->watch.fd, &a.u.sa, a.len) == 0)
    return 0;
  switch (errno) {
  case EISCONN:
    return s->connecting ? 0 : EISCONN;
  case EALREADY:
  case EINTR: /* it goes on in the kernel, as after EINPROGRESS */
    return EINPROGRESS;
  default:
    return errno;
  }
}

static int connect_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int err = why != 0 ? why : connectonce(L, s);
  if (err == EINPROGRESS) {
    s->connecting = 1;
    return SOCK_WANTWRITE;
  }
  /* a full backlog of a Unix listener: nothing tells when there is room */
  if (err == EAGAIN && s->family == AF_UNIX)
    return SOCK_WANTPAUSE;
  if (err == 0) {
    s->connecting = 0;
    s->initiator = SOCK_BYUS;
    if (sock_istapped(s))
      sock_tapevent(s, SOCK_CONNECTED, NULL, 0);
    lua_settop(L, 1);
    return 1;
  }
  if (why == 0) { /* after a timeout, the same call again goes on */
    s->connecting = 0;
    lua_pushnil(L);
    lua_setiuservalue(L, 1, SOCK_PEERVALUE);
  }
  return failaddress(L, "connect", err);
}

static int connect_resolved(lua_State *L, int why) {
  (void)why;
  sock_Socket *s = settle(L);
  if (s->watch.fd < 0)
    return failclosed(L, "connect");
  lua_getiuservalue(L, 1, SOCK_PEERVALUE);
  if (s->connecting && !lua_rawequal(L, 2, 3))
    return failaddress(L, "connect", EALREADY);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, SOCK_PEERVALUE);
  return sock_endcall(L, s, SOCK_WRITE, connect_try);
}

static int s_connect(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  sock_begincall(s);
  return sock_withaddress(L, s, 2, "connect", connect_resolved);
}

/* ------------------------------------------------------------- accept */

/*
** Errors of a connection that died in the queue: accept(2) asks to treat
** them like EAGAIN, and so to look for the next at once.
*/
static int isdeadconnection(int err) {
  switch (err) {
  case ECONNABORTED:
  case EINTR:
  case ENETDOWN:
  case EPROTO:
  case ENOPROTOOPT:
  case EHOSTDOWN:
  case EHOSTUNREACH:
  case ENETUNREACH:
#ifdef ENONET
  case ENONET:
#endif
    return 1;
  default:
    return 0;
  }
}

static int acceptonce(lua_State *L, const sock_Socket *s, sock_Sockaddr *peer,
                      int *err) {
  int fd, tried = 0;
  if (!sock_mayread(s)) {
    *err = EAGAIN;
    return -1;
  }
  do {
    sock_clearaddress(peer);
    fd = platform_accept(s->watch.fd, &peer->u.sa, &peer->len);
    *err = errno;
  } while (fd < 0 && (isdeadconnection(*err) || sock_reclaim(L, *err, &tried)));
  return fd;
}

/* index 2: the object that will own the connection */
static int accept_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1), *made = lua_touserdata(L, 2);
  sock_Sockaddr peer;
  if (sock_istapped(s) && why == 0)
    sock_inherit(L, 2, s); /* before there is a connection to lose */
  int err = why, fd = why != 0 ? -1 : acceptonce(L, s, &peer, &err);
  if (fd < 0)
    return why == 0 && sock_wouldblock(err)
               ? SOCK_WANTREAD
               : sock_failsocket(L, 1, "accept", err);
  sock_own(made, fd, s->family, s->type, s->protocol);
  made->initiator = SOCK_BYPEER;
  if (sock_istapped(made))
    sock_tapevent(made, SOCK_ACCEPTED, NULL, 0);
  sock_pushaddress(L, &peer);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 2, SOCK_PEERVALUE);
  return 2;
}

static int s_accept(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  lua_settop(L, 1);
  sock_newsocket(L);
  return sock_call(L, s, SOCK_READ, accept_try);
}

/* ------------------------------------------- shutdown and both its ends */

/* 0 or errno. Sending is ended by the transport, which ends that below it. */
static int endboth(sock_Socket *s, int how) {
  if (s->over.transport != NULL && how != SHUT_RD) {
    if (sock_endsending(s) < 0)
      return errno;
    if (how == SHUT_WR)
      return 0;
    how = SHUT_RD;
  }
  return shutdown(s->watch.fd, how) < 0 ? errno : 0;
}

/* index 2: how. What waits to leave, leaves before its end is said. */
static int shutdown_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int how = (int)lua_tointeger(L, 2);
  if (why != 0)
    return sock_failsocket(L, 1, "shutdown", why);
  int first = how != SHUT_RD ? sock_flushfirst(L, s, "shutdown") : 0;
  if (first != 0)
    return first;
  /* even where it says ENOTCONN, a receive ends from now on */
  if (how != SHUT_WR)
    s->readdone = 1;
  int err = endboth(s, how);
  if (err != 0)
    return sock_wouldblock(err) ? sock_waitsfor(s, SOCK_WANTWRITE)
                                : sock_failsocket(L, 1, "shutdown", err);
  static const char *const names[] = {"recv", "send", "both"}; /* SHUT_RD … */
  if (sock_istapped(s))
    sock_tapevent(s, SOCK_SHUTDOWN, names[how], 0);
  /* a Unix socket's kernel does not tell the writes that wait here */
  if (how != SHUT_RD)
    sock_report(s->watch.loop, s->watch.fd, s->watch.generation, SOCK_WRITE);
  lua_settop(L, 1);
  return 1;
}

static int s_shutdown(lua_State *L) {
  static const char *const names[] = {"recv", "send", "both", NULL};
  static const int ways[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
  sock_Socket *s = sock_checkopen(L, 1);
  int how = ways[luaL_checkoption(L, 2, "both", names)];
  lua_settop(L, 1);
  lua_pushinteger(L, how);
  if (how == SHUT_RD ||
      (sock_bufferlen(&s->out) == 0 && s->over.transport == NULL))
    return sock_told(L, s->watch.loop, shutdown_try(L, 0));
  return sock_call(L, s, SOCK_WRITE, shutdown_try);
}

static int s_getsockname(lua_State *L) {
  const sock_Socket *s = sock_checkopen(L, 1);
  sock_Sockaddr a;
  if (sock_localname(s, &a) < 0)
    return sock_failsocket(L, 1, "getsockname", errno);
  sock_pushaddress(L, &a);
  return 1;
}

static int s_getpeername(lua_State *L) {
  const sock_Socket *s = sock_checkopen(L, 1);
  sock_Sockaddr a;
  if (sock_peername(s, &a) < 0)
    return sock_failsocket(L, 1, "getpeername", errno);
  sock_pushaddress(L, &a);
  return 1;
}

/* The four numbers of a connection; of a Unix socket, its two paths. */
static int s_tuple(lua_State *L) {
  const sock_Socket *s = sock_checkopen(L, 1);
  sock_Sockaddr local, remote;
  if (sock_localname(s, &local) < 0 || sock_peername(s, &remote) < 0)
    return sock_failsocket(L, 1, "tuple", errno);
  lua_settop(L, 1);
  sock_pushaddress(L, &local);
  sock_pushaddress(L, &remote);
  int unixpath = s->family == AF_UNIX;
  for (int i = 2; i <= 3; i++) {
    lua_getfield(L, i, unixpath ? "path" : "host");
    lua_getfield(L, i, "port");
  }
  return 4;
}

const luaL_Reg sock_callmethods[] = {{"bind", s_bind},
                                     {"listen", s_listen},
                                     {"connect", s_connect},
                                     {"accept", s_accept},
                                     {"shutdown", s_shutdown},
                                     {"getsockname", s_getsockname},
                                     {"getpeername", s_getpeername},
                                     {"tuple", s_tuple},
                                     {NULL, NULL}};
