"""Rules that derive a genotype from alphas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from search_space.genotype import Genotype
from search_space.searchable import Searchable
from search_space.space import Space

Weights = Sequence[Sequence[float]]


def strongest(space: Space, weights: Weights, most: int | None = None) -> Genotype:
    """Every edge with its strongest operator that is not `none`; see `Space.strongest`."""
    return space.strongest(weights, most)


def argmax(space: Searchable, weights: Weights) -> Any:
    """The public derivation rule: every row with its strongest candidate, all edges of a cell kept.

    Source: public AutoLA code, model_search.py:48-77.
    """
    return space.strongest(weights)


def top2(space: Searchable, weights: Weights) -> Any:
    """The two strongest edges of every node; the first node has one.

    Source: Liu et al., "DARTS", ICLR 2019, section 2.4 (arXiv:1806.09055).
    """
    return space.strongest(weights, 2)


Rule = Literal["argmax", "top2"]

RULES: dict[Rule, Callable[[Searchable, Weights], Any]] = {"argmax": argmax, "top2": top2}
"""Derivation rules that need nothing but strengths."""
