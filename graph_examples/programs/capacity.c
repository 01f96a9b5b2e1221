/* Capacity: how much a network can learn by heart. One sees what networks of 1, 2 and 12 hidden units make of the same 12
 * noisy points of a sine: the smallest cannot bend enough, the largest goes through the points, noise and all. Then the gap
 * between the loss on new points and the loss on those seen, by the number of points and of units: few examples and many
 * weights overfit. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDE = 38, HIGH = 15, STEPS = 120, GRID = 5 };

typedef struct task {
  const cr_dataset *d;
  int units;
  cr_var x, prediction;
} task;

static cr_var objective(cr_model *m, void *user) {
  task *k = user;
  cr_tape *t = cr_model_tape(m);
  k->x = cr_constant_of(t, CR_FLOAT64, 2, k->d->x.dim, k->d->x.data);
  k->prediction = cr_dense(m, cr_tanh(cr_dense(m, k->x, k->units)), 1);
  return cr_loss_record(k->prediction, cr_constant_of(t, CR_FLOAT64, 2, k->d->y.dim, k->d->y.data), "squared", NULL);
}

/* Learns d by heart as well as so many units can; the loss on it, on new data, and what it answers there. */
static int learn(const cr_dataset *d, const cr_dataset *new, int units, double loss[2], double *answer) {
  cr_problem p = {0};
  cr_step s = {0};
  task k = {.d = d, .units = units};
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("lbfgs()", NULL, &p) : NULL;
  for (int n = 0; o && n < STEPS && !s.stuck && p.status == CR_OK; n++) cr_minimize(o, m, objective, &k, &s, &p);
  int failed = !o || p.status != CR_OK;
  for (int i = 0; i < 2 && !failed; i++) {
    k.d = i ? new : d;
    cr_model_begin(m, 0);
    loss[i] = cr_value(objective(m, &k));
  }
  failed = failed || (answer && cr_read(k.prediction, answer, cr_count(k.prediction)) != CR_OK);
  if (p.status != CR_OK) fprintf(stderr, "capacity: %s\n", p.text);
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return failed;
}

static int make(cr_dataset *d, int n, double noise, int seed) {
  cr_problem p = {0};
  char call[80];
  snprintf(call, sizeof call, "sine(%d, noise=%g, seed=%d)", n, noise, seed);
  return cr_dataset_read(d, call, NULL, CR_FLOAT64, NULL, &p) != CR_OK && (fprintf(stderr, "capacity: %s\n", p.text), 1);
}

/* Marks (x, y), x from -pi to pi and y from -1.75 to 1.75. */
static void mark(char picture[HIGH][WIDE + 1], double x, double y, char with) {
  long column = lround((x / 3.141592653589793 + 1) / 2 * (WIDE - 1)), row = lround((1.75 - y) * 4);
  if (row >= 0 && row < HIGH) picture[row][column] = with;
}

/* The function that each of three networks has learnt, side by side. */
static int show_fits(void) {
  static const int units[3] = {1, 2, 12};
  char picture[3][HIGH][WIDE + 1];
  cr_dataset d = {0}, grid = {0};
  double loss[3][2], y[WIDE];
  int failed = make(&d, 12, 0.4, 5) || make(&grid, WIDE, 0, 0);
  for (int k = 0; k < 3 && !failed; k++) {
    for (int row = 0; row < HIGH; row++) memset(picture[k][row], ' ', WIDE), picture[k][row][WIDE] = 0;
    failed = learn(&d, &grid, units[k], loss[k], y);
    for (int64_t i = 0; i < WIDE; i++) {
      mark(picture[k], cr_array_get(&grid.x, i), cr_array_get(&grid.y, i), '.');
      mark(picture[k], cr_array_get(&grid.x, i), y[i], '*');
    }
    for (int64_t i = 0; i < 12; i++) mark(picture[k], cr_array_get(&d.x, i), cr_array_get(&d.y, i), 'o');
  }
  for (int row = 0; row < HIGH && !failed; row++) printf("|%s|%s|%s|\n", picture[0][row], picture[1][row], picture[2][row]);
  for (int k = 0; k < 3 && !failed; k++) printf(" %2d units: %.4f here, %.4f beside  ", units[k], loss[k][0], loss[k][1]);
  puts("\n. the sine, o noisy points of it (here), * what is learnt, which is compared with the sine (beside)\n");
  cr_dataset_free(&d);
  cr_dataset_free(&grid);
  return failed ||
         !(loss[0][0] > loss[1][0] && loss[1][0] > loss[2][0] && loss[1][1] < loss[0][1] && loss[1][1] < loss[2][1]);
}

/* The median over five samples of the loss on new points less that on those seen. */
static int gap(int points, int units, const cr_dataset *new, double *median) {
  double gaps[5], loss[2];
  int failed = 0;
  for (int k = 0; k < 5 && !failed; k++) {
    cr_dataset d = {0};
    failed = make(&d, points, 0.4, k + 1) || learn(&d, new, units, loss, NULL);
    gaps[k] = loss[1] - loss[0];
    cr_dataset_free(&d);
  }
  cr_tape *t = cr_new();
  if (t) *median = cr_value(cr_median(cr_constant_of(t, CR_FLOAT64, 1, (int64_t[]){5}, gaps), 0, 0, NULL));
  cr_free(t);
  return failed || !t;
}

int main(void) {
  static const int points[GRID] = {8, 16, 32, 64, 128}, units[GRID] = {1, 2, 4, 8, 16};
  cr_dataset new = {0};
  double g[GRID][GRID] = {{0}};
  int failed = show_fits() || make(&new, 200, 0.4, 99);
  printf("The gap: loss on 200 new points less that on the points seen, the median of five samples\npoints ");
  for (int j = 0; j < GRID; j++) printf("  %3d unit%s", units[j], j ? "s" : " ");
  for (int i = 0; i < GRID && !failed; i++) {
    printf("\n%6d ", points[i]);
    for (int j = 0; j < GRID && !failed; j++) {
      failed = gap(points[i], units[j], &new, &g[i][j]);
      char shade = " .:-=+*#%@"[(int)fmax(0, fmin(9, 30 * g[i][j]))];
      printf("  %6.3f %c%c", g[i][j], shade, shade);
    }
  }
  puts("\nThe darker, the more is learnt by heart: few examples and many weights.");
  cr_dataset_free(&new);
  return failed || !(g[0][GRID - 1] > 5 * g[GRID - 1][GRID - 1] && g[0][GRID - 1] > g[0][0]);
}
