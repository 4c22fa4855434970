/* names.c: services, protocols, this host and its interfaces. */
#include "base/platform.h"
#include "base/error.h"
#include "base/held.h"
#include "net/names.h"
#include "net/resolve.h"
#include "net/socket.h"

#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define NAMEMAX ((size_t)255)
#define HOSTMAX ((size_t)253) /* a name's text in DNS: RFC 1035, 2.3.4 */
#define LABELMAX ((size_t)63)
#define MACLEN ((size_t)6)

/* ----------------------------------------------------- what can be a name */

static int isdecimal(char c) {
  return c >= '0' && c <= '9';
}

static int isletter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int ishexdigit(char c) {
  return isdecimal(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t span(const char *text, size_t len, int (*is)(char)) {
  size_t n = 0;
  while (n < len && is(text[n]))
    n++;
  return n;
}

static int inlabel(char c) {
  return isletter(c) || isdecimal(c) || c == '-' || c == '_';
}

/* inet_aton reads 127.1 and 0x7f.1 as addresses; each ends in a number. */
static int isnumber(const char *label, size_t len) {
  if (len >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
    return span(label + 2, len - 2, ishexdigit) == len - 2;
  return span(label, len, isdecimal) == len;
}

int sock_ishostname(const char *text, size_t len) {
  if (len > 0 && text[len - 1] == '.') /* the root's empty label */
    len--;
  if (len > HOSTMAX)
    return 0;
  for (;;) {
    size_t label = span(text, len, inlabel);
    if (label == 0 || label > LABELMAX)
      return 0;
    if (label == len)
      return !isnumber(text, label);
    if (text[label] != '.')
      return 0;
    text += label + 1;
    len -= label + 1;
  }
}

static int isname(const char *text, size_t len) {
  for (size_t i = 0; i < len && len <= NAMEMAX; i++)
    if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
      return 0;
  return len > 0 && len <= NAMEMAX;
}

/* As it is where a terminal may see it, else quoted; pushed. */
static const char *pushshown(lua_State *L, const char *name) {
  for (const char *p = name; *p != '\0'; p++)
    if ((unsigned char)*p > 0x7f)
      return sock_quote(L, name, strlen(name));
  return lua_pushstring(L, name);
}

/* NULL, which is any protocol, "tcp" or "udp". */
static const char *optproto(lua_State *L, int arg) {
  size_t len;
  const char *name = luaL_optlstring(L, arg, NULL, &len);
  if (name == NULL || (len == 3 && (memcmp(name, "tcp", 3) == 0 ||
                                    memcmp(name, "udp", 3) == 0)))
    return name;
  const char *got = sock_quote(L, name, len);
  luaL_argerror(L, arg,
                lua_pushfstring(L, "\"tcp\" or \"udp\" expected, got %s", got));
  return NULL;
}

/* ------------------------------------------------ services and protocols */

enum { SPACEMIN = 1024, SPACEMAX = 65536 };

typedef struct Query {
  const char *name, *proto;
  int port; /* in the network's order */
  struct servent serv;
  struct protoent prot;
} Query;

/* One attempt with that much space: 0, ENOENT, ERANGE or what went wrong. */
typedef int (*Attempt)(Query *q, char *space, size_t size);

static int servbyname(Query *q, char *space, size_t size) {
  struct servent *found = NULL;
  int err = getservbyname_r(q->name, q->proto, &q->serv, space, size, &found);
  return err == 0 && found == NULL ? ENOENT : err;
}

static int servbyport(Query *q, char *space, size_t size) {
  struct servent *found = NULL;
  int err = getservbyport_r(q->port, q->proto, &q->serv, space, size, &found);
  return err == 0 && found == NULL ? ENOENT : err;
}

static int protobyname(Query *q, char *space, size_t size) {
  struct protoent *found = NULL;
  int err = getprotobyname_r(q->name, &q->prot, space, size, &found);
  return err == 0 && found == NULL ? ENOENT : err;
}

/* Leaves what the answer points into on the stack. [-0,+?,m] */
static int find(lua_State *L, Query *q, Attempt attempt) {
  size_t size = SPACEMIN;
  for (int tried = 0;;) {
    int err = attempt(q, lua_newuserdatauv(L, size, 0), size);
    if (err == ERANGE && size < SPACEMAX)
      size *= 2;
    else if (err == 0 || !sock_reclaim(L, err, &tried))
      return err;
  }
}

static int failfind(lua_State *L, int err, const char *call, const char *name,
                    const char *what) {
  const char *shown = pushshown(L, name);
  if (err != ENOENT)
    return sock_fail(L, err, "%s %s", call, shown);
  lua_pushnil(L);
  lua_pushfstring(L, "%s %s: unknown %s", call, shown, what);
  lua_pushliteral(L, "ENOENT");
  return 3;
}

int sock_serviceport(lua_State *L, const char *name, size_t len,
                     const char *protocol) {
  Query q = {.name = name, .proto = protocol};
  int top = lua_gettop(L);
  int found = isname(name, len) && find(L, &q, servbyname) == 0;
  int port = found ? ntohs((uint16_t)q.serv.s_port) : -1;
  lua_settop(L, top);
  return port;
}

int sock_protocolnumber(lua_State *L, const char *name, size_t len) {
  Query q = {.name = name};
  int top = lua_gettop(L);
  int found = isname(name, len) && find(L, &q, protobyname) == 0;
  int number = found ? q.prot.p_proto : -1;
  lua_settop(L, top);
  return number;
}

static int l_getservbyname(lua_State *L) {
  size_t len;
  Query q = {.name = luaL_checklstring(L, 1, &len), .proto = optproto(L, 2)};
  if (!isname(q.name, len))
    return sock_failtext(L, "getservbyname", q.name, len, "a service name");
  int err = find(L, &q, servbyname);
  if (err != 0)
    return failfind(L, err, "getservbyname", q.name, "service");
  lua_pushinteger(L, ntohs((uint16_t)q.serv.s_port));
  return 1;
}

static int l_getservbyport(lua_State *L) {
  lua_Integer port = luaL_checkinteger(L, 1);
  luaL_argcheck(L, port >= 0 && port <= 65535, 1, "port out of range");
  Query q = {.proto = optproto(L, 2), .port = htons((uint16_t)port)};
  int err = find(L, &q, servbyport);
  if (err != 0)
    return failfind(L, err, "getservbyport", lua_pushfstring(L, "%I", port),
                    "service");
  lua_pushstring(L, q.serv.s_name);
  return 1;
}

static int l_getprotobyname(lua_State *L) {
  size_t len;
  Query q = {.name = luaL_checklstring(L, 1, &len)};
  if (!isname(q.name, len))
    return sock_failtext(L, "getprotobyname", q.name, len, "a protocol name");
  int err = find(L, &q, protobyname);
  if (err != 0)
    return failfind(L, err, "getprotobyname", q.name, "protocol");
  lua_pushinteger(L, q.prot.p_proto);
  return 1;
}

static int l_gethostname(lua_State *L) {
  char name[NI_MAXHOST] = "";
  if (gethostname(name, sizeof name - 1) != 0) {
    int err = errno;
    return sock_fail(L, err, "gethostname");
  }
  lua_pushstring(L, name);
  return 1;
}

/* ------------------------------------------------- an interface's number */

int sock_nodescriptor(void) {
  int fd = platform_socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0)
    return errno == EMFILE || errno == ENFILE ? errno : 0;
  (void)close(fd);
  return 0;
}

static int reason(int err) {
  int none = sock_nodescriptor();
  return none != 0 ? none : err;
}

static int l_if_nametoindex(lua_State *L) {
  size_t len;
  int err, tried = 0;
  const char *name = luaL_checklstring(L, 1, &len);
  if (!isname(name, len))
    return sock_failtext(L, "if_nametoindex", name, len, "an interface name");
  do {
    unsigned index = if_nametoindex(name);
    err = errno;
    if (index != 0) {
      lua_pushinteger(L, index);
      return 1;
    }
    err = reason(err);
  } while (sock_reclaim(L, err, &tried));
  return sock_fail(L, err, "if_nametoindex %s", pushshown(L, name));
}

static int l_if_indextoname(lua_State *L) {
  char name[IF_NAMESIZE];
  int err, tried = 0;
  lua_Integer index = luaL_checkinteger(L, 1);
  luaL_argcheck(L, index >= 0 && index <= INT_MAX, 1, "index out of range");
  do {
    const char *found = if_indextoname((unsigned)index, name);
    err = errno;
    if (found != NULL) {
      lua_pushstring(L, found);
      return 1;
    }
    err = reason(err);
  } while (sock_reclaim(L, err, &tried));
  return sock_fail(L, err, "if_indextoname %d", (int)index);
}

/* ------------------------------------------------------------ interfaces */

/* One row of getifaddrs: an interface's link, or one of its addresses. */
typedef struct Entry {
  unsigned index;
  size_t order; /* the system's; qsort does not keep it */
  const struct ifaddrs *is;
} Entry;

typedef struct Flag {
  const char *name;
  unsigned flag;
} Flag;

static const Flag flags[] = {
    {"up", IFF_UP},
    {"loopback", IFF_LOOPBACK},
    {"multicast", IFF_MULTICAST},
};

static int familyof(const struct ifaddrs *is) {
  return is->ifa_addr != NULL ? is->ifa_addr->sa_family : AF_UNSPEC;
}

static const struct sockaddr_ll *linkof(const struct ifaddrs *is) {
  return familyof(is) == AF_PACKET ? (const void *)is->ifa_addr : NULL;
}

/* By name where there is no link: an address may stand under a label,
** "eth0:1", which the kernel takes for eth0. */
static unsigned indexof(const struct ifaddrs *is) {
  const struct sockaddr_ll *link = linkof(is);
  return link != NULL ? (unsigned)link->sll_ifindex
                      : if_nametoindex(is->ifa_name);
}

static int compare(const void *left, const void *right) {
  const Entry *a = left, *b = right;
  if (a->index != b->index)
    return a->index < b->index ? -1 : 1;
  return (a->order > b->order) - (a->order < b->order);
}

/* Pushes the entries, sorted by index, in one block of memory. */
static Entry *pushentries(lua_State *L, const struct ifaddrs *all,
                          size_t *count) {
  size_t n = 0;
  for (const struct ifaddrs *is = all; is != NULL; is = is->ifa_next)
    n++;
  Entry *entries = lua_newuserdatauv(L, n * sizeof *entries, 0);
  n = 0;
  for (const struct ifaddrs *is = all; is != NULL; is = is->ifa_next) {
    unsigned index = indexof(is);
    if (index != 0) { /* else it went away meanwhile */
      entries[n] = (Entry){index, n, is};
      n++;
    }
  }
  qsort(entries, n, sizeof *entries, compare);
  *count = n;
  return entries;
}

/* No Lua between socket and close: nothing to leak. -1 if unknown. */
static int mtuof(const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  int fd = platform_socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0)
    return -1;
  int got = ioctl(fd, SIOCGIFMTU, &request);
  (void)close(fd);
  return got == 0 ? request.ifr_mtu : -1;
}

/* Starts an interface: its table in the result, at stack index `result`,
** and left on the stack with its empty list of addresses above. [-0,+2,m] */
static void pushinterface(lua_State *L, int result, const Entry *e) {
  int mtu = mtuof(e->is->ifa_name);
  lua_createtable(L, 0, 8);
  lua_pushvalue(L, -1);
  lua_rawseti(L, result, (lua_Integer)lua_rawlen(L, result) + 1);
  lua_pushstring(L, e->is->ifa_name);
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, e->index);
  lua_setfield(L, -2, "index");
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    lua_pushboolean(L, (e->is->ifa_flags & flags[i].flag) != 0);
    lua_setfield(L, -2, flags[i].name);
  }
  if (mtu >= 0) {
    lua_pushinteger(L, mtu);
    lua_setfield(L, -2, "mtu");
  }
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "addresses");
}

/* Loopback's is all zeros and a tunnel's an IP address: none is a MAC. */
static void setmac(lua_State *L, const struct sockaddr_ll *link) {
  static const unsigned char none[MACLEN];
  const unsigned char *m = link->sll_addr;
  char text[3 * MACLEN];
  if (link->sll_halen != MACLEN || memcmp(m, none, MACLEN) == 0)
    return;
  snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
           m[3], m[4], m[5]);
  lua_pushstring(L, text);
  lua_setfield(L, -3, "mac");
}

static const void *bytesof(const struct sockaddr *sa, int family, int *bits) {
  *bits = family == AF_INET ? 32 : 128;
  if (family == AF_INET)
    return &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
  return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
}

/* How many leading ones the mask has; without a mask, all of them. */
static int prefixof(const struct sockaddr *mask, int family) {
  int bits, n = 0;
  const unsigned char *bytes = bytesof(mask, family, &bits);
  while (n < bits && (mask == NULL || (bytes[n / 8] & (0x80 >> n % 8)) != 0))
    n++;
  return n;
}

static void addaddress(lua_State *L, const struct ifaddrs *is) {
  sock_Sockaddr a;
  int family = familyof(is);
  sock_clearaddress(&a);
  a.len = family == AF_INET ? sizeof a.u.in : sizeof a.u.in6;
  memcpy(&a.u, is->ifa_addr, a.len);
  lua_createtable(L, 0, 2);
  sock_pushaddress(L, &a);
  lua_setfield(L, -2, "address");
  lua_pushinteger(L, prefixof(is->ifa_netmask, family));
  lua_setfield(L, -2, "prefix");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static void pushinterfaces(lua_State *L, const Entry *e, size_t count) {
  lua_newtable(L);
  int result = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    if (i == 0 || e[i].index != e[i - 1].index) {
      lua_settop(L, result);
      pushinterface(L, result, &e[i]);
    }
    int family = familyof(e[i].is);
    if (linkof(e[i].is) != NULL)
      setmac(L, linkof(e[i].is));
    else if (family == AF_INET || family == AF_INET6)
      addaddress(L, e[i].is);
  }
  lua_settop(L, result);
}

static void droplist(void *list) {
  freeifaddrs(list);
}

static int l_interfaces(lua_State *L) {
  int err = 0, tried = 0;
  size_t count;
  struct ifaddrs *all = NULL;
  sock_Held *held = sock_newheld(L, droplist);
  do {
    err = getifaddrs(&all) == 0 ? 0 : errno;
  } while (err != 0 && sock_reclaim(L, err, &tried));
  if (err != 0)
    return sock_fail(L, err, "interfaces");
  held->memory = all;
  const Entry *entries = pushentries(L, all, &count);
  pushinterfaces(L, entries, count);
  sock_release(held);
  return 1;
}

const luaL_Reg sock_namefunctions[] = {
    {"getservbyname", l_getservbyname},   {"getservbyport", l_getservbyport},
    {"getprotobyname", l_getprotobyname}, {"gethostname", l_gethostname},
    {"interfaces", l_interfaces},         {"if_nametoindex", l_if_nametoindex},
    {"if_indextoname", l_if_indextoname}, {NULL, NULL}};
