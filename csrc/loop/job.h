/*
** job.h: jobs on worker threads, waited for like anything else.
*/
#ifndef SOCK_JOB_H
#define SOCK_JOB_H

#include "loop/loop.h"
#include "loop/workers.h"

/*
** Hands it to a worker; when it has ended, `done` is set and its waiters are
** woken. In a finalizer, or where there is no thread to be had, it runs here
** and now. Raises nothing.
*/
void sock_startjob(lua_State *L, sock_Job *job);

/* Its owner goes: whoever still waits for it is woken. */
void sock_forgetjob(sock_Job *job);

/* At the loop's end; in a child process, after the fork. */
void sock_endjobs(sock_Loop *loop);
void sock_loosejobs(sock_Loop *loop);

#endif
