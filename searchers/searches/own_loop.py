"""A search in a user's own loop: the user gives the batches and the loss, the searcher does the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from evaluators.candidate_costs import table_of
from evaluators.cost_table import Metric
from evaluators.cost_tables import AnyTable
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.attention import Attention
from search_space.places import CANDIDATES, Places
from search_space.rows import Rows
from search_space.space import NONE
from searchers import SEARCHERS, SearcherConfig
from searchers.limits import Limits, parse_target
from searchers.searches.batch_form import form_of
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.fed_problem import FedProblem, Feed, Loss, UsersProcesses
from searchers.searches.updates import Updates
from searchers.settings import Differentiable
from supernet.attachable import check_attachable
from supernet.mixed_network import MixedNetwork
from supernet.placing import candidate, places_of

MOST_EPOCHS = 20
"""Parts that the steps of a search are counted in: what searchers do between epochs is done between them."""

FIRST_LOOK = 20
"""Step of somebody else's optimizer, at the earliest, at which the candidates are asked to have learned."""


WRAPPERS = nn.parallel.DistributedDataParallel, nn.DataParallel
"""What holds a model and knows its weights from the time at which it was made."""


class Losses(NamedTuple):
    """The losses of a step before it moved anything."""

    weights: Tensor
    choice: Tensor


class Searching:
    """A search of which attention stands where, in a model and a loop that are the user's.

    Made by `searching`.

    Attributes:
        model: The user's model, with a mixture of all candidates at every site, to call, train and evaluate.
        space: Its sites and candidates, or what else is searched.
        steps: Steps of the search, with those of a last phase where the searcher derives by perturbation.
    """

    def __init__(self, search: DifferentiableSearch, problem: FedProblem, steps: int) -> None:
        self._search, self._problem = search, problem
        self._supernet = cast("MixedNetwork", search.supernet)
        self.model = problem.model
        self.steps = max(steps, search.total_steps if search.schedule.tuning_epochs else 0)
        self.space = cast("Rows", problem.space)
        self._first: list[Tensor] | None = [weight.detach().clone() for weight in self._candidates()]
        self._rest()

    @property
    def step_number(self) -> int:
        """Steps done."""
        return self._search.step

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or a guard ended the search."""
        return self._search.step >= min(self.steps, self._search.total_steps)

    def step(self, loss: Loss, batch_for_weights: Any, batch_for_choice: Any) -> Losses:
        """One step: the choice learns on its batch, then all weights that are not frozen on theirs, by SGD.

        Args:
            loss: Called with the model and a batch; gives one number.
            batch_for_weights: Of whatever the loss takes.
            batch_for_choice: Of other data than that, in the same form.

        Raises:
            InputError: If the loss is not one number or not the model's, the batches differ in form, or the
                search is over.
        """
        if (weights := form_of(batch_for_weights)) != (choice := form_of(batch_for_choice)):
            raise InputError(
                f"the batches differ in form: {weights} for the weights, {choice} for the choice"
            )
        with self._given(loss, batch_for_weights, batch_for_choice):
            self._search.advance()
        return self._losses()

    def choose(self, loss: Loss, batch: Any) -> Tensor:
        """The half of a step in which the choice learns; the weights are left to the user's own optimizer.

        After it, the model mixes as the choice says; a step of the user's optimizer over the parameters of
        `model` is the other half.

        Raises:
            InputError: If the searcher moves weights and choice together, the optimizer leaves the candidates
                as they are, or what `step` says.
        """
        if type(self._search.updates) is not Updates:
            raise InputError(
                f"{self._search.config.name}, as it is set, moves weights and choice in one step; call step"
            )
        self._ask_optimizer()
        updates = self._search.updates
        with self._given(loss, batch, batch):
            updates.moves_weights = False
            try:
                self._search.advance()
            finally:
                updates.moves_weights = True
        return self._losses().choice

    def found(self) -> Any:
        """What the search would answer with now: a placement, or the answer of another space."""
        return self._search.genotype()

    def shares(self) -> Mapping[str, Mapping[str, float]]:
        """How the candidates compete: the share of each at every site."""
        return self._search.shares()

    def memory(self) -> Mapping[str, int]:
        """Bytes that the candidates of each site kept for the backward pass of the first step's batch."""
        return dict(self._search.updates.kept)

    def derive(self) -> nn.Module:
        """The plain model with what was found attached, a copy, with the weights that it has now."""
        return self._supernet.derived(self.found())

    def state_dict(self) -> dict[str, Any]:
        """The whole state, the model's weights included: tensors, numbers, texts, lists and dicts."""
        return {"space": _signature(self.space), "search": self._search.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes back to a stored state.

        Raises:
            InputError: If it is of another search.
        """
        if state.get("space") != _signature(self.space):
            raise InputError("the state is of a search over other sites or candidates")
        self._search.load_state_dict(state["search"])
        self._supernet.begin_step(self._share())
        self._first = None
        self._rest()

    @contextmanager
    def _given(self, loss: Loss, weights: Any, choice: Any) -> Iterator[None]:
        """Hands over a loss and batches; the user's random numbers stay as they are."""
        if self.is_over:
            raise InputError(f"the search of {self.steps} steps is over; derive() gives what it found")
        if not self._supernet.weights():
            raise InputError(
                "no weight of the model learns, not even the candidates'; freeze before autola.searching(...)"
            )
        if torch.is_inference_mode_enabled():
            raise InputError("nothing learns in torch.inference_mode(); take the step outside of it")
        self._problem.given[:] = [loss]
        self._problem.feeds[0].now, self._problem.feeds[1].now = weights, choice
        device = self._problem.fabric.device
        if self._supernet.alphas.device != device:
            self._search.move_to(device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
            yield
            if (step := self._search.step) == self.steps and step % self._search.steps_per_epoch:
                self._search.finish_epoch(step // self._search.steps_per_epoch)  # the last one is shorter
            self._rest()
        self._problem.feeds[0].now = self._problem.feeds[1].now = None
        if self._search.step % self._search.steps_per_epoch == 0:  # waits for the device
            self._search.check()

    def _rest(self) -> None:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self._problem.seed, "rest", self._search.step))
            self._supernet.rest(self._search.mixture.draw())

    def _candidates(self) -> list[nn.Parameter]:
        """The candidates' weights."""
        return [weight for mixed in self._supernet.sites().values() for weight in mixed.parameters()]

    def _ask_optimizer(self) -> None:
        """Looks once whether the user's optimizer has the weights that the search brought.

        Raises:
            InputError: If none of them has moved.
        """
        if not self._first or self._search.step < FIRST_LOOK or self._supernet.warming:
            return
        now = self._candidates()
        if all(torch.equal(before.to(weight.device), weight) for before, weight in zip(self._first, now)):
            raise InputError(
                f"in {self._search.step} steps no weight of the candidates has moved: make the optimizer "
                "after autola.searching(...), of search.model.parameters(), and step it"
            )
        self._first = None

    def _share(self) -> float:
        return max(0, self._search.step - 1) / self._search.total_steps

    def _losses(self) -> Losses:
        row = self._search.figures.values[(self._search.step - 1) % self._search.steps_per_epoch]
        return Losses(weights=row[0].clone(), choice=row[2].clone())


def searching(
    model: nn.Module,
    *,
    steps: int,
    space: Sequence[Attention] | Rows = CANDIDATES,
    sites: Sequence[str] | Mapping[str, int] | None = None,
    searcher: str | SearcherConfig = "darts",
    target: str | None = None,
    target_weight: float = 1.0,
    input_shape: Sequence[int] | None = None,
    seed: int = 0,
) -> Searching:
    """Begins to search, in a model and a loop of one's own, which attention stands at which site.

    The model is changed in place: a mixture of all candidates stands at every site. Its output is the same
    until the first step. Freeze before this what should stay frozen. Modes are the user's: what is in
    evaluation mode stays so.

    Args:
        model: A network whose blocks are found, or any with `sites`; trained weights are a good start.
        steps: Calls of `step` or `choose` in the search; in the first three tenths the candidates warm up.
        space: What may stand at each site, in the grammar, as genotypes, or what a search gave back; or a
            space of your own, whose rows are in the model.
        sites: Dotted names of modules that attention may follow; a mapping to channels where they do not show
            them. None finds those of the known families.
        searcher: Name of a differentiable searcher, or its config.
        target: The most that the network may cost, as "macs<=1.1x,params<=300k".
        target_weight: Weight of what the expected cost is above that, in the loss of the choice.
        input_shape: (channels, height, width) of the images; needed with a target.
        seed: Seed of the candidates' weights and of what the searcher draws.

    Raises:
        InputError: If the model has no sites or attention already, a candidate fits nowhere, the searcher is
            none of these, or nothing keeps the target. The model is unchanged then.
    """
    check_attachable(model)
    if isinstance(model, WRAPPERS):
        raise InputError(
            f"{type(model).__name__} was made of the model as it was; give its .module to "
            "autola.searching(...), and wrap it after that"
        )
    config = SEARCHERS[searcher]() if isinstance(searcher, str) else searcher
    if not isinstance(config, Differentiable):
        raise InputError(
            f"{config.name} judges one candidate after another, which a loop of batches does not; choose a "
            "differentiable searcher as darts, or autola search"
        )
    if config.finals.count:
        raise InputError(
            "finals train candidates one by one on batches of their own, which a loop of yours does not "
            "give; leave them out, or search by autola.advise"
        )
    if steps < 1:
        raise InputError(f"steps={steps} is not positive")
    if isinstance(space, Rows) and sites is not None:
        raise InputError(f"the space {space.name!r} says itself where it is; leave out sites=[...]")
    config.check_budget(known := space if isinstance(space, Rows) else places_of(model, space, sites))
    if not any(weight.requires_grad for weight in model.parameters()) and _all_weightless(known):
        raise InputError(
            f"nothing of the model learns, and {', '.join(known.primitives)} have no weights: let some of it "
            "learn, or add a candidate that has weights, as se"
        )
    steps_per_epoch = -(-steps // MOST_EPOCHS)
    config = replace(config, epochs=-(-steps // steps_per_epoch))
    processes = UsersProcesses(model)
    limits = None if target is None else _limits(target, known, model, input_shape, processes.device)
    problem = FedProblem(
        space=known,
        model=model,
        feeds=(Feed(steps_per_epoch), Feed(steps_per_epoch)),
        fabric=cast(Any, processes),
        seed=seed,
        limits=limits,
        penalty=None if limits is None else limits.penalty(target_weight),
    )
    config.check(problem)
    search = config.start(problem)
    return Searching(search, problem, steps)


def _limits(
    target: str, space: Rows, model: nn.Module, input_shape: Sequence[int] | None, device: torch.device
) -> Limits:
    if input_shape is None:
        raise InputError("a target is of images of one shape: give input_shape, as (3, 224, 224)")
    wanted = parse_target(target)
    metrics: set[Metric] = {limit.metric for limit in wanted}
    tables: dict[Metric, AnyTable] = {
        metric: table_of(metric, space, lambda: model, input_shape, device) for metric in metrics
    }
    return Limits(space, wanted, tables)


def _all_weightless(space: Rows) -> bool:
    """Whether no candidate of a space of places has weights."""
    if not isinstance(space, Places):
        return False
    channels = {site.site: site.channels for site in space.sites}
    with torch.device("meta"):
        built = (
            candidate(space, name, channels[row])
            for row in space.rows
            for name in space.names_at(row)
            if name != NONE
        )
        return not any(True for module in built for _ in module.parameters())


def _signature(space: Rows) -> list[list[str]]:
    return [list(space.rows), list(space.primitives)]
