/* chainrule codegen: a function of the inputs as C. */
#include <stdlib.h>
#include <string.h>

#include "emit.h"
#include "tracing.h"

static bool is_identifier(const char *s) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return *s && strspn(s, letters) == strlen(s) && !(*s >= '0' && *s <= '9');
}

static bool read_options(const context *c, cr_emit_options *o) {
  long lines;
  if (!whole_given(c, OPT_SPLIT, 10, 1000000, 400, &lines)) return false;
  int asked = has(c, OPT_GRADIENT) + has(c, OPT_JACOBIAN) + has(c, OPT_HESSIAN);
  o->name = has(c, OPT_NAME) ? given(c, OPT_NAME) : "f";
  o->about = c->source;
  o->what = has(c, OPT_GRADIENT) ? CR_EMIT_GRADIENT
          : has(c, OPT_JACOBIAN) ? CR_EMIT_JACOBIAN
          : has(c, OPT_HESSIAN)  ? CR_EMIT_HESSIAN
                                 : CR_EMIT_VALUE;
  o->main = has(c, OPT_MAIN);
  o->sparse = has(c, OPT_SPARSE);
  o->lines = (int)lines;
  if (!is_identifier(o->name)) return complain("--name takes a C identifier, not '%s'", o->name), false;
  if (o->sparse && o->what < CR_EMIT_JACOBIAN) return complain("--sparse takes --jacobian or --hessian, too"), false;
  return asked <= 1 || (complain("only one of --gradient, --jacobian and --hessian is possible"), false);
}

static int put_source(const context *c, const cr_buffer *b) {
  if (has(c, OPT_JSON)) return put_json(stdout, json_pack("{s:s}", "c", b->text));
  return write_bytes(c, b->text, b->length) ? STATUS_GOOD : STATUS_USAGE;
}

int verb_codegen(context *c) {
  cr_results results;
  cr_emit_options o = {0};
  if (!run_source(c, &results) || !read_options(c, &o)) return STATUS_USAGE;
  int n = c->n_inputs, status = STATUS_USAGE;
  variable *leaves = n ? NULL : wrt_of(c, &n);
  const variable *x = leaves ? leaves : c->input;
  if (n < 0) return STATUS_USAGE;
  cr_var *in = calloc((size_t)(n ? n : 1), sizeof *in);
  cr_buffer b = {.tape = c->tape};
  for (int k = 0; in && k < n; k++) in[k] = x[k].var;
  if (!in) complain_memory();
  else if (cr_emit_c(&b, c->tape, n, in, results.n, results.value, &o) != CR_OK) complain("%s", cr_error_text(c->tape));
  else status = put_source(c, &b);
  cr_buffer_free(&b);
  free(leaves);
  free(in);
  return status;
}
