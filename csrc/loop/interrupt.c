/* interrupt.c: ^C, which only the interpreter can raise. */
#include "base/platform.h"
#include "loop/interrupt.h"

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/*
** Whether ^C has been pressed: the hook has changed since the wait began, or
** it is the interpreter's own (all events, each step, and SIGINT back at its
** default), set before. At the idle prompt readline has caught it.
*/
int sock_pressed(const sock_Loop *loop, lua_Hook before) {
  struct sigaction now;
  if (loop->prompt != NULL && loop->prompt->pending() != 0)
    return 1;
  if (lua_gethook(loop->main) != before)
    return 1;
  return sock_likely(before == NULL)
             ? 0
             : lua_gethookmask(loop->main) == (LUA_MASKCALL | LUA_MASKRET |
                                               LUA_MASKLINE | LUA_MASKCOUNT) &&
                   lua_gethookcount(loop->main) == 1 &&
                   sigaction(SIGINT, NULL, &now) == 0 &&
                   now.sa_handler == SIG_DFL;
}

/*
** The interpreter answers SIGINT by setting a hook on the main state that
** raises "interrupted!" at the next call or line. The outermost driver on
** that state calls something, so that it fires; an inner one raises by
** itself and leaves the hook for the outermost.
*/
void sock_interrupt(lua_State *L, const sock_Loop *loop) {
  if (L != loop->main || loop->depth > 0)
    luaL_error(L, "interrupted!");
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
}
