/* datagram.c: sendmany and recvmany: many datagrams in one system call. */
#include "base/platform.h"
#include "base/error.h"
#include "base/held.h"
#include "net/control.h"
#include "net/output.h"
#include "net/tap.h"
#include "net/target.h"
#include "net/transport.h"

#include <stdlib.h>

/* Of a stream, a batch's messages could be cut and run together. */
static int refusestream(lua_State *L, const char *op) {
  return sock_failsocketas(L, 1, op, EOPNOTSUPP, "a stream has no datagrams");
}

/* ------------------------------------------------------------ sendmany */

#define ATONCE 64

typedef struct Outgoing {
  platform_Message message[ATONCE];
  struct iovec piece[ATONCE];
  sock_Sockaddr to[ATONCE];
} Outgoing;

/* Whether the value on top is an address, or a text that is one: pops it. */
static int toaddress(lua_State *L, sock_Sockaddr *a) {
  int found = sock_toaddress(L, -1, a), top = lua_gettop(L);
  if (!found && lua_type(L, -1) == LUA_TSTRING) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    found = sock_parseaddress(L, text, len, a) == NULL;
  }
  lua_settop(L, top - 1);
  return found;
}

static void blame(lua_State *L, lua_Integer i, const char *what) {
  luaL_argerror(L, 2, lua_pushfstring(L, "element %I %s", i, what));
}

/* Element i of the list at index 2; whether it has an address. Its text is
** pushed, so that it stays whatever becomes of the list. [-0,+1,m] */
static int element(lua_State *L, lua_Integer i, struct iovec *piece,
                   sock_Sockaddr *to) {
  int named = lua_rawgeti(L, 2, i) == LUA_TTABLE;
  if (named) {
    lua_rawgeti(L, -1, 2);
    if (!toaddress(L, to))
      blame(L, i, "has no address");
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  if (lua_type(L, -1) != LUA_TSTRING)
    blame(L, i, "has no text to send");
  piece->iov_base = (void *)(uintptr_t)lua_tolstring(L, -1, &piece->iov_len);
  return named;
}

/* The address at `a` as the socket's family has it; 0 if it has none such. */
static int fit(lua_State *L, const sock_Socket *s, sock_Sockaddr *a) {
  if (a->u.sa.sa_family == s->family)
    return 1;
  sock_pushaddress(L, a);
  int fits = sock_fitaddress(L, s, -1, a);
  lua_pop(L, 1);
  return fits;
}

/* The elements after the first `sent`, up to one that does not fit. */
static unsigned gather(lua_State *L, const sock_Socket *s, lua_Integer sent,
                       Outgoing *out) {
  lua_Integer left = (lua_Integer)lua_rawlen(L, 2) - sent;
  unsigned n = 0;
  luaL_checkstack(L, ATONCE + LUA_MINSTACK, NULL);
  for (; n < ATONCE && n < left; n++) {
    struct msghdr *m = &out->message[n].msg_hdr;
    memset(m, 0, sizeof *m);
    m->msg_iov = &out->piece[n];
    m->msg_iovlen = 1;
    if (!element(L, sent + (lua_Integer)n + 1, m->msg_iov, &out->to[n]))
      continue;
    if (!fit(L, s, &out->to[n]))
      break;
    m->msg_name = &out->to[n].u;
    m->msg_namelen = out->to[n].len;
  }
  return n;
}

/* The first element that did not go, and why. */
static int failsend(lua_State *L, int err) {
  sock_Sockaddr to;
  struct iovec piece;
  if (lua_rawlen(L, 2) == 0 || !element(L, 1, &piece, &to))
    return sock_failsocket(L, 1, "sendmany", err);
  return sock_fail(L, err, "sendmany %s", sock_addresstext(L, &to));
}

/* Those that went, or why the first did not. */
static void tapsent(sock_Socket *s, const Outgoing *out, int went) {
  if (went < 0)
    sock_tapsent(s, NULL, 0, went, NULL);
  for (int i = 0; i < went; i++) {
    const struct msghdr *m = &out->message[i].msg_hdr;
    sock_tapsent(s, m->msg_iov, 1, (ssize_t)out->message[i].msg_len,
                 m->msg_name != NULL ? &out->to[i] : NULL);
  }
}

/* One system call; how many went, or -1 and errno. */
static int transmit(lua_State *L, sock_Socket *s, lua_Integer sent) {
  Outgoing out;
  int went;
  unsigned n = gather(L, s, sent, &out);
  errno = EAFNOSUPPORT;
  if (n == 0 || !sock_maywrite(s))
    return -1;
  do {
    went = platform_sendmany(s->watch.fd, out.message, n, SOCK_NOSIGNAL);
  } while (went < 0 && errno == EINTR);
  if (sock_istapped(s))
    tapsent(s, &out, went);
  for (int i = 0; i < went; i++)
    sock_notesent(s, (ssize_t)out.message[i].msg_len);
  return went;
}

/* index 2: the list. It waits only as long as nothing has gone. */
static int sendmany_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  lua_Integer sent = 0;
  if (why != 0)
    return failsend(L, why);
  int first = sock_flushfirst(L, s, "sendmany");
  if (first != 0)
    return first;
  while (sent < (lua_Integer)lua_rawlen(L, 2)) {
    int went = transmit(L, s, sent), err = errno;
    lua_settop(L, 2);
    if (went <= 0 && sent > 0)
      break;
    if (went <= 0)
      return sock_wouldblock(err) ? sock_waitstosend(s) : failsend(L, err);
    sent += went;
  }
  lua_pushinteger(L, sent);
  return 1;
}

static int s_sendmany(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= n; i++) {
    struct iovec piece;
    sock_Sockaddr to;
    (void)element(L, i, &piece, &to);
    lua_settop(L, 2);
  }
  if (s->type == SOCK_STREAM)
    return refusestream(L, "sendmany");
  return sock_call(L, s, SOCK_WRITE, sendmany_try);
}

/* ------------------------------------------------------------ recvmany */

#define MOST 1024                  /* the kernel's limit: UIO_MAXIOV */
#define ROOM ((size_t)1 << 24)     /* for the data of one call, … */
#define KEPTROOM ((size_t)1 << 22) /* … and what is kept until the next */

/* Where one datagram is received. */
typedef struct Slot {
  struct iovec piece;
  sock_Sockaddr from;
  union {
    struct cmsghdr align;
    char bytes[256]; /* for a segment's length, behind all that stands before
                        it: timestamps, drops, mark, priority */
  } control;
} Slot;

/*
** The block of memory that a call receives into. It is kept for the next, so
** that the pages which it touches are there already; while it is in use, it
** is not to be found, for making strings may run a finalizer that receives.
*/
typedef struct Block {
  size_t size; /* of the data */
  unsigned slots;
  platform_Message *message;
  Slot *slot;
  char *data;
} Block;

static const char blockkey = 'b';

static void dropblock(void *memory) {
  Block *b = memory;
  free(b->message);
  free(b->slot);
  free(b->data);
  free(b);
}

static Block *newblock(unsigned slots, size_t size) {
  Block *b = calloc(1, sizeof *b);
  if (b == NULL)
    return NULL;
  b->slots = slots;
  b->size = size;
  b->message = malloc(slots * sizeof *b->message);
  b->slot = malloc(slots * sizeof *b->slot);
  b->data = malloc(size);
  if (b->message != NULL && b->slot != NULL && b->data != NULL)
    return b;
  dropblock(b);
  return NULL;
}

/* Pushes a block for as many datagrams of this size. [-0,+1,m] */
static Block *takeblock(lua_State *L, unsigned slots, size_t size) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &blockkey) == LUA_TUSERDATA) {
    lua_pushboolean(L, 0);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &blockkey);
    Block *kept = ((sock_Held *)lua_touserdata(L, -1))->memory;
    if (kept->slots >= slots && kept->size >= slots * size)
      return kept;
  }
  lua_pop(L, 1);
  sock_Held *held = sock_newheld(L, dropblock);
  held->memory = newblock(slots, slots * size);
  if (held->memory == NULL)
    luaL_error(L, "not enough memory");
  return held->memory;
}

/* The block at `index` is for the next call. */
static void leaveblock(lua_State *L, int index) {
  sock_Held *held = lua_touserdata(L, index);
  if (((Block *)held->memory)->size > KEPTROOM) {
    sock_release(held);
    return;
  }
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &blockkey);
}

/*
** Clears the first n messages, each with `size` bytes of room. A Unix socket
** has no segments: without room for control data the kernel keeps to itself
** the descriptors that came with a message, which nobody here would close.
*/
static void prepare(const sock_Socket *s, const Block *b, unsigned n,
                    size_t size) {
  for (unsigned i = 0; i < n; i++) {
    Slot *slot = &b->slot[i];
    struct msghdr *m = &b->message[i].msg_hdr;
    memset(m, 0, sizeof *m);
    memset(&slot->from, 0, sizeof slot->from);
    slot->piece.iov_base = b->data + i * size;
    slot->piece.iov_len = size;
    m->msg_iov = &slot->piece;
    m->msg_iovlen = 1;
    m->msg_name = &slot->from.u;
    m->msg_namelen = sizeof slot->from.u;
    m->msg_control = slot->control.bytes;
    m->msg_controllen = s->family != AF_UNIX ? sizeof slot->control.bytes : 0;
  }
}

/* The lists of a recvmany on the stack. */
enum { BLOCK = 4, DATA = 5, FROM = 6, CUT = 7 };

/* The sender, which in a batch is often the one before. */
static void pushfrom(lua_State *L, const sock_Socket *s, const Block *b,
                     unsigned i) {
  sock_Sockaddr *from = &b->slot[i].from;
  from->len = b->message[i].msg_hdr.msg_namelen;
  const sock_Sockaddr *last = i > 0 ? &b->slot[i - 1].from : NULL;
  if (last != NULL && last->len == from->len && from->len <= sizeof from->u &&
      memcmp(&last->u, &from->u, from->len) == 0)
    lua_rawgeti(L, FROM, (lua_Integer)lua_rawlen(L, DATA));
  else
    sock_pushsender(L, s, from);
}

/* Appends message i to the lists, as the datagrams that came in it. */
static void append(lua_State *L, const sock_Socket *s, const Block *b,
                   unsigned i) {
  const struct iovec *piece = &b->slot[i].piece;
  struct msghdr *m = &b->message[i].msg_hdr;
  size_t size = b->message[i].msg_len, at = 0;
  size_t kept = size < piece->iov_len ? size : piece->iov_len;
  size_t joined = sock_segment(m), each = joined > 0 ? joined : size;
  pushfrom(L, s, b, i);
  do {
    size_t whole = size - at < each ? size - at : each, len = whole;
    if (at + len > kept)
      len = kept > at ? kept - at : 0;
    lua_Integer n = (lua_Integer)lua_rawlen(L, DATA) + 1;
    lua_pushlstring(L, (const char *)piece->iov_base + at, len);
    lua_rawseti(L, DATA, n);
    lua_pushvalue(L, -1);
    lua_rawseti(L, FROM, n);
    if (len < whole || (m->msg_flags & MSG_TRUNC && at + whole == size)) {
      if (lua_isnil(L, CUT)) {
        lua_newtable(L);
        lua_replace(L, CUT);
      }
      lua_pushinteger(L, (lua_Integer)whole);
      lua_rawseti(L, CUT, n);
    }
    at += each;
  } while (at < size);
  lua_pop(L, 1);
}

/* Those that came in message i. */
static void tapmessage(sock_Socket *s, const Block *b, int i) {
  struct msghdr *m = &b->message[i].msg_hdr;
  sock_Sockaddr *from = &b->slot[i].from;
  const char *data = b->slot[i].piece.iov_base;
  size_t room = b->slot[i].piece.iov_len, size = b->message[i].msg_len, at = 0;
  size_t joined = sock_segment(m), each = joined > 0 ? joined : size;
  from->len = m->msg_namelen;
  do {
    size_t len = size - at < each ? size - at : each;
    size_t left = room > at ? room - at : 0;
    sock_tapreceived(s, data + (at < room ? at : 0), left, (ssize_t)len, 0,
                     from);
    at += each;
  } while (at < size);
}

static void tapreceived(sock_Socket *s, const Block *b, int got) {
  if (got < 0)
    sock_tapreceived(s, NULL, 0, got, 0, NULL);
  for (int i = 0; i < got; i++)
    tapmessage(s, b, i);
}

/* One system call; how many came, or -1 and errno. */
static int receive(sock_Socket *s, const Block *b, unsigned n, size_t size) {
  int got;
  do {
    prepare(s, b, n, size);
    got = platform_recvmany(s->watch.fd, b->message, n, SOCK_TRUNC);
  } while (got < 0 && errno == EINTR);
  if (sock_istapped(s))
    tapreceived(s, b, got);
  for (int i = 0; i < got; i++)
    sock_notereceived(s, (ssize_t)b->message[i].msg_len);
  return got;
}

/* At the end of what can come, each receive is empty. */
static int withoutend(const sock_Socket *s, const Block *b, int got) {
  if (s->type == SOCK_SEQPACKET || s->readdone)
    while (got > 0 && b->message[got - 1].msg_len == 0)
      got--;
  return got;
}

static int finish(lua_State *L, const sock_Socket *s, const Block *b, int n) {
  lua_createtable(L, n, 0);
  lua_createtable(L, n, 0);
  lua_pushnil(L);
  for (int i = 0; i < n; i++)
    append(L, s, b, (unsigned)i);
  leaveblock(L, BLOCK);
  if (n == 0) {
    lua_pushnil(L);
    return 1;
  }
  int results = lua_isnil(L, CUT) ? 2 : 3;
  lua_settop(L, DATA - 1 + results);
  return results;
}

/* index 2: how many at most; index 3: the size of each */
static int recvmany_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  unsigned n = (unsigned)lua_tointeger(L, 2);
  size_t size = (size_t)lua_tointeger(L, 3);
  if (why != 0)
    return sock_failsocket(L, 1, "recvmany", why);
  if (!sock_mayread(s))
    return SOCK_WANTREAD;
  lua_settop(L, 3);
  const Block *b = takeblock(L, n, size);
  errno = EBADF; /* a finalizer closed it */
  int got = s->watch.fd < 0 ? -1 : receive(s, b, n, size), err = errno;
  if (got >= 0)
    return finish(L, s, b, withoutend(s, b, got));
  leaveblock(L, BLOCK);
  return sock_wouldblock(err) ? SOCK_WANTREAD
                              : sock_failsocket(L, 1, "recvmany", err);
}

static int s_recvmany(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  lua_Integer n = luaL_optinteger(L, 2, ATONCE);
  lua_Integer size = luaL_optinteger(L, 3, (lua_Integer)SOCK_SCRATCH);
  luaL_argcheck(L, n > 0, 2, "count must be positive");
  luaL_argcheck(L, size > 0, 3, "size must be positive");
  if (s->type == SOCK_STREAM)
    return refusestream(L, "recvmany");
  if (size > (lua_Integer)ROOM)
    size = (lua_Integer)ROOM;
  if (n > (lua_Integer)ROOM / size)
    n = (lua_Integer)ROOM / size;
  lua_settop(L, 1);
  lua_pushinteger(L, n < MOST ? n : MOST);
  lua_pushinteger(L, size);
  return sock_call(L, s, SOCK_READ, recvmany_try);
}

const luaL_Reg sock_datagrammethods[] = {
    {"sendmany", s_sendmany}, {"recvmany", s_recvmany}, {NULL, NULL}};
