/* The operations: constructors of nodes. Every function records one op (or a short composition) on its operands' tape and
 * returns its handle; failures stay on the tape (engine.h). Operands broadcast as in NumPy. Unless said otherwise results
 * have the widest dtype of their operands; a cr_const takes the dtype of what it meets, integers become float64 where a real
 * function is computed. axis and axes may be negative. `chainrule ops NAME` prints domain, derivative and kinks.
 */
#ifndef CR_OPS_H
#define CR_OPS_H

#include "body.h"
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
CR_API cr_var cr_pow(cr_var x, cr_var y);                 /* x to the power y, integral for x < 0; integers stay integers. */
CR_API cr_var cr_sqrt(cr_var x);                          /* Square root. */
CR_API cr_var cr_rsqrt(cr_var x);                         /* One over the square root. */
CR_API cr_var cr_cbrt(cr_var x);                          /* Real cube root. */
CR_API cr_var cr_direction(cr_var x, cr_var y);           /* x / hypot(x, y), the cosine of an angle; 0 at the origin. */
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
CR_API cr_var cr_logaddexp2(cr_var x, cr_var y);          /* log2(2^x + 2^y) without overflow. */
CR_API cr_var cr_log_odds(cr_var x);                      /* log(x / (1 - x)), relatively accurate also near 1/2. */
CR_API cr_var cr_entr(cr_var x);                          /* -x log(x), the entropy of one probability. */
CR_API cr_var cr_log_cosh(cr_var x);                      /* log(cosh(x)) without overflow or cancellation. */
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
CR_API cr_var cr_tanh(cr_var x);                          /* Hyperbolic tangent. */
CR_API cr_var cr_sech2(cr_var x);                         /* 1 / cosh(x)^2, the derivative of tanh. */
CR_API cr_var cr_asinh(cr_var x);                         /* Inverse hyperbolic sine. */
CR_API cr_var cr_acosh(cr_var x);                         /* Inverse hyperbolic cosine. */
CR_API cr_var cr_atanh(cr_var x);                         /* Inverse hyperbolic tangent. */

/* Elementwise: activations */

CR_API cr_var cr_sigmoid(cr_var x);                       /* 1 / (1 + exp(-x)). */
CR_API cr_var cr_log1pexp(cr_var x);                      /* log(1 + exp(x)) without overflow: softplus. */
CR_API cr_var cr_logsigmoid(cr_var x);                    /* log(sigmoid(x)). */
CR_API cr_var cr_relu(cr_var x);                          /* max(x, 0). */
CR_API cr_var cr_silu(cr_var x);                          /* x sigmoid(x). */
CR_API cr_var cr_silu_slope(cr_var x);                    /* The derivative of silu. */
CR_API cr_var cr_quick_gelu(cr_var x);                    /* x sigmoid(1.702 x). */
CR_API cr_var cr_quick_gelu_slope(cr_var x);              /* The derivative of quick_gelu. */
CR_API cr_var cr_gelu(cr_var x);                          /* x ndtr(x). */
CR_API cr_var cr_gelu_slope(cr_var x);                    /* The derivative of gelu. */
CR_API cr_var cr_mish(cr_var x);                          /* x tanh(log(1 + exp(x))). */
CR_API cr_var cr_mish_slope(cr_var x);                    /* The derivative of mish. */

CR_API cr_var cr_softsign(cr_var x);                      /* x / (1 + |x|). */
CR_API cr_var cr_tanhshrink(cr_var x);                    /* x - tanh(x) without cancellation. */
/* -y log(x) - (1 - y) log(1 - x), with logs no lower than -100. */
CR_API cr_var cr_cross_entropy_of_probability(cr_var x, cr_var y);
/* Of the probability sigmoid(x) against y, exact in both tails. */
CR_API cr_var cr_cross_entropy_of_logit(cr_var x, cr_var y);

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
CR_API cr_var cr_ierfcx(cr_var x, cr_var y);              /* exp(y^2) i^x erfc(y), the x-fold integral (DLMF 7.18). */
CR_API cr_var cr_erfcx(cr_var x);                         /* exp(x^2) erfc(x) without overflow. */
CR_API cr_var cr_erfinv(cr_var x);                        /* Inverse of erf. */
CR_API cr_var cr_normal_pdf(cr_var x);                    /* Normal density, relatively accurate in the tails. */
CR_API cr_var cr_ndtr(cr_var x);                          /* Normal distribution function. */
CR_API cr_var cr_log_ndtr(cr_var x);                      /* log(ndtr(x)) without underflow. */
CR_API cr_var cr_ndtri_slope(cr_var x);                   /* The derivative of ndtri, accurate in the tails. */
CR_API cr_var cr_ndtri(cr_var x);                         /* Inverse of ndtr. */

/* Elementwise: gamma, zeta, Bessel: an order n is the first operand, an integral number */

CR_API cr_var cr_lgamma(cr_var x);                        /* Logarithm of the absolute value of the gamma function. */
CR_API cr_var cr_digamma(cr_var x);                       /* Derivative of lgamma. */
CR_API cr_var cr_polygamma(cr_var x, cr_var y);           /* Derivative of order x of digamma at y. */
CR_API cr_var cr_digamma_step(cr_var x, cr_var y);        /* digamma(x + y) - digamma(x) without cancellation. */
CR_API cr_var cr_betaln(cr_var x, cr_var y);              /* Logarithm of the beta function. */
CR_API cr_var cr_zeta(cr_var x, cr_var y);                /* Hurwitz zeta function; no derivative with respect to x. */
CR_API cr_var cr_gammainc(cr_var x, cr_var y);            /* Regularised lower incomplete gamma function. */
CR_API cr_var cr_gammaincc(cr_var x, cr_var y);           /* Regularised upper incomplete gamma function. */
CR_API cr_var cr_gamma_pdf(cr_var x, cr_var y);           /* Density y^(x-1) exp(-y) / Gamma(x) of the gamma distribution. */
CR_API cr_var cr_gammainc_da(cr_var x, cr_var y);         /* Derivative of gammainc with respect to x; none of its own. */
CR_API cr_var cr_bessel_in(cr_var x, cr_var y);           /* Modified Bessel function I of integer order x. */
CR_API cr_var cr_bessel_moment(cr_var x, cr_var y);       /* Mean over t of (1 - cos t)^x exp(-y (1 - cos t)), y >= 0. */
CR_API cr_var cr_bessel_ine(cr_var x, cr_var y);          /* bessel_in scaled by exp(-|y|). */
CR_API cr_var cr_spherical_jn(cr_var x, cr_var y);        /* Spherical Bessel function of order x. */
CR_API cr_var cr_spherical_jn_pi(cr_var x, cr_var y);     /* Spherical Bessel function of order x at pi y. */
CR_API cr_var cr_sinc(cr_var x);                          /* sin(pi x) / (pi x); 1 at 0, with right derivatives there. */

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
CR_API cr_var cr_isnan(cr_var x);                         /* Not a number. */
CR_API cr_var cr_isinf(cr_var x);                         /* Plus or minus infinity. */
CR_API cr_var cr_isfinite(cr_var x);                      /* Neither infinite nor NaN. */
CR_API cr_var cr_guarded_mul(cr_var x, cr_var y);         /* x * y, and 0 where x is 0: the product of the chain rule */

/* Creation (creation.c): constants, no derivative. dims[0..rank) may have zeros; NULL at rank 0. */

CR_API cr_var cr_full(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, double value);
CR_API cr_var cr_zeros(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims);
CR_API cr_var cr_ones(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims);
CR_API cr_var cr_zeros_like(cr_var x);
CR_API cr_var cr_ones_like(cr_var x);
CR_API cr_var cr_arange(cr_tape *t, cr_dtype dtype, double start, double end, double step); /* up to before end */
CR_API cr_var cr_eye(cr_tape *t, cr_dtype dtype, int64_t rows, int64_t cols); /* ones on the diagonal */
CR_API cr_var cr_linspace(cr_var start, cr_var end, int64_t n);               /* both ends included; follows them */

/* Shape (movement.c, layout.c, slice.c, pad.c, join.c): views where strides allow */

CR_API cr_var cr_cast(cr_var x, cr_dtype dtype);                              /* a float made integer has no derivative */
CR_API cr_var cr_stop_gradient(cr_var x);                                     /* the value, without its derivative */
CR_API cr_var cr_copy(cr_var x);                                              /* the same as a node with memory of its own */
CR_API cr_var cr_reshape(cr_var x, int rank, const int64_t *dims);            /* one dim may be -1 */
CR_API cr_var cr_permute(cr_var x, int rank, const int *axes);                /* axis k of the result is axes[k] of x */
CR_API cr_var cr_broadcast_to(cr_var x, int rank, const int64_t *dims);
CR_API cr_var cr_expand(cr_var x, int rank, const int64_t *sizes);            /* broadcast_to in which -1 keeps a size */
CR_API cr_var cr_transpose(cr_var x, int axis1, int axis2);                   /* two axes exchanged */
CR_API cr_var cr_matrix_transpose(cr_var x);                                  /* the last two; x itself below rank 2 */
CR_API cr_var cr_squeeze(cr_var x, int n, const int *axes);                   /* without axes of size 1; n < 0: all such */
CR_API cr_var cr_unsqueeze(cr_var x, int axis);                               /* with a new axis of size 1 */
CR_API cr_var cr_flatten(cr_var x, int first, int last);                      /* axes first to last made one */
CR_API cr_var cr_tile(cr_var x, int n, const int64_t *repeats);               /* the whole repeated along the last n axes */
CR_API cr_var cr_repeat_interleave(cr_var x, int64_t repeats, int axis);      /* every slice repeated in place */
CR_API cr_var cr_pixel_shuffle(cr_var x, int64_t factor);                     /* (.., c r^2, h, w) to (.., c, h r, w r) */
/* Coordinates of a grid over n vectors into out; xy exchanges the first two axes. 0 on failure. */
CR_API int cr_meshgrid(int n, const cr_var *x, int xy, cr_var *out);
/* start:stop:step of the first n axes; step NULL means 1. Negative positions count from the end, but with a negative step a
 * stop below 0 is the end before the first element. */
CR_API cr_var cr_slice(cr_var x, int n, const int64_t *start, const int64_t *stop, const int64_t *step);
/* Python's start:stop:step of one axis; INT64_MIN and INT64_MAX stand for the open ends. */
CR_API cr_var cr_slice_axis(cr_var x, int axis, int64_t start, int64_t stop, int64_t step);
CR_API cr_var cr_select(cr_var x, int axis, int64_t index);                   /* one position along an axis, which goes */
CR_API cr_var cr_flip(cr_var x, int n, const int *axes);                      /* the order along axes reversed */
CR_API cr_var cr_roll(cr_var x, int axis, int64_t shift);                     /* elements moved, around the end */
CR_API cr_var cr_diff(cr_var x, int order, int axis);                         /* differences of neighbours, order times */
/* Consecutive parts of the n given sizes into out; 0 on failure. */
CR_API int cr_split(cr_var x, int axis, int n, const int64_t *sizes, cr_var *out);
/* lo and hi positions around and interior ones (NULL: none) between the elements of each axis, filled with the value, a
 * tensor of one element; negative lo and hi crop. */
CR_API cr_var cr_pad(cr_var x, const int64_t *lo, const int64_t *hi, const int64_t *interior, cr_var value);
typedef enum cr_pad_mode { CR_PAD_CONSTANT, CR_PAD_REFLECT, CR_PAD_REPLICATE, CR_PAD_CIRCULAR } cr_pad_mode;
CR_API cr_var cr_pad_edge(cr_var x, int axis, int64_t lo, int64_t hi, cr_pad_mode mode); /* not for CR_PAD_CONSTANT */
/* A copy of x in which update, of the same rank, takes the window that begins at start. */
CR_API cr_var cr_slice_update(cr_var x, cr_var update, const int64_t *start);
CR_API cr_var cr_diagonal(cr_var x, int64_t offset, int axis1, int axis2);    /* of matrices along two axes, as last axis */
CR_API cr_var cr_diag(cr_var x, int64_t offset);                              /* vector to matrix, or matrix to vector */
CR_API cr_var cr_block_diag(cr_tape *t, int n, const cr_var *blocks);
CR_API cr_var cr_concatenate(int n, const cr_var *x, int axis);               /* n >= 1 */
CR_API cr_var cr_stack(int n, const cr_var *x, int axis);                     /* n >= 1; along a new axis */
CR_API cr_var cr_unfold(cr_var x, int axis, int64_t size, int64_t step);      /* windows; they become the last axis */

/* Selection (select.c) */

CR_API cr_var cr_where(cr_var condition, cr_var x, cr_var y);                 /* x where the condition is not 0, else y */
CR_API cr_var cr_clamp(cr_var x, cr_var lo, cr_var hi);                       /* a poison bound is none */
CR_API cr_var cr_tril(cr_var x, int64_t diagonal);                            /* zeros above the diagonal */
CR_API cr_var cr_triu(cr_var x, int64_t diagonal);                            /* zeros below the diagonal */

/* Reductions (reduce.c, extremes.c, moments.c, softmax.c): over n_axes axes; n_axes < 0 means all. keepdim leaves axes of
 * size 1. float32 accumulates in double; sums run over a fixed tree. */

CR_API cr_var cr_sum(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_sum_all(cr_var x);
CR_API cr_var cr_mean(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_prod(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_all(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_any(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_amax(cr_var x, int n_axes, const int *axes, int keepdim);    /* derivative split evenly at ties */
CR_API cr_var cr_amin(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_argmax(cr_var x, int n_axes, const int *axes, int keepdim);  /* the first at ties; NaN is largest */
CR_API cr_var cr_argmin(cr_var x, int n_axes, const int *axes, int keepdim);
/* Values along an axis, with positions into *index, which may be NULL; the derivative follows the position. */
CR_API cr_var cr_max_along(cr_var x, int axis, int keepdim, cr_var *index);
CR_API cr_var cr_min_along(cr_var x, int axis, int keepdim, cr_var *index);
CR_API cr_var cr_center(cr_var x, int n_axes, const int *axes);               /* minus its mean */
CR_API cr_var cr_variance(cr_var x, int n_axes, const int *axes, double correction, int keepdim);
CR_API cr_var cr_std(cr_var x, int n_axes, const int *axes, double correction, int keepdim);
CR_API cr_var cr_vector_norm(cr_var x, double p, int n_axes, const int *axes, int keepdim); /* any p, inf, -inf, 0 */
CR_API cr_var cr_logsumexp(cr_var x, int n_axes, const int *axes, int keepdim);
CR_API cr_var cr_logmeanexp(cr_var x, int n_axes, const int *axes, int keepdim);

/* Indexing (gather.c, index.c): by integer tensors; negative positions count from the end */

#define CR_NOT_GIVEN INT64_MIN
CR_API cr_var cr_index_select(cr_var x, int axis, cr_var index);              /* slices; the index's axes replace the axis */
CR_API cr_var cr_index_add(cr_var x, int axis, cr_var index, cr_var source);  /* slices of source added; index is a vector */
CR_API cr_var cr_gather(cr_var x, int axis, cr_var index);                    /* element by element; index of x's rank */
CR_API cr_var cr_scatter_add(cr_var x, int axis, cr_var index, cr_var source);
CR_API cr_var cr_scatter(cr_var x, int axis, cr_var index, cr_var source);    /* the last of repeated positions stays */
CR_API cr_var cr_take_along(cr_var x, int axis, cr_var index);                /* gather with broadcasting */
CR_API cr_var cr_index(cr_var x, int n, const cr_var *index);                 /* one index or mask for each leading axis */
CR_API cr_var cr_index_put(cr_var x, int n, const cr_var *index, cr_var values, int accumulate);
CR_API cr_var cr_one_hot(cr_var index, int64_t num_classes);                  /* -1: one more than the largest */
/* Rows of the weight; row padding (CR_NOT_GIVEN: none) gets no gradient. */
CR_API cr_var cr_embedding(cr_var index, cr_var weight, int64_t padding);
/* Sums of the rows of equal segment; n CR_NOT_GIVEN: one more than the largest. Segments out of range are left out. */
CR_API cr_var cr_segment_sum(cr_var data, cr_var segment, int64_t n);

/* Sorting (sort.c): stable, NaN counts as the largest; values are returned, positions go to *indices */

CR_API cr_var cr_argsort(cr_var x, int axis, int descending); /* int64 positions; no derivative */
/* The int64 positions go to *indices, which may be NULL. */
CR_API cr_var cr_sort(cr_var x, int axis, int descending, cr_var *indices);
CR_API cr_var cr_topk(cr_var x, int64_t k, int axis, int largest, cr_var *indices);
CR_API cr_var cr_kthvalue(cr_var x, int64_t k, int axis, int keepdim, cr_var *indices); /* k from 1, ascending */
CR_API cr_var cr_median(cr_var x, int axis, int keepdim, cr_var *indices);    /* the lower one */

/* Scans (scan.c): along one axis */

/* s_t = a_t s_{t-1} + b_t, from s0, of a's shape without the axis; poison is 0. reverse runs from the end. */
CR_API cr_var cr_linear_scan(cr_var a, cr_var b, cr_var s0, int axis, int reverse);
CR_API cr_var cr_cumsum(cr_var x, int axis);
CR_API cr_var cr_cumprod(cr_var x, int axis);
CR_API cr_var cr_logcumsumexp(cr_var x, int axis);
CR_API cr_var cr_cummax(cr_var x, int axis, cr_var *index);                   /* the last at ties; index may be NULL */
CR_API cr_var cr_cummin(cr_var x, int axis, cr_var *index);

/* Products and linear algebra (matmul.c, einsum.c, linalg.c, determinant.c, decomposition.c): the last two axes are the
 * matrix, those before are a batch and broadcast. A singular or indefinite matrix gives NaN where its inverse is needed. */

CR_API cr_var cr_matmul(cr_var a, cr_var b);                                  /* a 1-D operand is a row, or a column */
CR_API cr_var cr_linear(cr_var x, cr_var weight, cr_var bias);                /* x weight^T + bias; bias may be poison */
CR_API cr_var cr_dot(cr_var a, cr_var b);                                     /* of two vectors */
CR_API cr_var cr_outer(cr_var a, cr_var b);
CR_API cr_var cr_cross(cr_var a, cr_var b, int axis);                         /* axis has size 3 */
CR_API cr_var cr_kron(cr_var a, cr_var b);
/* Sum of products over n axes of each. */
CR_API cr_var cr_tensordot(cr_var a, cr_var b, int n, const int *axes_a, const int *axes_b);
/* "ij,jk->ik": letters, repeated ones for a diagonal, an ellipsis; without an arrow the labels that occur once. */
CR_API cr_var cr_einsum(cr_tape *t, const char *equation, int n, const cr_var *operands);
CR_API cr_var cr_solve(cr_var a, cr_var b, int left);                         /* X of A X = B, or of X A = B */
CR_API cr_var cr_solve_triangular(cr_var a, cr_var b, int upper, int left, int unitriangular);
CR_API cr_var cr_inv(cr_var a);
CR_API cr_var cr_lstsq(cr_var a, cr_var b);                                   /* least squares, least norm; full rank */
CR_API cr_var cr_pinv(cr_var a);                                              /* full rank */
CR_API cr_var cr_cholesky(cr_var a, int upper);                               /* of the symmetric part */
CR_API cr_var cr_cholesky_solve(cr_var b, cr_var factor, int upper);
CR_API cr_var cr_cholesky_inverse(cr_var factor, int upper);
CR_API cr_var cr_matrix_power(cr_var a, int64_t n);                           /* n may be 0 or negative */
CR_API cr_var cr_det(cr_var a);
CR_API cr_var cr_cofactor(cr_var a);                                          /* the derivative of det, of singular A too */
CR_API cr_var cr_slogdet(cr_var a, cr_var *sign);                             /* log |det|; sign may be NULL */
CR_API cr_var cr_logdet(cr_var a);
CR_API cr_var cr_eigvalsh(cr_var a);                                          /* of the symmetric part, ascending */
CR_API cr_var cr_eigh_vectors(cr_var a);                                      /* columns, up to their signs */
CR_API cr_var cr_svdvals(cr_var a);                                           /* descending */
CR_API cr_var cr_svd(cr_var a, cr_var *s, cr_var *v);                         /* A = U diag(s) V^T, thin; returns U */
typedef enum cr_matrix_norm_kind {
  CR_FROBENIUS, CR_NUCLEAR, CR_LARGEST_COLUMN, CR_SMALLEST_COLUMN, CR_LARGEST_ROW, CR_SMALLEST_ROW, CR_SPECTRAL,
  CR_SMALLEST_SINGULAR
} cr_matrix_norm_kind; /* 'fro', 'nuc', 1, -1, inf, -inf, 2, -2 */
CR_API cr_var cr_matrix_norm(cr_var x, cr_matrix_norm_kind kind, int row_axis, int column_axis, int keepdim);

/* Special functions (specials.c) beyond the elementwise ones */

CR_API cr_var cr_betainc(cr_var a, cr_var b, cr_var x);                       /* regularised; no derivative by a, b: NaN */
CR_API cr_var cr_multigammaln(cr_var x, int64_t p);                           /* log of the p-variate gamma function */

/* Softmax, activations, losses, normalisation (softmax.c, activations.c, losses.c, norm.c). Those not listed are formulas of
 * the expression language: cr_formula(t, "huber_loss(x, y, delta=2)", "x", x, "y", y). */

CR_API cr_var cr_softmax(cr_var x, int axis);                                 /* NaN on a row of -inf */
CR_API cr_var cr_safe_softmax(cr_var x, int axis);                            /* 0 there */
CR_API cr_var cr_log_softmax(cr_var x, int axis);
typedef enum cr_reduction { CR_REDUCE_MEAN, CR_REDUCE_SUM, CR_REDUCE_NONE } cr_reduction;
/* Classes are axis 1, or 0 of a vector. target holds class numbers in the shape that remains; weight (poison: none) is per
 * class; targets equal to ignore count nothing. */
CR_API cr_var cr_nll_loss(cr_var log_probability, cr_var target, cr_var weight, int64_t ignore, cr_reduction reduction);
/* The same from logits; target may also hold probabilities, in the shape of the logits. */
CR_API cr_var cr_cross_entropy(cr_var logits, cr_var target, cr_var weight, int64_t ignore, double label_smoothing,
                               cr_reduction reduction);
/* Over n_axes axes: (x - mean) / sqrt(variance + eps). */
CR_API cr_var cr_standardize(cr_var x, int n_axes, const int *axes, double eps);

/* Convolution, pooling, attention (conv.c, pool.c, resize.c, attention.c, recurrent.c): images are (N, channels, axes...) */

enum { CR_MAX_SPATIAL = 3 };
/* How a kernel slides over up to three axes. 0 is 1 where only positive numbers make sense: {0} is the plain convolution. */
typedef struct cr_conv {
  int64_t stride[CR_MAX_SPATIAL], pad_lo[CR_MAX_SPATIAL], pad_hi[CR_MAX_SPATIAL]; /* negative padding crops */
  int64_t dilation[CR_MAX_SPATIAL], input_dilation[CR_MAX_SPATIAL];               /* of the kernel and of the input */
  int64_t groups;
} cr_conv;
/* (N, C, L...) with a weight (O, C / groups, K...), not turned round; NULL is {0}. Floats only. */
CR_API cr_var cr_convolve(cr_var x, cr_var weight, const cr_conv *c);
CR_API cr_var cr_convolve_bias(cr_var x, cr_var weight, cr_var bias, const cr_conv *c); /* cr_add_channels in one with it */
CR_API cr_var cr_add_channels(cr_var x, cr_var bias);                         /* a number for each position of axis 1 */

/* Windows of pooling; stride 0 is the kernel's size, dilation 0 is 1. Of (N, C, L...), floats. */
typedef struct cr_pool {
  int64_t kernel[CR_MAX_SPATIAL], stride[CR_MAX_SPATIAL], padding[CR_MAX_SPATIAL], dilation[CR_MAX_SPATIAL];
  int ceil_mode;       /* a last window may reach over the edge */
  int exclude_padding; /* means over the elements of the input alone */
  double divisor;      /* of means, instead of the number of elements; 0: not given */
} cr_pool;
/* Padding is -inf. The first at ties, NaN is largest; flat int64 positions in the plane go to *index, which may be NULL. */
CR_API cr_var cr_max_pool(cr_var x, const cr_pool *how, cr_var *index);
CR_API cr_var cr_avg_pool(cr_var x, const cr_pool *how);
/* softmax(scale q k^T) v over the last two axes; leading axes broadcast. scale 0 is 1 / sqrt(width). mask (poison: none):
 * bools, true where a query may look, or numbers added to the scores. causal: not at later keys. A row that may look nowhere
 * is 0. */
CR_API cr_var cr_attend(cr_var query, cr_var key, cr_var value, cr_var mask, double scale, int causal);
CR_API cr_var cr_rope(cr_var x, double base, int64_t offset); /* at positions offset, offset + 1, .. of (.., time, width) */
/* A step of an LSTM: the state h from z = (input, forget, candidate, output), (.., 4 n), and the cell c; *next: the next. */
CR_API cr_var cr_lstm_gates(cr_var z, cr_var c, cr_var *next);
/* A step of a GRU: the state from a and b = (reset, update, candidate), (.., 3 n), of the input and of the state h. */
CR_API cr_var cr_gru_gates(cr_var a, cr_var b, cr_var h);
/* All steps of a recurrent layer (recurrence.c): the states (T, N, n) from z, the input's part of each step (T, N, gates n),
 * with the gates in the order above, the first state h (N, n), its weight (n, gates n) and bias (gates n; poison: none). The
 * LSTM's cells after each step go to *cells, which may be NULL. */
CR_API cr_var cr_rnn_sequence(cr_var z, cr_var weight, cr_var bias, cr_var h); /* h' = tanh(z + h weight + bias), one gate */
CR_API cr_var cr_gru_sequence(cr_var z, cr_var weight, cr_var bias, cr_var h);
CR_API cr_var cr_lstm_sequence(cr_var z, cr_var weight, cr_var bias, cr_var h, cr_var c, cr_var *cells);

/* Preaccumulation (preaccumulate.c), see cr_preaccumulate */

/* The tangent plane value + sum_k partial_k (x_k - now's x_k), so first derivatives are right and second ones 0. x[k] is
 * finite and may be a tensor; partials follow each other input by input, row-major. */
CR_API cr_var cr_preaccumulated(cr_tape *t, double value, int n, const cr_var *x, const double *partials);

/* Bodies as operations (branches.c, repeat.c): a record (body.h) is called once, with leaves of the shapes of the operands,
 * and what it records is run by one node. All that a body uses is an operand; its results have one dtype, and so have the
 * floats that derivatives are taken by. Derivatives of any order, by bodies made of the body. A status other than CR_OK has
 * the tape's error. */

/* The m results of a body over n inputs, of which inputs and results alone are kept: derivatives run it again. */
CR_API cr_status cr_checkpoint(cr_tape *t, cr_body_record record, void *user, int n, const cr_var *in, int m, cr_var *out);
/* The results of one body where the condition, of one element, is not 0, and of the other where it is. One of them runs;
 * to be recorded, both do once. */
CR_API cr_status cr_cond(cr_tape *t, cr_var condition, cr_body_record yes, cr_body_record no, void *user, int n,
                         const cr_var *in, int m, cr_var *out);

/* What a loop runs over. carry, xs and consts may be NULL where there are none. */
typedef struct cr_loop {
  int n_carry, n_xs, n_const, n_ys;
  const cr_var *carry;  /* values before the first step */
  const cr_var *xs;     /* sequences: a leading axis of size steps */
  const cr_var *consts; /* the same for all steps */
  int64_t steps;
  int reverse;          /* from the last step to the first; sequences keep their order */
  int64_t every;        /* one of so many carries is kept for the derivative, the rest is computed again; 0: all are kept */
} cr_loop;
/* The body makes of (carry.., an element of each sequence.., constants..) the next (carry.., an element of each result..).
 * carry receives the values after the last step, ys the results, with a leading axis of size steps. Nodes do not grow with
 * the steps. */
CR_API cr_status cr_scan(cr_tape *t, cr_body_record record, void *user, const cr_loop *loop, cr_var *carry, cr_var *ys);
/* A counted loop: the body makes of (carry.., the number of the step from 0 as int64, constants..) the next carry. count, an
 * int64 of at most steps, says how many are run; poison: all. */
CR_API cr_status cr_fori(cr_tape *t, cr_body_record record, void *user, cr_var count, const cr_loop *loop, cr_var *carry);

/* The body for one sample, applied to all (map.c): mapped inputs have a leading axis of one size, of which the body sees an
 * element; the results have it too. Where there is a rule, an operation of the body becomes one over all samples; another is
 * run for each. With cr_grad in the body these are the gradients of samples. */
CR_API cr_status cr_map(cr_tape *t, cr_body_record record, void *user, int n_mapped, const cr_var *mapped, int n_const,
                        const cr_var *consts, int m, cr_var *out);
/* All derivatives of y with respect to x, of the shape of y followed by that of x: a VJP mapped over rows of an identity. */
CR_API cr_var cr_jacobian_of(cr_var y, cr_var x);

/* Implicit functions (implicit.c). The x at which the body (x, constants..), of as many numbers as x, is 0: by Newton's
 * method from x0 with halved steps. No derivative by x0; by the constants, one solve with the transposed Jacobian at the
 * solution. Where no root is found the status is CR_MISMATCH. (The solution of a linear system is cr_solve, whose derivative
 * is one solve.) */
CR_API cr_var cr_root(cr_tape *t, cr_body_record record, void *user, cr_var x0, int n_const, const cr_var *consts);

/* Random numbers (random.c): element k depends on seed and k alone */

CR_API cr_var cr_rand(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed);  /* uniform in [0, 1) */
CR_API cr_var cr_randn(cr_tape *t, cr_dtype dtype, int rank, const int64_t *dims, uint64_t seed); /* standard normal */
/* Element k of such a float64 tensor by itself. */
CR_API double cr_rand_at(uint64_t seed, uint64_t k);
CR_API double cr_randn_at(uint64_t seed, uint64_t k);
CR_API cr_var cr_dropout(cr_var x, double p, int training, uint64_t seed);
/* The same numbers from a seed on the tape, one int64: a captured function draws new ones when that is an input
 * (function.h). The second as in training. */
CR_API cr_var cr_randn_by(cr_var seed, cr_dtype dtype, int rank, const int64_t *dims);
CR_API cr_var cr_dropout_by(cr_var x, double p, cr_var seed);

/* Shared by the files of ops/, not exported */

extern const cr_op *const cr__rows[];
extern const int cr__n_rows;
const cr_few_row *cr__few(void);      /* by row, for this processor */
const cr_few_row *cr__wide_few(void); /* NULL: it has no vectors */
uint32_t cr__scalar_sweep(cr_tape *t, double *bar, uint32_t from, uint32_t to);
void cr__scalar_run(cr_tape *t, uint32_t from, uint32_t to);
void cr__scalar_strips(cr_tape *t, const cr_strips *s);
void cr__scalar_strips_back(cr_tape *t, double *bar, const cr_strips *s);
extern const cr_rewrite cr__rewrites[];
extern const cr_helper cr__helpers[]; /* written by make_helpers.py */
cr_status cr__prepare_elementwise(cr_tape *t, int n, cr_var *in, char result); /* one dtype and one shape for all operands */
cr_status cr__broadcast_operands(cr_tape *t, int n, cr_var *in);               /* one shape for all operands */
cr_status cr__one_dtype(cr_tape *t, int n, cr_var *in, char result);           /* one dtype for all operands */
void cr__settle_strides(cr_array *a);                       /* after setting strides: is it contiguous? */
int cr__axis_of(cr_var x, const char *name, int64_t axis);  /* in [0, rank), -1 after recording; rank 0 has axes 0 and -1 */
int cr__arg_axes(cr_call *c, int k, int *axes);             /* an int or list of ints; how many, or -1 */
/* For kernels: the array row-major in a dtype, itself or a copy in scratch; NULL when memory runs out. */
const void *cr__dense(cr_eval *c, const cr_array *a, cr_dtype dtype);
/* Checks of ops (op.h): nothing that infer does not see; floats of one dtype; of one shape, too; int64 or floats. */
int cr__check_nothing(const cr_infer *c);
int cr__check_floats(const cr_infer *c);
int cr__check_alike(const cr_infer *c);
int cr__check_numbers(const cr_infer *c);
int cr__are_sizes(int64_t rank, const int64_t *dim); /* not negative, and not too many elements */
extern const cr_op *const cr__gather_ops[], *const cr__determinant_ops[], *const cr__conv_ops[],
  *const cr__crossentropy_ops[];
extern const cr_function cr__elementwise_functions[], cr__creation_functions[], cr__movement_functions[],
  cr__layout_functions[], cr__slice_functions[], cr__pad_functions[], cr__join_functions[], cr__select_functions[],
  cr__index_functions[], cr__sort_functions[], cr__scan_functions[], cr__reduce_functions[],
  cr__extreme_functions[], cr__moment_functions[], cr__random_functions[],
  cr__softmax_functions[], cr__activation_functions[], cr__loss_functions[], cr__norm_functions[],
  cr__matmul_functions[], cr__linalg_functions[], cr__decomposition_functions[], cr__special_functions[],
  cr__arithmetic_functions[], cr__functional_functions[], cr__convolution_functions[], cr__pool_functions[],
  cr__resize_functions[],
  cr__attention_functions[], cr__recurrent_functions[], cr__recurrence_functions[];

#ifdef __cplusplus
}
#endif
#endif
