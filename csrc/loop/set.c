/* set.c: observers take no turns: each event wakes them, and they look. */
#include "base/platform.h"
#include "base/class.h"
#include "loop/set.h"

#include <stdlib.h>

/* Collected while its waiter waits: with a coroutine that was closed. */
static int set_gc(lua_State *L) {
  sock_Set *set = lua_touserdata(L, 1);
  if (set->waiter != NULL)
    set->waiter->set = NULL;
  sock_unobserve(set);
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", set_gc}, {NULL, NULL}};

static const sock_Class class = {"descriptor set", meta, NULL};

void sock_openset(lua_State *L) {
  sock_newclass(L, &class);
}

sock_Set *sock_newset(lua_State *L, size_t n) {
  size_t entries = sizeof(sock_Set) + n * sizeof(sock_Entry);
  sock_Set *set =
      sock_newobject(L, &class, entries + n * sizeof(struct pollfd), 0);
  set->loop = sock_loop(L);
  set->poll = (struct pollfd *)(void *)((char *)set + entries);
  return set;
}

/* ----------------------------------------------------------- readiness */

struct pollfd *sock_fillpoll(sock_Set *set) {
  for (int i = 0; i < set->count; i++) {
    const sock_Entry *e = &set->entry[i];
    set->poll[i].fd = e->ready & SOCK_NOTOPEN ? -1 : e->fd;
    set->poll[i].events = (short)((e->wanted & SOCK_READ ? POLLIN : 0) |
                                  (e->wanted & SOCK_WRITE ? POLLOUT : 0));
    set->poll[i].revents = 0;
  }
  return set->poll;
}

/* An error or a hang-up makes ready whatever was asked for. */
static short translate(short revents, short wanted) {
  int ready = 0;
  if (revents & (POLLIN | POLLERR | POLLHUP))
    ready |= SOCK_READ;
  if (revents & (POLLOUT | POLLERR | POLLHUP))
    ready |= SOCK_WRITE;
  ready &= wanted;
  if (revents & POLLNVAL)
    ready |= SOCK_NOTOPEN;
  return (short)ready;
}

/* poll(2) takes no more entries than a process may have descriptors, and the
** same one may be listed often: so a few at a time. */
static void lookatonce(struct pollfd *p, int n) {
  int got;
  do {
    got = platform_poll(p, (nfds_t)n, 0, NULL);
  } while (got < 0 && errno == EINTR);
}

int sock_setready(sock_Set *set) {
  struct pollfd *p = sock_fillpoll(set);
  int count = 0;
  for (int i = 0; i < set->count; i += SOCK_ATONCE)
    lookatonce(p + i,
               set->count - i < SOCK_ATONCE ? set->count - i : SOCK_ATONCE);
  for (int i = 0; i < set->count; i++) {
    sock_Entry *e = &set->entry[i];
    e->ready |= translate(p[i].revents, e->wanted);
    count += e->ready != 0;
  }
  return count;
}

/* ----------------------------------------------------------- observing */

/* The watch that all who wait for this foreign descriptor share. */
static sock_Watch *borrow(sock_Loop *loop, int fd, int *err) {
  sock_Watch *w = sock_watchof(loop, fd);
  if (w == NULL) {
    w = malloc(sizeof *w);
    if (w == NULL) {
      *err = ENOMEM;
      return NULL;
    }
    sock_initwatch(w, loop);
    w->fd = fd;
    *err = sock_register(w);
    if (*err != 0) {
      free(w);
      return NULL;
    }
    w->users = 1;
  } else if (w->users > 0) {
    /* its number may have been closed and used again meanwhile */
    *err = loop->poller.type->watch(&loop->poller, w);
    if (*err != 0)
      return NULL;
    w->users++;
  }
  return w;
}

static void giveback(sock_Watch *w) {
  if (w->users == 0 || --w->users > 0)
    return;
  sock_unregister(w, 1);
  free(w);
}

void sock_observe(sock_Set *set, sock_Waiter *waiter) {
  set->waiter = waiter;
  for (int i = 0; i < set->count; i++) {
    sock_Entry *e = &set->entry[i];
    sock_Watch *w = e->watch;
    int err = 0;
    e->set = set;
    if (w == NULL)
      w = e->shared = borrow(set->loop, e->fd, &err);
    else
      err = sock_register(w);
    if (err == 0)
      sock_listpushback(&w->observers, &e->link);
    if (err != 0 || w->always) /* look again: poll(2) knows */
      sock_wake(set->loop, waiter, err == EBADF ? 0 : err);
  }
}

void sock_unobserve(sock_Set *set) {
  if (set->waiter == NULL)
    return;
  set->waiter = NULL;
  for (int i = 0; i < set->count; i++) {
    sock_Entry *e = &set->entry[i];
    if (e->link.next != NULL)
      sock_listremove(&e->link);
    if (e->shared != NULL)
      giveback(e->shared);
    e->shared = NULL;
  }
}

void sock_wakeobservers(sock_Watch *w, unsigned what) {
  for (sock_Link *l = w->observers.next; l != &w->observers; l = l->next) {
    const sock_Entry *e = sock_container(l, sock_Entry, link);
    if (what & (unsigned)e->wanted)
      sock_wake(w->loop, e->set->waiter, 0);
  }
}

unsigned sock_observed(const sock_Watch *w) {
  unsigned wanted = 0;
  for (const sock_Link *l = w->observers.next; l != &w->observers; l = l->next)
    wanted |= (unsigned)sock_container(l, sock_Entry, link)->wanted;
  return wanted;
}

/* Its number may belong to another soon: the entries forget it. */
void sock_loseobservers(sock_Watch *w) {
  while (!sock_listempty(&w->observers)) {
    sock_Entry *e = sock_container(w->observers.next, sock_Entry, link);
    sock_listremove(&e->link);
    e->ready |= SOCK_NOTOPEN;
    if (e->shared == w)
      e->shared = NULL;
    if (e->watch == w)
      e->watch = NULL;
    sock_wake(w->loop, e->set->waiter, 0);
  }
}
