"""What a report says of a search of placements, in a classifier or in the network of a task."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from autola.configs import AnySearch
from autola.reporting.evidence import Evidence
from autola.reporting.words import data_words, words_of
from outputs import placement_diagram
from search_space.placement import Placement
from search_space.term import short_label


def placement_texts(run: Evidence, config: AnySearch) -> dict[str, Any]:
    """Question, setting and drawing, as of a search of cells."""
    sites = "the sites" if run.placement is None else f"the {len(run.placement.standings)} sites"
    limits = f", within {' or '.join(config.target)}" if config.target else ""
    return {
        "question": f"What should stand at {sites} of {config.network_name}, for {config.subject}{limits}? "
        f"{config.searcher.name} looked for it.",
        "setting": [
            ("searcher", words_of(run.config["searcher"])),
            (
                "data",
                f"{data_words(run.data, config.subject)}; two halves of the training set are searched on",
            ),
            ("network", config.network_name),
            ("candidates", ", ".join(config.primitives or ()) or "those of the space"),
            ("limits", ", ".join(config.target) or "none"),
            ("seed", config.seed),
        ],
        "cells": [] if run.placement is None else [_drawn(run.placement, run)],
    }


def _drawn(placement: Placement, run: Evidence) -> dict[str, Any]:
    """The stages of the network as a picture, and the same as a table."""
    shares = run.run.site_shares()
    rows, described = list[Sequence[str]](), list[str]()
    for standing in placement.standings:
        known = placement_diagram.contest(standing, shares)
        figures = (
            ("", "", "") if known is None else (f"{100 * known[0]:.1f}", f"{100 * known[1]:.1f}", known[2])
        )
        attention = short_label(standing.attention)
        rows.append((standing.site, standing.stage or "", attention, str(standing.channels), *figures))
        described.append(f"{standing.site}: {attention}")
    with tempfile.TemporaryDirectory() as folder:
        picture = placement_diagram.save(placement, Path(folder) / "placement.svg", shares).read_bytes()
    said = escape(f"What stands at each site. {'; '.join(described)}")
    source = base64.b64encode(picture).decode()
    return {
        "title": "The placement",
        "hint": "Stages from left to right, blocks from top to bottom. The table has the same.",
        "svg": Markup('<img class="drawing" src="data:image/svg+xml;base64,{}" alt="{}">').format(
            source, said
        ),
        "head": ("site", "stage", "attention", "channels", "share %", "margin %", "runner-up"),
        "rows": rows,
        "numbers": (3, 4, 5),
        "caption": "The sites. Margin: the share's lead over the runner-up.",
    }
