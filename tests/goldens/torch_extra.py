#!/usr/bin/env python3
"""Appends points computed by PyTorch in float64 to extra.jsonl, in place of those of an earlier run: torch_extra.py

A case is an expression of the language, the same in Python, and the shapes of its inputs. Values, VJPs, JVPs and HVPs come from
torch.autograd alone."""
import json
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.backends.cuda.enable_flash_sdp(False)  # on CPUs too: only the plain composition can be differentiated twice
SDPA = lambda q, k, v, m=None, **kw: F.scaled_dot_product_attention(q, k, v, m, **kw)
CASES = []


def case(name, expr, f, masks=(), ties=(), **shapes):
    CASES.append((name, expr, f, masks, ties, shapes))


def conv(dim, expr_tail, x, w, b=None, **kw):
    name = f"conv{dim}d"
    f = getattr(F, name)
    args = "x, w" + (", b" if b else "")
    case(name, f"{name}({args}{expr_tail})", (lambda x, w, b=None: f(x, w, b, **kw)), x=x, w=w, **({"b": b} if b else {}))


conv(1, "", [2, 3, 9], [4, 3, 3], [4])
conv(1, ", stride=3, padding=2, dilation=2", [1, 2, 11], [2, 2, 3], stride=3, padding=2, dilation=2)
conv(1, ", padding='same', groups=2", [2, 4, 6], [6, 2, 4], [6], padding="same", groups=2)
conv(1, "", [2, 5], [3, 2, 5])
conv(2, "", [2, 2, 6, 5], [3, 2, 3, 2], [3])
conv(2, ", stride=2, padding=1", [2, 3, 7, 7], [4, 3, 3, 3], [4], stride=2, padding=1)
conv(2, ", stride=[2,1], padding=[0,2], dilation=[1,2], groups=2", [1, 4, 6, 5], [4, 2, 2, 3], [4], stride=(2, 1), padding=(0, 2),
     dilation=(1, 2), groups=2)
conv(2, ", padding='same', dilation=2", [1, 1, 5, 6], [2, 1, 2, 3], padding="same", dilation=2)
conv(2, ", groups=3, padding=1", [2, 3, 4, 4], [6, 1, 3, 3], groups=3, padding=1)
conv(2, "", [3, 5, 5], [2, 3, 1, 1])
conv(2, "", [2, 1, 12, 12], [3, 1, 9, 9])
conv(3, ", stride=[1,2,1], padding=1", [1, 2, 3, 4, 3], [2, 2, 2, 3, 2], [2], stride=(1, 2, 1), padding=1)
for dim, tail, kw, x, w, b in [
        (1, "", {}, [2, 3, 5], [3, 2, 3], [2]),
        (1, ", stride=3, padding=1, output_padding=2, groups=2, dilation=2",
         dict(stride=3, padding=1, output_padding=2, groups=2, dilation=2), [1, 4, 4], [4, 3, 3], [6]),
        (2, ", stride=2, padding=1, output_padding=1", dict(stride=2, padding=1, output_padding=1), [2, 2, 3, 4], [2, 3, 3, 3], [3]),
        (2, ", stride=[1,3], dilation=[2,1]", dict(stride=(1, 3), dilation=(2, 1)), [1, 2, 3, 2], [2, 1, 2, 2], [1]),
        (3, ", stride=2", dict(stride=2), [1, 1, 2, 2, 2], [1, 2, 2, 1, 3], [2])]:
    case(f"conv_transpose{dim}d", f"conv_transpose{dim}d(x, w, b{tail})",
         lambda x, w, b, f=getattr(F, f"conv_transpose{dim}d"), kw=kw: f(x, w, b, **kw), x=x, w=w, b=b)

case("max_pool1d", "max_pool1d(x, 3, stride=2, padding=1)", lambda x: F.max_pool1d(x, 3, 2, 1), x=[2, 2, 8])
case("max_pool2d", "max_pool2d(x, 2)", lambda x: F.max_pool2d(x, 2), x=[2, 2, 5, 6])
case("max_pool2d", "max_pool2d(x, [3,2], stride=[1,2], padding=[1,0], dilation=[2,1], ceil_mode=True)",
     lambda x: F.max_pool2d(x, (3, 2), (1, 2), (1, 0), (2, 1), ceil_mode=True), x=[1, 2, 6, 5])
case("max_pool2d", "max_pool2d(x, 2, stride=1)", lambda x: F.max_pool2d(x, 2, 1), ties=("x",), x=[1, 1, 4, 4])
case("max_pool2d", "max_pool2d(x, 3, 2, 1, return_indices=True)[1]", lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
     ties=("x",), x=[1, 2, 5, 5])
case("max_pool3d", "max_pool3d(x, 2, stride=1, padding=1)", lambda x: F.max_pool3d(x, 2, 1, 1), x=[1, 1, 2, 3, 2])
case("avg_pool1d", "avg_pool1d(x, 3, stride=2, padding=1, ceil_mode=True)", lambda x: F.avg_pool1d(x, 3, 2, 1, True), x=[2, 2, 6])
case("avg_pool2d", "avg_pool2d(x, 2)", lambda x: F.avg_pool2d(x, 2), x=[2, 2, 5, 4])
case("avg_pool2d", "avg_pool2d(x, [3,2], stride=2, padding=1, ceil_mode=True, count_include_pad=False)",
     lambda x: F.avg_pool2d(x, (3, 2), 2, 1, True, False), x=[1, 2, 6, 5])
case("avg_pool2d", "avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)", lambda x: F.avg_pool2d(x, 3, 2, 1, True), x=[1, 1, 6, 5])
case("avg_pool2d", "avg_pool2d(x, 2, divisor_override=3)", lambda x: F.avg_pool2d(x, 2, divisor_override=3), x=[1, 1, 4, 4])
case("avg_pool3d", "avg_pool3d(x, 2, stride=1)", lambda x: F.avg_pool3d(x, 2, 1), x=[1, 1, 3, 2, 3])
case("adaptive_avg_pool1d", "adaptive_avg_pool1d(x, 3)", lambda x: F.adaptive_avg_pool1d(x, 3), x=[2, 2, 7])
case("adaptive_avg_pool2d", "adaptive_avg_pool2d(x, [3,2])", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), x=[1, 2, 4, 5])
case("adaptive_max_pool1d", "adaptive_max_pool1d(x, 3)", lambda x: F.adaptive_max_pool1d(x, 3), x=[2, 2, 7])
case("adaptive_max_pool2d", "adaptive_max_pool2d(x, [3,2])", lambda x: F.adaptive_max_pool2d(x, (3, 2)), x=[1, 2, 4, 5])
for size, kw, expr, shape in [
        (5, {}, "5", [1, 2, 3]), ((4, 3), {}, "[4,3]", [1, 1, 3, 5]),
        (7, dict(mode="linear"), "7, mode='linear'", [1, 2, 4]),
        (3, dict(mode="linear", align_corners=True), "3, mode='linear', align_corners=True", [2, 1, 5]),
        ((5, 2), dict(mode="bilinear"), "[5,2], mode='bilinear'", [1, 2, 3, 4]),
        ((1, 6), dict(mode="bilinear", align_corners=True), "[1,6], mode='bilinear', align_corners=True", [1, 1, 3, 4]),
        ((2, 3, 3), dict(mode="trilinear"), "[2,3,3], mode='trilinear'", [1, 1, 3, 2, 2]),
        ((2, 3), dict(mode="area"), "[2,3], mode='area'", [1, 1, 5, 4])]:
    case("interpolate", f"interpolate(x, {expr})", lambda x, size=size, kw=kw: F.interpolate(x, size, **kw), x=shape)
case("interpolate", "interpolate(x, scale_factor=2.3, mode='bilinear')", lambda x: F.interpolate(x, scale_factor=2.3, mode="bilinear"),
     x=[1, 1, 3, 2])
case("interpolate", "interpolate(x, scale_factor=[1.5,0.6])", lambda x: F.interpolate(x, scale_factor=(1.5, 0.6)), x=[1, 1, 3, 5])

case("attention", "scaled_dot_product_attention(q, k, v)", SDPA, q=[2, 3, 4], k=[2, 5, 4], v=[2, 5, 3])
case("attention", "scaled_dot_product_attention(q, k, v, is_causal=True)", lambda q, k, v: SDPA(q, k, v, is_causal=True),
     q=[2, 2, 4, 3], k=[2, 2, 4, 3], v=[2, 2, 4, 2])
case("attention", "scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.2)",
     lambda q, k, v: SDPA(q, k, v, is_causal=True, scale=0.2), q=[3, 2], k=[5, 2], v=[5, 2])
case("attention", "scaled_dot_product_attention(q, k, v, m)", lambda q, k, v, m: SDPA(q, k, v, m), masks=("m",), q=[1, 3, 2], k=[1, 4, 2],
     v=[1, 4, 3], m=[3, 4])
case("attention", "scaled_dot_product_attention(q, k, v, m)", lambda q, k, v, m: SDPA(q, k, v, m), q=[2, 3, 2], k=[2, 4, 2], v=[2, 4, 2],
     m=[3, 4])


def lstm(x, h, c, u, w, b, d):
    i, f, g, o = (F.linear(x, u, b) + F.linear(h, w, d)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x, h, u, w, b, d):
    (ir, iz, new), (hr, hz, hn) = F.linear(x, u, b).chunk(3, -1), F.linear(h, w, d).chunk(3, -1)
    r, z = (ir + hr).sigmoid(), (iz + hz).sigmoid()
    return (1 - z) * (new + r * hn).tanh() + z * h


for k in range(2):
    case("lstm_cell", f"lstm_cell(x, h, c, u, w, b, d)[{k}]", lambda *a, k=k: lstm(*a)[k], x=[2, 3], h=[2, 2], c=[2, 2], u=[8, 3],
         w=[8, 2], b=[8], d=[8])
case("gru_cell", "gru_cell(x, h, u, w, b, d)", gru, x=[2, 3], h=[2, 2], u=[6, 3], w=[6, 2], b=[6], d=[6])


def tensor(t):
    name = str(t.dtype).removeprefix("torch.")
    return {"dtype": name, "shape": list(t.shape), "data": t.reshape(-1).tolist()}


def line(number, name, expr, f, masks, ties, shapes):
    torch.manual_seed(zlib.crc32(f"{name} {expr}".encode()))
    draw = lambda shape, tied=False: (torch.randn(shape) * (1 if tied else 100)).round() / (1 if tied else 100)
    inputs = {k: torch.rand(s) < 0.5 if k in masks else draw(s, k in ties) for k, s in shapes.items()}
    for k in masks:
        inputs[k][0] = False  # a row that may look nowhere
    wrt = [k for k in inputs if k not in masks]
    g = lambda *x: f(*{**inputs, **dict(zip(wrt, x))}.values())
    x = tuple(inputs[k] for k in wrt)
    y = g(*x)
    request = {"id": f"{name}-torch{number}", "expr": expr, "inputs": {k: tensor(v) for k, v in inputs.items()}, "want": ["value"]}
    expect = {"value": [tensor(y)]}
    if y.dtype == torch.float64:
        cotangent, tangents = draw(y.shape), tuple(draw(v.shape) for v in x)
        leaves = tuple(v.clone().requires_grad_() for v in x)
        first = torch.autograd.grad(g(*leaves), leaves, cotangent, create_graph=True)
        second = [torch.zeros_like(v) for v in x]
        if any(v.requires_grad for v in first):
            pairs = [(v, t) for v, t in zip(first, tangents) if v.requires_grad]
            found = torch.autograd.grad([v for v, _ in pairs], leaves, [t for _, t in pairs], allow_unused=True)
            second = [z if v is None else v for v, z in zip(found, second)]
        dummy = torch.zeros_like(y, requires_grad=True)  # twice reverse is forward
        back = torch.autograd.grad(g(*leaves), leaves, dummy, create_graph=True)
        jvp = torch.autograd.grad(back, dummy, tangents)[0]
        request |= {"want": ["value", "vjp", "jvp", "hvp"], "wrt": wrt, "cotangents": [cotangent.reshape(-1).tolist()],
                    "tangents": {k: t.reshape(-1).tolist() for k, t in zip(wrt, tangents)}}
        expect |= {"vjp": {k: tensor(v.detach()) for k, v in zip(wrt, first)}, "jvp": [tensor(jvp)],
                   "hvp": {k: tensor(v) for k, v in zip(wrt, second)}}
    return json.dumps({"request": request, "expect": expect, "rtol": 1e-12, "atol": 1e-13}, separators=(",", ":"))


path = Path(__file__).with_name("extra.jsonl")
kept = [text for text in path.read_text().splitlines() if "-torch" not in json.loads(text)["request"]["id"]]
path.write_text("\n".join(kept + [line(k, *c) for k, c in enumerate(CASES)]) + "\n")
