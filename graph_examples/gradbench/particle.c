/* particle: a charged particle falls past two others, and is to cross the axis as near to the origin as the place w of
 * one of them allows. The force is the derivative of a potential, and the descent needs the derivative of where the path
 * of many such forces ends. Both are taken in either mode: of "fr" the outer is forward, the inner reverse. */
#include "gradbench.h"

enum { MOST_STEPS = 100000 };

typedef struct state {
  double w, result;
  bool forward_outside, forward_inside;
} state;

/* One descent: the force, traced once, and the derivative at the last w. */
typedef struct path {
  const state *state;
  cr_tangents *tangents;
  cr_routine *force; /* of X and w */
  double slope;
} path;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  return read_number(input, "w", &s->w, c);
}

static cr_var inverse_distance(cr_var x, cr_var y, cr_var at_x, cr_var at_y) {
  return cr_rsqrt(cr_add(cr_square(cr_sub(x, at_x)), cr_square(cr_sub(y, at_y))));
}

static cr_var potential(cr_var x, cr_var y, cr_var w) {
  cr_tape *t = x.tape;
  cr_var ten = cr_const(t, 10);
  return cr_add(inverse_distance(x, y, ten, cr_sub(ten, w)), inverse_distance(x, y, ten, cr_const(t, 0)));
}

/* The derivatives of y by two inputs as nodes: in forward mode a tangent for each, in reverse all at once. */
static void derivatives(cr_var y, const cr_var *x, bool forward, cr_var *out) {
  cr_tape *t = y.tape;
  for (int i = 0; forward && i < 2; i++) {
    cr_var one = cr_const(t, 1);
    cr_jvp(1, &y, 1, &x[i], &one, &out[i]);
  }
  if (!forward) cr_grad(y, 2, x, out);
}

static cr_routine *trace_force(cr_tape *t, bool forward) {
  cr_mark mark = cr_mark_here(t);
  cr_var in[3], slope[2];
  for (int i = 0; i < 3; i++) in[i] = cr_input(t, i == 1 ? 8 : 0);
  derivatives(potential(in[0], in[1], in[2]), in, forward, slope);
  return cr_routine_new(mark, 2, slope, 3, in);
}

/* Euler's method from (0, 8) until the axis is crossed; the square of where. */
static cr_var fall(const path *p, cr_var w) {
  cr_tape *t = w.tape;
  cr_var x[2] = {cr_const(t, 0), cr_const(t, 8)}, v[2] = {cr_const(t, 0.75), cr_const(t, 0)}, dt = cr_const(t, 0.1);
  for (int step = 0; step < MOST_STEPS && cr_error(t) == CR_OK; step++) {
    cr_var slope[2];
    cr_routine_call(p->force, (cr_var[]){x[0], x[1], w}, slope);
    for (int i = 0; i < 2; i++) x[i] = cr_add(x[i], cr_mul(dt, v[i]));
    if (cr_value(x[1]) <= 0) return cr_square(cr_sub(x[0], cr_mul(cr_div(x[1], v[1]), v[0])));
    for (int i = 0; i < 2; i++) v[i] = cr_sub(v[i], cr_mul(dt, slope[i]));
  }
  return cr_fail(t, CR_OVER_LIMIT, "the particle does not come down within %d steps", MOST_STEPS);
}

/* A path, of which only the value and its derivative stay. */
static cr_var value(void *context, const cr_var *at) {
  path *p = context;
  cr_tape *t = at->tape;
  cr_mark mark = cr_mark_here(t);
  cr_var w = cr_input(t, cr_value(*at));
  if (p->state->forward_outside) cr_tangents_set(p->tangents, w, (double[]){1});
  cr_var end = fall(p, w);
  double y = cr_value(end);
  const double *tangent = p->state->forward_outside ? cr_tangents_of(p->tangents, end) : NULL;
  p->slope = tangent ? *tangent : cr_adjoint(cr_backward(end), w);
  cr_reset(t, mark);
  return cr_const(t, y);
}

static void gradient(void *context, const cr_var *w, cr_var *out) {
  *out = cr_const(w->tape, ((const path *)context)->slope);
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  s->forward_outside = function == 1 || function == 2;
  s->forward_inside = function == 1 || function == 3;
  path p = {.state = s, .tangents = cr_tangents_new(t, 1), .force = trace_force(t, s->forward_inside)};
  if (!p.tangents || !p.force) return;
  cr_var w = cr_const(t, s->w);
  descend(t, &(goal){value, gradient, &p}, 1, &w);
  s->result = cr_value(w);
}

static void write(const void *memory, int function, text *out) {
  (void)function;
  put_number(out, ((const state *)memory)->result);
}

const evaluation particle = {.name = "particle", .function = {"rr", "ff", "fr", "rf"}, .size = sizeof(state), .read = read,
                             .run = run, .write = write};
