"""The rows of several tasks, ranked: comparisons and retrainings that have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autola.comparing.config import CompareConfig
from autola.comparing.items import full_config
from autola.comparing.rows import PLAIN, blocks_of
from autola.comparing.runs import ended_table
from autola.comparing.settings import Trained, unlike
from autola.conclusions import read_conclusion
from autola.configs import RetrainConfig
from autola.runs import is_comparison, refuse_twice, stored_config
from evaluators.statistics.family import ALARM
from evaluators.statistics.ranks import Ranks, need_posthocs, ranks_of
from foundation.errors import InputError, listed
from foundation.words import counted, typed
from outputs.comparison import COMPARISON, Comparison
from outputs.new_folder import make_folder
from outputs.ranking import RankedTask, Ranking, fill_folder
from outputs.records import DATA
from outputs.run_directory import RunDirectory

FEWEST = 3
"""Rows that can be ranked over tasks; two are compared in each."""


@dataclass(frozen=True)
class _Task:
    """One task, with the mean score of each row by its name."""

    name: str
    run: Path
    score: str
    means: dict[str, float]
    trained: Trained


def across(runs: Sequence[str | Path], out: str | Path | None = None) -> Ranking:
    """Ranks what stands in several tasks: nothing is trained.

    Rows go by their names; `none` of a retraining is `plain` of a comparison. Each network and recipe of a
    comparison that has several counts as a task; that those of one run are of the same images, the sentence
    says.

    Args:
        runs: Folders of comparisons and retrainings that have ended.
        out: A folder to make, for the numbers, a table as CSV and the critical-difference diagram; None
            writes nothing.

    Raises:
        InputError: If one has not ended, two are of the same task, they share fewer than three rows, or
            scikit-posthocs is not there.
    """
    need_posthocs()
    refuse_twice([Path(path) for path in runs])
    tasks = [task for path in runs for task in _read(RunDirectory.open(path))]
    if len(tasks) < 2:
        raise InputError("ranks need two tasks or more; within one, `autola compare` says what may be said")
    _refuse_twice(tasks)
    rows = [name for name in tasks[0].means if all(name in task.means for task in tasks)]
    left_out = tuple(dict.fromkeys(name for task in tasks for name in task.means if name not in rows))
    if len(rows) < FEWEST:
        raise InputError(
            f"the tasks share {len(rows)} rows ({listed(rows) or 'none'}), and ranks need {FEWEST}; "
            f"some task lacks {listed(left_out)}"
        )
    scores = [[task.means[name] for name in rows] for task in tasks]
    ranks = ranks_of(scores)
    ranking = Ranking(
        rows=tuple(rows),
        tasks=tuple(
            RankedTask(name=task.name, run=str(task.run), score=task.score, scores=tuple(line))
            for task, line in zip(tasks, scores)
        ),
        mean=ranks.mean,
        friedman=ranks.friedman,
        pairs=ranks.pairs,
        critical=ranks.critical,
        left_out=left_out,
        sentence=_sentence(rows, ranks, tasks, left_out),
    )
    if out is not None:
        make_folder(Path(out), lambda folder: fill_folder(ranking, folder))
    return ranking


def _read(run: RunDirectory) -> Iterator[_Task]:
    """The tasks of a run: one, or one for each network and recipe."""
    data = run.keys(DATA)
    if not is_comparison(run):
        config = stored_config(run, RetrainConfig)
        table = ended_table(run)
        if table.missing:
            raise InputError(f"{run.path} lacks trainings that were set aside: {listed(table.missing)}")
        means = {PLAIN if row.attention == "none" else row.attention: row.mean for row in table.rows}
        yield _Task(_name(config), run.path, table.score, means, (config.task, config.train, data))
        return
    config = full_config(run)
    if not run.has(COMPARISON):
        raise InputError(f"{run.path} has not ended; autola compare --resume {typed(run.path)} goes on")
    told = read_conclusion(run, COMPARISON, Comparison)
    if told.done < told.planned:
        done = f"{told.done} of {counted(told.planned, 'training')} done"
        raise InputError(
            f"{run.path} has not ended: {done}; autola compare --resume {typed(run.path)} goes on"
        )
    for block in blocks_of(config):
        means = {row.name: row.mean for row in told.rows if row.block == block.name}
        name = f"{_name(config)} ({block.name})" if block.name else _name(config)
        yield _Task(name, run.path, told.score, means, (block.task, block.train, data))


def _name(config: RetrainConfig | CompareConfig) -> str:
    return f"{config.task.subject()} with {config.task.network_name()}"


def _refuse_twice(tasks: Sequence[_Task]) -> None:
    """Refuses one task under two names: it would count double."""
    for number, task in enumerate(tasks):
        for other in tasks[:number]:
            if not unlike(other.trained, task.trained):
                raise InputError(
                    f"{task.run} and {other.run} are of one task, {task.name}, which would count twice; "
                    "leave one out"
                )


def _sentence(rows: Sequence[str], ranks: Ranks, tasks: Sequence[_Task], left_out: Sequence[str]) -> str:
    """What the ranks allow one to say, and no more."""
    best = min(range(len(rows)), key=lambda place: ranks.mean[place])
    parts = [f"Over {len(tasks)} tasks, {rows[best]} ranks best ({ranks.mean[best]:.2f} of {len(rows)})."]
    worse = [rows[place] for place, p in enumerate(ranks.pairs[best]) if p < ALARM]
    if ranks.critical > len(rows) - 1:
        parts.append(
            f"No difference of two ranks could be shown: it had to be {ranks.critical:.2f}, and "
            f"{len(rows) - 1} is the largest that there is. More tasks are needed."
        )
    elif ranks.friedman < ALARM and worse:
        parts.append(f"It is shown to rank before {', '.join(worse)} (Friedman, then Nemenyi, 5 %).")
    else:
        parts.append(
            f"It is not shown to rank before any other (Friedman p {ranks.friedman:.3f}); mean ranks that "
            f"differ by {ranks.critical:.2f} would be told apart."
        )
    if len({task.run for task in tasks}) < len(tasks):
        parts.append("Several of the tasks are of the same images, and are not independent.")
    if left_out:
        parts.append(f"Left out, as some task lacks them: {', '.join(left_out)}.")
    return " ".join(parts)
