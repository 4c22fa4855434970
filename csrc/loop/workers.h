/*
** workers.h: a small thread pool for what the kernel cannot do without
** blocking. No Lua.
**
** A worker gets plain memory and gives plain memory, and blocks all signals.
** The pool and its jobs are malloc'ed; the pool goes with the last of its
** threads and its owner, so that neither exit nor lua_close waits for a job
** that is under way.
*/
#ifndef SOCK_WORKERS_H
#define SOCK_WORKERS_H

#include "base/list.h"

typedef struct sock_Pool sock_Pool;

/* What a job has in common with every other; the first member of it. */
typedef struct sock_Job {
  struct sock_Job *next;              /* the pool's */
  sock_Pool *pool;                    /* NULL: not submitted */
  int state;                          /* the pool's */
  int done;                           /* the owner's: its answer may be read */
  struct sock_Loop *loop;             /* the owner's; NULL: not started */
  sock_Link waiters;                  /* the owner's: who waits for it */
  void (*run)(struct sock_Job *job);  /* on a worker's thread */
  void (*drop)(struct sock_Job *job); /* frees it; on any thread */
} sock_Job;

/* NULL and errno if there is no memory or no descriptor. */
sock_Pool *sock_openpool(void);

/* Jobs that run on are thrown away when they end. */
void sock_closepool(sock_Pool *pool);

/* Readable when a job has ended. */
int sock_poolfd(const sock_Pool *pool);

/* 0, or the errno for which not even one thread could be had. */
int sock_submit(sock_Pool *pool, sock_Job *job);

/* Takes the jobs that have ended, linked by `next`. */
sock_Job *sock_collectjobs(sock_Pool *pool);

/*
** Around a fork the pool is held: so that the child finds it in order, and
** so that no thread is in the C library's resolver or allocator, whose locks
** the child would find taken for ever. What takes too long is not waited for:
** it waits for the network, without a lock. In the child there are no
** threads: the pool is abandoned, memory and all, but for its descriptors;
** jobs that it had can still be dropped.
*/
void sock_holdpool(sock_Pool *pool);
void sock_letgopool(sock_Pool *pool);
void sock_abandonpool(sock_Pool *pool);

/* Whatever its state: frees it, as soon as nobody runs it. */
void sock_dropjob(sock_Job *job);

#endif
