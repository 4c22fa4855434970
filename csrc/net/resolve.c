/* resolve.c: getaddrinfo and getnameinfo. */
#include "base/platform.h"
#include "base/class.h"
#include "base/error.h"
#include "base/held.h"
#include "loop/job.h"
#include "net/lookup.h"
#include "net/resolve.h"
#include "net/socket.h"

int sock_failtext(lua_State *L, const char *call, const char *text, size_t len,
                  const char *what) {
  return sock_refuse(L, "%s %s: not %s", call, sock_quote(L, text, len), what);
}

/* ---------------------------------------------------- the job, with Lua */

static void dropjob(void *memory) {
  sock_forgetjob(&((sock_Lookup *)memory)->base);
}

/* Pushes the owner of a new job. */
static sock_Lookup *newjob(lua_State *L, int family, int type, int flags) {
  sock_Held *held = sock_newheld(L, dropjob);
  sock_Lookup *job = held->memory = sock_newlookup();
  if (job == NULL) {
    luaL_error(L, "not enough memory");
    sock_unreachable();
  }
  job->family = family;
  job->type = type;
  job->flags = flags;
  return job;
}

/* For want of descriptors or memory, once more after a collection. */
static int again(lua_State *L, sock_Lookup *job) {
  int want = job->eai == EAI_SYSTEM ? job->err : 0;
  if (job->eai == EAI_MEMORY)
    want = ENOMEM;
  if (!sock_reclaim(L, want, &job->tried))
    return 0;
  sock_startjob(L, &job->base);
  return 1;
}

/* Pushes what was asked: "host", "host:service", "127.0.0.1:80". */
static const char *pushasked(lua_State *L, const sock_Lookup *job) {
  if (job->backwards)
    return sock_addresstext(L, &job->given);
  const char *host = job->host[0] != '\0' ? job->host : "*";
  if (job->next != NULL && job->port > 0)
    return lua_pushfstring(L, "%s:%d", host, job->port);
  if (job->service[0] == '\0')
    return lua_pushstring(L, host);
  return lua_pushfstring(L, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
                         job->service);
}

static int fail(lua_State *L, const sock_Lookup *job) {
  const char *asked = pushasked(L, job);
  if (job->eai == EAI_SYSTEM)
    return sock_fail(L, job->err, "%s %s", job->op, asked);
  return sock_failname(L, job->eai, "%s %s", job->op, asked);
}

/*
** On top of the stack: the job's owner. The answer replaces it and is given
** by the job's own function.
*/
static int lookup_try(lua_State *L, int why) {
  sock_Held *held = lua_touserdata(L, -1);
  sock_Lookup *job = held->memory;
  int results = 0;
  if (why != 0) {
    results = sock_fail(L, why, "%s %s", job->op, pushasked(L, job));
  } else {
    while (job->base.done && again(L, job))
      continue;
    if (!job->base.done)
      return SOCK_WANTWAKE;
    results = job->eai != 0 ? fail(L, job) : 0;
  }
  if (results == 0) {
    sock_Try give = job->give;
    results = give(L, 0);
  }
  return results;
}

/* The job on top of the stack is run, and `give` called with it there. */
static int run(lua_State *L, sock_Lookup *job, double seconds, sock_Try give) {
  job->give = give;
  sock_startjob(L, &job->base);
  return sock_awaitqueue(L, &job->base.waiters, seconds, SOCK_OUTSIDE,
                         lookup_try);
}

/* The first address takes the job's place on the stack. */
static int givefirst(lua_State *L, int why) {
  sock_Held *held = lua_touserdata(L, -1);
  const sock_Lookup *job = held->memory;
  sock_Try next = job->next;
  sock_pushaddress(L, &job->found[0]);
  sock_release(held);
  lua_replace(L, -2);
  return next(L, why);
}

int sock_resolve(lua_State *L, const sock_Query *q) {
  size_t len = strlen(q->host);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!sock_ishostname(q->host, len))
    return sock_failtext(L, q->op, q->host, len, "a host name");
  sock_Lookup *job = newjob(L, q->family, q->type, 0);
  memcpy(job->host, q->host, len + 1);
  job->op = q->op;
  job->port = q->port;
  job->next = q->next;
  return run(L, job, q->seconds, givefirst);
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
static int givefound(lua_State *L, int why) {
  sock_Held *held = lua_touserdata(L, -1);
  const sock_Lookup *job = held->memory;
  lua_Integer n = 0;
  (void)why;
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
  sock_release(held);
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
  sock_Lookup *job = newjob(L, h.family, h.type, h.flags);
  job->op = "getaddrinfo";
  job->port = port;
  if (port < 0)
    memcpy(job->service, service, servicelen + 1);
  int results = puthost(L, job, host, hostlen);
  return results != 0 ? results : run(L, job, HUGE_VAL, givefound);
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

static int givenames(lua_State *L, int why) {
  sock_Held *held = lua_touserdata(L, -1);
  const sock_Lookup *job = held->memory;
  (void)why;
  lua_pushstring(L, job->host);
  lua_pushstring(L, job->service);
  return 2;
}

/* Looks an address up; other families have no names to give. */
static int nameof(lua_State *L, const sock_Sockaddr *a, int flags) {
  if (a->u.sa.sa_family != AF_INET && a->u.sa.sa_family != AF_INET6)
    return sock_failname(L, EAI_FAMILY, "getnameinfo %s",
                         sock_addresstext(L, a));
  sock_Lookup *job = newjob(L, AF_UNSPEC, 0, flags);
  job->op = "getnameinfo";
  job->backwards = 1;
  job->given = *a;
  return run(L, job, HUGE_VAL, givenames);
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
