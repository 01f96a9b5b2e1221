"""Compare goldens.jsonl with PyTorch: every request whose expression PyTorch can run. Prints the disagreements by function.
Known differences of convention are listed in EXPECTED, with the reason; anything else deserves a look. Exit 1 on others."""
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import scipy.special as scipy
import torch
import torch.nn.functional as F

from compare import check

DTYPES = {"float64": torch.float64, "float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
EXPECTED = {                      # request id -> why PyTorch differs
    "atan2-13": "NaN by OPS.md 3.1", "atan2-15": "PyTorch underflows", "betaln-2": "the composition cancels", "sum-18": "rounding of the sum",
    "binary_cross_entropy-10": "PyTorch adds 1e-12 in its second derivative", "cholesky-7": "the engine reads (A + A^T)/2, PyTorch the lower triangle",
    "copysign-1": "PyTorch's second derivative is wrong", "cosine_similarity-5": "PyTorch differentiates through the clamped norm",
    "fmax-10": "ties are halves", "fmin-10": "ties are halves", "index_put-5": "last write wins, gradient to it only",
    "scatter-3": "last write wins, gradient to it only", "scatter-9": "last write wins, gradient to it only", "log_ndtr-4": "PyTorch inaccurate",
    "margin_ranking_loss-5": "0 at the margin, as relu", "matrix_norm-21": "PyTorch overflows", "normalize-6": "PyTorch overflows",
    "vector_norm-39": "PyTorch overflows", "vector_norm-40": "PyTorch underflows", "pow-35": "PyTorch loses d2/dxdy x^y = 1/x at y = 0",
    "sinc-1": "PyTorch cancels near 0", "sinc-3": "PyTorch cancels near 0", "softplus-8": "no threshold cut",
    "log_cosh_loss-9": "the composition overflows", "log_cosh_loss-10": "the composition has a kink",
}


def fix(name, f):
    """torch function called with numpy's words, lists for tensors where torch wants them, batched numbers as tensors."""
    def call(*args, **kw):
        if "axis" in kw:
            kw["dim"] = kw.pop("axis")
        if "keepdims" in kw:
            kw["keepdim"] = kw.pop("keepdims")
        if isinstance(kw.get("dtype"), str):
            kw["dtype"] = DTYPES[kw["dtype"]]
        try:
            return f(*args, **kw)
        except (TypeError, AttributeError):                              # numbers where torch wants tensors, weights given as lists
            like = next((a for a in list(args) + list(kw.values()) if isinstance(a, torch.Tensor)), None)
            dtype = like.dtype if like is not None and like.is_floating_point() else torch.float64
            if "input" in kw and not args:
                args = (kw.pop("input"),)
            wrap = lambda a: torch.tensor(a, dtype=dtype) if isinstance(a, (int, float)) and not isinstance(a, bool) else a
            lists = lambda a: torch.tensor(a, dtype=dtype) if isinstance(a, list) and a and isinstance(a[0], float) else a
            try:
                return f(*[lists(a) for a in args], **{k: lists(v) for k, v in kw.items()})
            except (TypeError, AttributeError):
                return f(*[wrap(a) for a in args], **kw)
    return call


def fold(v, reduction):
    return v if reduction == "none" else v.sum() if reduction == "sum" else v.mean()


def by_scipy(f, *args):
    like = next(a for a in args if isinstance(a, torch.Tensor))
    return torch.as_tensor(f(*[a.detach().numpy() if isinstance(a, torch.Tensor) else a for a in args])).to(like.dtype)


def sources():
    table = {}
    for module in (F, torch, torch.linalg, torch.special):
        for name in dir(module):
            if not name.startswith("_") and callable(getattr(module, name)) and name not in table:
                table[name] = getattr(module, name)
    table.update(
        cast=lambda x, dtype: x.to(DTYPES[dtype]), to=lambda x, dtype: x.to(DTYPES[dtype]), copy=torch.clone, stop_gradient=lambda x: x.detach(),
        cbrt=lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3), solve=torch.linalg.solve, inv=torch.linalg.inv, det=torch.linalg.det,
        det_small=torch.linalg.det, slogdet=torch.linalg.slogdet, cholesky=torch.linalg.cholesky, solve_triangular=torch.linalg.solve_triangular,
        unfold=lambda x, dimension, size, step: x.unfold(dimension, size, step), expand=lambda x, size: x.expand(size), one_hot=F.one_hot,
        psi=torch.digamma, gammaln=torch.lgamma, lstsq=lambda a, b: torch.linalg.lstsq(a, b).solution, index=lambda x, indices: x[tuple(indices)],
        log1mexp=lambda x: torch.where(x < 0.69, torch.log(-torch.expm1(-x)), torch.log1p(-torch.exp(-x))), betaln=lambda a, b: torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b),
        max_with_indices=torch.max, concatenate=torch.cat, concat=torch.cat, where=torch.where, slice=None, round=torch.round,
        view=lambda x, s: x.view(s), permute=torch.permute, diff=torch.diff, pad_reflect=lambda x, pad: F.pad(x, pad, mode="reflect"),
        pad_replicate=lambda x, pad: F.pad(x, pad, mode="replicate"), sum=torch.sum, fix=torch.trunc, entr=torch.special.entr, swish=F.silu,
        logmeanexp=lambda x, dim, keepdim=False: torch.logsumexp(x, dim, keepdim) - math.log(x.numel() if dim is None else math.prod(x.shape[d] for d in (dim if isinstance(dim, list) else [dim])) if x.ndim else 1),
        quick_gelu=lambda x: x * torch.sigmoid(1.702 * x), fma=lambda x, y, z: x * y + z, tile=torch.tile, vector_norm=torch.linalg.vector_norm, mean=torch.mean,
        l1_loss=lambda x, t, reduction="mean": fold(torch.abs(x - t), reduction),
        hinge_loss=lambda x, t, reduction="mean": fold(torch.relu(1 - t * x), reduction),
        squared_hinge_loss=lambda x, t, reduction="mean": fold(torch.relu(1 - t * x) ** 2, reduction),
        log_cosh_loss=lambda x, t, reduction="mean": fold(F.softplus(2 * torch.abs(x - t), threshold=1e9) - torch.abs(x - t) - math.log(2), reduction),
        soft_margin_loss=lambda x, t, reduction="mean": fold(F.softplus(-t * x, threshold=1e9), reduction),
        hardsigmoid=lambda x: F.relu6(x + 3) / 6,
        swiglu=lambda x, y=None, dim=-1: F.silu(x if y is not None else x.chunk(2, dim)[0]) * (y if y is not None else x.chunk(2, dim)[1]),
        maxout=lambda x, groups, dim=1: x.unflatten(dim, (-1, groups)).amax(dim % x.ndim + 1),
        segment_sum=lambda x, i, n=None: torch.zeros((int(i.max()) + 1 if n is None else n,) + x.shape[1:], dtype=x.dtype).index_add(0, i, x),
        bessel_in=lambda n, x: by_scipy(lambda v: scipy.iv(n, v), x), spherical_jn=lambda n, x: by_scipy(lambda v: scipy.spherical_jn(n, v), x),
        betainc=lambda a, b, x: by_scipy(scipy.betainc, a, b, x))
    return {name: fix(name, f) for name, f in table.items() if f is not None}


TABLE = sources()


def tensor(t, grad):
    data = [float(v) for v in t["data"]] if t["dtype"].startswith("float") else t["data"]
    return torch.tensor(data, dtype=DTYPES[t["dtype"]]).reshape(t["shape"]).requires_grad_(grad and t["dtype"].startswith("float"))


def pack(t, like_dtype=None):
    t = torch.empty_like(t).copy_(t.detach())
    name = {v: k for k, v in DTYPES.items()}.get(t.dtype, str(t.dtype))
    return dict(dtype=name, shape=list(t.shape), data=t.reshape(-1).tolist())


def answer(line):
    """The answer PyTorch would give."""
    r = line["request"]
    wrt = r.get("wrt", [])
    x = {k: tensor(t, k in wrt) for k, t in r["inputs"].items()}
    whole = SimpleNamespace(**TABLE)
    out = eval(r["expr"], dict(TABLE, linalg=whole, special=whole, torch=whole, F=whole, inf=math.inf, nan=math.nan), dict(x))
    out = list(out) if isinstance(out, (tuple, list)) else [out]
    got = dict(value=[pack(o) for o in out])
    if len(r["want"]) > 1 and any(o.requires_grad for o in out):
        floats = [o for o in out if o.is_floating_point()]
        rows = r.get("cotangents")
        rows = [c for c in rows if c is not None] if rows else [[1.0] * o.numel() for o in floats]
        total = sum((o * torch.tensor(c, dtype=o.dtype).reshape(o.shape)).sum() for o, c in zip(floats, rows))
        leaves = [x[k] for k in wrt]
        second = "hvp" in r["want"]
        zeros = lambda gs: [torch.zeros_like(l) if g is None else g for g, l in zip(gs, leaves)]
        grads = zeros(torch.autograd.grad(total, leaves, create_graph=second, allow_unused=True))
        got["vjp"] = {k: pack(g) for k, g in zip(wrt, grads)}
        if second:
            t = [torch.tensor(r["tangents"][k], dtype=x[k].dtype).reshape(x[k].shape) for k in wrt]
            s = sum((g * v).sum() for g, v in zip(grads, t))
            hv = zeros(torch.autograd.grad(s, leaves, allow_unused=True)) if s.requires_grad else zeros([None] * len(leaves))
            got["hvp"] = {k: pack(g) for k, g in zip(wrt, hv)}
    return got


def main():
    path = Path(__file__).resolve().parent / "goldens.jsonl"
    torch.set_default_dtype(torch.float64)
    ran, known, nans, skipped, bad = 0, 0, [], {}, {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        name = line["request"]["id"].rsplit("-", 1)[0]
        try:
            try:
                got = answer(line)
            except (RuntimeError, NotImplementedError):           # no second derivative in PyTorch
                line["request"]["want"] = [w for w in line["request"]["want"] if w != "hvp"]
                got = answer(line)
        except Exception as error:
            skipped.setdefault(name, []).append(f"{line['request']['id']} {line['request']['expr']}: {str(error).splitlines()[0][:90]}")
            continue
        ran += 1
        line["expect"] = {k: v for k, v in line["expect"].items() if k in got}
        if "--strict" not in sys.argv:
            line["rtol"] = 1e-8 if line["rtol"] < 1e-7 else 1e-4
            line["atol"] = 1e-9 if line["rtol"] < 1e-7 else 1e-4
        complaints = check(got, line)
        silent = [c for c in complaints if isinstance(c[2], float) and math.isnan(c[2])]
        if complaints and len(silent) == len(complaints):         # PyTorch gives NaN: no evidence
            nans.append(line["request"]["id"])
        elif line["request"]["id"] in EXPECTED and complaints:
            known += 1
        elif complaints:
            bad.setdefault(name, []).append((line, complaints))
    for name, rows in sorted(bad.items()):
        for line, complaints in rows:
            field, index, got, want, error = complaints[0]
            print(f"{line['request']['id']:28s} {line['request']['expr'][:60]:60s} {field}[{index}] torch {got} golden {want}")
    if "-v" in sys.argv:
        for rows in skipped.values():
            print("skipped", *rows, sep="\n  ")
    print(f"{ran} requests ran in PyTorch {torch.__version__}, {sum(map(len, bad.values()))} disagree, {known} by convention, "
          f"{len(nans)} where only PyTorch has NaN, "
          f"{sum(map(len, skipped.values()))} not expressible; whole functions never run: "
          f"{sorted(n for n in skipped if len(skipped[n]) > 2)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
