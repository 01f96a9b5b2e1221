"""Indexing, scattering and products of matrices."""
import math

import mpmath
import numpy as np
from mpmath import mpf

from core import A, B, E, F32, I, R, op, point, wrap
from g_binary import keep_int
from g_shape import filled, raw

INF, NAN = math.inf, math.nan


def ints(x):
    return np.asarray(x, dtype=np.int64)


op("index_select")(lambda input, dim, index: np.take(raw(input), ints(index), axis=dim))


@op("gather")
def gather(input, dim, index):
    x, index = raw(input), ints(index)
    out = np.empty(index.shape, dtype=x.dtype)
    for i in np.ndindex(index.shape):
        at = list(i)
        if x.ndim:
            at[dim] = index[i]
        out[i] = x[tuple(at)]
    return out


@op("take_along_dim")
def take_along_dim(input, indices, dim=None):
    x, indices = raw(input), ints(indices)
    if dim is None:
        return x.reshape(-1)[indices.reshape(-1)]
    shape = [max(a, b) if k != dim % x.ndim else None for k, (a, b) in enumerate(zip(x.shape, indices.shape))]
    xs = np.broadcast_to(x, [x.shape[k] if n is None else n for k, n in enumerate(shape)])
    ix = np.broadcast_to(indices, [indices.shape[k] if n is None else n for k, n in enumerate(shape)])
    return np.take_along_axis(xs, ix, axis=dim)


@op("index_add")
def index_add(input, dim, index, source, alpha=1):
    out, s = np.moveaxis(raw(input).copy(), dim, 0), np.moveaxis(raw(source), dim, 0)
    for k, i in enumerate(ints(index)):
        out[i] = out[i] + s[k] * alpha
    return np.moveaxis(out, 0, dim)


def scatter_with(combine):
    def f(input, dim, index, src):
        out, index = raw(input).copy(), ints(index)
        for i in np.ndindex(index.shape):
            at = list(i)
            at[dim] = index[i]
            v = src[i] if isinstance(src, np.ndarray) and src.ndim else wrap(A(src))[()] if out.dtype == object else src
            out[tuple(at)] = combine(out[tuple(at)], v)
        return out
    return f


op("scatter_add")(scatter_with(lambda a, b: a + b))
op("scatter")(scatter_with(lambda a, b: b))


@op("one_hot")
def one_hot(tensor, num_classes=-1):
    t = ints(tensor)
    n = int(t.max()) + 1 if num_classes == -1 else num_classes
    out = np.zeros(t.shape + (n,), dtype=np.int64)
    for i in np.ndindex(t.shape):
        out[i + (t[i],)] = 1
    return out


op("embedding")(lambda input, weight, padding_idx=None: A(weight)[ints(input)])
op("index")(lambda input, indices: wrap(raw(input)[tuple(ints(i) if np.asarray(i).dtype != bool else i for i in indices)]))


@op("index_put")
def index_put(input, indices, values, accumulate=False):
    out = raw(input).copy()
    grid = np.broadcast_arrays(*[ints(i) for i in indices])
    target = grid[0].shape + out.shape[len(grid):]
    values = np.broadcast_to(raw(values), target)
    for i in np.ndindex(grid[0].shape):
        at = tuple(int(g[i]) for g in grid)
        out[at] = out[at] + values[i] if accumulate else values[i]
    return out


@op("segment_sum")
def segment_sum(data, segment_ids, num_segments=None):
    x, ids = raw(data), ints(segment_ids)
    n = int(ids.max()) + 1 if num_segments is None else num_segments
    out = filled((n,) + x.shape[1:], mpf(0) if x.dtype == object else 0, "float64" if x.dtype == object else "int64")
    for k, i in enumerate(ids):
        if 0 <= i < n:
            out[i] = out[i] + x[k]
    return out


def contract(a, b):
    """Sum of products of two lists."""
    return mpmath.fsum(p * q for p, q in zip(a, b))


@op("matmul", "mm", "mv", "bmm")
def matmul(input, other):
    a, b = A(input), A(other)
    row, column = a.ndim == 1, b.ndim == 1
    a = a.reshape(1, -1) if row else a
    b = b.reshape(-1, 1) if column else b
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a2, b2 = np.broadcast_to(a, lead + a.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:])
    out = np.empty(lead + (a.shape[-2], b.shape[-1]), dtype=object)
    for i in np.ndindex(out.shape):
        out[i] = contract(a2[i[:-1]], b2[i[:-2] + (slice(None), i[-1])])
    out = out.reshape(out.shape[:-2] + (() if row else (out.shape[-2],)) + (() if column else (out.shape[-1],)))
    return keep_int(wrap(out), input, other)


@op("linear")
def linear(input, weight, bias=None):
    y = matmul(A(input), A(weight).T if weight.ndim == 2 else weight)
    return y if bias is None else wrap(y + A(bias))


op("addmm")(lambda input, mat1, mat2, beta=1, alpha=1: mpf(beta) * A(input) + mpf(alpha) * matmul(A(mat1), A(mat2)))
op("dot", "inner", "vdot")(lambda input, tensor: keep_int(wrap(contract(A(input), A(tensor))), input, tensor))
op("outer", "ger")(lambda input, vec2: keep_int(np.outer(A(input), A(vec2)), input, vec2))


@op("cross")
def cross(input, other, dim=-1):
    a, b = np.broadcast_arrays(A(input), A(other))
    a, b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    out = np.stack([wrap(a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3]) for k in range(3)])
    return np.moveaxis(out, 0, dim)


@op("tensordot")
def tensordot(a, b, dims=2):
    dims = dims if isinstance(dims, int) else [list(d) for d in dims]
    a, b = A(a), A(b)
    if isinstance(dims, int):
        dims = [list(range(a.ndim - dims, a.ndim)), list(range(dims))]
    da, db = [d % a.ndim for d in dims[0]], [d % b.ndim for d in dims[1]]
    free_a, free_b = [k for k in range(a.ndim) if k not in da], [k for k in range(b.ndim) if k not in db]
    n = int(np.prod([a.shape[k] for k in da]))
    left = a.transpose(free_a + da).reshape(-1, n)
    right = b.transpose(db + free_b).reshape(n, -1)
    return matmul(left, right).reshape([a.shape[k] for k in free_a] + [b.shape[k] for k in free_b])


@op("einsum")
def einsum(equation, *operands):
    operands = [A(t) for t in (operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands)]
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = "".join(terms)
        right = "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c.isalpha()))
        right = ("..." if "..." in letters else "") + right
    depth = max([t.ndim - len(term.replace("...", "")) for t, term in zip(operands, terms) if "..." in term] + [0])
    dots = "ABCDEFG"[:depth]
    expand = lambda term, t: term.replace("...", dots[depth - (t.ndim - len(term.replace("...", ""))):])
    terms = [expand(term, t) for term, t in zip(terms, operands)]
    right = right.replace("...", dots)
    size = {}
    for term, t in zip(terms, operands):
        for c, n in zip(term, t.shape):
            size[c] = max(size.get(c, 1), n) if n != 0 else 0
    summed = [c for c in size if c not in right]
    out = np.empty([size[c] for c in right], dtype=object)
    for i in np.ndindex(out.shape):
        parts = []
        for k in np.ndindex(*[size[c] for c in summed]):
            at = dict(zip(right, i)) | dict(zip(summed, k))
            product = mpf(1)
            for term, t in zip(terms, operands):
                product *= t[tuple(at[c] if n != 1 else 0 for c, n in zip(term, t.shape))]
            parts.append(product)
        out[i] = mpmath.fsum(parts)
    return out


op("kron")(lambda input, other: np.kron(A(input), A(other)))


def index_points():
    f32 = lambda *s: F32(R(*s))
    p = point
    p("index_select", "index_select(x, 0, i)", x=R(3), i=I([2, 0]))
    p("index_select", "index_select(x, 1, i)", x=R(2, 3), i=I([1, 1, 0]))
    p("index_select", "index_select(x, dim=-1, index=i)", x=R(2, 2), i=I([1]))
    p("index_select", "index_select(x, 0, i)", x=R(2, 2), i=I(np.zeros(0)))
    p("index_select", "index_select(x, 0, [1, 0])", x=R(2))
    p("index_select", "index_select(x * x, axis=0, index=i)", x=R(3), i=I([0, 0]))
    p("index_select", "index_select(x, 0, i)", x=f32(3), i=I([2, 2]))
    p("index_select", "index_select(n, 0, i)", n=I([5, 6]), i=I([1, 1]))
    for name, word in (("gather", "index"), ("take_along_dim", "indices")):
        args = lambda d: f"{d}, i" if name == "gather" else f"i, {d}"
        p(name, f"{name}(x, {args(1)})", x=R(2, 3), i=I([[0, 2], [1, 1]]))
        p(name, f"{name}(x, {args(0)})", x=R(2, 3), i=I([[0, 1, 1]]))
        p(name, f"{name}(x, {args(-1)})", x=R(2, 2), i=I([[0, 0, 1], [1, 1, 0]]))
        p(name, f"{name}(x, {args(0)})", x=R(3), i=I([2, 2, 2]))
        p(name, f"{name}(input=x, dim=0, {word}=i)", x=R(2), i=I([1]))
        p(name, f"{name}(exp(x), {args(0)})", x=R(2), i=I([1, 0, 1]))
        p(name, f"{name}(x, {args(0)})", x=f32(2), i=I([1, 1]))
        p(name, f"{name}(x, {args(1)})", x=R(2, 2), i=I(np.zeros((2, 0))))
    p("take_along_dim", "take_along_dim(x, i)", x=R(2, 2), i=I([3, 0]))
    p("take_along_dim", "take_along_dim(x, i, dim=1)", x=R(2, 2), i=I([[1]]))
    p("index_add", "index_add(x, 0, i, s)", x=R(3), i=I([2, 0, 2]), s=R(3))
    p("index_add", "index_add(x, 1, i, s)", x=R(2, 2), i=I([1, 1, 0]), s=R(2, 3))
    p("index_add", "index_add(x, 0, i, s, alpha=-2.5)", x=R(2), i=I([1, 1]), s=R(2))
    p("index_add", "index_add(x, dim=-1, index=i, source=s)", x=R(1, 2), i=I([0]), s=R(1, 1))
    p("index_add", "index_add(x, 0, i, s)", x=R(2, 2), i=I(np.zeros(0)), s=E(0, 2))
    p("index_add", "index_add(x, 0, i, exp(s))", x=R(2), i=I([1, 1]), s=R(2))
    p("index_add", "index_add(x, 0, i, s)", x=f32(2), i=I([0, 0]), s=f32(2))
    for name in ("scatter_add", "scatter"):
        unique = name == "scatter"
        p(name, f"{name}(x, 0, i, s)", x=R(3), i=I([2, 0]), s=R(2))
        p(name, f"{name}(x, 1, i, s)", x=R(2, 3), i=I([[0, 2], [1, 0]]), s=R(2, 2))
        p(name, f"{name}(x, 0, i, s)", x=R(2, 2), i=I([[0, 1]]), s=R(1, 2))
        p(name, f"{name}(x, 0, i, s)", x=R(3), i=I([1, 1, 1]), s=R(3))
        p(name, f"{name}(x, dim=-1, index=i, src=s)", x=R(1, 2), i=I([[1]]), s=R(1, 1))
        p(name, f"{name}(x, 0, i, s)", x=R(2), i=I([0]), s=R(2))
        p(name, f"{name}(x, 0, i, exp(s))", x=R(2), i=I([1]), s=R(1))
        p(name, f"{name}(x, 0, i, s)", x=f32(2), i=I([1]), s=f32(1))
        p(name, f"{name}(x, 0, i, s)", x=R(2), i=I(np.zeros(0)), s=E(0))
    p("scatter", "scatter(x, 0, i, s)", x=R(2), i=I([0, 1, 0, 1]), s=R(4))
    p("scatter", "scatter(x, 0, i, 1.5)", x=R(3), i=I([2, 0]))
    p("one_hot", "one_hot(n)", n=I([0, 2, 1]))
    p("one_hot", "one_hot(n, 4)", n=I([0, 2]))
    p("one_hot", "one_hot(n, num_classes=2)", n=I([[0, 1], [1, 1]]))
    p("one_hot", "one_hot(n, 3)", n=I(2))
    p("one_hot", "one_hot(n, 2)", n=I(np.zeros(0)))
    p("one_hot", "one_hot(n, 3) * x", n=I([2, 0]), x=R(3))
    p("embedding", "embedding(i, w)", i=I([0, 2, 0]), w=R(3, 2))
    p("embedding", "embedding(i, w)", i=I([[0, 1], [1, 1]]), w=R(2, 2))
    p("embedding", "embedding(i, w, padding_idx=1)", alt="embedding(i, w) * where(i == 1, 0, 1).reshape(-1, 1) + embedding(i, stop_gradient(w)) * 0",
      i=I([0, 1, 2]), w=R(3, 2))
    p("embedding", "embedding(input=i, weight=w)", i=I(1), w=R(2, 2))
    p("embedding", "embedding(i, w)", i=I(np.zeros(0)), w=R(2, 2))
    p("embedding", "embedding(i, tanh(w))", i=I([1, 1]), w=R(2, 2))
    p("embedding", "embedding(i, w)", i=I([1, 0]), w=f32(2, 2))
    p("index", "index(x, [i])", x=R(3), i=I([2, 0, 2]))
    p("index", "index(x, [i, j])", x=R(2, 3), i=I([0, 1, 1]), j=I([2, 0, 0]))
    p("index", "index(x, [i])", x=R(2, 2), i=I([[1], [1]]))
    p("index", "index(x, [i, j])", x=R(2, 2), i=I([[0], [1]]), j=I([1, 0]))
    p("index", "index(x, [i])", x=R(3), i=I([-1, 0]))
    p("index", "x[i]", x=R(3), i=I([2, 2]))
    p("index", "index(x, indices=[i])", x=f32(2), i=I([1, 1]))
    p("index", "index(x, [i])", x=R(2, 2), i=I(np.zeros(0)))
    p("index_put", "index_put(x, [i], v)", x=R(3), i=I([2, 0]), v=R(2))
    p("index_put", "index_put(x, [i], v, accumulate=True)", x=R(3), i=I([2, 2]), v=R(2))
    p("index_put", "index_put(x, [i, j], v)", x=R(2, 2), i=I([0, 1]), j=I([1, 1]), v=R(2))
    p("index_put", "index_put(x, [i], v)", x=R(2, 2), i=I([1]), v=R(2))
    p("index_put", "index_put(x, [i], v)", x=R(3), i=I([2, 0]), v=1.5)
    p("index_put", "index_put(x, [i], v)", x=R(2), i=I([1, 1]), v=R(2))
    p("index_put", "index_put(x, indices=[i], values=v, accumulate=True)", x=f32(2), i=I([-1]), v=f32(1))
    p("segment_sum", "segment_sum(x, i, 3)", x=R(4), i=I([0, 0, 2, 2]))
    p("segment_sum", "segment_sum(x, i, 2)", x=R(3, 2), i=I([1, 0, 1]))
    p("segment_sum", "segment_sum(x, i)", x=R(3), i=I([0, 1, 1]))
    p("segment_sum", "segment_sum(data=x, segment_ids=i, num_segments=2)", x=R(2), i=I([0, 0]))
    p("segment_sum", "segment_sum(x * x, i, 2)", x=R(2), i=I([1, 1]))
    p("segment_sum", "segment_sum(x, i, 2)", x=E(0), i=I(np.zeros(0)))
    p("segment_sum", "segment_sum(x, i, 2)", x=f32(3), i=I([1, 0, 1]))


def product_points():
    f32 = lambda *s: F32(R(*s))
    p = point
    for sa, sb in (((2, 3), (3, 2)), ((3,), (3,)), ((2, 2), (2,)), ((2,), (2, 2)), ((2, 1, 2), (2, 2, 1)), ((2, 2), (2, 2, 1)), ((1, 2), (2, 1)),
                   ((2, 1, 1, 2), (2, 2, 1))):
        p("matmul", "matmul(a, b)", a=R(*sa), b=R(*sb))
    p("matmul", "a @ b", a=R(2, 2), b=R(2, 2))
    p("matmul", "matmul(a, a)", a=R(2, 2))
    p("matmul", "matmul(a, b)", a=E(2, 0), b=E(0, 2))
    p("matmul", "matmul(input=a, other=b)", a=f32(2, 2), b=f32(2, 2))
    p("matmul", "matmul(m, n)", m=I([[1, 2], [3, 4]]), n=I([[1], [-1]]))
    p("matmul", "x.T @ x", x=R(2, 2))
    p("linear", "linear(x, w)", x=R(2, 3), w=R(2, 3))
    p("linear", "linear(x, w, b)", x=R(2, 2), w=R(3, 2), b=R(3))
    p("linear", "linear(x, w, b)", x=R(2), w=R(2, 2), b=R(2))
    p("linear", "linear(x, w, bias=b)", x=R(2, 1, 2), w=R(1, 2), b=R(1))
    p("linear", "linear(input=x, weight=w)", x=f32(2, 2), w=f32(2, 2))
    p("linear", "tanh(linear(x, w, b))", x=R(1, 2), w=R(2, 2), b=R(2))
    p("linear", "linear(x, w)", x=E(0, 2), w=R(2, 2))
    p("addmm", "addmm(c, a, b)", c=R(2, 2), a=R(2, 2), b=R(2, 2))
    p("addmm", "addmm(c, a, b, beta=0.5, alpha=2)", c=R(2, 2), a=R(2, 1), b=R(1, 2))
    p("addmm", "addmm(c, a, b)", c=R(2), a=R(2, 2), b=R(2, 2))
    p("addmm", "addmm(input=c, mat1=a, mat2=b, beta=-1)", c=1.5, a=R(2, 2), b=R(2, 2))
    p("addmm", "addmm(a, a, a)", a=R(2, 2))
    p("addmm", "addmm(c, a, b)", c=f32(2, 2), a=f32(2, 2), b=f32(2, 2))
    for n in (1, 3, 5):
        p("dot", "dot(a, b)", a=R(n), b=R(n))
    p("dot", "dot(a, a)", a=R(3))
    p("dot", "dot(a, b)", a=E(0), b=E(0))
    p("dot", "dot(input=a, tensor=b)", a=f32(3), b=f32(3))
    p("dot", "dot(m, n)", m=I([1, 2]), n=I([3, -4]))
    p("dot", "dot(a, n)", a=R(2), n=I([3, -4]))
    p("outer", "outer(a, b)", a=R(2), b=R(3))
    p("outer", "outer(a, a)", a=R(2))
    p("outer", "outer(input=a, vec2=b)", a=R(1), b=R(2))
    p("outer", "outer(a, b)", a=E(0), b=R(2))
    p("outer", "outer(a, b)", a=f32(2), b=f32(2))
    p("outer", "sin(outer(a, b))", a=R(2), b=R(2))
    p("cross", "cross(a, b)", a=R(3), b=R(3))
    p("cross", "cross(a, b)", a=R(2, 3), b=R(2, 3))
    p("cross", "cross(a, b, dim=0)", a=R(3, 2), b=R(3, 2))
    p("cross", "linalg.cross(a, b, dim=-1)", a=R(3), b=R(2, 3))
    p("cross", "cross(a, exp(a))", a=R(3))
    p("cross", "cross(a, b)", a=f32(3), b=f32(3))
    p("tensordot", "tensordot(a, b, 1)", a=R(2, 2), b=R(2, 2))
    p("tensordot", "tensordot(a, b)", a=R(2, 2), b=R(2, 2))
    p("tensordot", "tensordot(a, b, dims=0)", a=R(2), b=R(2))
    p("tensordot", "tensordot(a, b, dims=[[0], [1]])", a=R(2, 3), b=R(1, 2))
    p("tensordot", "tensordot(a, b, dims=[[0, 1], [1, 0]])", a=R(2, 3), b=R(3, 2))
    p("tensordot", "tensordot(a, b, dims=2)", a=f32(2, 2), b=f32(2, 2))
    p("tensordot", "tensordot(a, b, 2)", a=R(2, 1, 2), b=R(1, 2, 2))
    for eq, *shapes in (("ij,jk->ik", (2, 2), (2, 2)), ("i,j->ij", (2,), (3,)), ("ii->i", (2, 2)), ("ii", (2, 2)), ("ij->ji", (2, 3)), ("ij->", (2, 2)),
                        ("bij,bjk->bik", (2, 1, 2), (2, 2, 1)), ("i,i", (3,), (3,)), ("ij,j", (2, 2), (2,)), ("...i,i->...", (2, 2), (2,)),
                        ("ij,ij->j", (2, 2), (2, 2)), ("i,j,k->ik", (2,), (2,), (1,)), ("b i , i j -> b j", (1, 2), (2, 2)), ("ij->i", (0, 2)), ("iij->j", (2, 2, 2))):
        names = "abc"[:len(shapes)]
        p("einsum", f"einsum('{eq}', {', '.join(names)})", **{k: R(*s) for k, s in zip(names, shapes)})
    p("einsum", "einsum('ij,jk->ik', a, b)", a=f32(2, 2), b=f32(2, 2))
    p("kron", "kron(a, b)", a=R(2), b=R(2))
    p("kron", "kron(a, b)", a=R(2, 1), b=R(1, 2))
    p("kron", "kron(a, b)", a=R(2, 2), b=R(2, 2))
    p("kron", "kron(input=a, other=b)", a=f32(2), b=f32(2))
    p("kron", "kron(a, a)", a=R(2))
    p("kron", "kron(a, b)", a=R(1), b=R(3))


def points():
    index_points()
    product_points()
