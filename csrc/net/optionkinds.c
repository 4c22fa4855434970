/* optionkinds.c: option values between Lua and the kernel. */
#include "base/platform.h"
#include "net/options.h"

#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>

#include "base/error.h"
#include "net/socket.h"

/* --- numbers ------------------------------------------------------------ */

/* BSD answers some of IPPROTO_IP's options with one byte. */
static int integer(const sock_Value *v) {
  return v->size == 1 ? v->u.bytes[0] : v->u.integer;
}

static lua_Integer checkrange(lua_State *L, lua_Integer low, lua_Integer high) {
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_argcheck(L, n >= low && n <= high, 3, "number out of range");
  return n;
}

static int setflag(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  luaL_checktype(L, 3, LUA_TBOOLEAN);
  v->u.integer = lua_toboolean(L, 3);
  return 0;
}

static void getflag(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  lua_pushboolean(L, integer(v) != 0);
}

static int setint(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  v->u.integer = (int)checkrange(L, INT_MIN, INT_MAX);
  return 0;
}

static void getint(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  lua_pushinteger(L, integer(v));
}

static int setuint(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  v->u.integer = (int)(uint32_t)checkrange(L, 0, UINT32_MAX);
  return 0;
}

static void getuint(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  lua_pushinteger(L, (uint32_t)integer(v));
}

static int setwide(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  v->u.wide = (uint64_t)checkrange(L, 0, LUA_MAXINTEGER);
  return 0;
}

static void getwide(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  lua_pushinteger(L, (lua_Integer)v->u.wide);
}

/* All bits set is the kernel's way to say that there is no limit. */
static void pushrate(lua_State *L, uint64_t rate) {
  if (rate > (uint64_t)LUA_MAXINTEGER)
    lua_pushnumber(L, HUGE_VAL);
  else
    lua_pushinteger(L, (lua_Integer)rate);
}

static int setrate(lua_State *L, const sock_Option *o, sock_Value *v) {
  if (lua_type(L, 3) != LUA_TNUMBER || lua_tonumber(L, 3) < HUGE_VAL)
    return setwide(L, o, v);
  v->u.wide = UINT64_MAX;
  return 0;
}

static void getrate(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o; /* a 32-bit kernel has 32 bits for it */
  uint32_t narrow = (uint32_t)v->u.integer;
  if (v->size == sizeof narrow)
    pushrate(L, narrow == UINT32_MAX ? UINT64_MAX : narrow);
  else
    pushrate(L, v->u.wide);
}

/* --- times -------------------------------------------------------------- */

/* The kernel's units in argument 3's seconds. A short time is not made
** none: 0 mostly means "the system's default". */
static double checkunits(lua_State *L, const sock_Option *o, double most) {
  double seconds = luaL_checknumber(L, 3);
  double units = floor(seconds * sock_kinds[o->nature].unit + 0.5);
  luaL_argcheck(L, seconds >= 0 && units <= most, 3, "time out of range");
  return units < 1 && seconds > 0 ? 1 : units;
}

static int setseconds(lua_State *L, const sock_Option *o, sock_Value *v) {
  v->u.integer = (int)checkunits(L, o, INT_MAX);
  return 0;
}

static void getseconds(lua_State *L, const sock_Option *o,
                       const sock_Value *v) {
  lua_pushnumber(L, integer(v) / sock_kinds[o->nature].unit);
}

static int settimeval(lua_State *L, const sock_Option *o, sock_Value *v) {
  int64_t units = (int64_t)checkunits(L, o, 1e15);
  v->u.time.tv_sec = (time_t)(units / 1000000);
  v->u.time.tv_usec = (suseconds_t)(units % 1000000);
  return 0;
}

static void gettimeval(lua_State *L, const sock_Option *o,
                       const sock_Value *v) {
  lua_pushnumber(L, (double)v->u.time.tv_sec +
                        (double)v->u.time.tv_usec / sock_kinds[o->nature].unit);
}

static int setlinger(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  v->u.linger.l_onoff = lua_type(L, 3) != LUA_TBOOLEAN || lua_toboolean(L, 3);
  if (lua_type(L, 3) == LUA_TBOOLEAN)
    luaL_argcheck(L, !lua_toboolean(L, 3), 3, "false or seconds expected");
  else
    v->u.linger.l_linger = (int)checkrange(L, 0, INT_MAX);
  return 0;
}

static void getlinger(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  if (v->u.linger.l_onoff)
    lua_pushinteger(L, v->u.linger.l_linger);
  else
    lua_pushboolean(L, 0);
}

/* --- texts -------------------------------------------------------------- */

/* The kernel would cut a longer name and take what it begins with. */
static int settext(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  size_t len;
  const char *text = luaL_checklstring(L, 3, &len);
  luaL_argcheck(L, len < IF_NAMESIZE, 3, "text too long");
  luaL_argcheck(L, memchr(text, 0, len) == NULL, 3, "text contains zeros");
  memcpy(v->u.bytes, text, len);
  v->size = (socklen_t)len + 1;
  return 0;
}

static const char *pushtext(lua_State *L, const sock_Value *v) {
  const char *text = (const char *)v->u.bytes;
  return lua_pushlstring(L, text, strnlen(text, v->size));
}

static void gettext(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  pushtext(L, v);
}

static void getcode(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  if (integer(v) == 0)
    lua_pushboolean(L, 0);
  else
    sock_errorcode(L, integer(v));
}

/* A number that has no name stays a number. */
static void pushname(lua_State *L, const char *name, int number) {
  if (name != NULL)
    lua_pushstring(L, name);
  else
    lua_pushinteger(L, number);
}

static void gettype(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  pushname(L, sock_typename(integer(v)), integer(v));
}

static void getfamily(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  pushname(L, sock_familyname(integer(v)), integer(v));
}

/* --- tables that the kernel fills --------------------------------------- */

static void getpeer(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, v->u.peer[0]);
  lua_setfield(L, -2, "pid");
  lua_pushinteger(L, (uint32_t)v->u.peer[1]);
  lua_setfield(L, -2, "uid");
  lua_pushinteger(L, (uint32_t)v->u.peer[2]);
  lua_setfield(L, -2, "gid");
}

typedef struct Field {
  const char *name;
  int offset;
  int size;    /* in bytes */
  double unit; /* how many a second has; 0: no time */
} Field;

/*
** struct tcp_info as Linux has it; the C library's own ends where Linux 2.4's
** did. New fields come at the end, and the kernel says how many it gave.
** Times are in seconds here (the kernel counts some in milliseconds, some in
** microseconds), rates in bytes a second, windows and thresholds of the
** sender in segments, the rest counts.
*/
#define ROW(name, offset, size, unit) \
  { #name, offset, size, unit }

static const Field tcpinfo[] = {
    ROW(ca_state, 1, 1, 0),
    ROW(retransmits, 2, 1, 0),
    ROW(probes, 3, 1, 0),
    ROW(backoff, 4, 1, 0),
    ROW(options, 5, 1, 0),
    ROW(rto, 8, 4, 1e6),
    ROW(ato, 12, 4, 1e6),
    ROW(snd_mss, 16, 4, 0),
    ROW(rcv_mss, 20, 4, 0),
    ROW(unacked, 24, 4, 0),
    ROW(sacked, 28, 4, 0),
    ROW(lost, 32, 4, 0),
    ROW(retrans, 36, 4, 0),
    ROW(fackets, 40, 4, 0),
    ROW(last_data_sent, 44, 4, 1e3),
    ROW(last_ack_sent, 48, 4, 1e3),
    ROW(last_data_recv, 52, 4, 1e3),
    ROW(last_ack_recv, 56, 4, 1e3),
    ROW(pmtu, 60, 4, 0),
    ROW(rcv_ssthresh, 64, 4, 0),
    ROW(rtt, 68, 4, 1e6),
    ROW(rttvar, 72, 4, 1e6),
    ROW(snd_ssthresh, 76, 4, 0),
    ROW(snd_cwnd, 80, 4, 0),
    ROW(advmss, 84, 4, 0),
    ROW(reordering, 88, 4, 0),
    ROW(rcv_rtt, 92, 4, 1e6),
    ROW(rcv_space, 96, 4, 0),
    ROW(total_retrans, 100, 4, 0),
    ROW(pacing_rate, 104, 8, 0),
    ROW(max_pacing_rate, 112, 8, 0),
    ROW(bytes_acked, 120, 8, 0),
    ROW(bytes_received, 128, 8, 0),
    ROW(segs_out, 136, 4, 0),
    ROW(segs_in, 140, 4, 0),
    ROW(notsent_bytes, 144, 4, 0),
    ROW(min_rtt, 148, 4, 1e6),
    ROW(data_segs_in, 152, 4, 0),
    ROW(data_segs_out, 156, 4, 0),
    ROW(delivery_rate, 160, 8, 0),
    ROW(busy_time, 168, 8, 1e6),
    ROW(rwnd_limited, 176, 8, 1e6),
    ROW(sndbuf_limited, 184, 8, 1e6),
    ROW(delivered, 192, 4, 0),
    ROW(delivered_ce, 196, 4, 0),
    ROW(bytes_sent, 200, 8, 0),
    ROW(bytes_retrans, 208, 8, 0),
    ROW(dsack_dups, 216, 4, 0),
    ROW(reord_seen, 220, 4, 0),
    ROW(rcv_ooopack, 224, 4, 0),
    ROW(snd_wnd, 228, 4, 0),
    ROW(rcv_wnd, 232, 4, 0),
    ROW(rehash, 236, 4, 0),
    ROW(total_rto, 240, 2, 0),
    ROW(total_rto_recoveries, 242, 2, 0),
    ROW(total_rto_time, 244, 4, 1e3),
    ROW(received_ce, 248, 4, 0),
    ROW(delivered_e1_bytes, 252, 4, 0),
    ROW(delivered_e0_bytes, 256, 4, 0),
    ROW(delivered_ce_bytes, 260, 4, 0),
    ROW(received_e1_bytes, 264, 4, 0),
    ROW(received_e0_bytes, 268, 4, 0),
    ROW(received_ce_bytes, 272, 4, 0),
    {NULL, 0, 0, 0},
};

static const char *const tcpstates[] = {
    "ESTABLISHED", "SYN_SENT",  "SYN_RECV", "FIN_WAIT1",
    "FIN_WAIT2",   "TIME_WAIT", "CLOSE",    "CLOSE_WAIT",
    "LAST_ACK",    "LISTEN",    "CLOSING",  "NEW_SYN_RECV"}; /* from 1 on */

static uint64_t fieldvalue(const unsigned char *at, int size) {
  uint16_t two;
  uint32_t four;
  uint64_t eight;
  switch (size) {
  case 2:
    return memcpy(&two, at, sizeof two), two;
  case 4:
    return memcpy(&four, at, sizeof four), four;
  case 8:
    return memcpy(&eight, at, sizeof eight), eight;
  default:
    return *at;
  }
}

/* Bytes 0, 6 and 7 are no plain numbers. */
static void packedfields(lua_State *L, const unsigned char *info) {
  size_t state = info[0];
  if (state >= 1 && state <= sizeof tcpstates / sizeof *tcpstates)
    lua_pushstring(L, tcpstates[state - 1]);
  else
    lua_pushinteger(L, (lua_Integer)state);
  lua_setfield(L, -2, "state");
  struct {
    unsigned char send : 4, receive : 4, limited : 1, fastopen : 2;
  } bits;
  memcpy(&bits, info + 6, sizeof bits);
  lua_pushinteger(L, bits.send);
  lua_setfield(L, -2, "snd_wscale");
  lua_pushinteger(L, bits.receive);
  lua_setfield(L, -2, "rcv_wscale");
  lua_pushboolean(L, bits.limited);
  lua_setfield(L, -2, "delivery_rate_app_limited");
  lua_pushinteger(L, bits.fastopen);
  lua_setfield(L, -2, "fastopen_client_fail");
}

static void gettcpinfo(lua_State *L, const sock_Option *o,
                       const sock_Value *v) {
  (void)o;
  lua_createtable(L, 0, sizeof tcpinfo / sizeof *tcpinfo + 4);
  packedfields(L, v->u.bytes);
  for (const Field *f = tcpinfo; f->name != NULL; f++) {
    if ((socklen_t)(f->offset + f->size) > v->size)
      break;
    uint64_t n = fieldvalue(v->u.bytes + f->offset, f->size);
    if (f->unit > 0) /* min_rtt is all ones before the first sample */
      lua_pushnumber(L, n == UINT32_MAX ? HUGE_VAL : (double)n / f->unit);
    else
      pushrate(L, n);
    lua_setfield(L, -2, f->name);
  }
}

/* --- interfaces --------------------------------------------------------- */

/* Lua value at `index` to an interface's index, or ENODEV; `what` it is. */
static int checkinterface(lua_State *L, int index, const char *what,
                          unsigned *number) {
  if (lua_type(L, index) == LUA_TNUMBER) {
    int whole;
    lua_Integer n = lua_tointegerx(L, index, &whole);
    if (!whole || n < 0 || n > INT_MAX)
      luaL_argerror(L, 3, lua_pushfstring(L, "%s out of range", what));
    *number = (unsigned)n;
    return 0;
  }
  if (lua_type(L, index) != LUA_TSTRING)
    luaL_argerror(L, 3,
                  lua_pushfstring(L, "%s must be a name or an index", what));
  size_t len;
  const char *name = lua_tolstring(L, index, &len);
  *number = strlen(name) == len ? if_nametoindex(name) : 0;
  return *number != 0 ? 0 : ENODEV;
}

/* The table that maps a socket to the interface that it was given here, by
** weak keys; pushed. */
static void pushgiven(lua_State *L, const sock_Option *o) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, o) != LUA_TNIL)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, o);
}

void sock_remember(lua_State *L, const sock_Option *o) {
  if (o->nature < SOCK_INTERFACE || o->nature > SOCK_OUTGOING)
    return;
  pushgiven(L, o);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Pushes what this socket was given, nil if nothing, and says its index. */
static unsigned pushremembered(lua_State *L, const sock_Option *o) {
  pushgiven(L, o);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING)
    return if_nametoindex(lua_tostring(L, -1));
  return (unsigned)lua_tointeger(L, -1);
}

static void pushinterface(lua_State *L, const sock_Option *o, unsigned number) {
  char name[IF_NAMESIZE];
  if (pushremembered(L, o) == number && !lua_isnil(L, -1))
    return;
  pushname(L, number != 0 ? if_indextoname(number, name) : NULL, (int)number);
}

static int setinterface(lua_State *L, const sock_Option *o, sock_Value *v) {
  unsigned number;
  int err = checkinterface(L, 3, "interface", &number);
  int network = o->nature == SOCK_NETINTERFACE;
  v->u.integer = (int)(network ? htonl(number) : number);
  return err;
}

static void getinterface(lua_State *L, const sock_Option *o,
                         const sock_Value *v) {
  unsigned number = (unsigned)integer(v);
  int network = o->nature == SOCK_NETINTERFACE;
  pushinterface(L, o, network ? ntohl(number) : number);
}

/* bindtodevice: the kernel wants the name; "" and 0 unbind. */
static int setdevice(lua_State *L, const sock_Option *o, sock_Value *v) {
  unsigned number;
  if (lua_type(L, 3) != LUA_TNUMBER) {
    return settext(L, o, v);
  }
  (void)checkinterface(L, 3, "interface", &number);
  v->size = IF_NAMESIZE;
  return number == 0 || if_indextoname(number, (char *)v->u.bytes) ? 0 : ENODEV;
}

static void getdevice(lua_State *L, const sock_Option *o, const sock_Value *v) {
  unsigned number = if_nametoindex(pushtext(L, v));
  if (pushremembered(L, o) != number || lua_type(L, -1) != LUA_TNUMBER)
    lua_pop(L, 1);
}

static int setoutgoing(lua_State *L, const sock_Option *o, sock_Value *v) {
  (void)o;
  unsigned number;
  int err = checkinterface(L, 3, "interface", &number);
  v->u.outgoing.imr_ifindex = (int)number;
  return err;
}

/* The interface that has this address; 0 if none. */
static unsigned holder(struct in_addr address) {
  unsigned number = 0;
  struct ifaddrs *all;
  if (getifaddrs(&all) < 0)
    return 0;
  for (struct ifaddrs *i = all; i != NULL && number == 0; i = i->ifa_next) {
    struct sockaddr_in in;
    if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET)
      continue;
    memcpy(&in, i->ifa_addr, sizeof in);
    if (in.sin_addr.s_addr == address.s_addr)
      number = if_nametoindex(i->ifa_name);
  }
  freeifaddrs(all);
  return number;
}

/* ip_multicast_if reads as the address it was set by and as nothing else:
** one set by index is known only to whoever set it. */
static void getoutgoing(lua_State *L, const sock_Option *o,
                        const sock_Value *v) {
  if (v->u.in.s_addr != INADDR_ANY) {
    pushinterface(L, o, holder(v->u.in));
    return;
  }
  (void)pushremembered(L, o);
  if (lua_isnil(L, -1))
    lua_pushinteger(L, 0);
}

/* --- memberships -------------------------------------------------------- */

/* Raises for a field that the option has no use for: a misspelt interface
** would mean any of them. */
static void checkfields(lua_State *L, const char *const *allowed) {
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    const char *const *name = allowed;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    while (*name != NULL && strcmp(*name, key) != 0)
      name++;
    if (*name == NULL) {
      key = sock_quote(L, key, strlen(key));
      luaL_argerror(L, 3, lua_pushfstring(L, "unknown field %s", key));
    }
    lua_pop(L, 1);
  }
}

/* Field `name`, an address or a numeric host, of the wanted family if that
** is not 0. */
static int checkhost(lua_State *L, const char *name, int family,
                     struct sockaddr_storage *to) {
  sock_Sockaddr a;
  size_t len;
  sock_clearaddress(&a);
  lua_getfield(L, 3, name);
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *host = lua_tolstring(L, -1, &len);
    if (!sock_parsehost(host, len, 0, &a))
      return EINVAL;
  } else if (!sock_toaddress(L, -1, &a)) {
    luaL_argerror(
        L, 3,
        lua_pushfstring(L, "field '%s' must be an address or a host", name));
  }
  *to = a.u.any;
  lua_pop(L, 1);
  if (family == 0 && (to->ss_family == AF_INET || to->ss_family == AF_INET6))
    return 0;
  return to->ss_family == family ? 0 : EAFNOSUPPORT;
}

static int optinterface(lua_State *L, unsigned *number) {
  *number = 0;
  int err = 0;
  if (lua_getfield(L, 3, "interface") != LUA_TNIL)
    err = checkinterface(L, -1, "field 'interface'", number);
  lua_pop(L, 1);
  return err;
}

static int familyof(int level) {
  return level == IPPROTO_IP ? AF_INET : level == IPPROTO_IPV6 ? AF_INET6 : 0;
}

/*
** All in the form of RFC 3678, which suits both families and, unlike
** struct ip_mreq_source, names the interface by its index. fe80::/10 and
** ff02::/16 may bring theirs along: "ff02::1%eth0".
*/
static int setgroup(lua_State *L, const sock_Option *o, sock_Value *v) {
  static const char *const allowed[] = {"group", "interface", NULL};
  sock_Sockaddr a;
  sock_clearaddress(&a);
  if (o->nature == SOCK_GROUP)
    checkfields(L, allowed);
  int err = checkhost(L, "group", familyof(o->level), &a.u.any);
  unsigned number;
  int unknown = optinterface(L, &number);
  if (number == 0 && a.u.any.ss_family == AF_INET6)
    number = a.u.in6.sin6_scope_id;
  if (o->level < 0)
    v->level = a.u.any.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  v->u.group.gr_interface = number;
  v->u.group.gr_group = a.u.any;
  return err != 0 ? err : unknown;
}

static int setsource(lua_State *L, const sock_Option *o, sock_Value *v) {
  static const char *const allowed[] = {"group", "interface", "source", NULL};
  checkfields(L, allowed);
  struct sockaddr_storage source = {0};
  int err = setgroup(L, o, v);
  int wrong = checkhost(L, "source", v->u.group.gr_group.ss_family, &source);
  v->u.source.gsr_source = source;
  return err != 0 ? err : wrong;
}

static int setnetlinkgroup(lua_State *L, const sock_Option *o, sock_Value *v) {
  static const char *const allowed[] = {"group", NULL};
  (void)o;
  checkfields(L, allowed);
  int whole;
  lua_getfield(L, 3, "group");
  lua_Integer n = lua_tointegerx(L, -1, &whole);
  luaL_argcheck(L, whole && n >= 0 && n <= INT_MAX, 3,
                "field 'group' must be a number");
  v->u.integer = (int)n;
  return 0;
}

/* "promisc", "allmulti" or a MAC address: packet(7). */
static int readpacketgroup(const char *text, sock_PacketGroup *to) {
  enum { MULTICAST, PROMISC, ALLMULTI, UNICAST };
  unsigned char *mac = to->address;
  int end = 0;
  to->type = strcmp(text, "promisc") == 0 ? PROMISC : ALLMULTI;
  if (to->type == PROMISC || strcmp(text, "allmulti") == 0)
    return 0;
  if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", mac, mac + 1,
             mac + 2, mac + 3, mac + 4, mac + 5, &end) != 6 ||
      text[end] != '\0')
    return EINVAL;
  to->type = mac[0] & 1 ? MULTICAST : UNICAST;
  to->size = 6;
  return 0;
}

static int setpacketgroup(lua_State *L, const sock_Option *o, sock_Value *v) {
  static const char *const allowed[] = {"group", "interface", NULL};
  (void)o;
  checkfields(L, allowed);
  unsigned number;
  int unknown = optinterface(L, &number);
  luaL_argcheck(L, lua_getfield(L, 3, "group") == LUA_TSTRING, 3,
                "field 'group' must be a text");
  v->u.packet.interface = (int)number;
  int err = readpacketgroup(lua_tostring(L, -1), &v->u.packet);
  return err != 0 ? err : unknown;
}

/* --- the table ---------------------------------------------------------- */

#define SIZE(member) (sizeof(((sock_Value *)0)->u.member))

const sock_Kind sock_kinds[] = {
    [SOCK_FLAG] = {setflag, getflag, SIZE(integer), 0},
    [SOCK_FLAG_READ] = {NULL, getflag, SIZE(integer), 0},
    [SOCK_INT] = {setint, getint, SIZE(integer), 0},
    [SOCK_INT_READ] = {NULL, getint, SIZE(integer), 0},
    [SOCK_INT_WRITE] = {setint, NULL, SIZE(integer), 0},
    [SOCK_UINT] = {setuint, getuint, SIZE(integer), 0},
    [SOCK_UINT_READ] = {NULL, getuint, SIZE(integer), 0},
    [SOCK_WIDE] = {setwide, getwide, SIZE(wide), 0},
    [SOCK_WIDE_READ] = {NULL, getwide, SIZE(wide), 0},
    [SOCK_RATE] = {setrate, getrate, SIZE(wide), 0},
    [SOCK_MILLISECONDS] = {setseconds, getseconds, SIZE(integer), 1e3},
    [SOCK_MICROSECONDS] = {setseconds, getseconds, SIZE(integer), 1e6},
    [SOCK_TIMEVAL] = {settimeval, gettimeval, SIZE(time), 1e6},
    [SOCK_LINGER] = {setlinger, getlinger, SIZE(linger), 0},
    [SOCK_TEXT] = {settext, gettext, IF_NAMESIZE, 0},
    [SOCK_TEXT_READ] = {NULL, gettext, SIZE(bytes), 0},
    [SOCK_CODE] = {NULL, getcode, SIZE(integer), 0},
    [SOCK_TYPE] = {NULL, gettype, SIZE(integer), 0},
    [SOCK_FAMILY] = {NULL, getfamily, SIZE(integer), 0},
    [SOCK_PEER] = {NULL, getpeer, SIZE(peer), 0},
    [SOCK_TCPINFO] = {NULL, gettcpinfo, SIZE(bytes), 0},
    [SOCK_INTERFACE] = {setinterface, getinterface, SIZE(integer), 0},
    [SOCK_NETINTERFACE] = {setinterface, getinterface, SIZE(integer), 0},
    [SOCK_DEVICE] = {setdevice, getdevice, IF_NAMESIZE, 0},
    [SOCK_OUTGOING] = {setoutgoing, getoutgoing, SIZE(outgoing), 0},
    [SOCK_GROUP] = {setgroup, NULL, SIZE(group), 0},
    [SOCK_SOURCE] = {setsource, NULL, SIZE(source), 0},
    [SOCK_NETLINKGROUP] = {setnetlinkgroup, NULL, SIZE(integer), 0},
    [SOCK_PACKETGROUP] = {setpacketgroup, NULL, SIZE(packet), 0},
    [SOCK_REFUSED] = {NULL, NULL, 0, 0},
};
