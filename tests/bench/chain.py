#!/usr/bin/env python3
"""PyTorch on the chain of chain.h with its gradient by x, a and b. Usage: chain.py ROUNDS"""
import sys
import time

import torch


def chain(x, a, b):
    return torch.sum(torch.sigmoid(a * x + b) * torch.tanh(x) - torch.log1p(torch.exp(-x * x)))


def median(function, n, rounds):
    """Microseconds of a value with its gradient, and the four numbers that jit_bench prints of them."""
    x = (3 * torch.sin(torch.arange(n, dtype=torch.float64))).float().requires_grad_()
    a, b = torch.tensor(1.5, requires_grad=True), torch.tensor(-0.25, requires_grad=True)
    repeats, took = 1_000_000 // n + 1, []
    for k in range(rounds + 1):  # the first compiles
        start = time.perf_counter()
        for _ in range(repeats):
            y = function(x, a, b)
            gradient = torch.autograd.grad(y, (x, a, b))
        took.append((time.perf_counter() - start) / repeats * 1e6)
    return sorted(took[1:])[rounds // 2], y.item(), gradient[1].item(), gradient[2].item()


def main():
    rounds = int(sys.argv[1])
    torch.set_num_threads(1)
    for n in 10_000, 1_000_000:
        torch.compiler.reset()
        eager, compiled = median(chain, n, rounds), median(torch.compile(chain), n, rounds)
        print(f"PyTorch {torch.__version__}, {n} float32: recorded {eager[0]:.1f} us, torch.compile {compiled[0]:.1f} us")
        print(f"  values {compiled[1]:.8g} {compiled[2]:.8g} {compiled[3]:.8g}")


if __name__ == "__main__":
    main()
