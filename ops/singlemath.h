/* The rows' functions in float: single_NAME is NAME, without branches and calls, so that compilers turn loops of it into
 * vectors. Rows over float32 arrays (vectorrows.h), their few last elements and compiled functions (engine/jit.h) all have
 * these, and fused multiply-adds round alike everywhere: so all have the same bits, whatever the width of the vectors.
 *
 * Polynomials minimise the largest relative error of the function (weighted least squares, Lawson's iteration, coefficients
 * rounded to float one after another). Functions of one exponential write it alike, so that a compiler that sees several
 * computes it once. The largest errors in ulp, measured over every 1009th float (tests/single_test.c has bounds):
 *
 *   exp 0.99   expm1 1.5   log 0.87   log1p 1.5    tanh 2.2   sigmoid 1.4     gauss 1.4        erf 0.99
 *   exp2 1.02  log2 1.1    log10 0.86              sech2 2.1  log1pexp 1.7    normal_pdf 1.4   ndtr 3.7 (5 below -8)
 *
 * and 2.5e-7 of absolute error for the slopes of silu and gelu, which pass through 0. */
#ifndef CR_SINGLEMATH_H
#define CR_SINGLEMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define SINGLE static inline __attribute__((always_inline)) /* a loop with a call is no vector loop */

SINGLE uint32_t single_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
SINGLE float single_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

#define single_abs(x) fabsf(x)
#define single_sqrt(x) sqrtf(x)
#define single_floor(x) floorf(x)
#define single_ceil(x) ceilf(x)
#define single_rint(x) rintf(x)
#define single_trunc(x) truncf(x)
#define single_copysign(x, y) copysignf(x, y)
SINGLE float single_square(float x) { return x * x; }
SINGLE float single_fmax(float x, float y) { return y != y || x > y ? x : y; }
SINGLE float single_fmin(float x, float y) { return y != y || x < y ? x : y; }
SINGLE float single_sign(float x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

/* exp(x) = 2^n (1 + t): n in the low bits of what single_turn gives, t = expm1(x - n ln(2)). */
SINGLE float single_turn(float x) { return fmaf(x, 1.44269504f, 12582912.0f); }
SINGLE float single_rest(float x) {
  float n = single_turn(x) - 12582912.0f, r = fmaf(n, 1.90465421e-9f, fmaf(n, -0.693147182f, x));
  float q = fmaf(fmaf(fmaf(fmaf(0.00138989883f, r, 0.00836613588f), r, 0.0416668467f), r, 0.16666548f), r, 0.5f);
  return fmaf(r * r, q, r);
}
/* 2^(n + by) */
SINGLE float single_power(float x, int by) {
  return single_of_bits((single_bits(single_turn(x)) << 23) + ((uint32_t)(127 + by) << 23));
}

/* 2^64 y exp(x) (1 + error) for x in [-107, 0], to be multiplied by 2^-64 last, so that small results are rounded once. */
SINGLE float single_raised(float x, float y, float error) {
  float scale = single_power(x, 64) * y, t = single_rest(x);
  return fmaf(scale, fmaf(t, error, t) + error, scale);
}
SINGLE float single_raised_exp(float x) {
  float scale = single_power(x, 64);
  return fmaf(scale, single_rest(x), scale);
}
#define single_lowered(x) ((x) * 5.42101086e-20f) /* times 2^-64 */

/* Infinite and zero results of what x does not exceed. */
SINGLE float single_within(float x, float most) {
  float size = fabsf(x);
  return copysignf(most < size ? most : size, x);
}
/* 2^64, or 2^-64 for x < 0: powers of two in two steps. */
SINGLE float single_step(float x) { return single_of_bits(0x5f800000u ^ (single_bits(x) >> 1 & 0x40000000u)); }
SINGLE float single_exp(float x) {
  float z = single_within(x, 104), step = single_step(z);
  float scale = single_of_bits((single_bits(single_turn(z)) << 23) + (254u << 23) - single_bits(step));
  return fmaf(scale, single_rest(z), scale) * step;
}
SINGLE float single_expm1(float x) {
  float z = 89 < x ? 89 : x;
  z = -20 > z ? -20 : z;
  float half = single_power(z, -1);
  return copysignf(2 * fmaf(half, single_rest(z), half - 0.5f), x);
}
SINGLE float single_exp2(float x) {
  float z = single_within(x, 151), step = single_step(z), turn = z + 12582912.0f, r = z - (turn - 12582912.0f);
  float p = fmaf(fmaf(fmaf(fmaf(0.00015329264f, r, 0.00133909693f), r, 0.00961849932f), r, 0.0555035956f), r, 0.240226477f);
  float scale = single_of_bits((single_bits(turn) << 23) + (254u << 23) - single_bits(step));
  return fmaf(scale, r * fmaf(p, r, 0.693147182f), scale) * step;
}

/* (log(1 + f) - f) / f^2 where 1 + f is in [sqrt(0.5), sqrt(2)] */
SINGLE float single_log_tail(float f) {
  float q = fmaf(fmaf(fmaf(-0.0763749927f, f, 0.127641112f), f, -0.131600946f), f, 0.142013207f);
  q = fmaf(fmaf(fmaf(q, f, -0.166233256f), f, 0.200012505f), f, -0.250008225f);
  return fmaf(fmaf(q, f, 0.333333313f), f, -0.5f);
}
/* k, and x / 2^k - 1, where x / 2^k is in [sqrt(0.5), sqrt(2)); x is made normal by 2^23. */
SINGLE int32_t single_order(float x) { return (int32_t)(single_bits(x) - 0x3f3504f3u) >> 23; }
SINGLE float single_lift(float x) { return x < 1.17549435e-38f ? 8388608.0f : 1; }
SINGLE float single_log_k(float x) {
  float lift = single_lift(x);
  return (float)single_order(single_of_bits(single_bits(x * lift) - single_bits(lift) + single_bits(1)));
}
SINGLE float single_log_f(float x) {
  float whole = x * single_lift(x);
  return single_of_bits(single_bits(whole) - ((uint32_t)single_order(whole) << 23)) - 1;
}
/* -inf for 0, nan for less, of which the exponent's bits are left */
SINGLE float single_log_below(float x) { return single_of_bits(0xff800000u | single_bits(x) >> 8); }
SINGLE float single_log_beyond(float x, float y) {
  y = x <= 3.40282347e38f ? y : x;
  return x <= 0 ? single_log_below(x * single_lift(x)) : y;
}

SINGLE float single_log(float x) {
  float k = single_log_k(x), f = single_log_f(x), tail = f * f * single_log_tail(f);
  return single_log_beyond(x, fmaf(k, 0.693145752f, f + fmaf(k, 1.42860677e-6f, tail)));
}
SINGLE float single_log2(float x) {
  float k = single_log_k(x), f = single_log_f(x), tail = f * f * single_log_tail(f);
  return single_log_beyond(x, k + fmaf(f, 1.44269502f, fmaf(tail, 1.44269502f, f * 1.92596303e-8f)));
}
SINGLE float single_log10(float x) {
  float k = single_log_k(x), f = single_log_f(x), tail = f * f * single_log_tail(f);
  float low = fmaf(k, 4.60503907e-06f, fmaf(tail, 0.434294492f, f * -1.010305e-08f));
  return single_log_beyond(x, fmaf(k, 0.301025391f, fmaf(f, 0.434294492f, low)));
}
/* For x > -1: 2^k (1 + f) = 1 + x with f rounded once; 2^-k, which may not be a normal number, in two steps. */
SINGLE float single_log1p_inside(float x) {
  int32_t order = single_order(1 + x);
  float scale = single_of_bits((129u << 23) - ((uint32_t)order << 23)), f = fmaf(scale, 0.25f * x, 0.25f * scale - 1);
  float k = (float)order, y = fmaf(k, 0.693145752f, f + fmaf(k, 1.42860677e-6f, f * f * single_log_tail(f)));
  uint32_t least = single_bits(2.98023224e-8f), size = single_bits(x) & 0x7fffffffu;
  return size - least < 0x7f800000u - least ? y : x;
}
SINGLE float single_log1p(float x) {
  float y = single_log1p_inside(x);
  return x <= -1 ? single_log_below(1 + x) : y;
}

/* e = exp(-2|x|), of sigmoid(2x), tanh(x) and sech2(x) alike: its exponent; 1 / (1 + e), and what is missing of it. */
SINGLE float single_decay(float x) {
  float z = -2 * fabsf(x);
  return -106 > z ? -106 : z;
}
SINGLE float single_fall(float x) { return single_lowered(single_raised_exp(single_decay(x))); }
SINGLE float single_share(float x) { return 1 / (1 + single_fall(x)); }
SINGLE float single_missing(float x) {
  float e = single_fall(x), sum = 1 + e, share = single_share(x);
  return fmaf(-share, e - (sum - 1), fmaf(-share, sum, 1));
}

SINGLE float single_sigmoid(float x) {
  float half = 0.5f * x, z = single_decay(half), share = single_share(half);
  float high = fmaf(share, single_missing(half), share), scale = single_power(z, 64) * high;
  return x >= 0 ? high : single_lowered(fmaf(scale, single_rest(z), scale));
}
SINGLE float single_sech2(float x) {
  float z = single_decay(x), t = single_rest(z), share = single_share(x), square = share * share;
  float scale = single_power(z, 64) * square, twice = 2 * single_missing(x);
  return fmaf(scale, t + fmaf(twice, t, twice), scale) * 2.16840434e-19f;
}
SINGLE float single_tanh(float x) {
  float z = single_decay(x), scale = single_lowered(single_power(z, 64)), share = single_share(x);
  return copysignf(fmaf(-scale, single_rest(z), 1 - scale) * fmaf(share, single_missing(x), share), x);
}
SINGLE float single_log1pexp(float x) { return (x < 0 ? 0 : x) + single_log1p_inside(single_fall(0.5f * x)); }
SINGLE float single_softplus(float x) { return single_log1pexp(x); }

/* y exp(-x^2), with the rounding of x^2 put back. */
SINGLE float single_gauss(float x) {
  float size = fabsf(x), z = 10.25f < size ? 10.25f : size, square = z * z;
  return single_lowered(single_raised(-square, 1, -fmaf(z, z, -square)));
}
/* y exp(-x^2 / 2) */
SINGLE float single_bell(float x, float y) {
  float size = fabsf(x), z = 14.6f < size ? 14.6f : size, square = z * z;
  return single_lowered(single_raised(-0.5f * square, y, -0.5f * fmaf(z, z, -square)));
}
SINGLE float single_normal_pdf(float x) { return single_bell(x, 0.398942280f); }
/* ndtr: below 0 the bell times a polynomial of (|x| - 3) / (|x| + 3); and the slope of gelu, ndtr and x times its own slope,
 * which is -0.4 times the bell. */
SINGLE float single_tail(float x, float slope) {
  float size = fabsf(x), t = 14.6f < size ? 14.6f : size, v = (t - 3) / (t + 3);
  float p = fmaf(fmaf(fmaf(5.35716099e-05f, v, 0.000115456867f), v, -0.000339530437f), v, -0.000983802136f);
  p = fmaf(fmaf(fmaf(p, v, 0.00290465285f), v, 0.00613213377f), v, -0.0462133288f);
  p = fmaf(fmaf(fmaf(p, v, 0.123225018f), v, -0.206402615f), v, 0.121513948f);
  float low = single_bell(x, slope < 0 ? fmaf(slope, t, p) : p);
  return x > 0 ? 1 - low : low;
}
SINGLE float single_ndtr(float x) { return single_tail(x, 0); }
SINGLE float single_gelu_slope(float x) { return single_tail(x, -0.398942280f); }
/* x + x P(x^2) near 0, else 1 - exp(P(|x|)). */
SINGLE float single_erf(float x) {
  float t = fabsf(x), z = x * x;
  t = 4 < t ? 4 : t;
  float p = fmaf(fmaf(fmaf(-0.000600414991f, z, 0.00499591883f), z, -0.0267686192f), z, 0.112818778f);
  p = fmaf(fmaf(p, z, -0.376125008f), z, 0.128379151f);
  float q = fmaf(fmaf(fmaf(0.000200994822f, t, -0.00309227756f), t, 0.0224201642f), t, -0.104327418f);
  q = fmaf(fmaf(fmaf(q, t, -0.636737287f), t, -1.12793612f), t, -0.000133566631f);
  q = 0 < q ? 0 : q;
  float far = copysignf(1 - single_lowered(single_raised_exp(q)), x);
  return fabsf(x) < 0.9f ? fmaf(x, p, x) : far;
}
SINGLE float single_silu_slope(float x) {
  float up = single_sigmoid(x), down = single_sigmoid(-x), y = up * fmaf(x, down, 1);
  return fabsf(x) > 1e4f ? (x > 0 ? 1.0f : 0.0f) : y;
}
SINGLE float single_mish_slope(float x) {
  float u = single_log1pexp(x);
  return single_tanh(u) + x * single_sech2(u) * single_sigmoid(x);
}

#endif
