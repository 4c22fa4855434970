/*
** class.h: userdata classes.
**
** An object has its metatable from the moment it exists, so that it is
** created first, empty, and what it owns is acquired afterwards: whatever
** fails in between, __gc finds a consistent object.
*/
#ifndef SOCK_CLASS_H
#define SOCK_CLASS_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

typedef struct sock_Class {
  const char *name;        /* __name, and what error messages call it */
  const luaL_Reg *meta;    /* metamethods */
  const luaL_Reg *methods; /* what __index holds; NULL if meta has __index */
} sock_Class;

/* Registers the class in this state; once, before its first object. */
void sock_newclass(lua_State *L, const sock_Class *class);

/* Pushes a new zeroed object with `uservalues` user values. [-0,+1,m] */
void *sock_newobject(lua_State *L, const sock_Class *class, size_t size,
                     int uservalues);

/* The object at `index`, or NULL if it is of another kind. */
void *sock_testobject(lua_State *L, int index, const sock_Class *class);

/* The same for an argument; raises a type error if it is of another kind. */
void *sock_checkobject(lua_State *L, int arg, const sock_Class *class);

/* Adds methods to a registered class: one class, several files. */
void sock_addmethods(lua_State *L, const sock_Class *class,
                     const luaL_Reg *methods);

void sock_addmeta(lua_State *L, const sock_Class *class, const char *event,
                  lua_CFunction f);

#endif
