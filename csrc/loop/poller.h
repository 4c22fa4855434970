/*
** poller.h: what the kernel tells of descriptors; the contract that every
** poller keeps. poller_epoll.c and poller_poll.c are one whole file each.
**
** A watch is registered once, from its first wait to its close, for both
** directions. What is reported becomes its `readable` and `writable`, which
** stay set until an attempt proves them wrong (EAGAIN).
*/
#ifndef SOCK_POLLER_H
#define SOCK_POLLER_H

#include <lua.h>
#include <signal.h>
#include <stdint.h>

#include "base/list.h"

enum {
  SOCK_READ = 1,
  SOCK_WRITE = 2,
  SOCK_HANGUP = 4, /* an end or an error: a short receive proves nothing */
  SOCK_URGENT = 8, /* an urgent mark stops a receive short */
  SOCK_NOTOPEN = 16,
  SOCK_ERRORONLY = 32 /* from poll(2), which goes on saying so */
};

struct sock_Loop;

/* A descriptor that can be waited for; part of whatever owns it. */
typedef struct sock_Watch {
  struct sock_Loop *loop;
  int fd;              /* -1: closed */
  uint32_t generation; /* of its registration: a number is used again */
  unsigned char registered;
  unsigned char readable, writable; /* as far as is known */
  unsigned char always;             /* cannot be polled: always ready */
  unsigned char hungup;             /* SOCK_HANGUP was reported */
  unsigned char urgent;             /* SOCK_URGENT was reported */
  unsigned char erroronly;          /* SOCK_ERRORONLY was, of this wait */
  unsigned char forget; /* others hold its description: end it by hand */
  int users;            /* of a foreign descriptor's */
  sock_Link dirty;      /* in the loop's list: it holds output */
  unsigned char
      flushing; /* output goes on leaving when it is that: READ, WRITE */
  void (*flush)(struct sock_Watch *w);
  void (*notify)(struct sock_Watch *w); /* the loop's own: instead of waiters */
  /* Whether a read that would wait is to be tried again at once, and finds an
  ** end; NULL: never. */
  int (*ends)(const struct sock_Watch *w);
  sock_Link readers; /* waiters, in turn */
  sock_Link writers;
  sock_Link observers; /* of wait and select: they take no turns */
} sock_Watch;

typedef struct sock_Poller {
  const struct sock_PollerType *type;
  void *state; /* the poller's own */
  int fd;      /* to be polled in turn; -1 if it has none */
} sock_Poller;

/* All answer 0 or an errno. */
typedef struct sock_PollerType {
  const char *name;
  int (*open)(sock_Poller *p);
  void (*close)(sock_Poller *p);
  int (*watch)(sock_Poller *p, sock_Watch *w); /* EPERM: always ready */
  void (*unwatch)(sock_Poller *p, sock_Watch *w);
  /* Waits and reports each event to sock_report; EINTR is an answer. `mask`
  ** is as for ppoll, or NULL. */
  int (*wait)(sock_Poller *p, struct sock_Loop *loop, double seconds,
              const sigset_t *mask);
} sock_PollerType;

extern const sock_PollerType *const sock_pollers[]; /* best first, then NULL */
extern const sock_PollerType sock_epoll, sock_poll;

/* Called by a poller: something happened to the registered watch with this
** number and generation. No Lua, no allocation. */
void sock_report(struct sock_Loop *loop, int fd, uint32_t generation,
                 unsigned what);

/* The directions that somebody waits for now. */
unsigned sock_wanted(const sock_Watch *w);

/* The registered watch of a number, or NULL; the largest number and one. */
sock_Watch *sock_watchof(const struct sock_Loop *loop, int fd);
int sock_watchlimit(const struct sock_Loop *loop);

#endif
