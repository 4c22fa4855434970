/*
** socket.h: the socket userdata.
**
** It exists, closed, before its descriptor does, and owns the descriptor
** from the moment the kernel gives it. Its birth, life and end are in socket.c,
** what it adopts in adopt.c; its calls in calls.c, stream.c, options.c and
** wait.c.
*/
#ifndef SOCK_SOCKET_H
#define SOCK_SOCKET_H

#include "base/buffer.h"
#include "base/class.h"
#include "loop/await.h"
#include "loop/set.h"
#include "net/address.h"
#include "net/sock_transport.h"

enum { SOCK_BYUS = 1, SOCK_BYPEER = 2 }; /* who began the connection */

enum { /* sock_Socket.kind: what the descriptor is */
       SOCK_KIND_SOCKET,
       SOCK_KIND_PIPE,     /* pipes and FIFOs */
       SOCK_KIND_TERMINAL, /* terminals and other character devices */
       SOCK_KIND_FILE      /* regular files: always ready */
};

typedef struct sock_Socket {
  sock_Watch watch;    /* the descriptor; first, so that both are one pointer */
  double deadline;     /* of a call that begins with a look-up */
  double timeout;      /* seconds; HUGE_VAL for none */
  unsigned long takes; /* how often arrived bytes were taken */
  size_t limit;        /* the longest line or length-prefixed field */
  sock_Buffer in;      /* received and not yet read */
  sock_Buffer out;     /* written and not yet sent */
  size_t vbuf;         /* how many bytes may wait there; 0: none */
  int outerror;        /* of a flush that nobody has been told of */
  struct sock_Tap *tap; /* who is told what it does, or NULL; tap.h */
  sock_Lower over;      /* the transport; NULL: the bare descriptor */
  int want;             /* what it waits for: SOCK_WANT… */
  int failed;           /* errno of its call that failed */
  int family;           /* AF_…; -1 where it is no socket */
  int type;     /* SOCK_STREAM …; a pipe, terminal or file is a stream */
  int protocol; /* as the kernel has it */
  int line;     /* that made it; 0 if there is none */
  unsigned char kind;
  unsigned char connecting; /* connect(2) said EINPROGRESS */
  unsigned char listening;
  unsigned char shown;              /* others know the descriptor's number */
  unsigned char readdone;           /* shutdown("recv") */
  unsigned char halfway;            /* a write is, or was torn there */
  unsigned char offered;            /* the transport is to be given the same */
  unsigned char records;            /* an upper layer cuts what TCP receives */
  unsigned char restore;            /* adopted blocking: give it back so */
  unsigned char initiator;          /* SOCK_BYUS, SOCK_BYPEER; 0: unknown */
  unsigned char kept;               /* by the child of the fork under way */
  unsigned char heard;              /* the last word was the peer's */
  unsigned char ended;              /* the peer's stream is at its end */
  uint64_t received, sent;          /* bytes, in all */
  struct sock_Place *place;         /* in a pool, given back at its end */
  struct sock_Socket *next, **link; /* the list of all that are open */
} sock_Socket;

/* User values of the userdata. */
enum {
  SOCK_PEERVALUE = 1,      /* the peer's address, for messages after its end */
  SOCK_TRANSPORTVALUE = 2, /* the transport's self, and the one below it */
  SOCK_PLACEVALUE = 3,     /* what `place` points to */
  SOCK_FILEVALUE = 4       /* the name of the file whose line made it */
};

extern const sock_Class sock_socketclass;

/* The argument as a socket, in any state; or an open one, else it raises. */
sock_Socket *sock_checksocket(lua_State *L, int arg);
sock_Socket *sock_checkopen(lua_State *L, int arg);

/* Pushes a new socket object that owns nothing yet. */
sock_Socket *sock_newsocket(lua_State *L);

/* Gives it a fresh descriptor of known nature. Cannot fail. */
void sock_own(sock_Socket *s, int fd, int family, int type, int protocol);

/* Gives it a descriptor that others made: finds out what it is. Cannot
** fail. */
void sock_take(sock_Socket *s, int fd);

/* Takes the descriptor away from it, without closing; whoever waits for it
** is told. `forget`: it will live on elsewhere. Cannot fail. */
int sock_disown(lua_State *L, sock_Socket *s, int forget);

/* Closes the descriptor; harmless on a closed one. */
void sock_closesocket(lua_State *L, sock_Socket *s);

/* The open socket that owns this descriptor, or NULL. */
sock_Socket *sock_owner(lua_State *L, int fd);

/* nil, "op address: why", code, for the socket at `index`: the address is
** its peer's where known, else its own. */
int sock_failsocket(lua_State *L, int index, const char *op, int err);

/* The same with words of our own for the error. */
int sock_failsocketas(lua_State *L, int index, const char *op, int err,
                      const char *why);

/* Pushes what tostring says of the socket at `index`. */
const char *sock_sockettext(lua_State *L, int index);

/* getsockname(2) and getpeername(2); 0 or -1 and errno. */
int sock_localname(const sock_Socket *s, sock_Sockaddr *a);
int sock_peername(const sock_Socket *s, sock_Sockaddr *a);

/* A type's name ("stream") for its number, and back; NULL, -1 if unknown. */
const char *sock_typename(int type);
int sock_typenumber(const char *name);

/* An optional argument by name: sock_typenumber, sock_familynumber … */
int sock_optnumber(lua_State *L, int arg, const char *what, int absent,
                   int (*find)(const char *name));

/* After EMFILE, ENFILE, ENOBUFS or ENOMEM: collects garbage, whose sockets
** may hold what is missing, and says whether to try again (once). */
int sock_reclaim(lua_State *L, int err, int *tried);

/* sock_await with the socket's own limit. */
int sock_call(lua_State *L, sock_Socket *s, int direction, sock_Try try);

/* The same for a call in two steps, whose limit covers both: sock_begincall
** before the first, and for the second what is left. */
void sock_begincall(sock_Socket *s);
int sock_endcall(lua_State *L, sock_Socket *s, int direction, sock_Try try);

/* Each file's part of the class and of the module, for core.c. */
void sock_opensocket(lua_State *L); /* registers the class. [-0,+0,m] */
extern const luaL_Reg sock_socketfunctions[], sock_adoptfunctions[];
extern const luaL_Reg sock_callmethods[], sock_transfermethods[];
extern const luaL_Reg sock_readmethods[], sock_writemethods[];
extern const luaL_Reg sock_datagrammethods[], sock_messagemethods[];
extern const luaL_Reg sock_adoptmethods[], sock_streammethods[];
extern const luaL_Reg sock_optionmethods[], sock_optionfunctions[];
extern const luaL_Reg sock_waitmethods[], sock_waitfunctions[];
extern const luaL_Reg sock_addressfunctions[];
extern const luaL_Reg sock_namefunctions[];
extern const luaL_Reg sock_infofunctions[];
extern const luaL_Reg sock_resolvefunctions[];
extern const luaL_Reg sock_servingfunctions[], sock_unixpathfunctions[];

#endif
