"""A search in a user's own loop: the user gives the batches and the loss, the searcher does the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from evaluators.cost_table import Metric
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.attention import Attention
from search_space.placement import Placement
from search_space.places import CANDIDATES, Places
from searchers import SEARCHERS, SearcherConfig
from searchers.limits import Limits, parse_target
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.problem import Problem
from searchers.searches.updates import Updates
from searchers.settings import Differentiable
from supernet.attachable import check_attachable
from supernet.placing import PlacesSupernet, places_of

MOST_EPOCHS = 20
"""Parts that the steps of a search are counted in: what searchers do between epochs is done between them."""

Loss = Callable[[Any, Any], Tensor]
"""From the model and a batch to the loss, one number."""


class Losses(NamedTuple):
    """The losses of a step before it moved anything."""

    weights: Tensor
    choice: Tensor


class Alone:
    """What a search asks of Fabric, for one process whose loop is the user's own."""

    world_size, global_rank = 1, 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def autocast(self) -> Any:
        """Nothing: the user's loss decides how it computes."""
        return nullcontext()


class Feed:
    """A batch that the user hands over, where a search asks for the next one."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.now: Any = None

    def __len__(self) -> int:
        return self.num_steps

    def batch(self, epoch: int, index: int) -> tuple[Any]:
        """The batch of now, whatever its number."""
        return (self.now,)


@dataclass(frozen=True, kw_only=True)
class FedProblem(Problem):
    """A problem whose network, batches and loss are the user's.

    Attributes:
        model: The user's network; mixtures are put into it.
        feeds: The batches of now, for the weights and for the choice.
        given: The loss of now, in a list of one.
    """

    halves: Any = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augment: Any = None
    backbone: Any = None
    form: Any = "plain"
    model: nn.Module
    feeds: tuple[Feed, Feed]
    given: list[Loss] = field(default_factory=list)

    @property
    def figure(self) -> str:
        return "value"

    def batches(self, half: int, batch_size: int, *, training: bool = True) -> Any:
        return self.feeds[half]

    def supernet(self, *, parts: int = 1) -> PlacesSupernet:
        if parts > 1:
            raise InputError("the mixtures of sites take all channels; choose a searcher without parts")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, "supernet"))
            supernet = PlacesSupernet(self.model, cast("Places", self.space), keeps_modes=True)
        supernet.begin_step(0.0)
        return supernet

    def loss(self, network: Any, *batch: Any) -> tuple[Tensor, Tensor]:
        """The user's loss of a batch, looked at."""
        (given,) = batch
        sites = network.sites()
        for mixed in sites.values():
            mixed.num_calls = 0
        network.count.passes = 0
        loss = self.given[0](network.network, given)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            is_tensor = isinstance(loss, Tensor)
            what = f"a tensor of shape {tuple(loss.shape)}" if is_tensor else f"a {type(loss).__name__}"
            raise InputError(f"the loss is {what}, not one number; take its mean")
        idle = [name for name, mixed in sites.items() if not mixed.num_calls]
        all_run = network.mixing.chosen is None  # else a pass may choose nothing anywhere
        if len(idle) == len(sites) or (all_run and torch.is_grad_enabled() and not loss.requires_grad):
            raise InputError(
                "the loss does not depend on the model that it is given; call that, without no_grad or detach"
            )
        if idle:
            raise InputError(f"a forward pass does not come by site {idle[0]!r}; leave it out of sites=[...]")
        passes = network.count.passes
        for name, mixed in sites.items():
            if 0 < passes < mixed.num_calls:
                raise InputError(
                    f"a forward pass comes by site {name!r} {mixed.num_calls // passes} times, so that "
                    "one module would serve several; leave it out of sites=[...]"
                )
        loss = loss.reshape(())
        return loss, loss.detach()


class Searching:
    """A search of which attention stands where, in a model and a loop that are the user's.

    Made by `searching`.

    Attributes:
        model: The user's model, with a mixture of all candidates at every site, to call, train and evaluate.
        space: Its sites and candidates.
        steps: Steps of the search.
    """

    def __init__(self, search: DifferentiableSearch, problem: FedProblem, steps: int) -> None:
        self._search, self._problem = search, problem
        self._supernet = cast("PlacesSupernet", search.supernet)
        self.model, self.steps = problem.model, steps
        self.space = cast("Places", problem.space)
        self._rest()

    @property
    def step_number(self) -> int:
        """Steps done."""
        return self._search.step

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
            InputError: If the searcher moves weights and choice together, or what `step` says.
        """
        if type(self._search.updates) is not Updates:
            raise InputError(
                f"{self._search.config.name}, as it is set, moves weights and choice in one step; call step"
            )
        updates = self._search.updates
        with self._given(loss, batch, batch):
            updates.moves_weights = False
            try:
                self._search.advance()
            finally:
                updates.moves_weights = True
        return self._losses().choice

    def found(self) -> Placement:
        """The placement that the search would answer with now."""
        return self._search.genotype()

    def shares(self) -> Mapping[str, Mapping[str, float]]:
        """How the candidates compete: the share of each at every site."""
        return self._search.shares()

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
        self._rest()

    @contextmanager
    def _given(self, loss: Loss, weights: Any, choice: Any) -> Iterator[None]:
        """Hands over a loss and batches; the user's random numbers stay as they are."""
        if self._search.step >= self._search.total_steps:
            raise InputError(f"the search of {self.steps} steps is over; derive() gives what it found")
        if not self._supernet.weights():
            raise InputError(
                "no weight of the model learns, not even the candidates'; freeze before searching"
            )
        self._problem.given[:] = [loss]
        self._problem.feeds[0].now, self._problem.feeds[1].now = weights, choice
        device = self._problem.fabric.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
            self._rest()
        self._problem.feeds[0].now = self._problem.feeds[1].now = None
        if self._search.step % self._search.steps_per_epoch == 0:  # waits for the device
            self._search.check()

    def _rest(self) -> None:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self._problem.seed, "rest", self._search.step))
            self._supernet.rest(self._search.mixture.draw())

    def _share(self) -> float:
        return max(0, self._search.step - 1) / self._search.total_steps

    def _losses(self) -> Losses:
        row = self._search.figures.values[(self._search.step - 1) % self._search.steps_per_epoch]
        return Losses(weights=row[0].clone(), choice=row[2].clone())


def searching(
    model: nn.Module,
    *,
    steps: int,
    space: Sequence[Attention] = CANDIDATES,
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
        steps: Steps of the search; in the first three tenths the candidates warm up.
        space: What may stand at each site, in the grammar, as genotypes, or what a search gave back.
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
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        raise InputError("several processes search by autola search --devices, not in a loop of one's own")
    config.check_budget(known := places_of(model, space, sites))
    epochs = min(steps, MOST_EPOCHS)
    config = replace(config, epochs=epochs)
    steps_per_epoch = -(-steps // epochs)
    device = next(iter(model.parameters()), torch.zeros(())).device
    limits = None if target is None else _limits(target, known, model, input_shape, device)
    problem = FedProblem(
        space=known,
        model=model,
        feeds=(Feed(steps_per_epoch), Feed(steps_per_epoch)),
        fabric=cast(Any, Alone(device)),
        seed=seed,
        limits=limits,
        penalty=None if limits is None else limits.penalty(target_weight),
    )
    config.check(problem)
    search = config.start(problem)
    return Searching(search, problem, steps)


def _limits(
    target: str, space: Places, model: nn.Module, input_shape: Sequence[int] | None, device: torch.device
) -> Limits:
    from evaluators.place_costs import place_table

    if input_shape is None:
        raise InputError("a target is of images of one shape: give input_shape, as (3, 224, 224)")
    wanted = parse_target(target)
    metrics: list[Metric] = [limit.metric for limit in wanted]
    tables = {metric: place_table(metric, space, model, input_shape, device) for metric in set(metrics)}
    return Limits(space, wanted, cast(Any, tables))


def form_of(batch: Any) -> Any:
    """What two batches have in common: types, keys, and the axes of tensors."""
    match batch:
        case Tensor():
            return f"{batch.ndim} axes of {str(batch.dtype).removeprefix('torch.')}"
        case Mapping():
            return {key: form_of(value) for key, value in batch.items()}
        case tuple() | list():
            return [form_of(value) for value in batch] if _is_fixed(batch) else type(batch).__name__
        case _:
            return type(batch).__name__


def _is_fixed(batch: Sequence[Any]) -> bool:
    """Whether a sequence is parts of a batch rather than its items, of which there may be fewer."""
    return all(isinstance(part, Tensor) and part.ndim for part in batch) and len(batch) <= 4


def _signature(space: Places) -> list[list[str]]:
    return [list(space.rows), list(space.primitives)]
