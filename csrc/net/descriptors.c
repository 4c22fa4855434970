/* descriptors.c: descriptors as ancillary data: passed and received. */
#include "base/platform.h"
#include "net/control.h"

#include <stdio.h>

static int box_gc(lua_State *L);

static const luaL_Reg boxmeta[] = {{"__gc", box_gc}, {NULL, NULL}};
static const sock_Class boxclass = {"received descriptors", boxmeta, NULL};

static int box_gc(lua_State *L) {
  sock_Descriptors *box = sock_checkobject(L, 1, &boxclass);
  while (box->next < box->count)
    (void)close(box->fd[box->next++]);
  return 0;
}

sock_Descriptors *sock_newdescriptors(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &boxclass) == LUA_TNIL)
    sock_newclass(L, &boxclass);
  lua_pop(L, 1);
  return sock_newobject(L, &boxclass, sizeof(sock_Descriptors), 0);
}

static int isrights(const struct cmsghdr *c) {
  return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
}

/* A message that no box was made for has none; if it has, they are closed. */
static void keep(sock_Descriptors *box, int fd) {
  platform_closeonexec(fd);
  if (box == NULL || box->count == SOCK_MAXFDS)
    (void)close(fd);
  else
    box->fd[box->count++] = fd;
}

void sock_collect(struct msghdr *m, sock_Descriptors *box) {
  if (box != NULL && box->next == box->count)
    box->next = box->count = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    if (!isrights(c))
      continue;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      keep(box, fd);
    }
  }
}

/* Each socket exists before it takes its descriptor out of the box. */
void sock_pushfds(lua_State *L, const char *data, size_t len,
                  sock_Descriptors *box) {
  (void)data;
  (void)len;
  lua_newtable(L);
  for (int i = 1; box != NULL && box->next < box->count; i++) {
    sock_Socket *s = sock_newsocket(L);
    sock_take(s, box->fd[box->next++]);
    lua_rawseti(L, -2, i);
  }
}

/* A socket, a Lua file or a number at the top of the stack. */
static int todescriptor(lua_State *L, lua_Integer i) {
  sock_Socket *s = sock_testobject(L, -1, &sock_socketclass);
  const luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (file != NULL && file->closef == NULL)
    luaL_error(L, "attempt to use a closed file");
  if (file != NULL) {
    (void)fflush(file->f);
    return fileno(file->f);
  }
  lua_Integer number = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
  if (s == NULL && (number < 0 || number > INT32_MAX))
    luaL_argerror(L, 2,
                  lua_pushfstring(L,
                                  "fds[%I] must be a socket, a file or a "
                                  "descriptor",
                                  i));
  int fd = s != NULL ? s->watch.fd : (int)number;
  if (fd < 0)
    luaL_error(L, "attempt to use a closed socket");
  if (s == NULL)
    s = sock_owner(L, fd);
  if (s != NULL) /* its description lives on elsewhere */
    s->shown = 1;
  return fd;
}

size_t sock_encodefds(lua_State *L, char *data) {
  if (!lua_istable(L, -1))
    luaL_argerror(L, 2, "fds must be a list");
  lua_Unsigned n = lua_rawlen(L, -1);
  if (n > SOCK_MAXFDS)
    luaL_argerror(L, 2, lua_pushfstring(L, "more than %d fds", SOCK_MAXFDS));
  for (lua_Unsigned i = 0; i < n; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    int fd = todescriptor(L, (lua_Integer)i + 1);
    memcpy(data + i * sizeof fd, &fd, sizeof fd);
    lua_pop(L, 1);
  }
  return (size_t)n * sizeof(int);
}
