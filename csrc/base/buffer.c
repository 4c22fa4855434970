/* buffer.c: a growing array with a moving start. */
#include "base/platform.h"
#include "base/buffer.h"

#define SMALLEST ((size_t)256)

void sock_bufferfree(lua_State *L, sock_Buffer *b) {
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  if (b->data != NULL)
    alloc(ud, b->data, b->capacity, 0);
  memset(b, 0, sizeof *b);
}

void sock_bufferdrop(lua_State *L, sock_Buffer *b, size_t n) {
  b->start += n;
  if (b->start == b->end)
    sock_bufferfree(L, b);
}

/* Room for n more bytes behind the end: by moving, else by doubling. */
static int reserve(lua_State *L, sock_Buffer *b, size_t n) {
  size_t len = sock_bufferlen(b);
  if (n <= b->capacity - b->end)
    return 1;
  if (n > SIZE_MAX / 4 - len)
    return 0;
  if (b->start > len && n <= b->capacity - len) {
    memmove(b->data, b->data + b->start, len);
  } else {
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    size_t capacity = len + n < SMALLEST ? SMALLEST : (len + n) * 2;
    char *data = alloc(ud, NULL, 0, capacity);
    if (data == NULL)
      return 0;
    if (len > 0)
      memcpy(data, b->data + b->start, len);
    if (b->data != NULL)
      alloc(ud, b->data, b->capacity, 0);
    b->data = data;
    b->capacity = capacity;
  }
  b->start = 0;
  b->end = len;
  return 1;
}

char *sock_bufferroom(lua_State *L, sock_Buffer *b, size_t *n) {
  if (!reserve(L, b, *n))
    return NULL;
  *n = b->capacity - b->end;
  return b->data + b->end;
}

int sock_bufferadd(lua_State *L, sock_Buffer *b, const char *data, size_t n) {
  if (!reserve(L, b, n))
    return 0;
  memcpy(b->data + b->end, data, n);
  b->end += n;
  return 1;
}
