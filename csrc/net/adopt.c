/* adopt.c: descriptors that others made, and ours given away. */
#include "base/platform.h"
#include "base/error.h"
#include "net/input.h"

#include <stdio.h>
#include <sys/stat.h>

static int intoption(int fd, int name, int absent) {
  int value = absent;
  socklen_t len = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : absent;
}

static unsigned char kindof(mode_t mode) {
  if (S_ISSOCK(mode))
    return SOCK_KIND_SOCKET;
  if (S_ISFIFO(mode))
    return SOCK_KIND_PIPE;
  return S_ISCHR(mode) ? SOCK_KIND_TERMINAL : SOCK_KIND_FILE;
}

/* Finds out what a descriptor is and makes it the socket's own. */
static void take(sock_Socket *s, int fd, mode_t mode, int flags) {
  s->kind = kindof(mode);
  if (s->kind == SOCK_KIND_SOCKET) {
    s->listening = intoption(fd, SO_ACCEPTCONN, 0) != 0;
    sock_own(s, fd, platform_family(fd), intoption(fd, SO_TYPE, SOCK_STREAM),
             platform_protocol(fd, 0));
  } else {
    sock_own(s, fd, -1, SOCK_STREAM, 0);
  }
  s->shown = 1;
  if (flags & O_NONBLOCK || s->kind == SOCK_KIND_TERMINAL ||
      s->kind == SOCK_KIND_FILE)
    return;
  s->restore = platform_setnonblock(fd, 1) == 0;
}

void sock_take(sock_Socket *s, int fd) {
  struct stat st;
  int flags = fcntl(fd, F_GETFL);
  if (fstat(fd, &st) < 0)
    st.st_mode = S_IFREG; /* it cannot be asked: nothing is assumed of it */
  take(s, fd, st.st_mode, flags < 0 ? 0 : flags);
}

/* A Lua file keeps its descriptor: ours is a duplicate. */
static int duplicate(lua_State *L, int arg) {
  luaL_Stream *file = luaL_checkudata(L, arg, LUA_FILEHANDLE);
  if (file->closef == NULL)
    return luaL_error(L, "attempt to use a closed file");
  (void)fflush(file->f);
  return fcntl(fileno(file->f), F_DUPFD_CLOEXEC, 0);
}

static int checkdescriptor(lua_State *L, int arg) {
  lua_Integer fd = luaL_checkinteger(L, arg);
  luaL_argcheck(L, fd >= 0 && fd <= INT32_MAX, arg, "not a descriptor");
  luaL_argcheck(L, sock_owner(L, (int)fd) == NULL, arg,
                "descriptor belongs to a socket already");
  return (int)fd;
}

static int l_adopt(lua_State *L) {
  struct stat st;
  int flags, err, isfile = !lua_isinteger(L, 1);
  if (isfile && lua_type(L, 1) != LUA_TUSERDATA)
    return luaL_typeerror(L, 1, "descriptor or file");
  sock_Socket *s = sock_newsocket(L);
  int fd = isfile ? duplicate(L, 1) : checkdescriptor(L, 1);
  err = errno;
  if (fd < 0)
    return sock_fail(L, err, "adopt");
  if (fstat(fd, &st) < 0 || (flags = fcntl(fd, F_GETFL)) < 0 ||
      fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    err = errno;
    if (isfile)
      (void)close(fd);
    return sock_fail(L, err, "adopt %d", fd);
  }
  take(s, fd, st.st_mode, flags);
  return 1;
}

static int s_fd(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  s->shown = 1;
  lua_pushinteger(L, s->watch.fd);
  return 1;
}

static int s_detach(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  size_t held;
  (void)sock_arrived(s, &held);
  held += sock_bufferlen(&s->out);
  if (held > 0)
    return sock_fail(L, EBUSY, "detach: %I bytes are buffered",
                     (lua_Integer)held);
  if (s->over.transport != NULL)
    return sock_fail(L, EBUSY, "detach: a transport stands over it");
  lua_pushinteger(L, sock_disown(L, s, 1));
  return 1;
}

/* Descriptors are handed over to a process by its number: sd_listen_fds(3). */
static int l_getpid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

const luaL_Reg sock_adoptfunctions[] = {
    {"adopt", l_adopt}, {"getpid", l_getpid}, {NULL, NULL}};

const luaL_Reg sock_adoptmethods[] = {
    {"fd", s_fd}, {"detach", s_detach}, {NULL, NULL}};
