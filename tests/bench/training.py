#!/usr/bin/env python3
"""PyTorch on the workloads of training.c: one a run; prints the median seconds of a step and the peak resident memory.

Usage: training.py WORKLOAD OPTIMIZER THREADS SECONDS [compile]
"""
import sys

import torch
from torch import nn
from torch.nn import functional as F

from measure import report


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(64, 128, batch_first=True)
        self.head = nn.Linear(128, 64)

    def forward(self, x):
        return self.head(self.lstm(F.one_hot(x, 64).float())[0])


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, c)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, layers, width, heads, length, vocabulary):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.tokens(x) + self.positions.weight)))


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convnet():
    return nn.Sequential(nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10))


def tokens(n, t, vocabulary):
    return torch.randint(vocabulary, (n, t)), torch.randint(vocabulary, (n, t))


WORKLOADS = {
    "tiny-1": lambda: (mlp(2, 16, 16, 1), torch.rand(1, 2), torch.rand(1, 1)),
    "tiny-32": lambda: (mlp(2, 16, 16, 1), torch.rand(32, 2), torch.rand(32, 1)),
    "mlp-small": lambda: (mlp(64, 128, 10), torch.rand(64, 64), torch.randint(10, (64,))),
    "mlp-128": lambda: (mlp(784, 128, 10), torch.rand(64, 784), torch.randint(10, (64,))),
    "mlp": lambda: (mlp(784, 512, 512, 10), torch.rand(64, 784), torch.randint(10, (64,))),
    "convnet": lambda: (convnet(), torch.rand(64, 1, 28, 28), torch.randint(10, (64,))),
    "lstm": lambda: (LSTM(), *tokens(32, 50, 64)),
    "gpt-small": lambda: (GPT(4, 128, 4, 64, 4096), *tokens(4, 64, 4096)),
    "gpt": lambda: (GPT(6, 384, 6, 256, 4096), *tokens(4, 256, 4096)),
}
OPTIMIZERS = {"sgd": (torch.optim.SGD, 0.01), "adam": (torch.optim.Adam, 0.001), "adamw": (torch.optim.AdamW, 0.001),
              "rmsprop": (torch.optim.RMSprop, 0.001)}


def sgemm():
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    c = torch.empty(1024, 1024)
    return lambda: torch.matmul(a, b, out=c)


def training(name, optimizer, compiled):
    net, x, y = WORKLOADS[name]()
    if x.dim() == 4:  # the faster layout
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    model = torch.compile(net) if compiled else net
    method, rate = OPTIMIZERS[optimizer]
    opt = method(net.parameters(), lr=rate)

    def step():
        opt.zero_grad()
        scores = model(x)
        loss = F.mse_loss(scores, y) if y.is_floating_point() else F.cross_entropy(scores.flatten(0, -2), y.flatten())
        loss.backward()
        opt.step()
    return step


def main():
    name, optimizer, threads, seconds = sys.argv[1:5]
    torch.manual_seed(1)
    torch.set_num_threads(int(threads))
    step = sgemm() if name == "sgemm" else training(name, optimizer, sys.argv[5:] == ["compile"])
    report(step, int(threads), float(seconds))


if __name__ == "__main__":
    main()
