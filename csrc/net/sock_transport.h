/*
** sock_transport.h: how another C module becomes what a stream's bytes go
** through, as TLS does. It stands alone: copy it, or find it where `make
** install` has put it.
**
** A transport is a row of functions and one object of yours, `self`, a full
** userdata. What it sits on (`lower`: the bare descriptor, or another
** transport) is a transport too. Every function answers with what it has
** done, or with what it waits for; none blocks, raises or runs Lua. All that
** reads, writes, waits and times out above it stays as it is.
*/
#ifndef SOCK_TRANSPORT_STRUCT_H
#define SOCK_TRANSPORT_STRUCT_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

#define SOCK_TRANSPORT_VERSION 1
#define SOCK_TRANSPORT_KEY "sock.transport" /* in the registry */

enum {
  SOCK_TRANSPORT_DONE = 1, /* of shutdown; and any number of bytes */
  SOCK_TRANSPORT_END = 0,  /* of receive: no byte comes any more */
  /* Call again when the descriptor is readable, or writable. To be answered
  ** only after `lower` has answered it: then the descriptor is known not to
  ** be ready, and the next edge is waited for. */
  SOCK_TRANSPORT_WANTSREAD = -1,
  SOCK_TRANSPORT_WANTSWRITE = -2,
  SOCK_TRANSPORT_FAILED = -3 /* and errno says why */
};

typedef struct sock_Transport {
  int version; /* SOCK_TRANSPORT_VERSION */

  /* Up to n bytes, n > 0, into data: how many. */
  ptrdiff_t (*receive)(void *self, char *data, size_t n);

  /* Some of the n bytes, n > 0: how many. After WANTSREAD or WANTSWRITE the
  ** next call offers the same bytes again, perhaps elsewhere and with more
  ** behind them; if their writer was cancelled, none comes any more. */
  ptrdiff_t (*send)(void *self, const char *data, size_t n);

  /* Says the end of what was sent, as shutdown(2) with SHUT_WR, and then
  ** calls lower's. A close asks for it once, and does not wait. */
  int (*shutdown)(void *self);

  /* How many bytes receive would give without a system call. */
  size_t (*pending)(void *self);

  /* The socket is closed: frees what self holds, but not self. Called once,
  ** maybe in a finalizer; so self has no __gc of its own. */
  void (*release)(void *self);

  /* May be NULL, or answer NULL: words for errno, of a call that FAILED. */
  const char *(*reason)(void *self, int err);
} sock_Transport;

/* What a transport sits on. */
typedef struct sock_Lower {
  const sock_Transport *transport;
  void *self;
} sock_Lower;

typedef struct sock_TransportAPI {
  int version;

  /* Puts the transport over what the stream socket at `index` has. `self` is
  ** on top of the stack; it is popped and kept until the socket is closed.
  ** Gives 0; or pushes nil, message, code and gives 3, and then nothing has
  ** changed: "EBUSY" while bytes are buffered in the socket, which came or
  ** were written before, or a torn write stands there. Raises if the value
  ** at `index` is no open stream socket. [-1,+(0|3),v] */
  int (*install)(lua_State *L, int index, const sock_Transport *transport,
                 sock_Lower *lower);
} sock_TransportAPI;

/* After require "sock"; raises if there is none, or of another version. */
static inline const sock_TransportAPI *sock_transportapi(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, SOCK_TRANSPORT_KEY);
  const sock_TransportAPI *api =
      (const sock_TransportAPI *)lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (api == NULL || api->version != SOCK_TRANSPORT_VERSION)
    luaL_error(L, api == NULL ? "sock is not loaded"
                              : "sock has another version of transports");
  return api;
}

#endif
