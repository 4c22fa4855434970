/*
** options.h: what a socket option's value is.
**
** options.c makes the system calls; optiontable.c has a row for each option,
** optionkinds.c one for each kind of value, which turns Lua values into the
** kernel's and back; tcpinfo.c and membership.c are the long ones of these.
** A kind never touches the descriptor.
*/
#ifndef SOCK_OPTIONS_H
#define SOCK_OPTIONS_H

#include <lauxlib.h>
#include <lua.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

typedef enum sock_Nature { /* an option's kind: the rows of sock_kinds */
                           SOCK_FLAG,      /* boolean */
                           SOCK_FLAG_READ, /* boolean that cannot be set */
                           SOCK_INT,
                           SOCK_INT_READ,
                           SOCK_INT_WRITE,
                           SOCK_UINT, /* 32 bits without a sign: marks and
                                         identifiers */
                           SOCK_UINT_READ,
                           SOCK_WIDE, /* 64 bits */
                           SOCK_WIDE_READ,
                           SOCK_RATE, /* bytes a second; math.huge is no limit
                                       */
                           SOCK_MILLISECONDS, /* seconds that the kernel counts
                                                 so */
                           SOCK_MICROSECONDS,
                           SOCK_TIMEVAL,
                           SOCK_LINGER, /* false or whole seconds */
                           SOCK_TEXT,   /* at most 15 bytes, as all the kernel's
                                           names */
                           SOCK_TEXT_READ, /* of any length */
                           SOCK_CODE,      /* an error's code or false */
                           SOCK_TYPE,      /* "stream" */
                           SOCK_FAMILY,    /* "inet" */
                           SOCK_PEER,      /* {pid=, uid=, gid=} */
                           SOCK_TCPINFO,
                           SOCK_INTERFACE, /* a name or an index, as all below:
                                              index to the kernel */
                           SOCK_NETINTERFACE, /* index in network order */
                           SOCK_DEVICE,       /* name */
                           SOCK_OUTGOING, /* ip_multicast_if: struct ip_mreqn */
                           SOCK_GROUP,    /* {group=, interface=} */
                           SOCK_SOURCE,   /* {group=, interface=, source=} */
                           SOCK_NETLINKGROUP, /* {group=number} */
                           SOCK_PACKETGROUP,  /* {group=mac or "promisc" or
                                                 "allmulti", interface=} */
                           SOCK_REFUSED       /* the library's own business */
} sock_Nature;

typedef struct sock_Option {
  const char *name;
  int level; /* -1: the group's family decides */
  int number;
  sock_Nature nature;
} sock_Option;

/* struct packet_mreq, which has no header that all systems share. */
typedef struct sock_PacketGroup {
  int interface;
  unsigned short type;
  unsigned short size;
  unsigned char address[8];
} sock_PacketGroup;

typedef struct sock_Value { /* as the kernel has it */
  int level;
  socklen_t size;
  union {
    int integer;
    uint64_t wide;
    struct timeval time;
    struct linger linger;
    struct in_addr in;
    struct ip_mreqn outgoing;
    struct group_req group;
    struct group_source_req source;
    sock_PacketGroup packet;
    int32_t peer[3]; /* struct ucred: pid, uid, gid */
    unsigned char bytes[512];
  } u;
} sock_Value;

typedef struct sock_Kind {
  /* Reads argument 3 into `v`, whose size is the kind's; raises what the
  ** caller did wrong; answers 0 or an error number. NULL: cannot be set. */
  int (*encode)(lua_State *L, const sock_Option *o, sock_Value *v);
  /* Pushes what the kernel gave; the socket is argument 1. NULL: cannot be
  ** read. */
  void (*decode)(lua_State *L, const sock_Option *o, const sock_Value *v);
  socklen_t size; /* of the kernel's value; the room for it when it varies */
  double unit;    /* how many of the kernel's units a second has */
} sock_Kind;

extern const sock_Kind sock_kinds[];     /* by sock_Nature */
extern const sock_Option sock_options[]; /* the last has no name */

/* After an interface was set: whoever sets an index reads an index, whoever
** sets a name reads a name; the kernel remembers only one of them. The
** socket is argument 1, the value argument 3. */
void sock_remember(lua_State *L, const sock_Option *o);

/* What the kinds' files have of each other. */
void sock_pushrate(lua_State *L, uint64_t rate);
int sock_checkinterface(lua_State *L, int index, const char *what,
                        unsigned *number);
void sock_gettcpinfo(lua_State *L, const sock_Option *o, const sock_Value *v);
int sock_setgroup(lua_State *L, const sock_Option *o, sock_Value *v);
int sock_setsource(lua_State *L, const sock_Option *o, sock_Value *v);
int sock_setnetlinkgroup(lua_State *L, const sock_Option *o, sock_Value *v);
int sock_setpacketgroup(lua_State *L, const sock_Option *o, sock_Value *v);

#endif
