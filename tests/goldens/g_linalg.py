"""Linear algebra over the matrix axes, batched over the rest."""
import math
from itertools import permutations

import mpmath
import numpy as np
from mpmath import mp, mpf

from core import A, E, F32, I, R, op, point, wrap
from g_index import matmul
from g_reduce import greatest, least, norm

INF, NAN = math.inf, math.nan


def batched(f, x, *others):
    """f over the last two axes of x (and of the others, batch axes equal or absent)."""
    x = A(x)
    if x.ndim == 2:
        return f(x, *others)
    if x.size == 0:
        return x
    rows = [batched(f, x[k], *[o[k] if o.ndim > 2 else o for o in others]) for k in range(len(x))]
    if isinstance(rows[0], tuple):
        return tuple(np.stack([r[j] for r in rows]) for j in range(len(rows[0])))
    return np.stack(rows)


def parity(order):
    return (-1) ** sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))


def det2(m):
    n = len(m)
    total = mpf(0)
    for order in permutations(range(n)):
        product = mpf(parity(order))
        for i, j in enumerate(order):
            product *= m[i, j]
        total += product
    return wrap(total)


def gauss(m, b):
    """m^-1 b with partial pivoting; b is a matrix."""
    n = len(m)
    w = np.concatenate([m, b], axis=1)
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(w[i, k]))
        if w[pivot, k] == 0:
            return np.full(b.shape, mpf("nan"), dtype=object)
        w[[k, pivot]] = w[[pivot, k]]
        w[k] = w[k] / w[k, k]
        for i in range(n):
            if i != k:
                w[i] = w[i] - w[i, k] * w[k]
    return w[:, n:]


def identity(n):
    return np.array([[mpf(int(i == j)) for j in range(n)] for i in range(n)], dtype=object).reshape(n, n)


def slogdet2(m):
    d = det2(m)[()]
    sign = mpf(0) if d == 0 else mpf(1) if d > 0 else mpf(-1)
    return wrap(sign), wrap(mpf("-inf") if d == 0 else mpmath.log(abs(d)))


def logdet2(m):
    sign, size = slogdet2(m)
    return size if sign[()] >= 0 else wrap(mpf("nan"))


def chol(m):
    m = (m + m.T) / 2
    n = len(m)
    low = np.full((n, n), mpf(0), dtype=object)
    for j in range(n):
        s = m[j, j] - mpmath.fsum(low[j, k] ** 2 for k in range(j))
        if s < 0:
            return np.full((n, n), mpf("nan"), dtype=object)
        low[j, j] = mpmath.sqrt(s)
        for i in range(j + 1, n):
            low[i, j] = (m[i, j] - mpmath.fsum(low[i, k] * low[j, k] for k in range(j))) / low[j, j]
    return low


def triangular(m, upper, unit):
    n = len(m)
    t = np.full((n, n), mpf(0), dtype=object)
    for i in range(n):
        for j in range(n):
            if i == j:
                t[i, j] = mpf(1) if unit else m[i, j]
            elif (j > i) == upper:
                t[i, j] = m[i, j]
    return t


op("det", "det_small")(lambda A: batched(det2, A))
op("slogdet")(lambda A: batched(slogdet2, A))
op("logdet")(lambda A: batched(logdet2, A))
op("inv", "inverse")(lambda A: batched(lambda m: gauss(m, identity(len(m))), A))


@op("solve")
def solve(a, b=None, left=True, **kw):
    a, b = A(a), A(kw.get("B", b))
    vector = b.ndim == 1
    b = b.reshape(-1, 1) if vector else b
    if not left:
        return np.swapaxes(solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)
    x = batched(gauss, a, b)
    return x.reshape(-1) if vector else x


@op("solve_triangular")
def solve_triangular(a, b, upper, left=True, unitriangular=False):
    a, b = A(a), A(b)
    f = (lambda m, r: gauss(triangular(m, upper, unitriangular), r)) if left else \
        (lambda m, r: gauss(triangular(m, upper, unitriangular).T, r.T).T)
    return batched(f, a, b)


op("cholesky")(lambda a, upper=False: batched(lambda m: chol(m).T if upper else chol(m), a))


def from_factor(low, upper):
    t = triangular(low, upper, False)
    return matmul(t.T, t) if upper else matmul(t, t.T)


op("cholesky_solve")(lambda b, low, upper=False: batched(lambda m, r: gauss(from_factor(m, upper), r), A(low), A(b)))
op("cholesky_inverse")(lambda low, upper=False: batched(lambda m: gauss(from_factor(m, upper), identity(len(m))), low))


def pinv2(m):
    if m.shape[0] >= m.shape[1]:
        return gauss(matmul(m.T, m), m.T)
    return gauss(matmul(m, m.T), m).T


op("pinv")(lambda a: batched(pinv2, a))
op("lstsq")(lambda a, b: matmul(pinv2(A(a)), A(b)))


@op("matrix_power")
def matrix_power(a, n):
    def f(m):
        base = m if n >= 0 else gauss(m, identity(len(m)))
        out = identity(len(m))
        for _ in range(abs(n)):
            out = matmul(out, base)
        return out
    return batched(f, a)


def eigenvalues(m):
    e = mp.eigsy(mpmath.matrix(((m + m.T) / 2).tolist()), eigvals_only=True)
    return np.array(sorted(e), dtype=object)


def singular_values(m):
    g = matmul(m, m.T) if m.shape[0] <= m.shape[1] else matmul(m.T, m)
    return np.array([mpmath.sqrt(v) for v in reversed(eigenvalues(g))], dtype=object)


op("eigvalsh")(lambda a, UPLO="L": batched(eigenvalues, a))
op("svdvals")(lambda a: batched(singular_values, a))


@op("matrix_norm")
def matrix_norm(a, ord="fro", dim=(-2, -1), keepdim=False):
    x = A(a)
    dim = [d % x.ndim for d in dim]
    rest = [k for k in range(x.ndim) if k not in dim]
    y = x.transpose(rest + dim)
    def f(m):
        if ord == "fro":
            return wrap(norm(list(m.reshape(-1)), 2))
        if ord in ("nuc", 2, -2):
            s = singular_values(m)
            return wrap(mpmath.fsum(s) if ord == "nuc" else s[0] if ord == 2 else s[-1])
        sums = [mpmath.fsum(abs(v) for v in row) for row in (m.T if abs(ord) == 1 else m)]
        return wrap(greatest(sums) if ord > 0 else least(sums))
    out = wrap(batched(f, y))
    return out.reshape([1 if k in dim else n for k, n in enumerate(x.shape)]) if keepdim else out


SPD2 = [[2.5, 0.5], [0.5, 1.5]]
SPD3 = [[3.0, 0.5, -0.25], [0.5, 2.0, 0.75], [-0.25, 0.75, 1.5]]
GOOD2 = [[1.5, -0.5], [0.75, 2.0]]
GOOD3 = [[2.0, -0.5, 0.25], [0.75, 1.5, -1.0], [0.5, 0.25, -1.75]]
GOOD4 = [[2.0, -0.5, 0.25, 0.0], [0.75, 1.5, -1.0, 0.5], [0.5, 0.25, -1.75, 0.3], [-0.2, 0.1, 0.6, 1.25]]
BATCH = [GOOD2, [[-1.0, 0.25], [0.5, 2.0]]]


def points():
    p = point
    for name in ("det", "det_small"):
        for m in (GOOD2, GOOD3, [[2.5]], BATCH, [[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]],
                  GOOD4, [[0.0, 1.0], [1.0, 0.0]]):
            p(name, f"{name}(x)", x=m)
        p(name, f"{name}(x)", x=F32(GOOD2))
    p("det", "linalg.det(x)", x=GOOD2)
    p("det", "det(x)", x=[[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 0.0, 1.0], [3.0, 3.0, 3.0, 5.0], [1.0, 0.0, 2.0, 1.0]])
    p("det", "det(x)", x=[[0.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 4.0]])
    p("det", "det(x)", x=[[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]], atol=1e-13)
    p("det", "det(x)", x=E(0, 0))
    for name in ("slogdet", "inv"):
        for m in (GOOD2, GOOD3, [[2.5]], [[-2.5]], BATCH, [[0.0, 1.0], [1.0, 0.0]], [[1e150, 0.0], [0.0, 1e100]], GOOD4):
            p(name, f"{name}(x)", x=m)
        p(name, f"linalg.{name}(x)", x=F32(GOOD2))
    p("slogdet", "slogdet(x)", want=["value"], x=[[1.0, 2.0], [2.0, 4.0]])
    p("inv", "inverse(x)", x=[[1e-5, 1.0], [1.0, 1e-5]])
    p("inv", "inv(x)", x=E(0, 2, 2))
    for m in (GOOD2, SPD3, [[2.5]], BATCH[:1], [[1.5, 0.2], [0.1, 2.0]]):
        p("logdet", "logdet(x)", x=m)
    p("logdet", "logdet(x)", want=["value"], x=[[-1.0, 0.0], [0.0, 1.0]])
    p("logdet", "logdet(x)", want=["value"], x=[[1.0, 2.0], [2.0, 4.0]])
    p("logdet", "logdet(x)", x=F32(GOOD2))
    p("solve", "solve(a, b)", a=GOOD2, b=R(2))
    p("solve", "solve(a, b)", a=GOOD2, b=R(2, 2))
    p("solve", "solve(a, b)", a=GOOD3, b=R(3))
    p("solve", "linalg.solve(a, b)", a=BATCH, b=R(2, 2, 1))
    p("solve", "solve(a, b, left=False)", a=GOOD2, b=R(1, 2))
    p("solve", "solve(a, a)", a=GOOD2, want=["value", "vjp", "jvp"])
    p("solve", "solve(a, b)", a=[[0.0, 1.0], [1.0, 0.0]], b=R(2, 1))
    p("solve", "solve(a, b)", a=F32(GOOD2), b=F32(R(2)))
    p("solve", "solve(a, b)", a=[[2.0]], b=R(1, 3))
    for words in ("upper=False", "upper=True", "upper=False, unitriangular=True", "upper=True, unitriangular=True"):
        p("solve_triangular", f"solve_triangular(a, b, {words})", a=GOOD2, b=R(2, 2))
    p("solve_triangular", "solve_triangular(a, b, upper=True, left=False)", a=GOOD2, b=R(1, 2))
    p("solve_triangular", "linalg.solve_triangular(a, b, upper=False)", a=GOOD3, b=R(3, 1))
    p("solve_triangular", "solve_triangular(a, b, upper=False)", a=BATCH, b=R(2, 2, 1))
    p("solve_triangular", "solve_triangular(a, b, upper=False)", a=F32(GOOD2), b=F32(R(2, 1)))
    p("solve_triangular", "solve_triangular(a, b, upper=True)", a=[[2.0]], b=R(1, 1))
    for m in (SPD2, SPD3, [[2.25]], [SPD2, [[1.0, -0.25], [-0.25, 2.0]]], [[1e100, 0.0], [0.0, 1e-100]]):
        p("cholesky", "cholesky(x)", x=m)
    p("cholesky", "linalg.cholesky(x, upper=True)", x=SPD2)
    p("cholesky", "cholesky(x)", x=F32(SPD2))
    p("cholesky", "cholesky(x)", x=[[2.5, 0.75], [0.25, 1.5]])          # reads (A + A^T)/2
    p("cholesky", "cholesky(x @ x.T)", x=GOOD2)
    p("cholesky", "cholesky(x)", x=[[4.0, 2.0], [2.0, 5.0]], ct="ones")
    p("cholesky", "sum(log(diagonal(cholesky(x))))", x=SPD3)
    low = [[1.5, 0.0], [-0.5, 2.0]]
    p("cholesky_solve", "cholesky_solve(b, l)", b=R(2, 1), l=low, wrt=["b"])
    p("cholesky_solve", "cholesky_solve(b, tril(l))", b=R(2, 1), l=low)
    p("cholesky_solve", "cholesky_solve(b, triu(l), upper=True)", b=R(2, 2), l=GOOD2)
    p("cholesky_solve", "cholesky_solve(b, tril(l))", b=R(3, 1), l=GOOD3)
    p("cholesky_solve", "cholesky_solve(b, cholesky(x))", b=R(2, 1), x=SPD2)
    p("cholesky_solve", "cholesky_solve(b, l)", b=F32(R(2, 1)), l=F32(low), wrt=["b"])
    p("cholesky_inverse", "cholesky_inverse(tril(l))", l=low)
    p("cholesky_inverse", "cholesky_inverse(triu(l), upper=True)", l=GOOD2)
    p("cholesky_inverse", "cholesky_inverse(tril(l))", l=GOOD3)
    p("cholesky_inverse", "cholesky_inverse(l)", l=[[2.0]])
    p("cholesky_inverse", "cholesky_inverse(cholesky(x))", x=SPD2)
    p("cholesky_inverse", "cholesky_inverse(tril(l))", l=F32(low))
    tall = [[1.0, 0.5], [-0.25, 2.0], [0.75, -1.0]]
    for m in (tall, GOOD2, np.array(tall).T, [[2.0], [1.0]], [[1.0, 2.0, 3.0]]):
        p("pinv", "pinv(x)", x=m)
    p("pinv", "linalg.pinv(x)", x=F32(tall))
    p("lstsq", "lstsq(a, b)", a=tall, b=R(3, 1))
    p("lstsq", "lstsq(a, b)", a=tall, b=R(3, 2))
    p("lstsq", "linalg.lstsq(a, b)", a=GOOD2, b=R(2, 1))
    p("lstsq", "lstsq(a, b)", a=[[1.0], [2.0], [-1.0]], b=R(3, 1))
    p("lstsq", "lstsq(a, b)", a=F32(tall), b=F32(R(3, 1)))
    for m, n in ((GOOD2, 2), (GOOD2, 3), (GOOD2, 0), (GOOD2, 1), (GOOD2, -1), (GOOD2, -2), (BATCH, 2), ([[0.0, 1.0], [0.0, 0.0]], 2), (GOOD3, 5)):
        p("matrix_power", f"matrix_power(x, {n})", x=m)
    p("matrix_power", "linalg.matrix_power(x, 2)", x=F32(GOOD2))
    for m in (SPD2, SPD3, [[2.5]], [[1.0, -0.25], [-0.25, -2.0]], [SPD2, [[1.0, 0.5], [0.5, 4.0]]]):
        p("eigvalsh", "eigvalsh((x + x.T) / 2)" if np.ndim(m) == 2 else "eigvalsh(x)", x=m)
    p("eigvalsh", "linalg.eigvalsh(x)", x=F32([[2.0, 0.5], [0.5, 1.0]]))
    for m in (GOOD2, GOOD3, tall, np.array(tall).T, [[-2.5]], [[3.0, 0.0], [0.0, -1.0]]):
        p("svdvals", "svdvals(x)", x=m)
    p("svdvals", "linalg.svdvals(x)", x=F32(GOOD2))
    for o in ("'fro'", "1", "inf", "-1", "-inf", "2", "'nuc'", "-2"):
        p("matrix_norm", f"matrix_norm(x, {o})", x=GOOD2)
        p("matrix_norm", f"matrix_norm(x, ord={o})", x=tall)
    p("matrix_norm", "linalg.matrix_norm(x)", x=R(2, 2))
    p("matrix_norm", "matrix_norm(x, 'fro', keepdim=True)", x=R(2, 2))
    p("matrix_norm", "matrix_norm(x, 1, dim=(0, 1))", x=R(2, 2))
    p("matrix_norm", "matrix_norm(x, inf, dim=[0, 2])", x=R(2, 1, 2))
    p("matrix_norm", "matrix_norm(x)", is_={"vjp": {"x": [0, 0, 0, 0]}, "jvp": [[0]]}, x=[[0.0, 0.0], [0.0, 0.0]])
    p("matrix_norm", "matrix_norm(x)", x=[[3e155, 0.0], [0.0, 4e155]], want=["value", "vjp"])
    p("matrix_norm", "matrix_norm(x, 1)", x=F32(R(2, 2)))
    p("matrix_norm", "matrix_norm(x)", x=BATCH)
