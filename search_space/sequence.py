"""Operators on sequences: what they are called with, plain attention, and what several of them need."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.operator import heads_of

Role = Literal["self", "causal", "cross"]
"""Which elements an operator reads: all of its own sequence ("self"), those up to its own position
("causal"), or those of another sequence ("cross")."""

Cache = dict[str, Tensor]
"""What an operator keeps of a sequence that is given a few elements at a time, first axis the batch."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the elements of a sequence look at.

    Attributes:
        weights: Of each key for each query, by head.
        terms: Energies whose sum, normalised over the keys, the weights are, by what they read; none where
            the weights are computed otherwise.
    """

    weights: Float[Tensor, "b m q k"]
    terms: Mapping[str, Float[Tensor, "b m q k"]]


class SequenceOperator(nn.Module):
    """An operator from a sequence to one of the same shape, without a residual connection.

    Called with elements x (b, q, c) and, where its role is "cross", with the other sequence as memory
    (b, k, c). `padding` (b, k) is True at elements that are none: of the memory, or else of x. Nothing reads
    them; what stands at them in the result is finite and of no meaning. With a cache, an empty dict at
    first, x are the elements that follow those of the calls before, and the results are those of one call
    with all of them, for the role "causal"; for "cross" the memory is looked at once. Padding goes with
    neither.
    """

    before: ClassVar[bool] = False
    """Whether it changes what the self-attention of a layer reads, instead of standing in its stead."""

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        raise NotImplementedError(f"{type(self).__name__} has to define forward")

    def look(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
    ) -> Look | None:
        """What a call of evaluation mode looks at, for pictures; None where that is no weighted mean."""
        return None

    def empty_cache(self, x: Float[Tensor, "b _ c"]) -> Cache:
        """What its cache holds before the first element, in full: an empty dict does the same.

        The role is "causal". For graphs whose inputs are the cache: each has its axes from the start.

        Args:
            x: Elements of the batch and type that will come, of any number.
        """
        return {}

    def macs_of(self, queries: int, keys: int) -> int:
        """Multiply-accumulates of its definition, for one sequence and another of given lengths."""
        raise NotImplementedError(f"{type(self).__name__} has to define macs_of")


class PlainAttention(SequenceOperator):
    """Scaled dot-product attention of several heads, as the Transformer has it.

    Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017 (arXiv:1706.03762), section 3.2.
    The maps of queries, keys and values are one product, with biases, as in `torch.nn.MultiheadAttention`.

    Args:
        channels: Width of the elements.
        role: What it reads.
        heads: Number of heads, a divisor of the channels; the greatest common divisor of 8 and the channels
            if left out.
        dropout: Probability with which a weight is dropped in training.

    Raises:
        InputError: If the heads do not divide the channels.
    """

    def __init__(
        self, channels: int, role: Role = "self", *, heads: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.role: Role = role
        self.heads, self.dropout = heads_of(channels, heads, "attention"), dropout
        if role == "cross":
            self.query = nn.Linear(channels, channels)
        self.project_in = nn.Linear(channels, (2 if role == "cross" else 3) * channels)
        self.project = nn.Linear(channels, channels)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.xavier_uniform_(self.project.weight)
        for part in self.project_in.weight.split(channels):
            nn.init.xavier_uniform_(part)

    def forward(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q c"]:
        if self.role == "cross":
            query = split_heads(self.query(x), self.heads)
            key, value = remembered(cache, lambda: self._split(self.project_in(given(memory))))
        else:
            query, key, value = self._split(self.project_in(x))
            key, value = appended(cache, key=key, value=value)
        mask = seen(self.role, query.shape[2], key.shape[2], padding, x.device)
        causal = mask is CAUSAL
        y = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if causal else mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.project(joined(y))

    def look(
        self,
        x: Float[Tensor, "b q c"],
        memory: Float[Tensor, "b k c"] | None = None,
        padding: Bool[Tensor, "b k"] | None = None,
    ) -> Look:
        if self.role == "cross":
            query, (key, _) = (
                split_heads(self.query(x), self.heads),
                self._split(self.project_in(given(memory))),
            )
        else:
            query, key, _ = self._split(self.project_in(x))
        energy = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        return Look(normalised(energy, self.role, padding), {CONTENT: energy})

    def empty_cache(self, x: Float[Tensor, "b _ c"]) -> Cache:
        key, value = split_heads(x[:, :0], self.heads), split_heads(x[:, :0], self.heads)
        return {"key": key, "value": value}

    def _split(self, x: Float[Tensor, "b n c"]) -> tuple[Tensor, ...]:
        parts = x.unflatten(-1, (-1, self.heads, self.project.in_features // self.heads))
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def macs_of(self, queries: int, keys: int) -> int:
        c = self.project.in_features
        return 2 * queries * c * c + 2 * keys * c * c + 2 * queries * keys * c


CONTENT = "query and key content"
"""The one term of plain attention."""


def normalised(
    energy: Float[Tensor, "b m q k"], role: Role, padding: Bool[Tensor, "b k"] | None
) -> Float[Tensor, "b m q k"]:
    """Softmax over the keys that each query sees; 0 at the others."""
    queries, keys = energy.shape[2:]
    mask = seen(role, queries, keys, padding, energy.device)
    mask = lower(queries, keys, energy.device) if mask is CAUSAL else mask
    energy = energy if mask is None else energy.masked_fill(~mask, -math.inf)
    return energy.softmax(-1).nan_to_num(0.0)  # a query that sees nothing


CAUSAL = torch.ones(0, dtype=torch.bool)
"""The mask of a whole causal sequence without padding, which kernels know without being given it."""


def seen(
    role: Role, queries: int, keys: int, padding: Bool[Tensor, "b k"] | None, device: torch.device
) -> Bool[Tensor, "..."] | None:
    """Which keys each query sees, (b or 1, 1, q or 1, k); None for all, `CAUSAL` for those up to its own.

    Args:
        role: What is read; the queries of a causal sequence are its last elements.
        queries: Number of queries.
        keys: Number of keys.
        padding: True at keys that are none.
        device: Where the mask is made.
    """
    there = None if padding is None else ~padding[:, None, None, :]
    if role != "causal" or queries == 1:
        return there
    if there is None and queries == keys:
        return CAUSAL
    past = lower(queries, keys, device)
    return past if there is None else past & there


def lower(queries: int, keys: int, device: torch.device) -> Bool[Tensor, "1 1 q k"]:
    """True where the key is not after the query; the queries are the last elements."""
    places = torch.arange(keys, device=device)
    return (places <= places[keys - queries :, None])[None, None]


def split_heads(x: Float[Tensor, "b n c"], heads: int) -> Float[Tensor, "b m n d"]:
    """Channels split into heads."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def joined(x: Float[Tensor, "b m n d"]) -> Float[Tensor, "b n c"]:
    """Heads joined to channels again."""
    return x.transpose(1, 2).flatten(2)


def appended(cache: Cache | None, axis: int = 2, **parts: Tensor) -> tuple[Tensor, ...]:
    """New elements after those that a cache holds, which then holds all of them."""
    if cache is None:
        return tuple(parts.values())
    for name, part in parts.items():
        cache[name] = torch.cat((cache[name], part), axis) if name in cache else part
    return tuple(cache[name] for name in parts)


def remembered(cache: Cache | None, compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Keys and values of another sequence: with a cache computed at the first call, else at every one."""
    if cache is None:
        return tuple(compute())
    if "key" not in cache:
        cache["key"], cache["value"] = compute()
    return cache["key"], cache["value"]


def given(memory: Tensor | None) -> Tensor:
    """The memory, which the role "cross" cannot do without."""
    assert memory is not None, "the role `cross` reads a memory"
    return memory


def taps_before(kernel_size: int, role: Role, name: str, usual: int) -> int:
    """Taps before the one at an element itself: all others in a causal sequence, else half of them.

    Raises:
        InputError: If the kernel has no middle where it needs one; says the usual size.
    """
    if kernel_size < 1 or (role == "self" and kernel_size % 2 == 0):
        raise InputError(f"{name}[kernel_size={kernel_size}] has no middle; choose an odd size: {usual}")
    return kernel_size - 1 if role == "causal" else kernel_size // 2


def not_cross(role: Role, name: str, why: str) -> None:
    """Refuses an operator between two sequences.

    Raises:
        InputError: If the role is "cross".
    """
    if role == "cross":
        raise InputError(f"{name} cannot stand between decoder and encoder: {why}")
