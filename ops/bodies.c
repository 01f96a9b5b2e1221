/* See bodies.h. */
#include "loops.h"

#include <string.h>

cr_array cr__stacked(const cr_array *a, int64_t lead) {
  cr_array b;
  int64_t dims[CR_MAX_RANK + 1] = {lead};
  memcpy(dims + 1, a->dim, a->rank * sizeof *dims);
  cr_array_init(&b, (cr_dtype)a->dtype, a->rank + 1, dims);
  return b;
}

bool cr__like(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

bool cr__fits_body(cr_infer *c, int k, const char *what, const cr_array *need) {
  cr_array a = c->in[k];
  if (cr__like(&a, need)) return true;
  char is[200], wants[200];
  cr_fail(c->tape, CR_BAD_SHAPE, "%s %d is %s %s, but the body takes %s %s", what, k, cr_dtype_name((cr_dtype)a.dtype),
          cr_shape_text(&a, is, sizeof is), cr_dtype_name((cr_dtype)need->dtype), cr_shape_text(need, wants, sizeof wants));
  return false;
}

void cr__vector_of(cr_array *out, cr_dtype dtype, int64_t count) { cr_array_init(out, dtype, 1, &count); }

cr_var cr__piece(cr_var flat, int64_t *at, const cr_array *shape) {
  int64_t from = *at;
  if (cr_is_poison(flat)) return flat;
  *at += shape->count;
  cr_array a = cr_view(flat);
  if (a.rank == shape->rank && a.count == shape->count && !memcmp(a.dim, shape->dim, a.rank * sizeof *a.dim)) return flat;
  if (a.count != shape->count) flat = cr_slice_axis(flat, 0, from, from + shape->count, 1);
  return cr_reshape(flat, shape->rank, shape->dim);
}

cr_array cr__bound(cr_eval *c, cr_array a, const cr_array *x) {
  a.data = (void *)(uintptr_t)cr__dense(c, x, (cr_dtype)a.dtype);
  return a;
}

/* Text */

const cr_field cr__branches_fields[] = {CR_FIELD(cr__branches, body[0], CR_FIELD_BODY, "body"),
                                        CR_FIELD(cr__branches, body[1], CR_FIELD_BODY, "other"),
                                        {.name = NULL}};
const cr_field cr__root_fields[] = {CR_FIELD(cr__root, f, CR_FIELD_BODY, "body"),
                                    CR_FIELD(cr__root, slope, CR_FIELD_BODY, "slope"),
                                    {.name = NULL}};
const cr_field cr__scan_fields[] = {CR_FIELD(cr__scan, body, CR_FIELD_BODY, "body"),
                                    CR_FIELD(cr__scan, steps, CR_FIELD_STEPS, "steps"),
                                    CR_FIELD(cr__scan, n_carry, CR_FIELD_INT, "carries"),
                                    CR_FIELD(cr__scan, n_xs, CR_FIELD_INT, "sequences"),
                                    CR_FIELD(cr__scan, n_const, CR_FIELD_INT, "constants"),
                                    CR_FIELD(cr__scan, n_ys, CR_FIELD_INT, "results"),
                                    CR_FIELD(cr__scan, n_sums, CR_FIELD_INT, "sums"),
                                    CR_FIELD(cr__scan, reverse, CR_FIELD_FLAG, "reverse"),
                                    CR_FIELD(cr__scan, counted, CR_FIELD_FLAG, "counted"),
                                    {.name = NULL}};

static bool same_ends(const cr_body *a, const cr_body *b) {
  bool same = cr_body_inputs(a) == cr_body_inputs(b) && cr_body_outputs(a) == cr_body_outputs(b);
  for (int k = 0; same && k < cr_body_inputs(a); k++) {
    cr_array x = cr_body_input(a, k), y = cr_body_input(b, k);
    same = cr__like(&x, &y);
  }
  for (int k = 0; same && k < cr_body_outputs(a); k++) {
    cr_array x = cr_body_output(a, k), y = cr_body_output(b, k);
    same = cr__like(&x, &y);
  }
  return same;
}

int cr__check_branches(const cr_infer *c) {
  const cr__branches *b = c->attr;
  bool chooses = !strcmp(c->op->name, "cond");
  return b->body[0] && chooses == (b->body[1] != NULL) &&
         (!chooses || (c->in[0].count == 1 && same_ends(b->body[0], b->body[1])));
}

int cr__check_root(const cr_infer *c) {
  const cr__root *r = c->attr;
  if (!r->f || !r->slope || c->n != cr_body_inputs(r->f) || cr_body_inputs(r->slope) != c->n + 1) return 0;
  cr_array x = cr_body_input(r->f, 0), f = cr_body_output(r->f, 0), dot = cr_body_input(r->slope, c->n),
           d = cr_body_output(r->slope, 0);
  bool good = cr_body_outputs(r->f) == 1 && cr_body_outputs(r->slope) == 1 && cr__is_float(&x) && x.dtype == f.dtype;
  for (int k = 0; good && k < c->n; k++) {
    cr_array a = cr_body_input(r->f, k), b = cr_body_input(r->slope, k);
    good = cr__like(&a, &b);
  }
  return good && x.count == f.count && cr__like(&x, &dot) && cr__like(&f, &d);
}

/* Steps without sequences are so many at most, since nothing that is there bounds them. */
enum { MOST_FREE_STEPS = 1 << 24 };

int cr__check_scan(const cr_infer *c) {
  const cr__scan *l = c->attr;
  const int64_t most = (int64_t)1 << 40;
  if (!l->body || l->n_carry < 0 || l->n_xs < 0 || l->n_const < 0 || l->n_ys < 0 || l->n_sums < 0) return 0;
  int64_t n = (int64_t)l->n_carry + l->n_xs + l->n_const, m = (int64_t)l->n_carry + l->n_ys + l->n_sums;
  if (n != cr_body_inputs(l->body) || m != cr_body_outputs(l->body) || c->n != n + l->counted) return 0;
  if (l->steps < 0 || l->steps > (l->n_xs ? most : MOST_FREE_STEPS)) return 0;
  for (int k = 0; k < n; k++) {
    cr_array a = cr_body_input(l->body, k);
    if (k >= l->n_carry && k < l->n_carry + l->n_xs && a.rank == CR_MAX_RANK) return 0;
  }
  for (int k = 0; k < m; k++) {
    cr_array a = cr_body_output(l->body, k), carry = k < l->n_carry ? cr_body_input(l->body, k) : a;
    if (!cr__like(&a, &carry) || (l->n_sums && !cr__is_float(&a)) || a.rank == CR_MAX_RANK) return 0;
    if (a.count && l->steps > most / a.count) return 0;
  }
  const cr_array *count = &c->in[c->n - 1];
  return !l->counted || (count->rank == 0 && count->dtype == CR_INT64);
}
