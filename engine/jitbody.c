/* The bodies of a function's nodes, compiled: each node gets copies of its own, so that whoever else has the body runs it
 * as before. */
#include <stdio.h>

#include "jitting.h"
#include "language.h"
#include "shelf.h"

typedef struct bodies {
  const cr_jit_options *options;
  unsigned all, compiled;
  int64_t times; /* that a run of the function under way is run */
} bodies;

static cr_status compile(cr_fn *f, bodies *b, char *note, size_t size);

/* The field of a node's attributes, which belong to the function alone. CR_NO_MEMORY leaves it as it was. */
static cr_status compile_field(const void *attr, const cr_field *field, bodies *b) {
  cr_body *own = cr__body_at(attr, field);
  char note[300] = "";
  if (!own) return CR_OK;
  cr_body *copy = cr__body_copy(own);
  if (!copy) return CR_NO_MEMORY;
  bodies inside = {.options = b->options, .times = b->times};
  cr_status status = compile(copy->f, &inside, note, sizeof note);
  bool some = status == CR_OK && (copy->f->unit || copy->f->codes);
  b->all += 1 + inside.all;
  b->compiled += some + inside.compiled;
  if (!some && !inside.compiled) {
    cr_body_release(copy);
    return status;
  }
  memcpy((char *)(uintptr_t)attr + field->at, &copy, sizeof copy);
  cr_body_release(own);
  return CR_OK;
}

static int64_t steps_of(const cr_op *op, const void *attr) {
  for (const cr_field *f = op->fields; f && f->name; f++)
    if (f->kind == CR_FIELD_STEPS) return cr__integer_at(attr, f->at, f->size);
  return 1;
}

static cr_status compile_bodies(cr_fn *f, bodies *b) {
  const cr_tape *t = f->graph.tape;
  const int64_t times = b->times, most = INT64_MAX / 2;
  for (uint32_t k = 0; k < f->plan.n_steps; k++) {
    const cr__step *s = &f->plan.step[k];
    const cr_op *op = s->role == CR__KERNEL ? t->op[cr__op_number(t, s->from)] : NULL;
    const void *attr = cr__attr_of(t, s->from);
    if (!op || !op->hold || !attr) continue;
    int64_t steps = steps_of(op, attr);
    b->times = steps < 1 ? 1 : times > most / steps ? most : times * steps;
    for (const cr_field *field = op->fields; field && field->name; field++) {
      cr_status status = compile_field(attr, field, b);
      if (status != CR_OK) return status;
    }
    b->times = times;
  }
  return CR_OK;
}

static cr_status compile(cr_fn *f, bodies *b, char *note, size_t size) {
  cr_status status = compile_bodies(f, b);
  return status == CR_OK ? cr__compile_steps(f, b->options, b->times, note, size) : status;
}

cr_status cr_fn_compile(cr_fn *f, const cr_jit_options *options, char *note, size_t size) {
  static const cr_jit_options none = {0};
  static const char failed[] = "not compiled: ";
  bodies b = {.options = options ? options : &none, .times = 1};
  char steps[400] = "";
  cr_status status = compile(f, &b, steps, sizeof steps);
  const cr__note n = {note, note ? size : 0};
  if (status != CR_OK) cr__say(&n, "out of memory");
  else if (!b.compiled) cr__say(&n, "%s", steps);
  else if (strncmp(steps, failed, sizeof failed - 1))
    cr__say(&n, "%s; %u of %u bod%s", steps, b.compiled, b.all, b.all == 1 ? "y" : "ies");
  else
    cr__say(&n, "compiled %u of %u bod%s; not the rest: %s", b.compiled, b.all, b.all == 1 ? "y" : "ies",
            steps + sizeof failed - 1);
  return status;
}
