/* What an emitted function computes: its outputs, and derivatives recorded as nodes. */
#include "emitting.h"

/* The float outputs and inputs, which derivatives relate. */
typedef struct ends {
  cr_emitter *e;
  cr_var *y, *x, *d;
  int m, n;
  int64_t rows, columns; /* elements of all y, of all x */
  cr_dtype dtype;
} ends;

int cr__add_out(cr_emitter *e, const char *name, const char *meaning, cr_dtype dtype, int rank, const int64_t *dims) {
  cr__out *o = &e->out[e->n_out];
  *o = (cr__out){.name = cr__identifier(e, name), .meaning = meaning, .used_in = -1};
  cr_array_init(&o->shape, dtype, rank, dims);
  return e->n_out++;
}

bool cr__add_piece(cr_emitter *e, cr__piece piece) {
  if (cr_is_poison(piece.v)) return false;
  if (!(e->n_pieces & (e->n_pieces - 1)) && e->n_pieces >= 16) {
    cr__piece *more = cr__alloc(e->t, 2 * (size_t)e->n_pieces * sizeof *more);
    if (!more) return false;
    memcpy(more, e->piece, (size_t)e->n_pieces * sizeof *more);
    e->piece = more;
  }
  e->piece[e->n_pieces++] = piece;
  return true;
}

static bool add_piece(cr_emitter *e, cr_var v, int out, int64_t at, int64_t step) {
  return cr__add_piece(e, (cr__piece){.v = v, .out = out, .at = at, .step = step});
}

static bool find_ends(ends *s, int n_out, const cr_var *out) {
  cr_emitter *e = s->e;
  s->y = cr__alloc(e->t, (size_t)(n_out + 2 * e->n_in + 1) * sizeof *s->y);
  if (!s->y) return false;
  s->x = s->y + n_out, s->d = s->x + e->n_in;
  int dtype = -1;
  for (int k = 0; k < n_out; k++)
    if (cr_dtype_of(out[k]) >= CR_FLOAT32) s->rows += cr_count(s->y[s->m++] = out[k]);
  for (int k = 0; k < e->n_in; k++) {
    if (cr_dtype_of(e->in[k]) < CR_FLOAT32) continue;
    s->columns += cr_count(s->x[s->n++] = e->in[k]);
    if (dtype >= 0 && dtype != (int)cr_dtype_of(e->in[k]) && e->options->what > CR_EMIT_GRADIENT)
      return cr_fail(e->t, CR_BAD_DTYPE, "emit: a Jacobian or Hessian of float32 and float64 inputs together"), false;
    dtype = (int)cr_dtype_of(e->in[k]);
  }
  if (!s->m || !s->n)
    return cr_fail(e->t, CR_NOT_DIFFERENTIABLE, "emit: no float %s to differentiate", s->m ? "input" : "output"), false;
  s->dtype = (cr_dtype)dtype;
  return true;
}

/* A constant like v with a one at position k, zeros elsewhere. */
static cr_var unit(cr_var v, int64_t k) {
  cr_array a = cr_view(v);
  cr_var one = cr_constant_of(v.tape, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  if (cr_is_poison(one)) return one;
  a = cr_view(one);
  cr_array_set(&a, k, 1);
  return one;
}

static bool gradient(ends *s) {
  cr_emitter *e = s->e;
  if (cr_vjp_many(s->m, s->y, NULL, s->n, s->x, s->d) != CR_OK) return false;
  for (int k = 0; k < s->n; k++) {
    const char *of = cr_name_of(s->x[k]), *name = cr__format(e, "d_%s", of ? of : "x");
    cr_array a = cr_view(s->x[k]);
    if (!add_piece(e, s->d[k], cr__add_out(e, name, "gradient", (cr_dtype)a.dtype, a.rank, a.dim), 0, 1)) return false;
  }
  return true;
}

/* The derivatives of v's elements as rows of a matrix, from the row-th on: reverse mode. */
static bool rows_of(ends *s, cr_var v, int out, int64_t row) {
  for (int64_t k = 0; k < cr_count(v); k++) {
    int64_t column = 0;
    cr_var seed = cr_count(v) == 1 ? cr_poison(v.tape) : unit(v, k); /* poison means ones */
    if (cr_vjp_many(1, &v, &seed, s->n, s->x, s->d) != CR_OK) return false;
    for (int j = 0; j < s->n; j++) {
      if (!add_piece(s->e, s->d[j], out, (row + k) * s->columns + column, 1)) return false;
      column += cr_count(s->x[j]);
    }
  }
  return true;
}

/* With respect to x[j]'s elements, as columns: forward mode. */
static bool columns_of(ends *s, int j, int out, int64_t column) {
  cr_var *dot = cr__alloc(s->e->t, (size_t)s->m * sizeof *dot);
  if (!dot) return false;
  for (int64_t k = 0; k < cr_count(s->x[j]); k++) {
    cr_var tangent = unit(s->x[j], k);
    if (cr_jvp(s->m, s->y, 1, &s->x[j], &tangent, dot) != CR_OK) return false;
    int64_t row = 0;
    for (int i = 0; i < s->m; i++) {
      if (!add_piece(s->e, dot[i], out, row * s->columns + column + k, s->columns)) return false;
      row += cr_count(s->y[i]);
    }
  }
  return true;
}

static bool jacobian(ends *s) {
  int64_t at = 0;
  if (s->e->options->sparse) return cr__add_sparse(s->e, "jacobian", s->dtype, s->m, s->y, s->n, s->x, false);
  int out = cr__add_out(s->e, "jacobian", "Jacobian", s->dtype, 2, (int64_t[]){s->rows, s->columns});
  bool by_rows = s->rows <= s->columns;
  for (int k = 0; k < (by_rows ? s->m : s->n); k++) {
    if (by_rows ? !rows_of(s, s->y[k], out, at) : !columns_of(s, k, out, at)) return false;
    at += cr_count(by_rows ? s->y[k] : s->x[k]);
  }
  return true;
}

static bool hessian(ends *s) {
  int64_t row = 0;
  if (!gradient(s)) return false;
  cr_var *slope = cr__alloc(s->e->t, (size_t)s->n * sizeof *slope);
  if (!slope) return false;
  memcpy(slope, s->d, (size_t)s->n * sizeof *slope);
  if (s->e->options->sparse) return cr__add_sparse(s->e, "hessian", s->dtype, s->n, slope, s->n, s->x, true);
  int out = cr__add_out(s->e, "hessian", "Hessian", s->dtype, 2, (int64_t[]){s->columns, s->columns});
  for (int k = 0; k < s->n; k++) {
    if (!rows_of(s, slope[k], out, row)) return false;
    row += cr_count(slope[k]);
  }
  return true;
}

bool cr__make_outputs(cr_emitter *e, int n_out, const cr_var *out) {
  ends s = {.e = e};
  const cr_emit_options *o = e->options;
  e->out = cr__alloc(e->t, (size_t)(n_out + e->n_in + 1) * sizeof *e->out);
  e->piece = cr__alloc(e->t, 16 * sizeof *e->piece);
  if (!e->out || !e->piece) return false;
  for (int k = 0; k < n_out; k++) {
    const char *name = o->out_name ? o->out_name[k] : cr_name_of(out[k]);
    cr_array a = cr_view(out[k]);
    if (!add_piece(e, out[k], cr__add_out(e, name ? name : "value", "value", (cr_dtype)a.dtype, a.rank, a.dim), 0, 1))
      return false;
  }
  e->returns = n_out && e->out[0].shape.count == 1;
  if (o->what == CR_EMIT_VALUE) return true;
  if (!find_ends(&s, n_out, out)) return false;
  return o->what == CR_EMIT_GRADIENT ? gradient(&s) : o->what == CR_EMIT_JACOBIAN ? jacobian(&s) : hessian(&s);
}
