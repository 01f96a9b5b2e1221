/* Scans along an axis, all from one linear recurrence. */
#include "ops.h"

const cr_function cr__scan_functions[] = {{.signature = NULL}};
