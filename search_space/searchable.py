"""What searchers know of a space: rows to decide, columns to choose from, and how to read off the answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Searchable(Protocol):
    """A space as searchers see it: one of the columns is chosen in every row.

    Rows are the edges of a cell, or the sites of a network; columns are candidates. What has a choice for
    every row, a genotype or a placement, is equal by value and has `to_json`.
    """

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def primitives(self) -> tuple[str, ...]:
        """The candidates in the order of the columns, with those that are mixed in and never derived."""
        ...

    @property
    def candidates(self) -> tuple[str, ...]:
        """The candidates that can be derived."""
        ...

    @property
    def candidate_columns(self) -> list[int]:
        """The columns of the candidates that can be derived, in their order."""
        ...

    @property
    def rows(self) -> tuple[Any, ...]:
        """What is decided: (node, state) of an edge, or the name of a site."""
        ...

    @property
    def size(self) -> int:
        """Number of answers there are."""
        ...

    def columns_at(self, row: Any) -> list[int]:
        """The columns that can be derived in a row, in their order."""
        ...

    def genotype(self, operators: Sequence[str]) -> Any:
        """The answer with these candidates, one for each row, in that order."""
        ...

    def operators(self, genotype: Any) -> tuple[str, ...]:
        """The candidates of an answer that decides every row, in the order of the rows."""
        ...

    def decided(self, genotype: Any) -> Mapping[Any, str]:
        """The candidate of every row that an answer keeps, in the order of the rows."""
        ...

    def arranged(self, rows: Sequence[Any], operators: Sequence[str], scores: Sequence[float]) -> Any:
        """The answer with these candidates in these rows, whatever its order says by decreasing score."""
        ...

    def strongest(self, weights: Sequence[Sequence[float]], most: int | None = None) -> Any:
        """The answer that has the strongest candidate of every row.

        Args:
            weights: Strengths (rows, columns).
            most: Edges that a node of a cell keeps; None for all.
        """
        ...

    def sample(self, rng: random.Random) -> Any:
        """An answer drawn uniformly."""
        ...

    def neighbours(self, genotype: Any) -> Iterator[Any]:
        """All answers that differ from this one in one row."""
        ...

    def mutate(self, genotype: Any, rng: random.Random) -> Any:
        """A neighbour: one row, drawn uniformly, gets another candidate."""
        ...

    def check(self, genotype: Any) -> Any:
        """Returns the answer if it is one of the space's."""
        ...

    def read(self, text: str) -> Any:
        """An answer from its JSON text."""
        ...
