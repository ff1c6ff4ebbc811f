"""Pairs of sentences as numbers, and batches of them by tokens."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor

from foundation.errors import InputError
from foundation.seeds import seed_of
from supernet.networks.transformer import END, PAD, START


class Sentences:
    """Sentences of numbers, one after the other in one array: 4 bytes a sub-word."""

    def __init__(self) -> None:
        self._words, self._ends = array("i"), array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, words: Sequence[int]) -> None:
        """Adds a sentence at the end."""
        self._words.extend(words)
        self._ends.append(len(self._words))

    def __getitem__(self, index: int) -> list[int]:
        return list(self._words[self._ends[index] : self._ends[index + 1]])

    def lengths(self) -> Int64[Tensor, "n"]:
        """Sub-words of each."""
        ends = torch.tensor(self._ends, dtype=torch.int64)
        return ends[1:] - ends[:-1]


@dataclass
class Part:
    """Pairs of a part as numbers, and the text of what is scored.

    Attributes:
        source: Sub-words of the sentences.
        target: Those of their translations.
        references: The translations as they were read; none where nothing is scored.
    """

    source: Sentences = field(default_factory=Sentences)
    target: Sentences = field(default_factory=Sentences)
    references: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.source)

    def select(self, numbers: Sequence[int]) -> Part:
        """Some of the pairs, of a part of which nothing is scored as text."""
        assert not self.references
        part = Part()
        for number in numbers:
            part.source.append(self.source[number])
            part.target.append(self.target[number])
        return part


class TokenBatches:
    """Batches of pairs of about equal length, each a function of its epoch and number alone.

    Every epoch draws which of the pairs of equal length come together, and the order of the batches; how many
    batches there are, and how long their sentences, is the same in each. No batch has more tokens than asked
    for, counted as rows times the longest sentence of either language with its mark, padding included.

    Args:
        source: Sentences.
        target: Their translations.
        tokens: Most tokens of a batch, over all processes together.
        seed: Decides order.
        rank: Number of this process, which takes every `world_size`-th row of a batch.
        world_size: Number of processes.

    Raises:
        InputError: If a pair does not fit a batch.
    """

    def __init__(
        self,
        source: Sentences,
        target: Sentences,
        tokens: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        assert len(source) == len(target)
        self.source, self.target, self.tokens, self.seed = source, target, tokens, seed
        self.rank, self.world_size = rank, world_size
        sources, targets = source.lengths() + 1, target.lengths() + 1
        longest = torch.maximum(sources, targets)
        if int(longest.max()) > tokens:
            raise InputError(
                f"a sentence of {int(longest.max())} tokens does not fit a batch of {tokens}; "
                "give a larger batch_size, or a smaller data.longest"
            )
        self._key = longest * (int(sources.max()) + 1) + sources
        self._cuts = _cuts(longest.sort().values.tolist(), tokens)
        self._orders: tuple[int, Tensor, list[int]] | None = None

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def batch(self, epoch: int, index: int) -> tuple[Int64[Tensor, "b n"], Int64[Tensor, "b m"]]:
        """This process's share: sources with their end, and targets between start and end.

        Where there is nothing left for a process, one row that is all padding but for its first word.
        """
        order, batches = self._order(epoch)
        first, last = self._cuts[batches[index]], self._cuts[batches[index] + 1]
        mine = order[first:last][self.rank :: self.world_size].tolist()
        if not mine:
            nothing = torch.full((1, 2), PAD)
            nothing[0, 0] = START
            return nothing, nothing.clone()
        return (
            padded([[*self.source[row], END] for row in mine]),
            padded([[START, *self.target[row], END] for row in mine]),
        )

    def _order(self, epoch: int) -> tuple[Tensor, list[int]]:
        if self._orders is None or self._orders[0] != epoch:
            random = torch.Generator().manual_seed(seed_of(self.seed, "sentences", epoch))
            drawn = torch.randperm(len(self.source), generator=random)
            order = drawn[self._key[drawn].argsort(stable=True)]
            self._orders = epoch, order, torch.randperm(len(self), generator=random).tolist()
        return self._orders[1:]


def padded(sentences: Sequence[Sequence[int]]) -> Int64[Tensor, "b n"]:
    """Sentences as rows, the shorter ones padded behind."""
    longest = max(map(len, sentences))
    return torch.tensor([[*words, *[PAD] * (longest - len(words))] for words in sentences])


def groups(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Indices of sentences in groups of about equal length, of about a number of tokens each."""
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    cuts = _cuts([lengths[index] for index in order], tokens)
    return [order[first:last] for first, last in pairwise(cuts)]


def _cuts(rising: Sequence[int], tokens: int) -> list[int]:
    """Where batches begin, and the end: one that is too long stands alone."""
    cuts = [0] if rising else []
    for index, length in enumerate(rising):
        if index > cuts[-1] and (index - cuts[-1] + 1) * length > tokens:
            cuts.append(index)
    return [*cuts, len(rising)]
