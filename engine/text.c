/* Graphs as statements of the expression language that record the same nodes again; opcall.c reads them. */
#include <stdio.h>

#include "language.h"
#include "shelf.h"

enum { FEW_NUMBERS = 12 };

typedef struct writer {
  cr_buffer *b;
  cr_tape *t;                /* of the graph; errors, memory and the language are the buffer's */
  unsigned char *needed;
  uint32_t *number;          /* by node: _7; 0: it goes by its name */
  cr__dict names;
  struct bodies {
    const cr_body **of;
    int n, capacity;
  } *bodies;                 /* those written, _f1, _f2, ... */
  const char *indent;
} writer;

/* A name that reads back as this node and nothing else: of letters, and no word of the language. */
static bool can_be_said(const writer *w, const char *name, uint32_t id) {
  static const char *const words[] = {"op",    "inf", "nan", "None", "True", "False",
                                      "param", "and", "or",  "not",  "if",   "else"};
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  if (!name || name[0] == '_' || strspn(name, letters) != strlen(name) || (name[0] >= '0' && name[0] <= '9')) return false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (!strcmp(words[i], name)) return false;
  return cr__dict_find(&w->names, name, strlen(name)) == &w->number[id];
}

static void put_name(writer *w, uint32_t id) {
  if (w->number[id]) cr_put(w->b, "_%u", w->number[id]);
  else cr_put(w->b, "%s", cr_name_of(cr__handle(w->t, id)));
}

static void put_number(writer *w, const cr_array *a, int64_t k) {
  char text[32];
  double x = cr_array_get(a, k);
  if (a->dtype == CR_BOOL) cr_put(w->b, "%s", x != 0 ? "True" : "False");
  else if (a->dtype < CR_FLOAT32 && fabs(x) >= CR__EXACT) cr_put(w->b, "'%lld'", (long long)cr_array_get_int(a, k));
  else if (a->dtype < CR_FLOAT32) cr_put(w->b, "%lld", (long long)cr_array_get_int(a, k));
  else cr_put(w->b, "%s", cr_number_text(x, a->dtype == CR_FLOAT32 ? 9 : 0, text));
}

static bool all_equal(const cr_array *a) {
  size_t size = cr_dtype_size((cr_dtype)a->dtype);
  for (int64_t k = 1; k < a->count; k++)
    if (memcmp((const char *)a->data + cr_array_offset(a, k) * (int64_t)size, a->data, size)) return false;
  return a->count > 0;
}

static void put_sizes(writer *w, int64_t n, const int64_t *size) {
  for (int64_t i = 0; i < n; i++) cr_put(w->b, "%s%lld", i ? ", " : "[", (long long)size[i]);
  cr_put(w->b, n ? "]" : "[]");
}

static void put_constant(writer *w, cr_var v) {
  cr_array a = cr_view(v);
  bool one = all_equal(&a);
  cr_put(w->b, one ? "op.constant(" : "op.constant([");
  for (int64_t k = 0; k < (one ? 1 : a.count); k++) {
    if (k) cr_put(w->b, ", ");
    put_number(w, &a, k);
  }
  if (!one) cr_put(w->b, "]");
  if (a.rank > 1 || (one && a.rank)) cr_put(w->b, ", shape="), put_sizes(w, a.rank, a.dim);
  if (a.dtype != CR_FLOAT64) cr_put(w->b, ", dtype='%s'", cr_dtype_name((cr_dtype)a.dtype));
  cr_put(w->b, ")");
}

/* Said where it is used, instead of in a statement of its own. */
static bool is_inline(cr_var v) { return cr_is_const(v) && !cr_name_of(v) && cr_count(v) <= FEW_NUMBERS; }
static bool is_numeral(cr_var v) { return is_inline(v) && cr_rank(v) == 0 && cr_dtype_of(v) == CR_FLOAT64; }

/* numerals: a number may stand for the constant that it becomes. */
static void put_operand(writer *w, cr_var v, bool numerals) {
  if (!is_inline(v)) {
    put_name(w, v.id);
  } else if (numerals && is_numeral(v)) {
    cr_array a = cr_view(v);
    bool minus = signbit(cr_array_get(&a, 0));
    if (minus) cr_put(w->b, "(");
    put_number(w, &a, 0);
    if (minus) cr_put(w->b, ")");
  } else {
    put_constant(w, v);
  }
}

static void put_mask(writer *w, unsigned mask) {
  int64_t axis[32], n = 0;
  for (int i = 0; i < 32; i++)
    if (mask >> i & 1) axis[n++] = i;
  put_sizes(w, n, axis);
}

/* Bodies are functions, which come before the graph. Equal ones are one. */

static int number_of(const writer *w, const cr_body *b) {
  for (int k = 0; k < w->bodies->n; k++) {
    const cr_body *a = w->bodies->of[k];
    if (a->hash == b->hash && a->n == b->n && a->m == b->m) return k + 1;
  }
  return 0;
}

/* "_f1('float64 (2, 3)', 'int64')" */
static void put_body(writer *w, const cr_body *b) {
  char shape[200];
  cr_put(w->b, "_f%d(", number_of(w, b));
  for (int k = 0; k < b->n; k++) {
    cr_array a = cr_body_input(b, k);
    cr_put(w->b, "%s'%s%s%s'", k ? ", " : "", cr_dtype_name((cr_dtype)a.dtype), a.rank ? " " : "",
           a.rank ? cr_shape_text(&a, shape, sizeof shape) : "");
  }
  cr_put(w->b, ")");
}

/* An attribute that is 0 is left out. */
static void put_field(writer *w, const cr_field *f, const void *attr) {
  char number[32];
  const char *at = (const char *)attr + f->at;
  const cr_op *op;
  const cr_body *body = cr__body_at(attr, f);
  double x;
  int64_t n = f->kind == CR_FIELD_BODY ? body != NULL
            : f->kind == CR_FIELD_LIST ? cr__integer_at(attr, f->count_at, f->count_size)
            : f->kind == CR_FIELD_REAL || f->kind == CR_FIELD_ROW ? 1 : cr__integer_at(attr, f->at, f->size);
  if (!n) return;
  cr_put(w->b, ", %s=", f->name);
  switch (f->kind) {
    case CR_FIELD_BODY: put_body(w, body); break;
    case CR_FIELD_INT: case CR_FIELD_AXIS: case CR_FIELD_STEPS: cr_put(w->b, "%lld", (long long)n); break;
    case CR_FIELD_FLAG: cr_put(w->b, "True"); break;
    case CR_FIELD_REAL: memcpy(&x, at, sizeof x), cr_put(w->b, "%s", cr_number_text(x, 0, number)); break;
    case CR_FIELD_AXES: put_mask(w, (unsigned)n); break;
    case CR_FIELD_LIST: put_sizes(w, n, (const int64_t *)(const void *)at); break;
    case CR_FIELD_DTYPE: cr_put(w->b, "'%s'", cr_dtype_name((cr_dtype)n)); break;
    case CR_FIELD_ROW: memcpy(&op, at, sizeof op), cr_put(w->b, "'%s'", op->name); break;
  }
}

static bool is_row(const writer *w, const cr_op *op) {
  cr__callable *f = op->row ? cr__callable_named(w->b->tape, op->name) : NULL;
  return f && f->row == op;
}

static void put_row(writer *w, cr_var v, const cr_op *op) {
  const cr__operator *infix = cr__infix_of(op);
  if (infix && strcmp(infix->function, op->name)) infix = NULL; /* the product of the chain rule is written as one, too */
  cr_var a = cr_operand(v, 0), b = cr_operand(v, op->arity - 1);
  bool beside_a = op->arity == 2 && cr_dtype_of(a) == CR_FLOAT64 && !is_numeral(a); /* two numerals would fold */
  bool beside_b = op->arity == 2 && cr_dtype_of(b) == CR_FLOAT64 && !is_numeral(b);
  if (!infix) cr_put(w->b, "%s(", op->name);
  put_operand(w, a, beside_b);
  if (infix) cr__put_operator(w->b, infix);
  else if (op->arity == 2) cr_put(w->b, ", ");
  if (op->arity == 2) put_operand(w, b, beside_a);
  if (!infix) cr_put(w->b, ")");
}

static bool put_op(writer *w, cr_var v, const cr_op *op) {
  int n = cr_operand_count(v);
  if (is_row(w, op)) return put_row(w, v, op), true;
  if ((op->attr_size && !op->fields) || cr__op_named(w->b->tape, op->name) != op) {
    cr_fail(w->b->tape, CR_BAD_ARGUMENT, "cr_write_graph: no function lists the op '%s' with fields for its attributes",
            op->name);
    return false;
  }
  cr_put(w->b, "op.%s(", op->name);
  for (int k = 0; k < n; k++) {
    if (k) cr_put(w->b, ", ");
    put_operand(w, cr_operand(v, k), true);
  }
  for (const cr_field *f = op->fields; f && f->name; f++) put_field(w, f, cr_attributes(v));
  cr_put(w->b, ")");
  return true;
}

static bool put_statement(writer *w, uint32_t id) {
  cr_var v = cr__handle(w->t, id);
  const cr_op *op = cr_op_of(v);
  if (!op && (!cr_is_const(v) || is_inline(v))) return true;
  cr_put(w->b, "%s", w->indent);
  put_name(w, id);
  cr_put(w->b, " = ");
  if (!op) put_constant(w, v);
  bool good = !op || put_op(w, v, op);
  cr_put(w->b, "\n");
  return good;
}

static void put_leaf(writer *w, uint32_t id) {
  char shape[200];
  cr_array a = cr_view(cr__handle(w->t, id));
  cr_put(w->b, "# ");
  put_name(w, id);
  cr_put(w->b, ": %s%s%s\n", cr_dtype_name((cr_dtype)a.dtype), a.rank ? " " : "",
         a.rank ? cr_shape_text(&a, shape, sizeof shape) : "");
}

static bool is_open(cr_var v) { return !cr_op_of(v) && !cr_is_const(v); }

/* The last node of a name has it; all without one are counted, leaves first. */
static bool give_names(writer *w, uint32_t last) {
  uint32_t n = 0;
  for (uint32_t id = 1; id <= last; id++) {
    const char *name = w->needed[id] ? cr_name_of(cr__handle(w->t, id)) : NULL;
    if (name && !cr__dict_put(w->b->tape, &w->names, name, &w->number[id])) return false;
  }
  for (int leaves = 1; leaves >= 0; leaves--)
    for (uint32_t id = 1; id <= last; id++) {
      cr_var v = cr__handle(w->t, id);
      if (!w->needed[id] || is_open(v) != leaves || (!leaves && is_inline(v))) continue;
      if (!can_be_said(w, cr_name_of(v), id)) w->number[id] = ++n;
    }
  return true;
}

static bool put_statements(writer *w, int n_out, const uint32_t *out, uint32_t last) {
  for (uint32_t id = 1; id <= last; id++)
    if (w->needed[id] && !put_statement(w, id)) return false;
  cr_put(w->b, "%s", w->indent);
  for (int k = 0; k < n_out; k++) {
    cr_put(w->b, k ? ", " : n_out > 1 ? "(" : "");
    put_operand(w, cr__handle(w->t, out[k]), false);
  }
  cr_put(w->b, n_out > 1 ? ")\n" : "\n");
  return true;
}

static size_t open_writer(writer *w, int n_out, const uint32_t *out) {
  size_t bytes = (size_t)w->t->count * (sizeof(uint32_t) + 1);
  w->number = cr__resize_on(w->b->tape, NULL, 0, bytes);
  w->names.allocator = &w->b->tape->counted;
  if (!w->number) return 0;
  memset(w->number, 0, bytes);
  w->needed = (unsigned char *)(w->number + w->t->count);
  cr__mark_needed(w->t, n_out, out, w->needed);
  return bytes;
}

static void close_writer(writer *w, size_t bytes) {
  cr__dict_free(&w->names);
  cr__resize_on(w->b->tape, w->number, bytes, 0);
}

static uint32_t last_of(int n, const uint32_t *id) {
  uint32_t last = 0;
  for (int k = 0; k < n; k++) last = id[k] > last ? id[k] : last;
  return last;
}

static bool put_functions(writer *w, uint32_t last);

static bool add_body(writer *w, const cr_body *b) {
  struct bodies *all = w->bodies;
  if (all->n == all->capacity) {
    int more = all->capacity ? 2 * all->capacity : 8;
    const cr_body **of =
        cr__resize_on(w->b->tape, (void *)all->of, (size_t)all->capacity * sizeof *of, (size_t)more * sizeof *of);
    if (!of) return false;
    all->of = of;
    all->capacity = more;
  }
  all->of[all->n++] = b;
  return true;
}

/* _f1(_1, _2) = { ... } */
static bool put_function(const writer *of, const cr_body *b) {
  writer w = {.b = of->b, .t = b->source, .bodies = of->bodies, .indent = "  "};
  const uint32_t *out = b->end + b->n, last = last_of(b->n + b->m, b->end);
  size_t bytes = open_writer(&w, b->m, out);
  if (!bytes) return false;
  for (int k = 0; k < b->n; k++) w.needed[b->end[k]] = 1;
  bool good = put_functions(&w, last) && give_names(&w, last);
  if (good && (good = add_body(&w, b))) {
    cr_put(w.b, "_f%d(", w.bodies->n);
    for (int k = 0; k < b->n; k++) cr_put(w.b, "%s_%u", k ? ", " : "", w.number[b->end[k]]);
    cr_put(w.b, ") = {\n");
    good = put_statements(&w, b->m, out, last);
    cr_put(w.b, "}\n");
  }
  close_writer(&w, bytes);
  return good;
}

/* Those of the bodies of nodes that are not written yet. */
static bool put_functions(writer *w, uint32_t last) {
  for (uint32_t id = 1; id <= last; id++) {
    const cr_op *op = w->needed[id] ? w->t->op[cr__op_number(w->t, id)] : NULL;
    for (const cr_field *f = op ? op->fields : NULL; f && f->name; f++) {
      const cr_body *b = cr__body_at(cr__attr_of(w->t, id), f);
      if (b && !number_of(w, b) && !put_function(w, b)) return false;
    }
  }
  return true;
}

/* Of a graph that may be another tape's: the buffer's has the errors. */
static cr_status write_graph(cr_buffer *b, const cr_tape *t, int n_out, const uint32_t *out) {
  struct bodies bodies = {NULL, 0, 0};
  uint32_t last = last_of(n_out, out);
  writer w = {.b = b, .t = (cr_tape *)(uintptr_t)t, .bodies = &bodies, .indent = ""};
  size_t bytes = open_writer(&w, n_out, out);
  if (bytes && give_names(&w, last)) {
    for (uint32_t id = 1; id <= last; id++)
      if (w.needed[id] && is_open(cr__handle(w.t, id))) put_leaf(&w, id);
    if (put_functions(&w, last)) put_statements(&w, n_out, out, last);
  }
  if (bytes) close_writer(&w, bytes);
  cr__resize_on(b->tape, (void *)bodies.of, (size_t)bodies.capacity * sizeof *bodies.of, 0);
  if (b->failed && b->tape->error == CR_OK) cr__out_of_memory(b->tape);
  return b->tape->error;
}

cr_status cr_write_graph(cr_buffer *b, int n_out, const cr_var *out) {
  cr_tape *t = b->tape;
  uint32_t id[CR_MAX_RESULTS];
  if (n_out < 1 || n_out > CR_MAX_RESULTS) {
    cr_fail(t, CR_BAD_ARGUMENT, "cr_write_graph: %d results; 1 to %d are possible", n_out, CR_MAX_RESULTS);
    return t->error;
  }
  for (int k = 0; k < n_out; k++) {
    if (!cr__valid(t, out[k])) return t->error;
    id[k] = out[k].id;
  }
  return write_graph(b, t, n_out, id);
}

cr_status cr_fn_write_text(cr_buffer *b, const cr_fn *f) {
  const cr__graph *g = &f->graph;
  return write_graph(b, g->tape, g->n_ends - g->n_in, g->end + g->n_in);
}
