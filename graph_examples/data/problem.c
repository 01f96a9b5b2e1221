/* What was wrong, in one line; and what a mistyped name was probably meant to be. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "readers.h"

static cr_status refuse(cr_problem *p, cr_status status, size_t at, const char *format, va_list args) {
  vsnprintf(p->text + at, sizeof p->text - at, format, args);
  for (char *s = p->text; *s; s++)
    if ((unsigned char)*s < ' ' || *s == 127) *s = ' '; /* one line, whatever a file or a path holds */
  return p->status = status;
}

cr_status cr_refuse(cr_problem *p, cr_status status, const char *format, ...) {
  if (!p || p->status != CR_OK) return status;
  va_list args;
  va_start(args, format);
  refuse(p, status, 0, format, args);
  va_end(args);
  return status;
}

enum { LONGEST_PATH = 200 };

cr_status cr__refuse_file(cr_problem *p, cr_status status, const char *file, const char *format, ...) {
  if (!p || p->status != CR_OK) return status;
  size_t n = strlen(file);
  int at = n > LONGEST_PATH ? snprintf(p->text, sizeof p->text, "...%s: ", file + n - LONGEST_PATH)
                            : snprintf(p->text, sizeof p->text, "%s: ", file);
  va_list args;
  va_start(args, format);
  refuse(p, status, (size_t)at, format, args);
  va_end(args);
  return status;
}

cr_status cr__no_memory(cr_problem *p) { return cr_refuse(p, CR_NO_MEMORY, "out of memory"); }

enum { LONGEST_NAME = 40 };

static int least(int a, int b) { return a < b ? a : b; }

/* Edit distance, a swap of neighbours counting once, case ignored. */
static int distance(const char *a, const char *b) {
  int n = (int)strlen(a), m = (int)strlen(b), row[3][LONGEST_NAME + 1];
  for (int j = 0; j <= m; j++) row[0][j] = j;
  for (int i = 1; i <= n; i++) {
    int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
    now[0] = i;
    for (int j = 1; j <= m; j++) {
      now[j] = least(last[j - 1] + ((a[i - 1] | 32) != (b[j - 1] | 32)), least(last[j], now[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = least(now[j], before[j - 2] + 1);
    }
  }
  return row[n % 3][m];
}

/* mse for mse_loss; categorical_cross_entropy, whose end is cross_entropy; bce for
 * binary_cross_entropy, learning_rate for lr */
static int is_short_for(const char *name, const char *candidate) {
  size_t n = strlen(name), m = strlen(candidate);
  if (n > 1 && n < m && !strncasecmp(candidate, name, n) && candidate[n] == '_') return 1;
  if (m > 3 && n > m && !strncasecmp(name, candidate, m) && name[m] == '_') return 1;
  if (m > 3 && n > m && !strcasecmp(name + n - m, candidate) && name[n - m - 1] == '_') return 1;
  size_t initials = 0;
  for (size_t k = 0; k < m; k++)
    if (k == 0 || candidate[k - 1] == '_') {
      if (initials >= n || (name[initials] | 32) != (candidate[k] | 32)) return 0;
      initials++;
    }
  return initials == n && n > 1;
}

const char *cr__meant(const char *name, int n, const void *first, size_t stride) {
  const char *best = NULL;
  size_t length = strlen(name);
  int nearest = length < 3 ? 0 : length < 6 ? 1 : 2;
  for (int k = 0; k < n; k++) {
    const char *candidate = *(const char *const *)(const void *)((const char *)first + (size_t)k * stride);
    if (length > LONGEST_NAME || strlen(candidate) > LONGEST_NAME) continue;
    int d = distance(name, candidate);
    if (d > nearest || (best && d == nearest)) continue;
    best = candidate;
    nearest = d;
  }
  for (int k = 0; k < n && !best; k++) {
    const char *candidate = *(const char *const *)(const void *)((const char *)first + (size_t)k * stride);
    if (is_short_for(name, candidate) || is_short_for(candidate, name)) best = candidate;
  }
  return best;
}

enum { MOST_NAMES = 64 };

cr_status cr_refuse_name(cr_problem *p, const char *what, const char *name, const char *(*at)(int k)) {
  char copy[MOST_NAMES][LONGEST_NAME + 1], all[480] = "";
  const char *list[MOST_NAMES], *next;
  int n = 0;
  for (; n < MOST_NAMES && (next = at(n)); n++) {
    size_t length = strcspn(next, "(,:"), used = strlen(all);
    list[n] = copy[n];
    snprintf(copy[n], sizeof copy[n], "%.*s", (int)length, next);
    snprintf(all + used, sizeof all - used, "%s%s", n ? ", " : "", copy[n]);
  }
  const char *meant = cr__meant(name, n, list, sizeof *list);
  if (meant) return cr_refuse(p, CR_UNKNOWN_NAME, "unknown %s '%.60s'; did you mean '%s'?", what, name, meant);
  return cr_refuse(p, CR_UNKNOWN_NAME, "unknown %s '%.60s'; there are %s", what, name, all);
}
