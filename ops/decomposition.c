/* Eigenvalues and singular values. */
#include "ops.h"

const cr_function cr__decomposition_functions[] = {{.signature = NULL}};
