"""Losses."""
import math

import mpmath
import numpy as np
from mpmath import mp, mpf

from core import A, B, E, F32, I, R, emap, op, point, wrap
from g_activation import sigmoid, softplus
from g_reduce import lse

INF, NAN = math.inf, math.nan


def fold(values, reduction, count=None):
    values = wrap(values)
    if reduction == "none":
        return values
    total = mpmath.fsum(values.reshape(-1))
    if reduction == "sum":
        return wrap(total)
    n = count if count is not None else len(values) if reduction == "batchmean" else values.size
    return wrap(total / n if n != 0 else mpf("nan"))


def elementwise(name, formula, defaults=None, weighted=False):
    """A loss of input and target; keyword arguments after `reduction` come from defaults."""
    def call(input, target, reduction="mean", weight=None, **kw):
        words = dict(defaults or {})
        words.update(kw)
        v = emap(lambda x, t: formula(x, t, **words), input, target)
        return fold(v if weight is None else v * A(weight), reduction, mpmath.fsum(np.broadcast_to(A(weight), v.shape).reshape(-1))
                    if weight is not None else None)
    op(name)(call)


def huber(x, t, delta):
    d, k = abs(x - t), mpf(delta)
    return d * d / 2 if d <= k else k * (d - k / 2)


def smooth_l1(x, t, beta):
    d, b = abs(x - t), mpf(beta)
    return d if b == 0 else d * d / (2 * b) if d < b else d - b / 2


elementwise("mse_loss", lambda x, t: (x - t) ** 2)
elementwise("l1_loss", lambda x, t: abs(x - t))
elementwise("huber_loss", huber, {"delta": 1.0})
elementwise("smooth_l1_loss", smooth_l1, {"beta": 1.0})
elementwise("hinge_loss", lambda x, t: max(mpf(0), 1 - t * x))
elementwise("squared_hinge_loss", lambda x, t: max(mpf(0), 1 - t * x) ** 2)
elementwise("soft_margin_loss", lambda x, t: softplus(-t * x))
elementwise("log_cosh_loss", lambda x, t: mpmath.log(mpmath.cosh(x - t)))


@op("binary_cross_entropy")
def bce(input, target, weight=None, reduction="mean"):
    log = lambda v: mpf(-100) if v == 0 else max(mpf(-100), mpmath.log(v))
    v = emap(lambda p, t: -(t * log(p) + (1 - t) * log(1 - p)), input, target)
    return fold(v if weight is None else v * A(weight), reduction)


@op("binary_cross_entropy_with_logits")
def bce_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    v = emap(lambda x, t, w: (1 - t) * x + (1 + (w - 1) * t) * softplus(-x), input, target, 1 if pos_weight is None else pos_weight)
    return fold(v if weight is None else v * A(weight), reduction)


def class_axis_last(x):
    return np.moveaxis(x, 1, -1) if x.ndim > 1 else x


def nll_from(logp, target, weight, ignore_index, reduction, smoothing=0.0):
    """logp with the classes on the last axis; target of class numbers."""
    target = np.asarray(target)
    n = logp.shape[-1]
    w = [mpf(1)] * n if weight is None else list(A(weight))
    eps = mpf(smoothing)
    out, denominator = np.empty(target.shape, dtype=object), []
    for i in np.ndindex(target.shape):
        t = int(target[i])
        if t == ignore_index:
            out[i] = mpf(0)
            continue
        row = logp[i]
        smooth = -mpmath.fsum(w[k] * row[k] for k in range(n)) / n if smoothing else mpf(0)
        out[i] = (1 - eps) * (-w[t] * row[t]) + eps * smooth
        denominator.append(w[t])
    return fold(out, reduction, mpmath.fsum(denominator))


@op("nll_loss")
def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    return nll_from(class_axis_last(A(input)), target, weight, ignore_index, reduction)


@op("cross_entropy")
def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    x = class_axis_last(A(input))
    logp = np.empty(x.shape, dtype=object)
    for i in np.ndindex(x.shape[:-1]):
        t = lse(list(x[i]))
        for k in range(x.shape[-1]):
            logp[i + (k,)] = x[i + (k,)] - t
    if np.asarray(target).dtype.kind == "i":
        return nll_from(logp, target, weight, ignore_index, reduction, label_smoothing)
    q = class_axis_last(A(target))
    n, eps = x.shape[-1], mpf(label_smoothing)
    q = q * (1 - eps) + eps / n
    v = -q * logp * (1 if weight is None else A(weight))
    v = wrap(v.sum(axis=-1))
    return fold(v, reduction, max(v.size, 1))


@op("kl_div")
def kl_div(input, target, reduction="mean", log_target=False):
    if log_target:
        return fold(emap(lambda x, t: mpmath.exp(t) * (t - x), input, target), reduction)
    return fold(emap(lambda x, t: mpf(0) - t * x if t == 0 else t * (mpmath.log(t) - x), input, target), reduction)


@op("gaussian_nll_loss")
def gaussian_nll(input, target, var, full=False, eps=1e-6, reduction="mean"):
    x, t = A(input), A(target)
    v = A(var)
    if v.ndim and v.ndim == x.ndim - 1:
        v = v[..., None]
    out = emap(lambda a, b, s: (mpmath.log(max(s, mpf(eps))) + (a - b) ** 2 / max(s, mpf(eps))) / 2 + (mpmath.log(2 * mp.pi) / 2 if full else 0), x, t, v)
    return fold(out, reduction)


@op("poisson_nll_loss")
def poisson_nll(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    def f(x, t):
        v = mpmath.exp(x) - t * x if log_input else x - t * mpmath.log(x + mpf(eps))
        return v + (t * mpmath.log(t) - t + mpmath.log(2 * mp.pi * t) / 2 if full and t > 1 else 0)
    return fold(emap(f, input, target), reduction)


@op("margin_ranking_loss")
def margin_ranking(input1, input2, target, margin=0.0, reduction="mean"):
    return fold(emap(lambda a, b, t: max(mpf(0), -t * (a - b) + mpf(margin)), input1, input2, target), reduction)


def distance(a, b, p, eps):
    d = [abs(u - v + mpf(eps)) for u, v in zip(a, b)]
    return max(d) if p == INF else mpmath.fsum(v ** mpf(p) for v in d) ** (1 / mpf(p)) if p != 2 else mpmath.sqrt(mpmath.fsum(v * v for v in d))


@op("triplet_margin_loss")
def triplet(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    a, q, n = np.broadcast_arrays(A(anchor), A(positive), A(negative))
    out = np.empty(a.shape[:-1], dtype=object)
    for i in np.ndindex(out.shape):
        dp, dn = distance(a[i], q[i], p, eps), distance(a[i], n[i], p, eps)
        if swap:
            dn = min(dn, distance(q[i], n[i], p, eps))
        out[i] = max(mpf(0), mpf(margin) + dp - dn)
    return fold(out, reduction)


@op("cosine_similarity")
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    a, b = np.broadcast_arrays(A(x1), A(x2))
    a, b = np.moveaxis(a, dim, -1), np.moveaxis(b, dim, -1)
    out = np.empty(a.shape[:-1], dtype=object)
    for i in np.ndindex(out.shape):
        na, nb = (mpmath.sqrt(mpmath.fsum(v * v for v in r[i])) for r in (a, b))
        out[i] = mpmath.fsum(u * v for u, v in zip(a[i], b[i])) / (max(na, mpf(eps)) * max(nb, mpf(eps)))
    return out


def common(name, draw_x, draw_t, words="", more=()):
    for reduction in ("", ", reduction='sum'", ", reduction='none'", ", reduction='mean'"):
        shape = (3,) if reduction.endswith("m'") else (2, 2) if not reduction else (2,)
        point(name, f"{name}(x, t{reduction})", x=draw_x(*shape), t=draw_t(*shape))
    for words in more:
        point(name, f"{name}(x, t, {words})", x=draw_x(3), t=draw_t(3))
    point(name, f"{name}(x, t)", x=draw_x(), t=draw_t())
    point(name, f"{name}(input=x, target=t)", x=draw_x(2), t=draw_t(2), wrt=["x"])
    point(name, f"{name}(x, t)", x=F32(draw_x(3)), t=F32(draw_t(3)), wrt=["x"])
    point(name, f"{name}(x, t, reduction='sum')", x=E(0), t=E(0))
    point(name, f"{name}(x, t, reduction='mean')", want=["value"], x=E(0), t=E(0))


def pm(*shape):
    """Targets of +1 and -1."""
    return np.array([1.0, -1.0, 1.0, -1.0][:int(np.prod(shape))]).reshape(shape)


def regression_points():
    r = lambda *s: R(*s)
    p = point
    common("mse_loss", r, r, more=["weight=[0.5, 1.5, 2.0]"])
    p("mse_loss", "mse_loss(x, t)", x=[1.5, 2.0], t=[1.5, 2.0])
    p("mse_loss", "mse_loss(x, t)", x=[1e150, 1.0], t=[-1e150, 1.0], want=["vjp"])
    common("l1_loss", r, r)
    p("l1_loss", "l1_loss(x, t, reduction='sum')", alt="x[1] - t[1]", x=[1.5, 2.0], t=[1.5, 1.0])
    common("huber_loss", r, r, more=["delta=0.5", "delta=2.0, reduction='sum'"])
    p("huber_loss", "huber_loss(x, t, reduction='none')", x=[5.0, -4.0, 0.3], t=[0.0, 0.0, 0.0])
    p("huber_loss", "huber_loss(x, t)", alt="mean(x - t)", x=[2.0, 3.0], t=[1.0, 2.0], want=["value", "vjp", "jvp"])
    p("huber_loss", "huber_loss(x, t)", x=[1.0], t=[1.0])
    common("smooth_l1_loss", r, r, more=["beta=0.5", "beta=2.0, reduction='sum'", "beta=0"])
    p("smooth_l1_loss", "smooth_l1_loss(x, t, reduction='none')", x=[5.0, -4.0, 0.3], t=[0.0, 0.0, 0.0])
    p("smooth_l1_loss", "smooth_l1_loss(x, t)", alt="mean(x - t)", x=[2.0, 3.0], t=[1.0, 2.0], want=["value", "vjp", "jvp"])
    common("log_cosh_loss", r, r)
    p("log_cosh_loss", "log_cosh_loss(x, t, reduction='none')", x=[30.0, -800.0, 0.5], t=[0.0, 0.0, 0.25])
    p("log_cosh_loss", "log_cosh_loss(x, t)", x=[1.0], t=[1.0])
    p("log_cosh_loss", "log_cosh_loss(x, t)", x=[1e-8], t=[0.0])


def margin_points():
    p = point
    for name in ("hinge_loss", "squared_hinge_loss", "soft_margin_loss"):
        common(name, lambda *s: R(*s, lo=-0.9, hi=0.9), lambda *s: pm(*s) if s else 1.0)
        p(name, f"{name}(x, t, reduction='none')", x=[3.0, -3.0, 0.5], t=[1.0, 1.0, -1.0])
    zero = is_zero = {"vjp": {"x": [0, 0]}, "jvp": [[0, 0]]}
    p("hinge_loss", "hinge_loss(x, t, reduction='none')", is_=zero, x=[1.0, -1.0], t=[1.0, -1.0], wrt=["x"])
    p("squared_hinge_loss", "squared_hinge_loss(x, t, reduction='none')", is_=is_zero, x=[1.0, -1.0], t=[1.0, -1.0], wrt=["x"])
    p("hinge_loss", "hinge_loss(x, t)", x=R(2), t=I([1, -1]))
    p("soft_margin_loss", "soft_margin_loss(x, t, reduction='none')", x=[40.0, -40.0, 700.0], t=[1.0, 1.0, 1.0], wrt=["x"], atol=0.0)
    name = "margin_ranking_loss"
    for words in ("", ", margin=0.5", ", reduction='sum'", ", reduction='none'", ", margin=-0.25, reduction='none'"):
        p(name, f"{name}(a, b, t{words})", a=R(3), b=R(3), t=pm(3), wrt=["a", "b"])
    p(name, f"{name}(a, b, t)", alt="0 * a[0] * b[0]", a=[1.0], b=[1.0], t=[1.0], wrt=["a", "b"])
    p(name, f"{name}(input1=a, input2=b, target=t, margin=2.0)", a=F32(R(2)), b=F32(R(2)), t=F32(pm(2)), wrt=["a", "b"])
    name = "triplet_margin_loss"
    for words in ("", ", margin=3.0", ", p=1", ", p=3", ", swap=True", ", reduction='sum'", ", reduction='none'", ", eps=0.01", ", margin=0.5, p=2, swap=True, reduction='sum'"):
        p(name, f"{name}(a, b, c{words})", a=R(2, 2), b=R(2, 2), c=R(2, 2))
    p(name, f"{name}(a, b, c)", a=R(3), b=R(3), c=R(3))
    p(name, f"{name}(anchor=a, positive=b, negative=c)", a=F32(R(1, 2)), b=F32(R(1, 2)), c=F32(R(1, 2)))
    p(name, f"{name}(a, b, c)", a=[[0.0, 0.0]], b=[[0.1, 0.0]], c=[[9.0, 9.0]])
    name = "cosine_similarity"
    p(name, f"{name}(x, y)", x=R(2, 3), y=R(2, 3))
    p(name, f"{name}(x, y, dim=0)", x=R(3), y=R(3))
    p(name, f"{name}(x, y, dim=-1)", x=R(1, 2), y=R(2, 2))
    p(name, f"{name}(x1=x, x2=y, axis=0)", x=R(2, 2), y=R(2, 2))
    p(name, f"{name}(x, y, 0)", x=[1e100, 2e100], y=[3.0, 1.0], want=["value", "vjp", "jvp"])
    p(name, f"{name}(x, y, 0, eps=10.0)", x=R(2), y=R(2))
    p(name, f"{name}(x, y, dim=0)", x=F32(R(2)), y=F32(R(2)))
    p(name, f"{name}(x, x, dim=0)", x=R(3), want=["value"])
    p(name, f"{name}(x, y, dim=0)", want=["value"], x=[0.0, 0.0], y=[1.0, 2.0])


def probability_points():
    p = point
    prob = lambda *s: R(*s, lo=0.1, hi=0.9)
    name = "binary_cross_entropy"
    common(name, prob, prob, more=["weight=[0.5, 1.5, 2.0]"])
    p(name, f"{name}(x, t, reduction='none')", x=[1e-10, 0.9999999, 1e-5], t=[1.0, 0.0, 1.0], wrt=["x"])
    p(name, f"{name}(x, t)", is_={"vjp": {"x": [-1e12]}}, ct="ones", x=[1e-30], t=[1.0], wrt=["x"])
    p(name, f"{name}(x, t)", is_={"value": [[100]], "vjp": {"x": [-1e12]}, "jvp": [[-1e12]]}, ct="ones", tan={"x": [1.0]}, x=[0.0], t=[1.0], wrt=["x"])
    p(name, f"{name}(x, t)", is_={"value": [[100]], "vjp": {"x": [1e12]}}, ct="ones", x=[1.0], t=[0.0], wrt=["x"])
    p(name, f"{name}(x, t, w)", x=prob(2), t=prob(2), w=[0.5, 2.0])
    p(name, f"{name}(x, t)", is_={"value": [[0]]}, want=["value"], x=[0.0, 1.0], t=[0.0, 1.0], wrt=["x"])
    name = "binary_cross_entropy_with_logits"
    common(name, lambda *s: R(*s), prob, more=["weight=[0.5, 1.5, 2.0]", "pos_weight=[0.5, 3.0, 2.0]"])
    p(name, f"{name}(x, t, reduction='none')", x=[800.0, -800.0, 40.0], t=[0.0, 1.0, 1.0], wrt=["x"])
    p(name, f"{name}(x, t, reduction='none')", x=[20.0, -37.0, 0.0], t=[1.0, 0.0, 0.5], wrt=["x"])
    p(name, f"{name}(x, t, w, 'sum', v)", x=R(2), t=prob(2), w=[0.5, 2.0], v=[3.0, 1.5])
    p(name, f"{name}(x, t, pos_weight=v)", x=R(2, 2), t=prob(2, 2), v=[3.0, 1.5])
    name = "kl_div"
    for words in ("", ", reduction='sum'", ", reduction='none'", ", reduction='batchmean'", ", log_target=True", ", reduction='batchmean', log_target=True"):
        log = "log_target" in words
        p(name, f"{name}(x, t{words})", x=R(2, 2, lo=-3, hi=-0.2), t=R(2, 2, lo=-3, hi=-0.2) if log else prob(2, 2))
    p(name, f"{name}(x, t)", x=[-1.0, -2.0], t=[0.0, 1.0], wrt=["x"])
    p(name, f"{name}(log_softmax(x, -1), softmax(t, -1), reduction='sum')", x=R(2, 2), t=R(2, 2))
    p(name, f"{name}(input=x, target=t)", x=F32(R(2)), t=F32(prob(2)))
    name = "gaussian_nll_loss"
    for words in ("", ", full=True", ", reduction='sum'", ", reduction='none'", ", True", ", eps=0.01"):
        p(name, f"{name}(x, t, v{words})", x=R(3), t=R(3), v=R(3, lo=0.3, hi=2))
    p(name, f"{name}(x, t, v)", x=R(2, 2), t=R(2, 2), v=R(2, 1, lo=0.3, hi=2))
    p(name, f"{name}(input=x, target=t, var=v)", x=F32(R(2)), t=F32(R(2)), v=F32(R(2, lo=0.5, hi=2)))
    p(name, f"{name}(x, t, v)", x=R(2), t=R(2), v=[1e-9, 1e-9], wrt=["x", "t"])
    name = "poisson_nll_loss"
    for words in ("", ", log_input=False", ", full=True", ", reduction='sum'", ", reduction='none'", ", False", ", log_input=False, eps=0.01"):
        p(name, f"{name}(x, t{words})", x=R(3, lo=0.2, hi=2), t=[0.5, 3.0, 7.0])
    p(name, f"{name}(x, t, full=True, reduction='none')", x=R(3), t=[0.0, 1.0, 2.0], wrt=["x"])
    p(name, f"{name}(input=x, target=t)", x=F32(R(2)), t=F32([1.0, 3.0]))


def class_points():
    p = point
    for name in ("nll_loss", "cross_entropy"):
        nll = name == "nll_loss"
        draw = lambda *s: R(*s, lo=-3, hi=-0.1) if nll else R(*s)
        p(name, f"{name}(x, t)", x=draw(2, 3), t=I([2, 0]))
        p(name, f"{name}(x, t, reduction='sum')", x=draw(2, 3), t=I([1, 1]))
        p(name, f"{name}(x, t, reduction='none')", x=draw(2, 3), t=I([0, 2]))
        p(name, f"{name}(x, t, weight=w)", x=draw(2, 3), t=I([2, 0]), w=[0.5, 1.5, 2.0])
        p(name, f"{name}(x, t, w, reduction='sum')", x=draw(2, 2), t=I([1, 0]), w=[0.5, 1.5], wrt=["x"])
        p(name, f"{name}(x, t, w, reduction='none')", x=draw(2, 2), t=I([1, 0]), w=[0.5, 1.5], wrt=["x"])
        p(name, f"{name}(x, t)", x=draw(3, 2), t=I([1, -100, 0]))
        p(name, f"{name}(x, t, ignore_index=1)", x=draw(3, 2), t=I([1, 0, 0]))
        p(name, f"{name}(x, t, weight=w, ignore_index=0)", x=draw(3, 2), t=I([1, 0, 1]), w=[0.5, 1.5], wrt=["x"])
        p(name, f"{name}(x, t)", want=["value"], x=draw(2, 2), t=I([-100, -100]))
        p(name, f"{name}(x, t, reduction='none')", x=draw(2, 2), t=I([-100, 1]))
        p(name, f"{name}(x, t)", x=draw(1, 2, 2), t=I([[1, 0]]))
        p(name, f"{name}(x, t)", x=draw(3), t=I(1))
        p(name, f"{name}(input=x, target=t)", x=F32(draw(2, 3)), t=I([2, 0]))
    name = "cross_entropy"
    p(name, f"{name}(x, t, label_smoothing=0.1)", x=R(2, 3), t=I([2, 0]))
    p(name, f"{name}(x, t, label_smoothing=0.2, reduction='sum')", x=R(2, 3), t=I([2, 0]))
    p(name, f"{name}(x, t, weight=w, label_smoothing=0.1)", x=R(2, 3), t=I([2, 0]), w=[0.5, 1.5, 2.0], wrt=["x"])
    p(name, f"{name}(x, t, weight=w, label_smoothing=0.1, ignore_index=1)", x=R(3, 2), t=I([1, 0, 0]), w=[0.5, 1.5], wrt=["x"])
    p(name, f"{name}(x, t)", x=R(2, 3), t=[[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    p(name, f"{name}(x, t, label_smoothing=0.3, reduction='none')", x=R(2, 2), t=[[0.25, 0.75], [0.0, 1.0]])
    p(name, f"{name}(x, t, weight=w)", x=R(2, 2), t=[[0.25, 0.75], [0.0, 1.0]], w=[0.5, 1.5], wrt=["x", "t"])
    p(name, f"{name}(x, t, reduction='none')", x=[[1000.0, 0.0, -1000.0], [50.0, 0.0, 1.0]], t=I([0, 0]), atol=1e-16)
    p(name, f"{name}(x, t)", x=[[1000.0, 0.0]], t=I([1]), want=["value", "vjp"])
    p(name, f"{name}(x, t)", x=[[0.0, 0.0, 0.0]], t=I([1]))


def points():
    regression_points()
    margin_points()
    probability_points()
    class_points()
