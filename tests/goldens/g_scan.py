"""Scans and sorting."""
import math

import mpmath
import numpy as np
from mpmath import mpf

from core import A, E, F32, I, R, along, op, point, wrap
from g_binary import keep_int, logaddexp
from g_reduce import order

INF, NAN = math.inf, math.nan


def running(f):
    def row(vs):
        out = []
        for v in vs:
            out.append(v if not out else f(out[-1], v))
        return out
    return row


op("cumsum")(lambda input, dim: keep_int(along(running(lambda a, b: a + b), A(input), dim), input))
op("cumprod")(lambda input, dim: keep_int(along(running(lambda a, b: a * b), A(input), dim), input))
op("logcumsumexp")(lambda input, dim: along(running(logaddexp), A(input), dim))


def extreme_scan(better):
    def row(vs):
        values, indices = [], []
        for k, v in enumerate(vs):
            if not values or better(v, values[-1]):
                values.append(v)
                indices.append(k)
            else:
                values.append(values[-1])
                indices.append(indices[-1])
        return values, indices
    return lambda input, dim: along(row, A(input), dim)


op("cummax")(extreme_scan(lambda a, b: a >= b or mpmath.isnan(a)))
op("cummin")(extreme_scan(lambda a, b: a <= b or mpmath.isnan(a)))


@op("linear_scan")
def linear_scan(a, b, s0=0, dim=-1, reverse=False):
    a, b = np.moveaxis(A(a), dim, 0), np.moveaxis(A(b), dim, 0)
    s = np.broadcast_to(A(s0), b.shape[1:])
    out = np.empty(b.shape, dtype=object)
    for k in (reversed(range(len(b))) if reverse else range(len(b))):
        s = a[k] * s + b[k]
        out[k] = s
    return np.moveaxis(out, 0, dim)


def ranking(vs, descending):
    if not descending:
        return order(vs)
    return sorted(range(len(vs)), key=lambda i: (not mpmath.isnan(vs[i]), -vs[i] if not mpmath.isnan(vs[i]) else 0, i))


def sorted_row(descending, k=None):
    def row(vs):
        r = ranking(vs, descending)[:k]
        return [vs[i] for i in r], r
    return row


def integer_values(pair, input):
    return keep_int(pair[0], input), pair[1]


op("sort")(lambda input, dim=-1, descending=False, stable=False: integer_values(along(sorted_row(descending), A(input), dim), input))
op("argsort")(lambda input, dim=-1, descending=False, stable=False: along(sorted_row(descending), A(input), dim)[1])
op("topk")(lambda input, k, dim=-1, largest=True, sorted=True: integer_values(along(sorted_row(largest, k), A(input), dim), input))


def points():
    p = point
    for name in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"):
        p(name, f"{name}(x, 0)", x=R(4))
        p(name, f"{name}(x, dim=1)", x=R(2, 3))
        p(name, f"{name}(x, dim=-1)", x=R(1, 2, 2))
        p(name, f"{name}(x, axis=0)", x=R(2, 2))
        p(name, f"{name}(x, 0)", x=R(1))
        p(name, f"{name}(x, 0)", x=1.5)
        p(name, f"{name}(x, 0)", x=F32(R(3)))
        p(name, f"{name}(x, 0)", x=E(0, 2))
    p("cumsum", "cumsum(n, 0)", n=I([1, 2, 3]))
    p("cumsum", "cumsum(x, 0)", x=[1e10, 1.0, -1e-10], ct="ones")
    for row in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0, 2.0], [1.5, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0]):
        p("cumprod", "cumprod(x, 0)", x=row)
    p("cumprod", "cumprod(x, dim=1)", x=[[0.0, 2.0], [3.0, 0.0]])
    p("cumprod", "cumprod(n, 0)", n=I([2, -3, 4]))
    p("logcumsumexp", "logcumsumexp(x, 0)", x=[1000.0, 1001.0, 900.0])
    p("logcumsumexp", "logcumsumexp(x, 0)", x=[-1000.0, 0.0, 5.0, -3.0])
    p("logcumsumexp", "logcumsumexp(x, 0)", is_={"vjp": {"x": [0, 3.0]}, "jvp": [[0, 2.0]]}, ct=[[5.0, 3.0]], tan={"x": [1.0, 2.0]}, x=[-INF, 0.5])
    p("logcumsumexp", "logcumsumexp(x, 0)", is_={"vjp": {"x": [0, 0]}, "jvp": [[0, 0]]}, x=[-INF, -INF])
    p("cummax", "cummax(x, 0)", x=[1.0, 1.0, 0.5], alt="index(x, [[0, 1, 1]])")
    p("cummax", "cummax(x, dim=0)", x=[2.0, 2.0, 3.0, 3.0], alt="index(x, [[0, 1, 2, 3]])")
    p("cummin", "cummin(x, 0)", x=[1.0, 1.0, 2.5], alt="index(x, [[0, 1, 1]])")
    p("cummin", "cummin(x, dim=0)", x=[-2.0, -2.0, -3.0, -3.0], alt="index(x, [[0, 1, 2, 3]])")
    name = "linear_scan"
    p(name, "linear_scan(a, b, s)", a=R(3), b=R(3), s=0.75)
    p(name, "linear_scan(a, b, s)", a=R(1), b=R(1), s=0.75)
    p(name, "linear_scan(a, b, 0)", a=R(3), b=R(3))
    p(name, "linear_scan(a, b, s)", a=[0.0, 2.0, 0.0, 1.5], b=[1.0, 0.0, 2.0, -1.0], s=2.0)
    p(name, "linear_scan(a, b, s, reverse=True)", a=R(3), b=R(3), s=0.75)
    p(name, "linear_scan(a, b, s)", a=F32(R(2)), b=F32(R(2)), s=F32(0.5))
    for name in ("sort", "topk"):
        k = "" if name == "sort" else ", 2"
        p(name, f"{name}(x{k})", x=R(4))
        p(name, f"{name}(x{k}, dim=0)", x=R(3, 2))
        p(name, f"{name}(x{k}, -1)", x=R(2, 3))
        down = "descending=True" if name == "sort" else "largest=False"
        p(name, f"{name}(x{k}, {down})", x=R(4))
        p(name, f"{name}(x{k}, axis=1, {down})", x=R(2, 3))
        p(name, f"{name}(x{k})", x=F32(R(3)))
        p(name, f"{name}(n{k})", n=I([3, 1, 2]))
        alt_up = "index(x, [[1, 3, 0, 2]])" if name == "sort" else "index(x, [[0, 2]])"
        p(name, f"{name}(x{k})", x=[2.0, 1.0, 2.0, 1.0], alt=alt_up)
    p("sort", "sort(x, descending=True, stable=True)", x=[2.0, 1.0, 2.0, 1.0], alt="index(x, [[0, 2, 1, 3]])")
    p("sort", "sort(x, 0)", x=E(0, 2))
    p("sort", "sort(x)", x=1.5)
    p("sort", "sort(x)", want=["value"], x=[NAN, 1.0, INF, -INF, 0.0])
    p("topk", "topk(x, 1)", x=R(3))
    p("topk", "topk(x, k=3, dim=0, largest=True, sorted=True)", x=R(3))
    p("topk", "topk(x, 0)", want=["value"], x=R(3))
    p("argsort", "argsort(x)", x=R(4))
    p("argsort", "argsort(x, dim=0)", x=R(3, 2))
    p("argsort", "argsort(x, -1, descending=True)", x=R(2, 3))
    p("argsort", "argsort(x, stable=True)", x=[2.0, 1.0, 2.0, 1.0])
    p("argsort", "argsort(x, descending=True, stable=True)", x=[2.0, 1.0, 2.0, 1.0])
    p("argsort", "argsort(n)", n=I([3, 1, 2, 1]))
    p("argsort", "argsort(x)", x=[NAN, 1.0, INF, -INF])
    p("argsort", "argsort(x)", x=1.5)
    p("argsort", "argsort(x, axis=0)", x=F32(R(3)))
    p("argsort", "index_select(x, 0, argsort(x))", x=R(3))
