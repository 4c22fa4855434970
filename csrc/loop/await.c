/*
** await.c: the only place that waits.
**
** In a task that can yield, its waiter is hung where it belongs and the
** coroutine yields; the loop resumes it and the continuation tries again.
** Anywhere else a driver, a waiter on the C stack, runs the loop until it is
** woken. With no task alive there is nobody to run, and poll(2) on the one
** descriptor does.
*/
#include "base/platform.h"
#include "loop/await.h"
#include "loop/frame.h"
#include "loop/interrupt.h"
#include "loop/set.h"
#include "loop/signals.h"
#include "loop/task.h"

/* How long a try that can only be repeated sleeps, at first and at most. */
#define PAUSE_FIRST 0.001
#define PAUSE_LONGEST 0.05

/* ------------------------------------------------------------ one wait */

/* The limit that comes first: a pause's end, the call's own, a frame's. */
static void settimer(lua_State *L, sock_Loop *loop, sock_Home *home,
                     sock_Waiter *w) {
  double frame = w->shielded ? HUGE_VAL : sock_framelimit(L, home);
  double when = w->deadline;
  w->limit = ETIMEDOUT;
  if (w->want == SOCK_WANTPAUSE && platform_now() + w->pause < when) {
    when = platform_now() + w->pause;
    w->pause = fmin(w->pause * 2, PAUSE_LONGEST);
    w->limit = 0;
  }
  if (frame < when) {
    when = frame;
    w->limit = ECANCELED;
  }
  if (when < HUGE_VAL) {
    sock_heapinsert(&loop->timers, &w->timer, when);
    w->hope = 1;
  }
}

/*
** Hangs it where it belongs; `again`: it had its turn and keeps it, also
** while it only lets others run, for nobody may write in the middle.
*/
static void hang(sock_Waiter *w, int again) {
  if (w->queue == NULL || !sock_listempty(&w->link) ||
      (w->want == SOCK_WANTTURN && w->watch == NULL))
    return;
  if (again && w->want != SOCK_WANTPLACE)
    sock_listpushfront(w->queue, &w->link);
  else
    sock_listpushback(w->queue, &w->link);
}

/* 0, or the error that makes waiting for its descriptor impossible. */
static int watchfor(sock_Waiter *w) {
  if (w->want == SOCK_WANTREAD)
    w->watch->readable = 0;
  else
    w->watch->writable = 0;
  int err = sock_register(w->watch);
  if (w->watch->always)
    w->watch->readable = w->watch->writable = 1;
  return err;
}

/*
** An error that a try does not find stands in the error queue, and poll(2)
** says so for ever: then the try is repeated, in growing pauses.
*/
static int tryonce(lua_State *L, sock_Waiter *w, int why) {
  sock_Watch *watch = w->watch;
  int want = w->try(L, why);
  if (want >= 0 || watch == NULL || !watch->erroronly)
    return want;
  watch->erroronly = 0;
  watch->readable = watch->writable = 1;
  return want == SOCK_WANTREAD || want == SOCK_WANTWRITE ? SOCK_WANTPAUSE
                                                         : want;
}

/* Whether its time has passed already: events that come without end, though
** no try finds anything, must not put it off. */
static int isover(const sock_Waiter *w, int ended) {
  if (!w->timer.inside || (ended && w->limit != ECANCELED))
    return 0;
  return w->timer.key <= platform_now();
}

/* Begins a wait. It may have ended at once; then it only lets others run. */
static void begin(lua_State *L, sock_Loop *loop, sock_Home *home,
                  sock_Waiter *w, int want, int again) {
  int err = 0, ended = want == SOCK_WANTTURN;
  if (ended && loop->budget <= 0) /* so many calls are many resumes' worth */
    loop->spent = 1;
  loop->budget = SOCK_BUDGET;
  w->want = want;
  w->waiting = 1;
  w->hope = w->outside;
  home->waiter = w;
  settimer(L, loop, home, w);
  if (want == SOCK_WANTREAD || want == SOCK_WANTWRITE) {
    err = watchfor(w);
    ended =
        w->watch->always || (want == SOCK_WANTREAD && w->watch->ends != NULL &&
                             w->watch->ends(w->watch));
    w->hope = 1;
  }
  hang(w, again);
  loop->hopes += w->hope;
  if (w->set != NULL && want != SOCK_WANTTURN)
    sock_observe(w->set, w);
  if (!w->shielded && home->cancelled)
    sock_wake(loop, w, ECANCELED);
  else if (isover(w, ended))
    sock_wake(loop, w, w->limit);
  else if (err != 0 || ended)
    sock_wake(loop, w, err);
}

static int raisecancelled(lua_State *L) {
  sock_pushcancelled(L);
  return lua_error(L);
}

/*
** After a wait: another try, its results, or what it wants next. One that is
** not the first of its queue goes on waiting, where it stands.
*/
static int proceed(lua_State *L, sock_Loop *loop, const sock_Home *home,
                   sock_Waiter *w) {
  int cancelled = w->why == ECANCELED || (home->cancelled && !w->shielded);
  int first = w->queue == NULL || sock_listempty(w->queue) ||
              w->queue->next == &w->link;
  if (!first && !cancelled && w->why == 0 && w->watch != NULL)
    return SOCK_WANTPLACE;
  sock_leave(loop, w);
  /* a wake that was, or would have been, for this one is for the next */
  if ((cancelled || w->why != 0) && w->queue != NULL && w->watch == NULL)
    sock_wakenext(loop, w->queue);
  if (cancelled)
    return raisecancelled(L);
  return tryonce(L, w, w->why);
}

/* ------------------------------------------------------------ in a task */

static int resumed(lua_State *L, int status, lua_KContext serial);

static int yield(lua_State *L, sock_Loop *loop, sock_Task *t) {
  t->inwait = 1;
  t->serial = ++loop->serial;
  sock_pushmark(L);
  return lua_yieldk(L, 1, (lua_KContext)t->serial, resumed);
}

static int resumed(lua_State *L, int status, lua_KContext serial) {
  (void)status;
  sock_Loop *loop = sock_loop(L);
  sock_Task *t = loop->current;
  if (t == NULL || !t->resumed || t->top != L ||
      t->serial != (unsigned long)serial)
    return sock_refuseresume(L, (unsigned long)serial);
  t->resumed = t->inwait = 0;
  t->home.waiter = NULL;
  int got = proceed(L, loop, &t->home, &t->waiter);
  if (got >= 0)
    return sock_told(L, loop, got);
  begin(L, loop, &t->home, &t->waiter, got, 1);
  return yield(L, loop, t);
}

static int suspend(lua_State *L, sock_Loop *loop, const sock_Waiter *plan,
                   int want) {
  sock_Task *t = loop->current;
  sock_Waiter *w = &t->waiter;
  w->try = plan->try;
  w->watch = plan->watch;
  w->queue = plan->queue;
  w->set = plan->set;
  w->deadline = plan->deadline;
  w->pause = PAUSE_FIRST;
  w->shielded = plan->shielded;
  w->outside = plan->outside;
  if (L != t->co) { /* whoever resumed it may be closed and let go of it */
    sock_pushtask(L, t);
    lua_pushthread(L);
    lua_setiuservalue(L, -2, SOCK_TASKTOP);
    t->holdstop = 1;
    lua_pop(L, 1);
  }
  begin(L, loop, &t->home, w, want, 0);
  return yield(L, loop, t);
}

/* --------------------------------------------------------- outside tasks */

enum { DRIVEN, INTERRUPTED, DEADLOCKED, TOODEEP };

/* Runs the loop until the waiter has been woken. Raises nothing. */
static int spin(lua_State *L, sock_Loop *loop, const sock_Waiter *w,
                lua_Hook before) {
  sock_Task *current = loop->current;
  lua_Hook outer = loop->hook;
  int how = DRIVEN;
  loop->current = NULL;
  loop->hook = before;
  loop->depth++;
  do {
    loop->toodeep = 0;
    if (sock_pressed(loop, before))
      how = INTERRUPTED;
    else if (sock_turn(L, loop, w, HUGE_VAL) == SOCK_DEADLOCK)
      how = DEADLOCKED;
    else if (loop->toodeep && w->waiting)
      how = TOODEEP;
  } while (w->waiting && how == DRIVEN);
  loop->depth--;
  loop->hook = outer;
  loop->current = current;
  return how;
}

static int drive(lua_State *L, sock_Loop *loop, const sock_Waiter *plan,
                 int want) {
  sock_Home *home = loop->current != NULL ? &loop->current->home : loop->home;
  sock_Waiter w, *outer = home->waiter;
  lua_Hook before = lua_gethook(loop->main);
  int again = 0;
  (void)sock_holdsignals(loop);
  if (loop->depth >= SOCK_MAXDRIVERS)
    return luaL_error(L, "too many nested waits");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  w = *plan;
  sock_listinit(&w.link);
  sock_listinit(&w.ready);
  w.pause = PAUSE_FIRST;
  while (want < 0) {
    begin(L, loop, home, &w, want, again);
    int how = spin(L, loop, &w, before);
    home->waiter = outer;
    if (how == DRIVEN) {
      want = proceed(L, loop, home, &w);
    } else {
      sock_leave(loop, &w);
      if (how == DEADLOCKED) {
        sock_pushdeadlock(L);
        return lua_error(L);
      }
      if (how == TOODEEP)
        return luaL_error(L, "too many nested waits");
      sock_interrupt(L, loop);
      before = lua_gethook(loop->main); /* it was another hook */
    }
    again = 1;
  }
  return want;
}

/*
** poll(2) until the deadline: 0 to try again, or the reason not to. SIGINT is
** held back between the look at the hook and the poll that lets it in, so
** that no ^C falls between the two.
*/
static int pollonce(lua_State *L, sock_Loop *loop, struct pollfd *p, nfds_t n,
                    double deadline) {
  lua_Hook before = lua_gethook(loop->main);
  sock_flushdirty(loop);
  (void)sock_holdsignals(loop);
  for (;;) {
    sigset_t interrupts, old;
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &interrupts, &old);
    double left = deadline - platform_now();
    int stop = sock_pressed(loop, before);
    int ready = stop ? -1 : platform_poll(p, n, left > 0 ? left : 0, &old);
    int err = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ready > 0)
      return left > 0 ? 0 : ETIMEDOUT; /* nor here (isover) */
    if (ready < 0 && !stop && err != EINTR)
      return err;
    if (stop || sock_pressed(loop, before)) {
      sock_interrupt(L, loop);
      before = lua_gethook(loop->main);
    } else if (ready == 0 && platform_now() >= deadline) {
      return ETIMEDOUT;
    }
  }
}

static int pollset(lua_State *L, sock_Loop *loop, sock_Set *set, double limit,
                   double frame) {
  struct pollfd *p = sock_fillpoll(set);
  int why = pollonce(L, loop, p, (nfds_t)set->count, limit);
  if (why != ETIMEDOUT)
    return why;
  return frame <= limit && frame < HUGE_VAL ? ECANCELED : ETIMEDOUT;
}

/* One wait without the loop: nobody else is there to run. */
static int pollplain(lua_State *L, sock_Loop *loop, sock_Waiter *w,
                     double frame) {
  double limit = fmin(w->deadline, frame), until = limit;
  struct pollfd p = {-1, 0, 0};
  int paused = w->want == SOCK_WANTPAUSE || w->want == SOCK_WANTTURN;
  if (w->set != NULL && !paused)
    return pollset(L, loop, w->set, limit, frame);
  if (w->watch != NULL) {
    p.fd = w->watch->fd;
    p.events = w->want == SOCK_WANTREAD ? POLLIN : POLLOUT;
  }
  if (paused) { /* a turn is a look at the clock and at ^C */
    p.fd = -1;
    until = fmin(platform_now(), limit);
  }
  if (w->want == SOCK_WANTPAUSE) {
    until = fmin(until + w->pause, limit);
    w->pause = fmin(w->pause * 2, PAUSE_LONGEST);
  }
  if (w->want == SOCK_WANTPLACE ||
      (w->want == SOCK_WANTWAKE && limit == HUGE_VAL))
    return luaL_error(L, "attempt to wait for the program in a finalizer");
  int why = pollonce(L, loop, &p, 1, until);
  if (w->watch != NULL) {
    w->watch->readable = w->watch->writable = 1;
    w->watch->erroronly = p.revents == POLLERR;
  }
  if (why != ETIMEDOUT)
    return why;
  if (paused && until < limit)
    return 0;
  return frame <= w->deadline ? ECANCELED : ETIMEDOUT;
}

static int plain(lua_State *L, sock_Loop *loop, sock_Waiter *w, int want) {
  sock_Home *home = loop->current != NULL ? &loop->current->home : loop->home;
  w->pause = PAUSE_FIRST;
  while (want < 0) {
    loop->budget = SOCK_BUDGET;
    w->want = want;
    int why = pollplain(L, loop, w, sock_framelimit(L, home));
    if (why == ECANCELED)
      return raisecancelled(L);
    /* a finalizer may have closed it meanwhile */
    if (w->watch != NULL && w->watch->fd < 0)
      why = EBADF;
    want = tryonce(L, w, why);
  }
  return want;
}

/* --------------------------------------------------------------- await */

/* In a finalizer nothing may run but what it calls itself. */
static int infinalizer(lua_State *L, const sock_Loop *loop) {
  return loop->stopped || lua_gc(L, LUA_GCISRUNNING) == -1;
}

int sock_cansuspend(lua_State *L, const sock_Loop *loop) {
  const sock_Task *t = loop->current;
  return t != NULL && t->top == L && lua_isyieldable(L);
}

static int waitfor(lua_State *L, sock_Loop *loop, sock_Waiter *plan, int want) {
  if (sock_cansuspend(L, loop))
    return suspend(L, loop, plan, want);
  /* what the kernel does not take of it now, only the loop sends later */
  int alone = loop->tasks == 0 && sock_listempty(&loop->failed) &&
              sock_listempty(&loop->dirty) && loop->flushing == 0 &&
              loop->events == NULL &&
              (plan->watch != NULL ||
               (plan->set != NULL && plan->set->count <= SOCK_ATONCE));
  if (infinalizer(L, loop) || (alone && want != SOCK_WANTPLACE))
    want = plain(L, loop, plan, want);
  else
    want = drive(L, loop, plan, want);
  return sock_told(L, loop, want);
}

static int await(lua_State *L, sock_Watch *watch, int direction, double seconds,
                 int shielded, sock_Try try) {
  sock_Loop *loop = watch->loop;
  sock_Link *queue = direction == SOCK_READ ? &watch->readers : &watch->writers;
  int want = SOCK_WANTPLACE;
  if (seconds <= 0) /* no turn will tell: only the kernel knows */
    watch->readable = watch->writable = 1;
  if (sock_likely(sock_listempty(queue))) {
    want = sock_isspent(loop) ? SOCK_WANTTURN : try(L, 0);
    if (sock_likely(want >= 0))
      return sock_told(L, loop, want);
  }
  if (seconds <= 0 && want != SOCK_WANTTURN)
    return sock_told(L, loop, try(L, ETIMEDOUT));
  sock_Waiter plan;
  sock_initwaiter(&plan, NULL);
  plan.try = try;
  plan.watch = watch;
  plan.queue = queue;
  plan.shielded = (unsigned char)shielded;
  plan.deadline = seconds < HUGE_VAL ? platform_now() + seconds : HUGE_VAL;
  return waitfor(L, loop, &plan, want);
}

int sock_await(lua_State *L, sock_Watch *watch, int direction, double seconds,
               sock_Try try) {
  return await(L, watch, direction, seconds, 0, try);
}

int sock_awaitshielded(lua_State *L, sock_Watch *watch, int direction,
                       double seconds, sock_Try try) {
  return await(L, watch, direction, seconds, 1, try);
}

int sock_awaitqueue(lua_State *L, sock_Link *queue, double seconds, int how,
                    sock_Try try) {
  sock_Loop *loop = sock_loop(L);
  int want = sock_isspent(loop) ? SOCK_WANTTURN : try(L, 0);
  if (want >= 0)
    return want;
  if (seconds <= 0 && want == SOCK_WANTWAKE)
    return try(L, ETIMEDOUT);
  sock_Waiter plan;
  sock_initwaiter(&plan, NULL);
  plan.try = try;
  plan.queue = queue;
  plan.deadline = seconds < HUGE_VAL ? platform_now() + seconds : HUGE_VAL;
  plan.outside = (how & SOCK_OUTSIDE) != 0;
  plan.shielded = (how & SOCK_SHIELDED) != 0;
  return waitfor(L, loop, &plan, want);
}

int sock_awaitset(lua_State *L, int index, double seconds, sock_Try try) {
  sock_Waiter plan;
  int want = sock_isspent(sock_loop(L)) ? SOCK_WANTTURN : try(L, 0);
  if (want >= 0)
    return want;
  if (seconds <= 0 && want == SOCK_WANTWAKE)
    return try(L, ETIMEDOUT);
  sock_initwaiter(&plan, NULL);
  plan.try = try;
  plan.set = lua_touserdata(L, index);
  plan.deadline = seconds < HUGE_VAL ? platform_now() + seconds : HUGE_VAL;
  plan.outside = 1;
  return waitfor(L, plan.set->loop, &plan, want);
}

double sock_optseconds(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg))
    return HUGE_VAL;
  lua_Number seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds == seconds, arg, "seconds are not a number");
  return seconds > 0 ? seconds : 0;
}
