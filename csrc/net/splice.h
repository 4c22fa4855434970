/*
** splice.h: moves from descriptor to descriptor that never leave the kernel.
**
** Each answers bytes, 0 at the end, or -1 and errno: EAGAIN to wait, EINVAL
** or ENOSYS where the kernel does not do it and reading and writing must.
*/
#ifndef SOCK_SPLICE_H
#define SOCK_SPLICE_H

#include <stddef.h>
#include <sys/types.h>

/* From a socket or pipe into an empty pipe. */
ssize_t sock_splicein(int from, int pipe, size_t n);

/* From a pipe to a socket; to a file at *at, which moves on. */
ssize_t sock_spliceout(int pipe, int to, off_t *at, size_t n);

/* From a file at *at, which moves on. */
ssize_t sock_sendfile(int to, int file, off_t *at, size_t n);

#endif
