"""Spaces whose rows are modules of a network, and whose columns stand in their stead."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from search_space.rows import Rows
from supernet.mixed import Mixing
from supernet.mixed_network import MixedNetwork, Mixture, uncounted


class Instead(Rows):
    """A space of what stands for the modules that `rows` name, in a network.

    The first column is what the network has. A class of it says what the others are (`build`).
    """

    def build(self, module: nn.Module, name: str) -> nn.Module:
        """What stands for a module of the network under the name of a column, but the first.

        Args:
            module: What the network has there.
            name: One of `primitives`.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define build")

    def supernet(self, network: nn.Module, *, keeps_modes: bool = False) -> MixedNetwork:
        """The network with mixtures in it, in place; see `MixedNetwork`."""
        return InsteadSupernet(network, self, keeps_modes=keeps_modes)

    def found(self, network: nn.Module, genotype: Any) -> nn.Module:
        """The network with an answer in it, in place; what stands anew has new weights."""
        for row, name in self.decided(genotype).items():
            if name != self.primitives[0]:
                module = network.get_submodule(row)
                network.set_submodule(row, placed(self.build(module, name), module))
        return network


def placed(new: nn.Module, old: nn.Module) -> nn.Module:
    """A module on the device, of the dtype and in the mode of the one that it stands for."""
    like = next(old.parameters(), torch.zeros(()))
    return new.to(like.device, like.dtype).train(old.training)


class Blend(nn.Module):
    """(1 - scale) old(x) + scale new(x)."""

    def __init__(self, old: nn.Module, new: nn.Module, scale: Tensor) -> None:
        super().__init__()
        self.old, self.new, self.scale = old, new, nn.Parameter(scale.clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(self.old(x), self.new(x), self.scale)


class MixedModules(Mixture):
    """old(x) + s sum_o w_o (o(x) - old(x)) over what may stand for the module `old`."""

    def __init__(self, modules: dict[int, nn.Module], *of_row: Any) -> None:
        super().__init__(*of_row)
        self.modules_by_column = nn.ModuleDict({str(column): module for column, module in modules.items()})

    def forward(self, x: Tensor) -> Tensor:
        weights, scale, chosen = self.mixing_now()
        first, *others = self.modules_by_column.items()
        plain = first[1](x)
        change: Tensor | None = None
        for column, module in others:
            if chosen is None or int(column) == chosen:
                term = weights[int(column)] * (module(x) - plain)
                change = term if change is None else change + term
        return plain if change is None else plain + scale * change


class InsteadSupernet(MixedNetwork):
    """A network with mixtures in the stead of some of its modules."""

    def mixture(self, network: nn.Module, row: str, of_row: tuple[int, Mixing, Tensor]) -> MixedModules:
        module, names = network.get_submodule(row), self.space.primitives
        others = [column for column in self.space.columns_at(row) if column]
        modules = {column: placed(self.space.build(module, names[column]), module) for column in others}
        mixed = MixedModules({0: module, **modules}, *of_row)
        network.set_submodule(row, placed(mixed, module))
        return mixed

    def derived(self, genotype: Any) -> nn.Module:
        network = uncounted(copy.deepcopy(self.network))
        for row, name in self.space.decided(genotype).items():
            mixed = network.get_submodule(row)
            assert isinstance(mixed, MixedModules)
            old = mixed.modules_by_column["0"]
            found = mixed.modules_by_column[str(self.space.primitives.index(name))]
            if found is not old and mixed.scale != 1:
                found = Blend(old, found, mixed.scale)
            network.set_submodule(row, found)
        return network
