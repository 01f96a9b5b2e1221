/* Chains of members: those that begin at a kernel run within it, as its tail, on each part of its result as that is
 * finished; other long ones run each for itself. */
#include "planning.h"

/* The first of the members that hang together with this one. */
static uint32_t first_of(cr__planning *p, uint32_t id) {
  while (p->fact[id].chain != id) id = p->fact[id].chain = p->fact[p->fact[id].chain].chain;
  return id;
}

static void link_chains(cr__planning *p, uint32_t a, uint32_t b) {
  a = first_of(p, a), b = first_of(p, b);
  if (a < b) p->fact[b].chain = a;
  else p->fact[a].chain = b;
}

static bool runs_in_block(const cr__fact *f) { return cr__in_block(f->role) || f->role == CR__FOLD; }

static bool same_block(const cr__planning *p, uint32_t a, uint32_t b) {
  const cr__fact *x = &p->fact[a], *y = &p->fact[b];
  return runs_in_block(x) && runs_in_block(y) && x->level == y->level && cr__block_count(p, a) == cr__block_count(p, b);
}

static void chain_up(cr__planning *p, const unsigned char *live) {
  for (uint32_t id = 1; id < p->count; id++) {
    p->fact[id].chain = id;
    if (!live[id] || !runs_in_block(&p->fact[id])) continue;
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    for (int k = 0; k < n; k++) {
      if (!same_block(p, in[k], id)) continue;
      link_chains(p, in[k], id);
    }
  }
}

/* What operand in[k] of a member says of its chain: nothing, the kernel that it waits for, or, CR__NEVER, that it has to
 * wait for more than kernels. */
static uint32_t waits_for(const cr__planning *p, uint32_t in, uint32_t id) {
  const cr__fact *root = &p->fact[p->fact[in].root];
  const uint32_t level = p->fact[id].level;
  if (same_block(p, in, id) || root->role == CR__LEAF || root->role == CR__SCALAR || root->level + 1 < level) return 0;
  return root->role == CR__KERNEL && root->level + 1 == level ? p->fact[in].root : CR__NEVER;
}

static void find_kernels(cr__planning *p, const unsigned char *live, const unsigned char *sinks) {
  for (uint32_t id = 1; id < p->count; id++) {
    if (!live[id] || !runs_in_block(&p->fact[id])) continue;
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    cr__fact *chain = &p->fact[first_of(p, id)];
    if (sinks[id] || p->fact[id].role == CR__FOLD) chain->tail = CR__NEVER;
    for (int k = 0; k < n; k++) {
      uint32_t kernel = waits_for(p, in[k], id);
      if (kernel > chain->tail) chain->tail = kernel;
    }
  }
}

/* A member reads the kernel's result at its own place alone. */
static bool fits(const cr__planning *p, uint32_t id, uint32_t kernel) {
  int n;
  const uint32_t *in = cr__operands(p->t, id, &n);
  if (!p->t->op[cr__op_number(p->t, kernel)]->tails) return false;
  if (cr__array_of(p->t, kernel).count != cr__block_count(p, id)) return false;
  for (int k = 0; k < n; k++)
    if (p->fact[in[k]].root == kernel && !cr__is_flat_same(p->t, in[k], kernel)) return false;
  return true;
}

/* A chain goes to the last of the kernels just before it: it may read the others as it likes. */
static void find_tails(cr__planning *p, const unsigned char *live) {
  const unsigned char *sinks = live + p->count;
  find_kernels(p, live, sinks);
  for (uint32_t id = 1; id < p->count; id++) {
    if (!live[id] || !runs_in_block(&p->fact[id])) continue;
    cr__fact *chain = &p->fact[first_of(p, id)];
    if (chain->tail && chain->tail != CR__NEVER && !fits(p, id, chain->tail)) chain->tail = CR__NEVER;
  }
  for (uint32_t id = p->count - 1; id > 0; id--) { /* the first of a chain last */
    cr__fact *f = &p->fact[id];
    uint32_t kernel = live[id] && runs_in_block(f) ? p->fact[first_of(p, id)].tail : 0;
    f->tail = kernel == CR__NEVER ? 0 : kernel;
  }
}

/* Long chains that have nothing in common, not even an array that both read, are blocks of their own: they would only drive
 * each other from the cache. */
static void part_chains(cr__planning *p, const unsigned char *live) {
  enum { LONG = 1 << 15 };
  for (uint32_t id = 1; id < p->count; id++) {
    if (!live[id] || !runs_in_block(&p->fact[id]) || p->fact[id].tail) continue;
    int n;
    const uint32_t *in = cr__operands(p->t, id, &n);
    for (int k = 0; k < n; k++) {
      cr__fact *root = &p->fact[p->fact[in[k]].root];
      if (cr__array_of(p->t, p->fact[in[k]].root).count != cr__block_count(p, id)) continue;
      if (root->reader && same_block(p, root->reader, id)) link_chains(p, root->reader, id);
      root->reader = id;
    }
  }
  for (uint32_t id = p->count - 1; id > 0; id--) {
    bool apart = live[id] && runs_in_block(&p->fact[id]) && !p->fact[id].tail && cr__block_count(p, id) >= LONG;
    p->fact[id].chain = apart ? first_of(p, id) : 0;
  }
}

void cr__find_chains(cr__planning *p) {
  const unsigned char *live = p->mark;
  chain_up(p, live);
  if (p->f->passes & CR_FN_TAIL && !p->f->after) find_tails(p, live);
  part_chains(p, live);
}
