/*
** family.h: one table row per address family.
*/
#ifndef SOCK_FAMILY_H
#define SOCK_FAMILY_H

#include "net/address.h"

typedef struct sock_Family {
  int number;         /* AF_… */
  const char *name;   /* as sock.socket takes it */
  const char *prefix; /* how its texts begin; NULL for host and port */
  /* Reads what follows the prefix: NULL, or why it is no address (pushed). */
  const char *(*parse)(lua_State *L, const char *text, size_t len,
                       sock_Sockaddr *a);
  /* Pushes the text that parse reads. */
  void (*text)(lua_State *L, const sock_Sockaddr *a);
  /* Pushes the field of that name, or answers 0. */
  int (*field)(lua_State *L, const sock_Sockaddr *a, const char *name);
  /* Clears what must not tell equal addresses apart; may be NULL. */
  void (*normalize)(sock_Sockaddr *a);
} sock_Family;

extern const sock_Family sock_families[]; /* ends with a NULL name */

const sock_Family *sock_findfamily(int number); /* NULL if unknown */

/* family_linux.c: how its families are read, printed and looked into. */
#define SOCK_FAMILYFUNCTIONS(name)                                             \
  const char *sock_parse##name(lua_State *L, const char *text, size_t len,     \
                               sock_Sockaddr *a);                              \
  void sock_text##name(lua_State *L, const sock_Sockaddr *a);                  \
  int sock_field##name(lua_State *L, const sock_Sockaddr *a, const char *key); \
  void sock_normalize##name(sock_Sockaddr *a)

SOCK_FAMILYFUNCTIONS(netlink);
SOCK_FAMILYFUNCTIONS(packet);
SOCK_FAMILYFUNCTIONS(vsock);

/* A whole text as an unsigned number up to `max`, or -1. */
int64_t sock_tonumber(const char *text, size_t len, uint32_t max);

/* An interface by name or index, 0 if there is none; and its name, pushed. */
unsigned sock_tointerface(const char *text, size_t len);
void sock_pushinterface(lua_State *L, unsigned index);

/* Cuts the first field off `rest`, which ends at `sep` or the text's end. */
size_t sock_cutfield(const char **rest, const char *end, char sep,
                     const char **field);

#endif
