/* Every method of the library, from the same start down the same two valleys: Rosenbrock's (1 - x)^2 + 100 (y - x^2)^2,
 * narrow and curved, and the straight (x^2 + 25 y^2)/2. One sees how many steps, and evaluations of the function, each takes
 * until it is below 1e-6, or how far it has come by then: methods that know the curvature take tens of steps, those that
 * know the slope thousands. A map shows the ways of four of them. optimizer_race WAYS.csv writes all ways, a line a step,
 * for gnuplot or a spreadsheet. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 5000, WIDE = 81, HIGH = 19 };
static const double start[2] = {-1.2, 1}, none[2] = {0, 0}, enough = 1e-6;

typedef struct valley {
  const char *name, *residual[2]; /* half the sum of their squares is the function */
  int least_squares;              /* wants the residuals as they are */
} valley;
static const valley rosenbrock = {"rosenbrock", {"sqrt(2)*(1 - x)", "sqrt(200)*(y - x^2)"}, 0},
                    bowl = {"bowl", {"x", "5*y"}, 0};

/* A rate that suits each method, and the letter of those on the map. */
static const struct {
  const char *method;
  double rate[2];
  char letter;
} entrants[] = {{"gradient_descent", {0.002, 0.05}, 'g'},
                {"momentum", {0.02, 0.5}, 0},
                {"heavy_ball", {0.001, 0.05}, 'h'},
                {"nesterov", {0.001, 0.05}, 0},
                {"adagrad", {0.5, 0.5}, 0},
                {"rmsprop", {0.001, 0.01}, 0},
                {"adadelta", {1, 5}, 0},
                {"adam", {0.3, 0.1}, 'a'},
                {"adamw", {0.02, 0.1}, 0},
                {"nadam", {0.01, 0.1}, 0},
                {"lion", {0.0007, 0.007}, 0},
                {"rprop_plus", {0.1, 0.1}, 0},
                {"rprop_minus", {0.1, 0.1}, 0},
                {"irprop_plus", {0.1, 0.1}, 0},
                {"irprop_minus", {0.1, 0.1}, 0},
                {"quickprop", {0.0002, 0.02}, 0},
                {"levenberg_marquardt", {0, 0}, 'L'}};

static cr_var sum_of_squares(const valley *v, cr_var x, cr_var y) {
  cr_var a = cr_formula(x.tape, v->residual[0], "x", x, "y", y), b = cr_formula(x.tape, v->residual[1], "x", x, "y", y);
  return v->least_squares ? cr_stack(2, (cr_var[]){a, b}, 0) : cr_formula(x.tape, "(a^2 + b^2)/2", "a", a, "b", b);
}

static cr_var objective(cr_model *m, void *user) {
  cr_var x = cr_model_weight(m, "x", 0, NULL, "zeros"), y = cr_model_weight(m, "y", 0, NULL, "zeros");
  return sum_of_squares(user, x, y);
}

/* The map of log10 f over [-1.6, 1.6] x [-0.4, 1.4], a character a place: the lighter, the lower. */
typedef struct map {
  char line[HIGH][WIDE + 1];
} map;

static void draw(map *s) {
  double f[HIGH * WIDE];
  cr_tape *t = cr_new();
  cr_var x = cr_unsqueeze(cr_linspace(cr_const(t, -1.6), cr_const(t, 1.6), WIDE), 0),
         y = cr_unsqueeze(cr_linspace(cr_const(t, 1.4), cr_const(t, -0.4), HIGH), 1);
  cr_read(sum_of_squares(&rosenbrock, x, y), f, HIGH * WIDE);
  for (int k = 0; k < HIGH * WIDE; k++) s->line[k / WIDE][k % WIDE] = "  ..::"[(int)fmax(0, fmin(5, log10(f[k]) * 2 + 2))];
  for (int row = 0; row < HIGH; row++) s->line[row][WIDE] = 0;
  cr_free(t);
}

static void mark(map *s, double x, double y, char letter) {
  long column = lround((x + 1.6) / 3.2 * (WIDE - 1)), row = lround((1.4 - y) / 1.8 * (HIGH - 1));
  if (letter && column >= 0 && column < WIDE && row >= 0 && row < HIGH) s->line[row][column] = letter;
}

typedef struct result {
  int steps, evaluations;
  double loss;
} result;

/* One method down one valley; marks its way on the map, and writes it where there is a file. */
static int run(const cr_method *method, const valley *of, double rate, char letter, map *s, FILE *ways, result *r) {
  char call[96], name[40];
  cr_problem p = {0};
  cr_step step = {.loss = 1};
  valley v = *of;
  v.least_squares = method->needs == 2;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(method->signature, "("), method->signature);
  rate > 0 ? snprintf(call, sizeof call, "%s(lr=%g)", name, rate) : snprintf(call, sizeof call, "%s()", name);
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new(call, NULL, &p) : NULL;
  int failed = !o;
  *r = (result){0};
  if (o) objective(m, &v); /* makes x and y */
  for (int k = 0; k < 2 && o; k++) cr_array_set(&cr_model_parameter(m, k)->value, 0, start[k]);
  while (!failed && r->steps < MOST) {
    double x = cr_array_get(&cr_model_parameter(m, 0)->value, 0), y = cr_array_get(&cr_model_parameter(m, 1)->value, 0);
    mark(s, x, y, letter);
    failed = cr_minimize(o, m, objective, &v, &step, &p) != CR_OK;
    r->loss = step.loss;
    if (ways) fprintf(ways, "%s,%s,%d,%.17g,%.17g,%.17g\n", v.name, name, r->steps, x, y, r->loss);
    if (r->loss < enough || step.stuck) break;
    r->steps++, r->evaluations += 1 + step.evaluations; /* one before the step, and those within */
  }
  if (failed) fprintf(stderr, "optimizer_race: %s: %s\n", call, p.text);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return failed;
}

static void put(double rate, const result *r) {
  rate > 0 ? printf("   %7g", rate) : printf("   %7s", "");
  r->loss < enough ? printf(" %6d %6d  %-8s", r->steps, r->evaluations, "") : printf(" %6s %6s  %-8.1e", "-", "-", r->loss);
}

int main(int argc, char **argv) {
  map s;
  result r[2];
  const cr_method *method;
  int failed = 0, n = (int)(sizeof entrants / sizeof *entrants);
  FILE *ways = argc > 1 ? fopen(argv[1], "w") : NULL;
  if (argc > 1 && !ways) return perror(argv[1]), 1;
  if (ways) fprintf(ways, "valley,method,step,x,y,f\n");
  draw(&s);
  printf("Steps and evaluations until f < %g, or f after %d steps: first Rosenbrock, then (x^2 + 25 y^2)/2\n", enough, MOST);
  printf("%-19s   %7s %6s %6s  %-8s   %7s %6s %6s  f\n", "method", "rate", "steps", "evals", "f", "rate", "steps", "evals");
  for (int k = 0; (method = cr_method_at(k)) && !failed; k++) {
    int e = 0;
    while (e < n && cr_method_named(entrants[e].method) != method) e++;
    const double *rate = e < n ? entrants[e].rate : none;
    failed = run(method, &rosenbrock, rate[0], e < n ? entrants[e].letter : 0, &s, ways, &r[0]) ||
             run(method, &bowl, rate[1], 0, &s, ways, &r[1]);
    printf("%-19.*s", (int)strcspn(method->signature, "("), method->signature);
    put(rate[0], &r[0]), put(rate[1], &r[1]);
    putchar('\n');
    failed |= method->needs && !(r[0].loss < enough && r[1].loss < enough);
  }
  puts("\nRosenbrock's valley from (-1.2, 1) to (1, 1): g gradient descent, h heavy ball, a Adam, L Levenberg-Marquardt");
  for (int row = 0; row < HIGH; row++) puts(s.line[row]);
  if (ways) failed |= fclose(ways) != 0;
  return failed;
}
