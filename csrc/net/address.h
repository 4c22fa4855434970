/*
** address.h: address values.
**
** An address is an immutable userdata that holds what the kernel calls a
** socket address. Equal addresses are one value: a weak table maps their
** bytes to it, so they compare with == and serve as table keys.
*/
#ifndef SOCK_ADDRESS_H
#define SOCK_ADDRESS_H

#include <lauxlib.h>
#include <lua.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A place for any socket address, on the C stack. */
typedef struct sock_Sockaddr {
  socklen_t len;
  union {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage any;
  } u;
} sock_Sockaddr;

#define sock_clearaddress(a) \
  (memset((a), 0, sizeof *(a)), (a)->len = sizeof(a)->u)

void sock_openaddress(lua_State *L); /* [-0,+0,m] */

/* Pushes the address value for what the kernel gave. IPv4 peers of an IPv6
** socket appear as inet. */
void sock_pushaddress(lua_State *L, const sock_Sockaddr *a);

/* The address value at `index` copied to `a`; 0 if it is none. */
int sock_toaddress(lua_State *L, int index, sock_Sockaddr *a);

/* Pushes the text of an address, without making it a value. */
const char *sock_addresstext(lua_State *L, const sock_Sockaddr *a);

/* Reads a text with both host and port, or "unix:…" and its like.
** Answers NULL, or why it is no address (pushed). */
const char *sock_parseaddress(lua_State *L, const char *text, size_t len,
                              sock_Sockaddr *a);

/* Whether a text begins as a family's texts do: "unix:" and its like. */
int sock_hasprefix(const char *text, size_t len);

/* Reads a numeric host, with any %scope; 0 if it is none. */
int sock_parsehost(const char *host, size_t len, int port, sock_Sockaddr *a);

/* Cuts "host:port" or "[host]:port" in two; 0 if there is no such cut. */
int sock_splithost(const char *text, size_t len, size_t *hostlen,
                   const char **host, const char **port);

/* A port argument: 0…65535, or -1 for a text that is no number. Raises for a
** number that is no port. */
int sock_checkport(lua_State *L, int arg);

/* 0…65535 in decimal digits, or -1. */
long sock_parseport(const char *text, size_t len);

/* "inet" for AF_INET; NULL for one that has no name. */
const char *sock_familyname(int family);
int sock_familynumber(const char *name); /* -1 if unknown */

/* A text for an error message: quoted, shortened, unprintables escaped;
** pushed. */
const char *sock_quote(lua_State *L, const char *text, size_t len);

#endif
