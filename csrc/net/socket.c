/* socket.c: the userdata: its birth, its names, its end. */
#include "base/platform.h"
#include "base/error.h"
#include "loop/channel.h"
#include "loop/task.h"
#include "net/input.h"
#include "net/made.h"
#include "net/names.h"
#include "net/output.h"
#include "net/places.h"
#include "net/read.h"
#include "net/socket.h"
#include "net/tap.h"
#include "net/transport.h"

#include <stddef.h>

/* ----------------------------------------------------------- arguments */

sock_Socket *sock_checksocket(lua_State *L, int arg) {
  return sock_checkobject(L, arg, &sock_socketclass);
}

sock_Socket *sock_checkopen(lua_State *L, int arg) {
  sock_Socket *s = sock_checksocket(L, arg);
  if (s->watch.fd < 0)
    luaL_error(L, "attempt to use a closed socket");
  return s;
}

static const struct {
  int number;
  const char *name;
} types[] = {{SOCK_STREAM, "stream"},
             {SOCK_DGRAM, "dgram"},
             {SOCK_SEQPACKET, "seqpacket"},
             {SOCK_RAW, "raw"},
             {0, NULL}};

const char *sock_typename(int type) {
  int i = 0;
  while (types[i].name != NULL && types[i].number != type)
    i++;
  return types[i].name;
}

int sock_typenumber(const char *name) {
  for (int i = 0; types[i].name != NULL; i++)
    if (strcmp(types[i].name, name) == 0)
      return types[i].number;
  return -1;
}

int sock_optnumber(lua_State *L, int arg, const char *what, int absent,
                   int (*find)(const char *name)) {
  if (lua_isnoneornil(L, arg))
    return absent;
  size_t len;
  luaL_checktype(L, arg, LUA_TSTRING);
  const char *name = lua_tolstring(L, arg, &len);
  int found = strlen(name) == len ? find(name) : -1;
  if (found < 0)
    luaL_argerror(
        L, arg,
        lua_pushfstring(L, "unknown %s %s", what, sock_quote(L, name, len)));
  return found;
}

/* A protocol's number or name; packet(7) wants its number in network order. */
static int optprotocol(lua_State *L, int arg, int family) {
  if (lua_isnoneornil(L, arg))
    return 0;
  lua_Integer number;
  if (lua_type(L, arg) == LUA_TSTRING) {
    size_t len;
    const char *name = lua_tolstring(L, arg, &len);
    number = sock_protocolnumber(L, name, len);
    luaL_argcheck(L, number >= 0, arg, "unknown protocol");
  } else {
    number = luaL_checkinteger(L, arg);
    luaL_argcheck(L, number >= 0 && number <= 65535, arg,
                  "protocol out of range");
  }
#ifdef AF_PACKET
  if (family == AF_PACKET)
    return htons((uint16_t)number);
#endif
  (void)family;
  return (int)number;
}

/* ------------------------------------------------------- birth and end */

sock_Socket *sock_newsocket(lua_State *L) {
  sock_Socket *s = sock_newobject(L, &sock_socketclass, sizeof *s, 4);
  sock_initwatch(&s->watch, sock_loop(L));
  s->timeout = HUGE_VAL;
  s->limit = SOCK_LIMIT;
  sock_notemade(L, s);
  return s;
}

void sock_own(sock_Socket *s, int fd, int family, int type, int protocol) {
  s->watch.fd = fd;
  s->family = family;
  s->type = type;
  s->protocol = protocol;
  s->next = s->watch.loop->sockets;
  s->link = &s->watch.loop->sockets;
  if (s->next != NULL)
    s->next->link = &s->next;
  s->watch.loop->sockets = s;
}

int sock_disown(lua_State *L, sock_Socket *s, int forget) {
  int fd = s->watch.fd;
  s->watch.forget = s->shown;
  sock_unregister(&s->watch, forget);
  s->watch.fd = -1;
  *s->link = s->next;
  if (s->next != NULL)
    s->next->link = s->link;
  sock_untap(L, s);
  sock_forgetmade(L, s);
  sock_dropinput(L, s);
  sock_bufferfree(L, &s->out);
  sock_vacate(s);
  if (s->over.transport != NULL)
    s->over.transport->release(s->over.self);
  s->over.transport = NULL;
  /* the description may be shared with who gave it to us */
  if (s->restore)
    (void)platform_setnonblock(fd, 0);
  return fd;
}

void sock_closesocket(lua_State *L, sock_Socket *s) {
  /* after EINTR the descriptor is gone all the same: never again */
  if (s->watch.fd < 0)
    return;
  if (s->over.transport != NULL && !sock_istorn(s))
    (void)sock_endsending(s); /* as far as it goes without waiting */
  if (sock_istapped(s))
    sock_tapevent(s, SOCK_CLOSED, NULL, 0);
  (void)close(sock_disown(L, s, 0));
}

sock_Socket *sock_owner(lua_State *L, int fd) {
  sock_Socket *s = sock_loop(L)->sockets;
  while (s != NULL && s->watch.fd != fd)
    s = s->next;
  return s;
}

int sock_reclaim(lua_State *L, int err, int *tried) {
  int worth = err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
  if (*tried || !worth)
    return 0;
  *tried = 1;
  lua_gc(L, LUA_GCCOLLECT);
  return 1;
}

int sock_call(lua_State *L, sock_Socket *s, int direction, sock_Try try) {
  return sock_await(L, &s->watch, direction, s->timeout, try);
}

void sock_begincall(sock_Socket *s) {
  s->deadline = s->timeout < HUGE_VAL ? platform_now() + s->timeout : HUGE_VAL;
}

int sock_endcall(lua_State *L, sock_Socket *s, int direction, sock_Try try) {
  double left = s->deadline;
  if (left < HUGE_VAL)
    left = fmax(left - platform_now(), 0);
  return sock_await(L, &s->watch, direction, left, try);
}

/* --------------------------------------------------------------- names */

int sock_localname(const sock_Socket *s, sock_Sockaddr *a) {
  sock_clearaddress(a);
  return getsockname(s->watch.fd, &a->u.sa, &a->len);
}

int sock_peername(const sock_Socket *s, sock_Sockaddr *a) {
  sock_clearaddress(a);
  return getpeername(s->watch.fd, &a->u.sa, &a->len);
}

/* Pushes the peer's address: as the kernel has it, else as we knew it. */
static int pushpeer(lua_State *L, int index, const sock_Socket *s) {
  sock_Sockaddr a;
  if (sock_peername(s, &a) == 0) {
    sock_addresstext(L, &a);
    return 1;
  }
  if (lua_getiuservalue(L, index, SOCK_PEERVALUE) == LUA_TUSERDATA &&
      sock_toaddress(L, -1, &a)) {
    lua_pop(L, 1);
    sock_addresstext(L, &a);
    return 1;
  }
  lua_pop(L, 1);
  return 0;
}

static void pushlocal(lua_State *L, const sock_Socket *s) {
  sock_Sockaddr a;
  if (sock_localname(s, &a) == 0)
    sock_addresstext(L, &a);
  else
    lua_pushfstring(L, "descriptor %d", s->watch.fd);
}

/* What a message says a call was tried on. */
static const char *pushsubject(lua_State *L, int index) {
  const sock_Socket *s = lua_touserdata(L, index);
  if (s->watch.fd < 0)
    lua_pushliteral(L, "socket");
  else if (s->family < 0)
    lua_pushfstring(L, "descriptor %d", s->watch.fd);
  else if (!pushpeer(L, index, s))
    pushlocal(L, s);
  return lua_tostring(L, -1);
}

int sock_failsocket(lua_State *L, int index, const char *op, int err) {
  sock_Socket *s = lua_touserdata(L, index);
  const char *why = NULL;
  if (err == EBUSY && s->kind == SOCK_KIND_TERMINAL)
    why = "the prompt reads the terminal";
  if (s->over.transport != NULL && s->over.transport->reason != NULL &&
      s->failed == err)
    why = s->over.transport->reason(s->over.self, err);
  else if (err == EBADF && s->watch.fd >= 0) /* a pipe's other direction … */
    why = "Bad file descriptor";
  if (why != NULL) {
    index = lua_absindex(L, index);
    lua_pushstring(L, why); /* else a finalizer may release it meanwhile */
    return sock_failsocketas(L, index, op, err, lua_tostring(L, -1));
  }
  if (sock_istapped(s))
    sock_tapevent(s, SOCK_ERROR, op, err);
  return sock_fail(L, err, "%s %s", op, pushsubject(L, index));
}

int sock_failsocketas(lua_State *L, int index, const char *op, int err,
                      const char *why) {
  sock_Socket *s = lua_touserdata(L, index);
  if (sock_istapped(s))
    sock_tapevent(s, SOCK_ERROR, op, err);
  lua_pushnil(L);
  lua_pushfstring(L, "%s %s: %s", op, pushsubject(L, index), why);
  lua_remove(L, -2);
  sock_errorcode(L, err);
  return 3;
}

/* "tcp ", "udp ", "raw "; nothing where the address says it itself. */
static const char *protocolprefix(const sock_Socket *s) {
  if (s->family != AF_INET && s->family != AF_INET6)
    return "";
  switch (s->protocol) {
  case IPPROTO_TCP:
    return "tcp ";
  case IPPROTO_UDP:
    return "udp ";
  default:
    return s->type == SOCK_RAW ? "raw " : "ip ";
  }
}

const char *sock_sockettext(lua_State *L, int index) {
  static const char *const kinds[] = {"", "pipe", "terminal", "file"};
  const sock_Socket *s = lua_touserdata(L, index);
  if (s->watch.fd < 0)
    return lua_pushliteral(L, "socket (closed)");
  if (s->kind != SOCK_KIND_SOCKET)
    return lua_pushfstring(L, "%s (descriptor %d)", kinds[s->kind],
                           s->watch.fd);
  pushlocal(L, s);
  const char *local = lua_tostring(L, -1), *prefix = protocolprefix(s);
  if (s->listening)
    lua_pushfstring(L, "%s%s (listening)", prefix, local);
  else if (pushpeer(L, index, s))
    lua_pushfstring(L, "%s%s <-> %s", prefix, local, lua_tostring(L, -1));
  else
    lua_pushfstring(L, "%s%s", prefix, local);
  return lua_tostring(L, -1);
}

/* ------------------------------------------------------------- methods */

static int s_tostring(lua_State *L) {
  sock_checksocket(L, 1);
  sock_sockettext(L, 1);
  return 1;
}

/* A socket that nobody holds: what leaves without waiting, leaves. */
static int s_gc(lua_State *L) {
  sock_Socket *s = sock_checksocket(L, 1);
  if (s->watch.fd >= 0 && sock_bufferlen(&s->out) > 0)
    (void)sock_pushoutput(L, s);
  sock_closesocket(L, s);
  sock_untap(L, s); /* of an accept that gave it nothing */
  return 0;
}

/* What waits to leave is given CLOSING seconds, whatever is cancelled. */
#define CLOSING 5

static int close_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int first = why;
  if (s->watch.fd >= 0)
    first = why != 0 ? sock_failsocket(L, 1, "close", why)
                     : sock_flushfirst(L, s, "close");
  if (first < 0)
    return first;
  sock_closesocket(L, s);
  if (first > 0)
    return first;
  lua_pushboolean(L, 1);
  return 1;
}

static int s_close(lua_State *L) {
  sock_Socket *s = sock_checksocket(L, 1);
  lua_settop(L, 1);
  if (sock_likely(sock_bufferlen(&s->out) == 0 && s->outerror == 0))
    return sock_told(L, s->watch.loop, close_try(L, 0));
  return sock_awaitshielded(L, &s->watch, SOCK_WRITE, CLOSING, close_try);
}

static int s_settimeout(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  double seconds = sock_optseconds(L, 2);
  s->timeout = seconds;
  lua_settop(L, 1);
  return 1;
}

static int s_gettimeout(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  if (s->timeout < HUGE_VAL)
    lua_pushnumber(L, s->timeout);
  else
    lua_pushnil(L);
  return 1;
}

static const luaL_Reg meta[] = {{"__gc", s_gc},
                                {"__close", s_close},
                                {"__tostring", s_tostring},
                                {NULL, NULL}};

static const luaL_Reg methods[] = {{"close", s_close},
                                   {"settimeout", s_settimeout},
                                   {"gettimeout", s_gettimeout},
                                   {NULL, NULL}};

const sock_Class sock_socketclass = {"socket", meta, methods};

void sock_opensocket(lua_State *L) {
  sock_newclass(L, &sock_socketclass);
  sock_openmade(L);
  sock_addmethods(L, &sock_socketclass, sock_callmethods);
  sock_addmethods(L, &sock_socketclass, sock_transfermethods);
  sock_addmethods(L, &sock_socketclass, sock_readmethods);
  sock_addmethods(L, &sock_socketclass, sock_writemethods);
  sock_addmethods(L, &sock_socketclass, sock_datagrammethods);
  sock_addmethods(L, &sock_socketclass, sock_messagemethods);
  sock_addmethods(L, &sock_socketclass, sock_optionmethods);
  sock_addmethods(L, &sock_socketclass, sock_waitmethods);
  sock_addmethods(L, &sock_socketclass, sock_adoptmethods);
  sock_addmethods(L, &sock_socketclass, sock_streammethods);
}

/* ----------------------------------------------------------- functions */

/* Systems differ in what a new inet6 socket takes; ours takes IPv6. */
static void setv6only(int fd, int family) {
  int on = 1;
  if (family == AF_INET6)
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
}

static int l_socket(lua_State *L) {
  int family = sock_optnumber(L, 1, "family", AF_INET, sock_familynumber);
  int type = sock_optnumber(L, 2, "type", SOCK_STREAM, sock_typenumber);
  int protocol = optprotocol(L, 3, family);
  int fd, err, tried = 0;
  sock_Socket *s = sock_newsocket(L);
  do {
    fd = platform_socket(family, type, protocol);
    err = errno;
  } while (fd < 0 && sock_reclaim(L, err, &tried));
  if (fd < 0)
    return sock_fail(L, err, "socket %s %s", sock_familyname(family),
                     sock_typename(type));
  setv6only(fd, family);
  sock_own(s, fd, family, type, platform_protocol(fd, protocol));
  return 1;
}

static int l_socketpair(lua_State *L) {
  int type = sock_optnumber(L, 1, "type", SOCK_STREAM, sock_typenumber);
  int fds[2], err, made, tried = 0;
  sock_Socket *a = sock_newsocket(L), *b = sock_newsocket(L);
  do {
    made = platform_socketpair(type, fds);
    err = errno;
  } while (made < 0 && sock_reclaim(L, err, &tried));
  if (made < 0)
    return sock_fail(L, err, "socketpair %s", sock_typename(type));
  sock_own(a, fds[0], AF_UNIX, type, 0);
  sock_own(b, fds[1], AF_UNIX, type, 0);
  return 2;
}

static int l_type(lua_State *L) {
  luaL_checkany(L, 1);
  sock_Sockaddr a;
  const sock_Socket *s = sock_testobject(L, 1, &sock_socketclass);
  if (s != NULL)
    lua_pushstring(L, s->watch.fd < 0 ? "closed socket" : "socket");
  else if (sock_toaddress(L, 1, &a))
    lua_pushliteral(L, "address");
  else if (sock_testobject(L, 1, &sock_taskclass) != NULL)
    lua_pushliteral(L, "task");
  else if (sock_testobject(L, 1, &sock_channelclass) != NULL)
    lua_pushliteral(L, "channel");
  else
    luaL_pushfail(L);
  return 1;
}

const luaL_Reg sock_socketfunctions[] = {{"socket", l_socket},
                                         {"socketpair", l_socketpair},
                                         {"type", l_type},
                                         {NULL, NULL}};
