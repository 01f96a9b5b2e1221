#!/usr/bin/env python3
"""Writes optimizers.tsv: where each optimizer is after 1, 2, 3, 5, 10 and 20 steps on three problems, in float64.

From torch.optim where it has the method, else from the few lines of NumPy below, written from the papers. Each line: problem, call, step, loss
there, parameters. Needs torch and numpy; the tests read the file alone.

    tests/goldens/make_optimizers.py > tests/goldens/optimizers.tsv
"""
import numpy as np
import torch

torch.set_default_dtype(torch.float64)
A = torch.tensor([[3.0, 0.5, 0.0], [0.5, 8.0, -1.0], [0.0, -1.0, 1.5]])
B = torch.tensor([1.0, -2.0, 0.5])
X = torch.tensor([[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0], [0.1, 0.9], [-1.2, -0.4]])
Y = torch.tensor([0.3, 1.2, -0.4, 0.8, -1.1])


def quadratic(p):
    return 0.5 * p[0] @ A @ p[0] - B @ p[0]


def rosenbrock(p):
    return (1 - p[0][0]) ** 2 + 100 * (p[0][1] - p[0][0] ** 2) ** 2


def residuals(p):
    return torch.tanh(X @ p[0] + p[1]).sum(1) - Y


def network(p):
    return (residuals(p) ** 2).mean()


PROBLEMS = {
    "quadratic": (quadratic, [[3.0, -2.0, 0.5]]),
    "rosenbrock": (rosenbrock, [[-1.2, 1.0]]),
    "network": (network, [[[0.3, -0.2, 0.5], [0.1, 0.4, -0.6]], [0.05, -0.1, 0.2]]),
}
STEPS = (1, 2, 3, 5, 10, 20)


def start(name):
    return [torch.tensor(v, requires_grad=True) for v in PROBLEMS[name][1]]


def emit(name, call, step, p):
    loss = PROBLEMS[name][0](p).item()
    numbers = [loss] + [x for v in p for x in v.detach().reshape(-1).tolist()]
    print(name, call, step, " ".join("%.17g" % x for x in numbers), sep="\t")


def by_torch(name, call, make, **options):
    p = start(name)
    decay = options.pop("weight_decay", None)
    groups = p if decay is None else [{"params": [p[0]], "weight_decay": decay}, {"params": p[1:], "weight_decay": 0}][: len(p)]
    opt = make(groups, **options)

    def closure():
        opt.zero_grad()
        loss = PROBLEMS[name][0](p)
        loss.backward()
        return loss

    for step in range(1, max(STEPS) + 1):
        opt.step(closure)
        if step in STEPS:
            emit(name, call, step, p)


def flat(p):
    return np.concatenate([v.detach().numpy().reshape(-1) for v in p])


def put(p, w):
    at = 0
    with torch.no_grad():
        for v in p:
            v.copy_(torch.from_numpy(w[at : at + v.numel()].reshape(v.shape)))
            at += v.numel()


def value_and_gradient(name, p):
    for v in p:
        v.grad = None
    loss = PROBLEMS[name][0](p)
    loss.backward()
    return loss.item(), np.concatenate([v.grad.numpy().reshape(-1) for v in p])


def by_numpy(name, call, rule):
    """rule(w, g, loss, t, memory) returns the new w; memory is its dictionary."""
    p, memory = start(name), {}
    weights = np.concatenate([np.full(v.numel(), 1.0 if k == 0 else 0.0) for k, v in enumerate(p)])
    memory["decays"] = weights
    for step in range(1, max(STEPS) + 1):
        loss, g = value_and_gradient(name, p)
        put(p, rule(flat(p), g, loss, step, memory))
        if step in STEPS:
            emit(name, call, step, p)


def ema(w, g, loss, t, k, lr=0.01, b=0.9):
    k["v"] = b * k.get("v", 0) + (1 - b) * g
    return w - lr * k["v"]


def heavy_ball(w, g, loss, t, k, lr=0.001, b=0.9):
    k["v"] = b * k.get("v", 0) + lr * g
    return w - k["v"]


def printed_003(w, g, loss, t, k, lr=0.02, b=0.9):
    k["v"] = b * k.get("v", 0) + lr * g
    return w - lr * k["v"]


def lion(w, g, loss, t, k, lr=0.01, b1=0.9, b2=0.99, decay=0.0):
    m = k.get("m", np.zeros_like(w))
    w = w - lr * (np.sign(b1 * m + (1 - b1) * g) + decay * k["decays"] * w)
    k["m"] = b2 * m + (1 - b2) * g
    return w


def quickprop(w, g, loss, t, k, lr=0.001, mu=1.75):
    step, slope = k.get("step", np.zeros_like(w)), k.get("slope", np.zeros_like(w))
    new = np.zeros_like(w)
    for i in range(len(w)):  # Fahlman's report, with slopes downhill: s = -dE/dw
        s, before, shrink = -g[i], -slope[i], mu / (1 + mu)
        if step[i] > 0:
            new[i] += lr * s if s > 0 else 0
            new[i] += mu * step[i] if s > shrink * before else step[i] * s / (before - s)
        elif step[i] < 0:
            new[i] += lr * s if s < 0 else 0
            new[i] += mu * step[i] if s < shrink * before else step[i] * s / (before - s)
        else:
            new[i] += lr * s
    k["step"], k["slope"] = new, g.copy()
    return w + new


def rprop(variant, lr=0.01, minus=0.5, plus=1.2, least=1e-6, most=50.0):
    def rule(w, g, loss, t, k):
        delta, before, last = k.get("delta", np.full_like(w, lr)), k.get("g", np.zeros_like(w)), k.get("last", np.zeros_like(w))
        worse = loss > k.get("loss", np.inf)
        w, g, last = w.copy(), g.copy(), last.copy()
        for i in range(len(w)):
            if g[i] * before[i] > 0:
                delta[i] = min(delta[i] * plus, most)
                last[i] = -np.sign(g[i]) * delta[i]
                w[i] += last[i]
            elif g[i] * before[i] < 0:
                delta[i] = max(delta[i] * minus, least)
                if variant == "minus":
                    last[i] = -np.sign(g[i]) * delta[i]
                    w[i] += last[i]
                else:
                    if variant == "plus" or worse:
                        w[i] -= last[i]
                    g[i] = 0
            else:
                last[i] = -np.sign(g[i]) * delta[i]
                w[i] += last[i]
        k.update(delta=delta, g=g, last=last, loss=loss)
        return w

    return rule


def levenberg_marquardt(call, damping=1e-3, up=10.0, down=10.0, diagonal=False):
    p = start("network")
    half = lambda: 0.5 * (residuals(p) ** 2).sum().item()
    for step in (1, 2, 3, 4, 5):  # later the residuals are rounding
        j = torch.autograd.functional.jacobian(lambda *q: residuals(q), tuple(p))
        j = np.concatenate([x.detach().numpy().reshape(len(Y), -1) for x in j], axis=1)
        r, w, before = residuals(p).detach().numpy(), flat(p), half()
        while True:
            d = np.diag(np.diag(j.T @ j)) if diagonal else np.eye(j.shape[1])
            put(p, w - np.linalg.solve(j.T @ j + damping * d, j.T @ r))
            if half() < before:
                break
            damping *= up
        damping /= down
        emit("network", call, step, p)


T = torch.optim
for name in PROBLEMS:
    slow = 1e-4 if name == "rosenbrock" else 0.01
    torch_calls = [
        (f"sgd(lr={slow})", T.SGD, dict(lr=slow)),
        ("gradient_descent()", T.SGD, dict()),
        (f"sgd(lr={slow}, momentum=0.9)", T.SGD, dict(lr=slow, momentum=0.9)),
        (f"sgd(lr={slow}, momentum=0.8, nesterov=True, weight_decay=0.1)", T.SGD, dict(lr=slow, momentum=0.8, nesterov=True, weight_decay=0.1)),
        (f"sgd(lr={slow}, momentum=0.8, dampening=0.3)", T.SGD, dict(lr=slow, momentum=0.8, dampening=0.3)),
        (f"momentum(lr={slow}, form='torch', nesterov=True)", T.SGD, dict(lr=slow, momentum=0.9, nesterov=True)),
        (f"nesterov(lr={slow})", T.SGD, dict(lr=slow, momentum=0.9, nesterov=True)),
        ("adagrad()", T.Adagrad, dict()),
        ("adagrad(lr=0.1, lr_decay=0.01, weight_decay=0.1, initial_accumulator_value=0.2, eps=1e-6)", T.Adagrad,
         dict(lr=0.1, lr_decay=0.01, weight_decay=0.1, initial_accumulator_value=0.2, eps=1e-6)),
        ("rmsprop()", T.RMSprop, dict()),
        ("rmsprop(lr=0.02, alpha=0.9, eps=1e-6, weight_decay=0.1, momentum=0.5, centered=True)", T.RMSprop,
         dict(lr=0.02, alpha=0.9, eps=1e-6, weight_decay=0.1, momentum=0.5, centered=True)),
        ("adadelta()", T.Adadelta, dict()),
        ("adadelta(lr=0.5, rho=0.8, eps=1e-4, weight_decay=0.1)", T.Adadelta, dict(lr=0.5, rho=0.8, eps=1e-4, weight_decay=0.1)),
        ("adam()", T.Adam, dict()),
        ("adam(lr=0.05, betas=[0.8, 0.9], eps=1e-6, weight_decay=0.1)", T.Adam, dict(lr=0.05, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)),
        ("adam(lr=0.1, amsgrad=True)", T.Adam, dict(lr=0.1, amsgrad=True)),
        ("adam(lr=0.001, maximize=True)", T.Adam, dict(lr=0.001, maximize=True)),
        ("adamw()", T.AdamW, dict(weight_decay=0.01)),
        ("adamw(lr=0.1, betas=[0.7, 0.99], weight_decay=0.2, amsgrad=True)", T.AdamW, dict(lr=0.1, betas=(0.7, 0.99), weight_decay=0.2, amsgrad=True)),
        ("nadam()", T.NAdam, dict()),
        ("nadam(lr=0.05, weight_decay=0.1, momentum_decay=0.01)", T.NAdam, dict(lr=0.05, weight_decay=0.1, momentum_decay=0.01)),
        ("nadam(lr=0.05, weight_decay=0.1, decoupled_weight_decay=True)", T.NAdam, dict(lr=0.05, weight_decay=0.1, decoupled_weight_decay=True)),
        ("rprop()", T.Rprop, dict()),
        ("irprop_minus(lr=0.1, etas=[0.4, 1.3], step_sizes=[1e-4, 0.5])", T.Rprop, dict(lr=0.1, etas=(0.4, 1.3), step_sizes=(1e-4, 0.5))),
        ("lbfgs()", T.LBFGS, dict(max_iter=1, max_eval=26, line_search_fn="strong_wolfe")),
        ("lbfgs(history_size=2)", T.LBFGS, dict(max_iter=1, max_eval=26, history_size=2, line_search_fn="strong_wolfe")),
        ("lbfgs(lr=0.5, max_iter=4, max_eval=9, history_size=3)", T.LBFGS, dict(lr=0.5, max_iter=4, max_eval=9, history_size=3, line_search_fn="strong_wolfe")),
        ("lbfgs(max_iter=20)", T.LBFGS, dict(line_search_fn="strong_wolfe")),
        ("lbfgs(lr=0.1, line_search_fn='none')", T.LBFGS, dict(lr=0.1, max_iter=1)),
    ]
    for call, make, options in torch_calls:
        by_torch(name, call, make, **options)
    by_numpy(name, "momentum()", ema)
    by_numpy(name, "heavy_ball(lr=0.001)", heavy_ball)
    by_numpy(name, "momentum(lr=0.001, form='heavy_ball')", heavy_ball)
    by_numpy(name, "momentum(lr=0.02, form='printed_003')", printed_003)
    by_numpy(name, "lion(lr=0.01)", lion)
    by_numpy(name, "lion(lr=0.01, weight_decay=0.1)", lambda *a: lion(*a, decay=0.1))
    by_numpy(name, "quickprop(lr=0.001)", quickprop)
    for variant, call in (("plus", "rprop_plus()"), ("minus", "rprop_minus()"), ("iplus", "irprop_plus()")):
        by_numpy(name, call, rprop(variant))
levenberg_marquardt("levenberg_marquardt()")
levenberg_marquardt("lm(damping=0.1, up=4, down=2, scaling='diagonal')", 0.1, 4.0, 2.0, True)
