/* Sets of columns, as they come up when dependence is carried over a tape. Small sets are sorted words of 64 bits and are
 * kept once; large ones are unions not carried out, so that a running sum takes no more than a union for each term. */
#include <stdlib.h>

#include "sparsity.h"

/* n words from first of the pool; or, with the bit LAZY, n sets that it is the union of. */
typedef struct entry {
  uint32_t first, n;
} entry;

typedef struct pair {
  uint32_t a, b, both;
} pair;

enum { LAZY = INT32_MIN, MOST_WORDS = 32 };

typedef struct pool {
  void *items;
  size_t size, n, capacity;
} pool;

struct cr__sets {
  cr_tape *t;
  pool entry, word, bits, member, mark, list, column;
  uint32_t *seen; /* small sets by content: open addressing */
  pair *known;    /* unions of two */
  size_t seen_size, known_size, n_known;
  uint64_t *map;     /* one bit for each column */
  uint32_t *touched; /* words of the map that are not 0 */
  size_t words, n_touched;
  uint32_t epoch;
};

static bool pool_room(cr__sets *s, pool *p, size_t more) {
  if (p->n + more <= p->capacity) return true;
  size_t capacity = p->capacity ? 2 * p->capacity : 64;
  while (capacity < p->n + more) capacity *= 2;
  void *items = capacity > UINT32_MAX ? NULL : cr__resize_on(s->t, p->items, p->capacity * p->size, capacity * p->size);
  if (!items) return false;
  p->items = items;
  p->capacity = capacity;
  return true;
}

static entry *entries(const cr__sets *s) { return s->entry.items; }
static uint32_t *words(const cr__sets *s) { return s->word.items; }
static uint64_t *bits(const cr__sets *s) { return s->bits.items; }
static uint32_t *members(const cr__sets *s) { return s->member.items; }
static uint32_t *marks(const cr__sets *s) { return s->mark.items; }
static uint32_t *listed(const cr__sets *s) { return s->list.items; }
static bool is_lazy(const cr__sets *s, uint32_t set) { return entries(s)[set].n & (uint32_t)LAZY; }
static uint32_t size_of(const cr__sets *s, uint32_t set) { return entries(s)[set].n & ~(uint32_t)LAZY; }

static void drop(cr__sets *s, pool *p) { cr__resize(&s->t->counted, p->items, p->capacity * p->size, 0); }

void cr__sets_free(cr__sets *s) {
  if (!s) return;
  pool *all[] = {&s->entry, &s->word, &s->bits, &s->member, &s->mark, &s->list, &s->column};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) drop(s, all[k]);
  const cr_allocator *a = &s->t->counted;
  cr__resize(a, s->seen, s->seen ? s->seen_size * sizeof *s->seen : 0, 0);
  cr__resize(a, s->known, s->known ? s->known_size * sizeof *s->known : 0, 0);
  cr__resize(a, s->map, s->map ? s->words * sizeof *s->map : 0, 0);
  cr__resize(a, s->touched, s->touched ? s->words * sizeof *s->touched : 0, 0);
  cr__resize(a, s, sizeof *s, 0);
}

static void *zeros(cr_tape *t, size_t bytes) {
  void *p = cr__resize_on(t, NULL, 0, bytes);
  if (p) memset(p, 0, bytes);
  return p;
}

static uint32_t new_set(cr__sets *s, uint32_t first, uint32_t n) {
  if (!pool_room(s, &s->entry, 1) || !pool_room(s, &s->mark, 1)) return 0;
  entries(s)[s->entry.n] = (entry){first, n};
  marks(s)[s->mark.n++] = 0;
  return (uint32_t)s->entry.n++;
}

cr__sets *cr__sets_new(cr_tape *t, int64_t columns) {
  cr__sets *s = zeros(t, sizeof *s);
  if (!s) return NULL;
  s->t = t;
  s->entry.size = sizeof(entry);
  s->bits.size = sizeof(uint64_t);
  s->word.size = s->member.size = s->mark.size = s->list.size = s->column.size = sizeof(uint32_t);
  s->words = (size_t)columns / 64 + 1;
  s->seen_size = s->known_size = 256;
  s->seen = zeros(t, s->seen_size * sizeof *s->seen);
  s->known = zeros(t, s->known_size * sizeof *s->known);
  s->map = zeros(t, s->words * sizeof *s->map);
  s->touched = zeros(t, s->words * sizeof *s->touched);
  new_set(s, 0, 0);
  if (t->error == CR_OK) return s;
  cr__sets_free(s);
  return NULL;
}

/* Small sets */

static size_t mixed(uint64_t hash) { return (size_t)(hash ^ hash >> 29); }

static size_t hash_words(uint32_t n, const uint32_t *word, const uint64_t *bit) {
  uint64_t hash = n;
  for (uint32_t k = 0; k < n; k++) {
    hash = (hash ^ word[k]) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ hash >> 31 ^ bit[k]) * 0xBF58476D1CE4E5B9u;
  }
  return mixed(hash);
}

static bool same_words(const cr__sets *s, uint32_t set, uint32_t n, const uint32_t *word, const uint64_t *bit) {
  const entry *e = &entries(s)[set];
  return e->n == n && !memcmp(words(s) + e->first, word, n * sizeof *word) &&
         !memcmp(bits(s) + e->first, bit, n * sizeof *bit);
}

static bool grow_seen(cr__sets *s) {
  size_t size = 2 * s->seen_size;
  uint32_t *seen = zeros(s->t, size * sizeof *seen);
  if (!seen) return false;
  for (size_t k = 0; k < s->seen_size; k++) {
    const entry *e = &entries(s)[s->seen[k]];
    if (!s->seen[k]) continue;
    size_t at = hash_words(e->n, words(s) + e->first, bits(s) + e->first) & (size - 1);
    while (seen[at]) at = (at + 1) & (size - 1);
    seen[at] = s->seen[k];
  }
  cr__resize(&s->t->counted, s->seen, s->seen_size * sizeof *s->seen, 0);
  s->seen = seen;
  s->seen_size = size;
  return true;
}

/* The set of these words, n > 0: one that is there, or a new one. */
static uint32_t kept(cr__sets *s, uint32_t n, const uint32_t *word, const uint64_t *bit) {
  if (2 * s->entry.n >= s->seen_size && !grow_seen(s)) return 0;
  size_t at = hash_words(n, word, bit) & (s->seen_size - 1);
  for (; s->seen[at]; at = (at + 1) & (s->seen_size - 1))
    if (same_words(s, s->seen[at], n, word, bit)) return s->seen[at];
  if (!pool_room(s, &s->word, n) || !pool_room(s, &s->bits, n)) return 0;
  uint32_t first = (uint32_t)s->word.n, set = new_set(s, first, n);
  if (!set) return 0;
  memcpy(words(s) + first, word, n * sizeof *word);
  memcpy(bits(s) + first, bit, n * sizeof *bit);
  s->word.n += n;
  s->bits.n += n;
  s->seen[at] = set;
  return set;
}

uint32_t cr__set_of(cr__sets *s, int64_t column) {
  return kept(s, 1, &(uint32_t){(uint32_t)(column / 64)}, &(uint64_t){(uint64_t)1 << column % 64});
}

/* Unions */

static uint32_t merged(cr__sets *s, const entry *a, const entry *b) {
  uint32_t word[2 * MOST_WORDS], n = 0, i = 0, j = 0;
  uint64_t bit[2 * MOST_WORDS];
  while (i < a->n || j < b->n) {
    uint32_t p = i < a->n ? words(s)[a->first + i] : UINT32_MAX, q = j < b->n ? words(s)[b->first + j] : UINT32_MAX;
    word[n] = p < q ? p : q;
    bit[n] = (p <= q ? bits(s)[a->first + i] : 0) | (q <= p ? bits(s)[b->first + j] : 0);
    i += p <= q;
    j += q <= p;
    n++;
  }
  return n <= MOST_WORDS ? kept(s, n, word, bit) : 0;
}

static uint32_t promise(cr__sets *s, uint32_t n, const uint32_t *of) {
  if (!pool_room(s, &s->member, n)) return 0;
  uint32_t first = (uint32_t)s->member.n;
  memcpy(members(s) + first, of, n * sizeof *of);
  s->member.n += n;
  return new_set(s, first, n | (uint32_t)LAZY);
}

static size_t slot_of(const pair *known, size_t size, uint32_t a, uint32_t b) {
  size_t at = mixed(((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u) & (size - 1);
  while (known[at].both && (known[at].a != a || known[at].b != b)) at = (at + 1) & (size - 1);
  return at;
}

static bool grow_known(cr__sets *s) {
  size_t size = 2 * s->known_size;
  pair *known = zeros(s->t, size * sizeof *known);
  if (!known) return false;
  for (size_t k = 0; k < s->known_size; k++)
    if (s->known[k].both) known[slot_of(known, size, s->known[k].a, s->known[k].b)] = s->known[k];
  cr__resize(&s->t->counted, s->known, s->known_size * sizeof *s->known, 0);
  s->known = known;
  s->known_size = size;
  return true;
}

uint32_t cr__set_union(cr__sets *s, uint32_t a, uint32_t b) {
  if (a == b || !b) return a;
  if (!a) return b;
  uint32_t low = a < b ? a : b, high = a < b ? b : a, both = 0;
  if (2 * s->n_known >= s->known_size && !grow_known(s)) return 0;
  size_t at = slot_of(s->known, s->known_size, low, high);
  if (s->known[at].both) return s->known[at].both;
  if (!is_lazy(s, low) && !is_lazy(s, high)) {
    entry x = entries(s)[low], y = entries(s)[high];
    both = merged(s, &x, &y);
  }
  if (!both && s->t->error == CR_OK) both = promise(s, 2, (uint32_t[]){low, high});
  if (!both) return 0;
  s->known[at] = (pair){low, high, both};
  s->n_known++;
  return both;
}

static void next_epoch(cr__sets *s) {
  if (++s->epoch) return;
  memset(marks(s), 0, s->mark.n * sizeof(uint32_t));
  s->epoch = 1;
}

static void touch(cr__sets *s, const entry *e) {
  for (uint32_t k = e->first; k < e->first + e->n; k++) {
    uint32_t word = words(s)[k];
    if (!s->map[word]) s->touched[s->n_touched++] = word;
    s->map[word] |= bits(s)[k];
  }
}

static void untouch(cr__sets *s) {
  for (size_t k = 0; k < s->n_touched; k++) s->map[s->touched[k]] = 0;
  s->n_touched = 0;
}

static int by_number(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static uint32_t kept_map(cr__sets *s) {
  uint64_t bit[MOST_WORDS];
  qsort(s->touched, s->n_touched, sizeof *s->touched, by_number);
  for (size_t k = 0; k < s->n_touched; k++) bit[k] = s->map[s->touched[k]];
  return kept(s, (uint32_t)s->n_touched, s->touched, bit);
}

uint32_t cr__set_union_of(cr__sets *s, int64_t n, const uint32_t *of) {
  uint32_t count = 0, result;
  bool small = true;
  next_epoch(s);
  s->list.n = 0;
  for (int64_t k = 0; k < n; k++) {
    uint32_t set = of[k];
    if (!set || marks(s)[set] == s->epoch) continue;
    marks(s)[set] = s->epoch;
    if (!pool_room(s, &s->list, 1)) return 0;
    listed(s)[s->list.n++] = set;
    count++;
    small = small && !is_lazy(s, set);
    if (small) touch(s, &entries(s)[set]);
    small = small && s->n_touched <= MOST_WORDS;
  }
  if (count < 2) result = count ? listed(s)[0] : 0;
  else if (small) result = kept_map(s);
  else if (count == 2) result = cr__set_union(s, listed(s)[0], listed(s)[1]);
  else result = promise(s, count, listed(s));
  untouch(s);
  return result;
}

/* Marks the bits of all sets that the set is the union of. */
static bool carry_out(cr__sets *s, uint32_t set) {
  next_epoch(s);
  s->list.n = 0;
  if (!pool_room(s, &s->list, 1)) return false;
  listed(s)[s->list.n++] = set;
  while (s->list.n) {
    set = listed(s)[--s->list.n];
    const entry e = entries(s)[set];
    uint32_t count = size_of(s, set);
    if (marks(s)[set] == s->epoch) continue;
    marks(s)[set] = s->epoch;
    if (!is_lazy(s, set)) {
      touch(s, &e);
      continue;
    }
    if (!pool_room(s, &s->list, count)) return false;
    for (uint32_t k = 0; k < count; k++)
      if (marks(s)[members(s)[e.first + k]] != s->epoch) listed(s)[s->list.n++] = members(s)[e.first + k];
  }
  return true;
}

int64_t cr__set_columns(cr__sets *s, uint32_t set, const int32_t **columns) {
  bool good = carry_out(s, set);
  size_t n = 0;
  for (size_t k = 0; k < s->n_touched; k++) n += (size_t)__builtin_popcountll(s->map[s->touched[k]]);
  s->column.n = 0;
  if (good && (good = pool_room(s, &s->column, n))) {
    int32_t *out = s->column.items;
    qsort(s->touched, s->n_touched, sizeof *s->touched, by_number);
    for (size_t k = 0; k < s->n_touched; k++)
      for (uint64_t left = s->map[s->touched[k]]; left; left &= left - 1)
        *out++ = (int32_t)(s->touched[k] * 64 + (uint32_t)__builtin_ctzll(left));
    *columns = s->column.items;
  }
  untouch(s);
  return good ? (int64_t)n : -1;
}
