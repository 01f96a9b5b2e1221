/* Slopes by Ridders' extrapolation: central differences at shrinking steps, extrapolated to step 0, with an error estimate.
 * No single first step suits every function, so several are tried and the least error wins. */
#include <float.h>

#include "checking.h"

enum { COLUMNS = 10, STARTS = 4 };
static const double shrink = 1.4;

static bool sample(cr__line *l, double step, double *value, uint64_t *branches) {
  l->evaluations++;
  return l->at(l->user, step, value, branches) && isfinite(*value);
}

/* Rounding errors show themselves in second differences at steps so short that nothing else is left of these. The two
 * steps differ, or the rounding of x + h and x - h would cancel. */
static double noise_of(cr__line *l) {
  double noise = DBL_EPSILON * fabs(l->value);
  for (int k = 2; k <= 4; k++) {
    double h = ldexp(k * fmax(l->scale[0], l->reach), -46), ratio = 0.7310585786300049, above, below;
    uint64_t one, other;
    if (!sample(l, h, &above, &one) || !sample(l, -ratio * h, &below, &other)) break;
    if (one != l->branches || other != l->branches) break;
    noise = fmax(noise, 0.5 * fabs(above - l->value - (l->value - below) / ratio));
  }
  return noise;
}

bool cr__line_open(cr__line *l) {
  if (!(l->scale[0] > 0)) l->scale[0] = 1;
  if (!(l->scale[1] > 0)) l->scale[1] = l->scale[0];
  if (!sample(l, 0, &l->value, &l->branches)) return false;
  l->noise = noise_of(l);
  return true;
}

/* The step that is really taken from the origin, so that dividing by it is exact. */
static double exact_step(const cr__line *l, double h) {
  volatile double moved = l->origin + h;
  return moved - l->origin;
}

static bool central(cr__line *l, double h, double *slope) {
  double above, below;
  uint64_t branches;
  if (!sample(l, h, &above, &branches) || branches != l->branches) return false;
  if (!sample(l, -h, &below, &branches) || branches != l->branches) return false;
  *slope = (above - below) / (2 * h);
  return true;
}

/* One more column of the tableau: a[j] is the estimate of order j from the step before, which is replaced. Returns the
 * error of the best new entry. */
static double extend(double *a, int n, double newest, double factor, double ratio, double *best) {
  double error = HUGE_VAL, before = a[0];
  a[0] = newest;
  for (int j = 1; j <= n; j++, factor *= ratio) {
    double next = (a[j - 1] * factor - before) / (factor - 1);
    double e = fmax(fabs(next - a[j - 1]), fabs(next - before));
    before = j < n ? a[j] : before;
    a[j] = next;
    if (e <= error) {
      error = e;
      *best = next;
    }
  }
  return error;
}

/* Samples off the branch or not finite discard the columns so far: the next steps are shorter. */
static cr__slope tableau(cr__line *l, double start) {
  cr__slope s = {.value = (double)NAN, .error = HUGE_VAL};
  double a[COLUMNS], last = (double)NAN, ratio = shrink * shrink;
  int n = 0;
  for (int k = 0; k < COLUMNS; k++) {
    double h = exact_step(l, start * pow(shrink, -k)), slope, value = (double)NAN;
    if (h == 0) break;
    if (!central(l, h, &slope)) {
      n = 0;
      if (isfinite(s.error)) break;
      continue;
    }
    double error = extend(a, n, slope, ratio, ratio, &value);
    if (n > 0 && error < s.error) s.error = error, s.value = value, s.step = fabs(h);
    if (n > 1 && fabs(a[n] - last) >= 2 * s.error) break;
    last = a[n++];
  }
  if (isfinite(s.error)) s.error = fmax(s.error, 2 * l->noise / s.step);
  return s;
}

static bool contradict(const cr__slope *a, const cr__slope *b) {
  return isfinite(a->error) && isfinite(b->error) && fabs(a->value - b->value) > 10 * (a->error + b->error);
}

/* Keeps the better of two in *best, the other in *second. */
static void rank(cr__slope s, cr__slope *best, cr__slope *second) {
  if (s.error < best->error) {
    *second = *best;
    *best = s;
  } else if (s.error < second->error) {
    *second = s;
  }
}

cr__slope cr__slope_of(cr__line *l) {
  static const double length[STARTS] = {0x1p-2, 0x1p-5, 0x1p-8, 0x1p-11};
  cr__slope best = {.value = (double)NAN, .error = HUGE_VAL}, second = best;
  for (int set = 0; set < 2; set++) {
    if (set && l->scale[1] == l->scale[0]) break;
    for (int k = 0; k < STARTS; k++) rank(tableau(l, length[k] * l->scale[set]), &best, &second);
    if (best.error <= 1e-10 * fabs(best.value) || best.error == 0) break;
  }
  /* Nothing stayed on one branch: closer and closer to the point. */
  for (int k = 14; k <= 38 && !isfinite(best.error); k += 4) rank(tableau(l, ldexp(l->scale[1], -k)), &best, &second);
  best.suspect = !isfinite(best.error) || contradict(&best, &second);
  /* of many estimates the luckiest wins: what the runner-up says tells how lucky */
  if (second.error <= 1000 * best.error) best.error = fmax(best.error, fabs(best.value - second.value));
  return best;
}

/* The slope of a chord to one side keeps growing as the step shrinks: a jump, or a vertical tangent. */
static double growth(cr__line *l, int side) {
  double slope[3], value;
  uint64_t branches;
  for (int k = 0; k < 3; k++) {
    double h = exact_step(l, side * ldexp(l->scale[1], -20 - 7 * k));
    if (h == 0 || !sample(l, h, &value, &branches)) return (double)NAN;
    slope[k] = (value - l->value) / h;
  }
  bool grows = fabs(slope[1]) > 2 * fabs(slope[0]) && fabs(slope[2]) > 2 * fabs(slope[1]) &&
               fabs(slope[2]) * ldexp(l->scale[1], -34) > 8 * l->noise;
  return grows ? copysign(HUGE_VAL, slope[2]) : (double)NAN;
}

/* Chords to one side of the point, on the branch that is taken right beside it. */
static cr__slope side_tableau(cr__line *l, int side, double start, uint64_t beside) {
  cr__slope s = {.value = (double)NAN, .error = HUGE_VAL};
  double a[COLUMNS], last = (double)NAN;
  int n = 0;
  for (int k = 0; k < COLUMNS; k++) {
    double h = exact_step(l, side * start * pow(shrink, -k)), value, best = (double)NAN;
    uint64_t branches;
    if (h == 0) break;
    if (!sample(l, h, &value, &branches) || branches != beside) {
      n = 0;
      continue;
    }
    double error = extend(a, n, (value - l->value) / h, shrink, shrink, &best);
    if (n > 0 && error < s.error) s.error = error, s.value = best, s.step = fabs(h);
    if (n > 1 && fabs(a[n] - last) >= 2 * s.error) break;
    last = a[n++];
  }
  if (isfinite(s.error)) s.error = fmax(s.error, 4 * l->noise / s.step);
  return s;
}

cr__slope cr__one_sided(cr__line *l, int side) {
  cr__slope best = {.value = (double)NAN, .error = HUGE_VAL}, second = best;
  double value, h = exact_step(l, side * ldexp(l->scale[1], -30));
  uint64_t beside;
  if (h == 0 || !sample(l, h, &value, &beside)) return best;
  double limit = growth(l, side);
  if (isinf(limit)) return (cr__slope){.value = limit, .error = 0};
  for (int k = 2; k <= 26; k += 3) rank(side_tableau(l, side, ldexp(l->scale[k > 11], -k), beside), &best, &second);
  return best;
}

typedef struct plain {
  double (*f)(void *, double);
  void *user;
} plain;

static bool plain_at(void *user, double step, double *value, uint64_t *branches) {
  const plain *p = user;
  *value = p->f(p->user, step);
  *branches = 0;
  return true;
}

double cr_slope(double (*f)(void *user, double step), void *user, double *error) {
  plain p = {f, user};
  cr__line l = {.at = plain_at, .user = &p, .scale = {1, 1}};
  cr__slope s = {.value = (double)NAN, .error = HUGE_VAL};
  if (cr__line_open(&l)) s = cr__slope_of(&l);
  if (error) *error = s.error;
  return s.value;
}
