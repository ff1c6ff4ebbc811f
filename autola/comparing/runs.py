"""Retrainings that were made before, compared as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autola.comparing.claims import claims_beside
from autola.comparing.conclude import compared_row
from autola.comparing.rows import free_name
from autola.comparing.saying import names_of, told_beside
from autola.comparing.settings import MOST_NAMED, differences, unlike
from autola.conclusions import read_conclusion
from autola.configs import RetrainConfig
from autola.runs import is_comparison, refuse_twice, stored_config
from autola.tables import TABLE, Table
from foundation.errors import InputError, listed
from foundation.words import typed
from outputs.comparison import ComparedCell, Comparison
from outputs.records import CONFIG, DATA
from outputs.run_directory import RunDirectory

MARGIN = 0.005
"""Difference in score below which rows count as equivalent, as in a comparison."""


def compare_runs(runs: Sequence[str | Path], *, mixed: bool = False, margin: float = MARGIN) -> Comparison:
    """What retrainings that have ended allow one to say; nothing is trained or written.

    The first attention of the first run is compared with every other row. None of these contrasts was named
    before the results could be seen, so all of them are corrected together (Holm).

    Args:
        runs: Folders of retrainings. Equal attentions of several become one row where their seeds differ.
        mixed: Whether they may be of other data, networks or budget: then no rows are put together.
        margin: Difference in score below which two rows count as equivalent.

    Raises:
        InputError: If one has not ended, they differ in more than attentions and seeds, or there is nothing
            to compare.
    """
    if not runs:
        raise InputError("name at least one retraining: --runs RUN ...")
    if not 0 < margin < float("inf"):
        raise InputError(f"margin={margin} is not positive")
    paths = [Path(run) for run in runs]
    refuse_twice(paths)
    directories = [RunDirectory.open(path) for path in paths]
    configs = [stored_config(run, RetrainConfig) for run in directories]
    tables = [ended_table(run) for run in directories]
    for run, config, table in zip(directories[1:], configs[1:], tables[1:]):
        if table.score != tables[0].score:
            raise InputError(f"{run.path} scores {table.score}, {directories[0].path} {tables[0].score}")
        if not mixed:
            _refuse_other(directories[0], configs[0], run, config)
    cells = _cells(directories, tables, mixed=mixed)
    rows = [compared_row(name, "", "", (cell,)) for name, cell in cells.items()]
    if len(rows) < 2:
        raise InputError("there is one row, so nothing is compared; name a run with another attention")
    claims = claims_beside(rows, margin)
    comparison = Comparison(
        run=" ".join(str(run.path) for run in directories),
        score=tables[0].score,
        done=(count := sum(len(row.cells[0].scores) for row in rows)),
        planned=count,
        rows=tuple(rows),
        claims=tuple(claims),
        margin=margin,
        improvement=None,
        ranks=(),
        sentence="",
    )
    return replace(comparison, sentence=_sentence(comparison, mixed=mixed and len(directories) > 1))


def ended_table(run: RunDirectory) -> Table:
    """The table of a retraining.

    Raises:
        InputError: If it has not ended, is one training of several, or the table is damaged.
    """
    if not run.has(TABLE):
        _refuse_part(run)
        raise InputError(f"{run.path} has not ended; autola retrain --resume {typed(run.path)} goes on")
    return read_conclusion(run, TABLE, Table)


def _refuse_part(run: RunDirectory) -> None:
    """Refuses a training of a comparison or retraining: it has a score and no table, and never will."""
    whole = RunDirectory(run.path.resolve().parent)
    if not whole.has(CONFIG):
        return
    if is_comparison(whole):
        raise InputError(
            f"{run.path} is one training of the comparison {whole.path}, and --runs takes retrainings; "
            f"autola compare --resume {typed(whole.path)} shows its table, and adds attentions that are named"
        )
    raise InputError(f"{run.path} is one training of the retraining {whole.path}; name that instead")


def _refuse_other(
    first: RunDirectory, known: RetrainConfig, run: RunDirectory, config: RetrainConfig
) -> None:
    """Refuses a run of other data, another network or another budget than the first's."""
    found = [
        *unlike((known.task, known.train, first.keys(DATA)), (config.task, config.train, run.keys(DATA))),
        *differences(known.precision, config.precision, "precision"),
    ]
    if found:
        raise InputError(
            f"{run.path} and {first.path} are of different data or budget: "
            f"{listed(found, MOST_NAMED, '; ')}; compare runs of one kind, or say --mixed"
        )


def _cells(
    directories: Sequence[RunDirectory], tables: Sequence[Table], *, mixed: bool
) -> dict[str, ComparedCell]:
    """One cell a row, its trainings from all runs.

    Raises:
        InputError: If a training of one attention and seed is in two of them.
    """
    found = dict[str, ComparedCell]()
    for run, table in zip(directories, tables):
        for row in table.rows:
            name = f"{run.path.resolve().name}: {row.attention}" if mixed else free_name(row.attention)
            known = found.get(name)
            if known is None:
                found[name] = ComparedCell(
                    attention=row.attention,
                    seeds=row.seeds,
                    scores=row.scores,
                    params=row.params,
                    macs=row.macs,
                )
                continue
            if mixed or {*known.seeds} & {*row.seeds}:
                twice = sorted({*known.seeds} & {*row.seeds})
                seeds = ", ".join(map(str, twice))
                raise InputError(
                    f"{run.path} has {row.attention} with the seed {seeds} of another run: that is the same "
                    "training twice; leave one out"
                )
            found[name] = replace(
                known, seeds=(*known.seeds, *row.seeds), scores=(*known.scores, *row.scores)
            )
    return found


def _sentence(comparison: Comparison, *, mixed: bool) -> str:
    first = comparison.claims[0].first
    parts = list[str]()
    if told := told_beside(comparison.claims, comparison.margin):
        parts.append(f"{first} scores {told} (5 % false alarms over all contrasts together).")
    if unshown := names_of(comparison.claims, "no difference shown"):
        parts.append(f"{first} is not shown to differ from {unshown}.")
    if untested := names_of(comparison.claims, "no test"):
        parts.append(
            f"Of {first} and {untested} nothing may be said: a row with one seed, or without spread, has no "
            "interval."
        )
    parts.append("None of these contrasts was named before the results could be seen.")
    if mixed:
        parts.append("Data, networks and budgets may differ between the runs, and so explain any of it.")
    return " ".join(parts)
