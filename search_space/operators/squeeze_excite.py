"""Channel gates from pooled vectors: squeeze-and-excitation.

Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, eq. 2-4 (arXiv:1709.01507).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.composed import ChannelFactors, composed
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

    ignores_order: ClassVar[bool] = True

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

    ignores_order: ClassVar[bool] = True

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


class ChannelGates(nn.Module):
    """The channel gates of several stacks, those with equally many hidden units as one batch.

    Args:
        stacks: Their parameters; they stay with their operators.
    """

    def __init__(self, stacks: Sequence[nn.Module]) -> None:
        super().__init__()
        self._indices = dict[int, list[int]]()
        by_hidden = dict[int, list[SqueezeExcite | AverageMaxExcite]]()
        for index, stack in enumerate(stacks):
            assert isinstance(stack, SqueezeExcite | AverageMaxExcite)
            hidden = stack.squeeze.weight.shape[1]
            self._indices.setdefault(hidden, []).append(index)
            by_hidden.setdefault(hidden, []).append(stack)
        self._batches = nn.ModuleList(_ChannelGateBatch(batch) for batch in by_hidden.values())

    def forward(self, state: State) -> list[Float[Tensor, "b edges c"]]:
        by_index: dict[int, Tensor] = {}
        for indices, batch in zip(self._indices.values(), self._batches):
            by_index.update(zip(indices, batch(state)))
        return [by_index[index] for index in sorted(by_index)]


class _ChannelGateBatch(nn.Module):
    """Channel gates of equally many hidden units.

    The second layer is linear, so it runs once, on the sum of the hidden vectors of mean and maximum; its
    bias counts twice then.
    """

    counts: Tensor

    def __init__(self, stacks: Sequence[SqueezeExcite | AverageMaxExcite]) -> None:
        super().__init__()
        self._stacks = tuple(stacks)
        uses_max = [isinstance(stack, AverageMaxExcite) for stack in stacks]
        self._any_max, self._all_max = any(uses_max), all(uses_max)
        self.register_buffer(
            "counts", torch.tensor(uses_max, dtype=torch.get_default_dtype()), persistent=False
        )

    def forward(self, state: State) -> Sequence[Float[Tensor, "b edges c"]]:
        stacks = self._stacks
        num, edges, b = len(stacks), state.num_groups, len(state.x)
        pools = [state.spatial_mean, state.spatial_max] if self._any_max else [state.spatial_mean]
        pooled = torch.stack(pools).view(len(pools), b, edges, -1).permute(2, 0, 1, 3).flatten(1, 2)
        first = torch.cat([stack.squeeze.weight for stack in stacks], 1)
        hidden = torch.bmm(pooled, first.transpose(1, 2))
        if any(stack.squeeze.bias is not None for stack in stacks):
            hidden = hidden + _biases([stack.squeeze for stack in stacks]).flatten(1).unsqueeze(1)
        hidden = hidden.relu().view(edges, len(pools), b, num, -1)
        if self._all_max:
            hidden = hidden.sum(1)
        elif self._any_max:
            hidden = torch.addcmul(hidden[:, 0], hidden[:, 1], self.counts[:, None])
        else:
            hidden = hidden.squeeze(1)
        second = torch.stack([stack.excite.weight for stack in stacks], 1).flatten(0, 1)
        hidden = hidden.transpose(1, 2).flatten(0, 1)
        y = torch.bmm(hidden, second.transpose(1, 2)).unflatten(0, (edges, num))
        if any(stack.excite.bias is not None for stack in stacks):
            biases = _biases([stack.excite for stack in stacks]).unsqueeze(2)
            y = torch.addcmul(y, biases, self.counts[:, None, None] + 1)
        return torch.sigmoid(y).permute(1, 2, 0, 3).unbind(0)


def _biases(layers: Sequence[nn.Linear]) -> Float[Tensor, "edges layers units"]:
    """Biases side by side; zeros for layers without."""
    return torch.stack(
        [
            layer.weight.new_zeros(layer.weight.shape[:2]) if layer.bias is None else layer.bias
            for layer in layers
        ],
        1,
    )


@composed(SqueezeExcite)
@composed(AverageMaxExcite)
def composed_excite(gate: SqueezeExcite | AverageMaxExcite) -> ChannelFactors:
    """Its two layers."""
    first, second = gate.squeeze, gate.excite
    first_bias, second_bias = (
        layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
        for layer in (first, second)
    )
    reads_maximum = isinstance(gate, AverageMaxExcite)
    return ChannelFactors(
        first.weight.detach(),
        first_bias.detach(),
        second.weight.detach(),
        second_bias.detach(),
        reads_maximum,
    )
