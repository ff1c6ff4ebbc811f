"""`autola inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments
from autola.commands.cost import show
from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Shows a genotype or a placement: edges or sites with share and margin, a drawing, its cost."""

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
    """Run folder of a search, genotype or placement file, or "hoga" for the published genotype."""
    svg: Path | None = None
    """Path of an SVG file to draw the cell into."""
    png: Path | None = None
    """Path of a PNG file to draw the cell into."""
    latency: bool = True
    """Measure latency and activation memory as well, on the CPU, which takes seconds; --no-latency only
    counts."""
    json: bool = False
    """Print one JSON object with all that is shown, and nothing else."""


def run(arguments: list[str]) -> None:
    """Shows what was found."""
    given = read_arguments(Arguments, arguments, command="inspect")
    for target, suffix in ((given.svg, ".svg"), (given.png, ".png")):
        if target is not None and target.suffix != suffix:
            raise InputError(f"{target} does not end in {suffix}")
        if target is not None and target.is_dir():
            raise InputError(f"{target} is a folder; name a file to draw into")
    from rich.console import Console  # slow

    from autola.inspecting import inspected  # slow: PyTorch

    subject = inspected(given.target)
    finals, costs = subject.finals, subject.costs(given.latency)
    for target in (given.svg, given.png):
        if target is not None:
            subject.save(target)
    if given.json:
        asked = {"setting": subject.setting, "costs": costs, "next": subject.following}
        if finals:
            asked["finals"] = [vars(final) for final in finals]
        print_json(subject.known | asked)
        return
    Console().print(subject.drawing())
    out_of_terminal(f"\n{subject.summary}\n")
    if finals:
        out_of_terminal("finals, score less price, best first")
        for final in finals:
            out_of_terminal(f"  {final.shown:<6}  {final.genotype}")
        out_of_terminal("")
    if subject.setting:
        show(costs)
        sides = " x ".join(map(str, subject.setting["input_shape"]))
        out_of_terminal(f"\nin {subject.setting['backbone']}, images of {sides}")
    out_of_terminal(f"next   {subject.following}")
