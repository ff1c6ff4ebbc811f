"""When a search does what: epochs of search, then of tuning, and the learning rate in each."""

from __future__ import annotations

from evaluators.recipe import cosine
from searchers.settings import Differentiable


class Schedule:
    """The epochs of a search, counted from 0.

    Attributes:
        search_epochs: Epochs before the genotype is decided; a guard may end them earlier.
        tuning_epochs: Epochs after them, in which edges are decided one by one; 0 for most searches.

    Args:
        config: Hyper-parameters.
        num_edges: Edges of the cell.
        steps_per_epoch: Steps between two epochs.
    """

    def __init__(self, config: Differentiable, num_edges: int, steps_per_epoch: int) -> None:
        self.config, self.steps_per_epoch = config, steps_per_epoch
        self.search_epochs = config.epochs
        perturbs = config.derive == "perturbation"
        self.tuning_epochs = config.perturbation.epochs * (num_edges - 1) if perturbs else 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole search."""
        return (self.search_epochs + self.tuning_epochs) * self.steps_per_epoch

    def searching(self, epoch: int) -> bool:
        """Whether an epoch is one of search, not of tuning."""
        return epoch < self.search_epochs

    def resting(self, epoch: int) -> bool:
        """Whether the alphas rest in an epoch, while the weights warm up."""
        return epoch < int(self.config.alpha_warmup * self.config.epochs)

    def rate(self, epoch: int) -> float:
        """Learning rate of the weights in an epoch."""
        highest, lowest = self.config.learning_rate, self.config.min_learning_rate
        if not self.searching(epoch):
            return cosine(epoch - self.search_epochs, max(1, self.tuning_epochs), highest / 10, lowest)
        return cosine(epoch, self.config.epochs, highest, lowest)
