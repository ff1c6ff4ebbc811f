"""Limits on what a network may cost: `macs<=48M`, `params<=300k`, `latency<=2.5x`, joined by commas."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from evaluators.cost_table import METRICS, Metric
from evaluators.cost_tables import AnySum, AnyTable, read_table
from foundation.config import config, parse
from foundation.errors import InputError, shown, unknown
from search_space.places import Places
from search_space.rows import Rows
from search_space.searchable import Searchable
from searchers.knapsack import SLACK, Knapsack

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

Sums = tuple[AnySum, ...]
"""Costs that are sums over the rows, one for each limit."""

COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
UNITS: dict[Metric, dict[str, float]] = {"macs": COUNTS, "params": COUNTS, "latency": {"ms": 1.0}}
"""Units of each metric; `x`, times the plain network, goes with all of them."""
TIMES = "x"

PRICE = 0.1
"""What all that a limit allows beyond the plain network costs in the loss of the choice, in placements."""

_LIMIT = re.compile(r"\s*(?P<metric>\w+)\s*<=\s*(?P<number>[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>\w*)\s*")


@config
class Limit:
    """The most that a network may cost."""

    metric: Metric
    """What is counted."""
    most: float
    """Multiply-accumulates, weights, milliseconds; or times the plain network's."""
    relative: bool = False
    """Whether `most` is in units of the plain network's cost."""


def parse_target(text: str) -> tuple[Limit, ...]:
    """Reads limits that hold together: "macs<=48M,params<=300k".

    Raises:
        InputError: If a metric or unit is unknown, or the form is another one.
    """
    return tuple(_parse_limit(part) for part in text.split(","))


def _parse_limit(text: str) -> Limit:
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise InputError(
            f"{shown(text)} is no limit; write for example macs<=48M, params<=300k, latency<=2.5x"
        )
    name, unit = found["metric"], found["unit"]
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    metric = cast("Metric", name)
    units = {**UNITS[metric], TIMES: 1.0}
    if unit not in units:
        known = ", ".join(unit or "a bare number" for unit in units)
        raise InputError(f"{text.strip()}: unknown unit {shown(unit)} of {metric}; known: {known}")
    try:
        most = float(found["number"]) * units[unit]
    except ValueError:
        raise InputError(f"{text.strip()}: {found['number']} is no number") from None
    if not 0 < most < math.inf:
        raise InputError(f"{text.strip()}: a limit has to be positive and finite")
    return Limit(metric=metric, most=most, relative=unit == TIMES)


@dataclass(frozen=True)
class Limits:
    """Limits on the genotypes of a space.

    Args:
        space: The genotypes.
        limits: All of them hold.
        tables: Costs by metric, one for each metric that is limited.

    Raises:
        InputError: If no genotype keeps them; names the smallest cost there is.
    """

    space: Searchable
    limits: tuple[Limit, ...]
    tables: Mapping[Metric, AnyTable]

    def __post_init__(self) -> None:
        for limit in self.limits:
            table = self.tables[limit.metric]
            least = min(table.of(self._cheapest(costs)) for costs in table.sums if self._names((costs,)))
            if least > self.most(limit):
                raise InputError(
                    f"no {self._what} has {self.written(limit)}; "
                    f"the smallest has {amount(limit.metric, least)}, "
                    f"{math.ceil(1e3 * least / table.plain) / 1e3}x the plain network's "
                    f"{amount(limit.metric, table.plain)}"
                )
        nothing = [[0.0] * len(self.space.primitives) for _ in self.space.rows]
        if not any(
            knapsack.within(lambda items, genotype=genotype: self.allows(genotype(items)))
            for knapsack, genotype in self._knapsacks(nothing, self.space.rows)
        ):
            both = " and ".join(self.written(limit) for limit in self.limits)
            raise InputError(f"no {self._what} has {both} at once, though each alone can be kept; loosen one")

    @property
    def _what(self) -> str:
        """What is limited, for messages."""
        if isinstance(self.space, Places):
            return "placement"
        return f"answer of {self.space.name}" if isinstance(self.space, Rows) else "genotype"

    def most(self, limit: Limit) -> float:
        """The most of a limit, in the units of its table."""
        return limit.most * self.tables[limit.metric].plain if limit.relative else limit.most

    def written(self, limit: Limit) -> str:
        """A limit as a message shows it."""
        return f"{limit.metric} <= {amount(limit.metric, self.most(limit))}"

    def costs(self, genotype: Any) -> dict[Metric, float]:
        """What a genotype costs, by metric."""
        return {metric: table.of(genotype) for metric, table in self.tables.items()}

    def allows(self, genotype: Any) -> bool:
        """Whether a genotype keeps all limits."""
        costs = self.costs(genotype)
        return all(costs[limit.metric] <= self.most(limit) for limit in self.limits)

    def keep(self, genotype: Any, weights: Sequence[Sequence[float]]) -> Any:
        """A derived genotype where it keeps the limits, else the likeliest one that does.

        Args:
            genotype: As a rule derived it; a state that it leaves out stays out.
            weights: Mixing weights (edges, primitives); the likelihood is their product.
        """
        if self.allows(genotype):
            return genotype
        scores = [[math.log(max(weight, 1e-300)) for weight in row] for row in weights]
        found = self._best(scores, tuple(self.space.decided(genotype)))
        assert found is not None, "a genotype of fewer edges costs less"
        return found

    def best(self, scores: Sequence[Sequence[float]]) -> Any:
        """The genotype of the highest sum of scores (edges, primitives) among those that keep the limits."""
        found = self._best(scores)
        assert found is not None, "limits that nothing keeps are refused at the start"
        return found

    def left_out(self) -> list[str]:
        """The candidates that no genotype within the limits has."""
        wanted = dict.fromkeys(name for names in self._names(()) for name in names)
        return [name for name in wanted if not any(self._has_room(sums, name) for sums in self._sums())]

    def _has_room(self, sums: Sums, name: str) -> bool:
        """Whether there is a row in which a candidate keeps each limit, taken alone, beside the cheapest."""
        rooms = [1.0] * len(self.space.rows)  # how far the limit that is nearest is
        names = self._names(sums)
        for limit, costs in zip(self.limits, sums) if names else ():
            rows = list(zip(self.space.rows, names))
            least = [min(costs.at(row, each) for each in known) for row, known in rows]
            room = self.most(limit) * (1 + SLACK) - costs.fixed - sum(least)
            for number, (row, known) in enumerate(rows):
                more = costs.at(row, name) - least[number] if name in known else math.inf
                rooms[number] = min(rooms[number], room - more)
        return bool(names) and max(rooms) >= 0

    def _sums(self) -> Iterator[Sums]:
        """Costs that are sums, one for each limit: a genotype is of the first of them that know it."""
        return product(*(self.tables[limit.metric].sums for limit in self.limits))

    def _names(self, sums: Sums) -> list[list[str]]:
        """The candidates of each row that all sums know; nothing where a row has none."""
        names = [
            [
                name
                for name in (self.space.primitives[column] for column in self.space.columns_at(row))
                if all(costs.knows(row, name) for costs in sums)
            ]
            for row in self.space.rows
        ]
        return names if all(names) else []

    def _cheapest(self, costs: AnySum) -> Any:
        """The genotype of the smallest sum."""
        rows = zip(self.space.rows, self._names((costs,)), strict=True)
        return self.space.genotype([min(names, key=partial(costs.at, row)) for row, names in rows])

    def _best(self, scores: Sequence[Sequence[float]], rows: Sequence[Any] | None = None) -> Any:
        found = list[tuple[float, Any]]()
        for knapsack, genotype in self._knapsacks(scores, self.space.rows if rows is None else rows):
            chosen = knapsack.best(lambda items, genotype=genotype: self.allows(genotype(items)))
            if chosen is not None:
                score = sum(row[item] for row, item in zip(knapsack.scores, chosen))
                found.append((score, genotype(chosen)))
        return max(found, key=lambda each: each[0])[1] if found else None

    def _knapsacks(
        self, scores: Sequence[Sequence[float]], rows: Sequence[Any]
    ) -> Iterator[tuple[Knapsack, Callable[[tuple[int, ...]], Any]]]:
        """Choices of a candidate for each of these rows, one for each kind of sum, and what has a choice."""
        for sums in self._sums():
            if names := dict(zip(self.space.rows, self._names(sums))):
                yield self._knapsack(scores, {row: names[row] for row in rows}, sums)

    def _knapsack(
        self, scores: Sequence[Sequence[float]], names: Mapping[Any, list[str]], sums: Sums
    ) -> tuple[Knapsack, Callable[[tuple[int, ...]], Any]]:
        """The choice of one of these candidates for each of these rows, and what has that choice."""
        of_row, rows = dict(zip(self.space.rows, scores, strict=True)), list(names)
        knapsack = Knapsack(
            scores=[[of_row[row][self.space.primitives.index(name)] for name in names[row]] for row in rows],
            costs=[
                [tuple(float(costs.at(row, name)) for costs in sums) for name in names[row]] for row in rows
            ],
            fixed=tuple(float(costs.fixed) for costs in sums),
            bounds=tuple(self.most(limit) for limit in self.limits),
        )

        def genotype(items: tuple[int, ...]) -> Any:
            operators = [known[item] for known, item in zip(names.values(), items)]
            got = [of_row[row][self.space.primitives.index(name)] for row, name in zip(rows, operators)]
            return self.space.arranged(rows, operators, got)

        return knapsack, genotype

    def penalty(self, weight: float = 1.0) -> Callable[[Tensor], Tensor]:
        """The hinge of the expected costs, a function of the mixing weights (edges, primitives).

        How far each expected cost is above its limit, as a share of that, summed, times `weight`. The
        expectation is over genotypes whose operators are drawn edge by edge with the mixing weights, `none`
        left out, as it is never derived. Exact, as costs are sums over the edges. For placements, `PRICE`
        times the share that is spent of what a limit allows beyond the plain network is added, so that `none`
        stands where nothing helps.
        """
        import torch

        from searchers.searches.expected_costs import ExpectedCosts

        constants: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
        tables = [self.tables[limit.metric] for limit in self.limits]
        most = [self.most(limit) for limit in self.limits]
        costs = ExpectedCosts(self.space, tables, most)
        fixed = [table.fixed / bound for table, bound in zip(tables, most)]

        def excess(mixing: Float[Tensor, "edges primitives"]) -> Float[Tensor, ""]:
            key = mixing.device, mixing.dtype
            if key not in constants:  # once: nothing comes from the host while a CUDA graph is recorded
                constants[key] = costs.constants(mixing)
            expected = costs.of(mixing, constants[key])
            over = [torch.relu(cost + least - 1) for cost, least in zip(expected, fixed)]
            if isinstance(self.space, Rows):  # what stands at a site has to pay for itself, too
                rooms = (max(1 - least, 1e-9) for least in fixed)
                over += [PRICE * cost / room for cost, room in zip(expected, rooms)]
            return weight * torch.stack(over).sum()

        return excess

    def to_values(self) -> dict[str, Any]:
        """Limits and tables as JSON values."""
        return {
            "limits": [asdict(limit) for limit in self.limits],
            "tables": {metric: asdict(table) for metric, table in self.tables.items()},
        }

    @classmethod
    def from_values(cls, space: Searchable, values: Mapping[str, Any]) -> Limits:
        """Limits from `to_values`."""
        limits = tuple(parse(Limit, limit, "limit") for limit in values["limits"])
        tables = {metric: read_table(values["tables"][metric], metric) for metric in values["tables"]}
        return cls(space, limits, cast("dict[Metric, AnyTable]", tables))


def amount(metric: str, value: float) -> str:
    """A cost with its unit, exact where it is a count."""
    return f"{value:.4g} ms" if metric == "latency" else f"{value:,.0f}"
