"""The report of runs: read from their records, counted, and written as one page."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from autola.reporting.analyses import analyses
from autola.reporting.chapters import chapter
from autola.reporting.checklist import checklist
from autola.reporting.evidence import Evidence, differing, flat, read_evidence
from autola.runs import refuse_twice
from foundation.errors import InputError
from outputs.report import check_target, need_jinja, render, write

NAME = "report.html"
"""File of the report in the folder of the first run, where no other is named."""

MOST_DIFFERENCES = 60
"""Settings in which two runs differ that are shown."""


def write_report(runs: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Writes one HTML page about one or several runs; it needs no other file and no network.

    Args:
        runs: Run folders of searches, retrainings and comparisons, also such that have not ended.
        out: File to write; report.html in the first run's folder if left out. A report that is there is
            written anew.

    Returns:
        The file.

    Raises:
        InputError: If one is no run or damaged, jinja2 is missing, or the file cannot be written.
    """
    if not runs:
        raise InputError("name at least one run")
    need_jinja()
    paths = [Path(run) for run in runs]
    refuse_twice(paths)
    found = [read_evidence(path) for path in paths]
    target = paths[0] / NAME if out is None else Path(out)
    check_target(target)
    content = {
        "title": _title(found),
        "version": _version(),
        "runs": [{**chapter(run), "analyses": parts} for run, parts in zip(found, analyses(found))],
        "comparison": _comparison(found) if len(found) > 1 else None,
        "checklist": checklist(found),
    }
    write(render(content), target)
    return target


def _title(runs: Sequence[Evidence]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs: {', '.join(run.name for run in runs[:3])}{' ...' if len(runs) > 3 else ''}"
    return f"{runs[0].kind.capitalize()}: {runs[0].name}"


def _version() -> str:
    try:
        return metadata.version("autola")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _comparison(runs: Sequence[Evidence]) -> dict[str, Any]:
    """The runs in one table, and what settings of each differ from those of the first of its kind."""
    rows, differences, first = list[list[str]](), list[dict[str, Any]](), dict[str, Evidence]()
    for run in runs:
        for name, score in scores(run):
            seconds = "" if run.seconds is None else f"{run.seconds:,.0f}"
            rows.append([run.name, run.kind, name, score, seconds])
        other = first.setdefault(run.kind, run)
        if other is not run:
            ours, theirs = flat(dict(run.config)), flat(dict(other.config))
            names = differing([theirs, ours])
            pairs = [[name, str(theirs.get(name, "")), str(ours.get(name, ""))] for name in names]
            differences.append(
                {
                    "title": f"{run.name} differs from {other.name}",
                    "head": ("setting", other.name, run.name),
                    "rows": pairs[:MOST_DIFFERENCES],
                    "caption": f"{len(pairs)} settings differ",
                }
            )
    return {
        "head": ("run", "kind", "what", "score %", "seconds"),
        "rows": rows,
        "numbers": (3, 4),
        "caption": "Test scores of retrainings, means over seeds with the standard deviation; of searches "
        "the accuracy on the half that the choice was made on, which says nothing about test images.",
        "differences": differences,
    }


def scores(run: Evidence) -> list[tuple[str, str]]:
    """What a run found, and how good it is, in per cent."""
    if run.told is not None:
        return [
            (
                f"{row.block} {row.name}".strip(),
                f"{100 * row.mean:.2f}" + (f" ± {100 * row.deviation:.2f}" if row.deviation else ""),
            )
            for row in run.told.rows
        ]
    if run.table is not None:
        return [
            (row.attention, f"{100 * row.mean:.2f}" + (f" ± {100 * row.spread:.2f}" if row.spread else ""))
            for row in run.table.rows
        ]
    if run.front is not None:
        return [(point.target, f"{100 * point.score:.2f}") for point in run.front.points]
    lines = run.curves.get("search", ())
    keys = ("best_accuracy", "alpha_accuracy")
    last = next((lines[-1][key] for key in keys if lines and lines[-1].get(key) is not None), None)
    return [
        (str(run.genotype or run.placement or "nothing yet"), "" if last is None else f"{100 * last:.2f}")
    ]
