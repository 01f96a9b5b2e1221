/* Programs of blocks: lines, and the slots through which they pass numbers on. */
#include "planning.h"

enum { NO_SLOT = -1, SLOTS = 64 };

/* Last readers within a step's block. */
void cr__note_lines(cr__planning *p, const cr__step *s) {
  for (uint32_t id = s->from; id < s->to; id++) {
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    for (int k = 0; k < n; k++) p->fact[p->fact[in[k]].root].gathered = false;
  }
  for (uint32_t id = s->from; id < s->to; id++) {
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    if (p->fact[id].role == CR__ALIAS || p->fact[id].role == CR__VIEW) continue;
    for (int k = 0; k < n; k++) {
      cr__fact *root = &p->fact[p->fact[in[k]].root];
      root->last_line = id;
      if (!cr__is_flat_same(p->t, in[k], p->fact[in[k]].root)) root->gathered = true;
    }
  }
  if (p->fact[s->from].tail) { /* the kernel is still reading */
    int n;
    const uint32_t *in = cr__operands(p->t, p->fact[s->from].tail, &n);
    for (int k = 0; k < n; k++) p->fact[p->fact[in[k]].root].gathered = true;
  }
}

static int32_t even_step(const cr_array *a) {
  if (a->contiguous) return 1;
  for (int i = 0; i < a->rank; i++)
    if (a->stride[i] && a->dim[i] > 1) return -1;
  return 0;
}

/* Slots of a block's space; a slot is free again after the last line that reads it. */
typedef struct slots {
  uint32_t user[SLOTS];         /* the node whose numbers it holds, 0 none */
  int n;                     /* ever used */
} slots;

static int32_t free_slot(slots *s, uint32_t user) {
  for (int k = 0; k < SLOTS; k++)
    if (!s->user[k]) {
      s->user[k] = user;
      s->n = k + 1 > s->n ? k + 1 : s->n;
      return k;
    }
  return NO_SLOT;
}

static int32_t slot_of(const slots *s, uint32_t id) {
  for (int k = 0; k < s->n; k++)
    if (s->user[k] == id) return k;
  return NO_SLOT;
}

/* The slots of operands that nobody reads after this line: those whose numbers are as wide as the result, or the others. */
static void free_slots(const cr__planning *p, const cr__line *l, slots *s, bool same_width) {
  for (int k = 0; k < l->n; k++) {
    uint32_t root = p->fact[l->in[k].id].root;
    size_t size = cr_dtype_size((cr_dtype)cr__array_of(p->t, root).dtype);
    if (l->in[k].slot < 0 || (size == cr_dtype_size(l->out_dtype)) != same_width) continue;
    if (l->in[k].step < 0 || p->fact[root].last_line == l->id) s->user[l->in[k].slot] = 0;
  }
}

static bool fill_line(const cr__planning *p, cr__line *l, uint32_t id, slots *s) {
  const cr_tape *t = p->t;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  *l = (cr__line){.id = id, .slot = NO_SLOT, .op = t->op[cr__op_number(t, id)], .n = n, .fold = -1};
  l->dtype = (cr_dtype)cr__array_of(t, in[0]).dtype;
  l->out_dtype = (cr_dtype)cr__array_of(t, id).dtype;
  for (int k = 0; k < n; k++) {
    cr_array a = cr__array_of(t, in[k]);
    bool inside = !p->fact[p->fact[in[k]].root].stored;
    l->in[k] = (cr__feed){in[k], inside ? slot_of(s, p->fact[in[k]].root) : NO_SLOT, inside ? 1 : even_step(&a)};
    if (l->in[k].step < 0 && (l->in[k].slot = free_slot(s, CR__NEVER)) < 0) return false;
  }
  free_slots(p, l, s, true);
  if (p->fact[id].role == CR__MEMBER && !p->fact[id].stored && (l->slot = free_slot(s, id)) < 0) return false;
  free_slots(p, l, s, false);
  return true;
}

static bool fill_lines(cr__planning *p, cr__blocks *b, const cr__step *s, slots *used) {
  *used = (slots){.n = 0};
  b->n_lines = b->n_folds = 0;
  for (uint32_t id = s->from; id < s->to; id++) {
    if (p->fact[id].role == CR__ALIAS || p->fact[id].role == CR__VIEW) continue;
    cr__line *l = &b->line[b->n_lines++];
    if (!fill_line(p, l, id, used)) return false;
    if (p->fact[id].role == CR__FOLD) l->fold = b->n_folds++;
  }
  return true;
}

static size_t widest(const cr__planning *p, const cr__step *s) {
  size_t size = 1;
  for (uint32_t id = s->from; id < s->to; id++) {
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    for (int k = -1; k < n; k++) {
      size_t one = cr_dtype_size((cr_dtype)cr__array_of(p->t, k < 0 ? id : in[k]).dtype);
      size = one > size ? one : size;
    }
  }
  return size;
}

/* Blocks are the halves of halves of a fixed tree, so that sums in blocks are sums of the whole. */
static int64_t halves(int64_t from, int64_t n, int64_t most, int64_t *start, int64_t k) {
  if (n > most) {
    k = halves(from, n / 2, most, start, k);
    return halves(from + n / 2, n - n / 2, most, start, k);
  }
  if (start) start[k] = from;
  return k + 1;
}

bool cr__make_blocks(cr__planning *p, cr__step *s) {
  cr__blocks *b = s->blocks = cr__fn_take(p->f, sizeof *b);
  if (!b) return false;
  *b = (cr__blocks){.count = cr__block_count(p, s->from)};
  b->line = cr__fn_take(p->f, (s->to - s->from) * sizeof *b->line);
  if (!b->line) return false;
  cr__note_lines(p, s);
  slots used;
  bool fits = fill_lines(p, b, s, &used);
  size_t size = widest(p, s), n = used.n ? (size_t)used.n : 1;
  b->length = CR__LONGEST_BLOCK;
  while (b->length > CR__SHORTEST_BLOCK && (size_t)b->length * size * n > CR__BLOCK_SPACE * 3 / 4) b->length /= 2;
  if (!fits) return false;
  b->slot_bytes = ((size_t)(b->count < b->length ? b->count : b->length) * size + 63) & ~(size_t)63;
  b->n_blocks = halves(0, b->count, b->length, NULL, 0);
  b->start = cr__fn_take(p->f, (size_t)(b->n_blocks + 1) * sizeof *b->start);
  if (!b->start) return false;
  halves(0, b->count, b->length, b->start, 0);
  b->start[b->n_blocks] = b->count;
  b->partials = p->f->plan.bytes;
  p->f->plan.bytes += ((size_t)(b->n_folds * b->n_blocks) * sizeof(double) + 63) & ~(size_t)63;
  p->f->stats.blocks++;
  p->f->stats.blocked += (uint32_t)b->n_lines;
  return true;
}

/* Blocks that need more slots than there are keep all results in memory. */
void cr__spill(cr__planning *p) {
  const cr__plan *plan = &p->f->plan;
  cr__line line;
  for (uint32_t k = 0; k < plan->n_steps; k++) {
    const cr__step *s = &plan->step[k];
    slots used = {.n = 0};
    bool fits = true;
    if (s->role != CR__MEMBER) continue;
    cr__note_lines(p, s);
    for (uint32_t id = s->from; id < s->to && fits; id++)
      if (p->fact[id].role == CR__MEMBER || p->fact[id].role == CR__FOLD) fits = fill_line(p, &line, id, &used);
    for (uint32_t id = s->from; id < s->to && !fits; id++)
      if (p->fact[id].role == CR__MEMBER) p->fact[id].stored = true;
  }
}
