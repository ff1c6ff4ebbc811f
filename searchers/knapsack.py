"""The best choice of one item a row within several budgets, exact.

Partial sums that are still in the race are made longer row by row. Multipliers put a price on every budget;
what is left at those prices bounds the score that a partial choice can reach (Lagrangian relaxation: Fisher,
"The Lagrangian Relaxation Method for Solving Integer Programming Problems", Management Science 1981). A
narrow search first finds a choice to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

WIDTH = 32
"""Partial choices that the narrow search keeps; more of them cost time and seldom find more."""
STEPS = 150
"""Steps of the search for the multipliers; the answer does not depend on how good they are."""

SLACK = 1e-12
"""Share of a budget by which a sum may be beyond it before `allowed` judges it: sums round."""

Part = tuple[float, tuple[float, ...], tuple[int, ...]]
"""Score, costs and items of the rows so far."""


@dataclass(frozen=True)
class Knapsack:
    """A choice of one item in every row, of the highest score within some budgets.

    Args:
        scores: Score of every item (rows, items); higher is better.
        costs: Cost of every item by budget (rows, items, budgets).
        fixed: Cost that is spent before anything is chosen (budgets).
        bounds: The most cost that may be spent (budgets).
    """

    scores: Sequence[Sequence[float]]
    costs: Sequence[Sequence[tuple[float, ...]]]
    fixed: tuple[float, ...]
    bounds: tuple[float, ...]

    def best(self, allowed: Callable[[tuple[int, ...]], bool]) -> tuple[int, ...] | None:
        """The items of the highest sum of scores within the budgets; None where nothing is.

        Args:
            allowed: Has the last word on a whole choice: sums in another order may differ in their last bit.
        """
        floor = sum(map(min, self.scores))  # nothing scores less
        prices = self._prices(floor)
        found = _first(self._search(prices, floor, WIDTH), allowed)
        if found is not None:
            floor = found[0]
            prices = self._prices(floor)
        found = _first(self._search(prices, floor), allowed)
        return None if found is None else found[2]

    def within(self, allowed: Callable[[tuple[int, ...]], bool]) -> bool:
        """Whether there is any choice within the budgets; see `best`."""
        # Where all that counts is to spend little, the narrow search looks where the choices are.
        cheap = [
            [-sum(cost / scale for cost, scale in zip(item, self._scales)) for item in row]
            for row in self.costs
        ]
        thrifty = Knapsack(cheap, self.costs, self.fixed, self.bounds)
        floor = sum(map(min, thrifty.scores))
        narrow = thrifty._search(thrifty._prices(floor), floor, WIDTH)
        return _first(narrow, allowed) is not None or thrifty.best(allowed) is not None

    @cached_property
    def _scales(self) -> list[float]:
        """What a price is per: what may be spent of a budget, or its dearest item."""
        dearest = [max(costs) for costs in zip(*(item for row in self.costs for item in row))]
        left = (bound - spent for bound, spent in zip(self.bounds, self.fixed))
        return [room if room > 0 else most or 1.0 for room, most in zip(left, dearest)]

    def _search(self, prices: Sequence[float], floor: float, width: int | None = None) -> list[Part]:
        """Undominated choices within the budgets by decreasing score, those below a floor left out.

        Args:
            prices: Score that a unit of each budget is worth.
            floor: Score that the answer reaches at least.
            width: Partial choices that are kept of every length; None for all that can reach the floor.
        """
        slack = 1e-9 * (1 + sum(max(map(abs, row)) for row in self.scores))
        rests = [0.0]  # what the rows from each one on can add, at these prices
        least = [(0.0,) * len(self.fixed)]  # and what they cost at least
        for row, items_of_row in zip(reversed(self.scores), reversed(self.costs)):
            rests.append(rests[-1] + max(self._priced(row, items_of_row, prices)))
            least.append(tuple(map(float.__add__, least[-1], map(min, zip(*items_of_row)))))
        rests.reverse()
        least.reverse()
        partial: list[Part] = [(0.0, self.fixed, ())]
        for number, (row, items_of_row) in enumerate(zip(self.scores, self.costs), 1):
            longer = dict[tuple[float, ...], Part]()
            reach = dict[tuple[float, ...], float]()
            for score, spent, items in partial:
                for item, costs in enumerate(items_of_row):
                    sums = tuple(map(float.__add__, spent, costs))
                    rest = zip(sums, least[number], self.bounds)
                    if any(cost + low > most + SLACK * abs(most) for cost, low, most in rest):
                        continue
                    total = score + row[item]
                    rooms = zip(prices, self.bounds, sums)
                    most = total + rests[number] + sum(price * (bound - cost) for price, bound, cost in rooms)
                    if most < floor - slack:
                        continue
                    if sums not in longer or total > longer[sums][0]:
                        longer[sums], reach[sums] = (total, sums, (*items, item)), most
            parts = list(longer.values())
            if width is not None:
                parts = sorted(parts, key=lambda part: -reach[part[1]])[: 4 * width]
            partial = undominated(parts)
            if width is not None:
                partial = sorted(partial, key=lambda part: -reach[part[1]])[:width]
        return sorted(partial, key=lambda part: -part[0])

    def _priced(
        self, row: Sequence[float], costs_of_row: Sequence[tuple[float, ...]], prices: Sequence[float]
    ) -> list[float]:
        """Scores of a row's items less what they cost."""
        return [
            score - sum(price * cost for price, cost in zip(prices, costs))
            for score, costs in zip(row, costs_of_row)
        ]

    def _prices(self, floor: float) -> list[float]:
        """Prices under which the best that any choice can reach is low, by steps that aim at a floor."""
        scales = self._scales
        prices, best, lowest = [0.0] * len(scales), [0.0] * len(scales), float("inf")
        pace = 1.0
        for step in range(STEPS):
            reach, spent = 0.0, list(self.fixed)
            for row, items_of_row in zip(self.scores, self.costs):
                priced = self._priced(row, items_of_row, prices)
                item = priced.index(max(priced))
                reach += priced[item]
                spent = [sum(pair) for pair in zip(spent, items_of_row[item])]
            rooms = [bound - cost for bound, cost in zip(self.bounds, spent)]
            reach += sum(
                price * (bound - cost) for price, bound, cost in zip(prices, self.bounds, self.fixed)
            )
            if reach < lowest:
                best, lowest = prices, reach
            elif step % 10 == 9:
                pace /= 2
            slopes = [room / scale for room, scale in zip(rooms, scales)]
            size = sum(slope * slope for slope in slopes)
            if not size or lowest <= floor:
                break
            stride = pace * (reach - floor) / size
            prices = [
                max(0.0, price - stride * slope / scale)
                for price, slope, scale in zip(prices, slopes, scales)
            ]
        return best


def undominated(parts: list[Part]) -> list[Part]:
    """The parts that no other one beats or equals in score and all costs."""
    parts.sort(key=lambda part: (-part[0], part[1]))
    kept = list[Part]()
    for part in parts:
        if not any(all(a <= b for a, b in zip(other[1], part[1])) for other in kept):
            kept.append(part)
    return kept


def _first(parts: Sequence[Part], allowed: Callable[[tuple[int, ...]], bool]) -> Part | None:
    return next((part for part in parts if allowed(part[2])), None)
