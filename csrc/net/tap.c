/* tap.c: from what a socket does to whoever listens. */
#include "base/platform.h"
#include "base/error.h"
#include "loop/frame.h"
#include "net/flags.h"
#include "net/tap.h"

#include <stdio.h>

static const char tapskey = 't';    /* id → tap, which holds its listener */
static const char socketskey = 'k'; /* id → socket, weak */
static const char tellerkey = 'c';  /* the coroutine that listeners run in */

#define MOST ((size_t)16 << 20) /* bytes of events that wait to be told */

typedef struct sock_Event {
  struct sock_Event *next;
  sock_Tap *tap;
  double time; /* since the epoch */
  int what, err;
  const char *word;
  size_t size;        /* of the data, all of it */
  size_t len;         /* what there was room for */
  sock_Sockaddr peer; /* a datagram's; len 0: the tap's */
  char data[];
} Event;

/* --------------------------------------------------------------- events */

/* What a listener does with traced sockets is not told: there would be no
** end. Tasks that run while it waits are told of. */
static int islisteners(const sock_Loop *loop) {
  return loop->telling && loop->current == NULL &&
         loop->depth == loop->telldepth;
}

/* A name may come with any call, and the peer's goes when the peer does. */
static void refresh(const sock_Socket *s, sock_Tap *tap) {
  sock_Sockaddr a;
  tap->family = s->family;
  tap->type = s->type;
  tap->initiator = s->initiator;
  if (sock_localname(s, &a) == 0)
    tap->here = a;
  if (sock_peername(s, &a) == 0)
    tap->peer = a;
}

static void *take(sock_Loop *loop, void *memory, size_t old, size_t size) {
  void *ud;
  lua_Alloc f = lua_getallocf(loop->main, &ud);
  return f(ud, memory, old, size);
}

/* A new event with room for its data; NULL if nobody is to be told. */
static Event *add(sock_Socket *s, int what, size_t len) {
  sock_Loop *loop = s->watch.loop;
  sock_Tap *tap = s->tap;
  if (tap->ended || islisteners(loop))
    return NULL;
  if (loop->eventbytes > MOST) { /* the listener waits, for ever maybe */
    tap->lost++;
    return NULL;
  }
  Event *e = take(loop, NULL, LUA_TUSERDATA, sizeof *e + len);
  if (e == NULL) {
    tap->lost++;
    return NULL;
  }
  memset(e, 0, sizeof *e);
  loop->eventbytes += sizeof *e + len;
  e->tap = tap;
  e->time = platform_time();
  e->what = what;
  e->len = e->size = len;
  refresh(s, tap);
  tap->refs++;
  if (what != SOCK_WAITS)
    tap->waiting = 0;
  if (loop->events == NULL)
    loop->events = e;
  else
    loop->lastevent->next = e;
  loop->lastevent = e;
  return e;
}

static void waits(sock_Socket *s, unsigned char direction) {
  sock_Tap *tap = s->tap;
  if (!tap->waits || tap->waiting == direction)
    return;
  Event *e = add(s, SOCK_WAITS, 0);
  if (e != NULL)
    e->word = direction == SOCK_READ ? "r" : "w";
  tap->waiting = direction;
}

void sock_tapsent(sock_Socket *s, const struct iovec *piece, int n,
                  ssize_t sent, const sock_Sockaddr *to) {
  int err = errno;
  Event *e = NULL;
  if (sent < 0 && (err == EAGAIN || err == EWOULDBLOCK))
    waits(s, SOCK_WRITE);
  else if (sent > 0 || (sent == 0 && s->type != SOCK_STREAM))
    e = add(s, SOCK_SENT, (size_t)sent);
  if (e != NULL && to != NULL)
    e->peer = *to;
  for (size_t at = 0; e != NULL && n > 0 && at < e->len; piece++, n--) {
    size_t part = piece->iov_len < e->len - at ? piece->iov_len : e->len - at;
    memcpy(e->data + at, piece->iov_base, part);
    at += part;
  }
  errno = err;
}

/* At the end of what can come, a receive is empty. */
static int isend(const sock_Socket *s, size_t room) {
  return s->type == SOCK_STREAM ? room > 0
                                : s->type == SOCK_SEQPACKET || s->readdone;
}

void sock_tapreceived(sock_Socket *s, const void *data, size_t room,
                      ssize_t got, int flags, const sock_Sockaddr *from) {
  int err = errno, ended = got == 0 && isend(s, room);
  size_t len = got > 0 ? (size_t)got : 0;
  if (got < 0 && (err == EAGAIN || err == EWOULDBLOCK)) {
    waits(s, SOCK_READ);
  } else if (ended && !s->tap->finished) {
    s->tap->finished = 1;
    (void)add(s, SOCK_ENDED, 0);
  } else if (got >= 0 && !ended && !(flags & (MSG_PEEK | SOCK_ERRQUEUE)) &&
             (got > 0 || s->type != SOCK_STREAM)) {
    Event *e = add(s, SOCK_RECEIVED, len < room ? len : room);
    if (e != NULL) {
      e->size = len;
      memcpy(e->data, data, e->len);
      if (from != NULL)
        e->peer = *from;
    }
  }
  errno = err;
}

void sock_tapevent(sock_Socket *s, int what, const char *word, int err) {
  int saved = errno;
  Event *e = add(s, what, 0);
  if (e != NULL) {
    e->word = word;
    e->err = err;
  }
  errno = saved;
}

void sock_taprefused(sock_Socket *s, const sock_Sockaddr *peer, int err) {
  Event *e = add(s, SOCK_ERROR, 0);
  if (e == NULL)
    return;
  e->word = "connect";
  e->err = err;
  e->peer = *peer;
}

/* ----------------------------------------------------------------- taps */

/* Setting a field that is there to nil allocates nothing. */
static void release(lua_State *L, sock_Tap *tap) {
  if (--tap->refs > 0)
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tapskey);
  lua_pushnil(L);
  lua_rawseti(L, -2, tap->id);
  lua_pop(L, 1);
}

/* Pushes a new tap for the socket at `index`, whose listener is on top and
** popped. Nobody holds it yet. [-1,+1,m] */
static sock_Tap *newtap(lua_State *L, int index, int waitstoo) {
  sock_Loop *loop = sock_loop(L);
  index = lua_absindex(L, index);
  sock_Tap *tap = lua_newuserdatauv(L, sizeof *tap, 1);
  memset(tap, 0, sizeof *tap);
  tap->id = ++loop->lasttap;
  tap->waits = (unsigned char)waitstoo;
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &socketskey);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, tap->id);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tapskey);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, tap->id);
  lua_pop(L, 2);
  return tap;
}

/* The socket has it from now on. */
static void puton(lua_State *L, sock_Socket *s, sock_Tap *tap) {
  sock_untap(L, s);
  tap->refs = 1;
  s->tap = tap;
  s->watch.loop->taps++;
  if (s->watch.fd >= 0)
    refresh(s, tap);
}

void sock_inherit(lua_State *L, int index, const sock_Socket *listening) {
  sock_Socket *s = lua_touserdata(L, index);
  if (s->tap != NULL)
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tapskey);
  lua_rawgeti(L, -1, listening->tap->id);
  lua_getiuservalue(L, -1, 1);
  puton(L, s, newtap(L, index, listening->tap->waits));
  lua_pop(L, 3);
}

void sock_untap(lua_State *L, sock_Socket *s) {
  if (sock_likely(s->tap == NULL))
    return;
  release(L, s->tap);
  s->tap = NULL;
  s->watch.loop->taps--;
}

/* -------------------------------------------------------------- telling */

static void setaddress(lua_State *L, const char *name, const sock_Sockaddr *a) {
  if (a->len == 0)
    return;
  sock_pushaddress(L, a);
  lua_setfield(L, -2, name);
}

static void settext(lua_State *L, const char *name, const char *text) {
  if (text == NULL)
    return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void setcount(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static void pushevent(lua_State *L, const Event *e) {
  static const char *const names[] = {"send",    "recv",   "end",
                                      "connect", "accept", "shutdown",
                                      "close",   "error",  "wait"};
  static const char *const initiators[] = {NULL, "here", "peer"};
  sock_Tap *tap = e->tap;
  lua_createtable(L, 0, 13);
  settext(L, "what", names[e->what]);
  lua_pushnumber(L, e->time);
  lua_setfield(L, -2, "time");
  setcount(L, "id", tap->id);
  settext(L, "type", sock_typename(tap->type));
  settext(L, "initiator", initiators[tap->initiator]);
  setaddress(L, "here", &tap->here);
  setaddress(L, "peer", e->peer.len > 0 ? &e->peer : &tap->peer);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &socketskey);
  lua_rawgeti(L, -1, tap->id);
  lua_remove(L, -2);
  lua_setfield(L, -2, "socket");
  settext(L, e->what == SOCK_ERROR ? "call" : "how", e->word);
  if (e->what == SOCK_SENT || e->what == SOCK_RECEIVED) {
    lua_pushlstring(L, e->data, e->len);
    lua_setfield(L, -2, "data");
    setcount(L, "size", (lua_Integer)e->size);
  }
  if (e->what == SOCK_ERROR) {
    sock_errorcode(L, e->err);
    lua_setfield(L, -2, "code");
  }
  if (tap->lost > 0)
    setcount(L, "lost", tap->lost);
}

/* index 1: the event. Protected. A listener that answers false has ended. */
static int tellone(lua_State *L) {
  const Event *e = lua_touserdata(L, 1);
  sock_Tap *tap = e->tap;
  unsigned lost = tap->lost;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tapskey);
  lua_rawgeti(L, -1, tap->id);
  lua_getiuservalue(L, -1, 1);
  pushevent(L, e);
  tap->lost -= lost;
  lua_call(L, 1, 1);
  if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
    tap->ended = 1;
  return 0;
}

static void drop(lua_State *L, sock_Loop *loop, Event *e) {
  loop->eventbytes -= sizeof *e + e->len;
  release(L, e->tap);
  (void)take(loop, e, sizeof *e + e->len, 0);
}

static Event *next(sock_Loop *loop) {
  Event *e = loop->events;
  loop->events = e->next;
  return e;
}

static void tellnext(lua_State *L, sock_Loop *loop) {
  Event *e = next(loop);
  int status = LUA_OK;
  if (!e->tap->ended) {
    lua_pushcfunction(L, tellone);
    lua_pushlightuserdata(L, e);
    status = lua_pcall(L, 1, 0, 0);
  }
  if (status == LUA_ERRMEM) {
    e->tap->lost++;
  } else if (status != LUA_OK) {
    const char *text =
        lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    (void)fprintf(stderr, "sock: a trace has ended: %s\n",
                  text != NULL ? text : "(an error that is no text)");
    e->tap->ended = 1;
  }
  drop(L, loop, e);
}

/* A coroutine of their own: on the main state a ^C meant for the code that
** runs here would end them instead, and be lost. */
static lua_State *teller(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tellerkey);
  lua_State *co = lua_tothread(L, -1);
  lua_pop(L, 1);
  return co;
}

/* What the listeners wait for is not what the code that runs here waits for:
** neither its task's deadlines nor its cancel are theirs. */
static void tell(lua_State *L, sock_Loop *loop) {
  sock_Home own = {0}, *home = loop->home;
  struct sock_Task *current = loop->current;
  if (loop->telling || !lua_checkstack(L, LUA_MINSTACK) ||
      (!loop->stopped && lua_gc(L, LUA_GCISRUNNING) == -1))
    return;
  lua_State *co = teller(L);
  int top = lua_gettop(co);
  if (!lua_checkstack(co, LUA_MINSTACK))
    return;
  sock_listinit(&own.frames);
  loop->home = &own;
  loop->current = NULL;
  loop->telling = 1;
  loop->telldepth = loop->depth;
  while (loop->events != NULL) {
    tellnext(co, loop);
    lua_settop(co, top);
  }
  sock_dropframes(&own);
  loop->telling = 0;
  loop->current = current;
  loop->home = home;
}

void sock_looseevents(lua_State *L, sock_Loop *loop) {
  while (loop->events != NULL)
    drop(L, loop, next(loop));
  loop->telling = 0;
}

/* ------------------------------------------------------------ functions */

/* tap(socket, listener [, waits]): listener(event) is called for all that it
** does; false: nobody is. */
static int l_tap(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  int on = lua_toboolean(L, 2);
  if (on)
    luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 3);
  (void)sock_told(L, s->watch.loop, 0); /* of what was before */
  s = sock_checkopen(L, 1);
  if (on) {
    lua_pushvalue(L, 2);
    puton(L, s, newtap(L, 1, lua_toboolean(L, 3)));
  } else {
    sock_untap(L, s);
  }
  lua_settop(L, 1);
  return 1;
}

static int l_isterminal(lua_State *L) {
  const luaL_Stream *file = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  lua_pushboolean(L, file->closef != NULL && isatty(fileno(file->f)));
  return 1;
}

const luaL_Reg sock_tapfunctions[] = {
    {"tap", l_tap}, {"isterminal", l_isterminal}, {NULL, NULL}};

void sock_opentap(lua_State *L) {
  sock_loop(L)->tell = tell;
  (void)lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tellerkey);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tapskey);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &socketskey);
}
