/* The evaluations that the tool knows. */
#include "gradbench.h"

const char tool_name[] = "chainrule";
const evaluation *const evaluations[] = {
  &ba, &det, &gmm, &hello, &ht, &kmeans, &llsq, &lse, &lstm, &ode, &particle, &saddle, NULL,
};
