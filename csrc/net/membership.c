/* membership.c: {group=, interface=, source=} for the kernel. */
#include "base/platform.h"
#include "net/options.h"

#include <limits.h>
#include <stdio.h>

#include "net/address.h"

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
        lua_pushfstring(L, "field '%s' must be an address or a numeric host",
                        name));
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
    err = sock_checkinterface(L, -1, "field 'interface'", number);
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
int sock_setgroup(lua_State *L, const sock_Option *o, sock_Value *v) {
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

int sock_setsource(lua_State *L, const sock_Option *o, sock_Value *v) {
  static const char *const allowed[] = {"group", "interface", "source", NULL};
  checkfields(L, allowed);
  struct sockaddr_storage source = {0};
  int err = sock_setgroup(L, o, v);
  int wrong = checkhost(L, "source", v->u.group.gr_group.ss_family, &source);
  v->u.source.gsr_source = source;
  return err != 0 ? err : wrong;
}

int sock_setnetlinkgroup(lua_State *L, const sock_Option *o, sock_Value *v) {
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

int sock_setpacketgroup(lua_State *L, const sock_Option *o, sock_Value *v) {
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
