/* Sections of the text that are shown when asked for: operations as boxes with two jobs, and weights by what they have to
 * do with the result. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"
#include "writing.h"

/* Layers */

static void put_name_of_slope(const trace *t, cr_buffer *b, int node) {
  cr_put(b, "d%s/d%s", t->node[t->n_nodes - 1].name, t->node[node].name);
}

/* "dJ/dW = X.T @ dJ/dz", and the numbers where they are few. */
static void put_share(const trace *t, cr_buffer *b, const trace_term *term) {
  enum { FEW = 9 };
  char above[256], numbers[512];
  snprintf(above, sizeof above, "d%.100s/d%.100s", t->node[t->n_nodes - 1].name, t->node[term->user].name);
  put_name_of_slope(t, b, term->to);
  cr_put(b, t->node[term->to].n_terms > 1 ? " += " : " = ");
  if (term->pulled) put_with_adjoint(b, term->pulled, put_tree, above);
  else cr_put(b, "%s, with g = %s", term->rule, above);
  if (term->share.data && term->share.count <= FEW)
    cr_put(b, " = %s", trace_numbers_text(t, &term->share, numbers, sizeof numbers));
  cr_put(b, "\n");
}

static const trace_term *term_into(const trace *t, int user, int operand) {
  const trace_node *to = t->node[user].in[operand] < 0 ? NULL : &t->node[t->node[user].in[operand]];
  for (int k = 0; to && k < to->n_terms; k++)
    if (to->term[k].user == user && to->term[k].operand == operand) return &to->term[k];
  return NULL;
}

static void put_box(const trace *t, cr_buffer *b, int i) {
  const trace_node *n = &t->node[i];
  cr_put(b, "  %s = ", n->name);
  put_tree(b, n->formula);
  cr_put(b, "\n");
  for (int job = 0; job < 2; job++) {
    bool any = false;
    for (int k = 0; k < n->n_in; k++) {
      const trace_term *term = term_into(t, i, k);
      if (!term || t->node[term->to].wanted != !job) continue;
      any = true;
      cr_put(b, job ? "    passes on   " : "    adapts      ");
      put_share(t, b, term);
    }
    if (!any && !job) cr_put(b, "    adapts      nothing: it has no weights\n");
  }
}

void trace_layers(const trace *t, cr_buffer *b) {
  for (int i = t->n_nodes - 1; i >= 0; i--)
    if (t->node[i].kind == TRACE_OPERATION && t->node[i].active && t->node[i].shown) put_box(t, b, i);
}

/* Blame */

typedef struct weight {
  char name[80];
  double value, slope, actual; /* actual: change of y when the weight grows by a tenth; NaN where it cannot be tried */
} weight;

/* Elements of a tensor carry their indices: W[0, 1]. */
static void name_element(weight *w, const trace_input *in, int64_t at) {
  size_t n = (size_t)snprintf(w->name, sizeof w->name, "%.40s", in->name);
  int64_t block = in->value.count;
  for (int i = 0; i < in->value.rank && n < sizeof w->name; i++) {
    block /= in->value.dim[i];
    n += (size_t)snprintf(w->name + n, sizeof w->name - n, "%s%lld%s", i ? ", " : "[", (long long)(at / block),
                          i == in->value.rank - 1 ? "]" : "");
    at %= block;
  }
}

static double result_of(const trace *t) {
  const trace_node *y = &t->node[t->n_nodes - 1];
  cr_array a = cr_view(y->var);
  double sum = 0;
  for (int64_t k = 0; k < a.count; k++) sum += cr_array_get(&a, k);
  return sum;
}

/* Writes the input's numbers, one of them scaled, into its leaf, and computes everything again. */
static bool retry(const trace *t, const trace_input *in, int64_t at, double factor) {
  cr_var leaf = t->node[in->node].var;
  if (cr_op_of(leaf)) return false;
  cr_array a = cr_view(leaf);
  cr_array_set(&a, at, in->value.data[at] * factor);
  return cr_replay(t->tape) == CR_OK;
}

static int by_blame(const void *a, const void *b) {
  double x = fabs(((const weight *)a)->value * ((const weight *)a)->slope),
         y = fabs(((const weight *)b)->value * ((const weight *)b)->slope);
  return (x < y) - (x > y);
}

static int64_t collect_weights(const trace *t, weight *w) {
  double before = result_of(t);
  int64_t n = 0;
  for (int k = 0; k < t->n_inputs; k++) {
    const trace_input *in = &t->input[k];
    for (int64_t i = 0; i < in->value.count && in->node >= 0 && in->adjoint.data; i++, n++) {
      w[n] = (weight){.value = in->value.data[i], .slope = in->adjoint.data[i]};
      name_element(&w[n], in, i);
      w[n].actual = retry(t, in, i, 1.1) ? result_of(t) - before : (double)NAN;
      retry(t, in, i, 1);
    }
  }
  qsort(w, (size_t)n, sizeof *w, by_blame);
  return n;
}

static void put_cell(const trace *t, cr_buffer *b, int width, double x) {
  char text[40];
  trace_number(t, x, text);
  put_spaces(b, width - text_columns(text));
  cr_put(b, "%s", text);
}

void trace_blame(const trace *t, cr_buffer *b) {
  enum { MOST = 20, WIDE = 13 };
  const char *y = t->node[t->n_nodes - 1].name;
  int64_t room = 1, n;
  double norm = 0, total = 0;
  for (int k = 0; k < t->n_inputs; k++) room += t->input[k].value.count;
  weight *w = malloc((size_t)room * sizeof *w);
  if (!w) {
    b->failed = 1;
    return;
  }
  n = collect_weights(t, w);
  for (int64_t i = 0; i < n; i++) norm += w[i].slope * w[i].slope, total += fabs(w[i].value * w[i].slope);
  cr_put(b, "  %-12s%*s%*s%*s%7s%*s%*s\n", "w", WIDE - 4, "value", WIDE, "slope", WIDE, "w * slope", "share", WIDE,
         "predicted", WIDE, "actual");
  for (int64_t i = 0; i < n && i < MOST; i++) {
    double part = w[i].value * w[i].slope;
    cr_put(b, "  %-12s", w[i].name);
    put_cell(t, b, WIDE - 4, w[i].value);
    put_cell(t, b, WIDE, w[i].slope);
    put_cell(t, b, WIDE, part);
    cr_put(b, "%5.0f %%", total > 0 ? 100 * fabs(part) / total : 0);
    put_cell(t, b, WIDE, part / 10);
    if (isnan(w[i].actual)) cr_put(b, "%*s", WIDE, "-");
    else put_cell(t, b, WIDE, w[i].actual);
    cr_put(b, "\n");
  }
  if (n > MOST) cr_put(b, "  (%lld more)\n", (long long)(n - MOST));
  cr_put(b, "  slope: d%s/dw; share: of all |w * slope|; predicted and actual: change of %s when w grows by 10 %%\n", y, y);
  cr_put(b, "  norm of the gradient: ");
  put_cell(t, b, 0, sqrt(norm));
  cr_put(b, "; %s falls fastest in the direction of minus the gradient\n", y);
  free(w);
}
