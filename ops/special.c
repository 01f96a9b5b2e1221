#if defined(__APPLE__)
#define _REENTRANT 1 /* declares lgamma_r there */
#elif !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE 1
#endif

#include "special.h"

#include <math.h>
#include <stddef.h>

static const double pi = 3.14159265358979323846;
static const double ln2 = 0.693147180559945309417;
static const double sqrt_half = 0.707106781186547524401;
static const double inv_sqrt_pi = 0.564189583547756286948;
static const double epsilon = 0x1p-53;
static const double infinity = (double)INFINITY;
static const double not_a_number = (double)NAN;

/* The tables below are printed by tests/special/make_tables.py. */

/* digamma(x) / (x - root) on [1, 2] */
static const double digamma_over_root[23] = {
    9.83570260441567035e-01, -2.27064086334644394e-01, 3.33688990239301084e-02,
    -5.32007727159654765e-03, 8.78865693782050522e-04, -1.47734926506060436e-04,
    2.50605434683591459e-05, -4.27210340299933243e-06, 7.30276927246592329e-07,
    -1.25028868135595944e-07, 2.14250093223594724e-08, -3.67329591856517886e-09,
    6.29971723610893138e-10, -1.08059302888326602e-10, 1.85373519205363786e-11,
    -3.18023536582553015e-12, 5.45614757032279461e-13, -9.36099313103643838e-14,
    1.60606463629507502e-14, -2.75554313774388151e-15, 4.72773617860191156e-16,
    -8.11148420346508943e-17, 1.39170776947415394e-17,
};

/* lgamma(1 + a) / (a (a - 1)) on [0, 1] */
static const double lgamma1p_over_zeros[22] = {
    4.91415393029387138e-01, -7.61141616704358454e-02, 8.43232496593277793e-03,
    -1.07949372632860810e-03, 1.49007480036929632e-04, -2.15123998885567841e-05,
    3.19793298608621856e-06, -4.85169301213992658e-07, 7.47148782116316039e-08,
    -1.16382967001705183e-08, 1.82940043711866792e-09, -2.89691806071296072e-10,
    4.61570140620908980e-11, -7.39281023049798277e-12, 1.18942800083330850e-12,
    -1.92120686765228055e-13, 3.11397552638716380e-14, -5.06284329844861140e-15,
    8.25415028163114424e-16, -1.34905789875748442e-16, 2.20987611678262291e-17,
    -3.62741295492397660e-18,
};

/* erfinv(x) / x in x^2 on [0, 1/4] */
static const double erfinv_centre[14] = {
    9.18725611735014436e-01, 3.37585756000654200e-02, 1.32067427811659983e-03,
    6.40407699678759601e-05, 3.44121215044962712e-06, 1.96393194317638063e-07,
    1.16609922707530841e-08, 7.12038703672273658e-10, 4.43937831566256546e-11,
    2.81279386219483052e-12, 1.80519469080972758e-13, 1.17070938527118064e-14,
    7.65849302244013293e-16, 5.04681205993241396e-17,
};

/* erfcinv(q) / w with w = sqrt(-log q): in w on [0.8, 2], then in 1/w on
 * [1/6, 1/2] and [1/28, 1/6] */
static const double erfcinv_near[22] = {
    7.20468528263562669e-01, 1.34273258769380732e-01, -2.36821929418940605e-02,
    3.38289728464636393e-03, -3.71616894219586034e-04, 2.12675114601456843e-05,
    3.12873858694103222e-06, -1.36371833717898917e-06, 2.90711626246386912e-07,
    -4.39161295607291795e-08, 4.29869884237546611e-09, 2.07048960627109881e-11,
    -1.29614755236252080e-10, 3.67860976993526690e-11, -6.84295946586323019e-12,
    8.96301205436623890e-13, -5.60013194593622978e-14, -1.08465662377616803e-14,
    4.93063867925742258e-15, -1.12769822535442188e-15, 1.82139775806783582e-16,
    -1.90481208926611389e-17,
};

static const double erfcinv_mid[22] = {
    9.02749587386318053e-01, -6.69082831237017422e-02, -2.21483942084082629e-03,
    5.08847274903910822e-04, -4.45744016269444606e-05, 3.84509072548070725e-06,
    -4.93801235785267273e-07, 8.09191167802175280e-08, -1.40103992688838866e-08,
    2.50792720603693945e-09, -4.67396958234411688e-10, 9.04704249869016130e-11,
    -1.80817659022999939e-11, 3.71180866948916903e-12, -7.79101017799314986e-13,
    1.66601014694046184e-13, -3.61922523721959915e-14, 7.97046867114457620e-15,
    -1.77648698647101018e-15, 4.00186321589819064e-16, -9.10098879452241653e-17,
    2.08745057712666570e-17,
};

static const double erfcinv_far[26] = {
    9.83750226255485249e-01, -1.54311446229746900e-02, -1.54269810376749623e-03,
    1.18174700791348844e-04, -1.06903529815413766e-05, 1.53592377096888099e-06,
    -2.78242785756287793e-07, 5.74307722141478425e-08, -1.29979785279104302e-08,
    3.14684219916737007e-09, -8.01620964209780016e-10, 2.12483270438228643e-10,
    -5.81496328704410358e-11, 1.63363772288170511e-11, -4.69118841934851286e-12,
    1.37241593296147748e-12, -4.07968933678579273e-13, 1.22968630112601336e-13,
    -3.75183733957703961e-14, 1.15707715018003602e-14, -3.60277108320456340e-15,
    1.13144776879695920e-15, -3.58086137016089816e-16, 1.14124639462392571e-16,
    -3.66046877485909758e-17, 1.18092191582260984e-17,
};

/* B_2k / (2k)! */
static const double bernoulli_over_factorial[12] = {
    8.33333333333333287e-02, -1.38888888888888894e-03, 3.30687830687830710e-05,
    -8.26719576719576754e-07, 2.08767569878681002e-08, -5.28419013868749322e-10,
    1.33825365306846789e-11, -3.38968029632258272e-13, 8.58606205627784517e-15,
    -2.17486869855806192e-16, 5.50900282836022953e-18, -1.39544646858125223e-19,
};

/* B_2k / 2k */
static const double bernoulli_over_index[8] = {
    8.33333333333333287e-02, -8.33333333333333322e-03, 3.96825396825396803e-03,
    -4.16666666666666661e-03, 7.57575757575757597e-03, -2.10927960927960942e-02,
    8.33333333333333287e-02, -4.43259803921568607e-01,
};

/* Clenshaw sum of a Chebyshev series (DLMF 3.11.15) over lo <= x <= hi. */
static double chebyshev(const double *c, size_t n, double lo, double hi, double x)
{
    double t = ((x - lo) - (hi - x)) / (hi - lo), b0 = 0, b1 = 0;
    for (size_t k = n - 1; k > 0; k--) {
        double b2 = b1;
        b1 = b0;
        b0 = 2 * t * b1 - b2 + c[k];
    }
    return t * b0 - b1 + c[0];
}

#define CHEBYSHEV(table, lo, hi, x) \
    chebyshev(table, sizeof table / sizeof *table, lo, hi, x)

double cr__log1mexp(double x)
{
    if (x > 0)
        return not_a_number;
    return x > -ln2 ? log(-expm1(x)) : log1p(-exp(x));
}

double cr__sigmoid(double x)
{
    if (x >= 0)
        return 1 / (1 + exp(-x));
    double e = exp(x);
    return e / (1 + e);
}

double cr__softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

double cr__logaddexp(double a, double b)
{
    if (isnan(a) || isnan(b))
        return not_a_number;
    double big = fmax(a, b), gap = fabs(a - b);
    return isinf(big) ? big : big + log1p(exp(-gap));
}

double cr__sinc(double x)
{
    if (x == 0)
        return 1;
    if (isinf(x))
        return 0;
    double k = nearbyint(x), r = x - k; /* exact, so accurate next to the zeros */
    if (r == 0)
        return 0;
    double s = sin(pi * r) / (pi * x);
    return fmod(k, 2) != 0 ? -s : s;
}

/* exp(sign x^2) without the |x|^2 ulp lost by rounding x^2. */
static double exp_square(double x, double sign)
{
    double hi = x * x, lo = fma(x, x, -hi);
    double e = exp(sign * hi);
    return isfinite(e) && e != 0 ? e + e * (sign * lo) : e;
}

/* DLMF 7.12.1, for x >= 10. */
static double erfcx_asymptotic(double x)
{
    double u = 0.5 / x / x, term = 1, sum = 0;
    for (int k = 1; k < 26 && fabs(term) > epsilon / 4; k += 2) {
        sum += term;
        term *= -k * u;
    }
    return inv_sqrt_pi / x * sum;
}

double cr__erfcx(double x)
{
    if (x >= 10)
        return erfcx_asymptotic(x);
    if (x < -26.7)
        return infinity;
    if (x < 0)
        return 2 * exp_square(x, 1) - cr__erfcx(-x);
    return exp_square(x, 1) * erfc(x);
}

/* erfcinv for 0 < q <= 1/2 */
static double erfcinv_tail(double q)
{
    double w = sqrt(-log(q)), r = 1 / w;
    if (w < 2)
        return w * CHEBYSHEV(erfcinv_near, 0.8, 2.0, w);
    if (w < 6)
        return w * CHEBYSHEV(erfcinv_mid, 1 / 6.0, 0.5, r);
    return w * CHEBYSHEV(erfcinv_far, 1 / 28.0, 1 / 6.0, r);
}

static double erfinv_central(double x)
{
    return x * CHEBYSHEV(erfinv_centre, 0.0, 0.25, x * x);
}

double cr__erfinv(double x)
{
    double a = fabs(x);
    if (!(a <= 1))
        return not_a_number;
    if (a == 1)
        return copysign(infinity, x);
    return a <= 0.5 ? erfinv_central(x) : copysign(erfcinv_tail(1 - a), x);
}

double cr__erfcinv(double q)
{
    if (!(q >= 0 && q <= 2))
        return not_a_number;
    if (q == 0 || q == 2)
        return q == 0 ? infinity : -infinity;
    if (q < 0.5)
        return erfcinv_tail(q);
    return q > 1.5 ? -erfcinv_tail(2 - q) : erfinv_central(1 - q);
}

/* exp(-x^2/2) from x^2 split in two, as in exp_square. */
static double exp_minus_half_square(double x)
{
    double hi = x * x, lo = fma(x, x, -hi);
    double e = exp(-0.5 * hi);
    return e != 0 ? e - e * (0.5 * lo) : e;
}

double cr__ndtr(double x)
{
    if (x < -1)
        return x < -40 ? 0 : 0.5 * cr__erfcx(-x * sqrt_half) * exp_minus_half_square(x);
    return 0.5 * erfc(-x * sqrt_half);
}

double cr__log_ndtr(double x)
{
    if (x < -1)
        return log(0.5 * cr__erfcx(-x * sqrt_half)) - 0.5 * x * x;
    return log1p(-cr__ndtr(-x));
}

double cr__ndtri(double p)
{
    if (!(p >= 0 && p <= 1))
        return not_a_number;
    if (p == 0.5)
        return 0;
    return -2 * sqrt_half * cr__erfcinv(2 * p);
}

double cr__lgamma(double x)
{
#if defined(_WIN32)
    return lgamma(x); /* sets no signgam there */
#else
    int sign;
    return lgamma_r(x, &sign);
#endif
}

double cr__lgamma1p(double x)
{
    if (x < 0)
        return not_a_number;
    if (x <= 1)
        return x * (x - 1) * CHEBYSHEV(lgamma1p_over_zeros, 0.0, 1.0, x);
    return x < 2 ? log(x) + cr__lgamma1p(x - 1) : cr__lgamma(1 + x);
}

/* cot(pi r) for |r| <= 1/2, r != 0, accurate at both ends */
static double cotpi(double r)
{
    double a = fabs(r);
    double c = a <= 0.25 ? 1 / tan(pi * a) : tan(pi * (0.5 - a));
    return copysign(c, r);
}

/* digamma for x > 0 */
static double digamma_positive(double x)
{
    static const double root = 0x1.762d86356be3fp+0, root_low = 9.54999542996569743e-17;
    double sum = 0;
    if (x < 1) {
        sum = -1 / x; /* DLMF 5.5.2 */
        x += 1;
    } else if (x >= 10) { /* DLMF 5.11.2 */
        double u = 1 / x / x, s = 0;
        for (size_t k = 8; k-- > 0;)
            s = u * (s + bernoulli_over_index[k]);
        return log(x) - 0.5 / x - s;
    }
    while (x > 2) {
        x -= 1;
        sum += 1 / x;
    }
    double d = (x - root) - root_low;
    return sum + d * CHEBYSHEV(digamma_over_root, 1.0, 2.0, x);
}

double cr__digamma(double x)
{
    if (x > 0)
        return digamma_positive(x);
    double r = x - nearbyint(x);
    if (r == 0 || isnan(r))
        return not_a_number;
    if (x > -0.5) /* keeps a tiny x from being rounded away in 1 - x */
        return digamma_positive(1 + x) - 1 / x;
    return digamma_positive(1 - x) - pi * cotpi(r); /* DLMF 5.5.4 */
}

/* q^(s-1) zeta(s, q) for s > 1, q > 0: scaled, so that it neither over- nor
 * underflows.  Euler-Maclaurin from q + n >= s + 10 on (DLMF 25.11.5); powers
 * are taken of ratios, whose exponents stay small where the terms matter. */
static double zeta_scaled(double s, double q)
{
    if (q > 0x1p50 && q < s + 10)
        return -1 / q / expm1(-s / q); /* (1 + k/q)^-s = exp(-s k/q) while it matters */
    double sum = 0, a = q, power = 1; /* power = (a / q)^-s */
    while (a < s + 10) {
        sum += power;
        a += 1;
        power = exp(-s * log1p((a - q) / q));
        if (power * (1 + a / (s - 1)) < epsilon / 4 * sum)
            return sum / q;
    }
    double tail = 0.5, rise = s / a; /* rise = (s)_{2k-1} / a^{2k-1} */
    for (int k = 1; k <= 12; k++) {
        tail += bernoulli_over_factorial[k - 1] * rise;
        rise *= (s + 2 * k - 1) / a * ((s + 2 * k) / a);
    }
    return (sum + power * tail) / q + power * (a / q) / (s - 1);
}

double cr__zeta(double s, double q)
{
    if (isnan(s) || isnan(q) || s < 1 || q < 0)
        return not_a_number;
    if (s == 1 || q == 0)
        return infinity;
    if (isinf(s))
        return q > 1 ? 0 : (q < 1 ? infinity : 1);
    if (isinf(q))
        return 0;
    return q < 1 ? pow(q, -s) * (q * zeta_scaled(s, q)) : pow(q, 1 - s) * zeta_scaled(s, q);
}

/* n! zeta(n + 1, q) = |polygamma(n, q)| for n >= 1, q > 0 (DLMF 25.11.12), with
 * q^-n split in two so that only a result out of range leaves the range. */
static double factorial_zeta(double n, double q)
{
    double z = zeta_scaled(n + 1, q);
    if (n > 170)
        return exp(cr__lgamma(n + 1) - n * log(q) + log(z));
    double half = floor(n / 2), f = tgamma(n + 1) * pow(q, -half);
    return q < 1 ? f * pow(q, half - n - 1) * (q * z) : f * pow(q, half - n) * z;
}

double cr__polygamma(double n, double x)
{
    if (!(n >= 0) || isinf(n) || n != floor(n) || isnan(x))
        return not_a_number;
    if (n == 0)
        return cr__digamma(x);
    double sign = fmod(n, 2) != 0 ? 1 : -1;
    if (x > 0)
        return isinf(x) ? sign * 0.0 : sign * factorial_zeta(n, x);
    /* For x < 0 the terms of sum (x + k)^-(n+1) are split at the pole next to
     * the left of 0, x = -(t + m): all differences are exact or harmless. */
    double t = -x - floor(-x);
    if (t == 0 || isnan(t))
        return not_a_number;
    double left = factorial_zeta(n, t), right = factorial_zeta(n, 1 - t);
    if (isinf(left) || isinf(right))
        return t <= 0.5 ? left : sign * right;
    return left + sign * right - factorial_zeta(n, 1 - x);
}
