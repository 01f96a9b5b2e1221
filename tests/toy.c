/* A second, tiny engine: reverse mode on scalars in a page, to read first and to check the real one against.
 *
 * Every operation appends a node that knows its operands and the two local derivatives at the current values. The reverse
 * sweep walks the nodes from last to first and hands each adjoint on, times the local derivatives: the chain rule. */
#include "toy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct toy_node {
  int in[2];        /* operands; 0 is nobody */
  double local[2];  /* d value / d operand */
  double value, adjoint;
} toy_node;

struct toy {
  toy_node *node;
  int count, capacity;
};

toy *toy_new(void) {
  toy *t = calloc(1, sizeof *t);
  if (t) toy_input(t, (double)NAN); /* node 0 is nobody */
  return t;
}

void toy_free(toy *t) {
  free(t->node);
  free(t);
}

static int push(toy *t, double value, int a, double da, int b, double db) {
  if (t->count == t->capacity) {
    t->capacity = t->capacity ? 2 * t->capacity : 64;
    t->node = realloc(t->node, (size_t)t->capacity * sizeof *t->node);
    if (!t->node) abort();
  }
  t->node[t->count] = (toy_node){{a, b}, {da, db}, value, 0};
  return t->count++;
}

int toy_input(toy *t, double x) { return push(t, x, 0, 0, 0, 0); }
double toy_value(const toy *t, int v) { return t->node[v].value; }
double toy_adjoint(const toy *t, int v) { return t->node[v].adjoint; }

int toy_apply(toy *t, char op, int i, int j) {
  double a = t->node[i].value, b = t->node[j].value;
  switch (op) {
    case '+': return push(t, a + b, i, 1, j, 1);
    case '-': return push(t, a - b, i, 1, j, -1);
    case '*': return push(t, a * b, i, b, j, a);
    case '/': return push(t, a / b, i, 1 / b, j, -a / (b * b));
    case 's': return push(t, sin(a), i, cos(a), 0, 0);
    case 'e': return push(t, exp(a), i, exp(a), 0, 0);
    case 't': return push(t, tanh(a), i, 1 - tanh(a) * tanh(a), 0, 0);
    case 'l': return push(t, log(a), i, 1 / a, 0, 0);
    default: return 0;
  }
}

void toy_backward(toy *t, int y) {
  for (int k = 0; k < t->count; k++) t->node[k].adjoint = 0;
  t->node[y].adjoint = 1;
  for (int k = y; k > 0; k--)
    for (int side = 0; side < 2; side++)
      t->node[t->node[k].in[side]].adjoint += t->node[k].adjoint * t->node[k].local[side];
}
