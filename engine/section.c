/* What was recorded since a mark: its derivatives, at the cost of that section alone, and its replacement by them. */
#include "internal.h"

/* Does the section, down to the mark, consist of inline scalars, and are the inputs such? */
static bool is_scalar(const cr_tape *t, uint32_t y, uint32_t floor, int n, const cr_var *x) {
  for (uint32_t id = floor; id <= y; id++)
    if (cr__is_record(t, id)) return false;
  for (int k = 0; k < n; k++)
    if (cr__is_record(t, x[k].id)) return false;
  return true;
}

/* Adjoints by id, of which only those that the section touches are cleared. */
static cr_status sweep_section(cr_tape *t, uint32_t y, uint32_t floor, int n, const cr_var *x, double *out) {
  uint32_t chunk = t->arena.current;
  size_t used = t->arena.used;
  double *bar = cr__alloc(t, ((size_t)y + 1) * sizeof *bar);
  if (!bar) return t->error;
  for (uint32_t id = floor; id <= y; id++) bar[id] = bar[t->node[id].in[0]] = bar[t->node[id].in[1]] = 0;
  for (int k = 0; k < n; k++)
    if (x[k].id <= y) bar[x[k].id] = 0;
  bar[y] = 1;
  t->table->scalar_sweep(t, bar, y, floor);
  for (int k = 0; k < n; k++) out[k] = x[k].id <= y ? bar[x[k].id] : 0;
  cr__arena_reset(&t->arena, chunk, used);
  return CR_OK;
}

static bool check(cr_tape *t, cr_mark mark, cr_var y, int n, const cr_var *x) {
  bool good = cr__valid(t, y);
  for (int k = 0; k < n && good; k++) good = cr__valid(t, x[k]);
  if (!good) return false;
  for (int k = 0; k < n && good; k++) good = x[k].id && x[k].id < mark.nodes;
  if (!y.id || !good) cr_fail(t, y.id ? CR_BAD_ARGUMENT : CR_POISONED, "cr_section_gradient: %s",
                              y.id ? "the inputs must be nodes from before the mark" : "the output is the poison node");
  return y.id && good;
}

cr_status cr_section_gradient(cr_mark mark, cr_var y, int n, const cr_var *x, double *out) {
  cr_tape *t = y.tape;
  if (n < 1 || !t) return CR_BAD_ARGUMENT;
  if (!check(t, mark, y, n, x)) return t->error;
  if (y.id >= mark.nodes && t->table->scalar_sweep && is_scalar(t, y.id, mark.nodes, n, x))
    return sweep_section(t, y.id, mark.nodes, n, x, out);
  cr_sweep *s = cr_backward(y);
  for (int k = 0; k < n && s && t->error == CR_OK; k++) {
    int64_t count = cr_count(x[k]);
    cr_adjoint_read(s, x[k], out, count);
    out += count;
  }
  cr_sweep_release(s);
  return t->error;
}

cr_var cr_preaccumulate(cr_mark mark, cr_var y, int n, const cr_var *x) {
  cr_tape *t = y.tape;
  int64_t count = 1; /* none is as good as one */
  for (int k = 0; k < n; k++) count += cr_count(x[k]);
  size_t bytes = (size_t)count * sizeof(double);
  double value = cr_value(y), *partials = cr__resize_on(t, NULL, 0, bytes);
  if (!partials) return cr_poison(t);
  cr_status status = n ? cr_section_gradient(mark, y, n, x, partials) : t->error;
  if (status == CR_OK && !t->table->preaccumulated)
    cr_fail(t, CR_BAD_ARGUMENT, "the tape's table of ops has no preaccumulated node");
  cr_reset(t, mark);
  cr_var result = t->error == CR_OK ? t->table->preaccumulated(t, value, n, x, partials) : cr_poison(t);
  cr__resize(&t->counted, partials, bytes, 0);
  return result;
}
