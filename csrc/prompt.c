/* prompt.c: the function that readline asks for a key. */
#include "base/platform.h"
#include "base/class.h"
#include "base/error.h"
#include "loop/group.h"
#include "loop/signals.h"
#include "prompt.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char key = 'p'; /* the registry's sock_Live */
static const sock_Class class;

/*
** readline belongs to the process, and so does this: whose loop runs in it,
** and what stood at rl_getc_function before.
*/
static struct {
  pthread_mutex_t lock;
  sock_Live *owner;
  int (*before)(FILE *);
  void (*deprep)(void);
  pid_t pid; /* the terminal is this one's, not its children's */
} process = {PTHREAD_MUTEX_INITIALIZER, NULL, NULL, NULL, 0};

/* ------------------------------------------------------------- readline */

static const struct {
  const char *name;
  size_t place;
} symbols[] = {
    {"rl_getc_function", offsetof(sock_Readline, getcfunction)},
    {"rl_instream", offsetof(sock_Readline, instream)},
    {"rl_outstream", offsetof(sock_Readline, outstream)},
    {"rl_check_signals", offsetof(sock_Readline, checksignals)},
    {"rl_set_signals", offsetof(sock_Readline, setsignals)},
    {"rl_clear_signals", offsetof(sock_Readline, clearsignals)},
    {"rl_pending_signal", offsetof(sock_Readline, pendingsignal)},
    {"rl_clear_visible_line", offsetof(sock_Readline, clearline)},
    {"rl_crlf", offsetof(sock_Readline, crlf)},
    {"rl_forced_update_display", offsetof(sock_Readline, redraw)},
    {"rl_get_termcap", offsetof(sock_Readline, capability)},
    {"rl_deprep_terminal", offsetof(sock_Readline, deprep)},
    {NULL, 0},
};

/* Whether this process has readline 8 or later, with all that is needed. */
static int findreadline(sock_Readline *rl) {
  for (int i = 0; symbols[i].name != NULL; i++) {
    void *found = dlsym(RTLD_DEFAULT, symbols[i].name);
    if (found == NULL)
      return 0;
    memcpy((char *)rl + symbols[i].place, &found, sizeof found);
  }
  return 1;
}

/* ------------------------------------------------------------- the hook */

static int haskey(const sock_Live *p) {
  struct pollfd key_ = {p->watch.fd, POLLIN, 0};
  return poll(&key_, 1, 0) > 0;
}

/* Hangs up the waiter for the next key, as a driver does. */
static void await(sock_Live *p) {
  sock_Waiter *w = &p->waiter;
  sock_initwaiter(w, NULL);
  w->watch = &p->watch;
  w->queue = &p->watch.readers;
  w->want = SOCK_WANTREAD;
  w->waiting = w->hope = 1;
  p->loop->hopes++;
  sock_listpushback(w->queue, &w->link);
}

/* index 1: whether it may wait. Tasks run only in a turn that does not. */
static int turn(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  int waits = lua_toboolean(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  sock_Live *p = lua_touserdata(L, -1);
  int runs = !waits && (loop->nready > 0 || !sock_listempty(&loop->failed));
  if (runs)
    sock_standinreaders(L, 2, 1);
  loop->hook = lua_gethook(loop->main);
  (void)sock_turn(L, loop, waits ? &p->waiter : NULL, waits ? HUGE_VAL : 0);
  if (runs)
    sock_standinreaders(L, 2, 0);
  return 0;
}

/* Everything here runs protected: an error that left it would end the
** interpreter, and leave the terminal raw. */
static void protectedturn(sock_Live *p, int waits) {
  sock_Loop *loop = p->loop;
  lua_State *L = loop->main;
  lua_Hook hook = loop->hook;
  sock_Home *home = loop->home;
  int depth = loop->depth++;
  loop->prompt = &p->face;
  lua_pushcfunction(L, turn);
  lua_pushboolean(L, waits);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK)
    lua_pop(L, 1); /* an interrupt that came too late for its call */
  loop->prompt = NULL;
  loop->depth = depth;
  loop->hook = hook;
  loop->home = home;
  loop->current = NULL;
  sock_redraw(p);
  p->rl.checksignals(); /* ^C ends the process here, ^Z stops it … */
}

/* Before tasks run: an object of sock.signal has SIGINT, or readline. The
** interpreter takes it from both before and after each line. */
static void holdsigint(sock_Live *p) {
  struct sigaction before, now;
  (void)sigaction(SIGINT, NULL, &before);
  p->held = (unsigned char)sock_holdsignals(p->loop);
  (void)sigaction(SIGINT, NULL, &now);
  if (!p->held || before.sa_handler != now.sa_handler)
    p->sigint = before;
}

/* After they ran: what the last such object has given back is not what
** readline had. */
static void checksigint(sock_Live *p) {
  int held = sock_holdsignals(p->loop);
  if (p->held && !held)
    (void)sigaction(SIGINT, &p->sigint, NULL);
  p->held = (unsigned char)held;
}

/* What tasks asked for stands over readline's handlers, and would go with the
** line; what they gave back would come again with its end. So readline takes
** its own off, and puts them over what is asked for now. */
static void settle(sock_Live *p) {
  sigset_t all, old;
  unsigned long changes = sock_signalchanges();
  if (changes == p->changes)
    return;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &old);
  p->rl.clearsignals();
  sock_settlesignals();
  p->rl.setsignals();
  holdsigint(p);
  p->changes = sock_signalchanges();
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void runloop(sock_Live *p) {
  holdsigint(p);
  p->changes = sock_signalchanges();
  for (;;) {
    protectedturn(p, 0);
    checksigint(p);
    settle(p);
    if (haskey(p))
      return;
    if (p->loop->nready > 0 || !sock_listempty(&p->loop->failed))
      continue;
    await(p);
    protectedturn(p, 1);
    sock_leave(p->loop, &p->waiter);
  }
}

/* Not in another thread, nor where somebody reads a line in a task or in a
** finalizer, nor from elsewhere. */
static int mayrun(const sock_Live *p, FILE *stream) {
  lua_State *L = p->loop->main;
  return pthread_equal(p->thread, pthread_self()) && p->loop->current == NULL &&
         p->loop->prompt == NULL && !p->loop->stopped &&
         p->loop->depth < SOCK_MAXDRIVERS &&
         sock_owns(&p->face, fileno(stream)) &&
         lua_gc(L, LUA_GCISRUNNING) != -1 && lua_checkstack(L, LUA_MINSTACK);
}

static int livegetc(FILE *stream) {
  (void)pthread_mutex_lock(&process.lock);
  sock_Live *p = process.owner;
  int (*before)(FILE *) = process.before;
  (void)pthread_mutex_unlock(&process.lock);
  if (p != NULL && mayrun(p, stream))
    runloop(p);
  return before(stream);
}

/* -------------------------------------------------------- on and off again */

/* A task that calls os.exit does so inside readline. */
static void atend(void) {
  (void)pthread_mutex_lock(&process.lock);
  if (process.deprep != NULL && process.pid == getpid())
    process.deprep();
  (void)pthread_mutex_unlock(&process.lock);
}

/* 0, or -1: another state has it. */
static int hook(sock_Live *p) {
  int err = 0;
  (void)pthread_mutex_lock(&process.lock);
  if (process.owner != NULL) {
    err = -1;
  } else {
    process.owner = p;
    if (*p->rl.getcfunction != livegetc) {
      process.before = *p->rl.getcfunction;
      *p->rl.getcfunction = livegetc;
    }
    if (process.deprep == NULL)
      (void)atexit(atend);
    process.deprep = p->rl.deprep;
    process.pid = getpid();
  }
  (void)pthread_mutex_unlock(&process.lock);
  return err;
}

static void unhook(sock_Live *p) {
  (void)pthread_mutex_lock(&process.lock);
  if (process.owner == p) {
    process.owner = NULL;
    /* a later one may stand over ours, and call it: then it stays */
    if (*p->rl.getcfunction == livegetc)
      *p->rl.getcfunction = process.before;
  }
  (void)pthread_mutex_unlock(&process.lock);
}

static int p_gc(lua_State *L) {
  sock_Live *p = sock_checkobject(L, 1, &class);
  if (p->watch.fd < 0)
    return 0;
  unhook(p);
  sock_unregister(&p->watch, 1);
  (void)close(p->watch.fd);
  p->watch.fd = -1;
  return 0;
}

/* Called with signals blocked. Else TERM would wait for readline to look. */
static void leave(sock_Prompt *face) {
  ((sock_Live *)face)->rl.clearsignals();
}

static sock_Live *newlive(lua_State *L, const sock_Readline *rl) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class) == LUA_TNIL)
    sock_newclass(L, &class);
  lua_pop(L, 1);
  sock_Live *p = sock_newobject(L, &class, sizeof *p, 1);
  p->loop = sock_loop(L);
  sock_initwatch(&p->watch, p->loop);
  p->rl = *rl;
  p->face.pending = rl->pendingsignal;
  p->face.owns = sock_owns;
  p->face.giveway = sock_giveway;
  p->face.leave = leave;
  p->thread = pthread_self();
  lua_newtable(L);
  lua_setiuservalue(L, -2, SOCK_LIVESTANDINS);
  return p;
}

/* 0 or errno: its own descriptor of the terminal, known to the poller. */
static int openterminal(sock_Live *p, FILE *stream) {
  struct stat st;
  int fd = fcntl(fileno(stream), F_DUPFD_CLOEXEC, 0);
  if (fd < 0)
    return errno;
  p->watch.fd = fd;
  if (fstat(fd, &st) < 0)
    return errno;
  p->terminal = st.st_rdev;
  return sock_register(&p->watch);
}

/* prompt(): true; or false, if there is none that could stay live */
static int l_prompt(lua_State *L) {
  sock_Readline rl;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TUSERDATA) {
    lua_pushboolean(L, 1);
    return 1;
  }
  FILE *stream = stdin;
  int found = findreadline(&rl);
  if (found && *rl.instream != NULL)
    stream = *rl.instream;
  if (!found || !isatty(fileno(stream))) {
    lua_pushboolean(L, 0);
    return 1;
  }
  sock_Live *p = newlive(L, &rl);
  int err = openterminal(p, stream);
  if (err != 0)
    return sock_fail(L, err, "prompt");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  if (hook(p) < 0) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    return luaL_error(L, "another Lua state has the prompt");
  }
  platform_pin(livegetc);
  sock_standinwriters(L, lua_gettop(L));
  lua_pushboolean(L, 1);
  return 1;
}

/* typed(): whether a line that was typed at the interpreter's prompt runs. It
** is for the one state that has the prompt. */
static int l_typed(lua_State *L) {
  lua_State *from = sock_loop(L)->main;
  lua_Debug ar;
  int typed = 0;
  (void)pthread_mutex_lock(&process.lock);
  int anothers = process.owner != NULL && process.owner->loop != sock_loop(L);
  (void)pthread_mutex_unlock(&process.lock);
  if (anothers)
    return luaL_error(L, "another Lua state has the prompt");
  for (int level = 0; lua_getstack(from, level, &ar); level++)
    if (lua_getinfo(from, "S", &ar) && *ar.what != 'C')
      typed = strcmp(ar.source, "=stdin") == 0;
  lua_pushboolean(L, typed);
  return 1;
}

/* sigint(keep): keeps who answers SIGINT now, or puts that back: the
** interpreter's handler answers one ^C, and leaves the next to the system. */
static int l_sigint(lua_State *L) {
  static const char kept = 'k';
  if (lua_toboolean(L, 1)) {
    void *state = lua_newuserdatauv(L, sizeof(struct sigaction), 0);
    (void)sigaction(SIGINT, NULL, state);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kept);
  } else if (lua_rawgetp(L, LUA_REGISTRYINDEX, &kept) == LUA_TUSERDATA) {
    (void)sigaction(SIGINT, lua_touserdata(L, -1), NULL);
  }
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", p_gc}, {NULL, NULL}};
static const sock_Class class = {"prompt", meta, NULL};

const luaL_Reg sock_promptfunctions[] = {{"prompt", l_prompt},
                                         {"typed", l_typed},
                                         {"sigint", l_sigint},
                                         {NULL, NULL}};
