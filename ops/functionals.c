/* Functions of the language that take functions: checkpoint, cond, scan, fori, map, root. */
#include <string.h>

#include "loops.h"

enum { MOST = 64 };

static cr_tape *tape_of(const cr_call *c) { return cr_call_tape(c); }

/* Tensors of argument k, none where it is not given, behind those in v; how many there are then, -1 after a failure. */
static int append(cr_call *c, int k, int n, cr_var *v) {
  if (n < 0 || !cr_arg_given(c, k)) return n;
  int more = 1;
  if (cr_arg_is_tuple(c, k)) more = cr_arg_vars(c, k, MOST - n, v + n);
  else if (n < MOST) v[n] = cr_arg_var(c, k);
  else cr_fail(tape_of(c), CR_OVER_LIMIT, "more than %d tensors", MOST);
  return more < 0 || cr_error(tape_of(c)) != CR_OK ? -1 : n + more;
}

static void arrays_of(int n, const cr_var *v, int from, int to, cr_array *like) {
  for (int k = 0; k < n; k++) {
    like[k] = cr_view(v[k]);
    if (k < from || k >= to || !like[k].rank) continue;
    cr_array all = cr_view(v[k]);
    cr_array_init(&like[k], (cr_dtype)all.dtype, all.rank - 1, all.dim + 1);
  }
}

/* Results of the function over these, to be done with; those from on to before to are seen element by element. */
static int results_of(cr_function_argument *f, int n, const cr_var *v, int from, int to) {
  cr_tape *t = tape_of(f->call);
  cr_array like[MOST];
  if (n < 0) return 0;
  arrays_of(n, v, from, to, like);
  int m = cr_argument_results(f, n, like);
  if (m > MOST) return cr_fail(t, CR_OVER_LIMIT, "a function with %d results, at most %d", m, MOST), 0;
  if (!m) cr_fail(t, CR_BAD_ARGUMENT, "the function has no result");
  return cr_error(t) == CR_OK ? m : 0;
}

static void give(cr_call *c, int n, const cr_var *v) {
  for (int k = 0; k < n; k++) cr_return(c, v[k]);
}

static void call_checkpoint(cr_call *c) {
  cr_var in[MOST], out[MOST];
  cr_function_argument f = {.call = c};
  int n = append(c, 1, 0, in), m = results_of(&f, n, in, 0, 0);
  if (m && cr_checkpoint(tape_of(c), cr_record_argument, &f, n, in, m, out) == CR_OK) give(c, m, out);
  cr_argument_done(&f);
}

/* Both functions by one record: the first is called for the first body. */
typedef struct pair {
  cr_function_argument yes, no;
} pair;
static void record_yes(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  cr_record_argument(t, &((pair *)user)->yes, n, in, m, out);
}
static void record_no(cr_tape *t, void *user, int n, const cr_var *in, int m, cr_var *out) {
  cr_record_argument(t, &((pair *)user)->no, n, in, m, out);
}
static void call_cond(cr_call *c) {
  cr_var condition = cr_arg_var(c, 0), in[MOST], out[MOST];
  pair p = {{c, 1, NULL}, {c, 2, NULL}};
  int n = append(c, 3, 0, in), m = results_of(&p.yes, n, in, 0, 0);
  if (m && cr_cond(tape_of(c), condition, record_yes, record_no, &p, n, in, m, out) == CR_OK) give(c, m, out);
  cr_argument_done(&p.yes);
}

static void scan_by(cr_call *c, cr_function_argument *f) {
  cr_var v[MOST], carry[MOST], ys[MOST];
  cr_loop l = {.n_carry = append(c, 1, 0, v), .reverse = cr_arg_bool(c, 4), .every = cr_arg_int(c, 5)};
  int n = append(c, 2, l.n_carry, v);
  l.n_xs = n - l.n_carry;
  l.n_const = append(c, 3, n, v) - n;
  int m = n < 0 || l.n_const < 0 ? 0 : results_of(f, n + l.n_const, v, l.n_carry, n);
  if (!m) return;
  if (m < l.n_carry || l.n_xs < 1) {
    cr_fail(tape_of(c), CR_BAD_ARGUMENT, "scan: %d results of a step for %d carries, %d sequences", m, l.n_carry, l.n_xs);
    return;
  }
  l.n_ys = m - l.n_carry, l.carry = v, l.xs = v + l.n_carry, l.consts = v + n;
  l.steps = cr_rank(l.xs[0]) ? cr_dim(l.xs[0], 0) : 0;
  if (cr_scan(tape_of(c), cr_record_argument, f, &l, carry, ys) != CR_OK) return;
  give(c, l.n_carry, carry);
  give(c, l.n_ys, ys);
}

static void call_scan(cr_call *c) {
  cr_function_argument f = {.call = c};
  scan_by(c, &f);
  cr_argument_done(&f);
}

static void call_fori(cr_call *c) {
  cr_var v[MOST], carry[MOST], count = cr_poison(tape_of(c));
  cr_loop l = {.n_carry = append(c, 1, 0, v), .steps = cr_arg_int(c, 2)};
  if (l.n_carry < 0) return;
  if (cr_arg_given(c, 4)) count = cr_arg_index(c, 4);
  l.n_const = append(c, 3, l.n_carry, v) - l.n_carry;
  if (l.n_const < 0 || cr_error(tape_of(c)) != CR_OK) return;
  l.carry = v, l.consts = v + l.n_carry;
  if (cr_fori(tape_of(c), cr_record_argument, &(cr_function_argument){.call = c}, count, &l, carry) == CR_OK)
    give(c, l.n_carry, carry);
}

static void call_map(cr_call *c) {
  cr_var v[MOST], out[MOST];
  cr_function_argument f = {.call = c};
  int n_mapped = append(c, 1, 0, v), n = append(c, 2, n_mapped, v), m = results_of(&f, n, v, 0, n_mapped);
  if (m && cr_map(tape_of(c), cr_record_argument, &f, n_mapped, v, n - n_mapped, v + n_mapped, m, out) == CR_OK)
    give(c, m, out);
  cr_argument_done(&f);
}

static void call_root(cr_call *c) {
  cr_var v[MOST];
  int n = append(c, 2, 1, v);
  v[0] = cr_arg_is_number(c, 1) ? cr_full(tape_of(c), cr_call_dtype(c), 0, NULL, cr_arg_number(c, 1)) : cr_arg_var(c, 1);
  if (n > 0) cr_return(c, cr_root(tape_of(c), cr_record_argument, &(cr_function_argument){.call = c}, v[0], n - 1, v + 1));
}

static const cr_op *const recorded[] = {&cr__checkpoint_op, &cr__cond_op, &cr__scan_op, &cr__root_op, NULL};

const cr_function cr__functional_functions[] = {
    {.signature = "checkpoint(f, *inputs)",
     .ops = recorded,
     .call = call_checkpoint,
     .family = "functions of functions",
     .samples = "checkpoint(tanh, x:(2,3)); checkpoint(hypot, x:(3), y:(3))",
     .doc = "f(inputs..), of which inputs and results alone are kept: its derivatives run f again."},
    {.signature = "cond(condition, f, g, *inputs)",
     .call = call_cond,
     .family = "functions of functions",
     .samples = "cond(1, sin, cos, x:(3)); cond(0, sin, cos, x:(3))",
     .doc = "f(inputs..) where the condition, one number, is not 0, and g(inputs..) where it is; only one of them is run."},
    {.signature = "scan(f, init, xs, consts=None, reverse=False, every=0)",
     .call = call_scan,
     .family = "functions of functions",
     .samples = "scan(hypot, h:(3)>0, x:(4,3)>0); scan(hypot, h:()>0, x:(5)>0, reverse=True, every=2)",
     .doc = "A loop over the elements of xs along their first axis: f(carry.., x.., consts..) gives the next carry and "
            "results; returns the "
            "last carry, and the results of all steps. init, xs and consts may be tuples. every: carries kept for the "
            "derivative."},
    {.signature = "fori(f, init, steps, consts=None, count=None)",
     .call = call_fori,
     .family = "functions of functions",
     .samples = "fori(hypot, h:(3)>0, 4); fori(hypot, h:()>0, 5, count=3)",
     .doc = "f(carry.., i, consts..), the next carry, for i from 0 to steps - 1; count, at most steps, may stop it before."},
    {.signature = "map(f, xs, consts=None)",
     .call = call_map,
     .family = "functions of functions",
     .samples = "map(tanh, x:(3,2)); map(sin, [1, 2]) + x:(); map(dot, (x:(3,4), y:(3,4))); map(dot, x:(3,4), y:(4))",
     .doc = "f(x.., consts..) for the elements of xs along their first axis, at once; the results have that axis too."},
    {.signature = "root(f, x0, *consts)",
     .call = call_root,
     .family = "functions of functions",
     .samples = "root(logaddexp, -1, c:()[-2,-0.5])",
     .derivative = "consts: -(df/dc)^T J^-T g, with J = df/dx at the root",
     .doc = "The x at which f(x, consts..) is 0, by Newton's method from x0."},
    {.signature = NULL}};
