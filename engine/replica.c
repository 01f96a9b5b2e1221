/* The private copy of a graph that the checker evaluates at other points: float64 throughout, on a tape of its own, over the
 * same ops. Beside it stand the expressions that tell which branch each op takes. */
#include <xxhash.h>

#include "checking.h"

/* Random numbers */

static uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

double cr__uniform_at(uint64_t seed, uint64_t k) { return ldexp((double)(mix(mix(seed) + k) >> 11), -52) - 1 + 0x1p-53; }

double cr__normal_at(uint64_t seed, uint64_t k) {
  double radius = 0.5 * (cr__uniform_at(seed, 2 * k) + 1), angle = 3.141592653589793 * cr__uniform_at(seed, 2 * k + 1);
  return sqrt(-2 * log(radius)) * cos(angle);
}

/* Copying */

static void *take(cr__replica *r, size_t count, size_t size) { return cr__alloc(r->tape, count * size); }

double *cr__replica_numbers(cr__replica *r, int64_t count) { return take(r, (size_t)count, sizeof(double)); }

static cr_dtype widened(cr_dtype d) { return d == CR_FLOAT32 ? CR_FLOAT64 : d; }

static cr_var copy_leaf(cr__replica *r, const cr_tape *from, uint32_t id, bool input) {
  if (!cr__is_record(from, id)) return input ? cr_input(r->tape, from->slot[id].num) : cr_const(r->tape, from->slot[id].num);
  cr_array a = cr__array_of(from, id);
  cr_dtype d = widened((cr_dtype)a.dtype);
  cr_var v = input ? cr_tensor_of(r->tape, d, a.rank, a.dim, NULL) : cr_constant_of(r->tape, d, a.rank, a.dim, NULL);
  if (!v.id) return v;
  cr_array to = cr_view(v);
  cr_array_copy(&to, &a);
  return v;
}

/* The op that cr_op_table.cast records for a change of width. */
const cr_op *cr__cast_op(cr_tape *t) {
  cr_mark mark = cr_mark_here(t);
  cr_var probe = t->table->cast(cr_constant_of(t, CR_FLOAT64, 0, NULL, NULL), CR_FLOAT32);
  const cr_op *op = cr_op_of(probe);
  cr__rewind(t, mark);
  return op;
}

cr_var cr__record_wide(cr_tape *t, const cr_op *op, int n, const cr_var *in, const void *attr) {
  void *wide = op->widen ? cr__alloc(t, op->attr_size) : NULL;
  if (!op->widen) return cr_record(t, op, n, in, attr);
  return wide && op->widen(t, attr, wide) ? cr_record(t, op, n, in, wide) : cr_poison(t);
}

/* The node's op on the copies of its operands; what is float32 by the op's own attributes becomes float64. */
static cr_var copy_node(cr__replica *r, const cr_tape *from, uint32_t id, const cr_op *cast) {
  const cr_op *op = from->op[cr__op_number(from, id)];
  int n;
  const uint32_t *in = cr__operands(from, id, &n);
  cr_var few[16], *operand = n > 16 ? take(r, (size_t)n, sizeof *operand) : few;
  if (!operand) return cr_poison(r->tape);
  for (int k = 0; k < n; k++) operand[k] = cr__handle(r->tape, r->copy_of[in[k]]);
  bool narrow = cr__array_of(from, id).dtype == CR_FLOAT32;
  if (narrow && op == cast) return r->tape->table->cast(operand[0], CR_FLOAT64);
  cr_var v = cr__record_wide(r->tape, op, n, operand, cr__attr_of(from, id));
  return narrow && v.id && cr_dtype_of(v) == CR_FLOAT32 ? r->tape->table->cast(v, CR_FLOAT64) : v;
}

/* A view without a derivative passes a value on as a constant: the function that is differentiated holds it still. */
static bool is_held(const cr_tape *from, uint32_t id) {
  const cr_op *op = from->op[cr__op_number(from, id)];
  return op && op->kind == CR_PIECEWISE_CONSTANT && !op->eval && cr__array_of(from, id).dtype >= CR_FLOAT32;
}

/* Marks what y needs, cut at x and at what is held. */
static void mark_needed(const cr_tape *from, uint32_t y, int n, const cr_var *x, unsigned char *needed) {
  needed[y] = 1;
  for (uint32_t id = y; id >= 1; id--) {
    if (!needed[id]) continue;
    bool cut = is_held(from, id);
    for (int k = 0; k < n; k++) cut = cut || x[k].id == id;
    int p;
    const uint32_t *in = cr__operands(from, id, &p);
    for (int k = 0; k < p && !cut; k++) needed[in[k]] = 1;
  }
}

static bool copy_graph(cr__replica *r, cr_var y, int n, const cr_var *x, unsigned char *needed) {
  const cr_tape *from = y.tape;
  const cr_op *cast = cr__cast_op(r->tape);
  for (int k = 0; k < n; k++) needed[x[k].id] = 1;
  for (uint32_t id = 1; id < r->n_original; id++) {
    if (!needed[id]) continue;
    cr_var v = {r->tape, 0, 0};
    bool is_x = false;
    for (int k = 0; k < n; k++)
      if (x[k].id == id) {
        if (!is_x) v = copy_leaf(r, from, id, true);
        is_x = true;
        r->x[k] = v;
      }
    bool leaf = !from->op[cr__op_number(from, id)] || is_held(from, id);
    if (!is_x) v = leaf ? copy_leaf(r, from, id, cr__op_number(from, id) == CR__INPUT) : copy_node(r, from, id, cast);
    if (!v.id) return false;
    r->copy_of[id] = v.id;
  }
  r->y = cr__handle(r->tape, r->copy_of[y.id]);
  return true;
}

/* Which values move with x: through any op, also integer and bool ones. */
static bool find_moving(cr__replica *r, unsigned char *moves) {
  r->moving = take(r, r->tape->count, sizeof *r->moving);
  if (!r->moving) return false;
  for (int k = 0; k < r->n; k++) moves[r->x[k].id] = 1;
  for (uint32_t id = 1; id < r->n_copied; id++) {
    int n;
    const uint32_t *in = cr__operands(r->tape, id, &n);
    for (int k = 0; k < n && !moves[id]; k++) moves[id] = moves[in[k]];
    if (moves[id] && n) r->moving[r->n_moving++] = id;
  }
  r->n_values = r->n_moving;
  return true;
}

/* A row's decision is "expression | convention": the expression over a and b, whose sign tells the branch. */
static cr_var decision_node(cr__replica *r, uint32_t id, const cr_row *row) {
  char text[256];
  size_t n = row->decision ? strcspn(row->decision, "|") : 0;
  while (n && row->decision[n - 1] == ' ') n--;
  if (!n || n >= sizeof text) return cr_poison(r->tape);
  memcpy(text, row->decision, n);
  text[n] = 0;
  int p;
  const uint32_t *in = cr__operands(r->tape, id, &p);
  cr_var a = cr__handle(r->tape, in[0]), b = cr__handle(r->tape, in[p - 1]);
  cr_var v = cr_formula(r->tape, text, "a", a, "b", b);
  if (!v.id) cr_clear_error(r->tape);
  return v;
}

static void decide(cr__replica *r, uint32_t id, uint32_t of) {
  r->decision[r->n_decisions].id = id;
  r->decision[r->n_decisions++].of = of;
}

static bool find_decisions(cr__replica *r) {
  r->decision = take(r, r->n_values, sizeof *r->decision);
  if (!r->decision) return false;
  for (uint32_t k = 0; k < r->n_values; k++) {
    uint32_t id = r->moving[k];
    const cr_op *op = r->tape->op[cr__op_number(r->tape, id)];
    if (cr__array_of(r->tape, id).dtype < CR_FLOAT32 || op->decide) {
      decide(r, id, id);
    } else if (op->row) {
      cr_var v = decision_node(r, id, op->row);
      if (v.id) decide(r, v.id, id);
      if (r->tape->error != CR_OK) return false;
    }
  }
  uint32_t beside = r->tape->count - r->n_copied, *moving = take(r, r->n_values + beside, sizeof *moving);
  if (!moving) return false;
  memcpy(moving, r->moving, r->n_values * sizeof *moving);
  for (uint32_t id = r->n_copied; id < r->tape->count; id++)
    if (r->tape->op[cr__op_number(r->tape, id)]) moving[r->n_moving++] = id;
  r->moving = moving;
  return true;
}

static bool lay_out(cr__replica *r) {
  r->offset = take(r, (size_t)r->n + 1, sizeof *r->offset);
  if (!r->offset) return false;
  r->offset[0] = 0;
  for (int k = 0; k < r->n; k++) r->offset[k + 1] = r->offset[k] + cr_count(r->x[k]);
  r->size = r->offset[r->n];
  r->m = cr_count(r->y);
  r->point = cr__replica_numbers(r, r->size);
  if (r->point) cr__replica_collect(r, r->x, r->point);
  return r->point != NULL;
}

static bool build(cr__replica *r, cr_var y, int n, const cr_var *x) {
  uint32_t count = r->n_original = y.tape->count;
  r->x = take(r, (size_t)n, sizeof *r->x);
  r->copy_of = take(r, count, sizeof *r->copy_of);
  unsigned char *needed = take(r, count, 1);
  if (!r->x || !r->copy_of || !needed) return false;
  memset(r->copy_of, 0, count * sizeof *r->copy_of);
  memset(needed, 0, count);
  r->n = n;
  mark_needed(y.tape, y.id, n, x, needed);
  if (!copy_graph(r, y, n, x, needed)) return false;
  r->n_copied = r->tape->count;
  r->origin = take(r, r->n_copied, sizeof *r->origin);
  unsigned char *moves = take(r, r->n_copied, 1);
  if (!r->origin || !moves) return false;
  memset(r->origin, 0, r->n_copied * sizeof *r->origin);
  memset(moves, 0, r->n_copied);
  for (uint32_t id = 1; id < count; id++) r->origin[r->copy_of[id]] = id;
  return find_moving(r, moves) && find_decisions(r) && lay_out(r);
}

cr__replica *cr__replica_new(cr_var y, int n, const cr_var *x) {
  cr_tape *t = y.tape, *copy = cr_new_with(t->table, &t->base);
  if (!copy) {
    cr__out_of_memory(t);
    return NULL;
  }
  copy->option[CR_MAX_BYTES] = t->option[CR_MAX_BYTES];
  cr__replica *r = cr__alloc(copy, sizeof *r);
  if (r) {
    memset(r, 0, sizeof *r);
    r->tape = copy, r->user = t, r->user_y = y, r->user_x = x;
    if (build(r, y, n, x) && copy->error == CR_OK) return r;
  }
  cr_fail(t, copy->error != CR_OK ? copy->error : CR_NO_MEMORY, "check: %s", copy->error_text);
  cr_free(copy);
  return NULL;
}

void cr__replica_free(cr__replica *r) {
  if (r) cr_free(r->tape);
}

/* Evaluation */

/* Every value as if each op were less accurate: shows how far rounding is magnified on the way to a result. */
static void disturb(cr__replica *r, uint32_t id) {
  cr_array a = cr__array_of(r->tape, id);
  if (a.dtype < CR_FLOAT32 || (cr__is_record(r->tape, id) && r->tape->slot[id].tensor->view)) return;
  for (int64_t k = 0; k < a.count; k++) {
    double x = cr_array_get(&a, k);
    double *at = (double *)a.data + cr_array_offset(&a, k);
    if (!cr__is_record(r->tape, id)) at = &r->tape->slot[id].num;
    *at = x * (1 + r->noise * cr__uniform_at(r->noise_seed + id, (uint64_t)k));
  }
}

bool cr__replica_move(cr__replica *r, const double *point) {
  r->evaluations++;
  for (int k = 0; k < r->n; k++) {
    if (!cr__is_record(r->tape, r->x[k].id)) {
      r->tape->slot[r->x[k].id].num = point[r->offset[k]];
    } else {
      cr_array a = cr_view(r->x[k]);
      if (a.count) memcpy(a.data, point + r->offset[k], (size_t)a.count * sizeof *point);
    }
  }
  for (uint32_t k = 0; k < r->n_moving; k++) {
    if (cr__eval_node(r->tape, r->moving[k]) != CR_OK) return false;
    if (r->noise != 0 && k < r->n_values) disturb(r, r->moving[k]);
  }
  return true;
}

bool cr__replica_recompute(cr__replica *r, uint32_t first) {
  for (uint32_t id = first; id < r->tape->count; id++) {
    if (cr__eval_node(r->tape, id) != CR_OK) return false;
    if (r->noise != 0 && r->tape->op[cr__op_number(r->tape, id)]) disturb(r, id);
  }
  return true;
}

static uint64_t hash_of(const cr__replica *r, const struct cr__decision *d) {
  cr_array a = cr__array_of(r->tape, d->id);
  const cr_op *op = r->tape->op[cr__op_number(r->tape, d->id)];
  if (d->id == d->of && op->decide) {
    int n;
    const uint32_t *in = cr__operands(r->tape, d->id, &n);
    cr_array few[16];
    for (int k = 0; k < n && k < 16; k++) few[k] = cr__array_of(r->tape, in[k]);
    return op->decide(n < 16 ? n : 16, few, &a, cr__attr_of(r->tape, d->id));
  }
  uint64_t h = 0;
  for (int64_t k = 0; k < a.count; k++) {
    int64_t branch = 0;
    if (a.dtype < CR_FLOAT32) branch = cr_array_get_int(&a, k);
    else {
      double s = cr_array_get(&a, k);
      branch = s > 0 ? 1 : s < 0 ? -1 : s == 0 ? 0 : 2;
    }
    h = XXH3_64bits_withSeed(&branch, sizeof branch, h);
  }
  return h;
}

uint64_t cr__replica_branches(const cr__replica *r) {
  uint64_t h = 0;
  for (uint32_t k = 0; k < r->n_decisions; k++) {
    uint64_t one = hash_of(r, &r->decision[k]);
    h = XXH3_64bits_withSeed(&one, sizeof one, h);
  }
  return h;
}

void cr__replica_branch_list(const cr__replica *r, uint64_t *out) {
  for (uint32_t k = 0; k < r->n_decisions; k++) out[k] = hash_of(r, &r->decision[k]);
}

double cr__replica_value(const cr__replica *r, const double *v) {
  cr_array y = cr__array_of(r->tape, r->y.id);
  long double sum = 0;
  for (int64_t k = 0; k < y.count; k++) {
    double weight = v ? v[k] : 1;
    if (weight != 0) sum += (long double)weight * (long double)cr_array_get(&y, k);
  }
  return (double)sum;
}

bool cr__replica_gradient(cr__replica *r, const double *v, double *gradient) {
  cr_mark mark = cr_mark_here(r->tape);
  cr_var cotangent = cr__replica_cotangent(r, v);
  cr_sweep *s = cotangent.id ? cr_backward_from(r->y, cotangent) : NULL;
  for (int k = 0; s && k < r->n; k++) cr_adjoint_read(s, r->x[k], gradient + r->offset[k], r->offset[k + 1] - r->offset[k]);
  cr_sweep_release(s);
  cr__rewind(r->tape, mark);
  return s && r->tape->error == CR_OK;
}

static double largest_term(cr__replica *r, const cr_sweep *s, uint32_t id) {
  cr_array a = cr__array_of(r->tape, id);
  double largest = 0, *bar = a.dtype < CR_FLOAT32 ? NULL : cr__replica_numbers(r, a.count);
  if (!bar || cr_adjoint_read(s, cr__handle(r->tape, id), bar, a.count) != CR_OK) return 0;
  for (int64_t k = 0; k < a.count; k++) {
    double term = fabs(bar[k] * cr_array_get(&a, k));
    if (isfinite(term)) largest = fmax(largest, term);
  }
  return largest;
}

double cr__replica_terms(cr__replica *r, const double *v) {
  cr_mark mark = cr_mark_here(r->tape);
  cr_var cotangent = cr__replica_cotangent(r, v);
  cr_sweep *s = cotangent.id ? cr_backward_from(r->y, cotangent) : NULL;
  double largest = 0;
  for (uint32_t k = 0; s && k < r->n_values; k++) largest = fmax(largest, largest_term(r, s, r->moving[k]));
  cr_sweep_release(s);
  cr__rewind(r->tape, mark);
  return largest;
}

static cr_var constant_like(cr_tape *t, cr_var like, const double *numbers) {
  if (!cr__is_record(t, like.id)) return cr_const(t, numbers ? numbers[0] : 1);
  cr_array a = cr_view(like);
  cr_var v = cr_constant_of(t, CR_FLOAT64, a.rank, a.dim, numbers);
  cr_array ones = cr_view(v);
  for (int64_t k = 0; v.id && !numbers && k < ones.count; k++) cr_array_set(&ones, k, 1);
  return v;
}

cr_var cr__replica_cotangent(cr__replica *r, const double *v) { return constant_like(r->tape, r->y, v); }

bool cr__replica_tangents(cr__replica *r, const double *u, cr_var *out) {
  for (int k = 0; k < r->n; k++) {
    out[k] = constant_like(r->tape, r->x[k], u + r->offset[k]);
    if (!out[k].id) return false;
  }
  return true;
}

void cr__replica_collect(const cr__replica *r, const cr_var *nodes, double *out) {
  for (int k = 0; k < r->n; k++) {
    cr_array a = cr_view(nodes[k]);
    for (int64_t j = 0; j < a.count; j++) out[r->offset[k] + j] = cr_array_get(&a, j);
  }
}
