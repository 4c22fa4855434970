/* core.c: puts the classes together, nothing else. */
#include "base/platform.h"
#include "loop/loop.h"
#include "net/socket.h"

SOCK_API int luaopen_sock_core(lua_State *L);

int luaopen_sock_core(lua_State *L) {
  luaL_checkversion(L);
  sock_openloop(L);
  sock_openaddress(L);
  sock_opensocket(L);
  lua_newtable(L);
  luaL_setfuncs(L, sock_addressfunctions, 0);
  luaL_setfuncs(L, sock_socketfunctions, 0);
  luaL_setfuncs(L, sock_adoptfunctions, 0);
  luaL_setfuncs(L, sock_waitfunctions, 0);
  luaL_setfuncs(L, sock_optionfunctions, 0);
  luaL_setfuncs(L, sock_namefunctions, 0);
  luaL_setfuncs(L, sock_resolvefunctions, 0);
  return 1;
}
