/* What the files of the numeric reverse sweep share. */
#ifndef CR_SWEEP_H
#define CR_SWEEP_H

#include "internal.h"

/* The adjoint of a record, as far as it is summed up. */
typedef struct cr__total {
  void *data;
  const cr_array *like;
  bool shared;       /* its numbers are also those of another adjoint, or not all its own: not to be written */
} cr__total;
_Static_assert(sizeof(cr__total) <= CR__QUICK_HEAD, "a quick record's head has room for it");

typedef union cr__adjoint {
  double num;        /* of inline nodes */
  cr__total *sum;    /* of records; NULL where zero */
} cr__adjoint;

struct cr_sweep {
  cr_owned owned;
  cr_tape *tape;
  cr__adjoint *of;   /* by id */
  uint32_t count, capacity;
  cr_arena arena;    /* the records' adjoints */
  bool lent;         /* nodes of the tape look at them */
};

static inline cr_array cr__total_array(const cr__total *c) { return cr__lying(c->like, c->data); }

/* adjoints.c */
cr_sweep *cr__new_sweep(cr_tape *t, uint32_t count);
/* Room for the node's adjoint, not yet filled in. */
cr__total *cr__new_adjoint(cr_sweep *s, uint32_t id);
/* The node's adjoint as memory that may be written: made of zeros, or copied when it is also another's. */
cr__total *cr__own_adjoint(cr_sweep *s, uint32_t id);
/* Adds a contribution to a node's adjoint. A rule's is in the sweep's memory; shared: also elsewhere. */
cr_status cr__add_to(cr_sweep *s, uint32_t id, const cr_array *c, const cr_op *op, bool shared);
bool cr__make_contiguous(cr_sweep *s, cr_array *a); /* the same numbers, in the sweep's memory */

/* quick.c: sweeps down over quick nodes of few numbers, to the first node that is none of them; 0 at the end. */
uint32_t cr__sweep_quick(cr_sweep *s, uint32_t from, cr_status *status);

#endif
