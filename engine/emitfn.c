/* A captured function as C: the graph that its passes left, and its assignments at the end. */
#include <stdio.h>

#include "emitting.h"
#include "graph.h"

enum { INPUT, RESULT, NEXT };

typedef struct listing {
  cr_emitter names;          /* for identifiers alone */
  cr_fn *f;
  const cr_var *end;         /* inputs, results, assigned values */
  const char **name;         /* of the ends */
  const char *of;            /* of the function */
  bool returns, space;       /* the first result; it takes a workspace */
} listing;

static int n_ends(const cr_fn *f) { return f->graph.n_ends; }
static int kind_of(const cr_fn *f, int k) {
  return k < f->graph.n_in ? INPUT : k < f->graph.n_in + f->n_out ? RESULT : NEXT;
}

static bool name_ends(listing *w, const char *const *out_name) {
  cr_fn *f = w->f;
  w->name = cr__alloc(w->names.t, (size_t)n_ends(f) * sizeof *w->name);
  if (!w->name) return false;
  for (int k = 0; k < n_ends(f); k++) {
    int kind = kind_of(f, k), at = k - f->graph.n_in;
    const char *own = cr_name_of(w->end[k]),
               *name = cr__format(&w->names, kind == INPUT ? "x%d" : "y%d", kind == INPUT ? k + 1 : at + 1);
    if (kind == INPUT && own) name = own;
    if (kind == RESULT && out_name) name = out_name[at];
    if (kind == NEXT) name = cr__format(&w->names, "next_%s", w->name[f->to[at - f->n_out]]);
    w->name[k] = cr__identifier(&w->names, name);
  }
  return !w->names.t->error;
}

static bool is_assigned(const cr_fn *f, int k) {
  for (int j = 0; j < f->n_assign; j++)
    if (f->to[j] == k) return true;
  return false;
}

static void put_parameters(const listing *w, cr_buffer *b) {
  const cr_fn *f = w->f;
  bool any = false;
  for (int k = 0; k < f->graph.n_in + f->n_out; k++) {
    cr_array a = cr_view(w->end[k]);
    bool input = kind_of(f, k) == INPUT, given = input && !is_assigned(f, k);
    if (k == f->graph.n_in && w->returns) continue;
    cr_put(b, any ? ", " : "");
    if (given && a.count == 1) cr_put(b, "%s %s", cr_emit_type((cr_dtype)a.dtype), w->name[k]);
    else cr_put(b, "%s%s *restrict %s", given ? "const " : "", cr_emit_type((cr_dtype)a.dtype), w->name[k]);
    any = true;
  }
  cr_put(b, "%s%s_space *restrict space", any ? ", " : "", w->of);
}

static void put_arguments(const listing *w, cr_buffer *b) {
  const cr_fn *f = w->f;
  bool any = false;
  for (int k = 0; k < n_ends(f); k++) {
    bool number = cr_count(w->end[k]) == 1;
    if (k == f->graph.n_in && w->returns) continue;
    const char *before = kind_of(f, k) == NEXT                                   ? "space->"
                         : kind_of(f, k) == INPUT && number && is_assigned(f, k) ? "*"
                                                                                 : "";
    cr_put(b, "%s%s%s", any ? ", " : "", before, w->name[k]);
    any = true;
  }
  if (w->space) cr_put(b, "%s&space->ws", any ? ", " : "");
}

/* The function of values, then the assignments. */
static void put_step(const listing *w, cr_buffer *b) {
  const cr_fn *f = w->f;
  const char *type = w->returns ? cr_emit_type((cr_dtype)cr_view(w->end[f->graph.n_in]).dtype) : "void";
  cr_put(b, "\ntypedef struct %s_space {\n", w->of);
  if (w->space) cr_put(b, "  %s_values_workspace ws;\n", w->of);
  for (int k = n_ends(f) - f->n_assign; k < n_ends(f); k++) {
    cr_array a = cr_view(w->end[k]);
    cr_put(b, "  %s %s[%lld];\n", cr_emit_type((cr_dtype)a.dtype), w->name[k], (long long)(a.count ? a.count : 1));
  }
  cr_put(b,
         "} %s_space;\n\n/* The same, and then the assignments: inputs that are no constants take their next values. */\n",
         w->of);
  size_t from = b->length;
  cr_put(b, "%s %s(", type, w->of);
  int indent = (int)(b->length - from);
  put_parameters(w, b);
  cr_put(b, ") {\n");
  cr__wrap(b, from, indent);
  from = b->length;
  if (w->returns) cr_put(b, "  const %s %s = ", type, w->name[f->graph.n_in]);
  cr_put(b, "%s%s_values(", w->returns ? "" : "  ", w->of);
  put_arguments(w, b);
  cr_put(b, ");\n");
  cr__wrap(b, from, 4);
  for (int j = 0; j < f->n_assign; j++) {
    const char *to = w->name[f->to[j]], *next = w->name[n_ends(f) - f->n_assign + j];
    int64_t n = cr_count(w->end[f->to[j]]);
    if (n == 1) cr_put(b, "  *%s = space->%s[0];\n", to, next);
    else if (n) cr_put(b, "  for (int i = 0; i < %lld; i++) %s[i] = space->%s[i];\n", (long long)n, to, next);
  }
  if (w->returns) cr_put(b, "  return %s;\n", w->name[f->graph.n_in]);
  cr_put(b, "}\n");
}

/* On a copy of the graph, whose tape takes the names and texts. */
static cr_status write_copy(cr_buffer *b, cr_fn *f, cr_tape *t, const uint32_t *id, const cr_emit_options *o) {
  cr_emit_options values = *o;
  listing w = {.names = {.t = t, .name = o->name ? o->name : "f"}, .f = f};
  cr_var *end = cr__alloc(t, (size_t)n_ends(f) * sizeof *end);
  if (!end) return t->error;
  for (int k = 0; k < n_ends(f); k++) end[k] = cr__handle(t, id[k]);
  w.end = end;
  w.of = w.names.name;
  if (!name_ends(&w, o->out_name)) return t->error;
  int n_in = f->graph.n_in, n_out = n_ends(f) - n_in;
  values.out_name = w.name + n_in;
  values.name = f->n_assign ? cr__format(&w.names, "%s_values", w.of) : w.of;
  cr_buffer text = {.tape = t};
  cr_emit_c(&text, t, n_in, end, n_out, end + n_in, &values);
  if (t->error == CR_OK) {
    w.returns = n_out > 0 && cr_count(end[n_in]) == 1 && f->n_out > 0;
    w.space = strstr(text.text, "_workspace *restrict ws) {\n") != NULL;
    cr_put(b, "%s", text.text);
    if (f->n_assign) put_step(&w, b);
  }
  cr_buffer_free(&text);
  return t->error;
}

cr_status cr_fn_write_c(cr_buffer *b, cr_fn *f, const cr_emit_options *options) {
  static const cr_emit_options none = {0};
  const cr_emit_options *o = options ? options : &none;
  cr_tape *t = b->tape, *from = f->graph.tape;
  if (f->n_out < 1) {
    cr_fail(t, CR_BAD_ARGUMENT, "cr_fn_write_c: a function without results");
    return t->error;
  }
  if (o->what != CR_EMIT_VALUE || o->main || o->sparse) {
    cr_fail(t, CR_BAD_ARGUMENT,
            "cr_fn_write_c: derivatives are captured with the function, and a program has no values to print");
    return t->error;
  }
  uint32_t *id = cr__resize_on(t, NULL, 0, ((size_t)n_ends(f) + from->count) * sizeof *id), *order = id + n_ends(f);
  if (!id) return t->error;
  memcpy(id, f->graph.end, (size_t)n_ends(f) * sizeof *id);
  for (uint32_t k = 1; k < from->count; k++) order[k - 1] = k;
  cr_tape *copy = cr__ordered(f, from->count - 1, order, id);
  cr_tape *failed = copy ? copy : from;
  if (!copy || write_copy(b, f, copy, id, o) != CR_OK) cr_fail(t, failed->error, "cr_fn_write_c: %s", failed->error_text);
  if (b->failed) cr__out_of_memory(t);
  cr__resize_on(t, id, ((size_t)n_ends(f) + from->count) * sizeof *id, 0);
  if (copy) cr_free(copy);
  return t->error;
}
