/* lookup.c: the look-up itself: plain memory in, plain memory out. */
#include "base/platform.h"
#include "net/lookup.h"
#include "net/resolve.h"

#include <stdlib.h>

static void setport(sock_Sockaddr *a, in_port_t port) {
  if (a->u.sa.sa_family == AF_INET)
    a->u.in.sin_port = port;
  else
    a->u.in6.sin6_port = port;
}

static in_port_t getport(const sock_Sockaddr *a) {
  return a->u.sa.sa_family == AF_INET ? a->u.in.sin_port : a->u.in6.sin6_port;
}

static void copyaddress(sock_Sockaddr *to, const struct addrinfo *from) {
  sock_clearaddress(to);
  if (from->ai_addrlen < to->len)
    to->len = from->ai_addrlen;
  memcpy(&to->u, from->ai_addr, to->len);
}

static void keep(sock_Lookup *job, const struct addrinfo *list) {
  size_t count = 0;
  for (const struct addrinfo *one = list; one != NULL; one = one->ai_next)
    count++;
  job->found = calloc(count + 1, sizeof *job->found);
  if (job->found == NULL) {
    job->eai = EAI_MEMORY;
    return;
  }
  for (const struct addrinfo *one = list; one != NULL; one = one->ai_next)
    if (one->ai_family == AF_INET || one->ai_family == AF_INET6)
      copyaddress(&job->found[job->count++], one);
  if (job->count == 0)
    job->eai = EAI_NONAME;
}

static int outcome(sock_Lookup *job, int eai, int err) {
  int none = eai != 0 ? sock_nodescriptor() : 0;
  job->eai = none != 0 ? EAI_SYSTEM : eai;
  job->err = none != 0 ? none : err;
  return job->eai;
}

static void asksystem(sock_Lookup *job) {
  int named = job->host[0] != '\0' && job->given.len == 0;
  const char *host = named ? job->host : NULL;
  const char *service = job->service[0] != '\0' ? job->service : NULL;
  struct addrinfo hints, *list = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = job->family;
  hints.ai_socktype = job->type;
  hints.ai_flags = job->flags;
  if (host == NULL && service == NULL) { /* it wants one of them */
    service = "0";
    hints.ai_socktype = SOCK_STREAM; /* raw sockets have no services */
  }
  int eai = getaddrinfo(host, service, &hints, &list);
  if (outcome(job, eai, errno) == 0) {
    keep(job, list);
    freeaddrinfo(list);
  }
}

/* The host is an address already: at most its service is looked up. */
static void takegiven(sock_Lookup *job) {
  asksystem(job);
  if (job->eai != 0)
    return;
  setport(&job->given, getport(&job->found[0]));
  job->found[0] = job->given;
  job->count = 1;
}

static void askbackwards(sock_Lookup *job) {
  int eai =
      getnameinfo(&job->given.u.sa, job->given.len, job->host, sizeof job->host,
                  job->service, sizeof job->service, job->flags);
  outcome(job, eai, errno);
}

static void run(sock_Job *base) {
  sock_Lookup *job = (sock_Lookup *)(void *)base;
  free(job->found); /* of an attempt before */
  job->found = NULL;
  job->count = 0;
  if (job->backwards) {
    askbackwards(job);
    return;
  }
  if (job->given.len != 0)
    takegiven(job);
  else
    asksystem(job);
  for (size_t i = 0; job->port >= 0 && i < job->count; i++)
    setport(&job->found[i], htons((uint16_t)job->port));
}

static void drop(sock_Job *base) {
  sock_Lookup *job = (sock_Lookup *)(void *)base;
  free(job->found);
  free(job);
}

sock_Lookup *sock_newlookup(void) {
  sock_Lookup *job = calloc(1, sizeof *job);
  if (job == NULL)
    return NULL;
  job->base.run = run;
  job->base.drop = drop;
  return job;
}
