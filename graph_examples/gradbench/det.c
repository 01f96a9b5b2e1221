/* det: the determinant by expansion along the first row, det A = sum_j (-1)^j a_0j det(A without row 0 and column j),
 * all ell! products of it. Minors of order 8 and less are expanded many at once: a tensor (m, m, batch) holds the
 * entries of a batch of minors, whose own minors are a batch m times as large. Each such minor is preaccumulated: on the
 * tape above it is one node, with its value and its derivatives, so that memory does not grow with the number of
 * products. */
#include <string.h>

#include "gradbench.h"

/* Orders from which minors are expanded in batches, down to which, and that which is a matter of patience. */
enum { PRIMAL, GRADIENT, BATCHED = 8, SINGLY = 5, LARGEST = 16 };

typedef struct state {
  list_function f; /* of the entries, row by row */
  int64_t order;
} state;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  return read_integer(input, "ell", 1, LARGEST, &s->order, c) &&
         read_numbers(input, "A", 1, (int64_t[]){s->order * s->order}, &s->f.x, c) &&
         make_room(&s->f.gradient, s->f.x.count, c);
}

/* Entries of a batch of matrices, each a vector over the batch or one number, and the columns of a minor of them. */
typedef struct table {
  const cr_var *entry;
  int64_t order;
} table;

/* The minor of the last m rows and these m columns. */
static cr_var expand(const table *a, const int64_t *column, int64_t m) {
  const cr_var *row = a->entry + (a->order - m) * a->order;
  if (m == 1) return row[column[0]];
  cr_var sum = cr_poison(row->tape);
  for (int64_t j = 0; j < m; j++) {
    int64_t rest[SINGLY];
    memcpy(rest, column, (size_t)j * sizeof *rest);
    memcpy(rest + j, column + j + 1, (size_t)(m - 1 - j) * sizeof *rest);
    cr_var term = cr_mul(row[column[j]], expand(a, rest, m - 1));
    sum = !j ? term : j % 2 ? cr_sub(sum, term) : cr_add(sum, term);
  }
  return sum;
}

/* Determinants of a batch of small matrices (m, m, batch), as a vector. */
static cr_var expand_singly(cr_var a, int64_t m) {
  cr_var entry[SINGLY * SINGLY];
  int64_t column[SINGLY];
  for (int64_t k = 0; k < m * m; k++) entry[k] = cr_select(cr_select(a, 0, k / m), 0, k % m);
  for (int64_t k = 0; k < m; k++) column[k] = k;
  return expand(&(table){entry, m}, column, m);
}

/* Of a batch of matrices (m, m, batch) the minors (m-1, m-1, m batch) without row 0 and each column. */
static cr_var minors(cr_var a, int64_t m) {
  int64_t place[BATCHED * BATCHED], count = m * (m - 1), batch = cr_dim(a, 2);
  for (int64_t k = 0; k < count; k++) place[k] = k / m + (k / m >= k % m); /* column k / m of that without column k % m */
  cr_var columns = cr_index_select(cr_slice_axis(a, 0, 1, m, 1), 1, cr_constant_of(a.tape, CR_INT64, 1, &count, place));
  return cr_reshape(columns, 3, (int64_t[]){m - 1, m - 1, m * batch});
}

/* Determinants of a batch (m, m, batch), as a vector. */
static cr_var expand_batch(cr_var a, int64_t m) {
  if (m <= SINGLY) return expand_singly(a, m);
  double sign[BATCHED];
  for (int64_t j = 0; j < m; j++) sign[j] = j % 2 ? -1 : 1;
  cr_var signs = cr_constant_of(a.tape, CR_FLOAT64, 2, (int64_t[]){m, 1}, sign);
  cr_var below = cr_reshape(expand_batch(minors(a, m), m - 1), 2, (int64_t[]){m, -1});
  return cr_sum(cr_mul(cr_mul(signs, cr_select(a, 0, 0)), below), 1, (int[]){0}, 0);
}

/* The minor of the last m rows and these columns. */
static cr_var minor(const state *s, cr_var a, const int64_t *column, int64_t m, int function) {
  cr_tape *t = a.tape;
  cr_var part = cr_slice_axis(a, 0, s->order - m, s->order, 1);
  if (m <= BATCHED) {
    part = cr_index_select(part, 1, cr_constant_of(t, CR_INT64, 1, &m, column));
    cr_mark mark = cr_mark_here(t);
    cr_var value = expand_batch(cr_reshape(part, 3, (int64_t[]){m, m, 1}), m);
    return cr_preaccumulate(mark, value, function == GRADIENT, &part);
  }
  cr_var sum = cr_poison(t);
  for (int64_t j = 0; j < m && cr_error(t) == CR_OK; j++) {
    int64_t rest[LARGEST];
    memcpy(rest, column, (size_t)j * sizeof *rest);
    memcpy(rest + j, column + j + 1, (size_t)(m - 1 - j) * sizeof *rest);
    cr_var term = cr_mul(cr_select(cr_select(part, 0, 0), 0, column[j]), minor(s, a, rest, m - 1, function));
    sum = !j ? term : j % 2 ? cr_sub(sum, term) : cr_add(sum, term);
  }
  return sum;
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  int64_t column[LARGEST];
  for (int64_t j = 0; j < s->order; j++) column[j] = j;
  cr_var a = matrix_input(t, s->f.x.at, s->order, s->order), y = minor(s, a, column, s->order, function);
  s->f.value = cr_value(y);
  if (function == GRADIENT) copy_adjoint(cr_backward(y), a, s->f.gradient.at);
}

const evaluation det = {.name = "det", .function = {"primal", "gradient"}, .size = sizeof(state), .read = read, .run = run,
                        .write = write_list_function, .release = release_list_function};
