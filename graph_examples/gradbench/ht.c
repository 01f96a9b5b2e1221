/* ht: hand tracking. A skeleton of bones, bent by the 26 numbers theta, moves the vertices of a hand; e is how far
 * points of its surface are from measured ones. Every number is a scalar on the tape, and each has 26 tangents, or 28:
 * those by the coordinates u of a point on its triangle come first, and as no two points share them, two serve all
 * points. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gradbench.h"

enum { OBJECTIVE, JACOBIAN, THETA = 26, FINGERS = 5, BLOCK = 8 };

/* A 4 by 4 matrix, and a point. */
typedef struct matrix {
  cr_var at[4][4];
} matrix;
typedef struct vec {
  cr_var at[3];
} vec;

typedef struct state {
  int64_t bones, vertices, triangles, points;
  size_t lanes; /* tangents: columns of the Jacobian */
  numbers theta, us, base_relatives, inverse_absolutes, base_positions, weights, measured;
  integers parents, corners, at; /* at: the vertex, or the triangle, that each point belongs to */
  bool mirrored;
  numbers error, jacobian;
  vec *position; /* of each vertex that a point needs */
  bool *needed;
} state;

static bool read_model(state *s, const json_t *data, complaint *c) {
  const json_t *model = read_object(data, "model", c);
  int64_t one[1] = {-1}, three[2] = {-1, 3}, four[2] = {-1, 4};
  if (!model || !read_integer(model, "bone_count", 1 + 4 * FINGERS, 1 << 16, &s->bones, c)) return false;
  int64_t frames[3] = {s->bones, 4, 4};
  if (!read_numbers(model, "base_positions", 2, four, &s->base_positions, c)) return false;
  s->vertices = four[0];
  one[0] = s->bones;
  json_t *mirrored = json_object_get(model, "is_mirrored");
  s->mirrored = json_is_true(mirrored);
  if (!read_integers(model, "parents", 1, one, -1, s->bones - 1, &s->parents, c) ||
      !read_numbers(model, "base_relatives", 3, frames, &s->base_relatives, c) ||
      !read_numbers(model, "inverse_base_absolutes", 3, frames, &s->inverse_absolutes, c) ||
      !read_numbers(model, "weights", 2, (int64_t[]){s->vertices, s->bones}, &s->weights, c) ||
      !read_integers(model, "triangles", 2, three, 0, s->vertices - 1, &s->corners, c))
    return false;
  s->triangles = three[0];
  for (int64_t b = 0; b < s->bones; b++)
    if (s->parents.at[b] >= b) return complain(c, "field parents[%lld] is not a bone before it", (long long)b);
  free(s->position), free(s->needed);
  s->position = malloc((size_t)(s->vertices + 1) * sizeof *s->position);
  s->needed = malloc((size_t)(s->vertices + 1) * sizeof *s->needed);
  if (!s->position || !s->needed) return complain(c, "no memory for %lld vertices", (long long)s->vertices);
  return json_is_boolean(mirrored) || complain(c, "field is_mirrored is missing, or not a boolean");
}

static bool read(void *memory, const json_t *input, complaint *c) {
  state *s = memory;
  const json_t *data = read_object(input, "data", c);
  int64_t theta[1] = {THETA}, three[2] = {-1, 3}, one[1] = {-1};
  if (!data || !read_model(s, data, c) || !read_numbers(input, "theta", 1, theta, &s->theta, c) ||
      !read_numbers(data, "points", 2, three, &s->measured, c))
    return false;
  one[0] = s->points = three[0];
  json_t *us = json_object_get(input, "us");
  bool simple = json_is_array(us) && !json_array_size(us);
  s->us.count = 0;
  if (!simple && !read_numbers(input, "us", 2, (int64_t[]){s->points, 2}, &s->us, c)) return false;
  return read_integers(data, "correspondences", 1, one, 0, (simple ? s->vertices : s->triangles) - 1, &s->at, c) &&
         make_room(&s->error, 3 * s->points, c) && make_room(&s->jacobian, 3 * s->points * (simple ? THETA : THETA + 2), c);
}

/* The skeleton */

static matrix constant(cr_tape *t, const double *x) {
  matrix m;
  for (int k = 0; k < 16; k++) m.at[k / 4][k % 4] = cr_const(t, x[k]);
  return m;
}

static matrix identity(cr_tape *t) {
  return constant(t, (const double[16]){1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
}

static matrix product(const matrix *a, const matrix *b) {
  matrix c;
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      cr_var sum = cr_mul(a->at[i][0], b->at[0][j]);
      for (int k = 1; k < 4; k++) sum = cr_add(sum, cr_mul(a->at[i][k], b->at[k][j]));
      c.at[i][j] = sum;
    }
  return c;
}

/* The rotation that turns axis i towards axis j. */
static matrix turn(cr_var angle, int i, int j) {
  matrix m = identity(angle.tape);
  cr_var c = cr_cos(angle), s = cr_sin(angle);
  m.at[i][i] = c, m.at[i][j] = cr_neg(s);
  m.at[j][i] = s, m.at[j][j] = c;
  return m;
}

/* Bone b's rotation about x, then y, then z. Of each finger's three bones the first has two angles, the others one. */
static matrix bend(cr_var zero, const cr_var *theta, int64_t b) {
  cr_var about_x = zero, about_z = zero;
  if (b >= 2 && b < 2 + 4 * FINGERS && (b - 2) % 4 < 3) {
    const cr_var *finger = theta + 6 + (b - 2) / 4 * 4;
    int64_t joint = (b - 2) % 4;
    about_x = finger[joint ? joint + 1 : 0];
    if (!joint) about_z = finger[1];
  }
  matrix x = turn(about_x, 1, 2), y = turn(zero, 2, 0), z = turn(about_z, 0, 1), zy = product(&z, &y);
  return product(&zy, &x);
}

/* From each vertex's place at rest to where its bone takes it. */
static void pose(cr_tape *t, const state *s, const cr_var *theta, matrix *absolute, matrix *transform) {
  cr_var zero = cr_const(t, 0);
  for (int64_t b = 0; b < s->bones; b++) {
    matrix base = constant(t, s->base_relatives.at + 16 * b), bent = bend(zero, theta, b), relative = product(&base, &bent);
    absolute[b] = s->parents.at[b] < 0 ? relative : product(&absolute[s->parents.at[b]], &relative);
    matrix inverse = constant(t, s->inverse_absolutes.at + 16 * b);
    transform[b] = product(&absolute[b], &inverse);
  }
}

/* The rotation about the axis r by the angle |r|. */
static matrix rotation(const cr_var *r) {
  cr_tape *t = r->tape;
  matrix m = identity(t);
  cr_var angle = cr_sqrt(cr_add(cr_add(cr_square(r[0]), cr_square(r[1])), cr_square(r[2]))), one = cr_const(t, 1);
  if (cr_value(angle) < 1e-4) return m;
  cr_var s = cr_sin(angle), c = cr_cos(angle), rest = cr_sub(one, c), a[3];
  for (int i = 0; i < 3; i++) a[i] = cr_div(r[i], angle);
  for (int i = 0; i < 3; i++) {
    int j = (i + 1) % 3, k = (i + 2) % 3;
    cr_var square = cr_square(a[i]), mixed = cr_mul(cr_mul(a[i], a[j]), rest), turned = cr_mul(a[k], s);
    m.at[i][i] = cr_add(square, cr_mul(cr_sub(one, square), c));
    m.at[i][j] = cr_sub(mixed, turned);
    m.at[j][i] = cr_add(mixed, turned);
  }
  return m;
}

/* The skin */

static cr_var row_times(const cr_var *row, const cr_var *x) {
  return cr_add(cr_add(cr_mul(row[0], x[0]), cr_mul(row[1], x[1])), cr_mul(row[2], x[2]));
}

/* Where the bones that have a weight take vertex v, in the frame of the hand and then in that of the world. */
static vec skin(cr_tape *t, const state *s, const matrix *transform, const matrix *world, int64_t v) {
  cr_var base[4], sum[3];
  vec moved;
  for (int j = 0; j < 4; j++) base[j] = cr_const(t, s->base_positions.at[4 * v + j]);
  for (int i = 0; i < 3; i++) sum[i] = cr_const(t, 0);
  for (int64_t b = 0; b < s->bones; b++) {
    double weight = s->weights.at[v * s->bones + b];
    if (weight == 0) continue;
    cr_var w = cr_const(t, weight);
    for (int i = 0; i < 3; i++) {
      const cr_var *row = transform[b].at[i];
      sum[i] = cr_add(sum[i], cr_mul(w, cr_add(row_times(row, base), cr_mul(row[3], base[3]))));
    }
  }
  if (s->mirrored) sum[0] = cr_neg(sum[0]);
  for (int i = 0; i < 3; i++) moved.at[i] = cr_add(row_times(world->at[i], sum), world->at[i][3]);
  return moved;
}

/* All vertices that points need. Of each only its place and the tangents of that are kept. */
static void place_vertices(cr_tape *t, state *s, cr_tangents *d, const matrix *transform, const matrix *world) {
  memset(s->needed, 0, (size_t)s->vertices * sizeof *s->needed);
  for (int64_t i = 0; i < s->points; i++)
    if (!s->us.count) s->needed[s->at.at[i]] = true;
    else
      for (int k = 0; k < 3; k++) s->needed[s->corners.at[3 * s->at.at[i] + k]] = true;
  for (int64_t v = 0; v < s->vertices && cr_error(t) == CR_OK; v++) {
    if (!s->needed[v]) continue;
    cr_mark mark = cr_mark_here(t);
    s->position[v] = skin(t, s, transform, world, v);
    cr_tangents_fold(d, mark, 3, s->position[v].at);
  }
}

/* An input, with one tangent of k that is 1. */
static cr_var independent(cr_tape *t, cr_tangents *d, double x, int lane) {
  double unit[THETA + 2] = {0};
  cr_var v = cr_input(t, x);
  unit[lane] = 1;
  if (d) cr_tangents_set(d, v, unit);
  return v;
}

/* The point on the triangle with these corners that u names. */
static vec on_triangle(cr_tape *t, const vec *position, const int64_t *corner, const cr_var *u) {
  cr_var rest = cr_sub(cr_sub(cr_const(t, 1), u[0]), u[1]);
  const vec *a = &position[corner[0]], *b = &position[corner[1]], *c = &position[corner[2]];
  vec p;
  for (int i = 0; i < 3; i++)
    p.at[i] = cr_add(cr_add(cr_mul(u[0], a->at[i]), cr_mul(u[1], b->at[i])), cr_mul(rest, c->at[i]));
  return p;
}

static vec difference(cr_tape *t, const state *s, cr_tangents *d, int64_t i) {
  vec p, e;
  if (!s->us.count) {
    p = s->position[s->at.at[i]];
  } else {
    cr_var u[2];
    for (int k = 0; k < 2; k++) u[k] = independent(t, d, s->us.at[2 * i + k], k);
    p = on_triangle(t, s->position, s->corners.at + 3 * s->at.at[i], u);
  }
  for (int k = 0; k < 3; k++) e.at[k] = cr_sub(cr_const(t, s->measured.at[3 * i + k]), p.at[k]);
  return e;
}

/* A few points at a time: their errors, and rows of the Jacobian, which are the tangents of the errors. */
static void measure(cr_tape *t, state *s, cr_tangents *d) {
  cr_mark mark = cr_mark_here(t);
  for (int64_t from = 0; from < s->points && cr_error(t) == CR_OK; from += BLOCK) {
    int64_t n = s->points - from < BLOCK ? s->points - from : BLOCK;
    vec e[BLOCK];
    for (int64_t i = 0; i < n; i++) e[i] = difference(t, s, d, from + i);
    for (int64_t k = 3 * from; k < 3 * (from + n); k++) {
      cr_var v = e[k / 3 - from].at[k % 3];
      s->error.at[k] = cr_value(v);
      const double *tangent = d ? cr_tangents_of(d, v) : NULL;
      if (tangent) memcpy(s->jacobian.at + (size_t)k * s->lanes, tangent, s->lanes * sizeof *tangent);
    }
    cr_reset(t, mark);
  }
}

static void run(void *memory, cr_tape *t, int function) {
  state *s = memory;
  int by_u = s->us.count ? 2 : 0;
  s->lanes = (size_t)(THETA + by_u);
  cr_tangents *d = function == JACOBIAN ? cr_tangents_new(t, THETA + by_u) : NULL;
  cr_var theta[THETA];
  for (int j = 0; j < THETA; j++) theta[j] = independent(t, d, s->theta.at[j], by_u + j);
  matrix *absolute = malloc((size_t)s->bones * 2 * sizeof *absolute), world = rotation(theta);
  if (!absolute) {
    cr_fail(t, CR_NO_MEMORY, "no memory for %lld bones", (long long)s->bones);
    return;
  }
  for (int i = 0; i < 3; i++) world.at[i][3] = theta[3 + i];
  pose(t, s, theta, absolute, absolute + s->bones);
  place_vertices(t, s, d, absolute + s->bones, &world);
  measure(t, s, d);
  free(absolute);
}

static void write(const void *memory, int function, text *out) {
  const state *s = memory;
  if (function == JACOBIAN) put_matrix(out, s->jacobian.at, 3 * s->points, (int64_t)s->lanes);
  else put_list(out, s->error.at, s->error.count);
}

static void release(void *memory) {
  state *s = memory;
  numbers *all[] = {&s->theta, &s->us, &s->base_relatives, &s->inverse_absolutes, &s->base_positions, &s->weights,
                    &s->measured, &s->error, &s->jacobian};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]->at);
  free(s->parents.at);
  free(s->corners.at);
  free(s->at.at);
  free(s->position);
  free(s->needed);
}

const evaluation ht = {.name = "ht", .function = {"objective", "jacobian"}, .size = sizeof(state), .read = read, .run = run,
                       .write = write, .release = release};
