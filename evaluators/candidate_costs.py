"""What the candidates of a space cost, of any kind of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluators.cost_table import Metric, counted_table, network_with
from evaluators.cost_tables import AnyTable
from evaluators.place_costs import place_table
from evaluators.row_costs import row_table
from evaluators.sequence_costs import sequence_table
from search_space.places import Places
from search_space.searchable import Searchable
from search_space.space import Space
from supernet.instead import Instead
from supernet.networks.transformer import Transformer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from evaluators.deploying import Target


def table_of(
    metric: Metric,
    space: Searchable,
    build: Callable[[], nn.Module],
    input_shape: Sequence[int],
    device: torch.device,
    runtime: Target = "eager",
    native: bool | None = None,
) -> AnyTable:
    """Counts, or measures, what the candidates of a space cost.

    Args:
        metric: What is counted.
        space: What competes.
        build: Gives the plain network, which stays as it is.
        input_shape: (channels, height, width) of an image; 1 and two numbers of tokens for a Transformer.
        device: Where latency is measured.
        runtime: What runs the network there: eager alone for a Transformer.
        native: Whether cells run by the native operator; where it is to be had if left out.

    Raises:
        InputError: If it cannot be measured.
    """
    if isinstance(space, Space):
        if metric != "latency":
            return counted_table(metric, space, build, input_shape)
        from evaluators.cell_latency import latency_table  # slow: PyTorch

        return latency_table(space, partial(network_with, build), input_shape, device, runtime, native)
    network = build()
    if isinstance(space, Instead):
        return row_table(metric, space, network, input_shape)
    assert isinstance(space, Places)
    if isinstance(network, Transformer):
        return sequence_table(metric, space, network, input_shape, device)
    return place_table(metric, space, network, input_shape, device, runtime, native)
