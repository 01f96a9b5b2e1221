/* The text of a graph is a program that records the same graph again: the samples of all functions and their gradients, in
 * both dtypes; names that clash, numbers that are hard to write, deep graphs; and what may not be read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "function.h"
#include "meter.h"
#include "samples.h"

enum { MOST_LEAVES = 64 };

/* The leaves that the results need, as the text lists them. */
static int leaves_of(cr_tape *t, int n, const cr_var *out, cr_var *leaf) {
  unsigned char *needed = calloc(cr_node_count(t), 1);
  int found = 0;
  for (int k = 0; k < n; k++) needed[out[k].id] = 1;
  for (uint32_t id = (uint32_t)cr_node_count(t) - 1; id > 0; id--)
    for (int k = 0; needed[id] && k < cr_operand_count(cr_node_at(t, id)); k++)
      needed[cr_operand(cr_node_at(t, id), k).id] = 1;
  for (uint32_t id = 1; id < cr_node_count(t); id++) {
    cr_var v = cr_node_at(t, id);
    if (!needed[id] || cr_op_of(v) || cr_is_const(v)) continue;
    assert_true(found < MOST_LEAVES);
    leaf[found++] = v;
  }
  free(needed);
  return found;
}

/* A leaf with the numbers of v on another tape. */
static cr_var copy_of(cr_tape *t, cr_var v) {
  cr_array a = cr_view(v);
  return a.rank == 0 && a.dtype == CR_FLOAT64 ? cr_input(t, cr_value(v))
                                              : cr_tensor_of(t, (cr_dtype)a.dtype, a.rank, a.dim, a.data);
}

/* Binds copies of the leaves under the names that the comments of the text give them. */
static void bind_leaves(cr_program *p, cr_tape *t, const char *text, int n, const cr_var *leaf) {
  char name[80];
  for (int k = 0; k < n; k++) {
    assert_int_equal(sscanf(text, "# %79[^:]:", name), 1);
    cr_program_bind(p, name, copy_of(t, leaf[k]));
    text = strchr(text, '\n') + 1;
  }
}

static bool same_numbers(cr_var a, cr_var b) {
  cr_array x = cr_view(a), y = cr_view(b);
  if (x.dtype != y.dtype || x.count != y.count) return false;
  for (int64_t k = 0; k < x.count; k++) {
    double u = cr_array_get(&x, k), v = cr_array_get(&y, k);
    if (memcmp(&u, &v, sizeof u) && !(isnan(u) && isnan(v))) return false;
  }
  return true;
}

/* A word or number of the text: a place, its length. */
static const char *token_at(const char *text, size_t length, uint64_t *seed, size_t *n) {
  static const char part[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  const char *at = text + (*seed >> 33) % length;
  while (at > text && strchr(part, at[-1])) at--;
  while (*at && !strchr(part, *at)) at++;
  *n = strspn(at, part);
  return at;
}

/* Programs with one word or number exchanged for another must run, or be refused. */
static void spoil(const char *text, size_t length, int n, const cr_var *leaf, cr_dtype dtype) {
  static uint64_t seed = 1;
  static const char *const numbers[] = {"0", "1", "2", "3", "-1", "7"};
  char *spoiled = malloc(length + 100);
  for (int k = 0; k < 6; k++) {
    size_t a, b;
    const char *at = token_at(text, length, &seed, &a), *other = token_at(text, length, &seed, &b);
    bool digit = *at >= '0' && *at <= '9';
    if (digit) other = numbers[seed >> 40 & 3 ? (seed >> 33) % 6 : 4], b = strlen(other);
    if (a + 50 < b) continue;
    snprintf(spoiled, length + 100, "%.*s%.*s%s", (int)(at - text), text, (int)b, other, at + a);
    cr_tape *u = cr_new();
    cr_program *p = cr_program_new(u, dtype);
    cr_results r;
    cr_syntax_error e;
    bind_leaves(p, u, text, n, leaf);
    cr_program_run(p, spoiled, strlen(spoiled), &r, &e);
    cr_free(u);
  }
  free(spoiled);
}

/* Writes, reads, compares hashes and numbers, writes again; "" or what went wrong. */
static void round_trip(cr_tape *t, int n, const cr_var *out, cr_dtype dtype, char *wrong, size_t size) {
  cr_buffer first = {.tape = t}, second = {0};
  cr_var leaf[MOST_LEAVES];
  cr_results r = {0};
  cr_syntax_error e;
  uint64_t h, g;
  wrong[0] = 0;
  if (cr_write_graph(&first, n, out) != CR_OK) {
    snprintf(wrong, size, "not written: %s", cr_error_text(t));
    cr_buffer_free(&first);
    cr_clear_error(t);
    return;
  }
  cr_tape *u = cr_new();
  second.tape = u;
  int n_leaves = leaves_of(t, n, out, leaf);
  if (first.length < 20000) spoil(first.text, first.length, n_leaves, leaf, dtype);
  cr_program *p = cr_program_new(u, dtype);
  bind_leaves(p, u, first.text, n_leaves, leaf);
  if (cr_program_run(p, first.text, first.length, &r, &e) != CR_OK) {
    cr_syntax_error_text(&e, first.text, first.length, wrong, size);
  } else if (r.n != n) {
    snprintf(wrong, size, "%d results, not %d", r.n, n);
  }
  for (int k = 0; !wrong[0] && k < n; k++) {
    cr_hash(out[k], &h), cr_hash(r.value[k], &g);
    if (!same_numbers(out[k], r.value[k])) snprintf(wrong, size, "other numbers in result %d", k);
    else if (h != g) snprintf(wrong, size, "another hash of result %d", k);
  }
  if (!wrong[0] && cr_write_graph(&second, n, r.value) != CR_OK) snprintf(wrong, size, "not written again");
  for (size_t k = 0; !wrong[0] && k <= first.length; k++)
    if (first.text[k] != second.text[k])
      snprintf(wrong, size, "written again as\n%.900s", second.text + (k > 40 ? k - 40 : 0));
  if (wrong[0] && first.length < 3000) print_error("%s", first.text);
  cr_buffer_free(&first);
  cr_buffer_free(&second);
  cr_free(u);
}

/* The samples of one function; counts what is compared and what is wrong. */
static void check_samples(const cr_function *f, cr_dtype dtype, int *compared, int *bad) {
  const char *rest = f->samples, *text;
  size_t length;
  char wrong[1200];
  while (rest && (text = sample_next(&rest, &length)) != NULL) {
    sample s;
    cr_var out[1 + MOST_INPUTS];
    int n = 0;
    if (!sample_make(&s, text, length, dtype, 7, wrong)) continue;
    for (int graph = 0; graph < 2; graph++) {
      if (graph == 0) {
        round_trip(s.tape, s.results.n, s.results.value, dtype, wrong, sizeof wrong);
      } else {
        cr_var y = s.results.value[0];
        if (!s.n_inputs || cr_dtype_of(y) < CR_FLOAT32) continue;
        if (cr_grad(y, s.n_inputs, s.input, out) != CR_OK) {
          cr_clear_error(s.tape);
          continue;
        }
        for (n = 0; n < s.n_inputs; n++) continue;
        round_trip(s.tape, n, out, dtype, wrong, sizeof wrong);
      }
      if (wrong[0]) ++*bad, print_error("%s of %.*s: %s\n", graph ? "gradient" : "value", (int)length, text, wrong);
      else ++*compared;
    }
    sample_free(&s);
  }
}

static void samples_come_back(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  int compared = 0, bad = 0;
  const cr_function *f;
  for (int k = 0; (f = cr_function_at(t, k)) != NULL; k++) {
    check_samples(f, CR_FLOAT64, &compared, &bad);
    check_samples(f, CR_FLOAT32, &compared, &bad);
  }
  print_message("%d graphs written and read\n", compared);
  assert_int_equal(bad, 0);
  assert_true(compared > 1500);
  cr_free(t);
}

static void assert_round_trip(cr_tape *t, int n, const cr_var *out) {
  char wrong[1200];
  round_trip(t, n, out, CR_FLOAT64, wrong, sizeof wrong);
  if (wrong[0]) fail_msg("%s", wrong);
}

/* Bodies are functions: those of loops, branches, roots, of their derivatives, and bodies within bodies. */
static void bodies_come_back(void **state) {
  (void)state;
  static const char *const texts[] = {
    "f(h, v, w) = (tanh(h * w + v), h * h); y, z = scan(f, a:(), x:(5), w:()); y + sum(z)",
    "f(h, v, w) = (sin(h * w) + v, h[0] * v); y, z = scan(f, a:(3), x:(7), w:(3), every=3, reverse=True); sum(y) * sum(z)",
    "f(h, i, w) = h * w + i; fori(f, a:(), 5, w:(), count=3)",
    "g(h, i, w) = cond(h > 0, sin, cos, h * w); fori(g, a:(), 4, w:())",
    "g(h, w) = (h * w, h + w); y, z = checkpoint(g, a:(3), w:(3)); sum(y * sin(z)) + y[0]",
    "k(h, v) = h * sin(v); f(h, v, w) = scan(k, h, w) + v; g(h, v, w) = scan(f, h, v, w); scan(g, a:(), x:(2,3), w:(4))",
    "f(x, c) = x^3 - c + 0.1 * sum(x); sum(root(f, [1.0, 1, 1], c:(3)>0))",
    "f(v, w) = eigvalsh(outer(v, v) + w); sum(map(f, x:(4,3), w:(3,3)))",
    "f(v) = {m = [[1, 2], [3, 4.5]]; sum(m @ v)}; map(f, x:(3,2))[1]"};
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
    for (int dtype = CR_FLOAT32; dtype <= CR_FLOAT64; dtype++) {
      sample s;
      char wrong[1200];
      cr_var d[MOST_INPUTS + 1], second;
      if (!sample_make(&s, texts[k], strlen(texts[k]), (cr_dtype)dtype, 3, wrong)) fail_msg("%s", wrong);
      d[0] = s.results.value[0];
      assert_int_equal(cr_grad(d[0], s.n_inputs, s.input, d + 1), CR_OK);
      round_trip(s.tape, 1 + s.n_inputs, d, (cr_dtype)dtype, wrong, sizeof wrong);
      if (wrong[0]) fail_msg("%s: %s", texts[k], wrong);
      assert_int_equal(cr_grad(cr_sum_all(d[1]), 1, s.input + s.n_inputs - 1, &second), CR_OK);
      if (!cr_is_poison(second)) round_trip(s.tape, 1, &second, (cr_dtype)dtype, wrong, sizeof wrong);
      if (wrong[0]) fail_msg("second derivative of %s: %s", texts[k], wrong);
      sample_free(&s);
    }
}

/* Names of the language, of two nodes, of none, and with what no name has. */
static void names_may_clash(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  static const char *const names[] = {"inf", "op", "x", "x", "_1", "v 2", "sin", "not", "3d", NULL};
  cr_var x[10], y = cr_const(t, 2);
  for (int k = 0; k < 10; k++) {
    x[k] = cr_input(t, 0.1 * (k + 1));
    if (names[k]) cr_name(x[k], names[k]);
    y = cr_add(cr_sin(y), cr_mul(x[k], x[k]));
  }
  cr_buffer b = {.tape = t}, again = {0};
  cr_results r;
  cr_syntax_error e;
  assert_int_equal(cr_write_graph(&b, 1, &y), CR_OK);
  assert_non_null(strstr(b.text, "# x: float64\n"));
  assert_non_null(strstr(b.text, "sin*sin\n"));
  assert_null(strstr(b.text, "not"));
  again.tape = cr_new();
  cr_program *p = cr_program_new(again.tape, CR_FLOAT64);
  bind_leaves(p, again.tape, b.text, 10, x);
  assert_int_equal(cr_program_run(p, b.text, b.length, &r, &e), CR_OK);
  assert_true(same_numbers(y, r.value[0]));
  cr_buffer_free(&b);
  cr_free(again.tape);
  cr_free(t);
}

/* All digits, signs of zero, infinities, NaN; integers that no double holds; truths; no elements at all; many. */
static void numbers_come_back(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  double d[] = {0.1, -0.0, 0, HUGE_VAL, -HUGE_VAL, (double)NAN, 5e-324, 1.7976931348623157e308};
  float f[] = {0.1f, 3.4028235e38f, 1e-45f, -0.0f, 16777216};
  int64_t n[] = {INT64_MAX, INT64_MIN, -1, (1LL << 53) + 1};
  unsigned char b[] = {1, 0};
  cr_var wide = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){2, 4}, d), x = cr_input(t, 1.5);
  cr_var out[] = {
    wide, cr_constant_of(t, CR_FLOAT32, 1, (int64_t[]){5}, f), cr_constant_of(t, CR_INT64, 1, (int64_t[]){4}, n),
    cr_constant_of(t, CR_BOOL, 1, (int64_t[]){2}, b), cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){0, 3}, NULL),
    cr_full(t, CR_FLOAT64, 1, (int64_t[]){100}, -0.0), cr_arange(t, CR_INT64, 0, 100, 1),
    cr_name(cr_randn(t, CR_FLOAT64, 1, (int64_t[]){99}, 3), "noise"), cr_const(t, -2), cr_mul(cr_const(t, -2), x),
    cr_pow(x, cr_const(t, -0.5)), cr_sub(x, cr_const(t, -1)), cr_sin(cr_const(t, 3)),
    cr_mul(cr_const(t, 3), cr_const(t, 4)), cr_mul(x, cr_const(t, HUGE_VAL)), cr_maximum(cr_const(t, (double)NAN), x), x};
  assert_round_trip(t, sizeof out / sizeof *out, out);
  cr_free(t);
}

/* A captured function's text computes what running it does; assigned values come after the results. */
static void captured_functions_come_back(void **state) {
  (void)state;
  cr_tape *t = cr_new(), *u = cr_new();
  double w[] = {0.5, -1, 2}, loss = 0, wanted[4];
  cr_var p = cr_name(cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, w), "w"), x = cr_name(cr_input(t, 0.3), "x");
  cr_var h = cr_tanh(cr_mul(p, x)), y = cr_sum(cr_mul(h, h), -1, NULL, 0), g;
  assert_int_equal(cr_grad(y, 1, &p, &g), CR_OK);
  cr_var next = cr_sub(p, cr_mul(cr_const(t, 0.1), g));
  cr_fn *f = cr_capture(t, 2, (cr_var[]){p, x}, 1, &y, 1, &(cr_assign){p, next}, CR_FN_EXACT);
  assert_non_null(f);
  cr_buffer b = {.tape = u};
  assert_int_equal(cr_fn_write_text(&b, f), CR_OK);
  cr_program *program = cr_program_new(u, CR_FLOAT64);
  cr_program_bind(program, "w", copy_of(u, p));
  cr_program_bind(program, "x", copy_of(u, x));
  cr_results r;
  cr_syntax_error e;
  if (cr_program_run(program, b.text, b.length, &r, &e) != CR_OK) fail_msg("%s\n%s", cr_error_text(u), b.text);
  assert_int_equal(r.n, 2);
  double at = 0.3;
  cr_array in[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, out = cr_fn_output(f, 0);
  in[0].data = w, in[1].data = &at, out.data = &loss;
  cr_workspace *space = cr_workspace_new(f);
  assert_int_equal(cr_fn_run(f, space, in, &out), CR_OK);
  cr_read(r.value[0], wanted, 1);
  cr_read(r.value[1], wanted + 1, 3);
  assert_memory_equal(&loss, wanted, sizeof loss);
  assert_memory_equal(w, wanted + 1, sizeof w);
  cr_workspace_free(space);
  cr_fn_free(f);
  cr_buffer_free(&b);
  cr_free(u);
  cr_free(t);
}

static void deep_graphs_come_back(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_name(cr_input(t, 0.5), "x"), y = x;
  for (int k = 0; k < 50000; k++) y = cr_add(cr_sin(y), x);
  assert_round_trip(t, 1, &y);
  cr_free(t);
}

/* Every text that is wrong is refused with a sentence. */
static void wrong_texts_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } wrong[] = {
    {"op.nothing(x)", "unknown op 'nothing'"},
    {"op.sum(x, x)", "op.sum does not take 2 operands"},
    {"op.sum(x, axes=[2])", "op.sum: argument 'axes' must be a list of axes"},
    {"op.sum(x, axis=0)", "op.sum has no argument 'axis'"},
    {"op.sum(x, keepdim=2)", "argument 'keepdim' must be True or False"},
    {"op.argsort(x, axis=-1)", "op.argsort: axis -1 of an operand of 2 axes"},
    {"op.pad(x, 0, lo=[1], hi=[1, 1], interior=[0])", "as long as the list before it"},
    {"op.slice(x, start=[0, 9], step=[1, 1], size=[2, 3])", "op.slice cannot have these operands with these attributes"},
    {"op.slice(x, start=[0], step=[1], size=[2])", "op.slice cannot have"},
    {"op.slice(x, start=[0, 0], step=[1, -1], size=[2, 3])", "op.slice cannot have"},
    {"op.select(x, index=2)", "op.select cannot have"},
    {"op.permute(x, axes=[0, 0])", "op.permute cannot have"},
    {"op.pull(x, x, of='sum', by=0)", "argument 'of' must be an elementwise op"},
    {"op.pull(x, of='mul', by=0)", "op.pull cannot have"},
    {"op.cast(x, dtype='floaty')", "argument 'dtype' must be a dtype"},
    {"op.standardize(x, axes=[0], eps='a')", "argument 'eps' must be a number"},
    {"op.constant([1, 2], shape=[3])", "2 numbers do not fill the shape's 3"},
    {"op.constant([1, x])", "argument 'data' must be numbers"},
    {"op.constant(1, 2)", "takes one number or one list"},
    {"op.constant('9', shape=[2])", "argument 'data' must be numbers"},
    {"op.largest_at(x)", "op.largest_at cannot have"},
    {"op.plane_take(x, op.constant([0, 9], shape=[2, 1], dtype='int32'), plane=[3])", "a position outside the plane"},
    {"op.plane_take(x, op.constant([0, 1], dtype='int32'), plane=[3])", "op.plane_take cannot have"},
    {"op.recurrence_trace(x, x, x, x, cell=7)", "op.recurrence_trace cannot have"},
    {"op.attention(x, x, op.constant(1, shape=[3, 3]))", "op.attention cannot have"},
    {"op.class_entropy(x, op.constant([0, 1, 1], dtype='int64'))", "op.class_entropy cannot have"},
    {"op.concatenate()", "op.concatenate does not take 0 operands"},
    {"op.concatenate(x, x, axis=7)", "op.concatenate cannot have"},
    {"f(a) = {a^2}; op.checkpoint(x, body=f)", "must be a function at the types"},
    {"f(a) = {a^2}; op.checkpoint(x, body=g('float64'))", "must be a function at the types"},
    {"f(a) = {a^2}; op.checkpoint(x, body=f('float64 (2,'))", "expected a type"},
    {"f(a) = {a^2}; op.checkpoint(x, body=f('float64 (9999999, 9999999)'))", "expected a type"},
    {"f(a) = {a^2}; op.checkpoint(x, body=f('float64 (3, 3)'))", "the body takes float64 (3, 3)"},
    {"f(a) = {a^2}; op.checkpoint(x, body=f(2.0))", "expected a type"},
    {"f(a) = {a + b}; op.checkpoint(x, body=f('float64'))", "unknown name 'b'"},
    {"f(a) = {(a, a)}; g(a) = f(a); op.checkpoint(x, body=g('float64'))", "the function has 2 results, not 1"},
    {"f(a) = {()}; op.checkpoint(x, body=f('float64'))", "the function has 0 results, not 1"},
    {"op.checkpoint(x)", "op.checkpoint cannot have"},
    {"f(a) = {a^2}; op.checkpoint(x, body=f('float64 (2, 3)'), other=f('float64 (2, 3)'))", "op.checkpoint cannot have"},
    {"f(a) = {a^2}; g(a) = {sum(a)}; op.cond(1, x, body=f('float64 (2, 3)'), other=g('float64 (2, 3)'))",
    "op.cond cannot have"},
    {"f(a) = {a^2}; op.scan(x, body=f('float64 (2, 3)'), steps=3, carries=2)", "op.scan cannot have"},
    {"f(a) = {a^2}; op.scan(x, body=f('float64 (2, 3)'), steps=-3, carries=1)", "op.scan cannot have"},
    {"f(a) = {a^2}; op.scan(x, body=f('float64 (2, 3)'), steps='99999999999', carries=1)", "op.scan cannot have"},
    {"f(a) = {sum(a)}; op.scan(x, body=f('float64 (2, 3)'), steps=3, carries=1)", "op.scan cannot have"},
    {"f(a) = {a^2}; op.scan(x, body=f('float64 (3,)'), steps=3, sequences=1, results=1)", "the body takes float64 (3, 3)"},
    {"f(a) = {a^2}; op.root(x, body=f('float64 (2, 3)'))", "op.root cannot have"},
  };
  for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
    cr_tape *t = cr_new();
    cr_program *p = cr_program_new(t, CR_FLOAT64);
    cr_results r;
    cr_syntax_error e;
    cr_program_bind(p, "x", cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 3}, NULL));
    cr_status status = cr_program_run(p, wrong[k].text, strlen(wrong[k].text), &r, &e);
    if (status == CR_OK) fail_msg("%s is accepted", wrong[k].text);
    if (!strstr(cr_error_text(t), wrong[k].says))
      fail_msg("%s: \"%s\" is not \"%s\"", wrong[k].text, cr_error_text(t), wrong[k].says);
    cr_free(t);
  }
}

static cr_status secret_infer(cr_infer *c) { return *c->out = c->in[0], c->out->data = NULL, CR_OK; }
static cr_status secret_eval(cr_eval *c) { return cr_array_copy(c->out, &c->in[0]), CR_OK; }
static const cr_op secret = {.name = "secret", .arity = 1, .kind = CR_LINEAR, .infer = secret_infer, .eval = secret_eval};

/* Each op that a text may call refuses what no constructor would pass. */
static void every_op_is_checked(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  int n = 0, without = 0;
  for (int k = 0; (f = cr_function_at(t, k)); k++)
    for (const cr_op *const *op = f->ops; op && *op; op++, n++) {
      without += !(*op)->check;
      if (!(*op)->check) print_error("%s has no check\n", (*op)->name);
    }
  cr_free(t);
  assert_true(n > 60);
  assert_int_equal(without, 0);
}

static void what_has_no_text_is_refused(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_input(t, 1), many[CR_MAX_RESULTS + 1];
  cr_buffer b = {.tape = t};
  for (int k = 0; k <= CR_MAX_RESULTS; k++) many[k] = x;
  assert_int_equal(cr_write_graph(&b, CR_MAX_RESULTS + 1, many), CR_BAD_ARGUMENT);
  cr_clear_error(t);
  assert_int_equal(cr_write_graph(&b, 0, many), CR_BAD_ARGUMENT);
  cr_clear_error(t);
  cr_var y = cr_record(t, &secret, 1, &x, NULL);
  assert_int_equal(cr_write_graph(&b, 1, &y), CR_BAD_ARGUMENT);
  assert_non_null(strstr(cr_error_text(t), "no function lists the op 'secret'"));
  cr_buffer_free(&b);
  cr_free(t);
}

/* Writes and reads; the meter makes one allocation fail. */
static cr_status write_and_read(const cr_allocator *allocator, meter *m, long fail_at) {
  cr_tape *t = cr_new_with(cr_standard_ops(), allocator);
  if (!t) return CR_NO_MEMORY;
  cr_var x = cr_name(cr_input(t, 0.5), "x");
  cr_var y = cr_formula(
      t, "f(h, v) = {u = sin(h * v); u + h}; sum(sin(x * arange(20, dtype=float64))) + scan(f, x, arange(3, dtype=float64))",
      "x", x);
  cr_buffer b = {.tape = t};
  cr_results r;
  cr_syntax_error e;
  m->calls = 0, m->fail_at = fail_at;
  cr_status status = cr_write_graph(&b, 1, &y);
  cr_program *p = status == CR_OK ? cr_program_new(t, CR_FLOAT64) : NULL;
  if (p) cr_program_bind(p, "x", x), status = cr_program_run(p, b.text, b.length, &r, &e);
  else if (status == CR_OK) status = cr_error(t);
  cr_buffer_free(&b);
  cr_free(t);
  return status;
}

static void allocations_may_fail(void **state) {
  (void)state;
  meter m = {0};
  cr_allocator allocator = {meter_reallocate, &m};
  long n = 1;
  for (; n < 1000; n++) {
    cr_status status = write_and_read(&allocator, &m, n);
    assert_int_equal(m.live, 0);
    m.fail_at = 0;
    if (status == CR_OK) break;
    assert_int_equal(status, CR_NO_MEMORY);
  }
  assert_true(n > 3 && n < 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_may_clash),
    cmocka_unit_test(numbers_come_back),
    cmocka_unit_test(captured_functions_come_back),
    cmocka_unit_test(deep_graphs_come_back),
    cmocka_unit_test(wrong_texts_are_refused),
    cmocka_unit_test(what_has_no_text_is_refused),
    cmocka_unit_test(allocations_may_fail),
    cmocka_unit_test(samples_come_back), cmocka_unit_test(bodies_come_back), cmocka_unit_test(every_op_is_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
