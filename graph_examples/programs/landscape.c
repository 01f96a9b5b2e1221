/* A surface as text: a curve for one input, a map of levels for two, and the table of descents. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <formula.h>

#include "surface.h"

enum { HEIGHT = 15 };

/* Right-aligned; what is nothing beside `scale` is 0. */
static void put_number(FILE *f, int width, int digits, double x, double scale) {
  char text[40];
  fprintf(f, " %*s", width - 1, cr_number_text(fabs(x) < 1e-6 * scale ? 0 : x, digits, text));
}

static int place(const range *r, double x, int n) {
  double k = floor((x - r->low) / (r->high - r->low) * (n - 1) + 0.5);
  return k >= 0 && k < n ? (int)k : -1;
}

/* The letter of the minimum there, or 0. */
static char mark_at(const surface *s, int row, int column) {
  for (int k = 0; k < s->n_descents; k++) {
    const descent *d = &s->descent[k];
    if (place(&s->range[0], d->end[0], s->columns) != column) continue;
    if (s->n == 2 && place(&s->range[1], d->end[1], s->rows) != row) continue;
    return (char)('A' + d->basin);
  }
  return 0;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void put_axis(FILE *f, const range *r, int columns) {
  char low[32], high[32];
  int n = snprintf(low, sizeof low, "%s = %.4g", r->name, r->low), m = snprintf(high, sizeof high, "%.4g", r->high);
  fprintf(f, "%10s %s%*s%s\n", "", low, columns - n - m, "", high);
}

static void put_curve(FILE *f, const surface *s) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (int k = 0; k < s->columns; k++)
    if (isfinite(s->value[k])) low = fmin(low, s->value[k]), high = fmax(high, s->value[k]);
  double unit = high > low ? (high - low) / (HEIGHT - 1) : 1;
  for (int row = HEIGHT - 1; row >= 0; row--) {
    char line[SURFACE_VALUES + 1];
    int end = 0;
    for (int k = 0; k < s->columns; k++) {
      bool here = isfinite(s->value[k]) && (int)floor((s->value[k] - low) / unit + 0.5) == row;
      char mark = here ? mark_at(s, 0, k) : 0;
      line[k] = mark ? mark : here ? '*' : ' ';
      if (here) end = k + 1;
    }
    if (row == HEIGHT - 1 || row == 0) fprintf(f, "%10.4g ", row ? high : low);
    else if (end) fprintf(f, "%10s ", "");
    fprintf(f, "%.*s\n", end, line);
  }
  put_axis(f, &s->range[0], s->columns);
}

/* Levels hold equally many points each: a valley shows whatever the scale. */
static void put_map(FILE *f, const surface *s) {
  enum { LEVELS = 10 };
  int n = s->rows * s->columns, finite = 0;
  double sorted[SURFACE_VALUES];
  for (int k = 0; k < n; k++)
    if (isfinite(s->value[k])) sorted[finite++] = s->value[k];
  qsort(sorted, (size_t)finite, sizeof *sorted, by_size);
  for (int row = s->rows - 1; row >= 0; row--) {
    if (row == s->rows - 1) fprintf(f, "%4.4s %5.3g ", s->range[1].name, s->range[1].high);
    else if (!row) fprintf(f, "%10.3g ", s->range[1].low);
    else fprintf(f, "%10s ", "");
    for (int k = 0; k < s->columns; k++) {
      double v = s->value[row * s->columns + k];
      int level = 0;
      while (level < LEVELS - 1 && v > sorted[(int64_t)finite * (level + 1) / LEVELS]) level++;
      char mark = mark_at(s, row, k);
      fputc(mark ? mark : isfinite(v) ? "0123456789"[level] : '?', f);
    }
    fputc('\n', f);
  }
  put_axis(f, &s->range[0], s->columns);
  if (finite)
    fprintf(f, "%10s 0: the lowest tenth (from %.4g), 9: the highest (to %.4g)\n", "", sorted[0], sorted[finite - 1]);
}

static void put_descents(FILE *f, const surface *s) {
  double high = 0;
  for (int k = 0; k < s->rows * s->columns; k++)
    if (isfinite(s->value[k])) high = fmax(high, fabs(s->value[k]));
  fprintf(f, "\nDescents  from %d starts to %d different end%s\n  ", s->n_descents, s->n_basins,
          s->n_basins == 1 ? "" : "s");
  for (int i = 0; i < s->n; i++) fprintf(f, "%12.11s", s->range[i].name);
  fprintf(f, "  ->");
  for (int i = 0; i < s->n; i++) fprintf(f, "%12.11s", s->range[i].name);
  fprintf(f, "%14s  end\n", "value");
  for (int k = 0; k < s->n_descents; k++) {
    const descent *d = &s->descent[k];
    fprintf(f, "  ");
    for (int i = 0; i < s->n; i++) put_number(f, 12, 5, d->start[i], s->range[i].high - s->range[i].low);
    fprintf(f, "    ");
    for (int i = 0; i < s->n; i++) put_number(f, 12, 5, d->end[i], s->range[i].high - s->range[i].low);
    put_number(f, 14, 6, d->value, high);
    fprintf(f, "  %c%s\n", 'A' + d->basin,
            !isfinite(d->value) ? " (no value here)"
            : d->norm > 1e-4    ? " (still moving)"
                                : "");
  }
}

void put_surface(FILE *f, const surface *s) {
  s->n == 2 ? put_map(f, s) : put_curve(f, s);
  put_descents(f, s);
}
