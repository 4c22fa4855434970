/* target.c: ADDR arguments. */
#include "base/platform.h"
#include "base/error.h"
#include "net/names.h"
#include "net/resolve.h"
#include "net/target.h"

int sock_fitaddress(lua_State *L, const sock_Socket *s, int index,
                    sock_Sockaddr *a) {
  if (!sock_toaddress(L, index, a))
    return 0;
  if (a->u.sa.sa_family == AF_INET && s->family == AF_INET6) {
    struct sockaddr_in in = a->u.in;
    sock_clearaddress(a);
    a->u.in6.sin6_family = AF_INET6;
    a->u.in6.sin6_port = in.sin_port;
    memset(a->u.in6.sin6_addr.s6_addr + 10, 0xff, 2);
    memcpy(a->u.in6.sin6_addr.s6_addr + 12, &in.sin_addr, 4);
    a->len = sizeof a->u.in6;
  }
  return a->u.sa.sa_family == s->family;
}

static int notaddress(lua_State *L, const char *op, const char *text,
                      size_t len, const char *why) {
  return sock_refuse(L, "%s %s: %s", op, sock_quote(L, text, len), why);
}

/* "*" is the wildcard of the socket's family. */
static void wildcard(sock_Sockaddr *a, int family, int port) {
  sock_clearaddress(a);
  if (family == AF_INET6) {
    a->u.in6.sin6_family = AF_INET6;
    a->u.in6.sin6_port = htons((uint16_t)port);
    a->len = sizeof a->u.in6;
  } else {
    a->u.in.sin_family = AF_INET;
    a->u.in.sin_port = htons((uint16_t)port);
    a->len = sizeof a->u.in;
  }
}

/* An inet6 socket that takes IPv4 too can reach what has only that. */
static int lookupfamily(const sock_Socket *s) {
  int only = 1;
  socklen_t len = sizeof only;
  if (s->family == AF_INET6 &&
      getsockopt(s->watch.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0)
    return only ? AF_INET6 : AF_UNSPEC;
  return s->family;
}

static int withhost(lua_State *L, const sock_Socket *s, const char *op,
                    const char *host, size_t len, int port, sock_Try next) {
  sock_Sockaddr a;
  int numeric = sock_parsehost(host, len, port, &a);
  if (!numeric && len == 1 && host[0] == '*') {
    wildcard(&a, s->family, port);
    numeric = 1;
  }
  if (numeric) {
    sock_pushaddress(L, &a);
    return next(L, 0);
  }
  if (!sock_ishostname(host, len))
    return notaddress(L, op, host, len, "neither an address nor a host name");
  if (s->family != AF_INET && s->family != AF_INET6)
    return sock_fail(L, EAFNOSUPPORT, "%s %s", op, sock_quote(L, host, len));
  lua_pushlstring(L, host, len);
  sock_Query query = {op,      lua_tostring(L, -1), port, lookupfamily(s),
                      s->type, s->timeout,          next};
  return sock_resolve(L, &query);
}

/* A port in digits or a service's name; -1 if it is neither. */
static int portortext(lua_State *L, const sock_Socket *s, const char *text,
                      size_t len) {
  long port = sock_parseport(text, len);
  if (port >= 0)
    return (int)port;
  return sock_serviceport(L, text, len, s->type == SOCK_DGRAM ? "udp" : "tcp");
}

static int withboth(lua_State *L, const sock_Socket *s, int arg, const char *op,
                    sock_Try next) {
  size_t hostlen, portlen;
  const char *host = lua_tolstring(L, arg, &hostlen);
  int port;
  if (lua_type(L, arg + 1) == LUA_TSTRING) {
    const char *text = lua_tolstring(L, arg + 1, &portlen);
    port = portortext(L, s, text, portlen);
    if (port < 0)
      return notaddress(L, op, text, portlen, "neither a port nor a service");
  } else {
    port = sock_checkport(L, arg + 1);
  }
  return withhost(L, s, op, host, hostlen, port, next);
}

/* One text: an address, host:port with names in it, a raw socket's host. */
static int withtext(lua_State *L, const sock_Socket *s, int arg, const char *op,
                    sock_Try next) {
  size_t len, hostlen;
  const char *text = lua_tolstring(L, arg, &len), *host, *port;
  sock_Sockaddr a;
  const char *why = sock_parseaddress(L, text, len, &a);
  if (why == NULL) {
    sock_pushaddress(L, &a);
    return next(L, 0);
  }
  if (sock_hasprefix(text, len))
    return notaddress(L, op, text, len, why);
  if (sock_splithost(text, len, &hostlen, &host, &port)) {
    size_t portlen = (size_t)(text + len - port);
    int number = portortext(L, s, port, portlen);
    if (number < 0)
      return notaddress(L, op, text, len, "neither a port nor a service");
    return withhost(L, s, op, host, hostlen, number, next);
  }
  if (s->type == SOCK_RAW && (s->family == AF_INET || s->family == AF_INET6))
    return withhost(L, s, op, text, len, 0, next);
  return notaddress(L, op, text, len, why);
}

int sock_withaddress(lua_State *L, const sock_Socket *s, int arg,
                     const char *op, sock_Try next) {
  sock_Sockaddr a;
  luaL_checkstack(L, 20, NULL);
  if (sock_toaddress(L, arg, &a)) {
    lua_pushvalue(L, arg);
    return next(L, 0);
  }
  if (lua_type(L, arg) != LUA_TSTRING)
    return luaL_typeerror(L, arg, "address or host");
  if (lua_isnoneornil(L, arg + 1))
    return withtext(L, s, arg, op, next);
  return withboth(L, s, arg, op, next);
}
