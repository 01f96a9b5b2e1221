/* Why y depends on x, or does not; where the first value that is not finite came from. */
#include <stdarg.h>
#include <stdio.h>

#include "checking.h"

/* Text of bounded size. */
typedef struct page {
  char *text;
  size_t size, length;
} page;

#ifdef __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
static void
put(page *p, const char *format, ...) {
  if (p->length + 1 >= p->size) return;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(p->text + p->length, p->size - p->length, format, args);
  va_end(args);
  p->length += n < 0 ? 0 : (size_t)n;
  if (p->length >= p->size) p->length = p->size - 1;
}

static page open_page(char *text, size_t size) {
  if (size) text[0] = 0;
  return (page){text, size, 0};
}

static void put_node(page *p, cr_tape *t, uint32_t id) {
  char text[256];
  put(p, "%s", cr__node_text(t, id, text, sizeof text));
}

static void put_short(page *p, cr_tape *t, uint32_t id) {
  const char *name = cr_name_of(cr__handle(t, id));
  if (name) put(p, "%s", name);
  else put(p, "v%u", id);
}

/* Which operands of node id its reverse rule passes a derivative to; rules tell by leaving an operand's cotangent alone. */
static bool passes(cr_tape *t, uint32_t id, int k) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  cr_array a = cr__array_of(t, id);
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  if (a.dtype < CR_FLOAT32 || cr__array_of(t, in[k]).dtype < CR_FLOAT32) return false;
  if (op->row && !op->vjp) return op->row->partial_text[0] && strcmp(op->row->partial_text[k], "0");
  cr_mark mark = cr_mark_here(t);
  unsigned char *wanted = cr__alloc(t, (size_t)n);
  cr_var *d = cr__alloc(t, (size_t)n * sizeof *d);
  bool open = false;
  if (wanted && d) {
    memset(wanted, 0, (size_t)n);
    wanted[k] = 1;
    cr_var g = cr__is_record(t, id) ? cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL) : cr_const(t, 0);
    open = g.id && cr__apply_vjp(t, id, g, wanted, d) == CR_OK && d[k].id;
  }
  cr__rewind(t, mark);
  return open;
}

/* The shortest way from x to each node: by values, and by values that carry a derivative. 0: none. */
typedef struct ways {
  cr_tape *tape;
  uint32_t x, count;
  uint32_t *by_value, *by_derivative; /* the operand that the way comes from */
  uint32_t *value_length, *derivative_length;
} ways;

static void step_to(ways *w, uint32_t id, int k, uint32_t from) {
  if (w->value_length[from] && (!w->value_length[id] || w->value_length[from] + 1 < w->value_length[id])) {
    w->value_length[id] = w->value_length[from] + 1;
    w->by_value[id] = from;
  }
  if (!w->derivative_length[from]) return;
  if (w->derivative_length[id] && w->derivative_length[from] + 1 >= w->derivative_length[id]) return;
  if (!passes(w->tape, id, k)) return;
  w->derivative_length[id] = w->derivative_length[from] + 1;
  w->by_derivative[id] = from;
}

static bool find_ways(ways *w, cr_tape *t, uint32_t x, uint32_t y) {
  *w = (ways){.tape = t, .x = x, .count = y + 1};
  w->by_value = cr__resize_on(t, NULL, 0, 4 * (size_t)w->count * sizeof *w->by_value);
  if (!w->by_value) return false;
  memset(w->by_value, 0, 4 * (size_t)w->count * sizeof *w->by_value);
  w->by_derivative = w->by_value + w->count;
  w->value_length = w->by_derivative + w->count;
  w->derivative_length = w->value_length + w->count;
  if (x > y) return true;
  w->value_length[x] = 1;
  w->derivative_length[x] = cr__array_of(t, x).dtype >= CR_FLOAT32;
  for (uint32_t id = x + 1; id <= y; id++) {
    int n;
    cr__operands(t, id, &n);
    for (int k = 0; k < n; k++) step_to(w, id, k, cr__operands(t, id, &n)[k]);
  }
  return true;
}

static void close_ways(ways *w) {
  cr__resize(&w->tape->counted, w->by_value, 4 * (size_t)w->count * sizeof *w->by_value, 0);
}

/* A way turned round, from x to y, into w->value_length, which is done with; long ones are shortened in the middle. */
static void put_way(page *p, ways *w, const uint32_t *from, uint32_t y) {
  enum { ENDS = 12 };
  uint32_t *way = w->value_length, n = 0;
  for (uint32_t id = y;; id = from[id]) {
    way[n++] = id;
    if (id == w->x) break;
  }
  for (uint32_t k = 0; k < n; k++) {
    if (n > 2 * ENDS && k == ENDS) {
      put(p, "\n  ... %u nodes ...", n - 2 * ENDS);
      k = n - ENDS;
    }
    put(p, "%s", k ? "\n  -> " : "  ");
    put_node(p, w->tape, way[n - 1 - k]);
  }
}

static bool is_zero(const cr_sweep *s, cr_tape *t, uint32_t id) {
  cr_mark mark = cr_mark_here(t);
  int64_t n = cr__array_of(t, id).count;
  double *bar = cr__alloc(t, (size_t)(n ? n : 1) * sizeof *bar);
  bool zero = bar && cr_adjoint_read(s, cr__handle(t, id), bar, n) == CR_OK;
  for (int64_t k = 0; zero && k < n; k++) zero = bar[k] == 0;
  cr__rewind(t, mark);
  return zero;
}

/* There is a way, but is anything left of the derivative when it arrives? */
static void put_fading(page *p, const ways *w, cr_var y) {
  cr_tape *t = w->tape;
  cr_sweep *s = t->error == CR_OK ? cr_backward(y) : NULL;
  for (uint32_t id = y.id; s && id != w->x; id = w->by_derivative[id]) {
    if (!is_zero(s, t, w->by_derivative[id])) continue;
    put(p, "\nthe derivative is 0 from ");
    put_node(p, t, id);
    put(p, " on: its local derivative is 0 at these values");
    break;
  }
  cr_sweep_release(s);
}

static void put_cut(page *p, ways *w, uint32_t y) {
  cr_tape *t = w->tape;
  uint32_t cut = y;
  while (w->by_value[cut] != w->x && !w->derivative_length[w->by_value[cut]]) cut = w->by_value[cut];
  bool integer = cr__array_of(t, cut).dtype < CR_FLOAT32;
  put(p, "values depend on it, derivatives do not: cut at ");
  put_node(p, t, cut);
  put(p, integer ? ", whose result is %s" : ", which passes no derivative%s",
      integer ? cr_dtype_name((cr_dtype)cr__array_of(t, cut).dtype) : " back");
  put(p, "\n");
  put_way(p, w, w->by_value, y);
}

int cr_why(cr_var y, cr_var x, char *text, size_t size) {
  page p = open_page(text, size);
  cr_tape *t = y.tape;
  if (!t || !cr__valid(t, y) || !cr__valid(t, x) || !x.id || !y.id) {
    put(&p, "%s", !t ? "an empty handle" : t->error != CR_OK ? t->error_text : "the poison node depends on nothing");
    return 0;
  }
  ways w;
  if (!find_ways(&w, t, x.id, y.id)) return 0;
  bool way = x.id <= y.id && w.derivative_length[y.id];
  if (way) {
    uint32_t steps = w.derivative_length[y.id] - 1;
    put(&p, "derivatives pass along %u operation%s:\n", steps, steps == 1 ? "" : "s");
    put_way(&p, &w, w.by_derivative, y.id);
    if (cr_is_const(x)) put(&p, "\nbut it begins at a constant, for which cr_backward keeps no adjoint: make it an input");
    else put_fading(&p, &w, y);
  } else if (x.id > y.id || !w.value_length[y.id]) {
    put_short(&p, t, y.id);
    put(&p, " does not depend on ");
    put_short(&p, t, x.id);
    if (x.id > y.id) put(&p, ": it was recorded before it");
  } else {
    put_cut(&p, &w, y.id);
  }
  close_ways(&w);
  return way;
}

/* The first value that is not finite */

static int64_t bad_element(const cr_array *a) {
  for (int64_t k = 0; a->dtype >= CR_FLOAT32 && k < a->count; k++)
    if (!isfinite(cr_array_get(a, k))) return k;
  return -1;
}

static void put_index(page *p, const cr_array *a, int64_t k) {
  if (!a->rank) return;
  int64_t at[CR_MAX_RANK];
  for (int i = a->rank - 1; i >= 0; i--) at[i] = k % a->dim[i], k /= a->dim[i];
  for (int i = 0; i < a->rank; i++) put(p, "%s%lld", i ? ", " : "[", (long long)at[i]);
  put(p, "]");
}

/* An operand's value next to element k of the result: there when shapes are equal, else its range. */
static void put_operand(page *p, cr_tape *t, uint32_t id, const cr_array *out, int64_t k) {
  cr_array a = cr__array_of(t, id);
  char number[40], other[40];
  put(p, "\n  ");
  put_short(p, t, id);
  if (a.count == 1) {
    put(p, " = %s", cr_number_text(cr_array_get(&a, 0), 0, number));
  } else if (a.count == out->count) {
    put_index(p, &a, k);
    put(p, " = %s", cr_number_text(cr_array_get(&a, k), 0, number));
  } else if (a.count) {
    double lo = cr_array_get(&a, 0), hi = lo;
    for (int64_t j = 1; j < a.count; j++) {
      double x = cr_array_get(&a, j);
      lo = x < lo || isnan(x) ? x : lo, hi = x > hi || isnan(x) ? x : hi;
    }
    char shape[200];
    put(p, " %s between %s and %s", cr_shape_text(&a, shape, sizeof shape), cr_number_text(lo, 0, number),
        cr_number_text(hi, 0, other));
  }
}

static void put_origin(page *p, cr_tape *t, uint32_t id, int64_t k, const char *is) {
  cr_array a = cr__array_of(t, id);
  char number[40];
  int n;
  const uint32_t *in = cr__operands(t, id, &n);
  put_node(p, t, id);
  put(p, "%s%s", is, cr_number_text(cr_array_get(&a, k), 0, number));
  if (a.rank) put(p, " at ");
  put_index(p, &a, k);
  for (int j = 0; j < n && j < 8; j++) put_operand(p, t, in[j], &a, k);
}

static void put_way_to(page *p, cr_tape *t, uint32_t from, uint32_t y) {
  ways w;
  if (from == y || !find_ways(&w, t, from, y)) return;
  if (w.value_length[y]) {
    put(p, "\nfrom there to the output:\n");
    put_way(p, &w, w.by_value, y);
  }
  close_ways(&w);
}

/* Infinite constants, such as those of a mask, are meant; NaN never is. */
static uint32_t bad_value(cr_tape *t, uint32_t y, const unsigned char *needed, int64_t *element) {
  for (uint32_t id = 1; id <= y; id++) {
    if (!needed[id]) continue;
    cr_array a = cr__array_of(t, id);
    *element = bad_element(&a);
    if (*element >= 0 && (cr__differentiable(t, id) || isnan(cr_array_get(&a, *element)))) return id;
  }
  return 0;
}

static double *adjoint_of(const cr_sweep *s, cr_tape *t, uint32_t id, cr_array *a) {
  cr_array_init(a, CR_FLOAT64, 0, NULL);
  cr_array node = cr__array_of(t, id);
  cr_array_init(a, CR_FLOAT64, node.rank, node.dim);
  a->data = cr__alloc(t, (size_t)(a->count ? a->count : 1) * sizeof(double));
  return a->data && cr_adjoint_read(s, cr__handle(t, id), a->data, a->count) == CR_OK ? a->data : NULL;
}

/* The consumer of id whose own adjoint is finite hands the bad one down. */
static uint32_t giver_of(const cr_sweep *s, cr_tape *t, uint32_t id, uint32_t y) {
  uint32_t last = 0;
  for (uint32_t user = id + 1; user <= y; user++) {
    int n;
    const uint32_t *in = cr__operands(t, user, &n);
    bool uses = false;
    for (int k = 0; k < n; k++) uses = uses || in[k] == id;
    if (!uses || is_zero(s, t, user)) continue;
    last = user;
    if (cr__op_number(t, user) < CR__FIRST_ROW + (uint32_t)*t->table->n_rows) {
      const cr_row *row = t->op[cr__op_number(t, user)]->row;
      cr_array a = cr__array_of(t, in[0]), b = cr__array_of(t, in[n - 1]), out = cr__array_of(t, user);
      for (int64_t j = 0; row && out.count && j < out.count; j++)
        for (int k = 0; k < n; k++)
          if (in[k] == id && row->partial[k] && a.count == out.count && b.count == out.count &&
              !isfinite(row->partial[k](cr_array_get(&a, j), cr_array_get(&b, j), cr_array_get(&out, j))))
            return user;
    }
  }
  return last;
}

static bool put_bad_adjoint(page *p, cr_tape *t, uint32_t y, const unsigned char *needed) {
  cr_sweep *s = t->error == CR_OK ? cr_backward(cr__handle(t, y)) : NULL;
  bool found = false;
  for (uint32_t id = y; s && id >= 1 && !found; id--) {
    if (!needed[id] || cr__array_of(t, id).dtype < CR_FLOAT32) continue;
    cr_mark mark = cr_mark_here(t);
    cr_array bar;
    int64_t k = adjoint_of(s, t, id, &bar) ? bad_element(&bar) : -1;
    if (k >= 0) {
      char number[40];
      uint32_t giver = giver_of(s, t, id, y);
      found = true;
      put(p, "backward: the adjoint of ");
      put_node(p, t, id);
      put(p, " is %s", cr_number_text(cr_array_get(&bar, k), 0, number));
      if (bar.rank) put(p, " at ");
      put_index(p, &bar, k);
      if (giver) {
        put(p, ", handed down by ");
        put_origin(p, t, giver, cr__array_of(t, giver).count == bar.count ? k : 0, ", whose value is ");
      }
      put_way_to(p, t, id, y);
    }
    cr__rewind(t, mark);
  }
  cr_sweep_release(s);
  return found;
}

int cr_find_nonfinite(cr_var y, char *text, size_t size) {
  page p = open_page(text, size);
  cr_tape *t = y.tape;
  if (!t || !cr__valid(t, y) || !y.id) {
    put(&p, "%s", t && t->error != CR_OK ? t->error_text : "the poison node");
    return 0;
  }
  unsigned char *needed = cr__resize_on(t, NULL, 0, y.id + 1);
  if (!needed) return 0;
  memset(needed, 0, y.id + 1);
  needed[y.id] = 1;
  for (uint32_t id = y.id; id >= 1; id--) {
    int n;
    const uint32_t *in = cr__operands(t, id, &n);
    for (int k = 0; needed[id] && k < n; k++) needed[in[k]] = 1;
  }
  int64_t element = 0;
  uint32_t id = bad_value(t, y.id, needed, &element);
  if (id) {
    put(&p, "forward: ");
    put_origin(&p, t, id, element, " is ");
    put_way_to(&p, t, id, y.id);
  }
  bool found = id != 0;
  cr_array a = cr__array_of(t, y.id);
  if (!id || bad_element(&a) < 0) {
    if (id) put(&p, "\nthe output itself is finite\n");
    found = put_bad_adjoint(&p, t, y.id, needed) || found;
  }
  cr__resize(&t->counted, needed, y.id + 1, 0);
  return found;
}
