/* Programs: names that keep their meaning between pieces of source; and formulas, programs of one expression. */
#include <stdarg.h>
#include <stdio.h>

#include "evaluate.h"

/* Cells: literals that names were given */

static size_t size_of(const cr__value *v) {
  if (v->kind == CR__TEXT_VALUE) return (strlen(v->as.text) + 8) & ~(size_t)7;
  if (v->kind != CR__LIST_VALUE && v->kind != CR__TUPLE_VALUE) return 0;
  size_t size = v->n * sizeof *v;
  for (uint32_t i = 0; i < v->n; i++) size += size_of(&v->as.item[i]);
  return size;
}

/* Copies what v points to behind *at, which moves on. */
static cr__value copy_to(const cr__value *v, char **at) {
  cr__value copy = *v;
  copy.cell = NULL;
  char *start = *at;
  if (v->kind == CR__TEXT_VALUE) {
    *at += size_of(v);
    copy.as.text = strcpy(start, v->as.text);
  } else if (v->kind == CR__LIST_VALUE || v->kind == CR__TUPLE_VALUE) {
    cr__value *item = (cr__value *)(void *)start;
    *at += v->n * sizeof *item;
    for (uint32_t i = 0; i < v->n; i++) item[i] = copy_to(&v->as.item[i], at);
    copy.as.item = item;
  }
  return copy;
}

static cr__cell *new_cell(cr_program *p, const cr__value *v, const char *name) {
  size_t size = sizeof(cr__cell) + size_of(v);
  cr__cell *cell = cr__resize_on(p->tape, NULL, 0, size);
  if (!cell) return NULL;
  char *at = (char *)(cell + 1);
  *cell = (cr__cell){.next = p->cells, .size = size, .name = name};
  cell->literal = copy_to(v, &at);
  p->cells = cell;
  return cell;
}

/* Frees the cells that no name has any more; not before the end of a run, whose values may still point to them. */
static void sweep_cells(cr_program *p, bool all) {
  for (cr__cell **link = &p->cells; *link;) {
    cr__cell *cell = *link;
    if (cell->holders && !all) {
      link = &cell->next;
    } else {
      *link = cell->next;
      cr__resize_on(p->tape, cell, cell->size, 0);
    }
  }
}

/* Variables */

cr__variable *cr__variable_named(const cr_program *p, const char *name) {
  return cr__dict_find(&p->variables, name, strlen(name));
}

static cr__variable *variable(cr_program *p, const char *name) {
  cr__variable *x = cr__variable_named(p, name);
  if (x) return x;
  if (p->n_order == p->order_capacity) {
    uint32_t capacity = p->n_order ? 2 * p->n_order : 8;
    cr__variable **order = cr__resize_on(p->tape, p->order, p->n_order * sizeof *order, capacity * sizeof *order);
    if (!order) return NULL;
    p->order = order;
    p->order_capacity = capacity;
  }
  x = cr__take(p->tape, &p->arena, sizeof *x + strlen(name) + 1);
  if (!x) return NULL;
  *x = (cr__variable){.name = strcpy((char *)(x + 1), name)};
  if (!cr__dict_put(p->tape, &p->variables, x->name, x)) return NULL;
  return p->order[p->n_order++] = x;
}

static void set(cr__variable *x, cr__value v, cr__cell *cell) {
  if (cell) cell->holders++;
  if (x->cell) x->cell->holders--;
  x->value = v;
  x->cell = cell;
}

/* The items of a tuple as what may outlive the run: literals, and nodes. */
static bool settle_items(cr__evaluator *e, const cr_syntax *at, cr__value *v) {
  cr__value *item = cr__take(e->tape, &e->language->scratch, v->n * sizeof *item);
  if (!item) return false;
  for (uint32_t i = 0; i < v->n; i++) {
    item[i] = v->as.item[i];
    if (!cr__is_literal(&item[i]) && item[i].kind != CR__FUNCTION)
      item[i] = cr__node_value(e, at, cr__to_node(e, &item[i], at));
    if (e->failed) return false;
  }
  v->as.item = item;
  return true;
}

bool cr__assign(cr__evaluator *e, const cr_syntax *at, const char *name, const cr__value *value) {
  cr__value v = *value;
  cr__cell *cell = v.cell;
  bool leaf = v.kind == CR__NUMBER || v.kind == CR__LIST_VALUE;
  if (v.kind == CR__LIST_VALUE && !cell && !cr__is_literal(&v)) v = cr__node_value(e, at, cr__to_node(e, &v, at));
  if (e->failed || (v.kind == CR__TUPLE_VALUE && !settle_items(e, at, &v))) return false;
  cr__variable *x = variable(e->program, name);
  bool kept = v.kind == CR__NUMBER || v.kind == CR__LIST_VALUE || v.kind == CR__TUPLE_VALUE || v.kind == CR__TEXT_VALUE;
  if (x && !cell && kept) {
    cell = new_cell(e->program, &v, x->name);
    if (cell) v = cell->literal;
    if (cell && leaf) v.cell = cell;
    if (!cell) x = NULL;
  }
  if (!x) return cr__node_value(e, at, cr_poison(e->tape)), false;
  if (v.kind == CR__NODE && !cr_name_of(v.as.node) && name[0] != '_') cr_name(v.as.node, x->name);
  set(x, v, cell);
  return true;
}

/* Definitions are kept as text, parsed again into the program's memory: the source they stood in goes away. */
bool cr__define_in(cr__evaluator *e, const cr_syntax *s) {
  cr_program *p = e->program;
  cr_tape *t = e->tape;
  cr_syntax_error error;
  if (!p || e->scope) return cr__stop(e, s, CR_BAD_SYNTAX, "nothing can be defined here"), false;
  cr_buffer b = {.tape = t};
  cr_print_syntax(&b, s);
  cr__callable *f = cr__dict_find(&p->functions, s->text, strlen(s->text));
  bool known = f && !b.failed && !strcmp(f->signature, b.text);
  char *text = known || b.failed ? NULL : cr__arena_text(&p->arena, b.text, b.length);
  cr_syntax *copy = text ? cr__parse(t, &p->arena, text, b.length, false, &error) : NULL;
  cr_buffer_free(&b);
  if (known) return true;
  f = copy ? cr__take(t, &p->arena, sizeof *f) : NULL;
  if (f) *f = (cr__callable){.name = copy->first->text, .signature = text};
  if (!f || !cr__read_definition(t, &p->arena, copy->first, f) || !cr__dict_put(t, &p->functions, f->name, f)) {
    if (t->error == CR_OK) return cr__stop(e, s, CR_NO_MEMORY, "out of memory"), false;
    return cr__node_value(e, s, cr_poison(t)), false;
  }
  return true;
}

/* Programs */

static void start(cr_program *p, cr_tape *t, cr_dtype dtype) {
  *p = (cr_program){.tape = t, .dtype = dtype == CR_FLOAT32 ? CR_FLOAT32 : CR_FLOAT64};
  cr__arena_init(&p->arena, &t->counted);
  p->variables.allocator = p->functions.allocator = &t->counted;
}

static void finish(cr_program *p) {
  sweep_cells(p, true);
  cr__dict_free(&p->variables);
  cr__dict_free(&p->functions);
  cr__resize_on(p->tape, p->order, p->order_capacity * sizeof *p->order, 0);
  cr__arena_free(&p->arena);
}

static void destroy(cr_tape *t, cr_owned *self) {
  cr_program *p = (cr_program *)(void *)self;
  finish(p);
  cr__resize_on(t, p, sizeof *p, 0);
}

cr_program *cr_program_new(cr_tape *t, cr_dtype dtype) {
  cr_program *p = cr__resize_on(t, NULL, 0, sizeof *p);
  if (!p) return NULL;
  start(p, t, dtype);
  cr__own(t, &p->owned, destroy);
  return p;
}

/* Bound from C: names are copied, nodes get the name if they have none. */
void cr_program_bind(cr_program *p, const char *name, cr_var value) {
  if (value.id && !cr__valid(p->tape, value)) return;
  cr__variable *x = variable(p, name);
  if (!x) return;
  if (value.id && !cr_name_of(value) && name[0] != '_') cr_name(value, x->name);
  set(x, (cr__value){.kind = CR__NODE, .as.node = value}, NULL);
}

void cr_program_trust(cr_program *p) { p->trusts = true; }

/* The evaluation of source in the making: what must be put back when it ends. */
typedef struct run {
  cr__evaluator e;
  cr__spot spot;
  uint64_t work;
  const cr_syntax *tree;
} run;

static bool begin(run *r, cr_tape *t, cr_program *p, const char *source, cr_syntax_error *error) {
  if (error) memset(error, 0, sizeof *error);
  r->e = cr__evaluator_on(t, p, source, error);
  if (!r->e.language || t->error != CR_OK) {
    if (error) *error = (cr_syntax_error){.status = t->error, .line = 1, .column = 1, .message = "an earlier failure"};
    return false;
  }
  r->spot = cr__spot_of(&r->e.language->scratch);
  r->work = r->e.language->work;
  r->e.language->work = 0;
  return true;
}

static void end(run *r) {
  r->e.language->work = r->work;
  cr__back_to(&r->e.language->scratch, r->spot);
  if (r->e.program) sweep_cells(r->e.program, false);
}

static cr__value evaluate_source(run *r, const char *source, size_t length) {
  cr_syntax_error local, *error = r->e.error ? r->e.error : &local;
  r->tree = cr__parse(r->e.tape, &r->e.language->scratch, source, length, false, error);
  if (r->tree) return cr__evaluate(&r->e, r->tree);
  r->e.failed = true;
  cr_fail(r->e.tape, error->status, "line %u, column %u: %s", error->line, error->column, error->message);
  return (cr__value){0};
}

/* The value of an expression statement as nodes: the items of a tuple, or one. */
static int results_of(run *r, const cr__value *v, int max, cr_var *out) {
  char text[300];
  if (r->e.failed || v->kind == CR__NONE_VALUE) return 0;
  if (v->kind == CR__TEXT_VALUE || v->kind == CR__FUNCTION) {
    cr__stop(&r->e, r->tree, CR_BAD_ARGUMENT, "the result is %s, not a number or tensor",
             cr__value_text(&r->e, v, text, sizeof text));
    return 0;
  }
  bool tuple = v->kind == CR__TUPLE_VALUE;
  int n = 0;
  if (tuple && v->n > CR_MAX_RESULTS) {
    cr__stop(&r->e, r->tree, CR_OVER_LIMIT, "%u results, at most %d", v->n, CR_MAX_RESULTS);
    return 0;
  }
  for (uint32_t i = 0; i < (tuple ? v->n : 1) && n < max && !r->e.failed; i++)
    out[n++] = cr__to_node(&r->e, tuple ? &v->as.item[i] : v, r->tree);
  return n;
}

cr_status cr_program_run(cr_program *p, const char *source, size_t length, cr_results *results,
                         cr_syntax_error *error) {
  run r;
  if (results) results->n = 0;
  if (!begin(&r, p->tape, p, source, error)) return p->tape->error;
  cr__value v = evaluate_source(&r, source, length);
  cr_results all;
  all.n = results_of(&r, &v, CR_MAX_RESULTS, all.value);
  end(&r);
  if (r.e.failed) return p->tape->error;
  if (results) *results = all;
  return CR_OK;
}

static cr_var one_result(run *r, const cr__value *v) {
  cr_var out[2];
  int n = results_of(r, v, 2, out);
  if (!r->e.failed && n != 1)
    cr__stop(&r->e, r->tree, CR_BAD_ARGUMENT, n ? "expected one value, found several" : "expected a value, found none");
  return r->e.failed ? cr_poison(r->e.tape) : out[0];
}

cr_var cr_program_eval(cr_program *p, const cr_syntax *s) {
  run r;
  if (!begin(&r, p->tape, p, NULL, NULL)) return cr_poison(p->tape);
  r.tree = s;
  cr__value v = cr__evaluate(&r.e, s);
  cr_var result = one_result(&r, &v);
  end(&r);
  return result;
}

cr_status cr_program_bind_text(cr_program *p, const char *name, const char *literal, size_t length) {
  run r;
  char text[300];
  if (!begin(&r, p->tape, p, literal, NULL)) return p->tape->error;
  cr__value v = evaluate_source(&r, literal, length);
  if (!r.e.failed && (v.kind == CR__NONE_VALUE || !cr__is_literal(&v)))
    cr__stop(&r.e, r.tree, CR_BAD_ARGUMENT, "%.60s: expected a number or a list of numbers, found %s", name,
             cr__value_text(&r.e, &v, text, sizeof text));
  if (!r.e.failed) cr__assign(&r.e, r.tree, name, &v);
  end(&r);
  return r.e.failed ? p->tape->error : CR_OK;
}

cr_var cr_program_value(cr_program *p, const char *name) {
  cr__variable *x = cr__variable_named(p, name);
  if (!x || x->value.kind == CR__TUPLE_VALUE || x->value.kind == CR__TEXT_VALUE || x->value.kind == CR__FUNCTION ||
      x->value.kind == CR__NONE_VALUE)
    return cr_poison(p->tape);
  static const cr_syntax nowhere = {.kind = CR_NAME};
  cr__evaluator e = cr__evaluator_on(p->tape, p, NULL, NULL);
  return e.language ? cr__to_node(&e, &x->value, &nowhere) : cr_poison(p->tape);
}

const char *cr_program_name(const cr_program *p, int k) {
  return k >= 0 && (uint32_t)k < p->n_order ? p->order[k]->name : NULL;
}

/* Formulas */

cr_var cr_formula_pairs(cr_tape *t, const char *text, ...) {
  cr_program p;
  run r;
  bool single = false, twice = false;
  start(&p, t, CR_FLOAT64);
  if (!begin(&r, t, &p, text, NULL)) return cr_poison(t);
  va_list pairs;
  va_start(pairs, text);
  const char *name;
  while ((name = va_arg(pairs, const char *)) != NULL) {
    cr_var value = va_arg(pairs, cr_var);
    cr__variable *x = variable(&p, name);
    if (!x || !cr__valid(t, value)) break;
    set(x, (cr__value){.kind = CR__NODE, .as.node = value}, NULL);
    if (!value.id) continue;
    single = single || cr_dtype_of(value) == CR_FLOAT32;
    twice = twice || (cr_rank(value) > 0 && cr_dtype_of(value) == CR_FLOAT64);
  }
  va_end(pairs);
  if (single && !twice) p.dtype = r.e.dtype = CR_FLOAT32;
  cr__value v = name ? (cr__value){0} : evaluate_source(&r, text, strlen(text));
  cr_var result = name ? cr_poison(t) : one_result(&r, &v);
  end(&r);
  finish(&p);
  return result;
}
