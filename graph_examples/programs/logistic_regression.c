/* Logistic regression: the probability of a class is sigmoid(w.x), and w minimises the cross entropy. One sees that the
 * engine's gradient is the closed form X^T (yhat - y)/n and its Hessian X^T diag(yhat (1 - yhat)) X/n; that Newton's method,
 * here iteratively reweighted least squares, takes a few steps, and gradient descent hundreds; and that both, and the
 * library's Newton-CG, end at the same w, for the loss is convex. */
#include <chainrule_networks.h>

#include <math.h>
#include <stdio.h>

enum { N = 3, MOST = 20000 }; /* two coordinates and a 1, for the bias */

typedef struct task {
  const cr_dataset *d;
  cr_var X, y, w, yhat, loss; /* of the last pass */
} task;

static cr_var objective(cr_model *m, void *user) {
  task *k = user;
  cr_tape *t = cr_model_tape(m);
  int64_t column[2] = {cr_dataset_size(k->d), 1};
  cr_var x = cr_constant_of(t, CR_FLOAT64, 2, k->d->x.dim, k->d->x.data);
  k->X = cr_concatenate(2, (cr_var[]){x, cr_ones(t, CR_FLOAT64, 2, column)}, 1);
  k->y = cr_cast(cr_constant_of(t, CR_INT64, 2, column, k->d->y.data), CR_FLOAT64);
  k->w = cr_model_weight(m, "w", 2, (int64_t[]){N, 1}, "zeros");
  cr_var logit = cr_matmul(k->X, k->w);
  k->yhat = cr_sigmoid(logit);
  return k->loss = cr_loss_record(logit, k->y, "binary_cross_entropy_with_logits", NULL);
}

/* A pass at this w. */
static cr_var look(cr_model *m, task *k, const double w[N]) {
  for (int i = 0; i < N; i++) cr_array_set(&cr_model_parameter(m, 0)->value, i, w[i]);
  cr_model_begin(m, 1);
  return objective(m, k);
}

static cr_var closed_form(const task *k, const char *text) {
  return cr_formula(k->X.tape, text, "X", k->X, "y", k->y, "yhat", k->yhat);
}

static double difference(int n, const double *a, const double *b) {
  double most = 0;
  for (int k = 0; k < n; k++) most = fmax(most, fabs(a[k] - b[k]));
  return most;
}

static int compare_derivatives(cr_model *m, task *k) {
  double g[N], G[N], h[N * N], H[N * N];
  cr_var loss = look(m, k, (double[]){0.5, -0.3, 0.1});
  if (cr_adjoint_read(cr_backward(loss), k->w, g, N) != CR_OK || cr_hessian(loss, k->w, h) != CR_OK ||
      cr_read(closed_form(k, "X.T @ (yhat - y)/X.shape[0]"), G, N) != CR_OK ||
      cr_read(closed_form(k, "X.T @ (yhat*(1 - yhat)*X)/X.shape[0]"), H, N * N) != CR_OK)
    return 1;
  printf(
      "gradient at w = (0.5, -0.3, 0.1)\n  engine       %15.12f %15.12f %15.12f\n  closed form  %15.12f %15.12f %15.12f\n",
      g[0], g[1], g[2], G[0], G[1], G[2]);
  printf("  largest difference: %.1e, of the Hessian: %.1e\n\n", difference(N, g, G), difference(N * N, h, H));
  return !(difference(N, g, G) < 1e-14 && difference(N * N, h, H) < 1e-14);
}

/* yhat (1 - yhat) are the weights of the least squares problem that a step solves. */
static int newton(cr_model *m, task *k, double w[N]) {
  double step[N], size = 1;
  printf("step of Newton   loss                largest change of w\n");
  for (int n = 1; n <= 12 && size > 1e-12; n++) {
    double loss = cr_value(look(m, k, w));
    if (cr_read(closed_form(k, "solve(X.T @ (yhat*(1 - yhat)*X), X.T @ (yhat - y))"), step, N) != CR_OK) return 1;
    size = 0;
    for (int i = 0; i < N; i++) w[i] -= step[i], size = fmax(size, fabs(step[i]));
    printf("%14d   %.15f   %.1e\n", n, loss, size);
  }
  return !(size <= 1e-12);
}

/* A method of the library from w = 0, until the gradient is below 1e-9; compares with Newton's w. */
static int descend(cr_model *m, task *k, const char *method, const double newton_w[N]) {
  cr_problem p = {0};
  cr_step s = {.gradient_norm = 1};
  cr_optimizer *o = cr_optimizer_new(method, NULL, &p);
  int n = 0;
  look(m, k, (double[N]){0});
  while (o && n < MOST && s.gradient_norm > 1e-9 && cr_minimize(o, m, objective, k, &s, &p) == CR_OK) n++;
  const double *w = cr_model_parameter(m, 0)->value.data;
  if (p.status != CR_OK) fprintf(stderr, "logistic_regression: %s\n", p.text);
  else printf("%-24s %6d  %12.9f %12.9f %12.9f   %.1e\n", method, n, w[0], w[1], w[2], difference(N, w, newton_w));
  cr_optimizer_free(o);
  return p.status != CR_OK || !(difference(N, w, newton_w) < 1e-6);
}

int main(void) {
  cr_problem p = {0};
  cr_dataset d = {0};
  double w[N] = {0};
  int status = 1;
  cr_tape *t = cr_new();
  cr_model *m = t ? cr_model_new(t, CR_FLOAT64, 1) : NULL;
  if (m && cr_dataset_read(&d, "blobs(200, centers=2, noise=2.5, seed=3)", NULL, CR_FLOAT64, NULL, &p) == CR_OK &&
      cr_dataset_standardize(&d, &d, &p) == CR_OK) {
    task k = {.d = &d};
    cr_model_begin(m, 1);
    objective(m, &k); /* makes w */
    status = compare_derivatives(m, &k) || newton(m, &k, w);
    printf("\n%-24s %6s  %12s %12s %12s   difference\n", "method", "steps", "w1", "w2", "bias");
    printf("%-24s %6s  %12.9f %12.9f %12.9f\n", "Newton, above", "", w[0], w[1], w[2]);
    status = status || descend(m, &k, "newton_cg()", w) || descend(m, &k, "gradient_descent(lr=5)", w);
    printf("accuracy %.3f\n", cr_value(closed_form(&k, "mean(where((yhat > 0.5) == (y > 0.5), 1.0, 0.0))")));
  }
  if (p.status != CR_OK || (t && cr_error(t) != CR_OK))
    fprintf(stderr, "logistic_regression: %s\n", p.status != CR_OK ? p.text : cr_error_text(t));
  cr_dataset_free(&d);
  cr_model_free(m);
  cr_free(t);
  return status;
}
