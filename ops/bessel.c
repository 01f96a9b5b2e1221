#include "special.h"

#include <math.h>
#include <stdbool.h>

static const double pi = 3.14159265358979323846;
static const double epsilon = 0x1p-53;
static const double infinity = (double)INFINITY;
static const double not_a_number = (double)NAN;

/* Downward recurrences are rescaled by this power of two, well before overflow. */
enum { shift = 800 };

static bool is_odd(double n)
{
    return fmod(n, 2) != 0;
}

/* I_n(x) by DLMF 10.25.2, all terms positive; n <= 170, 0 < x <= 30.  The
 * prefix (x/2)^n / n! is split so that its parts stay in range. */
static double in_series(double n, double x)
{
    double h = 0.5 * x, h2 = h * h, term = 1, sum = 0, half = floor(0.5 * n);
    for (double k = 1; term > epsilon / 8 * sum; k += 1) {
        sum += term;
        term *= h2 / (k * (n + k));
    }
    return pow(h, half) / tgamma(n + 1) * sum * pow(h, n - half);
}

/* exp(-x) I_n(x) by DLMF 10.40.1, for x >= 30, x >= n^2 / 2 */
static double ine_asymptotic(double n, double x)
{
    double term = 1, sum = 0, before = 2;
    for (double k = 1; fabs(term) > epsilon / 8 && fabs(term) < before; k += 1) {
        sum += term;
        before = 4 * fabs(term); /* the terms may grow a little where 2k is near 2n */
        term *= -((2 * n - (2 * k - 1)) * (2 * n + (2 * k - 1))) / (8 * k) / x;
    }
    return sum / sqrt(2 * pi) / sqrt(x);
}

/* exp(-x) I_n(x) by downward recurrence (DLMF 10.29.1, 3.6) for n > 0, normalised with
 * exp(x) = I_0 + 2 (I_1 + I_2 + ...) (DLMF 10.35.5).  The result is r 2^exponent. */
static double ine_downward(double n, double x, int *exponent)
{
    double k = n, before = 0, p = 1; /* the growing solution finds where to start */
    while (p < 0x1p60) {
        double next = before + 2 * k / x * p;
        before = p;
        p = next;
        k += 1;
    }
    double above = 0, at = 0x1p-500, sum = 0, found = 0;
    *exponent = 0;
    for (; k > 0; k -= 1) {
        if (k == n)
            found = at;
        sum += at;
        double below = above + 2 * k / x * at;
        above = at;
        at = below;
        if (at > 0x1p400) {
            at = ldexp(at, -shift);
            above = ldexp(above, -shift);
            sum = ldexp(sum, -shift);
            *exponent -= k <= n ? shift : 0;
        }
    }
    return found / (at + 2 * sum);
}

/* I_n(x) exp(-exponent) by the uniform expansion DLMF 10.41.3 for n > 1000,
 * exponent = n eta. */
static double in_uniform(double n, double x, double *exponent, double *exponent_less_x)
{
    double s = hypot(n, x), p = n / s, q = p * p, drop = n * asinh(n / x);
    double u1 = p * (3 - 5 * q) / 24;
    double u2 = q * (81 + q * (-462 + 385 * q)) / 1152;
    double u3 = p * q * (30375 + q * (-369603 + q * (765765 - 425425 * q))) / 414720;
    double u4 = q * q * (4465125 + q * (-94121676 + q * (349922430 + q * (-446185740
                + 185910725 * q)))) / 39813120;
    *exponent = s - drop;
    *exponent_less_x = n / (s + x) * n - drop;
    double v = 1 / n;
    return (1 + v * (u1 + v * (u2 + v * (u3 + v * u4)))) / sqrt(2 * pi) / sqrt(s);
}

/* I_n for n >= 0, x > 0, times exp(-x) if scaled */
static double in_positive(double n, double x, bool scaled)
{
    if (isinf(x))
        return scaled ? 0 : infinity;
    if (isinf(n))
        return 0;
    if (n <= 170 && x <= 30)
        return in_series(n, x) * (scaled ? exp(-x) : 1);
    if (n > 170 && x <= 1)
        return 0; /* below (1/2)^171 / 171! */
    double r, e = 0, e_less_x = 0;
    int binary = 0;
    if (x >= 0.5 * n * n)
        r = ine_asymptotic(n, x);
    else if (n <= 1000)
        r = ine_downward(n, x, &binary);
    else {
        r = in_uniform(n, x, &e, &e_less_x);
        double half = exp(0.5 * (scaled ? e_less_x : e));
        return half * r * half;
    }
    if (scaled)
        return ldexp(r, binary);
    double half = exp(0.5 * x);
    return ldexp(r * half, binary) * half;
}

static double bessel_i(double n, double x, bool scaled)
{
    if (isnan(x) || isnan(n) || n != floor(n))
        return not_a_number;
    n = fabs(n); /* DLMF 10.27.1 */
    if (x == 0)
        return n == 0 ? 1 : (is_odd(n) ? x : 0);
    double r = in_positive(n, fabs(x), scaled);
    return x < 0 && is_odd(n) ? -r : r;
}

double cr__bessel_in(double n, double x)
{
    return bessel_i(n, x, false);
}

double cr__bessel_ine(double n, double x)
{
    return bessel_i(n, x, true);
}

/* Mean over the circle of (1 - cos t)^m exp(-x (1 - cos t)), x >= 0: the m-th derivative of exp(-x) I_0(x) times (-1)^m.
 * It is 2^m (1/2)_m / m! 1F1(m + 1/2; m + 1; -2x) (DLMF 13.4.4); all terms are positive both in the series, after Kummer's
 * transformation (13.2.39), and in the expansion for large x (13.7.2). */
double cr__bessel_moment(double m, double x)
{
    if (!(m >= 0 && m <= 100) || m != floor(m) || !(x >= 0))
        return not_a_number;
    double z = 2 * x, scale = 1, term = 1, sum = 0;
    if (z > 60 + 4 * m) {
        for (double k = 1; k <= m; k += 1)
            scale *= (2 * k - 1) / z;
        for (double k = 0; term > epsilon / 8; k += 1) {
            sum += term;
            term *= (m + 0.5 + k) * (0.5 + k) / (k + 1) / z;
        }
        return scale * sum / sqrt(pi) / sqrt(z);
    }
    for (double k = 1; k <= m; k += 1)
        scale *= (2 * k - 1) / k;
    for (double k = 0; term > epsilon / 8 * sum; k += 1) {
        sum += term;
        term *= (0.5 + k) / (m + 1 + k) * z / (k + 1);
    }
    return scale * exp(-z) * sum;
}

/* DLMF 10.53.1, for x^2 <= 2n + 3 where the terms fall from the first on */
static double jn_series(double n, double x)
{
    double prefix = 1, term = 1, sum = 0, h = -0.5 * x * x;
    for (double k = 1; k <= n && prefix != 0; k += 1)
        prefix = prefix * x / (2 * k + 1);
    for (double k = 1; fabs(term) > epsilon / 8; k += 1) {
        sum += term;
        term *= h / (k * (2 * n + 2 * k + 1));
    }
    return prefix * sum;
}

/* j_{n+1} = (2n + 1) / x j_n - j_{n-1} (DLMF 10.51.1), stable while n < x; j_{-1} and j_0 are given */
static double jn_upward(double n, double x, double before, double at)
{
    for (double k = 0; k < n; k += 1) {
        double next = (2 * k + 1) / x * at - before;
        before = at;
        at = next;
    }
    return at;
}

/* The same recurrence downward, normalised by the larger of j_0 and j_1. */
static double jn_downward(double n, double x)
{
    double k = n, before = 0, p = 1; /* the growing solution finds where to start */
    while (p < 0x1p60) {
        double next = (2 * k + 1) / x * p - before;
        before = p;
        p = next;
        k += 1;
    }
    double above = 0, at = 0x1p-500, found = 0;
    int exponent = 0;
    for (; k > 0; k -= 1) {
        if (k == n)
            found = at;
        double below = (2 * k + 1) / x * at - above;
        above = at;
        at = below;
        if (fabs(at) > 0x1p400) {
            at = ldexp(at, -shift);
            above = ldexp(above, -shift);
            exponent -= k <= n ? shift : 0;
        }
    }
    double j0 = sin(x) / x, j1 = (j0 - cos(x)) / x;
    double scale = fabs(at) > fabs(above) ? j0 / at : j1 / above;
    return ldexp(found * scale, exponent);
}

/* j_n for n >= -1, x > 0; beyond this order the recurrences, a step an order, take too long */
enum { longest = 1000000 };

static double jn_positive(double n, double x)
{
    if (isinf(x) || isinf(n))
        return 0;
    if (n == -1)
        return cos(x) / x;
    if (n > longest) /* (e x / (2n))^n bounds |j_n|: 0 up to n / 2 */
        return x <= 0.5 * n ? 0 : not_a_number;
    if (n > 0 && x * x <= 2 * n + 3)
        return jn_series(n, x);
    return n == 0 || x >= n + 1 ? jn_upward(n, x, cos(x) / x, sin(x) / x) : jn_downward(n, x);
}

double cr__spherical_jn(double n, double x)
{
    if (isnan(x) || !(n >= -1) || n != floor(n))
        return not_a_number;
    if (x == 0) {
        if (n == -1)
            return copysign(infinity, x);
        return n == 0 ? 1 : (is_odd(n) ? x : 0);
    }
    double r = jn_positive(n, fabs(x));
    return x < 0 && is_odd(n) ? -r : r;
}

/* Far out, sin and cos of pi x come from x less its nearest integer: rounding pi x first costs x ulp. */
double cr__spherical_jn_pi(double n, double x)
{
    double size = fabs(x), z = pi * size;
    if (n == 0)
        return cr__sinc(x);
    if (!(n > 0 && z >= n + 1) || n > longest || isinf(x))
        return cr__spherical_jn(n, pi * x);
    double k = nearbyint(size), rest = pi * (size - k), sign = fmod(k, 2) != 0 ? -1 : 1;
    double r = jn_upward(n, z, sign * cos(rest) / z, sign * sin(rest) / z);
    return x < 0 && is_odd(n) ? -r : r;
}
