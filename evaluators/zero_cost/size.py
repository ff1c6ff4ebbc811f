"""How large a network is: the baselines that scores of untrained networks have to beat."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from evaluators.cost import macs, params


def num_params(network: nn.Module, images: Float[Tensor, "b c h w"]) -> float:
    """Parameters of a network."""
    return float(params(network))


def num_macs(network: nn.Module, images: Float[Tensor, "b c h w"]) -> float:
    """Multiply-accumulates of one image."""
    _, channels, height, width = images.shape
    return float(macs(network, (channels, height, width)))
