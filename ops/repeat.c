/* cr_scan, cr_fori: what a caller gives becomes a loop of one node (loops.h). */
#include <string.h>

#include "loops.h"

bool cr__run_each(cr_tape *t, cr_body *b, int64_t steps, int n_xs, const cr_var *in, cr_var *out) {
  int n = cr_body_inputs(b);
  cr__scan l = {.body = b, .steps = steps, .n_xs = n_xs, .n_const = n - n_xs, .n_ys = cr_body_outputs(b)};
  cr__loop_parts(&l, cr_record(t, &cr__scan_op, n, in, &l), out);
  return cr_error(t) == CR_OK;
}

/* The arrays of a step's inputs: of sequences the first element. NULL after a failure. */
static cr_array *step_arrays(cr_tape *t, const char *what, const cr_loop *l) {
  int n = l->n_carry + l->n_xs + l->n_const;
  cr_array *a = cr_body_room(t, (size_t)(n + 1) * sizeof *a);
  for (int k = 0; a && k < n; k++) {
    bool sequence = k >= l->n_carry && k < l->n_carry + l->n_xs;
    cr_var v = k < l->n_carry ? l->carry[k] : sequence ? l->xs[k - l->n_carry] : l->consts[k - l->n_carry - l->n_xs];
    if (v.tape != t) cr_fail(t, CR_WRONG_TAPE, "%s: operand %d is of another tape", what, k);
    else if (cr_is_poison(v)) cr_fail(t, CR_POISONED, "%s: operand %d is the poison node", what, k);
    if (cr_error(t) != CR_OK) return NULL;
    a[k] = cr_view(v);
    if (!sequence) continue;
    if (!a[k].rank || a[k].dim[0] != l->steps) {
      char shape[200];
      cr_fail(t, CR_BAD_SHAPE, "%s: sequence %d has shape %s, but there are %lld steps", what, k - l->n_carry,
              cr_shape_text(&a[k], shape, sizeof shape), (long long)l->steps);
      return NULL;
    }
    cr_array first = a[k];
    cr_array_init(&first, (cr_dtype)a[k].dtype, a[k].rank - 1, a[k].dim + 1);
    memcpy(first.stride, a[k].stride + 1, first.rank * sizeof *first.stride);
    first.data = l->steps ? a[k].data : NULL;
    cr__settle_strides(&first);
    a[k] = first;
  }
  return a;
}

static bool check_body(cr_tape *t, const char *what, const cr_loop *l, const cr_body *b) {
  for (int k = 0; k < cr_body_outputs(b); k++) {
    cr_array out = cr_body_output(b, k), in = k < l->n_carry ? cr_body_input(b, k) : out;
    char is[200], was[200];
    if (!cr__like(&out, &in))
      cr_fail(t, CR_BAD_SHAPE, "%s: carry %d begins as %s %s and comes out of the body as %s %s", what, k,
              cr_dtype_name((cr_dtype)in.dtype), cr_shape_text(&in, was, sizeof was), cr_dtype_name((cr_dtype)out.dtype),
              cr_shape_text(&out, is, sizeof is));
    else if (out.rank == CR_MAX_RANK)
      cr_fail(t, CR_BAD_SHAPE, "%s: result %d has %d axes, and no room for that of the steps", what, k, CR_MAX_RANK);
  }
  return cr_error(t) == CR_OK;
}

/* Records the loop; part[] receives its stacks. count is poison where all steps run. */
static bool record_loop(cr_tape *t, const char *what, cr_body_record record, void *user, const cr_loop *l, cr_var count,
                        cr__scan *made, cr_var *part) {
  int n = l->n_carry + l->n_xs + l->n_const, m = l->n_carry + l->n_ys;
  const cr_array *like = step_arrays(t, what, l);
  cr_var *in = cr_body_room(t, (size_t)(n + 1) * sizeof *in);
  cr_body *b = like && in ? cr_body_new(t, what, record, user, n, like, m) : NULL;
  *made = (cr__scan){.body = b,
                     .steps = l->steps,
                     .n_carry = l->n_carry,
                     .n_xs = l->n_xs,
                     .n_const = l->n_const,
                     .n_ys = l->n_ys,
                     .reverse = l->reverse != 0,
                     .counted = !cr_is_poison(count)};
  if (b && check_body(t, what, l, b)) {
    for (int k = 0; k < n; k++)
      in[k] = k < l->n_carry             ? l->carry[k]
              : k < l->n_carry + l->n_xs ? l->xs[k - l->n_carry]
                                         : l->consts[k - l->n_carry - l->n_xs];
    if (made->counted) in[n++] = count;
    cr__loop_parts(made, cr_record(t, &cr__scan_op, n, in, made), part);
  }
  cr_body_release(b);
  made->body = NULL;
  return cr_error(t) == CR_OK;
}

static cr_status run_loop(cr_tape *t, const char *what, cr_body_record record, void *user, const cr_loop *l, cr_var count,
                          cr_var *carry, cr_var *ys) {
  cr__scan made;
  cr_var *part = cr_body_room(t, (size_t)(l->n_carry + l->n_ys + 1) * sizeof *part);
  if (!part || !record_loop(t, what, record, user, l, count, &made, part)) return cr_error(t);
  for (int k = 0; k < l->n_carry; k++)
    carry[k] = l->steps ? cr__last_carry(&made, part[k], l->carry[k], count) : l->carry[k];
  for (int k = 0; k < l->n_ys; k++) ys[k] = part[l->n_carry + k];
  return cr_error(t);
}

/* Stretches of every steps as steps of an outer loop, whose carries alone are kept. */

typedef struct stretch {
  cr_body_record record;
  void *user;
  const cr_loop *l;
} stretch;

static void record_stretch(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  const stretch *s = user;
  cr_loop l = *s->l;
  (void)n, (void)m;
  l.carry = in, l.xs = in + l.n_carry, l.consts = l.xs + l.n_xs, l.steps = l.every;
  run_loop(t, "cr_scan", s->record, s->user, &l, cr_poison(t), out, out + l.n_carry);
}

/* Part of the steps: elements from on of the sequences. */
static bool cut(cr_tape *t, const cr_loop *l, int64_t from, int64_t steps, int64_t every, cr_var *xs) {
  for (int k = 0; k < l->n_xs; k++) {
    int64_t dims[CR_MAX_RANK + 1] = {steps / every, every};
    cr_array a = cr_view(l->xs[k]);
    xs[k] = cr_slice_axis(l->xs[k], 0, from, from + steps, 1);
    if (every == 1) continue;
    if (a.rank == CR_MAX_RANK) return cr_fail(t, CR_BAD_SHAPE, "cr_scan: sequence %d has too many axes", k), false;
    memcpy(dims + 2, a.dim + 1, (size_t)(a.rank - 1) * sizeof *dims);
    xs[k] = cr_reshape(xs[k], a.rank + 1, dims);
  }
  return cr_error(t) == CR_OK;
}

static cr_status scan_whole(cr_tape *t, const stretch *s, int64_t from, int64_t steps, cr_var *carry, cr_var *xs,
                            cr_var *ys) {
  cr_loop l = *s->l;
  if (!cut(t, &l, from, steps, l.every, xs)) return cr_error(t);
  stretch copy = *s;
  l.steps = steps / l.every, l.carry = carry, l.xs = xs;
  if (run_loop(t, "cr_scan", record_stretch, &copy, &l, cr_poison(t), carry, ys) != CR_OK) return cr_error(t);
  for (int k = 0; k < l.n_ys; k++) {
    int64_t dims[CR_MAX_RANK + 1] = {steps};
    cr_array a = cr_view(ys[k]);
    memcpy(dims + 1, a.dim + 2, (size_t)(a.rank - 2) * sizeof *dims);
    ys[k] = cr_reshape(ys[k], a.rank - 1, dims);
  }
  return cr_error(t);
}

static cr_status scan_rest(cr_tape *t, const stretch *s, int64_t from, int64_t steps, cr_var *carry, cr_var *xs,
                           cr_var *ys) {
  cr_loop l = *s->l;
  if (!cut(t, &l, from, steps, 1, xs)) return cr_error(t);
  l.steps = steps, l.carry = carry, l.xs = xs;
  return run_loop(t, "cr_scan", s->record, s->user, &l, cr_poison(t), carry, ys);
}

static cr_status scan_in_stretches(cr_tape *t, const stretch *s, cr_var *carry, cr_var *ys) {
  const cr_loop *l = s->l;
  int64_t rest = l->steps % l->every, whole = l->steps - rest, at = l->reverse ? 0 : whole;
  cr_var *xs = cr_body_room(t, (size_t)(l->n_xs + l->n_ys + 1) * sizeof *xs), *last = xs + l->n_xs;
  if (!xs) return cr_error(t);
  for (int k = 0; k < l->n_carry; k++) carry[k] = l->carry[k];
  if (l->reverse && rest) scan_whole(t, s, rest, whole, carry, xs, ys);
  else scan_whole(t, s, 0, whole, carry, xs, ys);
  if (!rest || cr_error(t) != CR_OK || scan_rest(t, s, at, rest, carry, xs, last) != CR_OK) return cr_error(t);
  for (int k = 0; k < l->n_ys; k++)
    ys[k] = cr_concatenate(2, l->reverse ? (cr_var[]){last[k], ys[k]} : (cr_var[]){ys[k], last[k]}, 0);
  return cr_error(t);
}

static bool check_loop(cr_tape *t, const char *what, const cr_loop *l, cr_var *carry, cr_var *ys) {
  for (int k = 0; k < l->n_carry; k++) carry[k] = cr_poison(t);
  for (int k = 0; k < l->n_ys; k++) ys[k] = cr_poison(t);
  if (l->steps < 0 || l->every < 0)
    cr_fail(t, CR_BAD_ARGUMENT, "%s: %lld steps, of which every %lld-th is kept", what, (long long)l->steps,
            (long long)l->every);
  else if (l->n_carry + l->n_ys < 1)
    cr_fail(t, CR_BAD_ARGUMENT, "%s: a loop without results", what);
  return cr_error(t) == CR_OK;
}

cr_status cr_scan(cr_tape *t, cr_body_record record, void *user, const cr_loop *l, cr_var *carry, cr_var *ys) {
  if (!check_loop(t, "cr_scan", l, carry, ys)) return cr_error(t);
  if (l->every > 1 && l->every < l->steps) return scan_in_stretches(t, &(stretch){record, user, l}, carry, ys);
  return run_loop(t, "cr_scan", record, user, l, cr_poison(t), carry, ys);
}

cr_status cr_fori(cr_tape *t, cr_body_record record, void *user, cr_var count, const cr_loop *l, cr_var *carry) {
  cr_loop with = *l;
  if (!check_loop(t, "cr_fori", l, carry, NULL)) return cr_error(t);
  if (l->n_xs || l->n_ys || l->reverse || l->every > 1)
    return cr_fail(t, CR_BAD_ARGUMENT, "cr_fori: sequences, results, reverse and every are for cr_scan"), cr_error(t);
  if (!cr_is_poison(count) && (count.tape != t || cr_rank(count) != 0 || cr_dtype_of(count) != CR_INT64))
    return cr_fail(t, CR_BAD_DTYPE, "cr_fori: the number of steps is an int64 without axes"), cr_error(t);
  cr_var place = cr_arange(t, CR_INT64, 0, (double)l->steps, 1);
  with.n_xs = 1, with.xs = &place;
  return run_loop(t, "cr_fori", record, user, &with, count, carry, NULL);
}
