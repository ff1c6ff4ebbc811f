"""`autola retrain`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from autola.arguments import only_resume, option, out_of_terminal, read_arguments
from autola.commands.cost import mega
from autola.configs import RetrainConfig
from autola.presets import RETRAIN_PRESETS
from autola.tables import Table
from evaluators.tasks import TASKS, as_task
from outputs.run_directory import RunDirectory
from search_space.errors import InputError
from search_space.grammar import parse_attention, short_label

DEFAULT = "digits"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Trains networks with attention modules under one recipe, and compares them in one table.

    Every option below shows its value in the preset that is named.
    """

    attentions: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[ATTENTION ...]")
    ] = ()
    """What is compared: none, se, cbam, hoga (the published genotype), hoga:RUN, se[reduction=8]+hoga ..."""
    preset: str = DEFAULT
    """Settings to start from; `autola list` names them."""
    task: str = "classification"
    """What is trained; without --preset, the task's own is taken."""
    smoke: bool = False
    """Two short epochs on few small images: the whole path in minutes on a CPU."""
    out: Path | None = None
    """Run folder to make; a new one under ./outputs/runs if left out."""
    resume: Path | None = None
    """Run folder of a retraining that was stopped, to go on with; no other option goes with it."""
    config: Annotated[RetrainConfig, tyro.conf.arg(name="")]
    """Settings."""


def run(arguments: list[str]) -> None:
    """Retrains, and prints the table."""
    preset, task = option(arguments, "preset"), option(arguments, "task")
    preset = preset or (TASKS[task].preset if task else DEFAULT)
    config = RETRAIN_PRESETS[preset]
    if task and task != config.task.name:
        config = replace(config, task=as_task(TASKS[task], config.task))
    default = Arguments(preset=preset, task=config.task.name, config=config)
    given = read_arguments(Arguments, arguments, command="retrain", default=default)
    if given.preset != preset:
        raise InputError(f"two presets are given: {preset} and {given.preset}")
    if given.task != config.task.name:
        raise InputError(f"two tasks are given: {config.task.name} and {given.task}")
    attentions = tuple(parse_attention(text) for text in given.attentions)
    config = replace(given.config.smoke() if given.smoke else given.config, attentions=attentions)
    from autola.retraining import resume_retraining, run_retraining  # slow: Fabric

    if given.resume is not None:
        only_resume(arguments)
        table = resume_retraining(RunDirectory.open(given.resume))
    else:
        table = run_retraining(config, given.out)
    show(table)


def show(table: Table) -> None:
    """Prints a table: a row an attention, differences to the plain network beside it."""
    plain = next((row for row in table.rows if row.attention == "none"), None)
    view = RichTable(box=None, header_style="bold", pad_edge=False)
    view.add_column("attention", overflow="fold")
    for column in ("params", "MACs", f"{table.score} %", "to none", "seeds", "s / seed"):
        view.add_column(column, justify="right")
    for row in table.rows:
        spread = f" ± {100 * row.spread:.2f}" if row.spread is not None else ""
        difference = ""
        if plain is not None and row is not plain:
            shift, interval = row.difference(plain)
            difference = f"{100 * shift:+.2f}" + (f" ± {100 * interval:.2f}" if interval is not None else "")
        view.add_row(
            Text(short_label(row.attention)),
            f"{row.params:,}",
            mega(row.macs),
            f"{100 * row.mean:.2f}{spread}",
            difference,
            str(len(row.seeds)),
            f"{row.seconds:.0f}",
        )
    Console().print(view)
    if plain is not None and plain.spread is not None:
        out_of_terminal(
            "± standard deviation over seeds; to none: mean difference by seed ± half its 95 % interval"
        )
    out_of_terminal(f"run    {table.run}")
