"""Normalisations and dropout."""
import math

import mpmath
import numpy as np
from mpmath import mpf

from core import A, E, F32, R, op, point, wrap
from g_reduce import norm

INF, NAN = math.inf, math.nan


def standard(vs, eps):
    n = len(vs)
    m = mpmath.fsum(vs) / n
    s = mpmath.fsum((v - m) ** 2 for v in vs) / n
    return [(v - m) / mpmath.sqrt(s + mpf(eps)) for v in vs]


def groupwise(x, axes, f):
    """Apply f to the list of elements of every slice along axes."""
    x = A(x)
    keep = [a for a in range(x.ndim) if a not in axes]
    y = x.transpose(keep + list(axes))
    lead = y.shape[:len(keep)]
    flat = y.reshape(lead + (int(np.prod(y.shape[len(keep):])),)).copy()
    for i in np.ndindex(lead):
        flat[i] = f(list(flat[i]))
    return flat.reshape(y.shape).transpose(np.argsort(keep + list(axes)))


def affine(y, weight, bias):
    y = y if weight is None else y * A(weight)
    return y if bias is None else y + A(bias)


def channels(w, ndim):
    return None if w is None else A(w).reshape([1, -1] + [1] * (ndim - 2))


@op("layer_norm")
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    x = A(input)
    k = len(normalized_shape)
    return affine(groupwise(x, list(range(x.ndim - k, x.ndim)), lambda vs: standard(vs, eps)), weight, bias)


@op("rms_norm")
def rms_norm(input, normalized_shape, weight=None, eps=None):
    x = A(input)
    eps = 2.220446049250313e-16 if eps is None else eps
    def f(vs):
        r = mpmath.sqrt(mpmath.fsum(v * v for v in vs) / len(vs) + mpf(eps))
        return [v / r for v in vs]
    return affine(groupwise(x, list(range(x.ndim - len(normalized_shape), x.ndim)), f), weight, None)


@op("batch_norm")
def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    x = A(input)
    if training:
        y = groupwise(x, [a for a in range(x.ndim) if a != 1], lambda vs: standard(vs, eps))
    else:
        m, v = channels(running_mean, x.ndim), channels(running_var, x.ndim)
        y = np.broadcast_arrays(x - m, x)[0] / (v + mpf(eps)) ** mpf("0.5")
    return affine(y, channels(weight, x.ndim), channels(bias, x.ndim))


@op("group_norm")
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    x = A(input)
    g = x.reshape((x.shape[0], num_groups, -1))
    y = groupwise(g, [2], lambda vs: standard(vs, eps)).reshape(x.shape)
    return affine(y, channels(weight, x.ndim), channels(bias, x.ndim))


@op("instance_norm")
def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    x = A(input)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return affine(groupwise(x, list(range(2, x.ndim)), lambda vs: standard(vs, eps)), channels(weight, x.ndim), channels(bias, x.ndim))


@op("normalize")
def normalize(input, p=2.0, dim=1, eps=1e-12):
    def f(vs):
        size = max(norm(vs, p), mpf(eps))
        return [v / size for v in vs]
    x = A(input)
    return groupwise(x, [dim % x.ndim], f)


@op("dropout")
def dropout(input, p=0.5, training=True):
    assert p in (0, 1) or not training
    return A(input) * mpf(0 if p == 1 and training else 1)


def points():
    def p(*args, **kw):                 # groups of two elements cancel to the size of eps: an absolute tolerance
        single = any(getattr(v, "kind", "") == "float32" for v in kw.values())
        point(*args, **{"atol": None if single else {"value": 1e-14, "vjp": 4e-14, "jvp": 4e-14, "hvp": 2e-13}, **kw})
    p("layer_norm", "layer_norm(x, [3])", x=R(2, 3))
    p("layer_norm", "layer_norm(x, [3], w, b)", x=R(2, 3), w=R(3), b=R(3))
    p("layer_norm", "layer_norm(x, [2, 2])", x=R(1, 2, 2))
    p("layer_norm", "layer_norm(x, [2], weight=w, eps=0.01)", x=R(2, 2), w=R(2))
    p("layer_norm", "layer_norm(x, normalized_shape=[4], eps=1e-12)", x=R(4))
    p("layer_norm", "layer_norm(x, [2])", x=[[1.0, 1.0]])
    p("layer_norm", "layer_norm(x, [3], bias=b)", x=R(1, 3), b=R(3))
    p("layer_norm", "layer_norm(x, [3])", x=F32(R(2, 3)))
    p("layer_norm", "layer_norm(x, [2])", x=E(0, 2))
    p("layer_norm", "layer_norm(x, [3])", x=[1000001.0, 1000002.0, 1000006.0])
    p("rms_norm", "rms_norm(x, [3])", x=R(2, 3))
    p("rms_norm", "rms_norm(x, [3], w)", x=R(2, 3), w=R(3))
    p("rms_norm", "rms_norm(x, [2, 2], eps=0.01)", x=R(1, 2, 2))
    p("rms_norm", "rms_norm(x, normalized_shape=[4], weight=w, eps=1e-6)", x=R(4), w=R(4))
    p("rms_norm", "rms_norm(x, [2], eps=0.25)", x=[[0.0, 0.0]])
    p("rms_norm", "rms_norm(x, [2])", x=E(0, 2))
    p("rms_norm", "rms_norm(x, [3], eps=1e-6)", x=F32(R(2, 3)))
    m, v = [0.25, -0.5], [1.5, 0.75]
    name = "batch_norm"
    p(name, "batch_norm(x, m, v)", x=R(2, 2), m=m, v=v, wrt=["x"])
    p(name, "batch_norm(x, m, v, w, b)", x=R(2, 2), m=m, v=v, w=R(2), b=R(2), wrt=["x", "w", "b"])
    p(name, "batch_norm(x, m, v, w, b, training=True)", x=R(3, 2), m=m, v=v, w=R(2), b=R(2), wrt=["x", "w", "b"])
    p(name, "batch_norm(x, m, v, training=True, eps=0.01)", x=R(2, 2, 2), m=m, v=v, wrt=["x"])
    p(name, "batch_norm(x, None, None, training=True)", x=R(3, 2))
    p(name, "batch_norm(x, m, v, weight=w, eps=0.1)", x=R(1, 2, 2), m=m, v=v, w=R(2), wrt=["x", "w"])
    p(name, "batch_norm(x, m, v)", x=F32(R(2, 2)), m=F32(m), v=F32(v), wrt=["x"])
    p(name, "batch_norm(x, m, v)", x=E(0, 2), m=m, v=v, wrt=["x"])
    name = "group_norm"
    p(name, "group_norm(x, 2)", x=R(1, 4))
    p(name, "group_norm(x, 1, w, b)", x=R(2, 2), w=R(2), b=R(2))
    p(name, "group_norm(x, 2, w, b)", x=R(1, 4, 2), w=R(4), b=R(4))
    p(name, "group_norm(x, num_groups=1, eps=0.01)", x=R(2, 2, 2))
    p(name, "group_norm(x, 2, weight=w)", x=R(2, 2, 2), w=R(2))
    p(name, "group_norm(x, 1)", x=F32(R(1, 3)))
    name = "instance_norm"
    p(name, "instance_norm(x)", x=R(1, 2, 3))
    p(name, "instance_norm(x, weight=w, bias=b)", x=R(1, 2, 3), w=R(2), b=R(2))
    p(name, "instance_norm(x, eps=0.01)", x=R(2, 1, 3))
    p(name, "instance_norm(x)", x=R(1, 1, 2, 2))
    p(name, "instance_norm(x, m, v, use_input_stats=False)", x=R(1, 2, 2), m=m, v=v, wrt=["x"])
    p(name, "instance_norm(input=x)", x=F32(R(1, 1, 3)))
    name = "normalize"
    p(name, "normalize(x)", x=R(2, 3))
    p(name, "normalize(x, dim=0)", x=R(3))
    p(name, "normalize(x, p=1, dim=-1)", x=R(2, 2))
    p(name, "normalize(x, 3.0, 0)", x=R(3, lo=0.3, hi=2))
    p(name, "normalize(x, dim=0, eps=10.0)", x=R(2))
    p(name, "normalize(x, p=inf, axis=1)", x=[[1.0, -3.0, 0.5]])
    p(name, "normalize(x, dim=0)", x=[3e155, 4e155], want=["value", "vjp"], atol=None)
    p(name, "normalize(x, dim=0)", want=["value"], x=[0.0, 0.0])
    p(name, "normalize(x)", x=F32(R(1, 3)))
    p(name, "normalize(x)", x=E(0, 2))
    name = "dropout"
    p(name, "dropout(x, p=0.5, training=False)", x=R(3))
    p(name, "dropout(x, 0.3, False)", x=R(2, 2))
    p(name, "dropout(x, p=0)", x=R(3))
    p(name, "dropout(x, p=0.0, training=True)", x=R(2))
    p(name, "dropout(x, p=1)", x=R(3))
    p(name, "dropout(x, 1.0)", is_={"value": [[0, 0]], "vjp": {"x": [0, 0]}, "jvp": [[0, 0]]}, x=[1.5, -2.0])
    p(name, "dropout(exp(x), p=0.9, training=False)", x=R(2))
    p(name, "dropout(x, training=False)", x=F32(R(2)))
    p(name, "dropout(x, p=0)", x=E(0))
