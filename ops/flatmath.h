/* Exponentials for loops that compilers turn into vectors: without branches and calls. Errors are below 3 ulp. */
#ifndef CR_FLATMATH_H
#define CR_FLATMATH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Before a loop's other versions, for processors with wide vectors; and whether this is one. Multiply-adds are not fused, so
 * all versions give the same bits. */
#if defined(__x86_64__)
#define CR__WIDE __attribute__((target("avx2")))
#define CR__WIDEST __attribute__((target("avx512f,avx512dq")))
static inline bool cr__is_wide(void) { return __builtin_cpu_supports("avx2"); }
static inline bool cr__is_widest(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }
#else
#define CR__WIDE
#define CR__WIDEST
static inline bool cr__is_wide(void) { return false; }
static inline bool cr__is_widest(void) { return false; }
#endif
/* Which of three versions to take. */
static inline int cr__version(void) { return cr__is_widest() ? 2 : cr__is_wide() ? 1 : 0; }

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

/* The same in double, by Taylor's polynomial; 0 below -708. */
static inline double flat_exp(double x) {
  double shifted = x * 1.4426950408889634 + 6755399441055744.0, n = shifted - 6755399441055744.0;
  double r = (x - n * 6.93147180369123816490e-1) - n * 1.90821492927058770002e-10, p = 1 / 6227020800.0;
  p = ((((p * r + 1 / 479001600.0) * r + 1 / 39916800.0) * r + 1 / 3628800.0) * r + 1 / 362880.0) * r + 1 / 40320.0;
  p = (((((p * r + 1 / 5040.0) * r + 1 / 720.0) * r + 1 / 120.0) * r + 1 / 24.0) * r + 1 / 6.0) * r + 0.5;
  uint64_t bits;
  double scale;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 52) + 0x3FF0000000000000u;
  memcpy(&scale, &bits, sizeof scale);
  double y = (p * (r * r) + r + 1) * scale;
  return x < -708 ? 0 : y;
}

/* sigmoid(x), and sigmoid(-x) into *other. */
static inline float flat_sigmoidf(float x, float *other) {
  float e = flat_expf(-fabsf(x)), high = 1 / (1 + e), low = e * high;
  *other = x >= 0 ? low : high;
  return x >= 0 ? high : low;
}
static inline double flat_sigmoid(double x, double *other) {
  double e = flat_exp(-fabs(x)), high = 1 / (1 + e), low = e * high;
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
/* Near 0 the rational function of Cephes. */
static inline double flat_tanh(double x, double *slope) {
  double a = fabs(x), z = x * x, e = flat_exp(-2 * a), q = 1 / (1 + e), far = (1 - e) * q;
  double up = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3;
  double down = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3;
  double y = a < 0.625 ? a + a * z * (up / down) : far;
  *slope = 4 * e * q * q;
  return x < 0 ? -y : y;
}

#endif
