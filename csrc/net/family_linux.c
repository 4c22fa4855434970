/*
** family_linux.c: the families that only Linux has: netlink(7), packet(7),
** vsock(7).
*/
#include "base/platform.h"
#include "net/family.h"

#include <stdio.h>

#ifdef AF_NETLINK

/* "netlink:0:1": port id, groups */
const char *sock_parsenetlink(lua_State *L, const char *text, size_t len,
                              sock_Sockaddr *a) {
  const char *end = text + len, *field;
  size_t n = sock_cutfield(&text, end, ':', &field);
  int64_t pid = sock_tonumber(field, n, UINT32_MAX);
  int64_t groups = sock_tonumber(text, (size_t)(end - text), UINT32_MAX);
  if (pid < 0 || groups < 0)
    return lua_pushliteral(L, "not netlink:PID:GROUPS");
  struct sockaddr_nl *nl = (struct sockaddr_nl *)&a->u;
  nl->nl_family = AF_NETLINK;
  nl->nl_pid = (uint32_t)pid;
  nl->nl_groups = (uint32_t)groups;
  a->len = sizeof *nl;
  return NULL;
}

void sock_textnetlink(lua_State *L, const sock_Sockaddr *a) {
  const struct sockaddr_nl *nl = (const struct sockaddr_nl *)&a->u;
  lua_pushfstring(L, "netlink:%I:%I", (lua_Integer)nl->nl_pid,
                  (lua_Integer)nl->nl_groups);
}

int sock_fieldnetlink(lua_State *L, const sock_Sockaddr *a, const char *name) {
  const struct sockaddr_nl *nl = (const struct sockaddr_nl *)&a->u;
  if (strcmp(name, "pid") == 0)
    lua_pushinteger(L, (lua_Integer)nl->nl_pid);
  else if (strcmp(name, "groups") == 0)
    lua_pushinteger(L, (lua_Integer)nl->nl_groups);
  else
    return 0;
  return 1;
}

#endif

#ifdef AF_VSOCK

/* "vsock:3:1024": context id, port */
const char *sock_parsevsock(lua_State *L, const char *text, size_t len,
                            sock_Sockaddr *a) {
  const char *end = text + len, *field;
  size_t n = sock_cutfield(&text, end, ':', &field);
  int64_t cid = sock_tonumber(field, n, UINT32_MAX);
  int64_t port = sock_tonumber(text, (size_t)(end - text), UINT32_MAX);
  if (cid < 0 || port < 0)
    return lua_pushliteral(L, "not vsock:CID:PORT");
  struct sockaddr_vm *vm = (struct sockaddr_vm *)&a->u;
  vm->svm_family = AF_VSOCK;
  vm->svm_cid = (unsigned)cid;
  vm->svm_port = (unsigned)port;
  a->len = sizeof *vm;
  return NULL;
}

void sock_textvsock(lua_State *L, const sock_Sockaddr *a) {
  const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&a->u;
  lua_pushfstring(L, "vsock:%I:%I", (lua_Integer)vm->svm_cid,
                  (lua_Integer)vm->svm_port);
}

int sock_fieldvsock(lua_State *L, const sock_Sockaddr *a, const char *name) {
  const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&a->u;
  if (strcmp(name, "host") == 0)
    lua_pushfstring(L, "%I", (lua_Integer)vm->svm_cid);
  else if (strcmp(name, "port") == 0)
    lua_pushinteger(L, (lua_Integer)vm->svm_port);
  else
    return 0;
  return 1;
}

void sock_normalizevsock(sock_Sockaddr *a) {
  struct sockaddr_vm *vm = (struct sockaddr_vm *)&a->u;
  unsigned cid = vm->svm_cid, port = vm->svm_port;
  memset(vm, 0, sizeof *vm);
  vm->svm_family = AF_VSOCK;
  vm->svm_cid = cid;
  vm->svm_port = port;
}

#endif

#ifdef AF_PACKET

/* "aa-bb-cc-dd-ee-ff", up to eight bytes */
static int parsemac(const char *text, size_t len, struct sockaddr_ll *ll) {
  size_t n = 0;
  for (size_t i = 0; i < len; i += 3, n++) {
    unsigned byte;
    char pair[3] = {text[i], i + 1 < len ? text[i + 1] : (char)0, 0};
    if (n == sizeof ll->sll_addr || strspn(pair, "0123456789abcdef") != 2 ||
        (i + 2 < len && (text[i + 2] != '-' || i + 3 == len)))
      return 0;
    (void)sscanf(pair, "%2x", &byte);
    ll->sll_addr[n] = (unsigned char)byte;
  }
  ll->sll_halen = (unsigned char)n;
  return 1;
}

/* "packet:eth0", "packet:eth0:PROTOCOL", "packet:eth0:PROTOCOL:MAC:TYPE" */
const char *sock_parsepacket(lua_State *L, const char *text, size_t len,
                             sock_Sockaddr *a) {
  struct sockaddr_ll *ll = (struct sockaddr_ll *)&a->u;
  const char *end = text + len, *name, *protocol, *mac, *type;
  size_t namelen = sock_cutfield(&text, end, ':', &name);
  size_t protocollen = sock_cutfield(&text, end, ':', &protocol);
  size_t maclen = sock_cutfield(&text, end, ':', &mac);
  size_t typelen = sock_cutfield(&text, end, ':', &type);
  int64_t ether = protocollen ? sock_tonumber(protocol, protocollen, 65535) : 0;
  int64_t packettype = typelen ? sock_tonumber(type, typelen, 255) : 0;
  ll->sll_family = AF_PACKET;
  a->len = sizeof *ll;
  if (ether < 0 || packettype < 0 || text != end || !parsemac(mac, maclen, ll))
    return lua_pushliteral(L, "not packet:INTERFACE[:PROTOCOL[:MAC[:TYPE]]]");
  ll->sll_protocol = htons((uint16_t)ether);
  ll->sll_pkttype = (unsigned char)packettype;
  ll->sll_ifindex = (int)sock_tointerface(name, namelen);
  if (ll->sll_ifindex == 0 && !(namelen == 1 && name[0] == '0'))
    return lua_pushliteral(L, "no such interface");
  return NULL;
}

/* In a text ':' parts the fields, so there its bytes are parted by '-'. */
static void pushmac(lua_State *L, const struct sockaddr_ll *ll, char sep) {
  char text[3 * sizeof ll->sll_addr + 1] = "";
  size_t n = ll->sll_halen;
  if (n > sizeof ll->sll_addr)
    n = sizeof ll->sll_addr;
  for (size_t i = 0; i < n; i++)
    (void)snprintf(text + 3 * i, 4, "%02x%c", ll->sll_addr[i], sep);
  lua_pushlstring(L, text, n > 0 ? 3 * n - 1 : 0);
}

void sock_textpacket(lua_State *L, const sock_Sockaddr *a) {
  const struct sockaddr_ll *ll = (const struct sockaddr_ll *)&a->u;
  int protocol = ntohs(ll->sll_protocol), type = ll->sll_pkttype;
  lua_pushliteral(L, "packet:");
  sock_pushinterface(L, (unsigned)ll->sll_ifindex);
  lua_concat(L, 2);
  if (protocol != 0 || ll->sll_halen != 0 || type != 0) {
    lua_pushfstring(L, ":%d", protocol);
    lua_concat(L, 2);
  }
  if (ll->sll_halen != 0 || type != 0) {
    lua_pushliteral(L, ":");
    pushmac(L, ll, '-');
    lua_concat(L, 3);
  }
  if (type != 0) {
    lua_pushfstring(L, ":%d", type);
    lua_concat(L, 2);
  }
}

int sock_fieldpacket(lua_State *L, const sock_Sockaddr *a, const char *name) {
  const struct sockaddr_ll *ll = (const struct sockaddr_ll *)&a->u;
  if (strcmp(name, "host") == 0)
    sock_pushinterface(L, (unsigned)ll->sll_ifindex);
  else if (strcmp(name, "protocol") == 0)
    lua_pushinteger(L, ntohs(ll->sll_protocol));
  else if (strcmp(name, "mac") == 0)
    pushmac(L, ll, ':');
  else if (strcmp(name, "packettype") == 0)
    lua_pushinteger(L, ll->sll_pkttype);
  else
    return 0;
  return 1;
}

/* The hardware type follows from the interface. */
void sock_normalizepacket(sock_Sockaddr *a) {
  struct sockaddr_ll *ll = (struct sockaddr_ll *)&a->u;
  size_t used = ll->sll_halen;
  ll->sll_hatype = 0;
  if (used < sizeof ll->sll_addr)
    memset(ll->sll_addr + used, 0, sizeof ll->sll_addr - used);
  a->len = sizeof *ll;
}

#endif
