/* Indexing, slicing and members: A[0, 1:3], A[..., None], x[[2, 0]], A.T, A.shape. */
#include <stdio.h>

#include "evaluate.h"

typedef struct indexing {
  cr__evaluator *e;
  const cr_syntax *at;
  cr__value x;
  int axis;                 /* of x, that the next index is about */
} indexing;

static cr__value text_value(cr__evaluator *e, const cr_syntax *at, const char *text) {
  char *copy = cr__arena_text(&e->language->scratch, text, strlen(text));
  return copy ? (cr__value){.kind = CR__TEXT_VALUE, .as.text = copy} : cr__stop(e, at, CR_NO_MEMORY, "out of memory");
}

static cr__value whole(int64_t n) { return cr__number((double)n, true); }

static bool is_integer(const cr__value *v) { return v->kind == CR__NUMBER && v->integral; }

/* lo:hi:step over n, as Python has it. */
typedef struct span {
  int64_t start, stop, step;
} span;

static bool bound(cr__evaluator *e, const cr_syntax *s, int64_t absent, int64_t *out) {
  char text[300];
  cr__value v = cr__evaluate(e, s);
  if (e->failed) return false;
  *out = absent;
  if (v.kind == CR__NONE_VALUE) return true;
  if (is_integer(&v)) {
    *out = fabs(v.as.number) < 1e15 ? (int64_t)v.as.number : v.as.number < 0 ? -1000000000000000 : 1000000000000000;
    return true;
  }
  cr__stop(e, s, CR_BAD_INDEX, "expected an integer in the slice, found %s", cr__value_text(e, &v, text, sizeof text));
  return false;
}

static int64_t clip(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

static bool span_of(cr__evaluator *e, const cr_syntax *s, int64_t n, span *out) {
  const cr_syntax *lo = s->first, *hi = lo->next;
  const int64_t absent = INT64_MIN;
  if (!bound(e, lo, absent, &out->start) || !bound(e, hi, absent, &out->stop)) return false;
  if (!bound(e, hi->next, 1, &out->step)) return false;
  if (!out->step) return cr__stop(e, s, CR_BAD_INDEX, "a slice cannot have step 0"), false;
  bool back = out->step < 0;
  int64_t least = back ? -1 : 0, most = back ? n - 1 : n;
  if (out->start == absent) out->start = back ? n - 1 : 0;
  else out->start = clip(out->start < 0 ? out->start + n : out->start, least, most);
  if (out->stop == absent) out->stop = back ? -1 : n;
  else out->stop = clip(out->stop < 0 ? out->stop + n : out->stop, least, most);
  return true;
}

/* Lists and tuples */

static cr__value index_list(cr__evaluator *e, const cr_syntax *s, const cr__value *list) {
  const cr_syntax *k = s->first->next;
  char text[300];
  if (k->kind == CR_SLICE) {
    span p;
    if (!span_of(e, k, list->n, &p)) return (cr__value){0};
    int64_t n = p.step > 0 ? (p.stop - p.start + p.step - 1) / p.step : (p.start - p.stop - p.step - 1) / -p.step;
    cr__value *item = n > 0 ? cr__take(e->tape, &e->language->scratch, (size_t)n * sizeof *item) : NULL;
    if (n > 0 && !item) return cr__node_value(e, s, cr_poison(e->tape));
    for (int64_t i = 0; i < n; i++) item[i] = list->as.item[p.start + i * p.step];
    return (cr__value){.kind = list->kind, .n = n > 0 ? (uint32_t)n : 0, .as.item = item};
  }
  cr__value v = cr__evaluate(e, k);
  if (e->failed) return v;
  if (!is_integer(&v))
    return cr__stop(e, k, CR_BAD_INDEX, "expected an integer, found %s", cr__value_text(e, &v, text, sizeof text));
  double at = v.as.number < 0 ? v.as.number + list->n : v.as.number;
  if (at < 0 || at >= list->n)
    return cr__stop(e, k, CR_BAD_INDEX, "index %.0f is outside %s", v.as.number,
                    cr__value_text(e, list, text, sizeof text));
  return list->as.item[(uint32_t)at];
}

/* Tensors */

static bool step_done(indexing *x, cr__value v, int axes) {
  x->x = v;
  x->axis += axes;
  return !x->e->failed;
}

static bool take_slice(indexing *x, const cr_syntax *k) {
  cr_var v = x->x.as.node;
  int64_t n = cr_dim(v, x->axis);
  span p;
  if (!span_of(x->e, k, n, &p)) return false;
  if (p.start == 0 && p.stop == n && p.step == 1) return step_done(x, x->x, 1);
  /* backwards to the very start has no stop that is an index */
  cr__value in[5] = {x->x, whole(x->axis), whole(p.start), p.stop < 0 ? cr__none() : whole(p.stop), whole(p.step)};
  return step_done(x, cr__apply(x->e, k, "slice_axis", in, 5), 1);
}

static bool take_integer(indexing *x, const cr_syntax *k, double at) {
  int64_t n = cr_dim(x->x.as.node, x->axis);
  if (at < -(double)n || at >= (double)n) {
    cr__stop(x->e, k, CR_BAD_INDEX, "index %.0f is outside axis %d of size %lld", at, x->axis, (long long)n);
    return false;
  }
  cr__value in[3] = {x->x, whole(x->axis), whole((int64_t)(at < 0 ? at + (double)n : at))};
  return step_done(x, cr__apply(x->e, k, "select", in, 3), 0);
}

/* One tensor or list of integers. */
static bool take_many(indexing *x, const cr_syntax *k, cr__value v) {
  cr_var index = cr__to_index(x->e, &v, k);
  if (x->e->failed) return false;
  if (cr_dtype_of(index) == CR_BOOL)
    return cr__stop(x->e, k, CR_BAD_INDEX, "a mask would give a shape that depends on values: use where"), false;
  int rank = cr_rank(index);
  cr__value i = {.kind = CR__NODE, .as.node = index};
  if (rank > 1) {
    if (x->axis)
      return cr__stop(x->e, k, CR_BAD_INDEX, "an index tensor of rank %d must be about the first axis", rank), false;
    cr__value list = {.kind = CR__LIST_VALUE, .n = 1, .as.item = &i}, in[2] = {x->x, list};
    return step_done(x, cr__apply(x->e, k, "index", in, 2), rank);
  }
  if (rank == 0) i = cr__apply(x->e, k, "unsqueeze", (cr__value[]){i, whole(0)}, 2);
  if (x->e->failed) return false;
  cr__value v1 = cr__apply(x->e, k, "index_select", (cr__value[]){x->x, whole(x->axis), i}, 3);
  if (rank == 0 && !x->e->failed) v1 = cr__apply(x->e, k, "squeeze", (cr__value[]){v1, whole(x->axis)}, 2);
  return step_done(x, v1, rank);
}

static bool take_one(indexing *x, const cr_syntax *k, const cr__value *v) {
  char text[300];
  int rank = cr_rank(x->x.as.node);
  if (k->kind == CR_SLICE ? x->axis >= rank : v->kind != CR__NONE_VALUE && x->axis >= rank)
    return cr__stop(x->e, k, CR_BAD_INDEX, "too many indices for %s",
                    cr__value_text(x->e, &x->x, text, sizeof text)), false;
  if (k->kind == CR_SLICE) return take_slice(x, k);
  if (v->kind == CR__NONE_VALUE)
    return step_done(x, cr__apply(x->e, k, "unsqueeze", (cr__value[]){x->x, whole(x->axis)}, 2), 1);
  if (is_integer(v)) return take_integer(x, k, v->as.number);
  return take_many(x, k, *v);
}

static bool is_tensor_like(const cr__value *v) {
  return v->kind == CR__NODE || v->kind == CR__LIST_VALUE || v->kind == CR__TUPLE_VALUE;
}

/* x[i, j] with several tensors: elements picked together, over the leading axes. */
static cr__value take_together(cr__evaluator *e, const cr_syntax *s, cr__value x, cr__value *index, uint32_t n) {
  uint32_t i = 0;
  for (const cr_syntax *k = s->first->next; k; k = k->next, i++) {
    if (k->kind == CR_SLICE || k->kind == CR_ELLIPSIS || (!is_tensor_like(&index[i]) && !is_integer(&index[i])))
      return cr__stop(e, k, CR_BAD_INDEX, "several index tensors must come alone, one for each of the first axes");
    index[i] = cr__node_value(e, k, cr__to_index(e, &index[i], k));
    if (e->failed) return index[i];
  }
  cr__value list = {.kind = CR__LIST_VALUE, .n = n, .as.item = index};
  return cr__apply(e, s, "index", (cr__value[]){x, list}, 2);
}

static cr__value index_tensor(cr__evaluator *e, const cr_syntax *s, cr__value base) {
  indexing x = {e, s, cr__node_value(e, s, cr__to_node(e, &base, s)), 0};
  uint32_t n = 0, i = 0, tensors = 0;
  int used = 0, ellipses = 0;
  for (const cr_syntax *k = s->first->next; k; k = k->next) n++;
  cr__value *index = cr__take(e->tape, &e->language->scratch, n * sizeof *index);
  if (!index) return cr__node_value(e, s, cr_poison(e->tape));
  for (const cr_syntax *k = s->first->next; k && !e->failed; k = k->next, i++) {
    index[i] = k->kind == CR_SLICE || k->kind == CR_ELLIPSIS ? (cr__value){0} : cr__evaluate(e, k);
    tensors += is_tensor_like(&index[i]);
    if (k->kind == CR_ELLIPSIS && ++ellipses > 1)
      return cr__stop(e, k, CR_BAD_INDEX, "only one ... can stand in an index");
    used += k->kind == CR_SLICE || (k->kind != CR_ELLIPSIS && index[i].kind != CR__NONE_VALUE);
  }
  if (e->failed) return (cr__value){0};
  if (tensors > 1) return take_together(e, s, x.x, index, n);
  int skipped = cr_rank(x.x.as.node) - used;
  i = 0;
  for (const cr_syntax *k = s->first->next; k; k = k->next, i++) {
    if (k->kind == CR_ELLIPSIS) x.axis += skipped > 0 ? skipped : 0;
    else if (!take_one(&x, k, &index[i])) return (cr__value){0};
  }
  return x.x;
}

cr__value cr__index(cr__evaluator *e, const cr_syntax *s) {
  cr__value base = cr__evaluate(e, s->first);
  if (e->failed) return base;
  const cr_syntax *k = s->first->next;
  bool list = (base.kind == CR__LIST_VALUE || base.kind == CR__TUPLE_VALUE) && !base.cell;
  bool widens = k->next || k->kind == CR_ELLIPSIS || (k->kind == CR_NAME && !strcmp(k->text, "None"));
  return list && !widens ? index_list(e, s, &base) : index_tensor(e, s, base);
}

/* Members */

static cr__value shape_of(cr__evaluator *e, const cr_syntax *s, cr_var v) {
  int rank = cr_rank(v);
  cr__value *item = cr__take(e->tape, &e->language->scratch, (size_t)rank * sizeof *item);
  if (!item) return cr__node_value(e, s, cr_poison(e->tape));
  for (int i = 0; i < rank; i++) item[i] = whole(cr_dim(v, i));
  return (cr__value){.kind = CR__TUPLE_VALUE, .n = (uint32_t)rank, .as.item = item};
}

/* np.inf, torch.float32: a member of a module is the name itself, unless the module's name is a variable. */
static bool is_module(const cr__evaluator *e, const cr_syntax *s) {
  static const char *const modules[] = {"torch", "np", "numpy", NULL};
  for (size_t i = 0; modules[i] && s->kind == CR_NAME; i++)
    if (!strcmp(modules[i], s->text)) return !e->program || !cr__variable_named(e->program, s->text);
  return false;
}

cr__value cr__member(cr__evaluator *e, const cr_syntax *s) {
  const cr_syntax name = {.kind = CR_NAME, .at = s->at, .length = s->length, .height = 1, .text = s->text};
  if (is_module(e, s->first)) return cr__evaluate(e, &name);
  cr__value x = cr__evaluate(e, s->first);
  if (e->failed) return x;
  cr_var v = cr__to_node(e, &x, s);
  if (e->failed) return (cr__value){0};
  x = (cr__value){.kind = CR__NODE, .as.node = v};
  if (!strcmp(s->text, "shape")) return shape_of(e, s, v);
  if (!strcmp(s->text, "ndim")) return whole(cr_rank(v));
  if (!strcmp(s->text, "dtype")) return text_value(e, s, cr_dtype_name(cr_dtype_of(v)));
  if (!strcmp(s->text, "T") || !strcmp(s->text, "mT")) {
    if (cr_rank(v) < 2) return x;
    if (cr__callable_named(e->tape, "mT")) return cr__apply(e, s, "mT", &x, 1);
    return cr__apply(e, s, "transpose", (cr__value[]){x, whole(-2), whole(-1)}, 3);
  }
  if (cr__callable_named(e->tape, s->text)) return cr__apply(e, s, s->text, &x, 1);
  return cr__stop(e, s, CR_UNKNOWN_NAME, "unknown member '.%.60s'; there are .T, .shape, .ndim, .dtype", s->text);
}
