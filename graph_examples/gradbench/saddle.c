/* saddle: the least over p1 of the greatest over p2 of f(p1, p2) = |p1|^2 - |p2|^2, one descent within the other. The
 * inner one is recorded step by step, so that the outer one is differentiated through it. Both take derivatives in
 * either mode: of "fr" the outer is forward, the inner reverse. */
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

typedef struct state {
  numbers start;
  double result[4];
  bool forward_outside, forward_inside;
} state;

/* -f and its derivatives by p2, traced once as routines of p1 and p2; the inner descent's p1; the outer derivative. */
typedef struct game {
  const state *state;
  cr_tangents *tangents;
  cr_routine *loss, *slope;
  cr_var p1[2];
  double gradient[2];
} game;

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  return read_numbers(input, "start", 1, (int64_t[]){2}, &s->start, c);
}

static cr_var f(const cr_var *p1, const cr_var *p2) {
  return cr_sub(cr_add(cr_square(p1[0]), cr_square(p1[1])), cr_add(cr_square(p2[0]), cr_square(p2[1])));
}

/* The derivatives of y by two inputs as nodes: in forward mode a tangent for each, in reverse all at once. */
static void derivatives(cr_var y, const cr_var *x, bool forward, cr_var *out) {
  for (int i = 0; forward && i < 2; i++) {
    cr_var one = cr_const(y.tape, 1);
    cr_jvp(1, &y, 1, &x[i], &one, &out[i]);
  }
  if (!forward) cr_grad(y, 2, x, out);
}

static bool trace_loss(cr_tape *t, game *g) {
  cr_mark mark = cr_mark_here(t);
  cr_var p[4], slope[2];
  for (int i = 0; i < 4; i++) p[i] = cr_input(t, 1);
  cr_var y = cr_neg(f(p, p + 2));
  derivatives(y, p + 2, g->state->forward_inside, slope);
  g->loss = cr_routine_new(mark, 1, &y, 4, p);
  g->slope = cr_routine_new(mark, 2, slope, 4, p);
  return g->loss && g->slope;
}

static cr_var loss(void *context, const cr_var *p2) {
  const game *g = context;
  cr_var y;
  cr_routine_call(g->loss, (cr_var[]){g->p1[0], g->p1[1], p2[0], p2[1]}, &y);
  return y;
}

static void slope(void *context, const cr_var *p2, cr_var *out) {
  const game *g = context;
  cr_routine_call(g->slope, (cr_var[]){g->p1[0], g->p1[1], p2[0], p2[1]}, out);
}

/* The greatest f over p2 and, in p2, where. */
static cr_var greatest(game *g, const cr_var *p1, cr_var *p2) {
  cr_tape *t = p1->tape;
  memcpy(g->p1, p1, sizeof g->p1);
  for (int i = 0; i < 2; i++) p2[i] = cr_const(t, g->state->start.at[i]);
  descend(t, &(goal){loss, slope, g}, 2, p2);
  return f(p1, p2);
}

/* Of the inner descent only the value and its derivatives stay. */
static cr_var value(void *context, const cr_var *at) {
  game *g = context;
  cr_tape *t = at->tape;
  cr_mark mark = cr_mark_here(t);
  bool forward = g->state->forward_outside;
  cr_var p1[2], p2[2];
  for (int i = 0; i < 2; i++) {
    p1[i] = cr_input(t, cr_value(at[i]));
    if (forward) cr_tangents_set(g->tangents, p1[i], i ? (double[]){0, 1} : (double[]){1, 0});
  }
  cr_var y = greatest(g, p1, p2);
  double number = cr_value(y);
  const double *tangent = forward ? cr_tangents_of(g->tangents, y) : NULL;
  const cr_sweep *s = forward ? NULL : cr_backward(y);
  for (int i = 0; i < 2; i++) g->gradient[i] = tangent ? tangent[i] : cr_adjoint(s, p1[i]);
  cr_reset(t, mark);
  return cr_const(t, number);
}

static void gradient(void *context, const cr_var *p1, cr_var *out) {
  for (int i = 0; i < 2; i++) out[i] = cr_const(p1->tape, ((const game *)context)->gradient[i]);
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  s->forward_outside = function == 1 || function == 2;
  s->forward_inside = function == 1 || function == 3;
  game g = {.state = s, .tangents = cr_tangents_new(t, 2)};
  if (!g.tangents || !trace_loss(t, &g)) return;
  cr_var p[4];
  for (int i = 0; i < 2; i++) p[i] = cr_const(t, s->start.at[i]);
  descend(t, &(goal){value, gradient, &g}, 2, p);
  greatest(&g, p, p + 2);
  for (int i = 0; i < 4; i++) s->result[i] = cr_value(p[i]);
}

static void write(const void *memory, int function, text *out) {
  (void)function;
  put_list(out, ((const state *)memory)->result, 4);
}

static void release(void *memory) { free(((state *)memory)->start.at); }

const evaluation saddle = {.name = "saddle", .function = {"rr", "ff", "fr", "rf"}, .size = sizeof(state), .read = read,
                           .run = run, .write = write, .release = release};
