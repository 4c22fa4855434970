/*
** poller_epoll.c: epoll(7), edge-triggered: the kernel speaks when something
** changes, and no call is made to change what is asked for.
*/
#include "base/platform.h"

#ifdef SOCK_HAVE_EPOLL

#include "loop/poller.h"

#include <stdlib.h>
#include <sys/epoll.h>

#define BATCH 512

typedef struct State {
  struct epoll_event event[BATCH];
} State;

static int ep_open(sock_Poller *p) {
  p->state = malloc(sizeof(State));
  if (p->state == NULL)
    return ENOMEM;
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->fd >= 0)
    return 0;
  int err = errno;
  free(p->state);
  p->state = NULL;
  return err;
}

static void ep_close(sock_Poller *p) {
  (void)close(p->fd);
  free(p->state);
  p->state = NULL;
  p->fd = -1;
}

static int ep_watch(sock_Poller *p, sock_Watch *w) {
  struct epoll_event e;
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  e.data.u64 = (uint64_t)w->generation << 32 | (uint32_t)w->fd;
  if (epoll_ctl(p->fd, EPOLL_CTL_ADD, w->fd, &e) == 0)
    return 0;
  if (errno != EEXIST)
    return errno;
  /* left behind by a descriptor of the same number and description */
  (void)epoll_ctl(p->fd, EPOLL_CTL_DEL, w->fd, &e);
  return epoll_ctl(p->fd, EPOLL_CTL_ADD, w->fd, &e) == 0 ? 0 : errno;
}

static void ep_unwatch(sock_Poller *p, sock_Watch *w) {
  struct epoll_event e;
  (void)epoll_ctl(p->fd, EPOLL_CTL_DEL, w->fd, &e);
}

static unsigned translate(uint32_t events) {
  unsigned what = 0;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
    what |= SOCK_READ;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
    what |= SOCK_WRITE;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    what |= SOCK_HANGUP;
  if (events & EPOLLPRI)
    what |= SOCK_URGENT;
  return what;
}

/* epoll counts in milliseconds: never sooner than asked, but for what an int
** cannot hold; then the loop goes round once more after 23 days. */
static int milliseconds(double seconds) {
  if (seconds == HUGE_VAL)
    return -1;
  return (int)ceil(fmin(seconds, 2e6) * 1e3);
}

static int ep_wait(sock_Poller *p, struct sock_Loop *loop, double seconds,
                   const sigset_t *mask) {
  struct epoll_event *event = ((State *)p->state)->event;
  int n = epoll_pwait(p->fd, event, BATCH, milliseconds(seconds), mask);
  if (n < 0)
    return errno;
  for (int i = 0; i < n; i++) {
    uint64_t data = event[i].data.u64;
    sock_report(loop, (int)(uint32_t)data, (uint32_t)(data >> 32),
                translate(event[i].events));
  }
  return 0;
}

const sock_PollerType sock_epoll = {"epoll",  ep_open,    ep_close,
                                    ep_watch, ep_unwatch, ep_wait};

#endif
