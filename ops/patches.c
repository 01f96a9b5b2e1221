/* See patches.h. */
/* Lines are short: a call of memcpy for each would cost more than the copy. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#include "patches.h"

#include <stdbool.h>
#include <string.h>

_Static_assert(CR_MAX_SPATIAL == 3, "loops here are over three axes");

cr__patches cr__patches_of_one(void) {
  cr__patches p;
  for (int i = 0; i < CR_MAX_SPATIAL; i++) {
    p.rows[i] = p.cols[i] = p.size[i] = p.row_step[i] = p.col_step[i] = p.divisor[i] = 1;
    p.shift[i] = 0;
  }
  return p;
}

/* Rounded up, for a positive divisor. */
static int64_t quotient_up(int64_t x, int64_t by) { return by == 1 ? x : x > 0 ? (x + by - 1) / by : -(-x / by); }

/* The columns begin <= v < end of one axis that have an element: every stride-th from first to before last; those elements
 * are at, at + step, ... */
typedef struct run {
  int64_t first, last, stride, at, step;
} run;

static run run_of(const cr__patches *p, int i, int64_t u, int64_t begin, int64_t end) {
  int64_t base = u * p->row_step[i] - p->shift[i], step = p->col_step[i], by = p->divisor[i];
  int64_t lowest = quotient_up(-base, step), highest = quotient_up((p->size[i] - 1) * by + 1 - base, step);
  run r = {begin > lowest ? begin : lowest, end < highest ? end : highest, 1, 0, step};
  if (by != 1) {
    int64_t tries = 0;
    while (tries < by && (base + r.first * step) % by) r.first++, tries++;
    if (tries == by) r.first = r.last;
    while (r.stride * step % by) r.stride++;
    r.step = r.stride * step / by;
  }
  if (r.first >= r.last) r.first = r.last = begin;
  else r.at = (base + r.first * step) / by;
  return r;
}

/* A block of columns, lines of the last axis. In the buffer: before and after lines of zeros, n lines of which head and tail
 * are zeros and count numbers are not. In the plane: from offset on, lines skip apart, numbers step apart for every
 * stride-th column. */
typedef struct cr__patch {
  int64_t offset, before, n, after, skip, head, count, tail, step, stride;
} cr__patch;

/* n numbers of each line, 16 bytes at a time. */
#define COPY_LINES(T)                                                                                                       \
  static void copy_lines_##T(int64_t lines, int64_t n, const T *restrict from, int64_t skip, T *restrict to,                \
                             int64_t length) {                                                                              \
    enum { WORD = 16 / sizeof(T) };                                                                                         \
    const int64_t whole = n - n % WORD;                                                                                     \
    for (int64_t k = 0; k < lines; k++, from += skip, to += length) {                                                       \
      for (int64_t j = 0; j < whole; j += WORD) memcpy(to + j, from + j, 16);                                               \
      for (int64_t j = whole; j < n; j++) to[j] = from[j];                                                                  \
    }                                                                                                                       \
  }                                                                                                                         \
  static void add_lines_##T(int64_t lines, int64_t n, T *restrict to, int64_t skip, const T *restrict from,                 \
                            int64_t length) {                                                                               \
    for (int64_t k = 0; k < lines; k++, from += length, to += skip)                                                         \
      for (int64_t j = 0; j < n; j++) to[j] += from[j];                                                                     \
  }                                                                                                                         \
  static void zero_lines_##T(int64_t lines, int64_t n, T *to, int64_t length) {                                             \
    for (int64_t k = 0; n > 0 && k < lines; k++, to += length)                                                              \
      for (int64_t j = 0; j < n; j++) to[j] = 0;                                                                            \
  }
COPY_LINES(float)
COPY_LINES(double)

#define LINES(T)                                                                               \
  static void take_##T(const cr__patch *l, const T *from, T *out) {                            \
    const int64_t length = l->head + l->count + l->tail, n = l->count;                         \
    zero_lines_##T(l->before, length, out, length);                                            \
    out += l->before * length;                                                                 \
    from += l->offset;                                                                         \
    zero_lines_##T(l->n, l->head, out, length);                                                \
    zero_lines_##T(l->n, l->tail, out + l->head + n, length);                                  \
    T *to = out + l->head;                                                                     \
    if (l->step == 1 && l->stride == 1) {                                                      \
      copy_lines_##T(l->n, n, from, l->skip, to, length);                                      \
    } else {                                                                                   \
      if (l->stride != 1) zero_lines_##T(l->n, n, to, length);                                 \
      for (int64_t k = 0; k < l->n; k++, from += l->skip, to += length)                        \
        for (int64_t j = 0, i = 0; j < n; j += l->stride, i += l->step) to[j] = from[i];       \
    }                                                                                          \
    zero_lines_##T(l->after, length, out + l->n * length, length);                             \
  }                                                                                            \
  static void add_##T(const cr__patch *l, T *to, const T *in) {                                \
    const int64_t length = l->head + l->count + l->tail, n = l->count;                         \
    to += l->offset;                                                                           \
    in += l->before * length + l->head;                                                        \
    if (l->step == 1 && l->stride == 1)                                                        \
      add_lines_##T(l->n, n, to, l->skip, in, length);                                         \
    else                                                                                       \
      for (int64_t k = 0; k < l->n; k++, to += l->skip, in += length)                          \
        for (int64_t j = 0, i = 0; j < n; j += l->stride, i += l->step) to[i] += in[j];        \
  }
LINES(float)
LINES(double)

/* Columns (v0, a.. to before b, begin to before end) of row u. Several lines at once where all of them have an element. */
static cr__patch patch_of(const cr__patches *p, const int64_t *u, int64_t v0, int64_t a, int64_t b, int64_t begin,
                          int64_t end) {
  run slow = run_of(p, 0, u[0], v0, v0 + 1), middle = run_of(p, 1, u[1], a, b), fast = run_of(p, 2, u[2], begin, end);
  if (slow.first == slow.last) middle.first = middle.last = a;
  return (cr__patch){.offset = (slow.at * p->size[1] + middle.at) * p->size[2] + fast.at, .before = middle.first - a,
                     .n = middle.last - middle.first, .after = b - middle.last, .skip = middle.step * p->size[2],
                     .head = fast.first - begin, .count = fast.last - fast.first, .tail = end - fast.last, .step = fast.step,
                     .stride = fast.stride};
}

/* The block of columns that begins at k; next is where the one after it begins. */
static cr__patch block_at(const cr__patches *p, int64_t row, int64_t k, int64_t *next) {
  const int64_t *rows = p->rows, *cols = p->cols, u[3] = {row / rows[2] / rows[1], row / rows[2] % rows[1], row % rows[2]};
  int64_t v2 = k % cols[2], line = k / cols[2], v1 = line % cols[1], v0 = line / cols[1], left = p->to - k;
  if (v2 || left < cols[2]) {
    int64_t end = v2 + left < cols[2] ? v2 + left : cols[2];
    *next = k + end - v2;
    return patch_of(p, u, v0, v1, v1 + 1, v2, end);
  }
  int64_t some = p->divisor[1] == 1 ? left / cols[2] : 1;
  if (some > cols[1] - v1) some = cols[1] - v1;
  *next = k + some * cols[2];
  return patch_of(p, u, v0, v1, v1 + some, 0, cols[2]);
}

size_t cr__patches_bytes(const cr__patches *p) {
  return ((size_t)(p->rows[0] * p->rows[1] * p->rows[2]) * sizeof *p->plan + 63) / 64 * 64;
}

void cr__patches_place(cr__patches *p, void *memory) {
  p->plan = memory;
  p->from = p->to = 0;
}

/* The first block of each row is remembered: mostly it is the only one. */
void cr__patches_aim(cr__patches *p, int64_t from, int64_t to) {
  int64_t n = p->rows[0] * p->rows[1] * p->rows[2], next;
  if (p->from == from && p->to == to) return;
  p->from = from;
  p->to = to;
  for (int64_t u = 0; u < n; u++) p->plan[u] = block_at(p, u, from, &next);
}

static int64_t columns(const cr__patch *l) { return (l->before + l->n + l->after) * (l->head + l->count + l->tail); }

#define MOVE(T, name)                                                                \
  static void name##_all_##T(const cr__patches *p, T *plane, int64_t u, T *buffer) {                \
    name##_##T(&p->plan[u], plane, buffer);                                                         \
    int64_t k = p->from + columns(&p->plan[u]);                                                     \
    for (buffer += k - p->from; k < p->to;) {                                                       \
      int64_t next;                                                                                 \
      cr__patch l = block_at(p, u, k, &next);                                                       \
      name##_##T(&l, plane, buffer);                                                                \
      buffer += next - k;                                                                           \
      k = next;                                                                                     \
    }                                                                                               \
  }
MOVE(float, take)
MOVE(float, add)
MOVE(double, take)
MOVE(double, add)

void cr__patches_take(const cr__patches *p, cr_dtype dtype, const void *plane, int64_t u, void *out) {
  void *from = (void *)(uintptr_t)plane; /* only read */
  if (dtype == CR_FLOAT32) take_all_float(p, from, u, out);
  else take_all_double(p, from, u, out);
}
void cr__patches_add(const cr__patches *p, cr_dtype dtype, void *plane, int64_t u, const void *in) {
  void *from = (void *)(uintptr_t)in; /* only read */
  if (dtype == CR_FLOAT32) add_all_float(p, plane, u, from);
  else add_all_double(p, plane, u, from);
}
