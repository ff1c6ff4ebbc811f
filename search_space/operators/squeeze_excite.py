"""Channel gates from pooled vectors: squeeze-and-excitation.

Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, eq. 2-4 (arXiv:1709.01507).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.grouped import Grouped, Mixture, grouped
from search_space.operator import Gate, hidden_units, operator
from search_space.state import State


@operator("se")
@operator("SE", reduction=4, bias=False)
class SqueezeExcite(Gate):
    """Scales each channel by a gate computed from its spatial mean.

    x * sigmoid(W2 relu(W1 mean(x))). `SE` is the primitive of the public AutoLA space (reduction 4, no
    biases), `se` the module of the paper; `se[bias=false]` is the public AutoLA baseline.
    Differs from the source: the hidden layer has at least one unit.

    Args:
        channels: Channels of the input.
        reduction: Ratio of input channels to hidden units.
        bias: Whether the two linear layers have biases.

    Raises:
        InputError: If `reduction` is not positive.
    """

    def __init__(self, channels: int, *, reduction: int = 16, bias: bool = True) -> None:
        super().__init__()
        hidden = hidden_units(channels, reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=bias)
        self.excite = nn.Linear(hidden, channels, bias=bias)

    def gate(self, state: State) -> Float[Tensor, "b c 1 1"]:
        y = self.excite(self.squeeze(state.spatial_mean).relu())
        return torch.sigmoid(y)[:, :, None, None]


@operator("SE_A_M", reduction=4, bias=False)
class AverageMaxExcite(Gate):
    """Scales each channel by a gate computed from its spatial mean and maximum.

    x * sigmoid(MLP(mean(x)) + MLP(max(x))) with one shared MLP (Woo et al., "CBAM: Convolutional Block
    Attention Module", ECCV 2018, section 3.1), without biases as a primitive of the public AutoLA space.
    Differs from the source: the hidden layer has at least one unit.

    Args:
        channels: Channels of the input.
        reduction: Ratio of input channels to hidden units.
        bias: Whether the two linear layers have biases.

    Raises:
        InputError: If `reduction` is not positive.
    """

    def __init__(self, channels: int, *, reduction: int = 16, bias: bool = True) -> None:
        super().__init__()
        hidden = hidden_units(channels, reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=bias)
        self.excite = nn.Linear(hidden, channels, bias=bias)

    def gate(self, state: State) -> Float[Tensor, "b c 1 1"]:
        y = self._mlp(state.spatial_mean) + self._mlp(state.spatial_max)
        return torch.sigmoid(y)[:, :, None, None]

    def _mlp(self, pooled: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        return self.excite(self.squeeze(pooled).relu())


@grouped(SqueezeExcite)
@grouped(AverageMaxExcite)
class GroupedExcite(Grouped[SqueezeExcite | AverageMaxExcite]):
    """A channel gate for every edge."""

    def channel_mlps(self) -> Sequence[nn.Module]:
        return (self.stack,)

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Float[Tensor, "b edges c"]],
    ) -> None:
        mixture.add_channel_gate(channel_gates[0], weight)


def excite_together(stacks: Sequence[nn.Module], state: State) -> list[Float[Tensor, "b edges c"]]:
    """The channel gates of several stacks, those with equally many hidden units as one batch.

    The second layer is linear, so it runs once, on the sum of the hidden vectors of mean and maximum; its
    bias counts twice then.
    """
    gates: list[Tensor | None] = [None] * len(stacks)
    by_hidden = dict[int, list[int]]()
    for index, stack in enumerate(stacks):
        assert isinstance(stack, SqueezeExcite | AverageMaxExcite)
        by_hidden.setdefault(stack.squeeze.weight.shape[1], []).append(index)
    for indices in by_hidden.values():
        equal = [cast(SqueezeExcite | AverageMaxExcite, stacks[index]) for index in indices]
        values = _excite_equal(equal, state)
        for index, value in zip(indices, values):
            gates[index] = value
    return [gate for gate in gates if gate is not None]


def _excite_equal(stacks: Sequence[SqueezeExcite | AverageMaxExcite], state: State) -> Sequence[Tensor]:
    num, edges = len(stacks), state.num_groups
    b = len(state.x)
    both = [isinstance(stack, AverageMaxExcite) for stack in stacks]
    pools = [state.spatial_mean, state.spatial_max] if any(both) else [state.spatial_mean]
    pooled = torch.stack(pools).view(len(pools), b, edges, -1).permute(2, 0, 1, 3).flatten(1, 2)
    first = torch.cat([stack.squeeze.weight for stack in stacks], 1)
    hidden = torch.bmm(pooled, first.transpose(1, 2))
    if any(stack.squeeze.bias is not None for stack in stacks):
        hidden = hidden + _biases([stack.squeeze for stack in stacks]).flatten(1).unsqueeze(1)
    hidden = hidden.relu().view(edges, len(pools), b, num, -1)
    if all(both):
        hidden = hidden.sum(1)
    elif any(both):
        of_mean, of_maximum = hidden.unbind(1)
        hidden = torch.addcmul(of_mean, of_maximum, _column(tuple(both), hidden))
    else:
        hidden = hidden.squeeze(1)
    second = torch.stack([stack.excite.weight for stack in stacks], 1).flatten(0, 1)
    hidden = hidden.transpose(1, 2).flatten(0, 1)
    y = torch.bmm(hidden, second.transpose(1, 2)).unflatten(0, (edges, num))
    if any(stack.excite.bias is not None for stack in stacks):
        times = _column(tuple(1 + uses_max for uses_max in both), y)
        y = torch.addcmul(y, _biases([stack.excite for stack in stacks]).unsqueeze(2), times[:, None])
    return torch.sigmoid(y).permute(1, 2, 0, 3).unbind(0)


def _column(values: tuple[int, ...], like: Tensor) -> Float[Tensor, "n 1"]:
    return _cached_column(values, like.dtype, like.device)


@cache
def _cached_column(values: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)[:, None]


def _biases(layers: Sequence[nn.Linear]) -> Float[Tensor, "edges layers units"]:
    """Biases side by side; zeros for layers without."""
    return torch.stack(
        [
            layer.weight.new_zeros(layer.weight.shape[:2]) if layer.bias is None else layer.bias
            for layer in layers
        ],
        1,
    )
