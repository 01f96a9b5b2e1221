/* Emitted C against the engine: every row of the table as a function of numbers, to the last bit, with its gradient; every
 * sample of every function that has a form in C; Jacobians, Hessians, split functions. Arguments: a directory to work in,
 * then compilers. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "emit.h"
#include "samples.h"
#include "sparse.h"

enum { MOST_NUMBERS = 4096 };

static char directory[300];
static char **compilers;
static int n_compilers, n_written, n_compared, n_without, n_exact;
static bool by_all; /* compilers */

/* What the program must print. */
static double expected[MOST_NUMBERS];
static int n_expected;

static void expect(cr_var v) {
  assert_true(n_expected + cr_count(v) <= MOST_NUMBERS);
  assert_int_equal(cr_read(v, expected + n_expected, cr_count(v)), CR_OK);
  n_expected += (int)cr_count(v);
}

static void run(const char *command) {
  if (system(command)) fail_msg("failed: %s", command);
}

static bool same_bits(double a, double b) { return !memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b)); }

static bool is_near(double a, double b, double tolerance) {
  return same_bits(a, b) || fabs(a - b) <= tolerance * fmax(1, fmax(fabs(a), fabs(b)));
}

/* The numbers after each = of the program's output. */
static void compare(const char *what, const char *out, double tolerance) {
  FILE *f = fopen(out, "r");
  char word[100];
  int n = 0;
  assert_non_null(f);
  while (fscanf(f, "%99s", word) == 1) {
    char *end;
    double x = strtod(word, &end);
    if (*end) continue;
    if (n >= n_expected || !(tolerance != 0 ? is_near(x, expected[n], tolerance) : same_bits(x, expected[n])))
      fail_msg("%s: number %d of %d is %.17g, not %.17g (%s)", what, n, n_expected, x, n < n_expected ? expected[n] : 0,
               out);
    n++;
  }
  fclose(f);
  if (n != n_expected) fail_msg("%s: %d numbers, not %d (%s)", what, n, n_expected, out);
}

static void write_file(const char *path, const cr_buffer *b) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fwrite(b->text, 1, b->length, f);
  assert_int_equal(fclose(f), 0);
}

/* Compiles with every compiler, of which the slower ones see some cases only, runs and compares. */
static void check_source(const char *what, const cr_buffer *b, double tolerance) {
  char path[400], out[420], command[2000];
  int number = n_written++;
  snprintf(path, sizeof path, "%s/%d.c", directory, number);
  write_file(path, b);
  for (int k = 0; k < n_compilers; k++) {
    const char *name = strrchr(compilers[k], '/');
    bool quick = strstr(name ? name : compilers[k], "tcc") != NULL;
    if (!by_all && !quick && n_compilers > 1 && number % (2 * n_compilers) != k) continue;
    snprintf(out, sizeof out, "%s/%d.%d", directory, number, k);
    snprintf(command, sizeof command, "%s -std=c11 %s -Werror -Wall -o %s.run %s -lm && %s.run > %s", compilers[k],
             quick ? "" : "-O2 -ffp-contract=off -fno-builtin-pow -Wextra -Wconversion", out, path, out, out);
    run(command);
    compare(what, out, tolerance);
    n_compared++;
    snprintf(command, sizeof command, "%s.run", out);
    unlink(command);
  }
}

/* Emits and checks; false where an op has no form in C, which the error must say. */
static bool check_emitted(const char *what, cr_tape *t, int n, const cr_var *in, int m, const cr_var *out,
                          const cr_emit_options *o, double tolerance) {
  cr_buffer b = {.tape = t};
  cr_status status = cr_emit_c(&b, t, n, in, m, out, o);
  if (status != CR_OK && !strstr(cr_error_text(t), "has no form in C")) fail_msg("%s: %s", what, cr_error_text(t));
  if (status == CR_OK) check_source(what, &b, tolerance);
  else n_without++;
  cr_buffer_free(&b);
  return status == CR_OK;
}

static void expect_gradient(cr_tape *t, int m, const cr_var *y, int n, const cr_var *x) {
  cr_var real[64], d[MOST_INPUTS];
  int k = 0;
  for (int i = 0; i < m; i++)
    if (cr_dtype_of(y[i]) >= CR_FLOAT32) real[k++] = y[i];
  if (!k || !n) return;
  assert_int_equal(cr_vjp_many(k, real, NULL, n, x, d), CR_OK);
  for (int i = 0; i < n; i++) expect(d[i]);
  (void)t;
}

static bool is_scalar_graph(cr_tape *t) {
  for (uint32_t id = 1; id < cr_node_count(t); id++)
    if (cr_count(cr_node_at(t, id)) != 1) return false;
  return true;
}

static void check_sample(const char *text, size_t length, cr_dtype dtype, uint64_t seed) {
  sample s;
  char error[300], what[300];
  if (!sample_make(&s, text, length, dtype, seed, error)) return; /* not in float32 */
  snprintf(what, sizeof what, "%.*s, %s", (int)length, text, cr_dtype_name(dtype));
  bool real = false;
  n_expected = 0;
  for (int k = 0; k < s.results.n; k++) {
    expect(s.results.value[k]);
    real = real || cr_dtype_of(s.results.value[k]) >= CR_FLOAT32;
  }
  bool derives = real && s.n_inputs;
  if (derives) expect_gradient(s.tape, s.results.n, s.results.value, s.n_inputs, s.input);
  bool exact = dtype == CR_FLOAT64 && is_scalar_graph(s.tape);
  cr_emit_options o = {.about = what, .what = derives ? CR_EMIT_GRADIENT : CR_EMIT_VALUE, .main = 1};
  double tolerance = exact ? 0 : dtype == CR_FLOAT32 ? 1e-4 : 1e-13;
  if (check_emitted(what, s.tape, s.n_inputs, s.input, s.results.n, s.results.value, &o, tolerance)) n_exact += exact;
  sample_free(&s);
}

/* A row as a function of numbers: "pow(a:()[0.3,3], b:()[0.3,3])". */
static void test_rows(void **state) {
  (void)state;
  const cr_op_table *table = cr_standard_ops();
  for (int k = 0; k < *table->n_rows; k++) {
    const cr_op *op = table->rows[k];
    char a[64], b[64], text[300];
    sample_range(op->row->domain, 'a', a, sizeof a);
    sample_range(op->row->domain, 'b', b, sizeof b);
    snprintf(text, sizeof text, op->arity == 2 ? "%s(a:()%s, b:()%s)" : "%s(a:()%s)", op->name, a, b);
    for (uint64_t seed = 1; seed <= 2; seed++) check_sample(text, strlen(text), CR_FLOAT64, seed);
  }
  print_message("rows: %d functions of numbers agree to the last bit\n", n_exact);
  assert_true(n_exact >= 150);
  assert_int_equal(n_without, 0);
}

static void test_compositions(void **state) {
  (void)state;
  static const char *const texts[] = {
    "sin(x:() * y:()) / (1 + exp(-x)) + x^y", "log(x:()>0) * tanh(y:()) - sqrt(x) * y^3",
    "(exp(sin(x:())) * cos(1 / x^3 + x^3))^4",
    "where(x:() > 0, x * exp(x), sin(x)) + maximum(x, y:())", "x:() > 0 ? x : x^2", "hypot(x:(), y:()) * atan2(x, y)",
    "lgamma(x:()>0) + digamma(x) * gammainc(x, y:()>0)", "logaddexp(x:(), y:()) - log1p(exp(x - y))",
    "abs(x:()) // 0.3 + x % 0.7",
    "f(u) = u^2 + sin(u); f(f(f(x:())))", "erf(x:()) * ndtr(y:()) + log_ndtr(x)",
    "sigmoid(w:() * x:() + b:()) * (1 - sigmoid(w * x + b))", "(1 - x:())^2 + 100 * (y:() - x^2)^2",
    "(x:() + y:() + z:()) / (x * y * z) + x / y / z", "softplus(x:()) * gelu(y:()) + mish(x) + silu(y)"};
  int before = n_exact, cases = (int)(sizeof texts / sizeof *texts);
  for (int k = 0; k < cases; k++) check_sample(texts[k], strlen(texts[k]), CR_FLOAT64, 5);
  print_message("compositions: %d of %d are functions of numbers throughout\n", n_exact - before, cases);
  assert_true(n_exact - before >= cases - 3);
}

static void test_samples(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  const cr_function *f;
  uint64_t seed = 3;
  n_without = 0;
  int before = n_written;
  for (int k = 0; (f = cr_function_at(t, k)); k++) {
    const char *rest = f->samples, *text;
    size_t length;
    for (; (text = sample_next(&rest, &length)); seed++)
      check_sample(text, length, seed % 4 ? CR_FLOAT64 : CR_FLOAT32, seed);
  }
  cr_free(t);
  print_message("samples: %d agree, %d have an op without a form in C; %d comparisons so far\n", n_written - before,
                n_without, n_compared);
  assert_true(n_written - before >= 150);
}

/* Second derivatives and Jacobians of what cr_jacobian and cr_hessian compute as numbers. */
static void test_matrices(void **state) {
  (void)state;
  static const char *const texts[] = {"sum(x:(3)^2 * sin(x)) * y:()",    "x:() * y:()^2 + sin(x * y)",
                                      "logsumexp(x:(4), dim=0) * y:(1)", "softmax(x:(3), dim=-1) * y:(3)",
                                      "W:(2,3) @ tanh(x:(3))",           "cumsum(x:(2), dim=0) * 2"};
  for (int k = 0; k < (int)(sizeof texts / sizeof *texts); k++)
    for (cr_emit_what what = CR_EMIT_JACOBIAN; what <= CR_EMIT_HESSIAN; what++) {
      sample s;
      char error[300];
      if (!sample_make(&s, texts[k], strlen(texts[k]), CR_FLOAT64, 9, error)) fail_msg("%s", error);
      cr_var y = s.results.value[0];
      int64_t n = 0, m = cr_count(y), at = 0;
      double *d = expected;
      for (int i = 0; i < s.n_inputs; i++) n += cr_count(s.input[i]);
      n_expected = 0;
      expect(y);
      if (what == CR_EMIT_HESSIAN) expect_gradient(s.tape, 1, &y, s.n_inputs, s.input);
      d += n_expected;
      n_expected += (int)(what == CR_EMIT_JACOBIAN ? m * n : n * n);
      for (int i = 0, row = 0; i < s.n_inputs; i++) {
        double block[MOST_NUMBERS];
        int64_t columns = cr_count(s.input[i]);
        if (what == CR_EMIT_JACOBIAN) {
          assert_int_equal(cr_jacobian(y, s.input[i], block), CR_OK);
          for (int64_t r = 0; r < m; r++) memcpy(d + r * n + at, block + r * columns, (size_t)columns * sizeof *d);
        }
        int64_t across = 0;
        for (int j = 0; what == CR_EMIT_HESSIAN && j < s.n_inputs; j++) {
          int64_t width = cr_count(s.input[j]);
          assert_int_equal(cr_hessian_block(y, s.input[i], s.input[j], block), CR_OK);
          for (int64_t r = 0; r < columns; r++)
            memcpy(d + (row + r) * n + across, block + r * width, (size_t)width * sizeof *d);
          across += width;
        }
        row += (int)columns;
        at += columns;
      }
      check_emitted(texts[k], s.tape, s.n_inputs, s.input, 1, &y, &(cr_emit_options){.what = what, .main = 1}, 1e-12);
      sample_free(&s);
    }
}

/* The nonzeros alone, with their pattern: columns and rows of one colour, numbers, ranges and pairs. */
static void test_sparse(void **state) {
  (void)state;
  static const char *const texts[] = {
    "sum((x:(30))[1:] * x[:-1]^2) + x[0]", "(x:(9))[1:] * sin(x[:-1]) * y:()", "x:() * y:()^2 + sin(x * y) + z:()",
    "sum(x:(3,4), dim=1) * y:(3)", "W:(2,3) @ tanh(x:(3))", "flip(exp(x:(7)), 0) + x[[1,1,0,6,2,3,3]]", "3 * x:()",
    "floor(x:(3))", "(x:(6,6))[1:,:-1] * x[:-1,1:] - x[1:,1:]"};
  for (int k = 0; k < (int)(sizeof texts / sizeof *texts); k++)
    for (cr_emit_what what = CR_EMIT_JACOBIAN; what <= CR_EMIT_HESSIAN; what++) {
      sample s;
      char error[300];
      if (!sample_make(&s, texts[k], strlen(texts[k]), CR_FLOAT64, 9, error)) fail_msg("%s", error);
      cr_var y = s.results.value[0];
      n_expected = 0;
      expect(y);
      if (what == CR_EMIT_HESSIAN) expect_gradient(s.tape, 1, &y, s.n_inputs, s.input);
      cr_sparse_plan *p = what == CR_EMIT_JACOBIAN ? cr_sparse_jacobian(1, &y, s.n_inputs, s.input)
                                                   : cr_sparse_hessian(y, s.n_inputs, s.input);
      assert_non_null(p);
      assert_int_equal(cr_sparse_evaluate(p, expected + n_expected), CR_OK);
      n_expected += (int)cr_sparse_pattern_of(p).nonzeros;
      check_emitted(texts[k], s.tape, s.n_inputs, s.input, 1, &y, &(cr_emit_options){.what = what, .sparse = 1, .main = 1},
                    1e-12);
      sample_free(&s);
    }
}

/* A long chain in functions of at most 50 lines, to the last bit. */
static void test_split(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[2] = {cr_name(cr_input(t, 0.3), "x"), cr_name(cr_input(t, 0.7), "w")}, y = x[0], d[2];
  for (int k = 0; k < 300; k++) y = cr_add(cr_sin(cr_mul(y, x[1])), k % 7 ? y : x[0]);
  n_expected = 0;
  expect(y);
  assert_int_equal(cr_grad(y, 2, x, d), CR_OK);
  expect(d[0]), expect(d[1]);
  cr_buffer b = {.tape = t};
  cr_emit_options o = {.name = "chain", .what = CR_EMIT_GRADIENT, .main = 1, .lines = 50};
  assert_int_equal(cr_emit_c(&b, t, 2, x, 1, &y, &o), CR_OK);
  check_source("chain", &b, 0);
  int lines = 0, longest = 0;
  int parts = 0;
  for (const char *p = strstr(b.text, "static void chain_1("); p && *p; p++) {
    lines += *p == '\n';
    longest = lines > longest ? lines : longest;
    parts += *p == '\n' && p[1] == '}';
    if (*p == '\n' && p[1] == '\n') lines = 0;
  }
  assert_true(parts > 20);
  assert_true(longest < 110); /* lines that pass numbers on are not counted */
  cr_buffer_free(&b);
  cr_free(t);
}

/* Bodies are functions, called in loops and branches; functions of numbers to the last bit. */
static void test_bodies(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double tolerance;
    const char *has;
  } cases[] = {
    {"f(h, v, w) = (tanh(h * w + v), h * h); y, z = scan(f, a:(), x:(5), w:()); y + sum(z)", 0,
     "for (int i = 0; i < 5; i++)"},
    {"f(h, v) = h * v + sin(h); scan(f, a:(), x:(1))", 0, ""},
    {"f(h, v) = (h * v + sin(h), h); g(v) = v^2; y, z = scan(f, a:(), x:(6), reverse=True); y * sum(map(g, z))", 0,
     "for (int i = 6 - 1; i >= 0; i--)"},
    {"f(h, v, w) = (sin(h * w) + v, h[0] * v); y, z = scan(f, a:(3), x:(7), w:(3), every=3); sum(y) * sum(z)", 1e-14, ""},
    {"f(h, k, v, w) = (k * w, h + v, h * k); y, z, u = scan(f, (a:(), b:()), x:(4), w:()); y * z + sum(u^2)", 0, ""},
    {"f(h, i, w) = h * w + i; fori(f, a:(), 5, w:())", 0, ""},
    {"f(h, i, w) = sin(h * w) + i; fori(f, a:(), 300, w:())", 0, "ws->c1[i] = (int64_t)(0 + 1 * i);"},
    {"f(h, v, w) = sin(h * w) + v; scan(f, a:(), arange(300, 0, -1), w:())", 0, "(300 + -1 * i);"},
    {"f(h, i, w) = sin(h * w); g(h, i, w) = fori(f, h, 300, w); fori(g, a:(), 2, w:())", 0, ""},
    {"f(h, i, w) = h * w + i; fori(f, a:(), 5, w:(), count=3)", 0, "steps_of("},
    {"f(h, i, w) = sin(h * w) + x; g(h, i, w) = cond(h > 0, sin, cos, h * w); fori(g, a:(), 4, w:())", 0, " ? "},
    {"g(h, w) = (h * w, h + w); f(h, w) = (w, w^2); y, z = cond(a:() > 0, g, f, a, w:(3)); sum(y) + sum(z) * z[1]", 1e-15,
     "else "},
    {"g(h, w) = (h * w, h + w); y, z = checkpoint(g, a:(3), w:(3)); sum(y * sin(z)) + y[0]", 1e-15, ""},
    {"k(h, v) = h * sin(v); f(h, v, w) = scan(k, h, w) + v; g(h, v, w) = scan(f, h, v, w); scan(g, a:(), x:(2,3), w:(4))",
     1e-15, ""},
    {"f(x, c) = x^3 - c + x; root(f, 1, c:()>0)", 1e-14, "iteration"},
    {"f(x, c) = x^3 - c + 0.1 * sum(x); sum(root(f, [1.0, 1, 1], c:(3)>0))", 1e-13, "solve("},
    {"f(v, w) = w @ v; map(f, x:(3,2), w:(2,2))", 1e-14, ""},
    {"k(v, w) = cholesky(v @ v.T + w); f(v, w) = inv(k(v, w)); map(f, x:(3,2,2), w:(2,2)>0)", 1e-13, ""},
    {"f(v, w) = dot(v, w); sum(map(f, (x:(20,2), y:(20,2))))", 1e-14, ""},
    {"f(v, w) = cumsum(v * w, dim=0)[1] * v; sum(map(f, x:(20,2), w:(2)))", 1e-14, ""},
  };
  by_all = true;
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
    for (int dtype = CR_FLOAT32; dtype <= CR_FLOAT64; dtype++) {
      sample s;
      char error[300];
      cr_buffer b = {0};
      if (!sample_make(&s, cases[k].text, strlen(cases[k].text), (cr_dtype)dtype, 11 + k, error)) fail_msg("%s", error);
      b.tape = s.tape;
      n_expected = 0;
      expect(s.results.value[0]);
      expect_gradient(s.tape, 1, s.results.value, s.n_inputs, s.input);
      cr_emit_options o = {.what = CR_EMIT_GRADIENT, .main = 1, .about = cases[k].text};
      if (cr_emit_c(&b, s.tape, s.n_inputs, s.input, 1, s.results.value, &o) != CR_OK)
        fail_msg("%s: %s", cases[k].text, cr_error_text(s.tape));
      if (!strstr(b.text, cases[k].has)) fail_msg("%s: nothing like %s in %s", cases[k].text, cases[k].has, b.text);
      check_source(cases[k].text, &b, dtype == CR_FLOAT32 ? 1e-5 : cases[k].tolerance);
      cr_buffer_free(&b);
      sample_free(&s);
    }
  by_all = false;
}

/* Where there is no root, C has NaN. */
static void test_no_root(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_program *p = cr_program_new(t, CR_FLOAT64);
  cr_var c = cr_name(cr_input(t, 2), "c");
  cr_results r;
  cr_buffer b = {.tape = t};
  static const char text[] = "f(x, c) = exp(x) - c; root(f, 0.5, c)";
  cr_program_bind(p, "c", c);
  assert_int_equal(cr_program_run(p, text, strlen(text), &r, NULL), CR_OK);
  assert_int_equal(cr_emit_c(&b, t, 1, &c, 1, r.value, NULL), CR_OK);
  cr_put(&b, "#include <stdio.h>\nint main(void) {\n  static f_workspace ws;\n  printf(\"%%.17g %%.17g %%.17g %%.17g\\n\", "
             "f(2, &ws), f(-1, &ws),"
             " f((double)INFINITY, &ws), f(3, &ws));\n  return 0;\n}\n");
  n_expected = 4;
  expected[0] = log(2), expected[1] = expected[2] = (double)NAN, expected[3] = log(3);
  check_source("no root", &b, 1e-15);
  cr_buffer_free(&b);
  cr_free(t);
}

/* The same in files of at most 200 lines. */
typedef struct files {
  int n;
  char name[64][40];
  size_t at[65];
} files;

static void note_file(void *user, const char *name, size_t at) {
  files *f = user;
  assert_true(f->n < 64);
  snprintf(f->name[f->n], sizeof f->name[0], "%s", name);
  f->at[f->n++] = at;
}

static void test_files(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[2] = {cr_name(cr_input(t, 0.3), "x"),
                 cr_name(cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){3}, (double[]){1, 2, 3}), "v")},
         y = x[0], d[2];
  for (int k = 0; k < 300; k++) y = cr_add(cr_sin(cr_mul(y, k % 50 ? x[0] : cr_sum_all(cr_mul(x[1], y)))), y);
  n_expected = 0;
  expect(y);
  assert_int_equal(cr_grad(y, 2, x, d), CR_OK);
  expect(d[0]), expect(d[1]);
  files f = {.n = 0};
  cr_buffer b = {.tape = t};
  cr_emit_options o = {.name = "long_chain", .what = CR_EMIT_GRADIENT, .main = 1, .lines = 50, .file_lines = 200,
                       .file = note_file, .user = &f};
  assert_int_equal(cr_emit_c(&b, t, 2, x, 1, &y, &o), CR_OK);
  assert_true(f.n > 5);
  f.at[f.n] = b.length;
  char command[3000];
  snprintf(command, sizeof command, "mkdir %s/files", directory);
  run(command);
  for (int k = 0; k < f.n; k++) {
    char path[500];
    int lines = 0;
    cr_buffer part = {.text = b.text + f.at[k], .length = f.at[k + 1] - f.at[k]};
    for (size_t i = 0; i < part.length; i++) lines += part.text[i] == '\n';
    assert_true(lines <= 200 || k == 0);
    snprintf(path, sizeof path, "%s/files/%s", directory, f.name[k]);
    write_file(path, &part);
  }
  for (int k = 0; k < n_compilers; k++) {
    bool quick = strstr(compilers[k], "tcc") != NULL;
    snprintf(command, sizeof command, "cd %s/files && %s -std=c11 %s -Werror -Wall -o run *.c -lm && ./run > out", directory,
             compilers[k], quick ? "" : "-O2 -ffp-contract=off -Wextra -Wconversion -Wmissing-prototypes");
    run(command);
    snprintf(command, sizeof command, "%s/files/out", directory);
    compare("files", command, 1e-12);
  }
  snprintf(command, sizeof command, "rm -r %s/files", directory);
  run(command);
  cr_buffer_free(&b);
  cr_free(t);
}

/* One sentence that names what is wrong; nothing is left behind. */
static void test_errors(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x = cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){2, 2}, (double[]){2, 1, 1, 3}),
         y = cr_formula(t, "sum(linalg.eigvalsh(x))", "x", x);
  cr_buffer b = {.tape = t};
  assert_int_equal(cr_error(t), CR_OK);
  uint32_t nodes = cr_node_count(t);
  assert_int_equal(cr_emit_c(&b, t, 1, &x, 1, &y, NULL), CR_BAD_ARGUMENT);
  assert_non_null(strstr(cr_error_text(t), "eigvalsh has no form in C"));
  assert_int_equal(cr_node_count(t), nodes);
  cr_clear_error(t);
  assert_int_equal(cr_emit_c(&b, t, 1, &y, 1, &y, NULL), CR_BAD_ARGUMENT);
  cr_clear_error(t);
  assert_int_equal(cr_emit_c(&b, t, 2, (cr_var[]){x, x}, 1, &x, NULL), CR_BAD_ARGUMENT);
  cr_buffer_free(&b);
  cr_free(t);
}

/* Names of any kind become identifiers of their own. */
static void test_names(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  static const char *const names[] = {"w", "double", "a.b", "a_b", "v1", "sin", "1st", "i", "sigmoid", "f", "at", "value"};
  cr_var x[12], y = cr_const(t, 0);
  for (int k = 0; k < 12; k++) {
    x[k] = cr_name(cr_input(t, 0.1 * k), names[k]);
    y = cr_add(y, cr_sigmoid(cr_mul(x[k], cr_sin(x[k]))));
  }
  n_expected = 0;
  expect(y);
  expect_gradient(t, 1, &y, 12, x);
  check_emitted("names */ of any kind", t, 12, x, 1, &y,
                &(cr_emit_options){.about = "*/ /*", .what = CR_EMIT_GRADIENT, .main = 1}, 0);
  cr_free(t);
}

static void remove_files(void) {
  DIR *d = opendir(directory);
  struct dirent *entry;
  char path[600];
  while (d && (entry = readdir(d))) {
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    if (entry->d_name[0] != '.') unlink(path);
  }
  if (d) closedir(d);
  rmdir(directory);
}

/* A captured function of numbers gives its bits, its gradient among the results. */
static void test_captured_numbers(void **state) {
  (void)state;
  cr_tape *t = cr_new();
  cr_var x[2] = {cr_name(cr_input(t, 0.7), "x"), cr_input(t, -1.3)}, out[3];
  out[0] = cr_formula(t, "exp(sin(x*y)) / (1 + x^2) + log1p(x*x*y*y)", "x", x[0], "y", x[1]);
  assert_int_equal(cr_grad(out[0], 2, x, out + 1), CR_OK);
  cr_fn *f = cr_capture(t, 2, x, 3, out, 0, NULL, CR_FN_EXACT);
  assert_non_null(f);
  cr_buffer b = {.tape = t};
  assert_int_equal(cr_fn_write_c(&b, f, &(cr_emit_options){.name = "g"}), CR_OK);
  cr_put(&b, "#include <stdio.h>\nint main(void) {\n  double dx, dy, y = g(0.7, -1.3, &dx, &dy);\n"
             "  printf(\"%%.17g %%.17g %%.17g\\n\", y, dx, dy);\n  return 0;\n}\n");
  cr_workspace *space = cr_workspace_new(f);
  double at[2] = {0.7, -1.3};
  cr_array in[2] = {cr_fn_input(f, 0), cr_fn_input(f, 1)}, to[3];
  in[0].data = at, in[1].data = at + 1;
  for (int k = 0; k < 3; k++) to[k] = cr_fn_output(f, k), to[k].data = expected + k;
  n_expected = 3;
  assert_int_equal(cr_fn_run(f, space, in, to), CR_OK);
  check_source("captured numbers", &b, 0);
  cr_buffer_free(&b);
  b = (cr_buffer){.tape = t};
  assert_int_equal(cr_fn_write_c(&b, f, &(cr_emit_options){.what = CR_EMIT_GRADIENT}), CR_BAD_ARGUMENT);
  cr_buffer_free(&b);
  cr_workspace_free(space);
  cr_fn_free(f);
  cr_free(t);
}

/* A training step: weights, bias and a step size are read and written, the loss is returned. Three steps. */
static void test_captured_step(void **state) {
  (void)state;
  enum { IN = 3, OUT = 2, ROWS = 4, STEPS = 3 };
  cr_tape *t = cr_new();
  double w[IN * OUT] = {0.5, -1, 2, 0.25, -0.75, 1}, bias[OUT] = {0.1, -0.2}, rate = 0.1, x[ROWS * IN], loss;
  for (int k = 0; k < ROWS * IN; k++) x[k] = 0.3 * (k % 5) - 0.5;
  cr_var in[4] = {cr_name(cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){IN, OUT}, w), "w"),
                  cr_name(cr_tensor_of(t, CR_FLOAT64, 1, (int64_t[]){OUT}, bias), "double"),
                  cr_name(cr_input(t, rate), "rate"), cr_tensor_of(t, CR_FLOAT64, 2, (int64_t[]){ROWS, IN}, x)};
  cr_var y = cr_formula(t, "mean((tanh(x @ w + b) - 0.5)^2)", "x", in[3], "w", in[0], "b", in[1]), d[2];
  assert_int_equal(cr_grad(y, 2, in, d), CR_OK);
  cr_assign next[3] = {{in[0], cr_sub(in[0], cr_mul(in[2], d[0]))}, {in[1], cr_sub(in[1], cr_mul(in[2], d[1]))},
                       {in[2], cr_mul(in[2], cr_const(t, 0.5))}};
  cr_fn *f = cr_capture(t, 4, in, 1, &y, 3, next, CR_FN_EXACT);
  assert_non_null(f);
  cr_buffer b = {.tape = t};
  if (cr_fn_write_c(&b, f, &(cr_emit_options){.name = "step"}) != CR_OK) fail_msg("%s", cr_error_text(t));
  cr_put(&b, "#include <stdio.h>\nint main(void) {\n  static step_space space;\n"
             "  static double w[] = {0.5, -1, 2, 0.25, -0.75, 1}, b[] = {0.1, -0.2},"
             " rate = 0.1, x[12];\n  for (int k = 0; k < 12; k++) x[k] = 0.3 * (k %% 5) - 0.5;\n"
             "  for (int k = 0; k < 3; k++) printf(\"%%.17g \", step(w, b, &rate, x, &space));\n"
             "  for (int k = 0; k < 6; k++) printf(\"%%.17g \", w[k]);\n"
             "  printf(\"%%.17g %%.17g %%.17g\\n\", b[0], b[1], rate);\n  return 0;\n}\n");
  cr_workspace *space = cr_workspace_new(f);
  cr_array at[4], to = cr_fn_output(f, 0);
  for (int k = 0; k < 4; k++) at[k] = cr_fn_input(f, k);
  at[0].data = w, at[1].data = bias, at[2].data = &rate, at[3].data = x, to.data = &loss;
  n_expected = 0;
  for (int k = 0; k < STEPS; k++) {
    assert_int_equal(cr_fn_run(f, space, at, &to), CR_OK);
    expected[n_expected++] = loss;
  }
  for (int k = 0; k < IN * OUT; k++) expected[n_expected++] = w[k];
  expected[n_expected++] = bias[0], expected[n_expected++] = bias[1], expected[n_expected++] = rate;
  check_source("captured step", &b, 1e-13);
  cr_buffer_free(&b);
  cr_workspace_free(space);
  cr_fn_free(f);
  cr_free(t);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: %s DIRECTORY COMPILER...\n", argv[0]), 2;
  snprintf(directory, sizeof directory, "%s/emit-XXXXXX", argv[1]);
  if (!mkdtemp(directory)) return perror(directory), 1;
  compilers = argv + 2;
  n_compilers = argc - 2;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),         cmocka_unit_test(test_compositions), cmocka_unit_test(test_samples),
      cmocka_unit_test(test_matrices),     cmocka_unit_test(test_sparse),       cmocka_unit_test(test_bodies),
      cmocka_unit_test(test_no_root),      cmocka_unit_test(test_split),        cmocka_unit_test(test_files),
      cmocka_unit_test(test_errors),       cmocka_unit_test(test_names),        cmocka_unit_test(test_captured_numbers),
      cmocka_unit_test(test_captured_step)};
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  if (!failed) remove_files();
  return failed;
}
