/* Matrix products and contractions. */
#include "ops.h"

const cr_function cr__matmul_functions[] = {{.signature = NULL}};
