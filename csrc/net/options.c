/* options.c: getsockopt and setsockopt. */
#include "base/platform.h"
#include "net/options.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

#include "base/error.h"
#include "net/socket.h"

enum {
  MAXRAW = 65536, /* bytes of a raw option */
  MAXNAME = 40,   /* longer than any option's */
  MAXNEAR = 3     /* names that an error message suggests */
};

/* What some system has and another lacks, so that a program that asks for it
** is told so and not that it cannot spell. */
static const char known[] =
    " bindtodevice bindtoifindex bintime busy_poll cookie domain"
    " incoming_cpu incoming_napi_id ip_bind_address_no_port ip_bindany"
    " ip_checksum ip_freebind ip_local_port_range ip_minttl ip_mtu"
    " ip_mtu_discover ip_multicast_all ip_nodefrag ip_pktinfo ip_portrange"
    " ip_recvdstaddr ip_recverr ip_recvfragsize ip_recvif ip_recvopts"
    " ip_recvorigdstaddr ip_recvtos ip_recvttl ip_retopts ip_router_alert"
    " ip_sendsrcaddr ip_transparent ip_unicast_if ipv6_autoflowlabel"
    " ipv6_dontfrag ipv6_freebind ipv6_minhopcount ipv6_mtu"
    " ipv6_mtu_discover ipv6_multicast_all ipv6_portrange ipv6_recvdstopts"
    " ipv6_recverr ipv6_recvfragsize ipv6_recvhoplimit ipv6_recvhopopts"
    " ipv6_recvorigdstaddr ipv6_recvpathmtu ipv6_recvpktinfo ipv6_recvrthdr"
    " ipv6_recvtclass ipv6_router_alert ipv6_tclass ipv6_transparent"
    " ipv6_unicast_if ipv6_use_min_mtu mark max_pacing_rate"
    " netlink_add_membership netlink_broadcast_error netlink_cap_ack"
    " netlink_drop_membership netlink_ext_ack netlink_get_strict_chk"
    " netlink_listen_all_nsid netlink_no_enobufs netlink_pktinfo nosigpipe"
    " packet_add_membership packet_auxdata packet_copy_thresh"
    " packet_drop_membership packet_fanout packet_ignore_outgoing"
    " packet_loss packet_origdev packet_qdisc_bypass packet_reserve"
    " packet_timestamp packet_version packet_vnet_hdr passcred passpidfd"
    " passsec peek_off peercred peerpidfd peersec prefer_busy_poll priority"
    " protocol rcvbufforce rcvmark reuseport rxq_ovfl select_err_queue"
    " setfib sndbufforce tcp_ao tcp_congestion tcp_cork tcp_defer_accept"
    " tcp_fastopen tcp_fastopen_connect tcp_fastopen_key"
    " tcp_fastopen_no_cookie tcp_info tcp_inq tcp_keepalive tcp_keepcnt"
    " tcp_keepidle tcp_keepintvl tcp_linger2 tcp_md5sig tcp_notsent_lowat"
    " tcp_quickack tcp_rto_max_ms tcp_syncnt tcp_tx_delay tcp_ulp"
    " tcp_user_timeout tcp_window_clamp timestamp timestamping timestampns"
    " udp_cork udp_gro udp_no_check6_rx udp_no_check6_tx udp_segment"
    " useloopback user_cookie vm_sockets_buffer_max_size"
    " vm_sockets_buffer_min_size vm_sockets_buffer_size"
    " vm_sockets_connect_timeout zerocopy"
    " ";

/* --- finding a row ------------------------------------------------------ */

static const sock_Option *find(const char *name, size_t len) {
  const sock_Option *o = sock_options;
  while (o->name != NULL &&
         (strlen(o->name) != len || memcmp(o->name, name, len) != 0))
    o++;
  return o->name != NULL ? o : NULL;
}

static int isknown(lua_State *L, const char *name, size_t len) {
  const char *word = lua_pushfstring(L, " %s ", name);
  return strlen(word) == len + 2 && strchr(name, ' ') == NULL &&
         strstr(known, word) != NULL;
}

static int least(int a, int b, int c) {
  int min = a < b ? a : b;
  return min < c ? min : c;
}

/* How many letters to add, drop or change to make one name the other
** (Levenshtein, one row at a time). Both are at most MAXNAME long. */
static int distance(const char *a, const char *b) {
  int row[MAXNAME + 1];
  int n = (int)strlen(b);
  for (int j = 0; j <= n; j++)
    row[j] = j;
  for (int i = 1; a[i - 1] != '\0'; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = least(row[j] + 1, row[j - 1] + 1, change);
    }
  }
  return row[n];
}

/* The same, but a forgotten prefix ("nodelay") costs nothing. */
static int nearness(const char *name, const sock_Option *o) {
  const char *tail = strchr(o->name, '_');
  int whole = distance(name, o->name);
  if (tail == NULL || o->level == SOL_SOCKET)
    return whole;
  int part = distance(name, tail + 1);
  return part < whole ? part : whole;
}

/* Pushes " (did you mean 'x' or 'y'?)" with the nearest names, or nothing
** of the kind if none is near. `name` is in lower case. */
static void pushnear(lua_State *L, const char *name) {
  int len = (int)strlen(name), best = len < 6 ? len > 0 : len / 3, count = 0;
  const char *near[MAXNEAR];
  for (const sock_Option *o = sock_options; o->name != NULL; o++) {
    int d = nearness(name, o);
    if (d < best)
      best = d, count = 0;
    if (d == best && count < MAXNEAR)
      near[count++] = o->name;
  }
  lua_pushstring(L, count > 0 ? " (did you mean " : "");
  for (int i = 0; i < count; i++) {
    lua_pushfstring(L, "%s'%s'%s", i > 0 ? " or " : "", near[i],
                    i + 1 == count ? "?)" : "");
    lua_concat(L, 2);
  }
}

/* What people write who know the C names: SO_REUSEADDR. Cuts what is longer
** than any name: it is near to none. */
static void tolowercase(const char *name, size_t len, char *to) {
  if (len >= 3 && (memcmp(name, "SO_", 3) == 0 || memcmp(name, "so_", 3) == 0))
    name += 3, len -= 3;
  size_t n = len <= MAXNAME ? len : 0;
  for (size_t i = 0; i < n; i++)
    to[i] = (char)tolower((unsigned char)name[i]);
  to[n] = '\0';
}

/* The name as a message may show it: it can be anything of any length. */
static const char *quoted(lua_State *L, const char *name, size_t len) {
  size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  if (plain == len && len <= MAXNAME)
    return lua_pushfstring(L, "'%s'", name);
  return sock_quote(L, name, len);
}

static int unknown(lua_State *L, const char *name, size_t len) {
  char plain[MAXNAME + 1];
  if (isknown(L, name, len))
    return luaL_argerror(
        L, 2, lua_pushfstring(L, "this system has no option '%s'", name));
  tolowercase(name, len, plain);
  lua_pushfstring(L, "unknown option %s", quoted(L, name, len));
  pushnear(L, plain);
  lua_concat(L, 2);
  return luaL_argerror(L, 2, lua_tostring(L, -1));
}

static const sock_Option *checkoption(lua_State *L) {
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  const sock_Option *o = find(name, len);
  if (o == NULL)
    unknown(L, name, len);
  else if (o->nature == SOCK_REFUSED)
    luaL_argerror(L, 2, lua_pushfstring(L, "use settimeout, not '%s'", name));
  return o;
}

/* --- the calls ---------------------------------------------------------- */

static int checkint(lua_State *L, int arg) {
  lua_Integer n = luaL_checkinteger(L, arg);
  luaL_argcheck(L, n >= INT_MIN && n <= INT_MAX, arg, "number out of range");
  return (int)n;
}

/* getsockopt(level, number, size) */
static int getraw(lua_State *L, const sock_Socket *s) {
  int level = checkint(L, 2), number = checkint(L, 3);
  lua_Integer size = luaL_checkinteger(L, 4);
  luaL_argcheck(L, size >= 0 && size <= MAXRAW, 4, "size out of range");
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, (size_t)size);
  socklen_t len = (socklen_t)size;
  if (getsockopt(s->watch.fd, level, number, room, &len) < 0) {
    int err = errno;
    return sock_fail(L, err, "getsockopt %d %d", level, number);
  }
  luaL_pushresultsize(&b, len);
  return 1;
}

/* setsockopt(level, number, bytes) */
static int setraw(lua_State *L, const sock_Socket *s) {
  int level = checkint(L, 2), number = checkint(L, 3);
  size_t size;
  const char *bytes = luaL_checklstring(L, 4, &size);
  luaL_argcheck(L, size <= MAXRAW, 4, "too many bytes");
  if (setsockopt(s->watch.fd, level, number, bytes, (socklen_t)size) < 0) {
    int err = errno;
    return sock_fail(L, err, "setsockopt %d %d", level, number);
  }
  lua_settop(L, 1);
  return 1;
}

static int s_getsockopt(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  if (lua_type(L, 2) == LUA_TNUMBER)
    return getraw(L, s);
  const sock_Option *o = checkoption(L);
  const sock_Kind *kind = &sock_kinds[o->nature];
  if (kind->decode == NULL)
    return luaL_argerror(L, 2,
                         lua_pushfstring(L, "'%s' is write-only", o->name));
  sock_Value v = {.size = kind->size};
  if (getsockopt(s->watch.fd, o->level, o->number, &v.u, &v.size) < 0) {
    int err = errno;
    return sock_fail(L, err, "getsockopt %s", o->name);
  }
  lua_settop(L, 1);
  kind->decode(L, o, &v);
  return 1;
}

/* The value at index 3 for the option that index 2 names; raises what the
** caller did wrong, else 0 or an error number. */
static int encode(lua_State *L, const sock_Option **option, sock_Value *v) {
  const sock_Option *o = *option = checkoption(L);
  const sock_Kind *kind = &sock_kinds[o->nature];
  if (kind->encode == NULL)
    return luaL_argerror(L, 2,
                         lua_pushfstring(L, "'%s' is read-only", o->name));
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  v->level = o->level;
  v->size = kind->size;
  return kind->encode(L, o, v);
}

static int s_setsockopt(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  if (lua_type(L, 2) == LUA_TNUMBER)
    return setraw(L, s);
  const sock_Option *o;
  sock_Value v = {0};
  int err = encode(L, &o, &v);
  if (err == 0 && setsockopt(s->watch.fd, v.level, o->number, &v.u, v.size) < 0)
    err = errno;
  if (err != 0)
    return sock_fail(L, err, "setsockopt %s", o->name);
  sock_remember(L, o);
  lua_settop(L, 1);
  return 1;
}

/* checkoption(nil, name, value): raises what setsockopt would */
static int l_checkoption(lua_State *L) {
  const sock_Option *o;
  sock_Value v = {0};
  (void)encode(L, &o, &v);
  return 0;
}

static int byname(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int l_options(lua_State *L) {
  size_t count = 0, n = 0;
  for (const sock_Option *o = sock_options; o->name != NULL; o++)
    count++;
  const char **names = lua_newuserdatauv(L, count * sizeof *names, 0);
  for (const sock_Option *o = sock_options; o->name != NULL; o++)
    if (o->nature != SOCK_REFUSED)
      names[n++] = o->name;
  qsort(names, n, sizeof *names, byname);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

const luaL_Reg sock_optionmethods[] = {
    {"getsockopt", s_getsockopt}, {"setsockopt", s_setsockopt}, {NULL, NULL}};

const luaL_Reg sock_optionfunctions[] = {
    {"options", l_options}, {"checkoption", l_checkoption}, {NULL, NULL}};
