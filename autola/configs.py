"""Settings of a search and of a retraining, shared by config.json, the command line and Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from evaluators.data import DataConfig
from evaluators.recipe import TrainConfig
from evaluators.tasks import TASKS, TaskConfig
from foundation import rules
from foundation.config import adapter, config, parse
from foundation.errors import InputError
from foundation.registry import Registry
from outputs.trackers import NONE, TRACKERS
from search_space.genotype import Fuse
from search_space.grammar import Term
from search_space.space import OWN, SPACES, Space
from searchers import SEARCHERS, SearcherConfig
from supernet.forms import Form


class Named:
    """How a registered config is read from JSON and written to it: its name, and its own keys.

    Args:
        registry: Knows the class of every name.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def read(self, value: object) -> object:
        """A config from its keys; whatever is none passes."""
        if not isinstance(value, dict):
            return value
        keys = dict(value)
        name = keys.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"the {self.registry.kind} has no name")
        return parse(self.registry[name], keys, name)

    @staticmethod
    def write(value: Any) -> dict[str, Any]:
        """The keys of a config."""
        return {"name": value.name, **adapter(type(value)).dump_python(value, mode="json")}

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """What pydantic asks for."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(
            self.read,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json"),
        )


AnySearcher = Annotated[SearcherConfig, Named(SEARCHERS)]
AnyTask = Annotated[TaskConfig, Named(TASKS)]


MOST_THREADS = 4096
"""CPU threads that may be asked for: more is a slip of the keyboard."""


@config
class DeviceConfig:
    """Where and how a job computes."""

    device: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Kind of device; auto takes the best there is."""
    devices: int = 1
    """Devices of each machine to use; each runs one process with its share of every batch. torchrun and
    Slurm say it themselves."""
    machines: int = 1
    """Machines, where autola is started on each by hand; torchrun and Slurm say it themselves."""
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Number format of the arithmetic; the mixed ones compute in half precision and keep weights, alphas,
    statistics and losses in float32."""
    compile: bool = False
    """Compile the network block by block by torch.compile: faster steps after minutes of compiling."""
    recompute: bool = False
    """Compute every block again in the backward pass instead of keeping its maps: less memory, slower."""
    threads: int | None = None
    """CPU threads; PyTorch's own choice if left out. The last bits of sums depend on their number."""
    tracker: tuple[str, ...] = (NONE,)
    """Where figures and settings go beside the run folder: mlflow, trackio or both. Each needs its package:
    pip install 'autola[mlflow]', 'autola[trackio]'."""

    def __post_init__(self) -> None:
        rules.positive(self, "devices", "machines", "threads")
        if self.threads is not None and self.threads > MOST_THREADS:
            raise InputError(f"threads={self.threads} are more than {MOST_THREADS}")
        if self.compile and self.recompute:
            raise InputError("blocks are either compiled or computed again; choose compile or recompute")
        if self.tracker == (NONE,):
            return
        if NONE in self.tracker:
            raise InputError(f"trackers are either {NONE} or some: {' '.join(self.tracker)}")
        if len(set(self.tracker)) != len(self.tracker):
            raise InputError(f"a tracker is given twice: {' '.join(self.tracker)}")
        for name in self.tracker:
            TRACKERS[name]  # unknown ones raise


@config
class ExperimentConfig:
    """How an experiment runs its trials, under `--engine nni`."""

    old_names: ClassVar[Mapping[str, str]] = {"concurrency": "jobs"}

    jobs: int = 1
    """Trials side by side, each in a process of its own."""
    portal_port: int = 8080
    """Port of NNI's web portal, which whoever reaches this machine can open; the next one has to be free too
    for services on other machines."""
    trial_minutes: float = 60.0
    """Longest time of a trial; one that takes longer is ended and recorded as failed."""
    training_service: Path | None = None
    """JSON file with NNI's settings of a training service: remote machines, a cluster. This machine if left
    out."""

    def __post_init__(self) -> None:
        rules.positive(self, "jobs", "trial_minutes")


@config
class SearchConfig(DeviceConfig):
    """A search: of what, on what, how."""

    data: DataConfig
    """The images; a search sees two halves of the training set and nothing else."""
    backbone: str = "cifar_resnet20"
    """The network whose blocks hold the cells; `autola list` names them."""
    width: int | None = None
    """Channels of the backbone's first stage; its own if left out."""
    space: str = "hoga"
    """Registered search space."""
    primitives: tuple[str, ...] | None = None
    """Your own list of operators that compete on every edge, "none" among them if wanted, with the argument
    where there is one (ga:0010); the space's own if left out. Genotypes then name the space "own"."""
    num_nodes: int | None = None
    """Channel groups of the cell; the space's own if left out."""
    fuse: Fuse | None = None
    """How the cell joins its nodes; the space's own if left out."""
    searcher: AnySearcher
    """How to look."""
    form: Form = "grouped"
    """How the supernet is computed; the forms are the same function."""
    cuda_graph: bool = False
    """Record a step as CUDA graphs and replay it: no launches of single kernels. On one GPU alone."""
    seed: int = 0
    """Seed of everything drawn: weights, order of the images, crops, operators."""
    target: tuple[str, ...] = ()
    """What the network may cost at most: macs<=48M, params<=300k, latency<=2.5x (times the plain network,
    measured on this device), joined by commas where they hold together. Each one given is a search of its
    own; several give a Pareto front."""
    target_weight: float = 1.0
    """Weight, in the loss of the alphas, of how far the expected cost exceeds a limit, relative to the limit;
    higher keeps to the limit sooner and looks less at the images."""
    engine: Literal["process", "nni"] = "process"
    """Where a search runs: in this process, or as an NNI experiment, every candidate in a process of its own;
    that is for black-box searchers."""
    experiment: Annotated[ExperimentConfig, tyro.conf.arg(name="")] = ExperimentConfig()
    """How an experiment runs its trials."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target:
            from searchers.limits import parse_target  # PyTorch comes along

            for text in self.target:
                parse_target(text)
        if len(set(self.target)) != len(self.target):
            raise InputError(f"a target is given twice: {' '.join(self.target)}")
        rules.positive(self, "width", "num_nodes")
        rules.seed(self, "seed")
        rules.not_negative(self, "target_weight")
        if self.engine == "process" and self.experiment != ExperimentConfig():
            usual = ExperimentConfig()
            names = [name for name in vars(usual) if getattr(self.experiment, name) != getattr(usual, name)]
            raise InputError(f"{', '.join(names)}: only --engine nni runs trials side by side")
        if self.cuda_graph and self.recompute:
            raise InputError(
                "blocks that are computed again cannot be recorded; choose cuda_graph or recompute"
            )
        if self.cuda_graph and not self.searcher.recordable:
            raise InputError(
                f"steps of {self.searcher.name!r}, as it is set, differ and cannot be recorded; "
                "leave out cuda_graph, or choose darts of first order"
            )

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
class RetrainConfig(DeviceConfig):
    """A retraining: one or several attentions, each with the same recipe and seeds."""

    task: Annotated[AnyTask, tyro.conf.arg(name="")]
    """What is trained, on what."""
    train: TrainConfig
    """The recipe."""
    attentions: tuple[tuple[Term, ...], ...] = ()
    """What is compared; genotypes are stored in full."""
    seeds: tuple[int, ...] = (0,)
    """Each attention is trained once with every seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seeds:
            raise InputError("give at least one seed")
        rules.seed(self, "seeds")
        if len(set(self.seeds)) != len(self.seeds):
            raise InputError(f"a seed is given twice: {' '.join(map(str, self.seeds))}")
        if len(set(self.attentions)) != len(self.attentions):
            raise InputError("an attention is given twice")
        processes = self.devices * self.machines
        if self.train.part_size % processes:
            raise InputError(
                f"a batch of {self.train.part_size} images does not split evenly over {processes} processes; "
                f"give train.batch_size a multiple of {processes * self.train.accumulate}"
            )

    def smoke(self) -> RetrainConfig:
        """A copy small enough to see the whole path in minutes on a CPU."""
        return replace(self, task=self.task.smoke(), train=self.train.smoke(), seeds=self.seeds[:1])
