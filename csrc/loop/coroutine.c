/*
** coroutine.c: the coroutine library once more, with one difference.
**
** While such a coroutine runs in a task, it is the task's `top`: the one
** whose waits suspend the task. A wait yields from it to its resume, which
** yields on to the loop; the loop resumes the task, whose continuation here
** resumes the coroutine. A plain coroutine nests a driver instead.
*/
#include "base/platform.h"
#include "loop/coroutine.h"
#include "loop/task.h"

#include <lualib.h>

static lua_State *checkcoroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  return co;
}

/* Moves what the coroutine yielded, returned or raised: their number, or -1
** and the error. */
static int results(lua_State *L, lua_State *co, int status, int n) {
  if (status == LUA_OK || status == LUA_YIELD) {
    if (!lua_checkstack(L, n + 1)) {
      lua_pop(co, n);
      lua_pushliteral(L, "too many results to resume");
      return -1;
    }
    lua_xmove(co, L, n);
    return n;
  }
  lua_xmove(co, L, 1);
  return -1;
}

/* Whether a wait of the task, not a plain yield, suspended it. */
static int waits(const sock_Task *t) {
  return t != NULL && t->inwait;
}

typedef int (*Answer)(lua_State *L, int n); /* n as from results() */

static int answer(lua_State *L, lua_State *co, int status, int n, Answer give) {
  return give(L, results(L, co, status, n));
}

/* It runs on L again, and holds the inner coroutine no longer. */
static void comeback(lua_State *L, sock_Task *t) {
  t->top = L;
  if (!t->holdstop)
    return;
  t->holdstop = 0;
  sock_pushtask(L, t);
  lua_pushnil(L);
  lua_setiuservalue(L, -2, SOCK_TASKTOP);
  lua_pop(L, 1);
}

/* The wait of an inner coroutine becomes this one's; `top` stays. */
static int passon(lua_State *L, const sock_Task *t, lua_KFunction again) {
  sock_pushmark(L);
  return lua_yieldk(L, 1, (lua_KContext)t->serial, again);
}

static int go(lua_State *L, lua_State *co, int nargs, lua_KFunction again,
              Answer give) {
  sock_Loop *loop = sock_loop(L);
  sock_Task *t = loop->current;
  int n, passes = t != NULL && t->top == L && lua_isyieldable(L);
  if (passes)
    t->top = co;
  int status = lua_resume(co, L, nargs, &n);
  if (!passes)
    return answer(L, co, status, n, give);
  if (status == LUA_YIELD && waits(t))
    return passon(L, t, again);
  comeback(L, t);
  return answer(L, co, status, n, give);
}

/* To lua_resume, what a finished task has left on its stack is a function
** to begin with. */
static int resumeyielded(lua_State *L, lua_State *co, int *n) {
  if (lua_status(co) == LUA_YIELD)
    return lua_resume(co, L, 0, n);
  lua_pushliteral(co, "cannot resume dead coroutine");
  return LUA_ERRRUN;
}

/* The loop has resumed the task: on, down to the coroutine that waits. */
static int goon(lua_State *L, lua_State *co, lua_KContext serial,
                lua_KFunction again, Answer give) {
  sock_Task *t = sock_loop(L)->current;
  if (t == NULL || !t->resumed || t->serial != (unsigned long)serial)
    return sock_refuseresume(L, (unsigned long)serial);
  if (sock_isinwait(co))
    lua_pop(co, 1);
  int n, status = resumeyielded(L, co, &n);
  if (status == LUA_YIELD && waits(t))
    return passon(L, t, again);
  t->resumed = 0;
  if (waits(t)) { /* it could not be resumed */
    t->inwait = 0;
    t->home.waiter = NULL;
    sock_leave(t->loop, &t->waiter);
  }
  comeback(L, t);
  return answer(L, co, status, n, give);
}

/* Starting or resuming it is refused where lua_resume would not say so. */
static const char *refusal(lua_State *co, int nargs) {
  lua_Debug ar;
  if (!lua_checkstack(co, nargs))
    return "too many arguments to resume";
  if (lua_status(co) == LUA_YIELD)
    return sock_isinwait(co) ? "attempt to resume a coroutine that waits"
                             : NULL;
  if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar) == 0)
    return lua_gettop(co) > 0 ? NULL : "cannot resume dead coroutine";
  return lua_status(co) == LUA_OK ? "cannot resume non-suspended coroutine"
                                  : "cannot resume dead coroutine";
}

/* -------------------------------------------------------------- resume */

static int giveresume(lua_State *L, int n) {
  lua_pushboolean(L, n >= 0);
  lua_insert(L, n >= 0 ? -(n + 1) : -2);
  return n >= 0 ? n + 1 : 2;
}

static int resume_again(lua_State *L, int status, lua_KContext serial) {
  (void)status;
  return goon(L, lua_tothread(L, 1), serial, resume_again, giveresume);
}

static int l_resume(lua_State *L) {
  lua_State *co = checkcoroutine(L);
  int nargs = lua_gettop(L) - 1;
  const char *why = refusal(co, nargs);
  if (why != NULL && strstr(why, "waits") != NULL)
    return luaL_error(L, "%s", why);
  if (why != NULL) {
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return 2;
  }
  lua_xmove(L, co, nargs);
  return go(L, co, nargs, resume_again, giveresume);
}

/* ---------------------------------------------------------------- wrap */

/* As coroutine.wrap: a dead one is closed, and a text gets its place. */
static int givewrap(lua_State *L, int n) {
  if (n >= 0)
    return n;
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = lua_resetthread(co);
    if (status != LUA_OK) {
      lua_pop(L, 1);
      lua_xmove(co, L, 1); /* an error of a __close replaces it */
    }
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrap_again(lua_State *L, int status, lua_KContext serial) {
  (void)status;
  return goon(L, lua_tothread(L, lua_upvalueindex(1)), serial, wrap_again,
              givewrap);
}

static int callwrap(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int nargs = lua_gettop(L);
  const char *why = refusal(co, nargs);
  if (why != NULL)
    return luaL_error(L, "%s", why);
  lua_xmove(L, co, nargs);
  return go(L, co, nargs, wrap_again, givewrap);
}

static int l_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int l_wrap(lua_State *L) {
  l_create(L);
  lua_pushcclosure(L, callwrap, 1);
  return 1;
}

/* ------------------------------------------------------------ the rest */

static int l_close(lua_State *L) {
  lua_State *co = checkcoroutine(L);
  if (sock_isinwait(co))
    return luaL_error(L, "attempt to close a coroutine that waits");
  lua_pushvalue(L, lua_upvalueindex(1)); /* the standard one */
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static const luaL_Reg own[] = {
    {"create", l_create}, {"wrap", l_wrap}, {"resume", l_resume}, {NULL, NULL}};

/* sock.coroutine: the standard library's functions, and these instead. */
static int l_coroutine(lua_State *L) {
  static const char *const same[] = {"yield", "status", "isyieldable",
                                     "running", NULL};
  lua_settop(L, 0);
  luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 0);
  luaL_newlib(L, own);
  for (int i = 0; same[i] != NULL; i++) {
    lua_getfield(L, 1, same[i]);
    lua_setfield(L, 2, same[i]);
  }
  lua_getfield(L, 1, "close");
  lua_pushcclosure(L, l_close, 1);
  lua_setfield(L, 2, "close");
  return 1;
}

const luaL_Reg sock_coroutinefunctions[] = {{"coroutine", l_coroutine},
                                            {NULL, NULL}};
