/* Scratch for the bodies of cr_parallel: a place for each of those that can run at once. The first free one is taken, so
 * that one thread stays in one place, which is in its cache. */
#ifndef CR_PLACES_H
#define CR_PLACES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ops.h"

enum { CR__MOST_PLACES = 16 };

typedef struct cr__places {
  atomic_uint taken;        /* a bit for each */
  char *data;
  size_t size;
} cr__places;

/* How many of n tasks a body should run, so that there are no more bodies than places. */
static inline int64_t cr__places_grain(int64_t n) { return n > 0 ? (n + CR__MOST_PLACES - 1) / CR__MOST_PLACES : 1; }

/* Places of so many bytes, aligned to 64, for bodies of n tasks in all; false when memory runs out. */
static inline bool cr__places_room(cr_eval *c, cr__places *p, int64_t n, size_t bytes) {
  size_t count = (size_t)(n < CR__MOST_PLACES ? n : CR__MOST_PLACES);
  atomic_init(&p->taken, 0);
  p->size = bytes / 64 * 64 + 64;
  char *data = cr_scratch(c, count * p->size + 64);
  p->data = data ? data + (64 - (uintptr_t)data % 64) % 64 : NULL;
  return data != NULL;
}

static inline void *cr__place_take(cr__places *p) {
  unsigned taken = atomic_load_explicit(&p->taken, memory_order_relaxed), bit;
  do bit = ~taken & (taken + 1);
  while (!atomic_compare_exchange_weak_explicit(&p->taken, &taken, taken | bit, memory_order_acquire, memory_order_relaxed));
  int k = 0;
  while (bit >> k != 1) k++;
  return p->data + (size_t)k * p->size;
}

static inline void cr__place_back(cr__places *p, const void *place) {
  unsigned bit = 1u << (size_t)((const char *)place - p->data) / p->size;
  atomic_fetch_and_explicit(&p->taken, ~bit, memory_order_release);
}

#endif
