/* See fused.h. The operands are copied first: derivatives stop at the copies, also where one operand depends on another. */
#include "fused.h"

static int copies(int n, const cr_var *in, cr_var *out) {
  for (int k = 0; k < n; k++) out[k] = cr_copy(in[k]);
  return n && !cr_is_poison(out[n - 1]);
}

void cr__composed_vjp(cr_vjp_rule *c, cr__composition *f) {
  cr_var x[CR__MOST_FUSED + 1], moving[CR__MOST_FUSED + 1], out[CR__MOST_FUSED + 1];
  int at[CR__MOST_FUSED + 1], m = 0;
  if (!copies(c->n, c->in, x)) return;
  cr_var y = f(c->n, x, c->attr);
  for (int k = 0; k < c->n; k++)
    if (c->wanted[k]) moving[m] = x[k], at[m++] = k;
  if (cr_is_poison(y) || cr_vjp(y, c->g, m, moving, out) != CR_OK) return;
  for (int k = 0; k < m; k++) c->d[at[k]] = out[k];
}

cr_var cr__composed_jvp(cr_jvp_rule *c, cr__composition *f) {
  cr_var x[CR__MOST_FUSED + 1], moving[CR__MOST_FUSED + 1], dot[CR__MOST_FUSED + 1], out = cr_poison(c->tape);
  int m = 0;
  if (!copies(c->n, c->in, x)) return out;
  cr_var y = f(c->n, x, c->attr);
  for (int k = 0; k < c->n; k++)
    if (!cr_absent(c->dot[k])) moving[m] = x[k], dot[m++] = c->dot[k];
  if (!cr_is_poison(y)) cr_jvp(1, &y, m, moving, dot, &out);
  return out;
}

int cr__composed_pull(int n, const cr_var *in, const void *attr, cr__composition *f, cr_var *out) {
  cr_var x[CR__MOST_FUSED + 1];
  if (!copies(n, in, x)) return 0;
  cr_var y = f(n, x, attr);
  return !cr_is_poison(y) && cr_vjp(y, in[n], n, x, out) == CR_OK;
}
