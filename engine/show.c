/* Nodes as text: infix, LaTeX, and the listing of a tape. A graph may be deeper than the stack, so what is still to be
 * written waits on a stack of its own. */
#include "language.h"

/* Texts that are not simply so many bytes. */
enum { WHOLE = -1, OPERATOR = -2, LETTERS = -3 };

typedef struct piece {
  const char *text;         /* or, when NULL, */
  uint32_t id;              /* a node, or the attributes of one */
  bool attributes;
  int length;               /* of text, or how to write it */
  int least;                /* how tightly the node must bind to go without brackets */
  int level;                /* of expansion */
} piece;

typedef struct writer {
  cr_buffer *b;
  cr_tape *t;
  uint32_t root;
  int depth;
  bool latex;
  size_t most;              /* length of the buffer from which on nothing is expanded */
  piece *stack;
  uint32_t n, capacity;
} writer;

enum { MOST_TEXT = 1 << 16, FEW_NUMBERS = 12 };

static void push(writer *w, piece p) {
  if (w->n == w->capacity) {
    uint32_t capacity = w->capacity ? 2 * w->capacity : 64;
    piece *stack = cr__resize_on(w->t, w->stack, w->capacity * sizeof *stack, capacity * sizeof *stack);
    if (!stack) {
      w->b->failed = 1;
      return;
    }
    w->stack = stack;
    w->capacity = capacity;
  }
  w->stack[w->n++] = p;
}

static void push_text(writer *w, const char *text) { push(w, (piece){.text = text, .length = WHOLE}); }
static void push_node(writer *w, uint32_t id, int least, int level) {
  push(w, (piece){.id = id, .least = least, .level = level});
}

/* Pieces are pushed in reading order and then turned round, so that the first comes off first. */
static void turn(writer *w, uint32_t from) {
  for (uint32_t i = from, k = w->n; i + 1 < k; i++) {
    piece p = w->stack[i];
    w->stack[i] = w->stack[--k];
    w->stack[k] = p;
  }
}

/* Leaves */

static void put_number(writer *w, const cr_array *a, int64_t k) {
  char number[32];
  double x = cr_array_get(a, k);
  if (a->dtype == CR_BOOL) cr_put(w->b, w->latex ? "\\mathrm{%s}" : "%s", x != 0 ? "True" : "False");
  else if (w->latex) cr__latex_number(w->b, x);
  else cr_put(w->b, "%s", cr_number_text(x, a->dtype == CR_FLOAT32 ? 9 : 0, number));
}

/* Rows of a small constant in nested brackets. */
static void put_numbers(writer *w, const cr_array *a) {
  for (int64_t k = 0; k < a->count; k++) {
    int64_t block = 1, opens = 0, closes = 0;
    for (int i = a->rank - 1; i >= 0; i--) {
      block *= a->dim[i];
      opens += k % block == 0;
      closes += (k + 1) % block == 0;
    }
    while (opens--) cr_put(w->b, "[");
    put_number(w, a, k);
    while (closes--) cr_put(w->b, "]");
    if (k + 1 < a->count) cr_put(w->b, ", ");
  }
}

static void put_reference(writer *w, uint32_t id) { cr_put(w->b, w->latex ? "v_{%u}" : "v%u", id); }

static void put_leaf(writer *w, cr_var v, int least) {
  cr_array a = cr_view(v);
  if (!cr_is_const(v) || a.count == 0 || a.count > FEW_NUMBERS) {
    put_reference(w, v.id);
    return;
  }
  bool brackets = a.rank == 0 && signbit(cr_array_get(&a, 0)) && least > CR__SUMS;
  if (brackets) cr_put(w->b, w->latex ? "\\left(" : "(");
  put_numbers(w, &a);
  if (brackets) cr_put(w->b, w->latex ? "\\right)" : ")");
}

/* Ops */

static void push_operands(writer *w, cr_var v, int level) {
  const cr_op *op = cr_op_of(v);
  int n = cr_operand_count(v);
  for (int k = 0; k < n; k++) {
    if (k) push_text(w, ", ");
    push_node(w, cr_operand(v, k).id, CR__LOWEST, level);
  }
  if (op->show && cr_attributes(v)) push(w, (piece){.id = v.id, .attributes = true, .least = n});
}

/* neg has no infix form, but a value that is just a sign. */
static bool is_sign(const cr_op *op) { return op->row && op->row->value_text && !strcmp(op->row->value_text, "-a"); }

static void push_infix(writer *w, cr_var v, int least, int level) {
  const cr_op *op = cr_op_of(v);
  const cr__operator *infix = cr_operand_count(v) == 2 ? cr__infix_of(op) : NULL;
  bool sign = !infix && is_sign(op), brackets = infix ? infix->binds < least : sign && CR__SIGNS < least;
  if (brackets) push_text(w, "(");
  if (infix) {
    push_node(w, cr_operand(v, 0).id, cr__left_least(infix), level);
    push(w, (piece){.text = infix->text, .length = OPERATOR});
    push_node(w, cr_operand(v, 1).id, cr__right_least(infix), level);
  } else if (sign) {
    push_text(w, "-");
    push_node(w, cr_operand(v, 0).id, CR__SIGNS, level);
  } else {
    push_text(w, op->name);
    push_text(w, "(");
    push_operands(w, v, level);
    push_text(w, ")");
  }
  if (brackets) push_text(w, ")");
}

static void push_latex(writer *w, cr_var v, int least, int level) {
  const cr_op *op = cr_op_of(v);
  cr__template_part part;
  bool brackets = op->latex && cr__latex_binds(op) < least;
  if (brackets) push_text(w, "\\left(");
  if (!op->latex) {
    push_text(w, "\\operatorname{");
    push(w, (piece){.text = op->name, .length = LETTERS});
    push_text(w, "}\\left(");
    push_operands(w, v, level);
    push_text(w, "\\right)");
  }
  for (const char *at = op->latex; at && cr__template_next(op->latex, &at, &part);) {
    int tightly = part.enclosed ? CR__LOWEST : cr__latex_least(op, part.operand);
    if (part.operand < 0) push(w, (piece){.text = part.text, .length = (int)part.length});
    else if (part.operand < cr_operand_count(v)) push_node(w, cr_operand(v, part.operand).id, tightly, level);
  }
  if (brackets) push_text(w, "\\right)");
}

static void put_attributes(writer *w, const piece *p) {
  char text[512] = "";
  cr_var v = cr__handle(w->t, p->id);
  cr_op_of(v)->show(text, sizeof text, cr_attributes(v));
  if (!text[0]) return;
  if (p->least) cr_put(w->b, ", ");
  if (w->latex) cr_put(w->b, "\\text{"), cr__latex_letters(w->b, text), cr_put(w->b, "}");
  else cr_put(w->b, "%s", text);
}

static void put_text(writer *w, const piece *p) {
  if (p->length >= 0) cr__put_bytes(w->b, p->text, (size_t)p->length);
  else if (p->length == OPERATOR) cr__put_operator(w->b, cr__operator_of(p->text));
  else if (p->length == LETTERS) cr__latex_letters(w->b, p->text);
  else cr_put(w->b, "%s", p->text);
}

static void put_node(writer *w, const piece *p) {
  cr_var v = cr__handle(w->t, p->id);
  const char *name = cr_name_of(v);
  if (name && p->id != w->root) {
    if (w->latex) cr__latex_name(w->b, name);
    else cr_put(w->b, "%s", name);
  } else if (!cr_op_of(v)) {
    if (name) cr_put(w->b, "%s", name);
    else put_leaf(w, v, p->least);
  } else if ((w->depth && p->level >= w->depth) || w->b->length > w->most) {
    put_reference(w, p->id);
  } else {
    uint32_t from = w->n;
    if (w->latex) push_latex(w, v, p->least, p->level + 1);
    else push_infix(w, v, p->least, p->level + 1);
    turn(w, from);
  }
}

static void write_node(cr_buffer *b, cr_var v, int depth, bool latex) {
  if (!b->tape || !cr__valid(b->tape, v)) return;
  writer w = {.b = b, .t = b->tape, .root = v.id, .depth = depth, .latex = latex, .most = b->length + MOST_TEXT};
  push_node(&w, v.id, CR__LOWEST, 0);
  while (w.n && !b->failed) {
    piece p = w.stack[--w.n];
    if (p.text) put_text(&w, &p);
    else if (p.attributes) put_attributes(&w, &p);
    else put_node(&w, &p);
  }
  cr__resize_on(b->tape, w.stack, w.capacity * sizeof *w.stack, 0);
}

void cr_print_infix(cr_buffer *b, cr_var v, int depth) { write_node(b, v, depth, false); }
void cr_print_latex(cr_buffer *b, cr_var v, int depth) { write_node(b, v, depth, true); }

/* Listing */

static void list_node(cr_buffer *b, cr_var v) {
  const cr_op *op = cr_op_of(v);
  const char *name = cr_name_of(v);
  char text[512] = "", shape[200];
  cr_array a = cr_view(v);
  cr_put(b, "v%u = ", v.id);
  if (!op) {
    cr_put(b, cr_is_input(v) ? "input" : "const");
    if (a.count == 1 && a.dtype != CR_BOOL) cr_put(b, " %s", cr_number_text(cr_array_get(&a, 0), 0, text));
  } else {
    int n = cr_operand_count(v);
    cr_put(b, "%s(", op->name);
    for (int k = 0; k < n; k++) cr_put(b, "%sv%u", k ? ", " : "", cr_operand(v, k).id);
    if (op->show && cr_attributes(v)) op->show(text, sizeof text, cr_attributes(v));
    cr_put(b, "%s%s)", text[0] && n ? ", " : "", text);
  }
  cr_put(b, "  %s %s", cr_dtype_name((cr_dtype)a.dtype), cr_shape_text(&a, shape, sizeof shape));
  if (name) cr_put(b, "  # %s", name);
  cr_put(b, "\n");
}

void cr_print_listing(cr_buffer *b, cr_tape *t) {
  for (uint32_t id = 1; id < cr_node_count(t) && !b->failed; id++) list_node(b, cr__handle(t, id));
}
