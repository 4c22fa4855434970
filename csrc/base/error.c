/* error.c: the table of error names, and nil, message, code. */
#include "base/platform.h"
#include "base/error.h"

#include <netdb.h>
#include <stdarg.h>

typedef struct Row {
  int number;
  const char *name;
  const char *text; /* ours where the system's would mislead, else NULL */
} Row;

#define ROW(e) \
  { e, #e, NULL }

static const Row errors[] = {
    {ETIMEDOUT, "ETIMEDOUT", "timed out"},
    {EBADF, "EBADF", "closed"},
    {EMSGSIZE, "EMSGSIZE", "message too long"},
    ROW(E2BIG),
    ROW(EACCES),
    ROW(EADDRINUSE),
    ROW(EADDRNOTAVAIL),
    ROW(EAFNOSUPPORT),
    ROW(EAGAIN),
    ROW(EALREADY),
    ROW(EBUSY),
    ROW(ECANCELED),
    ROW(ECHILD),
    ROW(ECONNABORTED),
    ROW(ECONNREFUSED),
    ROW(ECONNRESET),
    ROW(EDESTADDRREQ),
    ROW(EDOM),
    ROW(EEXIST),
    ROW(EFAULT),
    ROW(EFBIG),
    ROW(EHOSTDOWN),
    ROW(EHOSTUNREACH),
    ROW(EINPROGRESS),
    ROW(EINTR),
    ROW(EINVAL),
    ROW(EIO),
    ROW(EISCONN),
    ROW(EISDIR),
    ROW(ELOOP),
    ROW(EMFILE),
    ROW(EMLINK),
    ROW(ENAMETOOLONG),
    ROW(ENETDOWN),
    ROW(ENETRESET),
    ROW(ENETUNREACH),
    ROW(ENFILE),
    ROW(ENOBUFS),
    ROW(ENODEV),
    ROW(ENOENT),
    ROW(ENOEXEC),
    ROW(ENOMEM),
    ROW(ENOPROTOOPT),
    ROW(ENOSPC),
    ROW(ENOSYS),
    ROW(ENOTCONN),
    ROW(ENOTDIR),
    ROW(ENOTEMPTY),
    ROW(ENOTSOCK),
    ROW(ENOTTY),
    ROW(ENXIO),
    ROW(EOPNOTSUPP),
    ROW(EOVERFLOW),
    ROW(EPERM),
    ROW(EPFNOSUPPORT),
    ROW(EPIPE),
    ROW(EPROTO),
    ROW(EPROTONOSUPPORT),
    ROW(EPROTOTYPE),
    ROW(ERANGE),
    ROW(EROFS),
    ROW(ESHUTDOWN),
    ROW(ESOCKTNOSUPPORT),
    ROW(ESPIPE),
    ROW(ESRCH),
    ROW(ESTALE),
    ROW(ETOOMANYREFS),
    ROW(ETXTBSY),
    ROW(EXDEV),
#ifdef ECOMM
    ROW(ECOMM),
#endif
#ifdef ENONET
    ROW(ENONET),
#endif
#ifdef ENOLINK
    ROW(ENOLINK),
#endif
#ifdef ENOKEY
    ROW(ENOKEY),
#endif
#ifdef EUNATCH
    ROW(EUNATCH),
#endif
    ROW(ENOTSUP),
    {0, NULL, NULL},
};

static const Row nameerrors[] = {
    ROW(EAI_AGAIN),      ROW(EAI_BADFLAGS), ROW(EAI_FAIL),     ROW(EAI_FAMILY),
    ROW(EAI_MEMORY),     ROW(EAI_NONAME),   ROW(EAI_OVERFLOW), ROW(EAI_SERVICE),
    ROW(EAI_SOCKTYPE),   ROW(EAI_SYSTEM),
#ifdef EAI_ADDRFAMILY
    ROW(EAI_ADDRFAMILY),
#endif
#ifdef EAI_NODATA
    ROW(EAI_NODATA),
#endif
    {0, NULL, NULL},
};

static const Row *find(const Row *row, int number) {
  while (row->name != NULL && row->number != number)
    row++;
  return row->name != NULL ? row : NULL;
}

const char *sock_errorcode(lua_State *L, int err) {
  const Row *row = find(errors, err);
  if (row != NULL)
    return lua_pushstring(L, row->name);
  return lua_pushfstring(L, "E%d", err);
}

void sock_pusherrortext(lua_State *L, int err) {
  const Row *row = find(errors, err);
  lua_pushstring(L,
                 row != NULL && row->text != NULL ? row->text : strerror(err));
}

int sock_fail(lua_State *L, int err, const char *what, ...) {
  va_list args;
  lua_pushnil(L);
  va_start(args, what);
  lua_pushvfstring(L, what, args);
  va_end(args);
  lua_pushliteral(L, ": ");
  sock_pusherrortext(L, err);
  lua_concat(L, 3);
  sock_errorcode(L, err);
  return 3;
}

int sock_refuse(lua_State *L, const char *message, ...) {
  va_list args;
  lua_pushnil(L);
  va_start(args, message);
  lua_pushvfstring(L, message, args);
  va_end(args);
  lua_pushliteral(L, "EINVAL");
  return 3;
}

int sock_failname(lua_State *L, int eai, const char *what, ...) {
  const Row *row = find(nameerrors, eai);
  va_list args;
  lua_pushnil(L);
  va_start(args, what);
  lua_pushvfstring(L, what, args);
  va_end(args);
  lua_pushfstring(L, ": %s", gai_strerror(eai));
  lua_concat(L, 2);
  if (row != NULL)
    lua_pushstring(L, row->name);
  else
    lua_pushfstring(L, "EAI_%d", eai);
  return 3;
}
