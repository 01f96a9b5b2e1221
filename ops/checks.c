/* What may be wrong with operands that a text names (cr_op.check), for ops that have no more to say about them. */
#include "ops.h"

int cr__check_nothing(const cr_infer *c) { return c->n > 0; }

int cr__check_floats(const cr_infer *c) {
  for (int k = 0; k < c->n; k++)
    if (c->in[k].dtype < CR_FLOAT32 || c->in[k].dtype != c->in[0].dtype) return 0;
  return 1;
}

int cr__check_alike(const cr_infer *c) {
  for (int k = 1; k < c->n; k++) {
    if (c->in[k].rank != c->in[0].rank) return 0;
    for (int i = 0; i < c->in[0].rank; i++)
      if (c->in[k].dim[i] != c->in[0].dim[i]) return 0;
  }
  return cr__check_floats(c);
}

int cr__check_numbers(const cr_infer *c) {
  for (int k = 0; k < c->n; k++)
    if (c->in[k].dtype != CR_INT64 && c->in[k].dtype < CR_FLOAT32) return 0;
  return 1;
}

int cr__are_sizes(int64_t rank, const int64_t *dim) {
  const int64_t most = (int64_t)1 << 40;
  int64_t count = 1;
  for (int64_t i = 0; i < rank; i++) {
    if (dim[i] < 0 || dim[i] > most || (dim[i] && count > most / dim[i])) return 0;
    count *= dim[i] ? dim[i] : 1;
  }
  return 1;
}
