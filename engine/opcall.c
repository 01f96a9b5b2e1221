/* Calls of ops by their own names, as the text of a graph has them: op.sum(h, axes=[0]), with attributes by their members'
 * names; those left out are 0. */
#include <stdlib.h>

#include "bodyfields.h"
#include "evaluate.h"

int64_t cr__integer_at(const void *attr, size_t at, size_t size) {
  int32_t narrow;
  int64_t wide;
  if (size == sizeof narrow) return memcpy(&narrow, (const char *)attr + at, sizeof narrow), narrow;
  return memcpy(&wide, (const char *)attr + at, sizeof wide), wide;
}

typedef struct reader {
  cr__evaluator *e;
  const cr_syntax *at;       /* the argument under way */
  const cr_op *op;
  char *attr;
  int rank;                  /* of the first operand, -1: none */
} reader;

static bool refuse(const reader *r, const char *name, const char *what, const cr__value *v) {
  char text[300];
  cr__stop(r->e, r->at, CR_BAD_ARGUMENT, "op.%s: argument '%s' must be %s, found %s", r->op->name, name, what,
           cr__value_text(r->e, v, text, sizeof text));
  return false;
}

static bool integer_of(const cr__value *v, int64_t *x) {
  if (v->kind == CR__TEXT_VALUE) {
    char *end;
    *x = strtoll(v->as.text, &end, 10);
    return end != v->as.text && !*end;
  }
  bool whole = cr__is_numeric(v) && v->as.number == floor(v->as.number) && fabs(v->as.number) <= CR__EXACT;
  if (whole) *x = (int64_t)v->as.number;
  return whole;
}

static void set_integer(const reader *r, size_t at, size_t size, int64_t x) {
  int32_t narrow = (int32_t)x;
  if (size == sizeof narrow) memcpy(r->attr + at, &narrow, sizeof narrow);
  else memcpy(r->attr + at, &x, sizeof x);
}

static bool read_list(const reader *r, const cr_field *f, const cr__value *v) {
  int64_t x, n = cr__integer_at(r->attr, f->count_at, f->count_size);
  bool list = (v->kind == CR__LIST_VALUE || v->kind == CR__TUPLE_VALUE) && !v->cell;
  if (!list || v->n > f->size / sizeof x) return refuse(r, f->name, "a short list of integers", v);
  if (n && n != v->n) return refuse(r, f->name, "as long as the list before it", v);
  for (uint32_t i = 0; i < v->n; i++) {
    if (!integer_of(&v->as.item[i], &x)) return refuse(r, f->name, "a list of integers", v);
    memcpy(r->attr + f->at + i * sizeof x, &x, sizeof x);
  }
  set_integer(r, f->count_at, f->count_size, v->n);
  return true;
}

static bool read_axes(const reader *r, const cr_field *f, const cr__value *v) {
  unsigned mask = 0;
  int64_t axis;
  if (v->kind != CR__LIST_VALUE || v->cell) return refuse(r, f->name, "a list of axes", v);
  for (uint32_t i = 0; i < v->n; i++) {
    if (!integer_of(&v->as.item[i], &axis) || axis < 0 || axis >= (r->rank ? r->rank : 1))
      return refuse(r, f->name, "a list of axes", v);
    mask |= 1u << axis;
  }
  memcpy(r->attr + f->at, &mask, sizeof mask);
  return true;
}

static bool read_field(const reader *r, const cr_field *f, const cr__value *v) {
  int64_t x;
  const cr__callable *row;
  switch (f->kind) {
    case CR_FIELD_BODY: return refuse(r, f->name, "a function at the types of its parameters", v);
    case CR_FIELD_INT: case CR_FIELD_AXIS: case CR_FIELD_FLAG: case CR_FIELD_STEPS:
      if (!integer_of(v, &x) || (f->size == sizeof(int32_t) && x != (int32_t)x)) return refuse(r, f->name, "an integer", v);
      if (f->kind == CR_FIELD_FLAG && x != 0 && x != 1) return refuse(r, f->name, "True or False", v);
      return set_integer(r, f->at, f->size, x), true;
    case CR_FIELD_REAL:
      if (!cr__is_numeric(v)) return refuse(r, f->name, "a number", v);
      return memcpy(r->attr + f->at, &v->as.number, sizeof v->as.number), true;
    case CR_FIELD_AXES: return read_axes(r, f, v);
    case CR_FIELD_LIST: return read_list(r, f, v);
    case CR_FIELD_DTYPE:
      x = v->kind == CR__TEXT_VALUE ? cr_dtype_of_name(v->as.text) : -1;
      return x < 0 ? refuse(r, f->name, "a dtype", v) : (set_integer(r, f->at, f->size, x), true);
    case CR_FIELD_ROW:
      row = v->kind == CR__TEXT_VALUE ? cr__callable_named(r->e->tape, v->as.text) : NULL;
      if (!row || !row->row) return refuse(r, f->name, "an elementwise op", v);
      return memcpy(r->attr + f->at, &row->row, sizeof row->row), true;
  }
  return false;
}

/* "float64 (2, 3)" */
static bool read_type(const reader *r, const cr_syntax *s, cr_array *a) {
  char name[16] = "";
  int64_t dim[CR_MAX_RANK];
  const char *text = s->kind == CR_TEXT ? s->text : "";
  size_t length = strcspn(text, " ");
  int rank = 0, dtype;
  if (length < sizeof name) memcpy(name, text, length), name[length] = 0;
  bool good = (dtype = cr_dtype_of_name(name)) >= 0;
  text += length;
  for (good = good && (!*text || !strncmp(text, " (", 2)), text += *text ? 2 : 0; good && *text && strcmp(text, ")");) {
    char *end;
    good = rank < CR_MAX_RANK && *text >= '0' && *text <= '9' && (dim[rank++] = strtoll(text, &end, 10)) <= INT32_MAX;
    if (good) text = end + strspn(end, ", ");
  }
  int64_t count = 1;
  for (int i = 0; i < rank && good; i++) good = (count *= dim[i] + 1) < INT64_C(1) << 40;
  if (!good || (rank && !*text)) return cr__stop(r->e, s, CR_BAD_ARGUMENT, "expected a type, as 'float64 (2, 3)'"), false;
  cr_array_init(a, (cr_dtype)dtype, rank, dim);
  return true;
}

/* As its text has them: calling it would take twice the time for each body within a body. */
static int results_of(const cr__callable *f) {
  const cr_syntax *s = f->body;
  int n = 0;
  for (s = s->kind == CR_BLOCK ? s->first : s; s->next;) s = s->next;
  if (s->kind != CR_TUPLE) return 1;
  for (const cr_syntax *k = s->first; k; k = k->next) n++;
  return n ? n : 1;
}

/* f('float64', 'int64 (3,)') as the value of an attribute. */
static bool read_body(const reader *r, const cr_field *f, const cr_syntax *s) {
  cr__evaluator *e = r->e;
  int n = 0;
  for (const cr_syntax *k = s->first; k; k = k->next) n++;
  const cr_program *p = e->program;
  cr__callable *function = s->kind == CR_CALL && p ? cr__dict_find(&p->functions, s->text, strlen(s->text)) : NULL;
  cr_array *like = cr__take(e->tape, &e->language->scratch, (size_t)(n + 1) * sizeof *like);
  if (!function)
    return cr__stop(e, s, CR_BAD_ARGUMENT, "op.%s: argument '%s' must be a function at the types of its parameters",
                    r->op->name, f->name),
           false;
  if (!like) return cr__node_value(e, s, cr_poison(e->tape)), false;
  n = 0;
  for (const cr_syntax *k = s->first; k; k = k->next)
    if (!read_type(r, k, &like[n++])) return false;
  cr__value v = {.kind = CR__FUNCTION, .as.function = function};
  cr_call call = {.evaluator = e, .arg = &v};
  cr_function_argument a = {.call = &call};
  cr_body *b = cr__body_lazily(e->tape, function->name, cr_record_argument, &a, n, like, results_of(function));
  if (!b) return cr__node_value(e, s, cr_poison(e->tape)), false;
  cr_body_release(cr__body_at(r->attr, f)); /* given twice */
  memcpy(r->attr + f->at, &b, sizeof b);
  return true;
}

static bool read_keyword(reader *r, const cr_syntax *s) {
  const cr_field *f = r->op->fields;
  while (f && f->name && strcmp(f->name, s->text)) f++;
  r->at = s;
  if (f && f->name && f->kind == CR_FIELD_BODY) return read_body(r, f, s->first);
  cr__value v = cr__evaluate(r->e, s->first);
  r->at = s;
  if (r->e->failed) return false;
  if (f && f->name) return read_field(r, f, &v);
  cr__stop(r->e, s, CR_BAD_ARGUMENT, "op.%s has no argument '%.60s'", r->op->name, s->text);
  return false;
}

static uint32_t count_operands(const cr_syntax *s) {
  uint32_t n = 0;
  for (const cr_syntax *k = s->first; k && k->kind != CR_KEYWORD; k = k->next) n++;
  return n;
}

static bool read_operands(reader *r, const cr_syntax *s, uint32_t n, cr_var *in) {
  const cr_syntax *k = s->first;
  for (uint32_t i = 0; i < n; i++, k = k->next) {
    cr__value v = cr__evaluate(r->e, k);
    if (!r->e->failed) in[i] = cr__to_node(r->e, &v, k);
    if (r->e->failed) return false;
  }
  r->rank = n ? cr_rank(in[0]) : -1;
  for (; k; k = k->next)
    if (k->kind != CR_KEYWORD) return cr__stop(r->e, k, CR_BAD_SYNTAX, "operands come before attributes"), false;
  return true;
}

/* What only text can get wrong: constructors would not pass it. */
static bool is_sound(const reader *r, const cr_syntax *s, uint32_t n, const cr_var *in) {
  for (const cr_field *f = r->op->fields; f && f->name; f++) {
    int64_t axis = f->kind == CR_FIELD_AXIS ? cr__integer_at(r->attr, f->at, f->size) : -1;
    if (f->kind == CR_FIELD_AXIS && (axis < 0 || axis >= r->rank))
      return cr__stop(r->e, s, CR_BAD_ARGUMENT, "op.%s: axis %lld of an operand of %d axes", r->op->name, (long long)axis,
                      r->rank), false;
  }
  if (!r->op->check && r->e->program && r->e->program->trusts) return true;
  if (!r->op->check) {
    cr__stop(r->e, s, CR_BAD_ARGUMENT, "op.%s may only be called by a program that is trusted: cr_program_trust",
             r->op->name);
    return false;
  }
  cr_array *a = cr__take(r->e->tape, &r->e->language->scratch, (n + 1) * sizeof *a);
  if (!a) return cr__node_value(r->e, s, cr_poison(r->e->tape)), false;
  for (uint32_t k = 0; k < n; k++) a[k] = cr_view(in[k]);
  cr_infer c = {.tape = r->e->tape, .op = r->op, .n = (int)n, .in = a, .attr = r->attr, .out = &a[n]};
  if (r->op->check(&c)) return true;
  cr__stop(r->e, s, CR_BAD_ARGUMENT, "op.%s cannot have these operands with these attributes", r->op->name);
  return false;
}

static cr__value constant(cr__evaluator *e, const cr_syntax *s);

cr__value cr__record_named(cr__evaluator *e, const cr_syntax *s) {
  const char *name = s->text + strlen("op.");
  if (!strcmp(name, "constant")) return constant(e, s);
  reader r = {.e = e, .at = s, .op = cr__op_named(e->tape, name)};
  uint32_t n = count_operands(s);
  if (!r.op || (r.op->attr_size && !r.op->fields)) return cr__stop(e, s, CR_UNKNOWN_NAME, "unknown op '%.60s'", name);
  if (r.op->arity != CR_VARIADIC ? n != (uint32_t)r.op->arity : n == 0)
    return cr__stop(e, s, CR_BAD_ARGUMENT, "op.%s does not take %u operands", name, n);
  cr_arena *scratch = &e->language->scratch;
  cr__spot spot = cr__spot_of(scratch);
  cr_var *in = cr__take(e->tape, scratch, (n + 1) * sizeof *in);
  r.attr = in ? cr__take(e->tape, scratch, r.op->attr_size + 1) : NULL;
  if (!r.attr) return cr__node_value(e, s, cr_poison(e->tape));
  memset(r.attr, 0, r.op->attr_size + 1);
  bool good = read_operands(&r, s, n, in);
  for (const cr_syntax *k = s->first; good && k; k = k->next) good = k->kind != CR_KEYWORD || read_keyword(&r, k);
  cr__value v = {0};
  if (good && is_sound(&r, s, n, in)) v = cr__node_value(e, s, cr_record(e->tape, r.op, (int)n, in, r.attr));
  for (const cr_field *f = r.op->fields; f && f->name; f++) cr_body_release(cr__body_at(r.attr, f));
  if (v.kind == CR__NODE) cr__back_to(scratch, spot);
  return v;
}

/* op.constant(0.5, shape=[2, 3], dtype='float32'): one number for all elements or a list of them in row-major order */

typedef struct constant_attr {
  int64_t rank, dim[CR_MAX_RANK];
  int32_t dtype;
} constant_attr;

static const cr_field constant_fields[] = {
  CR_LIST(constant_attr, rank, dim, "shape"), CR_FIELD(constant_attr, dtype, CR_FIELD_DTYPE, "dtype"), {.name = NULL}};

static bool set_element(const reader *r, cr_array *a, int64_t k, const cr__value *v) {
  int64_t x;
  if (v->kind == CR__TEXT_VALUE && a->dtype == CR_INT64 && integer_of(v, &x)) return ((int64_t *)a->data)[k] = x, true;
  if (!cr__is_numeric(v)) return refuse(r, "data", "numbers", v);
  return cr_array_set(a, k, v->as.number), true;
}

static cr__value constant(cr__evaluator *e, const cr_syntax *s) {
  static const cr_op op = {.name = "constant", .arity = 1, .attr_size = sizeof(constant_attr), .fields = constant_fields};
  constant_attr attr = {.rank = -1, .dtype = CR_FLOAT64};
  reader r = {.e = e, .at = s, .op = &op, .attr = (char *)&attr, .rank = 0};
  if (!s->first || s->first->kind == CR_KEYWORD || (s->first->next && s->first->next->kind != CR_KEYWORD))
    return cr__stop(e, s, CR_BAD_ARGUMENT, "op.constant takes one number or one list of numbers");
  cr_arena *scratch = &e->language->scratch;
  cr__spot spot = cr__spot_of(scratch);
  cr__value data = cr__evaluate(e, s->first);
  bool list = data.kind == CR__LIST_VALUE && !data.cell;
  attr.rank = 0;
  for (const cr_syntax *k = s->first->next; k && !e->failed; k = k->next) read_keyword(&r, k);
  if (e->failed) return (cr__value){0};
  if (list && !attr.rank) attr.rank = 1, attr.dim[0] = data.n;
  cr_var v = cr_constant_of(e->tape, (cr_dtype)attr.dtype, (int)attr.rank, attr.dim, NULL);
  if (!v.id) return cr__node_value(e, s, v);
  cr_array a = cr_view(v);
  if (list && a.count != data.n)
    return cr__stop(e, s, CR_BAD_SHAPE, "op.constant: %u numbers do not fill the shape's %lld", data.n, (long long)a.count);
  for (int64_t k = 0; k < a.count; k++)
    if (!set_element(&r, &a, k, list ? &data.as.item[k] : &data)) return (cr__value){0};
  cr__back_to(scratch, spot);
  return cr__node_value(e, s, v);
}
