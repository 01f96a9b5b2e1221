/* chainrule jac --sparse, hess --sparse: pattern, colours and values of a sparse matrix. */
#include <stdlib.h>
#include <string.h>

#include "nonzeros.h"
#include "sparse.h"
#include "tracing.h"

enum { SHOWN = 40 };

static json_t *integers_json(const int64_t *wide, const int32_t *narrow, int64_t n) {
  json_t *list = json_array();
  for (int64_t k = 0; list && k < n; k++)
    if (json_array_append_new(list, json_integer(wide ? wide[k] : narrow[k]))) return json_decref(list), NULL;
  return list;
}

static json_t *values_json(const double *values, int64_t n) {
  json_t *list = json_array();
  for (int64_t k = 0; list && k < n; k++)
    if (json_array_append_new(list, json_number_of(values[k]))) return json_decref(list), NULL;
  return list;
}

static int put_sparse_json(const cr_sparse_pattern *s, const double *values) {
  return put_json(stdout,
                  json_pack("{s:I, s:I, s:I, s:i, s:b, s:o, s:o, s:o}", "rows", (json_int_t)s->rows, "columns",
                            (json_int_t)s->columns, "nonzeros", (json_int_t)s->nonzeros, "colours", s->colours, "reverse",
                            s->reverse, "start", integers_json(s->start, NULL, s->rows + 1), "column",
                            integers_json(NULL, s->column, s->nonzeros), "values", values_json(values, s->nonzeros)));
}

/* Where the elements of several vectors laid end to end begin: "x from 0, y from 3". */
static void put_parts(const char *what, int n, const variable *x) {
  int64_t at = 0;
  for (int k = 0; n > 1 && k < n; k++) {
    printf("%s%s from %lld", k ? ", " : what, x[k].name, (long long)at);
    at += cr_count(x[k].var);
  }
  if (n > 1) putchar('\n');
}

static int put_entries(const context *c, const cr_sparse_pattern *s, const double *values, int digits) {
  int64_t shown = has(c, OPT_FULL) || s->nonzeros <= SHOWN ? s->nonzeros : SHOWN;
  for (int64_t i = 0, k = 0; i < s->rows && k < shown; i++)
    for (; k < s->start[i + 1] && k < shown; k++) {
      char number[32];
      printf("[%lld, %d] = %s\n", (long long)i, s->column[k], cr_number_text(values[k], digits, number));
    }
  if (shown < s->nonzeros) printf("... %lld more: --full shows all\n", (long long)(s->nonzeros - shown));
  return STATUS_GOOD;
}

static int put_matrix(const context *c, const cr_sparse_plan *p, const double *values) {
  cr_buffer b = {.tape = c->tape};
  int status = STATUS_USAGE;
  if (cr_sparse_write_mm(p, values, &b) != CR_OK) complain("%s", cr_error_text(c->tape));
  else if (write_bytes(c, b.text, b.length)) status = STATUS_GOOD;
  cr_buffer_free(&b);
  return status;
}

static int put_plan(const context *c, cr_sparse_plan *p, int n, const variable *x, int digits) {
  cr_sparse_pattern s = cr_sparse_pattern_of(p);
  double *values = malloc((size_t)(s.nonzeros + 1) * sizeof *values);
  int status = STATUS_USAGE;
  if (!values) complain_memory();
  else if (cr_sparse_evaluate(p, values) != CR_OK) complain("%s", cr_error_text(c->tape));
  else if (has(c, OPT_OUTPUT)) status = put_matrix(c, p, values);
  else if (has(c, OPT_JSON)) status = put_sparse_json(&s, values);
  else {
    printf("%lld by %lld, %lld nonzeros, %d sweep%s %s\n", (long long)s.rows, (long long)s.columns, (long long)s.nonzeros,
           s.colours, s.colours == 1 ? "" : "s", s.reverse ? "back" : "forward");
    put_parts("columns: ", n, x);
    status = put_entries(c, &s, values, digits);
  }
  free(values);
  return status;
}

/* The float results, or the sum of their elements. */
static cr_sparse_plan *plan_of(const context *c, const cr_results *results, int n, const variable *x) {
  cr_var y[CR_MAX_RESULTS], *in = malloc((size_t)n * sizeof *in);
  int m = 0;
  for (int k = 0; k < results->n; k++)
    if (cr_dtype_of(results->value[k]) >= CR_FLOAT32) y[m++] = results->value[k];
  if (!in) return complain_memory(), NULL;
  for (int k = 0; k < n; k++) in[k] = x[k].var;
  bool second = !strcmp(c->verb->name, "hess");
  cr_sparse_plan *p = NULL;
  if (!m) complain("no result of a float dtype to differentiate");
  else if (second && m > 1) complain("hess --sparse takes one result, not %d", m);
  else if (!(p = second ? cr_sparse_hessian(y[0], n, in) : cr_sparse_jacobian(m, y, n, in)))
    complain("%s", cr_error_text(c->tape));
  free(in);
  return p;
}

int put_sparse(context *c, const cr_results *results, int digits) {
  int n;
  if (has(c, OPT_COTANGENT)) return complain("--sparse takes no --cotangent");
  variable *x = wrt_of(c, &n);
  if (!x) return STATUS_USAGE;
  cr_sparse_plan *p = plan_of(c, results, n, x);
  int status = p ? put_plan(c, p, n, x, digits) : STATUS_USAGE;
  free(x);
  return status;
}
