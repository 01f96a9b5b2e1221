/* What explain, graph and lesson share: a trace from the arguments, and output to a file. */
#ifndef TRACING_H
#define TRACING_H

#include "../explain/trace.h"
#include "command.h"

/* The trace of the source's result with respect to the inputs, as the options want it; with --digits lecture:N the one with
 * every intermediate rounded, and *exact is the other, else NULL. NULL after a complaint. */
trace *open_trace(context *c, trace **exact);
/* To --output, else standard output. */
bool write_bytes(const context *c, const char *bytes, size_t length);

#endif
