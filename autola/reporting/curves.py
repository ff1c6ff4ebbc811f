"""The curves of a report: figures of a search or of trainings, and shares, over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from autola.comparing.config import CompareConfig
from autola.configs import RetrainConfig
from autola.member import members_of
from autola.reporting.evidence import Evidence
from outputs.report.chart import Chart, Line, styles
from outputs.tensorboard import read_shares
from search_space.space import NONE
from search_space.term import label, short_label

PANELS = {
    "loss": ("Loss", "loss"),
    "accuracy": ("Accuracy", "share of the images"),
    "alpha_entropy": ("Entropy of the shares", "nats"),
    "alpha_eigenvalue": ("Largest eigenvalue of the alphas' Hessian", "eigenvalue"),
    "skip_share": ("Share of skip_connect", "mean share"),
    "rank_stability": ("Rank correlation with the epoch before", "Kendall's tau"),
    "learning_rate": ("Learning rate", "rate"),
}
"""How a figure's name ends, to the title of its chart and the name of its axis."""


def curves(run: Evidence) -> dict[str, Any] | None:
    """Charts of what metrics.jsonl holds; None where it holds nothing."""
    if not run.curves:
        return None
    if isinstance(run.settings, RetrainConfig):
        return _of_trainings(_by_attention(run, run.settings))
    if isinstance(run.settings, CompareConfig):
        return _of_trainings(_by_row(run))
    groups = {name: [records] for name, records in run.curves.items()}
    if len(groups) == 1:
        return _of_search(next(iter(run.curves.values())))
    return _charts(groups, ("alpha_accuracy", "weight_accuracy", "best_accuracy", "alpha_entropy"))


def _of_search(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One search: all figures of a kind in one chart."""
    names = [name for name in records[-1] if name not in ("epoch", "step", "epoch_seconds")]
    numbers, charts = styles(names), list[Chart]()
    for ending, (title, axis) in PANELS.items():
        members = [name for name in names if name == ending or name.endswith(f"_{ending}")]
        lines = [
            Line(name=name, xs=_epochs(records), ys=[each.get(name) for each in records], style=numbers[name])
            for name in members
        ]
        lines = [line for line in lines if line.points()]
        if lines:
            charts.append(_chart(title, axis, lines))
    drawn = dict.fromkeys(line.name for chart in charts for line in chart.lines if len(chart.lines) > 1)
    return {"charts": charts, "legend": {name: numbers[name] for name in drawn}}


Groups = dict[str, list[Sequence[Mapping[str, Any]]]]
"""Lines of metrics.jsonl of trainings that one line of a chart is the mean of, by its name."""


def _by_attention(run: Evidence, config: RetrainConfig) -> Groups:
    groups = Groups()
    for member in members_of(config):
        if member.name in run.curves:
            name = short_label(label(config.attentions[member.number]))
            groups.setdefault(name, []).append(run.curves[member.name])
    return groups


def _by_row(run: Evidence) -> Groups:
    """The trainings of a comparison by row, and by block where there are several."""
    groups = Groups()
    for part in run.parts:
        if part.row and part.name in run.curves:
            groups.setdefault(f"{part.block} {part.row}".strip(), []).append(run.curves[part.name])
    return groups


def _of_trainings(groups: Groups) -> dict[str, Any] | None:
    """Trainings: a line a group, the mean over its members."""
    records = [each[-1] for group in groups.values() for each in group]
    names = dict.fromkeys(
        name
        for record in records
        for name in record
        if name.startswith(("train_", "validation_")) and name.count("_") < 3
    )
    return _charts(groups, tuple(names)[:8])


def _charts(
    groups: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], figures: Sequence[str]
) -> dict[str, Any] | None:
    """A chart a figure, a line a group: the mean over the members that have it."""
    numbers, charts = styles(list(groups)), list[Chart]()
    for figure in figures:
        lines = list[Line]()
        for name, members in groups.items():
            longest = max(members, key=len)
            means = [
                fmean(known) if (known := _known(members, number, figure)) else None
                for number in range(len(longest))
            ]
            line = Line(name=name, xs=_epochs(longest), ys=means, style=numbers[name])
            if line.points():
                lines.append(line)
        if lines:
            title = figure[:1].upper() + figure[1:].replace("_", " ")
            charts.append(_chart(title, figure.rpartition("_")[2], lines))
    return {"charts": charts, "legend": numbers} if charts else None


def _known(members: Sequence[Sequence[Mapping[str, Any]]], number: int, figure: str) -> list[float]:
    values = (records[number].get(figure) for records in members if number < len(records))
    return [value for value in values if value is not None]


def _epochs(records: Sequence[Mapping[str, Any]]) -> list[float]:
    return [record["epoch"] for record in records]


def _chart(title: str, axis: str, lines: Sequence[Line]) -> Chart:
    ends = "; ".join(f"{line.name} ends at {line.points()[-1][1]:.4g}" for line in lines)
    return Chart(title=title, x="epoch", y=axis, lines=lines, summary=f"{title} over epochs. {ends}")


def shares(run: Evidence) -> dict[str, Any] | None:
    """Charts of the shares of all operators, an edge or a site each; None where nobody recorded them."""
    moved = read_shares(run.run.path)
    if not moved or (run.genotype is None and run.placement is None):
        return None
    names = [name for name in next(iter(moved.values())) if name != NONE]
    numbers = styles([*names, NONE])
    lines = run.curves.get("search", ())
    epochs = {record["step"]: record["epoch"] for record in lines if "step" in record}
    charts = list[Chart]()
    for edge, rows in moved.items():
        drawn = [
            Line(
                name=name,
                xs=[epochs.get(step, step) for step, _ in row],
                ys=[value for _, value in row],
                style=numbers[name],
            )
            for name, row in rows.items()
        ]
        first, *_ = sorted(
            (line for line in drawn if line.name != NONE), key=lambda line: -(line.ys[-1] or 0.0)
        )
        title = edge if run.genotype is None else " to ".join(edge.split("_", 1))
        charts.append(
            Chart(
                title=title,
                x="epoch",
                y="share",
                lines=drawn,
                floor=0.0,
                summary=f"Shares at {title}: {first.name} ends highest, at {first.ys[-1]:.3f}",
            )
        )
    return {
        "charts": charts,
        "legend": {name: numbers[name] for name in next(iter(moved.values()))},
    }
