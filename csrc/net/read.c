/*
** read.c: read, lines, readuntil: shapes looked for in what has arrived.
**
** A read of several shapes consumes nothing until the last of them is there:
** a timeout or a cancel in the middle loses nothing. The search for an end
** goes on where it stopped, so each byte is looked at once.
*/
#include "base/platform.h"
#include "base/error.h"
#include "net/input.h"
#include "net/read.h"
#include "net/transport.h"

/* ---------------------------------------------------------- the reader */

/* Stack of a read: the socket, its progress, the shapes, their values. */
enum {
  POSITION = 2, /* where the current shape begins, in what has arrived */
  SCANNED = 3,  /* how far it has looked, from there */
  MARK = 4,     /* … for what … */
  STEP = 5,     /* … at which place of a format */
  CURRENT = 6,  /* its index */
  LAST = 7,     /* the last one's; above it stand the values */
  SHAPE = 8,    /* how one is tried */
  TAKES = 9,    /* the socket's, when the first shape was begun */
  FIRST = 10
};

static void set(lua_State *L, int index, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_replace(L, index);
}

static int failcut(lua_State *L, size_t len, size_t wanted) {
  if (wanted > 0)
    lua_pushfstring(L, "ended after %I of %I bytes", (lua_Integer)len,
                    (lua_Integer)wanted);
  else
    lua_pushfstring(L, "ended after %I bytes", (lua_Integer)len);
  return sock_failsocketas(L, 1, "read", EPROTO, lua_tostring(L, -1));
}

static int failread(lua_State *L, int err) {
  return sock_wouldblock(err)
             ? sock_waitsfor(lua_touserdata(L, 1), SOCK_WANTREAD)
             : sock_failsocket(L, 1, "read", err);
}

/* Ends the read: the values above `last`, and nil if the stream ended. */
static int finish(lua_State *L, sock_Socket *s, size_t position, int last) {
  sock_consume(L, s, position);
  return lua_gettop(L) - last;
}

/* What the current shape sees. A finalizer may have read in between. */
static sock_View look(lua_State *L, const sock_Socket *s, size_t *position,
                      int ended) {
  sock_View v;
  v.data = sock_arrived(s, &v.len);
  if (*position > v.len)
    *position = v.len;
  v.data += *position;
  v.len -= *position;
  v.scanned = (size_t)lua_tointeger(L, SCANNED);
  v.mark = (size_t)lua_tointeger(L, MARK);
  v.step = (size_t)lua_tointeger(L, STEP);
  v.limit = s->limit;
  v.wanted = 0;
  v.ended = ended;
  return v;
}

/* How far a shape has looked; the next one begins anew. */
static void keep(lua_State *L, const sock_View *v, int more) {
  set(L, SCANNED, more ? v->scanned : 0);
  set(L, MARK, more ? v->mark : 0);
  set(L, STEP, more ? v->step : 0);
}

/*
** Making a value may run a finalizer, and that may read from this socket:
** then what was found is its, and the read begins anew.
*/
static int startanew(lua_State *L, const sock_Socket *s) {
  if (s->takes == (unsigned long)lua_tointeger(L, TAKES))
    return 0;
  lua_settop(L, (int)lua_tointeger(L, LAST));
  set(L, POSITION, 0);
  set(L, SCANNED, 0);
  set(L, MARK, 0);
  set(L, STEP, 0);
  set(L, CURRENT, FIRST);
  set(L, TAKES, (size_t)s->takes);
  return 1;
}

/* Tries the shapes that are left: the results' number, or SOCK_MORE. */
static int tryshapes(lua_State *L, sock_Socket *s, int ended) {
  sock_Shape shape = (sock_Shape)(uintptr_t)lua_touserdata(L, SHAPE);
  int last = (int)lua_tointeger(L, LAST);
  size_t position = (size_t)lua_tointeger(L, POSITION);
  for (int i = (int)lua_tointeger(L, CURRENT); i <= last; i++) {
    if (startanew(L, s))
      return tryshapes(L, s, ended);
    sock_View v = look(L, s, &position, ended);
    ptrdiff_t took = shape(L, i, &v);
    if (took >= 0) {
      position += (size_t)took;
      set(L, POSITION, position);
      set(L, CURRENT, (size_t)i + 1);
    }
    keep(L, &v, took == SOCK_MORE);
    switch (took) {
    case SOCK_MORE:
      return SOCK_MORE;
    case SOCK_TOOLONG:
      return sock_failsocket(L, 1, "read", EMSGSIZE);
    case SOCK_TOOWIDE:
      return sock_failsocketas(L, 1, "read", ERANGE, "integer out of range");
    case SOCK_CUT:
      return failcut(L, v.len, v.wanted);
    case SOCK_NOTHING:
      lua_pushnil(L);
      return finish(L, s, position, last);
    default:
      break;
    }
  }
  return startanew(L, s) ? tryshapes(L, s, ended)
                         : finish(L, s, position, last);
}

static int read_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  int filled = 1, err = why;
  if (why != 0)
    return sock_failsocket(L, 1, "read", why);
  while (filled >= 0) {
    int got = tryshapes(L, s, filled == 0);
    if (got != SOCK_MORE)
      return got;
    if (s->watch.fd < 0)
      return sock_failsocket(L, 1, "read", EBADF);
    if (sock_isspent(s->watch.loop))
      return SOCK_WANTTURN;
    filled = sock_fill(L, s);
    err = errno;
  }
  return failread(L, err);
}

/* Makes the stack of a read of the shapes from index 2 on. */
static void prepare(lua_State *L, const sock_Socket *s, sock_Shape shape) {
  int n = lua_gettop(L) - 1;
  luaL_checkstack(L, n + LUA_MINSTACK, "too many formats");
  for (int i = POSITION; i <= STEP; i++)
    lua_pushinteger(L, 0);
  lua_pushinteger(L, FIRST);
  lua_pushinteger(L, FIRST + n - 1);
  lua_pushlightuserdata(L, (void *)(uintptr_t)shape);
  lua_pushinteger(L, (lua_Integer)s->takes);
  lua_rotate(L, 2, FIRST - 2);
}

int sock_readshapes(lua_State *L, sock_Shape shape) {
  sock_Socket *s = lua_touserdata(L, 1);
  prepare(L, s, shape);
  return sock_call(L, s, SOCK_READ, read_try);
}

/* --------------------------------------------------------------- shapes */

/* A line's value: without its end, unless it is kept. */
static ptrdiff_t giveline(lua_State *L, const sock_View *v, size_t len,
                          int keep) {
  size_t n = len;
  if (len > v->limit)
    return SOCK_TOOLONG;
  if (!keep)
    n -= n > 1 && v->data[n - 2] == '\r' ? 2 : 1;
  lua_pushlstring(L, v->data, n);
  return (ptrdiff_t)len;
}

/* What is left at the end of the stream, as a value. */
static ptrdiff_t giverest(lua_State *L, const sock_View *v) {
  lua_pushlstring(L, v->data, v->len);
  return (ptrdiff_t)v->len;
}

static ptrdiff_t line(lua_State *L, sock_View *v, int keep) {
  const char *end = NULL;
  if (v->len > v->scanned)
    end = memchr(v->data + v->scanned, '\n', v->len - v->scanned);
  if (end != NULL)
    return giveline(L, v, (size_t)(end - v->data) + 1, keep);
  if (v->len > v->limit)
    return SOCK_TOOLONG;
  v->scanned = v->len;
  if (!v->ended)
    return SOCK_MORE;
  return v->len > 0 ? giverest(L, v) : SOCK_NOTHING;
}

static ptrdiff_t count(lua_State *L, sock_View *v, size_t n) {
  if (v->len >= n) {
    lua_pushlstring(L, v->data, n);
    return (ptrdiff_t)n;
  }
  v->wanted = n;
  if (!v->ended)
    return SOCK_MORE;
  return v->len > 0 ? SOCK_CUT : SOCK_NOTHING;
}

static ptrdiff_t formatshape(lua_State *L, int index, sock_View *v) {
  if (lua_type(L, index) == LUA_TNUMBER)
    return count(L, v, (size_t)lua_tointeger(L, index));
  switch (*lua_tostring(L, index)) {
  case 'a':
    return v->ended ? giverest(L, v) : SOCK_MORE;
  case 'L':
    return line(L, v, 1);
  default:
    return line(L, v, 0);
  }
}

/* Up to and with a text. */
static ptrdiff_t untilshape(lua_State *L, int index, sock_View *v) {
  size_t n;
  const char *text = lua_tolstring(L, index, &n);
  /* its first bytes may have been the last that were looked at */
  size_t from = v->scanned >= n ? v->scanned - n + 1 : 0;
  const char *found = memmem(v->data + from, v->len - from, text, n);
  size_t len = found != NULL ? (size_t)(found - v->data) + n : v->len;
  if (len > v->limit)
    return SOCK_TOOLONG;
  if (found != NULL) {
    lua_pushlstring(L, v->data, len);
    return (ptrdiff_t)len;
  }
  v->scanned = v->len;
  if (!v->ended)
    return SOCK_MORE;
  return v->len > 0 ? SOCK_CUT : SOCK_NOTHING;
}

/* ------------------------------------------------------------- methods */

/* Its argument as an open stream: a record or a datagram is recv's. */
static sock_Socket *checkstream(lua_State *L, int arg) {
  sock_Socket *s = sock_checkopen(L, arg);
  luaL_argcheck(L, s->type == SOCK_STREAM, arg, "not a stream: use recv");
  return s;
}

/* A format or a count, as in Lua's files; a leading * is skipped. */
static void checkformat(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TNUMBER) {
    luaL_argcheck(L, luaL_checkinteger(L, arg) >= 0, arg,
                  "count must not be negative");
    return;
  }
  const char *format = luaL_checkstring(L, arg);
  if (*format == '*')
    format++;
  luaL_argcheck(L, *format != 0 && strchr("alL", *format) != NULL, arg,
                "invalid format");
  lua_pushlstring(L, format, 1);
  lua_replace(L, arg);
}

/* The formats from `arg` to the top; "l" if there is none. */
static void checkformats(lua_State *L, int arg) {
  if (lua_gettop(L) < arg || (lua_gettop(L) == arg && lua_isnil(L, arg))) {
    lua_settop(L, arg - 1);
    lua_pushliteral(L, "l");
  }
  for (int i = arg; i <= lua_gettop(L); i++)
    checkformat(L, i);
}

static int s_read(lua_State *L) {
  checkstream(L, 1);
  checkformats(L, 2);
  return sock_readshapes(L, formatshape);
}

static int s_readuntil(lua_State *L) {
  size_t n;
  checkstream(L, 1);
  luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n > 0, 2, "text is empty");
  lua_settop(L, 2);
  return sock_readshapes(L, untilshape);
}

static int s_unpack(lua_State *L) {
  checkstream(L, 1);
  sock_checkpackformat(L, 2);
  lua_settop(L, 2);
  return sock_readshapes(L, sock_unpackshape);
}

/* As Lua's: a failure is raised, the end is nil, and nothing follows it. */
static int lines_try(lua_State *L, int why) {
  int got = read_try(L, why);
  if (got == 3 && lua_isnil(L, -3)) {
    lua_pop(L, 1);
    return lua_error(L);
  }
  return got;
}

/* Upvalues: the socket, how many formats, the formats. */
static int nextline(lua_State *L) {
  int n = (int)lua_tointeger(L, lua_upvalueindex(2));
  lua_settop(L, 0);
  luaL_checkstack(L, n + LUA_MINSTACK, "too many formats");
  lua_pushvalue(L, lua_upvalueindex(1));
  sock_Socket *s = sock_checkopen(L, 1);
  for (int i = 1; i <= n; i++)
    lua_pushvalue(L, lua_upvalueindex(2 + i));
  prepare(L, s, formatshape);
  return sock_call(L, s, SOCK_READ, lines_try);
}

static int s_lines(lua_State *L) {
  checkstream(L, 1);
  checkformats(L, 2);
  int n = lua_gettop(L) - 1;
  luaL_argcheck(L, n <= 250, 252, "too many formats");
  lua_pushinteger(L, n);
  lua_insert(L, 2);
  lua_pushcclosure(L, nextline, n + 2);
  return 1;
}

static int s_setlimit(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  lua_Number n = luaL_checknumber(L, 2);
  luaL_argcheck(L, n >= 1, 2, "limit must be positive");
  s->limit = n < 9e15 ? (size_t)n : SIZE_MAX / 2; /* math.huge: none */
  lua_settop(L, 1);
  return 1;
}

static int s_buffered(lua_State *L) {
  const sock_Socket *s = sock_checkopen(L, 1);
  size_t len;
  (void)sock_arrived(s, &len);
  lua_pushinteger(L, (lua_Integer)(len + sock_pending(s)));
  return 1;
}

const luaL_Reg sock_readmethods[] = {
    {"read", s_read},   {"readuntil", s_readuntil}, {"unpack", s_unpack},
    {"lines", s_lines}, {"setlimit", s_setlimit},   {"buffered", s_buffered},
    {NULL, NULL}};
