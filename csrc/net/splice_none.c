/* splice_none.c: for systems whose kernel does not move bytes by itself. */
#include "base/platform.h"
#include "net/splice.h"

#ifndef SPLICE_F_MOVE

ssize_t sock_splicein(int from, int pipe, size_t n) {
  (void)from, (void)pipe, (void)n;
  errno = ENOSYS;
  return -1;
}

ssize_t sock_spliceout(int pipe, int to, off_t *at, size_t n) {
  (void)pipe, (void)to, (void)at, (void)n;
  errno = ENOSYS;
  return -1;
}

ssize_t sock_sendfile(int to, int file, off_t *at, size_t n) {
  (void)to, (void)file, (void)at, (void)n;
  errno = ENOSYS;
  return -1;
}

#endif
