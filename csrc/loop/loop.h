/*
** loop.h: what belongs to one Lua state: who waits, who is ready, who runs.
**
** There is one loop per Lua state, a userdata in its registry, made when the
** library is loaded and therefore finalized after every socket. loop.c turns
** events into a ready queue and resumes tasks; await.c decides who waits for
** what; task.c knows what a task is.
*/
#ifndef SOCK_LOOP_H
#define SOCK_LOOP_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

#include "base/heap.h"
#include "base/list.h"
#include "loop/poller.h"

#define SOCK_SCRATCH ((size_t)65536)
#define SOCK_BUDGET 128    /* calls in a row that did not wait */
#define SOCK_UNPOLLED 32   /* resumes at most between two polls */
#define SOCK_MAXDRIVERS 40 /* nested waits outside tasks */
#define SOCK_MAXSPAWN 16   /* nested starts of tasks */

struct sock_Task;
typedef struct sock_Loop sock_Loop;

/*
** A try makes one attempt with what stands on the Lua stack and answers with
** the number of its results, or with what it wants to wait for. `why` is 0,
** or what ended the wait (ETIMEDOUT; EBADF: closed meanwhile): then it
** reports that and does not try again.
*/
typedef int (*sock_Try)(lua_State *L, int why);

/* What a try answers instead of a number of results. */
enum {
  SOCK_WANTREAD = -1,  /* again when the descriptor is readable */
  SOCK_WANTWRITE = -2, /* again when it is writable */
  SOCK_WANTPAUSE = -3, /* again in a moment: the kernel cannot tell when */
  SOCK_WANTWAKE = -4,  /* again when somebody wakes the queue */
  SOCK_WANTTURN = -5,  /* again when all that is ready has run */
  SOCK_WANTPLACE = -6  /* again when it is the first of its queue */
};

/*
** One wait. It lives in its task, or on the C stack of a driver; so waiting
** allocates nothing.
*/
typedef struct sock_Waiter {
  sock_Link link;         /* in the queue of what it waits for */
  sock_Link ready;        /* in the loop's ready queue, a task's only */
  sock_HeapNode timer;    /* its limit, among the loop's timers */
  struct sock_Task *task; /* NULL: a driver's */
  sock_Try try;
  sock_Watch *watch;    /* NULL where no descriptor is waited for */
  sock_Link *queue;     /* NULL where there are no turns */
  struct sock_Set *set; /* of wait and select, else NULL */
  double deadline;      /* the call's own limit; HUGE_VAL for none */
  double pause;         /* of SOCK_WANTPAUSE: the next one */
  int want;             /* what the try asked for */
  int why;              /* what ended the wait: 0, ETIMEDOUT, EBADF … */
  int limit;            /* what the timer's end means: one of those */
  unsigned char waiting;
  unsigned char shielded; /* a cancel must not end it */
  unsigned char outside;  /* something outside the program can end it … */
  unsigned char hope;     /* … and is counted */
} sock_Waiter;

/*
** Whose wait it is: a task's, or that of all that runs outside tasks.
** Deadlines and scopes are frames in its list, the innermost first.
*/
typedef struct sock_Home {
  sock_Link frames;
  sock_Waiter *waiter; /* the wait it is in, or NULL */
  unsigned char cancelled;
} sock_Home;

/* The interpreter's readline, while the loop runs inside it; prompt.c's. */
typedef struct sock_Prompt {
  int (*pending)(void); /* the signal that it has caught, or 0 */
  /* Whether the descriptor is its terminal, which no task may read. */
  int (*owns)(const struct sock_Prompt *p, int fd);
  /* A text is about to go there: the line that is typed gives way. `whole`:
  ** the text ends its last line. */
  void (*giveway)(struct sock_Prompt *p, int fd, int whole);
  /* In a child process, which has no prompt: its signals as they were. */
  void (*leave)(struct sock_Prompt *p);
} sock_Prompt;

struct sock_Loop {
  lua_State *main;     /* where the interpreter hangs its ^C hook */
  const char *library; /* the folder of our own Lua files */
  size_t librarylen;
  struct sock_Socket *sockets; /* all that are open; net/socket.c's */
  /* Whose bytes the scratch holds, and where, until they are read or
  ** somebody else needs it; net/input.c's. */
  struct sock_Socket *owner;
  size_t heldstart, heldend;

  sock_Poller poller;   /* opened by the first wait that needs it */
  sock_Watch **watches; /* by descriptor; registered ones */
  int watchlimit;
  uint32_t generation;

  struct sock_Pool *pool; /* worker threads, once there is a job */
  sock_Watch poolwatch;
  sock_Link signals; /* objects of sock.signal */
  sock_Watch signalwatch;
  int signalpipe; /* where the handler writes; 0: not open yet */

  sock_Link processes; /* children of fork; process.c's */
  int deathpipe;       /* open until this child process ends; 0: none */

  /* What traced sockets have done and nobody has been told; net/tap.c's. */
  struct sock_Event *events, *lastevent;
  size_t eventbytes; /* what they take */
  void (*tell)(lua_State *L, sock_Loop *loop);
  int taps;            /* how many are traced */
  int telling;         /* a listener runs … */
  int telldepth;       /* … begun at this depth of drivers */
  lua_Integer lasttap; /* the last one's number */

  sock_Link dirty; /* watches whose owners hold output */
  int flushing;    /* watches whose output goes when the kernel takes more */

  sock_Link ready; /* waiters of tasks that can go on */
  int nready;
  int unpolled; /* resumes since the last poll that flushed, too */
  int spent;    /* somebody has used up a budget since the last poll */
  sock_Heap timers;

  struct sock_Task *current; /* the task that was resumed last, or NULL */
  sock_Home *home;           /* of what runs outside tasks: … */
  sock_Home outside;         /* … this, but in an onerror handler its own */
  int depth;                 /* drivers inside each other */
  lua_Hook hook;       /* the main state's, when the innermost driver began */
  sock_Prompt *prompt; /* NULL but at the live prompt, while it is idle */
  int starts;          /* spawns inside each other */
  int toodeep; /* a task could not be resumed: Lua's C stack is at its end */
  unsigned long serial; /* of the last task's wait */
  int budget;
  int tasks;             /* alive */
  unsigned spawned;      /* tasks there ever were */
  sock_Link idle;        /* who waits for their end */
  int hopes;             /* waits that something outside can end */
  sock_Link failed;      /* tasks whose failure nobody has been told */
  int stopped;           /* lua_close has come by */
  unsigned long shuffle; /* a seed: the ready queue in random order */

  char scratch[SOCK_SCRATCH]; /* every stream's receive buffer */
};

/* Makes this state's loop. [-0,+0,m] */
void sock_openloop(lua_State *L);

/* This state's loop. [-0,+0,-] */
sock_Loop *sock_loop(lua_State *L);

/* ------------------------------------------------------------- waiters */

void sock_initwaiter(sock_Waiter *w, struct sock_Task *task);

/* Ends a wait: its task gets ready, or its driver sees it. Harmless on one
** that does not wait. No Lua, no allocation. */
void sock_wake(sock_Loop *loop, sock_Waiter *w, int why);

/* Takes a waiter out of everything; the next in its queue has its turn. */
void sock_leave(sock_Loop *loop, sock_Waiter *w);

/* Wakes the first in a queue; the first that has not been woken; all. */
void sock_wakefirst(sock_Loop *loop, sock_Link *queue);
void sock_wakenext(sock_Loop *loop, sock_Link *queue);
void sock_wakeall(sock_Loop *loop, sock_Link *queue, int why);

/* Puts a task at the end of the ready queue. */
void sock_makeready(sock_Loop *loop, sock_Waiter *w);

/* Whether a task has had its share of calls that did not wait: then it is to
** let others run (SOCK_WANTTURN), which gives it another. */
static inline int sock_isspent(sock_Loop *loop) {
  return --loop->budget <= 0;
}

/*
** The end of a call, whose results stand on the stack: who traces sockets is
** told what they did meanwhile. Runs Lua; raises nothing. Answers `results`.
*/
static inline int sock_told(lua_State *L, sock_Loop *loop, int results) {
  if (sock_unlikely(loop->events != NULL))
    loop->tell(L, loop);
  return results;
}

/* ------------------------------------------------------------- watches */

void sock_initwatch(sock_Watch *w, sock_Loop *loop);

/* Opens the poller, once; 0 or errno. */
int sock_openpoller(sock_Loop *loop);

/* Registers it with the poller, once; 0 or errno. */
int sock_register(sock_Watch *w);

/* Sends what full-buffered sockets hold, as far as it goes without waiting;
** before every wait. */
void sock_flushdirty(sock_Loop *loop);

/* Wakes who waits for this, in either queue, and its observers. */
void sock_wakewaiters(sock_Watch *w, unsigned what);

/* Before its descriptor is closed or given away: ends its registration and
** every wait for it, as closed. */
void sock_unregister(sock_Watch *w, int forget);

/* --------------------------------------------------------------- turns */

enum { SOCK_TURNED, SOCK_IDLE, SOCK_DEADLOCK };

/*
** One turn: runs what is ready, then looks for events, waiting for them up
** to `seconds`, but not once `until` (may be NULL) has been woken.
*/
int sock_turn(lua_State *L, sock_Loop *loop, const sock_Waiter *until,
              double seconds);

/* Seconds until the loop has something to do: 0 now, HUGE_VAL unknown. */
double sock_untilnext(const sock_Loop *loop);

/* In a child process, when all watches are unregistered: nobody waits, nothing
** is ready, and the poller is to be opened anew. [-2,+0,-] sock_pushpast's. */
void sock_looseloop(lua_State *L, sock_Loop *loop);

/* Monotonic seconds. */
double sock_now(void);

#endif
