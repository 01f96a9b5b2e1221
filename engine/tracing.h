/* The inside of pattern propagation: pattern.c over the nodes of a tape, patternbody.c over those of bodies. */
#ifndef CR_TRACING_H
#define CR_TRACING_H

#include "body.h"
#include "lanes.h"
#include "sparsity.h"

typedef struct cr__traced cr__traced;

struct cr__tracing {
  cr_tape *t;
  cr__sets *sets;
  cr_slopes slopes;
  cr_arena memory;
  double **of, *one;              /* by node: a set for each element; or NULL, and one for all */
  unsigned char *needed, *varies; /* varies: computed from a float input */
  uint32_t *list;                 /* scratch, of list_size */
  int64_t list_size;
  uint32_t id;        /* the node whose op tells what it depends on, with */
  const uint32_t *in; /* these operands, */
  double *out;        /* into here; NULL: not yet */
  cr__traced *bodies; /* seen so far */
};
typedef struct cr__tracing tracing;


void *cr__trace_take(tracing *p, size_t bytes);
/* The sets of a node's elements as an array of its shape. */
cr_array cr__trace_sets(const tracing *p, uint32_t id);
bool cr__trace_begun(cr_depend *c); /* has out */
bool cr__trace_node(tracing *p, uint32_t id);

void cr__traced_free(cr__traced *b);

#endif
