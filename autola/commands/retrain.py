"""`autola retrain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from autola.arguments import only_resume, option, out_of_terminal, read_arguments, switched_on, without
from autola.configs import RetrainConfig
from autola.executors import executor_of
from autola.presets import RETRAIN_PRESETS
from autola.tables import Table, cells_of
from evaluators.tasks import TASKS, as_task
from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.term import short_label

DEFAULT = "digits"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Trains networks with attention modules under one recipe, and compares them in one table.

    Every option below shows its value in the preset that is named.
    """

    attentions: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[ATTENTION ...]")
    ] = ()
    """Attentions to compare: none, se, cbam, hoga (the published genotype), hoga:RUN, se[reduction=8]+hoga
    ... Each is a training with every seed."""
    preset: str = DEFAULT
    """Name of the settings to start from; `autola list` names them."""
    task: str = "classification"
    """Name of the task, which says what is trained; without --preset, the task's own preset is taken."""
    smoke: bool = False
    """Start from two short epochs on few small images with one seed, to see the whole path in minutes on a
    CPU; what is given besides counts."""
    out: Path | None = None
    """Path of the run folder to make; a new one under ./outputs/runs if left out."""
    on: str = "here"
    """Where trainings run: here, one after another; here:4, four processes of this machine; ray, ray://HOST:PORT
    or slurm, the workers of a cluster that sees the run folder. Changes no result."""
    jobs: int | None = None
    """Trainings side by side on this machine, short for --on here:JOBS; more are faster where there are cores
    or GPUs for them."""
    recipe: Literal["paper", "modern", "both"] = "paper"
    """Recipe to train by: the preset's own (paper), that of the preset PRESET-modern, or one after the other
    (both), in two runs, OUT-paper and OUT-modern, and one table."""
    resume: tuple[Path, ...] = ()
    """Run folder of a retraining that was stopped and is to go on, or several for one table; the only other
    options beside it are --devices, --jobs, --on, and --data.root, the path of its data where they moved."""
    config: Annotated[RetrainConfig, tyro.conf.arg(name="")]
    """The settings of the retraining."""


def read_settings(arguments: list[str]) -> tuple[Arguments, dict[str, RetrainConfig]]:
    """The arguments, and the settings that they stand for, by the name of the recipe.

    Raises:
        InputError: If they cannot be read, or name two presets or tasks.
    """
    preset, task = option(arguments, "preset"), option(arguments, "task")
    preset = preset or (TASKS[task].preset if task else DEFAULT)
    read = {
        recipe: _read(arguments, preset, RETRAIN_PRESETS[name], task)
        for recipe, name in _recipes(preset, option(arguments, "recipe")).items()
    }
    return next(iter(read.values())), {recipe: _whole(each) for recipe, each in read.items()}


def run(arguments: list[str]) -> int:
    """Retrains, and prints the table; returns 1 if trainings are missing in it."""
    root = None
    if option(arguments, "resume"):  # the option of the run's task, which is not known yet
        root, arguments = option(arguments, "data.root"), without(arguments, "data.root")
    given, configs = read_settings(arguments)
    where = executor_of(given.on, given.jobs)
    # Each import is slow: Fabric.
    from autola.retraining import check_retraining, resume_retraining, run_retraining
    from outputs.run_directory import RunDirectory

    if given.resume:
        only_resume(without(without(without(arguments, "devices"), "jobs"), "on"), most=len(given.resume))
        runs = [RunDirectory.open(path) for path in given.resume]
        devices = given.config.devices if option(arguments, "devices") else None
        return show({run.path.name: resume_retraining(run, devices, on=where, root=root) for run in runs})
    if len(configs) == 1:
        return show({name: run_retraining(config, given.out, on=where) for name, config in configs.items()})
    outs = {name: given.out and given.out.with_name(f"{given.out.name}-{name}") for name in configs}
    for name, config in configs.items():  # the second run must not fail when the first has ended
        check_retraining(config)
        if (out := outs[name]) and out.exists():
            raise InputError(f"{out} exists already; choose another --out, or go on with --resume")
    return show({name: run_retraining(config, outs[name], on=where) for name, config in configs.items()})


def _recipes(preset: str, recipe: str | None) -> dict[str, str]:
    """Recipe to the preset that has it.

    Raises:
        InputError: If the preset has no modern one.
    """
    modern = f"{preset}-modern"
    if recipe in ("modern", "both") and modern not in RETRAIN_PRESETS:
        both = [name for name in RETRAIN_PRESETS if f"{name}-modern" in RETRAIN_PRESETS]
        raise InputError(f"preset {preset} has one recipe; there are two of {', '.join(both)}")
    names = {"paper": preset, "modern": modern}
    return names if recipe == "both" else {recipe: names[recipe]} if recipe in names else {"paper": preset}


def _read(arguments: list[str], preset: str, config: RetrainConfig, task: str | None) -> Arguments:
    """The arguments, over the values of a preset.

    Raises:
        InputError: If they cannot be read, or name two presets or tasks.
    """
    if task and task != config.task.name:
        config = replace(config, task=as_task(TASKS[task], config.task))
    if switched_on(arguments, "smoke"):
        config = config.smoke()
    default = Arguments(preset=preset, task=config.task.name, config=config)
    given = read_arguments(Arguments, arguments, command="retrain", default=default)
    if given.preset != preset:
        raise InputError(f"two presets are given: {preset} and {given.preset}")
    if given.task != config.task.name:
        raise InputError(f"two tasks are given: {config.task.name} and {given.task}")
    return given


def _whole(given: Arguments) -> RetrainConfig:
    attentions = tuple(parse_attention(text) for text in given.attentions)
    return replace(given.config, attentions=attentions)


def show(tables: Mapping[str, Table]) -> int:
    """Prints tables as one: a row an attention, differences to the plain network of its table beside it.

    Args:
        tables: Name of the recipe, or run, to its table; the name is shown where there are several.

    Returns:
        1 if trainings are missing, 0 if not.
    """
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    first = next(iter(tables.values()))
    scores = {table.score for table in tables.values()}
    view = RichTable(box=None, header_style="bold", pad_edge=False)
    if len(tables) > 1:
        view.add_column("recipe")
    view.add_column("attention", overflow="fold")
    for column in ("params", "MACs", f"{first.score if len(scores) == 1 else 'score'} %"):
        view.add_column(column, justify="right")
    for column in ("to none", "seeds", "s / seed"):
        view.add_column(column, justify="right")
    for name, table in tables.items():
        for attention, *others in cells_of(table):
            view.add_row(*([name] if len(tables) > 1 else []), Text(short_label(attention)), *others)
    Console().print(view)
    if any(row.attention == "none" and row.spread is not None for row in first.rows):
        out_of_terminal(
            "± standard deviation over seeds; to none: mean difference by seed ± half its 95 % interval"
        )
    missing = [line for table in tables.values() for line in table.missing]
    for line in missing:
        out_of_terminal(f"missing {line}")
    for table in tables.values():
        out_of_terminal(f"run    {table.run}")
    return 1 if missing else 0
