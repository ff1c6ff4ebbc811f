"""Settings of a comparison, and what is added to one later."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any, Literal

import tyro

from autola.configs import AnyTask, DeviceConfig, RetrainConfig, SearchConfig
from evaluators.recipe import TrainConfig
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.term import Term

Control = Literal["random", "plain", "wider", "deeper", "longer", "se", "cbam", "se-wrapped", "cbam-wrapped"]

CONTROLS: tuple[Control, ...] = (
    "random",
    "plain",
    "wider",
    "deeper",
    "longer",
    "se",
    "cbam",
    "se-wrapped",
    "cbam-wrapped",
)

OWN = "own"
"""What `recipes` calls the recipe of the comparison itself."""

OWN_SEEDS = 1000
"""Distance of the training seeds of one cell from those of the next."""

OF_CELLS = ("search_seeds", "seeds", "random_cells", "random_seeds")
"""Settings that say something of cells alone, and nothing where modules that are given are compared."""

MOST_CELLS = 1000
"""Random cells that may be asked for: each is trained."""


@config
class CompareConfig(DeviceConfig):
    """A comparison: what is trained, how often, and what is to be claimed."""

    task: Annotated[AnyTask, tyro.conf.arg(name="")]
    """What is trained, on what."""
    train: TrainConfig
    """The recipe."""
    search: Annotated[SearchConfig | None, tyro.conf.AvoidSubcommands] = None
    """The searches, whose cells are compared. Images, backbone and width are the task's unless said."""
    attentions: tuple[tuple[Term, ...], ...] = ()
    """Modules that are compared as they are."""
    found: tuple[Term, ...] = ()
    """Cells of searches that were made before, in place of searching."""
    search_seeds: tuple[int, ...] = (0, 1, 2)
    """A search with each; with none, nothing is searched, and random cells of the search's space stand alone:
    do they differ, so that there is anything to find?"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each cell that was found is trained once with every seed."""
    random_cells: int = 6
    """Random cells of the search's space that keep its limit."""
    random_seeds: tuple[int, ...] = (0, 1)
    """Each random cell is trained once with every seed."""
    control_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Each module that is given, and each other control, is trained once with every seed."""
    beside: tuple[Control, ...] = CONTROLS
    """Controls: random cells; the plain network; it widened and deepened to the cost of the cells,
    and trained as long as they are; SE and CBAM; a cell with SE, and one with CBAM, on every edge. `--beside`
    alone for none."""
    backbones: tuple[str, ...] = ()
    """Networks that all is trained in, side by side; the task's own if left out."""
    recipes: tuple[str, ...] = ()
    """Recipes side by side: own, and names of retrain presets whose recipe is taken."""
    match: Literal["latency", "macs"] = "latency"
    """Cost that the plain network is widened, deepened and trained to: time measured on this device, or
    multiply-accumulates, which are the same on every machine."""
    measure: bool = True
    """Whether to time a train step and an image of every network at the end."""
    primary: tuple[str, str] | None = None
    """The contrast that is tested first, as two rows: found random if left out; without searches, the first
    module and plain."""
    margin: float = 0.005
    """Difference in score below which two rows count as equivalent; 0.005 is half a point."""
    spread: tuple[float, float] | None = None
    """Standard deviations of the score that are expected among cells, and among trainings of one: for the
    smallest difference that the design can find, which is said before it starts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("search_seeds", "seeds", "random_seeds", "control_seeds"):
            given = getattr(self, name)
            if not given and (name != "search_seeds" or self.found):
                raise InputError(f"{name}: give at least one seed")
            if len(set(given)) != len(given):
                raise InputError(f"{name}: a seed is given twice: {' '.join(map(str, given))}")
            rules.seed(self, name)
        if max(*self.seeds, *self.random_seeds) >= OWN_SEEDS:
            raise InputError(
                f"seeds and random_seeds have to be below {OWN_SEEDS}: cell n adds {OWN_SEEDS} n to them"
            )
        for name in ("attentions", "beside", "backbones", "recipes"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise InputError(f"{name}: one is given twice")
        rules.positive(self, "random_cells", "margin")
        rules.not_negative(self, "spread")
        if self.spread == (0.0, 0.0):
            raise InputError("spread=(0, 0): scores that never differ need no comparison")
        if self.random_cells > MOST_CELLS:
            raise InputError(f"random_cells={self.random_cells} are more than {MOST_CELLS}")
        if self.devices * self.machines > 1:
            raise InputError("a comparison gives every training one device; train side by side with --jobs")
        self._check_search()
        if self.search is None and self.found:
            raise InputError("cells that were found come with the settings of their search")
        if self.search is not None and not (self.search_seeds or "random" in self.beside):
            raise InputError("no search has a seed, and no random cells stand beside: search nothing instead")
        if self.search is None and not self.attentions:
            raise InputError("name at least one attention, for example: se cbam hoga")

    def _check_search(self) -> None:
        """Refuses what a search of a comparison would pass over in silence."""
        if self.search is None:
            return
        for field in fields(DeviceConfig):
            given = getattr(self.search, field.name)
            if given not in (field.default, getattr(self, field.name)):
                raise InputError(
                    f"search.{field.name}={given}: searches and trainings of a comparison compute alike; "
                    f"give {field.name}"
                )
        if self.search.seed:
            raise InputError(f"search.seed={self.search.seed}: a comparison has search_seeds")
        if len(self.search.target) > 1:
            raise InputError("a comparison has one limit; join limits that hold together by commas")
        if self.search.engine != "process":
            raise InputError("a comparison searches in processes of its own; leave out the engine")

    @property
    def searches(self) -> bool:
        """Whether the comparison searches its cells itself."""
        return self.search is not None and not self.found and bool(self.search_seeds)

    def training(
        self, task: Any, train: TrainConfig, attention: tuple[Term, ...], seed: int
    ) -> RetrainConfig:
        """The settings of one training, enough to repeat it alone."""
        return RetrainConfig(
            task=task, train=train, attentions=(attention,), seeds=(seed,), **self.devices_of()
        )

    def search_with(self, seed: int) -> SearchConfig:
        """The settings of one search, enough to repeat it alone."""
        assert self.search is not None
        return replace(self.search, seed=seed, **self.devices_of())

    def smoke(self) -> CompareConfig:
        """A copy small enough to see the whole path in minutes on a CPU."""
        search = self.search
        if search is not None:
            known = {field.name for field in fields(search.searcher)}
            short: dict[str, Any] = {"epochs": 1, "trials": 2, "batch_size": 10}
            kept = {name: value for name, value in short.items() if name in known}
            search = replace(search, searcher=replace(search.searcher, **kept))
            search = replace(search, data=replace(search.data, limit=min(search.data.limit or 200, 200)))
        return replace(
            self,
            task=self.task.smoke(),
            train=self.train.smoke(self.task.smoke_batch),
            search=search,
            search_seeds=self.search_seeds[:2],
            seeds=self.seeds[:1],
            random_cells=min(2, self.random_cells),
            random_seeds=self.random_seeds[:1],
            control_seeds=self.control_seeds[:1],
        )


@config
class Addition:
    """What was added to a comparison after it began."""

    search_seeds: tuple[int, ...] = ()
    """Searches with these seeds."""
    seeds: tuple[int, ...] = ()
    """Seeds of the trainings of cells that were found."""
    random_cells: int = 0
    """How many random cells more."""
    random_seeds: tuple[int, ...] = ()
    """Seeds of their trainings."""
    control_seeds: tuple[int, ...] = ()
    """Seeds of the trainings of all else."""
    attentions: tuple[tuple[Term, ...], ...] = ()
    """Modules more."""
    after: int = 0
    """Trainings that had ended by then, whose results may have been looked at."""

    def to(self, config: CompareConfig) -> CompareConfig:
        """The comparison with what was added; what it has already changes nothing."""

        def joined(name: str) -> tuple[Any, ...]:
            return tuple(dict.fromkeys((*getattr(config, name), *getattr(self, name))))

        names = ("search_seeds", "seeds", "random_seeds", "control_seeds", "attentions")
        return replace(
            config,
            random_cells=config.random_cells + self.random_cells,
            **{name: joined(name) for name in names},
        )


@config
class Additions:
    """What was added, each time."""

    additions: tuple[Addition, ...] = ()
    """In order."""
