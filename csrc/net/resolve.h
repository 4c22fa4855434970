/*
** resolve.h: names to addresses and back. A look-up may take seconds, so it
** is a job on a worker thread (lookup.h); a sock_Held on the Lua stack owns
** it, so that an error in between throws it away.
*/
#ifndef SOCK_RESOLVE_H
#define SOCK_RESOLVE_H

#include "loop/await.h"
#include "net/address.h"

/* What sock_resolve is to look up, and for how long. */
typedef struct sock_Query {
  const char *op;   /* for messages; a literal */
  const char *host; /* NUL-terminated */
  int port;
  int family, type;
  double seconds;
  sock_Try next;
} sock_Query;

/*
** Looks the host up. On success pushes its first address, with the port, and
** ends as next(L, 0); else returns nil, message, code.
*/
int sock_resolve(lua_State *L, const sock_Query *query);

/* Whether the resolver may be asked for it: letters, digits, - and _ in
** labels of 1 to 63 bytes, the last not a number (RFC 1123, 2.1), so that
** nothing that looks like an address is guessed at. */
int sock_ishostname(const char *text, size_t len);

/* nil, `call "text": not what`, "EINVAL", for text no name can be. */
int sock_failtext(lua_State *L, const char *call, const char *text, size_t len,
                  const char *what);

/* EMFILE or ENFILE if there is no descriptor left, else 0: where glibc has
** none to ask with, it says that the name is unknown. */
int sock_nodescriptor(void);

#endif
