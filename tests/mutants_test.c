/* Mutants: the reverse rule of every op in every function's first sample is spoilt in turn. Each mutant must be caught by
 * the checker, unless what the rule hands on is 0 or reaches no input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "samples.h"

enum { FLIPPED, DOUBLED, DROPPED, OFF, MUTATIONS };
static struct {
  const cr_op *of;
  int kind, operand;
  cr_op op;
} mutant;

static void mutant_vjp(cr_vjp_rule *c) {
  cr_vjp_rule original = *c;
  cr_tape *t = c->tape;
  original.op = mutant.of;
  if (mutant.of->vjp) {
    mutant.of->vjp(&original);
  } else {
    for (int k = 0; k < c->n; k++) {
      double literal = (double)NAN;
      if (!c->wanted[k]) continue;
      cr_var d = cr__row_partial(t, mutant.of, k, c->in[0], c->in[c->n - 1], c->out, &literal);
      c->d[k] = !d.id ? cr_mul(c->g, cr_const(t, literal)) : cr_guarded_mul(c->g, d);
    }
  }
  cr_var *d = &c->d[mutant.operand];
  if (!d->id) return;
  cr_array a = cr_view(*d);
  if (mutant.kind == FLIPPED) *d = cr_neg(*d);
  if (mutant.kind == DOUBLED) *d = cr_mul(cr_const(t, 2), *d);
  if (mutant.kind == DROPPED) *d = cr_poison(t);
  if (mutant.kind == OFF) *d = cr_mul(*d, cr_add(cr_const(t, 1.001), cr_zeros(t, (cr_dtype)a.dtype, a.rank, a.dim)));
}

/* A spoilt row is a plain op with the row's kernel, or the sweep would go by the row; a spoilt slice likewise. */
static cr_status mutant_infer(cr_infer *c) {
  cr_infer original = *c;
  original.op = mutant.of;
  return mutant.of->infer(&original);
}
static cr_status mutant_eval(cr_eval *c) {
  cr_eval original = *c;
  original.op = mutant.of;
  return mutant.of->eval(&original);
}

/* By differences: that the modes contradict each other, or the tests of the engine against itself, does not count. */
static int caught(cr_var y, int n, const cr_var *x) {
  cr_check_options o = {.struct_size = sizeof o, .order = 1, .weighted = 1, .directions = 1, .max_coordinates = 8};
  cr_report *r = NULL;
  if (cr_is_poison(y) || cr_check(y, n, x, &o, &r) != CR_MISMATCH) return 0;
  for (int k = 0; k < r->n_entries; k++)
    if (r->entry[k].verdict == CR_DISAGREE) return 1;
  return 0;
}

/* The graph again, with op of the node spoilt. 0 when the graph cannot show it. */
static cr_var spoil(const sample *s, cr_tape *t, cr_var y, uint32_t node, cr_var *x) {
  cr_var *copy = cr__alloc(t, (y.id + 1) * sizeof *copy);
  for (uint32_t id = 1; id <= y.id; id++) {
    cr_var v = cr_node_at(s->tape, id), in[64];
    int n = cr_operand_count(v);
    for (int k = 0; k < n; k++) in[k] = copy[cr_operand(v, k).id];
    if (n || cr_op_of(v)) {
      copy[id] = cr_record(t, id == node ? &mutant.op : cr_op_of(v), n, in, cr_attributes(v));
    } else {
      cr_array a = cr_view(v);
      int inline_node = !cr__is_record(s->tape, id);
      copy[id] = inline_node      ? (cr_is_input(v) ? cr_input(t, cr_value(v)) : cr_const(t, cr_value(v)))
                 : cr_is_input(v) ? cr_tensor_of(t, (cr_dtype)a.dtype, a.rank, a.dim, a.data)
                                  : cr_constant_of(t, (cr_dtype)a.dtype, a.rank, a.dim, a.data);
    }
  }
  for (int k = 0; k < s->n_inputs; k++) x[k] = copy[s->input[k].id];
  return copy[y.id];
}

/* Does the right rule hand anything but zeros to this operand? */
static int hands_something(cr_var y, cr_var node, int k) {
  cr_tape *t = y.tape;
  cr_sweep *s = cr_backward(y);
  unsigned char wanted[64] = {0};
  cr_var d[64];
  if (!s || !cr__differentiable(t, cr_operand(node, k).id)) return 0;
  wanted[k] = 1;
  cr_var g = cr_adjoint_var(s, node);
  if (cr__apply_vjp(t, node.id, g, wanted, d) != CR_OK || !d[k].id) return 0;
  cr_array a = cr_view(d[k]);
  double size = 0;
  for (int64_t j = 0; j < a.count; j++) size = fmax(size, fabs(cr_array_get(&a, j)));
  return size > 1e-6 && isfinite(size);
}

/* Does what an operand is handed reach an input? */
static int reaches_input(const sample *s, cr_var operand) {
  cr_sweep *sweep = cr_backward(operand);
  double size = 0, bar[256];
  for (int k = 0; sweep && k < s->n_inputs; k++) {
    int64_t n = cr_count(s->input[k]);
    if (n > 256 || cr_adjoint_read(sweep, s->input[k], bar, n) != CR_OK) return 1;
    for (int64_t j = 0; j < n; j++) size = fmax(size, fabs(bar[j]));
  }
  return size > 0;
}

typedef struct score {
  int made, caught;
} score;

static void mutate_node(const sample *s, cr_var y, cr_var node, score *total, const char *what) {
  int n = cr_operand_count(node);
  for (int k = 0; k < n && n <= 64; k++) {
    if (!hands_something(y, node, k) || !reaches_input(s, cr_operand(node, k))) continue;
    for (int kind = 0; kind < MUTATIONS; kind++) {
      cr_tape *t = cr_new();
      cr_var x[MOST_INPUTS];
      mutant.of = cr_op_of(node), mutant.kind = kind, mutant.operand = k;
      mutant.op = *mutant.of;
      mutant.op.vjp = mutant_vjp;
      mutant.op.infer = mutant_infer;
      if (mutant.of->eval) mutant.op.eval = mutant_eval;
      mutant.op.row = NULL;
      mutant.op.window = 0;
      cr_var bad = spoil(s, t, y, node.id, x);
      int hit = caught(bad, s->n_inputs, x);
      total->made++;
      total->caught += hit;
      if (!hit) print_error("mutant %d of %s, operand %d, in %s survived\n", kind, mutant.of->name, k, what);
      cr_free(t);
    }
  }
}

static void mutate_sample(const char *text, size_t length, score *total) {
  char error[400];
  sample s;
  if (!sample_make(&s, text, length, CR_FLOAT64, 3, error)) return;
  const cr_op *seen[64];
  int n_seen = 0;
  char what[128];
  snprintf(what, sizeof what, "%.*s", (int)length, text);
  cr_var y = s.results.value[0];
  if (cr_dtype_of(y) >= CR_FLOAT32 && s.n_inputs && cr_count(y)) {
    cr_var weighted = cr_sum_all(cr_mul(y, cr_add(y, cr_const(s.tape, 1.5)))); /* so that no share cancels in the sum */
    for (uint32_t id = 1; id <= y.id; id++) {
      cr_var v = cr_node_at(s.tape, id);
      int known = !cr_op_of(v) || (cr_op_of(v)->row && !cr_op_of(v)->vjp && cr_op_of(v)->row->result == 'b');
      for (int k = 0; k < n_seen; k++) known = known || seen[k] == cr_op_of(v);
      if (known || n_seen == 64) continue;
      seen[n_seen++] = cr_op_of(v);
      mutate_node(&s, weighted, v, total, what);
      cr_clear_error(s.tape);
    }
  }
  sample_free(&s);
}

static void no_mutant_survives(void **state) {
  (void)state;
  score total = {0, 0};
  cr_tape *t = cr_new();
  const cr_function *f;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    const char *rest = f->samples, *text;
    size_t length;
    if (f->call && (text = sample_next(&rest, &length))) mutate_sample(text, length, &total);
  }
  for (int k = 0; k < cr__n_rows; k++) {
    const cr_op *op = cr__rows[k];
    char a[80], b[80], text[256];
    sample_range(op->row->domain, 'a', a, sizeof a);
    sample_range(op->row->domain, 'b', b, sizeof b);
    if (op->row->partial_text[0] && !strcmp(op->row->partial_text[0], "nan")) strcat(a, "!"); /* an order */
    int n = snprintf(text, sizeof text, op->arity == 1 ? "%s(a:(3)%s)" : "%s(a:(3)%s, b:(3)%s)", op->name, a, b);
    if (op->row->result != 'b') mutate_sample(text, (size_t)n, &total);
  }
  cr_free(t);
  print_message("%d of %d mutants caught\n", total.caught, total.made);
  assert_true(total.made > 0);
  assert_int_equal(total.caught, total.made);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_mutant_survives)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
