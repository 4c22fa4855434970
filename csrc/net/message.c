/* message.c: sendmsg and recvmsg: data and ancillary data in one call. */
#include "base/platform.h"
#include "base/error.h"
#include "net/control.h"
#include "net/flags.h"
#include "net/input.h"
#include "net/output.h"
#include "net/tap.h"
#include "net/target.h"
#include "net/transport.h"

/* ----------------------------------------------------- fields and flags */

/* Puts the fields of the table at index 2 to the indices from 3 on, in the
** order of their names. */
static void spread(lua_State *L, const char *const *names) {
  int n = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  for (; names[n] != NULL; n++)
    lua_pushnil(L);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    const char *key = luaL_tolstring(L, -2, NULL);
    int i = 0;
    while (i < n && strcmp(names[i], key) != 0)
      i++;
    if (i == n)
      luaL_argerror(L, 2, lua_pushfstring(L, "unknown field '%s'", key));
    lua_pop(L, 1);
    lua_replace(L, 3 + i);
  }
}

/* The flag whose name is on top. */
static int checkflag(lua_State *L, int use) {
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_argerror(L, 2, "a flag must be a text");
  return sock_checkflag(L, -1, use, 2);
}

/* At the index a text, a list of texts or nil: becomes a number. */
static int checkflags(lua_State *L, int index, int use) {
  int flags = 0;
  if (lua_istable(L, index)) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
      lua_rawgeti(L, index, i);
      flags |= checkflag(L, use);
      lua_pop(L, 1);
    }
  } else if (!lua_isnil(L, index)) {
    lua_pushvalue(L, index);
    flags = checkflag(L, use);
    lua_pop(L, 1);
  }
  lua_pushinteger(L, flags);
  lua_replace(L, index);
  return flags;
}

/* ------------------------------------------------------------- sendmsg */

/* Stack indices of a sendmsg. */
enum { DATA = 3, CONTROL = 4, FLAGS = 5, TO = 6 };

/* The family that the control data is for: of IPv4 peers of an IPv6 socket
** it is theirs. */
static int controlfamily(lua_State *L, const sock_Socket *s) {
  sock_Sockaddr a;
  if (s->family != AF_INET6)
    return s->family;
  if (lua_isnil(L, TO) ? sock_peername(s, &a) < 0
                       : !sock_fitaddress(L, s, TO, &a))
    return AF_INET6;
  return IN6_IS_ADDR_V4MAPPED(&a.u.in6.sin6_addr) ? AF_INET : AF_INET6;
}

static int failsend(lua_State *L, int err) {
  sock_Sockaddr to;
  if (!sock_toaddress(L, TO, &to))
    return sock_failsocket(L, 1, "sendmsg", err);
  return sock_fail(L, err, "sendmsg %s", sock_addresstext(L, &to));
}

/* One system call; bytes, or -1 and errno. The control data is encoded anew
** for each attempt: what it names may have been closed meanwhile. */
static ssize_t sendonce(lua_State *L, sock_Socket *s, sock_Sockaddr *to) {
  sock_Control control;
  struct iovec piece;
  struct msghdr m;
  ssize_t sent;
  memset(&m, 0, sizeof m);
  if (!lua_isnil(L, CONTROL)) {
    m.msg_controllen =
        sock_encodecontrol(L, CONTROL, controlfamily(L, s), &control);
    m.msg_control = m.msg_controllen > 0 ? control.bytes : NULL;
  }
  if (!sock_maywrite(s))
    return -1;
  piece.iov_base = (void *)(uintptr_t)lua_tolstring(L, DATA, &piece.iov_len);
  m.msg_iov = &piece;
  m.msg_iovlen = 1;
  m.msg_name = to != NULL ? &to->u : NULL;
  m.msg_namelen = to != NULL ? to->len : 0;
  do {
    sent =
        sendmsg(s->watch.fd, &m, (int)lua_tointeger(L, FLAGS) | SOCK_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  sock_notesent(s, sent);
  if (sock_istapped(s))
    sock_tapsent(s, &piece, 1, sent, to);
  return sent;
}

static int sendmsg_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  sock_Sockaddr to;
  int named = !lua_isnil(L, TO);
  if (why != 0)
    return failsend(L, why);
  int first = sock_flushfirst(L, s, "sendmsg");
  if (first != 0)
    return first;
  if (s->over.transport != NULL) /* its bytes are not the descriptor's */
    return failsend(L, EOPNOTSUPP);
  if (sock_istorn(s)) /* nothing may follow a torn write */
    return failsend(L, EPIPE);
  if (named && !sock_fitaddress(L, s, TO, &to))
    return failsend(L, EAFNOSUPPORT);
  ssize_t sent = sendonce(L, s, named ? &to : NULL);
  int err = errno;
  if (sent < 0)
    return sock_wouldblock(err) ? sock_waitstosend(s) : failsend(L, err);
  lua_pushinteger(L, (lua_Integer)sent);
  return 1;
}

/* What cannot be sent raises now, before anything is waited for. */
static void checkcontrol(lua_State *L, const sock_Socket *s) {
  sock_Control control;
  if (lua_isnil(L, CONTROL))
    return;
  if (!lua_istable(L, CONTROL))
    luaL_argerror(L, 2, "control must be a table");
  size_t used = sock_encodecontrol(L, CONTROL, controlfamily(L, s), &control);
  if (used > 0 && s->type == SOCK_STREAM && lua_rawlen(L, DATA) == 0)
    luaL_argerror(L, 2, "control data on a stream goes with at least a byte");
}

static int sendmsg_resolved(lua_State *L, int why) {
  (void)why;
  lua_replace(L, TO);
  lua_settop(L, TO);
  sock_Socket *s = lua_touserdata(L, 1);
  if (s->watch.fd < 0)
    return failsend(L, EBADF);
  checkcontrol(L, s);
  return sock_endcall(L, s, SOCK_WRITE, sendmsg_try);
}

static int s_sendmsg(lua_State *L) {
  static const char *const names[] = {"data", "control", "flags", "to", NULL};
  sock_Socket *s = sock_checkopen(L, 1);
  sock_Sockaddr to;
  spread(L, names);
  if (lua_tostring(L, DATA) == NULL)
    luaL_argerror(L, 2, "data must be a text");
  checkflags(L, FLAGS, SOCK_SENDS);
  sock_begincall(s);
  if (lua_isnil(L, TO)) {
    lua_pushnil(L);
    return sendmsg_resolved(L, 0);
  }
  if (lua_type(L, TO) != LUA_TSTRING && !sock_toaddress(L, TO, &to))
    luaL_argerror(L, 2, "to must be an address or a text");
  return sock_withaddress(L, s, TO, "sendmsg", sendmsg_resolved);
}

/* ------------------------------------------------------------- recvmsg */

/* Stack indices of a recvmsg; BOX: the descriptors that may come. */
enum { COUNT = 3, RECVFLAGS = 4, BOX = 5 };

#define AGAIN (-100) /* a finalizer took the bytes: the same once more */

/* What came, and how. */
typedef struct Received {
  struct msghdr m;
  sock_Sockaddr from;
  sock_Control control;
  const char *data;
  size_t size; /* all of it */
  size_t kept; /* what of it there was room for */
  int flags;
  int errors; /* it is of the error queue */
} Received;

/* The message of which data and control stand on top, in this order. */
static int pushmessage(lua_State *L, sock_Socket *s, Received *r) {
  lua_createtable(L, 0, 5);
  lua_insert(L, -3);
  lua_setfield(L, -3, "control");
  lua_setfield(L, -2, "data");
  if (s->type != SOCK_STREAM || r->errors || sock_peername(s, &r->from) == 0)
    sock_pushsender(L, s, &r->from);
  else
    lua_getiuservalue(L, 1, SOCK_PEERVALUE);
  lua_setfield(L, -2, "from");
  lua_pushinteger(L, (lua_Integer)r->size);
  lua_setfield(L, -2, "size");
  lua_pushboolean(L, r->size > r->kept || r->m.msg_flags & MSG_TRUNC);
  lua_setfield(L, -2, "truncated");
  return 1;
}

/*
** The message with this data. On a stream the bytes are the socket's until
** all of it exists, so that running out of memory loses none; if a finalizer
** took them meanwhile, they are gone.
*/
static int give(lua_State *L, sock_Socket *s, Received *r, int held) {
  unsigned long takes = s->takes;
  lua_pushlstring(L, r->data, r->kept);
  sock_pushcontrol(L, &r->m, lua_touserdata(L, BOX));
  (void)pushmessage(L, s, r);
  if (held && s->takes != takes)
    return AGAIN;
  if (held && !(r->flags & MSG_PEEK))
    sock_consume(L, s, r->kept);
  return 1;
}

/* What has just been received; a stream's bytes stand in the scratch. */
static int givenew(lua_State *L, sock_Socket *s, Received *r) {
  sock_Loop *loop = s->watch.loop;
  int held = s->type == SOCK_STREAM && r->kept > 0 && !r->errors &&
             !(r->flags & (MSG_PEEK | MSG_OOB));
  if (held) {
    loop->owner = s;
    loop->heldstart = 0;
    loop->heldend = r->kept;
  }
  return give(L, s, r, held);
}

/* Up to n bytes of a stream that have arrived. */
static int takearrived(lua_State *L, sock_Socket *s, Received *r, size_t n) {
  r->data = sock_arrived(s, &r->kept);
  if (r->kept > n)
    r->kept = n;
  r->size = r->kept;
  return give(L, s, r, 1);
}

/* One system call; 0, or errno. The box owns what descriptors came. */
static int receive(lua_State *L, sock_Socket *s, Received *r, char *data,
                   size_t n) {
  struct iovec piece = {data, n};
  /* TCP takes MSG_TRUNC as a wish to throw the bytes away */
  int flags = r->flags | (s->type == SOCK_STREAM ? 0 : SOCK_TRUNC);
  ssize_t got;
  /* a Unix socket has no error queue, and would receive all the same */
  if (r->errors ? s->family == AF_UNIX : !sock_mayread(s)) {
    r->size = r->kept = 0;
    return r->errors || sock_dry(s) < 0 ? EAGAIN : 0;
  }
  do {
    sock_clearaddress(&r->from);
    memset(&r->m, 0, sizeof r->m);
    r->m.msg_name = &r->from.u;
    r->m.msg_namelen = r->from.len;
    r->m.msg_iov = &piece;
    r->m.msg_iovlen = 1;
    r->m.msg_control = r->control.bytes;
    r->m.msg_controllen = sizeof r->control.bytes;
    got = recvmsg(s->watch.fd, &r->m, flags | SOCK_CLOSEONEXEC);
  } while (got < 0 && errno == EINTR);
  r->from.len = r->m.msg_namelen;
  if (sock_istapped(s))
    sock_tapreceived(s, data, n, got, flags,
                     s->type != SOCK_STREAM ? &r->from : NULL);
  if (got < 0)
    return errno;
  if (!r->errors && !(flags & MSG_PEEK))
    sock_notereceived(s, got);
  sock_collect(&r->m, lua_touserdata(L, BOX));
  r->data = data;
  r->size = (size_t)got;
  r->kept = r->size > n ? n : r->size;
  return 0;
}

/* Nothing came, and that is the end. */
static int isend(const sock_Socket *s, const Received *r, size_t n) {
  if (r->size > 0 || r->errors)
    return 0;
  if (s->type == SOCK_STREAM)
    return n > 0;
  return s->readdone || (s->type == SOCK_SEQPACKET && r->m.msg_controllen == 0);
}

static int failreceive(lua_State *L, const Received *r, int err) {
  return sock_wouldblock(err) && !r->errors
             ? SOCK_WANTREAD
             : sock_failsocket(L, 1, "recvmsg", err);
}

/*
** On a stream, all n bytes; fewer at its end, or with control data, which
** belongs to the bytes it came with. What has come so far stands in the
** socket's buffer, so that a wait loses nothing.
*/
static int recvall(lua_State *L, sock_Socket *s, Received *r, size_t n) {
  size_t have = 0;
  r->flags &= ~(MSG_WAITALL | MSG_PEEK); /* they are ours to keep */
  sock_claimscratch(L, s->watch.loop);
  while ((have = sock_bufferlen(&s->in)) < n && r->m.msg_controllen == 0) {
    size_t wanted = n - have < SOCK_SCRATCH ? n - have : SOCK_SCRATCH;
    size_t there = wanted;
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
    char *end = sock_bufferroom(L, &s->in, &there);
    if (end == NULL)
      return luaL_error(L, "not enough memory");
    int err = receive(L, s, r, end, wanted);
    if (err != 0 || r->size == 0)
      sock_bufferdrop(L, &s->in, 0); /* an idle socket holds no memory */
    if (err != 0)
      return failreceive(L, r, err);
    if (r->size == 0)
      break;
    s->in.end += r->size;
  }
  r->flags = (int)lua_tointeger(L, RECVFLAGS);
  if (have > 0 || n == 0 || r->size > 0)
    return takearrived(L, s, r, n);
  lua_pushnil(L);
  return 1;
}

static int recvonce(lua_State *L, sock_Socket *s) {
  size_t n = (size_t)lua_tointeger(L, COUNT), waits = 0;
  Received r;
  memset(&r.m, 0, sizeof r.m);
  r.size = 0;
  r.flags = (int)lua_tointeger(L, RECVFLAGS);
  r.errors = (r.flags & SOCK_ERRQUEUE) != 0;
  lua_settop(L, BOX);
  if (s->watch.fd < 0 || s->over.transport != NULL)
    return sock_failsocket(L, 1, "recvmsg",
                           s->watch.fd < 0 ? EBADF : EOPNOTSUPP);
  int plain = s->type == SOCK_STREAM && !r.errors && !(r.flags & MSG_OOB);
  if (plain)
    (void)sock_arrived(s, &waits);
  if (plain && r.flags & MSG_WAITALL)
    return recvall(L, s, &r, n);
  if (waits > 0)
    return takearrived(L, s, &r, n);
  char *data = sock_receiveroom(L, s, &n);
  int err = receive(L, s, &r, data, n);
  if (err != 0)
    return failreceive(L, &r, err);
  if (isend(s, &r, n)) {
    lua_pushnil(L);
    return 1;
  }
  return givenew(L, s, &r);
}

static int recvmsg_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int got = AGAIN;
  if (why != 0)
    return sock_failsocket(L, 1, "recvmsg", why);
  while (got == AGAIN)
    got = recvonce(L, s);
  return got;
}

static int s_recvmsg(lua_State *L) {
  static const char *const names[] = {"size", "flags", NULL};
  sock_Socket *s = sock_checkopen(L, 1);
  int whole = 1;
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_newtable(L);
  }
  spread(L, names);
  lua_Integer n = lua_isnil(L, COUNT) ? (lua_Integer)SOCK_SCRATCH
                                      : lua_tointegerx(L, COUNT, &whole);
  if (!whole || n < 0)
    luaL_argerror(L, 2, "size must be an integer that is not negative");
  lua_pushinteger(L, n);
  lua_replace(L, COUNT);
  int flags = checkflags(L, RECVFLAGS, SOCK_RECVMSGS);
  if (s->family == AF_UNIX)
    sock_newdescriptors(L);
  else
    lua_pushnil(L);
  if (flags & SOCK_ERRQUEUE) /* nobody waits for it, nor for a turn */
    return recvmsg_try(L, 0);
  return sock_call(L, s, SOCK_READ, recvmsg_try);
}

const luaL_Reg sock_messagemethods[] = {
    {"sendmsg", s_sendmsg}, {"recvmsg", s_recvmsg}, {NULL, NULL}};
