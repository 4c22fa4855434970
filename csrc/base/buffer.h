/*
** buffer.h: bytes that have arrived and not been read.
**
** Its memory comes from the Lua state's allocator and is given back as soon
** as it is empty, so that an idle connection holds none. The collector does
** not know of it.
*/
#ifndef SOCK_BUFFER_H
#define SOCK_BUFFER_H

#include <lua.h>
#include <stddef.h>

typedef struct sock_Buffer {
  char *data;
  size_t start, end; /* what it holds lies between */
  size_t capacity;
} sock_Buffer;

static inline size_t sock_bufferlen(const sock_Buffer *b) {
  return b->end - b->start;
}

static inline const char *sock_bufferdata(const sock_Buffer *b) {
  return b->data + b->start;
}

/* Appends; 0 if memory ran out, and then nothing has changed. */
int sock_bufferadd(lua_State *L, sock_Buffer *b, const char *data, size_t n);

/* Room for at least *n bytes behind the end, and in *n how many there is room
** for; NULL if memory ran out, and then nothing has changed. */
char *sock_bufferroom(lua_State *L, sock_Buffer *b, size_t *n);

/* Drops the first n bytes. */
void sock_bufferdrop(lua_State *L, sock_Buffer *b, size_t n);

/* Drops all and gives the memory back. */
void sock_bufferfree(lua_State *L, sock_Buffer *b);

#endif
