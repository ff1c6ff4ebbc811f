"""The chapter of a comparison in a report: what was asked, what may be said, rows, costs, cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autola.comparing.config import CompareConfig
from autola.comparing.plan import PLAN, Plan
from autola.comparing.saying import row_in_words
from autola.comparing.showing import (
    LEFT,
    cost_words,
    filled,
    in_words,
    legend_of,
    score_head,
    score_lines,
    spread_words,
)
from autola.configs import SearchConfig
from autola.reporting.cells import cell
from autola.reporting.evidence import Evidence
from autola.reporting.words import data_words, words_of
from autola.tables import mega
from foundation.config import parse_json
from foundation.words import counted, points
from outputs.comparison import ComparedRow, Comparison, are_drawn, front
from outputs.report.chart import Chart, Dot
from search_space.term import label

MOST_CELLS = 3
"""Cells that are drawn."""


def comparison_chapter(run: Evidence, config: CompareConfig) -> dict[str, Any]:
    """What the template asks for of a comparison."""
    plan = parse_json(Plan, run.run.text(PLAN), str(run.run.path / PLAN)) if run.run.has(PLAN) else None
    return {
        "question": _question(config, plan),
        "answer": "No training has ended yet." if run.told is None else run.told.sentence,
        "setting": _setting(run, config, plan),
        "cells": [
            cell(part.genotype, part.run.shares(), part.settings, part.data, f"The cell of {part.name}")
            for part in run.parts
            if isinstance(part.settings, SearchConfig) and part.genotype is not None
        ][:MOST_CELLS],
        "costs": None if run.told is None else _costs(run.told),
        "table": None if run.told is None else _results(run.told),
        "front": None if run.told is None else _front(run.told),
        "shares": None,
        "finals": None,
        "guards": None,
    }


def _question(config: CompareConfig, plan: Plan | None) -> str:
    where = f"on {config.task.subject()} with {config.task.network_name()}"
    if plan is None:
        return f"What does attention change {where}?"
    primary = plan.contrasts[0]
    first, second = (row_in_words(name, config) for name in (primary.first, primary.second))
    verb = "Do" if are_drawn(primary.first) else "Does"
    return (
        f"{verb} {first} score otherwise than {second} {where}? This was settled before the first training."
    )


def _setting(run: Evidence, config: CompareConfig, plan: Plan | None) -> Sequence[tuple[str, str]]:
    pairs = [
        ("task", words_of(run.config["task"])),
        ("recipe", words_of(run.config["train"])),
        ("data", data_words(run.data, config.task.subject())),
    ]
    if config.search is not None:
        seeds = " ".join(map(str, config.search_seeds))
        made = "made before" if config.found else f"seeds {seeds}" if seeds else "none was made"
        limit = ", ".join(config.search.target) or "none"
        pairs += [("searches", f"{words_of(run.config['search']['searcher'])}; {made}"), ("limit", limit)]
    if config.attentions:
        pairs += [("attentions", ", ".join(label(attention) for attention in config.attentions))]
    pairs += [("controls", ", ".join(config.beside) or "none"), ("margin", points(config.margin))]
    if plan is not None:
        pairs += [
            (
                "planned",
                f"{counted(plan.searches, 'search', 'searches')}, {counted(plan.trainings, 'training')}",
            )
        ]
        smallest = plan.contrasts[0].detectable
        if smallest is not None and plan.spread is not None:
            pairs += [
                ("found in four of five", f"a difference of {100 * smallest:.2f} points, as expected before")
            ]
    return pairs


def _named(told: Comparison, row: ComparedRow) -> str:
    name = f"{row.name} ({row.setting})" if row.setting else row.name
    return f"{row.block} {name}" if row.block else name


def _results(told: Comparison) -> dict[str, Any]:
    head, rows = filled(
        ["row", *score_head(told)],
        [[_named(told, row), *words] for row, words in zip(told.rows, score_lines(told))],
    )
    legend = legend_of(told)
    return {
        "head": head,
        "rows": rows,
        "numbers": tuple(place for place, name in enumerate(head) if name not in LEFT),
        "caption": (f"{legend}." if legend else "") + _spread(told.rows) + _ranks(told),
    }


def _spread(rows: Sequence[ComparedRow]) -> str:
    return "".join(f" {words}." for row in rows if (words := spread_words(row)))


def _ranks(told: Comparison) -> str:
    if not told.ranks:
        return ""
    each = " ".join(f"{tau:+.2f}" for tau in told.ranks)
    where = in_words(told.rows[0].block)
    return (
        f" Search-time and retrained scores of cells agree{where} by Kendall's tau {each}, a figure a search."
    )


def _costs(told: Comparison) -> dict[str, Any]:
    head, rows = filled(
        ["row", "parameters", "MACs", "train step ms", "image ms", "to plain"],
        [[_named(told, row), *cost_words(row)] for row in told.rows],
    )
    return {
        "head": head,
        "rows": rows,
        "numbers": tuple(range(1, len(head))),
        "caption": "Means over the cells of a row. An image is timed in evaluation, deployed, on this run's "
        "device.",
    }


def _front(told: Comparison) -> dict[str, Any]:
    timed = all(row.cost("latency_ms") is not None for row in told.rows)
    metric, unit, axis = (
        ("latency_ms", 1.0, "latency of one image (ms)") if timed else ("macs", 1e6, "MACs (M)")
    )
    blocks: Mapping[str, list[ComparedRow]] = {
        block: [row for row in told.rows if row.block == block]
        for block in dict.fromkeys(r.block for r in told.rows)
    }
    charts, cells = list[Chart](), list[list[str]]()
    for block, rows in blocks.items():
        best = front(rows, metric)
        dots = [
            Dot(name=row.name, x=(row.cost(metric) or 0) / unit, y=100 * row.mean, full=row in best)
            for row in rows
        ]
        title = f"{told.score} over {axis}" + (f": {block}" if block else "")
        names = ", ".join(row.name for row in best)
        charts.append(
            Chart(title=title, x=axis, y=f"{told.score} %", dots=dots, summary=f"On the front: {names}.")
        )
        for row in rows:
            cost = f"{row.cost(metric):.2f}" if timed else mega(round(row.cost("macs") or 0))
            cells.append([_named(told, row), cost, f"{100 * row.mean:.2f}", "yes" if row in best else "no"])
    return {
        "charts": charts,
        "legend": {},
        "head": ("row", axis, f"{told.score} %", "on the front"),
        "rows": cells,
        "numbers": (1, 2),
        "caption": "Filled points are on the front: no row is as good in score and cost, and better in one.",
    }
