/* The inside of a body, and the bodies that a tape keeps: a graph that is recorded again finds its body, with the
 * derivatives that were made of it. */
#ifndef CR_SHELF_H
#define CR_SHELF_H

#include <pthread.h>
#include <stdatomic.h>

#include "bodyfields.h"
#include "graph.h"

typedef struct cr__derived {
  struct cr__derived *next;
  cr_body *body;
  const char *kind;
  size_t bytes;       /* of the mask, which follows */
} cr__derived;

struct cr_body {
  atomic_int holders;
  pthread_mutex_t lock; /* of the list */
  cr_allocator allocator;
  cr_tape *source;
  cr_fn *f;
  uint32_t *end;      /* on source: inputs, results */
  int n, m;
  uint64_t hash;
  cr__derived *derived;
};

/* The same function once more, held once; NULL when memory runs out. */
cr_body *cr__body_copy(const cr_body *b);

/* A body of the tape with the same graph, NULL when there is none. */
cr_body *cr__shelf_find(const cr_tape *t, const cr_body *like);
/* The tape holds the body, and lets go of the one it has held longest when there are many. */
void cr__shelf_put(cr_tape *t, cr_body *b);
#endif
