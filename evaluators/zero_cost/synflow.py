"""Synaptic flow.

Source: Tanaka et al., "Pruning Neural Networks Without Any Data by Iteratively Conserving Synaptic Flow",
NeurIPS 2020 (arXiv:2006.05467), section 6, summed over the network as by Abdelfattah et al., "Zero-Cost
Proxies for Lightweight NAS", ICLR 2021 (arXiv:2101.08134), section 3.2. Batch norms are passed over, too.
Differs from both: the logarithm is taken, which keeps the order; and attention keeps its sigmoids, so that
the flow is not conserved through it.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn


def synflow(network: nn.Module, images: Float[Tensor, "b c h w"]) -> float:
    """Logarithm of the sum over all parameters of |p| dR/d|p|, R the logits of an image of ones under |p|.

    Args:
        network: From images to logits.
        images: Their size alone counts.
    """
    flowing = copy.deepcopy(network).double().eval()
    for module in flowing.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = _passing
    parameters = [parameter for parameter in flowing.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in parameters:
            parameter.abs_()
    ones = torch.ones_like(images[:1], dtype=torch.float64)
    with torch.enable_grad():
        gradients = torch.autograd.grad(flowing(ones).sum(), parameters, allow_unused=True)
    flow = sum(
        (parameter.detach() * gradient).sum()
        for parameter, gradient in zip(parameters, gradients)
        if gradient is not None
    )
    return float(torch.as_tensor(flow).log())


def _passing(input: Tensor) -> Tensor:
    return input
