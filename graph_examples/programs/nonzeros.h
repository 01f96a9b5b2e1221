/* The sparse matrices of chainrule jac and hess. */
#ifndef NONZEROS_H
#define NONZEROS_H

#include "command.h"

/* Prints the Jacobian or Hessian of the source's results; returns the exit status. */
int put_sparse(context *c, const cr_results *results, int digits);

#endif
