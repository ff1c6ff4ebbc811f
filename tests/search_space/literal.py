"""The formulas of PAPERS, word for word, on the weights of a module; none of our modules is called."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from search_space.genotype import Genotype


def norm(m: Any, x: Tensor) -> Tensor:
    """Batch norm: statistics of the batch while training, running ones otherwise."""
    if m.training:
        mean, variance = x.mean((0, 2, 3)), x.transpose(0, 1).flatten(1).var(1, correction=0)
    else:
        mean, variance = m.running_mean, m.running_var
    y = (x - mean[:, None, None]) / (variance[:, None, None] + m.eps) ** 0.5
    return y if m.weight is None else y * m.weight[:, None, None] + m.bias[:, None, None]


def linear(m: Any, x: Tensor) -> Tensor:
    y = torch.einsum("oi,bi->bo", m.weight, x)
    return y if m.bias is None else y + m.bias


def mlp(m: Any, x: Tensor) -> Tensor:
    return linear(m.excite, torch.clamp(linear(m.squeeze, x), min=0))


def channel_pool(x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    pooled = x.new_empty(b, 2, h, w)
    for i in range(h):
        for j in range(w):
            pooled[:, 0, i, j] = torch.stack([x[:, k, i, j] for k in range(c)]).amax(0)
            pooled[:, 1, i, j] = sum((x[:, k, i, j] for k in range(c)), x.new_zeros(b)) / c
    return pooled


def none(m: Any, x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def skip_connect(m: Any, x: Tensor) -> Tensor:
    return x


def sep_conv_3x3(m: Any, x: Tensor) -> Tensor:
    c = x.shape[1]
    y = F.conv2d(F.conv2d(x, m.depthwise1.weight, padding=1, groups=c), m.pointwise1.weight)
    y = torch.clamp(norm(m.norm1, y), min=0)
    y = F.conv2d(F.conv2d(y, m.depthwise2.weight, padding=1, groups=c), m.pointwise2.weight)
    return x / (1 + torch.exp(-norm(m.norm2, y)))


def dil_conv_3x3(m: Any, x: Tensor) -> Tensor:
    y = F.conv2d(x, m.depthwise.weight, padding=2, dilation=2, groups=x.shape[1])
    return x / (1 + torch.exp(-norm(m.norm, F.conv2d(y, m.pointwise.weight))))


def sep_conv_3x3_spatial(m: Any, x: Tensor) -> Tensor:
    p = channel_pool(x)
    y = F.conv2d(F.conv2d(p, m.depthwise1.weight, padding=1, groups=2), m.pointwise1.weight)
    y = torch.clamp(norm(m.norm1, y), min=0)
    y = F.conv2d(F.conv2d(y, m.depthwise2.weight, padding=1, groups=2), m.pointwise2.weight)
    return x / (1 + torch.exp(-norm(m.norm2, y)))


def dil_conv_3x3_spatial(m: Any, x: Tensor) -> Tensor:
    y = F.conv2d(channel_pool(x), m.conv.weight, padding=2, dilation=2)
    return x / (1 + torch.exp(-norm(m.norm, y * m.pointwise.weight.reshape(()))))


def se(m: Any, x: Tensor) -> Tensor:
    mean = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
    return x / (1 + torch.exp(-mlp(m, mean)))[:, :, None, None]


def se_a_m(m: Any, x: Tensor) -> Tensor:
    mean = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
    maximum = x.amax((2, 3))
    return x / (1 + torch.exp(-(mlp(m, mean) + mlp(m, maximum))))[:, :, None, None]


def cbam(m: Any, x: Tensor) -> Tensor:
    y = se_a_m(m.channel, x)
    z = norm(m.spatial.norm, F.conv2d(channel_pool(y), m.spatial.conv.weight, padding=3))
    return y / (1 + torch.exp(-z))


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def simam(m: Any, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    for b, c in product(*map(range, x.shape[:2])):
        t = x[b, c].flatten()
        mean = sum(t) / len(t)
        variance = sum((t - mean) ** 2) / (len(t) - 1)
        energy = 4 * (variance + 1e-4) / ((t - mean) ** 2 + 2 * variance + 2e-4)  # the source's eq. 5
        y[b, c] = (t * sigmoid(1 / energy)).reshape(x.shape[2:])
    return y


def coordinate(m: Any, x: Tensor) -> Tensor:
    h, w = x.shape[2:]
    pooled = [x[:, :, i].sum(-1) / w for i in range(h)] + [x[..., j].sum(-1) / h for j in range(w)]
    z = torch.stack(pooled, 2)[..., None]
    f = norm(
        m.norm, torch.einsum("oi,bilk->bolk", m.squeeze.weight[..., 0, 0], z) + m.squeeze.bias[:, None, None]
    )
    f = f * torch.clamp(f + 3, min=0, max=6) / 6
    rows, columns = (
        sigmoid(torch.einsum("oi,bil->bol", to.weight[..., 0, 0], f[..., 0]) + to.bias[:, None])
        for to in (m.rows, m.columns)
    )
    return x * rows[..., :h, None] * columns[:, :, None, h:]


def triplet(m: Any, x: Tensor) -> Tensor:
    def gated(plane: Any, y: Tensor) -> Tensor:
        pooled = torch.stack((y.amax(1), y.sum(1) / y.shape[1]), 1)
        return y * sigmoid(norm(plane[1], F.conv2d(pooled, plane[0].weight, padding=3)))

    # The source's three branches: rotate, gate over the last two axes, rotate back.
    first = gated(m.channel_width, x.permute(0, 2, 1, 3)).permute(0, 2, 1, 3)
    second = gated(m.height_channel, x.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
    return (first + second + gated(m.height_width, x)) / 3


def dynamic(m: Any, x: Tensor) -> Tensor:
    _, c, h, w = x.shape
    y = x.clone()
    for i, j, head in product(range(h), range(w), range(m.heads)):
        taps = m.taps.weight.reshape(m.heads, 9, c)[head] @ x[:, :, i, j].T
        weights = torch.exp(taps) / torch.exp(taps).sum(0)
        own = slice(head * c // m.heads, (head + 1) * c // m.heads)
        for tap, (di, dj) in enumerate(product((-1, 0, 1), repeat=2)):
            if 0 <= i + di < h and 0 <= j + dj < w:
                y[:, own, i, j] += m.gamma * weights[tap][:, None] * x[:, own, i + di, j + dj]
    return y


OPERATORS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "none": none,
    "skip_connect": skip_connect,
    "sep_conv_3x3": sep_conv_3x3,
    "dil_conv_3x3": dil_conv_3x3,
    "sep_conv_3x3_spatial": sep_conv_3x3_spatial,
    "dil_conv_3x3_spatial": dil_conv_3x3_spatial,
    "SE": se,
    "SE_A_M": se_a_m,
    "CBAM": cbam,
    "se": se,
    "cbam": cbam,
    "simam": simam,
    "coordinate": coordinate,
    "triplet": triplet,
    "dynamic": dynamic,
}


def hoga(m: Any, genotype: Genotype, x: Tensor) -> Tensor:
    """The cell, node by node, as the formula is written."""
    k = len(genotype.nodes)
    x_ = torch.split(x, x.shape[1] // k, 1)
    s = se(m.group_gate, sum(x_[1:], x_[0]))
    h = list[Tensor]()
    for i in range(k):
        states = [x_[i], *h]
        h_i = torch.zeros_like(x_[i])
        for edge in genotype.nodes[i].edges:
            source = f"h{edge.index}" if edge.index else f"x{i + 1}"
            module = m.edges.operators[f"{source}_h{i + 1}"]
            h_i = h_i + OPERATORS[edge.operator](module, states[edge.index])
        h.append(h_i)
    if genotype.fuse == "none":
        y = torch.cat([h_i + s for h_i in h], 1)
    else:
        y = norm(m.fuse[1], F.conv2d(torch.cat([*h, s], 1), m.fuse[0].weight))
        if genotype.fuse == "double":
            y = norm(m.fuse[4], F.conv2d(torch.clamp(y, min=0), m.fuse[3].weight))
    return se(m.output_gate, y + x)
