/* Scalar special functions in double precision: C11 and libm only, no global
 * state, so every function is safe to call from several threads.
 *
 * NaN in gives NaN out; outside the stated domain the result is NaN.  Integer
 * orders are passed as doubles and anything not integral gives NaN.
 * tests/special measures the accuracy against 40-digit values. */
#ifndef CR_OPS_SPECIAL_H
#define CR_OPS_SPECIAL_H

/* special.c: elementary helpers */
double cr__log1mexp(double x);  /* log(1 - exp(x)), x <= 0 */
double cr__sigmoid(double x);   /* 1 / (1 + exp(-x)) */
double cr__softplus(double x);  /* log(1 + exp(x)) */
double cr__logaddexp(double a, double b); /* log(exp(a) + exp(b)) */
double cr__sinc(double x);      /* sin(pi x) / (pi x), 1 at 0 */

/* special.c: error function and normal distribution */
double cr__erfcx(double x);     /* exp(x^2) erfc(x) */
double cr__erfinv(double x);    /* -1 <= x <= 1 */
double cr__erfcinv(double q);   /* 0 <= q <= 2 */
double cr__ndtr(double x);      /* P(N(0,1) <= x) */
double cr__log_ndtr(double x);
double cr__ndtri(double p);     /* inverse of ndtr, 0 <= p <= 1 */

/* special.c: gamma, polygamma and zeta */
double cr__lgamma(double x);    /* log |Gamma(x)|, +inf at the poles */
double cr__lgamma1p(double x);  /* log Gamma(1 + x), accurate for tiny x too, x >= 0 */
double cr__digamma(double x);   /* NaN at the poles */
double cr__polygamma(double n, double x); /* n-th derivative of digamma, n >= 0 */
double cr__zeta(double s, double q);      /* Hurwitz, s > 1, q > 0; +inf at s = 1, q = 0 */

/* incomplete.c, incompletebeta.c: beta, incomplete gamma and beta */
double cr__digamma_step(double a, double b); /* digamma(a + b) - digamma(a) */
double cr__betaln(double a, double b);    /* log |B(a, b)| */
double cr__betainc(double a, double b, double x); /* I_x(a, b), a, b >= 0, 0 <= x <= 1 */
double cr__gammainc(double a, double x);  /* P(a, x), a, x >= 0 */
double cr__gammaincc(double a, double x); /* Q(a, x) = 1 - P(a, x) */
double cr__gammainc_da(double a, double x); /* d P(a, x) / d a */
double cr__gamma_pdf(double a, double x);   /* d P(a, x) / d x = x^(a-1) exp(-x) / Gamma(a) */

/* incomplete.c: what these share */
double cr__minus_log1p(double u);           /* u - log(1 + u) */
double cr__stirling_rest(double z);         /* of log Gamma(z), z >= 10 */
double cr__log_gamma_ratio(double b, double a);    /* log(Gamma(b + a) / (Gamma(b) b^a)), b >= 10, a >= 0 */
double cr__reciprocal_gamma1p(double a);    /* 1 / Gamma(a + 1), 0 <= a <= 170 */
double cr__reciprocal_beta(double a, double b);    /* (a + b) / (a b B(a, b)), a + b < 170 */

/* bessel.c: work grows with the order where an order above 10 meets |x| > 30 (I_n,
 * up to order 1000) and for every large order of j_n */
double cr__bessel_in(double n, double x);  /* modified Bessel I_n(x) */
double cr__bessel_ine(double n, double x); /* exp(-|x|) I_n(x) */
double cr__bessel_moment(double m, double x); /* derivatives of exp(-x) I_0(x): see bessel.c */
double cr__spherical_jn(double n, double x); /* n >= -1, with j_{-1}(x) = cos(x) / x */
double cr__spherical_jn_pi(double n, double x); /* of pi x; exact zeros of j_0 at the integers */

#endif
