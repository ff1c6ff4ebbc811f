"""`autola search`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from autola.arguments import only_resume, option, out_of_terminal, read_arguments, without
from autola.configs import AnySearch, SearchConfig, TaskSearch
from autola.executors import executor_of
from autola.presets import search_preset
from foundation.errors import InputError
from searchers import SEARCHERS, SearcherConfig

if TYPE_CHECKING:
    from autola.found import Found

DEFAULT = "digits"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Searches an attention module on two halves of a training set.

    PRESET is one of: digits (the default), cifar10, cifar10-34; every option below shows its value in the
    preset that is named. With the name of another preset of `autola retrain`, as camvid or coco-keypoints,
    placements are searched in the network of that task.
    """

    preset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[PRESET]")] = DEFAULT
    """Name of the settings to start from; it comes first."""
    searcher: str = "darts"
    """Name of the searcher, which `autola list` shows; its own options are --searcher.*"""
    trials: int | None = None
    """Candidates that a black-box searcher judges, short for --searcher.trials; more find better ones and
    take longer."""
    on: str = "here"
    """Where the searches for several --target run, or the trials of a black-box searcher that trains each:
    here, one after another; here:4, four processes of this machine; ray, ray://HOST:PORT or slurm, the
    workers of a cluster that sees the run folder."""
    out: Path | None = None
    """Path of the run folder to make; a new one under ./outputs/runs if left out."""
    resume: Path | None = None
    """Run folder of a search that was stopped and is to go on; the only other options beside it are --on
    and --data.root, the path of its data where they moved."""
    config: Annotated[SearchConfig, tyro.conf.arg(name="")]
    """The settings of the search."""


@dataclass(frozen=True, kw_only=True)
class TaskArguments(Arguments):
    """Searches which attention stands at which site of the network of a task, by the loss of the task.

    The training set is halved by image. Every option below shows its value in the preset that is named.
    """

    config: Annotated[TaskSearch, tyro.conf.arg(name="")]  # pyright: ignore[reportIncompatibleVariableOverride]
    """The settings of the search."""


def read_settings(arguments: list[str]) -> tuple[Arguments, SearchConfig | TaskSearch]:
    """The arguments, and the settings that they stand for.

    Raises:
        InputError: If they cannot be read, or name two presets or searchers.
    """
    preset = arguments[0] if arguments and not arguments[0].startswith("-") else DEFAULT
    config = search_preset(preset)
    name = option(arguments, "searcher")
    if name is not None and name != config.searcher.name:
        config = config.with_searcher(_usual(SEARCHERS[name], option(arguments, "engine")))
    kind: type[Arguments] = TaskArguments if isinstance(config, TaskSearch) else Arguments
    default = kind(preset=preset, searcher=config.searcher.name, config=config)  # pyright: ignore[reportArgumentType]
    given = read_arguments(kind, arguments, command="search", default=default)
    if given.preset != preset:
        raise InputError(f"name the preset first: autola search {given.preset} ...")
    if given.searcher != config.searcher.name:
        raise InputError(f"two searchers are given: {config.searcher.name} and {given.searcher}")
    config = given.config
    return given, config if given.trials is None else replace(
        config, searcher=_with_trials(config, given.trials)
    )


def run(arguments: list[str]) -> None:
    """Searches, and says what was found."""
    given, config = read_settings(arguments)
    where = executor_of(given.on)
    # Each import is slow: PyTorch, Fabric.
    from autola.describe import next_retraining
    from autola.run_search import resume_search, run_search
    from outputs.run_directory import RunDirectory

    if given.resume is not None:
        only_resume(without(without(arguments, "data.root"), "on"))
        found = resume_search(RunDirectory.open(given.resume), option(arguments, "data.root"), on=where)
    else:
        found = run_search(config, given.out, on=where)
    if found.front:
        show_front(found)
    out_of_terminal(f"found  {found.genotype}")
    out_of_terminal(f"run    {found.run}")
    out_of_terminal(f"look   autola inspect {shlex.quote(str(found.run))}")
    members = [point.run for point in found.front if point.on_front]
    out_of_terminal(f"next   {next_retraining(RunDirectory.open(found.run), members)}")


def _usual(kind: type[SearcherConfig], engine: str | None) -> SearcherConfig:
    """A searcher with the settings that it has where none are given."""
    if engine == "nni":
        from searchers.blackbox import BlackBox

        if issubclass(kind, BlackBox):
            return kind.of_trainings()
    return kind()


def _with_trials(config: AnySearch, trials: int) -> SearcherConfig:
    from searchers.blackbox import BlackBox

    if not isinstance(config.searcher, BlackBox):
        raise InputError(f"{config.searcher.name} has no trials; --trials is for black-box searchers")
    return replace(config.searcher, trials=trials)


def show_front(found: Found) -> None:
    """Prints what was found for every target; a star marks the Pareto front."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from outputs.front import PICTURE
    from searchers.limits import amount

    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("target", overflow="fold")
    metrics = list(found.front[0].costs)
    for column in (*metrics, "score %", "front"):
        view.add_column(column, justify="right")
    for point in found.front:
        costs = (amount(metric, point.costs[metric]) for metric in metrics)
        view.add_row(Text(point.target), *costs, f"{100 * point.score:.2f}", "*" if point.on_front else "")
    Console().print(view)
    out_of_terminal(f"front  {found.run / PICTURE}")
