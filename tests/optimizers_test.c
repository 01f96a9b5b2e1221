/* Optimizers: trajectories against PyTorch and NumPy (goldens/make_optimizers.py), and what can be known by algebra. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <chainrule_networks.h>

static const char *goldens;

/* Problems, as in make_optimizers.py */

static cr_var quadratic(cr_model *m, void *user) {
  (void)user;
  cr_var w = cr_model_weight(m, "w", 1, (const int64_t[]){3}, "zeros");
  return cr_formula(cr_model_tape(m), "0.5*sum(w*([[3, 0.5, 0], [0.5, 8, -1], [0, -1, 1.5]] @ w)) - sum([1, -2, 0.5]*w)",
                    "w", w);
}

static cr_var rosenbrock(cr_model *m, void *user) {
  (void)user;
  cr_var w = cr_model_weight(m, "w", 1, (const int64_t[]){2}, "zeros");
  return cr_formula(cr_model_tape(m), "(1 - w[0])^2 + 100*(w[1] - w[0]^2)^2", "w", w);
}

static cr_var residuals(cr_model *m, void *user) {
  (void)user;
  cr_var w = cr_model_weight(m, "w", 2, (const int64_t[]){2, 3}, "zeros"), b = cr_model_bias(m, "b", 3, 0);
  return cr_formula(cr_model_tape(m),
                    "sum(tanh([[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0], [0.1, 0.9], [-1.2, -0.4]] @ w + b), 1) - [0.3, 1.2, "
                    "-0.4, 0.8, -1.1]",
                    "w", w, "b", b);
}

static cr_var network(cr_model *m, void *user) {
  cr_var r = residuals(m, user);
  return cr_formula(cr_model_tape(m), "mean(r*r)", "r", r);
}

static const struct {
  const char *name;
  cr_objective f;
  int n;
  double start[9], least;
} problems[] = {
    {"quadratic", quadratic, 3, {3, -2, 0.5}, -0.48180076628352486},
    {"rosenbrock", rosenbrock, 2, {-1.2, 1}, 0},
    {"network", network, 9, {0.3, -0.2, 0.5, 0.1, 0.4, -0.6, 0.05, -0.1, 0.2}, 0},
};
enum { QUADRATIC, ROSENBROCK, NETWORK };

typedef struct bench {
  cr_model *m;
  cr_optimizer *o;
  cr_objective f;
  cr_step report;
  cr_problem p;
} bench;

static void put(cr_model *m, const double *w) {
  for (int k = 0; k < cr_model_count(m); k++) {
    cr_parameter *q = cr_model_parameter(m, k);
    for (int64_t i = 0; i < q->value.count; i++) cr_array_set(&q->value, i, *w++);
  }
}

static void take(const cr_model *m, double *w) {
  for (int k = 0; k < cr_model_count(m); k++) {
    const cr_parameter *q = cr_model_parameter(m, k);
    for (int64_t i = 0; i < q->value.count; i++) *w++ = cr_array_get(&q->value, i);
  }
}

static cr_model *model_of(cr_objective f, cr_dtype dtype) {
  cr_model *m = cr_model_new(cr_new(), dtype, 1);
  cr_model_begin(m, 1);
  f(m, NULL);
  assert_string_equal(cr_error_text(cr_model_tape(m)), "");
  return m;
}

static bench open_bench(int problem_number, cr_dtype dtype, const char *call) {
  bench b = {.f = problems[problem_number].f};
  b.o = cr_optimizer_new(call, NULL, &b.p);
  if (!b.o) fail_msg("%s: %s", call, b.p.text);
  if (cr_optimizer_needs_objective(b.o) == 2) b.f = residuals;
  b.m = model_of(b.f, dtype);
  put(b.m, problems[problem_number].start);
  return b;
}

static void close_model(cr_model *m) {
  cr_tape *t = cr_model_tape(m);
  cr_model_free(m);
  cr_free(t);
}

static void close_bench(bench *b) {
  cr_optimizer_free(b->o);
  close_model(b->m);
}

static void step(bench *b) {
  if (cr_minimize(b->o, b->m, b->f, NULL, &b->report, &b->p) != CR_OK) fail_msg("%s", b->p.text);
}

static double loss_at(bench *b, cr_objective f) {
  cr_model_begin(b->m, 1);
  return cr_value(f(b->m, NULL));
}

/* Trajectories */

static void compare(bench *b, int number, const char *call, int at, const char *expected) {
  double w[9], most = 1;
  char *next;
  take(b->m, w);
  strtod(expected, &next); /* the loss, which the parameters imply */
  for (int k = 0; k < problems[number].n; k++) {
    double want = strtod(next, &next);
    if (fabs(want) > most) most = fabs(want);
    if (!(fabs(w[k] - want) <= 1e-10 * most))
      fail_msg("%s %s: step %d: w[%d] = %.17g, not %.17g", problems[number].name, call, at, k, w[k], want);
  }
}

static int problem_named(const char *name) {
  for (int k = 0; k < 3; k++)
    if (!strcmp(problems[k].name, name)) return k;
  fail_msg("no problem is called %s", name);
  return 0;
}

static void test_trajectories(void **state) {
  (void)state;
  char line[2048], last[200] = "";
  bench b = {0};
  int done = 0, compared = 0;
  FILE *file = fopen(goldens, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    char *call = strchr(line, '\t'), *at = strchr(call + 1, '\t'), *numbers = strchr(at + 1, '\t');
    *call++ = *at++ = *numbers++ = 0;
    int number = problem_named(line);
    char key[200];
    snprintf(key, sizeof key, "%.20s %.160s", line, call);
    if (strcmp(key, last)) {
      if (b.o) close_bench(&b);
      b = open_bench(number, CR_FLOAT64, call);
      strcpy(last, key);
      done = 0;
    }
    for (; done < atoi(at); done++) step(&b);
    compare(&b, number, call, done, numbers);
    compared++;
  }
  fclose(file);
  close_bench(&b);
  assert_true(compared > 600);
}

/* Every method of the table finds the optimum of the quadratic and of Rosenbrock's valley. */

static void test_optima(void **state) {
  (void)state;
  int bad = 0;
  static const struct {
    const char *call[2];
    int steps;
  } runs[] = {
      {{"gradient_descent(lr=0.1)", "gradient_descent(lr=0.0015)"}, 30000},
      {{"momentum(lr=0.1)", "momentum(lr=0.002)"}, 30000},
      {{"momentum(lr=0.02, form='torch')", "momentum(lr=0.0005, form='torch')"}, 20000},
      {{"momentum(lr=0.1, form='printed_003')", "momentum(lr=0.02, form='printed_003')"}, 30000},
      {{"heavy_ball(lr=0.02)", "heavy_ball(lr=0.0005)"}, 20000},
      {{"nesterov(lr=0.02)", "nesterov(lr=0.0005)"}, 20000},
      {{"adagrad(lr=1)", "adagrad(lr=1)"}, 30000},
      {{"rmsprop(lr=1e-4)", "rmsprop(lr=1e-4)"}, 40000},
      {{"adadelta(lr=0.1)", "adadelta(lr=0.01)"}, 20000},
      {{"adam(lr=0.02)", "adam(lr=0.02)"}, 20000},
      {{"adam(lr=0.02, amsgrad=True)", "adam(lr=0.02, amsgrad=True)"}, 20000},
      {{"adamw(lr=0.02, weight_decay=0)", "adamw(lr=0.02, weight_decay=0)"}, 20000},
      {{"nadam(lr=0.02)", "nadam(lr=0.02)"}, 20000},
      {{"lion(lr=1e-4)", "lion(lr=1e-4)"}, 60000},
      {{"rprop_plus()", "rprop_plus()"}, 30000},
      {{"rprop_minus()", "rprop_minus()"}, 30000},
      {{"irprop_plus()", "irprop_plus()"}, 5000},
      {{"irprop_minus()", "irprop_minus()"}, 5000},
      {{"quickprop(lr=0.05)", "quickprop(lr=0.0005)"}, 30000},
      {{"lbfgs()", "lbfgs()"}, 60},
      {{"bfgs()", "bfgs()"}, 60},
      {{"conjugate_gradient()", "conjugate_gradient()"}, 200},
      {{"conjugate_gradient(beta='fletcher_reeves')", "conjugate_gradient(beta='fletcher_reeves')"}, 300},
      {{"newton_cg()", "newton_cg()"}, 60},
  };
  for (size_t k = 0; k < sizeof runs / sizeof *runs; k++)
    for (int number = QUADRATIC; number <= ROSENBROCK; number++) {
      bench b = open_bench(number, CR_FLOAT64, runs[k].call[number]);
      double excess = HUGE_VAL;
      int steps = 0;
      for (; steps < runs[k].steps && !(excess < 1e-4) && !b.report.stuck; steps++)
        step(&b), excess = loss_at(&b, b.f) - problems[number].least;
      if (!(excess < 1e-4))
        print_message("%s on %s: %g above the least after %d steps\n", runs[k].call[number], problems[number].name, excess,
                      steps),
            bad++;
      close_bench(&b);
    }
  assert_int_equal(bad, 0);
}

/* What algebra says */

static cr_var straight(cr_model *m, void *user) { /* the gradient is 2, 2, 2, whatever w */
  (void)user;
  return cr_formula(cr_model_tape(m), "2*sum(w)", "w", cr_model_weight(m, "w", 1, (const int64_t[]){3}, "zeros"));
}

static bench straight_bench(const char *call) {
  bench b = {.f = straight, .o = cr_optimizer_new(call, NULL, NULL)};
  assert_non_null(b.o);
  b.m = model_of(straight, CR_FLOAT64);
  put(b.m, (const double[]){0, 0, 0});
  return b;
}

static void test_momentum_averages_a_constant_gradient(void **state) {
  (void)state;
  bench b = straight_bench("momentum(lr=0.5, momentum=0.9, form='ema')");
  double w[3] = {0}, before;
  for (int t = 1; t <= 30; t++) {
    before = w[0];
    step(&b);
    take(b.m, w);
    assert_true(fabs((before - w[0]) / 0.5 - (1 - pow(0.9, t)) * 2) < 1e-14);
  }
  close_bench(&b);
}

static double first_step(const char *call) {
  bench b = straight_bench(call);
  double w[3];
  step(&b);
  take(b.m, w);
  assert_true(fabs(b.report.gradient_norm - 2 * sqrt(3)) < 1e-15 && fabs(b.report.step_norm - fabs(w[0]) * sqrt(3)) < 1e-12);
  close_bench(&b);
  return w[0];
}

static void test_first_steps(void **state) {
  (void)state;
  assert_true(fabs(first_step("adam(lr=0.125)") + 0.125) < 1e-8);
  assert_true(fabs(first_step("adam(lr=0.125, bias_correction=False)") + 0.125 * 0.1 / sqrt(0.001)) < 1e-7);
  assert_true(fabs(first_step("rmsprop(lr=0.125, alpha=0.999)") + 0.125 * 31.6227766) < 1e-6);
  assert_true(fabs(first_step("lion(lr=0.125)") + 0.125) < 1e-15);
  assert_true(fabs(first_step("rprop(lr=0.125)") + 0.125) < 1e-15);
  assert_true(fabs(first_step("adam(lr=0.125, maximize=True)") - 0.125) < 1e-8);
}

static void test_warnings(void **state) {
  (void)state;
  static const struct {
    const char *call, *says;
  } warnings[] = {{"rmsprop()", NULL},
                  {"adam()", NULL},
                  {"momentum()", NULL},
                  {"rmsprop(alpha=0.999)", "31.6 times the rate"},
                  {"adam(bias_correction=False)", "3.16 times"},
                  {"momentum(form='printed_003')", "rate twice"}};
  for (size_t k = 0; k < sizeof warnings / sizeof *warnings; k++) {
    cr_optimizer *o = cr_optimizer_new(warnings[k].call, NULL, NULL);
    const char *text = cr_optimizer_warning(o);
    if (!warnings[k].says) assert_null(text);
    else assert_true(text && strstr(text, warnings[k].says));
    cr_optimizer_free(o);
  }
}

/* With an exact line search, conjugate gradients and BFGS end on a quadratic of three parameters in three steps. */
static void test_quadratic_termination(void **state) {
  (void)state;
  static const char *const calls[] = {"conjugate_gradient(c2=1e-9)", "conjugate_gradient(c2=1e-9, beta='fletcher_reeves')",
                                      "bfgs(c2=1e-9)"};
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    bench b = open_bench(QUADRATIC, CR_FLOAT64, calls[k]);
    for (int t = 1; t <= 3; t++) {
      step(&b);
      double excess = loss_at(&b, b.f) - problems[QUADRATIC].least;
      assert_true(t == 3 ? excess < 1e-13 : excess > 1e-6);
    }
    close_bench(&b);
  }
}

/* Newton's direction on a quadratic is exact once the inner iterations may go on. */
static void test_newton_on_a_quadratic(void **state) {
  (void)state;
  bench b = open_bench(QUADRATIC, CR_FLOAT64, "newton_cg()");
  double last = HUGE_VAL;
  for (int t = 0; t < 6 && !b.report.stuck; t++) {
    step(&b);
    assert_true(b.report.stuck || b.report.loss < last);
    last = b.report.loss;
  }
  assert_true(loss_at(&b, b.f) - problems[QUADRATIC].least < 1e-14);
  close_bench(&b);
}

static void test_levenberg_marquardt_reports(void **state) {
  (void)state;
  bench b = open_bench(NETWORK, CR_FLOAT64, "levenberg_marquardt(damping=0.01)");
  double j[2][45], jj[81] = {0}, least, most;
  cr_model_begin(b.m, 1);
  cr_var r = residuals(b.m, NULL);
  assert_int_equal(cr_jacobian(r, cr_model_leaf(b.m, 0), j[0]), CR_OK);
  assert_int_equal(cr_jacobian(r, cr_model_leaf(b.m, 1), j[1]), CR_OK);
  for (int p = 0; p < 9; p++)
    for (int q = 0; q < 9; q++)
      for (int i = 0; i < 5; i++)
        jj[9 * p + q] += (p < 6 ? j[0][6 * i + p] : j[1][3 * i + p - 6]) * (q < 6 ? j[0][6 * i + q] : j[1][3 * i + q - 6]);
  for (int p = 0; p < 9; p++) jj[10 * p] += 0.01;
  cr_tape *t = cr_new();
  cr_var values = cr_eigvalsh(cr_constant_of(t, CR_FLOAT64, 2, (const int64_t[]){9, 9}, jj));
  cr_array a = cr_view(values);
  least = cr_array_get(&a, 0), most = cr_array_get(&a, 8);
  cr_free(t);
  step(&b);
  assert_true(b.report.damping == 0.01);
  assert_true(fabs(b.report.condition / (most / least) - 1) < 1e-4);
  step(&b);
  assert_true(b.report.damping == 0.001);
  for (int k = 0; k < 60 && !b.report.stuck; k++) step(&b);
  assert_true(loss_at(&b, network) < 1e-20);
  close_bench(&b);
}

/* For every method: saved and loaded into another optimizer after 7 steps, it goes on to the same bits. */

static void check_resume(const char *call, int number) {
  bench a = open_bench(number, CR_FLOAT64, call), b = open_bench(number, CR_FLOAT64, call);
  double w[9], v[9];
  cr_archive archive = {0};
  cr_problem p = {0};
  for (int k = 0; k < 7; k++) step(&a);
  if (cr_optimizer_save(a.o, a.m, &archive, &p) != CR_OK) fail_msg("%s: %s", call, p.text);
  take(a.m, w);
  put(b.m, w);
  if (cr_optimizer_load(b.o, b.m, &archive, &p) != CR_OK) fail_msg("%s: %s", call, p.text);
  for (int k = 0; k < 7; k++) step(&a), step(&b);
  take(a.m, w);
  take(b.m, v);
  assert_memory_equal(w, v, (size_t)problems[number].n * sizeof *w);
  cr_archive_free(&archive);
  close_bench(&a);
  close_bench(&b);
}

static void test_resume(void **state) {
  (void)state;
  for (int k = 0; cr_method_at(k); k++) {
    char call[64];
    const char *s = cr_method_at(k)->signature;
    snprintf(call, sizeof call, "%.*s()", (int)strcspn(s, "("), s);
    assert_ptr_equal(cr_method_named((call[strlen(call) - 2] = 0, call)), cr_method_at(k));
    check_resume(call, NETWORK);
  }
  check_resume("adam(amsgrad=True, weight_decay=0.1)", NETWORK);
  check_resume("rmsprop(centered=True, momentum=0.5)", ROSENBROCK);
  check_resume("lbfgs(history_size=3)", ROSENBROCK);
  check_resume("nadam(weight_decay=0.1)", NETWORK);
}

static void test_load_refuses(void **state) {
  (void)state;
  bench a = open_bench(NETWORK, CR_FLOAT64, "adam()"), b = open_bench(NETWORK, CR_FLOAT64, "adagrad()"),
        c = open_bench(QUADRATIC, CR_FLOAT64, "adam()");
  cr_archive archive = {0};
  cr_problem p = {0}, none = {0};
  assert_int_equal(cr_optimizer_load(a.o, a.m, &archive, &p), CR_UNKNOWN_NAME);
  step(&a);
  assert_int_equal(cr_optimizer_save(a.o, a.m, &archive, &p), CR_OK);
  p = none;
  assert_int_not_equal(cr_optimizer_load(b.o, b.m, &archive, &p), CR_OK);
  assert_non_null(strstr(p.text, "'adam'"));
  p = none;
  assert_int_equal(cr_optimizer_load(c.o, c.m, &archive, &p), CR_BAD_SHAPE);
  assert_non_null(strstr(p.text, "optimizer/w/m"));
  cr_archive_free(&archive);
  close_bench(&a);
  close_bench(&b);
  close_bench(&c);
}

/* dtypes, blocks, odd gradients */

static void test_float32(void **state) {
  (void)state;
  for (int k = 0; cr_method_at(k); k++) {
    char call[64];
    double w[9], v[9];
    const char *s = cr_method_at(k)->signature;
    snprintf(call, sizeof call, "%.*s()", (int)strcspn(s, "("), s);
    bench a = open_bench(NETWORK, CR_FLOAT64, call), b = open_bench(NETWORK, CR_FLOAT32, call);
    int steps = cr_method_at(k)->needs ? 3 : 10;
    for (int t = 0; t < steps; t++) step(&a), step(&b);
    take(a.m, w);
    take(b.m, v);
    for (int i = 0; i < 9; i++)
      if (fabs(w[i] - v[i]) > 2e-3) fail_msg("%s: w[%d] = %g in float32, %g in float64", call, i, v[i], w[i]);
    close_bench(&a);
    close_bench(&b);
  }
}

enum { MANY = 40000 };

static cr_var one_large(cr_model *m, void *user) {
  (void)user;
  cr_tape *t = cr_model_tape(m);
  cr_var w = cr_model_weight(m, "w", 1, (const int64_t[]){MANY}, "zeros"), k = cr_arange(t, CR_FLOAT64, 0, MANY, 1);
  return cr_formula(t, "sum((w - sin(k))^2*(1 + cos(k)))", "w", w, "k", k);
}

static cr_var many_small(cr_model *m, void *user) {
  static const int64_t size[] = {1, 4096, 5, 34000, 1898};
  (void)user;
  cr_tape *t = cr_model_tape(m);
  cr_var sum = cr_const(t, 0);
  int64_t from = 0;
  for (int i = 0; i < 5; from += size[i++]) {
    char name[16];
    snprintf(name, sizeof name, "w%d", i);
    cr_var w = cr_model_weight(m, name, 1, &size[i], "zeros");
    cr_var k = cr_arange(t, CR_FLOAT64, (double)from, (double)(from + size[i]), 1);
    sum = cr_add(sum, cr_formula(t, "sum((w - sin(k))^2*(1 + cos(k)))", "w", w, "k", k));
  }
  return sum;
}

/* The same numbers in one parameter or in many, by one thread or by three: the same bits. */
static void test_blocks_and_threads_do_not_show(void **state) {
  (void)state;
  bench a = {.f = one_large, .o = cr_optimizer_new("nadam(lr=0.01)", NULL, NULL), .m = model_of(one_large, CR_FLOAT64)};
  bench b = {.f = many_small, .o = cr_optimizer_new("nadam(lr=0.01)", NULL, NULL), .m = model_of(many_small, CR_FLOAT64)};
  double *w = calloc(2 * MANY, sizeof *w);
  cr_set(cr_model_tape(a.m), CR_THREADS, 3);
  put(a.m, w);
  put(b.m, w);
  for (int t = 0; t < 5; t++) step(&a), step(&b);
  assert_true(a.report.step_norm == b.report.step_norm && a.report.step_norm > 0);
  take(a.m, w);
  take(b.m, w + MANY);
  assert_memory_equal(w, w + MANY, MANY * sizeof *w);
  assert_true(w[5000] != 0 && w[MANY - 1] != 0);
  free(w);
  close_bench(&a);
  close_bench(&b);
}

static cr_var half_used(cr_model *m, void *user) {
  const double *use = user;
  cr_var a = cr_model_weight(m, "a", 1, (const int64_t[]){2}, "zeros"),
         b = cr_model_weight(m, "b", 1, (const int64_t[]){2}, "zeros");
  return cr_formula(cr_model_tape(m), use && *use != 0 ? "sum(a*a) + sum(log(b))" : "sum(a*a)", "a", a, "b", b);
}

static void test_gradients_that_are_missing_or_not_finite(void **state) {
  (void)state;
  bench b = {
      .f = half_used, .o = cr_optimizer_new("sgd(lr=0.1, momentum=0.9)", NULL, NULL), .m = model_of(half_used, CR_FLOAT64)};
  double w[4], use = 1;
  put(b.m, (const double[]){1, 2, 0, 4});
  step(&b);
  take(b.m, w);
  assert_true(w[0] == 0.8 && w[2] == 0 && w[3] == 4);
  assert_int_equal(cr_minimize(b.o, b.m, half_used, &use, NULL, &b.p), CR_NOT_FINITE);
  assert_non_null(strstr(b.p.text, "'b' is inf at element 0"));
  take(b.m, w);
  assert_true(w[0] == 0.8 && w[1] == 1.6 && w[2] == 0 && w[3] == 4);
  close_bench(&b);
}

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    const char *call, *says;
  } bad[] = {
      {"adamm()", "unknown optimizer 'adamm'; did you mean 'adam'?"},
      {"SGD(lr=0.1)", "did you mean 'sgd'?"},
      {"foo", "unknown optimizer 'foo'; there are gradient_descent, momentum"},
      {"adam(beta=0.9)", "did you mean 'betas'"},
      {"adam(lr=-1)", "lr = -1"},
      {"adam(lr=nan)", "lr = nan"},
      {"adam(betas=[0.9])", "betas has 1 numbers"},
      {"adam(betas=[0.9, 1])", "betas = 1"},
      {"momentum(form='emma')", "form='emma' is not one of 'ema', 'torch', 'heavy_ball', 'printed_003'"},
      {"", "unknown optimizer ''"},
  };
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    cr_problem p = {0};
    assert_null(cr_optimizer_new(bad[k].call, NULL, &p));
    if (!strstr(p.text, bad[k].says)) fail_msg("%s: %s", bad[k].call, p.text);
  }
}

static void test_formula_is_what_runs(void **state) {
  (void)state;
  cr_optimizer *o = cr_optimizer_new("sgd(lr=0.5, momentum=0.9, weight_decay=0.1)", NULL, NULL);
  assert_string_equal(cr_optimizer_formula(o),
                      "g = g + weight_decay*w\n"
                      "v = momentum*v + (t == 1 ? 1 : 1 - dampening)*g\n"
                      "w = w - lr*v\n"
                      "lr = 0.5, momentum = 0.9, dampening = 0, weight_decay = 0.1, nesterov = 0, maximize = 0");
  cr_optimizer *tuple = cr_optimizer_new("adam(betas=(0.8, 0.9))", NULL, NULL);
  assert_non_null(strstr(cr_optimizer_formula(tuple), "betas = [0.8, 0.9]"));
  cr_optimizer_free(tuple);
  cr_optimizer_set_rate(o, 0.25);
  assert_true(cr_optimizer_rate(o) == 0.25 && cr_optimizer_base_rate(o) == 0.5);
  cr_optimizer_free(o);
}

/* Clipping */

static cr_var twins(cr_model *m, void *user) { /* both gradients are one array in the sweep */
  (void)user;
  cr_var a = cr_model_weight(m, "a", 1, (const int64_t[]){2}, "zeros"),
         b = cr_model_weight(m, "b", 1, (const int64_t[]){2}, "zeros");
  return cr_formula(cr_model_tape(m), "sum((a + b)*[3, -4])", "a", a, "b", b);
}

static void test_clipping(void **state) {
  (void)state;
  cr_model *m = model_of(twins, CR_FLOAT64);
  cr_model_begin(m, 1);
  assert_int_equal(cr_model_backward(m, twins(m, NULL)), CR_OK);
  assert_true(fabs(cr_gradient_norm(m, 0) - 5) < 1e-15 && fabs(cr_gradient_norm(m, -1) - sqrt(50)) < 1e-14);
  assert_true(fabs(cr_clip_norm(m, 100) - sqrt(50)) < 1e-14);
  assert_true(cr_array_get(&cr_model_parameter(m, 1)->gradient, 0) == 3);
  assert_true(fabs(cr_clip_norm(m, 1) - sqrt(50)) < 1e-14);
  double factor = 1 / (sqrt(50) + 1e-6); /* torch.nn.utils.clip_grad_norm_ */
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < 2; i++)
      assert_true(fabs(cr_array_get(&cr_model_parameter(m, k)->gradient, i) - (i ? -4 : 3) * factor) < 1e-15);
  cr_model_begin(m, 1);
  assert_int_equal(cr_model_backward(m, twins(m, NULL)), CR_OK);
  assert_true(fabs(cr_clip_value(m, 3.5) - sqrt(50)) < 1e-14);
  assert_true(cr_array_get(&cr_model_parameter(m, 0)->gradient, 0) == 3 &&
              cr_array_get(&cr_model_parameter(m, 1)->gradient, 1) == -3.5);
  close_model(m);
}

/* Schedules */

static double factor_of(const char *call, int64_t t, int64_t total) {
  cr_problem p = {0};
  cr_schedule *s = cr_schedule_new(call, NULL, &p);
  if (!s) fail_msg("%s: %s", call, p.text);
  double f = cr_schedule_factor(s, t, total);
  cr_schedule_free(s);
  return f;
}

static void test_schedules(void **state) {
  (void)state;
  static const struct {
    const char *call;
    int64_t t, total;
    double factor; /* of torch.optim.lr_scheduler, where it has the schedule */
  } expected[] = {
      {"constant", 7, 10, 1},
      {"step(size=30, gamma=0.1)", 30, 100, 1},
      {"step(size=30, gamma=0.1)", 31, 100, 0.1},
      {"step(size=30, gamma=0.1)", 61, 100, 0.01},
      {"exponential(gamma=0.5)", 1, 10, 1},
      {"exponential(gamma=0.5)", 4, 10, 0.125},
      {"cosine", 1, 10, 1},
      {"cosine(floor=0.1)", 6, 10, 0.55},
      {"cosine", 9, 10, 0.09549150281252627},
      {"linear(floor=0.5)", 6, 10, 0.75},
      {"warmup(steps=4, then='cosine')", 1, 14, 0.25},
      {"warmup(steps=4, then='cosine')", 4, 14, 1},
      {"warmup(steps=4, then='cosine')", 5, 14, 1},
      {"warmup(steps=4, then='cosine(floor=0.1)')", 10, 14, 0.55},
      {"one_cycle", 1, 10, 0.04},
      {"one_cycle", 2, 10, 0.52},
      {"one_cycle", 3, 10, 1},
      {"one_cycle", 7, 10, 0.38874197806371075},
      {"one_cycle", 10, 10, 4e-6},
  };
  for (size_t k = 0; k < sizeof expected / sizeof *expected; k++) {
    double f = factor_of(expected[k].call, expected[k].t, expected[k].total);
    if (!(fabs(f - expected[k].factor) < 1e-12))
      fail_msg("%s at %d: %.17g, not %.17g", expected[k].call, (int)expected[k].t, f, expected[k].factor);
  }
  cr_problem p = {0};
  assert_null(cr_schedule_new("cosin", NULL, &p));
  assert_non_null(strstr(p.text, "unknown schedule 'cosin'; did you mean 'cosine'?"));
  for (int k = 0; cr_schedule_at(k); k++) assert_true(isfinite(factor_of(cr_schedule_at(k)->signature, 3, 10)));
}

static void test_plateau(void **state) {
  (void)state;
  cr_schedule *s = cr_schedule_new("warmup(steps=1, then='plateau(factor=0.5, patience=2, floor=0.2)')", NULL, NULL);
  static const double loss[] = {1, 0.9, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.1, 0.2, 0.2, 0.2, 0.2};
  static const double factor[] = {1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2, 0.2};
  cr_archive archive = {0};
  for (int k = 0; k < 13; k++) {
    cr_schedule_observe(s, loss[k]);
    assert_true(cr_schedule_factor(s, 2 + k, 100) == factor[k]);
    if (k != 5) continue;
    assert_int_equal(cr_schedule_save(s, &archive, NULL), CR_OK);
    cr_schedule_free(s);
    s = cr_schedule_new("warmup(steps=1, then='plateau(factor=0.5, patience=2, floor=0.2)')", NULL, NULL);
    assert_int_equal(cr_schedule_load(s, &archive, NULL), CR_OK);
  }
  cr_archive_free(&archive);
  cr_schedule_free(s);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: optimizers_test goldens/optimizers.tsv\n"), 2;
  goldens = argv[1];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_trajectories),
      cmocka_unit_test(test_optima),
      cmocka_unit_test(test_momentum_averages_a_constant_gradient),
      cmocka_unit_test(test_first_steps),
      cmocka_unit_test(test_warnings),
      cmocka_unit_test(test_quadratic_termination),
      cmocka_unit_test(test_newton_on_a_quadratic),
      cmocka_unit_test(test_levenberg_marquardt_reports),
      cmocka_unit_test(test_resume),
      cmocka_unit_test(test_load_refuses),
      cmocka_unit_test(test_float32),
      cmocka_unit_test(test_blocks_and_threads_do_not_show),
      cmocka_unit_test(test_gradients_that_are_missing_or_not_finite),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_formula_is_what_runs),
      cmocka_unit_test(test_clipping),
      cmocka_unit_test(test_schedules),
      cmocka_unit_test(test_plateau),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
