/* One step of an update rule: the parameters go through its recording block by block. A block may hold several small
 * parameters, and a large one takes many; elements do not know of each other, so the blocks do not show in the results. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <op.h>

#include "descent.h"

/* Below this many elements another thread costs more than it saves. */
enum { WORTH_A_LANE = 1 << 14, MOST_LANES = 64 };

static int is_parameter(const cr_parameter *q, cr_dtype dtype) { return q->value.dtype == dtype; }

static cr_status make_group(cr_optimizer *o, const cr_model *m, int group, int with_all, cr_problem *p) {
  cr_piece *piece = calloc((size_t)cr_model_count(m) + 1, sizeof *piece);
  if (!piece) return cr_refuse(p, CR_NO_MEMORY, "%s: out of memory", o->arguments.name);
  int n = 0;
  int64_t total = 0;
  for (int k = 0; k < cr_model_count(m); k++) {
    const cr_parameter *q = cr_model_parameter(m, k);
    if (!is_parameter(q, cr_model_dtype(m)) || !q->trainable || (with_all ? group != 0 : group != !q->decays)) continue;
    piece[n++] = (cr_piece){k, total, total + q->value.count};
    total += q->value.count;
  }
  int64_t lanes = total / WORTH_A_LANE + 1, threads = cr_get(cr_model_tape(m), CR_THREADS);
  if (threads == 0) threads = sysconf(_SC_NPROCESSORS_ONLN);
  if (lanes > threads) lanes = threads > 1 ? threads : 1;
  if (lanes > MOST_LANES) lanes = MOST_LANES;
  cr_status status = total ? cr_rule_record(&o->rule[group], o, !group, cr_model_dtype(m), n, piece, (int)lanes, p) : CR_OK;
  free(piece);
  return status;
}

static int decays_weights(const cr_optimizer *o) {
  for (int k = 0; k < o->arguments.n; k++)
    if (!strcmp(o->arguments.argument[k].name, "weight_decay")) return o->arguments.argument[k].number != 0;
  return 0;
}

cr_status cr_rules_prepare(cr_optimizer *o, const cr_model *m, cr_problem *p) {
  if (o->n_parameters == cr_model_count(m)) return CR_OK;
  if (o->n_parameters)
    return cr_refuse(p, CR_BAD_ARGUMENT, "%s: the model had %d parameters at the first step, and has %d now",
                     o->arguments.name, o->n_parameters, cr_model_count(m));
  cr_status status = CR_OK;
  for (int group = 0; group < 2 && status == CR_OK; group++) status = make_group(o, m, group, !decays_weights(o), p);
  for (int group = 0; group < 2 && status != CR_OK; group++) {
    cr_rule_free(o->rule[group]);
    o->rule[group] = NULL;
  }
  if (status == CR_OK) o->n_parameters = cr_model_count(m);
  return status;
}

/* Between a row-major stretch of a parameter and a block */

static char *at(void *data, const cr_rule *r, int64_t k) { return (char *)data + k * (int64_t)cr_dtype_size(r->dtype); }

static void fetch(const cr_rule *r, const cr_array *a, int64_t from, int64_t n, void *to) {
  size_t size = cr_dtype_size(r->dtype);
  if (a->contiguous) memcpy(to, at(a->data, r, from), (size_t)n * size);
  else
    for (int64_t k = 0; k < n; k++) memcpy(at(to, r, k), at(a->data, r, cr_array_offset(a, from + k)), size);
}

#define SQUARES_OF_CHANGES(T)                                                                                               \
  {                                                                                                                         \
    const T *a = before, *b = after;                                                                                        \
    for (; k + 8 <= n; k += 8)                                                                                              \
      for (int j = 0; j < 8; j++) {                                                                                         \
        double d = (double)b[k + j] - (double)a[k + j];                                                                     \
        lane[j] += d * d;                                                                                                   \
      }                                                                                                                     \
    for (; k < n; k++) lane[k % 8] += ((double)b[k] - (double)a[k]) * ((double)b[k] - (double)a[k]);                        \
  }

static double moved(const cr_rule *r, const void *before, const void *after, int64_t n) {
  double lane[8] = {0}, sum = 0;
  int64_t k = 0;
  if (r->dtype == CR_FLOAT32) SQUARES_OF_CHANGES(float)
  else SQUARES_OF_CHANGES(double)
  for (int j = 0; j < 8; j++) sum += lane[j];
  return sum;
}

/* The parts of a block: what of which parameter lies where in it. */
typedef struct part {
  const cr_parameter *parameter;
  int64_t offset, n, place; /* in the parameter; elements; in the block */
} part;

/* The next part of the block from begin to end; *piece is where to look first. 0 after the last. Frozen parameters and those
 * without a gradient are left out. */
static int next_part(const cr_rule *r, cr_model *m, int64_t begin, int64_t end, int *piece, part *out) {
  for (; *piece < r->n_pieces && r->piece[*piece].from < end; ++*piece) {
    const cr_piece *q = &r->piece[*piece];
    const cr_parameter *parameter = cr_model_parameter(m, q->parameter);
    int64_t from = q->from > begin ? q->from : begin, to = q->to < end ? q->to : end;
    if (from >= to || !parameter->trainable || !parameter->gradient.data) continue;
    *out = (part){parameter, from - q->from, to - from, from - begin};
    ++*piece;
    return 1;
  }
  return 0;
}

typedef struct views {
  char *w, *g;
  const char *new_w;
} views;

static void load_block(const cr_rule *r, cr_model *m, int64_t begin, int64_t end, int first, const views *v) {
  part q;
  for (int piece = first; next_part(r, m, begin, end, &piece, &q);) {
    fetch(r, &q.parameter->value, q.offset, q.n, at(v->w, r, q.place));
    fetch(r, &q.parameter->gradient, q.offset, q.n, at(v->g, r, q.place));
  }
  for (int k = 0; k < r->n_states; k++)
    if (r->state[k].data)
      memcpy(cr_view(r->state[k].in).data, at(r->state[k].data, r, begin), (size_t)(end - begin) * cr_dtype_size(r->dtype));
}

static double store_block(const cr_rule *r, cr_model *m, int64_t begin, int64_t end, int first, const views *v,
                          int measure) {
  part q;
  double sum = 0;
  size_t size = cr_dtype_size(r->dtype);
  for (int piece = first; next_part(r, m, begin, end, &piece, &q);) {
    const char *from = v->new_w + q.place * (int64_t)size;
    if (measure) sum += moved(r, at(v->w, r, q.place), from, q.n);
    memcpy(at(q.parameter->value.data, r, q.offset), from, (size_t)q.n * size);
    for (int k = 0; k < r->n_states; k++)
      if (r->state[k].data)
        memcpy(at(r->state[k].data, r, begin + q.place), (char *)cr_view(r->state[k].out).data + q.place * (int64_t)size,
               (size_t)q.n * size);
  }
  return sum;
}

/* The group's blocks, dealt out to its lanes in turn. */
typedef struct deal {
  cr_rule *first;
  cr_model *m;
  int64_t lanes;
  double *change; /* of each block: the sum of squares; NULL: not wanted */
  cr_status status[MOST_LANES];
} deal;

static cr_status run_lane(const deal *j, cr_rule *r, int64_t lane) {
  views v = {cr_view(r->w).data, cr_view(r->g).data, cr_view(r->new_w).data};
  for (int64_t begin = lane * r->length, first = 0; begin < r->total; begin += j->lanes * r->length) {
    int64_t end = begin + r->length < r->total ? begin + r->length : r->total;
    while (r->piece[first].to <= begin) first++;
    load_block(r, j->m, begin, end, (int)first, &v);
    cr_status status = cr_replay(r->block);
    if (status != CR_OK) return status;
    double sum = store_block(r, j->m, begin, end, (int)first, &v, j->change != NULL);
    if (j->change) j->change[begin / r->length] = sum;
  }
  return CR_OK;
}

static void run_lanes(void *context, int64_t from, int64_t to) {
  deal *j = context;
  cr_rule *r = j->first;
  for (int64_t lane = 0; lane < to; lane++, r = r->next)
    if (lane >= from) j->status[lane] = run_lane(j, r, lane);
}

/* Adds the sum of squares of the changes to *change, which may be NULL. */
static cr_status step_group(cr_rule *r, cr_model *m, double *change) {
  deal j = {.first = r, .m = m};
  int64_t blocks = (r->total + r->length - 1) / r->length;
  for (const cr_rule *k = r; k; k = k->next) j.lanes++;
  if (change && !(j.change = calloc((size_t)blocks, sizeof *j.change))) return CR_NO_MEMORY;
  cr_parallel(cr_model_tape(m), j.lanes, 1, run_lanes, &j);
  for (int64_t k = 0; j.change && k < blocks; k++) *change += j.change[k];
  free(j.change);
  for (int64_t k = 0; k < j.lanes; k++)
    if (j.status[k] != CR_OK) return j.status[k];
  return CR_OK;
}

cr_status cr_rules_step(cr_optimizer *o, cr_model *m, cr_step *report, cr_problem *p) {
  double loss = report ? report->loss : (double)NAN, norm = 0, change = 0;
  cr_status status = cr_rules_prepare(o, m, p);
  if (status == CR_OK) status = cr_gradients_finite(m, &norm, p);
  for (int group = 0; group < 2 && status == CR_OK; group++) {
    cr_rule *r = o->rule[group];
    if (!r) continue;
    status = cr_rule_numbers(o, r, loss);
    if (status == CR_OK) status = step_group(r, m, report ? &change : NULL);
    if (status != CR_OK) cr_refuse(p, status, "%s: %s", o->arguments.name, cr_status_text(status));
  }
  if (status != CR_OK) return status;
  o->t++;
  o->previous_loss = loss;
  if (report)
    *report = (cr_step){
        .loss = loss, .gradient_norm = norm, .step_norm = sqrt(change), .damping = (double)NAN, .condition = (double)NAN};
  return CR_OK;
}

/* State in archives */

static cr_status save_state(const cr_rule *r, const cr_state *s, const cr_model *m, cr_archive *into, cr_problem *p) {
  char name[300];
  cr_status status = CR_OK;
  for (int k = 0; s->data && k < r->n_pieces && status == CR_OK; k++) {
    const cr_parameter *q = cr_model_parameter(m, r->piece[k].parameter);
    cr_array a;
    cr_array_init(&a, r->dtype, q->value.rank, q->value.dim);
    a.data = at(s->data, r, r->piece[k].from);
    snprintf(name, sizeof name, "optimizer/%.200s/%s", q->name, s->name);
    status = cr_archive_add(into, name, &a, p);
  }
  if (!s->is_number || status != CR_OK ||
      cr_archive_find(into, (snprintf(name, sizeof name, "optimizer/%s", s->name), name)))
    return status;
  cr_array a;
  cr_array_init(&a, CR_FLOAT64, 0, NULL);
  double value = s->value;
  a.data = &value;
  return cr_archive_add(into, name, &a, p);
}

cr_status cr_rules_save(const cr_optimizer *o, const cr_model *m, cr_archive *into, cr_problem *p) {
  cr_status status = CR_OK;
  for (int group = 0; group < 2; group++)
    for (int k = 0; o->rule[group] && k < o->rule[group]->n_states && status == CR_OK; k++)
      status = save_state(o->rule[group], &o->rule[group]->state[k], m, into, p);
  return status;
}

/* The array of that name and shape, which must be there. */
static const cr_array *expected(const cr_archive *from, const char *name, const cr_array *like, cr_problem *p) {
  char one[200], two[200];
  const cr_array *a = cr_archive_find(from, name);
  if (!a) return cr_refuse(p, CR_UNKNOWN_NAME, "'%s' is missing", name), NULL;
  int same = a->rank == like->rank && a->dtype == like->dtype;
  for (int i = 0; same && i < a->rank; i++) same = a->dim[i] == like->dim[i];
  if (same) return a;
  cr_refuse(p, CR_BAD_SHAPE, "'%s' is %s %s, not %s %s", name, cr_dtype_name((cr_dtype)a->dtype),
            cr_shape_text(a, one, sizeof one), cr_dtype_name((cr_dtype)like->dtype), cr_shape_text(like, two, sizeof two));
  return NULL;
}

static cr_status load_state(cr_rule *r, cr_state *s, const cr_model *m, const cr_archive *from, int write, cr_problem *p) {
  char name[300];
  for (int k = 0; s->data && k < r->n_pieces; k++) {
    const cr_parameter *q = cr_model_parameter(m, r->piece[k].parameter);
    snprintf(name, sizeof name, "optimizer/%.200s/%s", q->name, s->name);
    const cr_array *a = expected(from, name, &q->value, p);
    if (!a) return p ? p->status : CR_UNKNOWN_NAME;
    if (write) fetch(r, a, 0, a->count, at(s->data, r, r->piece[k].from));
  }
  if (!s->is_number) return CR_OK;
  cr_array scalar;
  cr_array_init(&scalar, CR_FLOAT64, 0, NULL);
  snprintf(name, sizeof name, "optimizer/%s", s->name);
  const cr_array *a = expected(from, name, &scalar, p);
  for (cr_rule *lane = r; a && write && lane; lane = lane->next) lane->state[s - r->state].value = cr_array_get(a, 0);
  return a ? CR_OK : p ? p->status : CR_UNKNOWN_NAME;
}

/* Looks at everything before it changes anything. */
cr_status cr_rules_load(cr_optimizer *o, const cr_model *m, const cr_archive *from, cr_problem *p) {
  cr_status status = cr_rules_prepare(o, m, p);
  for (int write = 0; write < 2; write++)
    for (int group = 0; group < 2; group++)
      for (int k = 0; o->rule[group] && k < o->rule[group]->n_states && status == CR_OK; k++)
        status = load_state(o->rule[group], &o->rule[group]->state[k], m, from, write, p);
  return status;
}
