/* Sorting along an axis: a stable order as integers, and selections by it. */
#include <stdio.h>
#include <string.h>

#include "ops.h"

/* argsort: positions in sorted order; equal ones keep their order and NaN counts as the largest */

typedef struct sort_attr {
  int axis, descending;
} sort_attr;

static const cr_field sort_fields[] = {
  CR_FIELD(sort_attr, axis, CR_FIELD_AXIS, "axis"),
  CR_FIELD(sort_attr, descending, CR_FIELD_FLAG, "descending"),
  {.name = NULL}};

static void sort_show(char *text, size_t size, const void *attr) {
  const sort_attr *s = attr;
  snprintf(text, size, "dim=%d%s", s->axis, s->descending ? ", descending=True" : "");
}

static cr_status sort_infer(cr_infer *c) {
  cr_array_init(c->out, CR_INT64, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

/* A number as an unsigned integer of the same order: -0 equals 0, NaN comes last. */
static uint64_t key_of(const void *data, int64_t i, cr_dtype dtype) {
  const uint64_t sign = (uint64_t)1 << 63;
  if (dtype < CR_FLOAT32) return (uint64_t)((const int64_t *)data)[i] ^ sign;
  double x = ((const double *)data)[i] + 0.0;
  uint64_t bits;
  if (x != x) return UINT64_MAX;
  memcpy(&bits, &x, sizeof bits);
  return bits & sign ? ~bits : bits | sign;
}

typedef struct entry {
  uint64_t key;
  int64_t index;
} entry;

static void insertion_sort(entry *e, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    entry moving = e[i];
    int64_t k = i;
    for (; k > 0 && e[k - 1].key > moving.key; k--) e[k] = e[k - 1];
    e[k] = moving;
  }
}

static void merge(const entry *a, int64_t n, const entry *b, int64_t m, entry *out) {
  while (n && m) {
    if (b->key < a->key) *out++ = *b++, m--;
    else *out++ = *a++, n--;
  }
  memcpy(out, n ? a : b, (size_t)(n + m) * sizeof *out);
}

/* Stable; returns e or spare, whichever holds the result. */
static entry *merge_sort(entry *e, entry *spare, int64_t n) {
  enum { RUN = 16 };
  for (int64_t i = 0; i < n; i += RUN) insertion_sort(e + i, n - i < RUN ? n - i : RUN);
  for (int64_t run = RUN; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      int64_t left = n - i < run ? n - i : run, right = n - i - left < run ? n - i - left : run;
      merge(e + i, left, e + i + left, right, spare + i);
    }
    entry *sorted = spare;
    spare = e;
    e = sorted;
  }
  return e;
}

static cr_status sort_eval(cr_eval *c) {
  const sort_attr *s = c->attr;
  const cr_array *x = &c->in[0];
  cr_dtype dtype = x->dtype >= CR_FLOAT32 ? CR_FLOAT64 : CR_INT64;
  int64_t n = x->dim[s->axis], inner = c->out->stride[s->axis], *out = c->out->data;
  const void *data = cr__dense(c, x, dtype);
  entry *e = cr_scratch(c, 2 * (size_t)n * sizeof *e);
  if (!data || !e) return CR_NO_MEMORY;
  for (int64_t lane = 0; n && lane < x->count / n; lane++) {
    int64_t first = lane / inner * inner * n + lane % inner;
    for (int64_t k = 0; k < n; k++) {
      uint64_t key = key_of(data, first + k * inner, dtype);
      e[k] = (entry){s->descending ? ~key : key, k};
    }
    const entry *sorted = merge_sort(e, e + n, n);
    for (int64_t k = 0; k < n; k++) out[first + k * inner] = sorted[k].index;
  }
  return CR_OK;
}

static const cr_op argsort_op = {
  .name = "argsort", .check = cr__check_numbers, .arity = 1, .kind = CR_PIECEWISE_CONSTANT,
  .attr_size = sizeof(sort_attr), .fields = sort_fields, .infer = sort_infer,
  .eval = sort_eval, .show = sort_show, .rule = "none: the result is integers"};

/* A tensor of rank 0 is sorted as a vector of one element. */
static cr_var at_least_vector(cr_var x) { return cr_is_poison(x) || cr_rank(x) ? x : cr_reshape(x, 1, (int64_t[]){1}); }

cr_var cr_argsort(cr_var x, int axis, int descending) {
  int k = cr_is_poison(x) ? -1 : cr__axis_of(x, "argsort", axis);
  if (k < 0) return cr_poison(x.tape);
  cr_var v = at_least_vector(x), order = cr_record(x.tape, &argsort_op, 1, &v, &(sort_attr){k, descending});
  return cr_rank(x) || cr_is_poison(order) ? order : cr_reshape(order, 0, NULL);
}

/* Positions from to to of the order, and the values there. */
static cr_var pick(cr_var x, int axis, int descending, int64_t from, int64_t to, cr_var *indices) {
  *indices = cr_slice_axis(cr_argsort(x, axis, descending), axis, from, to, 1);
  return cr_gather(x, axis, *indices);
}

cr_var cr_sort(cr_var x, int axis, int descending, cr_var *indices) {
  cr_var unused;
  if (!indices) indices = &unused;
  *indices = cr_argsort(x, axis, descending);
  return cr_gather(x, axis, *indices);
}

cr_var cr_topk(cr_var x, int64_t k, int axis, int largest, cr_var *indices) {
  cr_var unused;
  if (!indices) indices = &unused;
  int a = cr_is_poison(x) ? -1 : cr__axis_of(x, "topk", axis);
  cr_var v = at_least_vector(x);
  if ((*indices = cr_poison(x.tape), a < 0)) return *indices;
  if (k < 0 || k > cr_dim(v, a))
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "topk: k is %lld, the axis has size %lld", (long long)k,
                   (long long)cr_dim(v, a));
  cr_var values = pick(v, a, largest, 0, k, indices);
  if (cr_rank(x) || k != 1) return values;
  *indices = cr_reshape(*indices, 0, NULL);
  return cr_reshape(values, 0, NULL);
}

cr_var cr_kthvalue(cr_var x, int64_t k, int axis, int keepdim, cr_var *indices) {
  cr_var unused;
  if (!indices) indices = &unused;
  int a = cr_is_poison(x) ? -1 : cr__axis_of(x, "kthvalue", axis);
  cr_var v = at_least_vector(x);
  if ((*indices = cr_poison(x.tape), a < 0)) return *indices;
  if (k < 1 || k > cr_dim(v, a))
    return cr_fail(x.tape, CR_BAD_ARGUMENT, "kthvalue: k is %lld, the axis has size %lld", (long long)k,
                   (long long)cr_dim(v, a));
  cr_var values = pick(v, a, 0, k - 1, k, indices);
  if (keepdim && cr_rank(x)) return values;
  *indices = cr_squeeze(*indices, 1, &a);
  return cr_squeeze(values, 1, &a);
}

cr_var cr_median(cr_var x, int axis, int keepdim, cr_var *indices) {
  cr_var unused;
  if (!indices) indices = &unused;
  int a = cr_is_poison(x) ? -1 : cr__axis_of(x, "median", axis);
  if ((*indices = cr_poison(x.tape), a < 0)) return *indices;
  int64_t n = cr_rank(x) ? cr_dim(x, a) : 1;
  if (!n) return cr_fail(x.tape, CR_BAD_SHAPE, "median: axis %d is empty", a);
  cr_var v = at_least_vector(x), order = cr_argsort(v, a, 0), last = cr_slice_axis(order, a, n - 1, n, 1);
  cr_var middle = cr_slice_axis(order, a, (n - 1) / 2, (n - 1) / 2 + 1, 1);
  *indices = cr_where(cr_isnan(cr_gather(v, a, last)), last, middle); /* a NaN is ordered last and passed on */
  cr_var values = cr_gather(v, a, *indices);
  if (keepdim && cr_rank(x)) return values;
  *indices = cr_squeeze(*indices, 1, &a);
  return cr_squeeze(values, 1, &a);
}

/* Names in the expression language */

static void return_pair(cr_call *c, cr_var values, cr_var indices) {
  cr_return(c, values);
  cr_return(c, indices);
}
static void call_argsort(cr_call *c) {
  (void)cr_arg_bool(c, 3);
  cr_return(c, cr_argsort(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), cr_arg_bool(c, 2)));
}
static void call_sort(cr_call *c) {
  cr_var indices, values = cr_sort(cr_arg_var(c, 0), (int)cr_arg_int(c, 1), cr_arg_bool(c, 2), &indices);
  return_pair(c, values, indices);
}
static void call_topk(cr_call *c) {
  cr_var indices, values = cr_topk(cr_arg_var(c, 0), cr_arg_int(c, 1), (int)cr_arg_int(c, 2), cr_arg_bool(c, 3), &indices);
  return_pair(c, values, indices);
}
static void call_kthvalue(cr_call *c) {
  cr_var indices, values = cr_kthvalue(cr_arg_var(c, 0), cr_arg_int(c, 1), (int)cr_arg_int(c, 2), cr_arg_bool(c, 3),
                                       &indices);
  return_pair(c, values, indices);
}
static void call_median(cr_call *c) {
  cr_var x = cr_arg_var(c, 0), indices;
  if (!cr_arg_given(c, 1)) {
    cr_return(c, cr_median(cr_reshape(x, 1, (int64_t[]){-1}), 0, 0, &indices));
    return;
  }
  cr_var values = cr_median(x, (int)cr_arg_int(c, 1), cr_arg_bool(c, 2), &indices);
  return_pair(c, values, indices);
}

static const cr_op *const recorded[] = {&argsort_op, NULL};

const cr_function cr__sort_functions[] = {
  {.ops = recorded, .signature = "argsort(input, dim=-1, descending=False, stable=False)", .call = call_argsort,
   .family = "sorting",
   .doc = "Positions in sorted order, int64; always stable, NaN counts as the largest.",
   .derivative = "none: the result is integers",
   .samples = "index_select(x:(4), 0, argsort(y:(4)))"},
  {.signature = "sort(input, dim=-1, descending=False, stable=False)", .call = call_sort, .family = "sorting",
   .doc = "Sorted values and their positions; always stable, NaN counts as the largest.",
   .derivative = "the cotangent put back in the old order",
   .kinks = "the returned positions at a tie", .samples = "sort(x:(2,4)); sort(x:(3,2), dim=0, descending=True)"},
  {.signature = "topk(input, k, dim=-1, largest=True, sorted=True)", .call = call_topk, .family = "sorting",
   .doc = "The k largest (or smallest) values in order, and their positions.",
   .derivative = "the cotangent at their positions",
   .kinks = "the returned positions at a tie", .samples = "topk(x:(2,4), 2); topk(x:(4), 3, largest=False)"},
  {.signature = "kthvalue(input, k, dim=-1, keepdim=False)", .call = call_kthvalue, .family = "sorting",
   .doc = "The k-th smallest value along an axis, k from 1, and its position.",
   .derivative = "the cotangent at that position",
   .kinks = "the returned position at a tie", .samples = "kthvalue(x:(2,4), 2); kthvalue(x:(3,2), 1, dim=0, keepdim=True)"},
  {.signature = "median(input, dim=None, keepdim=False)", .call = call_median, .family = "sorting",
   .doc = "The lower median: of all elements, or along an axis together with its position.",
   .derivative = "the cotangent at that position",
   .kinks = "the returned position at a tie", .samples = "median(x:(2,3)); median(x:(2,4), dim=1)"},
  {.signature = NULL}};
