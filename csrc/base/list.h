/*
** list.h: circular doubly linked lists whose links live in what they link.
** Nothing is allocated, and a node leaves without knowing its list.
*/
#ifndef SOCK_LIST_H
#define SOCK_LIST_H

#include <stddef.h>

typedef struct sock_Link {
  struct sock_Link *next, *prev;
} sock_Link;

/* The structure whose member `member` is at `link`. */
#define sock_container(link, type, member) \
  ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void sock_listinit(sock_Link *l) {
  l->next = l->prev = l;
}

static inline int sock_listempty(const sock_Link *l) {
  return l->next == l;
}

static inline void sock_listinsert(sock_Link *after, sock_Link *l) {
  l->next = after->next;
  l->prev = after;
  after->next->prev = l;
  after->next = l;
}

#define sock_listpushfront(list, l) sock_listinsert((list), (l))
#define sock_listpushback(list, l) sock_listinsert((list)->prev, (l))

/* Harmless on a node that is in no list. */
static inline void sock_listremove(sock_Link *l) {
  l->next->prev = l->prev;
  l->prev->next = l->next;
  sock_listinit(l);
}

/* Moves all nodes of `from` behind those of `to`. */
static inline void sock_listsplice(sock_Link *to, sock_Link *from) {
  if (sock_listempty(from))
    return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  sock_listinit(from);
}

#endif
