/* Symbolic derivatives: adjoints and tangents as nodes of the same tape, so they can be differentiated again. */
#include "internal.h"

static cr_var none(cr_tape *t) { return (cr_var){t, 0, 0}; }

static bool is_float(const cr_tape *t, uint32_t id) { return cr__array_of(t, id).dtype >= CR_FLOAT32; }

static cr_var full_like(cr_tape *t, uint32_t id, double value) {
  cr_array a = cr__array_of(t, id);
  if (!cr__is_record(t, id)) return cr_const(t, value);
  return t->table->full(t, (cr_dtype)a.dtype, a.rank, a.dim, value);
}

static bool is_one(const cr_tape *t, cr_var v) {
  return cr__op_bits(&t->node[v.id]) == CR__CONST && t->slot[v.id].num == 1;
}

/* g times a partial, where a 1, -1 or 0 needs no product. */
static cr_var times_partial(cr_tape *t, cr_var g, cr_var partial, double literal) {
  if (literal == 0) return none(t);
  if (isnan(literal) && is_one(t, g) && !cr__is_record(t, partial.id)) return partial;
  if (literal == 1) return g;
  if (literal == -1) return t->table->neg(g);
  if (!isnan(literal)) return t->table->mul(g, cr_const(t, literal));
  return t->table->guarded_mul(g, partial);
}

static cr_var through_row(cr_tape *t, uint32_t id, int k, cr_var g) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  cr_var y = cr__handle(t, id), a = cr__handle(t, t->node[id].in[0]);
  cr_var b = op->arity > 1 ? cr__handle(t, t->node[id].in[1]) : a;
  double literal = (double)NAN;
  cr_var partial = cr__row_partial(t, op, k, a, b, y, &literal);
  if (isnan(literal) && !partial.id) return none(t);
  return times_partial(t, g, partial, literal);
}

cr_status cr__apply_vjp(cr_tape *t, uint32_t id, cr_var g, const unsigned char *wanted, cr_var *d) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  for (int k = 0; k < n; k++) d[k] = none(t);
  if (op->vjp) {
    cr_var few[8], *operand = n > 8 ? cr__alloc(t, (size_t)n * sizeof *operand) : few;
    if (!operand) return t->error;
    for (int k = 0; k < n; k++) operand[k] = cr__handle(t, in[k]);
    cr_vjp_rule c = {t, op, n, operand, cr__handle(t, id), g, cr__attr_of(t, id), wanted, d};
    op->vjp(&c);
  } else if (op->row && op->row->partial_text[0]) {
    for (int k = 0; k < n; k++)
      if (wanted[k]) d[k] = through_row(t, id, k, g);
  }
  return t->error;
}

cr_var cr__apply_jvp(cr_tape *t, uint32_t id, const cr_var *dot) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr_var few[16], *operand = n > 8 ? cr__alloc(t, 2 * (size_t)n * sizeof *operand) : few, *moved = operand + n;
  if (!operand) return none(t);
  for (int k = 0; k < n; k++) operand[k] = cr__handle(t, in[k]);
  cr_var v = cr__handle(t, id);
  if (op->jvp) {
    cr_jvp_rule c = {t, op, n, operand, v, cr__attr_of(t, id), dot};
    return op->jvp(&c);
  }
  if (op->kind == CR_LINEAR) {
    for (int k = 0; k < n; k++)
      moved[k] = dot[k].id ? dot[k] : is_float(t, operand[k].id) ? full_like(t, operand[k].id, 0) : operand[k];
    return cr_record_like(v, n, moved);
  }
  cr_var sum = none(t);
  for (int k = 0; k < n; k++) {
    if (!dot[k].id) continue;
    cr_var term = none(t);
    if (op->kind == CR_BILINEAR && k < 2) {
      for (int j = 0; j < n; j++) moved[j] = j == k ? dot[k] : operand[j];
      term = cr_record_like(v, n, moved);
    } else if (op->row && op->row->partial_text[0]) {
      term = through_row(t, id, k, dot[k]);
    }
    if (term.id) sum = sum.id ? t->table->add(sum, term) : term;
  }
  return sum;
}

/* Nodes lo..hi with two marks each: depends on an x, and is needed by a y. */
typedef struct span {
  cr_tape *tape;
  uint32_t lo, hi;
  unsigned char *depends, *needed;
  uint32_t *var;   /* adjoint or tangent of the node: its id, 0 for zero */
  bool once;       /* not to be differentiated again */
} span;

static size_t span_bytes(const span *s) { return (size_t)(s->hi - s->lo + 1) * (sizeof *s->var + 2); }

static bool check_handles(cr_tape *t, int n, const cr_var *v, bool real, const char *what) {
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, v[k])) return false;
    if (!v[k].id) {
      cr_fail(t, CR_POISONED, "%s %d of a derivative is the poison node", what, k);
      return false;
    }
    if (real && !is_float(t, v[k].id)) {
      char text[256];
      cr_fail(t, CR_NOT_DIFFERENTIABLE, "no derivative with respect to %s: only float64 and float32 have one",
              cr__describe(t, v[k], text, sizeof text));
      return false;
    }
  }
  return true;
}

static bool open_span(span *s, cr_tape *t, int m, const cr_var *y, int n, const cr_var *x) {
  *s = (span){.tape = t, .lo = UINT32_MAX, .hi = 0};
  if (!check_handles(t, m, y, false, "output") || !check_handles(t, n, x, true, "input")) return false;
  for (int k = 0; k < n; k++) s->lo = x[k].id < s->lo ? x[k].id : s->lo;
  for (int k = 0; k < m; k++) s->hi = y[k].id > s->hi ? y[k].id : s->hi;
  if (s->hi < s->lo) s->hi = s->lo; /* an input recorded after the outputs: nothing depends on it */
  s->var = cr__resize_on(t, NULL, 0, span_bytes(s));
  if (!s->var) return false;
  memset(s->var, 0, span_bytes(s));
  size_t count = s->hi - s->lo + 1;
  s->depends = (unsigned char *)(s->var + count);
  s->needed = s->depends + count;
  for (int k = 0; k < n; k++)
    if (x[k].id <= s->hi) s->depends[x[k].id - s->lo] = 1;
  for (uint32_t id = s->lo; id <= s->hi; id++) {
    int p;
    const uint32_t *in = cr__operands(t, id, &p);
    for (int k = 0; k < p && !s->depends[id - s->lo]; k++)
      if (in[k] >= s->lo && s->depends[in[k] - s->lo] && is_float(t, id)) s->depends[id - s->lo] = 1;
  }
  for (int k = 0; k < m; k++)
    if (y[k].id >= s->lo) s->needed[y[k].id - s->lo] = 1;
  for (uint32_t id = s->hi; id > s->lo; id--) {
    if (!s->needed[id - s->lo]) continue;
    int p;
    const uint32_t *in = cr__operands(t, id, &p);
    for (int k = 0; k < p; k++)
      if (in[k] >= s->lo) s->needed[in[k] - s->lo] = 1;
  }
  return true;
}

static void close_span(span *s) { cr__resize(&s->tape->counted, s->var, s->var ? span_bytes(s) : 0, 0); }

static bool accumulate(span *s, uint32_t id, cr_var c) {
  if (!c.id) return true;
  uint32_t *at = &s->var[id - s->lo];
  cr_var sum = *at ? s->tape->table->add(cr__handle(s->tape, *at), c) : c;
  *at = sum.id;
  return sum.id != 0;
}

/* An elementwise node as in the numeric sweep: the cotangent itself where the partial is 1, else one node. */
static bool reverse_row(span *s, uint32_t id, const cr_row *row) {
  cr_tape *t = s->tape;
  uint32_t g = s->var[id - s->lo];
  int n = t->op[cr__op_number(t, id)]->arity;
  for (int k = 0; k < n; k++) {
    uint32_t in = t->node[id].in[k];
    if (in < s->lo || !s->depends[in - s->lo] || !row->partial_text[k] || !*row->partial_text[k]) continue;
    cr_var c = strcmp(row->partial_text[k], "1") ? cr__pull(t, id, k, cr__handle(t, g)) : cr__handle(t, g);
    if (!c.id || !accumulate(s, in, c)) return false;
  }
  return true;
}

/* Is its cotangent of its own shape? Rules may give another one that broadcasts. */
static bool is_plain_row(const span *s, uint32_t id) {
  const cr_op *op = s->tape->op[cr__op_number(s->tape, id)];
  cr_array a = cr__array_of(s->tape, id), g = cr__array_of(s->tape, s->var[id - s->lo]);
  bool same = op && op->row && cr__is_record(s->tape, id) && a.rank == g.rank && a.dtype == g.dtype;
  for (int i = 0; same && i < a.rank; i++) same = a.dim[i] == g.dim[i];
  return same;
}

static bool reverse_node(span *s, uint32_t id) {
  cr_tape *t = s->tape;
  int n;
  cr__operands(t, id, &n);
  if (!n) return true;
  if (s->once && is_plain_row(s, id)) return reverse_row(s, id, t->op[cr__op_number(t, id)]->row);
  cr_var few[8], *d = few;
  unsigned char few_wanted[8], *wanted = few_wanted;
  if (n > 8) {
    d = cr__alloc(t, (size_t)n * (sizeof *d + 1));
    if (!d) return false;
    wanted = (unsigned char *)(d + n);
  }
  const uint32_t *in = cr__operands(t, id, &n);
  for (int k = 0; k < n; k++) wanted[k] = in[k] >= s->lo && s->depends[in[k] - s->lo];
  if (cr__apply_vjp(t, id, cr__handle(t, s->var[id - s->lo]), wanted, d) != CR_OK) return false;
  for (int k = 0; k < n; k++) {
    in = cr__operands(t, id, &n);
    if (wanted[k] && !accumulate(s, in[k], d[k])) return false;
  }
  return true;
}

static bool seed(span *s, cr_var y, cr_var cotangent) {
  cr_tape *t = s->tape;
  if (y.id < s->lo || !s->depends[y.id - s->lo]) return true;
  if (!cotangent.id) return accumulate(s, y.id, full_like(t, y.id, 1));
  cr_array a = cr__array_of(t, y.id), c = cr__array_of(t, cotangent.id), both;
  if (c.dtype == a.dtype && c.count == a.count && cr_broadcast(&a, &c, &both)) return accumulate(s, y.id, cotangent);
  char have[256], need[256];
  cr_fail(t, CR_BAD_SHAPE, "the cotangent (%s) does not fit the output (%s)", cr__describe(t, cotangent, have, sizeof have),
          cr__describe(t, y, need, sizeof need));
  return false;
}

static cr_status reverse(int m, const cr_var *y, const cr_var *cotangent, int n, const cr_var *x, cr_var *out, bool once) {
  if (m < 1 || n < 1) return CR_BAD_ARGUMENT;
  cr_tape *t = y[0].tape;
  span s;
  for (int k = 0; k < n; k++) out[k] = none(t);
  bool ok = open_span(&s, t, m, y, n, x);
  s.once = once;
  for (int k = 0; ok && k < m; k++) ok = seed(&s, y[k], cotangent ? cotangent[k] : none(t));
  for (uint32_t id = s.hi; ok && id > s.lo; id--)
    if (s.var[id - s.lo]) ok = reverse_node(&s, id);
  for (int k = 0; ok && k < n; k++) {
    uint32_t id = x[k].id <= s.hi && x[k].id >= s.lo ? s.var[x[k].id - s.lo] : 0;
    if (!id && once) continue;
    out[k] = id ? cr__handle(t, id) : full_like(t, x[k].id, 0);
    ok = out[k].id != 0;
  }
  if (s.tape) close_span(&s);
  return t->error;
}

cr_status cr_vjp_many(int m, const cr_var *y, const cr_var *cotangent, int n, const cr_var *x, cr_var *out) {
  return reverse(m, y, cotangent, n, x, out, false);
}
cr_status cr_grad_once(cr_var y, int n, const cr_var *x, cr_var *out) { return reverse(1, &y, NULL, n, x, out, true); }

cr_status cr_vjp(cr_var y, cr_var cotangent, int n, const cr_var *x, cr_var *out) {
  return cr_vjp_many(1, &y, &cotangent, n, x, out);
}
cr_status cr_grad(cr_var y, int n, const cr_var *x, cr_var *out) { return cr_vjp_many(1, &y, NULL, n, x, out); }

static bool forward_node(span *s, uint32_t id) {
  cr_tape *t = s->tape;
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  cr_var few[8], *dot = n > 8 ? cr__alloc(t, (size_t)n * sizeof *dot) : few;
  if (!dot) return false;
  bool any = false;
  for (int k = 0; k < n; k++) {
    uint32_t moved = in[k] >= s->lo ? s->var[in[k] - s->lo] : 0;
    dot[k] = moved ? cr__handle(t, moved) : none(t);
    any = any || moved;
  }
  return !any || accumulate(s, id, cr__apply_jvp(t, id, dot));
}

static bool same_shape(cr_tape *t, cr_var x, cr_var tangent) {
  cr_array a = cr__array_of(t, x.id), b = cr__array_of(t, tangent.id);
  bool same = a.dtype == b.dtype && a.rank == b.rank;
  for (int i = 0; same && i < a.rank; i++) same = a.dim[i] == b.dim[i];
  if (same) return true;
  char have[256], need[256];
  cr_fail(t, CR_BAD_SHAPE, "the tangent (%s) does not fit its input (%s)", cr__describe(t, tangent, have, sizeof have),
          cr__describe(t, x, need, sizeof need));
  return false;
}

cr_status cr_jvp(int m, const cr_var *y, int n, const cr_var *x, const cr_var *tangent, cr_var *out) {
  if (m < 1 || n < 1) return CR_BAD_ARGUMENT;
  cr_tape *t = y[0].tape;
  span s;
  for (int k = 0; k < m; k++) out[k] = none(t);
  bool ok = open_span(&s, t, m, y, n, x) && check_handles(t, n, tangent, true, "tangent");
  for (int k = 0; ok && k < n; k++)
    ok = same_shape(t, x[k], tangent[k]) && (x[k].id > s.hi || accumulate(&s, x[k].id, tangent[k]));
  for (uint32_t id = s.lo; ok && id <= s.hi; id++)
    if (s.depends[id - s.lo] && s.needed[id - s.lo]) ok = forward_node(&s, id);
  for (int k = 0; ok && k < m; k++) {
    uint32_t id = y[k].id >= s.lo ? s.var[y[k].id - s.lo] : 0;
    out[k] = id ? cr__handle(t, id) : full_like(t, y[k].id, 0);
    ok = out[k].id != 0;
  }
  if (s.tape) close_span(&s);
  return t->error;
}
