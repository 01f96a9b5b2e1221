"""Elementwise functions of two and three arguments, comparisons and logic."""
import math

import mpmath
import numpy as np
from mpmath import mp, mpf

from core import A, B, E, ELEMENTWISE, F32, I, R, emap, op, point, predicate
from g_unary import log0, log1p, sign, trunc

INF, NAN = math.inf, math.nan


def binary(*names):
    def register(f):
        op(*names)(lambda input, other: emap(f, input, other))
        ELEMENTWISE.add(names[0])
        return f
    return register


def all_int(*tensors):
    return all(isinstance(t, (bool, int, np.integer)) or isinstance(t, np.ndarray) and t.dtype.kind in "ib" for t in tensors)


def keep_int(out, *tensors):
    """Integer operands give an integer result."""
    if not all_int(*tensors):
        return out
    return np.array([int(v) for v in out.reshape(-1)], dtype=np.int64).reshape(out.shape)


def quotient(x, y):
    if y == 0:
        return mpf("nan") if x == 0 or mpmath.isnan(x) else x * mpf("inf")
    return x / y


def power(x, y):
    if y == 0 or x == 1:
        return mpf(1)
    if y == mpmath.floor(y) and mpmath.isfinite(y) and abs(y) < 1e6:
        return mpf("inf") if x == 0 and y < 0 else x ** int(y)
    if x < 0:
        return mpf("nan")
    if x == 0:
        return mpf(0) if y > 0 else mpf("inf")
    return mpmath.exp(y * mpmath.log(x))


def atan2(y, x):
    if mpmath.isnan(x) or mpmath.isnan(y):
        return mpf("nan")
    if mpmath.isinf(x) and mpmath.isinf(y):
        return sign(y) * mp.pi * (mpf(1) / 4 if x > 0 else mpf(3) / 4)
    return mpmath.atan2(y, x)


def logaddexp(x, y):
    if mpmath.isnan(x) or mpmath.isnan(y):
        return mpf("nan")
    top = max(x, y)
    if mpmath.isinf(top):
        return top
    return top + mpmath.log1p(mpmath.exp(min(x, y) - top))


def hypot(x, y):
    return mpmath.sqrt(x * x + y * y)


def fmod(x, y):
    return mpf("nan") if y == 0 or mpmath.isinf(x) else x if mpmath.isinf(y) else x - y * trunc(x / y)


def remainder(x, y):
    return mpf("nan") if y == 0 else x - y * mpmath.floor(x / y)


def largest(x, y):
    return x if mpmath.isnan(x) else y if mpmath.isnan(y) else max(x, y)


def smallest(x, y):
    return x if mpmath.isnan(x) else y if mpmath.isnan(y) else min(x, y)


@op("add")
def add(input, other, alpha=1):
    return keep_int(emap(lambda x, y: x + mpf(alpha) * y, input, other), input, other, alpha)


@op("sub", "subtract")
def sub(input, other, alpha=1):
    return keep_int(emap(lambda x, y: x - mpf(alpha) * y, input, other), input, other, alpha)


@op("mul", "multiply")
def mul(input, other):
    return keep_int(emap(lambda x, y: x * y, input, other), input, other)


@op("div", "divide", "true_divide")
def div(input, other, rounding_mode=None):
    if rounding_mode is None:
        return emap(quotient, input, other)
    f = mpmath.floor if rounding_mode == "floor" else trunc
    return keep_int(emap(lambda x, y: f(quotient(x, y)), input, other), input, other)


@op("pow", "power")
def pow_(input, exponent):
    return keep_int(emap(power, input, exponent), input, exponent)


@op("fmod")
def fmod_(input, other):
    return keep_int(emap(fmod, input, other), input, other)


@op("remainder")
def remainder_(input, other):
    return keep_int(emap(remainder, input, other), input, other)


@op("maximum")
def maximum(input, other):
    return keep_int(emap(largest, input, other), input, other)


@op("minimum")
def minimum(input, other):
    return keep_int(emap(smallest, input, other), input, other)


binary("fmax")(lambda x, y: y if mpmath.isnan(x) else x if mpmath.isnan(y) else max(x, y))
binary("fmin")(lambda x, y: y if mpmath.isnan(x) else x if mpmath.isnan(y) else min(x, y))
binary("atan2", "arctan2")(atan2)
binary("logaddexp")(logaddexp)
binary("logaddexp2")(lambda x, y: logaddexp(x * mp.ln2, y * mp.ln2) / mp.ln2)
binary("hypot")(hypot)
binary("xlogy")(lambda x, y: mpf("nan") if mpmath.isnan(y) else mpf(0) if x == 0 else x * log0(y))
binary("xlog1py")(lambda x, y: mpf("nan") if mpmath.isnan(y) else mpf(0) if x == 0 else x * log1p(y))
binary("copysign")(lambda x, y: abs(x) if y >= 0 else -abs(x))
op("heaviside")(lambda input, values: emap(lambda x, v: v if x == 0 else mpf(1) if x > 0 else mpf(0), input, values))
op("lerp")(lambda input, end, weight: emap(lambda x, y, w: x + w * (y - x), input, end, weight))
op("fma")(lambda input, other, addend: emap(lambda x, y, z: x * y + z, input, other, addend))
op("addcmul")(lambda input, tensor1, tensor2, value=1: emap(lambda a, x, y: a + mpf(value) * x * y, input, tensor1, tensor2))
op("addcdiv")(lambda input, tensor1, tensor2, value=1: emap(lambda a, x, y: a + mpf(value) * quotient(x, y), input, tensor1, tensor2))
for names, test in ((("eq",), lambda x, y: x == y), (("ne", "not_equal"), lambda x, y: x != y), (("lt", "less"), lambda x, y: x < y),
                    (("le", "less_equal"), lambda x, y: x <= y), (("gt", "greater"), lambda x, y: x > y),
                    (("ge", "greater_equal"), lambda x, y: x >= y), (("logical_and",), lambda x, y: x != 0 and y != 0),
                    (("logical_or",), lambda x, y: x != 0 or y != 0)):
    op(*names)(lambda input, other, _t=test: predicate(_t, input, other))
op("logical_not")(lambda input: predicate(lambda x: x == 0, input))
ELEMENTWISE.update(["add", "sub", "mul", "div", "pow", "fmod", "remainder", "maximum", "minimum", "heaviside", "where", "clamp",
                    "masked_fill", "lerp", "fma", "addcmul", "addcdiv"])


@op("where")
def where(condition, input, other):
    c, x, y = np.broadcast_arrays(np.asarray(condition), A(input), A(other))
    out = np.empty(c.shape, dtype=object)
    for i in np.ndindex(c.shape):
        out[i] = x[i] if c[i] else y[i]
    return keep_int(out, input, other)


@op("clamp", "clip")
def clamp(input, min=None, max=None):
    out = A(input)
    if min is not None:
        out = emap(lambda x, a: x if mpmath.isnan(x) or x >= a else a, out, min)
    if max is not None:
        out = emap(lambda x, b: x if mpmath.isnan(x) or x <= b else b, out, max)
    return keep_int(out, *[v for v in (input, min, max) if v is not None])


@op("masked_fill")
def masked_fill(input, mask, value):
    return where(mask, value, input)


SMOOTH = {
    "add": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25]), ([1e308, 1e-308, 1.0], [1e307, 1e-300, 1e-17])],
    "sub": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25]), ([1e308, 1e-308, 1.0], [1e307, 1e-300, 1e-17])],
    "mul": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25]), ([1e154, 1e-150, 0.0], [1e150, 1e-150, 0.0])],
    "div": [([-1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([1e10, 0.0, 1e-5], [1e-5, 3.0, 1e10]), ([1e200, 3e200, 1.0], [1e160, 2e180, 1e-90])],
    "pow": [([1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([1e-5, 1e5, 0.9999999], [2.5, -1.5, 1e5]), ([10.0, 1e-10, 3.0], [100.0, 10.0, 1e-5]),
            ([1.0, 1.0000001, 2.0], [3.0, 1000.0, 10.0])],
    "maximum": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25])],
    "minimum": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25])],
    "fmax": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25])],
    "fmin": [([-1.5, 0.25, 2.0], [0.5, 0.0, -1.25])],
    "atan2": [([-1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([1e-10, -1e-10, 0.5], [-1.0, 1.0, 1e-5]), ([1.0, -2.0, 0.0], [0.0, -0.5, 2.0]),
              ([1e5, -1e5, 1e-8], [1e-5, -1e6, 1e-8])],
    "logaddexp": [([-1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([1000.0, -1000.0, 700.0], [1001.0, -1000.5, 690.0]), ([30.0, 0.0, -40.0], [0.0, -50.0, 5.0]),
                  ([300.0, 0.0, -1e5], [0.0, 600.0, 1.0])],
    "logaddexp2": [([-1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([1000.0, -1000.0, 700.0], [1001.0, -1000.5, 690.0]), ([30.0, 0.0, -40.0], [0.0, -50.0, 5.0])],
    "hypot": [([-1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([3.0, 0.0, 1e-10], [4.0, 2.0, 1.0]), ([1e154, 3e150, 1e-140], [1e155, 4e150, 1e-141])],
    "fmod": [([-5.5, 5.25, 7.2], [2.0, 3.0, -1.75]), ([0.5, -0.5, 100.3], [2.0, 3.0, 7.1])],
    "remainder": [([-5.5, 5.25, 7.0], [2.0, 3.0, -1.5]), ([0.5, -0.5, 100.3], [2.0, 3.0, 7.1])],
    "xlogy": [([-1.5, 0.25, 2.0], [0.5, 3.0, 1.25]), ([1e10, 1e-10, 2.0], [1e-10, 1e10, 1.0])],
    "xlog1py": [([-1.5, 0.25, 2.0], [0.5, 3.0, -0.75]), ([1e10, 1e-10, 2.0], [1e-10, 1e10, -0.9999999])],
    "copysign": [([-1.5, 0.25, 2.0], [0.5, 3.0, -1.25]), ([1e300, -1e-300, -2.0], [-3.0, 2.0, -1.0])],
}


def smooth_points():
    for name, rows in SMOOTH.items():
        for x, y in rows:
            point(name, f"{name}(x, y)", x=x, y=y)
        args = dict(lo=0.3, hi=2.4)
        point(name, f"{name}(x, y)", x=R(2, 1, **args), y=R(1, 3, **args))
        point(name, f"{name}(x, y)", x=1.75, y=R(3, **args))
        point(name, f"{name}(x, y)", x=R(2, 1, 2, **args), y=0.55, ct="ones")
        point(name, f"{name}(x, y)", x=F32(R(3, **args)), y=F32(R(3, **args)))
        point(name, f"{name}(x, y)", x=E(0, 2), y=R(2, **args))
        point(name, f"{name}(x, 1.5)", x=R(3, **args))
        if name != "copysign":
            point(name, f"{name}(x, n)", x=R(2, **args), n=I([2, 3]))
            point(name, f"{name}(x, b)" if name in ("add", "mul", "sub", "maximum") else f"{name}(2.5, x)", **(
                dict(x=R(2, **args), b=B([True, False])) if name in ("add", "mul", "sub", "maximum") else dict(x=R(2, **args))))
        point(name, f"{name}(input=x, other=y)" if name != "pow" else "pow(input=x, exponent=y)", x=R(2, **args), y=R(2, **args))
    for symbol, name in (("+", "add"), ("-", "sub"), ("*", "mul"), ("/", "div"), ("**", "pow")):
        point(name, f"x {symbol} y", x=R(2, lo=0.5, hi=2), y=R(2, lo=0.5, hi=2))
        point(name, f"x {symbol} x", x=R(2, lo=0.5, hi=2), atol=4e-15)


def tie_points():
    half = [0.5, 0.5]
    for name in ("maximum", "minimum"):
        point(name, f"{name}(x, y)", d={"x": half, "y": half}, d2={"x,x": [0, 0], "x,y": [0, 0], "y,y": [0, 0]}, x=[1.5, -2.0], y=[1.5, -2.0])
        point(name, f"{name}(x, 0)", d={"x": half}, d2={"x,x": [0, 0]}, x=[0.0, -0.0])
        point(name, f"{name}(x, y)", want=["value"], x=[NAN, 1.0], y=[1.0, NAN])
        point(name, f"{name}(x, y)", d={"x": [1, 0] if name == "maximum" else [0, 1], "y": [0, 1] if name == "maximum" else [1, 0]},
              x=[INF, -INF], y=[1.0, 2.0])
        point(name, f"{name}(x, y)", x=I([1, 5]), y=I([2, -3]))
        point(name, f"{name}(x, x)", d={"x": [1, 1]}, d2={"x,x": [0, 0]}, x=[1.5, -2.0])
    for name in ("fmax", "fmin"):
        point(name, f"{name}(x, y)", d={"x": half, "y": half}, x=[1.5, -2.0], y=[1.5, -2.0])
        point(name, f"{name}(x, y)", d={"x": [0, 1], "y": [1, 0]}, x=[NAN, 1.0], y=[1.0, NAN])


def special_points():
    zz = {"x,x": [0], "x,y": [0], "y,y": [0]}
    ln2 = mp.ln2
    point("div", "div(x, y)", d={"x": [INF], "y": [-INF]}, x=[1.0], y=[0.0])
    point("div", "div(x, y)", d={"x": [INF]}, x=[1.0], y=[0.0], wrt=["x"])
    point("div", "div(x, y)", want=["value"], x=[0.0, INF, 1.0], y=[0.0, INF, INF])
    point("div", "div(x, y)", d={"x": [0], "y": [0]}, x=[1.0], y=[INF])
    for mode in ("floor", "trunc"):
        point("div", f"div(x, y, rounding_mode='{mode}')", d={"x": [0, 0], "y": [0, 0]}, x=[-5.5, 7.25], y=[2.0, -3.0])
        point("div", f"div(x, y, rounding_mode='{mode}')", x=I([-7, 7]), y=I([2, -2]))
    point("div", "div(x, y)", x=I([-7, 7]), y=I([2, -2]))
    point("div", "true_divide(x, y)", x=[1.0, 2.0], y=[4.0, 0.3])
    point("add", "add(x, y, alpha=2.5)", x=[1.0, 2.0], y=[4.0, 0.3])
    point("sub", "sub(x, y, alpha=-2)", x=[1.0, 2.0], y=[4.0, 0.3])
    point("add", "x + 1", x=[0.5])
    point("mul", "mul(x, y)", d={"x": [NAN], "y": [NAN]}, want=["value"], x=[0.0], y=[INF])
    for name in ("add", "sub", "mul"):
        point(name, f"{name}(x, y)", x=I([[2, -3]]), y=I([[4], [5]]))
    point("mul", "mul(x, b)", x=I([2, 3]), b=B([True, False]))
    # pow
    point("pow", "pow(x, y)", d={"x": [0], "y": [0]}, x=[0.0], y=[0.0])
    point("pow", "pow(x, 0)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[0.0, 3.0])
    point("pow", "pow(x, 1)", d={"x": [1, 1]}, d2={"x,x": [0, 0]}, x=[0.0, -3.0])
    point("pow", "pow(x, 2)", d={"x": [0, -6]}, d2={"x,x": [2, 2]}, x=[0.0, -3.0])
    point("pow", "x ** 2", d={"x": [0]}, d2={"x,x": [2]}, x=[0.0])
    point("pow", "x ** 2.0", d={"x": [0]}, d2={"x,x": [2]}, x=[-0.0])
    point("pow", "pow(x, 3)", d={"x": [0]}, d2={"x,x": [0]}, x=[0.0])
    point("pow", "pow(x, 3.0)", d={"x": [12]}, d2={"x,x": [-12]}, x=[-2.0])
    point("pow", "pow(x, y)", d={"x": [12]}, d2={"x,x": [-12]}, x=[-2.0], y=[3.0], wrt=["x"])
    point("pow", "pow(x, -1)", d={"x": [-INF]}, x=[0.0])
    point("pow", "pow(x, -2)", x=[-2.0, 3.0, 0.5])
    point("pow", "pow(x, 7)", x=[-2.0, 3.0, 0.0])
    point("pow", "pow(x, y)", d={"x": [-INF], "y": [-INF]}, x=[0.0], y=[-1.0])
    point("pow", "pow(x, 0.5)", d={"x": [INF]}, x=[0.0])
    point("pow", "pow(x, y)", d={"x": [INF], "y": [0]}, x=[0.0], y=[0.5])
    point("pow", "pow(x, y)", d={"x": [0], "y": [0]}, want=["value", "vjp", "jvp"], x=[0.0], y=[2.0])
    point("pow", "pow(x, y)", d={"y": [0]}, x=[0.0], y=[2.0], wrt=["y"])
    point("pow", "pow(x, y)", want=["value"], x=[-2.0, -8.0], y=[0.5, 1 / 3])
    point("pow", "2 ** x", x=[0.0, 3.0, -1.5])
    point("pow", "pow(x, n)", x=I([2, -3]), n=I([3, 2]))
    point("pow", "x ** y", x=[2.0, 3.0], y=[0.0, 1.0])
    # atan2
    pi = mp.pi
    point("atan2", "atan2(y, x)", d={"y": [NAN], "x": [NAN]}, y=[0.0], x=[0.0])
    point("atan2", "atan2(y, x)", is_={"value": [[pi, -pi]]}, d={"y": [-1, -1], "x": [0, 0]}, y=[0.0, -0.0], x=[-1.0, -1.0])
    point("atan2", "atan2(y, x)", y=[1e200, -1e-200], x=[1e200, 3e-200], want=["value", "vjp", "jvp"])
    point("atan2", "atan2(y, x)", want=["value"], y=[INF, -INF, INF], x=[INF, 1.0, -INF])
    # logaddexp
    point("logaddexp", "logaddexp(x, y)", d={"x": [0], "y": [0]}, x=[-INF], y=[-INF])
    point("logaddexp", "logaddexp(x, y)", d={"x": [0, 1], "y": [1, 0]}, d2={"x,x": [0, 0], "x,y": [0, 0], "y,y": [0, 0]},
          x=[-INF, 2.0], y=[1.5, -INF])
    point("logaddexp", "logaddexp(x, x)", atol=1e-15, x=[1.5, -3.0])
    point("logaddexp2", "logaddexp2(x, y)", d={"x": [0], "y": [0]}, x=[-INF], y=[-INF])
    # hypot
    point("hypot", "hypot(x, y)", d={"x": [0], "y": [0]}, x=[0.0], y=[0.0])
    point("hypot", "hypot(x, y)", want=["value", "vjp", "jvp"], x=[3e200, 3e-200], y=[4e200, 4e-200])
    point("hypot", "hypot(x, y)", want=["value"], x=[INF, NAN], y=[NAN, -INF], is_={"value": [[INF, INF]]})
    point("hypot", "hypot(x, y)", want=["value", "vjp", "jvp"], x=[-3.0, 0.0], y=[0.0, 2.0], is_=None)
    # fmod, remainder
    point("fmod", "fmod(x, y)", d={"x": [1, 1], "y": [-3, 3]}, x=[6.0, -6.0], y=[2.0, 2.0])
    point("remainder", "remainder(x, y)", d={"x": [1, 1], "y": [-3, 3]}, x=[6.0, -6.0], y=[2.0, 2.0])
    for name in ("fmod", "remainder"):
        point(name, f"{name}(x, y)", x=I([7, -7, 7]), y=I([3, 3, -3]))
        point(name, f"{name}(x, y)", want=["value"], x=[1.0, INF], y=[0.0, 2.0], is_={"value": [[NAN, NAN]]})
    # xlogy
    for name, y in (("xlogy", 0.0), ("xlog1py", -1.0)):
        point(name, f"{name}(x, y)", is_={"vjp": {"x": [0], "y": [NAN]}}, ct=[[1.0]], x=[0.0], y=[y])
        point(name, f"{name}(x, y)", d={"y": [0, 0]}, d2={"y,y": [0, 0]}, x=[0.0, 0.0], y=[2.5, 0.5], wrt=["y"])
        point(name, f"{name}(x, y)", d={"x": [-INF], "y": [INF]}, x=[1.0], y=[y])
        point(name, f"{name}(x, y)", x=[0.0, 0.0], y=[2.5, 0.5])
        point(name, f"{name}(x, y)", want=["value"], x=[0.0, 0.0, 2.0], y=[INF, NAN, y - 1])
    # copysign, heaviside
    point("copysign", "copysign(x, y)", d={"x": [1, 1], "y": [0, 0]}, x=[1.5, -2.0], y=[0.0, -3.0])
    point("copysign", "copysign(x, y)", is_={"value": [[-1.5, 2.0]]}, d={"x": [-1, -1], "y": [0, 0]}, x=[1.5, -2.0], y=[-0.0, 0.0])
    point("copysign", "copysign(x, y)", d={"x": [0], "y": [0]}, x=[0.0], y=[2.0])
    point("copysign", "copysign(x, -1.0)", x=[1.5, -2.0])
    for x, v in (([-1.5, 0.5, 2.0], [0.5, 0.25, 0.75]), ([0.0, 0.0, -0.0], [0.5, 1.0, 0.0]), ([-3.0, 0.0, 4.0], [0.5, 0.5, 0.5])):
        point("heaviside", "heaviside(x, v)", is_={}, want=["value"], x=x, v=v)
    point("heaviside", "heaviside(x, v)", d={"x": [0, 0], "v": [0, 0]}, d2={"x,x": [0, 0], "x,v": [0, 0], "v,v": [0, 0]}, x=[-1.5, 2.0], v=[0.5, 0.5])
    point("heaviside", "heaviside(x, 0.5)", want=["value"], x=R(2, 2))
    point("heaviside", "heaviside(input=x, values=v)", want=["value"], x=F32([0.0, 1.0]), v=F32([0.5, 0.5]))
    point("heaviside", "heaviside(x, v)", want=["value"], x=E(0), v=0.5)


def ternary_points():
    for name, args in (("lerp", ("x", "y", "w")), ("fma", ("x", "y", "z")), ("addcmul", ("x", "y", "z")), ("addcdiv", ("x", "y", "z"))):
        call = f"{name}({', '.join(args)})"
        draw = lambda *s: R(*s, lo=0.4, hi=2.3)
        point(name, call, **dict(zip(args, ([1.5, -0.5], [0.25, 2.0], [0.3, 0.8]))))
        point(name, call, **{a: draw(2, 2) for a in args})
        point(name, call, **dict(zip(args, (draw(2, 1), draw(1, 2), draw(2)))))
        point(name, call, **dict(zip(args, (draw(2, 2), draw(2), 1.25))))
        point(name, call, **dict(zip(args, (0.75, 1.25, 0.5))))
        point(name, call, **{a: F32(draw(2)) for a in args})
        point(name, call, **{a: E(0) for a in args})
        point(name, call, ct="ones", **dict(zip(args, ([1e10, 0.0], [1e-10, 1.0], [1e5, 3.0]))))
    point("lerp", "lerp(x, y, 0.25)", x=R(2), y=R(2))
    point("lerp", "lerp(input=x, end=y, weight=w)", x=R(2), y=R(2), w=[0.0, 1.0])
    point("fma", "fma(x, x, x)", x=R(2))
    point("addcmul", "addcmul(x, y, z, value=0.5)", x=R(2), y=R(2), z=R(2))
    point("addcdiv", "addcdiv(x, y, z, value=-2)", x=R(2), y=R(2), z=R(2, lo=0.5, hi=2))
    point("addcdiv", "addcdiv(x, y, z)", d={"x": [1], "y": [INF], "z": [-INF]}, x=[1.0], y=[2.0], z=[0.0])
    point("addcmul", "addcmul(input=x, tensor1=y, tensor2=z)", x=R(2), y=R(2), z=R(2))
    # where
    point("where", "where(c, x, y)", c=B([True, False, True]), x=R(3), y=R(3))
    point("where", "where(c, x, y)", c=B([[True], [False]]), x=R(1, 2), y=R(2, 1))
    point("where", "where(c, x, 0)", c=B([True, False]), x=R(2))
    point("where", "where(c, 1.5, y)", c=B([True, False]), y=R(2))
    point("where", "where(c, x, y)", c=B(True), x=1.5, y=2.5)
    point("where", "where(x > y, x, y)", x=R(3), y=R(3))
    point("where", "where(condition=c, input=x, other=y)", c=B([True, False]), x=R(2), y=R(2))
    point("where", "where(c, x, y)", c=B(np.zeros((0, 2))), x=E(0, 2), y=2.0)
    point("where", "where(c, x, y)", c=B([True, False]), x=F32(R(2)), y=F32(R(2)))
    point("where", "where(c, m, n)", c=B([True, False]), m=I([1, 2]), n=I([3, 4]))
    point("where", "where(x > 0, sqrt(x), 0)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[-1.0, 0.0])
    point("where", "where(x > 0, pow(x, 0.5), 0)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[-1.0, 0.0])
    point("where", "where(x > 0, log(x), 0)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[-1.0, 0.0])
    point("where", "where(x == 0, 0, div(1, x))", d={"x": [0]}, d2={"x,x": [0]}, x=[0.0])
    point("where", "where(abs(x) < 1, asin(x), 0)", d={"x": [0, 0]}, d2={"x,x": [0, 0]}, x=[1.0, -2.0])
    point("where", "where(x == 0, 0, div(sin(x), x))", d={"x": [0]}, d2={"x,x": [0]}, x=[0.0])
    point("where", "where(c, exp(x), y)", d={"x": [0], "y": [1]}, d2={"x,x": [0], "x,y": [0], "y,y": [0]}, c=B([False]), x=[1000.0], y=[2.0])
    # clamp
    one = {"x,x": [0] * 3}
    point("clamp", "clamp(x, -1, 1)", x=[-1.5, 0.5, 2.0])
    point("clamp", "clamp(x, -1, 1)", d={"x": [1, 1, 0]}, d2=one, x=[-1.0, 1.0, 1.5])
    point("clamp", "clamp(x, min=0)", d={"x": [1, 1, 0]}, d2=one, x=[0.0, 2.0, -1.5])
    point("clamp", "clamp(x, max=0.5)", d={"x": [1, 0, 1]}, d2=one, x=[0.5, 2.0, -1.5])
    point("clamp", "clamp(x, 0.5, 0.5)", d={"x": [1, 0, 0]}, d2=one, x=[0.5, 2.0, -1.5])
    point("clamp", "clip(x, -inf, inf)", x=[0.5, 2.0, -1.5])
    point("clamp", "clamp(x, lo, hi)", x=[0.5, 2.5, -1.5], lo=[-1.0, -1.0, -1.0], hi=[1.0, 2.0, 3.0])
    point("clamp", "clamp(x, min=lo, max=hi)", x=R(2, 2), lo=-0.25, hi=R(2, lo=0.5, hi=1))
    point("clamp", "clamp(x, lo)", d={"x": [1, 1], "lo": [0, 0]}, x=[1.0, 3.0], lo=[1.0, 2.0])
    point("clamp", "clamp(x, max=hi)", x=[0.5, 3.0], hi=[1.0, 2.0])
    point("clamp", "clamp(x, 0, 1)", d={"x": [1, 0, 0]}, x=[0.5, INF, -INF])
    point("clamp", "clamp(x, 0, 1)", want=["value"], x=[NAN])
    point("clamp", "clamp(n, 0, 3)", n=I([-5, 2, 7]))
    point("clamp", "clamp(x, 0.25, 0.75)", x=F32([0.1, 0.5, 0.9]))
    point("clamp", "clamp(x, 0, 1)", x=E(0))
    mask = B([True, False, False])
    point("masked_fill", "masked_fill(x, m, 0.5)", x=R(3), m=mask)
    point("masked_fill", "masked_fill(x, m, -inf)", d={"x": [0, 1, 1]}, d2=one, x=R(3), m=mask)
    point("masked_fill", "masked_fill(x, m, v)", x=R(2, 3), m=mask, v=1.5)
    
    point("masked_fill", "masked_fill(input=x, mask=m, value=0)", x=R(2, 2), m=B([[True], [False]]))
    point("masked_fill", "masked_fill(log(x), x <= 0, 0)", d={"x": [0, 0.5, 0]}, d2={"x,x": [0, -0.25, 0]}, x=[0.0, 2.0, -1.0])
    point("masked_fill", "masked_fill(x, m, 0)", x=F32(R(3)), m=mask)
    point("masked_fill", "masked_fill(n, m, 9)", n=I([1, 2, 3]), m=mask)
    point("masked_fill", "masked_fill(x, m, 2)", x=E(0), m=B(np.zeros(0)))
    point("masked_fill", "masked_fill(x, m, 2)", x=1.5, m=B(True))


def compare_points():
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        point(name, f"{name}(x, y)", x=[1.0, 2.0, 3.0], y=[2.0, 2.0, 2.0])
        point(name, f"{name}(x, y)", x=[NAN, 0.0, INF, -INF], y=[NAN, -0.0, INF, INF])
        point(name, f"{name}(x, y)", x=R(2, 1), y=R(1, 3))
        point(name, f"{name}(x, 0)", x=[-1.0, 0.0, 1.0])
        point(name, f"{name}(m, n)", m=I([1, 2, 3]), n=I([2, 2, 2]))
        point(name, f"{name}(x, n)", x=[1.5, 2.0], n=I([2, 2]))
        point(name, f"{name}(input=x, other=y)", x=F32([1.0, 2.0]), y=F32([2.0, 2.0]))
        point(name, f"{name}(x, y)", x=E(0, 2), y=2.0)
        symbol = dict(eq="==", ne="!=", lt="<", le="<=", gt=">", ge=">=")[name]
        point(name, f"x {symbol} y", x=[1.0, 2.0, 3.0], y=2.0)
        point(name, f"where({name}(x, y), x, y)", x=[1.0, 2.5, 3.0], y=[2.0, 2.0, 2.0])
    for name in ("logical_and", "logical_or"):
        point(name, f"{name}(a, b)", a=B([True, True, False, False]), b=B([True, False, True, False]))
        point(name, f"{name}(a, b)", a=B([[True], [False]]), b=B([True, False]))
        point(name, f"{name}(x, y)", x=[0.0, 1.5, -0.0, NAN], y=[1.0, 1.0, 1.0, 0.0])
        point(name, f"{name}(m, n)", m=I([0, 1, 2]), n=I([1, 0, -2]))
        point(name, f"{name}(x > 0, x < 1)", x=[-0.5, 0.5, 1.5])
        point(name, f"{name}(input=a, other=b)", a=B(True), b=B(False))
        point(name, f"{name}(a, b)", a=B(np.zeros(0)), b=B(np.zeros(0)))
    point("logical_not", "logical_not(a)", a=B([True, False]))
    point("logical_not", "logical_not(x)", x=[0.0, 1.5, -0.0, NAN])
    point("logical_not", "logical_not(n)", n=I([0, 3]))
    point("logical_not", "logical_not(x > 0)", x=R(2, 2))
    point("logical_not", "logical_not(input=a)", a=B(True))
    point("logical_not", "logical_not(a)", a=B(np.zeros((0, 2))))


def points():
    smooth_points()
    tie_points()
    special_points()
    ternary_points()
    compare_points()
