"""The network that is searched: a backbone with a mixed cell in every block, and one alpha matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.cell import Cell, FoundEdges, edge_name, group_width
from search_space.genotype import Genotype
from search_space.norm import OperatorNorm
from search_space.searchable import Searchable
from search_space.space import Space
from supernet.attach import CHILD, attach_cells
from supernet.derive import argmax
from supernet.forms import Form
from supernet.grouped import GroupedMixedEdges, to_plain
from supernet.mixed import Mixing, PlainMixedEdges
from supernet.modules import frozen
from supernet.partial import PartialEdges

FORMS: dict[Form, Callable[[Space, int, Mixing], nn.Module]] = {
    "grouped": GroupedMixedEdges,
    "plain": PlainMixedEdges,
}

INITIAL_SCALE = 1e-3
"""Standard deviation of the alphas at first (public AutoLA code, model_search.py:36-43)."""


class Supernet(nn.Module):
    """A backbone whose blocks hold all cells of a space at once.

    Every cell shares the alphas: one row an edge, one column a primitive. A forward pass mixes with
    softmax(alphas) unless it is given other weights.

    Args:
        backbone: Any backbone that attach knows; it is changed in place.
        space: What is searched.
        form: How mixed edges are computed.
        parts: One part in so many of each edge's channels goes through the mixture (see `PartialEdges`).

    Raises:
        InputError: If the channels of a block do not split into the space's groups.
    """

    def __init__(self, backbone: nn.Module, space: Space, form: Form = "grouped", *, parts: int = 1) -> None:
        super().__init__()
        self.warming = False
        self.space = space
        self.form: Form = form
        self.mixing = Mixing()
        edges = FORMS[form]

        def build(channels: int) -> Cell:
            width = group_width(channels, space.num_nodes)
            if parts == 1:
                mixed = edges(space, width, self.mixing)
            else:
                mixed = PartialEdges(space, width, self.mixing, parts, edges)
            return Cell(channels, space.num_nodes, mixed, space.fuse)

        self.network = attach_cells(backbone, lambda site: build(site.channels))
        self.alphas = nn.Parameter(INITIAL_SCALE * torch.randn(len(space.edges), len(space.primitives)))

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        weights: Float[Tensor, "edges primitives"] | None = None,
        chosen: Sequence[int] | None = None,
    ) -> Float[Tensor, "b num_classes"]:
        """Logits of a batch.

        Args:
            x: Normalised images.
            weights: Mixing weights; None for those that are set, or softmax(alphas).
            chosen: For every edge, the one primitive that is computed; None computes all of them.
        """
        if self.form == "grouped":
            x = x.contiguous(memory_format=torch.channels_last)
        if weights is None and self.mixing.is_set:
            return self.network(x)
        with self.mixed_by(self.mixing_weights() if weights is None else weights, chosen):
            return self.network(x)

    @contextmanager
    def mixed_by(
        self, weights: Float[Tensor, "edges primitives"], chosen: Sequence[int] | None = None
    ) -> Iterator[None]:
        """Passes inside mix with these weights, as `forward` does with those that it is given."""
        self.mixing.set(weights, chosen)
        try:
            yield
        finally:
            self.mixing.set(None)

    def begin_step(self, share: float) -> None:
        """Called before every step of a search with the share of it that is over: nothing changes here."""

    def mixing_weights(self) -> Float[Tensor, "edges primitives"]:
        """softmax(alphas), a distribution over the primitives for every edge."""
        return self.alphas.softmax(-1)

    def weights(self) -> list[nn.Parameter]:
        """All parameters but the alphas."""
        return list(self.network.parameters())

    def frozen_weights(self) -> AbstractContextManager[None]:
        """Freezes the weights for the architecture step: nothing inside asks for their gradients.

        With the alphas alone to differentiate, autograd keeps less and skips the weights' part.
        """
        return frozen(self.weights())

    def derive(self) -> Genotype:
        """The genotype that the alphas stand for."""
        return argmax(self.space, self.mixing_weights().detach().tolist())


def one_hot(space: Searchable, genotype: Any) -> Float[Tensor, "rows columns"]:
    """Mixing weights that select what a genotype or placement has: 1 there, 0 elsewhere."""
    weights = torch.zeros(len(space.rows), len(space.primitives))
    decided = space.decided(genotype)
    for number, row in enumerate(space.rows):
        if row in decided:
            weights[number, space.primitives.index(decided[row])] = 1.0
    return weights


def copy_weights(supernet: Supernet, found: nn.Module, genotype: Genotype) -> None:
    """Copies the weights that a supernet has for a genotype into the network it describes.

    Affine weights of norms that the supernet's norms lack become 1 and 0, so the two networks are equal.

    Args:
        supernet: In any form.
        found: The same backbone with the genotype attached.
        genotype: A genotype of the supernet's space.

    Raises:
        ValueError: If the found network has weights that the supernet has not.
    """
    column = supernet.space.primitives.index
    source = to_plain(supernet.network.state_dict(), supernet.network)
    rename = dict[str, str]()
    for name, module in found.named_modules():
        if isinstance(module, FoundEdges):
            for node, edge in genotype.edges():
                key = f"{name}.operators.{edge_name(node, edge.index)}"
                rename[key] = f"{key}.{column(edge.operator)}"
    state = found.state_dict()
    for key in state:
        prefix = next((prefix for prefix in rename if key.startswith(prefix + ".")), None)
        origin = key if prefix is None else rename[prefix] + key[len(prefix) :]
        if origin in source:
            state[key] = source[origin]
            continue
        owner, _, parameter = key.rpartition(".")
        if not isinstance(found.get_submodule(owner), OperatorNorm):
            raise ValueError(f"the supernet has no {origin!r}; build both from one backbone and space")
        state[key] = torch.full_like(state[key], 1.0 if parameter == "weight" else 0.0)
    found.load_state_dict(state)


__all__ = ["CHILD", "Form", "Supernet", "copy_weights", "one_hot"]
