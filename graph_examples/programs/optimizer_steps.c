/* optimizer_steps [NAME or CALL ...]: old weight, gradient, step, new weight, and what the method keeps in between, as in
 * optimizer_steps "adam(lr=0.2)". optimizer_steps forms compares four forms of momentum. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum shape { VALLEY, SQUARE, SLOPE } shape; /* (slow^2 + 15 steep^2)/2, slow^2, 2 slow */

static cr_var objective(cr_model *m, void *user) {
  cr_tape *t = cr_model_tape(m);
  cr_var slow = cr_model_weight(m, "slow", 0, NULL, "ones");
  if (*(shape *)user == SLOPE) return cr_mul(cr_const(t, 2), slow);
  if (*(shape *)user == SQUARE) return cr_mul(slow, slow);
  return cr_formula(t, "(slow^2 + 15*steep^2)/2", "slow", slow, "steep", cr_model_weight(m, "steep", 0, NULL, "ones"));
}

static int complain(const cr_problem *p) { return fprintf(stderr, "optimizer_steps: %s\n", p->text), 1; }

/* What the optimizer keeps for a parameter: "v = 0.1". */
static void put_state(const cr_archive *state, const char *parameter) {
  size_t n = strlen(parameter);
  for (int k = 0; k < state->n; k++) {
    const char *name = state->entry[k].name, *at = strstr(name, parameter);
    if (at && at[n] == '/' && state->entry[k].array.count == 1)
      printf("  keeps %s = %.6g", at + n + 1, cr_array_get(&state->entry[k].array, 0));
  }
  putchar('\n');
}

/* One step with its table; step: the last one, replaced by this one. */
static int put_step(cr_optimizer *o, cr_model *m, int t, double step[2]) {
  shape f = VALLEY;
  cr_problem p = {0};
  cr_archive state = {0};
  double old[2], gradient[2], dot = 0, size = 0, last = 0;
  for (int k = 0; k < 2; k++) old[k] = cr_array_get(&cr_model_parameter(m, k)->value, 0);
  if (cr_minimize(o, m, objective, &f, NULL, &p) != CR_OK || cr_optimizer_save(o, m, &state, &p) != CR_OK)
    return complain(&p);
  for (int k = 0; k < 2; k++) {
    const cr_parameter *w = cr_model_parameter(m, k);
    double new = cr_array_get(&w->value, 0), now = new - old[k];
    gradient[k] = cr_array_get(&w->gradient, 0);
    k ? printf("   ") : printf("%3d", t);
    printf("  %-6s %12.6g %12.6g %12.6g %12.6g", w->name, old[k], gradient[k], now, new);
    put_state(&state, w->name);
    dot += now * step[k], size += now * now, last += step[k] * step[k];
    step[k] = now;
  }
  printf("     norm of the gradient %.6g", hypot(gradient[0], gradient[1]));
  if (t > 1 && size > 0 && last > 0)
    printf("; angle to the last step %.0f degrees",
           acos(fmax(-1, fmin(1, dot / sqrt(size * last)))) * 180 / 3.141592653589793);
  if (t == 1) printf("; first step of slow: %.3g times the rate", fabs(step[0]) / cr_optimizer_rate(o));
  putchar('\n');
  cr_archive_free(&state);
  return 0;
}

static int put_steps(const char *call) {
  shape f = VALLEY;
  cr_problem p = {0};
  cr_tape *tape = cr_new();
  cr_model *m = tape ? cr_model_new(tape, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new(call, NULL, &p) : NULL;
  double step[2] = {0, 0};
  int status = o ? 0 : complain(&p);
  if (o) {
    printf("%s on (slow^2 + 15 steep^2)/2\n%s\n", call, cr_optimizer_formula(o));
    if (cr_optimizer_warning(o)) printf("mind: %s\n", cr_optimizer_warning(o));
    printf("  t  weight          old     gradient         step          new   (slope > 0: down, slope < 0: up)\n");
    cr_model_begin(m, 1);
    objective(m, &f);
    for (int t = 1; t <= 5 && !status; t++) status = put_step(o, m, t, step);
    putchar('\n');
  }
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(tape);
  return status;
}

/* Where a form of momentum is after n steps; *v: what it has gathered. */
static double after(const char *call, shape f, int n, double *v) {
  cr_problem p = {0};
  cr_archive state = {0};
  cr_tape *tape = cr_new();
  cr_model *m = tape ? cr_model_new(tape, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new(call, NULL, &p) : NULL;
  double w = (double)NAN;
  for (int t = 0; o && t < n; t++)
    if (cr_minimize(o, m, objective, &f, NULL, &p) != CR_OK) break;
  if (p.status != CR_OK || !o || cr_optimizer_save(o, m, &state, &p) != CR_OK) complain(&p);
  else {
    w = cr_array_get(&cr_model_parameter(m, 0)->value, 0);
    for (int k = 0; k < state.n; k++)
      if (strstr(state.entry[k].name, "slow/v")) *v = cr_array_get(&state.entry[k].array, 0);
  }
  cr_archive_free(&state);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(tape);
  return w;
}

/* w^2 from w = 1, 50 steps: the printed form applies the rate twice. */
static int compare_forms(void) {
  static const struct {
    const char *form, *update;
    double w;
  } forms[] = {{"ema", "v = b v + (1 - b) g;  w = w - rate v", 0.07393761812965609},
               {"heavy_ball", "v = b v + rate g;     w = w - v", -0.030498429139138902},
               {"torch", "v = b v + g;          w = w - rate v", -0.030498429139138902},
               {"printed_003", "v = b v + rate g;     w = w - rate v", 0.07393761812965609}};
  int wrong = 0;
  double v = 0;
  printf("momentum on w^2 from w = 1, b = 0.9, rate 0.1, after 50 steps\n");
  for (int k = 0; k < 4; k++) {
    char call[96];
    snprintf(call, sizeof call, "momentum(lr=0.1, momentum=0.9, form='%s')", forms[k].form);
    double w = after(call, SQUARE, 50, &v);
    wrong += !(fabs(w - forms[k].w) < 1e-12);
    printf("  %-12s %-38s w = %10.6g%s\n", forms[k].form, forms[k].update, w,
           fabs(w) > 0.05 ? "  still crawling" : "  swings about 0");
  }
  printf("(the printed form is here the same as the average, because 1 - b is the rate)\n");
  after("momentum(lr=0.1, momentum=0.9, form='ema')", SLOPE, 3, &v);
  printf("a constant gradient g = 2, averaged: v_3 = %.6g = (1 - 0.9^3) g\n", v);
  return wrong || !(fabs(v - (1 - 0.9 * 0.9 * 0.9) * 2) < 1e-12);
}

int main(int argc, char **argv) {
  static const char *const shown[] = {"gradient_descent(lr=0.1)",
                                      "momentum(lr=0.1, momentum=0.9, form='ema')",
                                      "adagrad(lr=0.5)",
                                      "rmsprop(lr=0.01, alpha=0.999)",
                                      "adam(lr=0.1)",
                                      "adamw(lr=0.1, weight_decay=0.1)"};
  int status = 0;
  for (int k = 1; k < argc; k++) {
    const char *call = argv[k];
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
      if (!strncmp(shown[i], call, strlen(call)) && shown[i][strlen(call)] == '(') call = shown[i];
    status |= !strcmp(call, "forms") ? compare_forms() : put_steps(call);
  }
  for (size_t i = 0; argc == 1 && i < sizeof shown / sizeof *shown; i++) status |= put_steps(shown[i]);
  return argc == 1 ? status | compare_forms() : status;
}
