/* The kernels for one element type and one vector length: gemm.c includes this with REAL, LANES, ROWS, VECTORS, TARGET and
 * NAME set. A panel is a strip of the right matrix, some vectors wide; a tile is as many rows of it as registers hold. */

typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL NAME(lanes) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef REAL NAME(four) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
enum { NAME(width) = VECTORS * LANES };

/* rows x (vectors * LANES) elements of C, in c at c_row apart, from k steps of x and of the panel y. keep: NULL, or where
 * the panel is packed on the way. The sums have names because compilers keep the elements of an array in memory. */
#define ROWS_OF(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define AHEAD(r) \
  if (rows > r) \
    for (int v = 0; v < vectors; v++) __builtin_prefetch(c + r * c_row + v * LANES, 1);
#define ZERO(r) NAME(lanes) sum_##r##_0 = {0}, sum_##r##_1 = {0}, sum_##r##_2 = {0};
#define STEP(r)                                       \
  if (rows > r) {                                     \
    const REAL a = x[r * x_row];                      \
    sum_##r##_0 += a * b_0;                           \
    if (vectors > 1) sum_##r##_1 += a * b_1;          \
    if (vectors > 2) sum_##r##_2 += a * b_2;          \
  }
#define OF_C(r, v) (*(NAME(vector) *)(c + r * c_row + v * LANES))
#define ADD(r)                                              \
  if (rows > r) {                                           \
    sum_##r##_0 += OF_C(r, 0);                              \
    if (vectors > 1) sum_##r##_1 += OF_C(r, 1);             \
    if (vectors > 2) sum_##r##_2 += OF_C(r, 2);             \
  }
#define STORE(r)                                            \
  if (rows > r) {                                           \
    OF_C(r, 0) = sum_##r##_0;                               \
    if (vectors > 1) OF_C(r, 1) = sum_##r##_1;              \
    if (vectors > 2) OF_C(r, 2) = sum_##r##_2;              \
  }
TARGET static inline __attribute__((always_inline)) void
NAME(tile)(int rows, int vectors, int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y, int64_t y_step,
           REAL *c, int64_t c_row, bool add, REAL *keep) {
  ROWS_OF(AHEAD)
  ROWS_OF(ZERO)
  for (int64_t l = 0; l < k; l++, x += x_step, y += y_step) {
    const NAME(vector) *b = (const NAME(vector) *)y;
    NAME(lanes) b_0 = b[0], b_1 = b[vectors > 1 ? 1 : 0], b_2 = b[vectors > 2 ? 2 : 0];
    if (keep) {
      NAME(lanes) *to = (NAME(lanes) *)(keep + l * NAME(width));
      to[0] = b_0;
      if (vectors > 1) to[1] = b_1;
      if (vectors > 2) to[2] = b_2;
    }
    ROWS_OF(STEP)
  }
  if (add) {
    ROWS_OF(ADD)
  }
  ROWS_OF(STORE)
}
#undef ROWS_OF
#undef AHEAD
#undef ZERO
#undef STEP
#undef OF_C
#undef ADD
#undef STORE

/* Rows and vectors known to the compiler, so that the sums stay in registers. */
typedef void NAME(tile_rule)(int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y, int64_t y_step, REAL *c,
                             int64_t c_row, bool add);
#define ONE(r, v)                                                                                                          \
  TARGET static void NAME(tile_##r##_##v)(int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y,           \
                                          int64_t y_step, REAL *c, int64_t c_row, bool add) {                              \
    NAME(tile)(r, v, k, x, x_row, x_step, y, y_step, c, c_row, add, NULL);                                                 \
  }
#define KEEPING(v)                                                                                                         \
  TARGET static void NAME(keep_##v)(int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y,                 \
                                    int64_t y_step, REAL *c, int64_t c_row, bool add, REAL *keep) {                        \
    NAME(tile)(ROWS, v, k, x, x_row, x_step, y, y_step, c, c_row, add, keep);                                              \
  }
#if ROWS > 4
#define EACH_ROW(f, v) f(1, v) f(2, v) f(3, v) f(4, v) f(5, v) f(6, v) f(7, v) f(8, v)
#else
#define EACH_ROW(f, v) f(1, v) f(2, v) f(3, v) f(4, v)
#endif
KEEPING(1)
EACH_ROW(ONE, 1)
#if VECTORS > 1
KEEPING(2)
EACH_ROW(ONE, 2)
#endif
#if VECTORS > 2
#define EACH_VECTOR(f) {EACH_ROW(f, 1)}, {EACH_ROW(f, 2)}, {EACH_ROW(f, 3)}
#define EACH_KEEPING NAME(keep_1), NAME(keep_2), NAME(keep_3)
KEEPING(3)
EACH_ROW(ONE, 3)
#elif VECTORS > 1
#define EACH_VECTOR(f) {EACH_ROW(f, 1)}, {EACH_ROW(f, 2)}
#define EACH_KEEPING NAME(keep_1), NAME(keep_2)
#else
#define EACH_VECTOR(f) {EACH_ROW(f, 1)}
#define EACH_KEEPING NAME(keep_1)
#endif
typedef void NAME(keep_rule)(int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y, int64_t y_step, REAL *c,
                             int64_t c_row, bool add, REAL *keep);
static NAME(keep_rule) *const NAME(keeping)[VECTORS] = {EACH_KEEPING};
#define TILE(r, v) NAME(tile_##r##_##v),
static NAME(tile_rule) *const NAME(tiles)[VECTORS][ROWS] = {EACH_VECTOR(TILE)};
#undef ONE
#undef KEEPING
#undef EACH_KEEPING
#undef TILE
#undef EACH_ROW
#undef EACH_VECTOR

/* Elements i, j, k, l of each group of four lanes: 0 to 3 those of a, 4 to 7 those of b. */
#define AT(i, group) ((i) < 4 ? (i) + (group) : (i) - 4 + (group) + LANES)
#define FOUR(i, j, k, l, group) AT(i, group), AT(j, group), AT(k, group), AT(l, group)
#if LANES == 16
#define MIX(a, b, i, j, k, l) \
  __builtin_shufflevector(a, b, FOUR(i, j, k, l, 0), FOUR(i, j, k, l, 4), FOUR(i, j, k, l, 8), FOUR(i, j, k, l, 12))
#elif LANES == 8
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, FOUR(i, j, k, l, 0), FOUR(i, j, k, l, 4))
#else
#define MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, FOUR(i, j, k, l, 0))
#endif

/* Four elements from l on of each of the columns i, 4 + i, ... */
#define PART(column, i, l, g) (*(const NAME(four) *)(column[4 * (g) + (i)] + (l)))
#define PAIR(column, i, l, g) \
  __builtin_shufflevector(PART(column, i, l, g), PART(column, i, l, (g) + 1), 0, 1, 2, 3, 4, 5, 6, 7)
#if LANES == 16
#define GATHER(column, i, l) \
  __builtin_shufflevector(PAIR(column, i, l, 0), PAIR(column, i, l, 2), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif LANES == 8
#define GATHER(column, i, l) PAIR(column, i, l, 0)
#else
#define GATHER(column, i, l) PART(column, i, l, 0)
#endif

/* Groups of four lanes as 4 x 4 matrices, one row in each vector, transposed. */
TARGET static inline __attribute__((always_inline)) void NAME(transpose)(NAME(lanes) * m) {
  NAME(lanes) a = MIX(m[0], m[1], 0, 4, 1, 5), b = MIX(m[0], m[1], 2, 6, 3, 7);
  NAME(lanes) c = MIX(m[2], m[3], 0, 4, 1, 5), d = MIX(m[2], m[3], 2, 6, 3, 7);
  m[0] = MIX(a, c, 0, 1, 4, 5), m[1] = MIX(a, c, 2, 3, 6, 7);
  m[2] = MIX(b, d, 0, 1, 4, 5), m[3] = MIX(b, d, 2, 3, 6, 7);
}

/* LANES columns that run along the inner axis, turned into a panel's rows; of those beyond the last one, it again. */
TARGET static void NAME(turn)(const REAL *y, int64_t y_col, int64_t cols, int64_t depth, REAL *to) {
  const REAL *column[LANES];
  int64_t l = 0;
  for (int64_t j = 0; j < LANES; j++) column[j] = y + (j < cols ? j : cols - 1) * y_col;
  for (; l + 4 <= depth; l += 4, to += 4 * NAME(width)) {
    NAME(lanes) m[4];
    for (int i = 0; i < 4; i++) {
      m[i] = GATHER(column, i, l);
    }
    NAME(transpose)(m);
    for (int i = 0; i < 4; i++) *(NAME(vector) *)(to + i * NAME(width)) = m[i];
  }
  for (; l < depth; l++, to += NAME(width))
    for (int j = 0; j < LANES; j++) to[j] = column[j][l];
}

/* depth steps of a panel side by side. Beyond its columns: whatever follows them in memory, or zeros. */
TARGET static void NAME(pack)(const part_of *p, int64_t from, int64_t depth, REAL *to) {
  const REAL *y = (const REAL *)p->y + from * p->y_step;
  int64_t vectors = (p->cols + LANES - 1) / LANES, whole = vectors * LANES, l = 0, end = (depth - 1) * p->y_step + p->cols;
  if (p->y_col == 1) {
    const REAL *row = y;
    for (; l < depth && row - y + whole <= end; l++, row += p->y_step)
      for (int64_t v = 0; v < whole; v += LANES)
        *(NAME(vector) *)(to + l * NAME(width) + v) = *(const NAME(vector) *)(row + v);
    for (; l < depth; l++) {
      memset(to + l * NAME(width), 0, NAME(width) * sizeof *to);
      memcpy(to + l * NAME(width), y + l * p->y_step, (size_t)p->cols * sizeof *to);
    }
    return;
  }
  if (p->y_step == 1) {
    for (int64_t j = 0; j < p->cols; j += LANES) NAME(turn)(y + j * p->y_col, p->y_col, p->cols - j, depth, to + j);
    return;
  }
  if (p->cols < whole) memset(to, 0, (size_t)(depth * NAME(width)) * sizeof *to);
  for (int64_t j = 0; j < p->cols; j++)
    for (l = 0; l < depth; l++) to[l * NAME(width) + j] = y[j * p->y_col + l * p->y_step];
}

/* C = tile or C += tile where columns of C are columns of a tile, but not of whole vectors. */
TARGET static void NAME(put)(const part_of *p, REAL *c, int rows, const REAL *tile, bool add) {
  for (int64_t r = 0; r < rows; r++, c += p->c_row, tile += NAME(width))
    if (add)
      for (int64_t j = 0; j < p->cols; j++) c[j] += tile[j];
    else
      for (int64_t j = 0; j < p->cols; j++) c[j] = tile[j];
}

/* The same where they are rows of C. */
TARGET static void NAME(put_across)(const part_of *p, REAL *c, int rows, const REAL *tile, bool add) {
  int r = 0;
  for (; r + 4 <= rows; r += 4, tile += 4 * NAME(width))
    for (int64_t v = 0; v < p->cols; v += LANES) {
      NAME(lanes) m[4];
      for (int i = 0; i < 4; i++) m[i] = *(const NAME(vector) *)(tile + i * NAME(width) + v);
      NAME(transpose)(m);
      for (int64_t j = v; j < p->cols && j < v + LANES; j++) {
        NAME(four) *to = (NAME(four) *)(c + j * p->c_col + r), of = ((NAME(four) *)&m[j % 4])[(j - v) / 4];
        if (add) of += *to;
        *to = of;
      }
    }
  for (; r < rows; r++, tile += NAME(width))
    for (int64_t j = 0; j < p->cols; j++) {
      REAL *to = c + j * p->c_col + r * p->c_row;
      *to = add ? *to + tile[j] : tile[j];
    }
}

/* Asks for some rows of the next block of the panel: they lie too far apart for the processor to foresee. */
TARGET static void NAME(foresee)(const part_of *p, int64_t from, int64_t to) {
  for (int64_t l = from; l < to && l < p->k; l++)
    for (int v = 0; v < VECTORS; v++) __builtin_prefetch((const REAL *)p->y + l * p->y_step + v * LANES, 0, 2);
}

/* depth steps of the rows of x, tile by tile, where they lie side by side in memory. */
TARGET static void NAME(pack_rows)(const part_of *p, int64_t from, int64_t depth, REAL *to) {
  const REAL *x = (const REAL *)p->x + from * p->x_step;
  for (int64_t l = 0; l < depth; l++, x += p->x_step) {
    int64_t row = 0;
    for (; row + ROWS <= p->rows; row += ROWS) memcpy(to + row * depth + l * ROWS, x + row, ROWS * sizeof *x);
    if (row < p->rows) memcpy(to + row * depth + l * ROWS, x + row, (size_t)(p->rows - row) * sizeof *x);
  }
}

/* A block of the inner axis, for one panel. rows_of_x: packed, or NULL. panel: packed already, or room for it. */
TARGET static void NAME(block)(const part_of *p, int64_t from, int64_t depth, const REAL *rows_of_x, REAL *panel,
                               bool packed) {
  _Alignas(64) REAL tile[ROWS * NAME(width)];
  int64_t vectors = (p->cols + LANES - 1) / LANES;
  bool plain = p->c_col == 1 && p->cols == vectors * LANES;
  bool near = depth * p->y_step * (int64_t)sizeof(REAL) <= NEAR;
  bool direct = plain && p->y_col == 1 && (p->rows <= ROWS || near);
  bool add = p->add || from > 0;
  bool keeps = plain && p->y_col == 1 && !direct && p->rows <= FEW_TILES * ROWS && !packed;
  if (!direct && !keeps && !packed) NAME(pack)(p, from, depth, panel);
  const REAL *y = direct || keeps ? (const REAL *)p->y + from * p->y_step : panel;
  int64_t y_step = direct || keeps ? p->y_step : NAME(width);
  for (int64_t row = 0; row < p->rows; row += ROWS) {
    int rows = (int)(p->rows - row < ROWS ? p->rows - row : ROWS);
    const REAL *x = (const REAL *)p->x + row * p->x_row + from * p->x_step;
    REAL *c = (REAL *)p->c + row * p->c_row;
    int64_t x_row = p->x_row, x_step = p->x_step, next = from + DEPTH + row * DEPTH / p->rows;
    NAME(tile_rule) *rule = NAME(tiles)[vectors - 1][rows - 1];
    if (p->y_col == 1) NAME(foresee)(p, next, next + (ROWS * DEPTH + p->rows - 1) / p->rows);
    if (rows_of_x) x = rows_of_x + row * depth, x_row = 1, x_step = ROWS;
    if (keeps && !row) {
      NAME(keeping)[vectors - 1](depth, x, x_row, x_step, y, y_step, c, p->c_row, add, panel);
      y = panel, y_step = NAME(width);
    } else if (plain) {
      rule(depth, x, x_row, x_step, y, y_step, c, p->c_row, add);
    } else {
      rule(depth, x, x_row, x_step, y, y_step, tile, NAME(width), false);
      (p->c_col == 1 ? NAME(put) : NAME(put_across))(p, c, rows, tile, add);
    }
  }
}

/* Columns of the next panel of so many: no very narrow one is left over. */
static int64_t NAME(panel_cols)(int64_t cols) {
  if (VECTORS > 2 && cols > NAME(width) && cols <= NAME(width) + LANES) return 2 * LANES;
  return cols < NAME(width) ? cols : NAME(width);
}

/* Panels side by side are packed row by row: that is how they lie in memory. */
TARGET static void NAME(pack_panels)(const part_of *p, int64_t from, int64_t depth, REAL (*panels)[DEPTH * NAME(width)]) {
  const REAL *y = (const REAL *)p->y + from * p->y_step;
  for (int64_t l = 0; l < depth * NAME(width); l += NAME(width), y += p->y_step)
    for (int i = 0; i < PANELS; i++)
      for (int j = 0; j < NAME(width); j += LANES)
        *(NAME(vector) *)(panels[i] + l + j) = *(const NAME(vector) *)(y + i * NAME(width) + j);
}

TARGET static void NAME(part)(const part_of *p) {
  _Alignas(64) REAL rows_of_x[PART_ROWS * DEPTH + ROWS * DEPTH], panels[PANELS][DEPTH * NAME(width)];
  bool packs = p->x_row == 1 && p->x_step > 1 && p->cols > NAME(width) && p->rows > ROWS;
  for (int64_t from = 0; from < p->k || !from; from += DEPTH) {
    int64_t depth = p->k - from < DEPTH ? p->k - from : DEPTH;
    if (packs) NAME(pack_rows)(p, from, depth, rows_of_x);
    part_of q = *p;
    bool together = p->y_col == 1 && p->cols == PANELS * NAME(width);
    if (together) NAME(pack_panels)(p, from, depth, panels);
    for (int64_t col = 0; col < p->cols; col += q.cols) {
      q.cols = NAME(panel_cols)(p->cols - col);
      q.y = (const REAL *)p->y + col * p->y_col;
      q.c = (REAL *)p->c + col * p->c_col;
      NAME(block)(&q, from, depth, packs ? rows_of_x : NULL, panels[together ? col / NAME(width) : 0], together);
    }
  }
}
#undef AT
#undef FOUR
#undef MIX
#undef PART
#undef PAIR
#undef GATHER
#undef REAL
#undef LANES
#undef ROWS
#undef VECTORS
#undef TARGET
#undef NAME
