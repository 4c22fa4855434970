/*
** task.h: the task userdata.
**
** A task is a coroutine that the loop resumes. From its start to its end the
** registry holds it, and so all that it holds.
*/
#ifndef SOCK_TASK_H
#define SOCK_TASK_H

#include "base/class.h"
#include "loop/loop.h"

enum { /* sock_Task.state */
       SOCK_STARTING,
       SOCK_ALIVE,
       SOCK_DONE,
       SOCK_FAILED,
       SOCK_CANCELLED
};

struct sock_Group;

typedef struct sock_Task {
  sock_Loop *loop;
  lua_State *co;  /* held by user value SOCK_TASKTHREAD */
  lua_State *top; /* co, or the sock.coroutine that runs inside it */
  sock_Home home;
  sock_Waiter waiter;
  sock_Link joiners;
  sock_Link failure;        /* in the loop's list of failures to be told */
  sock_Link member;         /* in its group's list */
  struct sock_Group *group; /* held by user value SOCK_TASKGROUP */
  unsigned number;          /* for people: the how manieth of its loop */
  int nargs;                /* to be started with */
  int nresults;             /* on top of co's stack, once it has ended */
  unsigned long serial;     /* of its last wait; no two waits share one */
  unsigned char state;
  unsigned char inwait;  /* suspended by a wait, not by coroutine.yield */
  unsigned char resumed; /* from its wait, by the loop's hand */
  unsigned char finished;
  unsigned char holdstop; /* user value SOCK_TASKTOP is set */
  unsigned char joined;   /* somebody was told how it ended */
} sock_Task;

/* User values. */
enum {
  SOCK_TASKTHREAD = 1,
  SOCK_TASKTRACE = 2,
  SOCK_TASKGROUP = 3,
  SOCK_TASKTOP = 4 /* the sock.coroutine that waited last: `top` */
};

extern const sock_Class sock_taskclass;

/* Pushes a new task of the function and arguments from `arg` on, started or
** queued. `group` may be NULL, else its userdata is at `groupindex`. */
sock_Task *sock_spawn(lua_State *L, int arg, struct sock_Group *group,
                      int groupindex);

/* Runs it until it waits or ends. Raises nothing. */
void sock_resume(lua_State *L, sock_Loop *loop, sock_Task *t);

/* A coroutine that a wait has suspended has this mark on top of its stack;
** whoever resumes it takes it off. */
void sock_pushmark(lua_State *L);
int sock_isinwait(lua_State *co);

/* Refuses a stranger who resumes a coroutine that is in the wait of that
** serial. The resume has ended the wait: its task waits no more, and the loop
** is to see what has become of it. */
int sock_refuseresume(lua_State *L, unsigned long serial);

/* Asks it to end: its wait raises sock.cancelled. */
void sock_cancel(sock_Task *t);

/* Tells onerror of failures that nobody has joined. Raises nothing. */
void sock_reportfailed(lua_State *L, sock_Loop *loop);

/* Pushes the message handler that keeps a failing task's traceback. */
void sock_pushonfailure(lua_State *L);

/* Pushes sock.cancelled; whether the value at `index` is it. */
void sock_pushcancelled(lua_State *L);
int sock_iscancelled(lua_State *L, int index);

/* Pushes "deadlock: …", with where each task waits. */
void sock_pushdeadlock(lua_State *L);

/* Pushes the table of all that the registry holds; lets one go. */
void sock_pushtasks(lua_State *L);
void sock_unanchor(lua_State *L, const sock_Task *t);

/*
** A fork: the child forgets the tasks of its parent. They are cancelled, as
** far as anybody asks, and never run; but the registry goes on holding them,
** so that nothing they hold is finalized here, for it is the parent's.
** sock_pushpast pushes what that takes, before the fork; sock_loosetasks
** pops it, in the child, and allocates nothing.
*/
void sock_pushpast(lua_State *L);
void sock_loosetasks(lua_State *L, sock_Loop *loop);

/* Pushes the traceback of the failed task at `index`, or nil. */
void sock_pushtrace(lua_State *L, int index);

/* Pushes the userdata of a task that has not ended, or nil. */
void sock_pushtask(lua_State *L, const sock_Task *t);

void sock_opentask(lua_State *L);    /* task.c */
void sock_openonerror(lua_State *L); /* onerror.c */
void sock_opentasklib(lua_State *L); /* tasklib.c */
extern const luaL_Reg sock_taskfunctions[], sock_onerrorfunctions[];

#endif
