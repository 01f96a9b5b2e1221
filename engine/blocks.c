/* Runs chains of elementwise operations block by block: what passes from line to line stays in the first-level cache. */
#include "graph.h"
#include "parallel.h"

typedef struct blocks_run {
  const cr_tape *t;
  const cr__blocks *b;
  double *partials;          /* of fold f and block k: [f * n_blocks + k] */
} blocks_run;

typedef struct operand {
  void *data;
  int64_t step;
} operand;

static void *data_of(const cr_tape *t, uint32_t id) {
  union {
    const double *in;
    void *out;
  } number = {&t->slot[id].num};
  return cr__is_record(t, id) ? t->slot[id].tensor->array.data : number.out;
}

/* n elements of a strided array from row-major position at, densely. */
static void gather(const cr_array *a, int64_t at, int64_t n, char *to) {
  size_t size = cr_dtype_size((cr_dtype)a->dtype);
  const int last = a->rank - 1;
  const int64_t width = a->dim[last];
  for (int64_t run; n > 0; at += run, n -= run, to += (size_t)run * size) {
    run = width - at % width < n ? width - at % width : n;
    cr_array from = {
        .data = (char *)a->data + cr_array_offset(a, at) * (int64_t)size, .count = run, .rank = 1, .dtype = a->dtype};
    cr_array dense = from;
    from.dim[0] = dense.dim[0] = run;
    from.stride[0] = a->stride[last], dense.stride[0] = 1;
    dense.data = to;
    cr_array_copy(&dense, &from);
  }
}

static operand feed(const blocks_run *r, const cr__line *l, const cr__feed *f, char *space, int64_t at, int64_t n) {
  char *slot = f->slot < 0 ? NULL : space + (size_t)f->slot * r->b->slot_bytes;
  if (slot && f->step > 0) return (operand){slot, 1};
  if (f->step < 0) {
    gather(&r->t->slot[f->id].tensor->array, at, n, slot);
    return (operand){slot, 1};
  }
  size_t size = cr_dtype_size(cr__is_record(r->t, f->id) ? (cr_dtype)r->t->slot[f->id].tensor->array.dtype : CR_FLOAT64);
  (void)l;
  return (operand){(char *)data_of(r->t, f->id) + (size_t)(at * f->step) * size, f->step};
}

static cr_array run_of(cr_dtype dtype, const operand *o, int64_t n) {
  cr_array a = {.data = o->data, .count = n, .rank = 1, .dtype = (uint8_t)dtype, .contiguous = o->step == 1};
  a.dim[0] = n;
  a.stride[0] = o->step;
  return a;
}

/* An op that is pointwise without being a row, by its kernel: its arrays are short enough that it stays on this thread. */
static void run_kernel(const blocks_run *r, const cr__line *l, const operand *in, const operand *out, int64_t n) {
  cr_array arrays[3], result = run_of(l->out_dtype, out, n);
  for (int k = 0; k < l->n; k++) arrays[k] = run_of((cr_dtype)cr__array_of(r->t, l->in[k].id).dtype, &in[k], n);
  cr_eval c = {NULL, l->op, l->n, arrays, cr__attr_of(r->t, l->id), &result};
  l->op->eval(&c);
}

static void run_line(const blocks_run *r, const cr__line *l, char *space, int64_t block) {
  const cr__blocks *b = r->b;
  const int64_t at = b->start[block], n = b->start[block + 1] - at;
  operand in[3], out = {NULL, 1};
  for (int k = 0; k < l->n; k++) in[k] = feed(r, l, &l->in[k], space, at, n);
  if (l->fold >= 0) {
    r->partials[l->fold * b->n_blocks + block] = l->op->fold->part(l->dtype, n, in[0].data);
    return;
  }
  if (l->slot >= 0) out.data = space + (size_t)l->slot * b->slot_bytes;
  else out.data = (char *)data_of(r->t, l->id) + (size_t)at * cr_dtype_size(l->out_dtype);
  const operand *other = &in[l->n - 1];
  if (l->op->row) l->op->row->loop(l->dtype, n, in[0].data, in[0].step, other->data, other->step, out.data);
  else run_kernel(r, l, in, &out, n);
}

static void run_blocks(void *context, int64_t from, int64_t to) {
  const blocks_run *r = context;
  _Alignas(64) char space[CR__BLOCK_SPACE];
  for (int64_t block = from; block < to; block++)
    for (int i = 0; i < r->b->n_lines; i++) run_line(r, &r->b->line[i], space, block);
}

/* The parts of n elements joined as the halves were parted; *next moves on. */
static double join(const cr_fold *fold, int64_t n, int64_t most, const double **next) {
  if (n <= most) return *(*next)++;
  double left = join(fold, n / 2, most, next);
  return fold->join(left, join(fold, n - n / 2, most, next));
}

cr_status cr__run_blocks(cr_tape *t, const cr__blocks *b, char *memory) {
  blocks_run r = {t, b, (double *)(void *)(memory + b->partials)};
  cr__parallel(t, b->n_blocks, 1 + CR__BLOCK / b->length, run_blocks, &r);
  for (int i = 0; i < b->n_lines; i++) {
    const cr__line *l = &b->line[i];
    if (l->fold < 0) continue;
    const double *next = r.partials + l->fold * b->n_blocks;
    cr_array_set(&t->slot[l->id].tensor->array, 0, join(l->op->fold, b->count, b->length, &next));
  }
  return CR_OK;
}
