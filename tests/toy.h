/* See toy.c. Nodes are numbered from 1; op is one of + - * / s(in) e(xp) t(anh) l(og). */
#ifndef TOY_H
#define TOY_H

typedef struct toy toy;
toy *toy_new(void);
void toy_free(toy *t);
int toy_input(toy *t, double x);
int toy_apply(toy *t, char op, int i, int j);
double toy_value(const toy *t, int v);
void toy_backward(toy *t, int y);
double toy_adjoint(const toy *t, int v);

#endif
