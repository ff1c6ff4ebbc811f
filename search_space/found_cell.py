"""The cell that a genotype describes; on the CPU it trains as one operator where there is a compiler."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from search_space.cell import Cell, FoundEdges, group_width
from search_space.genotype import Genotype
from search_space.native.training import TrainingProgram, training_program
from search_space.operator import OPERATORS
from search_space.state import State


class FoundCell(Cell):
    """A cell with single operators on its edges.

    Attributes:
        native: Whether it trains by the native operator where that takes it; by PyTorch's own otherwise.
    """

    native = True
    _program: TrainingProgram | None = None

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        if self.native and self.training:
            if self._program is None or not self._program.is_of(self):
                self._program = training_program(self)
            if self._program.takes(state.x):
                return self._program(state.x)
        return super().read(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_program": None}  # it holds these very modules, not those of a copy


def found_cell(channels: int, genotype: Genotype) -> FoundCell:
    """The module that a genotype describes.

    Raises:
        InputError: If the channels do not split, or an operator is unknown.
    """
    num_nodes = len(genotype.nodes)
    width = group_width(channels, num_nodes)
    edges = [(node, edge.index, OPERATORS[edge.operator].build(width)) for node, edge in genotype.edges()]
    return FoundCell(channels, num_nodes, FoundEdges(edges), genotype.fuse)
