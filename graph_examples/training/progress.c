/* The present state in one line of a terminal. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "training_state.h"

typedef struct line {
  char *text;
  size_t size, length;
} line;

static void put(line *l, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
/* Whole pieces only, so that no character of several bytes is cut. */
static void put(line *l, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(l->text + l->length, l->size - l->length, format, args);
  va_end(args);
  if (n > 0 && (size_t)n < l->size - l->length) l->length += (size_t)n;
  l->text[l->length] = 0;
}

static void put_bar(line *l, double share, int cells) {
  int full = (int)(share * cells + 0.5);
  for (int i = 0; i < cells; i++) put(l, "%s", i < full ? "\u2588" : "\u2591");
}

/* The last losses between their extremes, in eight heights. */
static void put_sparkline(line *l, const cr_training *k, int cells) {
  static const char *const height[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
  int64_t from = k->n_history > cells ? k->n_history - cells : 0;
  double low = (double)INFINITY, high = -(double)INFINITY;
  for (int64_t i = from; i < k->n_history; i++) {
    low = fmin(low, k->history[i].train_loss);
    high = fmax(high, k->history[i].train_loss);
  }
  if (k->n_history - from < 2) return;
  put(l, " ");
  for (int64_t i = from; i < k->n_history; i++) {
    double share = high > low ? (k->history[i].train_loss - low) / (high - low) : 0;
    put(l, "%s", height[isfinite(share) ? (int)(share * 7 + 0.5) : 7]);
  }
}

static void put_time_left(line *l, const cr_training *k) {
  int64_t total = (k->epochs ? k->epochs : 10) * k->steps_per_epoch;
  double spent = cr__seconds(k), left = spent / (double)k->step * (double)(total - k->step);
  if (k->seconds > 0) left = fmin(left, fmax(k->seconds - spent, 0));
  long long s = left < 1e9 ? (long long)(left + 0.5) : 999999999;
  if (s >= 3600) put(l, "  ETA %lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else put(l, "  ETA %lld:%02lld", s / 60, s % 60);
}

char *cr_progress_line(const cr_training *k, char *text, size_t size) {
  line l = {text, size, 0};
  if (size == 0) return text;
  text[0] = 0;
  if (!k->state || !k->steps_per_epoch) return text;
  int64_t position = k->state->position, last = k->n_history - 1;
  if (!position && k->epoch) position = k->steps_per_epoch; /* between epochs: the one that is done */
  put(&l, "epoch %lld/%lld ", (long long)k->epoch, (long long)(k->epochs ? k->epochs : 10));
  put_bar(&l, (double)position / (double)k->steps_per_epoch, 8);
  put(&l, " %lld/%lld", (long long)position, (long long)k->steps_per_epoch);
  if (k->step) put_time_left(&l, k);
  if (k->step) put(&l, "  loss %.4g", k->epoch_loss);
  put_sparkline(&l, k, 12);
  if (last >= 0 && k->validation) put(&l, "  val %.4g", k->history[last].validation_loss);
  for (int m = 0; m < k->n_metrics && last >= 0; m++) put(&l, "  %s %.4g", k->metric_name[m], k->history[last].metric[m]);
  return text;
}
