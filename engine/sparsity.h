/* What the files of sparse derivatives share. */
#ifndef CR_SPARSITY_H
#define CR_SPARSITY_H

#include "internal.h"
#include "sparse.h"

/* Sets of columns by number; equal small sets have one number, 0 is the empty one. */
typedef struct cr__sets cr__sets;
cr__sets *cr__sets_new(cr_tape *t, int64_t columns);
void cr__sets_free(cr__sets *s);
uint32_t cr__set_of(cr__sets *s, int64_t column);
uint32_t cr__set_union(cr__sets *s, uint32_t a, uint32_t b);
uint32_t cr__set_union_of(cr__sets *s, int64_t n, const uint32_t *of);
/* The columns of a set, ascending, valid until the next call; -1 when memory runs out. */
int64_t cr__set_columns(cr__sets *s, uint32_t set, const int32_t **columns);

/* Rows of ascending columns, in memory of the tape's allocator. */
typedef struct cr__pattern {
  int64_t rows, columns;
  int64_t *start;
  int32_t *column;
  int64_t room; /* of column */
} cr__pattern;
/* The nonzeros of the derivatives of y by x. False after the tape has an error. */
bool cr__pattern_make(cr_tape *t, int m, const cr_var *y, int n, const cr_var *x, cr__pattern *p);
bool cr__pattern_transposed(cr_tape *t, const cr__pattern *p, cr__pattern *q);
/* p with its transpose. */
bool cr__pattern_symmetrize(cr_tape *t, cr__pattern *p);
void cr__pattern_free(cr_tape *t, cr__pattern *p);

/* Colours such that rows hold no two columns of one colour; p's transpose is q. How many, or most + 1 when it takes more
 * than most; -1 when memory runs out. */
int cr__colour_columns(cr_tape *t, const cr__pattern *p, const cr__pattern *q, int most, int32_t *colour);
/* Star colouring of a symmetric pattern: neighbours differ, and no path of four nodes has two colours. */
int cr__colour_star(cr_tape *t, const cr__pattern *p, int32_t *colour);

/* How the nonzeros are read from compressed sweeps: those of colour c are the places from start[c] to start[c + 1]; nonzero
 * at is element from of the sweep's result; its seed is 1 at the elements seed[seed_start[c]] to seed[seed_start[c + 1] -
 * 1]. */
typedef struct cr__compression {
  cr__pattern pattern;
  int colours;
  bool reverse, symmetric;
  int64_t *start, *seed_start, *at;
  int32_t *from, *seed;
} cr__compression;
bool cr__compress(cr_tape *t, cr__compression *c, cr__pattern *p, bool symmetric); /* takes p over */
void cr__compression_free(cr_tape *t, cr__compression *c);

#endif
