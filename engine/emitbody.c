/* Bodies in emitted C: each becomes one function, whose workspace is part of its callers'. */
#include <stdio.h>

#include "emitting.h"
#include "shelf.h"

static bool grow(cr__bodies *all) {
  if (all->n < all->capacity) return true;
  int more = all->capacity ? 2 * all->capacity : 8;
  cr__emitted *of = cr__resize_on(all->t, all->of, (size_t)all->capacity * sizeof *of, (size_t)more * sizeof *of);
  if (!of) return false;
  all->of = of;
  all->capacity = more;
  return true;
}

void cr__free_bodies(cr__bodies *all) {
  cr__resize_on(all->t, all->of, (size_t)all->capacity * sizeof *all->of, 0);
  cr_buffer *text[] = {&all->types, &all->tables, &all->code, &all->prototypes};
  for (int k = 0; k < 4; k++) cr_buffer_free(text[k]);
}

/* On a copy of the graph, whose tape takes the names and texts. */
static bool write_copy(cr__bodies *all, int number, cr_tape *t, int n, int m, const uint32_t *id) {
  cr_emit_options o = *all->options;
  cr_var *end = cr__alloc(t, (size_t)(n + m + 1) * sizeof *end);
  cr_emitter e = {.t = t, .options = &o, .n_in = n, .in = end, .bodies = all, .number = number};
  if (!end) return false;
  e.name = cr__format(&e, "%s_body%d", all->name, number);
  o.what = CR_EMIT_VALUE;
  o.out_name = NULL;
  o.main = 0;
  for (int k = 0; k < n + m; k++) end[k] = cr__handle(t, id[k]);
  return cr__write_source(&e, &all->code, m, end + n);
}

/* The graph that the passes left; f is another's, too, who may write it at the same time. */
static bool write_body(cr_emit_context *c, const cr_body *b, int number) {
  cr__bodies *all = c->emitter->bodies;
  cr_body *body = (cr_body *)(uintptr_t)b;
  cr_fn *f = b->f;
  uint32_t count = f->graph.tape->count;
  size_t bytes = ((size_t)f->graph.n_ends + count) * sizeof(uint32_t);
  uint32_t *id = cr__resize_on(c->tape, NULL, 0, bytes), *order = id ? id + f->graph.n_ends : NULL;
  if (!id) return false;
  memcpy(id, f->graph.end, (size_t)f->graph.n_ends * sizeof *id);
  for (uint32_t k = 1; k < count; k++) order[k - 1] = k;
  pthread_mutex_lock(&body->lock);
  cr_tape *copy = cr__ordered(f, count - 1, order, id), *failed = copy ? copy : f->graph.tape;
  bool good = copy && write_copy(all, number, copy, b->n, b->m, id);
  if (!good) cr_fail(c->tape, failed->error, "%s", failed->error_text);
  pthread_mutex_unlock(&body->lock);
  cr_free(copy);
  cr__resize_on(c->tape, id, bytes, 0);
  return good;
}

/* Its number, from 1; 0 after a failure. */
static int number_of(cr_emit_context *c, const cr_body *b) {
  cr__bodies *all = c->emitter->bodies;
  for (int k = 0; k < all->n; k++)
    if (all->of[k].body == b) return k + 1;
  if (c->tape->error || !grow(all)) return 0;
  all->of[all->n++] = (cr__emitted){.body = b, .op = c->op};
  int number = all->n;
  return write_body(c, b, number) ? number : 0;
}

static void use_space(cr_emitter *e, int number) {
  e->uses_workspace = true;
  for (int k = 0; k < e->n_members; k++)
    if (e->member[k].body == number) return;
  cr__add_member(e, NULL, CR_BOOL, 0);
  if (!e->t->error) e->member[e->n_members - 1].body = number;
}

const char *cr_emit_call(cr_emit_context *c, const struct cr_body *b, const char *const *in, const char *const *out) {
  cr_emitter *e = c->emitter;
  int number = number_of(c, b);
  if (!number) return "0";
  const char *text = cr__format(e, "%s_body%d(", e->bodies->name, number), *comma = "";
  for (int k = 0; k < b->n; k++, comma = ", ") text = cr__format(e, "%s%s%s", text, comma, in[k]);
  for (int k = cr_body_output(b, 0).count == 1; k < b->m; k++, comma = ", ")
    text = cr__format(e, "%s%s%s", text, comma, out[k]);
  if (e->bodies->of[number - 1].bytes) {
    use_space(e, number);
    text = cr__format(e, "%s%s&ws->body%d", text, comma, number);
  }
  e->wraps = true;
  return cr__format(e, "%s)", text);
}

size_t cr__member_bytes(const cr_emitter *e, const cr__member *m) {
  if (m->body) return e->bodies->of[m->body - 1].bytes;
  return (size_t)(m->count > 1 ? m->count : 1) * cr_dtype_size(m->dtype);
}
