/*
** signals.h: sock.signal.
**
** Signals belong to the process, so their table does too, behind a mutex:
** who has asked for which, and what stood there before. The handler writes
** one byte, the signal's number, to the pipe of every loop that asked.
*/
#ifndef SOCK_SIGNALS_H
#define SOCK_SIGNALS_H

#include <signal.h>

#include "loop/loop.h"

void sock_opensignals(lua_State *L);

/* Before a wait outside tasks: SIGINT goes to whoever asked for it. Whether
** somebody has. */
int sock_holdsignals(const sock_Loop *loop);

/* How often a handler of ours came or went. Where another has put back what
** it once found: each signal goes to whoever asks for it now, if anybody. */
unsigned long sock_signalchanges(void);
void sock_settlesignals(void);

/* At the loop's end: what it still has is given back. */
void sock_endsignals(sock_Loop *loop);

/*
** Around a fork the process's table is held, and no signal comes. In the
** child it is emptied before it is let go: what stood there before the first
** asked stands there again, and the objects are closed.
*/
void sock_locksignals(sigset_t *old);
void sock_unlocksignals(const sigset_t *old);
void sock_loosesignals(sock_Loop *loop);

/* The number of the signal that an argument names. */
int sock_checksignal(lua_State *L, int arg);

extern const luaL_Reg sock_signalfunctions[];

#endif
