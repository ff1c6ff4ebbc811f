"""The search of PC-DARTS; its settings and its source are in searchers/pc_darts.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foundation.seeds import seed_of
from searchers.pc_darts import PcDarts
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.mixture import Mixture
from searchers.searches.problem import Problem
from supernet.explicit import SearchedNetwork
from supernet.supernet import INITIAL_SCALE


class WeighedEdges(Mixture):
    """Edges mix with softmax(alphas), times the softmax of the betas of all edges into one node.

    Args:
        supernet: The network that is searched.
        seed: Seed of the first betas.
    """

    def __init__(self, supernet: SearchedNetwork, seed: int) -> None:
        super().__init__(supernet)
        alphas = supernet.alphas
        torch.manual_seed(seed_of(seed, "betas"))
        self.betas = nn.Parameter(INITIAL_SCALE * torch.randn(len(alphas)).to(alphas))
        self.architecture.append(self.betas)

    def edge_weights(self) -> Tensor:
        """Weight of every edge among the edges of its node, as a column."""
        counts = range(1, self.supernet.space.num_nodes + 1)
        return torch.cat([betas.softmax(0) for betas in self.betas.split(list(counts))])[:, None]

    def expected(self) -> Tensor:
        return self.shares() * self.edge_weights()

    def strengths(self) -> Tensor:
        return super().strengths() * self.edge_weights()


def start(config: PcDarts, problem: Problem) -> DifferentiableSearch:
    """A part of the channels is mixed; nothing changes between epochs."""
    mixture = WeighedEdges(problem.supernet(parts=config.parts), problem.seed)
    return DifferentiableSearch(config, problem, mixture)
