/* Inline scalars computed again, for captured functions: the forward twin of the scalar sweep. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-code-hoisting", "no-tree-slp-vectorize")
#endif

#include "internal.h"
#include "ops.h"
#include "rowmath.h"

#define INT_UNARY UNARY
#define INT_BINARY BINARY

enum {
  BEFORE_ROWS = CR__FIRST_ROW - 1,
#define UNARY(name, ...) ROW_##name,
#define BINARY(name, ...) ROW_##name,
#define COMPARE(name, ...) ROW_##name,
#define COMPARE1(name, ...) ROW_##name,
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1
  ROW_guarded_mul
};

void cr__scalar_run(cr_tape *t, uint32_t from, uint32_t to) {
  const cr_node *node = t->node;
  cr_slot *slot = t->slot;
  for (uint32_t id = from; id < to; id++) {
    const cr_node *n = &node[id];
    const double a = slot[n->in[0]].num, b = slot[n->in[1]].num;
    double y;
    (void)b;
    switch (cr__op_bits(n)) {
#define UNARY(name, value, ...) \
  case ROW_##name: y = (double)(value); break;
#define BINARY(name, infix, value, ...) \
  case ROW_##name: y = (double)(value); break;
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1
      case ROW_guarded_mul: y = a == 0 ? 0 : a * b; break;
      default: continue; /* a leaf */
    }
    slot[id].num = y;
  }
}
