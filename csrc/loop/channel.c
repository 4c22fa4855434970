/*
** channel.c: a queue of values, and two queues of waiters.
**
** Values stand in a table, the channel's user value. A putter puts its value
** there when there is room, or a getter waits for it; so an unbuffered
** channel holds a value only on its way from one to the other, and a waiter
** that is cancelled takes none with it.
*/
#include "base/platform.h"
#include "base/error.h"
#include "loop/await.h"
#include "loop/channel.h"
#include "loop/task.h"

#define UNLIMITED 9e15 /* math.huge is no limit */

typedef struct Channel {
  sock_Loop *loop;
  sock_Link getters, putters;
  lua_Integer first, last; /* its values: the table's first+1 … last */
  lua_Integer capacity;
  int closed;
} Channel;

static Channel *checkchannel(lua_State *L) {
  return sock_checkobject(L, 1, &sock_channelclass);
}

static lua_Integer lengthof(const Channel *c) {
  return c->last - c->first;
}

/* Whether a getter in the queue will still take what is put for it. */
static int willtake(const sock_Waiter *w) {
  return w->waiting ||
         (w->why == 0 && (w->task == NULL || !w->task->home.cancelled));
}

/* Room in the buffer, or a getter for whom no value is there yet. */
static int hasroom(const Channel *c) {
  lua_Integer room = c->capacity - lengthof(c);
  for (const sock_Link *l = c->getters.next; room <= 0 && l != &c->getters;
       l = l->next)
    room += willtake(sock_container(l, sock_Waiter, link));
  return room > 0;
}

/* Whoever has waited already has been woken for its turn; whoever comes new
** stands behind those who wait. The flag is at `index`. */
static int hasturn(lua_State *L, int index, const sock_Link *queue) {
  return lua_toboolean(L, index) || sock_listempty(queue);
}

static int waitturn(lua_State *L, int index) {
  lua_pushboolean(L, 1);
  lua_replace(L, index);
  return SOCK_WANTWAKE;
}

/* index 1: the channel; 2: the value; 3: whether it has waited */
static int put_try(lua_State *L, int why) {
  Channel *c = lua_touserdata(L, 1);
  if (why != 0)
    return sock_fail(L, why, "put");
  if (c->closed) {
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    lua_pushliteral(L, "EPIPE");
    return 3;
  }
  if (!hasturn(L, 3, &c->putters) || !hasroom(c))
    return waitturn(L, 3);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, c->last + 1); /* may raise: then nothing is changed */
  c->last++;
  sock_wakenext(c->loop, &c->getters); /* one for each value */
  lua_settop(L, 1);
  return 1;
}

static int c_put(lua_State *L) {
  Channel *c = checkchannel(L);
  double seconds = sock_optseconds(L, 3);
  luaL_checkany(L, 2);
  luaL_argcheck(L, !lua_isnil(L, 2), 2, "nil cannot be put");
  lua_settop(L, 2);
  lua_pushboolean(L, 0);
  return sock_awaitqueue(L, &c->putters, seconds, SOCK_INSIDE, put_try);
}

/* More values than getters who were there before. If this call would nest a
** driver, one of those may stand on the C stack below it, unable to take its
** own until this one has come back. */
static int hasspare(lua_State *L, const Channel *c) {
  lua_Integer spare = lengthof(c);
  if (c->loop->depth == 0 || sock_cansuspend(L, c->loop))
    return 0;
  for (const sock_Link *l = c->getters.next; spare > 0 && l != &c->getters;
       l = l->next)
    spare--;
  return spare > 0;
}

/* index 1: the channel; 2: whether it has waited */
static int get_try(lua_State *L, int why) {
  Channel *c = lua_touserdata(L, 1);
  if (why != 0)
    return sock_fail(L, why, "get");
  if (lengthof(c) == 0 && c->closed) {
    lua_pushnil(L);
    return 1;
  }
  if (lengthof(c) == 0 || (!hasturn(L, 2, &c->getters) && !hasspare(L, c))) {
    sock_wakenext(c->loop, &c->putters);
    return waitturn(L, 2);
  }
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, ++c->first);
  lua_pushnil(L);
  lua_rawseti(L, -3, c->first);
  sock_wakenext(c->loop, &c->putters); /* one for each place */
  return 1;
}

static int get(lua_State *L, double seconds) {
  Channel *c = checkchannel(L);
  lua_settop(L, 1);
  lua_pushboolean(L, 0);
  return sock_awaitqueue(L, &c->getters, seconds, SOCK_INSIDE, get_try);
}

static int c_get(lua_State *L) {
  return get(L, sock_optseconds(L, 2));
}

/* What each() iterates with: the second argument is the value before. */
static int next(lua_State *L) {
  return get(L, HUGE_VAL);
}

static int c_each(lua_State *L) {
  checkchannel(L);
  lua_pushcfunction(L, next);
  lua_pushvalue(L, 1);
  return 2;
}

static int c_close(lua_State *L) {
  Channel *c = checkchannel(L);
  c->closed = 1;
  sock_wakeall(c->loop, &c->getters, 0);
  sock_wakeall(c->loop, &c->putters, 0);
  lua_pushboolean(L, 1);
  return 1;
}

static int c_len(lua_State *L) {
  lua_pushinteger(L, lengthof(checkchannel(L)));
  return 1;
}

static int waiting(const sock_Link *queue) {
  int n = 0;
  for (const sock_Link *l = queue->next; l != queue; l = l->next)
    n++;
  return n;
}

/* "channel 2/10 (1 waits to get, closed)" */
static int c_tostring(lua_State *L) {
  const Channel *c = checkchannel(L);
  int getters = waiting(&c->getters), putters = waiting(&c->putters);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_pushfstring(L, "channel %I/", lengthof(c));
  luaL_addvalue(&b);
  if (c->capacity < UNLIMITED)
    lua_pushfstring(L, "%I", c->capacity);
  else
    lua_pushliteral(L, "any");
  luaL_addvalue(&b);
  if (getters > 0) {
    lua_pushfstring(L, " (%d %s to get)", getters,
                    getters == 1 ? "waits" : "wait");
    luaL_addvalue(&b);
  }
  if (putters > 0) {
    lua_pushfstring(L, " (%d %s to put)", putters,
                    putters == 1 ? "waits" : "wait");
    luaL_addvalue(&b);
  }
  if (c->closed)
    luaL_addstring(&b, " (closed)");
  luaL_pushresult(&b);
  return 1;
}

static int l_channel(lua_State *L) {
  lua_Number capacity = luaL_optnumber(L, 1, 0);
  luaL_argcheck(L, capacity >= 0, 1, "capacity must not be negative");
  if (capacity < UNLIMITED)
    capacity = (lua_Number)luaL_optinteger(L, 1, 0);
  else
    capacity = UNLIMITED;
  Channel *c = sock_newobject(L, &sock_channelclass, sizeof *c, 1);
  c->loop = sock_loop(L);
  sock_listinit(&c->getters);
  sock_listinit(&c->putters);
  c->capacity = (lua_Integer)capacity;
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* A coroutine that was closed in its wait leaves its task's waiter here. */
static const luaL_Reg meta[] = {{"__gc", c_close},
                                {"__len", c_len},
                                {"__tostring", c_tostring},
                                {NULL, NULL}};

static const luaL_Reg methods[] = {{"put", c_put},
                                   {"get", c_get},
                                   {"each", c_each},
                                   {"close", c_close},
                                   {NULL, NULL}};

const sock_Class sock_channelclass = {"channel", meta, methods};

const luaL_Reg sock_channelfunctions[] = {{"channel", l_channel}, {NULL, NULL}};

void sock_openchannel(lua_State *L) {
  sock_newclass(L, &sock_channelclass);
}
