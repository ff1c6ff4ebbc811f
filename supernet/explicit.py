"""A supernet as a pure function of its weights, in forms that can be differentiated twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from foundation.errors import InputError
from search_space.grammar import standing_terms
from search_space.operator import OPERATORS
from search_space.placement import Standing
from search_space.places import Places
from search_space.searchable import Searchable
from search_space.term import attention_of
from supernet.mixed_network import MixedNetwork
from supernet.supernet import Supernet

SearchedNetwork = Supernet | MixedNetwork
"""A network that holds all candidates of a space at once."""


def explicit_loss(
    supernet: SearchedNetwork,
    loss: Callable[..., tuple[Tensor, Tensor]],
    batch: Sequence[Any],
    mixing: Float[Tensor, "rows columns"],
    weights: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """A loss of the supernet and a figure, twice differentiable; weights and running statistics stay.

    Attention is computed explicitly, for the fused kernels have no second derivatives. Running statistics
    move in copies that are dropped.

    Args:
        supernet: In the mode that the loss is wanted in.
        loss: From the supernet and what a batch is made of to the loss and a figure.
        batch: What the loss takes besides the supernet.
        mixing: Mixing weights.
        weights: Other weights by name; None for its own.
    """
    held = _Held(supernet, loss)
    state = {**{name: buffer.clone() for name, buffer in supernet.named_buffers()}, **(weights or {})}
    with sdpa_kernel(SDPBackend.MATH):
        return functional_call(
            held, {f"supernet.{name}": value for name, value in state.items()}, (mixing, *batch)
        )


class _Held(nn.Module):
    """A supernet whose forward pass is its loss."""

    def __init__(self, supernet: SearchedNetwork, loss: Callable[..., tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.supernet = supernet
        self.loss = loss

    def forward(self, mixing: Tensor, *batch: Any) -> tuple[Tensor, Tensor]:
        with self.supernet.mixed_by(mixing):
            return self.loss(self.supernet, *batch)


def require_second_derivatives(space: Searchable, what: str) -> None:
    """Refuses spaces with operators that cannot be differentiated twice.

    Raises:
        InputError: If there is one; says what needs second derivatives.
    """
    for name in _operators_of(space):
        recipe = (OPERATORS.sequences if _on_sequences(space) else OPERATORS)[name]
        if not recipe.twice_differentiable:
            raise InputError(
                f"{what} needs second derivatives, and {name!r} has none; take it out of the primitives"
            )


def _on_sequences(space: Searchable) -> bool:
    """Whether the rows of a space are attentions of a Transformer."""
    return isinstance(space, Places) and attention_of(space.rows[0]) is not None


def _operators_of(space: Searchable) -> list[str]:
    """The operators that a space's candidates are made of."""
    if not isinstance(space, Places):
        return [name for name in space.candidates if name in OPERATORS]
    found = list[str]()
    for choice in space.choices:
        standing = Standing(
            site=space.rows[0], channels=1, attention=choice.attention, genotype=choice.genotype
        )
        for term in standing_terms(standing):
            edges = term.genotype.edges() if term.genotype else ()
            found += [edge.operator for _, edge in edges] or [term.name]
    return found
