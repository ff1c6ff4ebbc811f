"""`autola estimate`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments
from foundation import rules
from foundation.errors import InputError

if TYPE_CHECKING:
    from autola.estimating import Estimate

OWN = {"--json": 1, "--seconds": 2}
"""Options of this command, with the words that each takes."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Says what a run will take on this machine: time, memory and disk, from a few of its steps.

    What follows the name of the command are its own arguments, as in autola estimate retrain none se.
    Nothing is kept of what is measured.
    """

    what: Annotated[
        tyro.conf.Positional[Literal["search", "retrain"]], tyro.conf.arg(metavar="search|retrain ...")
    ]
    """The command to estimate, with all its arguments behind it."""
    seconds: float = 10.0
    """Seconds of steps to time, for each attention and each kind of step; more estimate more surely."""
    json: bool = False
    """Print one JSON object and nothing else."""

    def __post_init__(self) -> None:
        rules.positive(self, "seconds")


def run(arguments: list[str]) -> None:
    """Prints the estimate."""
    own, rest = _split(arguments)
    given = read_arguments(Arguments, own, command="estimate")
    if any(word.partition("=")[0] == "--resume" for word in rest):
        raise InputError("estimate is for new runs; leave out --resume")
    # Each import is slow: PyTorch, Fabric.
    from autola.commands import retrain, search
    from autola.estimating import Way, estimate_retraining, estimate_search

    if given.what == "search":
        asked, config = search.read_settings(rest)
        found = {"": estimate_search(config, Way(out=asked.out, budget=given.seconds, whole=True))}
    else:
        asked, configs = retrain.read_settings(rest)
        way = Way(out=asked.out, jobs=asked.jobs or 1, budget=given.seconds, whole=True)
        found = {name: estimate_retraining(config, way) for name, config in configs.items()}
    if given.json:
        (first, *others) = (asdict(estimate) for estimate in found.values())
        print_json({"recipes": dict(zip(found, (first, *others)))} if others else first)
        return
    for name, estimate in found.items():
        if len(found) > 1:
            out_of_terminal(f"recipe  {name}")
        show(estimate)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments of this command, and those of the command to estimate."""
    own, rest, words = list[str](), list[str](), list(arguments)
    if words and not words[0].startswith("-"):
        own.append(words.pop(0))
    elif {"--help", "-h"} & {*words}:
        return words, []
    while words:
        name = words[0].partition("=")[0]
        count = 1 if "=" in words[0] else OWN.get(name, 1)
        (own if name in OWN else rest).extend(words[:count])
        del words[:count]
    return own, rest


def show(estimate: Estimate) -> None:
    """Prints an estimate."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("part", overflow="fold")
    for column in ("times", "steps", "ms / step", "each", "checkpoint"):
        view.add_column(column, justify="right")
    for part in estimate.parts:
        view.add_row(
            Text(part.name),
            str(part.count),
            f"{part.steps:,}",
            f"{1e3 * part.step_seconds:.0f}",
            duration(part.seconds),
            size(part.checkpoint_bytes),
        )
    Console().print(view)
    free = f"{size(estimate.free_memory_bytes)} free"
    out_of_terminal(f"time    {duration(estimate.seconds)}, on {estimate.device}")
    out_of_terminal(f"memory  {size(estimate.memory_bytes)}  ({free})")
    if estimate.device_bytes is not None:
        out_of_terminal(f"GPU     {size(estimate.device_bytes)}")
    kept = f"{size(estimate.kept_bytes)} in the end; {size(estimate.free_disk_bytes)} free"
    out_of_terminal(f"disk    {size(estimate.disk_bytes)} at most, {kept}")
    for note in estimate.notes:
        out_of_terminal(f"note    {note}")


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86400:.3g} days"


def size(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for limit, unit, name in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if count < limit:
            return f"{count / unit:.3g} {name}"
    return f"{count / 1e9:.3g} GB"
