/*
** unixpath.c: to listen at a path of the file system.
**
** A path outlives who bound it, so a server that starts again finds its own.
** Whether somebody listens there only an attempt to connect can tell; and
** between that look and the bind another server may start. So all who come
** through here hold a lock on the folder meanwhile: flock(2), which leaves no
** file behind and ends with its holder. Anybody may hold one, for as long as
** he likes (systemd's programs do, to keep their folder); we need ours for a
** moment only, so who waits for longer than that goes on without.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/socket.h"

#include <sys/file.h>
#include <sys/stat.h>

/* Stack indices; mode and backlog are -1 where there is none. */
enum { ADDRESS = 2, MODE = 3, BACKLOG = 4, UNTIL = 5 };

#define PATIENCE 1.0 /* seconds for the lock */

/* A bound address and its path, with the zero that the kernel's may lack. */
typedef struct Place {
  sock_Sockaddr a;
  char path[sizeof(struct sockaddr_un) + 1];
} Place;

static int getplace(lua_State *L, Place *p) {
  if (!sock_toaddress(L, ADDRESS, &p->a) || p->a.u.sa.sa_family != AF_UNIX)
    return 0;
  memset(p->path, 0, sizeof p->path);
  memcpy(p->path, p->a.u.un.sun_path,
         p->a.len - offsetof(struct sockaddr_un, sun_path));
  return p->path[0] != 0; /* else it is abstract, or unnamed */
}

/* The lock's descriptor; -1 where there can be none, -2 if it is taken. */
static int lockfolder(const char *path) {
  char folder[sizeof(struct sockaddr_un) + 1] = ".";
  const char *end = strrchr(path, '/');
  if (end != NULL) {
    size_t len = end == path ? 1 : (size_t)(end - path);
    memcpy(folder, path, len);
    folder[len] = 0;
  }
  int fd;
  do {
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  int taken = errno == EWOULDBLOCK;
  (void)close(fd);
  return taken ? -2 : -1;
}

/* 0 if the path is a socket's that nobody answers for, else errno. */
static int isstale(const Place *p, int type) {
  struct stat st;
  if (lstat(p->path, &st) < 0)
    return errno == ENOENT ? 0 : EADDRINUSE; /* gone meanwhile */
  if (!S_ISSOCK(st.st_mode))
    return EADDRINUSE;
  int fd = platform_socket(AF_UNIX, type, 0);
  if (fd < 0)
    return errno;
  int refused = connect(fd, &p->a.u.sa, p->a.len) < 0 && errno == ECONNREFUSED;
  (void)close(fd);
  return refused ? 0 : EADDRINUSE;
}

/*
** Never with wider rights than `mode`, not even for a moment: on Linux the
** file gets the socket's own, less the umask. Where a socket has none, the
** umask, which is the whole process's, is narrowed meanwhile.
*/
static int bindmode(int fd, const Place *p, mode_t mode) {
  struct stat st;
  mode_t before = 0;
  int masked = fchmod(fd, mode) < 0;
  if (masked)
    before = umask(0777 & ~mode);
  int bound = bind(fd, &p->a.u.sa, p->a.len), err = errno;
  if (masked)
    (void)umask(before);
  if (bound < 0)
    return err;
  if (lstat(p->path, &st) == 0 && (st.st_mode & 07777) == mode)
    return 0;
  /* what the umask took away; no link is followed */
  return fchmodat(AT_FDCWD, p->path, mode, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
}

static int bindonce(lua_State *L, const sock_Socket *s, const Place *p) {
  lua_Integer mode = lua_tointeger(L, MODE);
  if (mode >= 0)
    return bindmode(s->watch.fd, p, (mode_t)mode);
  return bind(s->watch.fd, &p->a.u.sa, p->a.len) < 0 ? errno : 0;
}

/* Under the lock: who bound before and does not listen yet would refuse. */
static int bindandlisten(lua_State *L, sock_Socket *s, const Place *p) {
  int backlog = (int)lua_tointeger(L, BACKLOG);
  int err = bindonce(L, s, p);
  if (err == EADDRINUSE) {
    err = isstale(p, s->type);
    if (err == 0 && unlink(p->path) < 0 && errno != ENOENT)
      err = errno;
    if (err == 0)
      err = bindonce(L, s, p);
  }
  if (err != 0 || backlog < 0)
    return err;
  if (listen(s->watch.fd, backlog) < 0)
    return errno;
  s->listening = 1;
  return 0;
}

static int bindpath_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  Place p;
  int err = why;
  if (!getplace(L, &p))
    err = EINVAL;
  if (err == 0) {
    int lock = lockfolder(p.path);
    if (lock == -2 && platform_now() < lua_tonumber(L, UNTIL))
      return SOCK_WANTPAUSE;
    err = bindandlisten(L, s, &p);
    if (lock >= 0)
      (void)close(lock);
  }
  if (err != 0)
    return sock_fail(L, err, "bind %s", sock_addresstext(L, &p.a));
  lua_settop(L, 1);
  return 1;
}

/* bindpath(socket, address, mode, backlog) */
static int l_bindpath(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  luaL_checkinteger(L, MODE);
  luaL_checkinteger(L, BACKLOG);
  lua_settop(L, BACKLOG);
  lua_pushnumber(L, platform_now() + PATIENCE);
  return sock_call(L, s, SOCK_WRITE, bindpath_try);
}

const luaL_Reg sock_unixpathfunctions[] = {{"bindpath", l_bindpath},
                                           {NULL, NULL}};
