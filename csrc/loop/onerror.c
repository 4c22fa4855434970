/* onerror.c: failures that nobody has joined are told once. */
#include "base/platform.h"
#include "loop/frame.h"
#include "loop/task.h"

#include <stdio.h>

static const char onerrorkey = 'e'; /* the function of sock.onerror */

void sock_pushtrace(lua_State *L, int index) {
  if (lua_getiuservalue(L, index, SOCK_TASKTRACE) == LUA_TTABLE)
    lua_rawgeti(L, -1, 2);
  else
    lua_pushnil(L);
  lua_remove(L, -2);
}

/* At the live prompt, the line that is typed is not to be written into. */
static void giveway(const sock_Loop *loop) {
  if (loop->prompt != NULL)
    loop->prompt->giveway(loop->prompt, fileno(stderr), 1);
}

/* error, traceback, task: the first onerror. */
static int tellstderr(lua_State *L) {
  const char *text = luaL_tolstring(L, 1, NULL);
  const char *trace = lua_tostring(L, 2);
  giveway(sock_loop(L));
  (void)fprintf(stderr, "sock: a task failed: %s\n%s%s", text,
                trace != NULL ? trace : "", trace != NULL ? "\n" : "");
  return 0;
}

/* index 1: the task. Protected: a handler may fail, memory may run out. */
static int tell(lua_State *L) {
  const sock_Task *t = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &onerrorkey);
  if (lua_gettop(t->co) < 1 || t->nresults < 1)
    lua_pushliteral(t->co, "the task was ended from outside");
  lua_pushvalue(t->co, -1);
  lua_xmove(t->co, L, 1);
  sock_pushtrace(L, 1);
  lua_pushvalue(L, 1);
  lua_call(L, 3, 0);
  return 0;
}

void sock_reportfailed(lua_State *L, sock_Loop *loop) {
  /* its waits are not those of the code that drives the loop */
  sock_Home own = {0}, *home = loop->home;
  sock_listinit(&own.frames);
  loop->home = &own;
  while (!sock_listempty(&loop->failed)) {
    sock_Task *t = sock_container(loop->failed.next, sock_Task, failure);
    sock_listremove(&t->failure);
    t->joined = 1;
    lua_pushcfunction(L, tell);
    sock_pushtask(L, t);
    sock_unanchor(L, t);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
      const char *text = lua_tostring(L, -1);
      giveway(loop);
      (void)fprintf(stderr, "sock: onerror failed: %s\n",
                    text != NULL ? text : "(an error that is no text)");
      lua_pop(L, 1);
    }
  }
  sock_dropframes(&own);
  loop->home = home;
}

static int l_onerror(lua_State *L) {
  int given = !lua_isnone(L, 1);
  if (given && !lua_isnil(L, 1))
    luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &onerrorkey);
  if (given) {
    if (lua_isnil(L, 1))
      lua_pushcfunction(L, tellstderr);
    else
      lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &onerrorkey);
  }
  return 1;
}

const luaL_Reg sock_onerrorfunctions[] = {{"onerror", l_onerror}, {NULL, NULL}};

void sock_openonerror(lua_State *L) {
  lua_pushcfunction(L, tellstderr);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &onerrorkey);
}
