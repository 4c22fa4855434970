/* job.c: the pool's pipe is one of the loop's watches. */
#include "base/platform.h"
#include "loop/job.h"

static void collect(sock_Watch *w) {
  sock_Loop *loop = w->loop;
  for (sock_Job *job = sock_collectjobs(loop->pool), *next; job != NULL;
       job = next) {
    next = job->next;
    job->done = 1;
    sock_wakeall(loop, &job->waiters, 0);
  }
}

static int openpool(sock_Loop *loop) {
  if (loop->pool != NULL)
    return 0;
  sock_Pool *pool = sock_openpool();
  if (pool == NULL)
    return errno;
  platform_pin(sock_startjob); /* its threads may outlive the Lua state */
  sock_initwatch(&loop->poolwatch, loop);
  loop->poolwatch.fd = sock_poolfd(pool);
  loop->poolwatch.notify = collect;
  int err = sock_register(&loop->poolwatch);
  if (err != 0)
    sock_closepool(pool);
  else
    loop->pool = pool;
  return err;
}

void sock_startjob(lua_State *L, sock_Job *job) {
  sock_Loop *loop = sock_loop(L);
  int alone = loop->stopped || lua_gc(L, LUA_GCISRUNNING) == -1;
  sock_listinit(&job->waiters);
  job->loop = loop;
  job->done = 0;
  if (!alone && openpool(loop) == 0 && sock_submit(loop->pool, job) == 0)
    return;
  job->run(job);
  job->done = 1;
}

void sock_forgetjob(sock_Job *job) {
  if (job->loop != NULL)
    sock_wakeall(job->loop, &job->waiters, EBADF);
  sock_dropjob(job);
}

void sock_endjobs(sock_Loop *loop) {
  if (loop->pool == NULL)
    return;
  sock_unregister(&loop->poolwatch, 1);
  sock_closepool(loop->pool);
  loop->pool = NULL;
}

void sock_loosejobs(sock_Loop *loop) {
  if (loop->pool == NULL)
    return;
  sock_unregister(&loop->poolwatch, 1);
  sock_abandonpool(loop->pool);
  loop->pool = NULL;
}
