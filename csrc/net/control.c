/* control.c: one table row per kind of ancillary data. */
#include "base/platform.h"
#include "base/error.h"
#include "net/control.h"

#include <net/if.h>
#include <netinet/udp.h>
#include <sys/time.h>

typedef struct Kind {
  const char *name;
  int level;
  int type;
  int family;   /* AF_…, of the messages it can go with; AF_UNSPEC: all */
  size_t least; /* the shortest that the kernel gives */
  /* Pushes what came; NULL: it never comes. */
  void (*decode)(lua_State *L, const char *data, size_t len,
                 sock_Descriptors *box);
  /* Writes what to send, the value at the top of the stack; its length.
  ** NULL: it is never sent. */
  size_t (*encode)(lua_State *L, char *data);
} Kind;

/* What the caller did wrong; the names are inside the one argument. */
static void blame(lua_State *L, const char *what) {
  luaL_argerror(L, 2, what);
}

/* An integer at the top of the stack. */
static lua_Integer checknumber(lua_State *L, const char *what, lua_Integer min,
                               lua_Integer max) {
  int whole;
  lua_Integer n = lua_tointegerx(L, -1, &whole);
  if (!whole)
    blame(L, lua_pushfstring(L, "%s must be an integer", what));
  if (n < min || n > max)
    blame(L, lua_pushfstring(L, "%s out of range", what));
  return n;
}

/* The value at the top is a table whose keys are all among these. */
static void checkkeys(lua_State *L, const char *what, const char *a,
                      const char *b, const char *c) {
  if (!lua_istable(L, -1))
    blame(L, lua_pushfstring(L, "%s must be a table", what));
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    const char *key = luaL_tolstring(L, -1, NULL);
    if (strcmp(key, a) != 0 && strcmp(key, b) != 0 && strcmp(key, c) != 0)
      blame(L, lua_pushfstring(L, "unknown field '%s' of %s", key, what));
    lua_pop(L, 1);
  }
}

/* Pushes a field of the table at the top; whether it is there. */
static int field(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  return lua_rawget(L, -2) != LUA_TNIL;
}

/* --------------------------------------------------------- credentials */

typedef struct Credentials { /* struct ucred, which not all systems have */
  int32_t pid;
  uint32_t uid, gid;
} Credentials;

static void getcredentials(lua_State *L, const char *data, size_t len,
                           sock_Descriptors *box) {
  Credentials c;
  (void)len;
  (void)box;
  memcpy(&c, data, sizeof c);
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, c.pid);
  lua_setfield(L, -2, "pid");
  lua_pushinteger(L, c.uid);
  lua_setfield(L, -2, "uid");
  lua_pushinteger(L, c.gid);
  lua_setfield(L, -2, "gid");
}

static lua_Integer optid(lua_State *L, const char *name, lua_Integer absent) {
  if (field(L, name))
    absent = checknumber(L, name, 0, UINT32_MAX);
  lua_pop(L, 1);
  return absent;
}

/* What is not said is our own. */
static size_t setcredentials(lua_State *L, char *data) {
  Credentials c;
  checkkeys(L, "credentials", "pid", "uid", "gid");
  c.pid = (int32_t)optid(L, "pid", getpid());
  c.uid = (uint32_t)optid(L, "uid", getuid());
  c.gid = (uint32_t)optid(L, "gid", getgid());
  memcpy(data, &c, sizeof c);
  return sizeof c;
}

/* --------------------------------------------------------- packet info */

typedef struct Info4 { /* struct in_pktinfo, which not all systems have */
  int interface;
  struct in_addr local;  /* the address to answer from */
  struct in_addr header; /* the address in the packet */
} Info4;

static void pushinfo(lua_State *L, unsigned interface, const sock_Sockaddr *a) {
  char name[IF_NAMESIZE];
  lua_createtable(L, 0, 2);
  if (if_indextoname(interface, name) != NULL)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, interface);
  lua_setfield(L, -2, "interface");
  sock_pushaddress(L, a);
  lua_setfield(L, -2, "address");
}

static void getinfo4(lua_State *L, const char *data, size_t len,
                     sock_Descriptors *box) {
  Info4 info;
  sock_Sockaddr a;
  (void)len;
  (void)box;
  memcpy(&info, data, sizeof info);
  sock_clearaddress(&a);
  a.u.in.sin_family = AF_INET;
  a.u.in.sin_addr = info.header;
  a.len = sizeof a.u.in;
  pushinfo(L, (unsigned)info.interface, &a);
}

static void getinfo6(lua_State *L, const char *data, size_t len,
                     sock_Descriptors *box) {
  struct in6_pktinfo info;
  sock_Sockaddr a;
  (void)len;
  (void)box;
  memcpy(&info, data, sizeof info);
  sock_clearaddress(&a);
  a.u.in6.sin6_family = AF_INET6;
  a.u.in6.sin6_addr = info.ipi6_addr;
  if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ||
      IN6_IS_ADDR_MC_LINKLOCAL(&info.ipi6_addr))
    a.u.in6.sin6_scope_id = (uint32_t)info.ipi6_ifindex;
  a.len = sizeof a.u.in6;
  pushinfo(L, (unsigned)info.ipi6_ifindex, &a);
}

/* The interface at the top. One that is not there (any more) is the kernel's
** to refuse: no interface has the index that this gives. */
static unsigned checkinterface(lua_State *L) {
  if (lua_type(L, -1) != LUA_TSTRING)
    return (unsigned)checknumber(L, "interface", 0, INT32_MAX);
  size_t len;
  const char *name = lua_tolstring(L, -1, &len);
  unsigned interface = strlen(name) == len ? if_nametoindex(name) : 0;
  return interface != 0 ? interface : UINT32_MAX;
}

/* The interface and the address of the table at the top; family AF_UNSPEC:
** no address. */
static unsigned checkinfo(lua_State *L, sock_Sockaddr *a) {
  unsigned interface = 0;
  sock_clearaddress(a);
  checkkeys(L, "pktinfo", "interface", "address", "");
  if (field(L, "interface"))
    interface = checkinterface(L);
  lua_pop(L, 1);
  if (field(L, "address") && !sock_toaddress(L, -1, a)) {
    size_t len;
    const char *host =
        lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (host == NULL || !sock_parsehost(host, len, 0, a))
      blame(L, "pktinfo's address must be an address");
  }
  lua_pop(L, 1);
  return interface;
}

/* A group that a packet came to is nothing to send from. */
static size_t setinfo4(lua_State *L, char *data) {
  Info4 info;
  sock_Sockaddr a;
  memset(&info, 0, sizeof info);
  info.interface = (int)checkinfo(L, &a);
  if (a.u.sa.sa_family == AF_INET &&
      !IN_MULTICAST(ntohl(a.u.in.sin_addr.s_addr)))
    info.local = a.u.in.sin_addr;
  else if (a.u.sa.sa_family != AF_INET && a.u.sa.sa_family != AF_UNSPEC)
    blame(L, "pktinfo's address must be inet");
  memcpy(data, &info, sizeof info);
  return sizeof info;
}

static size_t setinfo6(lua_State *L, char *data) {
  struct in6_pktinfo info;
  sock_Sockaddr a;
  memset(&info, 0, sizeof info);
  info.ipi6_ifindex = checkinfo(L, &a);
  if (a.u.sa.sa_family == AF_INET6 &&
      !IN6_IS_ADDR_MULTICAST(&a.u.in6.sin6_addr))
    info.ipi6_addr = a.u.in6.sin6_addr;
  else if (a.u.sa.sa_family != AF_INET6 && a.u.sa.sa_family != AF_UNSPEC)
    blame(L, "pktinfo's address must be inet6");
  memcpy(data, &info, sizeof info);
  return sizeof info;
}

/* ------------------------------------------------------------- numbers */

/* The kernel gives some as a byte and some as an int. */
static void getnumber(lua_State *L, const char *data, size_t len,
                      sock_Descriptors *box) {
  int n = (unsigned char)data[0];
  (void)box;
  if (len >= sizeof n)
    memcpy(&n, data, sizeof n);
  lua_pushinteger(L, n);
}

static size_t setbyte(lua_State *L, char *data) {
  int n = (int)checknumber(L, "ttl or tos", 0, 255);
  memcpy(data, &n, sizeof n);
  return sizeof n;
}

static size_t setsegment(lua_State *L, char *data) {
  uint16_t n = (uint16_t)checknumber(L, "segment", 0, UINT16_MAX);
  memcpy(data, &n, sizeof n);
  return sizeof n;
}

static void gettimeval(lua_State *L, const char *data, size_t len,
                       sock_Descriptors *box) {
  struct timeval t;
  (void)len;
  (void)box;
  memcpy(&t, data, sizeof t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_usec * 1e-6);
}

static void gettimespec(lua_State *L, const char *data, size_t len,
                        sock_Descriptors *box) {
  struct timespec t;
  (void)len;
  (void)box;
  memcpy(&t, data, sizeof t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
}

/* -------------------------------------------------------------- errors */

typedef struct Extended { /* struct sock_extended_err */
  uint32_t number;
  uint8_t origin, type, code, pad;
  uint32_t info, data;
} Extended;

/* What failed, and the host that said so, whose address follows. */
static void geterror(lua_State *L, const char *data, size_t len,
                     sock_Descriptors *box) {
  Extended e;
  sock_Sockaddr from;
  (void)box;
  memcpy(&e, data, sizeof e);
  lua_createtable(L, 0, 3);
  sock_errorcode(L, (int)e.number);
  lua_setfield(L, -2, "code");
  sock_pusherrortext(L, (int)e.number);
  lua_setfield(L, -2, "message");
  len -= sizeof e;
  sock_clearaddress(&from);
  if (len > sizeof from.u)
    len = sizeof from.u;
  memcpy(&from.u, data + sizeof e, len);
  if (len < sizeof from.u.in ||
      (from.u.sa.sa_family != AF_INET && from.u.sa.sa_family != AF_INET6))
    return; /* it is our own system's */
  from.len = (socklen_t)(from.u.sa.sa_family == AF_INET ? sizeof from.u.in
                                                        : sizeof from.u.in6);
  sock_pushaddress(L, &from);
  lua_setfield(L, -2, "from");
}

/* --------------------------------------------------------------- kinds */

static const Kind kinds[] = {
    {"fds", SOL_SOCKET, SCM_RIGHTS, AF_UNIX, 0, sock_pushfds, sock_encodefds},
#ifdef SCM_CREDENTIALS
    {"credentials", SOL_SOCKET, SCM_CREDENTIALS, AF_UNIX, sizeof(Credentials),
     getcredentials, setcredentials},
#endif
#ifdef IP_PKTINFO
    {"pktinfo", IPPROTO_IP, IP_PKTINFO, AF_INET, sizeof(Info4), getinfo4,
     setinfo4},
#endif
    {"pktinfo", IPPROTO_IPV6, IPV6_PKTINFO, AF_INET6,
     sizeof(struct in6_pktinfo), getinfo6, setinfo6},
    {"timestamp", SOL_SOCKET, SCM_TIMESTAMP, AF_UNSPEC, sizeof(struct timeval),
     gettimeval, NULL},
#ifdef SO_TIMESTAMPNS
    {"timestamp", SOL_SOCKET, SO_TIMESTAMPNS, AF_UNSPEC,
     sizeof(struct timespec), gettimespec, NULL},
#endif
    {"ttl", IPPROTO_IP, IP_TTL, AF_INET, 1, getnumber, setbyte},
    {"ttl", IPPROTO_IPV6, IPV6_HOPLIMIT, AF_INET6, 1, getnumber, setbyte},
    {"tos", IPPROTO_IP, IP_TOS, AF_INET, 1, getnumber, setbyte},
    {"tos", IPPROTO_IPV6, IPV6_TCLASS, AF_INET6, 1, getnumber, setbyte},
#ifdef IP_RECVERR
    {"error", IPPROTO_IP, IP_RECVERR, AF_INET, sizeof(Extended), geterror,
     NULL},
#endif
#ifdef IPV6_RECVERR
    {"error", IPPROTO_IPV6, IPV6_RECVERR, AF_INET6, sizeof(Extended), geterror,
     NULL},
#endif
#ifdef UDP_GRO /* how long the datagrams are that stand in one */
    {"segment", IPPROTO_UDP, UDP_GRO, AF_UNSPEC, sizeof(int), getnumber, NULL},
#endif
#ifdef UDP_SEGMENT
    {"segment", IPPROTO_UDP, UDP_SEGMENT, AF_UNSPEC, 0, NULL, setsegment},
#endif
    {NULL, 0, 0, 0, 0, NULL, NULL},
};

/* The row of what can be sent by this name. */
static const Kind *checkkind(lua_State *L, const char *name, int family) {
  int known = 0;
  for (const Kind *k = kinds; k->name != NULL; k++) {
    if (strcmp(k->name, name) != 0)
      continue;
    known = 1;
    if (k->encode != NULL && (k->family == AF_UNSPEC || k->family == family))
      return k;
  }
  blame(L, lua_pushfstring(L,
                           known ? "control data '%s' cannot be sent here"
                                 : "unknown control data '%s'",
                           name));
  return NULL;
}

/* The key below the top, a text without a zero byte: so each kind stands there
** once, and there is room for all. */
static const char *checkname(lua_State *L) {
  const char *name =
      lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
  if (name == NULL || strlen(name) != lua_rawlen(L, -2))
    blame(L, "a kind of control data is a name");
  return name;
}

size_t sock_encodecontrol(lua_State *L, int index, int family,
                          sock_Control *control) {
  size_t used = 0;
  memset(control, 0, sizeof *control);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const Kind *k = checkkind(L, checkname(L), family);
    struct cmsghdr *c = (void *)(control->bytes + used);
    size_t len = k->encode(L, (char *)CMSG_DATA(c));
    c->cmsg_level = k->level;
    c->cmsg_type = k->type;
    c->cmsg_len = CMSG_LEN(len);
    used += CMSG_SPACE(len);
    lua_pop(L, 1);
  }
  return used;
}

static const Kind *findkind(const struct cmsghdr *c) {
  for (const Kind *k = kinds; k->name != NULL; k++)
    if (k->level == c->cmsg_level && k->type == c->cmsg_type &&
        k->decode != NULL && c->cmsg_len >= CMSG_LEN(k->least))
      return k;
  return NULL;
}

void sock_pushcontrol(lua_State *L, struct msghdr *m, sock_Descriptors *box) {
  luaL_checkstack(L, 10, NULL);
  lua_newtable(L);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    const Kind *k = findkind(c);
    if (k == NULL)
      continue;
    if (lua_getfield(L, -1, k->name) == LUA_TNIL) {
      k->decode(L, (const char *)CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0), box);
      lua_setfield(L, -3, k->name);
    }
    lua_pop(L, 1);
  }
  if (m->msg_flags & MSG_CTRUNC) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "truncated");
  }
}

size_t sock_segment(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    const Kind *k = findkind(c);
    int n;
    if (k == NULL || strcmp(k->name, "segment") != 0)
      continue;
    memcpy(&n, CMSG_DATA(c), sizeof n);
    return n > 0 ? (size_t)n : 0;
  }
  return 0;
}

/* The kernel gives no address at all for a Unix sender without a name. */
void sock_pushsender(lua_State *L, const sock_Socket *s, sock_Sockaddr *from) {
  if (from->len < sizeof(sa_family_t) && s->family == AF_UNIX) {
    sock_clearaddress(from);
    from->u.sa.sa_family = AF_UNIX;
    from->len = sizeof(sa_family_t);
  }
  if (from->len >= sizeof(sa_family_t))
    sock_pushaddress(L, from);
  else
    lua_pushnil(L);
}
