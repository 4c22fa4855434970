/*
** serving.c: what a server asks of its connections: what they have moved,
** to end where nothing is under way, and to let the peer go first.
*/
#include "base/platform.h"
#include "net/input.h"
#include "net/transport.h"

/* -------------------------------------------------------------- drain */

/* Between an answer and the next request: the last word was ours, and
** nothing has come since. A connection without any word yet is about to say
** its first, and would never hear why nobody answers. */
static int ispause(const sock_Watch *w) {
  const sock_Socket *s = (const sock_Socket *)(const void *)w;
  size_t len;
  (void)sock_arrived(s, &len);
  return !s->heard && s->sent > 0 && len == 0;
}

/*
** drain(connection): from now on a read that would wait in such a pause sees
** the end of the stream. The kernel is not told: a request that comes all the
** same is not answered by a reset, and is read if it comes before the look.
** Whether there is such a read now.
*/
static int l_drain(lua_State *L) {
  sock_Socket *s = sock_checksocket(L, 1);
  sock_Link *readers = &s->watch.readers;
  int told = s->watch.fd >= 0 && ispause(&s->watch) && !sock_listempty(readers);
  if (s->watch.fd >= 0)
    s->watch.ends = ispause;
  if (told)
    sock_wakefirst(s->watch.loop, readers);
  lua_pushboolean(L, told);
  return 1;
}

/* ------------------------------------------------------------- discard */

enum { UNTIL = 2 };

/* index 2: until when; a flood leaves no wait that a timer could end */
static int discard_try(lua_State *L, int why) {
  sock_Socket *s = lua_touserdata(L, 1);
  sock_Loop *loop = s->watch.loop;
  ssize_t got = why == 0 ? 1 : 0;
  while (got > 0 && s->watch.fd >= 0) {
    sock_claimscratch(L, loop);
    got = sock_receive(s, loop->scratch, SOCK_SCRATCH, 0);
    if (got < 0 && sock_wouldblock(errno))
      return SOCK_WANTREAD;
    if (got > 0 && sock_isspent(loop)) {
      if (platform_now() < lua_tonumber(L, UNTIL))
        return SOCK_WANTTURN;
      got = 0;
    }
  }
  lua_settop(L, 1);
  return 1;
}

/*
** discard(connection, seconds): receives until the peer's end, at most that
** long. A close with input that nobody has read is a reset, which destroys
** what the peer has not read yet; so it is given the time to. Shielded: its
** length is known.
*/
static int l_discard(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  double seconds = sock_optseconds(L, 2);
  lua_settop(L, 1);
  s->watch.ends = NULL;
  sock_dropinput(L, s);
  lua_pushnumber(L, platform_now() + seconds);
  return sock_awaitshielded(L, &s->watch, SOCK_READ, seconds, discard_try);
}

/* -------------------------------------------------------------- traffic */

/* hasended(connection): whether its stream was read to the end */
static int l_hasended(lua_State *L) {
  const sock_Socket *s = sock_checksocket(L, 1);
  lua_pushboolean(L, s->ended && s->type == SOCK_STREAM);
  return 1;
}

/* traffic(socket): bytes received and sent so far; after its close too */
static int l_traffic(lua_State *L) {
  const sock_Socket *s = sock_checksocket(L, 1);
  lua_pushinteger(L, (lua_Integer)s->received);
  lua_pushinteger(L, (lua_Integer)s->sent);
  return 2;
}

const luaL_Reg sock_servingfunctions[] = {{"drain", l_drain},
                                          {"discard", l_discard},
                                          {"hasended", l_hasended},
                                          {"traffic", l_traffic},
                                          {NULL, NULL}};
