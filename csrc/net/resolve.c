/* resolve.c: getaddrinfo and getnameinfo. */
#include "base/platform.h"
#include "base/class.h"
#include "base/error.h"
#include "net/resolve.h"
#include "net/socket.h"

#include <stdlib.h>

/* ----------------------------------------------------------------- held */

static int held_gc(lua_State *L);

static const luaL_Reg heldmeta[] = {
    {"__gc", held_gc}, {"__close", held_gc}, {NULL, NULL}};

static const sock_Class heldclass = {"held memory", heldmeta, NULL};

static int held_gc(lua_State *L) {
  sock_release(sock_checkobject(L, 1, &heldclass));
  return 0;
}

sock_Held *sock_newheld(lua_State *L, void (*drop)(void *)) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &heldclass) == LUA_TNIL)
    sock_newclass(L, &heldclass);
  lua_pop(L, 1);
  sock_Held *held = sock_newobject(L, &heldclass, sizeof *held, 0);
  held->drop = drop;
  return held;
}

void sock_release(sock_Held *held) {
  void *memory = held->memory;
  held->memory = NULL;
  if (memory != NULL)
    held->drop(memory);
}

int sock_failtext(lua_State *L, const char *call, const char *text, size_t len,
                  const char *what) {
  lua_pushnil(L);
  const char *quoted = sock_quote(L, text, len);
  lua_pushfstring(L, "%s %s: not %s", call, quoted, what);
  lua_pushliteral(L, "EINVAL");
  lua_remove(L, -3);
  return 3;
}

/* ------------------------------------------------- the job, without Lua */

static void setport(sock_Sockaddr *a, in_port_t port) {
  if (a->u.sa.sa_family == AF_INET)
    a->u.in.sin_port = port;
  else
    a->u.in6.sin6_port = port;
}

static in_port_t getport(const sock_Sockaddr *a) {
  return a->u.sa.sa_family == AF_INET ? a->u.in.sin_port : a->u.in6.sin6_port;
}

static void copyaddress(sock_Sockaddr *to, const struct addrinfo *from) {
  sock_clearaddress(to);
  if (from->ai_addrlen < to->len)
    to->len = from->ai_addrlen;
  memcpy(&to->u, from->ai_addr, to->len);
}

static void keep(sock_Lookup *job, const struct addrinfo *list) {
  size_t count = 0;
  for (const struct addrinfo *one = list; one != NULL; one = one->ai_next)
    count++;
  job->found = calloc(count + 1, sizeof *job->found);
  if (job->found == NULL) {
    job->eai = EAI_MEMORY;
    return;
  }
  for (const struct addrinfo *one = list; one != NULL; one = one->ai_next)
    if (one->ai_family == AF_INET || one->ai_family == AF_INET6)
      copyaddress(&job->found[job->count++], one);
  if (job->count == 0)
    job->eai = EAI_NONAME;
}

static int outcome(sock_Lookup *job, int eai, int err) {
  int none = eai != 0 ? sock_nodescriptor() : 0;
  job->eai = none != 0 ? EAI_SYSTEM : eai;
  job->err = none != 0 ? none : err;
  return job->eai;
}

static void asksystem(sock_Lookup *job) {
  int named = job->host[0] != '\0' && job->given.len == 0;
  const char *host = named ? job->host : NULL;
  const char *service = job->service[0] != '\0' ? job->service : NULL;
  struct addrinfo hints, *list = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = job->family;
  hints.ai_socktype = job->type;
  hints.ai_flags = job->flags;
  if (host == NULL && service == NULL) { /* it wants one of them */
    service = "0";
    hints.ai_socktype = SOCK_STREAM; /* raw sockets have no services */
  }
  int eai = getaddrinfo(host, service, &hints, &list);
  if (outcome(job, eai, errno) == 0) {
    keep(job, list);
    freeaddrinfo(list);
  }
}

/* The host is an address already: at most its service is looked up. */
static void takegiven(sock_Lookup *job) {
  asksystem(job);
  if (job->eai != 0)
    return;
  setport(&job->given, getport(&job->found[0]));
  job->found[0] = job->given;
  job->count = 1;
}

static void askbackwards(sock_Lookup *job) {
  int eai =
      getnameinfo(&job->given.u.sa, job->given.len, job->host, sizeof job->host,
                  job->service, sizeof job->service, job->flags);
  outcome(job, eai, errno);
}

void sock_runlookup(sock_Lookup *job) {
  if (job->backwards) {
    askbackwards(job);
    return;
  }
  if (job->given.len != 0)
    takegiven(job);
  else
    asksystem(job);
  for (size_t i = 0; job->port >= 0 && i < job->count; i++)
    setport(&job->found[i], htons((uint16_t)job->port));
}

/* ---------------------------------------------------- the job, with Lua */

static void dropjob(void *memory) {
  sock_Lookup *job = memory;
  free(job->found);
  free(job);
}

/* Pushes the owner of a new job. */
static sock_Held *newjob(lua_State *L, int family, int type, int flags) {
  sock_Held *held = sock_newheld(L, dropjob);
  sock_Lookup *job = held->memory = calloc(1, sizeof *job);
  if (job == NULL) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  job->family = family;
  job->type = type;
  job->flags = flags;
  return held;
}

/* For want of descriptors or memory, once more after a collection. */
static int run(lua_State *L, sock_Lookup *job) {
  int want, tried = 0;
  do {
    sock_runlookup(job);
    want = job->eai == EAI_SYSTEM ? job->err : 0;
    if (job->eai == EAI_MEMORY)
      want = ENOMEM;
  } while (sock_reclaim(L, want, &tried));
  return job->eai;
}

/* Pushes what was asked: "host", "host:service", "127.0.0.1:80". */
static const char *pushasked(lua_State *L, const sock_Lookup *job) {
  if (job->backwards)
    return sock_addresstext(L, &job->given);
  const char *host = job->host[0] != '\0' ? job->host : "*";
  if (job->service[0] == '\0')
    return lua_pushstring(L, host);
  return lua_pushfstring(L, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
                         job->service);
}

static int fail(lua_State *L, const sock_Lookup *job) {
  const char *call = job->backwards ? "getnameinfo" : "getaddrinfo";
  const char *asked = pushasked(L, job);
  if (job->eai == EAI_SYSTEM)
    return sock_fail(L, job->err, "%s %s", call, asked);
  return sock_failname(L, job->eai, "%s %s", call, asked);
}

int sock_resolve(lua_State *L, const char *host, int port, int family, int type,
                 sock_Try next) {
  size_t len = strlen(host);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!sock_ishostname(host, len))
    return sock_failtext(L, "getaddrinfo", host, len, "a host name");
  sock_Held *held = newjob(L, family, type, 0);
  sock_Lookup *job = held->memory;
  memcpy(job->host, host, len + 1);
  job->port = port;
  if (run(L, job) != 0) {
    int results = fail(L, job);
    sock_release(held);
    return results;
  }
  sock_pushaddress(L, &job->found[0]);
  sock_release(held);
  lua_replace(L, -2);
  return next(L, 0);
}

/* -------------------------------------------------------------- options */

typedef struct Hints {
  int family, type, flags;
} Hints;

/* Reads the option's value, at the top, into the hints. */
typedef struct Option {
  const char *name;
  void (*read)(lua_State *L, int arg, const struct Option *o, Hints *h);
  int flag;
} Option;

static void badoption(lua_State *L, int arg, const Option *o,
                      const char *wanted) {
  size_t len;
  const char *got = luaL_typename(L, -1);
  if (lua_type(L, -1) == LUA_TSTRING) {
    got = lua_tolstring(L, -1, &len);
    got = sock_quote(L, got, len);
  }
  luaL_argerror(L, arg,
                lua_pushfstring(L, "option '%s': %s expected, got %s", o->name,
                                wanted, got));
}

static void readflag(lua_State *L, int arg, const Option *o, Hints *h) {
  if (lua_type(L, -1) != LUA_TBOOLEAN)
    badoption(L, arg, o, "boolean");
  if (lua_toboolean(L, -1))
    h->flags |= o->flag;
}

/* The option's text, or "" where it is none that a name could be. */
static const char *wordof(lua_State *L) {
  size_t len;
  const char *text =
      lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  return text != NULL && strlen(text) == len ? text : "";
}

static void readfamily(lua_State *L, int arg, const Option *o, Hints *h) {
  h->family = sock_familynumber(wordof(L));
  if (h->family != AF_INET && h->family != AF_INET6)
    badoption(L, arg, o, "\"inet\" or \"inet6\"");
}

static void readtype(lua_State *L, int arg, const Option *o, Hints *h) {
  h->type = sock_typenumber(wordof(L));
  if (h->type < 0)
    badoption(L, arg, o, "a socket type");
}

static const Option forwardoptions[] = {
    {"family", readfamily, 0},
    {"type", readtype, 0},
    {"passive", readflag, AI_PASSIVE},
    {"numerichost", readflag, AI_NUMERICHOST},
    {NULL, NULL, 0},
};

static const Option backwardoptions[] = {
    {"numerichost", readflag, NI_NUMERICHOST},
    {"numericserv", readflag, NI_NUMERICSERV},
    {"namereqd", readflag, NI_NAMEREQD},
    {NULL, NULL, 0},
};

static const Option *findoption(lua_State *L, int arg, const Option *o) {
  size_t len = 0;
  const char *key =
      lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &len) : NULL;
  for (; key != NULL && o->name != NULL; o++)
    if (len == strlen(o->name) && memcmp(key, o->name, len) == 0)
      return o;
  key = key != NULL ? sock_quote(L, key, len) : luaL_tolstring(L, -2, NULL);
  luaL_argerror(L, arg, lua_pushfstring(L, "unknown option %s", key));
  return NULL;
}

static void readoptions(lua_State *L, int arg, const Option *all, Hints *h) {
  if (lua_isnoneornil(L, arg))
    return;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    const Option *o = findoption(L, arg, all);
    o->read(L, arg, o, h);
  }
}

/* ---------------------------------------------------------- getaddrinfo */

/* With no letter it is no name (RFC 6335, 5.1), and getaddrinfo would take
** "-1" and "65616" for numbers and cut them to 16 bits. */
static int isservice(const char *text, size_t len) {
  int letters = 0;
  if (len > SOCK_SERVICEMAX)
    return 0;
  for (size_t i = 0; i < len; i++) {
    if (text[i] <= ' ' || text[i] >= 0x7f)
      return 0;
    letters |= (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
  }
  return letters;
}

/* Puts the host into the job; 0, or the results of a failure. */
static int puthost(lua_State *L, sock_Lookup *job, const char *host,
                   size_t len) {
  sock_Sockaddr a;
  if (host == NULL)
    return 0;
  if (len == 1 && host[0] == '*') {
    job->flags |= AI_PASSIVE;
    return 0;
  }
  if (sock_parsehost(host, len, 0, &a)) {
    if (job->family != AF_UNSPEC && job->family != a.u.sa.sa_family)
      return sock_failname(L, EAI_FAMILY, "getaddrinfo %s", host);
    job->family = a.u.sa.sa_family;
    job->given = a;
  } else if (!sock_ishostname(host, len)) {
    return sock_failtext(L, "getaddrinfo", host, len, "a host name");
  }
  memcpy(job->host, host, len + 1); /* either is far below NI_MAXHOST */
  return 0;
}

/* A list without duplicates: equal addresses are one value. */
static int pushfound(lua_State *L, const sock_Lookup *job) {
  lua_Integer n = 0;
  lua_newtable(L); /* the list */
  lua_newtable(L); /* what is in it */
  for (size_t i = 0; i < job->count; i++) {
    sock_pushaddress(L, &job->found[i]);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lua_pushvalue(L, -2);
      lua_rawseti(L, -5, ++n);
      lua_pushvalue(L, -2);
      lua_pushboolean(L, 1);
      lua_rawset(L, -5);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  return 1;
}

static int l_getaddrinfo(lua_State *L) {
  Hints h = {AF_UNSPEC, SOCK_STREAM, 0};
  size_t hostlen = 0, servicelen = 0;
  const char *host = luaL_optlstring(L, 1, NULL, &hostlen);
  lua_settop(L, 3);
  int port = lua_isnil(L, 2) ? 0 : sock_checkport(L, 2);
  readoptions(L, 3, forwardoptions, &h);

  const char *service = port < 0 ? lua_tolstring(L, 2, &servicelen) : NULL;
  if (port < 0 && !isservice(service, servicelen))
    return sock_failtext(L, "getaddrinfo", service, servicelen,
                         "a port or service name");
  sock_Held *held = newjob(L, h.family, h.type, h.flags);
  sock_Lookup *job = held->memory;
  job->port = port;
  if (port < 0)
    memcpy(job->service, service, servicelen + 1);
  int results = puthost(L, job, host, hostlen);
  if (results == 0)
    results = run(L, job) == 0 ? pushfound(L, job) : fail(L, job);
  sock_release(held);
  return results;
}

/* ---------------------------------------------------------- getnameinfo */

/* Reads host and port, or one text with both. NULL, or why not (pushed). */
static const char *readtexts(lua_State *L, int pair, int port,
                             sock_Sockaddr *a) {
  size_t len;
  const char *text = lua_tolstring(L, 1, &len);
  if (!pair)
    return sock_parseaddress(L, text, len, a);
  if (port < 0)
    return lua_pushliteral(L, "not a port from 0 to 65535");
  if (!sock_parsehost(text, len, port, a))
    return lua_pushliteral(L, "not a numeric host");
  return NULL;
}

static int failwhy(lua_State *L, int arg, const char *why) {
  size_t len;
  const char *text = lua_tolstring(L, arg, &len);
  const char *quoted = sock_quote(L, text, len);
  lua_pushnil(L);
  lua_pushfstring(L, "getnameinfo %s: %s", quoted, why);
  lua_pushliteral(L, "EINVAL");
  return 3;
}

static int pushnames(lua_State *L, const sock_Lookup *job) {
  lua_pushstring(L, job->host);
  lua_pushstring(L, job->service);
  return 2;
}

/* Looks an address up; other families have no names to give. */
static int nameof(lua_State *L, const sock_Sockaddr *a, int flags) {
  if (a->u.sa.sa_family != AF_INET && a->u.sa.sa_family != AF_INET6)
    return sock_failname(L, EAI_FAMILY, "getnameinfo %s",
                         sock_addresstext(L, a));
  sock_Held *held = newjob(L, AF_UNSPEC, 0, flags);
  sock_Lookup *job = held->memory;
  job->backwards = 1;
  job->given = *a;
  int results = run(L, job) == 0 ? pushnames(L, job) : fail(L, job);
  sock_release(held);
  return results;
}

static int l_getnameinfo(lua_State *L) {
  Hints h = {AF_UNSPEC, 0, 0};
  sock_Sockaddr a;
  sock_clearaddress(&a);
  int value = sock_toaddress(L, 1, &a), port = 0;
  int pair = !value && (lua_gettop(L) > 2 || lua_isstring(L, 2));
  if (!value)
    luaL_checkstring(L, 1);
  lua_settop(L, 3);
  if (pair)
    port = sock_checkport(L, 2);
  readoptions(L, pair ? 3 : 2, backwardoptions, &h);

  if (!value) {
    const char *why = readtexts(L, pair, port, &a);
    if (why != NULL)
      return failwhy(L, port < 0 ? 2 : 1, why);
  }
  return nameof(L, &a, h.flags);
}

const luaL_Reg sock_resolvefunctions[] = {{"getaddrinfo", l_getaddrinfo},
                                          {"getnameinfo", l_getnameinfo},
                                          {NULL, NULL}};
