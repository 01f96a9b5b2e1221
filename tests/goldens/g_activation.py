"""Activation functions."""
import math

import mpmath
import numpy as np
from mpmath import mp, mpf

from core import A, B, E, ELEMENTWISE, F32, I, R, along, emap, op, point, wrap
from g_reduce import lse, amax

INF, NAN = math.inf, math.nan


def sigmoid(x):
    if mpmath.isinf(x):
        return mpf(1) if x > 0 else mpf(0)
    return 1 / (1 + mpmath.exp(-x)) if x >= 0 else mpmath.exp(x) / (1 + mpmath.exp(x))


def softplus(x):
    if mpmath.isinf(x):
        return x if x > 0 else mpf(0)
    return max(x, mpf(0)) + mpmath.log1p(mpmath.exp(-abs(x)))


def normal_cdf(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def gelu(x, approximate):
    if approximate == "tanh":
        return x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mp.pi) * (x + mpf(0.044715) * x ** 3)))
    return x * normal_cdf(x)


SCALE, ALPHA = mpf(1.0507009873554804934193349852946), mpf(1.6732632423543772848170429916717)


def sat(x, lo, hi):
    return x if mpmath.isnan(x) else min(max(x, mpf(lo)), mpf(hi))


FORMULAS = {                                    # name: (keyword arguments with defaults, formula)
    "relu": ({}, lambda x: x if not x < 0 else mpf(0)),
    "leaky_relu": ({"negative_slope": 0.01}, lambda x, s: x if x > 0 else mpf(s) * x),
    "elu": ({"alpha": 1.0}, lambda x, a: x if x > 0 else mpf(a) * mpmath.expm1(x)),
    "sigmoid": ({}, sigmoid),
    "logsigmoid": ({}, lambda x: -softplus(-x)),
    "softplus": ({"beta": 1.0, "threshold": 20.0}, lambda x, b, t: softplus(mpf(b) * x) / mpf(b)),
    "silu": ({}, lambda x: x * sigmoid(x)),
    "gelu": ({"approximate": "none"}, gelu),
    "mish": ({}, lambda x: x * mpmath.tanh(softplus(x))),
    "relu6": ({}, lambda x: sat(x, 0, 6)),
    "selu": ({}, lambda x: SCALE * (x if x > 0 else ALPHA * mpmath.expm1(x))),
    "celu": ({"alpha": 1.0}, lambda x, a: x if x > 0 else mpf(a) * mpmath.expm1(x / mpf(a))),
    "softsign": ({}, lambda x: x / (1 + abs(x))),
    "hardtanh": ({"min_val": -1.0, "max_val": 1.0}, sat),
    "hardsigmoid": ({}, lambda x: sat(x + 3, 0, 6) / 6),
    "hardswish": ({}, lambda x: x * sat(x + 3, 0, 6) / 6),
    "tanhshrink": ({}, lambda x: x - mpmath.tanh(x)),
    "softshrink": ({"lambd": 0.5}, lambda x, l: x - mpf(l) if x > l else x + mpf(l) if x < -l else mpf(0)),
    "hardshrink": ({"lambd": 0.5}, lambda x, l: mpf(0) if -l <= x <= l else x),
    "threshold": ({"threshold": None, "value": None}, lambda x, t, v: x if x > t else mpf(v)),
    "quick_gelu": ({}, lambda x: x * sigmoid(mpf(1.702) * x)),
    "ndtr": ({}, normal_cdf),
    "entr": ({}, lambda x: mpf(0) if x == 0 else -x * mpmath.log(x) if x > 0 else mpf("-inf")),
    "log1mexp": ({}, lambda x: mpmath.log(-mpmath.expm1(-x)) if x < 1 else mpmath.log1p(-mpmath.exp(-x))),
}
OTHER_NAMES = {"sigmoid": ["expit"], "silu": ["swish"]}


def register(name, defaults, formula):
    def call(input, *args, **kw):
        values = dict(defaults)
        values.update(zip(defaults, args))
        values.update(kw)
        return emap(lambda x: formula(x, *values.values()), input)
    op(name, *OTHER_NAMES.get(name, []))(call)
    ELEMENTWISE.add(name)


for key, (words, rule) in FORMULAS.items():
    register(key, words, rule)


@op("nan_to_num")
def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    big = mpf(np.finfo(np.float64).max)
    return emap(lambda x: mpf(nan) if mpmath.isnan(x) else x if not mpmath.isinf(x) else
                (big if posinf is None else mpf(posinf)) if x > 0 else (-big if neginf is None else mpf(neginf)), input)


@op("prelu")
def prelu(input, weight):
    x, w = A(input), A(weight).reshape(-1)
    w = wrap(w[0]) if len(w) == 1 else w.reshape([-1 if k == 1 else 1 for k in range(x.ndim)])
    return emap(lambda v, s: v if v > 0 else s * v, x, w)


def softmax_row(vs):
    m = max(vs)
    if mpmath.isinf(m):
        return [mpf("nan")] * len(vs)
    e = [mpmath.exp(v - m) for v in vs]
    s = mpmath.fsum(e)
    return [v / s for v in e]


def log_softmax_row(vs):
    t = lse(vs)
    return [mpf("nan") if mpmath.isinf(t) else v - t for v in vs]


op("softmax")(lambda input, dim=-1: along(softmax_row, A(input), dim))
op("log_softmax")(lambda input, dim=-1: along(log_softmax_row, A(input), dim))
op("softmin")(lambda input, dim=-1: along(softmax_row, -A(input), dim))


def halves(x, dim):
    return np.split(A(x), 2, axis=dim)


@op("glu")
def glu(input, dim=-1):
    a, b = halves(input, dim)
    return emap(lambda u, v: u * sigmoid(v), a, b)


@op("swiglu")
def swiglu(input, other=None, dim=-1):
    a, b = halves(input, dim) if other is None else (input, other)
    return emap(lambda u, v: u * sigmoid(u) * v, a, b)


@op("maxout")
def maxout(input, groups, dim=1):
    x = A(input)
    d = dim % x.ndim
    x = x.reshape(x.shape[:d] + (x.shape[d] // groups, groups) + x.shape[d + 1:])
    return amax(x, d + 1)


ROWS = {
    "relu": [[-1.5, 0.5, 2.0], [1e300, -1e-300, 5e-324]],
    "leaky_relu": [[-1.5, 0.5, 2.0], [1e300, -1e-300, -40.0]],
    "elu": [[-1.5, 0.5, 2.0], [-1e-10, -40.0, 1e10], [-700.0, -1e-300, 30.0]],
    "sigmoid": [[-1.5, 0.5, 2.0], [10.0, -20.0, 37.0], [40.0, -100.0, 300.0], [700.0, -700.0, -745.0], [0.0, 1e-10, 15.0], [1000.0, -1000.0, 0.0]],
    "logsigmoid": [[-1.5, 0.5, 2.0], [10.0, -20.0, 37.0], [40.0, -100.0, 300.0], [700.0, -700.0, 0.0], [1000.0, -1000.0, 1e-10]],
    "softplus": [[-1.5, 0.5, 2.0], [10.0, -20.0, 21.0], [40.0, -100.0, 300.0], [700.0, -700.0, 0.0], [1000.0, -1000.0, 1e-10], [20.5, 25.0, 36.0]],
    "silu": [[-1.5, 0.5, 2.0], [10.0, -20.0, 37.0], [40.0, -100.0, 300.0], [0.0, -700.0, 1e-10], [1000.0, -1000.0, 1e5]],
    "gelu": [[-1.5, 0.5, 2.0], [-5.0, -8.5, 8.0], [-12.0, -20.0, 15.0], [0.0, 1e-10, -1e-10], [-35.0, 30.0, 1e10]],
    "mish": [[-1.5, 0.5, 2.0], [10.0, -20.0, 37.0], [40.0, -100.0, 0.0], [-700.0, 700.0, 1e-10], [1000.0, -1000.0, 5.0]],
    "relu6": [[-1.5, 0.5, 2.0], [7.0, 5.9, -1e-10]],
    "selu": [[-1.5, 0.5, 2.0], [-1e-10, -40.0, 1e10], [-300.0, 1e-10, 5.0]],
    "celu": [[-1.5, 0.5, 2.0], [-1e-10, -40.0, 1e10], [-700.0, 1e-10, 5.0]],
    "softsign": [[-1.5, 0.5, 2.0], [1e10, -1e10, 1e-10], [1e100, -1e5, 3.0]],
    "hardtanh": [[-1.5, 0.5, 2.0], [-0.9, 0.99, 1e10]],
    "hardsigmoid": [[-1.5, 0.5, 2.0], [-4.0, 4.0, 2.9], [-2.9, 0.0, 1e10]],
    "hardswish": [[-1.5, 0.5, 2.0], [-4.0, 4.0, 2.9], [-2.9, 0.0, 1e10]],
    "tanhshrink": [[-1.5, 0.5, 2.0], [10.0, -20.0, 40.0], [100.0, 3.0, -0.75]],
    "softshrink": [[-1.5, 0.25, 2.0], [0.51, -0.51, 1e10]],
    "hardshrink": [[-1.5, 0.25, 2.0], [0.51, -0.51, 1e10]],
    "quick_gelu": [[-1.5, 0.5, 2.0], [10.0, -20.0, 37.0], [40.0, -100.0, 0.0], [-400.0, 300.0, 1e-10]],
    "ndtr": [[-1.5, 0.5, 2.0], [-5.0, -8.5, 8.0], [-12.0, -20.0, 15.0], [0.0, 1e-10, -1e-10], [-35.0, 30.0, -37.0]],
    "entr": [[0.5, 1.0, 2.0], [1e-10, 1e-300, 1e10]],
    "log1mexp": [[0.5, 1.0, 2.0], [1e-10, 1e-5, 30.0], [0.69, 0.7, 100.0], [700.0, 1e-100, 5.0]],
}
OPTIONS = {
    "leaky_relu": ["negative_slope=0.2", "0.5", "negative_slope=-1.0"], "elu": ["alpha=0.5", "1.7"], "softplus": ["beta=2.0", "0.5", "beta=1, threshold=1"],
    "gelu": ["approximate='tanh'", "'tanh'", "approximate='none'"], "celu": ["alpha=0.5", "2.0"], "hardtanh": ["-0.5, 0.75", "min_val=0, max_val=1"],
    "softshrink": ["0.3", "lambd=1.0"], "hardshrink": ["0.3", "lambd=1.0"],
}
EDGES = [                                      # name, call, x, first derivatives, second (or None)
    ("relu", "relu(x)", [0.0, -0.0], [0, 0], [0, 0]),
    ("relu", "relu(x)", [INF, -INF], [1, 0], [0, 0]),
    ("leaky_relu", "leaky_relu(x)", [0.0, -0.0], [0.01, 0.01], [0, 0]),
    ("leaky_relu", "leaky_relu(x, negative_slope=0.25)", [0.0, 1.0], [0.25, 1], [0, 0]),
    ("elu", "elu(x, alpha=0.5)", [0.0], [0.5], None),
    ("elu", "elu(x)", [0.0, -0.0], [1, 1], None),
    ("elu", "elu(x)", [INF, -INF], [1, 0], None),
    ("celu", "celu(x, alpha=2)", [0.0], [1], None),
    ("selu", "selu(x)", [0.0], [SCALE * ALPHA], None),
    ("sigmoid", "sigmoid(x)", [INF, -INF], [0, 0], [0, 0]),
    ("logsigmoid", "logsigmoid(x)", [INF, -INF], [0, 1], [0, 0]),
    ("softplus", "softplus(x)", [INF, -INF], [1, 0], [0, 0]),
    ("relu6", "relu6(x)", [0.0, 6.0], [0, 0], [0, 0]),
    ("hardtanh", "hardtanh(x)", [-1.0, 1.0], [0, 0], [0, 0]),
    ("hardtanh", "hardtanh(x)", [INF, -INF], [0, 0], [0, 0]),
    ("hardsigmoid", "hardsigmoid(x)", [3.0, -3.0], [0, 0], [0, 0]),
    ("softshrink", "softshrink(x)", [0.5, -0.5, 0.0], [0, 0, 0], [0, 0, 0]),
    ("hardshrink", "hardshrink(x)", [0.5, -0.5, 0.0], [0, 0, 0], [0, 0, 0]),
    ("softsign", "softsign(x)", [0.0], [1], None),
    ("entr", "entr(x)", [0.0], [INF], None),
    ("ndtr", "ndtr(x)", [INF, -INF], [0, 0], None),
    ("threshold", "threshold(x, 0.5, 2.0)", [0.5], [0], [0]),
    ("nan_to_num", "nan_to_num(x)", [NAN, INF, -INF, 1.5], [0, 0, 0, 1], [0, 0, 0, 0]),
    ("nan_to_num", "nan_to_num(x, nan=2.5, posinf=7.0, neginf=-1)", [NAN, INF, -INF, 1.5], [0, 0, 0, 1], [0, 0, 0, 0]),
    ("nan_to_num", "nan_to_num(x, 1.0)", [NAN, 0.5], [0, 1], [0, 0]),
    ("nan_to_num", "nan_to_num(x, posinf=3)", [INF, 0.5], [0, 1], [0, 0]),
]


def points():
    for name, rows in ROWS.items():
        lo, hi = (0.2, 2.0) if name in ("entr", "log1mexp") else (-2.0, 2.0)
        for row in rows:
            point(name, f"{name}(x)", x=row)
        for words in OPTIONS.get(name, []):
            point(name, f"{name}(x, {words})", x=[-1.3, 0.2, 1.7])
        point(name, f"{name}(x)", x=0.625)
        point(name, f"{name}(input=x)", x=R(2, 2, lo=lo, hi=hi), ct="ones")
        point(name, f"{name}(x)", x=F32(R(3, lo=lo, hi=hi)))
        point(name, f"{name}(x)", x=E(0, 2))
    for name, call, x, d, d2 in EDGES:
        point(name, call, d={"x": d}, d2={"x,x": d2} if d2 else None, x=x)
    for words in ("0.5, 2.0", "threshold=0.1, value=-1.0", "-1.0, 20.0"):
        point("threshold", f"threshold(x, {words})", x=[-1.5, 0.25, 2.0])
    point("threshold", "threshold(x, 0, 0)", x=F32(R(3)))
    point("threshold", "threshold(x, 0, 1)", x=R(2, 2))
    point("threshold", "threshold(x, 0, 1)", x=E(0))
    point("nan_to_num", "nan_to_num(x)", x=R(2, 2))
    point("nan_to_num", "nan_to_num(x)", x=F32([1.5, 0.25]))
    point("relu", "relu(x)", want=["value"], x=[NAN])
    point("sigmoid", "special.expit(x)", x=R(2))
    point("silu", "swish(x)", x=R(2))
    point("ndtr", "special.ndtr(x)", x=R(2))
    point("entr", "entr(x)", want=["value"], x=[-1.0, 0.0])
    # prelu
    point("prelu", "prelu(x, w)", x=[-1.5, 0.5, -2.0], w=[0.25])
    point("prelu", "prelu(x, w)", x=R(2, 3), w=[0.25, 0.5, -0.1])
    point("prelu", "prelu(x, w)", x=R(1, 2, 2), w=[0.25, 0.5])
    point("prelu", "prelu(x, w)", x=[0.0, 0.0], w=[0.25], is_={"vjp": {"x": [0.25, 0.5], "w": [0]}, "jvp": [[0.5, 0.75]]}, ct=[[1.0, 2.0]],
          tan={"x": [2.0, 3.0], "w": [5.0]})
    point("prelu", "prelu(input=x, weight=w)", x=F32(R(3)), w=F32([0.25]))
    point("prelu", "prelu(x, w)", x=E(0, 2), w=[0.25])
    # softmax family
    for name in ("softmax", "log_softmax", "softmin"):
        point(name, f"{name}(x, dim=-1)", x=R(2, 3))
        point(name, f"{name}(x, axis=0)", x=R(2, 3))
        point(name, f"{name}(x, 1)", x=R(2, 2, 1))
        point(name, f"{name}(x, dim=1)", x=R(1, 3), ct="ones")
        point(name, f"{name}(x, 0)", x=R(1))
        point(name, f"{name}(x, 0)", x=[1000.0, 1001.0, 999.0])
        point(name, f"{name}(x, 0)", x=[0.0, 50.0, -700.0], atol=1e-16)
        point(name, f"{name}(x, 0)", x=[-1000.0, 0.0, 1000.0], atol=1e-16, want=["value", "vjp", "jvp"])
        point(name, f"{name}(x, 0)", x=[0.0, 0.0, 0.0, 0.0])
        point(name, f"{name}(x, 0)", is_={"value": [[NAN, NAN]]}, want=["value"], x=[-INF, -INF] if name != "softmin" else [INF, INF])
        point(name, f"{name}(x, dim=-1)", x=F32(R(2, 3)))
        point(name, f"{name}(x, -1)", x=E(0, 2))
        point(name, f"{name}(x, dim=0)", x=1.5)
    point("softmax", "softmax(x, 0)", is_={"value": [[0.5, 0.5, 0.0]], "vjp": {"x": [-0.25, 0.25, 0]}}, ct=[[1.0, 2.0, 5.0]], x=[1.0, 1.0, -INF])
    point("log_softmax", "log_softmax(x, 0)", want=["value"], x=[0.0, -INF, 1.0])
    point("log_softmax", "log_softmax(x, 0)", x=[1e10, 1e10, 1e10 - 3], atol=1e-15)
    for name in ("glu", "swiglu"):
        point(name, f"{name}(x)", x=R(4))
        point(name, f"{name}(x, dim=0)", x=R(2, 2))
        point(name, f"{name}(x, -1)" if name == "glu" else f"{name}(x, axis=-1)", x=R(2, 4))
        point(name, f"{name}(x)", x=[1.5, -40.0, 100.0, 60.0] if name == "glu" else [100.0, -40.0, 1.5, 60.0], atol=0.0)
        point(name, f"{name}(input=x, axis=1)", x=F32(R(1, 2)))
        point(name, f"{name}(x)", x=[0.0, 0.0])
        point(name, f"{name}(x)", x=E(0, 2))
    point("swiglu", "swiglu(x, y)", x=R(2), y=R(2))
    point("maxout", "maxout(x, 2)", x=R(2, 4))
    point("maxout", "maxout(x, 2, dim=0)", x=R(4))
    point("maxout", "maxout(x, groups=3, dim=-1)", x=R(1, 6))
    point("maxout", "maxout(x, 1, 0)", x=R(2))
    point("maxout", "maxout(x, 2, axis=1)", x=F32(R(1, 4)))
    point("maxout", "maxout(x, 2, 1)", x=R(1, 4, 2))
    point("maxout", "maxout(x, 2, 0)", alt="(x[0:1] + x[1:2]) / 2", x=[1.5, 1.5])
