/* The functions of the C library that have vector forms; before anything that redefines their names. */
#include <math.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SIMD __attribute__((simd("notinbranch"), const))
extern SIMD double exp(double), log(double), sin(double), cos(double), pow(double, double);
#if __GLIBC_PREREQ(2, 35)
extern SIMD double exp2(double), expm1(double), log1p(double), log2(double), log10(double), tanh(double), erf(double),
  erfc(double), sinh(double), cosh(double), tan(double), atan(double), asinh(double), cbrt(double);
#endif
#endif
