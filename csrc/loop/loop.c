/*
** loop.c: events become a ready queue; the ready queue becomes running tasks.
*/
#include "base/platform.h"
#include "loop/frame.h"
#include "loop/job.h"
#include "loop/set.h"
#include "loop/signals.h"
#include "loop/task.h"

#include <stdio.h>
#include <stdlib.h>

static const char key = 'l';

double sock_now(void) {
  return platform_now();
}

sock_Loop *sock_loop(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  sock_Loop *loop = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return loop;
}

/* ------------------------------------------------------------- waiters */

void sock_initwaiter(sock_Waiter *w, struct sock_Task *task) {
  memset(w, 0, sizeof *w);
  sock_listinit(&w->link);
  sock_listinit(&w->ready);
  w->task = task;
}

/* The scheduler of the specs puts it anywhere instead. */
static sock_Link *anywhere(sock_Loop *loop) {
  loop->shuffle = loop->shuffle * 6364136223846793005UL + 1442695040888963407UL;
  unsigned long steps =
      (loop->shuffle >> 33) % ((unsigned long)loop->nready + 1);
  sock_Link *l = &loop->ready;
  while (steps-- > 0)
    l = l->next;
  return l;
}

void sock_makeready(sock_Loop *loop, sock_Waiter *w) {
  if (!sock_listempty(&w->ready))
    return;
  if (loop->shuffle != 0)
    sock_listinsert(anywhere(loop), &w->ready);
  else
    sock_listpushback(&loop->ready, &w->ready);
  loop->nready++;
}

static void stopwaiting(sock_Loop *loop, sock_Waiter *w) {
  if (!w->waiting)
    return;
  w->waiting = 0;
  sock_heapremove(&loop->timers, &w->timer);
  loop->hopes -= w->hope;
  w->hope = 0;
}

void sock_wake(sock_Loop *loop, sock_Waiter *w, int why) {
  if (!w->waiting) {
    /* ready already, or its driver is about to look, and now there is
    ** nothing left to try */
    if (why == EBADF && (w->task == NULL || !sock_listempty(&w->ready)))
      w->why = why;
    return;
  }
  stopwaiting(loop, w);
  w->why = why;
  if (w->task != NULL)
    sock_makeready(loop, w);
}

void sock_wakefirst(sock_Loop *loop, sock_Link *queue) {
  if (!sock_listempty(queue))
    sock_wake(loop, sock_container(queue->next, sock_Waiter, link), 0);
}

void sock_wakenext(sock_Loop *loop, sock_Link *queue) {
  for (sock_Link *l = queue->next; l != queue; l = l->next) {
    sock_Waiter *w = sock_container(l, sock_Waiter, link);
    if (w->waiting) {
      sock_wake(loop, w, 0);
      return;
    }
  }
}

void sock_wakeall(sock_Loop *loop, sock_Link *queue, int why) {
  while (!sock_listempty(queue)) {
    sock_Waiter *w = sock_container(queue->next, sock_Waiter, link);
    sock_listremove(&w->link);
    sock_wake(loop, w, why);
  }
}

/* Its queue's owner may be gone: the queue is looked at only from inside. */
void sock_leave(sock_Loop *loop, sock_Waiter *w) {
  int first = w->watch != NULL && w->link.prev == w->queue;
  stopwaiting(loop, w);
  sock_listremove(&w->link);
  if (first)
    sock_wakefirst(loop, w->queue);
  if (w->set != NULL)
    sock_unobserve(w->set);
}

/* ------------------------------------------------------------- watches */

void sock_initwatch(sock_Watch *w, sock_Loop *loop) {
  memset(w, 0, sizeof *w);
  w->loop = loop;
  w->fd = -1;
  w->readable = w->writable = 1;
  sock_listinit(&w->readers);
  sock_listinit(&w->writers);
  sock_listinit(&w->observers);
  sock_listinit(&w->dirty);
}

sock_Watch *sock_watchof(const sock_Loop *loop, int fd) {
  return fd < loop->watchlimit ? loop->watches[fd] : NULL;
}

int sock_watchlimit(const sock_Loop *loop) {
  return loop->watchlimit;
}

/* The first that this system has, or the one that the environment names. */
int sock_openpoller(sock_Loop *loop) {
  if (loop->poller.type != NULL)
    return 0;
  const char *asked = getenv("SOCK_POLLER");
  for (int i = 0; sock_pollers[i] != NULL; i++)
    if (asked == NULL || strcmp(asked, sock_pollers[i]->name) == 0) {
      int err = sock_pollers[i]->open(&loop->poller);
      if (err == 0)
        loop->poller.type = sock_pollers[i];
      return err;
    }
  return EINVAL;
}

static int growtable(sock_Loop *loop, int fd) {
  if (fd < loop->watchlimit)
    return 0;
  int limit = fd < 64 ? 128 : fd * 2;
  sock_Watch **table =
      realloc(loop->watches, (size_t)limit * sizeof *loop->watches);
  if (table == NULL)
    return ENOMEM;
  for (int i = loop->watchlimit; i < limit; i++)
    table[i] = NULL;
  loop->watches = table;
  loop->watchlimit = limit;
  return 0;
}

/* Whoever waits for the bare number looks again, and finds this one. */
static void takeplace(sock_Loop *loop, sock_Watch *w) {
  sock_Watch *before = loop->watches[w->fd];
  loop->watches[w->fd] = w;
  if (before != NULL)
    sock_wakeobservers(before, SOCK_READ | SOCK_WRITE);
}

int sock_register(sock_Watch *w) {
  sock_Loop *loop = w->loop;
  if (sock_likely(w->registered))
    return 0;
  if (w->fd < 0) /* closed meanwhile: it has no place in the table */
    return EBADF;
  int err = sock_openpoller(loop);
  if (err == 0)
    err = growtable(loop, w->fd);
  if (err != 0)
    return err;
  w->generation = ++loop->generation;
  err = loop->poller.type->watch(&loop->poller, w);
  if (err == EPERM) /* a file of the disk: always ready */
    w->always = 1;
  else if (err != 0)
    return err;
  else
    takeplace(loop, w);
  w->registered = 1;
  return 0;
}

void sock_flushdirty(sock_Loop *loop) {
  while (!sock_listempty(&loop->dirty)) {
    sock_Watch *w = sock_container(loop->dirty.next, sock_Watch, dirty);
    w->flush(w); /* takes it off the list */
  }
}

void sock_unregister(sock_Watch *w, int forget) {
  sock_Loop *loop = w->loop;
  sock_listremove(&w->dirty);
  loop->flushing -= w->flushing != 0;
  w->flushing = 0;
  if (w->registered) {
    int holds = sock_watchof(loop, w->fd) == w; /* no other took its place */
    if (holds)
      loop->watches[w->fd] = NULL;
    if (holds && (forget || w->forget) && !loop->stopped)
      loop->poller.type->unwatch(&loop->poller, w);
    w->registered = 0;
  }
  sock_wakeall(loop, &w->readers, EBADF);
  sock_wakeall(loop, &w->writers, EBADF);
  sock_loseobservers(w);
}

/* Wakes the first of a queue, if this is what it wants. */
static void wakewanting(sock_Loop *loop, sock_Link *queue, unsigned what) {
  if (sock_listempty(queue))
    return;
  sock_Waiter *w = sock_container(queue->next, sock_Waiter, link);
  if ((w->want == SOCK_WANTREAD && what & SOCK_READ) ||
      (w->want == SOCK_WANTWRITE && what & SOCK_WRITE))
    sock_wake(loop, w, 0);
}

void sock_wakewaiters(sock_Watch *w, unsigned what) {
  wakewanting(w->loop, &w->readers, what);
  wakewanting(w->loop, &w->writers, what);
  if (!sock_listempty(&w->observers))
    sock_wakeobservers(w, what);
}

void sock_report(sock_Loop *loop, int fd, uint32_t generation, unsigned what) {
  sock_Watch *w = sock_watchof(loop, fd);
  if (w == NULL || w->generation != generation)
    return;
  if (w->notify != NULL) {
    w->notify(w);
    return;
  }
  if (what & SOCK_READ)
    w->readable = 1;
  if (what & SOCK_WRITE)
    w->writable = 1;
  if (what & SOCK_HANGUP)
    w->hungup = 1;
  if (what & SOCK_URGENT)
    w->urgent = 1;
  if (what & SOCK_ERRORONLY)
    w->erroronly = 1;
  if (what & w->flushing)
    w->flush(w);
  sock_wakewaiters(w, what);
}

unsigned sock_wanted(const sock_Watch *w) {
  unsigned wanted = 0;
  const sock_Link *heads[] = {&w->readers, &w->writers};
  for (int i = 0; i < 2; i++) {
    const sock_Waiter *first =
        sock_container(heads[i]->next, sock_Waiter, link);
    if (sock_listempty(heads[i]) || !first->waiting)
      continue;
    wanted |= first->want == SOCK_WANTREAD ? SOCK_READ : 0;
    wanted |= first->want == SOCK_WANTWRITE ? SOCK_WRITE : 0;
  }
  if (w->notify != NULL)
    wanted |= SOCK_READ;
  wanted |= w->flushing;
  wanted |= sock_observed(w);
  return wanted;
}

/* --------------------------------------------------------------- turns */

/* Those that are due are collected before any of them runs. */
static void ringtimers(sock_Loop *loop) {
  double now = platform_now();
  while (loop->timers.top != NULL && loop->timers.top->key <= now) {
    sock_Waiter *w = sock_container(loop->timers.top, sock_Waiter, timer);
    sock_wake(loop, w, w->limit);
  }
}

/* At most what was ready at the start; what gets ready meanwhile waits. */
static void runready(lua_State *L, sock_Loop *loop) {
  loop->unpolled += loop->nready;
  for (int n = loop->nready; n > 0 && loop->nready > 0; n--) {
    sock_Waiter *w = sock_container(loop->ready.next, sock_Waiter, ready);
    sock_listremove(&w->ready);
    loop->nready--;
    sock_resume(L, loop, w->task);
  }
}

double sock_untilnext(const sock_Loop *loop) {
  if (loop->nready > 0)
    return 0;
  if (loop->timers.top == NULL)
    return HUGE_VAL;
  double left = loop->timers.top->key - platform_now();
  return left > 0 ? left : 0;
}

static void ask(sock_Loop *loop, double seconds, const sigset_t *mask) {
  if (loop->poller.type == NULL)
    (void)platform_poll(NULL, 0, seconds, mask);
  else
    (void)loop->poller.type->wait(&loop->poller, loop, seconds, mask);
}

/* Signals are held back between the look at the hook, which a ^C sets (and at
** what readline has caught), and the wait that lets them in: so none falls
** between the two. */
static void askandwait(sock_Loop *loop, double seconds) {
  sigset_t all, old;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &old);
  int pressed = lua_gethook(loop->main) != loop->hook ||
                (loop->prompt != NULL && loop->prompt->pending() != 0);
  ask(loop, pressed ? 0 : seconds, &old);
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* A look between many calls that did not wait is no wait: what they have
** written goes on gathering. */
static void collect(sock_Loop *loop, double seconds) {
  if (seconds > 0 || loop->unpolled >= SOCK_UNPOLLED || !loop->spent) {
    sock_flushdirty(loop);
    loop->unpolled = 0;
  }
  loop->spent = 0;
  if (seconds > 0)
    askandwait(loop, seconds);
  else
    ask(loop, 0, NULL);
  if (loop->timers.top != NULL)
    ringtimers(loop);
}

int sock_turn(lua_State *L, sock_Loop *loop, const sock_Waiter *until,
              double seconds) {
  runready(L, loop);
  if (sock_unlikely(loop->taps > 0))
    sock_flushdirty(loop); /* or it would be told after the wait */
  (void)sock_told(L, loop, 0);
  if (loop->nready == 0 && !sock_listempty(&loop->failed))
    sock_reportfailed(L, loop);
  if (until != NULL && !until->waiting) {
    /* one that never needs to wait must not keep the kernel unasked either */
    if (++loop->unpolled < SOCK_UNPOLLED && !loop->spent)
      return SOCK_TURNED;
    seconds = 0;
  }
  if (until == NULL && loop->tasks == 0) /* step: nothing to wait for */
    seconds = 0;
  double next = sock_untilnext(loop);
  if (next == HUGE_VAL && seconds == HUGE_VAL && loop->hopes == 0)
    return SOCK_DEADLOCK;
  /* tasks that only wait for each other need not ask the kernel each time */
  if (loop->nready > 0 && loop->unpolled < SOCK_UNPOLLED && !loop->spent)
    return SOCK_TURNED;
  collect(loop, next < seconds ? next : seconds);
  return SOCK_TURNED;
}

/* ---------------------------------------------------------------- life */

static void closepoller(sock_Loop *loop) {
  if (loop->poller.type != NULL)
    loop->poller.type->close(&loop->poller);
  loop->poller.type = NULL;
  free(loop->watches);
  loop->watches = NULL;
  loop->watchlimit = 0;
}

/*
** lua_close finalizes it after all sockets. Its memory stays until the very
** end, and a finalizer that still waits afterwards polls by itself.
*/
static int loop_gc(lua_State *L) {
  sock_Loop *loop = lua_touserdata(L, 1);
  if (loop->tasks > 0 && !loop->stopped)
    (void)fprintf(stderr, "sock: %d %s still waiting at the end\n", loop->tasks,
                  loop->tasks == 1 ? "task was" : "tasks were");
  sock_reportfailed(L, loop);
  sock_endjobs(loop);
  sock_endsignals(loop);
  closepoller(loop);
  loop->stopped = 1;
  return sock_told(L, loop, 0);
}

static void loosehome(sock_Loop *loop, sock_Home *home) {
  if (home->waiter != NULL)
    sock_leave(loop, home->waiter);
  home->waiter = NULL;
  home->cancelled = 0;
  sock_dropframes(home);
}

/* The drivers that wait on this C stack are never returned to. */
void sock_looseloop(lua_State *L, sock_Loop *loop) {
  loosehome(loop, loop->home);
  loosehome(loop, &loop->outside);
  sock_loosetasks(L, loop);
  closepoller(loop);
  loop->home = &loop->outside;
  loop->current = NULL;
  loop->prompt = NULL; /* the terminal's line is the parent's */
  loop->timers.top = NULL;
  loop->nready = loop->unpolled = loop->spent = loop->tasks = loop->hopes = 0;
  loop->depth = loop->starts = loop->toodeep = loop->flushing = 0;
  loop->budget = SOCK_BUDGET;
  loop->hook = lua_gethook(loop->main);
}

/* SOCK_SHUFFLE=seed: the specs' way to try other orders. 0: none. */
static unsigned long seed(void) {
  const char *text = getenv("SOCK_SHUFFLE");
  return text != NULL ? strtoul(text, NULL, 10) : 0;
}

void sock_openloop(lua_State *L) {
  sock_Loop *loop = lua_newuserdatauv(L, sizeof *loop, 0);
  memset(loop, 0, offsetof(sock_Loop, scratch));
  loop->budget = SOCK_BUDGET;
  loop->shuffle = seed();
  loop->poller.fd = -1;
  sock_listinit(&loop->ready);
  sock_listinit(&loop->dirty);
  sock_listinit(&loop->processes);
  sock_listinit(&loop->failed);
  sock_listinit(&loop->idle);
  sock_listinit(&loop->outside.frames);
  loop->home = &loop->outside;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  loop->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, loop_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}
