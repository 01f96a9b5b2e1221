/* Forward vector mode: tangents of inline scalars, as numbers, that follow the recording. */
#include "lanes.h"

/* Only what depends on something that was set costs anything: the tangents of a node are a row of groups of eight lanes,
 * and groups without a bit in its mask are zero, whatever their memory holds. Rows are in the order of the nodes: that
 * of node id is row upto[id], if its mask is not 0. Row 0 is for zeros. */
struct cr_tangents {
  cr_owned owned;
  cr_tape *tape;
  cr_slopes slopes;
  int k, groups;
  uint32_t done;           /* nodes walked over */
  uint64_t *mask;
  uint32_t *upto, *head;   /* as the mask by id; head: the node that the walk saw */
  uint32_t nodes;          /* capacity */
  char *memory;            /* of the rows, which begin at the next multiple of 64 */
  cr_lanes *row;
  uint32_t rows;           /* capacity */
};

#ifdef CR_HOSTILE
enum { SLICE = 2 };
#else
enum { SLICE = 1 << 12 };
#endif
enum { MOST = 64 * CR__LANES };

static size_t row_bytes(const cr_tangents *s) { return (size_t)s->groups * sizeof(cr_lanes); }
static size_t memory_bytes(const cr_tangents *s, uint32_t rows) { return rows ? rows * row_bytes(s) + sizeof(cr_lanes) : 0; }
static cr_lanes *row_at(const cr_tangents *s, uint32_t k) { return s->row + (size_t)k * (size_t)s->groups; }

static size_t table_bytes(uint32_t nodes) { return 2 * (size_t)nodes * sizeof(uint64_t); }

static void destroy(cr_tape *t, cr_owned *self) {
  cr_tangents *s = (cr_tangents *)(void *)self;
  cr__slopes_free(t, &s->slopes);
  cr__resize(&t->counted, s->mask, table_bytes(s->nodes), 0);
  cr__resize(&t->counted, s->memory, memory_bytes(s, s->rows), 0);
  cr__resize(&t->counted, s, sizeof *s, 0);
}

static bool grow_nodes(cr_tangents *s, uint32_t need) {
  cr_tape *t = s->tape;
  if (need <= s->nodes) return true;
  uint32_t n = t->capacity + 1 > need ? t->capacity + 1 : need;
  uint64_t *mask = cr__resize_on(t, NULL, 0, table_bytes(n));
  uint32_t *upto = (uint32_t *)(mask + n), *head = upto + n;
  if (!mask) return false;
  if (s->nodes) {
    memcpy(upto, s->upto, (s->done + 1) * sizeof *upto);
    memcpy(mask, s->mask, s->done * sizeof *mask);
    memcpy(head, s->head, s->done * sizeof *head);
  }
  cr__resize(&t->counted, s->mask, table_bytes(s->nodes), 0);
  s->upto = upto;
  s->mask = mask;
  s->head = head;
  s->nodes = n;
  return true;
}

static bool grow_rows(cr_tangents *s, uint32_t need) {
  cr_tape *t = s->tape;
  if (need <= s->rows) return true;
  uint32_t n = need < UINT32_MAX / 2 ? 2 * need : need;
  char *memory = cr__resize_on(t, NULL, 0, memory_bytes(s, n));
  if (!memory) return false;
  cr_lanes *row = (cr_lanes *)(void *)(((uintptr_t)memory + sizeof *row - 1) & ~(uintptr_t)(sizeof *row - 1));
  if (s->row) memcpy(row, s->row, s->rows * row_bytes(s));
  cr__resize(&t->counted, s->memory, memory_bytes(s, s->rows), 0);
  s->memory = memory;
  s->row = row;
  s->rows = n;
  return true;
}

cr_tangents *cr_tangents_new(cr_tape *t, int k) {
  if (k < 1 || k > MOST) {
    cr_fail(t, CR_BAD_ARGUMENT, "cr_tangents_new: %d tangents, not 1 to %d", k, MOST);
    return NULL;
  }
  cr_tangents *s = cr__resize_on(t, NULL, 0, sizeof *s);
  if (!s) return NULL;
  memset(s, 0, sizeof *s);
  s->tape = t;
  s->k = k;
  s->groups = (k + CR__LANES - 1) / CR__LANES;
  cr__own(t, &s->owned, destroy);
  if (!cr__slopes_make(t, &s->slopes) || !grow_nodes(s, 2) || !grow_rows(s, SLICE)) return NULL;
  s->upto[0] = 1;
  return s;
}

#define EACH_GROUP(set, statement)                          \
  for (uint64_t bits = (set); bits; bits &= bits - 1) {     \
    const int g = __builtin_ctzll(bits);                    \
    statement                                               \
  }

/* out = pa * da + pb * db, group by group, by which of the two have it. */
static CR__INLINE void combine(cr_lanes *out, double pa, const cr_lanes *da, uint64_t ma, double pb, const cr_lanes *db,
                               uint64_t mb) {
  if (CR__LIKELY(isfinite(pa) && isfinite(pb))) {
    EACH_GROUP(ma & mb, out[g] = pa * da[g] + pb * db[g];)
    EACH_GROUP(ma & ~mb, out[g] = pa * da[g];)
    EACH_GROUP(mb & ~ma, out[g] = pb * db[g];)
    return;
  }
  cr_lanes term;
  EACH_GROUP(ma | mb, out[g] = (cr_lanes){0};)
  EACH_GROUP(ma, cr__guarded(&term, pa, &da[g]); out[g] += term;)
  EACH_GROUP(mb, cr__guarded(&term, pb, &db[g]); out[g] += term;)
}

/* From where the last walk ended to before end; there is room. */
static CR__INLINE void walk(cr_tangents *s, uint32_t end) {
  const cr_tape *t = s->tape;
  const size_t groups = (size_t)s->groups;
  const cr_node *node = t->node;
  const cr_slot *slot = t->slot;
  cr_lanes *row = s->row;
  uint64_t *mask = s->mask;
  uint32_t *upto = s->upto, *head = s->head;
  for (uint32_t id = s->done; id < end; id++) {
    const cr_node *n = &node[id];
    const uint32_t op = cr__op_bits(n), at = upto[id], a = n->in[0], b = n->in[1];
    const uint64_t ma = mask[a], mb = mask[b], both = op < CR__FIRST_ROW || op & CR__RECORD ? 0 : ma | mb;
    head[id] = n->head;
    mask[id] = both;
    upto[id + 1] = at + (both != 0);
    if (!both) continue;
    const double x = slot[a].num, z = slot[b].num, y = slot[id].num;
    const cr_slope *slope = s->slopes.of[op - CR__FIRST_ROW];
    const double pa = ma ? cr__partial(t, slope[0], op, 0, x, z, y) : 0;
    const double pb = mb ? cr__partial(t, slope[1], op, 1, x, z, y) : 0;
    combine(row + at * groups, pa, row + upto[a] * groups, ma, pb, row + upto[b] * groups, mb);
  }
  s->done = end;
}
CR__WIDTHS(walk, (cr_tangents *s, uint32_t end), (s, end))

/* Forgets nodes that a reset took back: those whose place another node has taken, or none. */
static void forget(cr_tangents *s) {
  const cr_tape *t = s->tape;
  if (s->done > t->count) s->done = t->count;
  while (s->done && s->head[s->done - 1] != t->node[s->done - 1].head) s->done--;
}

static bool walk_to(cr_tangents *s, uint32_t end) {
  if (!grow_nodes(s, end + 2)) return false;
  while (s->done < end) {
    uint32_t next = end - s->done > SLICE ? s->done + SLICE : end;
    if (!grow_rows(s, s->upto[s->done] + (next - s->done) + 1)) return false;
    walk_widest(s, next);
  }
  return true;
}

static bool is_scalar(const cr_tangents *s, cr_var v, const char *who) {
  cr_tape *t = s->tape;
  if (!cr__valid(t, v)) return false;
  if (v.id && !cr__is_record(t, v.id)) return true;
  char text[256];
  if (!v.id) cr_fail(t, CR_POISONED, "%s: the poison node has no tangents", who);
  else cr_fail(t, CR_BAD_SHAPE, "%s: tangents are of float64 scalars, not of %s", who,
               cr__describe(t, v, text, sizeof text));
  return false;
}

static bool is_nonzero(const cr_lanes *group) {
  uint64_t word[CR__LANES], any = 0;
  memcpy(word, group, sizeof word);
  for (int l = 0; l < CR__LANES; l++) any |= word[l];
  return any != 0;
}

cr_status cr_tangents_set(cr_tangents *s, cr_var x, const double *tangent) {
  if (!is_scalar(s, x, "cr_tangents_set")) return s->tape->error;
  forget(s);
  if (x.id < s->done) {
    cr_fail(s->tape, CR_BAD_ARGUMENT, "cr_tangents_set: v%u comes before a node whose tangents were set or asked for", x.id);
    return s->tape->error;
  }
  if (!walk_to(s, x.id) || !grow_rows(s, s->upto[x.id] + 1)) return s->tape->error;
  cr_lanes *row = row_at(s, s->upto[x.id]);
  memset(row, 0, row_bytes(s));
  memcpy(row, tangent, (size_t)s->k * sizeof *tangent);
  s->head[x.id] = s->tape->node[x.id].head;
  s->mask[x.id] = 0;
  for (int g = 0; g < s->groups; g++) s->mask[x.id] |= (uint64_t)is_nonzero(&row[g]) << g;
  s->upto[x.id + 1] = s->upto[x.id] + (s->mask[x.id] != 0);
  s->done = x.id + 1;
  return CR_OK;
}

const double *cr_tangents_of(cr_tangents *s, cr_var v) {
  if (!is_scalar(s, v, "cr_tangents_of")) return NULL;
  forget(s);
  if (v.id >= s->done && !walk_to(s, v.id + 1)) return NULL;
  cr_lanes *row = row_at(s, s->mask[v.id] ? s->upto[v.id] : 0);
  for (int g = 0; g < s->groups; g++)
    if (!(s->mask[v.id] >> g & 1)) row[g] = (cr_lanes){0};
  return (const double *)row;
}

static cr_status fold(cr_tangents *s, cr_tape *t, cr_mark mark, int m, cr_var *y, double *kept) {
  size_t k = s ? (size_t)s->k : 0;
  for (int i = 0; i < m; i++) {
    const double *tangent = s ? cr_tangents_of(s, y[i]) : NULL;
    if (s && !tangent) return t->error;
    kept[(size_t)i * (k + 1)] = cr_value(y[i]);
    if (k) memcpy(kept + (size_t)i * (k + 1) + 1, tangent, k * sizeof *kept);
  }
  cr_reset(t, mark);
  for (int i = 0; i < m && t->error == CR_OK; i++) {
    y[i] = cr_input(t, kept[(size_t)i * (k + 1)]);
    if (s && y[i].id) cr_tangents_set(s, y[i], kept + (size_t)i * (k + 1) + 1);
  }
  return t->error;
}

enum { FEW = 128 };

cr_status cr_tangents_fold(cr_tangents *s, cr_mark mark, int m, cr_var *y) {
  if (m < 1 || !y[0].tape) return CR_BAD_ARGUMENT;
  cr_tape *t = y[0].tape;
  size_t count = (size_t)m * ((s ? (size_t)s->k : 0) + 1);
  double few[FEW], *kept = count > FEW ? cr__resize_on(t, NULL, 0, count * sizeof *kept) : few;
  cr_status status = kept ? fold(s, t, mark, m, y, kept) : t->error;
  if (kept != few) cr__resize(&t->counted, kept, count * sizeof *kept, 0);
  return status;
}
