/* The perceptron: one unit that answers 1 where w.x + b > 0, else 0, and learns from its mistakes alone: w += eta (d - y) x.
 * One sees what it predicts before training, and with which margin; every example of AND and what it does to the weights;
 * a film of the boundary, a frame for each mistake; and that AND and OR converge, while XOR, which no line separates, comes
 * back to weights that it had before and cycles for ever. */
#include <chainrule_networks.h>

#include <stdio.h>
#include <string.h>

enum { WIDE = 11, HIGH = 6, ROOM = 18, ACROSS = 6, EPOCHS = 100 };
static const double corner[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};

typedef struct gate {
  const char *name;
  double d[4]; /* targets of the corners */
} gate;
typedef struct example {
  const double *x;
  double d, y; /* y: the unit's answer */
} example;
typedef struct frame {
  char line[HIGH][WIDE + 1], weights[48];
} frame;
typedef struct learner {
  cr_model *m;
  cr_optimizer *o;
  const double *w, *b; /* the model's own */
  int frames;
  frame film[ROOM];
} learner;

/* The score w.x + b (cr_dense) or its step (cr_perceptron) of n points: layers of one name have the same weights. */
static cr_var unit(cr_model *m, int64_t n, const double *points, cr_var (*layer)(cr_model *, cr_var, int64_t)) {
  cr_model_name_next(m, "unit");
  return layer(m, cr_constant_of(cr_model_tape(m), CR_FLOAT64, 2, (int64_t[]){n, 2}, points), 1);
}

/* (y - d) (w.x + b): its gradient (y - d) x makes gradient descent the perceptron's rule. */
static cr_var mistake(cr_model *m, void *user) {
  example *e = user;
  cr_var d = cr_constant_of(cr_model_tape(m), CR_FLOAT64, 2, (int64_t[]){1, 1}, &e->d);
  e->y = cr_value(unit(m, 1, e->x, cr_perceptron));
  return cr_loss_record(unit(m, 1, e->x, cr_dense), d, "perceptron_rule", NULL);
}

/* The square from -1/3 to 4/3: # where the unit answers 1, and the examples as their targets. */
static void shoot(learner *l, const gate *g) {
  double points[HIGH * WIDE][2], y[HIGH * WIDE];
  if (l->frames == ROOM) return;
  frame *f = &l->film[l->frames++];
  for (int k = 0; k < HIGH * WIDE; k++) points[k][0] = (k % WIDE - 2) / 6.0, points[k][1] = (4 - k / WIDE) / 3.0;
  cr_model_begin(l->m, 0);
  cr_read(unit(l->m, HIGH * WIDE, *points, cr_perceptron), y, HIGH * WIDE);
  for (int k = 0; k < HIGH * WIDE; k++) f->line[k / WIDE][k % WIDE] = y[k] > 0 ? '#' : '.';
  for (int i = 0; i < 4; i++) f->line[i % 2 ? 1 : 4][i < 2 ? 2 : 8] = g->d[i] > 0 ? '1' : '0';
  snprintf(f->weights, sizeof f->weights, "%g %g %g", l->w[0], l->w[1], *l->b);
}

static void show(const learner *l, const char *name) {
  printf("\n%s: the boundary after each mistake, and w1 w2 b; # is where the answer is 1\n", name);
  for (int from = 0; from < l->frames; from += ACROSS) {
    int to = from + ACROSS < l->frames ? from + ACROSS : l->frames;
    for (int row = 0; row < HIGH; row++, putchar('\n'))
      for (int k = from; k < to; k++) printf("  %s", l->film[k].line[row]);
    for (int k = from; k < to; k++) printf("  %-*s", WIDE, l->film[k].weights);
    printf("\n\n");
  }
}

/* Before training: the class of each example, and its margin. */
static void predict(learner *l, const gate *g) {
  double s[4], y[4];
  cr_model_begin(l->m, 0);
  cr_read(unit(l->m, 4, *corner, cr_dense), s, 4);
  cr_read(unit(l->m, 4, *corner, cr_perceptron), y, 4);
  printf("%s before training: w = (%.3f, %.3f), b = %.3f\ninput    margin w.x + b   class    d\n", g->name, l->w[0], l->w[1],
         *l->b);
  for (int i = 0; i < 4; i++)
    printf(" %g %g   %12.3f   %7g  %5g%s\n", corner[i][0], corner[i][1], s[i], y[i], g->d[i],
           y[i] == g->d[i] ? "" : "  wrong");
  putchar('\n');
}

/* One pass over the examples: how many mistakes, or -1. */
static int run_epoch(learner *l, const gate *g, int epoch, int talk) {
  static const char *const change[] = {"   w - x", "", "   w + x"};
  int mistakes = 0;
  for (int i = 0; i < 4; i++) {
    example e = {corner[i], g->d[i], 0};
    cr_problem p = {0};
    if (cr_minimize(l->o, l->m, mistake, &e, NULL, &p) != CR_OK) return fprintf(stderr, "perceptron: %s\n", p.text), -1;
    if (talk)
      printf("%5d   %g %g   %g   %g  %4g %3g %3g%s\n", epoch, e.x[0], e.x[1], e.d, e.y, l->w[0], l->w[1], *l->b,
             change[1 + (int)(e.d - e.y)]);
    if (e.y != e.d) mistakes++, shoot(l, g);
  }
  return mistakes;
}

/* Until an epoch without a mistake (1), or one that ends with weights of an earlier one (0). */
static int learn(learner *l, const gate *g, const char *start, int talk) {
  double past[EPOCHS + 1][3] = {{l->w[0], l->w[1], *l->b}};
  for (int epoch = 1, total = 0; epoch <= EPOCHS; epoch++) {
    int mistakes = run_epoch(l, g, epoch, talk);
    double *now = memcpy(past[epoch], (double[]){l->w[0], l->w[1], *l->b}, sizeof *past);
    if (mistakes < 0) return -1;
    total += mistakes;
    if (!mistakes) {
      printf("%-4s from %-9s converges: epoch %d makes no mistake, %d in all; w = (%.4g, %.4g), b = %.4g\n", g->name, start,
             epoch, total, now[0], now[1], now[2]);
      return 1;
    }
    for (int k = 0; k < epoch; k++)
      if (!memcmp(past[k], now, sizeof past[k])) {
        printf("%-4s from %-9s cycles: after epoch %d the weights are those after epoch %d again\n", g->name, start, epoch,
               k);
        return 0;
      }
  }
  return -1;
}

/* 1: it converges; 0: it cycles; -1: neither. */
static int run(const gate *g, const char *start, int log, int film) {
  cr_problem p = {0};
  cr_tape *t = cr_new();
  learner l = {.m = t ? cr_model_new(t, CR_FLOAT64, 3) : NULL};
  int outcome = -1;
  if (l.m && (l.o = cr_optimizer_new("gradient_descent(lr=1)", NULL, &p))) {
    cr_model_initialize_with(l.m, start);
    cr_model_begin(l.m, 1);
    unit(l.m, 4, *corner, cr_dense);
    l.w = cr_model_parameter(l.m, 0)->value.data, l.b = cr_model_parameter(l.m, 1)->value.data;
    if (strcmp(start, "zeros")) predict(&l, g);
    if (log) printf("%s, eta = 1\nepoch  input  d   y    w1  w2   b\n", g->name);
    outcome = learn(&l, g, start, log);
    if (film) show(&l, g->name);
  }
  cr_optimizer_free(l.o);
  cr_model_free(l.m);
  cr_free(t);
  return outcome;
}

int main(void) {
  static const gate gates[] = {{"AND", {0, 0, 0, 1}}, {"OR", {0, 1, 1, 1}}, {"XOR", {0, 1, 1, 0}}};
  return run(&gates[1], "normal(1)", 0, 0) != 1 || run(&gates[0], "zeros", 1, 1) != 1 ||
         run(&gates[1], "zeros", 0, 0) != 1 || run(&gates[2], "zeros", 0, 1) != 0;
}
