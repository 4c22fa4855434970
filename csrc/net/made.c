/* made.c: sock.sockets. */
#include "base/platform.h"
#include "loop/place.h"
#include "net/made.h"

#define FILELEN 40 /* Lua's LUAI_MAXSHORTLEN */

static const char key = 'o';

/* The end of a file's name tells most. */
static void pushfile(lua_State *L, const char *file) {
  size_t len = strlen(file);
  if (len <= FILELEN) {
    lua_pushlstring(L, file, len);
    return;
  }
  char text[FILELEN] = "...";
  memcpy(text + 3, file + len - (FILELEN - 3), FILELEN - 3);
  lua_pushlstring(L, text, FILELEN);
}

void sock_notemade(lua_State *L, sock_Socket *s) {
  lua_Debug ar;
  if (sock_findplace(L, &ar)) {
    s->line = ar.currentline;
    pushfile(L, ar.short_src);
    lua_setiuservalue(L, -2, SOCK_FILEVALUE);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, s);
  lua_pop(L, 1);
}

void sock_forgetmade(lua_State *L, const sock_Socket *s) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  lua_pushnil(L);
  lua_rawsetp(L, -2, s);
  lua_pop(L, 1);
}

/* Pushes a list of all that are open, the newest first. Nothing here runs the
** collector once the walk has begun: a finalizer would change what is walked.
** One that is about to be finalized is in the table no more. */
static lua_Integer pushopen(lua_State *L) {
  lua_Integer n = 0;
  int count = 0;
  const sock_Loop *loop = sock_loop(L);
  for (const sock_Socket *s = loop->sockets; s != NULL; s = s->next)
    count++;
  lua_createtable(L, count, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  for (const sock_Socket *s = loop->sockets; s != NULL; s = s->next)
    if (lua_rawgetp(L, -1, s) == LUA_TUSERDATA)
      lua_rawseti(L, -3, ++n);
    else
      lua_pop(L, 1);
  lua_pop(L, 1);
  return n;
}

/* opensockets(): a list, the newest first; a list of "file:line", or false */
static int l_opensockets(lua_State *L) {
  lua_settop(L, 0);
  lua_Integer n = pushopen(L);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    const sock_Socket *s = lua_touserdata(L, 3);
    if (lua_getiuservalue(L, 3, SOCK_FILEVALUE) == LUA_TSTRING)
      lua_pushfstring(L, "%s:%d", lua_tostring(L, -1), s->line);
    else
      lua_pushboolean(L, 0);
    lua_rawseti(L, 2, i);
    lua_settop(L, 2);
  }
  return 2;
}

const luaL_Reg sock_madefunctions[] = {{"opensockets", l_opensockets},
                                       {NULL, NULL}};

void sock_openmade(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}
