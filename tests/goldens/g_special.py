"""Special functions."""
import math

import mpmath
import numpy as np
from mpmath import mp, mpf

from core import A, E, ELEMENTWISE, F32, I, R, emap, op, point
from g_activation import normal_cdf
from g_unary import lgamma

INF, NAN = math.inf, math.nan


def polygamma(n, x):
    n = int(n)
    if x <= 0 and x == mpmath.floor(x):
        return mpf("nan")
    return mpmath.digamma(x) if n == 0 else mpmath.polygamma(n, x)


def erfinv(x):
    return mpf("nan") if abs(x) > 1 else mpf("inf") if x == 1 else mpf("-inf") if x == -1 else mpmath.erfinv(x)


def ndtri(p):
    if not 0 < p < 1:
        return mpf("-inf") if p == 0 else mpf("inf") if p == 1 else mpf("nan")
    return -mpmath.sqrt(2) * erfinv(1 - 2 * p)


def bessel_in(n, x):
    return mpmath.besseli(int(n), x)


def spherical_jn(n, x):
    n = int(n)
    if x == 0:
        return mpf(1) if n == 0 else mpf(0)
    if x < 0:
        return (-1) ** n * spherical_jn(n, -x)
    return mpmath.sqrt(mp.pi / (2 * x)) * mpmath.besselj(n + mpf("0.5"), x)


def lower_gamma(a, x):
    return mpf(0) if x == 0 else mpmath.gammainc(a, 0, x, regularized=True)


def upper_gamma(a, x):
    return mpf(1) if x == 0 else mpmath.gammainc(a, x, mpmath.inf, regularized=True)


def betainc(a, b, x):
    return mpf(0) if x == 0 else mpf(1) if x == 1 else mpmath.betainc(a, b, 0, x, regularized=True)


def betaln(a, b):
    return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)


def multigammaln(x, p):
    return mpf(p * (p - 1)) / 4 * mpmath.log(mp.pi) + mpmath.fsum(mpmath.loggamma(x - mpf(j) / 2) for j in range(p))


op("polygamma")(lambda n, input: emap(polygamma, n, input))
op("erfcx")(lambda input: emap(lambda x: mpmath.exp(x * x) * mpmath.erfc(x), input))
op("erfinv")(lambda input: emap(erfinv, input))
op("ndtri")(lambda input: emap(ndtri, input))
op("log_ndtr")(lambda input: emap(lambda x: mpmath.log(normal_cdf(x)) if x < 0 else mpmath.log1p(-normal_cdf(-x)), input))
op("bessel_in")(lambda n, x: emap(bessel_in, n, x))
op("spherical_jn")(lambda n, z: emap(spherical_jn, n, z))
for order in (0, 1):
    op(f"i{order}")(lambda input, _n=order: emap(lambda x: bessel_in(_n, x), input))
    op(f"i{order}e")(lambda input, _n=order: emap(lambda x: bessel_in(_n, x) * mpmath.exp(-abs(x)), input))
op("gammainc")(lambda input, other: emap(lower_gamma, input, other))
op("gammaincc")(lambda input, other: emap(upper_gamma, input, other))
op("betainc")(lambda a, b, x: emap(betainc, a, b, x))
op("betaln")(lambda a, b: emap(betaln, a, b))
op("zeta")(lambda input, other: emap(lambda s, q: mpmath.zeta(s, q), input, other))
op("multigammaln", "mvlgamma")(lambda input, p: emap(lambda x: multigammaln(x, p), input))
ELEMENTWISE.update(["polygamma", "erfcx", "erfinv", "ndtri", "log_ndtr", "bessel_in", "spherical_jn", "i0", "i0e", "i1", "i1e", "gammainc",
                    "gammaincc", "betainc", "betaln", "zeta", "multigammaln"])


def points():
    def p(*a, **k):
        point(*a, **k)
    for n in (0, 1, 2, 3, 5):
        p("polygamma", f"polygamma({n}, x)", x=[0.5, 1.7, 3.5])
        p("polygamma", f"polygamma({n}, x)", x=[10.0, 25.5, 0.1])
    p("polygamma", "polygamma(1, x)", x=[1e5, 1e-5])
    p("polygamma", "polygamma(1, x)", x=[-0.5, -1.3])
    p("polygamma", "special.polygamma(n=1, input=x)", x=F32([1.5, 2.5]))
    p("polygamma", "polygamma(1, x)", x=1.5)
    p("polygamma", "polygamma(2, x)", x=E(0))
    for row in ([-1.5, 0.5, 2.0], [10.0, 30.0, 100.0], [0.0, 1e-10, -5.0], [1e5, 1e10, -20.0], [5.0, 25.0, 26.5]):
        p("erfcx", "erfcx(x)", x=row)
    p("erfcx", "special.erfcx(x)", x=F32([0.5, 3.0]))
    p("erfcx", "erfcx(x)", x=1.25)
    p("erfcx", "erfcx(x)", want=["value"], x=[INF, -30.0], is_={"value": [[0.0, INF]]})
    for row in ([-0.5, 0.25, 0.75], [0.0, 1e-10, -1e-300], [0.999, -0.9999999, 0.999999999999], [0.1, -0.9, 0.99]):
        p("erfinv", "erfinv(x)", x=row)
    p("erfinv", "erfinv(x)", want=["value"], x=[1.0, -1.0, 1.5])
    p("erfinv", "erfinv(x)", d={"x": [INF, INF]}, x=[1.0, -1.0])
    p("erfinv", "erfinv(x)", x=F32([0.5, -0.25]))
    p("erfinv", "special.erfinv(x)", x=R(2, 2, lo=-0.9, hi=0.9))
    for row in ([0.5, 0.25, 0.75], [0.001, 0.999, 0.1], [1e-10, 1e-30, 0.9999999], [1e-100, 0.02425, 0.3]):
        p("ndtri", "ndtri(x)", x=row)
    p("ndtri", "ndtri(x)", want=["value"], x=[0.0, 1.0, -0.5])
    p("ndtri", "special.ndtri(x)", x=F32([0.5, 0.25]))
    for row in ([-1.5, 0.5, 2.0], [-10.0, -40.0, -100.0], [10.0, 5.0, 20.0], [0.0, -1e-10, 35.0], [-1e5, -5.0, -3.0]):
        p("log_ndtr", "log_ndtr(x)", x=row)
    p("log_ndtr", "special.log_ndtr(x)", x=F32([0.5, -3.0]))
    for n in (0, 1, 2, 5):
        for row in ([-1.5, 0.5, 2.0], [10.0, 30.0, -20.0], [1e-5, 0.1, 100.0]):
            p("bessel_in", f"bessel_in({n}, x)", x=row)
    half, zero = mpf(1) / 2, mpf(0)
    p("bessel_in", "bessel_in(0, x)", d={"x": [0]}, d2={"x,x": [half]}, x=[0.0])
    p("bessel_in", "bessel_in(1, x)", d={"x": [half]}, d2={"x,x": [0]}, x=[0.0])
    p("bessel_in", "bessel_in(2, x)", d={"x": [0]}, d2={"x,x": [half / 2]}, x=[0.0])
    p("bessel_in", "bessel_in(0, x)", x=F32([0.5, 2.0]))
    for n in (0, 1, 2, 4):
        for row in ([-1.5, 0.5, 2.0], [10.0, 30.0, -20.0], [1e-3, 0.1, 5.5]):
            p("spherical_jn", f"spherical_jn({n}, x)", x=row)
    p("spherical_jn", "spherical_jn(0, x)", d={"x": [0]}, d2={"x,x": [-mpf(1) / 3]}, x=[0.0])
    p("spherical_jn", "spherical_jn(1, x)", d={"x": [mpf(1) / 3]}, d2={"x,x": [0]}, x=[0.0])
    p("spherical_jn", "spherical_jn(2, x)", d={"x": [0]}, d2={"x,x": [mpf(2) / 15]}, x=[0.0])
    p("spherical_jn", "spherical_jn(1, x)", x=F32([0.5, 2.0]))
    for name in ("i0", "i0e", "i1", "i1e"):
        for row in ([-1.5, 0.5, 2.0], [10.0, 30.0, -20.0], [1e-5, 0.1, 100.0], [5.0, 8.0, 700.0]):
            p(name, f"{name}(x)", x=row)
        p(name, f"special.{name}(x)", x=F32([0.5, -2.0]))
        p(name, f"{name}(x)", x=1.25)
        p(name, f"{name}(x)", x=E(0))
    p("i0", "i0(x)", d={"x": [0]}, d2={"x,x": [half]}, x=[0.0])
    p("i1", "i1(x)", d={"x": [half]}, d2={"x,x": [0]}, x=[0.0])
    p("i0e", "i0e(x)", d={"x": [0]}, x=[0.0])
    p("i1e", "i1e(x)", d={"x": [half]}, x=[0.0])
    for name in ("gammainc", "gammaincc"):
        for a, x in (([0.5, 1.0, 2.5], [0.3, 1.0, 4.0]), ([10.0, 0.1, 3.0], [8.0, 0.01, 12.0]), ([50.0, 100.0], [45.0, 110.0]), ([1.5, 2.0], [1e-5, 30.0])):
            p(name, f"{name}(a, x)", a=a, x=x, wrt=["x"])
        p(name, f"{name}(a, x)", a=2.5, x=R(2, 2, lo=0.3, hi=4), wrt=["x"])
        p(name, f"{name}(2.0, x)", x=R(2, lo=0.3, hi=4))
        p(name, f"{name}(a, x)", a=[1.5], x=[0.0], wrt=["x"], want=["value"])
        p(name, f"special.{name}(a, x)", a=F32([1.5, 2.5]), x=F32([0.7, 3.0]), wrt=["x"])
    for a, b, x in (([0.5, 1.0, 2.5], [0.5, 2.0, 1.5], [0.3, 0.5, 0.9]), ([10.0, 3.0], [5.0, 0.5], [0.6, 0.25]), ([2.0, 2.0], [3.0, 3.0], [1e-5, 0.9999])):
        p("betainc", "betainc(a, b, x)", a=a, b=b, x=x, wrt=["x"])
    p("betainc", "betainc(2.0, 3.0, x)", x=R(2, 2, lo=0.1, hi=0.9))
    p("betainc", "betainc(a, b, x)", a=[1.5, 1.5], b=[2.0, 2.0], x=[0.0, 1.0], wrt=["x"], want=["value"])
    p("betainc", "betainc(a, b, x)", a=F32([1.5]), b=F32([2.5]), x=F32([0.4]), wrt=["x"])
    for a, b in (([0.5, 1.5, 3.0], [2.0, 0.25, 4.0]), ([1e5, 100.0], [1e5, 0.5]), ([1e10, 20.0], [2.0, 30.0]), ([0.1, 1e-5], [0.1, 3.0])):
        p("betaln", "betaln(a, b)", a=a, b=b)
    p("betaln", "betaln(a, b)", a=R(2, 1, lo=0.5, hi=3), b=R(2, lo=0.5, hi=3))
    p("betaln", "betaln(a, b)", a=F32([1.5]), b=F32([2.5]))
    for s, q in (([2.0, 3.5, 1.5], [0.5, 1.0, 3.0]), ([5.0, 10.0], [10.0, 0.25]), ([2.5, 1.1], [100.0, 1.5])):
        p("zeta", "zeta(s, q)", s=s, q=q, wrt=["q"])
    p("zeta", "special.zeta(2.0, q)", q=R(2, 2, lo=0.5, hi=3))
    p("zeta", "zeta(s, q)", s=F32([2.5]), q=F32([1.5]), wrt=["q"])
    for k, row in ((1, [0.5, 2.5]), (2, [1.5, 3.0]), (3, [2.25, 10.0]), (5, [4.5, 100.0])):
        p("multigammaln", f"multigammaln(x, {k})", x=row)
    p("multigammaln", "mvlgamma(x, p=2)", x=R(2, 2, lo=1.5, hi=4))
    p("multigammaln", "multigammaln(x, 2)", x=F32([1.5, 3.0]))
