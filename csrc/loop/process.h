/*
** process.h: a child process, as its parent sees it.
**
** Its end is waited for like any descriptor: a pidfd, where the system has
** such, else a pipe of which the child holds the other end. Only this child is
** ever reaped, never "any": whoever else starts processes keeps theirs.
*/
#ifndef SOCK_PROCESS_H
#define SOCK_PROCESS_H

#include <sys/types.h>

#include "base/class.h"
#include "loop/loop.h"

typedef struct sock_Process {
  sock_Watch watch; /* the pidfd, or the pipe; -1 when the end is known */
  sock_Link link;   /* in the loop's list, while there is a descriptor */
  pid_t pid;        /* 0: not started, or somebody else's child */
  int death;        /* the pipe's other end, until the start; -1: none */
  int status;       /* waitpid's */
  unsigned char pipe;
  unsigned char ended;
  unsigned char lost; /* somebody else has reaped it */
} sock_Process;

/* Pushes a process that is not there yet. [-0,+1,m] */
sock_Process *sock_newprocess(lua_State *L);

/* Before the fork: takes all descriptors that will be needed; 0 or errno. */
int sock_prepareprocess(sock_Process *p);

/* After it, in the parent; pid -1: it failed. */
void sock_startprocess(sock_Process *p, pid_t pid);

/* After it, in the child: all of them are the parent's. */
void sock_looseprocesses(sock_Loop *loop, sock_Process *self);

void sock_openprocess(lua_State *L);

#endif
