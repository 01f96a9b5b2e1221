/* The derivatives that batch and the verbs answer with, as one list of named tensors. */
#include <stdlib.h>
#include <string.h>

#include "command.h"

const char *const want_name[N_WANTS] = {"value", "vjp", "jvp", "hvp", "jac", "hess"};

/* The float outputs of a query, which alone have derivatives, and what is allocated on the way. */
typedef struct work {
  const query *q;
  answer *a;
  int m;
  cr_var y[CR_MAX_RESULTS], cotangent[CR_MAX_RESULTS];
  cr_var *x, *tangent, *gradient, *out;
} work;

static bool tape_failed(work *w) {
  return fail(&w->a->problem, status_code(cr_error(w->q->tape)), "%s", cr_error_text(w->q->tape));
}

static bool is_float(cr_var v) { return cr_dtype_of(v) >= CR_FLOAT32; }

/* The next result, its tensor still empty; NULL when memory runs out. */
static result *append(answer *a, int want, int output, const char *x, const char *z) {
  if (a->n == a->capacity) {
    int capacity = a->capacity ? 2 * a->capacity : 8;
    result *grown = realloc(a->result, (size_t)capacity * sizeof *grown);
    if (!grown) {
      fail(&a->problem, "no memory", "out of memory");
      return NULL;
    }
    a->result = grown;
    a->capacity = capacity;
  }
  a->result[a->n] = (result){.want = want, .output = output, .a = x, .b = z};
  return &a->result[a->n++];
}

static bool append_var(work *w, int want, int output, const char *x, cr_var v) {
  answer *a = w->a;
  result *r = append(a, want, output, x, NULL);
  if (r) r->node = v;
  return r && tensor_of(&r->value, v, &a->problem);
}

static bool append_absent(answer *a, int want, int output, const char *x) {
  result *r = append(a, want, output, x, NULL);
  if (r) r->absent = true;
  return r != NULL;
}

static bool values(work *w) {
  for (int k = 0; k < w->q->m; k++)
    if (!append_var(w, WANT_VALUE, k, NULL, w->q->y[k])) return false;
  return true;
}

static cr_var zeros_like(cr_var v) {
  cr_array a = cr_view(v);
  return cr_zeros(v.tape, (cr_dtype)a.dtype, a.rank, a.dim);
}

/* out[k] = cotangent^T d y / d x[k]: zeros when no output has a derivative. */
static bool pull_back(work *w, int n, const cr_var *x, cr_var *out) {
  if (!n) return true;
  if (w->m) return cr_vjp_many(w->m, w->y, w->cotangent, n, x, out) == CR_OK || tape_failed(w);
  for (int k = 0; k < n; k++)
    if (cr_is_poison(out[k] = zeros_like(x[k]))) return tape_failed(w);
  return true;
}

static bool vjps(work *w) {
  if (!pull_back(w, w->q->n, w->x, w->out)) return false;
  for (int k = 0; k < w->q->n; k++)
    if (!append_var(w, WANT_VJP, -1, w->q->x[k].name, w->out[k])) return false;
  return true;
}

/* What the tangents say, in the place of those left out zeros. */
static bool take_tangents(work *w) {
  const query *q = w->q;
  if (!q->tangent) return fail(&w->a->problem, "bad request", "jvp and hvp need \"tangents\"");
  for (int k = 0; k < q->n; k++) {
    w->tangent[k] = cr_is_poison(q->tangent[k]) ? zeros_like(w->x[k]) : q->tangent[k];
    if (cr_is_poison(w->tangent[k])) return tape_failed(w);
  }
  return true;
}

static bool jvps(work *w) {
  const query *q = w->q;
  cr_var out[CR_MAX_RESULTS];
  if (!take_tangents(w)) return false;
  if (w->m && q->n && cr_jvp(w->m, w->y, q->n, w->x, w->tangent, out) != CR_OK) return tape_failed(w);
  for (int k = 0, j = 0; k < q->m; k++) {
    if (!is_float(q->y[k])) {
      if (!append_absent(w->a, WANT_JVP, k, NULL)) return false;
      continue;
    }
    cr_var moved = q->n ? out[j++] : zeros_like(q->y[k]);
    if (cr_is_poison(moved)) return tape_failed(w);
    if (!append_var(w, WANT_JVP, k, NULL, moved)) return false;
  }
  return true;
}

/* Forward over reverse: the tangent of the gradient of sum(cotangent * y). */
static bool hvps(work *w) {
  const query *q = w->q;
  if (!take_tangents(w) || !pull_back(w, q->n, w->x, w->gradient)) return false;
  if (q->n && cr_jvp(q->n, w->gradient, q->n, w->x, w->tangent, w->out) != CR_OK) return tape_failed(w);
  for (int k = 0; k < q->n; k++)
    if (!append_var(w, WANT_HVP, -1, q->x[k].name, w->out[k])) return false;
  return true;
}

/* An empty tensor with the axes of y and then those of x. */
static bool outer(tensor *j, cr_var y, cr_var x, problem *p) {
  int64_t dim[TENSOR_RANK];
  int rank = 0;
  for (int i = 0; i < cr_rank(y); i++) dim[rank++] = cr_dim(y, i);
  for (int i = 0; i < cr_rank(x); i++) dim[rank++] = cr_dim(x, i);
  return tensor_make(j, cr_dtype_of(x), rank, dim, p);
}

static bool dense(work *w, result *r, cr_var y, cr_var x) {
  if (!outer(&r->value, y, x, &w->a->problem)) return false;
  return !r->value.count || cr_jacobian(y, x, r->value.real) == CR_OK || tape_failed(w);
}

static bool jacobians(work *w) {
  const query *q = w->q;
  for (int i = 0; i < q->n; i++)
    for (int k = 0; k < q->m; k++) {
      result *r = append(w->a, WANT_JAC, k, q->x[i].name, NULL);
      if (!r) return false;
      r->absent = !is_float(q->y[k]);
      if (!r->absent && !dense(w, r, q->y[k], w->x[i])) return false;
    }
  return true;
}

static bool hessians(work *w) {
  const query *q = w->q;
  if (!pull_back(w, q->n, w->x, w->gradient)) return false;
  for (int i = 0; i < q->n; i++)
    for (int k = 0; k < q->n; k++) {
      result *r = append(w->a, WANT_HESS, -1, q->x[i].name, q->x[k].name);
      if (!r || !dense(w, r, w->gradient[i], w->x[k])) return false;
    }
  return true;
}

bool derive(const query *q, unsigned wants, answer *a) {
  static bool (*const step[N_WANTS])(work *) = {values, vjps, jvps, hvps, jacobians, hessians};
  work w = {.q = q, .a = a};
  for (int k = 0; k < q->m; k++) {
    if (!is_float(q->y[k])) continue;
    w.y[w.m] = q->y[k];
    w.cotangent[w.m++] = q->cotangent[k];
  }
  w.x = calloc(4 * (size_t)q->n + 1, sizeof *w.x);
  if (!w.x) return fail(&a->problem, "no memory", "out of memory");
  w.tangent = w.x + q->n;
  w.gradient = w.tangent + q->n;
  w.out = w.gradient + q->n;
  for (int k = 0; k < q->n; k++) w.x[k] = q->x[k].var;
  bool good = true;
  for (int k = 0; good && k < N_WANTS; k++)
    if (wants >> k & 1) good = step[k](&w);
  free(w.x);
  return good && (!q->captured || same_when_captured(q, a));
}

void answer_free(answer *a) {
  for (int k = 0; k < a->n; k++) tensor_free(&a->result[k].value);
  free(a->result);
  *a = (answer){0};
}

/* As JSON: values and JVPs are lists by output, the others objects by input. */

static json_t *entry(json_t *object, const char *key, json_t *(*make)(void)) {
  json_t *found = json_object_get(object, key);
  if (found) return found;
  return json_object_set_new(object, key, make()) ? NULL : json_object_get(object, key);
}

static bool put_result(const result *r, json_t *object, json_t *value) {
  const char *want = NULL;
  for (int k = 0; k < N_WANTS; k++)
    if (r->want == 1 << k) want = want_name[k];
  json_t *place = entry(object, want, r->want == WANT_VALUE || r->want == WANT_JVP ? json_array : json_object);
  if (place && r->want == WANT_JAC) place = entry(place, r->a, json_array);
  if (place && r->want == WANT_HESS) place = entry(place, r->a, json_object);
  if (!place || !value) {
    json_decref(value);
    return false;
  }
  if (json_is_array(place)) return !json_array_append_new(place, value);
  return !json_object_set_new(place, r->want == WANT_HESS ? r->b : r->a, value);
}

bool answer_json(const answer *a, json_t *object) {
  for (int k = 0; k < a->n; k++) {
    const result *r = &a->result[k];
    if (!put_result(r, object, r->absent ? json_null() : json_tensor(&r->value))) return false;
  }
  return true;
}
