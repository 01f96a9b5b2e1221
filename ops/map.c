/* A function of one sample applied to all: its nodes recorded again with a leading axis where they depend on the samples.
 * How an operation takes that axis is one line of the table; an operation without a line is run sample by sample (loops.c).
 */
#include <string.h>

#include "bodies.h"
#include "reduce.h"
#include "shapes.h"

/* The nodes of graph in terms of nodes of t: those that depend on the samples have a leading axis of size n. */
typedef struct mapping {
  cr_tape *t, *graph;
  cr_body *body;         /* whose the graph is; NULL: the graph is t itself */
  int64_t n;
  cr_var *of;            /* by node of the graph */
  unsigned char *mapped;
} mapping;

/* A node of the graph on its way to t. */
typedef struct item {
  const mapping *m;
  cr_var node;           /* of the graph */
  const cr_op *op;
  int n;
  cr_var *in;            /* on t */
  const unsigned char *mapped;
  int rank;              /* of the first operand, for one sample */
} item;

/* With the leading axis, whether or not it depends on the samples. */
static cr_var spread(const mapping *m, cr_var v, bool mapped) {
  cr_array a = cr_view(v), all = cr__stacked(&a, m->n);
  return mapped ? v : cr_broadcast_to(v, all.rank, all.dim);
}
static void spread_all(item *i) {
  for (int k = 0; k < i->n; k++) i->in[k] = spread(i->m, i->in[k], i->mapped[k]);
}

/* An operation with its attributes, which begin with what moves: a mask of axes, an axis. */
enum { LARGEST_ATTR = 512 };
typedef union attr {
  max_align_t align;
  unsigned char bytes[LARGEST_ATTR];
  unsigned mask;
  int axis;
} attr;

static cr_var again(item *i, const attr *a) { return cr_record(i->m->t, i->op, i->n, i->in, a); }
static attr attr_of(const item *i) {
  attr a;
  memset(&a, 0, sizeof a);
  if (i->op->attr_size) memcpy(&a, cr_attributes(i->node), i->op->attr_size);
  return a;
}
static cr_var no_rule(const item *i) { return cr_poison(i->m->t); }

/* The rules */

/* Element by element: shapes of one sample are equal, so the leading axis broadcasts. */
static cr_var elementwise(item *i) {
  attr a = attr_of(i);
  return again(i, &a);
}
/* The trailing axes alone have a meaning; all operands get the leading one. */
static cr_var trailing(item *i) {
  spread_all(i);
  return elementwise(i);
}
static cr_var over_axes(item *i) {
  attr a = attr_of(i);
  a.mask <<= 1;
  spread_all(i);
  return again(i, &a);
}
static cr_var along_axis(item *i) {
  attr a = attr_of(i);
  a.axis += 1;
  spread_all(i);
  return again(i, &a);
}

static cr_var reshape(item *i) {
  cr_array y = cr_view(i->node), all = cr__stacked(&y, i->m->n);
  return cr_reshape(i->in[0], all.rank, all.dim);
}
static cr_var broadcast_to(item *i) {
  cr_array y = cr_view(i->node), all = cr__stacked(&y, i->m->n), x = cr_view(i->in[0]);
  int64_t dims[CR_MAX_RANK + 1] = {i->m->n};
  int gap = y.rank - i->rank;
  for (int k = 0; k < y.rank; k++) dims[k + 1] = k < gap ? 1 : x.dim[k - gap + 1];
  return cr_broadcast_to(cr_reshape(i->in[0], y.rank + 1, dims), all.rank, all.dim);
}

static void put_first(int64_t *list, int64_t value) {
  memmove(list + 1, list, (CR_MAX_RANK - 1) * sizeof *list);
  list[0] = value;
}
static cr_var permute(item *i) {
  dims_attr d = *(const dims_attr *)cr_attributes(i->node);
  for (int k = 0; k < d.rank; k++) d.dim[k]++;
  put_first(d.dim, 0);
  d.rank++;
  return cr_record(i->m->t, i->op, 1, i->in, &d);
}
static cr_var slice(item *i) {
  slice_attr s = *(const slice_attr *)cr_attributes(i->node);
  put_first(s.start, 0), put_first(s.step, 1), put_first(s.dim, i->m->n);
  s.rank++;
  return cr_record(i->m->t, i->op, 1, i->in, &s);
}
static cr_var pad(item *i) {
  pad_attr p = *(const pad_attr *)cr_attributes(i->node);
  if (i->mapped[1]) return no_rule(i);
  put_first(p.lo, 0), put_first(p.hi, 0), put_first(p.interior, 0);
  p.rank++;
  return cr_record(i->m->t, i->op, 2, i->in, &p);
}

/* Operands are matrices with leading axes of one shape; those of one sample for all stay as they are where that is one
 * product. */
static cr_var product(item *i) {
  if (i->rank > 2) spread_all(i);
  return cr_matmul(i->in[0], i->in[1]);
}

/* Samples become part of the first axis of the first operand, which is a batch already. */
static cr_var into_batch(item *i) {
  cr_array x = cr_view(i->in[0]), y = cr_view(i->node), all = cr__stacked(&y, i->m->n);
  for (int k = 1; k < i->n; k++)
    if (i->mapped[k]) return no_rule(i);
  int64_t dims[CR_MAX_RANK];
  memcpy(dims, x.dim + 1, (size_t)(x.rank - 1) * sizeof *dims);
  dims[0] *= i->m->n;
  i->in[0] = cr_reshape(i->in[0], x.rank - 1, dims);
  return cr_reshape(elementwise(i), all.rank, all.dim);
}

/* Rows of one table, by positions that differ from sample to sample; or the same positions of all. */
static cr_var index_select(item *i) {
  cr_array y = cr_view(i->node), all = cr__stacked(&y, i->m->n);
  attr a = attr_of(i);
  if (!i->mapped[1]) {
    a.axis++;
    return again(i, &a);
  }
  if (i->mapped[0] || a.axis) return no_rule(i);
  i->in[1] = cr_reshape(i->in[1], 1, (int64_t[]){cr_count(i->in[1])});
  return cr_reshape(again(i, &a), all.rank, all.dim);
}

static const struct rule {
  const char *op;
  cr_var (*apply)(item *i);
} rules[] = {
    {"where", elementwise},
    {"cast", elementwise},
    {"copy", elementwise},
    {"stop_gradient", elementwise},
    {"one_hot", trailing},
    {"ravel_index", trailing},
    {"gru_gates", trailing},
    {"solve", trailing},
    {"solve_triangular", trailing},
    {"cholesky", trailing},
    {"lstsq", trailing},
    {"det", trailing},
    {"cofactor", trailing},
    {"sign_det", trailing},
    {"log_abs_det", trailing},
    {"eigvalsh", trailing},
    {"eigenvectors", trailing},
    {"svdvals", trailing},
    {"sum", over_axes},
    {"prod", over_axes},
    {"all", over_axes},
    {"any", over_axes},
    {"amax", over_axes},
    {"amin", over_axes},
    {"argmax", over_axes},
    {"argmin", over_axes},
    {"extreme_shares", over_axes},
    {"center", over_axes},
    {"vector_norm", over_axes},
    {"standardize", over_axes},
    {"standardize_pull", over_axes},
    {"softmax", over_axes},
    {"log_softmax", over_axes},
    {"logsumexp", over_axes},
    {"deviate", over_axes},
    {"deviate_transposed", over_axes},
    {"concatenate", along_axis},
    {"stack", along_axis},
    {"select", along_axis},
    {"gather", along_axis},
    {"scatter", along_axis},
    {"scatter_add", along_axis},
    {"last_writer", along_axis},
    {"linear_scan", along_axis},
    {"logcumsumexp", along_axis},
    {"logcumsumexp_gap", along_axis},
    {"cummax_index", along_axis},
    {"cummin_index", along_axis},
    {"argsort", along_axis},
    {"reshape", reshape},
    {"broadcast_to", broadcast_to},
    {"permute", permute},
    {"slice", slice},
    {"pad", pad},
    {"matmul", product},
    {"convolve", into_batch},
    {"add_channels", into_batch},
    {"index_select", index_select},
};

static cr_var (*rule_of(const cr_op *op))(item *) {
  if (op->row) return elementwise;
  if (op->attr_size > LARGEST_ATTR) return NULL;
  for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
    if (!strcmp(rules[k].op, op->name)) return rules[k].apply;
  return NULL;
}

/* Sample by sample: a body of the one node, whose inputs are the mapped operands, then the others. */

typedef struct single {
  cr_var node;
  const unsigned char *mapped;
} single;

static void record_single(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  const single *s = user;
  cr_var *all = cr_body_room(t, (size_t)(n + 1) * sizeof *all);
  int at = 0;
  (void)m;
  for (int pass = 1; all && pass >= 0; pass--)
    for (int k = 0; k < n; k++)
      if (s->mapped[k] == pass) all[k] = in[at++];
  if (all) out[0] = cr_record(t, cr_op_of(s->node), n, all, cr_attributes(s->node));
}

static cr_var one_by_one(item *i) {
  const mapping *m = i->m;
  size_t key_bytes = sizeof i->node.id + (size_t)i->n;
  cr_array *like = cr_body_room(m->t, (size_t)(i->n + 1) * sizeof *like);
  cr_var *in = cr_body_room(m->t, (size_t)(i->n + 1) * sizeof *in), out = cr_poison(m->t);
  unsigned char *key = cr_body_room(m->t, key_bytes);
  int at = 0, n_mapped = 0;
  if (!like || !in || !key) return out;
  for (int pass = 1; pass >= 0; pass--)
    for (int k = 0; k < i->n; k++) {
      if (i->mapped[k] != pass) continue;
      cr_array a = cr_view(cr_operand(i->node, k));
      n_mapped += pass;
      in[at] = i->in[k];
      like[at++] = a;
    }
  memcpy(key, &i->node.id, sizeof i->node.id);
  memcpy(key + sizeof i->node.id, i->mapped, (size_t)i->n);
  single s = {i->node, i->mapped};
  cr_body *b =
      m->body ? cr_body_derived(m->t, m->body, "operation of each sample", key_bytes, key, record_single, &s, i->n, like, 1)
              : cr_body_new(m->t, "operation of each sample", record_single, &s, i->n, like, 1);
  if (b) cr__run_each(m->t, b, m->n, n_mapped, in, &out);
  if (!m->body) cr_body_release(b);
  return out;
}

/* The nodes */

static cr_var copy_leaf(const mapping *m, cr_var leaf) {
  cr_array a = cr_view(leaf);
  if (!a.rank && a.dtype == CR_FLOAT64) return cr_const(m->t, cr_array_get(&a, 0));
  cr_var v = cr_constant_of(m->t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  cr_array to = cr_view(v);
  if (!cr_is_poison(v)) cr_array_copy(&to, &a);
  return v;
}

static cr_var map_node(mapping *m, cr_var node, unsigned char *is_mapped) {
  item i = {.m = m, .node = node, .op = cr_op_of(node), .n = cr_operand_count(node)};
  unsigned char *mapped = cr_body_room(m->t, (size_t)i.n + 1);
  i.in = cr_body_room(m->t, (size_t)(i.n + 1) * sizeof *i.in);
  cr_var out = cr_poison(m->t);
  if (!i.op) return copy_leaf(m, node);
  if (!i.in || !mapped) return out;
  for (int k = 0; k < i.n; k++) {
    cr_var operand = cr_operand(node, k);
    mapped[k] = m->mapped[operand.id];
    *is_mapped |= mapped[k];
    i.in[k] = m->of[operand.id];
    if (!k) i.rank = cr_rank(operand);
  }
  i.mapped = mapped;
  if (!*is_mapped) return cr_record(m->t, i.op, i.n, i.in, cr_attributes(node));
  cr_var (*rule)(item *) = rule_of(i.op);
  bool fits = cr_rank(node) < CR_MAX_RANK && i.rank < CR_MAX_RANK;
  if (rule && fits) out = rule(&i);
  if (!cr_is_poison(out) || cr_error(m->t) != CR_OK) return out;
  for (int k = 0; k < i.n; k++) i.in[k] = m->of[cr_operand(node, k).id];
  return one_by_one(&i);
}

/* Nodes that a result needs and that are not there yet get 1 in needed[]. */
static void mark_needed(const mapping *m, int n, const cr_var *y, unsigned char *needed) {
  uint32_t last = 0;
  for (int k = 0; k < n; k++) {
    needed[y[k].id] = cr_is_poison(m->of[y[k].id]) != 0;
    last = y[k].id > last ? y[k].id : last;
  }
  for (uint32_t id = last; id > 0; id--) {
    cr_var v = cr_node_at(m->graph, id);
    for (int k = 0; needed[id] && k < cr_operand_count(v); k++) {
      uint32_t operand = cr_operand(v, k).id;
      needed[operand] |= (unsigned char)cr_is_poison(m->of[operand]);
    }
  }
}

static bool open_mapping(mapping *m) {
  uint32_t count = cr_node_count(m->graph);
  m->of = cr_body_room(m->t, count * sizeof *m->of);
  m->mapped = cr_body_room(m->t, 2 * count);
  if (!m->of || !m->mapped) return false;
  for (uint32_t id = 0; id < count; id++) m->of[id] = cr_poison(m->t);
  memset(m->mapped, 0, 2 * count);
  return true;
}

/* After of[] and mapped[] have what is given. */
static bool map_nodes(mapping *m, int n, const cr_var *y, cr_var *out) {
  uint32_t count = cr_node_count(m->graph);
  unsigned char *needed = m->mapped + count;
  mark_needed(m, n, y, needed);
  for (uint32_t id = 1; id < count; id++) {
    if (!needed[id]) continue;
    m->of[id] = map_node(m, cr_node_at(m->graph, id), &m->mapped[id]);
    if (cr_is_poison(m->of[id])) return false;
  }
  for (int k = 0; k < n; k++) out[k] = spread(m, m->of[y[k].id], m->mapped[y[k].id]);
  return cr_error(m->t) == CR_OK;
}

/* cr_map */

static bool sample_arrays(cr_tape *t, int n_mapped, const cr_var *mapped, int n_const, const cr_var *consts,
                          cr_array *like) {
  for (int k = 0; k < n_mapped + n_const; k++) {
    cr_var v = k < n_mapped ? mapped[k] : consts[k - n_mapped];
    if (v.tape != t || cr_is_poison(v))
      return cr_fail(t, v.tape == t ? CR_POISONED : CR_WRONG_TAPE, "cr_map: operand %d is %s", k,
                     v.tape == t ? "the poison node" : "of another tape"), false;
    like[k] = cr_view(v);
    if (k >= n_mapped) continue;
    cr_array a = like[k], one;
    if (!a.rank || a.dim[0] != cr_dim(mapped[0], 0)) {
      char is[200];
      return cr_fail(t, CR_BAD_SHAPE, "cr_map: mapped operand %d has shape %s, without a leading axis of the samples", k,
                     cr_shape_text(&a, is, sizeof is)), false;
    }
    cr_array_init(&one, (cr_dtype)a.dtype, a.rank - 1, a.dim + 1);
    memcpy(one.stride, a.stride + 1, one.rank * sizeof *one.stride);
    one.data = a.dim[0] ? a.data : NULL;
    cr__settle_strides(&one);
    like[k] = one;
  }
  return true;
}

static bool map_body(cr_tape *t, cr_body *b, int n_mapped, const cr_var *mapped, const cr_var *consts, cr_var *out) {
  int n = cr_body_inputs(b), m = cr_body_outputs(b);
  mapping map = {.t = t, .graph = cr_body_graph(b), .body = b, .n = cr_dim(mapped[0], 0)};
  cr_var *y = cr_body_room(t, (size_t)m * sizeof *y);
  if (!y || !open_mapping(&map)) return false;
  for (int k = 0; k < n; k++) {
    uint32_t id = cr_body_input_node(b, k).id;
    map.of[id] = k < n_mapped ? mapped[k] : consts[k - n_mapped];
    map.mapped[id] = k < n_mapped;
  }
  for (int k = 0; k < m; k++) y[k] = cr_body_output_node(b, k);
  return map_nodes(&map, m, y, out);
}

cr_status cr_map(cr_tape *t, cr_body_record record, void *user, int n_mapped, const cr_var *mapped, int n_const,
                 const cr_var *consts, int m, cr_var *out) {
  cr_array *like = cr_body_room(t, (size_t)(n_mapped + n_const + 1) * sizeof *like);
  for (int k = 0; k < m; k++) out[k] = cr_poison(t);
  if (n_mapped < 1 || m < 1) return cr_fail(t, CR_BAD_ARGUMENT, "cr_map: nothing to map, or no results"), cr_error(t);
  if (!like || !sample_arrays(t, n_mapped, mapped, n_const, consts, like)) return cr_error(t);
  cr_body *b = cr_body_new(t, "cr_map", record, user, n_mapped + n_const, like, m);
  if (b) map_body(t, b, n_mapped, mapped, consts, out);
  cr_body_release(b);
  return cr_error(t);
}

/* Jacobians */

/* The VJP is recorded for one cotangent; what depends on it is mapped over the rows of the identity. */
cr_var cr_jacobian_of(cr_var y, cr_var x) {
  cr_tape *t = y.tape;
  cr_var none = cr_poison(t), d, rows;
  if (cr_is_poison(y) || cr_is_poison(x)) return cr_fail(t, CR_POISONED, "cr_jacobian_of: y or x is the poison node");
  cr_array a = cr_view(y), b = cr_view(x), all = cr__stacked(&a, a.count);
  if (a.rank + b.rank > CR_MAX_RANK || a.rank == CR_MAX_RANK)
    return cr_fail(t, CR_BAD_SHAPE, "cr_jacobian_of: the Jacobian would have more than %d axes", CR_MAX_RANK);
  if (!cr__is_float(&a))
    return cr_fail(t, CR_NOT_DIFFERENTIABLE, "cr_jacobian_of: y is %s", cr_dtype_name((cr_dtype)a.dtype));
  cr_var g = cr_tensor_of(t, (cr_dtype)a.dtype, a.rank, a.dim, NULL);
  if (cr_vjp(y, g, 1, &x, &d) != CR_OK) return none;
  mapping m = {.t = t, .graph = t, .n = a.count};
  if (!open_mapping(&m)) return none;
  for (uint32_t id = 0; id < g.id; id++) m.of[id] = cr_node_at(t, id);
  m.of[g.id] = cr_reshape(cr_eye(t, (cr_dtype)a.dtype, a.count, a.count), all.rank, all.dim);
  m.mapped[g.id] = 1;
  if (!map_nodes(&m, 1, &d, &rows)) return none;
  int64_t dims[CR_MAX_RANK];
  memcpy(dims, a.dim, a.rank * sizeof *dims);
  memcpy(dims + a.rank, b.dim, b.rank * sizeof *dims);
  return cr_reshape(rows, a.rank + b.rank, dims);
}
