"""The search of PC-DARTS; its settings and its source are in searchers/pc_darts.py."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foundation.seeds import seed_of
from searchers.pc_darts import PcDarts
from searchers.searches.differentiable import DifferentiableSearch
from supernet.supernet import INITIAL_SCALE, Supernet


class PcDartsSearch(DifferentiableSearch[PcDarts]):
    """Edges mix with softmax(alphas), times the softmax of the betas of all edges into one node."""

    def build(self) -> Supernet:
        return self.problem.supernet(parts=self.config.parts)

    def build_architecture(self) -> list[Tensor]:
        alphas = self.supernet.alphas
        torch.manual_seed(seed_of(self.problem.seed, "betas"))
        self.betas = nn.Parameter(INITIAL_SCALE * torch.randn(len(alphas)).to(alphas))
        return [alphas, self.betas]

    def edge_weights(self) -> Tensor:
        """Weight of every edge among the edges of its node, as a column."""
        counts = range(1, self.problem.space.num_nodes + 1)
        return torch.cat([betas.softmax(0) for betas in self.betas.split(list(counts))])[:, None]

    def expected(self) -> Tensor:
        return self.relaxed() * self.edge_weights()

    def strengths(self) -> Tensor:
        return super().strengths() * self.edge_weights()
