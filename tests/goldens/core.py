"""Golden points by high-precision central differences: the machinery.

A *point* is an expression of the batch language with inputs. The expression is evaluated by Python itself, over numpy
object arrays of mpmath numbers, with the functions registered by @op. Derivatives are differences of that evaluation
at growing precision, until two precisions agree; a kink raises an error and must be given in words (alt=, d=, is_=).
"""
import math
import zlib
from types import SimpleNamespace

import mpmath
import numpy as np
from mpmath import mp, mpf

OPS = {}                      # name -> function over mp arrays
POINTS = []                   # filled by point()
ELEMENTWISE = set()           # functions whose answers are held to relative error alone
mp.dps = 60
LEVELS = (120, 240, 480, 960, 1920, 3840)  # decimal digits; the step is 10^(-digits/4)


class Kink(Exception):
    pass


def op(*names):
    """Register a function under its names; axis= and keepdims= become dim= and keepdim=."""
    def register(function):
        def call(*args, **kw):
            for numpy_word, torch_word in (("axis", "dim"), ("keepdims", "keepdim")):
                if numpy_word in kw:
                    kw[torch_word] = kw.pop(numpy_word)
            return function(*args, **kw)
        for name in names:
            OPS[name] = call
        return function
    return register


# ---------------------------------------------------------------- arrays

def real(z):
    """A complex result is outside the real domain: NaN."""
    if isinstance(z, mpmath.mpc):
        return z.real if z.imag == 0 else mpf("nan")
    return z


def to_mp(v):
    if isinstance(v, (mpf, mpmath.mpc)):
        return v
    if isinstance(v, (bool, np.bool_, int, np.integer)):
        return mpf(int(v))
    return mpf(float(v))


def A(x):
    """Any tensor or number as an object array of mpf."""
    if isinstance(x, np.ndarray) and x.dtype == object:
        return x
    x = np.asarray(x, dtype=object) if not isinstance(x, np.ndarray) else x
    out = np.empty(x.shape, dtype=object)
    for i in np.ndindex(x.shape):
        out[i] = to_mp(x[i])
    return out


def wrap(v):
    """0-d results of numpy lose their array: put it back."""
    if isinstance(v, (np.ndarray, np.generic)):
        return np.asarray(v)
    out = np.empty((), dtype=object)
    out[()] = v
    return out


def emap(f, *tensors):
    """Apply a scalar function elementwise with broadcasting."""
    tensors = np.broadcast_arrays(*[A(t) for t in tensors])
    out = np.empty(tensors[0].shape, dtype=object)
    for i in np.ndindex(out.shape):
        out[i] = real(f(*[t[i] for t in tensors]))
    return out


def predicate(f, *tensors):
    tensors = np.broadcast_arrays(*[A(t) for t in tensors])
    out = np.empty(tensors[0].shape, dtype=bool)
    for i in np.ndindex(out.shape):
        out[i] = bool(f(*[t[i] for t in tensors]))
    return out


def axes_of(x, dim):
    if dim is None or (isinstance(dim, (list, tuple)) and len(dim) == 0):
        return tuple(range(x.ndim))
    dims = dim if isinstance(dim, (list, tuple)) else (dim,)
    return tuple(d % max(x.ndim, 1) for d in dims)


def reduce(f, x, dim=None, keepdim=False, dtype=object):
    """f gets the flat list of elements of one slice."""
    axes = axes_of(x, dim)
    keep = [a for a in range(x.ndim) if a not in axes]
    out = np.empty([x.shape[a] for a in keep], dtype=dtype)
    for i in np.ndindex(out.shape):
        index = [slice(None)] * x.ndim
        for a, k in zip(keep, i):
            index[a] = k
        out[i] = f(list(wrap(x[tuple(index)]).reshape(-1)))
    if keepdim:
        out = out.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])
    return out


def along(f, x, dim):
    """f maps the list of elements along one axis to a list (any length); several results as a tuple of lists."""
    x = wrap(x)
    if x.ndim == 0:
        result = f([x[()]])
        pick = lambda r: wrap(r[0]) if not isinstance(r[0], (int, np.integer)) else np.array(r[0])
        return tuple(pick(r) for r in result) if isinstance(result, tuple) else pick(result)
    moved = np.moveaxis(x, dim, -1)
    rows = [f(list(moved[i])) for i in np.ndindex(moved.shape[:-1])]
    pattern = f([mpf(k) for k in range(moved.shape[-1])])          # lengths and kinds, also when there is no row
    def assemble(rows, like, second=False):
        n = len(like)
        kind = np.int64 if second else object                       # (values, indices)
        out = np.empty(moved.shape[:-1] + (n,), dtype=kind)
        for i, row in zip(np.ndindex(moved.shape[:-1]), rows):
            for k, v in enumerate(row):
                out[i + (k,)] = v
        return np.moveaxis(out, -1, dim)
    if isinstance(pattern, tuple):
        return tuple(assemble([r[k] for r in rows], pattern[k], k == 1) for k in range(len(pattern)))
    return assemble(rows, pattern)


# ---------------------------------------------------------------- inputs

def R(*shape, lo=-2.0, hi=2.0):
    """A random tensor, drawn when the point gets its id."""
    return SimpleNamespace(shape=shape, lo=lo, hi=hi, kind="random")


def F32(x):
    return SimpleNamespace(data=x, kind="float32")


def I(x):
    return np.array(x, dtype=np.int64)


def B(x):
    return np.array(x, dtype=bool)


def E(*shape):
    return np.zeros(shape)


def realise(spec, rng):
    """(dtype, numpy array of doubles / ints / bools)"""
    if isinstance(spec, SimpleNamespace) and spec.kind == "float32":
        dtype, x = realise(spec.data, rng)
        return "float32", x.astype(np.float32).astype(np.float64)
    if isinstance(spec, SimpleNamespace):
        draw = rng.uniform(spec.lo, spec.hi, size=spec.shape)
        return "float64", np.round(draw, 3)
    x = np.asarray(spec) if isinstance(spec, np.ndarray) else np.array(spec, dtype=np.float64)
    if x.dtype == bool:
        return "bool", x
    if x.dtype.kind == "i":
        return "int64", x
    return "float64", x.astype(np.float64)


# ---------------------------------------------------------------- evaluation

def namespace(inputs):
    ns = dict(OPS)
    whole = SimpleNamespace(**OPS)
    ns.update(linalg=whole, special=whole, torch=whole, F=whole, inf=math.inf, nan=math.nan, pi=math.pi)
    ns.update(inputs)
    return ns


class Evaluator:
    """The expression as a function of the flat vector of differentiable inputs."""

    def __init__(self, expr, arrays, wrt):
        self.code = compile(expr, expr, "eval")
        self.arrays, self.wrt = arrays, wrt
        self.flat = [float(v) for name in wrt for v in arrays[name].reshape(-1)]

    def outputs(self, x):
        bound, k = {}, 0
        for name, array in self.arrays.items():
            if array.dtype.kind != "f":
                bound[name] = array
        for name in self.wrt:
            array = self.arrays[name]
            t = np.empty(array.shape, dtype=object)
            for i in np.ndindex(array.shape):
                t[i] = x[k]
                k += 1
            bound[name] = t
        for name, array in self.arrays.items():
            if name not in bound:
                bound[name] = A(array)
        r = eval(self.code, namespace(bound))
        r = r if isinstance(r, (tuple, list)) else (r,)
        r = [wrap(o) for o in r]
        return [A(o) if o.dtype.kind == "f" else o for o in r]

    def vector(self, x):
        """All float outputs, flat."""
        return [v for o in self.outputs(x) if o.dtype == object for v in o.reshape(-1)]


def scales(flat):
    """The length over which each input may move: its size; for zeros 1, or the least of the others."""
    sizes = [abs(v) for v in flat if v != 0 and math.isfinite(v)]
    least = min(sizes + [1.0])
    return [mpf(abs(v)) if v != 0 and math.isfinite(v) else mpf(least) for v in flat]


def derivatives(ev, ct, tan, second, kink_check):
    """Jacobian rows per input and, when asked, H tan of sum(ct * output), at the current precision."""
    x = [mpf(v) for v in ev.flat]
    h0 = mpf(10) ** (-mp.dps // 4)
    sc = scales(ev.flat)
    f0 = ev.vector(x)
    columns, kept = [], []
    for j in range(len(x)):
        h = h0 * sc[j]
        up, dn = list(x), list(x)
        up[j] += h
        dn[j] -= h
        fu, fd = ev.vector(up), ev.vector(dn)
        if kink_check:
            for a, b, m in zip(fu, fd, f0):
                bend, rise = abs(a - 2 * m + b), abs(a - m) + abs(b - m)
                if not (bend <= rise * mpf(10) ** (-mp.dps // 12) or bend <= abs(m) * h0 * sqrt_small() or bend < h * h0 ** mpf("0.5")):
                    raise Kink(f"input {j} = {ev.flat[j]}: bend {mpmath.nstr(bend, 5)} rise {mpmath.nstr(rise, 5)}")
        kept.append((fu, fd))
        columns.append([(a - b) / (2 * h) for a, b in zip(fu, fd)])
    hvp = second_order(ev, x, sc, h0, f0, kept, ct, tan) if second else None
    return f0, columns, hvp


def second_order(ev, x, sc, h0, f0, kept, ct, tan):
    """H tan, each pair of inputs with its own steps, each output by itself: sizes never mix."""
    hvp = [mpf(0)] * len(x)
    for j in range(len(x)):
        for k in range(j + 1):
            if tan[j] == 0 and tan[k] == 0:
                continue
            hj, hk = h0 * sc[j], h0 * sc[k]
            if j == k:
                fu, fd = kept[j]
                entry = mpmath.fsum(c * (u - 2 * m + d) for c, u, m, d in zip(ct, fu, f0, fd) if c != 0) / hj ** 2
                hvp[j] += entry * tan[j]
                continue
            corner = []
            for sj, sk in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                p = list(x)
                p[j] += sj * hj
                p[k] += sk * hk
                corner.append(ev.vector(p))
            entry = mpmath.fsum(c * ((u - v) - (w - z)) for c, u, v, w, z in zip(ct, *corner) if c != 0) / (4 * hj * hk)
            hvp[j] += entry * tan[k]
            hvp[k] += entry * tan[j]
    return hvp


def sqrt_small():
    return mpf(10) ** (-mp.dps // 8)


def settled(old, new, size, deep):
    """New numbers if they agree with the old ones to 22 digits or are nothing but falling noise, else None."""
    out = []
    for a, b in zip(old, new):
        if not mpmath.isfinite(b):
            return None
        if abs(a - b) <= abs(b) * mpf("1e-22"):
            out.append(b)
        elif abs(a) + abs(b) < mpf("1e-330") or abs(b) <= abs(a) * mpf("1e-10") and \
                abs(b) <= (mpf("1e-330") if deep else size * mpf("1e-40")):
            out.append(mpf(0))
        else:
            return None
    return out


def differentiate(ev, ct, tan, second, kink_check=True, deep=True):
    """Jacobian columns and hvp, with growing precision until two agree; zeros are confirmed at the last level."""
    previous = None
    for level in LEVELS:
        with mp.workdps(level):
            _, columns, hvp = derivatives(ev, ct, tan, second, kink_check)
            flat = [v for c in columns for v in c]
            if previous is not None:
                size = max([abs(v) for v in flat + (hvp or []) if mpmath.isfinite(v)] + [mpf("1e-300")])
                a, b = settled(previous[0], flat, size, deep), settled(previous[1], hvp or [], size, deep)
                suspicious = deep and level < 1920 and a is not None and needs_deep(columns, hvp, ev)
                if a is not None and b is not None and not suspicious:
                    n = len(columns[0]) if columns else 0
                    return [a[k * n:(k + 1) * n] for k in range(len(columns))], b if second else None
            previous = (flat, hvp or [])
    raise Kink("no agreement at the highest precision: " + mpmath.nstr(previous, 8))


def needs_deep(columns, hvp, ev):
    """A zero at a large or tiny input may be a tail below this precision."""
    extreme = any(abs(v) > 20 or 0 < abs(v) < 1e-15 for v in ev.flat)
    return extreme and any(v == 0 for c in columns + [hvp or []] for v in c)


# ---------------------------------------------------------------- points

def point(name, expr, alt=None, d=None, d2=None, is_=None, wrt=None, want=None, ct=None, tan=None, rtol=None,
          atol=None, deep=None, **inputs):
    """Add a golden point for the function `name`.

    alt   expression whose derivatives are the convention's at this point (value still from expr)
    d,d2  explicit elementwise derivatives: d={'x': [...]}, d2={'x,x': [...], 'x,y': [...]}
    is_   explicit answer fields, flat: {'value': [[...]], 'vjp': {'x': [...]}, ...}
    """
    POINTS.append(dict(name=name, expr=expr, alt=alt, d=d, d2=d2, is_=is_, wrt=wrt, want=want, ct=ct, tan=tan,
                       rtol=rtol, atol=atol, deep=True if deep is None else deep, inputs=inputs))


def guarded(g, d):
    return mpf(0) if g == 0 or d == 0 else g * d


def collect(terms):
    """Their sum; 0 when they cancel to the last digits."""
    total = mpmath.fsum(terms)
    return mpf(0) if abs(total) < mpf("1e-40") * mpmath.fsum(abs(v) for v in terms) else total


def random_vector(rng, n):
    """Numbers of two digits, none small: +-(0.3 .. 1.7)."""
    return [float(v) for v in np.round(rng.uniform(0.3, 1.7, n), 2) * rng.choice([-1, 1], n)]


def solve_point(p, ident):
    """The finished line: request, expect, tolerances."""
    rng = np.random.default_rng(zlib.crc32(ident.encode()))
    typed = {k: realise(v, rng) for k, v in p["inputs"].items()}
    arrays = {k: v[1] for k, v in typed.items()}
    floats = [k for k in arrays if arrays[k].dtype.kind == "f"]
    wrt = floats if p["wrt"] is None else p["wrt"]
    single = any(t[0] == "float32" for t in typed.values()) and not any(t[0] == "float64" for t in typed.values())
    ev = Evaluator(p["expr"], arrays, wrt)
    with mp.workdps(400 if p["deep"] else 120):
        outs = ev.outputs([mpf(v) for v in ev.flat])
        values = [[real(v) if o.dtype == object else v for v in o.reshape(-1)] for o in outs]
    is_ = dict(p["is_"] or {})
    if "value" in is_:
        values = [[mpf(v) if isinstance(v, float) else v for v in row] for row in is_["value"]]
    is_float = [o.dtype == object for o in outs]
    kinds = [("float32" if single else "float64") if o.dtype == object else ("bool" if o.dtype == bool else "int64")
             for o in outs]
    smooth = any(is_float) and bool(wrt)
    want = p["want"] or (["value", "vjp", "jvp", "hvp"] if smooth else ["value"])
    if p["want"] is None and (p["d"] or p["is_"]):
        want = ["value"] + [w for w in ("vjp", "jvp", "hvp") if w in is_ or p["d"] and w != "hvp" or p["d2"] and w == "hvp"]
    request = dict(id=ident, expr=p["expr"], inputs={
        k: dict(dtype=t, shape=list(a.shape), data=numbers(a.reshape(-1), t)) for k, (t, a) in typed.items()})
    expect, size = {}, {}
    if "value" in want:
        expect["value"] = [dict(dtype=t, shape=list(o.shape), data=numbers(v, t)) for o, v, t in zip(outs, values, kinds)]
        size["value"] = biggest(v for row, f in zip(values, is_float) for v in row if f)
    if len(want) > 1:
        if p["want"] is None:
            request["want"] = want
        request["wrt"] = wrt
        counts = [o.size if f else 0 for o, f in zip(outs, is_float)]
        ct = p["ct"] if p["ct"] is not None else [random_vector(rng, n) for n in counts]
        tan = p["tan"] if p["tan"] is not None else {k: random_vector(rng, arrays[k].size) for k in wrt}
        if ct != "ones":
            last = max(i for i, f in enumerate(is_float) if f)
            request["cotangents"] = [row if f else None for row, f in zip(ct, is_float)][:last + 1]
        else:
            ct = [[1.0] * n for n in counts]
        if "jvp" in want or "hvp" in want:
            request["tangents"] = tan
        first_order(p, ev, want, wrt, arrays, ct, tan, is_, expect, size, typed, kinds, [list(o.shape) for o in outs], is_float)
    request["want"] = want
    if not (len(want) > 1):
        request.pop("wrt", None)
    rounded = any(t[0] == "float32" for t in typed.values())
    rtol = p["rtol"] or (2e-6 if rounded else 1e-13)
    line = dict(request=request, expect=expect, rtol=rtol)
    if p["atol"] is not None:
        line["atol"] = p["atol"]
    else:
        unit = 3e-8 if rounded else 2e-16
        elementwise = p["name"] in ELEMENTWISE
        line["atol"] = {k: 0 if elementwise or v > mpf("1e300") else float(f"{8 * unit * float(v):.1e}") for k, v in size.items()}
        if not any(line["atol"].values()):
            line["atol"] = 0
    return line


def biggest(vs):
    return max([abs(v) for v in vs if mpmath.isfinite(v)] + [mpf(0)])


def first_order(p, ev, want, wrt, arrays, ct, tan, is_, expect, size, typed, kinds, shapes, is_float):
    c = [mpf(v) for row in ct for v in row]
    t = [mpf(v) for k in wrt for v in tan[k]]
    spans, k = {}, 0
    for name in wrt:
        spans[name] = (k, k + arrays[name].size)
        k += arrays[name].size
    vjp = jvp = hvp = None
    terms_v = terms_j = steepness = mpf(0)
    if p["d"]:
        vjp, jvp, hvp = from_partials(p, wrt, arrays, spans, c, t)
    elif not all(w in is_ for w in want if w != "value"):
        target = ev if p["alt"] is None else Evaluator(p["alt"], arrays, wrt)
        columns, hvp = differentiate(target, c, t, "hvp" in want, deep=p["deep"])
        with mp.workdps(120):
            n = len(c)
            vjp = [collect([guarded(ci, ji) for ci, ji in zip(c, col)]) for col in columns]
            jvp = [collect([guarded(tj, col[i]) for tj, col in zip(t, columns)]) for i in range(n)]
            terms_v = max([mpmath.fsum(abs(ci * ji) for ci, ji in zip(c, col)) for col in columns] + [mpf(0)])
            x_sizes = [abs(mpf(v)) if math.isfinite(v) else mpf(0) for v in ev.flat]
            size["value"] = max([size["value"]] + [mpmath.fsum(x * abs(col[i]) for x, col in zip(x_sizes, columns)) for i in range(n)])
            steepness = max([abs(v / x) for v, x in zip(t, x_sizes) if x > 0] + [mpf(0)])
            terms_j = max([mpmath.fsum(abs(tj * col[i]) for tj, col in zip(t, columns)) for i in range(n)] + [mpf(0)])
    def named(flat):
        return {k: dict(dtype=typed[k][0], shape=list(arrays[k].shape), data=numbers(flat[a:b], typed[k][0])) for k, (a, b) in spans.items()}
    def explicit(field):
        return [mpf(v) for k in wrt for v in is_[field][k]]
    if "vjp" in want:
        v = explicit("vjp") if "vjp" in is_ else vjp
        expect["vjp"], size["vjp"] = named(v), max(biggest(v), terms_v)
    if "jvp" in want:
        v = [mpf(x) for row in is_["jvp"] for x in row] if "jvp" in is_ else jvp
        rows, k = [], 0
        for shape, f, kind in zip(shapes, is_float, kinds):
            n = int(np.prod(shape)) if f else 0
            rows.append(dict(dtype=kind, shape=shape, data=numbers(v[k:k + n], kind)) if f else None)
            k += n
        expect["jvp"], size["jvp"] = rows, max(biggest(v), terms_j)
    if "hvp" in want:
        v = explicit("hvp") if "hvp" in is_ else hvp
        expect["hvp"], size["hvp"] = named(v), max(biggest(v), terms_v * steepness)


def from_partials(p, wrt, arrays, spans, c, t):
    """Elementwise function of inputs of one shape with the partial derivatives given."""
    n = len(c)
    d = {k: [mpf(v) for v in p["d"][k]] for k in wrt}
    vjp = [guarded(c[i], d[k][i]) for k in wrt for i in range(n)]
    jvp = [mpmath.fsum([guarded(t[spans[k][0] + i], d[k][i]) for k in wrt]) for i in range(n)]
    hvp = None
    if p["d2"]:
        d2 = {}
        for pair, row in p["d2"].items():
            a, b = pair.split(",")
            d2[a, b] = d2[b, a] = [mpf(v) for v in row]
        hvp = [mpmath.fsum([guarded(c[i] * t[spans[b][0] + i], d2[a, b][i]) for b in wrt]) for a in wrt for i in range(n)]
    return vjp, jvp, hvp


# ---------------------------------------------------------------- writing

def to_double(v):
    """Correctly rounded double, overflow to inf, underflow to 0."""
    v = real(v)
    if not isinstance(v, mpf):
        return float(v)
    if mpmath.isnan(v):
        return math.nan
    if mpmath.isinf(v) or abs(v) >= mpf(2) ** 1024 * (1 - mpf(2) ** -54):
        return math.inf if v > 0 else -math.inf
    if abs(v) < mpf(2) ** -1022:                       # subnormal: round once, on the grid
        return math.ldexp(int(mpmath.nint(v * mpf(2) ** 1074)), -1074)
    return float(v)


def numbers(vs, kind):
    out = []
    for v in vs:
        if kind == "bool":
            out.append(bool(v))
        elif kind == "int64":
            out.append(int(v))
        else:
            x = to_double(v)
            if kind == "float32" and math.isfinite(x):
                with np.errstate(over="ignore"):
                    x = float(f"{float(np.float32(x)):.9g}")
            out.append("nan" if math.isnan(x) else "inf" if x == math.inf else "-inf" if x == -math.inf else
                       int(x) if x == int(x) and abs(x) < 1e15 and math.copysign(1, x) > 0 else x)
    return out
