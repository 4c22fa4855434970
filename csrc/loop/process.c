/* process.c: waiting for a child's end, and signals for it. */
#include "base/platform.h"
#include "base/error.h"
#include "loop/await.h"
#include "loop/process.h"
#include "loop/signals.h"

#include <sys/wait.h>

static const sock_Class class;

sock_Process *sock_newprocess(lua_State *L) {
  sock_Process *p = sock_newobject(L, &class, sizeof *p, 0);
  sock_initwatch(&p->watch, sock_loop(L));
  sock_listinit(&p->link);
  p->death = -1;
  return p;
}

static void closedescriptor(sock_Process *p) {
  sock_listremove(&p->link);
  if (p->death >= 0)
    (void)close(p->death);
  p->death = -1;
  if (p->watch.fd < 0)
    return;
  int fd = p->watch.fd;
  sock_unregister(&p->watch, 1); /* a child may hold its description yet */
  p->watch.fd = -1;
  (void)close(fd);
}

/* A pidfd of our own keeps the place of the child's. */
int sock_prepareprocess(sock_Process *p) {
  int fds[2], fd = platform_pidfd(getpid());
  if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
    return errno;
  p->pipe = fd < 0;
  if (fd < 0) { /* this system, or a filter of its calls, has none */
    if (platform_pipe(fds) < 0)
      return errno;
    fd = fds[0];
    p->death = fds[1];
  }
  p->watch.fd = fd;
  sock_listpushback(&p->watch.loop->processes, &p->link);
  return 0;
}

void sock_startprocess(sock_Process *p, pid_t pid) {
  if (pid < 0) {
    closedescriptor(p);
    return;
  }
  p->pid = pid;
  if (p->pipe) {
    (void)close(p->death);
    p->death = -1;
    return;
  }
  (void)close(p->watch.fd);
  p->watch.fd = platform_pidfd(pid);
}

void sock_looseprocesses(sock_Loop *loop, sock_Process *self) {
  if (loop->deathpipe > 0)
    (void)close(loop->deathpipe);
  loop->deathpipe = self->death > 0 ? self->death : 0;
  self->death = -1;
  while (!sock_listempty(&loop->processes)) {
    sock_Process *p = sock_container(loop->processes.next, sock_Process, link);
    closedescriptor(p);
    p->pid = 0;
    p->ended = p->lost = 1;
  }
}

/* ----------------------------------------------------------------- end */

static void reap(sock_Process *p) {
  pid_t got;
  if (p->ended || p->pid == 0)
    return;
  do {
    got = waitpid(p->pid, &p->status, WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got == 0)
    return;
  p->ended = 1;
  p->lost = got < 0;
  closedescriptor(p);
}

static int pushend(lua_State *L, const sock_Process *p) {
  if (p->lost)
    return sock_fail(L, ECHILD, "wait for process %d", (int)p->pid);
  int byexit = WIFEXITED(p->status);
  lua_pushstring(L, byexit ? "exit" : "signal");
  lua_pushinteger(L, byexit ? WEXITSTATUS(p->status) : WTERMSIG(p->status));
  return 2;
}

/* The pipe ends a moment before the process does, and says so for ever. */
static int wanted(const sock_Process *p) {
  char byte;
  if (p->watch.fd < 0)
    return SOCK_WANTPAUSE;
  return p->pipe && read(p->watch.fd, &byte, 1) == 0 ? SOCK_WANTPAUSE
                                                     : SOCK_WANTREAD;
}

static int wait_try(lua_State *L, int why) {
  sock_Process *p = lua_touserdata(L, 1);
  reap(p);
  if (p->ended)
    return pushend(L, p);
  if (why != 0)
    return sock_fail(L, why, "wait for process %d", (int)p->pid);
  return wanted(p);
}

/* ------------------------------------------------------------- methods */

static sock_Process *checkprocess(lua_State *L) {
  return sock_checkobject(L, 1, &class);
}

/* wait([seconds]): "exit", status or "signal", number */
static int p_wait(lua_State *L) {
  sock_Process *p = checkprocess(L);
  double seconds = sock_optseconds(L, 2);
  lua_settop(L, 1);
  return sock_await(L, &p->watch, SOCK_READ, seconds, wait_try);
}

/* kill(name): until it is reaped, its number is nobody else's */
static int p_kill(lua_State *L) {
  sock_Process *p = checkprocess(L);
  int number = sock_checksignal(L, 2);
  reap(p);
  int err = p->ended ? ESRCH : kill(p->pid, number) < 0 ? errno : 0;
  if (err != 0)
    return sock_fail(L, err, "kill process %d", (int)p->pid);
  lua_settop(L, 1);
  return 1;
}

static int p_pid(lua_State *L) {
  lua_pushinteger(L, checkprocess(L)->pid);
  return 1;
}

static int p_tostring(lua_State *L) {
  const sock_Process *p = checkprocess(L);
  lua_pushfstring(L, "process %d%s", (int)p->pid, p->ended ? " (ended)" : "");
  return 1;
}

static int p_gc(lua_State *L) {
  sock_Process *p = checkprocess(L);
  reap(p);
  closedescriptor(p);
  return 0;
}

static const luaL_Reg meta[] = {
    {"__gc", p_gc}, {"__tostring", p_tostring}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"wait", p_wait}, {"kill", p_kill}, {"pid", p_pid}, {NULL, NULL}};

static const sock_Class class = {"process", meta, methods};

void sock_openprocess(lua_State *L) {
  sock_newclass(L, &class);
}
