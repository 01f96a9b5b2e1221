#!/usr/bin/env python3
"""Writes networks.npz: layers and losses as PyTorch computes them in float64. Keys: net|SOURCE|WHAT|NAME and loss|CALL|WHAT.
Usage: networks.py NETWORKS.NPZ"""
import sys
import zipfile

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
out = {}


def net(source, x, y, parameters, leaf=None, training=True, state=None):
    """parameters: the model's name to a pair (value, gradient), as functions of what autograd left."""
    c = torch.randn(y.shape)
    (y * c).sum().backward()
    key = f'net|{source}|'
    out[key + 'x'] = x
    out[key + 'y'] = y
    out[key + 'c'] = c
    if leaf is not None:
        out[key + 'gx'] = leaf.grad
    for name, tensors in parameters.items():
        values, grads = zip(*[(t, t.grad) for t in (tensors[1:] if callable(tensors[0]) else tensors)])
        f = tensors[0] if callable(tensors[0]) else lambda *t: t[0]
        g = tensors[0] if callable(tensors[0]) else f
        if f is plus:  # a sum of two: each has its gradient
            out[key + 'p|' + name] = values[0] + values[1]
            out[key + 'g|' + name] = grads[0]
        else:
            out[key + 'p|' + name] = f(*values)
            out[key + 'g|' + name] = g(*grads)
    for name, value in (state or {}).items():
        out[key + 's|' + name] = value


def turned(t):
    return t.T


def plus(a, b):
    return a + b


def given(*shape):
    return torch.randn(*shape, requires_grad=True)


def randomise(module):
    for p in module.parameters():
        nn.init.normal_(p, std=0.5)
    return module


def linear(module, name):
    return {f'{name}.weight': (turned, module.weight), f'{name}.bias': (module.bias,)}


x = given(3, 4)
m = randomise(nn.Linear(4, 5))
net('dense(x, 5)', x, m(x), linear(m, 'dense1'), x)
x = given(2, 3, 4)
m = randomise(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)))
net("sequential(x, 'dense(6), tanh, dense(2)')", x, m(x), {**linear(m[0], 'dense1'), **linear(m[2], 'dense2')}, x)

x = given(2, 5, 3)
for kind, module in (('rnn', nn.RNN(3, 4, batch_first=True)), ('lstm', nn.LSTM(3, 4, batch_first=True)),
                     ('gru', nn.GRU(3, 4, batch_first=True))):
    x = given(2, 5, 3)
    m = randomise(module)
    p = {'weight_input': (turned, m.weight_ih_l0), 'weight_hidden': (turned, m.weight_hh_l0)}
    if kind == 'gru':
        p |= {'bias': (m.bias_ih_l0,), 'bias_hidden': (m.bias_hh_l0,)}
    else:
        p['bias'] = (plus, m.bias_ih_l0, m.bias_hh_l0)
    net(f'{kind}(x, 4)', x, m(x)[0], {f'{kind}1.{k}': v for k, v in p.items()}, x)


def attention(m, name):
    return {f'{name}.qkv.weight': (turned, m.in_proj_weight), f'{name}.qkv.bias': (m.in_proj_bias,),
            **linear(m.out_proj, f'{name}.output')}


later = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
for causal in (True, False):
    x = given(2, 5, 6)
    m = randomise(nn.MultiheadAttention(6, 2, batch_first=True))
    y = m(x, x, x, attn_mask=later if causal else None, need_weights=False)[0]
    net('attention(x, 2)' if causal else 'attention(x, 2, causal=False)', x, y, attention(m, 'attention1'), x)

x = given(2, 5, 6)
m = randomise(nn.TransformerEncoderLayer(6, 3, 24, 0, 'gelu', batch_first=True, norm_first=True))
p = {'layer_normalize1.gain': (m.norm1.weight,), 'layer_normalize1.bias': (m.norm1.bias,),
     **attention(m.self_attn, 'attention1'), 'layer_normalize2.gain': (m.norm2.weight,),
     'layer_normalize2.bias': (m.norm2.bias,), **linear(m.linear1, 'expand'), **linear(m.linear2, 'contract')}
net('transformer(x, 3)', x, m(x, src_mask=later), {f'transformer1.{k}': v for k, v in p.items()}, x)

for shape in ((6, 3), (4, 3, 5), (2, 3, 4, 5)):
    x = given(*shape)
    m = randomise((nn.BatchNorm1d if len(shape) < 4 else nn.BatchNorm2d)(3))
    y = m(x)
    name = 'batch_normalize1'
    source = f'batch_normalize(x) # rank {len(shape)}'
    net(source, x, y, {f'{name}.gain': (m.weight,), f'{name}.bias': (m.bias,)}, x,
        state={f'{name}.mean': m.running_mean, f'{name}.variance': m.running_var})
    out[f'net|{source}|evaluated'] = m.eval()(x)
x = given(2, 3, 4)
m = randomise(nn.LayerNorm(4))
net('layer_normalize(x)', x, m(x), {'layer_normalize1.gain': (m.weight,), 'layer_normalize1.bias': (m.bias,)}, x)

for source, shape, m in (
        ('convolution(x, 4, 3)', (2, 3, 6, 5), nn.Conv2d(3, 4, 3)),
        ("convolution(x, 4, 3, padding='same')", (2, 3, 6, 5), nn.Conv2d(3, 4, 3, padding='same')),
        ('convolution(x, 2, 3, stride=2, padding=1)', (2, 3, 7, 6), nn.Conv2d(3, 2, 3, 2, 1)),
        ('convolution(x, 4, 3, padding=2)', (2, 3, 7), nn.Conv1d(3, 4, 3, padding=2)),
        ("convolution(x, 2, 4, padding='same')", (2, 3, 7), nn.Conv1d(3, 2, 4, padding='same'))):
    x = given(*shape)
    randomise(m)
    net(source, x, m(x), {'convolution1.weight': (m.weight,), 'convolution1.bias': (m.bias,)}, x)
for source, shape, f in (('pool_max(x, 2)', (2, 3, 5, 6), F.max_pool2d), ('pool_mean(x, 2)', (2, 3, 5, 6), F.avg_pool2d),
                         ('pool_max(x, 3)', (2, 3, 7), F.max_pool1d), ('pool_mean(x, 3)', (2, 3, 7), F.avg_pool1d)):
    x = given(*shape)
    net(source, x, f(x, int(source[-2])), {}, x)

tokens = torch.tensor([[1, 4, 0], [4, 4, 2]])
m = randomise(nn.Embedding(5, 3))
net('embed(x, 5, 3)', tokens, m(tokens), {'embed1.weight': (m.weight,)})

# A trajectory: gradient descent from given weights.
x, target = torch.randn(8, 3), torch.randint(0, 4, (8,))
m = randomise(nn.Sequential(nn.Linear(3, 6), nn.Sigmoid(), nn.Linear(6, 4)))
key = 'descent|'
out[key + 'x'], out[key + 'target'] = x, target
names = {'dense1.weight': m[0].weight, 'dense1.bias': m[0].bias, 'dense2.weight': m[2].weight, 'dense2.bias': m[2].bias}
for name, p in names.items():
    out[key + 'p|' + name] = p.T.clone() if p.dim() > 1 else p.clone()
losses = []
for step in range(20):
    m.zero_grad()
    loss = F.cross_entropy(m(x), target)
    loss.backward()
    losses.append(loss.item())
    with torch.no_grad():
        for p in m.parameters():
            p -= 0.5 * p.grad
out[key + 'losses'] = torch.tensor(losses)
for name, p in names.items():
    out[key + 'q|' + name] = p.T if p.dim() > 1 else p


def loss(call, prediction, target, f):
    p = prediction.clone().detach().requires_grad_()
    value = f(p, target)
    value.sum().backward()
    key = f'loss|{call}|'
    n = sum(k.startswith(key.replace(')|', ') #')) or k.startswith(key) for k in out)
    key = f'loss|{call} #{n}|'
    out[key + 'prediction'], out[key + 'target'], out[key + 'value'], out[key + 'gradient'] = p, target, value, p.grad


def half(t):
    return 0.5 * t


large = torch.tensor([1e4, -1e4, 3.0, -1e4, 1e4, 0.0])
value, other = torch.randn(6) * 2, torch.randn(6)
for x in (value, large):
    loss('squared()', x, other, F.mse_loss)
    loss("squared(factor=0.5, reduction='sum')", x, other, lambda p, t: 0.5 * ((p - t)**2).sum())
    loss("squared(reduction='none')", x, other, lambda p, t: (p - t)**2)
    loss('mse_loss()', x, other, F.mse_loss)
    loss('absolute_error()', x, other, F.l1_loss)
    loss("l1_loss(reduction='sum')", x, other, lambda p, t: F.l1_loss(p, t, reduction='sum'))
    loss('huber()', x, other, F.huber_loss)
    loss("huber(delta=0.7, reduction='none')", x, other, lambda p, t: F.huber_loss(p, t, delta=0.7, reduction='none'))
    loss('huber_loss(delta=2.0)', x, other, lambda p, t: F.huber_loss(p, t, delta=2.0))
    loss('smooth_l1_loss(beta=0.5)', x, other, lambda p, t: F.smooth_l1_loss(p, t, beta=0.5))
    d = lambda p, t: (p - t).abs()
    loss('log_cosh_loss()', x, other, lambda p, t: (d(p, t) + F.softplus(-2 * d(p, t)) - np.log(2)).mean())
    truth, sign = (other > 0).double(), torch.sign(other)
    loss('binary_cross_entropy_with_logits()', x, truth, F.binary_cross_entropy_with_logits)
    loss("binary_cross_entropy_with_logits(reduction='sum')", x, torch.sigmoid(other),
         lambda p, t: F.binary_cross_entropy_with_logits(p, t, reduction='sum'))
    loss('soft_margin_loss()', x, sign, lambda p, t: F.softplus(-t * p).mean())
    loss('hinge_loss()', x, sign, lambda p, t: F.relu(1 - t * p).mean())
    loss('squared_hinge_loss()', x, sign, lambda p, t: (F.relu(1 - t * p)**2).mean())
    loss('perceptron_rule()', x, truth, lambda p, t: (((p > 0).double() - t) * p).sum())
p = torch.tensor([0.2, 0.9, 0.5, 1e-9, 1 - 1e-9, 0.3])
loss('binary_cross_entropy()', p, truth, F.binary_cross_entropy)
loss("binary_cross_entropy(reduction='none')", p, torch.sigmoid(other),
     lambda p, t: F.binary_cross_entropy(p, t, reduction='none'))
loss('poisson_nll_loss()', value, torch.tensor([0., 1, 2, 3, 5, 8]), F.poisson_nll_loss)
a, b = torch.randn(4, 3), torch.randn(4, 3)
loss('cosine()', a, b, lambda p, t: (1 - F.cosine_similarity(p, t, -1)).mean())
loss('cosine()', a * 1e4, b * 1e-3, lambda p, t: (1 - F.cosine_similarity(p, t, -1)).mean())

logits = torch.randn(5, 4)
far = torch.tensor([[1e4, -1e4, 0, 5], [-1e4, -1e4, 1e4, 1e4], [0, 1e4, 2, 3], [-1e4, 2, 3, 4], [1, 2, 3, -1e4]])
classes, some = torch.tensor([0, 2, 3, 1, 2]), torch.tensor([0, -100, 3, -100, 2])
soft = torch.softmax(torch.randn(5, 4), 1)
weight = torch.tensor([0.5, 1.0, 2.0, 0.25])
w = 'weight=[0.5, 1.0, 2.0, 0.25]'
for x in (logits, far):
    loss('cross_entropy()', x, classes, F.cross_entropy)
    loss("cross_entropy(reduction='sum')", x, classes, lambda p, t: F.cross_entropy(p, t, reduction='sum'))
    loss("cross_entropy(reduction='none')", x, classes, lambda p, t: F.cross_entropy(p, t, reduction='none'))
    loss('cross_entropy()', x, some, F.cross_entropy)
    loss('cross_entropy()', x, soft, F.cross_entropy)
    loss('cross_entropy()', x, F.one_hot(classes, 4).double(), F.cross_entropy)
    loss(f'cross_entropy({w})', x, classes, lambda p, t: F.cross_entropy(p, t, weight))
    loss('cross_entropy(label_smoothing=0.1)', x, classes, lambda p, t: F.cross_entropy(p, t, label_smoothing=0.1))
    loss(f'cross_entropy(label_smoothing=0.1, {w})', x, some,
         lambda p, t: F.cross_entropy(p, t, weight, label_smoothing=0.1))
    loss('multiclass_hinge()', x, classes, F.multi_margin_loss)
    loss("multiclass_hinge(margin=0.5, reduction='sum')", x, classes,
         lambda p, t: F.multi_margin_loss(p, t, margin=0.5, reduction='sum'))
    loss('nll_loss()', F.log_softmax(x, 1), classes, F.nll_loss)
    loss('nll_loss(ignore_index=2)', F.log_softmax(x, 1), classes, lambda p, t: F.nll_loss(p, t, ignore_index=2))
loss("kl_div(reduction='batchmean')", F.log_softmax(logits, 1), soft, lambda p, t: F.kl_div(p, t, reduction='batchmean'))
share = torch.softmax(logits, 1)
loss('cross_entropy_from_probabilities()', share, classes, lambda p, t: F.nll_loss(torch.log(p), t))
loss(f'cross_entropy_from_probabilities({w})', share, some, lambda p, t: F.nll_loss(torch.log(p), t, weight))
loss('cross_entropy_from_probabilities()', share, soft, lambda p, t: -(t * torch.log(p)).sum(1).mean())
sequence, words = torch.randn(2, 3, 4), torch.tensor([[0, 3, 1], [2, 2, 0]])
loss('cross_entropy()', sequence, words, lambda p, t: F.cross_entropy(p.transpose(1, 2), t))
square, words = torch.randn(2, 4, 4), torch.tensor([[0, 3, 1, 1], [2, 2, 0, 3]])
loss('cross_entropy()', square, words, lambda p, t: F.cross_entropy(p.transpose(1, 2), t))

with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:
    for name, value in out.items():
        with z.open(zipfile.ZipInfo(name + '.npy', (1980, 1, 1, 0, 0, 0)), 'w') as f:
            np.lib.format.write_array(f, np.ascontiguousarray(value.detach().numpy()))
