/*
** error.h: the only way out for the world's failures.
**
** What the system or the network refused leaves a function as three values:
** nil, "what was tried: why", "ECODE". What the caller did wrong is raised
** with luaL_error or luaL_argerror and never comes here.
*/
#ifndef SOCK_ERROR_H
#define SOCK_ERROR_H

#include <lauxlib.h>
#include <lua.h>

/*
** Pushes nil, message and code and returns 3. `what` is a format of
** lua_pushvfstring that says what was tried on what: "connect %s".
*/
int sock_fail(lua_State *L, int err, const char *what, ...);

/* The same for what is no address, no name …: "EINVAL", and the message is
** ours to the end. */
int sock_refuse(lua_State *L, const char *message, ...);

/* The same for an error of getaddrinfo or getnameinfo (EAI_...). */
int sock_failname(lua_State *L, int eai, const char *what, ...);

/* "ECONNREFUSED" for its number; "E<number>" for one without a name. */
const char *sock_errorcode(lua_State *L, int err);

/* The system's words for an error number, pushed. */
void sock_pusherrortext(lua_State *L, int err);

#endif
