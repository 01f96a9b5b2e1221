"""Creation, shape and layout."""
import math

import numpy as np
from mpmath import mpf

from core import A, B, E, F32, I, R, op, point, wrap

INF, NAN = math.inf, math.nan


def raw(x):
    """Keep int and bool tensors as they are; floats as object arrays."""
    return x if isinstance(x, np.ndarray) and x.dtype.kind in "ib" else A(x)


def filled(shape, value, dtype):
    if dtype in ("int64", "bool"):
        return np.full(shape, value, dtype=np.int64 if dtype == "int64" else bool)
    out = np.empty(shape, dtype=object)
    for i in np.ndindex(out.shape):
        out[i] = value
    return out


def sizes(args):
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else tuple(args)


op("zeros")(lambda *size, dtype="float64": filled(sizes(size), mpf(0) if dtype[0] == "f" else 0, dtype))
op("ones")(lambda *size, dtype="float64": filled(sizes(size), mpf(1) if dtype[0] == "f" else 1, dtype))


def kind_of(x):
    return "int64" if x.dtype.kind == "i" else "bool" if x.dtype.kind == "b" else "float64"


op("zeros_like")(lambda input, dtype=None: filled(input.shape, mpf(0) if (dtype or kind_of(input))[0] == "f" else 0, dtype or kind_of(input)))
op("ones_like")(lambda input, dtype=None: filled(input.shape, mpf(1) if (dtype or kind_of(input))[0] == "f" else 1, dtype or kind_of(input)))


@op("full")
def full(size, fill_value, dtype=None):
    v = wrap(fill_value)[()] if isinstance(fill_value, np.ndarray) else fill_value
    if dtype is None:
        dtype = "bool" if isinstance(v, bool) else "int64" if isinstance(v, int) else "float64"
    return filled(tuple(size), v if dtype[0] != "f" or not isinstance(v, (int, float)) else mpf(v), dtype)


@op("arange")
def arange(*args, dtype=None):
    start, end, step = (0, args[0], 1) if len(args) == 1 else tuple(args) + (1,) if len(args) == 2 else args
    n = max(0, math.ceil((end - start) / step))
    if all(isinstance(a, int) for a in args) and dtype in (None, "int64"):
        return np.array([start + k * step for k in range(n)], dtype=np.int64)
    return A([mpf(start) + k * mpf(step) for k in range(n)])


@op("eye")
def eye(n, m=None, dtype=None):
    m = n if m is None else m
    return A([[mpf(int(i == j)) for j in range(m)] for i in range(n)]) if n * m else A(np.zeros((n, m)))


@op("linspace")
def linspace(start, end, steps):
    s, e = (wrap(v)[()] if isinstance(v, np.ndarray) else mpf(v) for v in (start, end))
    return A([s + (e - s) * mpf(k) / max(steps - 1, 1) for k in range(steps)])


op("reshape", "view")(lambda input, *sizes_, shape=None: raw(input).reshape(sizes(sizes_) if shape is None else shape))
op("permute")(lambda input, *dims_, dims=None: raw(input).transpose(sizes(dims_) if dims is None else dims))
op("transpose", "swapaxes", "swapdims")(lambda input, dim0, dim1: np.swapaxes(raw(input), dim0, dim1) if input.ndim else input)
op("broadcast_to")(lambda input, size: np.broadcast_to(raw(input), tuple(size)).copy())


@op("expand")
def expand(input, *size):
    x, size = raw(input), list(sizes(size))
    for k in range(x.ndim):
        if size[len(size) - x.ndim + k] == -1:
            size[len(size) - x.ndim + k] = x.shape[k]
    return np.broadcast_to(x, size).copy()


@op("slice")
def slice_(input, start, stop, step=None):
    x = raw(input)
    index = []
    for axis, (a, b) in enumerate(zip(start, stop)):
        s = 1 if step is None else step[axis]
        index.append(slice(a, None if s < 0 and b < 0 else b, s))
    return x[tuple(index)]


op("concatenate", "cat", "concat")(lambda tensors, dim=0: np.concatenate([raw(t) for t in tensors], axis=dim))
op("stack")(lambda tensors, dim=0: np.stack([raw(t) for t in tensors], axis=dim))


@op("split")
def split(tensor, split_size_or_sections, dim=0):
    x, n = raw(tensor), tensor.shape[dim]
    s = split_size_or_sections
    s = list(s) if isinstance(s, (list, tuple)) else [min(s, n - k) for k in range(0, n, s)]
    return tuple(np.split(x, np.cumsum(s)[:-1], axis=dim))


@op("pad")
def pad(input, pad, mode="constant", value=None):
    x = raw(input)
    for k in range(len(pad) // 2):
        axis, lo, hi = x.ndim - 1 - k, pad[2 * k], pad[2 * k + 1]
        n = x.shape[axis]
        rows = []
        for i in range(-lo, n + hi):
            if mode == "constant":
                rows.append(np.take(x, [i], axis=axis) if 0 <= i < n else
                            filled([1 if a == axis else m for a, m in enumerate(x.shape)],
                                   (mpf(value or 0) if x.dtype == object else value or 0), kind_of(x)))
            else:
                j = min(max(i, 0), n - 1) if mode == "replicate" else -i if i < 0 else 2 * (n - 1) - i if i >= n else i
                rows.append(np.take(x, [j], axis=axis))
        x = np.concatenate(rows, axis=axis) if rows else np.take(x, [], axis=axis)
    return x


op("pad_reflect")(lambda input, pad_=None, pad=None: globals()["pad"](input, pad_ or pad, "reflect"))
op("pad_replicate")(lambda input, pad_=None, pad=None: globals()["pad"](input, pad_ or pad, "replicate"))


@op("squeeze")
def squeeze(input, dim=None):
    x = raw(input)
    if dim is None:
        return x.reshape([n for n in x.shape if n != 1])
    drop = {d % x.ndim for d in (dim if isinstance(dim, (list, tuple)) else [dim])}
    return x.reshape([n for a, n in enumerate(x.shape) if not (a in drop and n == 1)])


op("unsqueeze")(lambda input, dim: np.expand_dims(raw(input), dim))


@op("flatten")
def flatten(input, start_dim=0, end_dim=-1):
    x = raw(input)
    if x.ndim == 0:
        return x.reshape(1)
    a, b = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape(x.shape[:a] + (int(np.prod(x.shape[a:b + 1])),) + x.shape[b + 1:])


op("select")(lambda input, dim, index: wrap(raw(input)[(slice(None),) * (dim % input.ndim) + (index,)]))
op("flip")(lambda input, dims: np.flip(raw(input), tuple(dims) if isinstance(dims, (list, tuple)) else dims))
op("tile")(lambda input, dims: np.tile(raw(input), tuple(dims)))


def triangle(keep):
    def f(input, diagonal=0):
        x = raw(input).copy()
        for i in np.ndindex(x.shape):
            if not keep(i[-1] - i[-2], diagonal):
                x[i] = mpf(0) if x.dtype == object else 0
        return x
    return f


op("tril")(triangle(lambda offset, k: offset <= k))
op("triu")(triangle(lambda offset, k: offset >= k))


@op("diag")
def diag(input, diagonal=0):
    x = raw(input)
    if x.ndim == 2:
        return np.diagonal(x, diagonal).copy()
    n = len(x) + abs(diagonal)
    out = filled((n, n), mpf(0), "float64")
    for k, v in enumerate(x):
        out[k + max(-diagonal, 0), k + max(diagonal, 0)] = v
    return out


op("diagonal")(lambda input, offset=0, dim1=0, dim2=1: np.diagonal(raw(input), offset, dim1, dim2).copy())


@op("unfold")
def unfold(input, dimension, size, step):
    x = np.moveaxis(raw(input), dimension, -1)
    windows = [x[..., k:k + size] for k in range(0, x.shape[-1] - size + 1, step)]
    return np.moveaxis(np.stack(windows, axis=0), 0, dimension % x.ndim)


@op("roll")
def roll(input, shifts, dims=None):
    shifts = tuple(shifts) if isinstance(shifts, (list, tuple)) else shifts
    return np.roll(raw(input), shifts, tuple(dims) if isinstance(dims, (list, tuple)) else dims)


@op("repeat_interleave")
def repeat_interleave(input, repeats, dim=None):
    return np.repeat(raw(input), [int(r) for r in np.atleast_1d(repeats)] if not isinstance(repeats, int) else repeats, axis=dim)


@op("meshgrid")
def meshgrid(*tensors, indexing="ij"):
    tensors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    return tuple(np.array(t) if t.dtype != object else t.copy() for t in np.meshgrid(*[raw(t) for t in tensors], indexing=indexing))


@op("diff")
def diff(input, n=1, dim=-1, prepend=None, append=None):
    x = A(input)
    x = np.concatenate([A(t) for t in (prepend, x, append) if t is not None], axis=dim)
    for _ in range(n):
        m = np.moveaxis(x, dim, 0)
        x = np.moveaxis(m[1:] - m[:-1], 0, dim)
    return x


@op("slice_update")
def slice_update(input, update, start):
    x = raw(input).copy()
    x[tuple(slice(s, s + n) for s, n in zip(start, update.shape))] = raw(update)
    return x


@op("pixel_shuffle")
def pixel_shuffle(input, upscale_factor):
    x, r = raw(input), upscale_factor
    *lead, c, h, w = x.shape
    x = x.reshape(*lead, c // r ** 2, r, r, h, w)
    k = len(lead)
    x = x.transpose(*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return x.reshape(*lead, c // r ** 2, h * r, w * r)


@op("block_diag")
def block_diag(*tensors):
    blocks = [np.atleast_2d(A(t)) for t in tensors]
    out = filled([sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)], mpf(0), "float64")
    i = j = 0
    for b in blocks:
        out[i:i + b.shape[0], j:j + b.shape[1]] = b
        i, j = i + b.shape[0], j + b.shape[1]
    return out


CASES = {
    "reshape": [("reshape(x, [3, 2])", (2, 3)), ("reshape(x, [-1])", (2, 2)), ("reshape(x, [1, -1, 2])", (2, 2)), ("reshape(x, [])", (1, 1)),
                ("reshape(x, [1])", ()), ("reshape(x, [0, 4])", (2, 0)), ("view(x, [2, 2])", (4,)), ("reshape(input=x, shape=[2, 1])", (2,))],
    "permute": [("permute(x, [1, 0])", (2, 3)), ("permute(x, [2, 0, 1])", (2, 1, 3)), ("permute(x, [0, -1, 1])", (2, 2, 2)),
                ("permute(x, [0])", (2,)), ("permute(x, [1, 0])", (0, 2)), ("permute(input=x, dims=[1, 0])", (1, 3)), ("permute(x, [])", ())],
    "transpose": [("transpose(x, 0, 1)", (2, 3)), ("transpose(x, -1, -2)", (2, 1, 3)), ("transpose(x, 0, 2)", (2, 1, 3)),
                  ("swapaxes(x, 0, 1)", (2, 2)), ("transpose(x, 0, 0)", (3,)), ("transpose(input=x, dim0=0, dim1=1)", (0, 2)), ("x.T", (2, 3))],
    "broadcast_to": [("broadcast_to(x, [2, 3])", (3,)), ("broadcast_to(x, [2, 3])", (2, 1)), ("broadcast_to(x, [2, 2])", ()),
                     ("broadcast_to(x, [2, 0])", (1,)), ("broadcast_to(x, size=[3, 1, 2])", (1, 2)), ("broadcast_to(x, [2])", (2,))],
    "expand": [("expand(x, [2, 3])", (3,)), ("expand(x, [-1, 3])", (2, 1)), ("expand(x, [2, -1, 3])", (2, 1)), ("expand(x, [4])", ()),
               ("expand(x, [2, 0])", (2, 1)), ("expand(x, [2, 2])", (1, 1))],
    "slice": [("slice(x, [1], [3])", (4,)), ("slice(x, [0, 1], [2, 3])", (3, 3)), ("slice(x, [0], [5], [2])", (5,)),
              ("slice(x, [0, 0], [2, 3], [1, 2])", (2, 3)), ("slice(x, [2], [2])", (3,)), ("x[1:3]", (4,)), ("x[0, 1:]", (2, 3)),
              ("x[:, -1]", (2, 3)), ("x[::2]", (5,)), ("x[-2:]", (3,)), ("x[1]", (2, 2)), ("x[:, 0:2]", (2, 3)), ("x[::-1]", (3,))],
    "concatenate": [("concatenate([x, y])", (2,), (3,)), ("cat([x, y], dim=1)", (2, 1), (2, 2)), ("cat([x, x, y], -1)", (2, 1), (2, 1)),
                    ("concatenate([x, y], axis=0)", (0, 2), (1, 2)), ("cat([x], 0)", (2,)), ("concat((x, y), 0)", (1, 2), (2, 2)),
                    ("concatenate(tensors=[x, y], dim=0)", (1,), (1,))],
    "stack": [("stack([x, y])", (2,), (2,)), ("stack([x, y], dim=1)", (2, 2), (2, 2)), ("stack([x, y], -1)", (2,), (2,)), ("stack([x, y])", (), ()),
              ("stack([x, x], axis=0)", (2,)), ("stack([x], 0)", (0, 2)), ("stack(tensors=(x, y), dim=-2)", (2,), (2,))],
    "split": [("split(x, 2)", (5,)), ("split(x, [1, 2])", (3,)), ("split(x, 1, dim=1)", (2, 2)), ("split(x, [0, 2], -1)", (1, 2)), ("split(x, 3)", (2,)),
              ("split(x, split_size_or_sections=2, dim=-1)", (1, 3)), ("split(x, [2, 1], axis=0)", (3, 2))],
    "pad": [("pad(x, [1, 2])", (2,)), ("pad(x, [1, 0, 0, 1])", (2, 2)), ("pad(x, [1, 1], value=1.5)", (2,)), ("pad(x, [-1, 1])", (3,)), ("pad(x, [0, -1, 1, -1])", (2, 3)),
            ("pad(x, [2, 1], mode='reflect')", (1, 3)), ("pad(x, [1, 2], mode='replicate')", (1, 2)), 
            ("pad(x, [1, 1])", (0,)), ("pad(x, [0, 0])", (2,)), ("F.pad(input=x, pad=[0, 1])", (2, 1))],
    "pad_reflect": [("pad_reflect(x, [2, 1])", (1, 3)), ("pad_reflect(x, [1, 1])", (2, 2)), ("pad_reflect(x, [0, 2])", (1, 4)), ("pad_reflect(x, [1, 1, 1, 1])", (1, 2, 2)),
                    ("pad_reflect(x, [0, 0])", (1, 2)), ("pad_reflect(x, pad=[1, 0])", (1, 2))],
    "pad_replicate": [("pad_replicate(x, [2, 1])", (1, 3)), ("pad_replicate(x, [1, 1])", (2, 2)), ("pad_replicate(x, [0, 2])", (1, 1)),
                      ("pad_replicate(x, [1, 1, 1, 1])", (1, 2, 2)), ("pad_replicate(x, [0, 0])", (1, 2)), ("pad_replicate(x, pad=[1, 0])", (1, 2))],
    "squeeze": [("squeeze(x)", (1, 2, 1)), ("squeeze(x, 0)", (1, 2, 1)), ("squeeze(x, dim=-1)", (1, 2, 1)), ("squeeze(x, 1)", (1, 2, 1)), ("squeeze(x, [0, 2])", (1, 2, 1)),
                ("squeeze(x)", (1, 1)), ("squeeze(x, axis=0)", (1, 0))],
    "unsqueeze": [("unsqueeze(x, 0)", (2,)), ("unsqueeze(x, -1)", (2, 2)), ("unsqueeze(x, dim=1)", (2, 2)), ("unsqueeze(x, 0)", ()), ("unsqueeze(x, -2)", (3,)), ("unsqueeze(x, axis=0)", (0,))],
    "flatten": [("flatten(x)", (2, 1, 2)), ("flatten(x, 1)", (2, 1, 2)), ("flatten(x, 0, 1)", (2, 1, 2)), ("flatten(x, start_dim=-2)", (2, 1, 2)), ("flatten(x)", ()), ("flatten(x)", (0, 2)), ("flatten(x, 0, -2)", (2, 1, 2))],
    "select": [("select(x, 0, 1)", (2, 3)), ("select(x, 1, -1)", (2, 3)), ("select(x, -1, 0)", (2, 2)), ("select(x, dim=0, index=0)", (3,)), ("select(x, 1, 1)", (1, 2, 2)), ("select(x, 1, 0)", (0, 2))],
    "flip": [("flip(x, [0])", (3,)), ("flip(x, [0, 1])", (2, 2)), ("flip(x, [-1])", (2, 3)), ("flip(x, dims=[1])", (2, 2)), ("flip(x, [0])", (0, 2)), ("flip(x, [0])", (1,)), ("flip(x, dims=0)", (2, 2))],
    "tile": [("tile(x, [2])", (2,)), ("tile(x, [2, 2])", (1, 2)), ("tile(x, [2, 1])", (2,)), ("tile(x, [2])", (2, 1)), ("tile(x, [3])", ()), ("tile(x, [0])", (2,)), ("tile(input=x, dims=[1, 2])", (2, 1))],
    "tril": [("tril(x)", (2, 3)), ("tril(x, 1)", (3, 3)), ("tril(x, diagonal=-1)", (3, 2)), ("tril(x)", (2, 2, 2)), ("tril(x, 5)", (2, 2)), ("tril(x, -5)", (2, 2))],
    "triu": [("triu(x)", (2, 3)), ("triu(x, 1)", (3, 3)), ("triu(x, diagonal=-1)", (3, 2)), ("triu(x)", (2, 2, 2)), ("triu(x, 5)", (2, 2)), ("triu(x, -5)", (2, 2))],
    "diag": [("diag(x)", (3,)), ("diag(x)", (2, 3)), ("diag(x, 1)", (2,)), ("diag(x, diagonal=-1)", (3, 2)), ("diag(x, -1)", (2,)), ("diag(x, 1)", (2, 2)), ("diag(x)", (1,))],
    "diagonal": [("diagonal(x)", (2, 3)), ("diagonal(x, 1)", (2, 3)), ("diagonal(x, offset=-1)", (2, 2)), ("diagonal(x, 0, 1, 2)", (2, 2, 2)), ("diagonal(x, dim1=-1, dim2=0)", (2, 1, 3)), ("diagonal(x, 2)", (2, 2))],
    "unfold": [("unfold(x, 0, 2, 1)", (4,)), ("unfold(x, 0, 3, 2)", (5,)), ("unfold(x, 1, 2, 2)", (2, 4)), ("unfold(x, -1, 2, 1)", (2, 3)), ("unfold(x, dimension=0, size=1, step=1)", (2, 2)), ("unfold(x, 0, 2, 3)", (6,))],
    "roll": [("roll(x, 1)", (3,)), ("roll(x, 1, 0)", (2, 2)), ("roll(x, [1, -1], [0, 1])", (2, 3)), ("roll(x, shifts=-2, dims=1)", (2, 3)), ("roll(x, 1)", (2, 2)), ("roll(x, 7, -1)", (3,)), ("roll(x, 1, 0)", (0,))],
    "repeat_interleave": [("repeat_interleave(x, 2)", (2,)), ("repeat_interleave(x, 2)", (2, 2)), ("repeat_interleave(x, 2, dim=0)", (2, 2)), ("repeat_interleave(x, [1, 2], dim=1)", (2, 2)),
                          ("repeat_interleave(x, [0, 3], 0)", (2,)), ("repeat_interleave(x, 3, -1)", (1, 2)), ("repeat_interleave(x, repeats=1)", (2,))],
    "meshgrid": [("meshgrid([x, y])", (2,), (3,)), ("meshgrid(x, y, indexing='xy')", (2,), (3,)), ("meshgrid(x, y, indexing='ij')", (2,), (1,)), ("meshgrid([x])", (2,)), ("meshgrid([x, y], indexing='xy')", (2,), (2,)), ("meshgrid(x, x)", (2,))],
    "diff": [("diff(x)", (4,)), ("diff(x, 2)", (4,)), ("diff(x, dim=0)", (2, 2)), ("diff(x, n=1, dim=-1)", (2, 3)), ("diff(x, prepend=y)", (2,), (1,)), ("diff(x, append=y)", (2,), (2,)), ("diff(x, axis=1)", (2, 1)), ("diff(x, n=0)", (2,))],
    "slice_update": [("slice_update(x, y, [1])", (4,), (2,)), ("slice_update(x, y, [0, 1])", (2, 3), (2, 2)), ("slice_update(x, y, start=[0])", (2,), (2,)), ("slice_update(x, y, [1, 1])", (2, 2), (1, 1)),
                     ("slice_update(x, x[0:1], [1])", (2,)), ("slice_update(x, exp(x)[1:], [0])", (2,))],
    "pixel_shuffle": [("pixel_shuffle(x, 2)", (1, 4, 1, 1)), ("pixel_shuffle(x, 2)", (4, 1, 2)), ("pixel_shuffle(x, upscale_factor=1)", (1, 2, 1, 2)), ("pixel_shuffle(x, 2)", (8, 1, 1)), ("pixel_shuffle(x, 3)", (1, 9, 1, 1)), ("pixel_shuffle(x, 2)", (0, 4, 1, 1))],
    "block_diag": [("block_diag(x, y)", (2, 2), (1, 2)), ("block_diag(x, y)", (2,), (2, 1)), ("block_diag(x)", (2, 2)), ("block_diag(x, y)", (), (2,)), ("block_diag(x, x)", (1, 2)), ("block_diag(x, y)", (1, 1), (1, 1))],
}


def creation_points():
    for call in ("zeros([2, 3])", "zeros([])", "zeros([0, 2])", "zeros([2], dtype='int64')", "zeros(2, 2)", "zeros([2], dtype='bool')"):
        point("zeros", call)
        point("ones", call.replace("zeros", "ones"))
    for name in ("zeros", "ones"):
        point(name, f"x + {name}([2, 2])", x=R(2))
        point(name, f"{name}([2, 1]) * x", x=R(2))
        like = name + "_like"
        point(like, f"{like}(x)", x=R(2, 2), want=["value"])
        point(like, f"{like}(n)", n=I([1, 2]))
        point(like, f"{like}(x) + x", x=R(2))
        point(like, f"{like}(x)", is_={"vjp": {"x": [0, 0]}, "jvp": [[0, 0]]}, x=R(2))
        point(like, f"{like}(b)", b=B([True, False]))
        point(like, f"{like}(x)", x=E(0, 2), want=["value"])
        point(like, f"{like}(x, dtype='int64')", x=R(2), want=["value"])
    point("full", "full([2, 2], 1.5)")
    point("full", "full([2], 3)")
    point("full", "full([], 0.5)")
    point("full", "full([2], inf)")
    point("full", "full([0], 1.0)")
    point("full", "full([2, 2], v)", v=0.75)
    point("full", "full(size=[3], fill_value=v) * x", v=0.75, x=R(3))
    for call in ("arange(4)", "arange(1, 4)", "arange(0, 1, 0.25)", "arange(5, 0, -2)", "arange(0)", "arange(1.5, 4)", "arange(3.0)", "arange(2, 9, 3)"):
        point("arange", call)
    point("arange", "arange(3) * x", x=R(3))
    for call in ("eye(2)", "eye(2, 3)", "eye(3, 1)", "eye(0)", "eye(1)", "eye(n=2, m=2)"):
        point("eye", call)
    point("eye", "x @ eye(2)", x=R(2, 2))
    point("eye", "eye(2) * x", x=R(2))
    for call in ("linspace(0, 1, 5)", "linspace(1, -1, 3)", "linspace(2, 5, 1)", "linspace(0, 1, 2)", "linspace(-1.5, 2.5, steps=4)"):
        point("linspace", call)
    point("linspace", "linspace(a, b, 4)", a=0.5, b=2.0)
    point("linspace", "linspace(0, 1, 3) * x", x=R(3))
    point("linspace", "sin(linspace(a, 2, 3))", a=0.5)


def points():
    creation_points()
    for name, cases in CASES.items():
        for call, *shapes in cases:
            point(name, call, **{k: R(*s) for k, s in zip("xy", shapes)})
        call, *shapes = cases[0]
        point(name, call, **{k: F32(R(*s)) for k, s in zip("xy", shapes)})
        if name not in ("diff", "diag", "block_diag", "linspace"):
            point(name, call, **{k: I(np.arange(int(np.prod(s))).reshape(s) - 2) for k, s in zip("xy", shapes)})
        call, *shapes = cases[1]
        call = call.replace("(x", "(exp(x)", 1) if "([" not in call and "((" not in call and not call.startswith("x") else call
        point(name, call, **{k: R(*s, lo=-1, hi=1) for k, s in zip("xy", shapes)})
    point("pad", "pad(x, [1, 1], 'constant', -inf)", alt="pad(x, [1, 1])", x=R(2))
    point("slice", "x[0, 1]", x=R(2, 2))
    point("pad", "pad(x, [1, 1], mode='replicate')", x=R(2, 2))
    point("select", "select(b, 0, 1)", b=B([True, False]))
