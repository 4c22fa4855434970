/*
** heap.h: a pairing heap whose links live in what it orders: the soonest
** first, equal ones in any order. Insertion is constant, removal logarithmic
** in the long run, and nothing is allocated, so a deadline cannot fail.
*/
#ifndef SOCK_HEAP_H
#define SOCK_HEAP_H

#include <stddef.h>

typedef struct sock_HeapNode {
  struct sock_HeapNode *child, *next, *prev; /* prev: elder sibling or parent */
  double key;
  int inside; /* in a heap */
} sock_HeapNode;

typedef struct sock_Heap {
  sock_HeapNode *top; /* the soonest; NULL if empty */
} sock_Heap;

/* Of two heaps one: the later top becomes the sooner's first child. */
static inline sock_HeapNode *sock_heapmeld(sock_HeapNode *a, sock_HeapNode *b) {
  if (a == NULL || b == NULL)
    return a == NULL ? b : a;
  if (b->key < a->key) {
    sock_HeapNode *swap = a;
    a = b;
    b = swap;
  }
  b->next = a->child;
  if (b->next != NULL)
    b->next->prev = b;
  b->prev = a;
  a->child = b;
  a->next = a->prev = NULL;
  return a;
}

/* Of a list of siblings one heap: pairs from the left, then all together. */
static inline sock_HeapNode *sock_heapcollect(sock_HeapNode *first) {
  sock_HeapNode *pairs = NULL, *all = NULL;
  while (first != NULL) {
    sock_HeapNode *a = first, *b = first->next;
    first = b != NULL ? b->next : NULL;
    a->next = NULL;
    if (b != NULL)
      b->next = NULL;
    a = sock_heapmeld(a, b);
    a->next = pairs;
    pairs = a;
  }
  while (pairs != NULL) {
    sock_HeapNode *next = pairs->next;
    pairs->next = NULL;
    all = sock_heapmeld(all, pairs);
    pairs = next;
  }
  if (all != NULL)
    all->prev = NULL;
  return all;
}

static inline void sock_heapinsert(sock_Heap *h, sock_HeapNode *n, double key) {
  n->child = n->next = n->prev = NULL;
  n->key = key;
  n->inside = 1;
  h->top = sock_heapmeld(h->top, n);
}

/* Harmless on a node that is in no heap. */
static inline void sock_heapremove(sock_Heap *h, sock_HeapNode *n) {
  if (!n->inside)
    return;
  n->inside = 0;
  sock_HeapNode *rest = sock_heapcollect(n->child);
  if (n == h->top) {
    h->top = rest;
    return;
  }
  if (n->prev->child == n)
    n->prev->child = n->next;
  else
    n->prev->next = n->next;
  if (n->next != NULL)
    n->next->prev = n->prev;
  h->top = sock_heapmeld(h->top, rest);
}

#endif
