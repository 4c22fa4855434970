/*
** prompt.h: the stock interpreter's prompt stays live.
**
** While the prompt waits for a key, it is in readline, which asks the
** function at rl_getc_function for it. Ours runs the loop until there is one.
** readline is found in the process, never linked. prompt.c is that function;
** aside.c keeps what tasks print apart from the line that is being typed.
*/
#ifndef SOCK_PROMPT_H
#define SOCK_PROMPT_H

#include "loop/loop.h"

#include <pthread.h>
#include <stdio.h>

/* What is used of readline. */
typedef struct sock_Readline {
  int (**getcfunction)(FILE *);
  FILE **instream, **outstream;
  void (*checksignals)(void);
  void (*setsignals)(void);
  void (*clearsignals)(void);
  int (*pendingsignal)(void);
  int (*clearline)(void);
  int (*crlf)(void);
  int (*redraw)(void);
  char *(*capability)(const char *);
  void (*deprep)(void);
} sock_Readline;

typedef struct sock_Live {
  sock_Prompt face; /* first, so that both are one pointer */
  sock_Readline rl;
  sock_Loop *loop;
  sock_Watch watch;   /* of a duplicate of the terminal's descriptor */
  sock_Waiter waiter; /* for the next key */
  pthread_t thread;
  dev_t terminal;
  struct sigaction sigint; /* readline's */
  unsigned long changes;   /* sock_signalchanges, as readline knows them */
  unsigned char held;      /* but an object of sock.signal has it */
  unsigned char cleared;   /* the line has given way to a text … */
  unsigned char whole;     /* … that ended its last line */
} sock_Live;

/* User value of its userdata: functions and what stands for them. */
enum { SOCK_LIVESTANDINS = 1 };

/* Whether a descriptor is the prompt's terminal. */
int sock_owns(const sock_Prompt *face, int fd);

/* Takes the typed line off the screen, if the text goes there. */
void sock_giveway(sock_Prompt *face, int fd, int whole);

/* Puts it back. */
void sock_redraw(sock_Live *p);

/* From now on print, io.write … let the line give way first. The userdata is
** at `index`. [-0,+0,m] */
void sock_standinwriters(lua_State *L, int index);

/* From here to there, nobody reads the terminal. [-0,+0,m] */
void sock_standinreaders(lua_State *L, int index, int in);

extern const luaL_Reg sock_promptfunctions[];

#endif
