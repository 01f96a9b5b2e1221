/* Scalars of captured functions as instructions of the processor: the values of a step, and the reverse sweep of a function
 * that is one step. A row is translated from its text where that is arithmetic and calls of the C library, else it is
 * called. */
#include "jitting.h"
#include "language.h"
#include "machine.h"

#if CR__HAVE_MACHINE

typedef struct row_trees {
  bool read, guarded;
  const cr_syntax *tree[3];  /* value, partials; NULL: to be called */
} row_trees;

typedef struct translation {
  cr_fn *f;
  cr_tape *t;
  cr__machine m;
  cr_arena trees;
  row_trees *row;            /* by op number - CR__FIRST_ROW */
  uint32_t *value, *bar;     /* by node: the line that has its number, its adjoint; CR__NO_VALUE: none yet */
  unsigned char *stored;     /* by node: read outside of its step */
  unsigned char *varies;     /* by node: depends on an input */
  unsigned char *reached;    /* by node: has an adjoint */
  uint32_t *edges, *edge;    /* what is handed to node k: edge[edges[k]] up to edge[edges[k + 1]], by operand i of node n as
                              * 2 n + i */
  uint32_t *next, *part;     /* by node: the next of these to be added; by edge: its line, CR__NO_VALUE: none yet */
} translation;

/* Rows */

typedef struct named {
  const char *name;
  double (*function)(double);
} named;
static const named functions[] = {
    {"exp", exp},   {"exp2", exp2},   {"expm1", expm1}, {"log", log},     {"log1p", log1p}, {"log2", log2},
    {"log10", log10}, {"sin", sin},   {"cos", cos},     {"tan", tan},     {"asin", asin},   {"acos", acos},
    {"atan", atan}, {"sinh", sinh},   {"cosh", cosh},   {"tanh", tanh},   {"asinh", asinh}, {"acosh", acosh},
    {"atanh", atanh}, {"cbrt", cbrt}, {"erf", erf},     {"erfc", erfc}};

static const named *function_of(const cr_syntax *s) {
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++)
    if (!strcmp(functions[k].name, s->text)) return &functions[k];
  return NULL;
}

static bool is_either(const cr_syntax *s, const char *x, const char *y) {
  return !strcmp(s->text, x) || !strcmp(s->text, y);
}

static bool is_known(const cr_syntax *s) {
  if (s->kind == CR_NAME) return is_either(s, "a", "b") || !strcmp(s->text, "y");
  if (s->kind == CR_UNARY) return *s->text == '-' && is_known(s->first);
  if (s->kind == CR_BINARY)
    return strlen(s->text) == 1 && strchr("+-*/", *s->text) && is_known(s->first) && is_known(s->first->next);
  if (s->kind != CR_CALL) return s->kind == CR_NUMBER;
  bool callable = function_of(s) || is_either(s, "sqrt", "abs") || !strcmp(s->text, "square");
  return callable && s->first && !s->first->next && is_known(s->first);
}

static const cr_syntax *read_tree(translation *w, const char *text) {
  cr_syntax_error error;
  const cr_syntax *s = text ? cr__parse(w->t, &w->trees, text, strlen(text), false, &error) : NULL;
  return s && s->first && !s->first->next && is_known(s->first) ? s->first : NULL;
}

static const row_trees *trees_of(translation *w, uint32_t id) {
  uint32_t number = cr__op_number(w->t, id);
  row_trees *r = &w->row[number - CR__FIRST_ROW];
  if (!r->read) {
    const cr_row *row = w->t->op[number]->row;
    r->guarded = !strcmp(row->value_text, "a == 0 ? 0 : a * b");
    r->tree[0] = read_tree(w, row->value_text);
    for (int k = 0; k < 2; k++) r->tree[k + 1] = read_tree(w, row->partial_text[k]);
    r->read = true;
  }
  return r;
}

static uint32_t put_tree(translation *w, const cr_syntax *s, const uint32_t *operand) {
  cr__machine *m = &w->m;
  if (s->kind == CR_NUMBER) return cr__m_number(m, s->number);
  if (s->kind == CR_NAME) return operand[*s->text == 'y' ? 2 : *s->text - 'a'];
  if (s->kind == CR_UNARY && s->first->kind == CR_NUMBER) return cr__m_number(m, -s->first->number);
  uint32_t a = put_tree(w, s->first, operand);
  if (s->kind == CR_UNARY) return cr__m_op(m, CR__M_NEG, a, 0);
  if (s->kind == CR_BINARY) {
    static const cr__m_kind kinds[128] = {['+'] = CR__M_ADD, ['-'] = CR__M_SUB, ['*'] = CR__M_MUL, ['/'] = CR__M_DIV};
    uint32_t b = put_tree(w, s->first->next, operand);
    return cr__m_op(m, kinds[*s->text & 127], a, b);
  }
  const named *f = function_of(s);
  if (f) return cr__m_call(m, (void (*)(void))f->function, 1, &a);
  if (!strcmp(s->text, "square")) return cr__m_op(m, CR__M_MUL, a, a);
  return cr__m_op(m, *s->text == 's' ? CR__M_SQRT : CR__M_ABS, a, 0);
}

/* Values */

static uint32_t value_of(translation *w, uint32_t id) {
  if (w->value[id] == CR__NO_VALUE) w->value[id] = cr__m_load(&w->m, CR__IN_SLOTS, id);
  return w->value[id];
}

static void find_operands(translation *w, uint32_t id, uint32_t *operand) {
  int n;
  const uint32_t *in = cr__operands(w->t, id, &n);
  for (int k = 0; k < n; k++) operand[k] = value_of(w, in[k]);
  if (n == 1) operand[1] = operand[0]; /* what is called has two operands */
}

static bool is_nonzero_constant(const cr_tape *t, uint32_t id) {
  return cr__op_bits(&t->node[id]) == CR__CONST && t->slot[id].num != 0 && !isnan(t->slot[id].num);
}

static void put_value(translation *w, uint32_t id) {
  uint32_t operand[2];
  const row_trees *r = trees_of(w, id);
  const cr_row *row = w->t->op[cr__op_number(w->t, id)]->row;
  find_operands(w, id, operand);
  if (r->guarded)
    w->value[id] = cr__m_op(&w->m, is_nonzero_constant(w->t, w->t->node[id].in[0]) ? CR__M_MUL : CR__M_GUARDED, operand[0],
                            operand[1]);
  else if (r->tree[0]) w->value[id] = put_tree(w, r->tree[0], operand);
  else w->value[id] = cr__m_call(&w->m, (void (*)(void))row->value, 2, operand);
  if (w->stored[id]) cr__m_store(&w->m, w->value[id], CR__IN_SLOTS, id);
}

static bool is_computed(const cr_tape *t, uint32_t id) {
  return !cr__is_record(t, id) && cr__op_number(t, id) >= CR__FIRST_ROW;
}

/* Results, and what other steps read. */
static void find_stored(translation *w) {
  const cr__graph *g = &w->f->graph;
  const cr__plan *plan = &w->f->plan;
  for (uint32_t id = 1; id < w->t->count; id++) w->bar[id] = CR__NO_VALUE; /* the step, for now */
  for (uint32_t k = 0; k < plan->n_steps; k++)
    for (uint32_t id = plan->step[k].from; plan->step[k].role == CR__SCALAR && id < plan->step[k].to; id++)
      if (is_computed(w->t, id)) w->bar[id] = k;
  for (uint32_t id = 1; id < w->t->count; id++) {
    int n;
    const uint32_t *in = cr__operands(w->t, id, &n);
    for (int k = 0; k < n; k++)
      if (w->bar[in[k]] != w->bar[id]) w->stored[in[k]] = 1;
  }
  for (int k = g->n_in; k < g->n_ends; k++) w->stored[g->end[k]] = 1;
}

static void forget(translation *w, uint32_t *lines) { memset(lines, 0xFF, w->t->count * sizeof *lines); }

/* Node number k in the order in which cr_fn_backward sweeps: sums of adjoints are then the same. */
static uint32_t node_at(const cr__step *s, uint32_t k) { return s->strips ? s->strips->node[k][0] : s->from + k; }

static uint32_t nodes_of(const cr__step *s) {
  uint32_t n = 0;
  if (!s->strips) return s->to - s->from;
  for (uint32_t k = 0; k < s->strips->n; k++) n += s->strips->strip[k].n;
  return n;
}

/* By id: close to how it was recorded, so that most numbers are read soon. */
static void put_values(translation *w, const cr__step *s) {
  forget(w, w->value);
  for (uint32_t id = s->from; id < s->to; id++)
    if (is_computed(w->t, id)) put_value(w, id);
}

static bool put_step(translation *w, const cr__step *s, cr__machine_code *code) {
  put_values(w, s);
  return cr__m_finish(&w->m, code, &w->f->codes);
}

/* The reverse sweep */

static void find_varying(translation *w) {
  const cr__graph *g = &w->f->graph;
  memset(w->varies, 0, w->t->count);
  for (int k = 0; k < g->n_in; k++) w->varies[g->end[k]] = 1;
  for (uint32_t id = 1; id < w->t->count; id++) {
    int n;
    const uint32_t *in = cr__operands(w->t, id, &n);
    for (int k = 0; k < n; k++) w->varies[id] |= w->varies[in[k]];
  }
}

/* A partial without its sign, which is for the sum. */
static const cr_syntax *without_sign(const cr_syntax *s) { return s && s->kind == CR_UNARY ? s->first : s; }

/* g times partial k. A product of the chain rule whose g is 0 is left out by cr_fn_backward; here it is 0, or NaN where the
 * partial is not finite, and then so is a gradient: cr_fn_backward sees that, and takes the other way. */
static uint32_t put_part(translation *w, uint32_t id, int k, uint32_t g) {
  const cr_syntax *s = without_sign(trees_of(w, id)->tree[k + 1]);
  uint32_t operand[3], partial;
  if (s && s->kind == CR_NUMBER && s->number == 1) return g;
  find_operands(w, id, operand);
  operand[2] = w->value[id];
  if (s) partial = put_tree(w, s, operand);
  else partial = cr__m_call(&w->m, (void (*)(void))w->t->op[cr__op_number(w->t, id)]->row->partial[k], 3, operand);
  return cr__m_op(&w->m, CR__M_MUL, g, partial);
}

static uint32_t edge_of(uint32_t id, int k) { return 2 * id + (uint32_t)k; }

/* Which nodes have an adjoint; and for each in which order what is handed to it is summed: as cr_fn_backward does it. */
static void find_edges(translation *w, const cr__step *s) {
  const cr_tape *t = w->t;
  const uint32_t n = nodes_of(s);
  int m;
  memset(w->reached, 0, t->count);
  memset(w->edges, 0, (t->count + 1) * sizeof *w->edges);
  for (int k = 0; k < w->f->n_out; k++) w->reached[w->f->graph.end[w->f->graph.n_in + k]] = 1;
  for (uint32_t id = s->to; id-- > s->from;) {
    const uint32_t *in = cr__operands(t, id, &m);
    for (int i = 0; w->reached[id] && is_computed(t, id) && i < m; i++)
      if (w->varies[in[i]]) w->reached[in[i]] = 1, w->edges[in[i]]++;
  }
  for (uint32_t id = 0, sum = 0; id <= t->count; id++) w->edges[id] = sum += id < t->count ? w->edges[id] : 0;
  for (uint32_t k = 0; k < n; k++) { /* each list is filled from its end */
    const uint32_t id = node_at(s, k), *in = cr__operands(t, id, &m);
    for (int i = w->reached[id] && is_computed(t, id) ? m : 0; i-- > 0;)
      if (w->varies[in[i]]) w->edge[--w->edges[in[i]]] = edge_of(id, i);
  }
}

/* Adds what has come and is next. */
static void add_parts(translation *w, uint32_t id) {
  for (uint32_t *next = &w->next[id]; *next < w->edges[id + 1] && w->part[w->edge[*next]] != CR__NO_VALUE; ++*next) {
    const uint32_t edge = w->edge[*next], part = w->part[edge], bar = w->bar[id];
    const cr_syntax *partial = trees_of(w, edge / 2)->tree[1 + edge % 2];
    const bool minus = partial != without_sign(partial);
    if (bar == CR__NO_VALUE) w->bar[id] = minus ? cr__m_op(&w->m, CR__M_NEG, part, 0) : part;
    else w->bar[id] = cr__m_op(&w->m, minus ? CR__M_SUB : CR__M_ADD, bar, part);
  }
}

/* By id, as the values: what a node hands on is computed while its operands are near, and waits for its turn in the sum. */
static void sweep(translation *w, const cr__step *s) {
  const cr__graph *g = &w->f->graph;
  forget(w, w->bar);
  memset(w->part, 0xFF, 2 * w->t->count * sizeof *w->part);
  memcpy(w->next, w->edges, w->t->count * sizeof *w->next);
  for (int k = 0; k < w->f->n_out; k++) {
    uint32_t *bar = &w->bar[g->end[g->n_in + k]];
    if (*bar == CR__NO_VALUE) *bar = cr__m_load(&w->m, CR__IN_ENDS, (uint32_t)k); /* which has those of equal results, too */
  }
  for (uint32_t id = s->to; id-- > s->from;) {
    int n;
    const uint32_t *in = cr__operands(w->t, id, &n);
    if (!is_computed(w->t, id) || !w->reached[id]) continue;
    for (int i = 0; i < n; i++)
      if (w->varies[in[i]]) w->part[edge_of(id, i)] = put_part(w, id, i, w->bar[id]);
    for (int i = 0; i < n; i++)
      if (w->varies[in[i]]) add_parts(w, in[i]);
  }
  const uint32_t zero = cr__m_number(&w->m, 0);
  for (int k = 0; k < g->n_in; k++) { /* + 0: sums of cr_fn_backward begin with 0, and so are never -0 */
    uint32_t bar = w->bar[g->end[k]];
    if (bar != CR__NO_VALUE) bar = cr__m_op(&w->m, CR__M_ADD, bar, zero);
    cr__m_store(&w->m, bar == CR__NO_VALUE ? zero : bar, CR__IN_ENDS, (uint32_t)(w->f->n_out + k));
  }
}

static bool put_sweep(translation *w, const cr__step *s, cr__machine_code *code) {
  find_varying(w);
  find_edges(w, s);
  put_values(w, s);
  sweep(w, s);
  return cr__m_finish(&w->m, code, &w->f->codes);
}

/* All steps */

static size_t room(const cr_tape *t) {
  return (size_t)*t->table->n_rows * sizeof(row_trees) + (8 * (size_t)t->count + 1) * sizeof(uint32_t) +
         3 * (size_t)t->count;
}

static bool start(translation *w, cr_fn *f, cr_tape *t) {
  *w = (translation){.f = f, .t = t, .m = {.t = t}};
  char *memory = cr__resize_on(t, NULL, 0, room(t));
  if (!memory) return false;
  memset(memory, 0, room(t));
  w->row = (row_trees *)(void *)memory;
  w->value = (uint32_t *)(void *)(w->row + *t->table->n_rows);
  w->bar = w->value + t->count;
  w->next = w->bar + t->count;
  w->edges = w->next + t->count;
  w->edge = w->edges + t->count + 1;
  w->part = w->edge + 2 * t->count;
  w->stored = (unsigned char *)(w->part + 2 * t->count);
  w->varies = w->stored + t->count;
  w->reached = w->varies + t->count;
  cr__arena_init(&w->trees, &f->allocator);
  find_stored(w);
  return true;
}

static void end(translation *w) {
  cr__resize(&w->t->counted, w->row, room(w->t), 0);
  cr__arena_free(&w->trees);
  cr__m_free(&w->m);
}

/* Scalars, and no products of the chain rule: cr_grad was not captured. */
static bool can_be_swept(translation *w) {
  for (uint32_t id = 1; id < w->t->count; id++)
    if (cr__is_record(w->t, id) || (is_computed(w->t, id) && trees_of(w, id)->guarded)) return false;
  return true;
}

static uint32_t put_steps(translation *w, uint32_t fewest) {
  cr_fn *f = w->f;
  uint32_t n = 0;
  f->space = 0;
  for (uint32_t k = 0; k < f->plan.n_steps; k++) {
    cr__step *s = &f->plan.step[k];
    if (s->role != CR__SCALAR || s->to - s->from < fewest || !put_step(w, s, &s->code)) continue;
    if (w->m.space > f->space) f->space = w->m.space;
    n++;
  }
  return n;
}

static void put_back(translation *w, uint32_t fewest) {
  cr_fn *f = w->f;
  const cr__step *s = f->plan.step;
  if (f->plan.n_steps != 1 || s->role != CR__SCALAR || s->to - s->from < fewest || !can_be_swept(w)) return;
  if (put_sweep(w, s, &f->back)) f->back_space = w->m.space;
}

enum { FEWEST = 16, MOST = 1 << 27 }; /* nodes: fewer gain some nanoseconds a run; numbers of edges have 32 bits */

bool cr__scalars_as_code(cr_fn *f, bool always, uint32_t *n) {
  translation w;
  cr_tape *t = f->graph.tape;
  *n = 0;
  cr__drop_codes(f);
  if (t->count >= MOST) return true;
  if (!start(&w, f, t)) return false;
  *n = put_steps(&w, always ? 0 : FEWEST);
  if (*n && !t->error) put_back(&w, 0);
  end(&w);
  if (t->error) cr__drop_codes(f), *n = 0;
  return !t->error;
}

/* A run of fewer is soon done, and more would take tens of megabytes for their instructions. */
enum { FEWEST_AT_ONCE = 64, MOST_AT_ONCE = 1 << 20 };

static bool at_once(const cr_fn *f) {
  bool pays = false;
  for (uint32_t k = 0; k < f->plan.n_steps; k++) {
    const cr__step *s = &f->plan.step[k];
    if (s->role == CR__SCALAR) pays = pays || s->to - s->from >= FEWEST_AT_ONCE;
  }
  return pays && f->passes & CR_FN_CODE && f->graph.tape->count < MOST_AT_ONCE;
}

void cr__make_code(const cr_fn *function, cr_tape *t, cr__part part) {
  cr_fn *f = (cr_fn *)(uintptr_t)function;
  translation w;
  pthread_mutex_lock(&f->lock);
  if (!(f->made & part) && at_once(f) && start(&w, f, t)) {
    if (part == CR__VALUES) put_steps(&w, FEWEST_AT_ONCE);
    else put_back(&w, FEWEST_AT_ONCE);
    end(&w);
    if (t->error) cr_clear_error(t);
  }
  f->made |= part;
  pthread_mutex_unlock(&f->lock);
}
#else
bool cr__scalars_as_code(cr_fn *f, bool always, uint32_t *n) { return (void)f, (void)always, *n = 0, true; }
void cr__make_code(const cr_fn *f, cr_tape *t, cr__part part) { (void)f, (void)t, (void)part; }
#endif

/* Nor is it made by a run from now on. */
void cr__drop_codes(cr_fn *f) {
  for (uint32_t k = 0; k < f->plan.n_steps; k++)
    if (f->plan.step[k].role == CR__SCALAR) f->plan.step[k].code = NULL;
  cr__free_codes(f->codes);
  f->codes = NULL, f->back = NULL, f->made = CR__VALUES | CR__SWEEP;
}
