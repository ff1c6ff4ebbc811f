"""What spaces have in common whose every row has one of some columns."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from foundation.config import config, parse_json, to_json
from foundation.errors import InputError


class Rows:
    """A space in which any column that fits a row may stand there, whatever stands elsewhere.

    A class of it says its `name` (for messages), `primitives` (the candidates in the order of the columns)
    and `rows` (what is decided, one after another), and may say `columns_at`, `genotype` and `operators`; all
    else that a searcher asks of a space (`Searchable`) follows.
    """

    if TYPE_CHECKING:  # fields of a config may have these names
        name: str

        @property
        def primitives(self) -> tuple[str, ...]: ...
        @property
        def rows(self) -> tuple[str, ...]: ...

    def columns_at(self, row: str) -> list[int]:
        """The columns of the candidates that fit a row."""
        return list(range(len(self.primitives)))

    def genotype(self, operators: Sequence[str]) -> Any:
        """The answer with these candidates, one for each of `rows`, in that order."""
        return Choices(space=self.name, chosen=tuple(zip(self.rows, operators, strict=True)))

    def operators(self, genotype: Any) -> tuple[str, ...]:
        """The candidates of an answer, in the order of `rows`."""
        chosen = dict(genotype.chosen)
        return tuple(chosen[row] for row in self.rows)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The candidates that can be derived: all."""
        return self.primitives

    @property
    def candidate_columns(self) -> list[int]:
        """The columns of the candidates: all of them."""
        return list(range(len(self.primitives)))

    @property
    def num_nodes(self) -> int:
        """Rows; for messages about small spaces."""
        return len(self.rows)

    def names_at(self, row: str) -> list[str]:
        """The candidates that fit a row."""
        return [self.primitives[column] for column in self.columns_at(row)]

    @property
    def size(self) -> int:
        """Number of answers."""
        return prod(len(self.columns_at(row)) for row in self.rows)

    def decided(self, genotype: Any) -> dict[str, str]:
        """What an answer has in each row."""
        return dict(zip(self.rows, self.operators(genotype), strict=True))

    def arranged(self, rows: Sequence[str], operators: Sequence[str], scores: Sequence[float]) -> Any:
        """The answer with these candidates in these rows, which are all."""
        assert tuple(rows) == self.rows
        return self.genotype(operators)

    def strongest(self, weights: Sequence[Sequence[float]], most: int | None = None) -> Any:
        """Every row with its strongest candidate; the first of equals.

        Raises:
            InputError: If `most` is given: rows belong to no node.
        """
        if most is not None:
            raise InputError(
                "top2 keeps the two strongest edges of a cell's node; sites have none, use argmax"
            )
        best = [
            max(self.columns_at(row), key=strengths.__getitem__)
            for row, strengths in zip(self.rows, weights, strict=True)
        ]
        return self.genotype([self.primitives[column] for column in best])

    def sample(self, rng: random.Random) -> Any:
        """An answer drawn uniformly."""
        return self.genotype([rng.choice(self.names_at(row)) for row in self.rows])

    def neighbours(self, genotype: Any) -> Iterator[Any]:
        """All answers that differ from this one in one row."""
        operators = self.operators(genotype)
        for number, row in enumerate(self.rows):
            for name in self.names_at(row):
                if name != operators[number]:
                    yield self.genotype([*operators[:number], name, *operators[number + 1 :]])

    def mutate(self, genotype: Any, rng: random.Random) -> Any:
        """A neighbour: one row, drawn uniformly among those that have a choice, gets another candidate."""
        operators = list(self.operators(genotype))
        number = rng.choice([index for index, row in enumerate(self.rows) if len(self.columns_at(row)) > 1])
        others = [name for name in self.names_at(self.rows[number]) if name != operators[number]]
        operators[number] = rng.choice(others)
        return self.genotype(operators)

    def check(self, genotype: Any) -> Any:
        """Returns the answer if it is one of this space.

        Raises:
            InputError: If it has other rows, or in one what is no candidate there.
        """
        if not isinstance(genotype, Choices) or [row for row, _ in genotype.chosen] != list(self.rows):
            raise InputError(f"{genotype} does not say what stands in the rows of {self.name!r}")
        for row, name in genotype.chosen:
            if name not in self.names_at(row):
                raise InputError(f"{name} is no candidate at {row!r}: {', '.join(self.names_at(row))}")
        return genotype

    def read(self, text: str) -> Any:
        """An answer from its JSON text."""
        return parse_json(Choices, text, f"an answer of {self.name}")


@config
class Choices:
    """What stands in each row of a space: frozen, equal by value, JSON both ways."""

    space: str
    """Name of the space."""
    chosen: tuple[tuple[str, str], ...]
    """Pairs (row, candidate), in the order of the rows."""

    def to_json(self) -> str:
        """JSON text; equal answers give the same bytes."""
        return to_json(self)

    def __str__(self) -> str:
        return "; ".join(f"{row} {name}" for row, name in self.chosen)
