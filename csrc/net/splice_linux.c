/* splice_linux.c: splice(2) and sendfile(2). */
#include "base/platform.h"
#include "net/splice.h"

#ifdef SPLICE_F_MOVE
#include <sys/sendfile.h>

#define ATONCE ((size_t)1 << 20)

/*
** Neither call knows MSG_NOSIGNAL. SIGPIPE goes to the thread that wrote: it
** is held back, and taken off again if it came. A call that fails in the
** middle raises it too, and says only how much had gone until then.
*/
static void hold(sigset_t *old) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  (void)pthread_sigmask(SIG_BLOCK, &pipe, old);
}

static void letgo(const sigset_t *old, int cut) {
  sigset_t pipe;
  const struct timespec now = {0, 0};
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  while (cut && sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
    continue;
  (void)pthread_sigmask(SIG_SETMASK, old, NULL);
}

ssize_t sock_splicein(int from, int pipe, size_t n) {
  ssize_t got;
  do {
    got = splice(from, NULL, pipe, NULL, n < ATONCE ? n : ATONCE,
                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  } while (got < 0 && errno == EINTR);
  return got;
}

ssize_t sock_spliceout(int pipe, int to, off_t *at, size_t n) {
  sigset_t old;
  ssize_t sent;
  hold(&old);
  do {
    sent = splice(pipe, NULL, to, at, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  } while (sent < 0 && errno == EINTR);
  int err = errno;
  letgo(&old, sent < (ssize_t)n);
  errno = err;
  return sent;
}

ssize_t sock_sendfile(int to, int file, off_t *at, size_t n) {
  size_t most = n < ATONCE ? n : ATONCE;
  sigset_t old;
  ssize_t sent;
  hold(&old);
  do {
    sent = sendfile(to, file, at, most);
  } while (sent < 0 && errno == EINTR);
  int err = errno;
  letgo(&old, sent < (ssize_t)most);
  errno = err;
  return sent;
}

#endif
