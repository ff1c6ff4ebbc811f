"""Tables of what candidates cost, of either kind of space."""

from __future__ import annotations

from evaluators.cost_table import CostTable, Sum
from evaluators.place_costs import PlaceTable
from foundation.config import parse

AnyTable = CostTable | PlaceTable
"""A table of a space of cells, or of placements."""

AnySum = Sum | PlaceTable
"""What a table holds: costs that are summed over the rows."""


def read_table(values: object, where: str) -> AnyTable:
    """A table from its JSON values.

    Raises:
        InputError: If they are of neither kind; starts with `where`.
    """
    is_of_sites = isinstance(values, dict) and "sites" in values
    return parse(PlaceTable, values, where) if is_of_sites else parse(CostTable, values, where)
