/*
** task.c: what a task is: its start, its body, its end.
**
** The body is a C function that calls the user's by lua_pcallk: so errors
** stay in the task, a message handler sees their traceback, and unwinding,
** __close included, may wait.
*/
#include "base/platform.h"
#include "loop/group.h"
#include "loop/task.h"

static const char taskskey = 't';     /* the table of all that are alive */
static const char pastkey = 'p';      /* before a fork: {tasks, their past} */
static const char cancelledkey = 'c'; /* sock.cancelled */

/* -------------------------------------------------------- the registry */

void sock_pushcancelled(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &cancelledkey);
}

int sock_iscancelled(lua_State *L, int index) {
  index = lua_absindex(L, index);
  sock_pushcancelled(L);
  int equal = lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return equal;
}

void sock_pushtasks(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &taskskey);
}

void sock_pushtask(lua_State *L, const sock_Task *t) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &taskskey);
  lua_rawgetp(L, -1, t);
  lua_remove(L, -2);
}

/* From now on the registry holds it, and it is counted. [-0,+0,m] */
static void anchor(lua_State *L, int index, sock_Task *t) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &taskskey);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
  t->loop->tasks++;
}

void sock_unanchor(lua_State *L, const sock_Task *t) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &taskskey);
  lua_pushnil(L);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

/* ------------------------------------------------------------ the body */

/* Keeps where it failed; what failed stays as it is. */
static int onfailure(lua_State *L) {
  const sock_Task *t = sock_loop(L)->current;
  if (t == NULL || sock_iscancelled(L, 1))
    return 1;
  sock_pushtask(L, t);
  if (lua_getiuservalue(L, -1, SOCK_TASKTRACE) == LUA_TTABLE) {
    /* a traceback of this very error, from further inside */
    lua_rawgeti(L, -1, 1);
    if (lua_rawequal(L, -1, 1)) {
      lua_settop(L, 1);
      return 1;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  luaL_traceback(L, L, NULL, 1);
  lua_rawseti(L, -2, 2);
  lua_setiuservalue(L, -2, SOCK_TASKTRACE);
  lua_settop(L, 1);
  return 1;
}

void sock_pushonfailure(lua_State *L) {
  lua_pushcfunction(L, onfailure);
}

/* The end of the user's function; index 1: the task, 2: the handler. */
static int ended(lua_State *L, int status, lua_KContext ctx) {
  sock_Task *t = (sock_Task *)ctx;
  if (status == LUA_OK || status == LUA_YIELD) {
    t->state = SOCK_DONE;
    return lua_gettop(L) - 2;
  }
  t->state = sock_iscancelled(L, -1) ? SOCK_CANCELLED : SOCK_FAILED;
  return 1;
}

/* index 1: the task; index 2: the function; then its arguments */
static int body(lua_State *L) {
  sock_Task *t = lua_touserdata(L, 1);
  lua_toclose(L, 1); /* for a stranger's coroutine.close */
  lua_pushcfunction(L, onfailure);
  lua_insert(L, 2);
  int n = lua_gettop(L) - 3;
  return ended(L, lua_pcallk(L, n, LUA_MULTRET, 2, (lua_KContext)t, ended),
               (lua_KContext)t);
}

/* ------------------------------------------------------- end and start */

/* Takes a waiter out of whatever it waits in, without a wake. What it waited
** for before, its queue and its set, is collected by now. */
static void forgetwait(sock_Loop *loop, sock_Task *t) {
  sock_Waiter *w = &t->waiter;
  if (t->home.waiter == w)
    sock_leave(loop, w);
  t->inwait = 0;
  t->home.waiter = NULL;
  if (!sock_listempty(&w->ready)) {
    sock_listremove(&w->ready);
    loop->nready--;
  }
}

/* [-0,+0,-] Its results, or its error, are the topmost of its stack. */
static void finish(lua_State *L, sock_Loop *loop, sock_Task *t, int nresults) {
  forgetwait(loop, t);
  sock_dropframes(&t->home);
  t->finished = 1;
  t->nresults = nresults;
  t->top = t->co;
  loop->tasks--;
  if (!sock_listempty(&t->joiners))
    t->joined = 1;
  if (t->group != NULL)
    sock_leavegroup(L, t);
  sock_wakeall(loop, &t->joiners, 0);
  if (loop->tasks == 0)
    sock_wakeall(loop, &loop->idle, 0);
  if (t->state == SOCK_FAILED && !t->joined)
    sock_listpushback(&loop->failed, &t->failure); /* still anchored */
  else
    sock_unanchor(L, t);
}

static const char mark = 'w';

void sock_pushmark(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&mark);
}

int sock_isinwait(lua_State *co) {
  return lua_status(co) == LUA_YIELD && lua_gettop(co) > 0 &&
         lua_touserdata(co, -1) == &mark;
}

/* Its coroutine is in a stranger's hand, or at its end by one. */
static void strand(sock_Task *t) {
  forgetwait(t->loop, t);
  t->top = t->co;
  sock_makeready(t->loop, &t->waiter);
}

int sock_refuseresume(lua_State *L, unsigned long serial) {
  sock_pushtasks(L);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    sock_Task *t = lua_touserdata(L, -1);
    if (t->inwait && t->serial == serial)
      strand(t);
  }
  return luaL_error(L, "attempt to resume a coroutine that waits");
}

/*
** A coroutine that a stranger runs just now, or has ended. lua_resume is not
** asked: it would refuse with a text, and without memory for that it would
** raise, across the driver.
*/
static int isstrangers(lua_State *L, sock_Loop *loop, sock_Task *t) {
  lua_Debug ar;
  int status = lua_status(t->co);
  if (status == LUA_YIELD || t->state == SOCK_STARTING)
    return 0;
  if (status == LUA_OK && lua_getstack(t->co, 0, &ar)) {
    sock_makeready(loop, &t->waiter); /* later, then */
    return 1;
  }
  if (t->state != SOCK_CANCELLED) /* what it returned, the stranger has */
    t->state = SOCK_FAILED;
  finish(L, loop, t, 0);
  return 1;
}

/* It could not be resumed this deep, or its body had no memory to begin. */
static void afterfailure(lua_State *L, sock_Loop *loop, sock_Task *t,
                         int marked) {
  if (lua_status(t->co) == LUA_YIELD) {
    loop->toodeep = 1;
    lua_pop(t->co, 1); /* why it could not be resumed: later, then */
    if (marked)
      sock_pushmark(t->co);
    sock_makeready(loop, &t->waiter);
    return;
  }
  t->state = SOCK_FAILED;
  finish(L, loop, t, 1);
}

void sock_resume(lua_State *L, sock_Loop *loop, sock_Task *t) {
  sock_Task *outer = loop->current;
  int budget = loop->budget; /* of whoever starts it, who has not waited */
  if (t->finished || isstrangers(L, loop, t))
    return;
  int nresults = 0, nargs = 0;
  if (t->state == SOCK_STARTING) {
    if (t->home.cancelled) {
      t->state = SOCK_CANCELLED;
      finish(L, loop, t, 0);
      return;
    }
    nargs = t->nargs;
    t->state = SOCK_ALIVE;
  }
  int marked = sock_isinwait(t->co);
  loop->current = t;
  loop->budget = SOCK_BUDGET;
  t->resumed = marked != 0;
  if (marked)
    lua_pop(t->co, 1);
  int status = lua_resume(t->co, L, nargs, &nresults);
  t->resumed = 0;
  loop->current = outer;
  loop->budget = budget;
  if (status == LUA_YIELD) {
    if (!t->inwait) { /* coroutine.yield: sock.sleep(0) */
      lua_pop(t->co, nresults);
      sock_makeready(loop, &t->waiter);
    }
  } else if (status == LUA_OK) {
    finish(L, loop, t, nresults);
  } else {
    afterfailure(L, loop, t, marked);
  }
}

static sock_Task *newtask(lua_State *L) {
  sock_Task *t = sock_newobject(L, &sock_taskclass, sizeof *t, 4);
  t->loop = sock_loop(L);
  t->number = ++t->loop->spawned;
  sock_initwaiter(&t->waiter, t);
  sock_listinit(&t->home.frames);
  sock_listinit(&t->joiners);
  sock_listinit(&t->failure);
  sock_listinit(&t->member);
  t->co = t->top = lua_newthread(L);
  lua_setiuservalue(L, -2, SOCK_TASKTHREAD);
  return t;
}

sock_Task *sock_spawn(lua_State *L, int arg, sock_Group *group,
                      int groupindex) {
  int n = lua_gettop(L) - arg + 1;
  luaL_checktype(L, arg, LUA_TFUNCTION);
  luaL_checkstack(L, n + 4, NULL);
  sock_Task *t = newtask(L);
  sock_Loop *loop = t->loop;
  int self = lua_gettop(L);
  if (!lua_checkstack(t->co, n + LUA_MINSTACK))
    luaL_error(L, "too many arguments for a task");
  lua_pushcfunction(t->co, body);
  lua_pushvalue(L, self);
  for (int i = arg; i < self; i++)
    lua_pushvalue(L, i);
  lua_xmove(L, t->co, n + 1);
  t->nargs = n + 1;
  anchor(L, self, t);
  if (group != NULL) {
    lua_pushvalue(L, groupindex);
    lua_setiuservalue(L, self, SOCK_TASKGROUP);
    sock_joingroup(group, t);
  }
  if (loop->starts >= SOCK_MAXSPAWN || lua_gc(L, LUA_GCISRUNNING) == -1) {
    sock_makeready(loop, &t->waiter);
  } else {
    loop->starts++;
    sock_resume(L, loop, t);
    loop->starts--;
  }
  return t;
}

void sock_cancel(sock_Task *t) {
  sock_Waiter *w = t->home.waiter;
  if (t->state > SOCK_ALIVE)
    return;
  t->home.cancelled = 1;
  if (w != NULL && !w->shielded)
    sock_wake(t->loop, w, ECANCELED);
}

/* ----------------------------------------------------------------- fork */

void sock_pushpast(lua_State *L) {
  lua_createtable(L, 2, 0);
  sock_pushtasks(L);
  lua_rawseti(L, -2, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pastkey);
  lua_rawseti(L, -2, 2);
  lua_newtable(L);
}

/* The wait may be the task's own, or a driver's in it. */
static void loose(sock_Loop *loop, sock_Task *t) {
  if (t->home.waiter != NULL)
    sock_leave(loop, t->home.waiter);
  t->home.waiter = NULL;
  sock_dropframes(&t->home);
  sock_listremove(&t->failure);
  sock_listremove(&t->member);
  t->group = NULL;
  t->inwait = 0;
  t->finished = 1;
  if (t->state <= SOCK_ALIVE) {
    t->state = SOCK_CANCELLED;
    t->nresults = 0;
  }
}

void sock_loosetasks(lua_State *L, sock_Loop *loop) {
  sock_pushtasks(L);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    loose(loop, lua_touserdata(L, -1));
  lua_pop(L, 1);
  while (!sock_listempty(&loop->ready)) /* some were woken by others' leaving */
    sock_listremove(loop->ready.next);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &taskskey);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &pastkey);
}

/* ---------------------------------------------------------------- class */

/* At the body's end. If it was not the loop that ran it to there, a stranger
** has resumed or closed the coroutine: the loop is to find it dead. A script
** that calls this by name does so from another coroutine, or from inside. */
static int t_close(lua_State *L) {
  sock_Task *t = sock_checkobject(L, 1, &sock_taskclass);
  if (L != t->co || t->loop->current == t || t->finished)
    return 0;
  strand(t);
  return 0;
}

static int cancelled_tostring(lua_State *L) {
  lua_pushliteral(L, "cancelled");
  return 1;
}

static const luaL_Reg meta[] = {{"__close", t_close}, {NULL, NULL}};
static const luaL_Reg methods[] = {{NULL, NULL}};

const sock_Class sock_taskclass = {"task", meta, methods};

void sock_opentask(lua_State *L) {
  sock_newclass(L, &sock_taskclass);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &taskskey);
  lua_pushboolean(L, 0); /* its place, so that the child needs no memory */
  lua_rawsetp(L, LUA_REGISTRYINDEX, &pastkey);
  sock_openonerror(L);
  sock_opentasklib(L);
  lua_newtable(L);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, cancelled_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "cancelled");
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &cancelledkey);
}
