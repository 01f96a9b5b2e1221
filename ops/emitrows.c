/* See emitrows.h. */
#include <string.h>

#include "emitrows.h"

static cr_emit_view dense_view(const char *base, const cr_array *shape, cr_dtype dtype) {
  cr_emit_view v = {.base = base};
  cr_array_init(&v.array, dtype, shape->rank, shape->dim);
  return v;
}

int cr__emit_kept(cr_emit_context *c, unsigned mask) {
  cr_emit_view kept = cr_emit_axes(&c->in[0], ~mask);
  cr_emit_loops(c, kept.array.rank, kept.array.dim);
  return kept.array.rank;
}

/* The axes that stay, then those of the rows. */
static cr_emit_view rows_last(const cr_emit_view *v, unsigned mask) {
  cr_emit_view kept = cr_emit_axes(v, ~mask), row = cr_emit_axes(v, mask);
  for (int i = 0; i < row.array.rank; i++) {
    kept.array.dim[kept.array.rank] = row.array.dim[i];
    kept.array.stride[kept.array.rank++] = row.array.stride[i];
  }
  return kept;
}

static void copy_row(cr_emit_context *c, const cr_emit_view *of, unsigned mask, const char *buffer, cr_dtype dtype,
                     int level, bool back) {
  cr_emit_view all = rows_last(of, mask), row = cr_emit_axes(of, mask), flat = dense_view(buffer, &row.array, dtype);
  int inner = cr_emit_level(c);
  cr_emit_loops(c, row.array.rank, row.array.dim);
  if (back) cr_emit_store(c, &all, level, dtype, cr_emit_at(c, &flat, inner));
  else cr_emit_store(c, &flat, inner, (cr_dtype)of->array.dtype, cr_emit_at(c, &all, level));
  cr_emit_close(c, row.array.rank);
}

/* The element of a reduction's result, or of an operand of its shape, that belongs to the row. */
static cr_emit_view reduced(const cr_emit_view *v, const cr_emit_view *kept) {
  cr_emit_view one = *v;
  cr_array dense;
  if (v->array.rank == kept->array.rank) return one;
  if (v->array.contiguous) {
    cr_array_init(&dense, (cr_dtype)v->array.dtype, kept->array.rank, kept->array.dim);
    one.array = dense;
  }
  return one;
}

static const char *call_text(cr_emit_context *c, const char *call, const char *const *part) {
  const char *text = "";
  for (const char *p = call; *p;) {
    size_t n = strcspn(p, "$");
    text = cr_emit_text(c, "%s%.*s", text, (int)n, p);
    p += n;
    if (*p) text = cr_emit_text(c, "%s%s", text, part[p[1] - '0']), p += 2;
  }
  return text;
}

void cr__emit_rows(cr_emit_context *c, unsigned mask, cr_dtype dtype, cr__row_result result, const char *call) {
  cr_emit_view row = cr_emit_axes(&c->in[0], mask), kept = cr_emit_axes(&c->in[0], ~mask);
  const char *part[5] = {NULL};
  int level = cr_emit_level(c);
  part[0] = cr_emit_space(c, dtype, row.array.count);
  part[1] = strstr(call, "$1") ? cr_emit_space(c, dtype, row.array.count) : "";
  part[2] = cr_emit_text(c, "%lld", (long long)row.array.count);
  part[3] = strstr(call, "$3") ? cr_emit_space(c, dtype, row.array.count) : "";
  cr_emit_loops(c, kept.array.rank, kept.array.dim);
  copy_row(c, &c->in[0], mask, part[0], dtype, level, false);
  if (*part[1]) copy_row(c, &c->in[1], mask, part[1], dtype, level, false);
  if (strstr(call, "$4")) {
    cr_emit_view one = reduced(&c->in[1], &kept);
    part[4] = cr_emit_at(c, &one, level);
  }
  const char *text = call_text(c, call, part);
  if (result == CR__ONE_NUMBER) {
    cr_emit_view one = reduced(&c->out, &kept);
    cr_emit_store(c, &one, level, c->out.array.dtype == CR_INT64 && dtype == CR_FLOAT64 ? CR_INT64 : dtype, text);
  } else {
    cr_emit_line(c, "%s;", text);
    copy_row(c, &c->out, mask, part[0], dtype, level, true);
  }
  cr_emit_close(c, kept.array.rank);
}

void cr__emit_matrices(cr_emit_context *c, const char *call) {
  const cr_emit_view *first = &c->in[0], *last = &c->in[c->n - 1];
  unsigned mask = 3u << (first->array.rank - 2);
  cr_emit_view kept = cr_emit_axes(&c->out, ~mask);
  const int64_t n = first->array.dim[first->array.rank - 2], m = last->array.dim[last->array.rank - 1];
  const char *part[7] = {NULL};
  int level = cr_emit_level(c);
  part[0] = cr_emit_space(c, CR_FLOAT64, n * n);
  part[1] = c->n > 1 ? cr_emit_space(c, CR_FLOAT64, n * m) : part[0];
  part[2] = cr_emit_text(c, "%lld", (long long)n);
  part[3] = cr_emit_text(c, "%lld", (long long)m);
  if (strstr(call, "$4")) part[4] = cr_emit_space(c, CR_FLOAT64, n * n);
  if (strstr(call, "$5")) part[5] = cr_emit_space(c, CR_FLOAT64, n * m);
  if (strstr(call, "$6")) part[6] = cr_emit_space(c, CR_INT64, n);
  cr_emit_loops(c, kept.array.rank, kept.array.dim);
  for (int k = 0; k < c->n; k++) copy_row(c, &c->in[k], mask, part[k], CR_FLOAT64, level, false);
  cr_emit_line(c, "%s;", call_text(c, call, part));
  copy_row(c, &c->out, mask, part[1], CR_FLOAT64, level, true);
  cr_emit_close(c, kept.array.rank);
}
