/* Products of matrices in C: loops for emitted sources; within a compiled function, tiles of sums in registers, with the
 * bits of the kernels. */
#include <string.h>

#include "smallproduct.h"

#include "turn.h" /* of which the compiled function has the text */

void cr__emit_dots(cr_emit_context *c, int lead, int64_t k) {
  cr_emit_view x = c->in[0], y = c->in[1];
  int level = cr_emit_level(c);
  const char *type = cr_emit_type((cr_dtype)c->out.array.dtype);
  int64_t step_x = x.array.stride[lead + 1], step_y = y.array.stride[lead];
  x.array.stride[lead + 1] = y.array.stride[lead] = 0;
  cr_emit_loops(c, lead + 2, c->out.array.dim);
  const char *row = cr_emit_pointer(c, &x, level), *column = cr_emit_pointer(c, &y, level);
  cr_emit_store(c, &c->out, level, CR_FLOAT64,
                cr_emit_text(c, "dot_%s(%s, %lld, %s, %lld, %lld)", type, row, (long long)step_x, column, (long long)step_y,
                             (long long)k));
  cr_emit_close(c, lead + 2);
}

void cr__emit_product(cr_emit_context *c, int lead, int64_t k) {
  cr_emit_view x = c->in[0], y = c->in[1], z = c->out;
  int level = cr_emit_level(c);
  x.array.rank = y.array.rank = z.array.rank = (uint8_t)(lead + 3); /* levels: the leading axes, i, l, j */
  x.array.stride[lead + 2] = y.array.stride[lead] = z.array.stride[lead + 1] = 0;
  y.array.stride[lead + 1] = c->in[1].array.stride[lead], y.array.stride[lead + 2] = c->in[1].array.stride[lead + 1];
  z.array.stride[lead + 2] = 1;
  if (k > 1 && z.array.dtype >= CR_FLOAT32) cr_emit_near(c);
  cr_emit_pointer(c, &c->out, level); /* declares a single number before it is written twice */
  cr_emit_loops(c, lead + 1, c->out.array.dim);
  cr_emit_loops(c, 1, &c->out.array.dim[lead + 1]);
  cr_emit_store(c, &c->out, level, (cr_dtype)z.array.dtype, "0");
  cr_emit_close(c, 1);
  cr_emit_loops(c, 1, &k);
  cr_emit_loops(c, 1, &c->out.array.dim[lead + 1]);
  cr_emit_line(c, "%s += %s * %s;", cr_emit_at(c, &z, level), cr_emit_at(c, &x, level), cr_emit_at(c, &y, level));
  cr_emit_close(c, lead + 3);
}

/* Small ones in compiled functions */

/* The kernels add with one rounding: one fused multiply-add for each step of the inner axis, in its order. Bytes of the
 * widest vectors that do; 0: there are none. */
static int vector_bytes(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return 64;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 32 : 0;
#elif defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
  return 16;
#else
  return 0;
#endif
}

/* Z = X Y, where rows of Y and Z are walked by vectors of so many lanes: A B, or the transpose of it. */
typedef struct product {
  cr_emit_context *c;
  const char *x, *y, *z, *type;
  int64_t m, n, k, x_row, x_step, y_col, y_step, z_row, z_col, lanes;
} product;

/* A square of Y can be turned in registers. */
static int has_squares(const product *p) { return p->y_step == 1 && p->n >= p->lanes && p->k >= p->lanes; }

static product transposed(const product *p) {
  return (product){p->c, p->y, p->x, p->z, p->type, p->n, p->m, p->k, p->y_col, p->y_step,
                   p->x_row, p->x_step, p->z_col, p->z_row, p->lanes};
}

/* The side whose numbers lie in rows as wide as vectors, or can be made to, is Y. */
static product product_of(cr_emit_context *c, int lead) {
  const cr_array *a = &c->in[0].array, *b = &c->in[1].array;
  const int level = cr_emit_level(c), size = (int)cr_dtype_size((cr_dtype)c->out.array.dtype);
  product p = {c, cr_emit_pointer(c, &c->in[0], level), cr_emit_pointer(c, &c->in[1], level),
               cr_emit_pointer(c, &c->out, level), cr_emit_type((cr_dtype)c->out.array.dtype),
               c->out.array.dim[lead], c->out.array.dim[lead + 1], a->dim[lead + 1],
               a->stride[lead], a->stride[lead + 1], b->stride[lead + 1], b->stride[lead],
               c->out.array.dim[lead + 1], 1, vector_bytes() / size};
  product q = transposed(&p);
  if (p.m == 1 || (p.n >= 4 && p.y_col == 1)) return p;
  if (q.y_col == 1 || p.n == 1) return q;
  return p;
}

/* Columns that do not lie side by side, made to. */
static void lay_flat(product *p) {
  if (p->n == 1) p->y_col = 1;
  if (p->y_col == 1 || (p->m == 1 && !has_squares(p))) return;
  const long long n = p->n, k = p->k, step = p->y_step, col = p->y_col;
  const char *flat = cr_emit_space(p->c, (cr_dtype)p->c->out.array.dtype, p->k * p->n);
  if (p->y_step == 1) {
    cr_emit_line(p->c, "turn_%s(%s, %lld, %lld, %lld, %s);", p->type, p->y, col, n, k, flat);
  } else {
    cr_emit_line(p->c, "for (int l = 0; l < %lld; l++)", k);
    cr_emit_line(p->c, "  for (int j = 0; j < %lld; j++) %s[%lld * l + j] = %s[%lld * l + %lld * j];", n, flat, n, p->y,
                 step, col);
  }
  p->y = flat, p->y_step = p->n, p->y_col = 1;
}

enum { MOST_VECTORS = 2, ROWS = 8, FEW_ROWS = 4 /* where there are fewer registers */ };

/* Rows i, ..., i + rows - 1 of so many vectors of columns. */
static void put_tile(const product *p, int64_t rows, int64_t from, int64_t lanes, int64_t vectors) {
  cr_emit_context *c = p->c;
  const long long r = rows, v = vectors, n = lanes, at = from, y_col = p->y_col, z_col = p->z_col;
  cr_emit_line(c, "lanes sum[%lld][%lld] = %s;", r, v, n == 1 ? "{{0}}" : "{{{0}}}");
  cr_emit_line(c, "for (int l = 0; l < %lld; l++)", (long long)p->k);
  cr_emit_line(c, "  _Pragma(\"GCC unroll %lld\") for (int r = 0; r < %lld; r++)", r, r);
  cr_emit_line(c, "    _Pragma(\"GCC unroll %lld\") for (int v = 0; v < %lld; v++)", v, v);
  const char *x = cr_emit_text(c, "x[%lld * (i + r) + %lld * l]", (long long)p->x_row, (long long)p->x_step);
  const char *y = cr_emit_text(c, "y[%lld * l + %lld * (%lld + %lld * v)]", (long long)p->y_step, y_col, at, n);
  /* A compiler may make vectors of a number's products, and then sum these: not fused. */
  if (n == 1)
    cr_emit_line(c, "      sum[r][v] = __builtin_fma%s(%s, %s, sum[r][v]);", strcmp(p->type, "float") ? "" : "f", x, y);
  else cr_emit_line(c, "      sum[r][v] += %s * *(const lanes *)&%s;", x, y);
  cr_emit_line(c, "_Pragma(\"GCC unroll %lld\") for (int r = 0; r < %lld; r++)", r, r);
  cr_emit_line(c, "  _Pragma(\"GCC unroll %lld\") for (int v = 0; v < %lld; v++)", v, v);
  if (z_col == 1 || n == 1)
    cr_emit_line(c, "    *(lanes *)&z[%lld * (i + r) + %lld * (%lld + %lld * v)] = sum[r][v];", (long long)p->z_row, z_col,
                 at, n);
  else
    cr_emit_line(c, "    for (int j = 0; j < %lld; j++) z[%lld * (i + r) + %lld * (%lld + %lld * v + j)] = sum[r][v][j];", n,
                 (long long)p->z_row, z_col, at, n);
}

static void put_rows(const product *p, int64_t from, int64_t lanes, int64_t vectors) {
  const int64_t rows = vector_bytes() == 64 ? ROWS : FEW_ROWS, whole = p->m / rows * rows;
  cr_emit_block(p->c, "{");
  const int size = (int)(vector_bytes() / p->lanes);
  if (lanes == 1) cr_emit_line(p->c, "typedef %s lanes;", p->type);
  else
    cr_emit_line(p->c, "typedef %s lanes __attribute__((vector_size(%d), aligned(%d), may_alias));", p->type,
                 (int)lanes * size, size);
  if (whole) {
    cr_emit_block(p->c, cr_emit_text(p->c, "for (int i = 0; i < %lld; i += %lld) {", (long long)whole, (long long)rows));
    put_tile(p, rows, from, lanes, vectors);
    cr_emit_close(p->c, 1);
  }
  if (whole < p->m) {
    cr_emit_line(p->c, "const int i = %lld;", (long long)whole);
    put_tile(p, p->m - whole, from, lanes, vectors);
  }
  cr_emit_close(p->c, 1);
}

int cr__small_product(cr_emit_context *c, int lead) {
  enum { MOST = 1 << 15, DEEPEST = 256, WIDEST = 128 };
  int64_t batch = 1;
  for (int i = 0; i < lead; i++) batch *= c->out.array.dim[i];
  if (batch != 1 || !c->out.array.count || !vector_bytes()) return 0;
  product p = product_of(c, lead);
  if (!p.k || p.k > DEEPEST || p.m * p.n * p.k > MOST || p.n > WIDEST) return 0;
  cr_emit_fused(c);
  lay_flat(&p);
  cr_emit_line(c, "const %s *x = %s, *y = %s;", p.type, p.x, p.y);
  cr_emit_line(c, "%s *z = %s;", p.type, p.z);
  for (int64_t from = 0, lanes = p.y_col == 1 ? p.lanes : 1, vectors; from < p.n; from += lanes * vectors) {
    while (lanes > p.n - from) lanes /= 2;
    vectors = (p.n - from) / lanes;
    put_rows(&p, from, lanes, vectors = vectors > MOST_VECTORS ? MOST_VECTORS : vectors);
  }
  return 1;
}
