/* The kernels for one element type and one vector length: gemm.c includes this with REAL, LANES, ROWS, VECTORS, TARGET and
 * NAME set, and MASKS where the processor reads and writes parts of vectors. A panel is a strip of the right matrix, some
 * vectors wide; a tile is as many rows of it as registers hold. */

typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL NAME(lanes) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef REAL NAME(four) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
enum { NAME(width) = VECTORS * LANES };

TARGET static inline __attribute__((always_inline)) NAME(lanes) NAME(load)(const REAL *from) {
  return *(const NAME(vector) *)from;
}

/* The first n lanes of a vector in memory, the others zero; and those stored. */
#if MASKS
TARGET static inline __attribute__((always_inline)) NAME(lanes) NAME(load_some)(const REAL *from, int n) {
  return (NAME(lanes))LOAD_MASKED((1u << n) - 1, from);
}
TARGET static inline __attribute__((always_inline)) void NAME(store_some)(REAL *to, const NAME(lanes) * v, int n) {
  STORE_MASKED(to, (1u << n) - 1, *v);
}
#else
TARGET static inline __attribute__((always_inline)) NAME(lanes) NAME(load_some)(const REAL *from, int n) {
  NAME(lanes) v = {0};
  if (n == LANES) return *(const NAME(vector) *)from;
  memcpy(&v, from, (size_t)n * sizeof *from);
  return v;
}
TARGET static inline __attribute__((always_inline)) void NAME(store_some)(REAL *to, const NAME(lanes) * v, int n) {
  if (n == LANES) *(NAME(vector) *)to = *v;
  else memcpy(to, v, (size_t)n * sizeof *to);
}
#endif

/* A tile of C from k steps of x and of y, of whose last vector some lanes are meant. keep: where the panel is packed on the
 * way, if it is. */
typedef struct NAME(tile_of) {
  int64_t k;
  const REAL *x;
  int64_t x_row, x_step;
  const REAL *y;
  int64_t y_step;
  REAL *c;
  int64_t c_row;
  REAL *keep;
  int last;
  bool add;
} NAME(tile_of);

/* The sums have names because compilers keep the elements of an array in memory. */
#define ROWS_OF(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define ZERO(r) NAME(lanes) sum_##r##_0 = {0}, sum_##r##_1 = {0}, sum_##r##_2 = {0};
#define STEP(r)                                       \
  if (rows > r) {                                     \
    const REAL a = x[r * (beside ? 1 : x_row)];       \
    sum_##r##_0 += a * b_0;                           \
    if (vectors > 1) sum_##r##_1 += a * b_1;          \
    if (vectors > 2) sum_##r##_2 += a * b_2;          \
  }
#define OF(p, v) (vectors == v + 1 ? NAME(load_some)((p) + v * LANES, last) : NAME(load)((p) + v * LANES))
#define ADD(r)                                                   \
  if (rows > r) {                                                \
    sum_##r##_0 += OF(c + r * c_row, 0);                         \
    if (vectors > 1) sum_##r##_1 += OF(c + r * c_row, 1);        \
    if (vectors > 2) sum_##r##_2 += OF(c + r * c_row, 2);        \
  }
#define PUT(r, v)                                                                          \
  if (vectors == v + 1) NAME(store_some)(c + r * c_row + v * LANES, &sum_##r##_##v, last); \
  else *(NAME(vector) *)(c + r * c_row + v * LANES) = sum_##r##_##v;
#define STORE(r)                      \
  if (rows > r) {                     \
    PUT(r, 0)                         \
    if (vectors > 1) {                \
      PUT(r, 1)                       \
    }                                 \
    if (vectors > 2) {                \
      PUT(r, 2)                       \
    }                                 \
  }
#define ONE_STEP                                                                                            \
  {                                                                                                         \
    NAME(lanes) b_0 = whole ? NAME(load)(y) : OF(y, 0), b_1 = b_0, b_2 = b_0;                               \
    if (vectors > 1) b_1 = whole ? NAME(load)(y + LANES) : OF(y, 1);                                        \
    if (vectors > 2) b_2 = whole ? NAME(load)(y + 2 * LANES) : OF(y, 2);                                    \
    if (keeps) {                                                                                            \
      NAME(lanes) *to = (NAME(lanes) *)keep;                                                                \
      to[0] = b_0;                                                                                          \
      if (vectors > 1) to[1] = b_1;                                                                         \
      if (vectors > 2) to[2] = b_2;                                                                         \
      keep += NAME(width);                                                                                  \
    }                                                                                                       \
    ROWS_OF(STEP)                                                                                           \
    x += x_step, y += y_step;                                                                               \
  }
/* whole: all lanes of y can be read; beside: the numbers of a step of x lie side by side. The loop is one step and asks for
 * nothing ahead: unrolled, or with other instructions between, it is slower. */
TARGET static inline __attribute__((always_inline)) void
NAME(tile)(int rows, int vectors, bool whole, bool beside, bool keeps, const NAME(tile_of) * t) {
  const REAL *x = t->x, *y = t->y;
  const int64_t k = t->k, x_row = t->x_row, x_step = t->x_step, y_step = t->y_step, c_row = t->c_row;
  REAL *c = t->c, *keep = t->keep;
  int last = t->last;
  ROWS_OF(ZERO)
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) __builtin_prefetch(c + r * c_row + v * LANES, 1);
  for (int64_t l = 0; l < k; l++) ONE_STEP
  if (t->add) {
    ROWS_OF(ADD)
  }
  ROWS_OF(STORE)
}
#undef ROWS_OF
#undef ZERO
#undef STEP
#undef ONE_STEP
#undef OF
#undef ADD
#undef PUT
#undef STORE

/* Rows and vectors known to the compiler, so that the sums stay in registers. Tiles of all rows are also made for vectors of
 * which every lane can be read; the last vector of the others is masked. */
typedef void NAME(tile_rule)(const NAME(tile_of) * t);
#define ONE(r, v)                                                                                                    \
  TARGET static void NAME(apart_##r##_##v)(const NAME(tile_of) * t) { NAME(tile)(r, v, !MASKS, false, false, t); }   \
  TARGET static void NAME(beside_##r##_##v)(const NAME(tile_of) * t) { NAME(tile)(r, v, !MASKS, true, false, t); }
#define FULL(v)                                                                                                      \
  TARGET static void NAME(apart_##v)(const NAME(tile_of) * t) { NAME(tile)(ROWS, v, true, false, false, t); }        \
  TARGET static void NAME(beside_##v)(const NAME(tile_of) * t) { NAME(tile)(ROWS, v, true, true, false, t); }        \
  TARGET static void NAME(keep_##v)(const NAME(tile_of) * t) { NAME(tile)(ROWS, v, !MASKS, false, true, t); }
#if ROWS > 4
#define EACH_ROW(f, v) f(1, v) f(2, v) f(3, v) f(4, v) f(5, v) f(6, v) f(7, v) f(8, v)
#else
#define EACH_ROW(f, v) f(1, v) f(2, v) f(3, v) f(4, v)
#endif
#if VECTORS > 2
#define EACH_VECTOR(f) f(1) f(2) f(3)
#elif VECTORS > 1
#define EACH_VECTOR(f) f(1) f(2)
#else
#define EACH_VECTOR(f) f(1)
#endif
#define ALL_ROWS(v) EACH_ROW(ONE, v)
EACH_VECTOR(ALL_ROWS)
EACH_VECTOR(FULL)
#define APART(r, v) NAME(apart_##r##_##v),
#define BESIDE(r, v) NAME(beside_##r##_##v),
#define LIST_APART(v) {EACH_ROW(APART, v)},
#define LIST_BESIDE(v) {EACH_ROW(BESIDE, v)},
#define FULL_APART(v) NAME(apart_##v),
#define FULL_BESIDE(v) NAME(beside_##v),
#define KEEP(v) NAME(keep_##v),
static NAME(tile_rule) *const NAME(tiles)[2][VECTORS][ROWS] = {{EACH_VECTOR(LIST_APART)}, {EACH_VECTOR(LIST_BESIDE)}};
static NAME(tile_rule) *const NAME(full)[2][VECTORS] = {{EACH_VECTOR(FULL_APART)}, {EACH_VECTOR(FULL_BESIDE)}};
static NAME(tile_rule) *const NAME(keeping)[VECTORS] = {EACH_VECTOR(KEEP)};

static inline NAME(tile_rule) * NAME(rule)(int64_t rows, int vectors, bool whole, const NAME(tile_of) * t) {
  bool beside = t->x_row == 1;
  return rows >= ROWS && whole ? NAME(full)[beside][vectors - 1]
                               : NAME(tiles)[beside][vectors - 1][(rows < ROWS ? rows : ROWS) - 1];
}
#undef ONE
#undef FULL
#undef ALL_ROWS
#undef APART
#undef BESIDE
#undef LIST_APART
#undef LIST_BESIDE
#undef FULL_APART
#undef FULL_BESIDE
#undef KEEP
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

/* depth steps of a panel side by side; beyond its columns anything. */
TARGET static void NAME(pack)(const part_of *p, int64_t from, int64_t depth, REAL *to) {
  const REAL *y = (const REAL *)p->y + from * p->y_step;
  if (p->y_col == 1) {
    int64_t whole = (p->cols - 1) / LANES * LANES;
    for (int64_t l = 0; l < depth; l++, y += p->y_step, to += NAME(width)) {
      for (int64_t v = 0; v < whole; v += LANES) *(NAME(vector) *)(to + v) = *(const NAME(vector) *)(y + v);
      *(NAME(vector) *)(to + whole) = NAME(load_some)(y + whole, (int)(p->cols - whole));
    }
  } else if (p->y_step == 1) {
    for (int64_t j = 0; j < p->cols; j += LANES) NAME(turn)(y + j * p->y_col, p->y_col, p->cols - j, depth, to + j);
  } else {
    memset(to, 0, (size_t)(depth * NAME(width)) * sizeof *to);
    for (int64_t j = 0; j < p->cols; j++)
      for (int64_t l = 0; l < depth; l++) to[l * NAME(width) + j] = y[j * p->y_col + l * p->y_step];
  }
}

/* ROWS rows of x that run along the inner axis, step by step side by side; of those beyond the last one, it again. */
TARGET static void NAME(turn_rows)(const REAL *x, int64_t x_row, int64_t rows, int64_t depth, REAL *to) {
  enum { SETS = LANES / ROWS > 0 ? LANES / ROWS : 1, STEPS = 4 * SETS };
  const REAL *row[ROWS], *column[LANES];
  int64_t l = 0;
  for (int r = 0; r < ROWS; r++) row[r] = x + (r < rows ? r : rows - 1) * x_row;
  for (int j = 0; j < LANES; j++) column[j] = row[j % ROWS] + j / ROWS * 4;
  for (; l + STEPS <= depth; l += STEPS) {
    NAME(lanes) m[4];
    for (int r = 0; r < ROWS; r++)
      if (l / STEPS % 2 == r % 2) __builtin_prefetch(row[r] + ROWS * x_row + l);
    for (int i = 0; i < 4; i++) {
      m[i] = GATHER(column, i, l);
    }
    NAME(transpose)(m);
    for (int i = 0; i < 4; i++)
      for (int s = 0; s < SETS; s++) memcpy(to + (l + 4 * s + i) * ROWS, (const REAL *)&m[i] + s * ROWS, ROWS * sizeof *to);
  }
  for (; l < depth; l++)
    for (int r = 0; r < ROWS; r++) to[l * ROWS + r] = row[r][l];
}

/* depth steps of a strip of rows of x, tile after tile. */
enum { NAME(strip) = 8 * ROWS };
TARGET static void NAME(pack_rows)(const part_of *p, int64_t strip, int64_t from, int64_t depth, REAL *to) {
  const REAL *x = (const REAL *)p->x + from * p->x_step;
  int64_t end = p->rows - strip < NAME(strip) ? p->rows : strip + NAME(strip);
  if (p->x_step == 1) {
    for (int64_t row = strip; row < end; row += ROWS)
      NAME(turn_rows)(x + row * p->x_row, p->x_row, p->rows - row, depth, to + row * depth);
    return;
  }
  for (int64_t l = 0; l < depth; l++)
    for (int64_t row = strip; row < end; row += ROWS) {
      const REAL *of = x + l * p->x_step + row * p->x_row;
      REAL *at = to + row * depth + l * ROWS;
      if (p->x_row == 1 && row + ROWS <= p->rows) memcpy(at, of, ROWS * sizeof *x);
      else
        for (int64_t r = 0; r < ROWS; r++) at[r] = of[(row + r < p->rows ? r : p->rows - 1 - row) * p->x_row];
    }
}

/* C = tile or C += tile where rows of the tile are columns of C. */
TARGET static void NAME(put_across)(const part_of *p, const REAL *tile, int64_t tile_row) {
  REAL *c = p->c;
  int64_t r = 0;
  for (; r + 4 <= p->rows; r += 4, tile += 4 * tile_row)
    for (int64_t v = 0; v < p->cols; v += LANES) {
      NAME(lanes) m[4];
      for (int i = 0; i < 4; i++) m[i] = *(const NAME(vector) *)(tile + i * tile_row + v);
      NAME(transpose)(m);
      for (int64_t j = v; j < p->cols && j < v + LANES; j++) {
        NAME(four) *to = (NAME(four) *)(c + j * p->c_col + r), of = ((NAME(four) *)&m[j % 4])[(j - v) / 4];
        if (p->add) of += *to;
        *to = of;
      }
    }
  for (; r < p->rows; r++, tile += tile_row)
    for (int64_t j = 0; j < p->cols; j++) {
      REAL *to = c + j * p->c_col + r * p->c_row;
      *to = p->add ? *to + tile[j] : tile[j];
    }
}

/* Columns of the next panel of so many: no very narrow one is left over. */
static int64_t NAME(panel_cols)(int64_t cols) {
  if (VECTORS > 2 && cols > NAME(width) && cols <= NAME(width) + LANES) return 2 * LANES;
  return cols < NAME(width) ? cols : NAME(width);
}

/* A small product, of one block: nothing is packed that can be read where it lies. */
TARGET static void NAME(small)(const cr__product *p) {
  _Alignas(64) REAL panel[DEPTH * NAME(width)];
  NAME(tile_of) t = {.k = p->k, .x_row = p->a_row, .x_step = p->a_col, .c_row = p->c_row, .add = p->add != 0};
  for (int64_t col = 0, cols; col < p->n; col += cols) {
    cols = NAME(panel_cols)(p->n - col);
    int vectors = (int)((cols + LANES - 1) / LANES);
    t.last = (int)(cols - (vectors - 1) * LANES);
    bool whole = t.last == LANES, direct = p->b_col == 1 && (MASKS || whole);
    t.x = p->a, t.y = (const REAL *)p->b + col * p->b_col, t.y_step = p->b_row, t.c = (REAL *)p->c + col;
    if (!direct) {
      part_of q = {.y = t.y, .cols = cols, .y_col = p->b_col, .y_step = p->b_row};
      NAME(pack)(&q, 0, p->k, panel);
      t.y = panel, t.y_step = NAME(width);
    }
    for (int64_t row = 0; row < p->m; row += ROWS, t.x += ROWS * p->a_row, t.c += ROWS * p->c_row)
      NAME(rule)(p->m - row, vectors, !direct || whole, &t)(&t);
  }
}

/* One panel, packed or read where it lies, times the rows; rows_of_x: NULL, or their packed block. */
TARGET static void NAME(panel)(const part_of *p, int64_t from, int64_t depth, int64_t col, int64_t cols, REAL *rows_of_x,
                               REAL *panel) {
  int vectors = (int)((cols + LANES - 1) / LANES), last = (int)(cols - (vectors - 1) * LANES);
  bool readable = p->y_col == 1 && (MASKS || last == LANES);
  bool near = p->y_step % LANES == 0 && depth * p->y_step * (int64_t)sizeof(REAL) <= NEAR;
  bool direct = readable && !p->packed && (p->rows <= ROWS || near);
  bool packed = !readable || p->packed;
  part_of q = *p;
  q.cols = cols, q.y = (const REAL *)p->y + col * p->y_col;
  if (packed && !p->packed) NAME(pack)(&q, from, depth, panel);
  NAME(tile_of) t = {.k = depth, .keep = panel, .last = last, .add = p->add || from > 0, .c_row = p->c_row};
  t.x_row = rows_of_x ? 1 : p->x_row, t.x_step = rows_of_x ? ROWS : p->x_step;
  for (int64_t row = 0; row < p->rows; row += ROWS) {
    if (rows_of_x && !col && row % NAME(strip) == 0) NAME(pack_rows)(p, row, from, depth, rows_of_x);
    t.x = rows_of_x ? rows_of_x + row * depth : (const REAL *)p->x + row * p->x_row + from * p->x_step;
    t.y = packed ? panel : (const REAL *)q.y + from * p->y_step, t.y_step = packed ? NAME(width) : p->y_step;
    t.c = (REAL *)p->c + row * p->c_row + col;
    if (direct || packed) {
      NAME(rule)(p->rows - row, vectors, !direct || last == LANES, &t)(&t);
    } else {
      NAME(keeping)[vectors - 1](&t);
      packed = true;
    }
  }
}

TARGET static void NAME(part)(const part_of *whole) {
  enum { MOST = PART_ROWS * 4 / (int)sizeof(REAL) };
  _Alignas(64) REAL rows_of_x[MOST * DEPTH], panel[DEPTH * NAME(width)], across[MOST * ACROSS];
  part_of p = *whole;
  if (whole->c_col != 1) p.c = across, p.c_row = ACROSS, p.c_col = 1, p.add = false;
  bool packs = p.rows > ROWS && p.cols > (p.x_step == 1 ? REUSE : 1) * NAME(width);
  int64_t longest = block_length(p.k);
  REAL *made = (REAL *)(uintptr_t)p.packed; /* only read */
  for (int64_t from = 0; from < p.k || !from; from += longest) {
    int64_t depth = p.k - from < longest ? p.k - from : longest;
    for (int64_t col = 0, cols; col < p.cols; col += cols) {
      cols = NAME(panel_cols)(p.cols - col);
      NAME(panel)(&p, from, depth, col, cols, packs ? rows_of_x : NULL, made ? made : panel);
      if (made) made += depth * NAME(width);
    }
  }
  if (whole->c_col != 1) NAME(put_across)(whole, across, ACROSS);
}

/* All panels, in the order in which they are needed. */
TARGET static void NAME(prepare)(const part_of *p, void *panels) {
  REAL *to = panels;
  part_of q = *p;
  int64_t longest = block_length(p->k);
  for (int64_t from = 0; from < p->k; from += longest) {
    int64_t depth = p->k - from < longest ? p->k - from : longest;
    for (int64_t col = 0; col < p->cols; col += q.cols, to += depth * NAME(width)) {
      q.cols = NAME(panel_cols)(p->cols - col), q.y = (const REAL *)p->y + col * p->y_col;
      NAME(pack)(&q, from, depth, to);
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
#undef MASKS
#undef LOAD_MASKED
#undef STORE_MASKED
