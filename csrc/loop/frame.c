/* frame.c: sock.timeout, and what scopes are made of. */
#include "base/platform.h"
#include "loop/await.h"
#include "loop/frame.h"
#include "loop/task.h"

enum { TASK = 1, OWNER = 2 }; /* user values: what it points to */

static void unlinkframe(sock_Frame *f) {
  if (f->home != NULL)
    sock_listremove(&f->link);
  f->home = NULL;
}

static int frame_gc(lua_State *L) {
  unlinkframe(sock_checkframe(L, 1));
  return 0;
}

double sock_framelimit(lua_State *L, sock_Home *home) {
  double limit = HUGE_VAL;
  for (sock_Link *l = home->frames.next; l != &home->frames; l = l->next) {
    sock_Frame *f = sock_container(l, sock_Frame, link);
    lua_Debug ar; /* a closed coroutine has no function that runs */
    f->active = f->owner == L || (lua_status(f->owner) != LUA_YIELD &&
                                  lua_getstack(f->owner, 0, &ar));
    if (f->active)
      limit = fmin(limit, f->deadline);
  }
  return limit;
}

void sock_cancelframe(sock_Frame *f) {
  f->deadline = -HUGE_VAL;
  if (f->home == NULL || !f->active)
    return;
  sock_Waiter *w = f->home->waiter;
  if (w != NULL && !w->shielded)
    sock_wake(f->loop, w, ECANCELED);
}

void sock_dropframes(sock_Home *home) {
  while (!sock_listempty(&home->frames))
    unlinkframe(sock_container(home->frames.next, sock_Frame, link));
}

/* Enters the frame at index 1 into the list of whoever runs. */
static void enter(lua_State *L, sock_Frame *f) {
  sock_Loop *loop = f->loop;
  if (f->home != NULL)
    luaL_error(L, "frame is entered already");
  lua_pushthread(L);
  lua_setiuservalue(L, 1, OWNER);
  if (loop->current != NULL) {
    sock_pushtask(L, loop->current);
    lua_setiuservalue(L, 1, TASK);
  }
  f->home = loop->current != NULL ? &loop->current->home : loop->home;
  f->owner = L;
  f->active = 1; /* until the next wait says otherwise */
  sock_listpushfront(&f->home->frames, &f->link);
}

static sock_Frame *newframe(lua_State *L, double deadline);

/* index 1: the frame; 2: the function, then its arguments. The function is
** called, and the handler put below it. */
static int call(lua_State *L, lua_KFunction done) {
  sock_Frame *f = sock_checkframe(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  enter(L, f);
  lua_toclose(L, 1); /* coroutine.close ends a generator's frames at once */
  sock_pushonfailure(L);
  lua_insert(L, 2);
  return done(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, 0, done), 0);
}

/* --------------------------------------------------------------- guard */

static int guard_done(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  unlinkframe(lua_touserdata(L, 1));
  lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
  lua_replace(L, 2);
  return lua_gettop(L) - 1;
}

/* guard(frame, f, …): true and f's results, or false and its error */
static int l_guard(lua_State *L) {
  return call(L, guard_done);
}

/* ------------------------------------------------------------- timeout */

/* Whether this frame, and no other reason, ended the code. */
static int timedout(lua_State *L, const sock_Frame *f, sock_Home *home) {
  double now = platform_now();
  return sock_iscancelled(L, -1) && f->deadline <= now && !home->cancelled &&
         sock_framelimit(L, home) > now;
}

static int timeout_done(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  sock_Frame *f = lua_touserdata(L, 1);
  sock_Home *home = f->home;
  unlinkframe(f);
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - 2;
  if (home == NULL || !timedout(L, f, home))
    return lua_error(L);
  lua_pushnil(L);
  lua_pushliteral(L, "timed out");
  lua_pushliteral(L, "ETIMEDOUT");
  return 3;
}

static int l_timeout(lua_State *L) {
  double seconds = sock_optseconds(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  newframe(L, seconds < HUGE_VAL ? platform_now() + seconds : HUGE_VAL);
  lua_replace(L, 1);
  return call(L, timeout_done);
}

/* --------------------------------------------------------------- class */

static int f_cancel(lua_State *L) {
  sock_cancelframe(sock_checkframe(L, 1));
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg meta[] = {
    {"__gc", frame_gc}, {"__close", frame_gc}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"cancel", f_cancel}, {NULL, NULL}};
static const sock_Class class = {"frame", meta, methods};

sock_Frame *sock_checkframe(lua_State *L, int arg) {
  return sock_checkobject(L, arg, &class);
}

static sock_Frame *newframe(lua_State *L, double deadline) {
  sock_Frame *f = sock_newobject(L, &class, sizeof *f, 2);
  sock_listinit(&f->link);
  f->loop = sock_loop(L);
  f->deadline = deadline;
  return f;
}

/* iscancelled(): whether waits here are to be cancelled, by whoever */
static int l_iscancelled(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  sock_Home *home = loop->current != NULL ? &loop->current->home : loop->home;
  lua_pushboolean(L, home->cancelled ||
                         sock_framelimit(L, home) <= platform_now());
  return 1;
}

static int l_frame(lua_State *L) {
  newframe(L, HUGE_VAL);
  return 1;
}

void sock_openframe(lua_State *L) {
  sock_newclass(L, &class);
}

const luaL_Reg sock_framefunctions[] = {{"timeout", l_timeout},
                                        {"frame", l_frame},
                                        {"iscancelled", l_iscancelled},
                                        {"guard", l_guard},
                                        {NULL, NULL}};
