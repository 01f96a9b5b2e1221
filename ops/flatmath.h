/* Exponentials for loops that compilers turn into vectors: without branches and calls. float32 only; the doubles beside them
 * are those of the C library. Errors are below 2 ulp. */
#ifndef CR_FLATMATH_H
#define CR_FLATMATH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Before a loop's second version, for processors with wide vectors; and whether this is one. Multiply-adds are not fused, so
 * both versions give the same bits. */
#if defined(__x86_64__)
#define CR__WIDE __attribute__((target("avx2")))
static inline bool cr__is_wide(void) { return __builtin_cpu_supports("avx2"); }
#else
#define CR__WIDE
static inline bool cr__is_wide(void) { return false; }
#endif

/* exp(x) for x <= 0: 2^n exp(r), |r| <= ln(2)/2, the polynomial of Cephes (Moshier 1989). 0 below -87. */
static inline float flat_expf(float x) {
  float shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f; /* n is rounded in the addition */
  float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p =
      ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f) *
          r +
      5.0000001201e-1f;
  uint32_t bits;
  float scale;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3F800000u;
  memcpy(&scale, &bits, sizeof scale);
  float y = (p * (r * r) + r + 1) * scale;
  return x < -87.0f ? 0 : y;
}

/* sigmoid(x), and sigmoid(-x) into *other. */
static inline float flat_sigmoidf(float x, float *other) {
  float e = flat_expf(-fabsf(x)), high = 1 / (1 + e), low = e * high;
  *other = x >= 0 ? low : high;
  return x >= 0 ? high : low;
}
static inline double flat_sigmoid(double x, double *other) {
  double e = exp(-fabs(x)), high = 1 / (1 + e), low = e * high;
  *other = x >= 0 ? low : high;
  return x >= 0 ? high : low;
}

/* tanh(x), and 1 - tanh(x)^2 into *slope. */
static inline float flat_tanhf(float x, float *slope) {
  float a = fabsf(x), z = x * x, e = flat_expf(-2 * a), q = 1 / (1 + e), far = (1 - e) * q;
  float near = ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z -
                3.33332819422e-1f) * z * a + a;
  float y = a < 0.625f ? near : far;
  *slope = 4 * e * q * q;
  return x < 0 ? -y : y;
}
static inline double flat_tanh(double x, double *slope) {
  double e = exp(-2 * fabs(x)), q = 1 / (1 + e);
  *slope = 4 * e * q * q;
  return tanh(x);
}

#endif
