/* held.c: memory that others allocate and Lua owns. */
#include "base/platform.h"
#include "base/held.h"
#include "base/class.h"

static int held_gc(lua_State *L);

static const luaL_Reg heldmeta[] = {
    {"__gc", held_gc}, {"__close", held_gc}, {NULL, NULL}};

static const sock_Class heldclass = {"held memory", heldmeta, NULL};

static int held_gc(lua_State *L) {
  sock_release(sock_checkobject(L, 1, &heldclass));
  return 0;
}

sock_Held *sock_newheld(lua_State *L, void (*drop)(void *)) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &heldclass) == LUA_TNIL)
    sock_newclass(L, &heldclass);
  lua_pop(L, 1);
  sock_Held *held = sock_newobject(L, &heldclass, sizeof *held, 0);
  held->drop = drop;
  return held;
}

void sock_release(sock_Held *held) {
  void *memory = held->memory;
  held->memory = NULL;
  if (memory != NULL)
    held->drop(memory);
}
