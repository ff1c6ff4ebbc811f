"""Settings that every differentiable searcher has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from evaluators.recipe import TrainConfig
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from searchers import ADAM_BETAS, SearcherConfig
from searchers.finals import Finals
from searchers.guards import Guards
from searchers.perturbation import Perturbation
from supernet.derive import Rule

if TYPE_CHECKING:
    from searchers.searches.problem import Problem


@config
class Differentiable(SearcherConfig):
    """Settings that every differentiable searcher has; values are the public AutoLA search's unless said."""

    epochs: int = 50
    """Passes over both halves of the training set; more take longer and let the alphas settle
    (train_search.py:32)."""
    batch_size: int = 128
    """Images in a step from each half, over all processes; more need more memory and make fewer steps
    (train_search.py:25)."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """Optimizer of the weights: SGD with momentum, or Adam (betas 0.9 and 0.98), without which Transformers
    hardly learn."""
    learning_rate: float = 0.025
    """Learning rate of the weights at the first step; higher trains faster and less stably
    (train_search.py:26)."""
    min_learning_rate: float = 1e-4
    """Learning rate of the weights at the end of its cosine; higher keeps changing them to the end
    (train_search.py:27)."""
    momentum: float = 0.9
    """Momentum of the weights' SGD; higher averages gradients over more steps (train_search.py:28)."""
    nesterov: bool = False
    """Use Nesterov's momentum for the weights: the gradient is taken where the momentum leads."""
    weight_decay: float = 5e-4
    """Weight decay of the weights; higher keeps them smaller (train_search.py:29)."""
    clip: float = 5.0
    """Largest norm of the weights' gradient, which is scaled down to it; lower is stabler and slower. 0 for
    no clipping (train_search.py:41)."""
    alpha_learning_rate: float = 3e-3
    """Learning rate of the alphas' Adam; higher settles sooner and less surely (train_search.py:44)."""
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    """Decay rates of the averages in the alphas' Adam; higher remembers longer (architect.py:18)."""
    alpha_weight_decay: float = 1e-3
    """Weight decay of the alphas; higher keeps the operators closer together (train_search.py:45)."""
    alpha_warmup: float = 0.0
    """Share of the epochs, at first, in which the alphas rest and the weights alone are trained; higher
    judges the operators later and better trained."""
    derive: Literal[Rule, "perturbation"] = "argmax"
    """How the alphas become a genotype: by the strongest operator of every edge (argmax, the public rule), of
    the two strongest edges of every node (top2), or by a last phase in which every edge gets the operator
    that the loss misses most (perturbation)."""
    perturbation: Perturbation = Perturbation()
    """Settings of that last phase."""
    guards: Guards = Guards()
    """Figures of the search's health that are measured, and rules that stop it early."""
    finals: Finals = Finals()
    """Trainings of the likeliest at the end, of which the best is the answer."""

    def __post_init__(self) -> None:
        rules.positive(self, "epochs", "batch_size", "learning_rate", "alpha_learning_rate")
        rules.not_negative(self, "min_learning_rate", "weight_decay", "clip", "alpha_weight_decay")
        rules.below_one(self, "momentum", "alpha_betas", "alpha_warmup")
        rules.not_above(self, "min_learning_rate", "learning_rate")
        if self.nesterov and not self.momentum:
            raise InputError("nesterov needs a momentum")
        if self.nesterov and self.optimizer != "sgd":
            raise InputError(f"nesterov is SGD's; {self.optimizer} has none")

    def start(self, problem: Problem) -> Any:
        """A new `DifferentiableSearch` at step 0, as the function that `search` names puts it together.

        With finals it is the first part of a `FinalSearch`.
        """
        search: Any = super().start(problem)
        from searchers.searches.finals import with_finals  # slow: PyTorch

        return with_finals(search, self.finals, self.recipe(), problem)

    def recipe(self) -> TrainConfig:
        """How finalists are trained: as the weights of the search."""
        return TrainConfig(
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            beta2=ADAM_BETAS[1],
            learning_rate=self.learning_rate,
            min_learning_rate=self.min_learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            clip=self.clip,
            select="last",
        )

    def check(self, problem: Problem) -> None:
        if self.guards.curvature_every:
            require_second_derivatives(problem, "guards.curvature_every")


def require_second_derivatives(problem: Problem, what: str) -> None:
    """Refuses problems whose network cannot be differentiated twice.

    Raises:
        InputError: If it cannot; says what needs second derivatives, and what stands in the way.
    """
    from supernet import explicit

    explicit.require_second_derivatives(problem.space, what)
    require_own_weights(problem, what)
    if problem.compile:
        raise InputError(f"{what} needs second derivatives, and compiled blocks have none; leave out compile")


def require_own_weights(problem: Problem, what: str) -> None:
    """Refuses problems whose blocks are computed again, by then with the network's own weights.

    Raises:
        InputError: If they are; says what computes with other weights.
    """
    if problem.recompute:
        raise InputError(
            f"{what} computes blocks with other weights than the network's, which cannot be computed again; "
            "leave out recompute"
        )


def check_temperatures(first: float, last: float) -> None:
    """Checks the temperatures that a search begins and ends with.

    Raises:
        InputError: If they are not positive, or rise.
    """
    if not math.inf > first >= last > 0:
        raise InputError(
            f"a temperature that falls from {first} to {last}: "
            "give positive ones, the second not above the first"
        )
