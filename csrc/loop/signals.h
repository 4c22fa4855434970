/*
** signals.h: sock.signal.
**
** Signals belong to the process, so their table does too, behind a mutex:
** who has asked for which, and what stood there before. The handler writes
** one byte, the signal's number, to the pipe of every loop that asked.
*/
#ifndef SOCK_SIGNALS_H
#define SOCK_SIGNALS_H

#include "loop/loop.h"

void sock_opensignals(lua_State *L);

/* Before a wait outside tasks: SIGINT goes to whoever asked for it. Whether
** somebody has. */
int sock_holdsignals(const sock_Loop *loop);

/* At the loop's end: what it still has is given back. */
void sock_endsignals(sock_Loop *loop);

extern const luaL_Reg sock_signalfunctions[];

#endif
