/* Runs chains of elementwise operations block by block: what passes from line to line stays in the first-level cache. */
#include "graph.h"
#include "parallel.h"

typedef struct blocks_run {
  cr__lines lines;
  double *partials;          /* of fold f and block k: [f * n_blocks + k] */
} blocks_run;

/* Where the numbers of a node are. */
static uintptr_t address_of(const cr_tape *t, uint32_t id) {
  return cr__is_record(t, id) ? (uintptr_t)t->slot[id].tensor->data : (uintptr_t)&t->slot[id].num;
}

static cr__cell cell_of(const cr_tape *t, const cr__blocks *b, uint32_t id, int32_t slot, int64_t step) {
  size_t size = cr_dtype_size((cr_dtype)cr__array_of(t, id).dtype);
  if (slot >= 0) return (cr__cell){(size_t)slot * b->slot_bytes, ~(uintptr_t)0, 0, 1};
  return (cr__cell){address_of(t, id), 0, step * (int64_t)size, step};
}

cr__cell *cr__make_cells(cr_tape *t, const cr__blocks *b) {
  cr__cell *cells = cr__alloc(t, (size_t)b->n_lines * CR__CELLS * sizeof *cells);
  for (int i = 0; cells && i < b->n_lines; i++) {
    const cr__line *l = &b->line[i];
    cr__cell *c = cells + (ptrdiff_t)i * CR__CELLS;
    for (int k = 0; k < l->n; k++) c[k] = cell_of(t, b, l->in[k].id, l->in[k].slot, l->in[k].step);
    for (int k = l->n; k < CR__CELLS - 1; k++) c[k] = c[0];
    c[CR__CELLS - 1] = cell_of(t, b, l->id, l->slot, 1);
  }
  return cells;
}

static void gather_run(size_t size, int64_t n, const char *from, int64_t step, char *to) {
  if (step == 1) memcpy(to, from, (size_t)n * size);
  else if (size == 4)
    for (int64_t i = 0; i < n; i++) ((uint32_t *)(void *)to)[i] = ((const uint32_t *)(const void *)from)[i * step];
  else if (size == 8)
    for (int64_t i = 0; i < n; i++) ((uint64_t *)(void *)to)[i] = ((const uint64_t *)(const void *)from)[i * step];
  else
    for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
}

void cr__gather(const cr_array *a, const char *data, int64_t at, int64_t n, char *to) {
  const size_t size = cr_dtype_size((cr_dtype)a->dtype);
  const int last = a->rank - 1;
  int64_t index[CR_MAX_RANK], offset = 0;
  for (int i = last; i >= 0; at /= a->dim[i], i--) {
    index[i] = at % a->dim[i];
    offset += index[i] * a->stride[i];
  }
  for (int64_t run; n > 0; n -= run, to += (size_t)run * size) {
    run = a->dim[last] - index[last] < n ? a->dim[last] - index[last] : n;
    gather_run(size, run, data + offset * (int64_t)size, a->stride[last], to);
    index[last] += run;
    offset += run * a->stride[last];
    for (int i = last; i > 0 && index[i] == a->dim[i]; i--) { /* on to the next row */
      offset += a->stride[i - 1] - a->dim[i] * a->stride[i];
      index[i] = 0;
      index[i - 1]++;
    }
  }
}

static cr_array run_of(cr_dtype dtype, void *data, int64_t step, int64_t n) {
  cr_array a = {.data = data, .count = n, .rank = 1, .dtype = (uint8_t)dtype, .contiguous = step == 1};
  a.dim[0] = n;
  a.stride[0] = step;
  return a;
}

/* Elements of one row of a strided array need no copy; kernels take them side by side, or one for all. */
static bool within_row(const cr_array *a, char *data, int64_t at, int64_t n, bool by_kernel, void **found, int64_t *step) {
  const int last = a->rank - 1;
  if (at % a->dim[last] + n > a->dim[last] || (by_kernel && a->stride[last] != 0 && a->stride[last] != 1)) return false;
  *found = data + cr_array_offset(a, at) * (int64_t)cr_dtype_size((cr_dtype)a->dtype);
  *step = a->stride[last];
  return true;
}

void *cr__side_by_side(const cr_array *like, char *data, int64_t at, int64_t n, char *to) {
  void *found;
  int64_t step;
  if (within_row(like, data, at, n, true, &found, &step) && step == 1) return found;
  cr__gather(like, data, at, n, to);
  return to;
}

/* An op that is pointwise without being a row, by its kernel: its arrays are short enough that it stays on this thread. */
static void run_kernel(const cr__lines *r, const cr__line *l, const int64_t *step, void *const *data, int64_t n) {
  cr_array arrays[3], result = run_of(l->out_dtype, data[CR__CELLS - 1], 1, n);
  for (int k = 0; k < l->n; k++)
    arrays[k] = run_of((cr_dtype)cr__array_of(r->t, l->in[k].id).dtype, data[k], step[k], n);
  cr_eval e = {NULL, l->op, l->n, arrays, cr__attr_of(r->t, l->id), &result, NULL};
  l->op->eval(&e);
}

void cr__run_line(const cr__lines *r, int i, char *space, int64_t at, int64_t n, double *part) {
  const cr__blocks *b = r->b;
  const cr__line *l = &b->line[i];
  const cr__cell *c = r->cells + (ptrdiff_t)i * CR__CELLS;
  void *data[CR__CELLS];
  int64_t step[CR__CELLS];
  data[CR__CELLS - 1] = cr__cell_at(&c[CR__CELLS - 1], space, at);
  for (int k = 0; k < l->n; k++) {
    data[k] = cr__cell_at(&c[k], space, at);
    step[k] = c[k].step;
    if (l->in[k].step >= 0) continue;
    const cr_tensor *from = r->t->slot[l->in[k].id].tensor;
    if (!within_row(from->like, from->data, at, n, !l->op->row, &data[k], &step[k]))
      cr__gather(from->like, from->data, at, n, data[k]);
  }
  if (l->fold >= 0) part[l->fold * b->n_blocks] = l->op->fold->part(l->dtype, n, data[0]);
  else if (!l->op->row) run_kernel(r, l, step, data, n);
  else l->op->row->loop(l->dtype, n, data[0], step[0], data[l->n - 1], step[l->n - 1], data[CR__CELLS - 1]);
}

static void run_blocks(void *context, int64_t from, int64_t to) {
  const blocks_run *r = context;
  _Alignas(64) char space[CR__BLOCK_SPACE];
  const cr__blocks *b = r->lines.b;
  for (int64_t block = from; block < to; block++)
    for (int i = 0; i < b->n_lines; i++)
      cr__run_line(&r->lines, i, space, b->start[block], b->start[block + 1] - b->start[block], r->partials + block);
}

void cr__run_range(const struct cr_tail *tail, int64_t from, int64_t n) {
  const cr__blocks *b = tail->blocks;
  const cr__lines lines = {tail->t, b, tail->cells};
  _Alignas(64) char space[CR__BLOCK_SPACE];
  for (int64_t some; n > 0; from += some, n -= some) {
    some = n < b->length ? n : b->length;
    if (b->code) cr__run_code_range(tail->t, b, space, from, some);
    else
      for (int i = 0; i < b->n_lines; i++) cr__run_line(&lines, i, space, from, some, NULL);
  }
}

void cr_ready(const cr_eval *c, int64_t from, int64_t n) {
  if (c->tail) cr__run_range(c->tail, from, n);
}

/* The parts of n elements joined as the halves were parted; *next moves on. */
static double join(const cr_fold *fold, int64_t n, int64_t most, const double **next) {
  if (n <= most) return *(*next)++;
  double left = join(fold, n / 2, most, next);
  return fold->join(left, join(fold, n - n / 2, most, next));
}

cr_status cr__run_blocks(cr_tape *t, const cr__blocks *b, cr__cell *cells, char *memory) {
  blocks_run r = {{t, b, cells}, (double *)(void *)(memory + b->partials)};
  if (b->code) cr__run_code(t, b, r.partials);
  else cr__parallel(t, b->n_blocks, 1 + CR__BLOCK / b->length, run_blocks, &r);
  for (int i = 0; i < b->n_lines; i++) {
    const cr__line *l = &b->line[i];
    if (l->fold < 0) continue;
    const double *next = r.partials + l->fold * b->n_blocks;
    cr_array result = cr__array_of(t, l->id);
    cr_array_set(&result, 0, join(l->op->fold, b->count, b->length, &next));
  }
  return CR_OK;
}
