/* tasklib.c: what programs do with tasks. */
#include "base/platform.h"
#include "base/error.h"
#include "loop/await.h"
#include "loop/group.h"
#include "loop/place.h"
#include "loop/task.h"

static sock_Task *checktask(lua_State *L, int arg) {
  return sock_checkobject(L, arg, &sock_taskclass);
}

/* -------------------------------------------------------------- methods */

/* Copies an ended task's results to L. */
static int giveresults(lua_State *L, const sock_Task *t) {
  int n = t->nresults, from = lua_gettop(t->co) - n;
  if (from < 0) /* coroutine.close has thrown them away */
    return luaL_error(L, "the task's coroutine was closed");
  if (!lua_checkstack(t->co, n))
    return luaL_error(L, "too many results to join");
  luaL_checkstack(L, n, "too many results to join");
  for (int i = 1; i <= n; i++)
    lua_pushvalue(t->co, from + i);
  lua_xmove(t->co, L, n);
  return n;
}

static int join_try(lua_State *L, int why) {
  sock_Task *t = lua_touserdata(L, 1);
  if (!t->finished) /* a stranger may have ended it, and the loop not seen it */
    return why != 0 ? sock_fail(L, why, "join") : SOCK_WANTWAKE;
  t->joined = 1;
  if (!sock_listempty(&t->failure)) {
    sock_listremove(&t->failure);
    sock_unanchor(L, t);
  }
  switch (t->state) {
  case SOCK_DONE:
    return giveresults(L, t);
  case SOCK_CANCELLED:
    lua_pushnil(L);
    lua_pushliteral(L, "cancelled");
    lua_pushliteral(L, "ECANCELED");
    return 3;
  default:
    if (giveresults(L, t) == 0)
      lua_pushliteral(L, "the task was ended from outside");
    return lua_error(L);
  }
}

static int t_join(lua_State *L) {
  sock_Task *t = checktask(L, 1);
  double seconds = sock_optseconds(L, 2);
  if (t == t->loop->current)
    return luaL_error(L, "a task cannot join itself");
  lua_settop(L, 1);
  return sock_awaitqueue(L, &t->joiners, seconds, SOCK_INSIDE, join_try);
}

static int t_cancel(lua_State *L) {
  sock_cancel(checktask(L, 1));
  lua_settop(L, 1);
  return 1;
}

static const char *statusof(const sock_Task *t) {
  static const char *const names[] = {"ready", "", "done", "failed",
                                      "cancelled"};
  if (t->state != SOCK_ALIVE)
    return names[t->state];
  if (!sock_listempty(&t->waiter.ready))
    return "ready";
  return t->home.waiter != NULL ? "waiting" : "running";
}

static int t_status(lua_State *L) {
  lua_pushstring(L, statusof(checktask(L, 1)));
  return 1;
}

static int t_traceback(lua_State *L) {
  const sock_Task *t = checktask(L, 1);
  if (t->state <= SOCK_ALIVE)
    luaL_traceback(L, t->top, NULL, 0);
  else if (t->state == SOCK_FAILED)
    sock_pushtrace(L, 1);
  else
    lua_pushnil(L);
  return 1;
}

/* Where a task stands in its program, pushed. */
static void pushplace(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (sock_findplace(co, &ar))
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
  else
    lua_pushliteral(L, "?");
}

/* "task 3: waiting at file.lua:12", "task 3: done", "task 3: failed: …" */
static int t_tostring(lua_State *L) {
  const sock_Task *t = checktask(L, 1);
  lua_pushfstring(L, "task %d: %s", (int)t->number, statusof(t));
  if (t->state <= SOCK_ALIVE) {
    lua_pushliteral(L, " at ");
    pushplace(L, t->top);
  } else if (t->state == SOCK_FAILED && lua_gettop(t->co) > 0 &&
             lua_type(t->co, -1) == LUA_TSTRING) {
    lua_pushfstring(L, ": %s", lua_tostring(t->co, -1));
  }
  lua_concat(L, lua_gettop(L) - 1);
  return 1;
}

/* How many of the tasks a deadlock names. */
#define LISTED 20

void sock_pushdeadlock(lua_State *L) {
  int listed = 0;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushliteral(L, "deadlock: nothing is left that could end this wait");
  sock_pushtasks(L);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const sock_Task *t = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (t->state > SOCK_ALIVE || ++listed > LISTED)
      continue;
    lua_pushvalue(L, -3); /* the text so far, then what is added */
    pushplace(L, t->top);
    lua_pushfstring(L, "\n\ta task waits at %s", lua_tostring(L, -1));
    lua_remove(L, -2);
    lua_concat(L, 2);
    lua_replace(L, -4);
  }
  lua_pop(L, 1);
  if (listed > LISTED) {
    lua_pushfstring(L, "\n\tand %d more", listed - LISTED);
    lua_concat(L, 2);
  }
}

/* ------------------------------------------------------------ functions */

static int l_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  sock_Group *group = sock_pushrun(L);
  lua_insert(L, 1);
  sock_spawn(L, 2, group, 1);
  return 1;
}

static int l_task(lua_State *L) {
  const sock_Task *t = sock_loop(L)->current;
  if (t != NULL)
    sock_pushtask(L, t);
  else
    lua_pushnil(L);
  return 1;
}

static int l_tasks(lua_State *L) {
  lua_Integer n = 0;
  lua_settop(L, 0);
  lua_newtable(L);
  sock_pushtasks(L);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const sock_Task *t = lua_touserdata(L, -1);
    if (t->state <= SOCK_ALIVE)
      lua_rawseti(L, 1, ++n);
    else
      lua_pop(L, 1);
  }
  lua_settop(L, 1);
  return 1;
}

static int sleep_try(lua_State *L, int why) {
  if (why == 0)
    return SOCK_WANTWAKE;
  lua_pushboolean(L, 1);
  return 1;
}

static int turn_try(lua_State *L, int why) {
  (void)why;
  if (lua_toboolean(L, 1)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 1);
  lua_replace(L, 1);
  return SOCK_WANTTURN;
}

static int l_sleep(lua_State *L) {
  luaL_checknumber(L, 1);
  double seconds = sock_optseconds(L, 1);
  lua_settop(L, 0);
  if (seconds > 0)
    return sock_awaitqueue(L, NULL, seconds, SOCK_INSIDE, sleep_try);
  lua_pushboolean(L, 0);
  return sock_awaitqueue(L, NULL, HUGE_VAL, SOCK_INSIDE, turn_try);
}

static int l_now(lua_State *L) {
  lua_pushnumber(L, sock_now());
  return 1;
}

static const luaL_Reg methods[] = {{"join", t_join},
                                   {"cancel", t_cancel},
                                   {"status", t_status},
                                   {"traceback", t_traceback},
                                   {NULL, NULL}};

const luaL_Reg sock_taskfunctions[] = {{"spawn", l_spawn}, {"task", l_task},
                                       {"tasks", l_tasks}, {"sleep", l_sleep},
                                       {"now", l_now},     {NULL, NULL}};

void sock_opentasklib(lua_State *L) {
  sock_addmethods(L, &sock_taskclass, methods);
  sock_addmeta(L, &sock_taskclass, "__tostring", t_tostring);
}
