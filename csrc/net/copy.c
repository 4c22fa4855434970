/*
** copy.c: bytes from one socket or file to another, without Lua strings.
**
** A copier stands between the two. A pull makes bytes available, a push
** moves some of them on; each is a call that may wait, so that the limit on
** it is one on each silence. lua/sock/copy.lua repeats the two. Between
** sockets the bytes stand in a pipe; where the kernel refuses that, among
** what the first has received; what a file gives goes straight on.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/copy.h"
#include "net/input.h"
#include "net/output.h"
#include "net/splice.h"
#include "net/tap.h"
#include "net/transport.h"

#include <stdio.h>

/* One of the two: a socket, or a Lua file and its position. */
typedef struct End {
  sock_Socket *s;
  luaL_Stream *file;
  off_t at;
} End;

typedef struct Copier {
  End from, to;
  int pipe[2];   /* -1: none */
  size_t inpipe; /* how many bytes stand there */
  size_t left;   /* how many are still to be pushed; SIZE_MAX: all */
  lua_Integer moved;
  unsigned char plain; /* the kernel refuses: read and write */
  unsigned char begun; /* the transport was offered what is to be pushed */
  unsigned char dry;   /* the last splice from there found nothing */
} Copier;

/* User values: the ends, which must live as long as it does. */
enum { FROM = 1, TO = 2 };

/* The stack of a push and a pull: whose turn it is, and the copier. */
enum { SUBJECT = 1, COPIER = 2 };

static int isspliceless(int err) {
  return err == EINVAL || err == ENOSYS || err == EOPNOTSUPP || err == EBADF;
}

static size_t arrived(const End *e) {
  size_t len = 0;
  if (e->s != NULL)
    (void)sock_arrived(e->s, &len);
  return len;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static int isclosed(const End *e) {
  return e->s != NULL ? e->s->watch.fd < 0 : e->file->closef == NULL;
}

static int fail(lua_State *L, const End *e, int err) {
  return e->s != NULL ? sock_failsocket(L, SUBJECT, "copy", err)
                      : sock_fail(L, err, "copy");
}

static int answer(lua_State *L, int more) {
  lua_pushboolean(L, more);
  return 1;
}

/* ---------------------------------------------------------------- ends */

/* A file's position is where the program is, not its descriptor. */
static int openfile(End *e) {
  FILE *f = e->file->f;
  if (fflush(f) != 0)
    return errno;
  e->at = ftello(f);
  return e->at < 0 ? errno : 0;
}

static void checkfile(lua_State *L, const End *e) {
  if (e->file != NULL && e->file->closef == NULL)
    luaL_error(L, "attempt to use a closed file");
}

static int isopenfor(FILE *f, int mode) {
  int flags = fcntl(fileno(f), F_GETFL);
  return flags >= 0 &&
         ((flags & O_ACCMODE) == mode || (flags & O_ACCMODE) == O_RDWR);
}

static void checkend(lua_State *L, int arg, End *e, int mode) {
  e->file = luaL_testudata(L, arg, LUA_FILEHANDLE);
  checkfile(L, e);
  if (e->file == NULL) {
    if (sock_testobject(L, arg, &sock_socketclass) == NULL)
      luaL_typeerror(L, arg, "socket or file");
    e->s = sock_checkopen(L, arg);
    luaL_argcheck(L, e->s->type == SOCK_STREAM, arg, "not a stream");
  } else {
    luaL_argcheck(L, isopenfor(e->file->f, mode), arg,
                  mode == O_RDONLY ? "file is not open for reading"
                                   : "file is not open for writing");
  }
}

static size_t optcount(lua_State *L, int arg) {
  lua_Number n = luaL_optnumber(L, arg, HUGE_VAL);
  luaL_argcheck(L, n >= 0, arg, "count must not be negative");
  return n >= 9e18 ? SIZE_MAX : (size_t)luaL_checkinteger(L, arg);
}

/*
** What was pulled and not pushed goes back to where it came from: before what
** another has received since. Without memory it raises, and it stays.
*/
static void giveback(lua_State *L, Copier *c) {
  sock_Socket *s = c->from.s;
  size_t len = sock_bufferlen(&s->in), room = c->inpipe + len;
  sock_Buffer b = {NULL, 0, 0, 0};
  ssize_t got = 1;
  if (isclosed(&c->from)) /* nobody is there to have it */
    c->inpipe = 0;
  if (c->inpipe == 0)
    return;
  if (sock_bufferroom(L, &b, &room) == NULL)
    luaL_error(L, "not enough memory");
  for (; c->inpipe > 0 && got > 0; c->inpipe -= (size_t)got) {
    got = read(c->pipe[0], b.data + b.end, c->inpipe);
    got = got > 0 ? got : 0;
    b.end += (size_t)got;
  }
  c->inpipe = 0;
  if (len > 0) /* there is room for it */
    (void)sock_bufferadd(L, &b, sock_bufferdata(&s->in), len);
  sock_bufferfree(L, &s->in);
  s->in = b;
  s->takes++; /* who is in the middle of a read begins anew */
}

static void closepipe(Copier *c) {
  for (int i = 0; i < 2; i++) {
    if (c->pipe[i] >= 0)
      (void)close(c->pipe[i]);
    c->pipe[i] = -1;
  }
}

/* A terminal is asked before it is used, which only a read does; what stands
** over a descriptor is not the kernel's; what that moves, nobody sees. */
static int needsread(const End *e) {
  return e->s != NULL && (e->s->kind == SOCK_KIND_TERMINAL ||
                          e->s->over.transport != NULL || sock_istapped(e->s));
}

/* The kernel refuses: what is in the pipe is read, and no more comes. */
static void goplain(lua_State *L, Copier *c) {
  if (c->from.s != NULL) {
    sock_claimscratch(L, c->from.s->watch.loop);
    giveback(L, c);
  }
  c->plain = 1;
}

/* A transport may have been put over an end, or its trace begun, while it
** waited. */
static void lookagain(lua_State *L, Copier *c) {
  if (!c->plain && (needsread(&c->from) || needsread(&c->to)))
    goplain(L, c);
}

/* ---------------------------------------------------------------- pull */

static int waitorfail(lua_State *L, const Copier *c, int err) {
  return sock_wouldblock(err) ? sock_waitsfor(c->from.s, SOCK_WANTREAD)
                              : fail(L, &c->from, err);
}

/*
** By splice(2): bytes, or -1 and errno. It does not step over an urgent mark:
** there it says that nothing, or nothing more, is to come. A receive does.
*/
static ssize_t pullpipe(lua_State *L, Copier *c) {
  sock_Socket *s = c->from.s;
  if (!sock_mayread(s))
    return sock_dry(s);
  ssize_t got = sock_splicein(s->watch.fd, c->pipe[1], c->left);
  if (got > 0) {
    sock_notereceived(s, got);
    s->takes++;
    c->inpipe = (size_t)got;
    c->dry = 0;
  } else if (got == 0 || sock_wouldblock(errno)) {
    int again = c->dry || s->watch.urgent || got == 0;
    c->dry = 1;
    if (s->protocol == IPPROTO_TCP && again)
      return sock_fill(L, s);
  }
  return got;
}

static int pull_try(lua_State *L, int why) {
  Copier *c = lua_touserdata(L, COPIER);
  sock_Socket *s = c->from.s;
  ssize_t got = -1;
  int err = why;
  if (why != 0)
    return fail(L, &c->from, why);
  if (s->watch.fd < 0)
    return fail(L, &c->from, EBADF);
  lookagain(L, c);
  if (c->inpipe > 0 || arrived(&c->from) > 0)
    return answer(L, 1);
  if (!c->plain) {
    got = pullpipe(L, c);
    err = errno;
    if (got < 0 && isspliceless(err))
      c->plain = 1;
  }
  if (c->plain) {
    got = sock_fill(L, s);
    err = errno;
  }
  return got < 0 ? waitorfail(L, c, err) : answer(L, got > 0);
}

static Copier *checkcopier(lua_State *L) {
  return sock_checkobject(L, 1, &sock_copierclass);
}

/* Whether there is something to push; false at the end. */
static int c_pull(lua_State *L) {
  Copier *c = checkcopier(L);
  lua_settop(L, 1);
  if (c->left == 0)
    return answer(L, 0);
  if (c->from.s == NULL)
    return answer(L, 1);
  lua_getiuservalue(L, 1, FROM);
  lua_insert(L, SUBJECT);
  return sock_call(L, c->from.s, SOCK_READ, pull_try);
}

/* ---------------------------------------------------------------- push */

/* Writes to the end: bytes, or -1 and errno. */
static ssize_t put(End *e, const char *data, size_t n) {
  struct iovec piece = {(void *)(uintptr_t)data, n};
  if (e->s != NULL)
    return sock_transmit(e->s, &piece, 1, 0);
  ssize_t sent = pwrite(fileno(e->file->f), data, n, e->at);
  if (sent > 0)
    e->at += sent;
  return sent;
}

static ssize_t putarrived(lua_State *L, Copier *c) {
  size_t len;
  const char *data = sock_arrived(c->from.s, &len);
  ssize_t sent = put(&c->to, data, least(len, c->left));
  int err = errno;
  if (sent > 0)
    sock_consume(L, c->from.s, (size_t)sent);
  errno = err;
  return sent;
}

static ssize_t putpipe(Copier *c) {
  const End *to = &c->to;
  ssize_t sent = -1;
  if (to->s == NULL)
    sent =
        sock_spliceout(c->pipe[0], fileno(to->file->f), &c->to.at, c->inpipe);
  else if (sock_maywrite(to->s))
    sent = sock_spliceout(c->pipe[0], to->s->watch.fd, NULL, c->inpipe);
  if (to->s != NULL)
    sock_notesent(to->s, sent);
  if (sent > 0)
    c->inpipe -= (size_t)sent;
  return sent;
}

/* From a file: by the kernel, or through the loop's scratch. */
static ssize_t putfile(lua_State *L, Copier *c) {
  int file = fileno(c->from.file->f);
  if (c->to.s != NULL && !c->plain) {
    if (!sock_maywrite(c->to.s))
      return -1;
    ssize_t sent = sock_sendfile(c->to.s->watch.fd, file, &c->from.at, c->left);
    sock_notesent(c->to.s, sent);
    return sent;
  }
  sock_Loop *loop = sock_loop(L);
  sock_claimscratch(L, loop);
  ssize_t got =
      pread(file, loop->scratch, least(SOCK_SCRATCH, c->left), c->from.at);
  if (got > 0)
    got = put(&c->to, loop->scratch, (size_t)got);
  if (got > 0)
    c->from.at += got;
  return got;
}

static ssize_t putsome(lua_State *L, Copier *c) {
  if (c->from.s == NULL)
    return putfile(L, c);
  if (c->inpipe > 0)
    return putpipe(c);
  return arrived(&c->from) > 0 ? putarrived(L, c) : 0;
}

/* What stands before the first byte: 0, or what the try answers. */
static int prepare(lua_State *L, Copier *c) {
  if (isclosed(&c->to))
    return fail(L, &c->to, EBADF);
  if (c->from.s == NULL && isclosed(&c->from))
    return fail(L, &c->from, EBADF);
  lookagain(L, c);
  if (c->to.s == NULL)
    return 0;
  if (!c->begun && sock_istorn(c->to.s)) /* a write was torn there */
    return fail(L, &c->to, EPIPE);
  return sock_flushfirst(L, c->to.s, "copy");
}

static int push_try(lua_State *L, int why) {
  Copier *c = lua_touserdata(L, COPIER);
  int first = why != 0 ? fail(L, &c->to, why) : prepare(L, c);
  if (first != 0)
    return first;
  ssize_t sent = putsome(L, c);
  int err = errno;
  if (sent < 0 && isspliceless(err) && !c->plain) {
    goplain(L, c);
    sent = putsome(L, c);
    err = errno;
  }
  c->begun = c->to.s != NULL && c->to.s->offered;
  if (sent < 0)
    return sock_wouldblock(err) ? sock_waitsfor(c->to.s, SOCK_WANTWRITE)
                                : fail(L, &c->to, err);
  c->moved += (lua_Integer)sent;
  if (c->left != SIZE_MAX)
    c->left -= (size_t)sent;
  return answer(L, sent > 0 || c->from.s != NULL);
}

/* Moves some bytes on; false at the end of a file. */
static int c_push(lua_State *L) {
  Copier *c = checkcopier(L);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, TO);
  lua_insert(L, SUBJECT);
  if (c->to.s != NULL)
    return sock_call(L, c->to.s, SOCK_WRITE, push_try);
  return sock_awaitqueue(L, NULL, HUGE_VAL, SOCK_INSIDE, push_try);
}

/* ---------------------------------------------------------------- life */

static int c_moved(lua_State *L) {
  lua_pushinteger(L, checkcopier(L)->moved);
  return 1;
}

static void reposition(const End *e) {
  if (e->file != NULL && e->file->closef != NULL)
    (void)fseeko(e->file->f, e->at, SEEK_SET);
}

static int c_close(lua_State *L) {
  Copier *c = checkcopier(L);
  if (c->from.s != NULL && c->inpipe > 0)
    goplain(L, c);
  closepipe(c);
  reposition(&c->from);
  reposition(&c->to);
  return 0;
}

static int c_gc(lua_State *L) {
  closepipe(checkcopier(L));
  return 0;
}

static int l_copier(lua_State *L) {
  End from = {NULL, NULL, 0}, to = {NULL, NULL, 0};
  checkend(L, 1, &from, O_RDONLY);
  checkend(L, 2, &to, O_WRONLY);
  size_t left = optcount(L, 3);
  Copier *c = sock_newobject(L, &sock_copierclass, sizeof *c, 2);
  c->pipe[0] = c->pipe[1] = -1;
  c->left = left;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, FROM);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, TO);
  checkfile(L, &from); /* a finalizer may have closed it */
  checkfile(L, &to);
  int err = from.file != NULL ? openfile(&from) : 0;
  if (err == 0 && to.file != NULL)
    err = openfile(&to);
  if (err != 0)
    return sock_fail(L, err, "copy");
  if (needsread(&from) || needsread(&to) ||
      (from.s != NULL && platform_pipe(c->pipe) < 0))
    c->plain = 1;
  c->from = from; /* from here on its end has something to do */
  c->to = to;
  return 1;
}

static const luaL_Reg meta[] = {
    {"__gc", c_gc}, {"__close", c_close}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"pull", c_pull}, {"push", c_push}, {"moved", c_moved}, {NULL, NULL}};

const sock_Class sock_copierclass = {"copier", meta, methods};

const luaL_Reg sock_copyfunctions[] = {{"copier", l_copier}, {NULL, NULL}};
