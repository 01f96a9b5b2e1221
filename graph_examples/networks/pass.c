/* Captured passes: the graph of one recording as a function over the model's memory. */
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* A parameter or buffer of the pass. */
typedef struct bound {
  int slot, trainable;
} bound;

struct cr_pass {
  cr_model *m;
  cr_fn *f;
  cr_workspace *space;
  int n_in, n_bound, n_draws;
  bound *bound;
  cr__draw *draw;
  int64_t *seed;            /* by draw */
  cr_array *in;             /* of the function: the caller's, then bound, then seeds */
};

static cr_pass *new_pass(cr_model *m, int n_in) {
  cr_pass *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  *p = (cr_pass){.m = m, .n_in = n_in, .n_draws = m->n_draws};
  for (int k = 0; k < m->n_slots; k++) p->n_bound += m->slot[k]->pass == m->pass;
  p->bound = calloc((size_t)p->n_bound + 1, sizeof *p->bound);
  p->draw = calloc((size_t)p->n_draws + 1, sizeof *p->draw);
  p->seed = calloc((size_t)p->n_draws + 1, sizeof *p->seed);
  p->in = calloc((size_t)(n_in + p->n_bound + p->n_draws) + 1, sizeof *p->in);
  if (p->bound && p->draw && p->seed && p->in) return p;
  cr_pass_free(p);
  return NULL;
}

/* The inputs behind the caller's, and where their numbers are at each run. */
static void list_inputs(cr_pass *p, cr_var *leaf) {
  cr_model *m = p->m;
  cr_array *in = p->in + p->n_in;
  int n = 0;
  for (int k = 0; k < m->n_slots; k++) {
    const cr__slot *s = m->slot[k];
    if (s->pass != m->pass) continue;
    p->bound[n++] = (bound){k, s->parameter.trainable};
    *leaf++ = s->leaf;
    *in++ = s->parameter.value;
  }
  for (int k = 0; k < p->n_draws; k++) {
    p->draw[k] = m->draw[k];
    *leaf++ = m->draw[k].leaf;
    cr_array_init(in, CR_INT64, 0, NULL);
    in++->data = &p->seed[k];
  }
}

/* The caller's assignments, and those of buffers; how many. */
static int list_assigns(const cr_model *m, int n, const cr_assign *given, cr_assign *to) {
  if (n) memcpy(to, given, (size_t)n * sizeof *to);
  for (int k = 0; k < m->n_slots; k++) {
    const cr__slot *s = m->slot[k];
    if (s->pass != m->pass || cr_is_poison(s->next) || !s->next.tape) continue;
    const cr_array *a = &s->parameter.value;
    to[n++] = (cr_assign){s->leaf, cr_reshape(cr_cast(s->next, (cr_dtype)a->dtype), a->rank, a->dim)};
  }
  return n;
}

cr_pass *cr_pass_new(cr_model *m, int n_in, const cr_var *in, int n_out, const cr_var *out, int n_assign,
                     const cr_assign *assign) {
  cr_pass *p = cr_error(m->tape) == CR_OK ? new_pass(m, n_in) : NULL;
  int n = p ? n_in + p->n_bound + p->n_draws : 0;
  cr_var *leaf = p ? malloc((size_t)(n + 1) * sizeof *leaf) : NULL;
  cr_assign *all = p ? malloc((size_t)(n_assign + m->n_slots + 1) * sizeof *all) : NULL;
  if (leaf && all) {
    if (n_in) memcpy(leaf, in, (size_t)n_in * sizeof *leaf);
    list_inputs(p, leaf + n_in);
    n_assign = list_assigns(m, n_assign, assign, all);
    p->f = cr_capture(m->tape, n, leaf, n_out, out, n_assign, all, CR_FN_EXACT);
    p->space = p->f ? cr_workspace_new(p->f) : NULL;
  }
  free(leaf);
  free(all);
  if (p && p->space) return p;
  cr__model_full(m); /* unless the tape's error says more */
  cr_pass_free(p);
  return NULL;
}

void cr_pass_free(cr_pass *p) {
  if (!p) return;
  cr_workspace_free(p->space);
  cr_fn_free(p->f);
  free(p->bound);
  free(p->draw);
  free(p->seed);
  free(p->in);
  free(p);
}

cr_status cr_pass_run(cr_pass *p, const cr_array *in, const cr_array *out) {
  for (int k = 0; k < p->n_bound; k++)
    if (p->m->slot[p->bound[k].slot]->parameter.trainable != p->bound[k].trainable) return CR_STALE;
  if (p->n_in) memcpy(p->in, in, (size_t)p->n_in * sizeof *in);
  for (int k = 0; k < p->n_draws; k++) p->seed[k] = (int64_t)cr__seed_of(p->m, &p->draw[k]);
  if (!p->space && !(p->space = cr_workspace_new(p->f))) return CR_NO_MEMORY;
  return cr_fn_run(p->f, p->space, p->in, out);
}

const char *cr_pass_error(const cr_pass *p) { return p->space ? cr_workspace_error(p->space) : ""; }

void cr_pass_rest(cr_pass *p) {
  cr_workspace_free(p->space);
  p->space = NULL;
}

cr_status cr_pass_compile(cr_pass *p, const cr_jit_options *options, char *note, size_t size) {
  return cr_fn_compile(p->f, options, note, size);
}

cr_fn_stats cr_pass_stats(const cr_pass *p) { return cr_fn_stats_of(p->f); }
