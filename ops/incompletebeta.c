/* The incomplete beta function. */
#include "special.h"

#include <math.h>

static const double pi = 3.14159265358979323846;
static const double sqrt_2pi = 2.50662827463100050242;
static const double epsilon = 0x1p-53;
static const double not_a_number = (double)NAN;

/* From here on Stirling's series holds to double precision. */
static const double stirling_from = 10;

/* Arguments of I_x(a, b), with the rounding of y = 1 - x kept. */
struct beta_args {
    double a, b, x, y;
    double y_low; /* x + y + y_low = 1 exactly */
};

/* y^b as if y had not been rounded */
static double power_of_y(const struct beta_args *p, double b)
{
    double power = pow(p->y, b);
    return power == 0 ? 0 : power * exp(b * (p->y_low / p->y));
}

/* c log(v / v0) - d where v / v0 = 1 + d / c */
static double log_excess(double c, double d, double v, double v0)
{
    return d < -0.5 * c ? c * log(v / v0) - d : -c * cr__minus_log1p(d / c);
}

/* (a + b) x - a without cancellation */
static double excess_over_mean(const struct beta_args *p)
{
    double bx = p->b * p->x, ay = p->a * p->y;
    double rest = fma(p->b, p->x, -bx) - fma(p->a, p->y, -ay);
    return (bx - ay) + (rest - p->a * p->y_low);
}

/* log of x^a y^b relative to its peak at x = a / (a + b) */
static double log_beta_shape(const struct beta_args *p)
{
    double sum = p->a + p->b, d = excess_over_mean(p);
    return log_excess(p->a, d, p->x, p->a / sum) + log_excess(p->b, -d, p->y, p->b / sum);
}

/* x^a y^b / B(a, b) by Stirling */
static double beta_density_large(const struct beta_args *p)
{
    double sum = p->a + p->b, e = log_beta_shape(p);
    double s = cr__stirling_rest(p->a) + (cr__stirling_rest(p->b) - cr__stirling_rest(sum));
    return exp(e - s) * sqrt(p->a / sum * (p->b / (2 * pi)));
}

/* x^a y^b / B(a, b) */
static double beta_density(const struct beta_args *p)
{
    double a = p->a, b = p->b, x = p->x;
    if (a + b < 170) { /* halves, because each power may leave the range */
        double half = pow(x, 0.5 * a) * power_of_y(p, 0.5 * b);
        return half * (cr__reciprocal_beta(a, b) * fmin(a, b) * (fmax(a, b) / (a + b))) * half;
    }
    if (a >= stirling_from && b >= stirling_from)
        return beta_density_large(p);
    if (fmax(a, b) * (a < b ? x : p->y) > 2000)
        return 0; /* below 2000^10 exp(-2000) */
    if (a < b)
        return pow(b * x, a) * (a * cr__reciprocal_gamma1p(a)) * power_of_y(p, b) * exp(cr__log_gamma_ratio(b, a));
    return pow(a * p->y, b) * (b * cr__reciprocal_gamma1p(b)) * pow(x, a) * exp(cr__log_gamma_ratio(a, b));
}

/* n-th partial denominator of the fraction below and the numerator after it */
static double beta_step(const struct beta_args *p, double excess, double n, double *numerator)
{
    double a = p->a, b = p->b, x = p->x, even = a + 2 * n - 1;
    *numerator = (n + 1) * x * ((a + n) / (even + 2)) * (b - n - 1) * x * ((a + b + n) / (even + 2));
    return n + (n > 0 ? n * x * ((b - n) / even) : 0)
           + (a + n) / (even + 2) * (1 - excess + n * (1 + p->y));
}

/* I_x(a, b) / density for x up to about a / (a + b): the even part of DLMF 8.17.22,
 * in which the mean enters only as excess = (a + b) x - a <= 1/2.  A pass forward
 * finds the length, the one backward adds positive numbers. */
static double beta_fraction(const struct beta_args *p, double excess)
{
    double numerator, d = 1 / beta_step(p, excess, 0, &numerator), step = d, sum = 0, n = 0;
    while (fabs(step) > epsilon / 8 * fabs(sum)) {
        sum += step;
        n += 1;
        double before = numerator * d;
        d = 1 / (beta_step(p, excess, n, &numerator) + before);
        step *= -before * d;
    }
    double tail = 0;
    for (; n >= 0; n -= 1) {
        double denominator = beta_step(p, excess, n, &numerator);
        tail = 1 / (denominator + numerator * tail);
    }
    return tail;
}

/* log Gamma(a + b) - log Gamma(a) for small b, relatively accurate */
static double lgamma_step(double a, double b)
{
    double sum = 0;
    for (; a < stirling_from; a += 1)
        sum -= log1p(b / a);
    return sum + b * log(a) + cr__log_gamma_ratio(a, b);
}

/* 1 - I_y(b, a) for b < 1, y <= 1/2, a y <= 1, where I_y(b, a) may be close to 1: with
 * u = y^b / (b B(a, b)), I_y(b, a) = u (1 + b sum (1-a)_k y^k / (k! (b + k)))
 * (DLMF 8.17.7), and 1 - u is an expm1. */
static double beta_upper_small(double a, double b, double x, double y)
{
    double w = b * (y > 0.5 ? log1p(-x) : log(y)) + (lgamma_step(a, b) - cr__lgamma1p(b));
    double term = 1, sum = 0, largest = 0;
    for (double k = 1; k < 1000; k += 1) {
        term *= (k - a) / k * y;
        sum += term / (b + k);
        largest = fmax(largest, fabs(sum));
        if (fabs(term) <= epsilon / 16 * largest)
            break;
    }
    return -expm1(w) - exp(w) * b * sum;
}

/* I_x(a, b) for a, b > 1e11, where the fraction would be too long: DLMF 8.18.9 with
 * its first coefficient 1/eta - 1/tau expanded in tau = excess / sqrt(a b). */
static double beta_uniform(const struct beta_args *p)
{
    double a = p->a, b = p->b, root_ab = sqrt(a) * sqrt(b);
    double tau = excess_over_mean(p) / root_ab, e = fmax(0, -log_beta_shape(p));
    double skew = (b - a) / root_ab, mu = a / b - 1 + b / a;
    double c0 = skew / 3 + tau * (skew * skew / 6 - mu / 4);
    double z = copysign(sqrt(e), tau);
    if (e > 760)
        return tau > 0 ? 1 : 0;
    return 0.5 * erfc(-z) + exp(-e) * c0 / (sqrt_2pi * sqrt(a + b));
}

double cr__betainc(double a, double b, double x)
{
    if (!(a >= 0 && b >= 0 && x >= 0 && x <= 1) || (a == 0 && b == 0) || (isinf(a) && isinf(b)))
        return not_a_number;
    if (x == 0 || x == 1)
        return x;
    if (a == 0 || isinf(b))
        return 1;
    if (b == 0 || isinf(a))
        return 0;
    double y = 1 - x;
    struct beta_args p = {a, b, x, y, (1 - y) - x}, mirror = {b, a, y, x, 0};
    if (a < 1e-300)
        return b / (a + b); /* all but the jump at 0 is below a */
    if (fmin(a, b) > 1e11)
        return beta_uniform(&p);
    double excess = excess_over_mean(&p), density = beta_density(&p);
    if (b < 1 && y <= 0.5 && a * y <= 1)
        return beta_upper_small(a, b, x, y);
    if (excess <= 0.5)
        return density * beta_fraction(&p, excess);
    return 1 - density * beta_fraction(&mirror, -excess);
}
