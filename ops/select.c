/* Selection by value: where, clamp, masked_fill. */
#include "ops.h"

const cr_function cr__select_functions[] = {{.signature = NULL}};
