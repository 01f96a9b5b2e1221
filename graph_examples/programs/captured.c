/* chainrule graph --stats: what capturing makes of an expression and its gradient. */
#include <stdlib.h>
#include <string.h>

#include "captured.h"
#include "command.h"

enum { MOST_SEARCHED = 20000 }; /* the least memory of larger graphs takes seconds to find */

/* What --passes names; false after a complaint. */
static bool read_passes(const context *c, unsigned *passes) {
  static const struct {
    const char *name;
    unsigned bits;
  } known[] = {{"fold", CR_FN_FOLD},   {"merge", CR_FN_MERGE}, {"simplify", CR_FN_SIMPLIFY}, {"stable", CR_FN_STABLE},
               {"block", CR_FN_BLOCK}, {"tail", CR_FN_TAIL},   {"reuse", CR_FN_REUSE},       {"code", CR_FN_CODE},
               {"none", 0}};
  enum { KNOWN = sizeof known / sizeof *known };
  const char *text = given(c, OPT_PASSES);
  *passes = text ? 0 : CR_FN_EXACT;
  for (size_t n; text && *text; text += n + (text[n] == ',')) {
    size_t k = 0;
    n = strcspn(text, ",");
    while (k < KNOWN && (strlen(known[k].name) != n || memcmp(known[k].name, text, n) != 0)) k++;
    if (k == KNOWN) return complain("--passes: there is no pass '%.*s'; %s", (int)n, text, options[OPT_PASSES].help), false;
    *passes |= known[k].bits;
  }
  return true;
}

static int put_stats_json(const cr_fn_stats *s, const cr_fn_stats *least, const timing *time) {
  const struct {
    const char *key;
    uint64_t value;
  } row[] = {{"recorded", s->recorded}, {"folded", s->folded},         {"simplified", s->simplified},
             {"merged", s->merged},     {"stabilized", s->stabilized}, {"nodes", s->nodes},
             {"steps", s->steps},       {"blocks", s->blocks},         {"blocked", s->blocked},
             {"tails", s->tails},       {"bytes_recorded", s->bytes_recorded}, {"bytes", s->bytes},
             {"bytes_least", least->bytes}, {"recomputed", least->recomputed}};
  json_t *all = json_object();
  for (size_t k = 0; k < sizeof row / sizeof *row; k++)
    json_object_set_new(all, row[k].key, json_integer((json_int_t)row[k].value));
  if (time)
    json_object_update_new(all, json_pack("{s:s, s:f, s:f}", "note", time->note, "replayed", time->replayed, "compiled",
                                          time->compiled));
  return put_json(stdout, all);
}

/* least: as it would be in as little memory as can be. */
static int put_stats(const context *c, const cr_fn_stats *s, const cr_fn_stats *least, const timing *time) {
  if (has(c, OPT_JSON)) return put_stats_json(s, least, time);
  printf("recorded    %8u nodes: value and gradient\n", s->recorded);
  printf("folded      %8u\nsimplified  %8u\nmerged      %8u\n", s->folded, s->simplified, s->merged);
  if (s->stabilized) printf("stabilized  %8u\n", s->stabilized);
  printf("left        %8u nodes in %u step%s", s->nodes, s->steps, s->steps == 1 ? "" : "s");
  if (s->blocks) printf(", %u of them in %u block%s", s->blocked, s->blocks, s->blocks == 1 ? "" : "s");
  if (s->tails) printf(", %u of these on parts of a product", s->tails);
  printf("\nmemory      %8zu bytes instead of %zu\n", s->bytes, s->bytes_recorded);
  if (least->recomputed)
    printf("at least    %8zu bytes, computing %u operations again\n", least->bytes, least->recomputed);
  if (time) printf("a run       %8.3g us, then %.3g us: %s\n", 1e6 * time->replayed, 1e6 * time->compiled, time->note);
  return STATUS_GOOD;
}

/* The results and the gradient of each float one, by x. */
static int derive_all(context *c, const cr_results *results, int n, const cr_var *x, cr_var *out) {
  int m = results->n;
  for (int k = 0; k < results->n; k++) {
    out[k] = results->value[k];
    if (cr_dtype_of(out[k]) < CR_FLOAT32) continue;
    if (cr_grad(out[k], n, x, out + m) != CR_OK) return complain_tape(c, NULL), -1;
    m += n;
  }
  return m;
}

static int capture(context *c, const cr_results *results, int n, const variable *wrt, unsigned passes) {
  cr_var *x = malloc((size_t)(n + results->n * (n + 1)) * sizeof *x);
  if (!x) return complain_memory();
  for (int k = 0; k < n; k++) x[k] = wrt[k].var;
  int m = derive_all(c, results, n, x, x + n), status = STATUS_USAGE;
  cr_fn *f = m < 0 ? NULL : cr_capture(c->tape, n, x, m, x + n, 0, NULL, passes);
  if (f) {
    cr_fn_stats s = cr_fn_stats_of(f), least = s;
    cr_fn *small = s.nodes <= MOST_SEARCHED ? cr_capture_within(c->tape, n, x, m, x + n, 0, NULL, passes, 1) : NULL;
    if (small) least = cr_fn_stats_of(small);
    timing time;
    bool timed = has(c, OPT_COMPILE);
    if (cr_error(c->tape) != CR_OK) status = complain_tape(c, NULL);
    else if (!timed || time_compiled(f, n, m, x, &time)) status = put_stats(c, &s, &least, timed ? &time : NULL);
    cr_fn_free(small);
  } else if (m >= 0) {
    status = complain_tape(c, NULL);
  }
  cr_fn_free(f);
  free(x);
  return status;
}

int put_captured(context *c) {
  cr_results results;
  unsigned passes;
  int n;
  if (!read_passes(c, &passes) || !run_source(c, &results)) return STATUS_USAGE;
  variable *wrt = wrt_of(c, &n);
  if (!wrt) return STATUS_USAGE;
  int status = capture(c, &results, n, wrt, passes);
  free(wrt);
  return status;
}
