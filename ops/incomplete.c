#include "special.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

static const double pi = 3.14159265358979323846;
static const double sqrt_2pi = 2.50662827463100050242;
static const double epsilon = 0x1p-53;
static const double infinity = (double)INFINITY;
static const double not_a_number = (double)NAN;

/* From here on Stirling's series holds to double precision. */
static const double stirling_from = 10;

/* The tables below are printed by tests/special/make_tables.py. */

/* B_2k / (2k (2k - 1)) */
static const double stirling[8] = {
    8.33333333333333287e-02, -2.77777777777777788e-03, 7.93650793650793650e-04,
    -5.95238095238095292e-04, 8.41750841750841714e-04, -1.91752691752691763e-03,
    6.41025641025641003e-03, -2.95506535947712423e-02,
};

/* Taylor coefficients of eta / mu in eta, where eta^2 / 2 = mu - log(1 + mu) */
static const double eta_over_mu[30] = {
    1.00000000000000000e+00, -3.33333333333333315e-01, 8.33333333333333287e-02,
    -1.48148148148148154e-02, 1.15740740740740734e-03, 3.52733686067019424e-04,
    -1.78755144032921798e-04, 3.91926317852243767e-05, -2.18544851067999198e-06,
    -1.85406221071515997e-06, 8.29671134095308652e-07, -1.76659527368260782e-07,
    6.70785354340149841e-09, 1.02618097842403086e-08, -4.38203601845335294e-09,
    9.14769958223679021e-10, -2.55141939949462482e-11, -5.83077213255042561e-11,
    2.43619480206674150e-11, -5.02766928011417551e-12, 1.10043920319561348e-13,
    3.37176326240098514e-13, -1.39238872241816207e-13, 2.85348938070474453e-14,
    -5.13911183424257231e-16, -1.97522882943494422e-15, 8.09952115670456128e-16,
    -1.65225312163981622e-16, 2.53054300974788828e-18, 1.16869397385595764e-17,
};

/* u - log(1 + u) without cancellation: log1p(u) = 2 atanh(r), r = u / (2 + u). */
double cr__minus_log1p(double u)
{
    if (u < -0.5 || u > 1)
        return u - log1p(u);
    double r = u / (2 + u), r2 = r * r, sum = 0;
    for (int k = 35; k >= 3; k -= 2)
        sum = sum * r2 + 1.0 / k;
    return r * (u - 2 * r2 * sum);
}

/* log Gamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2), z >= 10 (DLMF 5.11.1) */
double cr__stirling_rest(double z)
{
    double u = 1 / z / z, sum = 0;
    for (size_t k = 8; k-- > 0;)
        sum = sum * u + stirling[k];
    return sum / z;
}

/* log(Gamma(b + a) / (Gamma(b) b^a)) for b >= 10, a >= 0, proportional to a when
 * a is small: no difference of nearly equal numbers is formed. */
double cr__log_gamma_ratio(double b, double a)
{
    double h = a / b, l = log1p(h), u = 1 / b / b, power = 1 / b, rest = 0;
    for (int k = 0; k < 8; k++) {
        rest += stirling[k] * power * expm1(-(2 * k + 1) * l);
        power *= u;
    }
    return (a - 0.5) * l - b * cr__minus_log1p(h) + rest;
}

/* 1 / Gamma(a + 1) for 0 <= a <= 170, without rounding a large a + 1 */
double cr__reciprocal_gamma1p(double a)
{
    return a < 1 ? 1 / tgamma(a + 1) : 1 / a / tgamma(a);
}

/* (a + b) / (a b B(a, b)) for a + b < 170; the last factor undoes the rounding of
 * a + b. */
double cr__reciprocal_beta(double a, double b)
{
    double sum = a + b, low = fmin(a, b) - (sum - fmax(a, b));
    double g = cr__reciprocal_gamma1p(a) / cr__reciprocal_gamma1p(sum) * cr__reciprocal_gamma1p(b);
    return g * exp(low * cr__digamma(sum + 1));
}

/* By recurrence (DLMF 5.5.2) up to arguments of 10 and the difference of expansions
 * 5.11.2 there; for a, a + b > 0 every term has the sign of b. */
double cr__digamma_step(double a, double b)
{
    static const double c[] = {1. / 12, -1. / 120, 1. / 252, -1. / 240, 1. / 132,
                               -691. / 32760, 1. / 12, -3617. / 8160};
    enum { terms = sizeof c / sizeof *c };
    if (!(a > 0) || !(a + b > 0) || isinf(a + b))
        return cr__digamma(a + b) - cr__digamma(a);
    double sum = 0;
    for (; a < 10 || a + b < 10; a += 1)
        sum += b / (a + b) / a;
    double l = log1p(b / a), power = 1;
    sum += l + 0.5 * (b / (a + b) / a);
    for (int k = 0; k < terms; k++) {
        power /= a * a;
        sum -= c[k] * power * expm1(-2 * (k + 1) * l);
    }
    return sum;
}

double cr__betaln(double a, double b)
{
    if (isnan(a) || isnan(b))
        return not_a_number;
    if (a > b)
        return cr__betaln(b, a);
    if (a > 0 && isinf(b))
        return -infinity;
    if (!(a > 0))
        return a == 0 ? infinity
                      : cr__lgamma(a) + (cr__lgamma(b) - cr__lgamma(a + b));
    if (b < stirling_from)
        return log((a + b) / b / cr__reciprocal_beta(a, b)) - log(a);
    if (a < stirling_from)
        return cr__lgamma(a) - (a * log(b) + cr__log_gamma_ratio(b, a));
    double h = a / b;
    double rest = cr__stirling_rest(a) + (cr__stirling_rest(b) - cr__stirling_rest(a + b));
    double base = h < 1e-300 ? log(a) - log(b) : log(h / (1 + h));
    return 0.5 * log(2 * pi / b) + rest + (a - 0.5) * base - b * log1p(h);
}

/* (x / a)^a exp(a - x).  Far from the peak the exponent is large and its rounding
 * would be seen, so powers are taken there, with the rounding of x / a and a - x
 * put back; quarters stay in range. */
static double gamma_shape(double a, double x)
{
    double e = a * cr__minus_log1p((x - a) / a);
    if (e < 10 || a > 2500)
        return exp(-e);
    if (e > 760)
        return 0;
    double r = x / a, gap = a - x, b = gap - a;
    double low = fma(-r, a, x) / r + ((a - (gap - b)) - (x + b));
    double q = pow(r, 0.25 * a) * exp(0.25 * gap);
    return (q * q) * (q * q) * exp(low);
}

/* x^a exp(-x) / Gamma(a + 1) */
static double gamma_density(double a, double x)
{
    if (a > 170)
        return gamma_shape(a, x) * exp(-cr__stirling_rest(a)) / (sqrt_2pi * sqrt(a));
    if (x > 2000)
        return 0;
    double root = pow(x, 0.5 * a) * exp(-0.5 * x); /* halves stay in range */
    return root * cr__reciprocal_gamma1p(a) * root;
}

/* P(a, x) / density, DLMF 8.11.4, for x up to about a */
static double lower_series(double a, double x)
{
    double term = 1, sum = 0;
    for (double k = 1; term > epsilon / 8 * sum; k += 1) {
        sum += term;
        term *= x / (a + k);
    }
    return sum;
}

/* h(a, x) = exp(x) x^-a Gamma(a, x) and its derivative in a, from the even part
 * of the continued fraction DLMF 8.9.2 for x >= a, x > 1/2.  Steed's form: the
 * steps are summed, and neither they nor their derivatives cancel. */
static double upper_fraction(double a, double x, double *dh)
{
    double b = x + 1 - a, d = 1 / b, dd = d * d;
    double step = d, dstep = dd, sum = 0, dsum = 0;
    for (double k = 1; fabs(step) > epsilon / 8 * sum || fabs(dstep) > epsilon / 8 * fabs(dsum);
         k += 1) {
        sum += step;
        dsum += dstep;
        double c = k * (a - k), d_old = d, dd_old = dd;
        b += 2;
        d = 1 / (b + c * d_old);
        dd = d * d * (1 - k * d_old - c * dd_old);
        double f = -c * d_old * d;
        dstep = f * dstep - (k * d_old * d + c * (dd_old * d + d_old * dd)) * step;
        step *= f;
    }
    *dh = dsum;
    return sum;
}

/* Uniform expansion for large a and x near a (DLMF 8.12; the recurrence follows
 * from S' - a eta S = a (1 - (eta / mu) / Gamma*(a)) for the factor S below):
 * Q = erfc(eta sqrt(a / 2)) / 2 + exp(-a eta^2 / 2) / sqrt(2 pi a) S(a, eta). */
struct uniform {
    double half_eta2, eta, mu, weight; /* weight = exp(-a eta^2 / 2) / sqrt(2 pi a) */
    double s, s_eta, s_a;              /* S and its partial derivatives */
};

static bool uniform_holds(double a, double x)
{
    return a > 50 && x > 0.4 * a && x < 2 * a;
}

static struct uniform uniform_at(double a, double x)
{
    enum { terms = sizeof eta_over_mu / sizeof *eta_over_mu };
    double beta[terms + 1] = {0}, beta_a[terms + 1] = {0};
    for (int n = terms - 1; n > 0; n--) {
        double next = n + 1 < terms ? beta[n + 1] : 0, next_a = n + 1 < terms ? beta_a[n + 1] : 0;
        beta[n - 1] = eta_over_mu[n] + (n + 1) / a * next;
        beta_a[n - 1] = (n + 1) / a * (next_a - next / a);
    }
    struct uniform r;
    r.mu = (x - a) / a;
    r.half_eta2 = cr__minus_log1p(r.mu);
    r.eta = copysign(sqrt(2 * r.half_eta2), r.mu);
    r.weight = gamma_shape(a, x) / (sqrt_2pi * sqrt(a));
    double s = 0, s_eta = 0, s_a = 0;
    for (int n = terms - 1; n >= 0; n--) {
        s_eta = s_eta * r.eta + s;
        s = s * r.eta + beta[n];
        s_a = s_a * r.eta + beta_a[n];
    }
    double gamma_star = 1 + beta[1] / a, gamma_star_a = (beta_a[1] - beta[1] / a) / a;
    r.s = s / gamma_star;
    r.s_eta = s_eta / gamma_star;
    r.s_a = (s_a - r.s * gamma_star_a) / gamma_star;
    return r;
}

/* Q for x >= a, P for x < a: always the smaller side */
static double uniform_tail(double a, double x)
{
    struct uniform u = uniform_at(a, x);
    double z = sqrt(a * u.half_eta2), side = u.mu >= 0 ? u.s : -u.s;
    return u.weight * (0.5 * cr__erfcx(z) * (sqrt_2pi * sqrt(a)) + side);
}

/* 1 - P for a, x < 1 where P may be close to 1: with u = x^a / Gamma(a + 1),
 * Q = (1 - u) + u a sum (-1)^(k+1) x^k / (k! (a + k))  (DLMF 8.7.1). */
static double upper_small(double a, double x)
{
    double w = a * log(x) - cr__lgamma1p(a), term = x, sum = 0;
    for (int k = 1; fabs(term) > epsilon / 8 * x && k < 40; k++) {
        sum += term / (a + k);
        term *= -x / (k + 1);
    }
    return a * sum * exp(w) - expm1(w);
}

/* P (upper = false) or Q, once the arguments are inside the domain */
static double incomplete_gamma(double a, double x, bool upper)
{
    double dh;
    if (a < 1 && x < 1)
        return upper ? upper_small(a, x) : gamma_density(a, x) * lower_series(a, x);
    bool have_upper = x >= a;
    double r;
    if (uniform_holds(a, x))
        r = uniform_tail(a, x);
    else if (have_upper)
        r = a * gamma_density(a, x) * upper_fraction(a, x, &dh);
    else
        r = gamma_density(a, x) * lower_series(a, x);
    return have_upper == upper ? r : 1 - r;
}

/* The values of P on the boundary of the domain; true when (a, x) is there. */
static bool incomplete_gamma_edge(double a, double x, double *p)
{
    *p = not_a_number;
    if (!(a >= 0 && x >= 0) || (a == 0 && x == 0) || (isinf(a) && isinf(x)))
        return true;
    if (a == 0 || isinf(x))
        *p = 1;
    else if (x == 0 || isinf(a))
        *p = 0;
    return !isnan(*p);
}

double cr__gammainc(double a, double x)
{
    double p;
    return incomplete_gamma_edge(a, x, &p) ? p : incomplete_gamma(a, x, false);
}

double cr__gammaincc(double a, double x)
{
    double p;
    return incomplete_gamma_edge(a, x, &p) ? 1 - p : incomplete_gamma(a, x, true);
}

double cr__gamma_pdf(double a, double x)
{
    if (!(a > 0 && x >= 0) || (isinf(a) && isinf(x)))
        return not_a_number;
    if (x == 0)
        return a < 1 ? infinity : a == 1;
    if (x < 1e-100)
        return a > 170 ? 0 : pow(x, a - 1) * (a * cr__reciprocal_gamma1p(a));
    return isinf(x) || isinf(a) ? 0 : gamma_density(a, x) * (a / x);
}

/* All three forms add numbers of one sign only, so the result is as accurate as
 * P itself: series while log x < digamma(a + 1), else the fraction for Q. */
double cr__gammainc_da(double a, double x)
{
    if (!(a >= 0 && x >= 0) || (a == 0 && x == 0) || (isinf(a) && isinf(x)))
        return not_a_number;
    if (x == 0 || isinf(x) || isinf(a))
        return -0.0;
    if (uniform_holds(a, x)) {
        struct uniform u = uniform_at(a, x);
        double ratio = u.mu == 0 ? 1 : u.mu / u.eta;
        return -u.weight * (ratio - 0.5 * u.eta + (log1p(u.mu) - 0.5 / a) * u.s
                            - ratio / a * u.s_eta + u.s_a);
    }
    double gap = log(x) - cr__digamma(a + 1), density = gamma_density(a, x);
    if (gap >= 0) {
        double dh, h = upper_fraction(a, x, &dh);
        return -density * ((a * gap + 1) * h + a * dh);
    }
    double term = 1, sum = 0;
    for (double k = 1; term * gap < epsilon / 8 * sum; k += 1) {
        sum += term * gap;
        gap -= 1 / (a + k);
        term *= x / (a + k);
    }
    return density * sum;
}
