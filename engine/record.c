/* Recording: leaves, the nodes of operations, and what lazy tapes know of them. */
#include "internal.h"

static bool track_site(cr_tape *t, uint32_t id) {
  if (id >= t->sites_capacity) {
    uint32_t old = t->sites_capacity, capacity = t->capacity;
    cr_place *site = cr__resize_on(t, t->site, old * sizeof *site, capacity * sizeof *site);
    if (!site) return false;
    memset(site + old, 0, (capacity - old) * sizeof *site);
    t->site = site;
    t->sites_capacity = capacity;
  }
  t->site[id] = t->place ? *t->place : (cr_place){NULL, 0};
  return true;
}

cr_var cr__push(cr_tape *t, uint32_t op, int n, const cr_var *in, cr_slot slot) {
  if (!cr__reserve(t)) return cr_poison(t);
  uint32_t id = t->count;
  cr_node node = {cr__head(t, op), {0, 0, 0}};
  for (int k = 0; k < n && k < 3; k++) node.in[k] = in[k].id;
  t->node[id] = node;
  t->slot[id] = slot;
  if (t->slow && t->option[CR_TRACK_SITES] && !track_site(t, id)) return cr_poison(t);
  t->count++;
  return (cr_var){t, id, node.head};
}

static cr_var push_leaf(cr_tape *t, uint32_t op, double value) {
  if (!cr__reserve(t)) return cr_poison(t);
  return cr__push(t, op, 0, NULL, (cr_slot){.num = value});
}
cr_var cr_input(cr_tape *t, double value) { return push_leaf(t, CR__INPUT, value); }
cr_var cr_const(cr_tape *t, double value) { return push_leaf(t, CR__CONST, value); }

static bool check_shape(cr_tape *t, int rank, const int64_t *dims) {
  if (rank < 0 || rank > CR_MAX_RANK) {
    cr_fail(t, CR_BAD_SHAPE, "rank %d: a tensor has 0 to %d axes", rank, CR_MAX_RANK);
    return false;
  }
  int64_t count = 1;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0) {
      cr_fail(t, CR_BAD_SHAPE, "axis %d has negative size %lld", i, (long long)dims[i]);
      return false;
    }
    if (dims[i] && count > ((int64_t)1 << 48) / dims[i]) {
      cr_fail(t, CR_OVER_LIMIT, "a tensor has at most 2^48 elements");
      return false;
    }
    count *= dims[i];
  }
  return true;
}

/* A record without numbers that lies like this array; an op's attributes, operands and numbers come later. */
static cr_tensor *new_record(cr_tape *t, const cr_array *array) {
  const cr_array *like = cr__layout(t, &t->arena, array);
  cr_tensor *r = like ? cr__alloc(t, sizeof *r) : NULL;
  if (r) *r = (cr_tensor){.like = like};
  return r;
}

static cr_var leaf_tensor(cr_tape *t, uint32_t op, cr_dtype dtype, int rank, const int64_t *dims, const void *data,
                          void *over) {
  if (!cr_dtype_size(dtype)) return cr_fail(t, CR_BAD_DTYPE, "unknown dtype %d", (int)dtype);
  if (!check_shape(t, rank, dims)) return cr_poison(t);
  cr_array a;
  cr_array_init(&a, dtype, rank, dims);
  cr_tensor *r = new_record(t, &a);
  if (!r) return cr_poison(t);
  size_t bytes = (size_t)a.count * cr_dtype_size(dtype);
  r->data = over ? over : cr__alloc(t, bytes);
  if (!r->data) return cr_poison(t);
  if (!over && data && bytes) memcpy(r->data, data, bytes);
  else if (!over) memset(r->data, 0, bytes);
  r->differentiable = op == CR__INPUT && dtype >= CR_FLOAT32;
  return cr__push(t, op | CR__RECORD, 0, NULL, (cr_slot){.tensor = r});
}

cr_var cr_tensor_of(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data) {
  return leaf_tensor(t, CR__INPUT, dtype, rank, dims, data, NULL);
}
cr_var cr_constant_of(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, const void *data) {
  return leaf_tensor(t, CR__CONST, dtype, rank, dims, data, NULL);
}
cr_var cr_tensor_over(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, void *data) {
  if (!data) return cr_fail(t, CR_BAD_ARGUMENT, "cr_tensor_over: no memory given");
  return leaf_tensor(t, CR__INPUT, dtype, rank, dims, NULL, data);
}

cr_var cr__view_leaf(cr_tape *t, const cr_array *a, bool constant) {
  cr_tensor *r = new_record(t, a);
  if (!r) return cr_poison(t);
  r->data = a->data;
  r->view = true;
  r->differentiable = !constant && a->dtype >= CR_FLOAT32;
  return cr__push(t, (constant ? CR__CONST : CR__INPUT) | CR__RECORD, 0, NULL, (cr_slot){.tensor = r});
}

void *cr__promise(cr_tape *t, size_t bytes) {
  t->promised = (t->promised + 127) & ~(uintptr_t)63;
  uintptr_t address = t->promised;
  t->promised += bytes;
  return (void *)address;
}

static uint32_t root_of(const cr_tape *t, uint32_t id) {
  while (cr__is_record(t, id) && t->slot[id].tensor->view && t->op[cr__op_number(t, id)]) id = t->node[id].in[0];
  return id;
}

bool cr__is_promised(const cr_tape *t, uint32_t id) {
  if (!t->option[CR_LAZY] || !cr__is_record(t, id)) return false;
  uint32_t root = root_of(t, id);
  return cr__is_record(t, root) && root >= t->lazy_from && t->op[cr__op_number(t, root)];
}

bool cr__is_fixed(const cr_tape *t, uint32_t id) {
  if (!t->option[CR_LAZY] || !cr__is_record(t, id)) return true;
  uint32_t root = root_of(t, id);
  return !cr__is_record(t, root) || (root >= t->lazy_from && cr__op_number(t, root) == CR__CONST);
}

int cr_knows(cr_var v) {
  if (!v.tape || !cr__is_live(v.tape, v) || cr__is_fixed(v.tape, v.id)) return 1;
  cr_fail(v.tape, CR_BAD_ARGUMENT, "the values of v%u are asked for while shapes alone are recorded (CR_LAZY)", v.id);
  return 0;
}

/* A leaf has no operands: its first place is free for this. */
void cr_filled_from(cr_var constant, cr_var source) {
  if (cr__is_live(constant.tape, constant) && constant.id) constant.tape->node[constant.id].in[0] = source.id;
}

/* Inline scalars in, inline scalar out: the slow twin of the constructors' fast path. */
static cr_var record_inline(cr_tape *t, uint32_t number, const cr_op *op, int n, const cr_var *in) {
  double a = t->slot[in[0].id].num, b = n > 1 ? t->slot[in[1].id].num : 0;
  cr_var v = cr__push(t, number, n, in, (cr_slot){.num = op->row->value(a, b)});
  if (v.id && t->slow) cr__after_eval(t, v.id);
  return v;
}

/* Slots move when the table grows: a view of an inline scalar looks at a copy, which cr__eval_node keeps up to date. */
static bool view_of_slot(cr_tape *t, int n, const cr_var *in, cr_tensor *r) {
  if (n < 1 || cr__is_record(t, in[0].id)) return true;
  double *copy = cr__alloc(t, sizeof *copy);
  if (!copy) return false;
  *copy = t->slot[in[0].id].num;
  r->data = copy;
  return true;
}

/* Attributes with holders: a copy that the tape owns. */
typedef struct held {
  cr_owned owned;
  const cr_op *op;
} held;

static void let_go(cr_tape *t, cr_owned *self) {
  held *h = (held *)(void *)self;
  h->op->release(h + 1);
  cr__resize(&t->counted, h, sizeof *h + h->op->attr_size, 0);
}

static void *keep_attr(cr_tape *t, const cr_op *op, const void *attr) {
  held *h = op->hold ? cr__resize_on(t, NULL, 0, sizeof *h + op->attr_size) : NULL;
  void *copy = op->hold ? (h ? h + 1 : NULL) : cr__alloc(t, op->attr_size);
  if (!copy) return NULL;
  memcpy(copy, attr, op->attr_size);
  if (!h) return copy;
  h->op = op;
  op->hold(copy);
  cr__own(t, &h->owned, let_go);
  return copy;
}

static cr_tensor *infer_and_eval(cr_tape *t, const cr_op *op, int n, const cr_var *in, const cr_array *array,
                                 const void *attr) {
  cr_array out;
  memset(&out, 0, sizeof out);
  cr_infer inference = {t, op, n, array, attr, &out};
  if (op->infer(&inference) != CR_OK || t->error != CR_OK) {
    cr_fail(t, CR_BAD_SHAPE, "operands do not fit");
    return NULL;
  }
  if (!check_shape(t, out.rank, out.dim)) return NULL;
  cr_tensor *r = new_record(t, &out);
  if (!r) return NULL;
  if (op->attr_size) {
    r->attr = keep_attr(t, op, attr);
    if (!r->attr) return NULL;
  }
  if (op->arity == CR_VARIADIC) {
    uint32_t *operand = cr__alloc(t, (size_t)n * sizeof *operand);
    if (!operand) return NULL;
    for (int k = 0; k < n; k++) operand[k] = in[k].id;
    r->operand = operand;
    r->n_operands = (uint32_t)n;
  }
  for (int k = 0; k < n && out.dtype >= CR_FLOAT32; k++) r->differentiable |= cr__differentiable(t, in[k].id);
  if (out.data) {
    r->data = out.data;
    r->view = true;
    return view_of_slot(t, n, in, r) ? r : NULL;
  }
  size_t bytes = (size_t)out.count * cr_dtype_size((cr_dtype)out.dtype);
  if (t->lazy) {
    r->data = cr__promise(t, bytes);
    return r;
  }
  r->data = cr__alloc(t, bytes);
  if (!r->data) return NULL;
  return cr__run_kernel(t, op, n, array, r) == CR_OK ? r : NULL;
}

enum { FEW = 16 };

cr_var cr_record(cr_tape *t, const cr_op *op, int n, const cr_var *in, const void *attr) {
  if (!t) return (cr_var){0};
  cr_var few[FEW], *operand = few;
  cr_array few_arrays[FEW], *array = few_arrays;
  const cr_op *outer = t->doing; /* rules record ops while an op is being recorded */
  const cr_var *outer_in = t->doing_in;
  int outer_n = t->doing_n;
  cr_var result = cr_poison(t);
  if (op->arity >= 0 && n != op->arity)
    return cr_fail(t, CR_BAD_ARGUMENT, "%s takes %d operands, not %d", op->name, op->arity, n);
  if (n > FEW) {
    operand = cr__alloc(t, (size_t)n * sizeof *operand);
    array = cr__alloc(t, (size_t)n * sizeof *array);
    if (!operand || !array) return result;
  }
  if (n) memcpy(operand, in, (size_t)n * sizeof *operand);
  t->doing = op, t->doing_in = operand, t->doing_n = n;
  bool poisoned = false, all_inline = op->row != NULL;
  for (int k = 0; k < n; k++) {
    if (!cr__valid(t, operand[k])) goto done;
    poisoned = poisoned || operand[k].id == 0;
    all_inline = all_inline && !cr__is_record(t, operand[k].id);
  }
  if (poisoned) {
    cr_fail(t, CR_POISONED, "an operand is the poison node");
    goto done;
  }
  uint32_t number = cr__number_of(t, op);
  if (!number) goto done;
  bool standard = number < CR__FIRST_ROW + (uint32_t)*t->table->n_rows; /* the scalar sweep knows these alone */
  if (all_inline && standard && op->row->result != 'b') {
    result = record_inline(t, number, op, n, operand);
    goto done;
  }
  if (op->prepare && op->prepare(t, n, operand) != CR_OK) goto done;
  for (int k = 0; k < n; k++) {
    if (!operand[k].id) goto done;
    array[k] = cr__array_of(t, operand[k].id);
  }
  cr_tensor *r = infer_and_eval(t, op, n, operand, array, attr);
  if (!r) goto done;
  result = cr__push(t, number | CR__RECORD, op->arity == CR_VARIADIC ? 0 : n, operand, (cr_slot){.tensor = r});
  if (result.id && t->slow) cr__after_eval(t, result.id);
done:
  t->doing = outer, t->doing_in = outer_in, t->doing_n = outer_n;
  return result;
}

cr_var cr_record_like(cr_var v, int n, const cr_var *in) {
  const cr_op *op = cr_op_of(v);
  if (!op) return cr_fail(v.tape, CR_BAD_ARGUMENT, "a leaf has no op to record again");
  return cr_record(v.tape, op, n, in, cr_attributes(v));
}
