/* family.c: how each address family is read and printed. */
#include "base/platform.h"
#include "net/family.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>

#define PATHOFFSET offsetof(struct sockaddr_un, sun_path)
#define PATHMAX (sizeof(((struct sockaddr_un *)0)->sun_path))

/* ------------------------------------------------------------- numbers */

/* A whole text as an unsigned number up to `max`, or -1. */
int64_t sock_tonumber(const char *text, size_t len, uint32_t max) {
  int64_t n = 0;
  if (len == 0 || len > 10)
    return -1;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9')
      return -1;
    n = n * 10 + (text[i] - '0');
  }
  return n <= (int64_t)max ? n : -1;
}

long sock_parseport(const char *text, size_t len) {
  return (long)sock_tonumber(text, len, 65535);
}

/* An interface by name or index; 0 if there is none. */
unsigned sock_tointerface(const char *text, size_t len) {
  char name[IF_NAMESIZE];
  int64_t index = sock_tonumber(text, len, INT32_MAX);
  if (index > 0)
    return (unsigned)index;
  if (len == 0 || len >= sizeof name || memchr(text, 0, len) != NULL)
    return 0;
  memcpy(name, text, len);
  name[len] = 0;
  return if_nametoindex(name);
}

void sock_pushinterface(lua_State *L, unsigned index) {
  char name[IF_NAMESIZE];
  if (index != 0 && if_indextoname(index, name) != NULL)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, (lua_Integer)index);
  lua_tostring(L, -1);
}

/* Cuts the first field off `rest`, which ends at `sep` or the text's end. */
size_t sock_cutfield(const char **rest, const char *end, char sep,
                     const char **field) {
  const char *stop = memchr(*rest, sep, (size_t)(end - *rest));
  *field = *rest;
  *rest = stop != NULL ? stop + 1 : end;
  return (size_t)((stop != NULL ? stop : end) - *field);
}

/* ------------------------------------------------------- inet and inet6 */

/* inet_pton reads a C string; ours may hold zeros. */
static int pton(int family, const char *text, size_t len, void *out) {
  char buffer[INET6_ADDRSTRLEN];
  if (len >= sizeof buffer || memchr(text, 0, len) != NULL)
    return 0;
  memcpy(buffer, text, len);
  buffer[len] = 0;
  return inet_pton(family, buffer, out) == 1;
}

static int parsehost6(const char *host, size_t len, sock_Sockaddr *a) {
  const char *percent = memchr(host, '%', len);
  if (percent != NULL) {
    size_t before = (size_t)(percent - host);
    a->u.in6.sin6_scope_id = sock_tointerface(percent + 1, len - before - 1);
    if (a->u.in6.sin6_scope_id == 0)
      return 0;
    len = before;
  }
  a->u.in6.sin6_family = AF_INET6;
  a->len = sizeof a->u.in6;
  return pton(AF_INET6, host, len, &a->u.in6.sin6_addr);
}

int sock_parsehost(const char *host, size_t len, int port, sock_Sockaddr *a) {
  sock_clearaddress(a);
  if (memchr(host, ':', len) != NULL) {
    a->u.in6.sin6_port = htons((uint16_t)port);
    return parsehost6(host, len, a);
  }
  a->u.in.sin_family = AF_INET;
  a->u.in.sin_port = htons((uint16_t)port);
  a->len = sizeof a->u.in;
  return pton(AF_INET, host, len, &a->u.in.sin_addr);
}

/* "host:port" or "[host]:port"; a host with colons must have brackets. */
int sock_splithost(const char *text, size_t len, size_t *hostlen,
                   const char **host, const char **port) {
  const char *end = text + len, *colon;
  if (len > 0 && text[0] == '[') {
    const char *bracket = memchr(text, ']', len);
    if (bracket == NULL || bracket + 1 >= end || bracket[1] != ':')
      return 0;
    *host = text + 1;
    *hostlen = (size_t)(bracket - *host);
    colon = bracket + 1;
    if (memchr(*host, ':', *hostlen) == NULL)
      return 0;
  } else {
    colon = memchr(text, ':', len);
    if (colon == NULL)
      return 0;
    *host = text;
    *hostlen = (size_t)(colon - text);
  }
  *port = colon + 1;
  return memchr(*port, ':', (size_t)(end - *port)) == NULL;
}

static const char *parseip(lua_State *L, const char *text, size_t len,
                           sock_Sockaddr *a) {
  const char *host, *port;
  size_t hostlen;
  if (!sock_splithost(text, len, &hostlen, &host, &port))
    return lua_pushliteral(L, "neither host:port nor [host]:port");
  long number = sock_parseport(port, (size_t)(text + len - port));
  if (number < 0)
    return lua_pushliteral(L, "not a port from 0 to 65535");
  if (!sock_parsehost(host, hostlen, (int)number, a))
    return lua_pushliteral(L, "not a numeric host");
  return NULL;
}

static void pushhost(lua_State *L, const sock_Sockaddr *a) {
  char text[INET6_ADDRSTRLEN] = "";
  if (a->u.sa.sa_family == AF_INET) {
    inet_ntop(AF_INET, &a->u.in.sin_addr, text, sizeof text);
    lua_pushstring(L, text);
    return;
  }
  inet_ntop(AF_INET6, &a->u.in6.sin6_addr, text, sizeof text);
  lua_pushstring(L, text);
  if (a->u.in6.sin6_scope_id != 0) {
    lua_pushliteral(L, "%");
    sock_pushinterface(L, a->u.in6.sin6_scope_id);
    lua_concat(L, 3);
  }
}

static int portof(const sock_Sockaddr *a) {
  return ntohs(a->u.sa.sa_family == AF_INET ? a->u.in.sin_port
                                            : a->u.in6.sin6_port);
}

static void iptext(lua_State *L, const sock_Sockaddr *a) {
  pushhost(L, a);
  const char *form = a->u.sa.sa_family == AF_INET ? "%s:%d" : "[%s]:%d";
  lua_pushfstring(L, form, lua_tostring(L, -1), portof(a));
  lua_remove(L, -2);
}

static int ipfield(lua_State *L, const sock_Sockaddr *a, const char *name) {
  if (strcmp(name, "host") == 0)
    pushhost(L, a);
  else if (strcmp(name, "port") == 0)
    lua_pushinteger(L, portof(a));
  else
    return 0;
  return 1;
}

static void normalizeip(sock_Sockaddr *a) {
  if (a->u.sa.sa_family == AF_INET)
    memset(a->u.in.sin_zero, 0, sizeof a->u.in.sin_zero);
  else
    a->u.in6.sin6_flowinfo = 0;
}

/* ----------------------------------------------------------------- unix */

static const char *parseunix(lua_State *L, const char *path, size_t len,
                             sock_Sockaddr *a) {
  int abstract = len > 0 && path[0] == '@';
  a->u.un.sun_family = AF_UNIX;
  a->len = (socklen_t)(PATHOFFSET + len);
  /* its length goes with it: a path needs no final zero */
  if (len > PATHMAX)
    return lua_pushfstring(L, "a unix path has at most %d bytes, not %I",
                           (int)PATHMAX, (lua_Integer)len);
  if (!abstract && memchr(path, 0, len) != NULL)
    return lua_pushliteral(L, "a unix path has no zero byte");
  memcpy(a->u.un.sun_path, path, len);
  if (abstract)
    a->u.un.sun_path[0] = 0;
  return NULL;
}

static void pushpath(lua_State *L, const sock_Sockaddr *a) {
  const char *path = a->u.un.sun_path;
  size_t len = a->len > PATHOFFSET ? a->len - PATHOFFSET : 0;
  if (len > 0 && path[0] == 0) {
    lua_pushliteral(L, "@");
    lua_pushlstring(L, path + 1, len - 1);
    lua_concat(L, 2);
  } else if (len > 0 && path[0] == '@') { /* a relative path, not a name */
    lua_pushliteral(L, "./");
    lua_pushlstring(L, path, len);
    lua_concat(L, 2);
  } else {
    lua_pushlstring(L, path, len);
  }
}

static void unixtext(lua_State *L, const sock_Sockaddr *a) {
  lua_pushliteral(L, "unix:");
  pushpath(L, a);
  lua_concat(L, 2);
}

static int unixfield(lua_State *L, const sock_Sockaddr *a, const char *name) {
  if (strcmp(name, "path") != 0)
    return 0;
  pushpath(L, a);
  return 1;
}

/* The kernel counts a path's final zero in the length, or does not. */
static void normalizeunix(sock_Sockaddr *a) {
  size_t len = a->len > PATHOFFSET ? a->len - PATHOFFSET : 0;
  const char *path = a->u.un.sun_path;
  if (len > 0 && path[0] != 0)
    len = strnlen(path, len);
  a->len = (socklen_t)(PATHOFFSET + len);
}

/* ---------------------------------------------------------------- table */

const sock_Family sock_families[] = {
    {AF_INET, "inet", NULL, parseip, iptext, ipfield, normalizeip},
    {AF_INET6, "inet6", NULL, parseip, iptext, ipfield, normalizeip},
    {AF_UNIX, "unix", "unix:", parseunix, unixtext, unixfield, normalizeunix},
#ifdef AF_NETLINK
    {AF_NETLINK, "netlink", "netlink:", sock_parsenetlink, sock_textnetlink,
     sock_fieldnetlink, NULL},
#endif
#ifdef AF_PACKET
    {AF_PACKET, "packet", "packet:", sock_parsepacket, sock_textpacket,
     sock_fieldpacket, sock_normalizepacket},
#endif
#ifdef AF_VSOCK
    {AF_VSOCK, "vsock", "vsock:", sock_parsevsock, sock_textvsock,
     sock_fieldvsock, sock_normalizevsock},
#endif
    {0, NULL, NULL, NULL, NULL, NULL, NULL},
};

const sock_Family *sock_findfamily(int number) {
  const sock_Family *f = sock_families;
  while (f->name != NULL && f->number != number)
    f++;
  return f->name != NULL ? f : NULL;
}

const char *sock_familyname(int family) {
  const sock_Family *f = sock_findfamily(family);
  return f != NULL ? f->name : NULL;
}

int sock_familynumber(const char *name) {
  for (const sock_Family *f = sock_families; f->name != NULL; f++)
    if (strcmp(f->name, name) == 0)
      return f->number;
  return -1;
}

static const sock_Family *byprefix(const char *text, size_t len) {
  for (const sock_Family *f = sock_families; f->name != NULL; f++) {
    size_t n = f->prefix != NULL ? strlen(f->prefix) : 0;
    if (n > 0 && len >= n && memcmp(text, f->prefix, n) == 0)
      return f;
  }
  return NULL;
}

int sock_hasprefix(const char *text, size_t len) {
  return byprefix(text, len) != NULL;
}

const char *sock_parseaddress(lua_State *L, const char *text, size_t len,
                              sock_Sockaddr *a) {
  const sock_Family *f = byprefix(text, len);
  sock_clearaddress(a);
  if (f == NULL)
    return parseip(L, text, len, a);
  size_t n = strlen(f->prefix);
  return f->parse(L, text + n, len - n, a);
}
