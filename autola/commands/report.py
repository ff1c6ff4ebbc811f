"""`autola report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, read_arguments
from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Writes one HTML page about runs: question, setting, cell, curves, results, how to repeat it."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN ...")] = ()
    """Folders of searches, retrainings and comparisons; also such that have not ended."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Path of the HTML file to write; report.html in the folder of the first run if left out."""


def run(arguments: list[str]) -> None:
    """Writes the page, and says where."""
    given = read_arguments(Arguments, arguments, command="report")
    if not given.runs:
        raise InputError("name at least one run")
    from autola.reporting import write_report  # slow: PyTorch, which counts

    page = write_report(given.runs, given.out)
    out_of_terminal(f"report  {page}  {page.stat().st_size / 1e3:.0f} kB")
