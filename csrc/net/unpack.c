/*
** unpack.c: how many bytes a string.pack format wants of a stream.
**
** The values themselves are string.unpack's business; what it cannot tell is
** how long the data is before it is all there, and that a length field of
** four gigabytes must not be believed. The format is walked as lstrlib.c
** walks it: options, sizes, alignment.
*/
#include "base/platform.h"
#include "net/read.h"

#include <lualib.h>
#include <stddef.h>

#define MAXINT 16 /* the largest size of an integer, as in string.pack */

typedef enum Kind {
  FIXED, /* a number */
  WIDE,  /* an integer of more bytes than Lua's */
  WIDEUNSIGNED,
  CHARS,   /* c: so many bytes, not aligned */
  COUNTED, /* s: a length, then as many bytes */
  ZERO,    /* z: up to a zero byte */
  PADDING, /* x */
  ALIGN,   /* X: as the next option is aligned */
  NOTHING
} Kind;

typedef struct Format {
  lua_State *L;
  const char *at; /* the rest of it */
  int little;
  size_t maxalign;
} Format;

static int isdigit10(char c) {
  return c >= '0' && c <= '9';
}

/* The number that may follow an option, else `absent`. */
static size_t number(Format *f, size_t absent) {
  size_t n = 0;
  if (!isdigit10(*f->at))
    return absent;
  while (isdigit10(*f->at) && n <= (INT32_MAX - 9) / 10)
    n = n * 10 + (size_t)(*f->at++ - '0');
  return n;
}

static size_t intsize(Format *f, size_t absent) {
  size_t n = number(f, absent);
  if (n < 1 || n > MAXINT)
    luaL_error(f->L, "integral size (%d) out of limits [1,%d]",
               (int)(n > INT32_MAX ? INT32_MAX : n), MAXINT);
  return n;
}

static const struct {
  char letter;
  size_t size;
} fixed[] = {{'b', sizeof(char)},
             {'B', sizeof(char)},
             {'h', sizeof(short)},
             {'H', sizeof(short)},
             {'l', sizeof(long)},
             {'L', sizeof(long)},
             {'j', sizeof(lua_Integer)},
             {'J', sizeof(lua_Integer)},
             {'T', sizeof(size_t)},
             {'f', sizeof(float)},
             {'n', sizeof(lua_Number)},
             {'d', sizeof(double)},
             {0, 0}};

static size_t fixedsize(char letter) {
  int i = 0;
  while (fixed[i].letter != 0 && fixed[i].letter != letter)
    i++;
  return fixed[i].size;
}

static int nativelittle(void) {
  const int one = 1;
  return *(const char *)&one;
}

static Kind integer(char letter, size_t size) {
  if (size <= sizeof(lua_Integer))
    return FIXED;
  return letter == 'i' ? WIDE : WIDEUNSIGNED;
}

/* Reads one option and its size. */
static Kind option(Format *f, size_t *size) {
  struct Aligned {
    char c;
    union {
      LUAI_MAXALIGN;
    } u;
  };
  char letter = *f->at++;
  *size = fixedsize(letter);
  if (*size > 0)
    return FIXED;
  switch (letter) {
  case 'i':
  case 'I':
    *size = intsize(f, sizeof(int));
    return integer(letter, *size);
  case 's':
    *size = intsize(f, sizeof(size_t));
    return COUNTED;
  case 'c':
    *size = number(f, SIZE_MAX);
    if (*size == SIZE_MAX)
      luaL_error(f->L, "missing size for format option 'c'");
    return CHARS;
  case 'z':
    return ZERO;
  case 'x':
    *size = 1;
    return PADDING;
  case 'X':
    return ALIGN;
  case ' ':
    break;
  case '<':
    f->little = 1;
    break;
  case '>':
    f->little = 0;
    break;
  case '=':
    f->little = nativelittle();
    break;
  case '!':
    f->maxalign = intsize(f, offsetof(struct Aligned, u));
    break;
  default:
    luaL_error(f->L, "invalid format option '%c'", letter);
  }
  return NOTHING;
}

/* How many bytes of padding stand before an option at `at`. */
static size_t padding(Format *f, Kind *kind, size_t size, size_t at) {
  size_t align = size;
  if (*kind == ALIGN) {
    if (*f->at == '\0' || option(f, &align) == CHARS || align == 0)
      luaL_argerror(f->L, 2, "invalid next option for option 'X'");
    *kind = NOTHING;
  }
  if (align <= 1 || *kind == CHARS)
    return 0;
  if (align > f->maxalign)
    align = f->maxalign;
  if ((align & (align - 1)) != 0)
    luaL_argerror(f->L, 2, "format asks for alignment not power of 2");
  return (align - (at & (align - 1))) & (align - 1);
}

/* A length field's value; SIZE_MAX for one that no memory holds. */
static size_t lengthat(const Format *f, const char *data, size_t size) {
  size_t n = 0;
  for (size_t i = 0; i < size; i++) {
    size_t place = f->little ? size - 1 - i : i;
    if (n >> (8 * (sizeof n - 1)))
      return SIZE_MAX;
    n = n << 8 | (unsigned char)data[place];
  }
  return n;
}

/* Whether an integer of `size` bytes is one of Lua's: string.unpack would raise
** for it, and it is the peer's, not the caller's. */
static int fits(const Format *f, Kind kind, const char *data, size_t size) {
  unsigned char filling = 0;
  for (size_t i = sizeof(lua_Integer) - 1; i < size; i++) {
    unsigned char byte = (unsigned char)data[f->little ? i : size - 1 - i];
    if (i == sizeof(lua_Integer) - 1)
      filling = kind == WIDE && byte > 127 ? 255 : 0;
    else if (byte != filling)
      return 0;
  }
  return 1;
}

/* A text that begins at `at`: its end, or what the shape answers. */
static ptrdiff_t zerotext(size_t at, sock_View *v) {
  size_t from = v->scanned > at ? v->scanned : at;
  const char *end =
      from < v->len ? memchr(v->data + from, 0, v->len - from) : NULL;
  size_t stop = end != NULL ? (size_t)(end - v->data) + 1 : v->len;
  if (stop > at && stop - at > v->limit)
    return SOCK_TOOLONG;
  v->wanted = 0;
  v->scanned = stop;
  return end != NULL ? (ptrdiff_t)stop : SOCK_MORE;
}

/* A field that begins at `at`: its end there, or what the shape answers. */
static ptrdiff_t field(const Format *f, Kind kind, size_t size, size_t at,
                       sock_View *v) {
  if (kind == ZERO)
    return zerotext(at, v);
  if (size > SIZE_MAX / 4 - at)
    luaL_error(f->L, "format result too large");
  at += size;
  if (kind == COUNTED && at <= v->len) {
    size_t n = lengthat(f, v->data + at - size, size);
    if (n > v->limit)
      return SOCK_TOOLONG;
    at += n;
  }
  if ((kind == WIDE || kind == WIDEUNSIGNED) && at <= v->len &&
      !fits(f, kind, v->data + at - size, size))
    return SOCK_TOOWIDE;
  v->wanted = at;
  return at <= v->len ? (ptrdiff_t)at : SOCK_MORE;
}

/*
** The walk goes on at the option that it stopped at, so that a field is
** looked at once: `step` is its place in the format with what the options
** before it have set, `mark` its place in the data.
*/
#define PLACE 64 /* above: the place; below: maxalign, and 32 for little */

static void save(const Format *f, const char *text, size_t at, sock_View *v) {
  v->mark = at;
  v->step =
      (size_t)(f->at - text) * PLACE + (f->little ? 32u : 0u) + f->maxalign;
}

static Format resume(lua_State *L, const char *text, const sock_View *v) {
  Format f = {L, text, nativelittle(), 1};
  if (v->step > 0) {
    f.at += v->step / PLACE;
    f.little = (v->step & 32) != 0;
    f.maxalign = v->step & 31;
  }
  return f;
}

/* How many bytes the format wants, if they are all there. */
static ptrdiff_t measure(lua_State *L, const char *text, sock_View *v) {
  Format f = resume(L, text, v);
  size_t at = v->mark;
  while (*f.at != '\0') {
    size_t size;
    save(&f, text, at, v);
    Kind kind = option(&f, &size);
    at += padding(&f, &kind, size, at);
    if (kind == NOTHING)
      continue;
    ptrdiff_t end = field(&f, kind, size, at, v);
    if (end < 0)
      return end;
    at = (size_t)end;
  }
  save(&f, text, at, v);
  v->wanted = at;
  return at <= v->len ? (ptrdiff_t)at : SOCK_MORE;
}

void sock_checkpackformat(lua_State *L, int arg) {
  Format f = {L, luaL_checkstring(L, arg), nativelittle(), 1};
  while (*f.at != '\0') {
    size_t size;
    Kind kind = option(&f, &size);
    (void)padding(&f, &kind, size, 0);
  }
}

/* string.unpack's values, without the position that follows them. */
static void give(lua_State *L, int index, const sock_View *v, size_t n) {
  luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
  lua_getfield(L, -1, "unpack");
  lua_remove(L, -2);
  lua_pushvalue(L, index);
  lua_pushlstring(L, v->data, n);
  lua_call(L, 2, LUA_MULTRET);
  lua_pop(L, 1);
}

ptrdiff_t sock_unpackshape(lua_State *L, int index, sock_View *v) {
  ptrdiff_t n = measure(L, lua_tostring(L, index), v);
  if (n >= 0)
    give(L, index, v, (size_t)n);
  else if (n == SOCK_MORE && v->ended)
    return v->len > 0 ? SOCK_CUT : SOCK_NOTHING;
  return n;
}
