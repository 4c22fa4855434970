/* loop.c: the one structure of a Lua state. */
#include "base/platform.h"
#include "loop/loop.h"

#include <lauxlib.h>

static const char key = 'l';

void sock_openloop(lua_State *L) {
  sock_Loop *loop = lua_newuserdatauv(L, sizeof *loop, 0);
  loop->sockets = loop->owner = NULL;
  loop->held = 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  loop->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

sock_Loop *sock_loop(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  sock_Loop *loop = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return loop;
}
