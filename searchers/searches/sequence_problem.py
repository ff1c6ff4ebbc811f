"""A search problem in a network that translates: what stands at its attentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from search_space.places import Places
from searchers.searches.task_problem import TaskProblem
from supernet.networks.transformer import Transformer
from supernet.sequence_placing import place


@dataclass(frozen=True, kw_only=True)
class SequenceProblem(TaskProblem):
    """Placements in a Transformer, by the loss of its task."""

    @property
    def places(self) -> Places:
        """What is searched."""
        return cast(Places, self.space)

    def placed(self, genotype: Any) -> nn.Module:
        return place(cast(Transformer, self.backbone()), genotype)
