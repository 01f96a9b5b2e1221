/* The names of rows in float, for compiled code (engine/jit.h): single_NAME is NAME within some ulp of a float, in forms
 * that compilers turn into vectors. A name without one is computed as replay does. SIMD, which says that a function of the C
 * library has a vector version, is defined by whoever includes this. */
#ifndef CR_SINGLEMATH_H
#define CR_SINGLEMATH_H

#include <math.h>

SIMD float expf(float x);
SIMD float exp2f(float x);
SIMD float expm1f(float x);
SIMD float logf(float x);
SIMD float log1pf(float x);
SIMD float log2f(float x);
SIMD float log10f(float x);
SIMD float powf(float x, float y);
SIMD float sinf(float x);
SIMD float cosf(float x);
SIMD float tanf(float x);
SIMD float asinf(float x);
SIMD float acosf(float x);
SIMD float atanf(float x);
SIMD float atan2f(float y, float x);
SIMD float sinhf(float x);
SIMD float coshf(float x);
SIMD float asinhf(float x);
SIMD float acoshf(float x);
SIMD float atanhf(float x);
SIMD float cbrtf(float x);
SIMD float hypotf(float x, float y);
SIMD float erff(float x);
/* In double, under another name, so that float64 keeps its bits. */
SIMD double vector_erfc(double x) __asm__("erfc");

#define single_abs(x) fabsf(x)
#define single_sqrt(x) sqrtf(x)
#define single_floor(x) floorf(x)
#define single_ceil(x) ceilf(x)
#define single_rint(x) rintf(x)
#define single_trunc(x) truncf(x)
#define single_copysign(x, y) copysignf(x, y)
#define single_exp(x) expf(x)
#define single_exp2(x) exp2f(x)
#define single_expm1(x) expm1f(x)
#define single_log(x) logf(x)
#define single_log1p(x) log1pf(x)
#define single_log2(x) log2f(x)
#define single_log10(x) log10f(x)
#define single_pow(x, y) powf(x, y)
#define single_sin(x) sinf(x)
#define single_cos(x) cosf(x)
#define single_tan(x) tanf(x)
#define single_asin(x) asinf(x)
#define single_acos(x) acosf(x)
#define single_atan(x) atanf(x)
#define single_atan2(y, x) atan2f(y, x)
#define single_sinh(x) sinhf(x)
#define single_cosh(x) coshf(x)
#define single_asinh(x) asinhf(x)
#define single_acosh(x) acoshf(x)
#define single_atanh(x) atanhf(x)
#define single_cbrt(x) cbrtf(x)
#define single_hypot(x, y) hypotf(x, y)
#define single_erf(x) erff(x)

static inline float single_square(float x) { return x * x; }
static inline float single_fmax(float x, float y) { return y != y || x > y ? x : y; }
static inline float single_fmin(float x, float y) { return y != y || x < y ? x : y; }
static inline double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static inline float single_sign(float x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

static inline float single_sigmoid(float x) {
  float e = expf(-fabsf(x)), top = x >= 0 ? 1 : e;
  return top / (1 + e);
}
static inline float single_log1pexp(float x) { return (x > 0 ? x : x <= 0 ? 0 : x) + log1pf(expf(-fabsf(x))); }
static inline float single_softplus(float x) { return single_log1pexp(x); }

static inline float single_sech2(float x) {
  float e = expf(-2 * fabsf(x));
  return 4 * e / ((1 + e) * (1 + e));
}
/* 1 - e cancels near 0, where the polynomial of Cephes (Moshier 1989) is taken. */
static inline float single_tanh(float x) {
  float z = x * x, e = expf(-2 * fabsf(x)), far = copysignf((1 - e) / (1 + e), x);
  float p = (((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) * z -
            3.33332819422e-1f;
  return fabsf(x) < 0.625f ? x + x * (z * p) : far;
}

/* The rounding of x * x, put back. */
static inline float single_gauss(float x) {
  float square = x * x, error = fmaf(x, x, -square), e = expf(-square);
  return fabsf(x) < 16 ? e * (1 - error) : e;
}
static inline float single_normal_pdf(float x) {
  float square = x * x, error = fmaf(x, x, -square), e = 0.398942280f * expf(-0.5f * square);
  return fabsf(x) < 16 ? e * (1 - 0.5f * error) : e;
}

static inline float single_ndtr(float x) { return (float)(0.5 * vector_erfc(-0.70710678118654752 * (double)x)); }
/* The tail is 0 before x times it could be inf * 0. */
static inline float single_gelu_slope(float x) {
  float tail = single_normal_pdf(x), product = x * tail;
  return single_ndtr(x) + (tail == 0 ? 0 : product);
}
static inline float single_silu_slope(float x) {
  float e = expf(-fabsf(x)), top = x >= 0 ? 1 : e, other = x >= 0 ? e : 1, y = top / (1 + e) * (1 + x * (other / (1 + e)));
  return fabsf(x) > 1e4f ? (x > 0 ? 1.0f : 0.0f) : y;
}
static inline float single_quick_gelu_slope(float x) { return single_silu_slope(1.702f * x); }

#endif
