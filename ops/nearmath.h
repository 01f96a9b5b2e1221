/* The names of rows in float, for compiled functions (engine/jit.h) alone: near_NAME is NAME within some ulp of a float, by
 * vector functions of the C library. Replay computes these rows in double. SIMD, which says that a function has a vector
 * version, is defined by whoever includes this. */
#ifndef CR_NEARMATH_H
#define CR_NEARMATH_H

#include "singlemath.h"

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

#define near_pow(x, y) powf(x, y)
#define near_sin(x) sinf(x)
#define near_cos(x) cosf(x)
#define near_tan(x) tanf(x)
#define near_asin(x) asinf(x)
#define near_acos(x) acosf(x)
#define near_atan(x) atanf(x)
#define near_atan2(y, x) atan2f(y, x)
#define near_sinh(x) sinhf(x)
#define near_cosh(x) coshf(x)
#define near_asinh(x) asinhf(x)
#define near_acosh(x) acoshf(x)
#define near_atanh(x) atanhf(x)
#define near_cbrt(x) cbrtf(x)
#define near_hypot(x, y) hypotf(x, y)

static inline float near_quick_gelu_slope(float x) { return single_silu_slope(1.702f * x); }

#endif
