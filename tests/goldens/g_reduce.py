"""Reductions: sums, products, extrema, norms, order statistics."""
import math

import mpmath
import numpy as np
from mpmath import mpf

from core import A, B, E, F32, I, R, along, axes_of, op, point, reduce, wrap
from g_binary import keep_int, power

INF, NAN = math.inf, math.nan


def is_int(x):
    return isinstance(x, np.ndarray) and x.dtype.kind in "ib"


def total(vs):
    return mpmath.fsum(vs) if all(mpmath.isfinite(v) for v in vs) else sum(vs, mpf(0))


def product(vs):
    out = mpf(1)
    for v in vs:
        out *= v
    return out


@op("sum")
def sum_(input, dim=None, keepdim=False):
    return keep_int(reduce(total, A(input), dim, keepdim), input)


@op("mean")
def mean(input, dim=None, keepdim=False):
    return reduce(lambda vs: total(vs) / len(vs) if vs else mpf("nan"), A(input), dim, keepdim)


@op("prod")
def prod(input, dim=None, keepdim=False):
    return keep_int(reduce(product, A(input), dim, keepdim), input)


@op("nansum")
def nansum(input, dim=None, keepdim=False):
    return reduce(lambda vs: total([v for v in vs if not mpmath.isnan(v)]), A(input), dim, keepdim)


def extreme(better):
    def pick(vs):
        best = vs[0]
        for v in vs[1:]:
            if mpmath.isnan(best):
                return best
            if mpmath.isnan(v) or better(v, best):
                best = v
        return best
    return pick


def first_index(better):
    def pick(vs):
        best = 0
        for i, v in enumerate(vs):
            if mpmath.isnan(vs[best]):
                break
            if mpmath.isnan(v) or better(v, vs[best]):
                best = i
        return best
    return pick


greatest, least = extreme(lambda a, b: a > b), extreme(lambda a, b: a < b)


@op("amax")
def amax(input, dim=(), keepdim=False):
    return keep_int(reduce(greatest, A(input), dim, keepdim), input)


@op("amin")
def amin(input, dim=(), keepdim=False):
    return keep_int(reduce(least, A(input), dim, keepdim), input)


@op("argmax")
def argmax(input, dim=None, keepdim=False):
    return reduce(first_index(lambda a, b: a > b), A(input), dim, keepdim, np.int64)


@op("argmin")
def argmin(input, dim=None, keepdim=False):
    return reduce(first_index(lambda a, b: a < b), A(input), dim, keepdim, np.int64)


def with_indices(values, indices):
    def both(input, dim=None, keepdim=False):
        if dim is None:
            return values(input)
        if isinstance(dim, np.ndarray) and (dim.dtype == object or dim.ndim):
            from core import OPS
            return OPS["maximum" if values is amax else "minimum"](input, dim)
        return values(input, dim, keepdim), indices(input, dim, keepdim)
    return both


op("max", "max_with_indices")(with_indices(amax, argmax))
op("min")(with_indices(amin, argmin))


@op("var")
def var(input, dim=None, correction=1, keepdim=False):
    def f(vs):
        n = len(vs)
        m = mpmath.fsum(vs) / n
        s = mpmath.fsum((v - m) ** 2 for v in vs)
        return s / (n - correction) if n > correction else mpf("nan")
    return reduce(f, A(input), dim, keepdim)


@op("std")
def std(input, dim=None, correction=1, keepdim=False):
    v = var(input, dim, correction, keepdim)
    out = np.empty(v.shape, dtype=object)
    for i in np.ndindex(v.shape):
        out[i] = mpmath.sqrt(v[i])
    return out


def lse(vs):
    m = greatest(vs)
    return m if mpmath.isinf(m) or mpmath.isnan(m) else m + mpmath.log(mpmath.fsum(mpmath.exp(v - m) for v in vs))


@op("logsumexp")
def logsumexp(input, dim, keepdim=False):
    return reduce(lse, A(input), dim, keepdim)


@op("logmeanexp")
def logmeanexp(input, dim, keepdim=False):
    return reduce(lambda vs: lse(vs) - mpmath.log(len(vs)), A(input), dim, keepdim)


def norm(vs, p):
    sizes = [abs(v) for v in vs]
    if p == INF:
        return greatest(sizes)
    if p == -INF:
        return least(sizes)
    if p == 0:
        return mpf(sum(1 for v in sizes if v != 0))
    if p == 2:
        return mpmath.sqrt(mpmath.fsum(v * v for v in vs))
    if p == 1:
        return mpmath.fsum(sizes)
    return power(mpmath.fsum(power(v, mpf(p)) for v in sizes), 1 / mpf(p))


@op("vector_norm")
def vector_norm(x, ord=2, dim=None, keepdim=False):
    return reduce(lambda vs: norm(vs, ord), A(x), dim, keepdim)


@op("all")
def all_(input, dim=None, keepdim=False):
    return reduce(lambda vs: all(v != 0 for v in vs), A(input), dim, keepdim, bool)


@op("any")
def any_(input, dim=None, keepdim=False):
    return reduce(lambda vs: any(v != 0 for v in vs), A(input), dim, keepdim, bool)


def order(vs):
    """Stable ascending order, NaN last."""
    return sorted(range(len(vs)), key=lambda i: (bool(mpmath.isnan(vs[i])), vs[i] if not mpmath.isnan(vs[i]) else 0, i))


def kth(input, k, dim, keepdim):
    x = wrap(A(input))
    value, index = along(lambda vs: ([vs[order(vs)[k(len(vs))]]], [order(vs)[k(len(vs))]]), x, dim)
    if x.ndim and not keepdim:
        value, index = value.squeeze(dim), np.asarray(index).squeeze(dim)
    return keep_int(wrap(value), input), np.asarray(index)


@op("median")
def median(input, dim=None, keepdim=False):
    if dim is None:
        return kth(A(input).reshape(-1), lambda n: (n - 1) // 2, 0, False)[0]
    return kth(input, lambda n: (n - 1) // 2, dim, keepdim)


@op("kthvalue")
def kthvalue(input, k, dim=-1, keepdim=False):
    return kth(input, lambda n: k - 1, dim, keepdim)


@op("trace")
def trace(input):
    return wrap(mpmath.fsum(input[i, i] for i in range(min(input.shape))))


def common(name, lo=-2.0, hi=2.0, zero_size=True):
    draw = lambda *s: R(*s, lo=lo, hi=hi)
    call = (lambda tail: f"{name}(x{tail})") if name not in ("logsumexp", "logmeanexp") else \
        (lambda tail: f"{name}(x{tail})" if "dim" in tail or "axis" in tail or tail.startswith(", ") and tail[2] in "-0123456789[" else
         f"{name}(x, dim=None{tail})" if tail else f"{name}(x, dim=[0, 1])")
    point(name, call(""), x=draw(2, 3))
    point(name, call(", dim=0"), x=draw(2, 3))
    point(name, call(", dim=-1"), x=draw(2, 3))
    point(name, call(", axis=1, keepdims=True"), x=draw(2, 3))
    point(name, call(", dim=[0, 2]"), x=draw(2, 2, 2))
    point(name, call(", dim=[-1, -2], keepdim=True"), x=draw(2, 2, 2))
    point(name, call(", 1"), x=draw(2, 2), ct="ones")
    point(name, call(", dim=0"), x=draw(4))
    point(name, call(", dim=-1"), x=F32(draw(2, 3)))
    if name not in ("var", "std"):
        point(name, call(", dim=1"), x=draw(3, 1))
        point(name, call(", dim=0"), x=F32(draw(3)))
    if zero_size:
        point(name, call(", dim=1"), x=E(0, 2))


def sum_points():
    common("sum")
    point("sum", "sum(x)", x=1.5)
    point("sum", "sum(x, dim=0)", x=E(0, 2))
    point("sum", "sum(x)", x=E(0))
    point("sum", "sum(x, dim=[])", x=R(2, 2))
    point("sum", "sum(n)", n=I([[1, 2], [3, -4]]))
    point("sum", "sum(b, dim=0)", b=B([[True, False], [True, True]]))
    point("sum", "sum(x)", x=[1e16, 1.0, -1e16], atol={"value": 4.0}, want=["value", "vjp"])
    point("sum", "sum(x)", d=None, is_={"vjp": {"x": [1, 1]}}, ct="ones", x=[INF, 1.0])
    point("sum", "sum(x)", want=["value"], x=[INF, -INF])
    common("mean")
    point("mean", "mean(x)", x=-2.5)
    point("mean", "mean(x)", want=["value"], x=E(0))
    point("mean", "mean(x, dim=0)", x=[[1e300, 1.0], [1e300, 3.0]])
    common("nansum")
    point("nansum", "nansum(x)", is_={"vjp": {"x": [1, 0, 1]}, "jvp": [[4.0]], "hvp": {"x": [0, 0, 0]}}, ct="ones", tan={"x": [1.5, 7.0, 2.5]},
          x=[1.5, NAN, 2.0])
    point("nansum", "nansum(x, dim=1)", is_={"vjp": {"x": [0.5, 0, 0, 0]}}, ct=[[0.5, 2.0]], x=[[1.5, NAN], [NAN, NAN]])


def prod_points():
    common("prod", lo=0.4, hi=2.0)
    draw = lambda n: R(n)
    point("prod", "prod(x)", x=[2.0, 0.0, -3.0, 1.5])
    point("prod", "prod(x)", x=[0.0, 0.0, -3.0, 1.5])
    point("prod", "prod(x)", x=[0.0, 0.0, 0.0])
    point("prod", "prod(x, dim=1)", x=[[2.0, 0.0], [0.0, 0.0], [3.0, -1.0]])
    point("prod", "prod(x)", x=1.5)
    point("prod", "prod(x, dim=0)", x=E(0, 2))
    point("prod", "prod(x, dim=0, keepdim=True)", x=[[0.0, 1.0], [2.0, 0.0]])
    point("prod", "prod(n)", n=I([2, -3, 4]))
    point("prod", "prod(x)", x=[1e200, 1e-200, 3.0], atol=0.0)


def extreme_points():
    for name in ("amax", "amin"):
        common(name)
        s = 1.0 if name == "amax" else -1.0
        point(name, f"{name}(x)", x=1.5)
        point(name, f"{name}(x)", alt="(x[1] + x[2]) / 2", x=[1.0 * s, 3.0 * s, 3.0 * s])
        point(name, f"{name}(x)", alt="(x[0] + x[1] + x[2]) / 3", x=[0.5, 0.5, 0.5])
        point(name, f"{name}(x, dim=1)", alt="sum(x, dim=1) / 2", x=[[1.0, 1.0], [-2.0, -2.0]])
        point(name, f"{name}(x, dim=0, keepdim=True)", alt="sum(x, dim=0, keepdim=True) / 2", x=[[1.0, -3.0], [1.0, -3.0]])
        point(name, f"{name}(x)", alt="x[0]", x=[INF * s, 1.0], want=["value"])
        point(name, f"{name}(x)", want=["value"], x=[NAN, 1.0])
        point(name, f"{name}(n, dim=0)", n=I([[1, 5], [3, 2]]))
        point(name, f"{name}(x * x)", x=[1.0, -3.0, 0.5])
    for name in ("argmax", "argmin"):
        point(name, f"{name}(x)", x=R(2, 3))
        point(name, f"{name}(x, dim=0)", x=R(2, 3))
        point(name, f"{name}(x, axis=-1, keepdims=True)", x=R(2, 3))
        point(name, f"{name}(x, 1)", x=[[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
        point(name, f"{name}(x)", x=[1.0, NAN, 3.0, NAN, -1.0])
        point(name, f"{name}(x)", x=[INF, -INF, INF, -INF])
        point(name, f"{name}(n)", n=I([3, 1, 3, 1]))
        point(name, f"{name}(x)", x=1.5)
        point(name, f"{name}(x, dim=1)", x=F32(R(2, 3)))
    for name in ("max", "min"):
        s = 1.0 if name == "max" else -1.0
        point(name, f"{name}(x)", x=R(2, 3))
        point(name, f"{name}(x)", alt="(x[1] + x[2]) / 2", x=[1.0 * s, 3.0 * s, 3.0 * s])
        point(name, f"{name}(x, dim=1)", x=R(2, 3))
        point(name, f"{name}(x, -1, True)", x=R(2, 3))
        point(name, f"{name}(x, dim=0, keepdim=True)", x=R(2, 3))
        point(name, f"{name}(x, 0)", alt="x[0]", x=[2.0, 2.0, 2.0])
        point(name, f"{name}(x, dim=1)", alt="select(x, 1, 1)", x=[[1.0 * s, 3.0 * s, 3.0 * s], [-1.0 * s, 0.5 * s, 0.5 * s]])
        point(name, f"{name}(x, y)", x=R(3), y=R(3))
        point(name, f"{name}(x, y)", alt="(x + y) / 2", x=[1.5], y=[1.5])
        point(name, f"{name}(x)", x=F32(R(3)))
        point(name, f"{name}(n)", n=I([3, 1, 2]))
        point(name, f"{name}(x, 0)", want=["value"], x=[1.0, NAN, NAN])
    point("max_with_indices", "max_with_indices(x, dim=1)", x=R(2, 3))
    point("max_with_indices", "max_with_indices(x, 0)", x=R(2, 3))
    point("max_with_indices", "max_with_indices(x, dim=0, keepdim=True)", x=R(3, 2))
    point("max_with_indices", "max_with_indices(x, dim=0)", alt="x[0]", x=[2.0, 2.0, 2.0])
    point("max_with_indices", "max_with_indices(x, -1)", alt="select(x, 1, 1)", x=[[1.0, 3.0, 3.0], [-1.0, 0.5, 0.5]])
    point("max_with_indices", "max_with_indices(x, dim=1)", x=F32(R(2, 2)))
    point("max_with_indices", "max_with_indices(n, dim=0)", n=I([4, 9, 9]))


def var_points():
    for name in ("var", "std"):
        common(name, zero_size=True)
        point(name, f"{name}(x, correction=0)", x=R(5))
        point(name, f"{name}(x, dim=1, correction=2)", x=R(2, 4))
        point(name, f"{name}(x, dim=0, correction=0, keepdim=True)", x=R(3, 2))
        point(name, f"{name}(x)", x=[100000001.0, 100000002.0, 100000006.0], atol=4e-15)
        point(name, f"{name}(x)", want=["value"], x=[[1.5]])
        point(name, f"{name}(x)", is_={"value": [[NAN]], "vjp": {"x": [NAN]}}, x=1.5)
        point(name, f"{name}(x, correction=0)", is_={"value": [[0.0]], "vjp": {"x": [0.0]}, "jvp": [[0.0]]}, x=1.5)
    point("var", "var(x)", x=[2.0, 2.0, 2.0])
    point("std", "std(x)", is_={"vjp": {"x": [0, 0, 0]}, "jvp": [[0]]}, x=[2.0, 2.0, 2.0])
    point("std", "std(x, dim=1, correction=0)", is_={"vjp": {"x": [0, 0, 1.0, -1.0]}, "jvp": [[0, 3.0]]}, ct=[[1.0, 2.0]],
          tan={"x": [1.0, 2.0, 5.0, -1.0]}, x=[[0.5, 0.5], [3.0, 1.0]])
    point("std", "std(x)", x=[1e100, 3e100, 7e100], want=["value", "vjp"])
    point("var", "var(x)", x=[1e-100, 3e-100, 7e-100], want=["value", "vjp"])


def lse_points():
    for name in ("logsumexp", "logmeanexp"):
        common(name, zero_size=True)
        point(name, f"{name}(x, 0)", x=[1000.0, 1001.0, 999.5])
        point(name, f"{name}(x, 0)", x=[-1000.0, -1001.0, -999.5])
        point(name, f"{name}(x, 0)", x=[0.0, -50.0, -300.0], atol={"value": 0 if name == "logsumexp" else 1e-16, "vjp": 0, "jvp": 1e-16, "hvp": 1e-16})
        point(name, f"{name}(x, dim=0)", x=1.5)
        point(name, f"{name}(x, dim=-1)", is_={"vjp": {"x": [0, 0]}, "jvp": [[0]], "hvp": {"x": [0, 0]}}, x=[-INF, -INF])
        point(name, f"{name}(x, 0)", alt="x[1] + 0 * x[0]", x=[-INF, 2.0], want=["value", "vjp", "jvp"], is_={"vjp": {"x": [0, 1]}, "jvp": [[0.75]]},
              ct="ones", tan={"x": [1.0, 0.75]})
        point(name, f"{name}(x, 0)", want=["value"], x=[INF, 0.0])
        point(name, f"{name}(x, 0)", want=["value"], x=[NAN, 0.0])
        point(name, f"{name}(x, 0)", x=[0.0, 0.0, 0.0])
    point("logsumexp", "logsumexp(n, 0)", n=I([1, 2, 3]))


def norm_points():
    name = "vector_norm"
    common(name)
    point(name, "linalg.vector_norm(x)", x=R(3))
    for p in ("1", "3", "0.5", "2.5", "-1", "-2", "inf", "-inf", "0"):
        point(name, f"vector_norm(x, {p})", x=R(4, lo=0.5, hi=2))
        point(name, f"vector_norm(x, ord={p}, dim=1)", x=[[1.5, -0.25], [-3.0, 0.75]])
    point(name, "vector_norm(x)", is_={"vjp": {"x": [0, 0]}, "jvp": [[0]]}, x=[0.0, 0.0])
    point(name, "vector_norm(x, dim=1)", is_={"vjp": {"x": [0, 0, 0.6, 0.8]}, "jvp": [[0, 1.4]]}, ct="ones", tan={"x": [1.0, 1.0, 1.0, 1.0]},
          x=[[0.0, 0.0], [3.0, 4.0]])
    point(name, "vector_norm(x, 1)", alt="x[0] - x[2]", x=[1.5, 0.0, -2.0])
    point(name, "vector_norm(x, inf)", alt="(x[0] - x[1]) / 2", x=[3.0, -3.0, 1.0])
    point(name, "vector_norm(x, -inf)", alt="(x[0] - x[1]) / 2", x=[1.0, -1.0, 3.0])
    point(name, "vector_norm(x, inf)", alt="0 * x[0]", x=[0.0, 0.0])
    point(name, "vector_norm(x, 3)", is_={"vjp": {"x": [0, 0]}, "jvp": [[0]]}, x=[0.0, 0.0])
    point(name, "vector_norm(x, 1)", alt="0 * x[0]", x=[0.0, 0.0])
    point(name, "vector_norm(x)", x=[3e155, 4e155], want=["value", "vjp", "jvp"])
    point(name, "vector_norm(x)", x=[3e-200, -4e-200], want=["value", "vjp", "jvp"])
    point(name, "vector_norm(x, 3)", x=[3.0, 0.0, 4.0], want=["value", "vjp", "jvp"])
    point(name, "vector_norm(x)", x=-1.5)
    point(name, "vector_norm(x, 2)", x=[3e150, 1e140, -4e150], want=["value", "vjp"])


def logic_points():
    for name in ("all", "any"):
        point(name, f"{name}(b)", b=B([[True, False], [True, True]]))
        point(name, f"{name}(b, dim=1)", b=B([[True, False], [True, True], [False, False]]))
        point(name, f"{name}(b, axis=0, keepdims=True)", b=B([[True, False], [True, False]]))
        point(name, f"{name}(x)", x=[0.0, 1.0, NAN])
        point(name, f"{name}(x > 0, -1)", x=R(3, 2))
        point(name, f"{name}(n)", n=I([1, 2, 3]))
        point(name, f"{name}(b)", b=B(np.zeros(0)))
        point(name, f"{name}(b)", b=B(False))


def order_points():
    point("median", "median(x)", x=[3.0, 1.0, 2.0])
    point("median", "median(x)", x=[3.0, 1.0, 2.0, 4.0])
    point("median", "median(x)", x=R(3, 3))
    point("median", "median(x, 0)", x=R(3, 2))
    point("median", "median(x, dim=-1, keepdim=True)", x=R(2, 4))
    point("median", "median(x)", x=1.5)
    point("median", "median(x)", want=["value"], x=[2.0, 2.0, 2.0, 1.0])
    point("median", "median(x, dim=1)", x=F32(R(2, 3)))
    point("kthvalue", "kthvalue(x, 1)", x=R(4))
    point("kthvalue", "kthvalue(x, 2)", x=R(2, 3))
    point("kthvalue", "kthvalue(x, 2, dim=0)", x=R(3, 2))
    point("kthvalue", "kthvalue(x, k=3, dim=1, keepdim=True)", x=R(2, 3))
    point("kthvalue", "kthvalue(x, 1, 0)", x=[1.5])
    point("kthvalue", "kthvalue(x, 3)", x=F32(R(3)))
    point("kthvalue", "kthvalue(n, 2)", want=["value"], n=I([5, 1, 3]))
    for shape in ((2, 2), (3, 3), (2, 3), (3, 2), (1, 1)):
        point("trace", "trace(x)", x=R(*shape))
    point("trace", "trace(x @ x)", x=R(2, 2))
    point("trace", "trace(input=x)", x=F32(R(2, 2)))
    point("trace", "trace(x)", x=E(0, 0))


def points():
    for f in (sum_points, prod_points, extreme_points, var_points, lse_points, norm_points, logic_points, order_points):
        f()
