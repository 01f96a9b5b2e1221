/* Plans of sparse derivatives: sweeps over scalars in vector mode, or a captured product with seeds where there are tensors.
 */
#include "graph.h"
#include "lanes.h"
#include "sparsity.h"

struct cr_sparse_plan {
  cr_owned owned;
  cr_tape *t;
  cr_arena memory; /* of what follows */
  cr__compression matrix;
  int m, n;
  cr_var *y, *x;
  bool scalars;   /* all of x and y are inline */
  int *order;     /* then x by id; else */
  cr_fn *product; /* of the leaves and seeds that matter */
  cr_workspace *space;
  int n_leaves;
  cr_var *leaf;
  cr_array *in, *out;           /* leaves, then seeds; results */
  char *seeds, *results;        /* eight bytes for each element, but the elements of a tensor lie densely */
  int64_t *seed_at, *result_at; /* by element: the byte, plus one for float32 */
};
typedef cr_sparse_plan plan;

static void destroy(cr_tape *t, cr_owned *self) {
  plan *p = (plan *)(void *)self;
  cr_workspace_free(p->space);
  cr_fn_free(p->product);
  cr__compression_free(t, &p->matrix);
  cr__arena_free(&p->memory);
  cr__resize(&t->counted, p, sizeof *p, 0);
}

static void *take(plan *p, size_t n, size_t size) {
  void *memory = cr__arena_take(&p->memory, n ? n * size : 1, 64);
  if (!memory) cr__out_of_memory(p->t);
  else memset(memory, 0, n * size);
  return memory;
}

/* Arguments */

static bool check(cr_tape *t, int n, const cr_var *v, const char *what, bool leaves) {
  char text[256];
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, v[k])) return false;
    if (!v[k].id) return cr_fail(t, CR_POISONED, "sparse: %s %d is the poison node", what, k), false;
    if (cr_dtype_of(v[k]) < CR_FLOAT32)
      return cr_fail(t, CR_NOT_DIFFERENTIABLE, "sparse: %s %d is %s: only float64 and float32 have derivatives", what, k,
                     cr__describe(t, v[k], text, sizeof text)),
             false;
    if (leaves && (cr_op_of(v[k]) || cr_is_const(v[k])))
      return cr_fail(t, CR_BAD_ARGUMENT, "sparse: %s %d is no input leaf", what, k), false;
  }
  return true;
}

static bool check_distinct(cr_tape *t, int n, const cr_var *x) {
  unsigned char *seen = cr__resize_on(t, NULL, 0, t->count);
  if (!seen) return false;
  memset(seen, 0, t->count);
  int k = 0;
  while (k < n && !seen[x[k].id]++) k++;
  cr__resize(&t->counted, seen, t->count, 0);
  if (k < n) cr_fail(t, CR_BAD_ARGUMENT, "sparse: input %d is an earlier input again", k);
  return k == n;
}

/* Scalars */

static bool are_inline(const cr_tape *t, int n, const cr_var *v) {
  for (int k = 0; k < n; k++)
    if (cr__is_record(t, v[k].id)) return false;
  return true;
}

/* x by id: merge sort from below. */
static bool sort_inputs(plan *p) {
  int n = p->n, *from = take(p, (size_t)n, sizeof *from), *to = take(p, (size_t)n, sizeof *to);
  if (!from || !to) return false;
  for (int k = 0; k < n; k++) from[k] = k;
  for (int run = 1; run<n; run = run> n / 2 ? n : 2 * run) {
    for (int low = 0, at = 0; low < n; low = at) {
      int middle = n - low > run ? low + run : n, high = n - middle > run ? middle + run : n, i = low, j = middle;
      while (at < high) to[at++] = i < middle && (j == high || p->x[from[i]].id < p->x[from[j]].id) ? from[i++] : from[j++];
    }
    int *swap = from;
    from = to;
    to = swap;
  }
  p->order = from;
  return true;
}

enum { TANGENT_BYTES = 1 << 26, MOST_TANGENTS = 64 };

/* As many colours at once as take little memory, in groups of eight. */
static int colours_at_once(const plan *p) {
  int most = MOST_TANGENTS;
  while (most > CR__LANES && (size_t)most * p->t->count * sizeof(double) > TANGENT_BYTES) most /= 2;
  return p->matrix.colours < most ? p->matrix.colours : most;
}

/* The colour of each element that has a seed, else -1. */
static void colours_of(const cr__compression *c, int64_t n, int32_t *colour) {
  for (int64_t k = 0; k < n; k++) colour[k] = -1;
  for (int32_t k = 0; k < c->colours; k++)
    for (int64_t i = c->seed_start[k]; i < c->seed_start[k + 1]; i++) colour[c->seed[i]] = k;
}

static bool forward_pass(plan *p, int first, int k, const int32_t *colour, double *row, double *values) {
  const cr__compression *c = &p->matrix;
  cr_tangents *s = cr_tangents_new(p->t, k);
  double seed[MOST_TANGENTS] = {0};
  for (int j = 0; s && j < p->n; j++) {
    int32_t lane = colour[p->order[j]] - first;
    if (colour[p->order[j]] < first || lane >= k) continue;
    seed[lane] = 1;
    if (cr_tangents_set(s, p->x[p->order[j]], seed) != CR_OK) return false;
    seed[lane] = 0;
  }
  for (int i = 0; s && i < p->m; i++) {
    const double *tangent = cr_tangents_of(s, p->y[i]);
    if (!tangent) return false;
    memcpy(row + (size_t)i * (size_t)k, tangent, (size_t)k * sizeof *row);
  }
  for (int lane = 0; s && lane < k; lane++)
    for (int64_t i = c->start[first + lane]; i < c->start[first + lane + 1]; i++)
      values[c->at[i]] = row[(size_t)c->from[i] * (size_t)k + (size_t)lane];
  return s != NULL;
}

static void forward_scalars(plan *p, double *values) {
  cr_tape *t = p->t;
  int at_once = colours_at_once(p);
  size_t bytes = (size_t)p->n * sizeof(int32_t) + 8 + (size_t)p->m * (size_t)at_once * sizeof(double);
  double *row = cr__resize_on(t, NULL, 0, bytes);
  int32_t *colour = (int32_t *)(void *)(row + (size_t)p->m * (size_t)at_once);
  if (!row) return;
  colours_of(&p->matrix, p->n, colour);
  for (int first = 0; first < p->matrix.colours && t->error == CR_OK; first += at_once) {
    int left = p->matrix.colours - first;
    cr_mark mark = cr_mark_here(t);
    forward_pass(p, first, left < at_once ? left : at_once, colour, row, values);
    cr__rewind(t, mark);
  }
  cr__resize(&t->counted, row, bytes, 0);
}

static void reverse_scalars(plan *p, double *values) {
  cr_tape *t = p->t;
  const cr__compression *c = &p->matrix;
  uint32_t lo = p->x[p->order[0]].id, hi = lo, chunk = t->arena.current;
  size_t used = t->arena.used;
  cr_slopes slopes;
  for (int i = 0; i < p->m; i++) hi = p->y[i].id > hi ? p->y[i].id : hi;
  if (!cr__slopes_make(t, &slopes)) return;
  cr_lanes *bar = cr__alloc(t, (size_t)(hi - lo + 1) * sizeof *bar);
  for (int first = 0; bar && first < c->colours; first += CR__LANES) {
    int lanes = c->colours - first < CR__LANES ? c->colours - first : CR__LANES;
    memset(bar, 0, (size_t)(hi - lo + 1) * sizeof *bar);
    for (int l = 0; l < lanes; l++)
      for (int64_t i = c->seed_start[first + l]; i < c->seed_start[first + l + 1]; i++)
        if (p->y[c->seed[i]].id >= lo) bar[p->y[c->seed[i]].id - lo][l] += 1;
    cr__cotangents(t, slopes, bar, lo, hi);
    for (int l = 0; l < lanes; l++)
      for (int64_t i = c->start[first + l]; i < c->start[first + l + 1]; i++)
        values[c->at[i]] = bar[p->x[c->from[i]].id - lo][l];
  }
  cr__arena_reset(&t->arena, chunk, used);
  cr__slopes_free(t, &slopes);
}

static cr_status evaluate_scalars(plan *p, double *values) {
  cr_tape *t = p->t;
  if (t->slow || !t->table->scalar_run) cr_replay(t);
  else t->table->scalar_run(t, 1, t->count);
  if (t->error != CR_OK) return t->error;
  if (p->matrix.reverse) reverse_scalars(p, values);
  else forward_scalars(p, values);
  return t->error;
}

/* Tensors */

/* An input leaf of zeros like each of v. */
static bool seed_leaves(cr_tape *t, int n, const cr_var *v, cr_var *seed) {
  for (int k = 0; k < n; k++) {
    cr_array a = cr__array_of(t, v[k].id);
    seed[k] = cr__is_record(t, v[k].id) ? cr_tensor_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL) : cr_input(t, 0);
    if (!seed[k].id) return false;
  }
  return true;
}

/* The float leaves that y depends on. */
static bool find_leaves(plan *p) {
  cr_tape *t = p->t;
  uint32_t *end = cr__resize_on(t, NULL, 0, t->count + (size_t)p->m * sizeof *end);
  if (!end) return false;
  unsigned char *needed = (unsigned char *)(end + p->m);
  for (int k = 0; k < p->m; k++) end[k] = p->y[k].id;
  cr__mark_needed(t, p->m, end, needed);
  for (int pass = 0; pass < 2; pass++) {
    p->n_leaves = 0;
    for (uint32_t id = 1; id < t->count; id++) {
      cr_var v = cr__handle(t, id);
      if (!needed[id] || !cr_is_input(v) || cr_dtype_of(v) < CR_FLOAT32) continue;
      if (pass && p->leaf) p->leaf[p->n_leaves] = v;
      p->n_leaves++;
    }
    if (!pass) p->leaf = take(p, (size_t)p->n_leaves, sizeof *p->leaf);
  }
  cr__resize(&t->counted, end, t->count + (size_t)p->m * sizeof *end, 0);
  return p->leaf != NULL;
}

/* The captured product: of leaves and seeds. */
static bool capture(plan *p) {
  cr_tape *t = p->t;
  bool reverse = p->matrix.reverse;
  int seeds = reverse ? p->m : p->n, results = reverse ? p->n : p->m, inputs = p->n_leaves + seeds;
  cr_var *in = cr__resize_on(t, NULL, 0, (size_t)(inputs + results) * sizeof *in), *out = in + inputs;
  if (!in) return false;
  cr_mark mark = cr_mark_here(t);
  if (p->n_leaves) memcpy(in, p->leaf, (size_t)p->n_leaves * sizeof *in);
  bool good = seed_leaves(t, seeds, reverse ? p->y : p->x, in + p->n_leaves);
  if (good && reverse) good = cr_vjp_many(p->m, p->y, in + p->n_leaves, p->n, p->x, out) == CR_OK;
  else if (good) good = cr_jvp(p->m, p->y, p->n, p->x, in + p->n_leaves, out) == CR_OK;
  if (good) p->product = cr_capture(t, inputs, in, results, out, 0, NULL, CR_FN_EXACT);
  cr__rewind(t, mark);
  cr__resize(&t->counted, in, (size_t)(inputs + results) * sizeof *in, 0);
  p->space = p->product ? cr_workspace_new(p->product) : NULL;
  if (p->product && !p->space) cr__out_of_memory(t);
  return p->space != NULL;
}

/* Memory of each of v, arrays over it, and the place of each element in it. */
static bool lay_out(plan *p, int n, const cr_var *v, char **memory, cr_array *array, int64_t **at) {
  int64_t count = 0, element = 0;
  for (int k = 0; k < n; k++) count += cr__array_of(p->t, v[k].id).count;
  *memory = take(p, (size_t)count, sizeof(double));
  *at = take(p, (size_t)count, sizeof **at);
  if (!*memory || !*at) return false;
  for (int k = 0; k < n; k++) {
    cr_array a = cr__array_of(p->t, v[k].id);
    cr_array_init(&array[k], (cr_dtype)a.dtype, a.rank, a.dim);
    int64_t first = 8 * element, size = (int64_t)cr_dtype_size((cr_dtype)a.dtype);
    array[k].data = *memory + first;
    for (int64_t i = 0; i < a.count; i++) (*at)[element++] = (first + i * size) | (size == 4);
  }
  return true;
}

static bool prepare_tensors(plan *p) {
  bool reverse = p->matrix.reverse;
  int seeds = reverse ? p->m : p->n, results = reverse ? p->n : p->m;
  const cr_var *seeded = reverse ? p->y : p->x, *read = reverse ? p->x : p->y;
  if (!find_leaves(p) || !capture(p)) return false;
  p->in = take(p, (size_t)(p->n_leaves + seeds), sizeof *p->in);
  p->out = take(p, (size_t)results, sizeof *p->out);
  return p->in && p->out && lay_out(p, seeds, seeded, &p->seeds, p->in + p->n_leaves, &p->seed_at) &&
         lay_out(p, results, read, &p->results, p->out, &p->result_at);
}

static void put_number(char *memory, int64_t at, double x) {
  if (at & 1) *(float *)(void *)(memory + at - 1) = (float)x;
  else *(double *)(void *)(memory + at) = x;
}
static double number_at(const char *memory, int64_t at) {
  return at & 1 ? (double)*(const float *)(const void *)(memory + at - 1) : *(const double *)(const void *)(memory + at);
}

static cr_status evaluate_tensors(plan *p, double *values) {
  const cr__compression *c = &p->matrix;
  cr_workspace_threads(p->space, (int)p->t->option[CR_THREADS]);
  for (int k = 0; k < p->n_leaves; k++) {
    if (!cr__valid(p->t, p->leaf[k])) return p->t->error;
    p->in[k] = cr__array_of(p->t, p->leaf[k].id);
  }
  for (int k = 0; k < c->colours; k++) {
    for (int64_t i = c->seed_start[k]; i < c->seed_start[k + 1]; i++) put_number(p->seeds, p->seed_at[c->seed[i]], 1);
    cr_status status = cr_fn_run(p->product, p->space, p->in, p->out);
    for (int64_t i = c->seed_start[k]; i < c->seed_start[k + 1]; i++) put_number(p->seeds, p->seed_at[c->seed[i]], 0);
    if (status != CR_OK) return cr_fail(p->t, status, "sparse: %s", cr_workspace_error(p->space)), p->t->error;
    for (int64_t i = c->start[k]; i < c->start[k + 1]; i++)
      values[c->at[i]] = number_at(p->results, p->result_at[c->from[i]]);
  }
  return CR_OK;
}

/* Plans */

static plan *new_plan(cr_tape *t, int m, const cr_var *y, int n, const cr_var *x) {
  plan *p = cr__resize_on(t, NULL, 0, sizeof *p);
  if (!p) return NULL;
  *p = (plan){.t = t, .m = m, .n = n};
  cr__arena_init(&p->memory, &t->counted);
  cr__own(t, &p->owned, destroy);
  p->y = take(p, (size_t)m, sizeof *p->y);
  p->x = take(p, (size_t)n, sizeof *p->x);
  if (!p->y || !p->x) return NULL;
  memcpy(p->y, y, (size_t)m * sizeof *y);
  memcpy(p->x, x, (size_t)n * sizeof *x);
  p->scalars = are_inline(t, m, y) && are_inline(t, n, x);
  return p;
}

static plan *planned(cr_tape *t, int m, const cr_var *y, int n, const cr_var *x, bool symmetric) {
  cr_mark mark = cr_mark_here(t);
  plan *p = new_plan(t, m, y, n, x);
  cr__pattern pattern = {0};
  bool good = p && cr__pattern_make(t, m, y, n, x, &pattern) && (!symmetric || cr__pattern_symmetrize(t, &pattern)) &&
              cr__compress(t, &p->matrix, &pattern, symmetric);
  cr__pattern_free(t, &pattern);
  if (good && p->matrix.colours) good = p->scalars ? sort_inputs(p) : prepare_tensors(p);
  if (!good) cr__rewind(t, mark);
  return good ? p : NULL;
}

cr_sparse_plan *cr_sparse_jacobian(int m, const cr_var *y, int n, const cr_var *x) {
  cr_tape *t = m > 0 ? y[0].tape : NULL;
  if (!t || n < 1 || t->error != CR_OK) return NULL;
  if (!check(t, m, y, "output", false) || !check(t, n, x, "input", true) || !check_distinct(t, n, x)) return NULL;
  return planned(t, m, y, n, x, false);
}

/* Of scalars the gradient stays, of tensors it goes into the captured product. */
static plan *hessian(cr_tape *t, cr_var y, int n, const cr_var *x, cr_var *gradient) {
  bool scalars = are_inline(t, 1, &y) && are_inline(t, n, x);
  cr_mark mark = cr_mark_here(t);
  plan *p = cr_grad(y, n, x, gradient) == CR_OK ? planned(t, n, gradient, n, x, true) : NULL;
  if (p && scalars) return p;
  if (!p) {
    cr__rewind(t, mark);
    return NULL;
  }
  cr_owned **o = &t->owned; /* it outlives the gradient */
  while (*o != &p->owned) o = &(*o)->next;
  *o = p->owned.next;
  cr__rewind(t, mark);
  cr__own(t, &p->owned, destroy);
  return p;
}

cr_sparse_plan *cr_sparse_hessian(cr_var y, int n, const cr_var *x) {
  cr_tape *t = y.tape;
  if (!t || n < 1 || t->error != CR_OK) return NULL;
  if (!check(t, 1, &y, "output", false) || !check(t, n, x, "input", true) || !check_distinct(t, n, x)) return NULL;
  cr_var *gradient = cr__resize_on(t, NULL, 0, (size_t)n * sizeof *gradient);
  plan *p = gradient ? hessian(t, y, n, x, gradient) : NULL;
  cr__resize(&t->counted, gradient, gradient ? (size_t)n * sizeof *gradient : 0, 0);
  return p;
}

cr_status cr_sparse_evaluate(cr_sparse_plan *p, double *values) {
  cr_tape *t = p->t;
  if (t->error != CR_OK || !p->matrix.colours) return t->error;
  return p->scalars ? evaluate_scalars(p, values) : evaluate_tensors(p, values);
}

/* The pattern */

cr_sparse_pattern cr_sparse_pattern_of(const cr_sparse_plan *p) {
  const cr__pattern *s = &p->matrix.pattern;
  return (cr_sparse_pattern){s->rows,   s->columns,        s->start[s->rows], s->start,
                             s->column, p->matrix.colours, p->matrix.reverse, p->matrix.symmetric};
}

static void put_index(void *to, cr_dtype dtype, int64_t at, int64_t index) {
  if (dtype == CR_INT64) ((int64_t *)to)[at] = index;
  else ((int32_t *)to)[at] = (int32_t)index;
}

static cr_status check_dtype(const cr_sparse_plan *p, cr_dtype dtype) {
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  if (dtype != CR_INT32 && dtype != CR_INT64) {
    cr_fail(p->t, CR_BAD_DTYPE, "sparse: indices are int32 or int64, not %s", cr_dtype_name(dtype));
    return CR_BAD_DTYPE;
  }
  if (dtype == CR_INT64 || s.nonzeros <= INT32_MAX) return CR_OK;
  cr_fail(p->t, CR_OVER_LIMIT, "sparse: %lld nonzeros need int64 indices", (long long)s.nonzeros);
  return CR_OVER_LIMIT;
}

cr_status cr_sparse_csr(const cr_sparse_plan *p, cr_dtype dtype, void *starts, void *columns) {
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  cr_status status = check_dtype(p, dtype);
  for (int64_t i = 0; status == CR_OK && i <= s.rows; i++) put_index(starts, dtype, i, s.start[i]);
  for (int64_t k = 0; status == CR_OK && k < s.nonzeros; k++) put_index(columns, dtype, k, s.column[k]);
  return status;
}

cr_status cr_sparse_coo(const cr_sparse_plan *p, cr_dtype dtype, void *rows, void *columns) {
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  cr_status status = check_dtype(p, dtype);
  for (int64_t i = 0; status == CR_OK && i < s.rows; i++)
    for (int64_t k = s.start[i]; k < s.start[i + 1]; k++) {
      put_index(rows, dtype, k, i);
      put_index(columns, dtype, k, s.column[k]);
    }
  return status;
}

cr_status cr_sparse_write_mm(const cr_sparse_plan *p, const double *values, cr_buffer *b) {
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  int64_t written = 0;
  for (int64_t i = 0; i < s.rows; i++)
    for (int64_t k = s.start[i]; k < s.start[i + 1]; k++) written += !s.symmetric || s.column[k] <= i;
  cr_put(b, "%%%%MatrixMarket matrix coordinate real %s\n", s.symmetric ? "symmetric" : "general");
  cr_put(b, "%lld %lld %lld\n", (long long)s.rows, (long long)s.columns, (long long)written);
  for (int64_t i = 0; i < s.rows; i++)
    for (int64_t k = s.start[i]; k < s.start[i + 1]; k++) {
      char number[32];
      if (s.symmetric && s.column[k] > i) continue;
      cr_put(b, "%lld %d %s\n", (long long)i + 1, s.column[k] + 1, cr_number_text(values[k], 0, number));
    }
  if (b->failed) cr__out_of_memory(p->t);
  return b->failed ? CR_NO_MEMORY : CR_OK;
}
