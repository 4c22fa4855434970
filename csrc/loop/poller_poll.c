/*
** poller_poll.c: poll(2), where there is nothing better. It has no edges, so
** it asks only for the directions that somebody waits for.
*/
#include "base/platform.h"
#include "loop/poller.h"

#include <stdlib.h>

typedef struct State {
  struct pollfd *list;
  nfds_t room;
} State;

static int po_open(sock_Poller *p) {
  p->state = calloc(1, sizeof(State));
  p->fd = -1;
  return p->state != NULL ? 0 : ENOMEM;
}

static void po_close(sock_Poller *p) {
  free(((State *)p->state)->list);
  free(p->state);
  p->state = NULL;
}

/* Room for one more is made here, so that waiting cannot fail. */
static int po_watch(sock_Poller *p, sock_Watch *w) {
  State *state = p->state;
  nfds_t need = (nfds_t)sock_watchlimit(w->loop) + 1;
  if (need <= state->room)
    return 0;
  need = need * 2 + 16;
  struct pollfd *list = realloc(state->list, need * sizeof *list);
  if (list == NULL)
    return ENOMEM;
  state->list = list;
  state->room = need;
  return 0;
}

static void po_unwatch(sock_Poller *p, sock_Watch *w) {
  (void)p;
  (void)w;
}

static short events(const sock_Watch *w) {
  unsigned wanted = w != NULL ? sock_wanted(w) : 0;
  return (short)((wanted & SOCK_READ ? POLLIN : 0) |
                 (wanted & SOCK_WRITE ? POLLOUT : 0));
}

static nfds_t fill(const State *state, const struct sock_Loop *loop) {
  nfds_t n = 0;
  int limit = sock_watchlimit(loop);
  for (int fd = 0; fd < limit; fd++) {
    struct pollfd p = {fd, events(sock_watchof(loop, fd)), 0};
    if (p.events != 0)
      state->list[n++] = p;
  }
  return n;
}

static unsigned translate(short revents) {
  unsigned what = 0;
  if (revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
    what |= SOCK_READ;
  if (revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
    what |= SOCK_WRITE;
  if (revents & (POLLHUP | POLLERR))
    what |= SOCK_HANGUP;
  if (revents == POLLERR)
    what |= SOCK_ERRORONLY;
  return what;
}

static int po_wait(sock_Poller *p, struct sock_Loop *loop, double seconds,
                   const sigset_t *mask) {
  const State *state = p->state;
  nfds_t n = fill(state, loop);
  int ready = platform_poll(state->list, n, seconds, mask);
  if (ready < 0)
    return errno;
  for (nfds_t i = 0; i < n; i++) {
    const struct pollfd *f = &state->list[i];
    if (f->revents != 0)
      sock_report(loop, f->fd, sock_watchof(loop, f->fd)->generation,
                  translate(f->revents));
  }
  return 0;
}

const sock_PollerType sock_poll = {"poll",   po_open,    po_close,
                                   po_watch, po_unwatch, po_wait};

const sock_PollerType *const sock_pollers[] = {
#ifdef SOCK_HAVE_EPOLL
    &sock_epoll,
#endif
    &sock_poll,
    NULL,
};
