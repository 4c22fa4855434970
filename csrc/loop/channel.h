/*
** channel.h: sock.channel: values from task to task, in order.
*/
#ifndef SOCK_CHANNEL_H
#define SOCK_CHANNEL_H

#include "base/class.h"

extern const sock_Class sock_channelclass;

void sock_openchannel(lua_State *L);
extern const luaL_Reg sock_channelfunctions[];

#endif
