"""`autola compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import option, read_arguments, switched_on, without
from autola.comparing.config import OF_CELLS, Addition, CompareConfig
from autola.comparing.presets import usual_comparison
from autola.comparing.showing import show, show_ranking
from autola.executors import executor_of
from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.term import Term

DEFAULT = "digits"

ADDED = ("search-seeds", "seeds", "random-seeds", "control-seeds")
"""Options that add to a comparison, with --resume."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Searches, trains and compares: do cells that are found beat random ones, and controls of equal cost?

    Every option below shows its value in the preset that is named.
    """

    attentions: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[ATTENTION ...]")
    ] = ()
    """Modules compared besides: se, cbam, hoga (the published genotype), hoga:RUN, aa, se+hoga ..."""
    preset: str = DEFAULT
    """Settings to start from; `autola list` names them."""
    task: str = "classification"
    """What is trained. Of another task than the preset's, task and recipe are those of the task's own retrain
    preset, and searches stay on small images: --search.data.* names them, or --found searches made before."""
    searcher: str = "darts"
    """How cells are searched; its own options are --search.searcher.*"""
    found: tuple[Path, ...] = ()
    """Run folders of searches that have ended, in place of searching; they may differ in seeds alone."""
    mixed: bool = False
    """Whether searches, or runs, of other data or settings may be taken together after all."""
    runs: tuple[Path, ...] = ()
    """Run folders of retrainings that have ended, which are compared as they are: nothing is trained. With
    --mixed and --margin, no other option goes with it."""
    across: tuple[Path, ...] = ()
    """Run folders of comparisons and retrainings of several tasks that have ended: what stands in all of them
    is ranked, and nothing is trained. --out names a folder for the numbers and the critical-difference
    diagram; no other option goes with it."""
    search_nothing: bool = False
    """Whether to search nothing and draw no random cells: compare the modules that are given."""
    smoke: bool = False
    """Start from two short epochs on few small images, few seeds and cells, to see the whole path in minutes
    on a CPU; what is given besides counts."""
    out: Path | None = None
    """Run folder to make; a new one under ./outputs/runs if left out, and none with --across."""
    on: str = "here"
    """Where searches and trainings run: here, one after another; here:4, four processes of this machine; ray,
    ray://HOST:PORT or slurm, the workers of a cluster that sees the run folder. Changes no result."""
    jobs: int | None = None
    """Searches or trainings side by side on this machine, short for --on here:JOBS."""
    minutes: float | None = None
    """No search or training begins after so many minutes; --resume goes on. No limit if left out."""
    resume: Path | None = None
    """Run folder of a comparison, to go on with or to add to: attentions, --seeds, --search-seeds,
    --random-seeds, --control-seeds and --random-cells then add what is not there. With --jobs, --on,
    --minutes and --data.root, the folder of its data where that moved, no other option goes with it."""
    config: Annotated[CompareConfig, tyro.conf.arg(name="")]
    """Settings."""


def run(arguments: list[str]) -> None:
    """Compares, and prints the table."""
    root = None
    if option(arguments, "resume"):  # the option of the run's task, which is not known yet
        root, arguments = option(arguments, "data.root"), without(arguments, "data.root")
    given, usual = read_settings(arguments)
    if given.across:
        _only("across", ("out",), arguments)
        from autola.comparing.across import across  # slow: SciPy, pandas

        show_ranking(across(given.across, given.out), given.out)
        return
    if given.runs:
        _only("runs", ("mixed", "margin"), arguments)
        from autola.comparing.runs import compare_runs  # slow: SciPy

        margin = {"margin": given.config.margin} if option(arguments, "margin") else {}
        show(compare_runs(given.runs, mixed=given.mixed, **margin))
        return
    if given.resume is None and "--resume" in arguments:
        raise InputError("--resume needs the folder of the comparison to go on with")
    addition = None if given.resume is None else _addition(given, arguments)
    where = executor_of(given.on, given.jobs)
    # Each import is slow: Fabric.
    from autola.comparing.running import resume_comparison, run_comparison
    from outputs.run_directory import RunDirectory

    if given.resume is not None:
        run_folder = RunDirectory.open(given.resume)
        show(resume_comparison(run_folder, on=where, minutes=given.minutes, root=root, addition=addition))
        return
    if given.search_nothing:
        _refuse_of_cells(given, arguments)
    config = whole(given, usual)
    show(run_comparison(config, given.out, on=where, minutes=given.minutes))


def read_settings(arguments: list[str]) -> tuple[Arguments, CompareConfig]:
    """What was given, and what it started from."""
    preset = option(arguments, "preset") or DEFAULT
    usual = usual_comparison(preset, option(arguments, "task"), option(arguments, "searcher"))
    assert usual.search is not None, "presets search"
    if switched_on(arguments, "smoke"):
        usual = usual.smoke()
        assert usual.search is not None
    searcher, task = usual.search.searcher.name, usual.task.name
    default = Arguments(preset=preset, task=task, searcher=searcher, config=usual)
    given = read_arguments(Arguments, arguments, command="compare", default=default)
    if given.preset != preset:
        raise InputError(f"two presets are given: {preset} and {given.preset}")
    if given.task != task:
        raise InputError(f"two tasks are given: {task} and {given.task}")
    if given.searcher != searcher:
        raise InputError(f"two searchers are given: {searcher} and {given.searcher}")
    return given, usual


def _only(name: str, allowed: Sequence[str], arguments: Sequence[str]) -> None:
    """Raises an InputError where more than some options goes with --runs or --across."""
    wrong = [flag for flag in _flags(arguments) if flag not in (name, *allowed)]
    if wrong or not arguments[0].startswith("--"):
        raise InputError(
            f"--{name} compares what there is, and {'--' + wrong[0] if wrong else arguments[0]} is for new "
            "trainings; leave it out"
        )


def _refuse_of_cells(given: Arguments, arguments: Sequence[str]) -> None:
    """Raises an InputError where an option of searches or random cells goes with --search-nothing."""
    for flag in _flags(arguments):
        name = flag.replace("-", "_")
        if name == "beside" and "random" in given.config.beside:
            raise InputError(
                "--beside random draws cells, and --search-nothing says that there are none; leave one of "
                "them out, or give --search-seeds alone to draw cells and search none"
            )
        if name in OF_CELLS or name == "searcher" or name.startswith("search."):
            raise InputError(
                f"--{flag} says how cells are searched, drawn or trained, and --search-nothing says that "
                "there are none; leave one of them out"
            )


def _flags(arguments: Sequence[str]) -> list[str]:
    """The options that were given, without dashes and values."""
    return [word[2:].partition("=")[0] for word in arguments if word.startswith("--")]


def whole(given: Arguments, usual: CompareConfig) -> CompareConfig:
    """The comparison that was asked for."""
    from autola.comparing.settings import followed, with_found  # slow: run folders

    config, attentions = followed(given.config, usual), _attentions(given)
    if given.search_nothing:
        if given.found:
            raise InputError("--found names searches, and --search-nothing says that there are none")
        config = replace(config, search=None, attentions=attentions)
    else:
        config = replace(config, attentions=attentions)
    if given.found:
        config = with_found(config, given.found, mixed=given.mixed)
    return config


def _attentions(given: Arguments) -> tuple[tuple[Term, ...], ...]:
    return tuple(parse_attention(text) for text in given.attentions)


def _addition(given: Arguments, arguments: Sequence[str]) -> Addition | None:
    """What is added with --resume; None for nothing.

    Raises:
        InputError: If another option goes with it.
    """
    flags = _flags(arguments)
    allowed = ("resume", "jobs", "on", "minutes", "random-cells", *ADDED)
    wrong = [flag for flag in flags if flag.replace("_", "-") not in allowed]
    if wrong:
        raise InputError(
            f"--resume takes everything from the run, and --{wrong[0]} is neither --jobs, --on, --minutes, "
            "--data.root nor adds to it; leave it out"
        )
    names = [flag.replace("-", "_") for flag in flags if flag.replace("_", "-") in ADDED]
    more = {name: getattr(given.config, name) for name in names}
    cells = given.config.random_cells if "random-cells" in flags or "random_cells" in flags else 0
    addition = Addition(attentions=_attentions(given), random_cells=cells, **more)
    return None if addition == Addition() else addition
