/*
** tap.h: what traced sockets do, and who is told.
**
** A traced socket has a tap. What it does becomes an event in the loop's
** queue: plain memory, the bytes copied, no Lua; so the transfer calls may add
** one anywhere. The queue is told to the listeners, Lua functions, where Lua
** may run: at the end of the library's calls, whose results stand on the
** stack, and in each turn before the loop waits (sock_told). A listener that
** waits waits as if outside tasks, and what it does with traced sockets
** itself is no event.
**
** The registry holds a tap while its socket is open or an event names it.
** All functions here keep errno; none but sock_inherit raises.
*/
#ifndef SOCK_TAP_H
#define SOCK_TAP_H

#include "net/socket.h"

#include <sys/uio.h>

enum { /* what has happened */
       SOCK_SENT,
       SOCK_RECEIVED,
       SOCK_ENDED, /* the peer has no more to send */
       SOCK_CONNECTED,
       SOCK_ACCEPTED,
       SOCK_SHUTDOWN,
       SOCK_CLOSED,
       SOCK_ERROR,
       SOCK_WAITS
};

typedef struct sock_Tap {
  lua_Integer id;
  unsigned refs; /* the socket, and each event */
  unsigned lost; /* events that found no memory */
  int family, type;
  unsigned char initiator; /* as the socket has it */
  unsigned char ended;     /* its listener has had enough */
  unsigned char waits;     /* and is told of waits … */
  unsigned char waiting;   /* … once for each: SOCK_READ, SOCK_WRITE */
  unsigned char finished;  /* the peer's end has been told */
  sock_Sockaddr here, peer;
} sock_Tap;

static inline int sock_istapped(const sock_Socket *s) {
  return (int)sock_unlikely(s->tap != NULL);
}

/* After a system call of a tapped socket: its result, and errno. `to` and
** `from` are a datagram's address, NULL if it was not named. */
void sock_tapsent(sock_Socket *s, const struct iovec *piece, int n,
                  ssize_t sent, const sock_Sockaddr *to);
void sock_tapreceived(sock_Socket *s, const void *data, size_t room,
                      ssize_t got, int flags, const sock_Sockaddr *from);

/* Anything else it did. `word`: how it was shut down, or the call that failed
** with `err`; a text that stays. */
void sock_tapevent(sock_Socket *s, int what, const char *word, int err);

/* A connect that failed. */
void sock_taprefused(sock_Socket *s, const sock_Sockaddr *peer, int err);

/* The socket at `index`, which is to own a connection of `listening`, is
** tapped as that one is. [-0,+0,m] */
void sock_inherit(lua_State *L, int index, const sock_Socket *listening);

/* Ends it: nothing more becomes an event. */
void sock_untap(lua_State *L, sock_Socket *s);

/* In a child process: the events are the parent's to tell. */
void sock_looseevents(lua_State *L, sock_Loop *loop);

void sock_opentap(lua_State *L); /* [-0,+0,m] */
extern const luaL_Reg sock_tapfunctions[];

#endif
