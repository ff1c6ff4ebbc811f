"""Expected costs of genotypes that are drawn row by row: exact, and differentiable in the chances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from evaluators.cost_tables import AnySum, AnyTable
from search_space.searchable import Searchable

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True)
class ExpectedCosts:
    """What genotypes cost in the mean, as shares of limits, by how likely each operator is in each row.

    Args:
        space: The genotypes.
        tables: What they cost, for each limit.
        most: The limits.
    """

    space: Searchable
    tables: Sequence[AnyTable]
    most: Sequence[float]

    def constants(self, like: Tensor) -> list[Tensor]:
        """What `of` needs besides the chances, on their device: made once, and never while a graph records.

        Args:
            like: Chances, whose device and precision they take.
        """
        last = [table.sums[-1] for table in self.tables]
        some = [(table.sums[0], most) for table, most in zip(self.tables, self.most) if len(table.sums) > 1]
        of_last = torch.stack([self._of(costs, most) for costs, most in zip(last, self.most)])
        possible = self._known(last)
        of_some = [tensor for costs, most in some for tensor in (self._of(costs, most), self._known([costs]))]
        return [tensor.to(like) for tensor in (possible, of_last, *of_some)]

    def of(self, mixing: Float[Tensor, "rows primitives"], constants: Sequence[Tensor]) -> list[Tensor]:
        """The expected cost for each limit, less its fixed part in the sum that knows all operators.

        The chances of a row are its weights without those of what is never derived. Where a genotype of
        some operators alone has a sum of its own, the chance that all rows have one of these is its weight.

        Args:
            mixing: Weights.
            constants: See `constants`.
        """
        possible, costs, *of_some = constants
        chances = mixing * possible
        chances = chances / chances.sum(1, keepdim=True)
        expected = list((chances * costs).sum((1, 2)).unbind())
        others = iter(of_some)
        for number, table in enumerate(self.tables):
            if len(table.sums) > 1:
                own, known = next(others), next(others)
                ours = chances * known
                shares = ours.sum(1)
                tiny = torch.finfo(shares.dtype).tiny
                less = ((ours * (own - costs[number])).sum(1) / shares.clamp_min(tiny)).sum()
                fixed = (table.sums[0].fixed - table.sums[-1].fixed) / self.most[number]
                expected[number] = expected[number] + shares.prod() * (fixed + less)
        return expected

    def _of(self, costs: AnySum, most: float) -> Tensor:
        """Costs as shares of a limit (rows, primitives); 0 for what is not known."""
        return self._filled(lambda row, name: costs.at(row, name) / most if costs.knows(row, name) else 0.0)

    def _known(self, sums: Sequence[AnySum]) -> Tensor:
        """1 for what may be derived and is known to all sums (rows, primitives), else 0."""
        return self._filled(lambda row, name: float(all(costs.knows(row, name) for costs in sums)))

    def _filled(self, value: Callable[[Any, str], float]) -> Tensor:
        space = self.space
        filled = torch.zeros(len(space.rows), len(space.primitives), dtype=torch.float64)
        for number, row in enumerate(space.rows):
            for column in space.columns_at(row):
                filled[number, column] = value(row, space.primitives[column])
        return filled
