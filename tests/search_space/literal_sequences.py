"""What operators on sequences compute, said by loops over elements, heads and taps of one sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def literal(name: str, module, role: str, x: Tensor, memory: Tensor) -> Tensor:
    """The result of one sequence without padding, (q, c)."""
    return {"ga": _generalized, "dynamic": _dynamic, "dcn": _deformable, "plain": _plain}[name](
        module, role, x, memory
    )


def _sees(role: str, q: int, k: int) -> bool:
    return role != "causal" or k <= q


def _attend(energies, values, role, heads, num_queries):
    d = values.shape[1] // heads
    y = torch.zeros(num_queries, values.shape[1], dtype=values.dtype)
    for q in range(num_queries):
        for m in range(heads):
            keys = [k for k in range(len(values)) if _sees(role, q, k)]
            powers = [math.exp(energies(m, q, k)) for k in keys]
            for k, power in zip(keys, powers):
                y[q, m * d : (m + 1) * d] += power / sum(powers) * values[k, m * d : (m + 1) * d]
    return y


def _plain(module, role, x, memory):
    c, heads = x.shape[1], module.heads
    w, b = module.project_in.weight, module.project_in.bias
    if role == "cross":
        query, parts = x @ module.query.weight.T + module.query.bias, memory @ w.T + b
        key, value = parts[:, :c], parts[:, c:]
    else:
        parts = x @ w.T + b
        query, key, value = parts[:, :c], parts[:, c : 2 * c], parts[:, 2 * c :]
    d = c // heads

    def energy(m, q, k):
        head = slice(m * d, (m + 1) * d)
        return float(query[q, head] @ key[k, head]) / math.sqrt(d)

    return module.project(_attend(energy, value, role, heads, len(x)))


def _generalized(module, role, x, memory):
    query_key, query_position, has_key, position = module.bits
    if not any(module.bits):
        return torch.zeros_like(x)
    c, heads = x.shape[1], module.heads
    d, waves = c // heads, c // 2

    def energy(m, q, k):
        head, total, coded = slice(m * d, (m + 1) * d), 0.0, torch.zeros(d, dtype=x.dtype)
        if query_key:
            total += float((module.query.weight[head] @ x[q]) @ (module.key.weight[head] @ memory[k]))
        if query_position or position:
            angles = [(q - k) / 10000 ** (i / waves) for i in range(waves)]
            code = torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=x.dtype)
            coded = module.distances.weight[head] @ code
        if query_position:
            total += float((module.query.weight[head] @ x[q]) @ coded)
        if has_key:
            total += float(module.key_bias[m] @ (module.key.weight[head] @ memory[k]))
        if position:
            total += float(module.position_bias[m] @ coded)
        return total / math.sqrt(d)

    return module.project(_attend(energy, memory @ module.value.weight.T, role, heads, len(x)))


def _dynamic(module, role, x, memory):
    c, heads, taps = x.shape[1], module.heads, module.kernel_size
    x = module.project_in(x)
    if module.gate:
        x = x[:, :c] * torch.sigmoid(x[:, c:])
    y, left = torch.zeros_like(x), taps - 1 if role == "causal" else taps // 2
    for q in range(len(x)):
        for m in range(heads):
            if module.taps is None:
                weights = module.weight[m].softmax(0)
            else:
                weights = (module.taps.weight[m * taps : (m + 1) * taps] @ x[q]).softmax(0)
            for p in range(taps):
                if 0 <= q + p - left < len(x):
                    head = slice(m * c // heads, (m + 1) * c // heads)
                    y[q, head] += weights[p] * x[q + p - left, head]
    return module.project(y)


def _deformable(module, role, x, memory):
    n, c, taps = len(x), x.shape[1], module.kernel_size
    left = taps - 1 if role == "causal" else taps // 2
    size, y = c // module.groups, torch.zeros_like(x)

    def at(k, group):
        own = slice(group * size, (group + 1) * size)
        return x[k, own] if 0 <= k < n else torch.zeros(size, dtype=x.dtype)

    for q in range(n):
        read = torch.zeros(taps, c, dtype=x.dtype)
        for group in range(module.groups):
            for tap in range(taps):
                channel = group * taps + tap
                move = module.offset.bias[channel]
                for other in range(taps):
                    if 0 <= q + other - left < n:
                        move = move + module.offset.weight[channel, :, other] @ x[q + other - left]
                place = float(q + tap - left + move)
                if role == "causal":
                    place = min(place, q)
                first, share = math.floor(place), place - math.floor(place)
                own = slice(group * size, (group + 1) * size)
                read[tap, own] = (1 - share) * at(first, group) + share * at(first + 1, group)
        y[q] = module.project(read.flatten())
    return y
