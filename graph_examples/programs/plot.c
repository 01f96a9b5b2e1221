/* chainrule plot: functions of one variable and their derivatives. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plotting.h"

enum { POINTS = 401, MOST_CURVES = 6 };

/* What is drawn: n functions at POINTS places. */
typedef struct curves {
  char name[64];
  double low, high;
  int n;
  char *label[MOST_CURVES]; /* as formulas */
  double x[POINTS], y[MOST_CURVES][POINTS], slope[MOST_CURVES][POINTS];
} curves;

/* x=-6:6; the others stay inputs. */
static bool take_range(context *c, curves *g) {
  int found = -1;
  for (int k = 0; k < c->n_assignments; k++) {
    const char *value = strchr(c->assignment[k], '=') + 1, *colon = strchr(value, ':');
    if (!colon || *value == '@') continue;
    if (found >= 0) return complain("one name is given a range: %s is a second one", c->assignment[k]), false;
    char *end, *last;
    g->low = strtod(value, &end), g->high = strtod(colon + 1, &last);
    size_t n = (size_t)(value - 1 - c->assignment[k]);
    if (end != colon || *last || end == value || last == colon + 1 || !(g->low < g->high) || !isfinite(g->high - g->low) ||
        n >= sizeof g->name)
      return complain("%s: a range is LOW:HIGH, as in x=-6:6", c->assignment[k]), false;
    snprintf(g->name, sizeof g->name, "%.*s", (int)n, c->assignment[k]);
    found = k;
  }
  if (found < 0) return complain("plot needs a range for one name, as in x=-6:6"), false;
  for (int k = found; k + 1 < c->n_assignments; k++) c->assignment[k] = c->assignment[k + 1];
  c->n_assignments--;
  return true;
}

static bool name_curves(curves *g, const cr_results *results) {
  for (int j = 0; j < results->n; j++) {
    cr_buffer b = {.tape = results->value[j].tape};
    cr_print_infix(&b, results->value[j], 0);
    g->label[j] = b.failed || !b.text ? NULL : strdup(b.text);
    cr_buffer_free(&b);
    if (!g->label[j]) return false;
  }
  return true;
}

/* The functions and their slopes at one place, recorded there, so that branches are taken as they fall. */
static bool sample(context *c, curves *g, int k) {
  cr_results results;
  cr_syntax_error where = {.status = CR_OK};
  cr_var x = cr_name(cr_input(c->tape, g->x[k]), g->name);
  cr_program_bind(c->program, g->name, x);
  if (cr_program_run(c->program, c->source, c->length, &results, &where) != CR_OK) return complain_tape(c, &where), false;
  if (!results.n || results.n > MOST_CURVES)
    return complain("plot wants from 1 to %d functions of %s, not %d", MOST_CURVES, g->name, results.n), false;
  g->n = results.n;
  if (!g->label[0] && !name_curves(g, &results)) return complain_memory(), false;
  for (int j = 0; j < g->n; j++) {
    cr_var y = results.value[j];
    if (cr_count(y) != 1)
      return complain("plot wants a number for each %s, but this is a tensor of %lld", g->name, (long long)cr_count(y)),
             false;
    g->y[j][k] = cr_value(y);
    g->slope[j][k] = cr_dtype_of(y) < CR_FLOAT32 ? 0 : cr_adjoint(cr_backward(y), x);
    if (cr_error(c->tape) != CR_OK) return complain_tape(c, NULL), false;
  }
  return true;
}

static bool sample_all(context *c, curves *g) {
  for (int k = 0; k < POINTS; k++) {
    g->x[k] = g->low + (g->high - g->low) * k / (POINTS - 1);
    c->tape ? cr_free(c->tape) : (void)0;
    free(c->input);
    c->tape = NULL, c->input = NULL, c->n_inputs = 0;
    if (!open_program(c) || !sample(c, g, k)) return false;
  }
  return true;
}

/* Drawing */

static void put_number(FILE *f, double x) { isfinite(x) ? fprintf(f, " %.8g", x) : fputs(" NaN", f); }

/* Where the slope of the first function is below a twentieth of its largest, a student should expect slow learning: shaded.
 */
static void shade(FILE *f, const curves *g) {
  double most = 0;
  for (int k = 0; k < POINTS; k++) most = fmax(most, isfinite(g->slope[0][k]) ? fabs(g->slope[0][k]) : 0);
  for (int k = 0, from = -1; g->n == 1 && k <= POINTS; k++) {
    bool flat = k < POINTS && fabs(g->slope[0][k]) < 0.05 * most;
    if (flat && from < 0) from = k;
    if (!flat && from >= 0 && k - from > 1)
      fprintf(
          f,
          "set object rectangle from %.8g, graph 0 to %.8g, graph 1 behind fillcolor '#eeeeee' fillstyle solid noborder\n",
          g->x[from], g->x[k - 1]);
    if (!flat) from = -1;
  }
}

static void put_curves(FILE *f, const curves *g, bool text) {
  static const char *const color[MOST_CURVES] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2"};
  char label[160];
  fputs("$data << END\n", f);
  for (int k = 0; k < POINTS; k++) {
    put_number(f, g->x[k]);
    for (int j = 0; j < g->n; j++) put_number(f, g->y[j][k]), put_number(f, g->slope[j][k]);
    fputc('\n', f);
  }
  fputs("END\nset grid\nset key outside top center horizontal\nset samples 2\nset xlabel ", f);
  put_quoted(f, g->name);
  fprintf(f, "\nset xrange [%.8g:%.8g]\nset offsets 0, 0, graph 0.05, graph 0.05\n", g->low, g->high);
  if (!text) shade(f, g);
  fputs("plot ", f);
  for (int j = 0; j < g->n; j++)
    for (int d = 0; d < 2; d++) {
      if (d && g->n == 1) snprintf(label, sizeof label, "derivative");
      else snprintf(label, sizeof label, d ? "its derivative" : "%.100s", g->label[j]);
      fprintf(f, "%s$data using 1:%d with lines ", j || d ? ", " : "", 2 + 2 * j + d);
      if (!text) fprintf(f, "linecolor rgb '%s' linewidth 2 dashtype %d ", color[j], d ? 2 : 1);
      fputs("title ", f);
      put_quoted(f, label);
    }
  fputc('\n', f);
}

static json_t *numbers_of(const double *x) {
  json_t *list = json_array();
  for (int k = 0; k < POINTS; k++) json_array_append_new(list, json_number_of(x[k]));
  return list;
}

static int put_samples(const curves *g) {
  json_t *y = json_array(), *slope = json_array();
  for (int j = 0; j < g->n; j++) {
    json_array_append_new(y, numbers_of(g->y[j]));
    json_array_append_new(slope, numbers_of(g->slope[j]));
  }
  return put_json(
      stdout, json_pack("{s:s, s:o, s:o, s:o}", "name", g->name, "x", numbers_of(g->x), "value", y, "derivative", slope));
}

int verb_plot(context *c) {
  curves *g = calloc(1, sizeof *g);
  drawing d;
  const char *path = given(c, OPT_OUTPUT);
  int status = STATUS_USAGE;
  if (!g) return complain_memory();
  if (take_range(c, g) && open_source(c) && sample_all(c, g)) {
    if (has(c, OPT_JSON)) status = put_samples(g);
    else if (drawing_open(&d, path, 640, 420)) {
      put_curves(d.script, g, !path);
      status = drawing_close(&d) ? STATUS_GOOD : STATUS_USAGE;
    }
  }
  for (int j = 0; j < MOST_CURVES; j++) free(g->label[j]);
  free(g);
  return status;
}
