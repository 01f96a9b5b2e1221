/* A curve through measured points, by Levenberg and Marquardt: y = b1 (1 - exp(-b2 x)), monomolecular adsorption, with b1
 * and b2 so unlike in size that gradient descent hardly moves b1. The residuals are recorded once per step; their Jacobian
 * J comes from the tape. One sees the damping fall as the steps turn from gradient descent into Gauss and Newton's, the
 * condition number of what is solved, and in the end the parameters with their standard errors s sqrt(diag((J'J)^-1)),
 * beside the certified values of the source of the data: NIST, Statistical Reference Datasets, Misra1a,
 * https://www.itl.nist.gov/div898/strd (public domain). */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>

enum { POINTS = 14, MOST_STEPS = 100, COLUMNS = 64, ROWS = 14 };

static const double x[POINTS] = {77.6,  114.9, 141.1, 190.8, 239.9, 289.0, 332.8,
                                 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0},
                    y[POINTS] = {10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02,
                                 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78};
static const struct {
  const char *name;
  double start, value, error; /* certified */
} certified[] = {{"b1", 500, 2.3894212918e+02, 2.7070075241e+00}, {"b2", 1e-4, 5.5015643181e-04, 7.2668688436e-06}};
enum { N = sizeof certified / sizeof *certified };
static const double certified_squares = 1.2455138894e-01;

static cr_var curve(cr_model *m, cr_var at) {
  cr_var b1 = cr_model_weight(m, "b1", 0, NULL, "zeros"), b2 = cr_model_weight(m, "b2", 0, NULL, "zeros");
  return cr_formula(at.tape, "b1*(1 - exp(-b2*x))", "b1", b1, "b2", b2, "x", at);
}

static cr_var residuals(cr_model *m, void *user) {
  int64_t n = POINTS;
  (void)user;
  cr_tape *t = cr_model_tape(m);
  return cr_sub(curve(m, cr_constant_of(t, CR_FLOAT64, 1, &n, x)), cr_constant_of(t, CR_FLOAT64, 1, &n, y));
}

static double *parameter(const cr_model *m, int k) { return cr_model_parameter(m, k)->value.data; }

/* Steps until none improves the fit by more than rounding. */
static int fit(cr_model *m, cr_optimizer *o, cr_problem *p) {
  double before = (double)INFINITY;
  cr_step s = {0};
  printf("step   squares/2         damping    condition      b1              b2\n");
  for (int k = 0; k < MOST_STEPS && !s.stuck; k++) {
    double b1 = *parameter(m, 0), b2 = *parameter(m, 1);
    if (cr_minimize(o, m, residuals, NULL, &s, p) != CR_OK) return 1;
    printf("%4d   %-16.10g  %-9.1e  %-12.4g   %-14.9g  %.9g\n", k, s.loss, s.damping, s.condition, b1, b2);
    if (before - s.loss <= 1e-14 * s.loss) return 0;
    before = s.loss;
  }
  return !s.stuck;
}

/* (J'J)^-1 s^2 is the covariance of the parameters, s^2 = r'r/(points - parameters) the variance of a residual. */
static int report(cr_model *m) {
  double covariance[N * N], squares;
  int wrong = 0;
  cr_model_begin(m, 0);
  cr_tape *t = cr_model_tape(m);
  cr_var r = residuals(m, NULL), column[N];
  for (int k = 0; k < N; k++) {
    double J[POINTS];
    if (cr_jacobian(r, cr_model_leaf(m, k), J) != CR_OK) return 1;
    column[k] = cr_constant_of(t, CR_FLOAT64, 2, (int64_t[]){POINTS, 1}, J);
  }
  cr_var J = cr_concatenate(N, column, 1), free = cr_const(t, POINTS - N);
  squares = cr_value(cr_formula(t, "sum(r^2)", "r", r));
  if (cr_read(cr_formula(t, "inv(J.T @ J)*sum(r^2)/n", "J", J, "r", r, "n", free), covariance, N * N) != CR_OK) return 1;
  printf("\n                value            standard error   certified value   and standard error\n");
  for (int k = 0; k < N; k++) {
    double value = *parameter(m, k), error = sqrt(covariance[k * N + k]);
    printf("%-8s %17.10e %17.10e %17.10e %17.10e\n", certified[k].name, value, error, certified[k].value,
           certified[k].error);
    wrong += !(fabs(value / certified[k].value - 1) < 1e-9 && fabs(error / certified[k].error - 1) < 1e-8);
  }
  printf("squares  %17.10e %35.10e\n", squares, certified_squares);
  printf("correlation of b1 and b2: %.4f\n\n", covariance[1] / sqrt(covariance[0] * covariance[3]));
  return wrong + !(fabs(squares / certified_squares - 1) < 1e-9);
}

/* The points (o) and the fitted curve (.), left to right. */
static int draw(cr_model *m) {
  char page[ROWS][COLUMNS + 1];
  double at[COLUMNS], value[COLUMNS];
  int64_t n = COLUMNS;
  for (int c = 0; c < COLUMNS; c++) at[c] = 800.0 * c / (COLUMNS - 1);
  cr_model_begin(m, 0);
  if (cr_read(curve(m, cr_constant_of(cr_model_tape(m), CR_FLOAT64, 1, &n, at)), value, n) != CR_OK) return 1;
  for (int r = 0; r < ROWS; r++) snprintf(page[r], sizeof page[r], "%*s", COLUMNS, "");
  for (int c = 0; c < COLUMNS; c++) page[lround(value[c] / 90 * (ROWS - 1))][c] = '.';
  for (int k = 0; k < POINTS; k++) page[lround(y[k] / 90 * (ROWS - 1))][lround(x[k] / 800 * (COLUMNS - 1))] = 'o';
  for (int r = ROWS; r-- > 0;) printf("%3d |%s\n", 90 * r / (ROWS - 1), page[r]);
  return 0;
}

int main(void) {
  cr_problem p = {0};
  int status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  cr_optimizer *o = m ? cr_optimizer_new("levenberg_marquardt(up=2, down=3, scaling='diagonal')", NULL, &p) : NULL;
  if (o) {
    cr_set(t, CR_THREADS, 0);
    cr_model_begin(m, 1);
    residuals(m, NULL); /* makes b1 and b2 */
    for (int k = 0; k < N; k++) *parameter(m, k) = certified[k].start;
    status = fit(m, o, &p) || report(m) || draw(m);
  }
  if (p.status != CR_OK || (t && cr_error(t) != CR_OK))
    fprintf(stderr, "curve_fit: %s\n", p.status != CR_OK ? p.text : cr_error_text(t));
  cr_optimizer_free(o);
  cr_model_free(m);
  cr_free(t);
  return status;
}
