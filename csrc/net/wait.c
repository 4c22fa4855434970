/*
** wait.c: sock.wait and sock.select: readiness, of sockets and of whatever
** else has a descriptor.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/input.h"
#include "net/transport.h"

#include <stdio.h>

/* Calls the first of the methods by which other libraries show theirs. */
static int foreigndescriptor(lua_State *L, int index) {
  static const char *const names[] = {"fd", "getfd", "pollfd", "fileno", NULL};
  for (int i = 0; names[i] != NULL; i++) {
    if (lua_getfield(L, index, names[i]) == LUA_TFUNCTION) {
      lua_pushvalue(L, index);
      lua_call(L, 1, 1);
      int isnum;
      lua_Integer fd = lua_tointegerx(L, -1, &isnum);
      lua_pop(L, 1);
      return isnum && fd >= 0 && fd <= INT32_MAX ? (int)fd : -1;
    }
    lua_pop(L, 1);
  }
  return -1;
}

static int hasfields(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TTABLE)
    return 1;
  if (luaL_getmetafield(L, index, "__index") == LUA_TNIL)
    return 0;
  lua_pop(L, 1);
  return 1;
}

/* Fills an entry with the value at `index`; -1 if it has no descriptor. */
static int descriptorof(lua_State *L, int index, sock_Entry *e) {
  sock_Socket *s = sock_testobject(L, index, &sock_socketclass);
  if (s != NULL) {
    if (s->watch.fd < 0)
      return luaL_error(L, "attempt to use a closed socket");
    e->watch = &s->watch;
    return s->watch.fd;
  }
  luaL_Stream *file = luaL_testudata(L, index, LUA_FILEHANDLE);
  if (file != NULL) {
    if (file->closef == NULL)
      return luaL_error(L, "attempt to use a closed file");
    return fileno(file->f);
  }
  if (lua_isinteger(L, index)) {
    lua_Integer fd = lua_tointeger(L, index);
    return fd >= 0 && fd <= INT32_MAX ? (int)fd : -1;
  }
  return hasfields(L, index) ? foreigndescriptor(L, index) : -1;
}

/* What a buffer holds is readable; a socket may have been closed by the
** method of an object further on in the list. A watch is its socket's first
** member. */
static void lookatsockets(sock_Set *set) {
  for (int i = 0; i < set->count; i++) {
    sock_Entry *e = &set->entry[i];
    const sock_Socket *s = (const sock_Socket *)(const void *)e->watch;
    size_t len = 0;
    if (s != NULL && s->watch.fd < 0)
      e->ready |= SOCK_NOTOPEN;
    else if (s != NULL)
      (void)sock_arrived(s, &len);
    if (s != NULL && s->watch.fd >= 0)
      len += sock_pending(s);
    if (len > 0 && e->wanted & SOCK_READ)
      e->ready |= SOCK_READ;
  }
}

/* Whether the try is to go on waiting. */
static int stillwaits(sock_Set *set, int why) {
  if (why != 0)
    return 0;
  lookatsockets(set);
  return sock_setready(set) == 0;
}

/* Returns 0 if the value has no descriptor. */
static int fillentry(lua_State *L, int index, sock_Entry *e, short wanted) {
  e->wanted = wanted;
  e->fd = descriptorof(L, index, e);
  return e->fd >= 0;
}

/* ------------------------------------------------------------------ wait */

/* index 1: what was waited for; index 2: the set */
static int wait_try(lua_State *L, int why) {
  static const char *const names[] = {"", "r", "w", "rw"};
  sock_Set *set = lua_touserdata(L, 2);
  const sock_Entry *e = &set->entry[0];
  if (stillwaits(set, why))
    return SOCK_WANTWAKE;
  if (why == 0 && e->ready & SOCK_NOTOPEN)
    why = EBADF;
  if (why == 0) {
    lua_pushstring(L, names[e->ready & (SOCK_READ | SOCK_WRITE)]);
    return 1;
  }
  if (sock_testobject(L, 1, &sock_socketclass) != NULL)
    return sock_failsocket(L, 1, "wait", why);
  return sock_fail(L, why, "wait descriptor %d", e->fd);
}

static int l_wait(lua_State *L) {
  static const char *const names[] = {"r", "w", "rw", NULL};
  luaL_checkany(L, 1);
  short wanted = (short)(luaL_checkoption(L, 2, NULL, names) + 1);
  double seconds = sock_optseconds(L, 3);
  lua_settop(L, 1);
  sock_Set *set = sock_newset(L, 1);
  if (!fillentry(L, 1, &set->entry[0], wanted))
    return luaL_typeerror(L, 1, "socket, file or descriptor");
  set->count = 1;
  return sock_awaitset(L, 2, seconds, wait_try);
}

/* ---------------------------------------------------------------- select */

static size_t checklist(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg))
    return 0;
  luaL_checktype(L, arg, LUA_TTABLE);
  return (size_t)lua_rawlen(L, arg);
}

/* Adds the list at `arg` to the set; its values go to the list at 5. */
static void addlist(lua_State *L, int arg, size_t n, sock_Set *set,
                    short wanted) {
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i);
    if (!fillentry(L, lua_gettop(L), &set->entry[set->count], wanted)) {
      const char *name = luaL_typename(L, -1);
      luaL_argerror(L, arg,
                    lua_pushfstring(L, "no descriptor at index %I (a %s)",
                                    (lua_Integer)i, name));
    }
    lua_rawseti(L, 5, ++set->count);
  }
}

/* Pushes those of the entries from..to that are ready, in their order. */
static void pushready(lua_State *L, const sock_Set *set, int from, int to) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (int i = from; i < to; i++)
    if (set->entry[i].ready) {
      lua_rawgeti(L, 5, i + 1);
      lua_rawseti(L, -2, ++n);
    }
}

/* index 4: the set; index 5: its values; index 6: how many are readers */
static int select_try(lua_State *L, int why) {
  sock_Set *set = lua_touserdata(L, 4);
  int readers = (int)lua_tointeger(L, 6);
  if (stillwaits(set, why))
    return SOCK_WANTWAKE;
  if (why != 0)
    return sock_fail(L, why, "select");
  for (int i = 0; i < set->count; i++)
    if (set->entry[i].ready & SOCK_NOTOPEN)
      return sock_fail(L, EBADF, "select descriptor %d", set->entry[i].fd);
  pushready(L, set, 0, readers);
  pushready(L, set, readers, set->count);
  return 2;
}

static int l_select(lua_State *L) {
  size_t nr = checklist(L, 1), nw = checklist(L, 2);
  double seconds = sock_optseconds(L, 3);
  luaL_argcheck(L, nr <= 0xFFFFFF && nw <= 0xFFFFFF, 1, "too many");
  lua_settop(L, 3);
  sock_Set *set = sock_newset(L, nr + nw);
  lua_createtable(L, (int)(nr + nw), 0);
  addlist(L, 1, nr, set, SOCK_READ);
  addlist(L, 2, nw, set, SOCK_WRITE);
  lua_pushinteger(L, (lua_Integer)nr);
  return sock_awaitset(L, 4, seconds, select_try);
}

const luaL_Reg sock_waitfunctions[] = {
    {"wait", l_wait}, {"select", l_select}, {NULL, NULL}};

const luaL_Reg sock_waitmethods[] = {{"wait", l_wait}, {NULL, NULL}};
