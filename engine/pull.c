/* The reverse step of an elementwise operation as one node: the cotangent times a partial derivative, with the bits of the
 * numeric sweep, which rounds once where a product of nodes would round at each. */
#include <ctype.h>
#include <stdio.h>

#include "internal.h"

/* Whose partial, by which operand; where among the node's operands a, b and y are: 0, where the cotangent is, when the
 * partial does not ask for it. */
typedef struct pull_attr {
  const cr_op *op;
  int32_t k, at[3];
} pull_attr;

static cr_status pull_infer(cr_infer *c) {
  cr_array_init(c->out, (cr_dtype)c->in[0].dtype, c->in[0].rank, c->in[0].dim);
  return CR_OK;
}

static cr_status pull_eval(cr_eval *c) {
  const pull_attr *p = c->attr;
  cr__row_pull(c->tape, p->op->row, p->k, &c->in[p->at[0]], &c->in[p->at[1]], &c->in[p->at[2]], &c->in[0], c->out);
  return CR_OK;
}

static void pull_show(char *text, size_t size, const void *attr) {
  const pull_attr *p = attr;
  snprintf(text, size, "of %s by operand %d", p->op->name, (int)p->k + 1);
}

static bool mentions(const char *text, char name) {
  for (const char *p = text; *p; p++) {
    bool begins = p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
    if (begins && *p == name && !(isalnum((unsigned char)p[1]) || p[1] == '_')) return true;
  }
  return false;
}

static bool same_shape(const cr_array *a, const cr_array *b) {
  bool same = a->rank == b->rank && a->dtype == b->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == b->dim[i];
  return same;
}

static const cr_field pull_fields[] = {
  CR_FIELD(pull_attr, op, CR_FIELD_ROW, "of"), CR_FIELD(pull_attr, k, CR_FIELD_INT, "by"),
  CR_FIELD(pull_attr, at[0], CR_FIELD_INT, "a"), CR_FIELD(pull_attr, at[1], CR_FIELD_INT, "b"),
  CR_FIELD(pull_attr, at[2], CR_FIELD_INT, "y"), {.name = NULL}};

/* Operands of one shape and float dtype; a, b and y are among them wherever the partial asks for them. */
static int pull_check(const cr_infer *c) {
  const pull_attr *p = c->attr;
  bool sound = p->op && p->k >= 0 && p->k < p->op->arity && p->op->row->partial_text[p->k] && c->in[0].dtype >= CR_FLOAT32;
  for (int i = 0; sound && i < 3; i++) {
    bool asked = mentions(p->op->row->partial_text[p->k], "aby"[i]);
    sound = p->at[i] >= asked && p->at[i] < c->n;
  }
  for (int k = 1; sound && k < c->n; k++) sound = same_shape(&c->in[0], &c->in[k]);
  return sound;
}

static const cr_op pull_op = {
  .name = "pull", .arity = CR_VARIADIC, .attr_size = sizeof(pull_attr), .fields = pull_fields, .check = pull_check,
  .infer = pull_infer, .eval = pull_eval, .show = pull_show, .pointwise = 1,
  .rule = "none: it is a derivative that is not differentiated again"};

cr_var cr__pull(cr_tape *t, uint32_t id, int k, cr_var g) {
  const cr_op *op = t->op[cr__op_number(t, id)];
  const uint32_t from[3] = {t->node[id].in[0], t->node[id].in[op->arity - 1], id};
  pull_attr p;
  cr_var in[4] = {g};
  int n = 1;
  cr_array like = cr__array_of(t, id), given = cr__array_of(t, g.id);
  if (!same_shape(&like, &given)) return cr_poison(t);
  memset(&p, 0, sizeof p);
  p.op = op, p.k = k;
  for (int i = 0; i < 3; i++) {
    if (!mentions(op->row->partial_text[k], "aby"[i])) continue;
    p.at[i] = n;
    in[n++] = cr__handle(t, from[i]);
  }
  return cr_record(t, &pull_op, n, in, &p);
}

const cr_op *cr__pull_of(const cr_op *op, const void *attr, int *k, const int32_t **at) {
  const pull_attr *p = attr;
  if (op != &pull_op) return NULL;
  *k = p->k, *at = p->at;
  return p->op;
}

const cr_op *const cr__pull_ops[] = {&pull_op, NULL};
