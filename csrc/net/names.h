/*
** names.h: the system's tables of services and protocols, for the other
** files of this floor.
*/
#ifndef SOCK_NAMES_H
#define SOCK_NAMES_H

#include <lua.h>
#include <stddef.h>

/* The port of a service ("tcp", "udp" or NULL for either), or -1. */
int sock_serviceport(lua_State *L, const char *name, size_t len,
                     const char *protocol);

/* The number of a protocol ("icmp"), or -1. */
int sock_protocolnumber(lua_State *L, const char *name, size_t len);

#endif
