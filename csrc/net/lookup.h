/*
** lookup.h: a look-up as a job for a worker thread. No Lua.
*/
#ifndef SOCK_LOOKUP_H
#define SOCK_LOOKUP_H

#include <netdb.h>

#include "loop/loop.h"
#include "loop/workers.h"
#include "net/address.h"

#define SOCK_SERVICEMAX ((size_t)255) /* bytes of a service's name */

/*
** Forwards (getaddrinfo): `host` and `service` are asked for, "" where there
** is none, and `found` is the answer. Backwards (getnameinfo): `given` is
** asked for, `host` and `service` are the answer.
*/
typedef struct sock_Lookup {
  sock_Job base; /* first, so that both are one pointer */
  int backwards;
  int family, type, flags; /* hints; flags are AI_… or NI_… */
  int port;                /* of every address; -1: the service's */
  sock_Sockaddr given;     /* forwards: a host that needs no look-up */
  char host[NI_MAXHOST];
  char service[SOCK_SERVICEMAX + 1];
  int eai;              /* 0 or EAI_… */
  int err;              /* errno, where eai is EAI_SYSTEM */
  const char *op;       /* which call it is for */
  sock_Try give;        /* what the asker does with the answer … */
  sock_Try next;        /* … and what comes after that */
  int tried;            /* again, after a collection */
  size_t count;         /* how many were found; at least 1 if eai is 0 */
  sock_Sockaddr *found; /* from malloc; in the system's order */
} sock_Lookup;

/* A new one, all zeros but what makes it a job; NULL without memory. */
sock_Lookup *sock_newlookup(void);

#endif
