/* class.c: metatables live in the registry under their class's address. */
#include "base/platform.h"
#include "base/class.h"

void sock_newclass(lua_State *L, const sock_Class *class) {
  lua_newtable(L);
  luaL_setfuncs(L, class->meta, 0);
  lua_pushstring(L, class->name);
  lua_setfield(L, -2, "__name");
  if (class->methods != NULL) {
    lua_newtable(L);
    luaL_setfuncs(L, class->methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, class);
}

void sock_addmethods(lua_State *L, const sock_Class *class,
                     const luaL_Reg *methods) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
  lua_getfield(L, -1, "__index");
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 2);
}

void sock_addmeta(lua_State *L, const sock_Class *class, const char *event,
                  lua_CFunction f) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
  lua_pushcfunction(L, f);
  lua_setfield(L, -2, event);
  lua_pop(L, 1);
}

void *sock_newobject(lua_State *L, const sock_Class *class, size_t size,
                     int uservalues) {
  void *object = lua_newuserdatauv(L, size, uservalues);
  memset(object, 0, size);
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
  lua_setmetatable(L, -2);
  return object;
}

void *sock_testobject(lua_State *L, int index, const sock_Class *class) {
  void *object = lua_touserdata(L, index);
  if (object == NULL || !lua_getmetatable(L, index))
    return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, class);
  if (!lua_rawequal(L, -1, -2))
    object = NULL;
  lua_pop(L, 2);
  return object;
}

void *sock_checkobject(lua_State *L, int arg, const sock_Class *class) {
  void *object = sock_testobject(L, arg, class);
  if (object == NULL)
    luaL_typeerror(L, arg, class->name);
  return object;
}
