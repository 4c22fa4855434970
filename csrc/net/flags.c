/* flags.c: one table row per flag of send(2) and recv(2). */
#include "base/platform.h"
#include "net/address.h"
#include "net/flags.h"

static const struct {
  const char *name;
  int bit;
  int uses;
} flags[] = {
    {"oob", MSG_OOB, SOCK_SENDS | SOCK_RECVS | SOCK_RECVMSGS},
    {"dontroute", MSG_DONTROUTE, SOCK_SENDS},
#ifdef MSG_MORE
    {"more", MSG_MORE, SOCK_SENDS},
#endif
    {"peek", MSG_PEEK, SOCK_RECVS | SOCK_RECVMSGS},
    {"waitall", MSG_WAITALL, SOCK_RECVS | SOCK_RECVMSGS},
#ifdef MSG_ERRQUEUE
    {"errqueue", MSG_ERRQUEUE, SOCK_RECVMSGS},
#endif
    {NULL, 0, 0},
};

int sock_checkflag(lua_State *L, int index, int use, int arg) {
  size_t len;
  const char *name = lua_tolstring(L, index, &len);
  for (int i = 0; flags[i].name != NULL; i++)
    if (flags[i].uses & use && strlen(flags[i].name) == len &&
        memcmp(flags[i].name, name, len) == 0)
      return flags[i].bit;
  return luaL_argerror(
      L, arg, lua_pushfstring(L, "unknown flag %s", sock_quote(L, name, len)));
}
