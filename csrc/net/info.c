/* info.c: what a socket holds and who waits for it: for s:info. */
#include "base/platform.h"
#include "base/error.h"
#include "loop/task.h"
#include "net/input.h"
#include "net/transport.h"

#include <sys/ioctl.h>

static void setcount(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static void setflag(lua_State *L, const char *name, int on) {
  lua_pushboolean(L, on);
  lua_setfield(L, -2, name);
}

/* The tasks in the queue; a driver's place stays empty. */
static void setwaiting(lua_State *L, const char *name, const sock_Link *queue) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (const sock_Link *l = queue->next; l != queue; l = l->next) {
    const sock_Waiter *w = sock_container(l, sock_Waiter, link);
    if (w->task == NULL)
      continue;
    sock_pushtask(L, w->task);
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, name);
}

/* What the kernel holds, where it tells. */
static void setqueue(lua_State *L, const sock_Socket *s, const char *name,
                     unsigned long request) {
  int there = 0;
  if (!s->listening && ioctl(s->watch.fd, request, &there) == 0)
    setcount(L, name, there);
}

/* inside(socket): a table of what only the library knows of it. */
static int l_inside(lua_State *L) {
  static const char *const kinds[] = {"socket", "pipe", "terminal", "file"};
  const sock_Socket *s = sock_checkopen(L, 1);
  size_t arrived;
  (void)sock_arrived(s, &arrived);
  lua_createtable(L, 0, 16);
  lua_pushstring(L, kinds[s->kind]);
  lua_setfield(L, -2, "kind");
  setcount(L, "protocol", s->protocol);
  setcount(L, "descriptor", s->watch.fd);
  setcount(L, "input", (lua_Integer)(arrived + sock_pending(s)));
  setcount(L, "output", (lua_Integer)sock_bufferlen(&s->out));
  setcount(L, "vbuf", (lua_Integer)s->vbuf);
  setcount(L, "limit", (lua_Integer)s->limit);
  setcount(L, "sent", (lua_Integer)s->sent);
  setcount(L, "received", (lua_Integer)s->received);
  setqueue(L, s, "unread", FIONREAD);
  setqueue(L, s, "unsent", TIOCOUTQ);
  setflag(L, "listening", s->listening);
  setflag(L, "connecting", s->connecting);
  setflag(L, "torn", sock_istorn(s));
  setflag(L, "traced", s->tap != NULL);
  setwaiting(L, "readers", &s->watch.readers);
  setwaiting(L, "writers", &s->watch.writers);
  return 1;
}

/* method(name, function): a method of sockets that is written in Lua. */
static int l_method(lua_State *L) {
  luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sock_socketclass);
  lua_getfield(L, -1, "__index");
  lua_insert(L, 1);
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 0;
}

/* errorname(number): "ENOENT", for what Lua's io has told. */
static int l_errorname(lua_State *L) {
  sock_errorcode(L, (int)luaL_checkinteger(L, 1));
  return 1;
}

const luaL_Reg sock_infofunctions[] = {{"inside", l_inside},
                                       {"method", l_method},
                                       {"errorname", l_errorname},
                                       {NULL, NULL}};
