/*
** resolve.h: names to addresses and back.
**
** A look-up may take seconds, so it is a job in plain memory: filled by
** whoever asks, run by sock_runlookup, which touches no Lua and may
** therefore run on any thread, and read by whoever asked. A sock_Held on
** the Lua stack owns the job, so that an error in between frees it.
*/
#ifndef SOCK_RESOLVE_H
#define SOCK_RESOLVE_H

#include <netdb.h>

#include "loop/await.h"
#include "net/address.h"

#define SOCK_SERVICEMAX ((size_t)255) /* bytes of a service's name */

/*
** Forwards (getaddrinfo): `host` and `service` are asked for, "" where there
** is none, and `found` is the answer. Backwards (getnameinfo): `given` is
** asked for, `host` and `service` are the answer.
*/
typedef struct sock_Lookup {
  int backwards;
  int family, type, flags; /* hints; flags are AI_… or NI_… */
  int port;                /* of every address; -1: the service's */
  sock_Sockaddr given;     /* forwards: a host that needs no look-up */
  char host[NI_MAXHOST];
  char service[SOCK_SERVICEMAX + 1];
  int eai;              /* 0 or EAI_… */
  int err;              /* errno, where eai is EAI_SYSTEM */
  size_t count;         /* how many were found; at least 1 if eai is 0 */
  sock_Sockaddr *found; /* from malloc; in the system's order */
} sock_Lookup;

/* Fills in the answer. No Lua; safe on any thread. */
void sock_runlookup(sock_Lookup *job);

/*
** Looks `host` up, a NUL-terminated name that sock_ishostname accepts. On
** success pushes its first address, with `port`, and ends as next(L, 0);
** else returns nil, message, code.
*/
int sock_resolve(lua_State *L, const char *host, int port, int family, int type,
                 sock_Try next);

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

/*
** Memory that others allocate (malloc, getifaddrs) and Lua owns: create it
** empty, then acquire.
*/
typedef struct sock_Held {
  void *memory; /* NULL: nothing held */
  void (*drop)(void *memory);
} sock_Held;

sock_Held *sock_newheld(lua_State *L, void (*drop)(void *)); /* [-0,+1,m] */
void sock_release(sock_Held *held); /* drops it now; harmless again */

#endif
