"""Settings of a search: of a cell on images, or of placements in the network of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import tyro

from autola.configs.device import DeviceConfig
from autola.configs.named import AnySearcher, AnyTask
from evaluators.data import DataConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks import reads_text
from foundation import rules
from foundation.config import config
from foundation.errors import InputError
from search_space.genotype import Fuse
from search_space.places import CANDIDATES, PLACES, SEQUENCE_CANDIDATES
from search_space.space import OWN, SPACES, Space
from supernet.forms import Form


@config
class ExperimentConfig:
    """How an experiment runs its trials, under `--engine nni`."""

    old_names: ClassVar[Mapping[str, str]] = {"concurrency": "jobs"}

    jobs: int = 1
    """Trials side by side under `--engine nni`, each in a process of its own; more finish sooner and need
    more memory."""
    portal_port: int = 8080
    """TCP port of NNI's web portal. With a training service on other machines the next port has to be free as
    well."""
    portal_host: str = "127.0.0.1"
    """Address of this machine on which NNI's web portal, which has no password, listens beside the loopback;
    0.0.0.0 for all of them. Trials on other machines have to reach it."""
    trial_minutes: float = 60.0
    """Minutes that a trial may take under `--engine nni`; one that takes longer is ended and recorded as
    failed."""
    training_service: Path | None = None
    """JSON file with NNI's settings of the training service that runs the trials: remote machines or a
    cluster. If left out, they run on this machine."""

    def __post_init__(self) -> None:
        rules.positive(self, "jobs", "trial_minutes")


@config
class AnySearch(DeviceConfig):
    """A search: of what, how."""

    space: str = "hoga"
    """Name of the search space: the operators that compete and the cell that they fill, which `autola list`
    names; or places, which attention stands at which site of the backbone."""
    primitives: tuple[str, ...] | None = None
    """Your own list of operators that compete on every edge, with the argument where one takes it (ga:0010)
    and with "none" if an edge may stay empty; in the space places, of attentions in the grammar. The space's
    own if left out. Genotypes then name the space "own"."""
    sites: tuple[str, ...] | None = None
    """Names of the modules that attention may follow, in the space places; those after the last norm of each
    block if left out."""
    num_nodes: int | None = None
    """Nodes of the cell, each a group of the channels; more make a larger cell and more genotypes. The
    space's own number if left out."""
    fuse: Fuse | None = None
    """How the cell joins its nodes into one map: by two 1x1 convolutions, by one, or by none; the space's own
    if left out."""
    searcher: AnySearcher
    """The searcher and its settings."""
    form: Form = "grouped"
    """How the supernet computes its edges: side by side (grouped), which is faster, or one by one (plain).
    Both are the same function."""
    cuda_graph: bool = False
    """Record a step as CUDA graphs and replay it, which saves the time of launching single kernels; on one
    GPU alone."""
    seed: int = 0
    """Seed of everything that is drawn: weights, order of the images, crops, operators. Another seed gives
    another search, the same one the same search again."""
    target: tuple[str, ...] = ()
    """The most that the network may cost: macs<=48M, params<=300k, or latency<=2.5x (times the plain
    network's, measured on this device); commas join limits that hold together. Each target given is a search
    of its own; several give a Pareto front."""
    latency_table: Path | None = None
    """JSON file of latencies on another device, or by another runtime, for limits on latency: from `autola
    cost --device-table`, or your own. They are measured here if left out."""
    target_weight: float = 1.0
    """Weight in the loss of the alphas of the share by which the expected cost exceeds a limit; higher keeps
    to the limit sooner and looks less at the images."""
    engine: Literal["process", "nni"] = "process"
    """Where the search runs: in this process, or as an NNI experiment with a process for every candidate,
    which black-box searchers can."""
    experiment: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = ExperimentConfig()
    """How an experiment runs its trials."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target:
            from searchers.limits import parse_target  # PyTorch comes along

            for text in self.target:
                parse_target(text)
        if self.latency_table is not None and not any("latency" in text for text in self.target):
            raise InputError("latency_table is for a limit on latency; add --target 'latency<=1.5x'")
        if len(set(self.target)) != len(self.target):
            raise InputError(f"a target is given twice: {' '.join(self.target)}")
        rules.positive(self, "num_nodes")
        rules.seed(self, "seed")
        rules.not_negative(self, "target_weight")
        self._check_places()
        if self.engine == "process" and self.experiment != ExperimentConfig():
            usual = ExperimentConfig()
            names = [name for name in vars(usual) if getattr(self.experiment, name) != getattr(usual, name)]
            raise InputError(
                f"{', '.join(names)}: only --engine nni has that; trials side by side without it: --on here:2"
            )
        if self.cuda_graph and self.recompute:
            raise InputError(
                "blocks that are computed again cannot be recorded; choose cuda_graph or recompute"
            )
        if self.cuda_graph and not self.searcher.recordable:
            raise InputError(
                f"steps of {self.searcher.name!r}, as it is set, differ and cannot be recorded; "
                "leave out cuda_graph, or choose darts of first order"
            )

    @property
    def subject(self) -> str:
        """The data in a word, with which the name of a run folder ends."""
        raise NotImplementedError

    @property
    def network_name(self) -> str:
        """What the network is called."""
        raise NotImplementedError

    @property
    def of_places(self) -> bool:
        """Whether placements are searched, not cells."""
        return self.space == PLACES

    def _check_places(self) -> None:
        """Refuses settings of cells beside placements, and of placements beside cells."""
        if not self.of_places:
            if self.sites is not None:
                raise InputError("sites are of the space places; give --space places")
            return
        if self.num_nodes is not None or self.fuse is not None:
            raise InputError("num_nodes and fuse are of cells; the space places has none")
        if self.cuda_graph:
            raise InputError("steps of the space places are not recorded; leave out cuda_graph")
        if self.sites == ():
            raise InputError("there are no sites; name some, or leave --sites out to find them")

    def with_searcher(self, searcher: AnySearcher) -> Self:
        """A copy with another searcher."""
        return replace(self, searcher=searcher)

    def candidates(self) -> tuple[str, ...]:
        """What may stand at a site, in the space places."""
        return CANDIDATES if self.primitives is None else self.primitives

    def resolved_space(self) -> Space:
        """The space with this config's changes.

        Raises:
            InputError: If there is no such space or operator, or a change is impossible.
        """
        space = SPACES[self.space]
        if self.primitives is not None:
            from search_space.operator import OPERATORS  # likewise

            for name in self.primitives:
                OPERATORS[name]  # unknown ones raise
            space = replace(space, name=OWN, primitives=self.primitives)
        return replace(
            space,
            num_nodes=space.num_nodes if self.num_nodes is None else self.num_nodes,
            fuse=self.fuse or space.fuse,
        )


@config
class SearchConfig(AnySearch):
    """A search on two halves of the images of a classification."""

    data: DataConfig
    """The images; a search sees two halves of the training set and nothing else."""
    backbone: str = "cifar_resnet20"
    """The network whose blocks hold the cells; `autola list` names them."""
    width: int | None = None
    """Channels of the backbone's first stage, which scale those of the others: more cost more. Its own if
    left out."""
    weights: str | None = None
    """Weights that the backbone starts from: a file, the folder of a training, or a name that torchvision or
    timm publish; random ones if left out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rules.positive(self, "width")

    @property
    def subject(self) -> str:
        return self.data.name

    @property
    def network_name(self) -> str:
        return self.backbone


@config
class TaskSearch(AnySearch):
    """A search of placements in the network of a task, by its loss, on two halves of its training set."""

    task: Annotated[AnyTask, tyro.conf.arg(name="")]
    """The task: the network, its data, its loss and its score."""
    space: str = PLACES
    """Name of the search space: places, which attention stands at which site of the network."""
    norm: Literal["train", "frozen"] = "train"
    """Batch norms' statistics: of each process's share of the batch (train), or as they came with the weights
    (frozen)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.of_places:
            raise InputError(
                f"the space {self.space} is of cells, which are searched in classifiers of small images; for "
                f"the task {self.task.name} leave --space out, which searches places"
            )
        if self.latency_table is not None:
            raise InputError("a table of another device is for searches on images; leave out latency_table")

    @property
    def subject(self) -> str:
        return self.task.subject()

    @property
    def network_name(self) -> str:
        if reads_text(self.task):
            return self.task.network_name()
        return str(getattr(self.task, "backbone", self.task.name))

    def candidates(self) -> tuple[str, ...]:
        if self.primitives is None and reads_text(self.task):
            return SEQUENCE_CANDIDATES
        return super().candidates()

    def with_searcher(self, searcher: AnySearcher) -> Self:
        """A copy with another searcher, which takes the batches and the optimizer of this one."""
        names = ["batch_size"]
        if getattr(self.searcher, "optimizer", "sgd") != "sgd":
            names += ["optimizer", "learning_rate", "weight_decay", "nesterov"]
        known = {field.name for field in fields(searcher)}
        taken = {name: getattr(self.searcher, name) for name in names if name in known}
        return replace(self, searcher=replace(searcher, **taken))

    def recipe(self) -> TrainConfig:
        """What of a recipe the task has to know."""
        size = getattr(self.searcher, "batch_size", 1)
        return TrainConfig(batch_size=size, norm=self.norm, validation_fraction=0.0, select="last")
