/*
** interrupt.h: ^C during a wait.
*/
#ifndef SOCK_INTERRUPT_H
#define SOCK_INTERRUPT_H

#include "loop/loop.h"

/* Whether ^C has been pressed, by a look at the main state's hook: `before`
** is what it was when the wait began. */
int sock_pressed(const sock_Loop *loop, lua_Hook before);

/* Raises the interrupt; or returns, if the hook was somebody else's. */
void sock_interrupt(lua_State *L, const sock_Loop *loop);

#endif
