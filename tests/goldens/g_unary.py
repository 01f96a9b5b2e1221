"""Elementwise functions of one argument (waves 1 and 2)."""
import math

import mpmath
import numpy as np
from mpmath import mp, mpf

from core import A, B, E, ELEMENTWISE, F32, I, OPS, R, emap, op, point, predicate

INF, NAN = math.inf, math.nan
NAMES = []


def unary(*names):
    def register(f):
        op(*names)(lambda input: emap(f, input))
        NAMES.append(names[0])
        ELEMENTWISE.add(names[0])
        return f
    return register


def sign(x):
    return mpf(0) if x == 0 else x if mpmath.isnan(x) else mpf(1) if x > 0 else mpf(-1)


def half_even(x):
    if not mpmath.isfinite(x):
        return x
    low = mpmath.floor(x)
    rest = x - low
    if rest == mpf("0.5"):
        return low if int(low) % 2 == 0 else low + 1
    return low + (1 if rest > mpf("0.5") else 0)


def trunc(x):
    return x if not mpmath.isfinite(x) else mpmath.floor(x) if x > 0 else mpmath.ceil(x)


def cbrt(x):
    return sign(x) * mpmath.cbrt(abs(x)) if x != 0 else x


def domain(test, f):
    return lambda x: f(x) if mpmath.isnan(x) or test(x) else mpf("nan")


def lgamma(x):
    if mpmath.isinf(x):
        return mpf("inf")
    if x <= 0 and x == mpmath.floor(x):
        return mpf("inf")
    return mpmath.loggamma(x) if x > 0 else mpmath.log(abs(mpmath.gamma(x)))


def digamma(x):
    if x <= 0 and x == mpmath.floor(x):
        return mpf("nan")
    return mpmath.digamma(x)


def sinc(x):
    return mpf(1) if x == 0 else mpmath.sin(mp.pi * x) / (mp.pi * x)


def log0(x):
    return mpf("-inf") if x == 0 else mpf("nan") if x < 0 else mpmath.log(x)


def log1p(x):
    """mpmath's log1p is accurate for small x."""
    return mpf("-inf") if x == -1 else mpf("nan") if x < -1 else mpmath.log1p(x)


def acosh(x):
    if x < 1:
        return mpf("nan")
    return mpmath.log1p((x - 1) + mpmath.sqrt((x - 1) * (x + 1)))


def asinh(x):
    if not mpmath.isfinite(x):
        return x
    a = abs(x)
    return sign(x) * mpmath.log1p(a + a * a / (1 + mpmath.sqrt(1 + a * a)))


def atanh(x):
    return sign(x) * mpf("inf") if abs(x) == 1 else mpf("nan") if abs(x) > 1 else (mpmath.log1p(x) - mpmath.log1p(-x)) / 2


def erfc(x):
    return mpmath.erfc(x)


unary("neg", "negative")(lambda x: -x)
unary("positive")(lambda x: x)
unary("abs", "absolute")(abs)
unary("sign")(sign)
unary("square")(lambda x: x * x)
unary("sqrt")(domain(lambda x: x >= 0, mpmath.sqrt))
unary("rsqrt")(lambda x: mpf("inf") if x == 0 else mpf("nan") if x < 0 else 1 / mpmath.sqrt(x))
unary("cbrt")(cbrt)
unary("exp")(mpmath.exp)
unary("exp2")(lambda x: mpmath.exp(x * mp.ln2))
unary("expm1")(lambda x: mpmath.expm1(x))
unary("log")(log0)
unary("log2")(lambda x: log0(x) / mp.ln2)
unary("log10")(lambda x: log0(x) / mp.ln10)
unary("log1p")(log1p)
unary("sin")(mpmath.sin)
unary("cos")(mpmath.cos)
unary("tan")(mpmath.tan)
unary("asin", "arcsin")(domain(lambda x: abs(x) <= 1, mpmath.asin))
unary("acos", "arccos")(domain(lambda x: abs(x) <= 1, mpmath.acos))
unary("atan", "arctan")(mpmath.atan)
unary("sinh")(mpmath.sinh)
unary("cosh")(mpmath.cosh)
unary("tanh")(mpmath.tanh)
unary("asinh", "arcsinh")(asinh)
unary("acosh", "arccosh")(acosh)
unary("atanh", "arctanh")(atanh)
unary("erf")(mpmath.erf)
unary("erfc")(erfc)
unary("lgamma", "gammaln")(lgamma)
unary("digamma", "psi")(digamma)
unary("sinc")(sinc)
unary("floor")(mpmath.floor)
unary("ceil")(mpmath.ceil)
unary("trunc", "fix")(trunc)
unary("frac")(lambda x: x - trunc(x))
unary("reciprocal")(lambda x: mpf("inf") if x == 0 else 1 / x)
unary("deg2rad")(lambda x: x * mp.pi / 180)
unary("rad2deg")(lambda x: x * 180 / mp.pi)
unary("copy", "clone")(lambda x: x)
unary("stop_gradient", "detach")(lambda x: x)
ELEMENTWISE.update(["round", "logit", "cast"])


@op("round")
def round_(input, decimals=0):
    scale = mpf(10) ** decimals
    return emap(lambda x: half_even(x * scale) / scale, input)


@op("logit")
def logit(input, eps=None):
    def f(x):
        if eps is not None:
            x = min(max(x, mpf(eps)), 1 - mpf(eps))
        return mpf("-inf") if x == 0 else mpf("inf") if x == 1 else log0(x) - log1p(-x) if 0 < x < 1 else mpf("nan")
    return emap(f, input)


@op("cast", "to", "type")
def cast(input, dtype):
    if dtype == "bool":
        return predicate(lambda x: x != 0, input)
    if dtype == "int64":
        return np.array([int(trunc(v)) for v in A(input).reshape(-1)], dtype=np.int64).reshape(np.shape(input))
    return A(input)


op("isnan")(lambda input: predicate(mpmath.isnan, input))
op("isfinite")(lambda input: predicate(mpmath.isfinite, input))


# name: interior points, then tails (each list is one point)
SMOOTH = {
    "neg": [[-1.5, 0.0, 2.25], [1e300, -1e-300, 5e-324]],
    "positive": [[-1.5, 0.25, 2.25]],
    "abs": [[-1.5, 0.75, 2.0], [1e308, -1e-308, 5e-324]],
    "sign": [[-1.5, 0.75, 2.0], [1e308, -1e-308, 5e-324]],
    "square": [[-1.5, 0.0, 2.0], [1e150, -1e-150, 3e-160]],
    "sqrt": [[0.25, 1.7, 9.0], [1e-12, 1e12, 2e5], [1e300, 1e-300, 1e-100]],
    "rsqrt": [[0.25, 1.7, 9.0], [1e-12, 1e12, 2e5], [1e-100, 1e100, 1e200]],
    "cbrt": [[-8.0, 0.3, 27.0], [1e-30, -1e30, 1e200], [-1e-100, 1e-8, -0.999]],
    "exp": [[-1.5, 0.0, 2.5], [-30.0, 50.0, 1e-10], [-700.0, 700.0, -740.0]],
    "exp2": [[-1.5, 0.0, 2.5], [-30.0, 50.0, 1e-10], [-1000.0, 1000.0, -1022.0]],
    "expm1": [[-1.5, 0.5, 2.5], [1e-10, -1e-10, 1e-300], [-40.0, -700.0, 700.0], [0.0, -1e-5, 37.5]],
    "log": [[0.3, 1.0, 2.5], [1e-10, 1e10, 1.0000001], [1e-300, 1e300, 5e-324]],
    "log2": [[0.3, 1.0, 8.0], [1e-10, 1e10, 0.9999999], [1e-150, 1e150, 3.0]],
    "log10": [[0.3, 1.0, 1000.0], [1e-10, 1e10, 1.0000001], [1e-150, 1e150, 3.0]],
    "log1p": [[-0.5, 0.0, 2.5], [1e-12, -1e-12, 1e-300], [-0.9999999, 1e10, 1e150]],
    "sin": [[-1.5, 0.5, 2.5], [0.0, 1e-8, -1e-300], [100.0, -1000.5, 1e6]],
    "cos": [[-1.5, 0.5, 2.5], [0.0, 1e-8, 1e-4], [100.0, -1000.5, 1e6]],
    "tan": [[-1.25, 0.5, 2.5], [0.0, 1e-8, 1.57], [100.0, -10.5, 1.5707963]],
    "asin": [[-0.5, 0.3, 0.75], [1e-10, 0.0, -1e-300], [0.9999999999, -0.9999999999, 0.999]],
    "acos": [[-0.5, 0.3, 0.75], [1e-10, 0.0, -0.9], [0.9999999999, -0.9999999999, 0.999]],
    "atan": [[-1.5, 0.5, 2.5], [1e-10, 0.0, -1e-300], [1e10, -1e10, 100.0], [1e100, -1e154, 1e5]],
    "sinh": [[-1.5, 0.5, 2.5], [1e-10, 0.0, -1e-300], [30.0, -300.0, 709.0]],
    "cosh": [[-1.5, 0.5, 2.5], [1e-10, 0.0, -1e-4], [30.0, -300.0, 709.0]],
    "tanh": [[-1.5, 0.5, 2.5], [1e-8, 0.0, -1e-300], [10.0, -15.0, 20.0], [40.0, -100.0, 300.0], [350.0, -400.0, 1e5]],
    "asinh": [[-1.5, 0.5, 2.5], [1e-10, 0.0, -1e-300], [1e10, -1e10, 1e5], [1e100, -1e150, 30.0]],
    "acosh": [[1.5, 2.5, 10.0], [1.0000000001, 1.001, 1.1], [1e10, 1e100, 1e150]],
    "atanh": [[-0.5, 0.3, 0.75], [1e-10, 0.0, -1e-300], [0.9999999999, -0.9999999999, 0.999]],
    "erf": [[-1.5, 0.5, 1.0], [1e-10, 0.0, -1e-300], [5.0, -6.0, 3.0], [20.0, -26.0, 10.0]],
    "erfc": [[-1.5, 0.5, 1.0], [1e-10, 0.0, -1e-4], [5.0, 10.0, 15.0], [20.0, 26.0, -10.0]],
    "lgamma": [[0.5, 1.5, 3.5], [0.1, 10.0, 100.0], [1.0000001, 2.0000001, 0.9999999], [1.001, 1.999, 2.003],
               [1e-10, 1e10, 1e5], [-0.5, -1.5, -3.7], [1e100, 1e-100, 171.5], [20.25, 12.0, 7.5]],
    "digamma": [[0.5, 1.6, 3.5], [0.1, 10.0, 100.0], [1e-5, 1e5, 1e10], [-0.7, -1.6, -3.3], [1.0, 2.0, 25.0]],
    "sinc": [[-1.5, 0.5, 0.3], [1e-5, 1e-8, -1e-3], [1.25, 10.3, -7.6], [0.1, 0.01, 1e-12]],
    "floor": [[-1.5, 0.5, 2.25], [1e15 + 0.5, -0.75, 4503599627370495.5]],
    "ceil": [[-1.5, 0.5, 2.25], [1e15 + 0.5, -0.75, 4503599627370495.5]],
    "trunc": [[-1.5, 0.5, 2.25], [1e15 + 0.5, -0.75, 4503599627370495.5]],
    "frac": [[-1.5, 0.5, 2.25], [-0.75, 100.375, -7.0625]],
    "reciprocal": [[-1.5, 0.5, 2.0], [1e-10, -1e10, 3.0], [1e-100, 1e100, 7.0]],
    "deg2rad": [[-180.0, 30.0, 45.0], [1e10, 0.0, 1e-10]],
    "rad2deg": [[-1.5, 0.5, 3.0], [1e10, 0.0, 1e-10]],
    "copy": [[-1.5, 0.0, 3.0]],
}
SHAPED = ["exp", "tanh", "sin", "log", "sqrt", "abs", "neg", "cbrt", "erf", "lgamma", "asinh", "square", "log1p", "expm1",
          "atan", "cos", "reciprocal", "digamma", "sinc", "cosh", "sinh", "rsqrt", "exp2", "erfc", "tan", "asin", "acos",
          "atanh", "log2", "log10", "acosh", "sign", "floor", "ceil", "trunc", "frac", "deg2rad", "rad2deg", "copy", "positive"]
SINGLE = {"log1p": 0.37, "lgamma": 3.3, "acosh": 1.75, "digamma": 2.6}


def smooth_points():
    for name, rows in SMOOTH.items():
        for row in rows:
            point(name, f"{name}(x)", x=row)
    for name in SHAPED:
        lo, hi = (1.1, 3) if name in ("acosh", "lgamma", "digamma", "log", "sqrt", "rsqrt", "log2", "log10", "reciprocal") else \
            (-0.9, 0.9) if name in ("asin", "acos", "atanh", "log1p") else (0.1, 0.9)
        point(name, f"{name}(x)", x=SINGLE.get(name, 0.625))
        point(name, f"{name}(x)", x=R(2, 2, lo=lo, hi=hi), ct="ones")
        point(name, f"{name}(input=x)", x=E(0, 2))
        point(name, f"{name}(x)", x=F32(R(3, lo=lo, hi=hi)))


def special_points():
    zero3 = [0.0, 0.0, 0.0]
    point("abs", "abs(x)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[0.0, -0.0])
    point("abs", "abs(x)", d={"x": [1, -1]}, x=[INF, -INF])
    point("sign", "sign(x)", d={"x": [0, 0, 0]}, d2={"x,x": zero3}, x=[0.0, -0.0, INF])
    point("sqrt", "sqrt(x)", d={"x": [INF, 0]}, x=[0.0, INF])
    point("sqrt", "sqrt(x)", d={"x": [NAN]}, x=[-1.0])
    point("sqrt", "where(x > 0, sqrt(x), 0)", d={"x": [0, 0, 0.25]}, d2={"x,x": [0, 0, -1 / 32]}, x=[-1.0, 0.0, 4.0])
    point("log", "where(x > 0, log(x), 0)", d={"x": [0, 0, 0.25]}, d2={"x,x": [0, 0, -1 / 16]}, x=[-1.0, 0.0, 4.0])
    point("reciprocal", "where(x == 0, 0, reciprocal(x))", d={"x": [0, -0.25]}, d2={"x,x": [0, 0.25]}, x=[0.0, 2.0])
    point("sqrt", "sqrt(sum(square(x)))", is_={"vjp": {"x": [NAN, NAN]}}, x=[0.0, 0.0])
    point("rsqrt", "rsqrt(x)", d={"x": [-INF]}, x=[0.0])
    point("rsqrt", "rsqrt(x)", d={"x": [0]}, is_={"value": [[0.0]]}, x=[INF])
    point("cbrt", "cbrt(x)", d={"x": [INF]}, x=[0.0])
    point("exp", "exp(x)", d={"x": [0, INF]}, x=[-INF, INF])
    point("exp", "exp(x)", d={"x": [INF, 0]}, x=[710.0, -800.0])
    point("exp", "exp(x)", want=["value"], x=[NAN])
    point("exp2", "exp2(x)", d={"x": [INF, 0]}, x=[1025.0, -1100.0])
    point("expm1", "expm1(x)", d={"x": [0, INF]}, x=[-INF, INF])
    point("log", "log(x)", d={"x": [INF, 0]}, x=[0.0, INF])
    point("log", "log(x)", want=["value"], x=[-1.0, NAN])
    point("log2", "log2(x)", d={"x": [INF]}, x=[0.0])
    point("log10", "log10(x)", d={"x": [INF]}, x=[0.0])
    point("log1p", "log1p(x)", d={"x": [INF, 0]}, x=[-1.0, INF])
    point("asin", "asin(x)", d={"x": [INF, INF]}, x=[1.0, -1.0])
    point("acos", "acos(x)", d={"x": [-INF, -INF]}, x=[1.0, -1.0])
    point("asin", "asin(x)", want=["value"], x=[1.5, -2.0])
    point("atan", "atan(x)", d={"x": [0, 0]}, x=[INF, -INF])
    point("tanh", "tanh(x)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[INF, -INF])
    point("sinh", "sinh(x)", d={"x": [INF, INF]}, x=[INF, -INF])
    point("asinh", "asinh(x)", d={"x": [0, 0]}, x=[INF, -INF])
    point("acosh", "acosh(x)", d={"x": [INF]}, x=[1.0])
    point("acosh", "acosh(x)", want=["value"], x=[0.5, INF])
    point("atanh", "atanh(x)", d={"x": [INF, INF]}, x=[1.0, -1.0])
    point("erf", "erf(x)", d={"x": [0, 0]}, x=[INF, -INF])
    point("erfc", "erfc(x)", d={"x": [0, 0]}, x=[INF, -INF])
    point("erfc", "erfc(x)", x=[27.0, 28.0, -27.0])
    point("lgamma", "lgamma(x)", want=["value"], x=[0.0, -1.0, INF])
    gamma, zeta2 = "-0.57721566490153286060651209008240243", mp.pi ** 2 / 6
    point("lgamma", "lgamma(x)", d={"x": [mpf(gamma), 1 + mpf(gamma)]}, d2={"x,x": [zeta2, zeta2 - 1]}, x=[1.0, 2.0])
    point("digamma", "digamma(x)", want=["value"], x=[-1.0, -2.0])
    point("sinc", "sinc(x)", x=[1.0, 2.0, -3.0], atol=4e-15)
    point("sinc", "sinc(x)", d={"x": [0]}, d2={"x,x": [-mp.pi ** 2 / 3]}, x=[0.0])
    point("sinc", "sinc(x)", d={"x": [0, 0]}, d2={"x,x": [-mp.pi ** 2 / 3] * 2}, x=[-0.0, 0.0])
    for name in ("floor", "ceil", "trunc", "round"):
        point(name, f"{name}(x)", d={"x": [0] * 4}, d2={"x,x": [0] * 4}, x=[1.0, -2.0, 0.0, -0.0])
        point(name, f"{name}(x)", d={"x": [0] * 3}, d2={"x,x": [0] * 3}, x=[1e300, 0.3, -0.3])
        point(name, f"{name}(x)", want=["value"], x=[INF, -INF, NAN])
    point("round", "round(x)", d={"x": [0] * 6}, d2={"x,x": [0] * 6}, x=[0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    point("round", "round(x)", x=[1.2, -1.7, 3.6])
    point("round", "round(x)", x=[0.49999999999999994, 1e15, 7.25])
    point("round", "round(x, decimals=1)", x=[1.23, -1.77, 3.64])
    point("round", "round(x, decimals=-1)", x=[123.0, -1776.0, 36.4])
    point("round", "round(x)", x=0.7)
    point("round", "round(x)", x=R(2, 2))
    point("frac", "frac(x)", d={"x": [1, 1, 1]}, d2={"x,x": [0] * 3}, x=[1.0, -2.0, 0.0])
    point("reciprocal", "reciprocal(x)", d={"x": [-INF]}, x=[0.0])
    point("reciprocal", "reciprocal(x)", d={"x": [0, 0]}, is_={"value": [[0.0, 0.0]]}, x=[INF, -INF])
    point("square", "square(x)", want=["value", "vjp"], is_={"value": [[INF, 0.0]], "vjp": {"x": [2e200, 2e-200]}}, ct=[[1.0, 1.0]],
          x=[1e200, 1e-200])
    for name in ("exp", "sin", "sqrt", "log"):
        point(name, f"{name}(n)", n=I([1, 2, 4]))
    point("sqrt", "sqrt(b)", b=B([True, False]))
    point("neg", "neg(n)", n=I([1, -2, 0]))
    point("abs", "abs(n)", n=I([1, -2, 0]))
    point("sign", "sign(n)", n=I([5, -2, 0]))
    point("square", "square(n)", n=I([5, -2, 0]))


def integer_ops():
    """Integer in, integer out for these."""
    for name in ("neg", "abs", "sign", "square", "floor", "ceil", "trunc", "round"):
        float_version = OPS[name]
        def keep(input, *args, _f=float_version, **kw):
            out = _f(input, *args, **kw)
            if isinstance(input, np.ndarray) and input.dtype.kind == "i":
                return np.array([int(v) for v in out.reshape(-1)], dtype=np.int64).reshape(out.shape)
            return out
        op(name)(keep)


def misc_points():
    point("logit", "logit(x)", x=[0.2, 0.5, 0.9])
    point("logit", "logit(x)", x=[1e-10, 0.9999999999, 1e-100])
    point("logit", "logit(x)", d={"x": [INF, INF]}, x=[0.0, 1.0])
    point("logit", "logit(x)", want=["value"], x=[-0.5, 1.5])
    point("logit", "logit(x, eps=0.1)", x=[0.05, 0.3, 0.97])
    point("logit", "logit(x, 1e-6)", x=[0.25, 0.5])
    point("logit", "logit(x)", x=0.3)
    point("logit", "logit(x)", x=F32([0.2, 0.7]))
    point("logit", "special.logit(x)", x=R(2, 2, lo=0.1, hi=0.9))
    point("logit", "logit(x)", x=E(0))
    for row in ([1.5, -2.0, 3.0], [0.0, 1e10, -1e-10]):
        point("stop_gradient", "x * stop_gradient(x)", d={"x": row}, d2={"x,x": [0] * 3}, x=row)
    point("stop_gradient", "stop_gradient(x)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[1.5, 2.0])
    point("stop_gradient", "detach(exp(x)) + x", d={"x": [1, 1]}, d2={"x,x": [0, 0]}, x=[1.5, 2.0])
    point("stop_gradient", "sin(stop_gradient(x)) * y", d={"x": [0], "y": [mpmath.sin(mpf(1.5))]},
          d2={"x,x": [0], "x,y": [0], "y,y": [0]}, x=[1.5], y=[2.0])
    point("cast", "cast(x, 'int64')", x=[1.5, -1.5, 3.0])
    point("cast", "cast(x, 'bool')", x=[1.5, 0.0, -0.0])
    point("cast", "cast(n, 'float64') * x", x=[1.5, 2.0, -3.0], n=I([1, -2, 3]))
    point("cast", "cast(b, 'float64') * x", x=[1.5, 2.0], b=B([True, False]))
    point("cast", "cast(b, 'int64')", b=B([True, False]))
    point("cast", "cast(n, 'bool')", n=I([0, 2, -1]))
    point("cast", "cast(x, dtype='float64') * y", x=F32([0.5, -1.25]), y=[3.0, 0.7])
    point("cast", "to(x, 'float64')", x=0.5)
    for name in ("isnan", "isfinite"):
        point(name, f"{name}(x)", x=[1.0, INF, -INF, NAN, 0.0, 1e308])
        point(name, f"{name}(x)", x=0.5)
        point(name, f"{name}(x)", x=E(0, 3))
        point(name, f"{name}(x)", x=F32([[1.0, NAN]]))
        point(name, f"{name}(n)", n=I([1, 2]))
        point(name, f"{name}(div(x, y))", x=[0.0, 1.0, -2.0], y=[0.0, 0.0, 4.0])
        point(name, f"where({name}(x), x, 0)" if name == "isfinite" else "where(isnan(x), 0, x)",
              d={"x": [1, 0, 1]}, d2={"x,x": [0] * 3}, x=[1.5, NAN, 2.0])
    for name, other in (("negative", "neg"), ("absolute", "abs"), ("arcsin", "asin"), ("arctan", "atan"), ("gammaln", "lgamma"),
                        ("arccosh", "acosh"), ("psi", "digamma"), ("fix", "trunc"), ("clone", "copy"), ("arctanh", "atanh")):
        x = [1.25, 2.5] if other == "acosh" else [0.25, 0.75]
        point(other, f"{name}(x)", x=x)
    for name in ("erf", "erfc", "expm1", "log1p", "exp2", "sinc", "digamma", "gammaln"):
        point("lgamma" if name == "gammaln" else name, f"special.{name}(x)", x=[0.25, 0.75])
    point("tanh", "torch.tanh(x)", x=[0.25, 0.75])


def points():
    integer_ops()
    smooth_points()
    special_points()
    misc_points()
