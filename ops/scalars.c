/* Inline scalars of captured functions: computed again, node by node or strip by strip, and swept back by strips. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-code-hoisting", "no-tree-slp-vectorize")
#endif

#include "internal.h"
#include "ops.h"
#include "rowmath.h"
#include "rownumbers.h"

#define INT_UNARY UNARY
#define INT_BINARY BINARY

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

/* Strips: one loop for each row, so that no jump depends on the node. */
#define STRIP(name, value) \
  case ROW_##name: \
    for (uint32_t k = 0; k < n; k++) { \
      const double a = slot[at[k][1]].num, b = slot[at[k][2]].num; \
      (void)a, (void)b; \
      slot[at[k][0]].num = (double)(value); \
    } \
    break;

void cr__scalar_strips(cr_tape *t, const cr_strips *s) {
  cr_slot *slot = t->slot;
  const uint32_t (*at)[3] = s->node;
  for (uint32_t i = 0; i < s->n; at += s->strip[i++].n) {
    const uint32_t n = s->strip[i].n;
    switch (s->strip[i].row + CR__FIRST_ROW) {
#define UNARY(name, value, ...) STRIP(name, value)
#define BINARY(name, infix, value, ...) STRIP(name, value)
#define COMPARE(...)
#define COMPARE1(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
      STRIP(guarded_mul, a == 0 ? 0 : a * b)
    }
  }
}

/* The adjoint of a node that nobody handed one on is 0, and 0 whatever the partials are. */
#define BACK(name, ...) \
  case ROW_##name: \
    for (uint32_t k = n; k-- > 0;) { \
      const double g = bar[at[k][0]]; \
      if (g == 0) continue; \
      const double a = slot[at[k][1]].num, b = slot[at[k][2]].num, y = slot[at[k][0]].num; \
      (void)a, (void)b, (void)y; \
      __VA_ARGS__; \
    } \
    break;
#define TO_A(da) bar[at[k][1]] += g * (double)(da)
#define TO_B(db) bar[at[k][2]] += g * (double)(db)

void cr__scalar_strips_back(cr_tape *t, double *bar, const cr_strips *s) {
  const cr_slot *slot = t->slot;
  const uint32_t (*at)[3] = s->node;
  for (uint32_t i = 0; i < s->n; i++) at += s->strip[i].n;
  for (uint32_t i = s->n; i-- > 0;) {
    const uint32_t n = s->strip[i].n;
    at -= n;
    switch (s->strip[i].row + CR__FIRST_ROW) {
#define UNARY(name, value, da, ...) BACK(name, TO_A(da))
#define BINARY(name, infix, value, da, db, ...) BACK(name, TO_A(da); TO_B(db))
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef COMPARE
#undef COMPARE1
      BACK(guarded_mul, TO_A(b); if (a != 0) TO_B(a))
    }
  }
}
