#!/usr/bin/env python3
"""JAX, compiled by XLA for the CPU, on the workloads of training.c: one a run; prints the median seconds of a step and the
peak resident memory. The state is donated, so that XLA may update it in place.

Usage: training_jax.py WORKLOAD OPTIMIZER THREADS SECONDS
"""
import os
import sys

THREADS = int(sys.argv[3])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])  # XLA takes a thread for each processor
os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from jax import lax, nn, random  # noqa: E402
from measure import report  # noqa: E402

KEYS = iter(random.split(random.key(1), 1000))


def weight(*shape, fan):
    return random.uniform(next(KEYS), shape, minval=-(fan ** -0.5), maxval=fan ** -0.5)


def linear(n, m, bias=True):
    return {"w": weight(n, m, fan=n)} | ({"b": jnp.zeros(m)} if bias else {})


def dense(p, x):
    return x @ p["w"] + p["b"] if "b" in p else x @ p["w"]


def mlp(*sizes):
    layers = [linear(n, m) for n, m in zip(sizes, sizes[1:])]

    def forward(p, x):
        for layer in p[:-1]:
            x = nn.relu(dense(layer, x))
        return dense(p[-1], x)
    return layers, forward


def convnet():
    p = {"c1": weight(5, 5, 1, 16, fan=25), "b1": jnp.zeros(16), "c2": weight(5, 5, 16, 32, fan=400), "b2": jnp.zeros(32),
         "d1": linear(512, 128), "d2": linear(128, 10)}

    def block(x, w, b):
        y = lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return lax.reduce_window(nn.relu(y + b), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def forward(p, x):
        h = block(block(x, p["c1"], p["b1"]), p["c2"], p["b2"])
        return dense(p["d2"], nn.relu(dense(p["d1"], h.reshape(h.shape[0], -1))))
    return p, forward


def lstm():
    p = {"x": linear(64, 512), "h": weight(128, 512, fan=128), "head": linear(128, 64)}

    def forward(p, x):
        gates = dense(p["x"], nn.one_hot(x.T, 64))           # of all times, ahead of the recurrence

        def cell(carry, g):
            h, c = carry
            i, f, z, o = jnp.split(g + h @ p["h"], 4, axis=1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(z)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h
        zero = jnp.zeros((x.shape[0], 128))
        return dense(p["head"], lax.scan(cell, (zero, zero), gates)[1].transpose(1, 0, 2))
    return p, forward


def gpt(layers, width, heads, length, vocabulary):
    def block():
        return {"g1": jnp.ones(width), "b1": jnp.zeros(width), "g2": jnp.ones(width), "b2": jnp.zeros(width),
                "qkv": linear(width, 3 * width), "out": linear(width, width), "up": linear(width, 4 * width),
                "down": linear(4 * width, width)}
    p = {"tokens": weight(vocabulary, width, fan=width), "places": weight(length, width, fan=width),
         "blocks": [block() for _ in range(layers)], "g": jnp.ones(width), "b": jnp.zeros(width),
         "head": linear(width, vocabulary, bias=False)}

    def norm(x, g, b):
        d = x - x.mean(-1, keepdims=True)
        return d * lax.rsqrt((d * d).mean(-1, keepdims=True) + 1e-5) * g + b

    def forward(p, x):
        h = p["tokens"][x] + p["places"]
        n, t, c = h.shape
        for q in p["blocks"]:
            a = dense(q["qkv"], norm(h, q["g1"], q["b1"])).reshape(n, t, 3, heads, c // heads)
            y = nn.dot_product_attention(a[:, :, 0], a[:, :, 1], a[:, :, 2], is_causal=True).reshape(n, t, c)
            h = h + dense(q["out"], y)
            h = h + dense(q["down"], nn.gelu(dense(q["up"], norm(h, q["g2"], q["b2"])), approximate=False))
        return dense(p["head"], norm(h, p["g"], p["b"]))
    return p, forward


def numbers(*shape):
    return random.uniform(next(KEYS), shape)


def classes(n, *shape):
    return random.randint(next(KEYS), shape, 0, n)


WORKLOADS = {
    "tiny-1": lambda: (mlp(2, 16, 16, 1), numbers(1, 2), numbers(1, 1)),
    "tiny-32": lambda: (mlp(2, 16, 16, 1), numbers(32, 2), numbers(32, 1)),
    "mlp-small": lambda: (mlp(64, 128, 10), numbers(64, 64), classes(10, 64)),
    "mlp-128": lambda: (mlp(784, 128, 10), numbers(64, 784), classes(10, 64)),
    "mlp": lambda: (mlp(784, 512, 512, 10), numbers(64, 784), classes(10, 64)),
    "convnet": lambda: (convnet(), numbers(64, 28, 28, 1), classes(10, 64)),
    "lstm": lambda: (lstm(), classes(64, 32, 50), classes(64, 32, 50)),
    "gpt-small": lambda: (gpt(4, 128, 4, 64, 4096), classes(4096, 4, 64), classes(4096, 4, 64)),
    "gpt": lambda: (gpt(6, 384, 6, 256, 4096), classes(4096, 4, 256), classes(4096, 4, 256)),
}


def adam(p, g, s, decay):
    t = s["t"] + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, s["m"], g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, s["v"], g)
    a, b = 1 - 0.9 ** t, 1 - 0.999 ** t
    p = jax.tree.map(lambda p, m, v: p * (1 - 0.001 * decay) - 0.001 * (m / a) / (jnp.sqrt(v / b) + 1e-8), p, m, v)
    return p, {"t": t, "m": m, "v": v}


def rmsprop(p, g, s):
    v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, s, g)
    return jax.tree.map(lambda p, g, v: p - 0.001 * g / (jnp.sqrt(v) + 1e-8), p, g, v), v


def zeros(p):
    return jax.tree.map(jnp.zeros_like, p)


METHODS = {
    "sgd": (lambda p: (), lambda p, g, s: (jax.tree.map(lambda p, g: p - 0.01 * g, p, g), s)),
    "adam": (lambda p: {"t": jnp.zeros(()), "m": zeros(p), "v": zeros(p)}, lambda p, g, s: adam(p, g, s, 0)),
    "adamw": (lambda p: {"t": jnp.zeros(()), "m": zeros(p), "v": zeros(p)}, lambda p, g, s: adam(p, g, s, 0.01)),
    "rmsprop": (zeros, rmsprop),
}


def cost(scores, y):
    if y.dtype == scores.dtype:
        return jnp.mean((scores - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(nn.log_softmax(scores), y[..., None], axis=-1))


def sgemm():
    a, b = numbers(1024, 1024), numbers(1024, 1024)
    product = jax.jit(jnp.matmul)
    return lambda: product(a, b).block_until_ready()


def training(name, optimizer):
    (p, forward), x, y = WORKLOADS[name]()
    begin, update = METHODS[optimizer]

    def step(p, s, x, y):
        loss, g = jax.value_and_grad(lambda p: cost(forward(p, x), y))(p)
        return *update(p, g, s), loss
    step = jax.jit(step, donate_argnums=(0, 1))
    state = [p, begin(p)]

    def run():
        *state[:], loss = step(*state, x, y)
        loss.block_until_ready()
    return run


def main():
    name, optimizer, _, seconds = sys.argv[1:5]
    step = sgemm() if name == "sgemm" else training(name, optimizer)
    report(step, THREADS, float(seconds))


if __name__ == "__main__":
    main()
