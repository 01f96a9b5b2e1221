/* An allocator that counts, and fails at one call. */
#ifndef METER_H
#define METER_H

#include <stdlib.h>

#include "engine.h"

typedef struct meter {
  long calls, fail_at; /* from 1; 0 never */
  size_t live;         /* bytes not given back */
} meter;

static inline void *meter_reallocate(void *user, void *p, size_t old_size, size_t new_size) {
  meter *m = user;
  if (new_size > 0 && ++m->calls == m->fail_at) return NULL;
  m->live = m->live - old_size + new_size;
  if (new_size) return realloc(p, new_size);
  free(p);
  return NULL;
}

#endif
