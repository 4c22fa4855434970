/*
** group.h: tasks that belong together: those of a run, those of a scope.
*/
#ifndef SOCK_GROUP_H
#define SOCK_GROUP_H

#include "loop/frame.h"
#include "loop/task.h"

typedef struct sock_Group {
  sock_Loop *loop;
  sock_Link members;
  sock_Link waiters;
  sock_Frame *frame;      /* a scope's body; NULL for a run */
  const sock_Task *first; /* of a run: the task whose failure ends it */
  unsigned char cancelled;
  unsigned char failed; /* the failure that counts is a user value */
} sock_Group;

/* User values. */
enum {
  SOCK_GROUPPARENT = 1, /* the run in which a scope stands */
  SOCK_GROUPFRAME = 2,
  SOCK_GROUPFAILURE = 3 /* the task that failed first */
};

/* Pushes the run that a plain spawn belongs to here, or nil and NULL. */
sock_Group *sock_pushrun(lua_State *L);

void sock_joingroup(sock_Group *group, sock_Task *t);

/* A member has ended. [-0,+0,-] */
void sock_leavegroup(lua_State *L, sock_Task *t);

void sock_opengroup(lua_State *L);
extern const luaL_Reg sock_groupfunctions[];

#endif
