/* Vector mode over inline scalars: eight derivatives abreast, and the partials of a node as numbers. */
#ifndef CR_LANES_H
#define CR_LANES_H

#include "internal.h"

enum { CR__LANES = 8 };
typedef double cr_lanes __attribute__((vector_size(CR__LANES * sizeof(double))));

#define CR__INLINE inline __attribute__((always_inline))

/* Partials that are no function call away. */
typedef enum cr_slope { CR__ZERO, CR__ONE, CR__MINUS_ONE, CR__IS_A, CR__IS_B, CR__IS_Y, CR__CALL } cr_slope;

/* By row of the table and operand: its partial, read from the row's text. */
typedef struct cr_slopes {
  cr_slope (*of)[2];
  int n;
} cr_slopes;
bool cr__slopes_make(cr_tape *t, cr_slopes *s); /* on the tape's allocator; false when memory runs out */
void cr__slopes_free(cr_tape *t, cr_slopes *s);

static CR__INLINE double cr__partial(const cr_tape *t, cr_slope slope, uint32_t op, int k, double a, double b, double y) {
  switch (slope) {
    case CR__ZERO: return 0;
    case CR__ONE: return 1;
    case CR__MINUS_ONE: return -1;
    case CR__IS_A: return a;
    case CR__IS_B: return b;
    case CR__IS_Y: return y;
    case CR__CALL: break;
  }
  return t->op[op]->row->partial[k](a, b, y);
}

/* Adjoints of the nodes lo to hi, bar[0] of lo, carried back from the seeds that they begin as. cotangents.c */
void cr__cotangents(const cr_tape *t, cr_slopes slopes, cr_lanes *bar, uint32_t lo, uint32_t hi);

/* g * p in each lane, 0 where g is 0 whatever p is. */
static CR__INLINE void cr__guarded(cr_lanes *out, double p, const cr_lanes *g) {
  for (int l = 0; l < CR__LANES; l++) (*out)[l] = (*g)[l] == 0 ? 0 : (*g)[l] * p;
}

/* A walk is compiled for each width of registers; the results are the same to the bit. */
#if defined(__x86_64__) && defined(__GNUC__)
#define CR__WIDTHS(walk, parameters, arguments)                                               \
  __attribute__((target("avx512f"))) static void walk##_avx512 parameters { walk arguments; } \
  __attribute__((target("avx2"))) static void walk##_avx2 parameters { walk arguments; }      \
  static void walk##_plain parameters { walk arguments; }                                     \
  static void walk##_widest parameters {                                                      \
    if (__builtin_cpu_supports("avx512f")) walk##_avx512 arguments;                           \
    else if (__builtin_cpu_supports("avx2")) walk##_avx2 arguments;                           \
    else walk##_plain arguments;                                                              \
  }
#else
#define CR__WIDTHS(walk, parameters, arguments) \
  static void walk##_widest parameters { walk arguments; }
#endif

#endif
