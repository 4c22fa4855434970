/* core.c: puts the classes together, nothing else. */
#include "base/platform.h"
#include "loop/channel.h"
#include "loop/coroutine.h"
#include "loop/frame.h"
#include "loop/group.h"
#include "loop/place.h"
#include "loop/process.h"
#include "loop/set.h"
#include "loop/signals.h"
#include "loop/task.h"
#include "net/copy.h"
#include "net/made.h"
#include "net/fork.h"
#include "net/places.h"
#include "net/socket.h"
#include "net/tap.h"
#include "net/transport.h"
#include "prompt.h"

SOCK_API int luaopen_sock_core(lua_State *L);

static const char key = 'm';

/* Whoever clears package.loaded and requires it again gets the same: there
** is one loop in a state, and one class of sockets. */
int luaopen_sock_core(lua_State *L) {
  luaL_checkversion(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE)
    return 1;
  sock_openloop(L);
  sock_opentask(L);
  sock_openframe(L);
  sock_opengroup(L);
  sock_openset(L);
  sock_openchannel(L);
  sock_opensignals(L);
  sock_openprocess(L);
  sock_openaddress(L);
  sock_opensocket(L);
  sock_openplaces(L);
  sock_opentransport(L);
  sock_opentap(L);
  sock_newclass(L, &sock_copierclass);
  lua_newtable(L);
  sock_pushcancelled(L);
  lua_setfield(L, -2, "cancelled");
  luaL_setfuncs(L, sock_taskfunctions, 0);
  luaL_setfuncs(L, sock_onerrorfunctions, 0);
  luaL_setfuncs(L, sock_framefunctions, 0);
  luaL_setfuncs(L, sock_groupfunctions, 0);
  luaL_setfuncs(L, sock_channelfunctions, 0);
  luaL_setfuncs(L, sock_signalfunctions, 0);
  luaL_setfuncs(L, sock_coroutinefunctions, 0);
  luaL_setfuncs(L, sock_addressfunctions, 0);
  luaL_setfuncs(L, sock_socketfunctions, 0);
  luaL_setfuncs(L, sock_adoptfunctions, 0);
  luaL_setfuncs(L, sock_copyfunctions, 0);
  luaL_setfuncs(L, sock_tapfunctions, 0);
  luaL_setfuncs(L, sock_infofunctions, 0);
  luaL_setfuncs(L, sock_forkfunctions, 0);
  luaL_setfuncs(L, sock_placesfunctions, 0);
  luaL_setfuncs(L, sock_waitfunctions, 0);
  luaL_setfuncs(L, sock_optionfunctions, 0);
  luaL_setfuncs(L, sock_namefunctions, 0);
  luaL_setfuncs(L, sock_resolvefunctions, 0);
  luaL_setfuncs(L, sock_madefunctions, 0);
  luaL_setfuncs(L, sock_promptfunctions, 0);
  lua_pushcfunction(L, sock_setlibrary);
  lua_setfield(L, -2, "library");
  luaL_setfuncs(L, sock_servingfunctions, 0);
  luaL_setfuncs(L, sock_unixpathfunctions, 0);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  return 1;
}
