/* The operations: constructors of nodes. Every function records one op (or a short composition) on its operands' tape and
 * returns its handle; failures stay on the tape (engine.h). Operands broadcast as in NumPy. Unless said otherwise results have
 * the dtype of the operands, which must agree; a cr_const takes the dtype of what it meets, integers become float64 where a
 * real function is computed. axis and axes may be negative. `chainrule ops NAME` prints domain, derivative and kinks.
 */
#ifndef CR_OPS_H
#define CR_OPS_H

#include "engine.h"
#include "op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tape with these operations. NULL when memory runs out. */
CR_API cr_tape *cr_new(void);
CR_API const cr_op_table *cr_standard_ops(void);

/* Elementwise: arithmetic */

CR_API cr_var cr_neg(cr_var x);                           /* The negative. */
CR_API cr_var cr_add(cr_var x, cr_var y);                 /* Sum. */
CR_API cr_var cr_sub(cr_var x, cr_var y);                 /* Difference. */
CR_API cr_var cr_mul(cr_var x, cr_var y);                 /* Product. */
CR_API cr_var cr_div(cr_var x, cr_var y);                 /* Quotient; integers give float64. */
CR_API cr_var cr_square(cr_var x);                        /* Square. */
CR_API cr_var cr_reciprocal(cr_var x);                    /* One over x. */
CR_API cr_var cr_pow(cr_var x, cr_var y);                 /* x to the power y; negative x needs an integral y. */
CR_API cr_var cr_sqrt(cr_var x);                          /* Square root. */
CR_API cr_var cr_rsqrt(cr_var x);                         /* One over the square root. */
CR_API cr_var cr_cbrt(cr_var x);                          /* Real cube root. */
CR_API cr_var cr_hypot(cr_var x, cr_var y);               /* sqrt(x^2 + y^2) without overflow. */
CR_API cr_var cr_fmod(cr_var x, cr_var y);                /* Remainder with the sign of x. */
CR_API cr_var cr_remainder(cr_var x, cr_var y);           /* Remainder with the sign of y. */
CR_API cr_var cr_floor_divide(cr_var x, cr_var y);        /* Quotient rounded down. */

/* Elementwise: exponential and logarithm */

CR_API cr_var cr_exp(cr_var x);                           /* Exponential. */
CR_API cr_var cr_exp2(cr_var x);                          /* Two to the power x. */
CR_API cr_var cr_expm1(cr_var x);                         /* exp(x) - 1 without cancellation near 0. */
CR_API cr_var cr_log(cr_var x);                           /* Natural logarithm. */
CR_API cr_var cr_log1p(cr_var x);                         /* log(1 + x) without cancellation near 0. */
CR_API cr_var cr_log2(cr_var x);                          /* Logarithm to base 2. */
CR_API cr_var cr_log10(cr_var x);                         /* Logarithm to base 10. */
CR_API cr_var cr_log1mexp(cr_var x);                      /* log(1 - exp(x)) for x < 0 without cancellation. */
CR_API cr_var cr_logaddexp(cr_var x, cr_var y);           /* log(exp(x) + exp(y)) without overflow. */
CR_API cr_var cr_xlogy(cr_var x, cr_var y);               /* x log(y), and 0 where x is 0. */
CR_API cr_var cr_xlog1py(cr_var x, cr_var y);             /* x log(1 + y), and 0 where x is 0. */

/* Elementwise: trigonometric and hyperbolic */

CR_API cr_var cr_sin(cr_var x);                           /* Sine of radians. */
CR_API cr_var cr_cos(cr_var x);                           /* Cosine of radians. */
CR_API cr_var cr_tan(cr_var x);                           /* Tangent of radians. */
CR_API cr_var cr_asin(cr_var x);                          /* Inverse sine. */
CR_API cr_var cr_acos(cr_var x);                          /* Inverse cosine. */
CR_API cr_var cr_atan(cr_var x);                          /* Inverse tangent. */
CR_API cr_var cr_atan2(cr_var x, cr_var y);               /* Angle of the point (y, x), in (-pi, pi]. */
CR_API cr_var cr_sinh(cr_var x);                          /* Hyperbolic sine. */
CR_API cr_var cr_cosh(cr_var x);                          /* Hyperbolic cosine. */
CR_API cr_var cr_tanh(cr_var x);                          /* Hyperbolic tangent; its derivative 1 - tanh(x)^2 is written so that it keeps its digits in the tails. */
CR_API cr_var cr_asinh(cr_var x);                         /* Inverse hyperbolic sine. */
CR_API cr_var cr_acosh(cr_var x);                         /* Inverse hyperbolic cosine. */
CR_API cr_var cr_atanh(cr_var x);                         /* Inverse hyperbolic tangent. */

/* Elementwise: activations */

CR_API cr_var cr_sigmoid(cr_var x);                       /* 1 / (1 + exp(-x)); its derivative y (1 - y) is written so that it keeps its digits in the tails. */
CR_API cr_var cr_log1pexp(cr_var x);                      /* log(1 + exp(x)) without overflow: softplus. */
CR_API cr_var cr_logsigmoid(cr_var x);                    /* log(sigmoid(x)). */
CR_API cr_var cr_relu(cr_var x);                          /* max(x, 0). */
CR_API cr_var cr_silu(cr_var x);                          /* x sigmoid(x). */

/* Elementwise: piecewise */

CR_API cr_var cr_abs(cr_var x);                           /* Absolute value. */
CR_API cr_var cr_sign(cr_var x);                          /* -1, 0 or 1. */
CR_API cr_var cr_floor(cr_var x);                         /* Largest integer not above x. */
CR_API cr_var cr_ceil(cr_var x);                          /* Smallest integer not below x. */
CR_API cr_var cr_rint(cr_var x);                          /* Nearest integer. */
CR_API cr_var cr_trunc(cr_var x);                         /* Integer part towards 0. */
CR_API cr_var cr_maximum(cr_var x, cr_var y);             /* The larger of two. */
CR_API cr_var cr_minimum(cr_var x, cr_var y);             /* The smaller of two. */
CR_API cr_var cr_fmax(cr_var x, cr_var y);                /* The larger of two, ignoring NaN. */
CR_API cr_var cr_fmin(cr_var x, cr_var y);                /* The smaller of two, ignoring NaN. */
CR_API cr_var cr_copysign(cr_var x, cr_var y);            /* |x| with the sign of y. */

/* Elementwise: error function and its relatives */

CR_API cr_var cr_gauss(cr_var x);                         /* exp(-x^2), relatively accurate in the tails. */
CR_API cr_var cr_erf(cr_var x);                           /* Error function. */
CR_API cr_var cr_erfc(cr_var x);                          /* 1 - erf(x) without cancellation. */
CR_API cr_var cr_ierfcx(cr_var x, cr_var y);              /* exp(y^2) times the x-times repeated integral of erfc (DLMF 7.18). */
CR_API cr_var cr_erfcx(cr_var x);                         /* exp(x^2) erfc(x) without overflow. */
CR_API cr_var cr_erfinv(cr_var x);                        /* Inverse of erf. */
CR_API cr_var cr_ndtr(cr_var x);                          /* Normal distribution function. */
CR_API cr_var cr_log_ndtr(cr_var x);                      /* log(ndtr(x)) without underflow. */
CR_API cr_var cr_ndtri(cr_var x);                         /* Inverse of ndtr. */

/* Elementwise: gamma, zeta, Bessel: an order n is the first operand, an integral number */

CR_API cr_var cr_lgamma(cr_var x);                        /* Logarithm of the absolute value of the gamma function. */
CR_API cr_var cr_digamma(cr_var x);                       /* Derivative of lgamma. */
CR_API cr_var cr_polygamma(cr_var x, cr_var y);           /* Derivative of order x of digamma at y. */
CR_API cr_var cr_betaln(cr_var x, cr_var y);              /* Logarithm of the beta function. */
CR_API cr_var cr_zeta(cr_var x, cr_var y);                /* Hurwitz zeta function; no derivative with respect to x. */
CR_API cr_var cr_gammainc(cr_var x, cr_var y);            /* Regularised lower incomplete gamma function. */
CR_API cr_var cr_gammaincc(cr_var x, cr_var y);           /* Regularised upper incomplete gamma function. */
CR_API cr_var cr_gammainc_da(cr_var x, cr_var y);         /* Derivative of gammainc with respect to x; none of its own. */
CR_API cr_var cr_bessel_in(cr_var x, cr_var y);           /* Modified Bessel function of the first kind of integer order x. */
CR_API cr_var cr_bessel_ine(cr_var x, cr_var y);          /* bessel_in scaled by exp(-|y|). */
CR_API cr_var cr_spherical_jn(cr_var x, cr_var y);        /* Spherical Bessel function of order x. */
CR_API cr_var cr_sinc(cr_var x);                          /* sin(pi x) / (pi x), and 1 at 0, with every derivative right there. */

/* Elementwise: comparison and logic: no derivative */

CR_API cr_var cr_eq(cr_var x, cr_var y);                  /* Equal. */
CR_API cr_var cr_ne(cr_var x, cr_var y);                  /* Not equal. */
CR_API cr_var cr_lt(cr_var x, cr_var y);                  /* Less. */
CR_API cr_var cr_le(cr_var x, cr_var y);                  /* Less or equal. */
CR_API cr_var cr_gt(cr_var x, cr_var y);                  /* Greater. */
CR_API cr_var cr_ge(cr_var x, cr_var y);                  /* Greater or equal. */
CR_API cr_var cr_logical_and(cr_var x, cr_var y);         /* Both nonzero. */
CR_API cr_var cr_logical_or(cr_var x, cr_var y);          /* Either nonzero. */
CR_API cr_var cr_logical_xor(cr_var x, cr_var y);         /* Exactly one nonzero. */
CR_API cr_var cr_logical_not(cr_var x);                   /* Zero. */
CR_API cr_var cr_isnan(cr_var x);                         /* Not x number. */
CR_API cr_var cr_isinf(cr_var x);                         /* Plus or minus infinity. */
CR_API cr_var cr_isfinite(cr_var x);                      /* Neither infinite nor NaN. */
CR_API cr_var cr_guarded_mul(cr_var x, cr_var y);         /* x * y, and 0 where x is 0: the product of the chain rule */

/* Creation (creation.c): constants, no derivative */

CR_API cr_var cr_full(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, double value);
CR_API cr_var cr_zeros(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims);
CR_API cr_var cr_ones(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims);
CR_API cr_var cr_zeros_like(cr_var x);

/* Shape and selection (movement.c, select.c): views where strides allow */

CR_API cr_var cr_cast(cr_var x, cr_dtype dtype);                              /* a float made integer has no derivative */
CR_API cr_var cr_stop_gradient(cr_var x);                                     /* the value, without its derivative */
CR_API cr_var cr_reshape(cr_var x, int rank, const int64_t *dims);            /* one dim may be -1 */
CR_API cr_var cr_permute(cr_var x, int rank, const int *axes);                /* axis k of the result is axes[k] of x */
CR_API cr_var cr_broadcast_to(cr_var x, int rank, const int64_t *dims);

/* Reductions (reduce.c): over n_axes axes; n_axes < 0 means all. keepdim leaves axes of size 1. */

CR_API cr_var cr_sum(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_sum_all(cr_var x);

/* Indexing and sorting (gather.c, sort.c) */

/* Scans (scan.c) */

/* Products and linear algebra (matmul.c, linalg.c): the last two axes are the matrix, the ones before are a batch */

/* Softmax, activations and losses (softmax.c, activations.c, losses.c) */

/* Shared by the files of ops/, not exported */

extern const cr_op *const cr__rows[];
extern const int cr__n_rows;
uint32_t cr__scalar_sweep(cr_tape *t, double *bar, uint32_t from, uint32_t to);
cr_status cr__prepare_elementwise(cr_tape *t, int n, cr_var *in, char result); /* one dtype and one shape for all operands */
cr_status cr__broadcast_operands(cr_tape *t, int n, cr_var *in);               /* one shape for all operands */
extern const cr_function cr__elementwise_functions[], cr__creation_functions[], cr__movement_functions[],
  cr__select_functions[], cr__gather_functions[], cr__sort_functions[], cr__scan_functions[], cr__reduce_functions[],
  cr__softmax_functions[], cr__activation_functions[], cr__loss_functions[], cr__norm_functions[],
  cr__matmul_functions[], cr__linalg_functions[], cr__decomposition_functions[], cr__special_functions[],
  cr__arithmetic_functions[];

#ifdef __cplusplus
}
#endif
#endif
