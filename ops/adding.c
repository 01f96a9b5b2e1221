/* See adding.h. */
#include "adding.h"

#include <string.h>

#include "parallel.h"

/* The terms for each position form a chain, so that only what is named is touched. */
typedef struct chains {
  int64_t *first, *next;   /* by position; by place. -1 ends a chain */
  const int64_t *at;       /* positions by place */
  cr__adding of;
  const cr_array *terms;   /* dense, of out's dtype */
  cr_array *out;           /* operand 0, to be added to */
} chains;

#define ADD_CHAIN(T, SUM, rounded)                                     \
  {                                                                    \
    const T *term = (const T *)j->terms->data;                         \
    T *out = (T *)j->out->data + at;                                   \
    for (int64_t from = 0; from < j->of.run; from += STRIP) {          \
      int64_t n = j->of.run - from < STRIP ? j->of.run - from : STRIP; \
      SUM sum[STRIP];                                                  \
      for (int64_t i = 0; i < n; i++) sum[i] = (SUM)out[from + i];     \
      for (int64_t k = head; k >= 0; k = j->next[k]) {                 \
        const T *q = term + (o * j->of.places + k) * j->of.run + from; \
        for (int64_t i = 0; i < n; i++) sum[i] += (SUM)q[i];           \
      }                                                                \
      for (int64_t i = 0; i < n; i++) out[from + i] = (T)(rounded);    \
    }                                                                  \
    continue;                                                          \
  }

/* The chains that begin at these places. */
static void add_chains(void *context, int64_t from_place, int64_t to_place) {
  enum { STRIP = 256 };
  const chains *j = context;
  for (int64_t head = from_place; head < to_place; head++) {
    int64_t p = j->at[head];
    for (int64_t o = 0; o < j->of.outer && j->first[p] == head; o++) {
      int64_t at = (o * j->of.positions + p) * j->of.run;
      if (j->out->dtype == CR_FLOAT64) ADD_CHAIN(double, double, sum[i])
      if (j->out->dtype == CR_FLOAT32) ADD_CHAIN(float, double, sum[i])
      if (j->out->dtype == CR_INT64) ADD_CHAIN(int64_t, int64_t, sum[i])
      if (j->out->dtype == CR_INT32) ADD_CHAIN(int32_t, int64_t, sum[i])
      ADD_CHAIN(uint8_t, int64_t, sum[i] != 0)
    }
  }
}

cr_status cr__add_at(cr_eval *c, const int64_t *at, cr__adding a) {
  cr_array terms = c->in[2];
  int64_t *first = cr_scratch(c, (size_t)(a.positions + a.places) * sizeof *first);
  terms.data = (void *)(uintptr_t)cr__dense(c, &c->in[2], (cr_dtype)c->out->dtype); /* only read */
  if (!first || !terms.data) return CR_NO_MEMORY;
  chains j = {first, first + a.positions, at, a, &terms, c->out};
  cr_array_copy(c->out, &c->in[0]);
  memset(first, 0xFF, (size_t)a.positions * sizeof *first);
  for (int64_t k = a.places - 1; k >= 0; k--) {
    j.next[k] = first[at[k]];
    first[at[k]] = k;
  }
  cr__parallel(c->tape, a.places, 1 + CR__BLOCK / (a.outer * a.run + 1), add_chains, &j);
  return CR_OK;
}
