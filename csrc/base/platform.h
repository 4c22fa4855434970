/*
** platform.h: the only file that asks which system this is.
**
** Every C file includes it first, because the feature macros must stand
** before any system header. What a system lacks is made up for here, so
** that no other file has an #if but a table row's #ifdef.
*/
#ifndef SOCK_PLATFORM_H
#define SOCK_PLATFORM_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#define SOCK_HAVE_EPOLL 1
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netpacket/packet.h>
#endif

#if defined(__GNUC__)
#define SOCK_API __attribute__((visibility("default")))
#define SOCK_COLD __attribute__((cold, noinline))
#define sock_likely(x) __builtin_expect(!!(x), 1)
#define sock_unreachable() __builtin_unreachable() /* luaL_error returned */
#else
#define SOCK_API
#define SOCK_COLD
#define sock_likely(x) (x)
#define sock_unreachable() ((void)0)
#endif

#if defined(MSG_NOSIGNAL)
#define SOCK_NOSIGNAL MSG_NOSIGNAL
#else
#define SOCK_NOSIGNAL 0 /* SO_NOSIGPIPE is set at birth instead */
#endif

#if defined(__linux__)
#define SOCK_TRUNC MSG_TRUNC /* a receive answers with the true length */
#else
#define SOCK_TRUNC 0
#endif

#if defined(MSG_MORE)
#define SOCK_MOREHINT MSG_MORE
#else
#define SOCK_MOREHINT 0
#endif

#if defined(MSG_ERRQUEUE)
#define SOCK_ERRQUEUE MSG_ERRQUEUE
#else
#define SOCK_ERRQUEUE 0 /* there is none, and nobody asks for it */
#endif

#if defined(MSG_CMSG_CLOEXEC)
#define SOCK_CLOSEONEXEC MSG_CMSG_CLOEXEC
#else
#define SOCK_CLOSEONEXEC 0
#endif

/* Monotonic seconds; the clock of every deadline. */
static inline double platform_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int platform_setnonblock(int fd, int on) {
  int old = fcntl(fd, F_GETFL);
  if (old < 0)
    return -1;
  return fcntl(fd, F_SETFL, on ? old | O_NONBLOCK : old & ~O_NONBLOCK);
}

/* For descriptors whose birth could not say so itself. */
static inline int platform_prepare(int fd) {
#if defined(SO_NOSIGPIPE)
  int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
#if !defined(SOCK_CLOEXEC)
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || platform_setnonblock(fd, 1) < 0) {
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
  }
#endif
  return fd;
}

/* socket(2), non-blocking and close-on-exec from birth. */
static inline int platform_socket(int family, int type, int protocol) {
#if defined(SOCK_CLOEXEC)
  type |= SOCK_CLOEXEC | SOCK_NONBLOCK;
#endif
  int fd = socket(family, type, protocol);
  return fd < 0 ? fd : platform_prepare(fd);
}

/* accept(2), non-blocking and close-on-exec from birth. */
static inline int platform_accept(int fd, struct sockaddr *sa, socklen_t *len) {
#if defined(SOCK_CLOEXEC)
  return accept4(fd, sa, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
  int made = accept(fd, sa, len);
  return made < 0 ? made : platform_prepare(made);
#endif
}

static inline int platform_socketpair(int type, int fds[2]) {
#if defined(SOCK_CLOEXEC)
  return socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
#else
  if (socketpair(AF_UNIX, type, 0, fds) < 0)
    return -1;
  if (platform_prepare(fds[0]) < 0) {
    (void)close(fds[1]);
    return -1;
  }
  if (platform_prepare(fds[1]) < 0) {
    (void)close(fds[0]);
    return -1;
  }
  return 0;
#endif
}

/* A socket's family, from its option or from its name; -1 if unknown. */
static inline int platform_family(int fd) {
#if defined(SO_DOMAIN)
  int family;
  socklen_t len = sizeof family;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 ? family
                                                                   : -1;
#else
  struct sockaddr_storage a;
  socklen_t len = sizeof a;
  return getsockname(fd, (struct sockaddr *)&a, &len) == 0 ? a.ss_family : -1;
#endif
}

/* The protocol that the kernel put where 0 was asked for. */
static inline int platform_protocol(int fd, int asked) {
#if defined(SO_PROTOCOL)
  int found;
  socklen_t len = sizeof found;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &found, &len) == 0 ? found
                                                                    : asked;
#else
  (void)fd;
  return asked;
#endif
}

/* A pipe, non-blocking and close-on-exec from birth. */
static inline int platform_pipe(int fds[2]) {
#if defined(__linux__)
  return pipe2(fds, O_CLOEXEC | O_NONBLOCK);
#else
  if (pipe(fds) < 0)
    return -1;
  for (int i = 0; i < 2; i++)
    if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0 ||
        platform_setnonblock(fds[i], 1) < 0) {
      int saved = errno;
      (void)close(fds[0]);
      (void)close(fds[1]);
      errno = saved;
      return -1;
    }
  return 0;
#endif
}

/* A descriptor that is readable when the process has ended; -1 and ENOSYS
** where there is no such thing. */
static inline int platform_pidfd(pid_t pid) {
#if defined(SYS_pidfd_open)
  return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec from birth */
#else
  (void)pid;
  errno = ENOSYS;
  return -1;
#endif
}

/* This process is to get SIGTERM when that parent ends, or has ended. */
static inline void platform_endwith(pid_t parent) {
#if defined(__linux__)
  (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
  if (getppid() != parent)
    (void)kill(getpid(), SIGTERM);
}

/* Received descriptors are close-on-exec from birth, or at once. */
static inline void platform_closeonexec(int fd) {
#if defined(MSG_CMSG_CLOEXEC)
  (void)fd;
#else
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
}

/* A message of a batch, and how many bytes it had. */
#if defined(__linux__)
typedef struct mmsghdr platform_Message;
#else
typedef struct platform_Message {
  struct msghdr msg_hdr;
  unsigned msg_len;
} platform_Message;
#endif

typedef ssize_t (*platform_Each)(int fd, struct msghdr *m, int flags);

static inline ssize_t platform_sendone(int fd, struct msghdr *m, int flags) {
  return sendmsg(fd, m, flags);
}

/* A batch one by one: how many went or came; -1 if not even the first. */
static inline int platform_each(platform_Each one, int fd, platform_Message *m,
                                unsigned n, int flags) {
  unsigned i = 0;
  for (; i < n; i++) {
    ssize_t done = one(fd, &m[i].msg_hdr, flags);
    if (done < 0)
      break;
    m[i].msg_len = (unsigned)done;
  }
  return i > 0 || n == 0 ? (int)i : -1;
}

/* sendmmsg(2) and recvmmsg(2), where there are such. */
static inline int platform_sendmany(int fd, platform_Message *m, unsigned n,
                                    int flags) {
#if defined(__linux__)
  int sent = sendmmsg(fd, m, n, flags);
  if (sent >= 0 || errno != ENOSYS)
    return sent;
#endif
  return platform_each(platform_sendone, fd, m, n, flags);
}

static inline int platform_recvmany(int fd, platform_Message *m, unsigned n,
                                    int flags) {
#if defined(__linux__)
  int got = recvmmsg(fd, m, n, flags, NULL);
  if (got >= 0 || errno != ENOSYS)
    return got;
#endif
  return platform_each(recvmsg, fd, m, n, flags);
}

/* Keeps the library that `function` is in loaded until the process ends:
** a thread or a signal handler may still be in it. */
#define platform_pin(function) \
  platform_pinaddress((void *)(uintptr_t)(function))

static inline void platform_pinaddress(void *address) {
  Dl_info info;
  if (dladdr(address, &info) != 0 && info.dli_fname != NULL)
    (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/* poll(2) with the time in seconds; `mask` as for ppoll, or NULL. */
static inline int platform_poll(struct pollfd *p, nfds_t n, double seconds,
                                const sigset_t *mask) {
  struct timespec t, *limit = NULL;
  if (seconds < 1e9) {
    double whole = floor(seconds);
    t.tv_sec = (time_t)whole;
    t.tv_nsec = (long)((seconds - whole) * 1e9);
    limit = &t;
  }
  return ppoll(p, n, limit, mask);
}

#endif
