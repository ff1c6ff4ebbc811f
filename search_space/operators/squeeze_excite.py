"""Channel gates from pooled vectors: squeeze-and-excitation.

Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, eq. 2-4 (arXiv:1709.01507).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

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
        pooled = torch.stack((state.spatial_mean, state.spatial_max))
        y = self.excite(self.squeeze(pooled).relu()).sum(0)
        return torch.sigmoid(y)[:, :, None, None]
