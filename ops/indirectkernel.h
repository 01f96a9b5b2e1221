/* The kernel for one element type and one vector length: indirect.c includes this with REAL, LANES, ROWS, VECTORS, TARGET
 * and NAME set. A tile is some rows of C, some vectors wide; its sums stay in registers. */

typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL NAME(lanes) __attribute__((vector_size(LANES * sizeof(REAL))));

TARGET static inline __attribute__((always_inline)) NAME(lanes) NAME(vector_at)(const REAL *from) {
  return *(const NAME(vector) *)from;
}

typedef struct NAME(tile_of) {
  int64_t steps, y_row, y_next, c_next;
  const REAL *x[ROWS], *y; /* x: where each row begins */
  const int32_t *step, *to;
  REAL *c;
  bool add;
} NAME(tile_of);

/* The sums have names because compilers keep the elements of an array in memory. */
#if ROWS > 4
#define ROWS_OF(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#else
#define ROWS_OF(f) f(0) f(1) f(2) f(3)
#endif
#define BEGIN(r)                                             \
  const REAL *const x_##r = t->x[r < rows ? r : 0];          \
  NAME(lanes) sum_##r##_0 = {0}, sum_##r##_1 = {0}, sum_##r##_2 = {0};
#define STEP(r)                                              \
  if (rows > r) {                                            \
    const REAL a = x_##r[at];                                \
    sum_##r##_0 += a * b_0;                                  \
    if (vectors > 1) sum_##r##_1 += a * b_1;                 \
    if (vectors > 2) sum_##r##_2 += a * b_2;                 \
  }
#define PUT(r, v)                                            \
  {                                                          \
    NAME(vector) *of = (NAME(vector) *)(to + v * c_next);    \
    if (add) sum_##r##_##v += *of;                           \
    *of = sum_##r##_##v;                                     \
  }
#define STORE(r)                                             \
  if (rows > r) {                                            \
    REAL *to = t->c + t->to[r];                              \
    PUT(r, 0)                                                \
    if (vectors > 1) PUT(r, 1)                               \
    if (vectors > 2) PUT(r, 2)                               \
  }

TARGET static inline __attribute__((always_inline)) void NAME(tile)(int rows, int vectors, const NAME(tile_of) * t) {
  const REAL *y = t->y;
  const int32_t *step = t->step, *const end = step + t->steps;
  const int64_t y_row = t->y_row, y_next = t->y_next, c_next = t->c_next;
  const bool add = t->add;
  ROWS_OF(BEGIN)
  for (; step < end; step++, y += y_row) {
    const NAME(lanes) b_0 = NAME(vector_at)(y), b_1 = NAME(vector_at)(y + (vectors > 1 ? y_next : 0)),
                      b_2 = NAME(vector_at)(y + (vectors > 2 ? 2 * y_next : 0));
    const int64_t at = *step;
    ROWS_OF(STEP)
  }
  ROWS_OF(STORE)
}
#undef ROWS_OF
#undef BEGIN
#undef STEP
#undef PUT
#undef STORE

#define TILE(r, v) \
  TARGET static void NAME(tile_##r##_##v)(const NAME(tile_of) * t) { NAME(tile)(r, v, t); }
#define NAMED(r, v) NAME(tile_##r##_##v),
#if ROWS > 4
#define EACH_ROW(f, v) f(1, v) f(2, v) f(3, v) f(4, v) f(5, v) f(6, v) f(7, v) f(8, v)
#else
#define EACH_ROW(f, v) f(1, v) f(2, v) f(3, v) f(4, v)
#endif
EACH_ROW(TILE, 1)
EACH_ROW(TILE, 2)
#if VECTORS > 2
EACH_ROW(TILE, 3)
#define EACH_VECTOR {EACH_ROW(NAMED, 1)}, {EACH_ROW(NAMED, 2)}, {EACH_ROW(NAMED, 3)}
#else
#define EACH_VECTOR {EACH_ROW(NAMED, 1)}, {EACH_ROW(NAMED, 2)}
#endif
static void (*const NAME(tiles)[VECTORS][ROWS])(const NAME(tile_of) *) = {EACH_VECTOR};
#undef TILE
#undef NAMED
#undef EACH_ROW
#undef EACH_VECTOR

/* A block of y, some vectors wide, stays in the first-level cache while all rows pass. */
TARGET static void NAME(product)(const cr__indirect *p) {
  const int64_t longest = cr__indirect_block(sizeof(REAL) == 4 ? CR_FLOAT32 : CR_FLOAT64, p->vectors, p->steps);
  for (int64_t from = 0; from < p->steps; from += longest)
    for (int64_t v = 0, vectors; v < p->vectors; v += vectors) {
      const int64_t left = p->vectors - v, panels = (left + VECTORS - 1) / VECTORS;
      vectors = (left + panels - 1) / panels;
      NAME(tile_of) t = {.steps = p->steps - from < longest ? p->steps - from : longest, .y_row = p->y_row,
                         .y = (const REAL *)p->y + from * p->y_row + v * p->y_next, .y_next = p->y_next,
                         .c = (REAL *)p->c + v * p->c_next, .c_next = p->c_next, .step = p->step + from, .to = p->to,
                         .add = p->add || from > 0};
      for (int64_t row = 0; row < p->rows; row += ROWS, t.to += ROWS) {
        const int64_t rows = p->rows - row < ROWS ? p->rows - row : ROWS;
        for (int64_t r = 0; r < rows; r++) t.x[r] = (const REAL *)p->x + p->row[row + r];
        NAME(tiles)[vectors - 1][rows - 1](&t);
      }
    }
}
#undef REAL
#undef LANES
#undef ROWS
#undef VECTORS
#undef TARGET
#undef NAME
