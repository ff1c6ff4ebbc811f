"""`autola status`."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import option, out_of_terminal, print_json, read_arguments
from foundation.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Shows how far a retraining, comparison or front is: what is done, runs (where), failed, is left."""

    run: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="RUN")] = None
    """Folder of the run."""
    json: bool = False
    """Print one JSON object instead; with --watch one a line, whenever something changed."""
    watch: bool = False
    """Go on looking until all is done; Ctrl-C ends it, and not the run."""
    seconds: float = 2.0
    """Seconds between two looks with --watch; more spare the disk."""


def run(arguments: list[str]) -> None:
    """Looks once, or until all is done."""
    given = read_arguments(Arguments, arguments, command="status")
    if given.run is None:
        raise InputError("name the folder of a run")
    if option(arguments, "seconds") is not None and not given.watch:
        raise InputError("--seconds goes with --watch; without it, status looks once")
    if not 0.1 <= given.seconds <= 3600:
        raise InputError(f"seconds is {given.seconds}; give 0.1 to 3600")
    from autola.working.items import read_list  # slow: pydantic
    from autola.working.progress import status_of
    from autola.working.worklist import WorkList

    shown = worklist = None
    while True:
        listed = read_list(given.run)
        if worklist is None or listed != worklist.listed:  # a search has proposed more
            worklist = WorkList(given.run, listed)
        status = status_of(worklist)
        if status != shown:
            if given.json:
                print_json(status.json())
            else:
                if given.watch and sys.stdout.isatty():
                    sys.stdout.write("\x1b[H\x1b[J")  # from the top of an empty screen
                for line in status.lines():
                    out_of_terminal(line)
            sys.stdout.flush()
        shown = status
        if not given.watch or status.done + len(status.aside) == status.items:
            return
        try:
            time.sleep(given.seconds)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note("the run itself goes on")
            raise
