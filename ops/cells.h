/* Steps of recurrent cells, forward and backward, on one row of n units; each for every dtype and vector length. */
#ifndef CR_CELLS_H
#define CR_CELLS_H

#include "flatmath.h"

/* z, u and b are the three terms before the gates; u is that of the state. */
typedef void forward_rule(int64_t n, const void *restrict z, const void *restrict u, const void *restrict b,
                          const void *restrict h, const void *restrict c, void *restrict h_next, void *restrict c_next,
                          void *restrict kept);
/* gh and gc: the cotangents of the next states become what reaches h and c, but for the way through u; own_h and own_c are
 * those that come from outside. */
typedef void pull_rule(int64_t n, const void *restrict kept, const void *restrict h, const void *restrict c,
                       const void *restrict h_next, const void *restrict c_next, const void *restrict own_h,
                       const void *restrict own_c, void *restrict gh, void *restrict gc, void *restrict dz,
                       void *restrict du);

#define FORWARD(cell, name, TARGET)                                                                                        \
  TARGET static void cell##_##name(int64_t n, const void *restrict z_, const void *restrict u_, const void *restrict b_,    \
                                   const void *restrict h_, const void *restrict c_, void *restrict h_next_,                \
                                   void *restrict c_next_, void *restrict kept_)
#define PULL(cell, name, TARGET)                                                                                           \
  TARGET static void cell##_pull_##name(int64_t n, const void *restrict kept_, const void *restrict h_,                     \
                                        const void *restrict c_, const void *restrict h_next_,                              \
                                        const void *restrict c_next_, const void *restrict own_h_,                          \
                                        const void *restrict own_c_, void *restrict gh_, void *restrict gc_,                \
                                        void *restrict dz_, void *restrict du_)

#define CELLS(name, TARGET, T, SIGMOID, TANH)                                                                              \
  FORWARD(rnn, name, TARGET) {                                                                                              \
    const T *z = z_, *u = u_, *b = b_;                                                                                      \
    T *h_next = h_next_, unused;                                                                                            \
    (void)h_, (void)c_, (void)c_next_, (void)kept_;                                                                         \
    for (int64_t j = 0; j < n; j++) h_next[j] = TANH(z[j] + u[j] + b[j], &unused);                                          \
  }                                                                                                                         \
  PULL(rnn, name, TARGET) {                                                                                                 \
    const T *y = h_next_, *own_h = own_h_;                                                                                  \
    T *gh = gh_, *dz = dz_;                                                                                                 \
    (void)kept_, (void)h_, (void)c_, (void)c_next_, (void)own_c_, (void)gc_, (void)du_;                                     \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      dz[j] = gh[j] * ((1 - y[j]) * (1 + y[j]));                                                                            \
      gh[j] = own_h[j];                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  FORWARD(gru, name, TARGET) {                                                                                              \
    const T *z = z_, *u = u_, *b = b_, *h = h_;                                                                             \
    T *h_next = h_next_, *kept = kept_, unused;                                                                             \
    (void)c_, (void)c_next_;                                                                                                \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T reset = SIGMOID(z[j] + u[j] + b[j], &unused), update = SIGMOID(z[n + j] + u[n + j] + b[n + j], &unused);            \
      T old = u[2 * n + j] + b[2 * n + j], fresh = TANH(z[2 * n + j] + reset * old, &unused);                               \
      h_next[j] = fresh + update * (h[j] - fresh);                                                                          \
      kept[j] = reset, kept[n + j] = update, kept[2 * n + j] = fresh, kept[3 * n + j] = old;                                \
    }                                                                                                                       \
  }                                                                                                                         \
  PULL(gru, name, TARGET) {                                                                                                 \
    const T *kept = kept_, *h = h_, *own_h = own_h_;                                                                        \
    T *gh = gh_, *dz = dz_, *du = du_;                                                                                      \
    (void)c_, (void)h_next_, (void)c_next_, (void)own_c_, (void)gc_;                                                        \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T reset = kept[j], update = kept[n + j], fresh = kept[2 * n + j], g = gh[j];                                          \
      T d = g * (1 - update) * ((1 - fresh) * (1 + fresh));                                                                 \
      dz[j] = du[j] = d * kept[3 * n + j] * (reset * (1 - reset));                                                          \
      dz[n + j] = du[n + j] = g * (h[j] - fresh) * (update * (1 - update));                                                 \
      dz[2 * n + j] = d;                                                                                                    \
      du[2 * n + j] = d * reset;                                                                                            \
      gh[j] = own_h[j] + g * update;                                                                                        \
    }                                                                                                                       \
  }                                                                                                                         \
  FORWARD(lstm, name, TARGET) {                                                                                             \
    const T *z = z_, *u = u_, *b = b_, *c = c_;                                                                             \
    T *h_next = h_next_, *c_next = c_next_, *kept = kept_, unused;                                                          \
    (void)h_;                                                                                                               \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T i = SIGMOID(z[j] + u[j] + b[j], &unused), f = SIGMOID(z[n + j] + u[n + j] + b[n + j], &unused);                     \
      T g = TANH(z[2 * n + j] + u[2 * n + j] + b[2 * n + j], &unused);                                                      \
      T o = SIGMOID(z[3 * n + j] + u[3 * n + j] + b[3 * n + j], &unused), next = f * c[j] + i * g;                          \
      c_next[j] = next;                                                                                                     \
      h_next[j] = o * TANH(next, &unused);                                                                                  \
      kept[j] = i, kept[n + j] = f, kept[2 * n + j] = g, kept[3 * n + j] = o;                                               \
    }                                                                                                                       \
  }                                                                                                                         \
  PULL(lstm, name, TARGET) {                                                                                                \
    const T *kept = kept_, *c = c_, *c_next = c_next_, *own_h = own_h_, *own_c = own_c_;                                    \
    T *gh = gh_, *gc = gc_, *dz = dz_;                                                                                      \
    (void)h_, (void)h_next_, (void)du_;                                                                                     \
    for (int64_t j = 0; j < n; j++) {                                                                                       \
      T i = kept[j], f = kept[n + j], g = kept[2 * n + j], o = kept[3 * n + j], slope, y = TANH(c_next[j], &slope);         \
      T d = gc[j] + gh[j] * o * slope;                                                                                      \
      dz[j] = d * g * (i * (1 - i));                                                                                        \
      dz[n + j] = d * c[j] * (f * (1 - f));                                                                                 \
      dz[2 * n + j] = d * i * ((1 - g) * (1 + g));                                                                          \
      dz[3 * n + j] = gh[j] * y * (o * (1 - o));                                                                            \
      gh[j] = own_h[j];                                                                                                     \
      gc[j] = own_c[j] + d * f;                                                                                             \
    }                                                                                                                       \
  }
CELLS(float, , float, flat_sigmoidf, flat_tanhf)
CELLS(wide_float, CR__WIDE, float, flat_sigmoidf, flat_tanhf)
CELLS(widest_float, CR__WIDEST, float, flat_sigmoidf, flat_tanhf)
CELLS(double, , double, flat_sigmoid, flat_tanh)
CELLS(wide_double, CR__WIDE, double, flat_sigmoid, flat_tanh)
CELLS(widest_double, CR__WIDEST, double, flat_sigmoid, flat_tanh)

#endif
