/* How a sparse matrix is read from few sweeps: colours, their seeds, and where each nonzero is found. */
#include "sparsity.h"

static int64_t longest(const cr__pattern *p) {
  int64_t most = 0;
  for (int64_t i = 0; i < p->rows; i++) most = p->start[i + 1] - p->start[i] > most ? p->start[i + 1] - p->start[i] : most;
  return most;
}

static int32_t *numbers(cr_tape *t, int64_t n) { return cr__resize_on(t, NULL, 0, (size_t)(n ? n : 1) * sizeof(int32_t)); }
static void free_numbers(cr_tape *t, int32_t *p, int64_t n) {
  cr__resize(&t->counted, p, p ? (size_t)(n ? n : 1) * sizeof *p : 0, 0);
}

/* The smaller number of colours, of columns or of rows. The longest row is a bound of the one, the longest column of the
 * other. */
static int choose(cr_tape *t, const cr__pattern *p, const cr__pattern *q, int32_t *column, int32_t *row, bool *reverse) {
  int64_t forward_bound = longest(p), reverse_bound = longest(q);
  *reverse = reverse_bound < forward_bound;
  int n = *reverse ? cr__colour_columns(t, q, p, (int)p->rows, row) : cr__colour_columns(t, p, q, (int)p->columns, column);
  int64_t other_bound = *reverse ? forward_bound : reverse_bound;
  if (n < 0 || other_bound >= n) return n;
  int other = *reverse ? cr__colour_columns(t, p, q, n - 1, column) : cr__colour_columns(t, q, p, n - 1, row);
  if (other < 0 || other >= n) return other < 0 ? other : n;
  *reverse = !*reverse;
  return other;
}

/* Colour and element under which the nonzeros of row i are found: at row and column of the nonzero, or of its mirror image
 * where another column of the row has the colour. */
static void place_row(const cr__compression *c, const int32_t *colour, int64_t i, int32_t *last, int32_t *times,
                      int32_t *found) {
  const cr__pattern *p = &c->pattern;
  for (int64_t k = p->start[i]; c->symmetric && k < p->start[i + 1]; k++) {
    int32_t of = colour[p->column[k]];
    times[of] = last[of] == i ? times[of] + 1 : 1;
    last[of] = (int32_t)i;
  }
  for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) {
    int32_t j = p->column[k];
    bool mirror = c->symmetric && times[colour[j]] > 1;
    found[2 * k] = colour[c->reverse || mirror ? i : j];
    found[2 * k + 1] = c->reverse || mirror ? j : (int32_t)i;
  }
}

/* Items sorted by colour, by counting: start[c] to start[c + 1]. */
static void starts_of(int colours, int64_t n, const int32_t *colour, int step, int64_t *start) {
  for (int c = 0; c <= colours; c++) start[c] = 0;
  for (int64_t k = 0; k < n; k++)
    if (colour[k * step] >= 0) start[colour[k * step] + 1]++;
  for (int c = 0; c < colours; c++) start[c + 1] += start[c];
}
static void ends_to_starts(int colours, int64_t *start) {
  for (int c = colours; c > 0; c--) start[c] = start[c - 1];
  start[0] = 0;
}

static size_t starts_bytes(const cr__compression *c) { return (size_t)(c->colours + 1) * sizeof *c->start; }
static int64_t nonzeros_of(const cr__compression *c) { return c->pattern.start ? c->pattern.start[c->pattern.rows] : 0; }
static int64_t seeds_of(const cr__compression *c) { return c->reverse ? c->pattern.rows : c->pattern.columns; }

void cr__compression_free(cr_tape *t, cr__compression *c) {
  size_t n = (size_t)nonzeros_of(c) + 1;
  cr__resize(&t->counted, c->start, c->start ? starts_bytes(c) : 0, 0);
  cr__resize(&t->counted, c->seed_start, c->seed_start ? starts_bytes(c) : 0, 0);
  cr__resize(&t->counted, c->at, c->at ? n * sizeof *c->at : 0, 0);
  free_numbers(t, c->from, nonzeros_of(c));
  free_numbers(t, c->seed, seeds_of(c));
  cr__pattern_free(t, &c->pattern);
  *c = (cr__compression){0};
}

static bool fill(cr_tape *t, cr__compression *c, const int32_t *colour) {
  int64_t n = nonzeros_of(c), seeds = seeds_of(c);
  c->start = cr__resize_on(t, NULL, 0, starts_bytes(c));
  c->seed_start = cr__resize_on(t, NULL, 0, starts_bytes(c));
  c->at = cr__resize_on(t, NULL, 0, (size_t)(n + 1) * sizeof *c->at);
  c->from = numbers(t, n);
  c->seed = numbers(t, seeds);
  int32_t *found = numbers(t, 2 * n), *last = numbers(t, 2 * (int64_t)c->colours);
  bool good = c->start && c->seed_start && c->at && c->from && c->seed && found && last;
  if (good) {
    for (int k = 0; k < c->colours; k++) last[k] = -1;
    for (int64_t i = 0; i < c->pattern.rows; i++) place_row(c, colour, i, last, last + c->colours, found);
    starts_of(c->colours, n, found, 2, c->start);
    for (int64_t k = 0; k < n; k++) {
      int64_t to = c->start[found[2 * k]]++;
      c->at[to] = k;
      c->from[to] = found[2 * k + 1];
    }
    ends_to_starts(c->colours, c->start);
    starts_of(c->colours, seeds, colour, 1, c->seed_start);
    for (int64_t k = 0; k < seeds; k++)
      if (colour[k] >= 0) c->seed[c->seed_start[colour[k]]++] = (int32_t)k;
    ends_to_starts(c->colours, c->seed_start);
  }
  free_numbers(t, found, 2 * n);
  free_numbers(t, last, 2 * (int64_t)c->colours);
  return good;
}

bool cr__compress(cr_tape *t, cr__compression *c, cr__pattern *p, bool symmetric) {
  *c = (cr__compression){.pattern = *p, .symmetric = symmetric};
  *p = (cr__pattern){0};
  const cr__pattern *own = &c->pattern;
  cr__pattern q = {0};
  int32_t *column = numbers(t, own->columns), *row = numbers(t, own->rows);
  bool good = column && row && (symmetric || cr__pattern_transposed(t, own, &q));
  if (good) {
    int n = symmetric ? cr__colour_star(t, own, column) : choose(t, own, &q, column, row, &c->reverse);
    good = n >= 0;
    c->colours = good ? n : 0;
  }
  good = good && fill(t, c, c->reverse ? row : column);
  free_numbers(t, column, own->columns);
  free_numbers(t, row, own->rows);
  cr__pattern_free(t, &q);
  if (!good) cr__compression_free(t, c);
  return good;
}
