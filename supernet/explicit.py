"""A supernet as a pure function of its weights, in forms that can be differentiated twice."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from foundation.errors import InputError
from search_space.operator import OPERATORS
from search_space.space import Space
from supernet.supernet import Supernet


def explicit_logits(
    supernet: Supernet,
    images: Float[Tensor, "b c h w"],
    mixing: Float[Tensor, "edges primitives"],
    weights: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, "b num_classes"]:
    """Logits, twice differentiable; weights and running statistics stay as they are.

    Attention is computed explicitly, for the fused kernels have no second derivatives. Running statistics
    move in copies that are dropped.

    Args:
        supernet: In training mode, so that norms use the batch's statistics.
        images: Normalised images.
        mixing: Mixing weights.
        weights: Other weights by name; None for its own.
    """
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    with sdpa_kernel(SDPBackend.MATH):
        return functional_call(supernet, {**buffers, **(weights or {})}, (images, mixing))


def require_second_derivatives(space: Space, what: str) -> None:
    """Refuses spaces with operators that cannot be differentiated twice.

    Raises:
        InputError: If there is one; says what needs second derivatives.
    """
    for name in space.candidates:
        if not OPERATORS[name].twice_differentiable:
            raise InputError(
                f"{what} needs second derivatives, and {name!r} has none; take it out of the primitives"
            )
