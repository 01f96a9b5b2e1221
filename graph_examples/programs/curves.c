/* The picture of a training: losses and metrics by epoch, and what was learnt where that can be drawn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plotting.h"
#include "trainer.h"

enum { GRID = 100, MOST_POINTS = 2000 };

static void put_number(FILE *f, double x) {
  if (isfinite(x)) fprintf(f, " %.8g", x);
  else fputs(" NaN", f);
}

static void put_history(FILE *f, const cr_training *k) {
  fputs("$history << END\n", f);
  for (int64_t e = 0; e < k->n_history; e++) {
    const cr_epoch *h = &k->history[e];
    fprintf(f, "%lld", (long long)h->epoch);
    put_number(f, h->train_loss);
    put_number(f, h->validation_loss);
    for (int m = 0; m < k->n_metrics; m++) put_number(f, h->metric[m]);
    fputc('\n', f);
  }
  fputs("END\n", f);
}

/* Losses of very different size are told apart on a logarithmic scale. */
static bool wants_log(const cr_training *k) {
  double low = HUGE_VAL, high = 0;
  for (int64_t e = 0; e < k->n_history; e++) {
    double x[] = {k->history[e].train_loss, k->history[e].validation_loss};
    for (int j = 0; j < 2; j++)
      if (isfinite(x[j])) low = fmin(low, x[j]), high = fmax(high, x[j]);
  }
  return low > 0 && high > 30 * low;
}

static void put_losses(FILE *f, const cr_training *k) {
  fprintf(f, "set xlabel 'epoch'\nset grid\nset key top right\nset title 'loss'\n%s\n",
          wants_log(k) ? "set logscale y" : "");
  if (k->best_epoch && k->validation) {
    fprintf(f, "set arrow 1 from %lld, graph 0 to %lld, graph 1 nohead dashtype 3\n", (long long)k->best_epoch,
            (long long)k->best_epoch);
    fprintf(f, "set label 1 'best' at %lld, graph 0.5 %s\n", (long long)k->best_epoch,
            2 * k->best_epoch > k->n_history ? "right offset -0.5, 0" : "offset 0.5, 0");
  }
  const char *style = k->n_history > 1 ? "lines linewidth 2" : "points pointtype 7";
  fprintf(f, "plot $history using 1:2 with %s title 'training'", style);
  if (k->validation) fprintf(f, ", $history using 1:3 with %s title 'validation'", style);
  fputs("\nunset logscale\n", f);
}

static void put_metrics(FILE *f, const cr_training *k) {
  const char *style = k->n_history > 1 ? "lines linewidth 2" : "points pointtype 7";
  fprintf(f, "set key bottom right\nset title 'metrics (%s)'\nplot ", k->validation ? "validation" : "training");
  for (int m = 0; m < k->n_metrics; m++) {
    fprintf(f, "%s$history using 1:%d with %s title ", m ? ", " : "", 4 + m, style);
    put_quoted(f, k->metric_name[m]);
  }
  fputs("\nunset arrow\nunset label\n", f);
}

/* Examples of one number with a value each, or of two with a class. */
static int dimensions(const cr_dataset *d) {
  int64_t width = d->x.rank == 1 ? 1 : d->x.rank == 2 ? d->x.dim[1] : 0, n = cr_dataset_size(d);
  if (d->x.dtype < CR_FLOAT32 || d->y.count != n) return 0;
  return width == 2 && d->n_classes ? 2 : width == 1 && !d->n_classes ? 1 : 0;
}

/* A number of the data in the units that they had before they were standardised. */
static double raw(const cr_dataset *d, int feature, double x) {
  return d->center.data ? cr_array_get(&d->center, feature) + x * cr_array_get(&d->scale, feature) : x;
}

static void limits(const cr_dataset *d, int n, int feature, double *low, double *high) {
  *low = HUGE_VAL, *high = -HUGE_VAL;
  for (int64_t i = 0; i < cr_dataset_size(d); i++) {
    double x = cr_array_get(&d->x, i * n + feature);
    *low = fmin(*low, x), *high = fmax(*high, x);
  }
  double more = *high > *low ? 0.1 * (*high - *low) : 1;
  *low -= more, *high += more;
}

/* Colours of classes: strong for points, pale for the regions behind them. */
static unsigned color_of(int64_t c, bool pale) {
  static const unsigned color[] = {0x1f77b4, 0xd62728, 0x2ca02c, 0x9467bd, 0xff7f0e, 0x17becf, 0x8c564b, 0xe377c2};
  unsigned rgb = color[c >= 0 ? c % 8 : 0], mixed = 0;
  for (int shift = 0; pale && shift < 24; shift += 8) mixed |= (255 - (255 - (rgb >> shift & 255)) / 4) << shift;
  return pale ? mixed : rgb;
}

static void put_points(FILE *f, const cr_dataset *d, int n) {
  int64_t size = cr_dataset_size(d), skip = 1 + size / MOST_POINTS;
  fputs("$points << END\n", f);
  for (int64_t i = 0; i < size; i += skip) {
    for (int j = 0; j < n; j++) put_number(f, raw(d, j, cr_array_get(&d->x, i * n + j)));
    if (n == 2) fprintf(f, " %u", color_of(cr_array_get_int(&d->y, i), false));
    else put_number(f, cr_array_get(&d->y, i));
    fputc('\n', f);
  }
  fputs("END\n", f);
}

/* Predictions over a grid that covers the data: GRID points, or GRID x GRID. */
static bool predict_grid(cr_training *k, int n, double low[2], double high[2], cr_dataset *grid, cr_array *prediction) {
  cr_problem p = {0};
  int64_t dims[] = {n == 1 ? GRID : GRID * GRID, n};
  for (int j = 0; j < n; j++) limits(k->train, n, j, &low[j], &high[j]);
  if (cr_array_make(&grid->x, (cr_dtype)k->train->x.dtype, k->train->x.rank, dims, &p) != CR_OK)
    return complain("%s", p.text), false;
  for (int64_t i = 0; i < dims[0]; i++)
    for (int j = 0; j < n; j++)
      cr_array_set(&grid->x, i * n + j, low[j] + (high[j] - low[j]) * (double)(j ? i / GRID : i % GRID) / (GRID - 1));
  return cr_predict(k, grid, prediction, &p) == CR_OK || (complain("the picture: %s", p.text), false);
}

static void put_grid(FILE *f, const cr_training *k, const cr_dataset *grid, const cr_array *prediction, int n) {
  fputs("$grid << END\n", f);
  for (int64_t i = 0; i < grid->x.dim[0]; i++) {
    double probability;
    for (int j = 0; j < n; j++) put_number(f, raw(k->train, j, cr_array_get(&grid->x, i * n + j)));
    if (n == 2) {
      unsigned rgb = color_of(class_of(prediction, i, k->expects, &probability), true);
      fprintf(f, " %u %u %u\n", rgb >> 16, rgb >> 8 & 255, rgb & 255);
    } else {
      put_number(f, cr_array_get(prediction, i * (prediction->count / GRID)));
      fputc('\n', f);
    }
  }
  fputs("END\n", f);
}

static void put_learnt(FILE *f, int n) {
  fputs("unset xlabel\nset xrange [*:*] noextend\nset yrange [*:*] noextend\n", f);
  if (n == 1)
    fputs("set title 'fit'\nset key top right\nplot $points using 1:2 with points pointtype 7 pointsize 0.4 linecolor "
          "'#888888' title 'data', "
          "$grid using 1:2 with lines linewidth 2 title 'prediction'\n",
          f);
  else
    fputs("set title 'decision regions'\nunset key\nplot $grid using 1:2:3:4:5 with rgbimage, $points using 1:2:3 with "
          "points pointtype 7 "
          "pointsize 0.5 linecolor rgb variable\n",
          f);
}

bool put_training_curves(cr_training *k, const char *title, const char *path) {
  cr_dataset grid = {0};
  cr_array prediction = {0};
  double low[2], high[2];
  drawing d;
  int n = dimensions(k->train), panels = 1 + (k->n_metrics > 0) + (n > 0);
  bool good = (!n || predict_grid(k, n, low, high, &grid, &prediction)) && drawing_open(&d, path, 420 * panels, 380);
  if (good) {
    put_history(d.script, k);
    fprintf(d.script, "set multiplot layout 1,%d title ", panels);
    put_quoted(d.script, title);
    fputc('\n', d.script);
    put_losses(d.script, k);
    if (k->n_metrics) put_metrics(d.script, k);
    if (n) put_points(d.script, k->train, n), put_grid(d.script, k, &grid, &prediction, n), put_learnt(d.script, n);
    fputs("unset multiplot\n", d.script);
    good = drawing_close(&d);
  }
  cr_array_release(&prediction);
  cr_dataset_free(&grid);
  return good;
}
