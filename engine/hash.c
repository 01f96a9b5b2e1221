/* Structural hash of a node: equal for equal expressions over equal leaves, on any tape and in any order of recording. */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack, so that no memory is taken behind the allocator */
#include <xxhash.h>

#include "internal.h"

static void hash_bytes(XXH3_state_t *h, const void *p, size_t n) { XXH3_64bits_update(h, p, n); }

static void hash_leaf(XXH3_state_t *h, cr_var v) {
  cr_array a = cr_view(v);
  const char *name = cr_name_of(v);
  if (name) hash_bytes(h, name, strlen(name));
  for (int64_t k = 0; k < a.count; k++) {
    double x = cr_array_get(&a, k);
    hash_bytes(h, &x, sizeof x);
  }
}

/* Attributes enter as text, because their structs may hold padding. */
static void hash_op(XXH3_state_t *h, cr_var v, const cr_op *op) {
  char text[512];
  hash_bytes(h, op->name, strlen(op->name) + 1);
  if (!op->show) return;
  text[0] = 0;
  op->show(text, sizeof text, cr_attributes(v));
  hash_bytes(h, text, strlen(text));
}

cr_status cr_hash(cr_var v, uint64_t *out) {
  cr_tape *t = v.tape;
  *out = 0;
  if (!t || !cr__valid(t, v)) return t ? t->error : CR_WRONG_TAPE;
  size_t bytes = (size_t)(v.id + 1) * sizeof(uint64_t);
  uint64_t *of = cr__resize_on(t, NULL, 0, bytes);
  if (of) {
    XXH3_state_t state, *h = &state;
    for (uint32_t id = 0; id <= v.id; id++) {
      cr_var node = cr__handle(t, id);
      cr_array a = cr_view(node);
      int n;
      const uint32_t *in = cr__operands(t, id, &n);
      XXH3_64bits_reset(h);
      hash_bytes(h, &a.dtype, sizeof a.dtype);
      hash_bytes(h, a.dim, a.rank * sizeof *a.dim);
      if (cr_op_of(node)) hash_op(h, node, cr_op_of(node));
      else hash_leaf(h, node);
      for (int k = 0; k < n; k++) hash_bytes(h, &of[in[k]], sizeof *of);
      of[id] = XXH3_64bits_digest(h);
    }
    *out = of[v.id];
  }
  cr__resize(&t->counted, of, of ? bytes : 0, 0);
  return t->error;
}
