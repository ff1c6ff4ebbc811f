"""What candidates of a user's own space cost: the difference that each makes in its row."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluators.cost_table import Metric
from evaluators.place_costs import PlaceTable
from foundation.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from supernet.instead import Instead


def row_table(metric: Metric, space: Instead, model: nn.Module, input_shape: Sequence[int]) -> PlaceTable:
    """Counts what each candidate of a space adds to a network in its row, all else as it is.

    Exact for parameters and multiply-accumulates where rows do not share any.

    Args:
        metric: What is counted.
        space: What may stand where.
        model: The plain network; it stays as it is.
        input_shape: (channels, height, width) of an image.

    Raises:
        InputError: If latency is asked for: differences of two networks are lost in its noise.
    """
    from evaluators.cost import macs, params

    if metric == "latency":
        raise InputError(f"latency of the space {space.name!r} is not measured; limit macs or params")

    def cost(network: nn.Module) -> float:
        return float(params(network) if metric == "params" else macs(network, input_shape))

    plain, first = cost(model), space.primitives[0]

    def added(row: str, name: str) -> float:
        stands = space.genotype([name if other == row else first for other in space.rows])
        return cost(space.found(copy.deepcopy(model), stands)) - plain

    sites = {row: {name: added(row, name) for name in space.names_at(row)} for row in space.rows}
    return PlaceTable(plain=plain, sites=sites)
