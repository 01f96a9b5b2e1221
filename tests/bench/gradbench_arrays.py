#!/usr/bin/env python3
"""PyTorch or JAX as a GradBench tool, for tests/bench/gradbench: the tensor ones. Usage: gradbench_arrays.py torch|jax

Both libraries name their functions as NumPy does, so that one text serves both; JAX compiles it, outside the clock."""
import json
import math
import sys
import time

if sys.argv[1] == 'torch':
    import torch as np
    np.set_default_dtype(np.float64)
    np.set_num_threads(1)

    def leaves(xs):
        return [np.tensor(x) for x in xs]

    def gradient(f):
        def g(*xs):
            xs = [x.requires_grad_() for x in xs]
            return np.autograd.grad(f(*xs), xs)
        return g

    def newton(f):
        def direction(x):
            x = x.requires_grad_()
            g, = np.autograd.grad(f(x), x, create_graph=True)
            h, = np.autograd.grad(g.sum(), x)
            return [g / h]
        return direction

    def ready(x):
        return x

    def compiled(f):
        return f
else:
    import os
    os.environ['XLA_FLAGS'] = '--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1'
    import jax
    import jax.numpy as np
    jax.config.update('jax_enable_x64', True)
    jax.config.update('jax_platforms', 'cpu')

    def leaves(xs):
        return [np.array(x, dtype=np.float64) for x in xs]

    def gradient(f):
        return lambda *xs: jax.grad(f, argnums=tuple(range(len(xs))))(*xs)

    def newton(f):
        def direction(x):
            g, h = jax.jvp(jax.grad(f), (x,), (np.ones_like(x),))
            return [g / h]
        return direction

    ready, compiled = jax.block_until_ready, jax.jit


def lse(x):
    a = x.max()
    return a + np.log(np.exp(x - a).sum())


def llsq(n):
    def f(x):
        t = -1 + 2 * np.arange(n) / (n - 1)
        powers = np.cumprod(np.concatenate([np.ones((1, n)), np.broadcast_to(t, (len(x) - 1, n))]), 0)
        return 0.5 * ((np.sign(t) - x @ powers) ** 2).sum()
    return f


def kmeans(points):
    def f(centroids):
        squares = (centroids ** 2).sum(1) - 2 * points @ centroids.T
        nearest = centroids[np.argmin(squares, 1)]
        return ((nearest - points) ** 2).sum()
    return f


def log_sum_exp(x):
    a = np.amax(x, 1, keepdims=True) if sys.argv[1] == 'jax' else np.amax(x, 1, keepdim=True)
    return (a + np.log(np.exp(x - a).sum(1)[:, None])).sum()


PARAMETERS = 'alpha', 'mu', 'q', 'l'


def gmm(input):
    d, k, n, m, gamma = (input[name] for name in ('d', 'k', 'n', 'm', 'gamma'))
    x, = leaves([input['x']])
    nu = d + m + 1
    gammas = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((nu + 1 - j) / 2) for j in range(1, d + 1))
    constant = k * (nu * d * (math.log(gamma) - math.log(2) / 2) - gammas) - n * d / 2 * math.log(2 * math.pi)
    place, at = [[0] * d for _ in range(d)], 1 + d
    for column in range(d):
        place[column][column] = 1 + column
        for row in range(column + 1, d):
            place[row][column], at = at, at + 1
    place = np.tensor(place) if sys.argv[1] == 'torch' else np.array(place)

    def f(alpha, mu, q, l):
        diagonal = np.exp(q)
        factor = np.concatenate([np.zeros((k, 1)), diagonal, l], 1)[:, place]
        y = np.einsum('kij,knj->kni', factor, x[None] - mu[:, None])
        beta = (alpha + q.sum(1) - 0.5 * (y ** 2).sum(2).T)
        prior = gamma ** 2 / 2 * ((diagonal ** 2).sum() + (l ** 2).sum()) - m * q.sum()
        return log_sum_exp(beta) - n * log_sum_exp(alpha[None]) - prior + constant
    return f


def prepare(module, function, input):
    """The function to time and its arguments."""
    f, x, shape = {
        'lse': lambda: (lse, [input['x']], lambda y: y[0]),
        'llsq': lambda: (llsq(input['n']), [input['x']], lambda y: y[0]),
        'kmeans': lambda: (kmeans(leaves([input['points']])[0]), [input['centroids']], lambda y: y[0]),
        'gmm': lambda: (gmm(input), [input[p] for p in PARAMETERS], lambda y: dict(zip(PARAMETERS, y))),
    }[module]()
    x = leaves(x)
    if function in ('primal', 'objective', 'cost'):
        return compiled(f), x, lambda y: y
    return compiled((newton if function == 'dir' else gradient)(f)), x, shape


def lists(y):
    return {k: v.tolist() for k, v in y.items()} if isinstance(y, dict) else y.tolist()


def evaluate(message):
    input = message['input']
    run, x, shape = prepare(message['module'], message['function'], input)
    if sys.argv[1] == 'jax':
        ready(run(*x))
    times = []
    while len(times) < input['min_runs'] or sum(times) < input['min_seconds'] * 1e9:
        began = time.perf_counter_ns()
        y = ready(run(*x))
        times.append(time.perf_counter_ns() - began)
    return dict(success=True, output=lists(shape(y)), timings=[dict(name='evaluate', nanoseconds=t) for t in times])


for line in sys.stdin:
    message = json.loads(line)
    answer = {}
    if message['kind'] == 'start':
        answer = dict(tool=sys.argv[1])
    elif message['kind'] == 'define':
        answer = dict(success=message['module'] in ('lse', 'llsq', 'kmeans', 'gmm'))
    elif message['kind'] == 'evaluate':
        answer = evaluate(message)
    print(json.dumps(dict(id=message['id'], **answer)), flush=True)
