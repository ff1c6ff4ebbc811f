"""The analyses of a run in its report: tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autola.configs import RetrainConfig
from autola.member import members_of
from autola.reporting.evidence import Evidence
from foundation.config import parse_json, read_text
from foundation.errors import InputError
from foundation.reading import read_bytes
from outputs.analysis import ANALYSIS, FOLDER, Analysis

MOST_BYTES = 2_500_000
"""Bytes of all pictures in a page; what is beyond is named alone."""


def analyses(runs: Sequence[Evidence]) -> list[list[dict[str, Any]]]:
    """What the template asks for, for each run: those of its folder and of the trainings in it.

    Raises:
        InputError: If one is damaged.
    """
    left, found = MOST_BYTES, list[list[dict[str, Any]]]()
    for run in runs:
        names = [m.name for m in members_of(run.settings)] if isinstance(run.settings, RetrainConfig) else []
        folders = [run.run.path / FOLDER, *(run.run.path / name / FOLDER for name in names)]
        chapters = list[dict[str, Any]]()
        for folder in folders:
            if (folder / ANALYSIS).is_file():
                chapter, used = _chapter(folder, left)
                chapters.append(chapter)
                left -= used
        found.append(chapters)
    return found


def _chapter(folder: Path, most: int) -> tuple[dict[str, Any], int]:
    text = read_text(folder / ANALYSIS, "record")
    analysis = parse_json(Analysis, text, str(folder / ANALYSIS))
    shown, omitted, used = list[dict[str, str]](), list[str](), 0
    for picture in analysis.pictures:
        if Path(picture.file).name != picture.file or not (folder / picture.file).is_file():
            raise InputError(f"{folder} has no picture {picture.file!r}, which its {ANALYSIS} names")
        source = base64.b64encode(read_bytes(folder / picture.file, "picture")).decode()
        if used + len(source) > most:
            omitted.append(picture.file)
            continue
        used += len(source)
        said = {"title": picture.title, "summary": picture.summary}
        shown.append({**said, "source": f"data:image/png;base64,{source}"})
    where = "" if folder.parent.name == "" else folder.parent.resolve().name
    return {
        "title": f"Analysis of {where}",
        "setting": _setting(analysis),
        "selectivity": _selectivity(analysis),
        "edges": _edges(analysis),
        "pictures": shown,
        "omitted": omitted,
        "left_out": analysis.left_out,
    }, used


def _setting(analysis: Analysis) -> list[tuple[str, str]]:
    images = f", {analysis.num_images:,} images" if analysis.num_images else ""
    return [
        ("networks", ", ".join(network.name for network in analysis.networks)),
        ("numbers are of", f"the {analysis.split} part{images}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in analysis.versions.items())),
    ]


def _selectivity(analysis: Analysis) -> dict[str, Any] | None:
    if not analysis.selectivity:
        return None
    names = {network.name: network.score for network in analysis.networks}
    rows = {
        name: [row for row in analysis.selectivity if row.network == name]
        for name in names
        if any(row.network == name for row in analysis.selectivity)
    }
    stages = [row.stage for row in max(rows.values(), key=len)]
    cells = [
        [
            name,
            "" if (score := names[name]) is None else f"{100 * score:.2f}",
            *("silent" if row.mean is None else f"{row.mean:.3f}" for row in own),
            *[""] * (len(stages) - len(own)),
        ]
        for name, own in rows.items()
    ]
    return {
        "head": ("network", f"{analysis.score} %", *stages),
        "rows": cells,
        "numbers": tuple(range(1, 2 + len(stages))),
        "caption": "Class selectivity (Morcos et al. 2018), mean over the channels of each stage: 0 where a "
        "channel answers to all classes alike, 1 where to one alone.",
    }


def _edges(analysis: Analysis) -> dict[str, Any] | None:
    if not analysis.edges:
        return None
    over = {row.over for row in analysis.edges}
    spread = {
        "trainings": "intervals over trainings, of each edge alone",
        "images": "intervals over the images, of one training and each edge alone",
        None: "one training, so that nobody knows how sure these are",
    }
    cells = [
        [
            row.attention,
            row.edge,
            row.operator,
            f"{100 * row.drop:+.2f}",
            "" if row.low is None or row.high is None else f"{100 * row.low:+.2f} to {100 * row.high:+.2f}",
        ]
        for row in analysis.edges
    ]
    return {
        "head": ("attention", "edge", "operator", f"{analysis.score} lost, points", "95 %"),
        "rows": cells,
        "numbers": (3, 4),
        "caption": "What is lost where one edge adds nothing and all else is as it was trained; "
        + "; ".join(text for key, text in spread.items() if key in over)
        + ".",
    }
