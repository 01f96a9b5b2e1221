/* chainrule codegen: a function of the inputs as C. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emit.h"
#include "tracing.h"

static bool is_identifier(const char *s) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return *s && strspn(s, letters) == strlen(s) && !(*s >= '0' && *s <= '9');
}

/* Where the files begin in the buffer. */
enum { MOST_FILES = 4096 };
typedef struct files {
  int n;
  char name[MOST_FILES][64];
  size_t at[MOST_FILES + 1];
} files;

static void note_file(void *user, const char *name, size_t at) {
  files *f = user;
  if (f->n < MOST_FILES) snprintf(f->name[f->n], sizeof f->name[0], "%s", name), f->at[f->n] = at;
  f->n++;
}

static bool read_options(const context *c, cr_emit_options *o) {
  long lines, file_lines;
  if (!whole_given(c, OPT_SPLIT, 10, 1000000, 400, &lines)) return false;
  if (!whole_given(c, OPT_FILES, 20, 1000000, 0, &file_lines)) return false;
  int asked = has(c, OPT_GRADIENT) + has(c, OPT_JACOBIAN) + has(c, OPT_HESSIAN);
  o->name = has(c, OPT_NAME) ? given(c, OPT_NAME) : "f";
  o->about = c->source;
  o->what = has(c, OPT_GRADIENT) ? CR_EMIT_GRADIENT
          : has(c, OPT_JACOBIAN) ? CR_EMIT_JACOBIAN
          : has(c, OPT_HESSIAN)  ? CR_EMIT_HESSIAN
                                 : CR_EMIT_VALUE;
  o->main = has(c, OPT_MAIN);
  o->sparse = has(c, OPT_SPARSE);
  o->file_lines = (int)file_lines;
  o->lines = o->file_lines && lines > file_lines / 2 ? o->file_lines / 2 : (int)lines;
  if (!is_identifier(o->name)) return complain("--name takes a C identifier, not '%s'", o->name), false;
  if (o->sparse && o->what < CR_EMIT_JACOBIAN) return complain("--sparse takes --jacobian or --hessian, too"), false;
  return asked <= 1 || (complain("only one of --gradient, --jacobian and --hessian is possible"), false);
}

static bool write_file(const char *folder, const char *name, const char *text, size_t length) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  if (!f) return complain("cannot open %s: %s", path, strerror(errno)), false;
  bool good = fwrite(text, 1, length, f) == length;
  good = !fclose(f) && good;
  return good || (complain("cannot write %s: %s", path, strerror(errno)), false);
}

static int put_files(const context *c, const cr_buffer *b, files *f) {
  const char *folder = given(c, OPT_OUTPUT) ? given(c, OPT_OUTPUT) : ".";
  if (f->n > MOST_FILES) return complain("--files: that makes %d files, more than %d", f->n, MOST_FILES), STATUS_USAGE;
  json_t *texts = has(c, OPT_JSON) ? json_object() : NULL;
  bool good = true;
  f->at[f->n] = b->length;
  for (int k = 0; good && k < f->n; k++) {
    const char *text = b->text + f->at[k];
    size_t length = f->at[k + 1] - f->at[k];
    if (texts) json_object_set_new(texts, f->name[k], json_stringn(text, length));
    else good = write_file(folder, f->name[k], text, length);
  }
  if (texts) return put_json(stdout, json_pack("{s:o}", "c", texts));
  if (good) printf("%s: %s, %s", folder, f->name[0], f->name[f->n - 1]);
  if (good && f->n > 2) printf(", %s%s%s", f->name[1], f->n > 3 ? " to " : "", f->n > 3 ? f->name[f->n - 2] : "");
  if (good) printf("\n");
  return good ? STATUS_GOOD : STATUS_USAGE;
}

static int put_source(const context *c, const cr_buffer *b) {
  if (has(c, OPT_JSON)) return put_json(stdout, json_pack("{s:s}", "c", b->text));
  return write_bytes(c, b->text, b->length) ? STATUS_GOOD : STATUS_USAGE;
}

static int emit(context *c, const cr_results *results, const cr_emit_options *o, files *f) {
  int n = c->n_inputs, status = STATUS_USAGE;
  variable *leaves = n ? NULL : wrt_of(c, &n);
  const variable *x = leaves ? leaves : c->input;
  if (n < 0) return STATUS_USAGE;
  cr_var *in = calloc((size_t)(n ? n : 1), sizeof *in);
  cr_buffer b = {.tape = c->tape};
  for (int k = 0; in && k < n; k++) in[k] = x[k].var;
  if (!in) complain_memory();
  else if (cr_emit_c(&b, c->tape, n, in, results->n, results->value, o) != CR_OK) complain("%s", cr_error_text(c->tape));
  else status = o->file_lines ? put_files(c, &b, f) : put_source(c, &b);
  cr_buffer_free(&b);
  free(leaves);
  free(in);
  return status;
}

int verb_codegen(context *c) {
  cr_results results;
  files *f = calloc(1, sizeof *f);
  cr_emit_options o = {.file = note_file, .user = f};
  int status = STATUS_USAGE;
  if (!f) complain_memory();
  else if (run_source(c, &results) && read_options(c, &o)) status = emit(c, &results, &o, f);
  free(f);
  return status;
}
