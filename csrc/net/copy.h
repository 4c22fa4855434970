/*
** copy.h: copiers, which sock.copy and sock.relay are made of.
*/
#ifndef SOCK_COPY_H
#define SOCK_COPY_H

#include "base/class.h"

extern const sock_Class sock_copierclass;
extern const luaL_Reg sock_copyfunctions[];

#endif
