/* place.c: where in a program something was called. */
#include "base/platform.h"
#include "loop/loop.h"
#include "loop/place.h"

static const char key = 'f'; /* the folder, in the registry */

int sock_setlibrary(lua_State *L) {
  sock_Loop *loop = sock_loop(L);
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  loop->library = lua_tolstring(L, 1, &loop->librarylen);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  return 0;
}

static int isours(const sock_Loop *loop, const lua_Debug *ar) {
  return loop->librarylen > 0 && ar->srclen > loop->librarylen &&
         ar->source[0] == '@' &&
         strncmp(ar->source + 1, loop->library, loop->librarylen) == 0;
}

int sock_findplace(lua_State *co, lua_Debug *ar) {
  const sock_Loop *loop = sock_loop(co);
  int ours = -1;
  for (int level = 0; lua_getstack(co, level, ar); level++) {
    lua_getinfo(co, "Sl", ar);
    if (ar->currentline <= 0)
      continue;
    if (!isours(loop, ar))
      return 1;
    if (ours < 0)
      ours = level;
  }
  return ours >= 0 && lua_getstack(co, ours, ar) && lua_getinfo(co, "Sl", ar);
}
