"""`autola doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments
from evaluators.tasks import TASKS

if TYPE_CHECKING:
    from autola.diagnosis import Diagnosis, Root
    from autola.installation import Problem


UNLOOKED = "its data are not looked at: the task has no look(root)"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Looks at versions, devices and data: what is missing for which task, and the command that mends it.

    Ends with 1 where something is missing for every job, for a task that is named, or where a folder holds
    data for no task.
    """

    roots: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="[FOLDER ...]")] = ()
    """Folders or tars of data to look at, besides those that runs under ./outputs/runs read."""
    tasks: tuple[str, ...] = ()
    """Names of tasks that have to be ready; `autola list` names them."""
    json: bool = False
    """Print one JSON object and nothing else."""


def run(arguments: list[str]) -> int:
    """Prints what was found; returns 1 where something that was asked for is missing."""
    given = read_arguments(Arguments, arguments, command="doctor")
    for name in given.tasks:
        TASKS[name]  # unknown ones raise
    from autola.diagnosis import diagnose  # slow: PyTorch, once

    found = diagnose(given.roots)
    lacking = [name for name in given.tasks if found.tasks[name].problems]
    useless = [root.path for root in found.roots if not root.runs and not root.serves]
    ready = not (found.problems or lacking or useless)
    if given.json:
        print_json({"ready": ready, **found.to_dict()})
        return 0 if ready else 1
    _show_machine(found)
    for root in found.roots:
        _show_root(root)
    width = max(map(len, found.tasks))
    for name, state in found.tasks.items():
        if given.tasks and name not in given.tasks:
            continue
        mark = "lacks" if state.problems else "ready" if state.looked else "maybe"
        data = "  ".join(state.data) if state.looked else UNLOOKED
        out_of_terminal(f"{mark}  {name:<{width}}  {data}".rstrip())
        for problem in state.problems:
            _show(problem, " " * 7)
    for problem in found.problems:
        _show(problem, "lacks  ")
    return 0 if ready else 1


def _show_machine(found: Diagnosis) -> None:
    gigabytes = [
        size / 2**30 for size in (found.memory_bytes, found.free_memory_bytes, found.free_disk_bytes)
    ]
    memory, free, disk = gigabytes
    versions = "  ".join(
        f"{each.name} {each.version}" for each in found.packages if each.name.startswith("torch")
    )
    out_of_terminal(f"autola {found.autola or 'uninstalled'}  Python {found.python}  {versions}")
    out_of_terminal(f"{found.platform}")
    threads = f", {found.threads} threads" if found.threads is not None else ""
    out_of_terminal(
        f"{found.cores} cores{threads}  {memory:.0f} GiB memory, {free:.0f} free  {disk:.0f} GiB disk free"
    )
    out_of_terminal(f"devices  {'; '.join(('cpu', *found.devices))}")
    width = max((len(extra.name) for extra in found.extras), default=0)
    for extra in found.extras:
        state = extra.mends or " ".join(f"{each.name} {each.version}" for each in extra.packages)
        out_of_terminal(f"extra    {extra.name:<{width}}  {extra.use}: {state}")
    for note in found.notes:
        out_of_terminal(f"note     {note}")


def _show_root(root: Root) -> None:
    from evaluators.data.archive import ENDINGS, is_archive

    users = (
        f"  (read by {', '.join(root.runs[:3])}{' ...' if len(root.runs) > 3 else ''})" if root.runs else ""
    )
    out_of_terminal(f"data     {root.path}{users}")
    for task, what in root.serves.items():
        out_of_terminal(f"         {task}: {what}")
    if not root.serves and Path(root.path).is_file() and not is_archive(Path(root.path)):
        out_of_terminal(
            f"         for no task: it is a file, and neither a folder nor a tar ({', '.join(ENDINGS)})"
        )
    elif not root.serves:
        for task, problem in root.problems.items():
            out_of_terminal(f"         not for {task}: {problem}")


def _show(problem: Problem, before: str) -> None:
    out_of_terminal(f"{before}{problem.what}{f': {problem.mends}' if problem.mends else ''}")
