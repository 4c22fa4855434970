/*
** cipher.c: a transport for the specs, for which a stream must work as it does
** over the bare descriptor.
**
** Every byte is changed by its position. Bytes go in records of at most seven;
** after each sixteen the sender must have heard that they were received, so
** that sending waits for reading, and receiving for writing. What is received
** is given in pieces of at most three. A liar asks to wait for writing without a
** reason every other time.
*/
#include "sock_transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD 7
#define PIECE 3
#define WINDOW 16

typedef struct Cipher {
  sock_Lower lower;
  unsigned char out[64]; /* on its way: a record, and what was heard */
  size_t outlen;
  size_t taken;          /* bytes of the record there that were not answered */
  unsigned char first;   /* … and the first of them */
  int unheard;           /* records sent since the other side was heard */
  int heard;             /* records received since we said so */
  char *in;              /* decoded */
  size_t inlen, inroom;
  size_t missing;        /* of the record that comes */
  unsigned char sendkey, receivekey;
  int ended, liar, calls;
} Cipher;

static int released;

/* 1, or what the lower one answers. */
static int flush(Cipher *c) {
  while (c->outlen > 0) {
    ptrdiff_t sent =
        c->lower.transport->send(c->lower.self, (char *)c->out, c->outlen);
    if (sent <= 0)
      return (int)sent;
    c->outlen -= (size_t)sent;
    memmove(c->out, c->out + sent, c->outlen);
  }
  return 1;
}

static int keep(Cipher *c, unsigned char byte) {
  if (c->inlen == c->inroom) {
    size_t room = c->inroom * 2 + 64;
    char *in = realloc(c->in, room);
    if (in == NULL) {
      errno = ENOMEM;
      return 0;
    }
    c->in = in;
    c->inroom = room;
  }
  c->in[c->inlen++] = (char)(byte ^ c->receivekey++);
  return 1;
}

static int decode(Cipher *c, const unsigned char *raw, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (c->missing > 0) {
      if (!keep(c, raw[i]))
        return SOCK_TRANSPORT_FAILED;
      c->missing--;
      c->heard += c->missing == 0;
    } else if (raw[i] == 0) {
      c->unheard = 0;
    } else if (raw[i] <= RECORD) {
      c->missing = raw[i];
    } else {
      errno = EPROTO;
      return SOCK_TRANSPORT_FAILED;
    }
  }
  return 1;
}

/* Receives once more: 1, or what the lower one answers. */
static int pump(Cipher *c) {
  unsigned char raw[50];
  if (c->ended)
    return SOCK_TRANSPORT_END;
  ptrdiff_t got =
      c->lower.transport->receive(c->lower.self, (char *)raw, sizeof raw);
  if (got > 0)
    return decode(c, raw, (size_t)got);
  c->ended = got == 0;
  return (int)got;
}

/* Says that a window's records have come, when nothing else is on its way. */
static int say(Cipher *c) {
  int went = flush(c);
  if (went <= 0 || c->heard < WINDOW)
    return went;
  c->heard -= WINDOW;
  c->out[c->outlen++] = 0;
  return flush(c);
}

static int lies(Cipher *c) { return c->liar && ++c->calls % 2 == 1; }

static ptrdiff_t c_receive(void *self, char *data, size_t n) {
  Cipher *c = self;
  int went = lies(c) ? SOCK_TRANSPORT_WANTSWRITE : say(c);
  while (went > 0 && c->inlen == 0) {
    went = pump(c);
    if (went > 0)
      went = say(c);
  }
  if (went < 0 || c->inlen == 0)
    return went;
  n = n < PIECE ? n : PIECE;
  n = n < c->inlen ? n : c->inlen;
  memcpy(data, c->in, n);
  c->inlen -= n;
  memmove(c->in, c->in + n, c->inlen);
  return (ptrdiff_t)n;
}

static ptrdiff_t c_send(void *self, const char *data, size_t n) {
  Cipher *c = self;
  int went = lies(c) ? SOCK_TRANSPORT_WANTSWRITE : say(c);
  while (went > 0 && c->taken == 0 && c->unheard == WINDOW) {
    went = pump(c);
    if (went > 0)
      went = say(c);
  }
  if (went <= 0)
    return went;
  if (c->taken == 0) {
    c->taken = n < RECORD ? n : RECORD;
    c->first = (unsigned char)data[0];
    c->unheard++;
    c->out[c->outlen++] = (unsigned char)c->taken;
    for (size_t i = 0; i < c->taken; i++)
      c->out[c->outlen++] = (unsigned char)data[i] ^ c->sendkey++;
    went = flush(c);
    if (went <= 0)
      return went;
  }
  if (n < c->taken || c->first != (unsigned char)data[0]) {
    errno = EILSEQ; /* not what was offered before */
    return SOCK_TRANSPORT_FAILED;
  }
  n = c->taken;
  c->taken = 0;
  return (ptrdiff_t)n;
}

static int c_shutdown(void *self) {
  Cipher *c = self;
  int went = flush(c);
  return went <= 0 ? went : c->lower.transport->shutdown(c->lower.self);
}

static size_t c_pending(void *self) { return ((Cipher *)self)->inlen; }

static void c_release(void *self) {
  Cipher *c = self;
  free(c->in);
  c->in = NULL;
  released++;
  c->lower.transport->release(c->lower.self);
}

static const char *c_reason(void *self, int err) {
  (void)self;
  return err == EPROTO ? "this is no cipher" : NULL;
}

static const sock_Transport transport = {
    SOCK_TRANSPORT_VERSION, c_receive, c_send,  c_shutdown,
    c_pending,              c_release, c_reason};

/* install(socket, liar): the socket; nil, message, code */
static int l_install(lua_State *L) {
  int liar = lua_toboolean(L, 2);
  lua_settop(L, 1);
  Cipher *c = lua_newuserdatauv(L, sizeof *c, 0);
  memset(c, 0, sizeof *c);
  c->liar = liar;
  int failed = sock_transportapi(L)->install(L, 1, &transport, &c->lower);
  return failed > 0 ? failed : 1;
}

static int l_released(lua_State *L) {
  lua_pushinteger(L, released);
  return 1;
}

int luaopen_cipher(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"install", l_install}, {"released", l_released}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
