/* places.c: so many may be out at once; the others wait, in order. */
#include "base/platform.h"
#include "base/error.h"
#include "net/places.h"

typedef struct Places {
  sock_Loop *loop;
  sock_Link waiters;
  lua_Integer left;
  int closed;
} Places;

typedef struct sock_Place {
  Places *places; /* held by the user value; NULL: given back, or not taken */
  int occupied;   /* a socket has it */
} Place;

static const sock_Class placesclass, placeclass;

static Places *checkplaces(lua_State *L, int arg) {
  return sock_checkobject(L, arg, &placesclass);
}

static Place *checkplace(lua_State *L, int arg) {
  return sock_checkobject(L, arg, &placeclass);
}

static void give(Place *place) {
  Places *p = place->places;
  if (p == NULL)
    return;
  place->places = NULL;
  place->occupied = 0;
  p->left++;
  sock_wakenext(p->loop, &p->waiters);
}

void sock_vacate(sock_Socket *s) {
  Place *place = s->place;
  s->place = NULL;
  if (place != NULL)
    give(place);
}

/* ---------------------------------------------------------------- take */

/* More places than there are waiters. If this call would nest a driver, one
** of those may stand on the C stack below it, unable to take its own until
** this one has come back (as in a channel's get). */
static int hasspare(lua_State *L, const Places *p) {
  lua_Integer spare = p->left;
  if (p->loop->depth == 0 || sock_cansuspend(L, p->loop))
    return 0;
  for (const sock_Link *l = p->waiters.next; spare > 0 && l != &p->waiters;
       l = l->next)
    spare--;
  return spare > 0;
}

/* index 1: the places; 2: the one to be taken; 3: whether it has waited, for
** whoever comes new stands behind those who wait */
static int take_try(lua_State *L, int why) {
  Places *p = lua_touserdata(L, 1);
  Place *place = lua_touserdata(L, 2);
  if (why != 0)
    return sock_fail(L, why, "get");
  if (p->closed)
    return sock_fail(L, EPIPE, "get");
  int turn = lua_toboolean(L, 3) || sock_listempty(&p->waiters);
  if (p->left == 0 || (!turn && !hasspare(L, p))) {
    lua_pushboolean(L, 1);
    lua_replace(L, 3);
    return SOCK_WANTWAKE;
  }
  p->left--;
  place->places = p;
  lua_settop(L, 2);
  return 1;
}

/* places:take([seconds]) -> place */
static int p_take(lua_State *L) {
  Places *p = checkplaces(L, 1);
  double seconds = sock_optseconds(L, 2);
  lua_settop(L, 1);
  sock_newobject(L, &placeclass, sizeof(Place), 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  lua_pushboolean(L, 0);
  return sock_awaitqueue(L, &p->waiters, seconds, SOCK_INSIDE, take_try);
}

/* Whoever waits is told, and whoever comes. */
static int p_close(lua_State *L) {
  Places *p = checkplaces(L, 1);
  p->closed = 1;
  sock_wakeall(p->loop, &p->waiters, 0);
  return 0;
}

static int p_len(lua_State *L) {
  lua_pushinteger(L, checkplaces(L, 1)->left);
  return 1;
}

/* -------------------------------------------------------------- a place */

static int place_gc(lua_State *L) {
  give(checkplace(L, 1));
  return 0;
}

static int place_close(lua_State *L) {
  Place *place = checkplace(L, 1);
  if (!place->occupied)
    give(place);
  return 0;
}

/* place:held(): whether it has not been given back */
static int place_held(lua_State *L) {
  lua_pushboolean(L, checkplace(L, 1)->places != NULL);
  return 1;
}

/* occupy(socket, place): from now on, the socket's end gives it back */
static int l_occupy(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  Place *place = checkplace(L, 2);
  luaL_argcheck(L, s->place == NULL, 1, "it has a place already");
  luaL_argcheck(L, place->places != NULL && !place->occupied, 2, "not free");
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, SOCK_PLACEVALUE);
  s->place = place;
  place->occupied = 1;
  return 0;
}

/* occupies(socket, places): whether it has one of those */
static int l_occupies(lua_State *L) {
  const sock_Socket *s = sock_checksocket(L, 1);
  const Places *p = checkplaces(L, 2);
  lua_pushboolean(L, s->place != NULL && s->place->places == p);
  return 1;
}

/* vacate(socket): gives its place back */
static int l_vacate(lua_State *L) {
  sock_vacate(sock_checksocket(L, 1));
  return 0;
}

/* ---------------------------------------------------------------- tables */

/* places(n) */
static int l_places(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n > 0, 1, "number must be positive");
  Places *p = sock_newobject(L, &placesclass, sizeof *p, 0);
  p->loop = sock_loop(L);
  p->left = n;
  sock_listinit(&p->waiters);
  return 1;
}

/* A coroutine that was closed in its wait leaves its task's waiter here. */
static const luaL_Reg placesmeta[] = {
    {"__gc", p_close}, {"__len", p_len}, {NULL, NULL}};

static const luaL_Reg placesmethods[] = {
    {"take", p_take}, {"close", p_close}, {NULL, NULL}};

static const luaL_Reg placemeta[] = {
    {"__gc", place_gc}, {"__close", place_close}, {NULL, NULL}};

static const luaL_Reg placemethods[] = {{"held", place_held}, {NULL, NULL}};

static const sock_Class placesclass = {"places", placesmeta, placesmethods};
static const sock_Class placeclass = {"place", placemeta, placemethods};

void sock_openplaces(lua_State *L) {
  sock_newclass(L, &placesclass);
  sock_newclass(L, &placeclass);
}

const luaL_Reg sock_placesfunctions[] = {{"places", l_places},
                                         {"occupy", l_occupy},
                                         {"occupies", l_occupies},
                                         {"vacate", l_vacate},
                                         {NULL, NULL}};
