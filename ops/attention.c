/* Scaled dot-product attention, softmax(scale q k^T) v over the last two axes: shapes and rules. attend.c: its kernels. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "attend.h"
#include "fused.h"
#include "matrix.h"
#include "patterns.h"

static const cr_field attention_fields[] = {
  CR_FIELD(cr__attention, scale, CR_FIELD_REAL, "scale"),
  CR_FIELD(cr__attention, causal, CR_FIELD_FLAG, "causal"),
  {.name = NULL}};
static const cr_field pull_fields[] = {
  CR_FIELD(cr__attention, scale, CR_FIELD_REAL, "scale"),
  CR_FIELD(cr__attention, causal, CR_FIELD_FLAG, "causal"),
  CR_FIELD(cr__attention, packed, CR_FIELD_FLAG, "packed"),
  {.name = NULL}};

static void attention_show(char *text, size_t size, const void *attr) {
  const cr__attention *a = attr;
  snprintf(text, size, "scale=%.17g%s%s", a->scale, a->causal ? ", is_causal=True" : "", a->packed ? ", packed=True" : "");
}

/* As a composition */

static cr_var look_back(cr_var scores) {
  cr_array a = cr_view(scores);
  if (cr_is_poison(scores)) return scores;
  cr_var all = cr_full(scores.tape, CR_BOOL, 2, a.dim + a.rank - 2, 1);
  return cr_where(cr_tril(all, 0), scores, cr_const(scores.tape, -(double)INFINITY));
}

static cr_var scores_of(cr_var q, cr_var k, const cr__attention *a) {
  cr_var s = cr__scale(cr_matmul(q, cr_matrix_transpose(k)), a->scale);
  return a->causal ? look_back(s) : s;
}

static cr_var composed(int n, const cr_var *in, const void *attr) {
  (void)n;
  return cr_matmul(cr_safe_softmax(scores_of(in[0], in[1], attr), -1), in[2]);
}

/* Shapes and rules */

static cr_status attention_prepare(cr_tape *t, int n, cr_var *in) { return cr__prepare_matrices(t, n, in, 'f', 2); }

static cr_status attention_infer(cr_infer *c) {
  const cr_array *q = &c->in[0], *k = &c->in[1], *v = &c->in[2];
  int64_t dims[CR_MAX_RANK];
  int r = q->rank;
  if (q->dim[r - 1] != k->dim[r - 1] || k->dim[r - 2] != v->dim[r - 2]) {
    char one[200], two[200], three[200];
    cr_fail(c->tape, CR_BAD_SHAPE, "query %s, key %s and value %s: query and key need one width, key and value one length",
            cr_shape_text(q, one, sizeof one), cr_shape_text(k, two, sizeof two), cr_shape_text(v, three, sizeof three));
    return CR_BAD_SHAPE;
  }
  memcpy(dims, q->dim, sizeof dims);
  dims[r - 1] = v->dim[r - 1];
  cr_array_init(c->out, (cr_dtype)q->dtype, r, dims);
  return CR_OK;
}

/* Query, key and value of one batch; of the pull, the cotangent of the result too. */
static int attention_check(const cr_infer *c) {
  const int r = c->in[0].rank;
  if (!cr__check_floats(c) || r < 2) return 0;
  for (int k = 1; k < c->n; k++) {
    if (c->in[k].rank != r) return 0;
    for (int i = 0; i < r - 2; i++)
      if (c->in[k].dim[i] != c->in[0].dim[i]) return 0;
  }
  return c->in[0].dim[r - 1] == c->in[1].dim[r - 1] && c->in[1].dim[r - 2] == c->in[2].dim[r - 2] &&
         (c->n < 4 || (c->in[3].dim[r - 2] == c->in[0].dim[r - 2] && c->in[3].dim[r - 1] == c->in[2].dim[r - 1]));
}

static cr_status attention_pull_infer(cr_infer *c) {
  const cr_array *q = &c->in[0];
  if (((const cr__attention *)c->attr)->packed) {
    cr_array_init(c->out, (cr_dtype)q->dtype, 5, (int64_t[]){q->dim[0], q->dim[2], 3, q->dim[1], q->dim[3]});
    return CR_OK;
  }
  int64_t n = c->in[0].count + c->in[1].count + c->in[2].count;
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, 1, &n);
  return CR_OK;
}

static cr_var composed_pull(int n, const cr_var *in, const void *attr) {
  cr_var d[3];
  (void)n;
  if (!cr__composed_pull(3, in, attr, composed, d)) return cr_poison(in[0].tape);
  if (((const cr__attention *)attr)->packed) {
    for (int k = 0; k < 3; k++) d[k] = cr_permute(d[k], 4, (int[]){0, 2, 1, 3});
    return cr_stack(3, d, 2);
  }
  for (int k = 0; k < 3; k++) d[k] = cr_flatten(d[k], 0, -1);
  return cr_concatenate(3, d, 0);
}

static int attention_pull_check(const cr_infer *c) {
  const cr__attention *a = c->attr;
  bool same = c->n == 4 && attention_check(c);
  for (int k = 0; k < 3 && same && a->packed; k++) {
    same = c->in[k].rank == 4;
    for (int i = 0; i < 4 && same; i++) same = c->in[k].dim[i] == c->in[0].dim[i];
  }
  return same;
}

static void attention_pull_vjp(cr_vjp_rule *c) { cr__composed_vjp(c, composed_pull); }
static cr_var attention_pull_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed_pull); }
static const cr_op attention_pull_op = {
  .name = "attention_pull", .arity = CR_VARIADIC, .attr_size = sizeof(cr__attention), .fields = pull_fields,
  .check = attention_pull_check,
  .infer = attention_pull_infer,
  .eval = cr__attention_pull_eval, .vjp = attention_pull_vjp, .jvp = attention_pull_jvp, .show = attention_show,
  .rule = "as of the composition of products and softmax"};

/* Part k is operand k's cotangent in a pull's result, turned to (batch, time, 1, heads, width). */
static bool is_cotangent(cr_var pull, int k, cr_var part) {
  cr_array a = cr_view(part), all = cr_view(pull), q = cr_view(cr_operand(pull, k)), first = cr_view(cr_operand(pull, 0));
  const int64_t size = (int64_t)cr_dtype_size((cr_dtype)a.dtype);
  if (a.rank != 5 || q.rank != 4 || (char *)a.data != (char *)all.data + k * q.count * size) return false;
  const int64_t h = q.dim[1], t = q.dim[2], d = q.dim[3], dim[] = {q.dim[0], t, 1, h, d},
                stride[] = {h * t * d, d, 0, t * d, 1};
  bool same = true;
  for (int i = 0; i < 4; i++) same = same && q.dim[i] == first.dim[i];
  for (int i = 0; i < 5; i++) same = same && a.dim[i] == dim[i] && (dim[i] == 1 || a.stride[i] == stride[i]);
  return same;
}

cr_var cr__packed_cotangents(const cr_var *part) {
  cr_var pull = part[0], no = cr_poison(part[0].tape);
  while (cr_op_of(pull) && cr_op_of(pull) != &attention_pull_op && cr_view(pull).data == cr_view(part[0]).data)
    pull = cr_operand(pull, 0);
  if (cr_op_of(pull) != &attention_pull_op) return no;
  for (int k = 0; k < 3; k++)
    if (!is_cotangent(pull, k, part[k])) return no;
  cr__attention a = *(const cr__attention *)cr_attributes(pull);
  cr_var in[4];
  for (int k = 0; k < 4; k++) in[k] = cr_operand(pull, k);
  a.packed = 1;
  return cr_record(pull.tape, &attention_pull_op, 4, in, &a);
}

static void attention_vjp(cr_vjp_rule *c) {
  cr_var all = cr_record(c->tape, &attention_pull_op, 4, (cr_var[]){c->in[0], c->in[1], c->in[2], c->g}, c->attr);
  int64_t at = 0;
  for (int k = 0; k < 3; k++) {
    cr_array a = cr_view(c->in[k]);
    if (c->wanted[k]) c->d[k] = cr_reshape(cr_slice_axis(all, 0, at, at + a.count, 1), a.rank, a.dim);
    at += a.count;
  }
}
static cr_var attention_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed); }
static const cr_op attention_op = {
    .name = "attention", .check = attention_check,
    .arity = 3,
    .attr_size = sizeof(cr__attention), .fields = attention_fields,
    .prepare = attention_prepare,
    .infer = attention_infer,
    .eval = cr__attention_eval,
    .vjp = attention_vjp,
    .jvp = attention_jvp,
    .show = attention_show,
    .latex = "\\operatorname{attention}\\left(%a, %b, %c\\right)",
    .rule =
        "with p = softmax(scale q k^T): p^T g to v; ds = p (g v^T - sum(p g v^T)), scale ds k to q and scale ds^T q to k"};

/* With a mask or dropout: a composition. */
static cr_var masked(const cr_var *in, cr_var mask, double p, uint64_t seed, const cr__attention *a) {
  cr_var s = scores_of(in[0], in[1], a);
  if (!cr_absent(mask))
    s = cr_dtype_of(mask) == CR_BOOL ? cr_where(mask, s, cr_const(s.tape, -(double)INFINITY)) : cr_add(s, mask);
  return cr_matmul(cr_dropout(cr_safe_softmax(s, -1), p, 1, seed), in[2]);
}

static cr_var attend(cr_var q, cr_var k, cr_var v, cr_var mask, double p, uint64_t seed, cr__attention a) {
  cr_var in[3] = {q, k, v};
  if (cr_is_poison(q) || cr_is_poison(k) || cr_is_poison(v)) return cr_poison(q.tape);
  for (int j = 0; j < 3; j++)
    if (cr_rank(in[j]) < 2 || cr_dtype_of(in[j]) < CR_FLOAT32)
      return cr_fail(q.tape, CR_BAD_SHAPE,
                     "attention: query, key and value are float tensors of rank 2 or more, not %s of rank %d",
                     cr_dtype_name(cr_dtype_of(in[j])), cr_rank(in[j]));
  if (a.scale == 0) a.scale = cr_dim(q, -1) ? 1 / sqrt((double)cr_dim(q, -1)) : 1;
  return cr_absent(mask) && p == 0 ? cr_record(q.tape, &attention_op, 3, in, &a) : masked(in, mask, p, seed, &a);
}

cr_var cr_attend(cr_var query, cr_var key, cr_var value, cr_var mask, double scale, int causal) {
  return attend(query, key, value, mask, 0, 0, (cr__attention){scale, causal != 0, 0});
}

/* Rotary position embedding (Su et al. 2021): positions turn the pairs (j, j + width / 2) by angles that fall with j. */
cr_var cr_rope(cr_var x, double base, int64_t offset) {
  cr_array a = cr_view(x);
  if (cr_is_poison(x)) return x;
  if (a.rank < 2 || a.dim[a.rank - 1] % 2 || a.dtype < CR_FLOAT32 || !(base > 0))
    return cr_fail(x.tape, CR_BAD_SHAPE,
                   "rope: a float tensor (..., time, even width) and a positive base are needed; width %lld, base %g",
                   (long long)(a.rank ? a.dim[a.rank - 1] : 1), base);
  int64_t half = a.dim[a.rank - 1] / 2, dims[2] = {a.dim[a.rank - 2], half};
  cr_var c = cr_constant_of(x.tape, (cr_dtype)a.dtype, 2, dims, NULL),
         s = cr_constant_of(x.tape, (cr_dtype)a.dtype, 2, dims, NULL);
  if (cr_is_poison(c) || cr_is_poison(s)) return cr_poison(x.tape);
  cr_array cosines = cr_view(c), sines = cr_view(s);
  for (int64_t k = 0; k < cosines.count; k++) {
    double angle = (double)(k / half + offset) * pow(base, -(double)(k % half) / (double)half);
    cr_array_set(&cosines, k, cos(angle));
    cr_array_set(&sines, k, sin(angle));
  }
  cr_var u = cr_slice_axis(x, -1, 0, half, 1), v = cr_slice_axis(x, -1, half, 2 * half, 1);
  cr_var turned_pair[2] = {cr_sub(cr_mul(u, c), cr_mul(v, s)), cr_add(cr_mul(v, c), cr_mul(u, s))};
  return cr_concatenate(2, turned_pair, -1);
}

/* Names in the expression language */

static void call_attention(cr_call *c) {
  cr_var q = cr_arg_var(c, 0), k = cr_arg_var(c, 1), v = cr_arg_var(c, 2);
  cr_var mask = cr_arg_given(c, 3) ? cr_arg_var(c, 3) : cr_poison(cr_call_tape(c));
  cr__attention a = {0, cr_arg_bool(c, 5), 0};
  if (cr_arg_given(c, 6)) a.scale = cr_arg_number(c, 6);
  cr_return(c, attend(q, k, v, mask, cr_arg_number(c, 4), (uint64_t)cr_arg_int(c, 7), a));
}
static void call_rope(cr_call *c) { cr_return(c, cr_rope(cr_arg_var(c, 0), cr_arg_number(c, 1), cr_arg_int(c, 2))); }

static const cr_op *const recorded[] = {&attention_op, &attention_pull_op, NULL};

const cr_function cr__attention_functions[] = {
    {.ops = recorded,
     .signature = "scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, "
                  "scale=None, *, seed=0)",
     .call = call_attention,
     .family = "attention",
     .doc = "softmax(scale query key^T) value over the last two axes, scale 1 / sqrt(width) if None. attn_mask: bools, true "
            "where a "
            "query may look, or numbers added to the scores; is_causal: at no later key. A row that may look nowhere is 0.",
     .derivative =
         "with p = softmax(scale q k^T): p^T g to v; ds = p (g v^T - sum(p g v^T)), scale ds k to q and scale ds^T q to k",
     .samples = "scaled_dot_product_attention(q:(3,2), k:(4,2), v:(4,3)); "
                "scaled_dot_product_attention(q:(2,1,3,2), k:(2,2,3,2), v:(1,1,3,1), is_causal=True, scale=0.3); "
                "scaled_dot_product_attention(q:(2,2), k:(3,2), v:(3,2), m:(2,3)?); "
                "scaled_dot_product_attention(q:(2,2), k:(3,2), v:(3,2), m:(2,3)); "
                "scaled_dot_product_attention(q:(2,2), k:(3,2), v:(3,2), dropout_p=0.4, seed=3); "
                "scaled_dot_product_attention(x:(3,2), x, x, is_causal=True)"},
    {.signature = "rope(input, base=10000.0, offset=0)",
     .call = call_rope,
     .family = "attention",
     .doc = "Rotary position embedding of (..., time, width): elements j and j + width / 2 are turned together by the angle "
            "(t + offset) base^(-2 j / width).",
     .derivative = "the cotangent turned back",
     .samples = "rope(x:(3,4)); rope(x:(2,3,2), 100.0, 5)"},
    {.signature = NULL}};
