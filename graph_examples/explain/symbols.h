/* Formulas as trees of the expression language: built, substituted, simplified by stated rules, and typeset.
 *
 * Trees live in a pool, which is freed as a whole. Where memory runs out the pool jumps back to whoever opened it, so
 * that building a formula needs no checks. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include <engine.h>
#include <formula.h>
#include <op.h>
#include <ops.h>
#include <setjmp.h>
#include <stdbool.h>

typedef struct pool {
  struct pool_block *block;
  jmp_buf *out_of_memory; /* set before anything is taken */
} pool;

void *pool_take(pool *p, size_t bytes); /* zeroed */
char *pool_text(pool *p, const char *format, ...)
#ifdef __GNUC__
  __attribute__((format(printf, 2, 3)))
#endif
  ;
void pool_free(pool *p);

/* Trees are never changed once made; a child that is to stand in two places is copied. */
typedef const cr_syntax *tree;

tree tree_number(pool *p, double x);
tree tree_name(pool *p, const char *name);
tree tree_binary(pool *p, const char *op, tree a, tree b);
tree tree_negative(pool *p, tree a);
tree tree_call(pool *p, const char *name, tree argument);
tree tree_call_with(pool *p, const char *name, tree argument, const char *keyword, tree value);
tree tree_transpose(pool *p, tree a); /* a.T */
/* The expression that the text says; a bare name with that text where it is not one. */
tree tree_parse(pool *p, cr_tape *t, const char *text);
bool tree_same(tree a, tree b);
int tree_size(tree s); /* nodes */
bool tree_is_number(tree s, double x);
bool tree_mentions(tree s, const char *name);

/* A tree in the place of a name; with NULL the name stays. */
typedef struct tree_binding {
  const char *name;
  tree value;
} tree_binding;
tree tree_replace(pool *p, tree s, int n, const tree_binding *with);

/* 1*u = u, u + 0 = u, u*u = u^2, u/u = 1, -(-u) = u, a choice by a known condition, and what follows of these. */
tree tree_simplify(pool *p, tree s);

/* guarded_mul(g, d), the chain rule's product with 0 * inf = 0, as g * d; copies as what they copy. */
tree tree_products(pool *p, tree s);

/* As text, LaTeX (amsmath) and MathML. */
void put_tree(cr_buffer *b, tree s);
void put_tree_latex(cr_buffer *b, tree s);
void put_tree_mathml(cr_buffer *b, tree s);
/* The same where numbers stand in the place of names: 2 * (-0.5), and a dot between numbers. */
void put_figures(cr_buffer *b, tree s);
void put_figures_latex(cr_buffer *b, tree s);
void put_name_mathml(cr_buffer *b, const char *name);
char *tree_text(pool *p, cr_tape *t, tree s);

/* How tightly trees bind: what the MathML printer needs for its brackets. */
enum { BIND_LOWEST, BIND_CHOICE, BIND_LOGIC, BIND_COMPARE, BIND_SUM, BIND_PRODUCT, BIND_SIGN, BIND_POWER, BIND_ATOM };
int tree_binds(tree s);

#endif
