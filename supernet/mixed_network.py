"""A network with a mixture of candidates at every row of a space, and one alpha matrix."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.rows import Rows
from supernet.mixed import MixedEdges, Mixing
from supernet.modules import freeze_norms, frozen
from supernet.supernet import INITIAL_SCALE

RAMP = 0.3
"""Share of a search in which the scale is raised from 0 to 1 and the alphas rest."""


class CallCount:
    """A hook that counts the passes of a network.

    Attributes:
        passes: How many there were since somebody set it to 0.
    """

    def __init__(self) -> None:
        self.passes = 0

    def __call__(self, module: nn.Module, args: Any) -> None:
        self.passes += 1


class Mixture(MixedEdges):
    """What stands at a row: the plain network's output there, and candidates that change it.

    With scale 0 it is what the plain network has there, to the last bit; with scale 1 the candidates mixed. A
    class of it says in `forward` what lies between, by `mixing_now`.

    What a pass mixes with that nobody sets weights for is part of the network's state: so a copy of the
    network, an average of it or one that is loaded elsewhere can be called by itself.

    Args:
        row: Row of the alphas.
        mixing: Where the weights (rows, columns) of a pass are read.
        resting: What a pass mixes with that nobody sets weights for (columns).
    """

    def __init__(self, row: int, mixing: Mixing, resting: Float[Tensor, "columns"]) -> None:
        super().__init__(mixing)
        self.row = row
        self.scale: Tensor
        self.resting: Tensor
        self.register_buffer("scale", torch.zeros(()))
        self.register_buffer("resting", resting)
        self.num_calls = 0

    def mixing_now(self) -> tuple[Float[Tensor, "columns"], Float[Tensor, ""], int | None]:
        """Weights of the columns, the scale, and the one column that is computed alone, or None."""
        self.num_calls += 1
        chosen = self.mixing.chosen
        # Copies: the next step may change both before a pass's gradients are taken.
        weights = self.mixing.weights[self.row] if self.mixing.is_set else self.resting.clone()
        return weights, self.scale.clone(), None if chosen is None else chosen[self.row]


class MixedNetwork(nn.Module):
    """A network that is searched: alphas have a row for each row of the space, a column for each candidate.

    A forward pass mixes with softmax(alphas) unless other weights are set. A class of it says what stands at
    a row (`mixture`) and how an answer is read off (`derived`).

    Attributes:
        warming: Whether the scale of the mixtures is still below 1, so that the alphas rest.
        freezes_norms: Whether batch norms keep their statistics while all else trains.

    Args:
        network: The plain network; it is changed in place.
        space: What is searched.
        keeps_modes: Whether whoever owns the network decides what of it is in training mode.
    """

    def __init__(self, network: nn.Module, space: Rows, *, keeps_modes: bool = False) -> None:
        super().__init__()
        self.space: Any = space
        self.keeps_modes = keeps_modes
        self.warming, self.freezes_norms = True, False
        parameter = next(network.parameters(), torch.zeros(()))
        alphas = INITIAL_SCALE * torch.randn(len(space.rows), len(space.primitives))
        self.alphas = nn.Parameter(alphas.to(parameter.device, parameter.dtype))
        self.mixing, resting = Mixing(), self.mixing_weights().detach()
        self._mixed = dict[str, Mixture]()  # where they stand they are registered
        for number, row in enumerate(space.rows):
            self._mixed[row] = self.mixture(network, row, (number, self.mixing, resting[number].clone()))
        self.network, self.count = network, CallCount()
        network.register_forward_pre_hook(self.count)

    @abstractmethod
    def mixture(self, network: nn.Module, row: str, of_row: tuple[int, Mixing, Tensor]) -> Mixture:
        """Puts a mixture into the network, and returns it.

        Args:
            network: Changed in place.
            row: Which one.
            of_row: What a `Mixture` takes.
        """

    @abstractmethod
    def derived(self, genotype: Any) -> nn.Module:
        """The plain network with an answer in it, as a copy, with the weights that they have here."""

    def forward(
        self, *args: Any, weights: Tensor | None = None, chosen: Sequence[int] | None = None, **others: Any
    ) -> Any:
        """What the network gives.

        Args:
            *args: What the network takes.
            weights: Mixing weights (rows, columns); None for those that are set, or softmax(alphas).
            chosen: For every row the one column that is computed; None for all of them.
            **others: What the network takes by name.
        """
        if weights is None and self.mixing.is_set:
            return self.network(*args, **others)
        with self.mixed_by(self.mixing_weights() if weights is None else weights, chosen):
            return self.network(*args, **others)

    @contextmanager
    def mixed_by(self, weights: Tensor, chosen: Sequence[int] | None = None) -> Iterator[None]:
        """Passes inside mix with these weights."""
        self.mixing.set(weights, chosen)
        try:
            yield
        finally:
            self.mixing.set(None)

    def train(self, mode: bool = True) -> MixedNetwork:
        if self.keeps_modes:
            return self
        super().train(mode)
        if self.freezes_norms:
            freeze_norms(self)
        return self

    def mixing_weights(self) -> Float[Tensor, "rows columns"]:
        """softmax(alphas), a distribution over the candidates of every row; 0 for those that do not fit."""
        return fitting(self.space, self.alphas).softmax(-1)

    @torch.no_grad()
    def begin_step(self, share: float) -> None:
        """Sets the scale of all mixtures by the share of the search that is over, 0 to 1."""
        self.warming = share < RAMP
        for mixed in self.sites().values():
            mixed.scale.fill_(min(1.0, share / RAMP))

    def rest(self, weights: Float[Tensor, "rows columns"]) -> None:
        """Sets what passes mix with that nobody sets weights for."""
        for mixed in self.sites().values():
            mixed.resting.copy_(weights[mixed.row].detach())

    def weights(self) -> list[nn.Parameter]:
        """All parameters that learn, but the alphas."""
        return [weight for weight in self.network.parameters() if weight.requires_grad]

    def frozen_weights(self) -> AbstractContextManager[None]:
        """For the step of the alphas: nothing inside asks for gradients of the weights."""
        return frozen(self.weights())

    def sites(self) -> Mapping[str, Any]:
        """The mixtures by the names of their rows."""
        return self._mixed


def uncounted(network: nn.Module) -> nn.Module:
    """Takes the hook of a search off a network, in place."""
    for number, hook in list(network._forward_pre_hooks.items()):
        if isinstance(hook, CallCount):
            del network._forward_pre_hooks[number]
    return network


def fitting(space: Rows, alphas: Tensor) -> Tensor:
    """Alphas, minus infinity for candidates that do not fit a row."""
    mask = fits(space)
    return alphas if bool(mask.all()) else alphas.masked_fill(~mask.to(alphas.device), -torch.inf)


def fits(space: Rows) -> Tensor:
    """Which candidates fit which row (rows, columns)."""
    mask = torch.zeros(len(space.rows), len(space.primitives), dtype=torch.bool)
    for number, row in enumerate(space.rows):
        mask[number, space.columns_at(row)] = True
    return mask
