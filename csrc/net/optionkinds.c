/* optionkinds.c: option values between Lua and the kernel. */
#include "base/platform.h"
#include "net/options.h"

#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>

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
void sock_pushrate(lua_State *L, uint64_t rate) {
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
    sock_pushrate(L, narrow == UINT32_MAX ? UINT64_MAX : narrow);
  else
    sock_pushrate(L, v->u.wide);
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

/* --- interfaces --------------------------------------------------------- */

/* Lua value at `index` to an interface's index, or ENODEV; `what` it is. */
int sock_checkinterface(lua_State *L, int index, const char *what,
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
  int err = sock_checkinterface(L, 3, "interface", &number);
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
  (void)sock_checkinterface(L, 3, "interface", &number);
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
  int err = sock_checkinterface(L, 3, "interface", &number);
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
    [SOCK_TCPINFO] = {NULL, sock_gettcpinfo, SIZE(bytes), 0},
    [SOCK_INTERFACE] = {setinterface, getinterface, SIZE(integer), 0},
    [SOCK_NETINTERFACE] = {setinterface, getinterface, SIZE(integer), 0},
    [SOCK_DEVICE] = {setdevice, getdevice, IF_NAMESIZE, 0},
    [SOCK_OUTGOING] = {setoutgoing, getoutgoing, SIZE(outgoing), 0},
    [SOCK_GROUP] = {sock_setgroup, NULL, SIZE(group), 0},
    [SOCK_SOURCE] = {sock_setsource, NULL, SIZE(source), 0},
    [SOCK_NETLINKGROUP] = {sock_setnetlinkgroup, NULL, SIZE(integer), 0},
    [SOCK_PACKETGROUP] = {sock_setpacketgroup, NULL, SIZE(packet), 0},
    [SOCK_REFUSED] = {NULL, NULL, 0, 0},
};
