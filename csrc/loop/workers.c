/* workers.c: threads that are made when a job finds none idle. */
#include "base/platform.h"
#include "loop/workers.h"

#include <pthread.h>
#include <stdlib.h>

#define MAXTHREADS 32
#define HOLD 100000000 /* nanoseconds that a fork waits for the threads */
#define STACKSIZE ((size_t)512 * 1024) /* the resolver takes some of it */

enum { IDLE, QUEUED, RUNNING, ENDED, ABANDONED };

struct sock_Pool {
  pthread_mutex_t lock;
  pthread_cond_t work, quiet;
  sock_Job *first, **last; /* queued */
  sock_Job *ended;
  int wake[2]; /* a pipe: a byte when something has ended */
  int users;   /* threads, and the owner */
  int idle;
  int closed;
  int held; /* no job is begun */
};

sock_Pool *sock_openpool(void) {
  sock_Pool *p = calloc(1, sizeof *p);
  if (p == NULL)
    return NULL;
  if (platform_pipe(p->wake) < 0) {
    int err = errno;
    free(p);
    errno = err;
    return NULL;
  }
  (void)pthread_mutex_init(&p->lock, NULL);
  (void)pthread_cond_init(&p->work, NULL);
  (void)pthread_cond_init(&p->quiet, NULL);
  p->last = &p->first;
  p->users = 1;
  return p;
}

int sock_poolfd(const sock_Pool *p) {
  return p->wake[0];
}

/* Called locked; unlocks. */
static void leave(sock_Pool *p) {
  int last = --p->users == 0;
  (void)pthread_mutex_unlock(&p->lock);
  if (!last)
    return;
  (void)close(p->wake[0]);
  (void)close(p->wake[1]);
  (void)pthread_cond_destroy(&p->work);
  (void)pthread_cond_destroy(&p->quiet);
  (void)pthread_mutex_destroy(&p->lock);
  free(p);
}

/* Called locked: runs one job, unlocked meanwhile. */
static void runone(sock_Pool *p) {
  sock_Job *job = p->first;
  p->first = job->next;
  if (p->first == NULL)
    p->last = &p->first;
  job->state = RUNNING;
  (void)pthread_mutex_unlock(&p->lock);
  job->run(job);
  (void)pthread_mutex_lock(&p->lock);
  if (job->state == ABANDONED) {
    job->drop(job);
    return;
  }
  job->state = ENDED;
  job->next = p->ended;
  p->ended = job;
  ssize_t ignored = write(p->wake[1], "", 1); /* a full pipe wakes as well */
  (void)ignored;
}

static void *work(void *pool) {
  sock_Pool *p = pool;
  (void)pthread_mutex_lock(&p->lock);
  for (;;) {
    while ((p->first == NULL || p->held) && !p->closed) {
      p->idle++;
      if (p->held)
        (void)pthread_cond_signal(&p->quiet);
      (void)pthread_cond_wait(&p->work, &p->lock);
      p->idle--;
    }
    if (p->closed)
      break;
    runone(p);
  }
  leave(p);
  return NULL;
}

/* Called locked. All signals are for the program's own threads. */
static int startthread(sock_Pool *p) {
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all, old;
  sigfillset(&all);
  (void)pthread_attr_init(&attr);
  (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  (void)pthread_attr_setstacksize(&attr, STACKSIZE);
  (void)pthread_sigmask(SIG_SETMASK, &all, &old);
  int err = pthread_create(&thread, &attr, work, p);
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  (void)pthread_attr_destroy(&attr);
  if (err == 0)
    p->users++;
  return err;
}

static int queuelength(const sock_Pool *p) {
  int n = 0;
  for (const sock_Job *job = p->first; job != NULL; job = job->next)
    n++;
  return n;
}

int sock_submit(sock_Pool *p, sock_Job *job) {
  int err = 0;
  (void)pthread_mutex_lock(&p->lock);
  if (p->idle <= queuelength(p) && p->users <= MAXTHREADS)
    err = startthread(p);
  if (err == 0 || p->users > 1) {
    err = 0;
    job->pool = p;
    job->state = QUEUED;
    job->next = NULL;
    *p->last = job;
    p->last = &job->next;
    (void)pthread_cond_signal(&p->work);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return err;
}

sock_Job *sock_collectjobs(sock_Pool *p) {
  char bytes[64];
  while (read(p->wake[0], bytes, sizeof bytes) > 0)
    continue;
  (void)pthread_mutex_lock(&p->lock);
  sock_Job *jobs = p->ended;
  p->ended = NULL;
  for (sock_Job *job = jobs; job != NULL; job = job->next)
    job->state = IDLE;
  (void)pthread_mutex_unlock(&p->lock);
  return jobs;
}

/* Called locked: takes it out of a list. */
static void unlinkjob(sock_Pool *p, sock_Job **list, const sock_Job *job) {
  while (*list != job)
    list = &(*list)->next;
  *list = job->next;
  p->last = &p->first;
  while (*p->last != NULL)
    p->last = &(*p->last)->next;
}

void sock_dropjob(sock_Job *job) {
  sock_Pool *p = job->pool;
  int running = 0;
  if (p != NULL && job->state != IDLE) {
    (void)pthread_mutex_lock(&p->lock);
    running = job->state == RUNNING;
    if (running)
      job->state = ABANDONED;
    else
      unlinkjob(p, job->state == QUEUED ? &p->first : &p->ended, job);
    (void)pthread_mutex_unlock(&p->lock);
  }
  if (!running)
    job->drop(job);
}

void sock_closepool(sock_Pool *p) {
  (void)pthread_mutex_lock(&p->lock);
  p->closed = 1;
  (void)pthread_cond_broadcast(&p->work);
  leave(p);
}

/* ---------------------------------------------------------------- fork */

void sock_holdpool(sock_Pool *p) {
  struct timespec until;
  int err = 0;
  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += HOLD;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  (void)pthread_mutex_lock(&p->lock);
  p->held = 1;
  while (p->idle < p->users - 1 && err == 0)
    err = pthread_cond_timedwait(&p->quiet, &p->lock, &until);
}

void sock_letgopool(sock_Pool *p) {
  p->held = 0;
  (void)pthread_cond_broadcast(&p->work);
  (void)pthread_mutex_unlock(&p->lock);
}

/* Its conditions are not touched: whoever waits for them is not here. */
void sock_abandonpool(sock_Pool *p) {
  (void)pthread_mutex_unlock(&p->lock);
  (void)close(p->wake[0]);
  (void)close(p->wake[1]);
  p->wake[0] = p->wake[1] = -1;
}
