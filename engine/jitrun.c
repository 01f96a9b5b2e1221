/* Runs compiled blocks. */
#include "graph.h"
#include "parallel.h"

typedef struct code_run {
  cr_tape *t;
  const cr__blocks *b;
  double *partials; /* of fold f and block k: [f * n_blocks + k] */
} code_run;

static char *data_of(const cr_tape *t, uint32_t id) {
  return cr__is_record(t, id) ? t->slot[id].tensor->data : (char *)&t->slot[id].num;
}

static void *array_of(const code_run *r, const cr__feed *f, char *space, int64_t at, int64_t n) {
  char *slot = f->slot < 0 ? NULL : space + (size_t)f->slot * r->b->slot_bytes;
  if (f->step < 0) return cr__side_by_side(r->t->slot[f->id].tensor->like, data_of(r->t, f->id), at, n, slot);
  if (slot) return slot;
  size_t size = cr_dtype_size(cr__is_record(r->t, f->id) ? (cr_dtype)r->t->slot[f->id].tensor->like->dtype : CR_FLOAT64);
  return data_of(r->t, f->id) + (size_t)(at * f->step) * size;
}

static int64_t start_of(const cr__blocks *b, int64_t block) {
  const int64_t whole = b->code->whole, start = (b->start[block] + whole - 1) / whole * whole;
  return start < b->count ? start : b->count;
}

static void run_at(const code_run *r, char *space, int64_t at, int64_t n, void **array, double *part) {
  const cr__code *c = r->b->code;
  for (int k = 0; k < c->n_arrays; k++) array[k] = array_of(r, &c->array[k], space, at, n);
  c->run(array, (int)n, part);
}

static void run_block(const code_run *r, char *space, int64_t block) {
  const cr__blocks *b = r->b;
  const cr__code *c = b->code;
  const int64_t at = start_of(b, block), n = start_of(b, block + 1) - at;
  void *array[CR__MOST_ARRAYS];
  double part[CR__MOST_FOLDS];
  run_at(r, space, at, n, array, part);
  for (int i = 0; b->n_folds && i < b->n_lines; i++) {
    const cr__line *l = &b->line[i];
    if (l->fold < 0) continue;
    const int from = c->fold[l->fold];
    r->partials[l->fold * b->n_blocks + block] = from < 0 ? part[l->fold] : l->op->fold->part(l->dtype, n, array[from]);
  }
}

static void run_blocks(void *context, int64_t from, int64_t to) {
  _Alignas(64) char space[CR__BLOCK_SPACE];
  for (int64_t block = from; block < to; block++) run_block(context, space, block);
}

void cr__run_code_range(cr_tape *t, const cr__blocks *b, char *space, int64_t from, int64_t n) {
  void *array[CR__MOST_ARRAYS];
  double part[CR__MOST_FOLDS];
  run_at(&(code_run){t, b, NULL}, space, from, n, array, part);
}

void cr__run_code(cr_tape *t, const cr__blocks *b, double *partials) {
  code_run r = {t, b, partials};
  cr__parallel(t, b->n_blocks, 1 + CR__BLOCK / b->length, run_blocks, &r);
}
