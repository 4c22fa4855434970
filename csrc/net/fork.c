/*
** fork.c: what a child process has of its parent, and what it has not.
**
** A child has a copy of all memory, of the tasks and of what was to be sent,
** and shares all descriptors and the epoll behind them. It must not do any of
** that once more: so it closes at once what is not its own, without a flush,
** a shutdown or a change to the parent's epoll, forgets all tasks and waits,
** and runs its body on top of whatever C stack the fork was called from,
** which is never returned to: it ends by _exit.
**
** All memory it needs for that is allocated before the fork. No Lua memory
** is asked for before its sockets are closed: a collection could find one
** that nobody holds, and send what it holds.
*/
#include "base/platform.h"
#include "base/error.h"
#include "loop/job.h"
#include "loop/process.h"
#include "loop/signals.h"
#include "loop/task.h"
#include "net/fork.h"
#include "net/input.h"
#include "net/tap.h"

#include <stdio.h>

/* ----------------------------------------------------------- the child */

/* What arrived is the parent's to read, what waits to leave is its to send. */
static void renew(lua_State *L, sock_Socket *s) {
  int fd = s->watch.fd;
  sock_unregister(&s->watch, 0);
  sock_initwatch(&s->watch, sock_loop(L));
  s->watch.fd = fd;
  sock_dropinput(L, s);
  sock_bufferfree(L, &s->out);
  s->outerror = 0;
  s->halfway = s->offered = 0;
  s->kept = 0;
}

/* A transport would say its end: so it is not asked. The standard descriptors
** are let go of, but stay open: what is opened next
** must not become what print writes to. */
static void loosesockets(lua_State *L, sock_Loop *loop) {
  for (sock_Socket *s = loop->sockets, *next; s != NULL; s = next) {
    next = s->next;
    s->restore = 0; /* the description is the parent's, too */
    if (s->kept)
      renew(L, s);
    else {
      int fd = sock_disown(L, s, 0);
      if (fd > STDERR_FILENO)
        (void)close(fd);
    }
  }
}

/* index -1, -2: sock_pushpast's */
static void loose(lua_State *L, sock_Loop *loop, sock_Process *self) {
  loop->stopped = 1; /* nothing is taken off the parent's epoll */
  loosesockets(L, loop);
  sock_looseevents(L, loop);
  sock_looseprocesses(loop, self);
  sock_loosejobs(loop);
  if (loop->prompt != NULL)
    loop->prompt->leave(loop->prompt);
  sock_loosesignals(loop);
  sock_looseloop(L, loop);
  loop->stopped = 0;
}

static int onfailure(lua_State *L) {
  const char *text = luaL_tolstring(L, 1, NULL);
  luaL_traceback(L, L, text, 1);
  return 1;
}

/* What the body returned becomes the status, as os.exit takes it. */
static int statusof(lua_State *L, int result) {
  if (result == LUA_OK)
    return lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1)
                                : lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  const char *text = lua_tostring(L, -1);
  (void)fprintf(stderr, "sock: a child process failed: %s\n",
                text != NULL ? text : "(an error that is no text)");
  return 1;
}

/*
** The body runs on the main state, wherever the fork was called: there
** sock.run may wait for all tasks, and there ^C arrives. The main state is
** running C code, this or what resumed a coroutine, so it can be called.
*/
static void run(lua_State *L, sock_Loop *loop) {
  lua_State *main = loop->main;
  lua_pushcfunction(main, onfailure);
  lua_pushvalue(L, 1);
  lua_xmove(L, main, 1);
  int status = statusof(main, lua_pcall(main, 0, 1, -2));
  sock_flushdirty(loop);
  (void)fflush(NULL);
  _exit(status);
}

/* ---------------------------------------------------------- the parent */

/* The sockets of the list at index 2 are kept. */
static void checkkept(lua_State *L) {
  if (lua_isnoneornil(L, 2))
    return;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    const sock_Socket *s = sock_testobject(L, -1, &sock_socketclass);
    if (s == NULL || s->watch.fd < 0)
      luaL_argerror(L, 2, "a list of open sockets expected");
    lua_pop(L, 1);
  }
}

static void mark(lua_State *L, unsigned char kept) {
  lua_Integer n = lua_istable(L, 2) ? (lua_Integer)lua_rawlen(L, 2) : 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    sock_Socket *s = lua_touserdata(L, -1);
    s->kept = kept;
    lua_pop(L, 1);
  }
}

/* Their descriptions live on elsewhere, for a moment or for long. */
static void share(const sock_Loop *loop) {
  for (sock_Socket *s = loop->sockets; s != NULL; s = s->next)
    s->shown = 1;
}

/* The child does not return. -1: *err says why. */
static pid_t start(lua_State *L, sock_Loop *loop, sock_Process *p, int *err) {
  sigset_t old;
  sock_Pool *pool = loop->pool;
  pid_t parent = getpid();
  (void)fflush(NULL); /* or the child says it again */
  if (pool != NULL)
    sock_holdpool(pool);
  sock_locksignals(&old);
  pid_t pid = fork();
  *err = errno;
  if (pid == 0)
    loose(L, loop, p);
  else if (pool != NULL)
    sock_letgopool(pool);
  if (pid == 0)
    platform_endwith(parent);
  sock_unlocksignals(&old);
  if (pid == 0)
    run(L, loop);
  return pid;
}

static int l_fork(lua_State *L) {
  int err, tried = 0;
  sock_Loop *loop = sock_loop(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  checkkept(L);
  if (loop->stopped || lua_gc(L, LUA_GCISRUNNING) == -1)
    return luaL_error(L, "attempt to fork in a finalizer");
  lua_settop(L, 2);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  luaL_checkstack(loop->main, LUA_MINSTACK, NULL);
  sock_Process *p = sock_newprocess(L);
  do {
    err = sock_prepareprocess(p);
  } while (err != 0 && sock_reclaim(L, err, &tried));
  if (err != 0)
    return sock_fail(L, err, "fork");
  sock_pushpast(L);
  share(loop);
  mark(L, 1);
  pid_t pid = start(L, loop, p, &err);
  mark(L, 0);
  sock_startprocess(p, pid);
  if (pid < 0)
    return sock_fail(L, err, "fork");
  lua_settop(L, 3);
  return 1;
}

const luaL_Reg sock_forkfunctions[] = {{"fork", l_fork}, {NULL, NULL}};
