/* Loops as one node: scan, whose body is run once for each step, and what is made of it. The reverse pass is a scan in the
 * other direction over the carries that the first one left, and forward mode a scan beside it, so both can be differentiated
 * again.
 *
 * Operands: the first carries, the sequences, the constants, and for a counted loop the number of steps. The body makes of a
 * carry, an element of each sequence and the constants the next carry, an element of each result, and terms of sums. Result:
 * carries after each step, results, sums, in this order in one vector; step i has place i of all sequences whatever the
 * direction. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "emitbodies.h"
#include "loops.h"

static void hold(const void *attr) { cr_body_hold(((const cr__scan *)attr)->body); }
static void release(const void *attr) { cr_body_release(((const cr__scan *)attr)->body); }

static int widen(cr_tape *t, const void *attr, void *wide) {
  cr__scan *l = wide;
  *l = *(const cr__scan *)attr;
  return (l->body = cr_body_wide(t, l->body)) != NULL;
}

static void show(char *text, size_t size, const void *attr) {
  const cr__scan *l = attr;
  snprintf(text, size, "body=%016llx, steps=%lld, carries=%d, sequences=%d, results=%d%s%s",
           (unsigned long long)cr_body_hash(l->body), (long long)l->steps, l->n_carry, l->n_xs, l->n_ys,
           l->reverse ? ", reverse=True" : "", l->counted ? ", counted=True" : "");
}

static int inputs_of(const cr__scan *l) { return l->n_carry + l->n_xs + l->n_const; }
static int stacks_of(const cr__scan *l) { return l->n_carry + l->n_ys; }
static bool is_sequence(const cr__scan *l, int k) { return k >= l->n_carry && k < l->n_carry + l->n_xs; }

/* Of input k of the node. */
static cr_array input_shape(const cr__scan *l, int k) {
  cr_array a = cr_body_input(l->body, k);
  return is_sequence(l, k) ? cr__stacked(&a, l->steps) : a;
}
/* Of part k of the result. */
static cr_array part_shape(const cr__scan *l, int k) {
  cr_array a = cr_body_output(l->body, k);
  return k < stacks_of(l) ? cr__stacked(&a, l->steps) : a;
}

static cr_status infer(cr_infer *c) {
  const cr__scan *l = c->attr;
  static const char *const names[] = {"carry", "sequence", "constant"};
  int n = inputs_of(l), m = stacks_of(l) + l->n_sums;
  int64_t count = 0;
  if (c->n != n + l->counted) return CR_BAD_SHAPE;
  for (int k = 0; k < n; k++) {
    cr_array need = input_shape(l, k);
    if (!cr__fits_body(c, k, names[(k >= l->n_carry) + (k >= l->n_carry + l->n_xs)], &need)) return CR_BAD_SHAPE;
  }
  for (int k = 0; k < m; k++) count += part_shape(l, k).count;
  cr__vector_of(c->out, (cr_dtype)cr_body_output(l->body, 0).dtype, count);
  return CR_OK;
}

/* Running */

typedef struct run {
  const cr__scan *l;
  cr_eval *c;
  cr_body_runs *body;
  const cr_array *in;   /* of the node, dense */
  char *part[3];        /* where the parts of the result begin: carries, results, sums */
  int64_t count, blocks;
  size_t sum_bytes;
  char *sums;           /* by block; the sums of the steps of each, after a place for the terms of one step, by worker */
  char *terms;
  atomic_int *busy;     /* by worker */
  int workers;
  atomic_int failed;
} run;

static size_t bytes_of(const cr_array *a) { return (size_t)a->count * cr_dtype_size((cr_dtype)a->dtype); }

static size_t sum_bytes_of(const cr__scan *l) {
  size_t bytes = 0;
  for (int k = 0; k < l->n_sums; k++) {
    cr_array a = cr_body_output(l->body, stacks_of(l) + k);
    bytes += bytes_of(&a);
  }
  return bytes;
}

static void add_to(cr_dtype dtype, size_t bytes, char *to, const char *from) {
  size_t n = bytes / cr_dtype_size(dtype);
  if (dtype == CR_FLOAT64)
    for (size_t k = 0; k < n; k++) ((double *)(void *)to)[k] += ((const double *)(const void *)from)[k];
  else if (dtype == CR_FLOAT32)
    for (size_t k = 0; k < n; k++) ((float *)(void *)to)[k] += ((const float *)(const void *)from)[k];
}

/* What does not change from step to step. */
static void bind(const run *r, cr_array *in, cr_array *out) {
  const cr__scan *l = r->l;
  for (int k = 0; k < inputs_of(l); k++) {
    in[k] = cr_body_input(l->body, k);
    in[k].data = r->in[k].data;
  }
  for (int k = 0; k < stacks_of(l) + l->n_sums; k++) out[k] = cr_body_output(l->body, k);
}

/* Step at place i, after the one at place before (-1: the first); its terms of sums go to terms. */
static cr_status run_step(const run *r, int worker, cr_array *in, cr_array *out, int64_t i, int64_t before, char *terms) {
  const cr__scan *l = r->l;
  char *carries = r->part[0], *results = r->part[1];
  for (int k = 0; k < l->n_carry; k++) {
    size_t bytes = bytes_of(&out[k]);
    in[k].data = before < 0 ? r->in[k].data : carries + (size_t)before * bytes;
    out[k].data = carries + (size_t)i * bytes;
    carries += (size_t)l->steps * bytes;
  }
  for (int k = l->n_carry; k < l->n_carry + l->n_xs; k++) in[k].data = (char *)r->in[k].data + (size_t)i * bytes_of(&in[k]);
  for (int k = l->n_carry; k < stacks_of(l); k++) {
    size_t bytes = bytes_of(&out[k]);
    out[k].data = results + (size_t)i * bytes;
    results += (size_t)l->steps * bytes;
  }
  for (int k = stacks_of(l); k < stacks_of(l) + l->n_sums; k++) {
    out[k].data = terms;
    terms += bytes_of(&out[k]);
  }
  return cr_body_run(r->body, worker, in, out);
}

static cr_array *room_for_arrays(cr_eval *c, const cr__scan *l) {
  return cr_scratch(c, (size_t)(inputs_of(l) + stacks_of(l) + l->n_sums + 1) * sizeof(cr_array));
}

static void run_in_order(run *r) {
  const cr__scan *l = r->l;
  cr_array *in = room_for_arrays(r->c, l), *out = in + inputs_of(l);
  int64_t before = -1;
  if (!in) return;
  bind(r, in, out);
  for (int64_t s = 0; s < r->count; s++) {
    int64_t i = l->reverse ? r->count - 1 - s : s;
    if (run_step(r, 0, in, out, i, before, r->terms) != CR_OK) return;
    if (l->n_sums) add_to((cr_dtype)r->c->out->dtype, r->sum_bytes, r->part[2], r->terms);
    before = i;
  }
}

/* Steps without a carry are independent: blocks of them run at once, each with sums of its own, whatever the threads. */
enum { MOST_ENDS = 64 };

bool cr__loop_in_blocks(const cr__scan *l) { return !l->n_carry && inputs_of(l) + l->n_ys + l->n_sums <= MOST_ENDS; }

/* There are as many as threads. -1: one has failed. */
static int take_worker(run *r) {
  for (int k = 0; !atomic_load(&r->failed); k = (k + 1) % r->workers)
    if (!atomic_exchange(&r->busy[k], 1)) return k;
  return -1;
}

static void run_block(void *context, int64_t from, int64_t to) {
  run *r = context;
  int worker = take_worker(r);
  cr_array few[MOST_ENDS], *in = few, *out = in + inputs_of(r->l);
  if (worker < 0) return;
  bind(r, in, out);
  for (int64_t b = from; b < to; b++) {
    char *sums = r->sums + (size_t)b * r->sum_bytes, *terms = r->terms + (size_t)worker * r->sum_bytes;
    for (int64_t i = b * r->count / r->blocks; i < (b + 1) * r->count / r->blocks; i++) {
      if (atomic_load(&r->failed)) break;
      if (run_step(r, worker, in, out, i, -1, terms) != CR_OK) {
        atomic_store(&r->failed, 1);
        return; /* the worker keeps its error */
      }
      if (r->l->n_sums) add_to((cr_dtype)r->c->out->dtype, r->sum_bytes, sums, terms);
    }
  }
  atomic_store(&r->busy[worker], 0);
}

static void run_at_once(run *r) {
  cr_parallel(r->c->tape, r->blocks, 1, run_block, r);
  for (int64_t b = 0; b < r->blocks && r->l->n_sums; b++)
    add_to((cr_dtype)r->c->out->dtype, r->sum_bytes, r->part[2], r->sums + (size_t)b * r->sum_bytes);
}

static cr_status count_steps(cr_eval *c, const cr__scan *l, int64_t *count) {
  *count = l->counted ? cr_array_get_int(&c->in[c->n - 1], 0) : l->steps;
  if (*count > l->steps) {
    cr_fail(c->tape, CR_BAD_ARGUMENT, "%lld steps, but at most %lld were recorded", (long long)*count, (long long)l->steps);
    return CR_BAD_ARGUMENT;
  }
  *count = *count < 0 ? 0 : *count;
  return CR_OK;
}

static bool prepare_run(run *r) {
  const cr__scan *l = r->l;
  int64_t threads = cr_get(r->c->tape, CR_THREADS);
  r->blocks = !cr__loop_in_blocks(l) || r->count < 2 ? 0 : r->count < CR__LOOP_BLOCKS ? r->count : CR__LOOP_BLOCKS;
  r->workers = r->blocks ? (int)(threads && threads < r->blocks ? threads : r->blocks) : 1;
  r->sum_bytes = sum_bytes_of(l);
  r->sums = cr_scratch(r->c, (size_t)r->blocks * r->sum_bytes + 1);
  r->terms = cr_scratch(r->c, (size_t)r->workers * r->sum_bytes + 1);
  r->busy = cr_scratch(r->c, (size_t)r->workers * sizeof *r->busy);
  if (!r->sums || !r->terms || !r->busy) return false;
  memset(r->sums, 0, (size_t)r->blocks * r->sum_bytes);
  for (int k = 0; k < r->workers; k++) atomic_init(&r->busy[k], 0);
  atomic_init(&r->failed, 0);
  return true;
}

static cr_status eval(cr_eval *c) {
  const cr__scan *l = c->attr;
  run r = {.l = l, .c = c};
  if (count_steps(c, l, &r.count) != CR_OK || !prepare_run(&r)) return cr_error(c->tape);
  size_t size = cr_dtype_size((cr_dtype)c->out->dtype);
  cr_array *in = cr_scratch(c, (size_t)(inputs_of(l) + 1) * sizeof *in);
  if (!in) return CR_NO_MEMORY;
  r.in = in;
  for (int k = 0; k < inputs_of(l); k++) {
    in[k] = cr__bound(c, input_shape(l, k), &c->in[k]);
    if (!in[k].data) return CR_NO_MEMORY;
  }
  r.part[0] = r.part[1] = c->out->data;
  for (int k = 0; k < l->n_carry; k++) r.part[1] += (size_t)part_shape(l, k).count * size;
  r.part[2] = (char *)c->out->data + (size_t)c->out->count * size - r.sum_bytes;
  if (l->counted && r.count < l->steps) memset(c->out->data, 0, (size_t)c->out->count * size);
  else memset(r.part[2], 0, r.sum_bytes);
  r.body = cr_body_start(c, l->body, r.workers);
  if (!r.body) return CR_NO_MEMORY;
  if (r.blocks) run_at_once(&r);
  else run_in_order(&r);
  return cr_body_stop(r.body);
}

/* Nodes over parts of a loop's vector */

void cr__loop_parts(const cr__scan *l, cr_var v, cr_var *part) {
  int64_t at = 0;
  for (int k = 0; k < stacks_of(l) + l->n_sums; k++) {
    cr_array shape = part_shape(l, k);
    part[k] = cr__piece(v, &at, &shape);
  }
}

cr_var cr__last_carry(const cr__scan *l, cr_var stack, cr_var first, cr_var count) {
  cr_tape *t = stack.tape;
  if (!l->counted) return cr_select(stack, 0, l->reverse ? 0 : l->steps - 1);
  cr_var at = cr_maximum(cr_sub(count, cr_cast(cr_const(t, 1), CR_INT64)), cr_cast(cr_const(t, 0), CR_INT64));
  cr_var last = l->reverse ? cr_select(stack, 0, 0) : cr_index_select(stack, 0, at);
  return cr_where(cr_gt(count, cr_const(t, 0)), last, first);
}

/* By place, the carry that the step there began with. */
static cr_var carries_in(const cr__scan *l, cr_var stack, cr_var first, cr_var count) {
  cr_tape *t = stack.tape;
  int64_t n = l->steps;
  cr_var begin = cr_unsqueeze(first, 0);
  if (!l->reverse) return n == 1 ? begin : cr_concatenate(2, (cr_var[]){begin, cr_slice_axis(stack, 0, 0, n - 1, 1)}, 0);
  cr_var moved = n == 1 ? begin : cr_concatenate(2, (cr_var[]){cr_slice_axis(stack, 0, 1, n, 1), begin}, 0);
  if (!l->counted) return moved;
  cr_var is_last = cr_eq(cr_arange(t, CR_INT64, 1, (double)n + 1, 1), count);
  int64_t dims[CR_MAX_RANK + 1] = {n};
  for (int k = 1; k < cr_rank(moved); k++) dims[k] = 1;
  return cr_where(cr_reshape(is_last, cr_rank(moved), dims), begin, moved);
}

/* Reverse: inputs are the cotangents of the carry | carries, sequences, cotangents of carries and of results | constants,
 * cotangents of sums; results those of the carry | of sequences | of constants, as far as they are wanted. */

typedef struct reverse_record {
  const cr__scan *l;
  cr_body *vjp;
} reverse_record;

static void record_reverse(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  const reverse_record *r = user;
  const cr__scan *l = r->l;
  int nc = l->n_carry, nx = l->n_xs, ends = inputs_of(l) + stacks_of(l) + l->n_sums;
  (void)n, (void)m;
  cr_var *all = cr_body_room(t, (size_t)(ends + 1) * sizeof *all), *to = all;
  const cr_var *carry = in + nc, *g = carry + nc + nx, *consts = g + stacks_of(l);
  if (!all) return;
  for (int k = 0; k < nc + nx; k++) *to++ = carry[k];
  for (int k = 0; k < l->n_const; k++) *to++ = consts[k];
  for (int k = 0; k < nc; k++) *to++ = cr_add(in[k], g[k]);
  for (int k = 0; k < l->n_ys; k++) *to++ = g[nc + k];
  for (int k = 0; k < l->n_sums; k++) *to++ = consts[l->n_const + k];
  cr_body_inline(r->vjp, t, all, out);
}

/* The body of the reverse loop, and its inputs as the shapes of a step. */
static cr_body *reverse_body(cr_tape *t, const cr__scan *l, const unsigned char *wanted, const cr__scan *back,
                             cr_array *like) {
  const int32_t split[] = {l->n_carry, l->n_xs, l->n_const, l->n_ys, l->n_sums};
  reverse_record r = {l, cr_body_vjp(t, l->body, wanted)};
  if (!r.vjp) return NULL;
  cr_array *to = like;
  for (int k = 0; k < l->n_carry; k++) *to++ = cr_body_output(l->body, k);
  for (int k = 0; k < l->n_carry + l->n_xs; k++) *to++ = cr_body_input(l->body, k);
  for (int k = 0; k < stacks_of(l); k++) *to++ = cr_body_output(l->body, k);
  for (int k = 0; k < l->n_const; k++) *to++ = cr_body_input(l->body, l->n_carry + l->n_xs + k);
  for (int k = 0; k < l->n_sums; k++) *to++ = cr_body_output(l->body, stacks_of(l) + k);
  return cr_body_derived(t, r.vjp, "reverse loop", sizeof split, split, record_reverse, &r, (int)(to - like), like,
                         back->n_carry + back->n_ys + back->n_sums);
}

/* The loop backwards as a node. */
static cr_var record_back(cr_vjp_rule *c, const cr__scan *back, const cr_var *part, const cr_var *g, cr_var *all) {
  const cr__scan *l = c->attr;
  cr_var *to = all, count = c->in[c->n - 1];
  for (int k = 0; k < l->n_carry; k++) *to++ = cr_zeros_like(c->in[k]);
  for (int k = 0; k < l->n_carry; k++) *to++ = carries_in(l, part[k], c->in[k], count);
  for (int k = 0; k < l->n_xs; k++) *to++ = c->in[l->n_carry + k];
  for (int k = 0; k < stacks_of(l); k++) *to++ = g[k];
  for (int k = 0; k < l->n_const; k++) *to++ = c->in[l->n_carry + l->n_xs + k];
  for (int k = 0; k < l->n_sums; k++) *to++ = g[stacks_of(l) + k];
  if (l->counted) *to++ = count;
  return cr_record(c->tape, &cr__scan_op, (int)(to - all), all, back);
}

static void vjp(cr_vjp_rule *c) {
  const cr__scan *l = c->attr;
  int n = inputs_of(l), m = stacks_of(l) + l->n_sums;
  size_t handles = (size_t)(2 * n + 4 * m + 2), ends = (size_t)(n + 2 * m);
  cr_var *part = cr_body_room(c->tape, handles * sizeof *part + (size_t)n);
  cr_array *like = cr_body_room(c->tape, ends * sizeof *like);
  if (!part || !like) return;
  cr_var *g = part + m, *all = g + m;
  unsigned char *wanted = (unsigned char *)(part + handles);
  cr__scan back = {.steps = l->steps, .n_carry = l->n_carry, .n_xs = 2 * l->n_carry + l->n_xs + l->n_ys,
               .n_const = l->n_const + l->n_sums, .reverse = !l->reverse, .counted = l->counted};
  for (int k = 0; k < n; k++) {
    cr_array a = cr_body_input(l->body, k);
    wanted[k] = k < l->n_carry || (c->wanted[k] && cr__is_float(&a));
    if (k >= l->n_carry && wanted[k]) *(is_sequence(l, k) ? &back.n_ys : &back.n_sums) += 1;
  }
  if (!(back.n_carry + back.n_ys + back.n_sums)) return;
  if (!(back.body = reverse_body(c->tape, l, wanted, &back, like))) return;
  cr__loop_parts(l, c->out, part);
  cr__loop_parts(l, c->g, g);
  cr_var result = record_back(c, &back, part, g, all), *d = all;
  if (cr_is_poison(result)) return;
  cr__loop_parts(&back, result, d);
  for (int k = 0; k < n; k++) {
    if (!wanted[k]) continue;
    cr_var v = *d++;
    if (!c->wanted[k]) continue;
    c->d[k] = k < l->n_carry ? cr__last_carry(&back, v, cr_zeros_like(c->in[k]), c->in[c->n - 1]) : v;
  }
}

/* Forward: inputs are the tangents of the carry | carries, sequences, tangents of those that move | constants, tangents. */

typedef struct forward_record {
  const cr__scan *l;
  cr_body *jvp;
  const unsigned char *moves;
} forward_record;

static void record_forward(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  const forward_record *r = user;
  const cr__scan *l = r->l;
  (void)m;
  cr_var *all = cr_body_room(t, (size_t)(n + 1) * sizeof *all), *to = all;
  const cr_var *carry = in + l->n_carry, *dot = carry + l->n_carry + l->n_xs, *consts = dot;
  if (!all) return;
  for (int k = l->n_carry; k < l->n_carry + l->n_xs; k++) consts += r->moves[k];
  for (int k = 0; k < l->n_carry + l->n_xs; k++) *to++ = carry[k];
  for (int k = 0; k < l->n_const; k++) *to++ = consts[k];
  for (int k = 0; k < l->n_carry; k++) *to++ = in[k];
  for (; dot < consts; dot++) *to++ = *dot;
  for (dot = consts + l->n_const; dot < in + n; dot++) *to++ = *dot;
  cr_body_inline(r->jvp, t, all, out);
}

static cr_body *forward_body(cr_tape *t, const cr__scan *l, const unsigned char *moves, const cr__scan *beside,
                             cr_array *like) {
  const int32_t split[] = {l->n_carry, l->n_xs, l->n_const, l->n_ys, l->n_sums};
  forward_record r = {l, cr_body_jvp(t, l->body, moves), moves};
  if (!r.jvp) return NULL;
  cr_array *to = like;
  int n = inputs_of(l), consts = l->n_carry + l->n_xs;
  for (int k = 0; k < l->n_carry; k++) *to++ = cr_body_input(l->body, k);
  for (int k = 0; k < consts; k++) *to++ = cr_body_input(l->body, k);
  for (int k = l->n_carry; k < consts; k++)
    if (moves[k]) *to++ = cr_body_input(l->body, k);
  for (int k = consts; k < n; k++) *to++ = cr_body_input(l->body, k);
  for (int k = consts; k < n; k++)
    if (moves[k]) *to++ = cr_body_input(l->body, k);
  return cr_body_derived(t, r.jvp, "forward loop", sizeof split, split, record_forward, &r, (int)(to - like), like,
                         beside->n_carry + beside->n_ys + beside->n_sums);
}

static cr_var jvp(cr_jvp_rule *c) {
  const cr__scan *l = c->attr;
  int n = inputs_of(l), m = stacks_of(l) + l->n_sums, some = 0, consts = l->n_carry + l->n_xs;
  size_t handles = (size_t)(m + 3 * n + 2);
  cr_var *part = cr_body_room(c->tape, handles * sizeof *part + (size_t)n), *all = part + m, *to = all,
         none = cr_poison(c->tape);
  cr_array *like = cr_body_room(c->tape, (size_t)(3 * n + 1) * sizeof *like), y = cr_body_output(l->body, 0);
  if (!part || !like || !cr__is_float(&y)) return none;
  unsigned char *moves = (unsigned char *)(part + handles);
  cr__scan beside = *l;
  for (int k = 0; k < n; k++) {
    cr_array a = cr_body_input(l->body, k);
    some += moves[k] = k < l->n_carry || (!cr_absent(c->dot[k]) && cr__is_float(&a));
    if (k >= l->n_carry && moves[k]) *(is_sequence(l, k) ? &beside.n_xs : &beside.n_const) += 1;
  }
  beside.n_xs += l->n_carry;
  if (!some || !(beside.body = forward_body(c->tape, l, moves, &beside, like))) return none;
  cr__loop_parts(l, c->out, part);
  for (int k = 0; k < l->n_carry; k++) *to++ = cr_absent(c->dot[k]) ? cr_zeros_like(c->in[k]) : c->dot[k];
  for (int k = 0; k < l->n_carry; k++) *to++ = carries_in(l, part[k], c->in[k], c->in[c->n - 1]);
  for (int k = l->n_carry; k < consts; k++) *to++ = c->in[k];
  for (int k = l->n_carry; k < consts; k++)
    if (moves[k]) *to++ = c->dot[k];
  for (int k = consts; k < n; k++) *to++ = c->in[k];
  for (int k = consts; k < n; k++)
    if (moves[k]) *to++ = c->dot[k];
  if (l->counted) *to++ = c->in[c->n - 1];
  return cr_record(c->tape, &cr__scan_op, (int)(to - all), all, &beside);
}

const cr_op cr__scan_op = {.name = "scan",
                           CR__OVER_BODIES(cr__scan),
                           .fields = cr__scan_fields, .check = cr__check_scan,
                           .emit = cr__emit_scan, .depend = cr__depend_scan,
                           .rule = "a scan in the other direction over the cotangents of the body"};
