/* Reverse vector mode: rows of a Jacobian of inline scalars, eight a sweep, as numbers. */
#include "lanes.h"

/* Adjoints of the nodes lo to hi, one for each of eight outputs. */
typedef struct sweep {
  const cr_tape *tape;
  cr_slopes slopes;
  cr_lanes *bar; /* bar[0] is of node lo */
  uint32_t lo, hi;
} sweep;

static CR__INLINE void add_to(sweep *s, uint32_t id, double p, const cr_lanes *g) {
  if (id < s->lo) return;
  cr_lanes *to = &s->bar[id - s->lo], term;
  if (CR__LIKELY(isfinite(p))) *to += p * *g;
  else cr__guarded(&term, p, g), *to += term;
}

static CR__INLINE void walk(sweep *s) {
  const cr_tape *t = s->tape;
  for (uint32_t id = s->hi; id > s->lo; id--) {
    const cr_node *n = &t->node[id];
    const uint32_t op = cr__op_bits(n), a = n->in[0], b = n->in[1];
    if (op < CR__FIRST_ROW || op & CR__RECORD) continue;
    const cr_lanes g = s->bar[id - s->lo];
    double any = 0;
    for (int l = 0; l < CR__LANES; l++) any = g[l] != 0 ? 1 : any;
    if (any == 0) continue;
    const double x = t->slot[a].num, z = t->slot[b].num, y = t->slot[id].num;
    const cr_slope *slope = s->slopes.of[op - CR__FIRST_ROW];
    if (slope[0] != CR__ZERO) add_to(s, a, cr__partial(t, slope[0], op, 0, x, z, y), &g);
    if (slope[1] != CR__ZERO) add_to(s, b, cr__partial(t, slope[1], op, 1, x, z, y), &g);
  }
}
CR__WIDTHS(walk, (sweep *s), (s))

void cr__cotangents(const cr_tape *t, cr_slopes slopes, cr_lanes *bar, uint32_t lo, uint32_t hi) {
  walk_widest(&(sweep){t, slopes, bar, lo, hi});
}

static bool check(cr_tape *t, int n, const cr_var *v, const char *what) {
  char text[256];
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, v[k])) return false;
    if (v[k].id && !cr__is_record(t, v[k].id)) continue;
    if (!v[k].id) cr_fail(t, CR_POISONED, "cr_jacobian_reverse: %s %d is the poison node", what, k);
    else cr_fail(t, CR_BAD_SHAPE, "cr_jacobian_reverse: %s %d is %s, not a float64 scalar", what, k,
                 cr__describe(t, v[k], text, sizeof text));
    return false;
  }
  return true;
}

/* Rows from to from + rows of the Jacobian. */
static void some_rows(sweep *s, int from, int rows, const cr_var *y, int n, const cr_var *x, double *out) {
  s->hi = s->lo;
  for (int i = 0; i < rows; i++) s->hi = y[from + i].id > s->hi ? y[from + i].id : s->hi;
  memset(s->bar, 0, (size_t)(s->hi - s->lo + 1) * sizeof *s->bar);
  for (int i = 0; i < rows; i++)
    if (y[from + i].id >= s->lo) s->bar[y[from + i].id - s->lo][i] += 1;
  walk_widest(s);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < n; j++)
      out[(size_t)(from + i) * (size_t)n + (size_t)j] = x[j].id <= s->hi ? s->bar[x[j].id - s->lo][i] : 0;
}

cr_status cr_jacobian_reverse(int m, const cr_var *y, int n, const cr_var *x, double *out) {
  if (m < 1 || n < 1) return CR_BAD_ARGUMENT;
  cr_tape *t = y[0].tape;
  if (!t) return CR_WRONG_TAPE;
  if (!check(t, m, y, "output") || !check(t, n, x, "input")) return t->error;
  sweep s = {.tape = t, .lo = x[0].id};
  uint32_t hi = s.lo, chunk = t->arena.current;
  size_t used = t->arena.used;
  for (int j = 0; j < n; j++) s.lo = x[j].id < s.lo ? x[j].id : s.lo;
  for (int i = 0; i < m; i++) hi = y[i].id > hi ? y[i].id : hi;
  if (!cr__slopes_make(t, &s.slopes)) return t->error;
  s.bar = cr__alloc(t, (size_t)(hi - s.lo + 1) * sizeof *s.bar); /* a multiple of 64 */
  for (int i = 0; s.bar && i < m; i += CR__LANES) some_rows(&s, i, m - i < CR__LANES ? m - i : CR__LANES, y, n, x, out);
  cr__arena_reset(&t->arena, chunk, used);
  cr__slopes_free(t, &s.slopes);
  return t->error;
}
