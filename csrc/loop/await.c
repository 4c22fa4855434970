/*
** await.c: the only place that waits.
**
** EINTR is not an error: the clock goes on, the deadline stays, and ^C is
** noticed by the hook that the interpreter's SIGINT handler has set.
*/
#include "base/platform.h"
#include "loop/await.h"

/* How long a try that can only be repeated sleeps, at first and at most. */
#define PAUSE_FIRST 0.001
#define PAUSE_LONGEST 0.05

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/*
** The interpreter answers SIGINT by setting a hook on the main state that
** raises "interrupted!" at the next call or line. Calling anything there
** makes it fire; a coroutine has no hook of its own, so it raises itself
** and leaves the hook for the main state.
*/
static void checkinterrupt(lua_State *L, lua_Hook before) {
  sock_Loop *loop = sock_loop(L);
  if (lua_gethook(loop->main) == before)
    return;
  if (L != loop->main)
    luaL_error(L, "interrupted!");
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
}

/*
** poll(2) until something is ready or the deadline has passed. SIGINT is
** held back between the look at the hook and the poll that lets it in, so
** that no ^C falls between the two.
*/
static int pollonce(lua_State *L, struct pollfd *p, int n, double seconds) {
  lua_State *main = sock_loop(L)->main;
  lua_Hook before = lua_gethook(main);
  sigset_t interrupt, old;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  (void)pthread_sigmask(SIG_BLOCK, &interrupt, &old);
  int ready = platform_poll(p, (nfds_t)n, seconds, &old);
  int err = errno;
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (ready < 0) {
    checkinterrupt(L, before);
    if (err != EINTR && err != EAGAIN)
      luaL_error(L, "poll: %s", strerror(err));
  }
  return ready;
}

/* [-0,+0,e] 0 when the deadline has passed, else how many are ready. */
static int pollset(lua_State *L, struct pollfd *p, int n, double deadline) {
  for (;;) {
    double left = deadline - platform_now();
    int ready = pollonce(L, p, n, left > 0 ? left : 0);
    if (ready > 0)
      return ready;
    if (ready == 0 && platform_now() >= deadline)
      return 0;
  }
}

/* 0 to try again, or the reason not to. */
static int waitone(lua_State *L, const sock_Watch *watch, int want,
                   double *pause, double deadline) {
  if (want != SOCK_WANTPAUSE) {
    struct pollfd p = {watch->fd, want == SOCK_WANTREAD ? POLLIN : POLLOUT, 0};
    return pollset(L, &p, 1, deadline) > 0 ? 0 : ETIMEDOUT;
  }
  double until = platform_now() + *pause;
  *pause = fmin(*pause * 2, PAUSE_LONGEST);
  (void)pollset(L, NULL, 0, fmin(until, deadline));
  return platform_now() < deadline ? 0 : ETIMEDOUT;
}

int sock_await(lua_State *L, sock_Watch *watch, int direction, double seconds,
               sock_Try try) {
  (void)direction;
  int got = try(L, 0);
  if (sock_likely(got >= 0))
    return got;
  double deadline = platform_now() + seconds;
  double pause = PAUSE_FIRST;
  int why = 0;
  do {
    why = seconds > 0 ? waitone(L, watch, got, &pause, deadline) : ETIMEDOUT;
    /* a finalizer may have closed it during the wait */
    if (watch->fd < 0)
      why = EBADF;
    got = try(L, why);
  } while (got < 0);
  return got;
}

static void fillpoll(struct pollfd *p, const sock_Set *set) {
  for (int i = 0; i < set->count; i++) {
    short wanted = set->entry[i].wanted;
    p[i].fd = set->entry[i].fd;
    p[i].events = (short)((wanted & SOCK_READ ? POLLIN : 0) |
                          (wanted & SOCK_WRITE ? POLLOUT : 0));
    p[i].revents = 0;
  }
}

/* An error or a hang-up makes ready whatever was asked for. */
static int readset(sock_Set *set, const struct pollfd *p) {
  int count = 0;
  for (int i = 0; i < set->count; i++) {
    sock_Entry *e = &set->entry[i];
    int ready = 0;
    if (p[i].revents & (POLLIN | POLLERR | POLLHUP))
      ready |= SOCK_READ;
    if (p[i].revents & (POLLOUT | POLLERR | POLLHUP))
      ready |= SOCK_WRITE;
    ready &= e->wanted;
    if (p[i].revents & POLLNVAL)
      ready |= SOCK_NOTOPEN;
    e->ready = (short)(e->ready | ready);
    count += e->ready != 0;
  }
  return count;
}

static int anyready(const sock_Set *set) {
  for (int i = 0; i < set->count; i++)
    if (set->entry[i].ready)
      return 1;
  return 0;
}

int sock_awaitset(lua_State *L, int index, double seconds, sock_Try done) {
  sock_Set *set = lua_touserdata(L, index);
  struct pollfd *p =
      lua_newuserdatauv(L, sizeof *p * ((size_t)set->count + 1), 0);
  /* what a buffer already holds is ready, but the others are looked at too */
  double deadline = platform_now() + (anyready(set) ? 0 : seconds);
  fillpoll(p, set);
  (void)pollset(L, p, set->count, deadline);
  int ready = readset(set, p);
  return done(L, ready > 0 ? 0 : ETIMEDOUT);
}

double sock_optseconds(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg))
    return HUGE_VAL;
  lua_Number seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds == seconds, arg, "seconds are not a number");
  return seconds > 0 ? seconds : 0;
}
