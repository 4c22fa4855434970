/* address.c: address values: interned, printed, read. */
#include "base/platform.h"
#include "base/class.h"
#include "base/error.h"
#include "net/family.h"
#include "net/socket.h"

#include <arpa/inet.h>
#include <stdio.h>

typedef struct Address {
  socklen_t len;
  unsigned char bytes[]; /* a struct sockaddr of that length */
} Address;

static const char internkey = 'a'; /* its address names the weak table */

static int addr_index(lua_State *L);
static int addr_tostring(lua_State *L);

static const luaL_Reg meta[] = {
    {"__index", addr_index}, {"__tostring", addr_tostring}, {NULL, NULL}};

static const sock_Class class = {"address", meta, NULL};

void sock_openaddress(lua_State *L) {
  sock_newclass(L, &class);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &internkey);
}

int sock_toaddress(lua_State *L, int index, sock_Sockaddr *a) {
  const Address *address = sock_testobject(L, index, &class);
  if (address == NULL)
    return 0;
  memcpy(&a->u, address->bytes, address->len);
  a->len = address->len;
  return 1;
}

/*
** The table maps an address's bytes to its value: as a string, which exists
** already if the address does, or where Lua would make a new string each
** time, as their hash. Equal hashes stand side by side, at most WINDOW.
*/
#define SHORT ((socklen_t)40) /* LUAI_MAXSHORTLEN */
#define WINDOW 4

static lua_Integer hashof(const sock_Sockaddr *a) {
  uint64_t h = 14695981039346656037U; /* FNV-1a */
  const unsigned char *bytes = (const unsigned char *)&a->u;
  for (socklen_t i = 0; i < a->len; i++)
    h = (h ^ bytes[i]) * 1099511628211U;
  return (lua_Integer)h;
}

static int isequal(const Address *address, const sock_Sockaddr *a) {
  return address->len == a->len && memcmp(address->bytes, &a->u, a->len) == 0;
}

/* The table is on top; leaves the value above it, or the key of a new one:
** nil where there is no room. */
static int find(lua_State *L, const sock_Sockaddr *a) {
  if (a->len <= SHORT) {
    lua_pushlstring(L, (const char *)&a->u, a->len);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TUSERDATA)
      return 1;
    lua_pop(L, 1);
    return 0;
  }
  lua_Integer hash = hashof(a), vacant = 0;
  int room = 0;
  for (int i = WINDOW - 1; i >= 0; i--) {
    lua_Integer key = (lua_Integer)((lua_Unsigned)hash + (lua_Unsigned)i);
    if (lua_rawgeti(L, -1, key) == LUA_TUSERDATA) {
      if (isequal(lua_touserdata(L, -1), a))
        return 1;
    } else {
      vacant = key;
      room = 1;
    }
    lua_pop(L, 1);
  }
  if (room)
    lua_pushinteger(L, vacant);
  else
    lua_pushnil(L);
  return 0;
}

/* [-0,+1,m] */
static void intern(lua_State *L, const sock_Sockaddr *a) {
  int top = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &internkey);
  if (!find(L, a)) {
    Address *address = sock_newobject(L, &class, sizeof *address + a->len, 0);
    address->len = a->len;
    memcpy(address->bytes, &a->u, a->len);
    if (!lua_isnil(L, -2)) {
      lua_pushvalue(L, -2); /* key */
      lua_pushvalue(L, -2); /* value */
      lua_rawset(L, top + 1);
    }
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

static void unmapv4(sock_Sockaddr *a) {
  if (a->u.sa.sa_family != AF_INET6 ||
      !IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr))
    return;
  struct sockaddr_in in;
  memset(&in, 0, sizeof in);
  in.sin_family = AF_INET;
  in.sin_port = a->u.in6.sin6_port;
  memcpy(&in.sin_addr, a->u.in6.sin6_addr.s6_addr + 12, 4);
  a->u.in = in;
  a->len = sizeof in;
}

static void normalize(sock_Sockaddr *a) {
  const sock_Family *family = sock_findfamily(a->u.sa.sa_family);
  if (family != NULL && family->normalize != NULL)
    family->normalize(a);
}

void sock_pushaddress(lua_State *L, const sock_Sockaddr *given) {
  sock_Sockaddr a = *given;
  if (a.len > sizeof a.u) /* cut by the kernel: a path of 108 bytes */
    a.len = sizeof a.u;
  unmapv4(&a);
  normalize(&a);
  luaL_checkstack(L, 5, NULL);
  intern(L, &a);
}

const char *sock_addresstext(lua_State *L, const sock_Sockaddr *given) {
  sock_Sockaddr a = *given;
  unmapv4(&a);
  normalize(&a);
  const sock_Family *family = sock_findfamily(a.u.sa.sa_family);
  if (family != NULL)
    family->text(L, &a);
  else
    lua_pushfstring(L, "family %d", (int)a.u.sa.sa_family);
  return lua_tostring(L, -1);
}

static int addr_tostring(lua_State *L) {
  sock_Sockaddr a;
  sock_checkobject(L, 1, &class);
  sock_toaddress(L, 1, &a);
  sock_addresstext(L, &a);
  return 1;
}

static int addr_index(lua_State *L) {
  sock_Sockaddr a;
  sock_checkobject(L, 1, &class);
  sock_toaddress(L, 1, &a);
  const sock_Family *family = sock_findfamily(a.u.sa.sa_family);
  size_t len = 0;
  const char *name =
      lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &len) : "";
  if (strlen(name) != len)
    name = ""; /* a field has no zero in its name */
  if (strcmp(name, "family") == 0)
    lua_pushstring(L, family != NULL ? family->name : NULL);
  else if (family == NULL || !family->field(L, &a, name))
    lua_pushnil(L);
  return 1;
}

/* A text for a message: what a terminal or a log must not get is escaped,
** and nobody wants to read ten megabytes. */
const char *sock_quote(lua_State *L, const char *text, size_t len) {
  char out[4 * 64 + 8], *p = out;
  size_t shown = len > 64 ? 64 : len;
  *p++ = '"';
  for (size_t i = 0; i < shown; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
      *p++ = (char)c;
    else
      p += snprintf(p, 5, "\\x%02X", c);
  }
  *p++ = '"';
  lua_pushlstring(L, out, (size_t)(p - out));
  if (shown < len) {
    lua_pushfstring(L, "... (%I bytes)", (lua_Integer)len);
    lua_concat(L, 2);
  }
  return lua_tostring(L, -1);
}

static int failtext(lua_State *L, const char *text, size_t len,
                    const char *why) {
  return sock_refuse(L, "address %s: %s", sock_quote(L, text, len), why);
}

int sock_checkport(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TSTRING) {
    size_t len;
    const char *text = lua_tolstring(L, arg, &len);
    return (int)sock_parseport(text, len);
  }
  lua_Integer port = luaL_checkinteger(L, arg);
  luaL_argcheck(L, port >= 0 && port <= 65535, arg, "port out of range");
  return (int)port;
}

/* sock.address(text) */
static int fromtext(lua_State *L) {
  size_t len;
  const char *text = lua_tolstring(L, 1, &len);
  sock_Sockaddr a;
  const char *why = sock_parseaddress(L, text, len, &a);
  if (why != NULL)
    return failtext(L, text, len, why);
  sock_pushaddress(L, &a);
  return 1;
}

/* sock.address(host, port) */
static int fromhost(lua_State *L) {
  size_t len;
  const char *host = lua_tolstring(L, 1, &len);
  sock_Sockaddr a;
  int port = sock_checkport(L, 2);
  if (port < 0) {
    const char *text = lua_tolstring(L, 2, &len);
    return failtext(L, text, len, "not a port");
  }
  if (!sock_parsehost(host, len, port, &a))
    return failtext(L, host, len, "not a numeric host");
  sock_pushaddress(L, &a);
  return 1;
}

static int l_address(lua_State *L) {
  sock_Sockaddr a;
  if (lua_isnoneornil(L, 2) && sock_toaddress(L, 1, &a)) {
    lua_settop(L, 1);
    return 1;
  }
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 2);
  return lua_isnil(L, 2) ? fromtext(L) : fromhost(L);
}

static int l_portrange(lua_State *L) {
  lua_Integer port = luaL_checkinteger(L, 1);
  luaL_argcheck(L, port >= 0 && port <= 65535, 1, "port out of range");
  lua_pushstring(L, port < 1024    ? "well-known"
                    : port < 49152 ? "registered"
                                   : "dynamic");
  return 1;
}

static int l_inet_pton(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  sock_Sockaddr a;
  if (memchr(text, '%', len) != NULL || !sock_parsehost(text, len, 0, &a))
    return sock_refuse(L, "inet_pton %s: not a numeric host",
                       sock_quote(L, text, len));
  if (a.u.sa.sa_family == AF_INET)
    lua_pushlstring(L, (const char *)&a.u.in.sin_addr, 4);
  else
    lua_pushlstring(L, (const char *)&a.u.in6.sin6_addr, 16);
  return 1;
}

static int l_inet_ntop(lua_State *L) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  char text[INET6_ADDRSTRLEN];
  luaL_argcheck(L, len == 4 || len == 16, 1, "4 or 16 bytes expected");
  inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text);
  lua_pushstring(L, text);
  return 1;
}

/* "host:port" in two, whatever they name; nothing if it is not of that form,
** or begins like an address of a family that has another one. */
static int l_splithost(lua_State *L) {
  size_t len, hostlen;
  const char *text = luaL_checklstring(L, 1, &len), *host, *port;
  if (sock_hasprefix(text, len) ||
      !sock_splithost(text, len, &hostlen, &host, &port))
    return 0;
  lua_pushlstring(L, host, hostlen);
  lua_pushlstring(L, port, (size_t)(text + len - port));
  return 2;
}

const luaL_Reg sock_addressfunctions[] = {
    {"address", l_address},     {"splithost", l_splithost},
    {"portrange", l_portrange}, {"inet_pton", l_inet_pton},
    {"inet_ntop", l_inet_ntop}, {NULL, NULL}};
