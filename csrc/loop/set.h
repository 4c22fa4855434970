/*
** set.h: several descriptors waited for at once, by wait and select.
**
** A set is a userdata. While its waiter waits, each entry observes a watch:
** a socket's own, or one that all who wait for the same foreign descriptor
** share and that goes with the last of them.
*/
#ifndef SOCK_SET_H
#define SOCK_SET_H

#include "loop/loop.h"

typedef struct sock_Entry {
  sock_Link link; /* among its watch's observers, while it waits */
  struct sock_Set *set;
  sock_Watch *watch;  /* a socket's own, or NULL: a foreign descriptor */
  sock_Watch *shared; /* a foreign descriptor's, while it waits */
  int fd;
  short wanted; /* SOCK_READ, SOCK_WRITE or both */
  short ready;  /* which of them are, or SOCK_NOTOPEN */
} sock_Entry;

#define SOCK_ATONCE 64 /* entries of one poll(2) */

typedef struct sock_Set {
  sock_Loop *loop;
  sock_Waiter *waiter; /* while it waits */
  struct pollfd *poll; /* room for as many as there are entries */
  int count;
  sock_Entry entry[];
} sock_Set;

/* Pushes a set with room for n descriptors, still empty. */
sock_Set *sock_newset(lua_State *L, size_t n);

/* Looks at all entries: how many are ready. */
int sock_setready(sock_Set *set);

/* For poll(2): what the set asks for. */
struct pollfd *sock_fillpoll(sock_Set *set);

/* The set's waiter is told of events until sock_unobserve. */
void sock_observe(sock_Set *set, sock_Waiter *waiter);
void sock_unobserve(sock_Set *set);

/* Events on a watch; the directions that its observers want; its end. */
void sock_wakeobservers(sock_Watch *w, unsigned what);
unsigned sock_observed(const sock_Watch *w);
void sock_loseobservers(sock_Watch *w);

void sock_openset(lua_State *L);

#endif
