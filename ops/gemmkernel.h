/* The kernels for one element type and one vector length: gemm.c includes this with REAL, LANES, ROWS, TARGET and NAME set.
 * A panel is a strip of the right matrix, as wide as two vectors; a tile is as many rows of it as registers hold. */

typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
enum { NAME(width) = 2 * LANES };

/* rows x (vectors * LANES) elements of C, in c at c_row apart, from k steps of x and of the panel y. */
TARGET static inline __attribute__((always_inline)) void
NAME(tile)(int rows, int vectors, int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y, int64_t y_step,
           REAL *c, int64_t c_row, bool add) {
  NAME(vector) sum[ROWS][2];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) __builtin_prefetch(c + r * c_row + v * LANES, 1);
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = add ? *(const NAME(vector) *)(c + r * c_row + v * LANES) : (NAME(vector)){0};
  for (int64_t l = 0; l < k; l++, x += x_step, y += y_step)
    for (int r = 0; r < rows; r++)
      for (int v = 0; v < vectors; v++) sum[r][v] += x[r * x_row] * *(const NAME(vector) *)(y + v * LANES);
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) *(NAME(vector) *)(c + r * c_row + v * LANES) = sum[r][v];
}

/* The number of rows known to the compiler, so that the sums stay in registers. */
TARGET static void
NAME(tile_of)(int rows, int vectors, int64_t k, const REAL *x, int64_t x_row, int64_t x_step, const REAL *y, int64_t y_step,
              REAL *c, int64_t c_row, bool add) {
#define CASE(r)                                                                       \
  case 2 * r: NAME(tile)(r, 1, k, x, x_row, x_step, y, y_step, c, c_row, add); break; \
  case 2 * r + 1: NAME(tile)(r, 2, k, x, x_row, x_step, y, y_step, c, c_row, add); break;
  switch (2 * rows + vectors - 1) {
    CASE(1) CASE(2) CASE(3) CASE(4)
#if ROWS > 4
    CASE(5) CASE(6) CASE(7) CASE(8)
#endif
  }
#undef CASE
}

/* Four columns that run along the inner axis, turned into four rows: a transposition in registers. */
TARGET static void NAME(turn)(const REAL *y, int64_t y_col, int64_t depth, REAL *to) {
  typedef REAL four __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
  int64_t l = 0;
  for (; l + 4 <= depth; l += 4, y += 4, to += 4 * NAME(width)) {
    four a = *(const four *)y, b = *(const four *)(y + y_col);
    four c = *(const four *)(y + 2 * y_col), d = *(const four *)(y + 3 * y_col);
    four e = __builtin_shufflevector(a, b, 0, 4, 1, 5), f = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    four g = __builtin_shufflevector(c, d, 0, 4, 1, 5), h = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four *)to = __builtin_shufflevector(e, g, 0, 1, 4, 5);
    *(four *)(to + NAME(width)) = __builtin_shufflevector(e, g, 2, 3, 6, 7);
    *(four *)(to + 2 * NAME(width)) = __builtin_shufflevector(f, h, 0, 1, 4, 5);
    *(four *)(to + 3 * NAME(width)) = __builtin_shufflevector(f, h, 2, 3, 6, 7);
  }
  for (; l < depth; l++, y++, to += NAME(width))
    for (int j = 0; j < 4; j++) to[j] = y[j * y_col];
}

/* depth steps of a panel side by side. Beyond its columns: whatever follows them in memory, or zeros. */
TARGET static void NAME(pack)(const part_of *p, int64_t from, int64_t depth, REAL *to) {
  const REAL *y = (const REAL *)p->y + from * p->y_step;
  int64_t j = 0, l = 0, whole = (p->cols > LANES ? 2 : 1) * LANES, end = (depth - 1) * p->y_step + p->cols;
  if (p->y_col == 1) {
    const REAL *row = y;
    for (; l < depth && row - y + whole <= end; l++, row += p->y_step) {
      *(NAME(vector) *)(to + l * NAME(width)) = *(const NAME(vector) *)row;
      if (whole > LANES) *(NAME(vector) *)(to + l * NAME(width) + LANES) = *(const NAME(vector) *)(row + LANES);
    }
    for (; l < depth; l++) {
      memset(to + l * NAME(width), 0, NAME(width) * sizeof *to);
      memcpy(to + l * NAME(width), y + l * p->y_step, (size_t)p->cols * sizeof *to);
    }
    return;
  }
  if (p->cols < NAME(width)) memset(to, 0, (size_t)(depth * NAME(width)) * sizeof *to);
  for (; p->y_step == 1 && j + 4 <= p->cols; j += 4) NAME(turn)(y + j * p->y_col, p->y_col, depth, to + j);
  for (; j < p->cols; j++)
    for (l = 0; l < depth; l++) to[l * NAME(width) + j] = y[j * p->y_col + l * p->y_step];
}

/* A tile that is narrower than the panel or lies across C. */
TARGET static void NAME(odd_tile)(const part_of *p, int64_t row, int rows, int64_t depth, const REAL *x, int64_t x_row,
                                 int64_t x_step, const REAL *y, bool add) {
  REAL tile[ROWS * NAME(width)], *c = (REAL *)p->c + row * p->c_row;
  size_t across = (size_t)p->cols * sizeof *c;
  for (int64_t r = 0; add && r < rows; r++)
    if (p->c_col == 1) memcpy(tile + r * NAME(width), c + r * p->c_row, across);
    else
      for (int64_t j = 0; j < p->cols; j++) tile[r * NAME(width) + j] = c[r * p->c_row + j * p->c_col];
  NAME(tile_of)(rows, p->cols > LANES ? 2 : 1, depth, x, x_row, x_step, y, NAME(width), tile, NAME(width), add);
  for (int64_t r = 0; r < rows; r++)
    if (p->c_col == 1) memcpy(c + r * p->c_row, tile + r * NAME(width), across);
    else
      for (int64_t j = 0; j < p->cols; j++) c[r * p->c_row + j * p->c_col] = tile[r * NAME(width) + j];
}

/* Asks for some rows of the next block of the panel: they lie too far apart for the processor to foresee. */
TARGET static void NAME(foresee)(const part_of *p, int64_t from, int64_t to) {
  for (int64_t l = from; l < to && l < p->k; l++)
    for (int v = 0; v < 2; v++) __builtin_prefetch((const REAL *)p->y + l * p->y_step + v * LANES, 0, 2);
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

/* A block of the inner axis, for one panel. rows_of_x: packed, or NULL. */
TARGET static void NAME(block)(const part_of *p, int64_t from, int64_t depth, const REAL *rows_of_x) {
  REAL panel[DEPTH * NAME(width)];
  bool plain = p->c_col == 1 && p->cols == NAME(width), direct = plain && p->y_col == 1 && p->rows <= ROWS;
  bool add = p->add || from > 0;
  if (!direct) NAME(pack)(p, from, depth, panel);
  for (int64_t row = 0; row < p->rows; row += ROWS) {
    int rows = (int)(p->rows - row < ROWS ? p->rows - row : ROWS);
    const REAL *x = (const REAL *)p->x + row * p->x_row + from * p->x_step;
    int64_t x_row = p->x_row, x_step = p->x_step, next = from + DEPTH + row * DEPTH / p->rows;
    if (p->y_col == 1) NAME(foresee)(p, next, next + (ROWS * DEPTH + p->rows - 1) / p->rows);
    if (rows_of_x) x = rows_of_x + row * depth, x_row = 1, x_step = ROWS;
    if (!plain) NAME(odd_tile)(p, row, rows, depth, x, x_row, x_step, panel, add);
    else
      NAME(tile_of)(rows, 2, depth, x, x_row, x_step, direct ? (const REAL *)p->y + from * p->y_step : panel,
                    direct ? p->y_step : NAME(width), (REAL *)p->c + row * p->c_row, p->c_row, add);
  }
}

TARGET static void NAME(part)(const part_of *p) {
  REAL rows_of_x[PART_ROWS * DEPTH + ROWS * DEPTH];
  bool packs = p->x_row == 1 && p->x_step > 1 && p->cols > NAME(width) && p->rows > ROWS;
  for (int64_t from = 0; from < p->k || !from; from += DEPTH) {
    int64_t depth = p->k - from < DEPTH ? p->k - from : DEPTH;
    if (packs) NAME(pack_rows)(p, from, depth, rows_of_x);
    for (int64_t col = 0; col < p->cols; col += NAME(width)) {
      part_of q = *p;
      q.cols = p->cols - col < NAME(width) ? p->cols - col : NAME(width);
      q.y = (const REAL *)p->y + col * p->y_col;
      q.c = (REAL *)p->c + col * p->c_col;
      NAME(block)(&q, from, depth, packs ? rows_of_x : NULL);
    }
  }
}
#undef REAL
#undef LANES
#undef ROWS
#undef TARGET
#undef NAME
