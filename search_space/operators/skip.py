"""The two edges without weights.

Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019 (arXiv:1806.09055).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from search_space.composed import Passing, composed
from search_space.grouped import Grouped, Mixture, grouped
from search_space.operator import Operator, operator
from search_space.state import State


@operator("none")
class Zero(Operator):
    """Passes nothing: x * 0.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        return state.x * 0.0


@operator("skip_connect")
class Skip(Operator):
    """Passes its input unchanged.

    Args:
        channels: Channels of the input.
    """

    ignores_order: ClassVar[bool] = True

    def __init__(self, channels: int) -> None:
        super().__init__()

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        return state.x


@grouped(Skip)
class GroupedSkip(Grouped[Skip]):
    """The factor 1 for every edge."""

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Tensor],
    ) -> None:
        mixture.add_channel_gate(weight.new_ones(1, 1, 1), weight)


@composed(Skip)
def composed_skip(skip: Skip) -> Passing:
    """The state itself."""
    return Passing()
