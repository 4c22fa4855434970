/* group.c: what run and scope wait for; lua/sock/scope.lua says how. */
#include "base/platform.h"
#include "base/error.h"
#include "loop/await.h"
#include "loop/group.h"

static const sock_Class class;

static sock_Group *checkgroup(lua_State *L) {
  return sock_checkobject(L, 1, &class);
}

sock_Group *sock_pushrun(lua_State *L) {
  const sock_Task *t = sock_loop(L)->current;
  sock_Group *group = t != NULL ? t->group : NULL;
  if (group == NULL) {
    lua_pushnil(L);
    return NULL;
  }
  sock_pushtask(L, t);
  lua_getiuservalue(L, -1, SOCK_TASKGROUP);
  if (group->frame != NULL) {
    lua_getiuservalue(L, -1, SOCK_GROUPPARENT);
    lua_remove(L, -2);
    group = lua_touserdata(L, -1);
  }
  lua_remove(L, -2);
  return group;
}

void sock_joingroup(sock_Group *group, sock_Task *t) {
  t->group = group;
  t->home.cancelled = group->cancelled;
  sock_listpushback(&group->members, &t->member);
  if (group->first == NULL)
    group->first = t;
}

static void cancelmembers(sock_Group *group) {
  group->cancelled = 1;
  for (sock_Link *l = group->members.next; l != &group->members; l = l->next)
    sock_cancel(sock_container(l, sock_Task, member));
}

/* The first failure in a scope, or that of a run's own task, ends it all. */
static void fail(lua_State *L, sock_Group *group, sock_Task *t) {
  group->failed = 1;
  t->joined = 1;
  sock_pushtask(L, t);
  lua_getiuservalue(L, -1, SOCK_TASKGROUP);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, SOCK_GROUPFAILURE);
  lua_pop(L, 2);
  cancelmembers(group);
  if (group->frame != NULL)
    sock_cancelframe(group->frame);
}

void sock_leavegroup(lua_State *L, sock_Task *t) {
  sock_Group *group = t->group;
  sock_listremove(&t->member);
  if (t->state == SOCK_FAILED && !group->failed &&
      (group->frame != NULL || t == group->first))
    fail(L, group, t);
  if (sock_listempty(&group->members))
    sock_wakeall(group->loop, &group->waiters, 0);
}

/* ------------------------------------------------------------- methods */

static int g_spawn(lua_State *L) {
  sock_spawn(L, 2, checkgroup(L), 1);
  return 1;
}

static int wait_try(lua_State *L, int why) {
  const sock_Group *group = lua_touserdata(L, 1);
  (void)why;
  return sock_listempty(&group->members) ? 1 : SOCK_WANTWAKE;
}

/* wait([shielded]): until all its tasks have ended */
static int g_wait(lua_State *L) {
  sock_Group *group = checkgroup(L);
  int how = lua_toboolean(L, 2) ? SOCK_SHIELDED : SOCK_INSIDE;
  lua_settop(L, 1);
  return sock_awaitqueue(L, &group->waiters, HUGE_VAL, how, wait_try);
}

static int g_cancel(lua_State *L) {
  cancelmembers(checkgroup(L));
  lua_settop(L, 1);
  return 1;
}

static int g_failure(lua_State *L) {
  checkgroup(L);
  lua_getiuservalue(L, 1, SOCK_GROUPFAILURE);
  return 1;
}

/* group([frame]): a run's, or with the frame of its body, a scope's */
static int l_group(lua_State *L) {
  sock_Frame *frame = lua_isnoneornil(L, 1) ? NULL : sock_checkframe(L, 1);
  sock_Group *group = sock_newobject(L, &class, sizeof *group, 3);
  group->loop = sock_loop(L);
  sock_listinit(&group->members);
  sock_listinit(&group->waiters);
  sock_pushrun(L);
  lua_setiuservalue(L, -2, SOCK_GROUPPARENT);
  if (frame != NULL) {
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, SOCK_GROUPFRAME);
  }
  group->frame = frame;
  return 1;
}

/* --------------------------------------------- the loop from outside */

static int runall_try(lua_State *L, int why) {
  (void)why;
  if (sock_loop(L)->tasks > 0)
    return SOCK_WANTWAKE;
  lua_pushboolean(L, 1);
  return 1;
}

/* runall([shielded]): until no task is left */
static int l_runall(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  int how = lua_toboolean(L, 1) ? SOCK_SHIELDED : SOCK_INSIDE;
  if (loop->current != NULL || L != loop->main)
    return luaL_error(L, "run() without a function: main thread only");
  lua_settop(L, 0);
  return sock_awaitqueue(L, &loop->idle, HUGE_VAL, how, runall_try);
}

static int l_step(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  double seconds = sock_optseconds(L, 1);
  if (loop->current != NULL || loop->depth >= SOCK_MAXDRIVERS)
    return luaL_error(L, "step inside a task");
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  loop->hook = lua_gethook(loop->main);
  loop->depth++;
  (void)sock_turn(L, loop, NULL, loop->tasks > 0 ? seconds : 0);
  loop->depth--;
  lua_pushinteger(L, loop->tasks);
  return 1;
}

static int l_deadline(lua_State *L) {
  double seconds = sock_untilnext(sock_loop(L));
  if (seconds < HUGE_VAL)
    lua_pushnumber(L, seconds);
  else
    lua_pushnil(L);
  return 1;
}

static int l_pollfd(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  int err = sock_openpoller(loop);
  if (err == 0 && loop->poller.fd < 0) {
    (void)sock_fail(L, EOPNOTSUPP, "pollfd");
    lua_pop(L, 1);
    lua_pushliteral(L, "ENOTSUP");
    return 3;
  }
  if (err != 0)
    return sock_fail(L, err, "pollfd");
  lua_pushinteger(L, loop->poller.fd);
  return 1;
}

/* A coroutine that was closed in its wait leaves its task's waiter here. */
static int g_gc(lua_State *L) {
  sock_Group *group = checkgroup(L);
  sock_wakeall(group->loop, &group->waiters, EBADF);
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", g_gc}, {NULL, NULL}};

static const luaL_Reg methods[] = {{"spawn", g_spawn},
                                   {"wait", g_wait},
                                   {"cancel", g_cancel},
                                   {"failure", g_failure},
                                   {NULL, NULL}};

static const sock_Class class = {"task group", meta, methods};

void sock_opengroup(lua_State *L) {
  sock_newclass(L, &class);
}

const luaL_Reg sock_groupfunctions[] = {
    {"group", l_group},   {"runall", l_runall},     {"step", l_step},
    {"pollfd", l_pollfd}, {"deadline", l_deadline}, {NULL, NULL}};
