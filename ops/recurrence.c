/* Recurrent layers over a whole sequence. With S the states of a cell (h, or h and c) and G its gates,
 *     S[t + 1] = cell(z[t], h[t] U + b, S[t]),
 * where z holds the input's part of all steps, (T, N, G n). Rows of the batch do not meet: threads take some of them each,
 * from the first step to the last.
 *
 * A step's gates are needed again for the derivative. So there are two nodes: the trace, a vector, holds all states,
 * (states, T + 1, N, n), and what the cell keeps of each step; the recurrence is a view of its first part, and has the
 * rules. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cells.h"
#include "fused.h"
#include "gemm.h"
#include "reduce.h"

/* A step by other ops, from z[t], u + b and the states, which become the next ones. */
typedef void step_rule(cr_var z, cr_var u, cr_var *state);
static void rnn_step(cr_var z, cr_var u, cr_var *state) { state[0] = cr_tanh(cr_add(z, u)); }
static void gru_step(cr_var z, cr_var u, cr_var *state) { state[0] = cr_gru_gates(z, u, state[0]); }
static void lstm_step(cr_var z, cr_var u, cr_var *state) { state[0] = cr_lstm_gates(cr_add(z, u), state[1], &state[1]); }

enum { MOST_STATES = 2, TRACE = 0, Z, WEIGHT, BIAS, FIRST }; /* operands; the first states come last */

typedef struct cell {
  const char *name;
  int64_t gates, states, kept;
  bool apart;                  /* the cotangents of z and of u differ */
  step_rule *step;
  forward_rule *forward[2][3]; /* of float64 or not, by cr__version() */
  pull_rule *pull[2][3];
} cell;
#define KERNELS(rule)                                                                                                      \
  {{rule##_float, rule##_wide_float, rule##_widest_float}, {rule##_double, rule##_wide_double, rule##_widest_double}}
enum { RNN, GRU, LSTM };
static const cell cells[] = {{"rnn", 1, 1, 0, false, rnn_step, KERNELS(rnn), KERNELS(rnn_pull)},
                             {"gru", 3, 1, 4, true, gru_step, KERNELS(gru), KERNELS(gru_pull)},
                             {"lstm", 4, 2, 4, false, lstm_step, KERNELS(lstm), KERNELS(lstm_pull)}};

typedef struct sequence_attr {
  int64_t cell;
} sequence_attr;

static const cr_field sequence_fields[] = {
  CR_FIELD(sequence_attr, cell, CR_FIELD_INT, "cell"),
  {.name = NULL}};

static const cell *cell_of(const void *attr) { return &cells[((const sequence_attr *)attr)->cell]; }

/* Kernels */

enum { ROWS = 16, MANY = 4 * ROWS }; /* of the batch, at a time: for one of several threads, for the only one */

typedef struct work {
  const cell *cell;
  cr_dtype dtype;
  int64_t size, time, batch, units;
  const char *z, *weight, *bias, *first[MOST_STATES], *g;
  char *states, *kept, *u;                /* (states, T + 1, N, n), (T, N, kept n), (N, G n) */
  char *dz, *du, *sums, *d_first;         /* sums: those of du over each block of rows, (blocks, G n) */
} work;

/* Rows of a block (.., N, n) of numbers from row on; state s at step t. */
static int64_t rows_at(const work *w, int64_t t, int64_t row, int64_t width) {
  return (t * w->batch + row) * width * w->units * w->size;
}
static int64_t state_at(const work *w, int64_t s, int64_t t, int64_t row) {
  return rows_at(w, s * (w->time + 1) + t, row, 1);
}

static void run_rows(void *context, int64_t from, int64_t to) {
  const work *w = context;
  const cell *k = w->cell;
  forward_rule *step = k->forward[w->dtype == CR_FLOAT64][cr__version()];
  int64_t n = w->units, wide = k->gates * n, other = k->states - 1; /* the second state, if there is one */
  for (int64_t s = 0; s < k->states; s++)
    memcpy(w->states + state_at(w, s, 0, from), w->first[s] + rows_at(w, 0, from, 1), (size_t)((to - from) * n * w->size));
  for (int64_t t = 0; t < w->time; t++) {
    cr__gemm(w->dtype, &(cr__product){.m = to - from, .n = wide, .k = n, .a = w->states + state_at(w, 0, t, from),
                                      .a_row = n, .a_col = 1, .packed = w->weight,
                                      .c = w->u + rows_at(w, 0, from, k->gates), .c_row = wide});
    for (int64_t r = from; r < to; r++)
      step(n, w->z + rows_at(w, t, r, k->gates), w->u + rows_at(w, 0, r, k->gates), w->bias,
           w->states + state_at(w, 0, t, r), w->states + state_at(w, other, t, r), w->states + state_at(w, 0, t + 1, r),
           w->states + state_at(w, other, t + 1, r), w->kept + rows_at(w, t, r, k->kept));
  }
}

/* sum += the sum of rows of n numbers. */
#define ADD_ROWS(T)                                                                                                        \
  static void add_rows_##T(int64_t rows, int64_t n, const T *restrict x, T *restrict sum) {                                 \
    enum { LANES = 16 };                                                                                                    \
    for (int64_t j = 0; j < n; j += LANES) {                                                                                \
      T part[LANES] = {0};                                                                                                  \
      int64_t m = n - j < LANES ? n - j : LANES;                                                                            \
      for (int64_t r = 0; m == LANES && r < rows; r++)                                                                      \
        for (int l = 0; l < LANES; l++) part[l] += x[r * n + j + l];                                                        \
      for (int64_t r = 0; m < LANES && r < rows; r++)                                                                       \
        for (int l = 0; l < m; l++) part[l] += x[r * n + j + l];                                                            \
      for (int l = 0; l < m; l++) sum[j + l] += part[l];                                                                    \
    }                                                                                                                       \
  }
ADD_ROWS(float)
ADD_ROWS(double)

static void add_rows(const work *w, int64_t rows, const char *x, char *sum) {
  int64_t n = w->cell->gates * w->units;
  if (w->dtype == CR_FLOAT64) add_rows_double(rows, n, (const double *)(const void *)x, (double *)(void *)sum);
  else add_rows_float(rows, n, (const float *)(const void *)x, (float *)(void *)sum);
}

/* Backward in time; the running cotangents lie where those of the first states are wanted. */
static void pull_rows(void *context, int64_t from, int64_t to) {
  const work *w = context;
  const cell *k = w->cell;
  pull_rule *step = k->pull[w->dtype == CR_FLOAT64][cr__version()];
  int64_t n = w->units, wide = k->gates * n, other = k->states - 1;
  char *gh = w->d_first, *gc = w->d_first + rows_at(w, other, 0, 1);
  for (int64_t s = 0; s < k->states; s++)
    memcpy(w->d_first + rows_at(w, s, from, 1), w->g + state_at(w, s, w->time, from), (size_t)((to - from) * n * w->size));
  for (int64_t t = w->time - 1; t >= 0; t--) {
    for (int64_t r = from; r < to; r++)
      step(n, w->kept + rows_at(w, t, r, k->kept), w->states + state_at(w, 0, t, r), w->states + state_at(w, other, t, r),
           w->states + state_at(w, 0, t + 1, r), w->states + state_at(w, other, t + 1, r), w->g + state_at(w, 0, t, r),
           w->g + state_at(w, other, t, r), gh + rows_at(w, 0, r, 1), gc + rows_at(w, 0, r, 1),
           w->dz + rows_at(w, t, r, k->gates), w->du + rows_at(w, t, r, k->gates));
    for (int64_t r = from; r < to; r += ROWS)
      add_rows(w, to - r < ROWS ? to - r : ROWS, w->du + rows_at(w, t, r, k->gates),
               w->sums + rows_at(w, 0, r / ROWS, k->gates));
    cr__gemm(w->dtype, &(cr__product){.m = to - from, .n = n, .k = wide, .a = w->du + rows_at(w, t, from, k->gates),
                                      .a_row = wide, .a_col = 1, .packed = w->weight,
                                      .c = gh + rows_at(w, 0, from, 1), .c_row = n, .add = 1});
  }
}

static work work_of(const cr_eval *c, const cr_array *z) {
  cr_dtype dtype = (cr_dtype)c->out->dtype;
  const cell *k = cell_of(c->attr);
  return (work){.cell = k, .dtype = dtype, .size = (int64_t)cr_dtype_size(dtype), .time = z->dim[0], .batch = z->dim[1],
                .units = z->dim[2] / k->gates};
}
/* More rows make better use of the weight; the bits are the same. */
static int64_t grain(const cr_eval *c) { return cr_get(c->tape, CR_THREADS) == 1 ? MANY : ROWS; }

/* The weight of a step's product, packed once for all steps. */
static bool pack_weight(cr_eval *c, work *w, const void *data, int64_t k, int64_t n, int64_t row, int64_t col) {
  cr__product p = {.n = n, .k = k, .b = data, .b_row = row, .b_col = col};
  char *to = cr_scratch(c, cr__gemm_packed_bytes(w->dtype, &p));
  if (to) cr__gemm_pack(w->dtype, &p, to);
  w->weight = to;
  return to;
}

static int64_t states_count(const work *w) { return w->cell->states * (w->time + 1) * w->batch * w->units; }

/* trace(z, weight, bias, h, c): its operands are those of the recurrence but for the first one. */
static cr_status trace_eval(cr_eval *c) {
  work w = work_of(c, &c->in[Z - 1]);
  const void *in[FIRST + MOST_STATES];
  if (!c->out->count) return CR_OK;
  const cr_array *weight = &c->in[WEIGHT - 1];
  for (int k = 0; k < c->n; k++)
    if (k != WEIGHT - 1 && !(in[k + 1] = cr__dense(c, &c->in[k], w.dtype))) return CR_NO_MEMORY;
  if (!pack_weight(c, &w, weight->data, w.units, w.cell->gates * w.units, weight->stride[0], weight->stride[1]))
    return CR_NO_MEMORY;
  w.z = in[Z], w.bias = in[BIAS];
  for (int64_t s = 0; s < w.cell->states; s++) w.first[s] = in[FIRST + s];
  w.states = c->out->data, w.kept = w.states + states_count(&w) * w.size;
  if (!(w.u = cr_scratch(c, (size_t)rows_at(&w, 1, 0, w.cell->gates)))) return CR_NO_MEMORY;
  cr_parallel(c->tape, w.batch, grain(c), run_rows, &w);
  return CR_OK;
}

/* pull(trace, z, weight, bias, h, c, g): the cotangents of z, of u where they differ, of bias and of the first states, as a
 * vector. */
static cr_status pull_eval(cr_eval *c) {
  work w = work_of(c, &c->in[Z]);
  int64_t all = rows_at(&w, w.time, 0, w.cell->gates), blocks = (w.batch + ROWS - 1) / ROWS, wide = w.cell->gates * w.units;
  const cr_array *weight = &c->in[WEIGHT];
  if (!c->out->count) return CR_OK;
  if (!pack_weight(c, &w, weight->data, wide, w.units, weight->stride[1], weight->stride[0])) return CR_NO_MEMORY;
  w.g = cr__dense(c, &c->in[c->n - 1], w.dtype);
  w.states = (char *)(uintptr_t)cr__dense(c, &c->in[TRACE], w.dtype); /* only read here */
  if (!w.g || !w.states) return CR_NO_MEMORY;
  w.kept = w.states + states_count(&w) * w.size;
  w.dz = c->out->data;
  w.du = w.cell->apart ? w.dz + all : w.dz;
  char *bias = w.du + all;
  w.d_first = bias + wide * w.size;
  if (!(w.sums = cr_scratch(c, (size_t)(blocks * wide * w.size)))) return CR_NO_MEMORY;
  memset(w.sums, 0, (size_t)(blocks * wide * w.size));
  cr_parallel(c->tape, w.batch, grain(c), pull_rows, &w);
  memset(bias, 0, (size_t)(wide * w.size));
  add_rows(&w, blocks, w.sums, bias);
  return CR_OK;
}

/* Shapes */

/* Of a cell that is there, with as many operands as it has, from z on at the place first; more: others after the states. */
static bool is_cell(const cr_infer *c, int first, int more) {
  const int64_t number = ((const sequence_attr *)c->attr)->cell;
  if (number < RNN || number > LSTM || !cr__check_floats(c)) return false;
  const int states = (int)cells[number].states;
  if (c->n != first + 3 + states + more) return false;
  const cr_array *z = &c->in[first], *weight = z + 1, *bias = z + 2;
  if (z->rank != 3 || weight->rank != 2 || bias->rank != 1) return false;
  const int64_t n = weight->dim[0], wide = cells[number].gates * n;
  bool fits = z->dim[2] == wide && weight->dim[1] == wide && bias->dim[0] == wide;
  for (int s = first + 3; s < first + 3 + states; s++)
    fits = fits && c->in[s].rank == 2 && c->in[s].dim[0] == z->dim[1] && c->in[s].dim[1] == n;
  return fits;
}
static int64_t states_of(const cr_infer *c, bool all) {
  const cell *k = cell_of(c->attr);
  const cr_array *z = &c->in[Z];
  return (k->states * (z->dim[0] + 1) + all * k->kept * z->dim[0]) * z->dim[1] * c->in[WEIGHT].dim[0];
}
static int trace_check(const cr_infer *c) { return is_cell(c, 0, 0); }
static int recurrence_check(const cr_infer *c) {
  return is_cell(c, 1, 0) && c->in[TRACE].contiguous && c->in[TRACE].count == states_of(c, true);
}
static int pull_check(const cr_infer *c) {
  return is_cell(c, 1, 1) && c->in[TRACE].count == states_of(c, true) && c->in[c->n - 1].count == states_of(c, false);
}

static cr_status trace_infer(cr_infer *c) {
  const cr_array *z = &c->in[Z - 1], *weight = &c->in[WEIGHT - 1], *bias = &c->in[BIAS - 1];
  const cell *k = cell_of(c->attr);
  bool fits = z->rank == 3 && weight->rank == 2 && bias->rank == 1;
  int64_t n = fits ? weight->dim[0] : 0, wide = k->gates * n;
  fits = fits && z->dim[2] == wide && weight->dim[1] == wide && bias->dim[0] == wide;
  for (int s = FIRST - 1; s < c->n; s++)
    fits = fits && c->in[s].rank == 2 && c->in[s].dim[0] == z->dim[1] && c->in[s].dim[1] == n;
  if (!fits) {
    char text[4][200];
    for (int i = 0; i < 4; i++) cr_shape_text(&c->in[i], text[i], sizeof text[i]);
    cr_fail(c->tape, CR_BAD_SHAPE,
            "%s of z %s, weight %s, bias %s, h %s: (T, N, %d n), (n, %d n), (%d n) and (N, n) are needed", k->name, text[0],
            text[1], text[2], text[3], (int)k->gates, (int)k->gates, (int)k->gates);
    return CR_BAD_SHAPE;
  }
  int64_t count = (k->states * (z->dim[0] + 1) + k->kept * z->dim[0]) * z->dim[1] * n;
  cr_array_init(c->out, (cr_dtype)z->dtype, 1, &count);
  return CR_OK;
}

static cr_status recurrence_infer(cr_infer *c) {
  const cr_array *z = &c->in[Z];
  int64_t dims[3] = {cell_of(c->attr)->states * (z->dim[0] + 1), z->dim[1], c->in[WEIGHT].dim[0]};
  cr_array_init(c->out, (cr_dtype)c->in[TRACE].dtype, 3, dims);
  c->out->data = c->in[TRACE].data;
  return CR_OK;
}

static cr_status pull_infer(cr_infer *c) {
  int64_t count = c->in[Z].count * (1 + cell_of(c->attr)->apart);
  for (int s = BIAS; s < c->n - 1; s++) count += c->in[s].count;
  cr_array_init(c->out, (cr_dtype)c->in[Z].dtype, 1, &count);
  return CR_OK;
}

static void show(char *text, size_t size, const void *attr) { snprintf(text, size, "%s", cell_of(attr)->name); }

/* Rules */

/* The states after steps from to before to, one after the other along axis 1; joined by halves. extra is added to u. */
typedef struct composition {
  const cell *cell;
  const cr_var *in;
  cr_var state[MOST_STATES], extra;
} composition;

static cr_var steps(composition *m, int64_t from, int64_t to) {
  if (to - from > 1) {
    cr_var half[2];
    half[0] = steps(m, from, (from + to) / 2);
    half[1] = steps(m, (from + to) / 2, to);
    return cr_concatenate(2, half, 1);
  }
  if (to > from) {
    cr_var u = cr_add(cr_matmul(m->state[0], m->in[WEIGHT]), m->in[BIAS]);
    if (!cr_absent(m->extra)) u = cr_add(u, cr_select(m->extra, 0, from));
    m->cell->step(cr_select(m->in[Z], 0, from), u, m->state);
  }
  cr_var all = cr_stack((int)m->cell->states, m->state, 0);
  int64_t dims[4] = {m->cell->states, 1, cr_dim(m->state[0], 0), cr_dim(m->state[0], 1)};
  return cr_reshape(all, 4, dims);
}

static cr_var composed_with(const cr_var *in, const void *attr, cr_var extra) {
  composition m = {.cell = cell_of(attr), .in = in, .extra = extra};
  int64_t time = cr_dim(in[Z], 0);
  for (int64_t s = 0; s < m.cell->states; s++) m.state[s] = in[FIRST + s];
  cr_var first = steps(&m, 0, 0), all = time ? cr_concatenate(2, (cr_var[]){first, steps(&m, 0, time)}, 1) : first;
  return cr_is_poison(all) ? all : cr_flatten(all, 0, 1);
}
static cr_var composed(int n, const cr_var *in, const void *attr) {
  (void)n;
  return composed_with(in, attr, cr_poison(in[0].tape));
}

static cr_var pull_composed(int n, const cr_var *in, const void *attr) {
  const cell *k = cell_of(attr);
  cr_var x[CR__MOST_FUSED], from[3 + MOST_STATES], d[3 + MOST_STATES], extra = cr_poison(in[0].tape);
  int m = 0;
  for (int i = 0; i < n - 1; i++) x[i] = cr_copy(in[i]);
  if (cr_is_poison(x[n - 2])) return extra;
  from[m++] = x[Z];
  if (k->apart) {
    cr_array z = cr_view(x[Z]);
    from[m++] = extra = cr_copy(cr_zeros(in[0].tape, (cr_dtype)z.dtype, z.rank, z.dim));
  }
  from[m++] = x[BIAS];
  for (int64_t s = 0; s < k->states; s++) from[m++] = x[FIRST + s];
  cr_var y = composed_with(x, attr, extra);
  if (cr_is_poison(y) || cr_vjp(y, in[n - 1], m, from, d) != CR_OK) return cr_poison(y.tape);
  for (int i = 0; i < m; i++) d[i] = cr_flatten(d[i], 0, -1);
  return cr_concatenate(m, d, 0);
}
static void pull_vjp(cr_vjp_rule *c) { cr__composed_vjp(c, pull_composed); }
static cr_var pull_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, pull_composed); }
static const cr_op pull_op = {
  .name = "recurrence_pull", .check = pull_check, .arity = CR_VARIADIC, .attr_size = sizeof(sequence_attr),
  .fields = sequence_fields,
  .infer = pull_infer,
  .eval = pull_eval, .vjp = pull_vjp, .jvp = pull_jvp, .show = show, .rule = "as of the steps one after the other"};

/* The next n numbers of a vector, in the shape of x. */
static cr_var take(cr_var all, int64_t *at, cr_var x) {
  cr_array a = cr_view(x);
  *at += a.count;
  return cr_reshape(cr_slice_axis(all, 0, *at - a.count, *at, 1), a.rank, a.dim);
}

static void recurrence_vjp(cr_vjp_rule *c) {
  cr_var in[CR__MOST_FUSED];
  memcpy(in, c->in, (size_t)c->n * sizeof *in);
  in[c->n] = c->g;
  cr_var all = cr_record(c->tape, &pull_op, c->n + 1, in, c->attr);
  int64_t at = 0, time = cr_dim(c->in[Z], 0);
  if (cr_is_poison(all)) return;
  cr_var du = c->d[Z] = take(all, &at, c->in[Z]);
  if (cell_of(c->attr)->apart) du = take(all, &at, c->in[Z]);
  for (int s = BIAS; s < c->n; s++) c->d[s] = take(all, &at, c->in[s]);
  if (c->wanted[WEIGHT]) {
    cr_var before = cr_flatten(cr_slice_axis(c->out, 0, 0, time, 1), 0, 1);
    c->d[WEIGHT] = cr_matmul(cr_matrix_transpose(before), cr_flatten(du, 0, 1));
  }
}
static cr_var recurrence_jvp(cr_jvp_rule *c) { return cr__composed_jvp(c, composed); }

static const cr_op trace_op = {
  .name = "recurrence_trace", .check = trace_check, .arity = CR_VARIADIC, .attr_size = sizeof(sequence_attr),
  .fields = sequence_fields,
  .infer = trace_infer,
  .eval = trace_eval, .vjp = cr__no_vjp, .jvp = cr__no_jvp, .show = show,
  .rule = "none: the recurrence that looks at it has it"};
static const cr_op recurrence_op = {
  .name = "recurrence", .check = recurrence_check, .arity = CR_VARIADIC, .attr_size = sizeof(sequence_attr),
  .fields = sequence_fields,
  .infer = recurrence_infer,
  .vjp = recurrence_vjp, .jvp = recurrence_jvp, .show = show,
  .rule = "backward in time: dz through the gates, dz U^T to the state before; sum of h^T dz to U, of dz to b"};

/* Constructors */

static cr_var over_time(int kind, cr_var z, cr_var weight, cr_var bias, const cr_var *first, cr_var *second) {
  const cell *k = &cells[kind];
  cr_tape *t = z.tape;
  cr_var in[FIRST + MOST_STATES] = {cr_poison(t), z, weight, bias};
  int n = FIRST;
  if (second) *second = cr_poison(t);
  if (cr_is_poison(z) || cr_is_poison(weight)) return cr_poison(t);
  if (cr_absent(bias)) in[BIAS] = cr_zeros(t, cr_dtype_of(z), 1, (int64_t[]){k->gates * cr_dim(weight, 0)});
  for (int64_t s = 0; s < k->states; s++) in[n++] = first[s];
  for (int i = Z; i < n; i++)
    if (cr_is_poison(in[i])) return cr_poison(t);
  if (cr__one_dtype(t, n - 1, in + 1, 'f') != CR_OK) return cr_poison(t);
  in[TRACE] = cr_record(t, &trace_op, n - 1, in + 1, &(sequence_attr){kind});
  if (cr_is_poison(in[TRACE])) return in[TRACE];
  cr_var all = cr_record(t, &recurrence_op, n, in, &(sequence_attr){kind});
  int64_t time = cr_dim(z, 0);
  if (second && !cr_is_poison(all)) *second = cr_slice_axis(all, 0, time + 2, 2 * time + 2, 1);
  return cr_is_poison(all) ? all : cr_slice_axis(all, 0, 1, time + 1, 1);
}

cr_var cr_rnn_sequence(cr_var z, cr_var weight, cr_var bias, cr_var h) { return over_time(RNN, z, weight, bias, &h, NULL); }
cr_var cr_gru_sequence(cr_var z, cr_var weight, cr_var bias, cr_var h) { return over_time(GRU, z, weight, bias, &h, NULL); }
cr_var cr_lstm_sequence(cr_var z, cr_var weight, cr_var bias, cr_var h, cr_var c, cr_var *next) {
  return over_time(LSTM, z, weight, bias, (cr_var[]){h, c}, next);
}

/* Names in the expression language */

static cr_var bias_or_none(cr_call *c, int k) { return cr_arg_given(c, k) ? cr_arg_var(c, k) : cr_poison(cr_call_tape(c)); }
static void call_rnn_sequence(cr_call *c) {
  cr_var z = cr_arg_var(c, 0), weight = cr_arg_var(c, 1), h = cr_arg_var(c, 2);
  cr_return(c, cr_rnn_sequence(z, weight, bias_or_none(c, 3), h));
}
static void call_gru_sequence(cr_call *c) {
  cr_var z = cr_arg_var(c, 0), weight = cr_arg_var(c, 1), h = cr_arg_var(c, 2);
  cr_return(c, cr_gru_sequence(z, weight, bias_or_none(c, 3), h));
}
static void call_lstm_sequence(cr_call *c) {
  cr_var z = cr_arg_var(c, 0), weight = cr_arg_var(c, 1), h = cr_arg_var(c, 2), first = cr_arg_var(c, 3), next;
  cr_return(c, cr_lstm_sequence(z, weight, bias_or_none(c, 4), h, first, &next));
  cr_return(c, next);
}

#define RECURRENT .family = "recurrent", .derivative = "backward in time, step by step"

static const cr_op *const recorded[] = {&recurrence_op, &trace_op, &pull_op, NULL};

const cr_function cr__recurrence_functions[] = {
  {.ops = recorded, .signature = "rnn_sequence(z, weight, h, bias=None)", .call = call_rnn_sequence, RECURRENT,
   .doc = "All states (T, N, n) of an Elman network, from the input's part z (T, N, n) of every step, the first state "
          "(N, n), weight (n, n) and bias (n): h' = tanh(z + h weight + bias).",
   .samples = "rnn_sequence(z:(3,2,2), w:(2,2), h:(2,2), b:(2)); rnn_sequence(z:(1,1,1), w:(1,1), h:(1,1))"},
  {.signature = "gru_sequence(z, weight, h, bias=None)", .call = call_gru_sequence, RECURRENT,
   .doc = "All states (T, N, n) of gated recurrent units, from the input's part z (T, N, 3 n) of every step, the first "
          "state (N, n), weight (n, 3 n) and bias (3 n): h' = gru_gates(z, h weight + bias, h).",
   .samples = "gru_sequence(z:(3,2,6), w:(2,6), h:(2,2), b:(6)); gru_sequence(z:(2,1,3), w:(1,3), h:(1,1))"},
  {.signature = "lstm_sequence(z, weight, h, c, bias=None)", .call = call_lstm_sequence, RECURRENT,
   .doc = "All states and all cells (T, N, n) of an LSTM, from the input's part z (T, N, 4 n) of every step, the first "
          "state and cell (N, n), weight (n, 4 n) and bias (4 n): h', c' = lstm_gates(z + h weight + bias, c).",
   .samples = "lstm_sequence(z:(3,2,8), w:(2,8), h:(2,2), c:(2,2), b:(8)); "
              "lstm_sequence(z:(2,1,4), w:(1,4), h:(1,1), c:(1,1))"},
  {.signature = NULL}};
