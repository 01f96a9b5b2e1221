/* Metrics of predictions against targets. Conventions at the edges are scikit-learn's: 0 / 0 counts as 0, averages are over
 * the classes that occur, r2 of a constant target is 1 when it is met and else 0. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <op.h>

#include "training_state.h"

/* Predictions as rows of scores, and how to read their targets. */
typedef struct cases {
  const cr_array *prediction, *target;
  int64_t rows, width;     /* width 1: one column, for two classes */
  int by_number;           /* targets are class numbers; else a row each, or 0 and 1 where width is 1 */
  double threshold;
} cases;

static int is(const char *expects, const char *what) { return expects && strcmp(expects, what) == 0; }

static double threshold_of(const char *expects) {
  return is(expects, "probability") || is(expects, "probabilities") ? 0.5 : 0;
}

/* Values that stand for 0 and 1 are told apart at 1/2, those for -1 and 1 at 0. */
static double threshold_between(const cr_array *t) {
  for (int64_t i = 0; i < t->count; i++)
    if (cr_array_get(t, i) < 0) return 0;
  return 0.5;
}

/* Where each number is the answer to a question of its own (expects "logit", "probability"), rows do not matter. */
static int read_cases(cases *c, const cr_array *p, const cr_array *t, const char *expects) {
  int64_t width = p->rank > 1 ? p->dim[p->rank - 1] : 1;
  if (t->count == p->count && (t->dtype < CR_FLOAT32 || is(expects, "logit") || is(expects, "probability"))) width = 1;
  if (p->count == 0 || width == 0 || t->rank == 0) return 0;
  double threshold = is(expects, "value") ? threshold_between(t) : threshold_of(expects);
  *c = (cases){p, t, p->count / width, width, width > 1 && t->count == p->count / width, threshold};
  return c->by_number || t->count == p->count;
}

static int64_t largest(const cr_array *a, int64_t row, int64_t width) {
  int64_t best = 0;
  for (int64_t j = 1; j < width; j++)
    if (cr_array_get(a, row * width + j) > cr_array_get(a, row * width + best)) best = j;
  return best;
}
static int64_t predicted(const cases *c, int64_t row) {
  return c->width == 1 ? cr_array_get(c->prediction, row) > c->threshold : largest(c->prediction, row, c->width);
}
/* Below 0: to be left out. */
static int64_t truth(const cases *c, int64_t row) {
  if (c->by_number) return (int64_t)cr_array_get(c->target, row);
  if (c->width > 1) return largest(c->target, row, c->width);
  if (c->target->dtype < CR_FLOAT32) return cr_array_get_int(c->target, row);
  return cr_array_get(c->target, row) > 0.5;
}

cr_status cr_confusion(const cr_array *prediction, const cr_array *target, int n_classes, double threshold, int64_t *counts,
                       cr_problem *p) {
  cases c;
  char a[200], b[200];
  if (!read_cases(&c, prediction, target, NULL)) {
    return cr_refuse(p, CR_BAD_SHAPE, "predictions of shape %s do not fit targets of shape %s",
                     cr_shape_text(prediction, a, sizeof a), cr_shape_text(target, b, sizeof b));
  }
  c.threshold = threshold;
  memset(counts, 0, (size_t)n_classes * (size_t)n_classes * sizeof *counts);
  for (int64_t i = 0; i < c.rows; i++) {
    int64_t is_class = truth(&c, i), said = predicted(&c, i);
    if (is_class < 0) continue;
    if (is_class >= n_classes || said >= n_classes) {
      return cr_refuse(p, CR_BAD_INDEX, "class %lld of example %lld is not below %d",
                       (long long)(is_class < n_classes ? said : is_class), (long long)i, n_classes);
    }
    counts[n_classes * is_class + said]++;
  }
  return CR_OK;
}

static double accuracy(const cr_array *p, const cr_array *t, int n_classes, const char *expects) {
  (void)n_classes;
  cases c;
  int64_t right = 0, all = 0;
  if (!read_cases(&c, p, t, expects)) return (double)NAN;
  for (int64_t i = 0; i < c.rows; i++) {
    int64_t is_class = truth(&c, i);
    all += is_class >= 0;
    right += is_class >= 0 && is_class == predicted(&c, i);
  }
  return all ? (double)right / (double)all : (double)NAN;
}

typedef struct tally {
  int64_t right, said, is; /* of one class */
} tally;

/* Tallies by class; *n of them. NULL when shapes do not fit or memory runs out. */
static tally *tallies(const cr_array *p, const cr_array *t, int n_classes, const char *expects, int64_t *n) {
  cases c;
  if (!read_cases(&c, p, t, expects)) return NULL;
  *n = c.width == 1 ? 2 : c.width;
  if (n_classes > *n) *n = n_classes;
  tally *of = calloc((size_t)*n, sizeof *of);
  for (int64_t i = 0; of && i < c.rows; i++) {
    int64_t is_class = truth(&c, i), said = predicted(&c, i);
    if (is_class < 0 || is_class >= *n) continue;
    of[said].said++;
    of[is_class].is++;
    of[said].right += said == is_class;
  }
  return of;
}

static double quotient(double a, double b) { return b > 0 ? a / b : 0; }
static double precision_of(const tally *c) { return quotient((double)c->right, (double)c->said); }
static double recall_of(const tally *c) { return quotient((double)c->right, (double)c->is); }
static double f1_of(const tally *c) { return quotient(2 * (double)c->right, (double)(c->said + c->is)); }

static double macro(double (*of)(const tally *), const cr_array *p, const cr_array *t, int n_classes, const char *expects) {
  int64_t n = 0, occur = 0;
  tally *c = tallies(p, t, n_classes, expects, &n);
  double sum = 0;
  if (!c) return (double)NAN;
  for (int64_t i = 0; i < n; i++) {
    if (c[i].said + c[i].is == 0) continue;
    sum += of(&c[i]);
    occur++;
  }
  free(c);
  return occur ? sum / (double)occur : (double)NAN;
}
static double precision(const cr_array *p, const cr_array *t, int n, const char *e) {
  return macro(precision_of, p, t, n, e);
}
static double recall(const cr_array *p, const cr_array *t, int n, const char *e) { return macro(recall_of, p, t, n, e); }
static double f1(const cr_array *p, const cr_array *t, int n, const char *e) { return macro(f1_of, p, t, n, e); }

/* -log of the probability of each class of a row, times the share that the target gives it. */
static double surprise(const cases *c, int64_t row, const char *expects) {
  const cr_array *p = c->prediction;
  double largest_score = -(double)INFINITY, sum = 0, log_sum = 0, total = 0;
  int logits = !is(expects, "log-probabilities") && threshold_of(expects) == 0;
  if (c->width == 1) {
    double x = cr_array_get(p, row), y = cr_array_get(c->target, row);
    if (logits) return (x > 0 ? x : 0) - x * y + log1p(exp(-fabs(x)));
    return -(y > 0 ? y * log(x) : 0) - (y < 1 ? (1 - y) * log1p(-x) : 0);
  }
  for (int64_t j = 0; j < c->width; j++) largest_score = fmax(largest_score, cr_array_get(p, row * c->width + j));
  for (int64_t j = 0; logits && j < c->width; j++) sum += exp(cr_array_get(p, row * c->width + j) - largest_score);
  if (logits) log_sum = largest_score + log(sum);
  for (int64_t j = 0; j < c->width; j++) {
    double share = c->by_number ? j == truth(c, row) : cr_array_get(c->target, row * c->width + j);
    double x = cr_array_get(p, row * c->width + j);
    if (share != 0) total -= share * (threshold_of(expects) > 0 ? log(x) : x - log_sum);
  }
  return total;
}
static double nats(const cr_array *p, const cr_array *t, int n_classes, const char *expects) {
  (void)n_classes;
  cases c;
  double sum = 0;
  int64_t n = 0;
  if (!read_cases(&c, p, t, expects)) return (double)NAN;
  for (int64_t i = 0; i < c.rows; i++) {
    if (c.by_number && truth(&c, i) < 0) continue;
    sum += surprise(&c, i, expects);
    n++;
  }
  return n ? sum / (double)n : (double)NAN;
}
static double bits(const cr_array *p, const cr_array *t, int n, const char *e) { return nats(p, t, n, e) / log(2); }
static double perplexity(const cr_array *p, const cr_array *t, int n, const char *e) { return exp(nats(p, t, n, e)); }

static double mean_error(const cr_array *p, const cr_array *t, int squared) {
  double sum = 0;
  if (p->count != t->count || !p->count) return (double)NAN;
  for (int64_t i = 0; i < p->count; i++) {
    double e = fabs(cr_array_get(p, i) - cr_array_get(t, i));
    sum += squared ? e * e : e;
  }
  return sum / (double)p->count;
}
static double mae(const cr_array *p, const cr_array *t, int n, const char *e) {
  return (void)n, (void)e, mean_error(p, t, 0);
}
static double mse(const cr_array *p, const cr_array *t, int n, const char *e) {
  return (void)n, (void)e, mean_error(p, t, 1);
}
static double rmse(const cr_array *p, const cr_array *t, int n, const char *e) { return sqrt(mse(p, t, n, e)); }

/* 1 - residual / total sum of squares, averaged over the columns. */
static double r2(const cr_array *p, const cr_array *t, int n_classes, const char *expects) {
  (void)n_classes, (void)expects;
  if (p->count != t->count || !p->count) return (double)NAN;
  int64_t width = t->rank > 1 ? t->dim[t->rank - 1] : 1, rows = t->count / width;
  double score = 0;
  for (int64_t j = 0; j < width; j++) {
    double mean = 0, residual = 0, total = 0;
    for (int64_t i = 0; i < rows; i++) mean += cr_array_get(t, i * width + j) / (double)rows;
    for (int64_t i = 0; i < rows; i++) {
      double y = cr_array_get(t, i * width + j), e = y - cr_array_get(p, i * width + j);
      residual += e * e;
      total += (y - mean) * (y - mean);
    }
    score += total > 0 ? 1 - residual / total : residual == 0;
  }
  return score / (double)width;
}

static const cr_metric metrics[] = {
  {"accuracy", "share of examples whose class is predicted", 1, 0, accuracy},
  {"precision", "of those predicted as a class, the share that is of it; mean over classes", 1, 0, precision},
  {"recall", "of those of a class, the share predicted as it; mean over classes", 1, 0, recall},
  {"f1", "harmonic mean of precision and recall; mean over classes", 1, 0, f1},
  {"mae", "mean absolute error", 0, 1, mae},
  {"mse", "mean squared error", 0, 1, mse},
  {"rmse", "root of the mean squared error", 0, 1, rmse},
  {"r2", "share of the target's variance that is explained", 1, 1, r2},
  {"perplexity", "exp of the mean negative log-likelihood", 0, 0, perplexity},
  {"nats", "mean negative log-likelihood", 0, 0, nats},
  {"bits", "mean negative log-likelihood to base 2", 0, 0, bits}};
enum { N_METRICS = sizeof metrics / sizeof *metrics };

const cr_metric *cr_metric_at(int k) { return k >= 0 && k < N_METRICS ? &metrics[k] : NULL; }
const cr_metric *cr_metric_named(const char *name) {
  for (int k = 0; k < N_METRICS; k++)
    if (strcmp(metrics[k].name, name) == 0) return &metrics[k];
  return NULL;
}

static const char *name_at(int k) { return cr_metric_at(k) ? metrics[k].name : NULL; }

cr_status cr__metrics_read(cr_training *k) {
  k->n_metrics = 0;
  for (const char *s = k->metrics ? k->metrics : ""; *(s += strspn(s, ", \t\n"));) {
    int n = (int)strcspn(s, ", \t\n");
    char name[32];
    snprintf(name, sizeof name, "%.*s", n, s);
    const cr_metric *m = cr_metric_named(name);
    if (!m) return cr_refuse_name(&k->problem, "metric", name, name_at);
    if (k->n_metrics == CR_MAX_METRICS) return cr_refuse(&k->problem, CR_OVER_LIMIT, "more than %d metrics", CR_MAX_METRICS);
    k->metric_name[k->n_metrics++] = m->name;
    s += n;
  }
  return CR_OK;
}

cr_status cr__metrics_fit(const cr_training *k, const cr_array *prediction, const cr_array *y, cr_problem *p) {
  char a[200], b[200];
  for (int i = 0; i < k->n_metrics; i++) {
    const cr_metric *m = cr_metric_named(k->metric_name[i]);
    cases c;
    if (!y->data) return cr_refuse(p, CR_BAD_SHAPE, "metric '%s': the data have no targets", m->name);
    if (m->of_numbers ? prediction->count == y->count : read_cases(&c, prediction, y, k->expects)) continue;
    return cr_refuse(p, CR_BAD_SHAPE, "metric '%s': predictions of shape %s do not fit targets of shape %s", m->name,
                     cr_shape_text(prediction, a, sizeof a), cr_shape_text(y, b, sizeof b));
  }
  return CR_OK;
}

cr_status cr__metrics_of(cr_training *k, const cr_array *prediction, const cr_dataset *d, cr_problem *p) {
  cr_status status = cr__metrics_fit(k, prediction, &d->y, p);
  for (int i = 0; status == CR_OK && i < k->n_metrics; i++)
    k->metric[i] = cr_metric_named(k->metric_name[i])->of(prediction, &d->y, d->n_classes, k->expects);
  return status;
}
