/* signals.c: signals become bytes in a pipe, and waits that end. */
#include "base/platform.h"
#include "base/class.h"
#include "base/error.h"
#include "loop/await.h"
#include "loop/signals.h"

#include <pthread.h>

#define MAXLOOPS 16
#define MAXSIGNAL 64

/* ------------------------------------------------ the process's table */

typedef struct Row {
  struct sigaction before; /* what stood there before the first asked */
  int users;               /* signal objects that ask for it */
  unsigned long changes;   /* how often our handler came or went */
  volatile sig_atomic_t pipe[MAXLOOPS];    /* write ends; 0: none */
  volatile sig_atomic_t arrived[MAXLOOPS]; /* not yet told to that loop */
  int asked[MAXLOOPS];                     /* objects by pipe */
} Row;

static Row rows[MAXSIGNAL + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Only what signal-safety(7) allows. The byte wakes the loop; a full pipe
** has woken it already, and which signals came stands in the table. */
static void onsignal(int number) {
  int err = errno;
  for (int i = 0; i < MAXLOOPS; i++)
    if (rows[number].pipe[i] != 0) {
      rows[number].arrived[i] = 1;
      ssize_t ignored = write(rows[number].pipe[i], "", 1);
      (void)ignored;
    }
  errno = err;
}

/* Called locked. The place of a pipe in a row, or a free one; -1: none. */
static int place(const Row *row, int pipe) {
  int vacant = -1;
  for (int i = 0; i < MAXLOOPS; i++) {
    if (row->pipe[i] == pipe)
      return i;
    if (row->pipe[i] == 0 && vacant < 0)
      vacant = i;
  }
  return vacant;
}

/* Called locked. 0, or -1. */
static int takeover(int number, struct sigaction *before) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = onsignal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  rows[number].changes++;
  return sigaction(number, &action, before);
}

static int ask(int number, int pipe) {
  int err = 0;
  Row *row = &rows[number];
  (void)pthread_mutex_lock(&lock);
  int i = place(row, pipe);
  if (i < 0) {
    err = EAGAIN;
  } else if (row->users == 0) {
    row->pipe[i] = pipe; /* before the first can come */
    if (takeover(number, &row->before) < 0) {
      err = errno;
      row->pipe[i] = 0;
    }
  }
  if (err == 0) {
    row->pipe[i] = pipe;
    row->asked[i]++;
    row->users++;
  }
  (void)pthread_mutex_unlock(&lock);
  return err;
}

/* Whether it has come for this pipe since the last time. */
static int takearrived(int number, int pipe) {
  (void)pthread_mutex_lock(&lock);
  int i = place(&rows[number], pipe), came = 0;
  if (i >= 0 && rows[number].pipe[i] == pipe) {
    came = rows[number].arrived[i];
    rows[number].arrived[i] = 0;
  }
  (void)pthread_mutex_unlock(&lock);
  return came;
}

/* The stock interpreter takes SIGINT for itself at each line that it runs:
** what this library was asked for is taken back. */
static void takeback(int number) {
  struct sigaction now;
  (void)pthread_mutex_lock(&lock);
  if (rows[number].users > 0 && sigaction(number, NULL, &now) == 0 &&
      now.sa_handler != onsignal)
    (void)takeover(number, NULL);
  (void)pthread_mutex_unlock(&lock);
}

static void giveback(int number, int pipe) {
  Row *row = &rows[number];
  (void)pthread_mutex_lock(&lock);
  int i = place(row, pipe);
  if (--row->users == 0) {
    (void)sigaction(number, &row->before, NULL);
    row->changes++;
  }
  if (--row->asked[i] == 0)
    row->pipe[i] = row->arrived[i] = 0;
  (void)pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------- the object */

typedef struct Signals {
  sock_Link link; /* in the loop's list */
  sock_Link waiters;
  sock_Loop *loop;
  uint64_t asked;             /* a bit for each signal, 1 << (number - 1) */
  int pending[MAXSIGNAL + 1]; /* how many are to be told of it */
  int open;
} Signals;

#define BIT(number) ((uint64_t)1 << ((number)-1))

static const struct {
  int number;
  const char *name;
} names[] = {
    {SIGHUP, "HUP"},
    {SIGINT, "INT"},
    {SIGQUIT, "QUIT"},
    {SIGILL, "ILL"},
    {SIGTRAP, "TRAP"},
    {SIGABRT, "ABRT"},
    {SIGBUS, "BUS"},
    {SIGFPE, "FPE"},
    {SIGKILL, "KILL"},
    {SIGUSR1, "USR1"},
    {SIGSEGV, "SEGV"},
    {SIGUSR2, "USR2"},
    {SIGPIPE, "PIPE"},
    {SIGALRM, "ALRM"},
    {SIGTERM, "TERM"},
    {SIGCHLD, "CHLD"},
    {SIGCONT, "CONT"},
    {SIGSTOP, "STOP"},
    {SIGTSTP, "TSTP"},
    {SIGTTIN, "TTIN"},
    {SIGTTOU, "TTOU"},
    {SIGURG, "URG"},
    {SIGXCPU, "XCPU"},
    {SIGXFSZ, "XFSZ"},
    {SIGVTALRM, "VTALRM"},
    {SIGPROF, "PROF"},
    {SIGWINCH, "WINCH"},
    {SIGSYS, "SYS"},
#ifdef SIGIO
    {SIGIO, "IO"},
#endif
#ifdef SIGPWR
    {SIGPWR, "PWR"},
#endif
    {0, NULL},
};

static const char *nameof(int number) {
  int i = 0;
  while (names[i].name != NULL && names[i].number != number)
    i++;
  return names[i].name;
}

/* "INT" or "SIGINT". */
int sock_checksignal(lua_State *L, int arg) {
  size_t len;
  const char *name = luaL_checklstring(L, arg, &len);
  int i = 0;
  if (strncmp(name, "SIG", 3) == 0) {
    name += 3;
    len -= 3;
  }
  while (names[i].name != NULL &&
         (strcmp(names[i].name, name) != 0 || strlen(names[i].name) != len))
    i++;
  if (names[i].name == NULL)
    luaL_argerror(L, arg, lua_pushfstring(L, "unknown signal '%s'", name));
  return names[i].number;
}

/* Those that no program can or should take are refused. */
static int checkcatchable(lua_State *L, int arg) {
  int number = sock_checksignal(L, arg);
  switch (number) {
  case SIGKILL:
  case SIGSTOP:
  case SIGSEGV:
  case SIGBUS:
  case SIGFPE:
  case SIGILL:
    return luaL_argerror(
        L, arg,
        lua_pushfstring(L, "signal '%s' cannot be waited for", nameof(number)));
  default:
    return number;
  }
}

static const sock_Class class;

static Signals *checksignals(lua_State *L) {
  return sock_checkobject(L, 1, &class);
}

/* All who wait now are told of it, or else the next who waits. */
static void arrive(Signals *s, int number) {
  int waiting = 0;
  for (const sock_Link *l = s->waiters.next; l != &s->waiters; l = l->next)
    waiting++;
  if (waiting < 1)
    waiting = 1;
  if (s->pending[number] < waiting)
    s->pending[number] = waiting;
  sock_wakeall(s->loop, &s->waiters, 0);
}

/* Every object of this loop that asked for it is told. */
static void tell(sock_Loop *loop, int number) {
  for (sock_Link *l = loop->signals.next; l != &loop->signals; l = l->next) {
    Signals *s = sock_container(l, Signals, link);
    if (s->asked & BIT(number))
      arrive(s, number);
  }
}

/* The pipe has something. */
static void collect(sock_Watch *w) {
  sock_Loop *loop = w->loop;
  char bytes[256];
  while (read(w->fd, bytes, sizeof bytes) > 0)
    continue;
  for (int number = 1; number <= MAXSIGNAL; number++)
    if (takearrived(number, loop->signalpipe))
      tell(loop, number);
}

int sock_holdsignals(const sock_Loop *loop) {
  for (const sock_Link *l = loop->signals.next; l != &loop->signals;
       l = l->next)
    if (sock_container(l, Signals, link)->asked & BIT(SIGINT)) {
      takeback(SIGINT);
      return 1;
    }
  return 0;
}

unsigned long sock_signalchanges(void) {
  (void)pthread_mutex_lock(&lock);
  unsigned long n = 0;
  for (int number = 1; number <= MAXSIGNAL; number++)
    n += rows[number].changes;
  (void)pthread_mutex_unlock(&lock);
  return n;
}

void sock_settlesignals(void) {
  struct sigaction now;
  (void)pthread_mutex_lock(&lock);
  for (int number = 1; number <= MAXSIGNAL; number++) {
    Row *row = &rows[number];
    if (sigaction(number, NULL, &now) < 0)
      continue;
    if (row->users > 0 && now.sa_handler != onsignal)
      (void)takeover(number, &row->before);
    else if (row->users == 0 && now.sa_handler == onsignal)
      (void)sigaction(number, &row->before, NULL);
  }
  (void)pthread_mutex_unlock(&lock);
}

static int openpipe(sock_Loop *loop) {
  int fds[2];
  if (loop->signalpipe > 0)
    return 0;
  if (platform_pipe(fds) < 0)
    return errno;
  platform_pin(onsignal);
  sock_initwatch(&loop->signalwatch, loop);
  loop->signalwatch.fd = fds[0];
  loop->signalwatch.notify = collect;
  int err = sock_register(&loop->signalwatch);
  if (err != 0) {
    (void)close(fds[0]);
    (void)close(fds[1]);
    return err;
  }
  loop->signalpipe = fds[1];
  return 0;
}

static void closesignals(Signals *s) {
  if (!s->open)
    return;
  s->open = 0;
  for (int number = 1; number <= MAXSIGNAL; number++)
    if (s->asked & BIT(number))
      giveback(number, s->loop->signalpipe);
  sock_listremove(&s->link);
  sock_wakeall(s->loop, &s->waiters, EBADF);
}

void sock_endsignals(sock_Loop *loop) {
  if (loop->signalpipe <= 0)
    return;
  while (!sock_listempty(&loop->signals))
    closesignals(sock_container(loop->signals.next, Signals, link));
  sock_unregister(&loop->signalwatch, 1);
  (void)close(loop->signalwatch.fd);
  (void)close(loop->signalpipe);
  loop->signalpipe = 0;
}

/* ---------------------------------------------------------------- fork */

void sock_locksignals(sigset_t *old) {
  sigset_t all;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, old);
  (void)pthread_mutex_lock(&lock);
}

void sock_unlocksignals(const sigset_t *old) {
  (void)pthread_mutex_unlock(&lock);
  (void)pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* Called locked. The rows of other loops go as well: their threads, and so
** their states, do not exist here. */
void sock_loosesignals(sock_Loop *loop) {
  for (int number = 1; number <= MAXSIGNAL; number++)
    if (rows[number].users > 0)
      (void)sigaction(number, &rows[number].before, NULL);
  memset(rows, 0, sizeof rows);
  while (!sock_listempty(&loop->signals)) {
    Signals *s = sock_container(loop->signals.next, Signals, link);
    s->open = 0;
    sock_listremove(&s->link);
  }
  if (loop->signalpipe <= 0)
    return;
  sock_unregister(&loop->signalwatch, 1);
  (void)close(loop->signalwatch.fd);
  (void)close(loop->signalpipe);
  loop->signalpipe = 0;
}

/* ------------------------------------------------------------- methods */

static int l_signal(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  uint64_t asked = 0;
  int top = lua_gettop(L);
  luaL_checkany(L, 1);
  for (int i = 1; i <= top; i++)
    asked |= BIT(checkcatchable(L, i));
  Signals *s = sock_newobject(L, &class, sizeof *s, 0);
  sock_listinit(&s->link);
  sock_listinit(&s->waiters);
  s->loop = loop;
  int err = openpipe(loop);
  if (err != 0)
    return sock_fail(L, err, "signal");
  s->open = 1;
  sock_listpushback(&loop->signals, &s->link);
  for (int number = 1; number <= MAXSIGNAL; number++) {
    if (!(asked & BIT(number)))
      continue;
    err = ask(number, loop->signalpipe);
    if (err != 0) {
      closesignals(s);
      return sock_fail(L, err, "signal %s", nameof(number));
    }
    s->asked |= BIT(number);
  }
  return 1;
}

static int wait_try(lua_State *L, int why) {
  Signals *s = lua_touserdata(L, 1);
  if (why != 0)
    return sock_fail(L, why, "wait for a signal");
  for (int number = 1; number <= MAXSIGNAL; number++)
    if (s->pending[number] > 0) {
      s->pending[number]--;
      lua_pushstring(L, nameof(number));
      return 1;
    }
  return SOCK_WANTWAKE;
}

static int s_wait(lua_State *L) {
  Signals *s = checksignals(L);
  double seconds = sock_optseconds(L, 2);
  if (!s->open)
    return luaL_error(L, "attempt to use a closed signal");
  lua_settop(L, 1);
  if (seconds <= 0) /* no turn will look */
    collect(&s->loop->signalwatch);
  return sock_awaitqueue(L, &s->waiters, seconds, SOCK_OUTSIDE, wait_try);
}

static int s_close(lua_State *L) {
  closesignals(checksignals(L));
  lua_pushboolean(L, 1);
  return 1;
}

static int s_tostring(lua_State *L) {
  const Signals *s = checksignals(L);
  lua_pushstring(L, s->open ? "signal" : "signal (closed)");
  for (int number = 1; s->open && number <= MAXSIGNAL; number++)
    if (s->asked & BIT(number)) {
      lua_pushfstring(L, " %s", nameof(number));
      lua_concat(L, 2);
    }
  return 1;
}

static const luaL_Reg meta[] = {{"__gc", s_close},
                                {"__close", s_close},
                                {"__tostring", s_tostring},
                                {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"wait", s_wait}, {"close", s_close}, {NULL, NULL}};

static const sock_Class class = {"signal", meta, methods};

void sock_opensignals(lua_State *L) {
  sock_newclass(L, &class);
  sock_listinit(&sock_loop(L)->signals);
}

const luaL_Reg sock_signalfunctions[] = {{"signal", l_signal}, {NULL, NULL}};
