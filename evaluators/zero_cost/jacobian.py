"""Covariance of the Jacobians of a batch of images.

Source: Mellor et al., "Neural Architecture Search without Training", ICML 2021 (arXiv:2006.04647), version 1,
section 3, as Abdelfattah et al., ICLR 2021 (arXiv:2101.08134) call jacob_cov.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

EPSILON = 1e-5
"""Added to the eigenvalues, as in the source."""


def jacobian_covariance(network: nn.Module, images: Float[Tensor, "b c h w"]) -> float:
    """Higher where the network answers to the images of a batch in ways that are not alike.

    With v the eigenvalues of the correlations (b, b) of the gradients of each image's summed logits by its
    pixels: minus the sum of log(v + e) + 1 / (v + e). Norms take the batch's statistics.

    Args:
        network: From images to logits.
        images: A batch of training images, two at least.
    """
    asked = copy.deepcopy(network).train()
    pixels = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        (jacobian,) = torch.autograd.grad(asked(pixels).sum(), pixels)
    rows = jacobian.flatten(1).double()
    centred = rows - rows.mean(1, keepdim=True)
    centred = centred / centred.norm(dim=1, keepdim=True)
    values = torch.linalg.eigvalsh((centred @ centred.T).cpu()).clamp(min=0) + EPSILON
    return float(-(values.log() + 1 / values).sum())
