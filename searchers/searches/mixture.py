"""How alphas become mixing weights.

Three notions of how strong an operator is, each a tensor (edges, primitives), each defined here and nowhere
else:

- **shares**: of every edge a distribution over the primitives. They are recorded, limits charge for them,
  and they say how sure an edge is.
- **strengths**: what derivation compares, on an edge and among the edges of a node. A primitive that has left
  an edge has 0, and what it had is given to no other.
- **mixing weights**: what a forward pass multiplies the operators with, drawn anew for every pass where a
  method draws (`draw`), or without chance (`expected`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from supernet.explicit import SearchedNetwork
from supernet.mixed_network import MixedNetwork, fits


class Mixture:
    """The alphas of a supernet, the primitives that still compete, and the mixing weights: those of DARTS.

    A method that mixes in another way overrides what it does otherwise.

    Attributes:
        architecture: What the alphas' optimizer moves: the alphas, then what else stands for the choice.
        alive: Which primitives compete (edges, primitives).
        all_alive: Whether all of them do.

    Args:
        supernet: The network that is searched.
    """

    def __init__(self, supernet: SearchedNetwork) -> None:
        self.supernet = supernet
        self.architecture: list[Tensor] = [supernet.alphas]
        self.alive = torch.ones_like(supernet.alphas, dtype=torch.bool)
        self.all_alive = True
        if isinstance(supernet, MixedNetwork):
            self.keep(fits(supernet.space).to(self.alive.device))

    def logits(self) -> Tensor:
        """The alphas; minus infinity for primitives that have left an edge."""
        alphas = self.supernet.alphas
        return alphas if self.all_alive else alphas.masked_fill(~self.alive, -torch.inf)

    def shares(self) -> Tensor:
        """The distribution over the primitives that the alphas stand for on every edge, differentiable."""
        return self.logits().softmax(-1)

    def strengths(self) -> Tensor:
        """What derivation compares; 0 for primitives that have left."""
        weights = self.supernet.mixing_weights()
        return weights if self.all_alive else weights * self.alive

    def expected(self) -> Tensor:
        """The mixing weights without chance, differentiable."""
        return self.shares()

    def draw(self) -> Tensor:
        """The mixing weights of one forward pass, differentiable: the expected ones, if nothing is drawn."""
        return self.expected()

    def chosen(self, mixing: Tensor) -> Sequence[int] | None:
        """The one column of every row that is computed with these weights; None for all."""
        return None

    def regularizer(self) -> Tensor | None:
        """What this way of mixing adds to the loss of the alphas; None for nothing."""
        return None

    def keep(self, alive: Tensor) -> None:
        """Lets only these primitives (edges, primitives) compete from now on."""
        self.alive &= alive
        candidates = self.alive[:, self.supernet.space.candidate_columns]
        assert bool(candidates.any(1).all()), "an edge is left without a candidate"
        self.all_alive = bool(self.alive.all())

    def settle(self, row: int, column: int) -> None:
        """Decides an edge: from now on it has this primitive alone."""
        alive = torch.ones_like(self.alive)
        alive[row] = False
        alive[row, column] = True
        self.keep(alive)
