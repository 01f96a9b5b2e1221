/* Captured steps: a recorded loss, its gradients and the update of every parameter as one function over the memory of model
 * and optimizer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <formula.h>
#include <op.h>
#include <ops.h>

#include "descent.h"

struct cr_captured {
  cr_optimizer *o;
  cr_model *m;
  cr_pass *pass;
  int n, n_batch, n_in, n_out; /* parameters with a gradient; leaves of the batch, inputs, results */
  int *parameter;
  double *norm;       /* of each gradient and of all: before clipping and after it */
  double loss;        /* room for the result */
  cr_array *in, out[3];
};

/* The ends in the making. */
typedef struct ends {
  cr_captured *c;
  cr_tape *t;
  cr_var *leaf, *g;   /* inputs of the pass; the loss, then the gradients by number of parameter */
  cr_assign *assign;
  int n_assign;
  cr_problem *p;
} ends;

static cr_status failed(const ends *e) {
  if (cr_error(e->t) == CR_OK) return cr_refuse(e->p, CR_NO_MEMORY, "%s: out of memory", e->c->o->arguments.name);
  return cr_refuse(e->p, cr_error(e->t), "%s: %s", e->c->o->arguments.name, cr_error_text(e->t));
}

static cr_var add_input(ends *e, cr_var leaf, const cr_array *numbers) {
  cr_captured *c = e->c;
  e->leaf[c->n_in] = leaf;
  c->in[c->n_in++] = *numbers;
  return leaf;
}

/* Gradients */

/* Those of trainable parameters that the loss depends on. */
static cr_status record_gradients(ends *e, cr_var loss) {
  cr_captured *c = e->c;
  int n = 0, count = cr_model_count(c->m);
  cr_var *w = malloc((size_t)(count + 1) * sizeof *w);
  if (!w) return failed(e);
  for (int k = 0; k < count; k++) {
    const cr_parameter *q = cr_model_parameter(c->m, k);
    w[n] = cr_model_leaf(c->m, k);
    if (q->trainable && q->value.dtype == cr_model_dtype(c->m) && !cr_is_poison(w[n])) c->parameter[n++] = k;
  }
  cr_status status = n ? cr_grad_once(loss, n, w, e->g + 1) : CR_OK;
  free(w);
  for (int k = 0; k < n; k++) {
    if (cr_is_poison(e->g[k + 1])) continue;
    c->parameter[c->n] = c->parameter[k];
    e->g[++c->n] = e->g[k + 1];
  }
  e->g[0] = loss;
  return status == CR_OK ? CR_OK : failed(e);
}

/* As cr_clip_value and then cr_clip_norm, which scales in float64. */
static void clip(ends *e, double largest_norm, double largest_value) {
  cr_captured *c = e->c;
  cr_var lo = cr_const(e->t, -largest_value), hi = cr_const(e->t, largest_value);
  for (int k = 1; k <= c->n && largest_value > 0; k++) e->g[k] = cr_clamp(e->g[k], lo, hi);
  if (!(largest_norm > 0)) return;
  cr_var norm = cr_select(cr_norms(c->n + 1, e->g), 0, c->n);
  cr_var factor = cr_div(cr_const(e->t, largest_norm), cr_add(norm, cr_const(e->t, 1e-6)));
  factor = cr_minimum(factor, cr_const(e->t, 1));
  for (int k = 1; k <= c->n; k++)
    e->g[k] = cr_cast(cr_mul(cr_cast(e->g[k], CR_FLOAT64), factor), cr_model_dtype(c->m));
}

/* The update */

static cr_status run(const ends *e, cr_program *names, const char *source) {
  cr_syntax_error error;
  return cr_program_run(names, source, strlen(source), NULL, &error) == CR_OK ? CR_OK : failed(e);
}

/* The state of a piece, in place. What the update leaves alone has none, and is a number nobody looks at. */
static cr_var bind_state(ends *e, const cr_rule *r, const cr_state *s, const cr_piece *piece, const cr_array *like) {
  if (!s->data) return cr_const(e->t, s->value);
  cr_array a;
  cr_array_init(&a, r->dtype, like->rank, like->dim);
  a.data = s->data + (size_t)piece->from * cr_dtype_size(r->dtype);
  cr_var leaf = cr_tensor_over(e->t, r->dtype, a.rank, a.dim, a.data);
  return add_input(e, leaf, &a);
}

static cr_status update_piece(ends *e, const cr_rule *r, const cr_piece *piece, cr_var g, cr_program *names) {
  const cr_array *value = &cr_model_parameter(e->c->m, piece->parameter)->value;
  cr_var w = cr_model_leaf(e->c->m, piece->parameter);
  int first = e->n_assign;
  cr_program_bind(names, "w", w);
  cr_program_bind(names, "g", g);
  e->assign[e->n_assign++].to = w;
  for (int k = 0; k < r->n_states; k++) {
    const cr_state *s = &r->state[k];
    if (s->is_number) continue;
    cr_var leaf = bind_state(e, r, s, piece, value);
    cr_program_bind(names, s->name, leaf);
    if (s->data) e->assign[e->n_assign++].to = leaf;
  }
  cr_status status = run(e, names, r->source);
  e->assign[first].from = cr_program_value(names, "w");
  for (int k = 0, at = first + 1; k < r->n_states; k++)
    if (r->state[k].data) e->assign[at++].from = cr_program_value(names, r->state[k].name);
  return status;
}

static cr_status update_group(ends *e, const cr_rule *r) {
  cr_captured *c = e->c;
  cr_program *names = cr_program_new(e->t, r->dtype);
  if (!names) return failed(e);
  for (int k = 0; k < r->n_slots; k++) {
    char name[20];
    cr_array a = cr_view(r->slot[k].leaf);
    snprintf(name, sizeof name, "number%d", k + 1);
    cr_program_bind(names, name, add_input(e, cr_constant_of(e->t, r->dtype, 0, NULL, NULL), &a));
  }
  cr_status status = CR_OK;
  for (int i = 0; i < r->n_pieces && status == CR_OK; i++)
    for (int k = 0; k < c->n && status == CR_OK; k++)
      if (c->parameter[k] == r->piece[i].parameter) status = update_piece(e, r, &r->piece[i], e->g[k + 1], names);
  return cr_error(e->t) == CR_OK ? status : failed(e);
}

/* The whole */

static cr_status record(ends *e, cr_var loss, double clip_norm, double clip_value) {
  cr_captured *c = e->c;
  cr_status status = record_gradients(e, loss);
  if (status != CR_OK) return status;
  cr_var out[3] = {loss, cr_norms(c->n + 1, e->g)};
  c->n_out = 2;
  if (clip_norm > 0 || clip_value > 0) {
    clip(e, clip_norm, clip_value);
    out[c->n_out++] = cr_norms(c->n + 1, e->g);
  }
  for (int k = 0; k < 2 && status == CR_OK; k++)
    if (c->o->rule[k]) status = update_group(e, c->o->rule[k]);
  if (status != CR_OK || cr_error(e->t) != CR_OK) return failed(e);
  c->pass = cr_pass_new(c->m, c->n_in, e->leaf, c->n_out, out, e->n_assign, e->assign);
  if (!c->pass) return failed(e);
  for (int k = 0; k < c->n_out; k++) {
    c->out[k] = cr_view(out[k]);
    c->out[k].data = k ? c->norm + (k - 1) * (c->n + 1) : &c->loss;
  }
  return CR_OK;
}

/* Room for slots and states of all rules. */
static int most_inputs(const cr_optimizer *o, int n) {
  for (int k = 0; k < 2; k++)
    if (o->rule[k]) n += o->rule[k]->n_slots + o->rule[k]->n_states * o->rule[k]->n_pieces;
  return n;
}

static cr_status make(ends *e, cr_var loss, int n, const cr_var *in, double clip_norm, double clip_value) {
  cr_captured *c = e->c;
  size_t count = (size_t)cr_model_count(c->m) + 2, inputs = (size_t)most_inputs(c->o, n) + 1;
  c->parameter = calloc(count, sizeof *c->parameter);
  c->norm = calloc(2 * count, sizeof *c->norm);
  c->in = calloc(inputs, sizeof *c->in);
  e->leaf = calloc(inputs, sizeof *e->leaf);
  e->g = calloc(count, sizeof *e->g);
  e->assign = calloc(inputs + count, sizeof *e->assign);
  if (!c->parameter || !c->norm || !c->in || !e->leaf || !e->g || !e->assign) return failed(e);
  for (int k = 0; k < n; k++) add_input(e, in[k], &(cr_array){0});
  c->n_batch = n;
  return record(e, loss, clip_norm, clip_value);
}

cr_captured *cr_captured_new(cr_optimizer *o, cr_model *m, cr_var loss, int n, const cr_var *in, double clip_norm,
                             double clip_value, cr_problem *p) {
  cr_captured *c = NULL;
  if (!o->method->update || strstr(o->method->update, "loss")) {
    cr_refuse(p, CR_BAD_ARGUMENT, "%s: its step is not captured", o->arguments.name);
    return NULL;
  }
  if (cr_rules_prepare(o, m, p) != CR_OK) return NULL;
  if (!(c = calloc(1, sizeof *c))) return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", o->arguments.name), NULL;
  *c = (cr_captured){.o = o, .m = m};
  ends e = {.c = c, .t = cr_model_tape(m), .p = p};
  cr_status status = cr_error(e.t) == CR_OK ? make(&e, loss, n, in, clip_norm, clip_value) : failed(&e);
  free(e.leaf);
  free(e.g);
  free(e.assign);
  if (status == CR_OK) return c;
  cr_captured_free(c);
  return NULL;
}

void cr_captured_free(cr_captured *c) {
  if (!c) return;
  cr_pass_free(c->pass);
  free(c->parameter);
  free(c->norm);
  free(c->in);
  free(c);
}

/* Number states move on with the numbers, in all lanes alike: they go back when the run fails. */
enum { MOST_STATES = 8 };
typedef struct kept {
  double value[2][MOST_STATES];
} kept;

static kept keep_numbers(const cr_optimizer *o) {
  kept old;
  for (int group = 0; group < 2; group++)
    for (int k = 0; o->rule[group] && k < o->rule[group]->n_states && k < MOST_STATES; k++)
      old.value[group][k] = o->rule[group]->state[k].value;
  return old;
}

static void restore_numbers(cr_optimizer *o, const kept *old) {
  for (int group = 0; group < 2; group++)
    for (cr_rule *lane = o->rule[group]; lane; lane = lane->next)
      for (int k = 0; k < lane->n_states && k < MOST_STATES; k++) lane->state[k].value = old->value[group][k];
}

cr_status cr_captured_step(cr_captured *c, const cr_array *in, cr_step *report, cr_problem *p) {
  cr_optimizer *o = c->o;
  const kept old = keep_numbers(o);
  cr_status status = CR_OK;
  for (int k = 0; k < 2 && status == CR_OK; k++) status = cr_rule_numbers(o, o->rule[k], (double)NAN);
  if (c->n_batch) memcpy(c->in, in, (size_t)c->n_batch * sizeof *in);
  if (status == CR_OK) status = cr_pass_run(c->pass, c->in, c->out);
  if (status != CR_OK) {
    restore_numbers(o, &old);
    return cr_refuse(p, status, "%s: %s", o->arguments.name,
                     *cr_pass_error(c->pass) ? cr_pass_error(c->pass) : cr_status_text(status));
  }
  double loss = cr_array_get(&c->out[0], 0);
  o->t++;
  o->previous_loss = loss;
  if (report)
    *report = (cr_step){.loss = loss, .gradient_norm = c->norm[c->n], .step_norm = (double)NAN, .damping = (double)NAN,
                        .condition = (double)NAN};
  return CR_OK;
}

double cr_captured_norm(const cr_captured *c, int k) {
  const double *norm = c->norm + (c->n_out - 2) * (c->n + 1);
  for (int i = 0; i < c->n; i++)
    if (c->parameter[i] == k) return norm[i];
  return 0;
}

cr_status cr_captured_compile(cr_captured *c, const cr_jit_options *options, char *note, size_t size) {
  return cr_pass_compile(c->pass, options, note, size);
}

void cr_captured_rest(cr_captured *c) { cr_pass_rest(c->pass); }
cr_fn_stats cr_captured_stats(const cr_captured *c) { return cr_pass_stats(c->pass); }
