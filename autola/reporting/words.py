"""Settings and data in a line, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autola.reporting.evidence import flat


def data_words(data: Mapping[str, Any], name: str) -> str:
    """What data.json says of the images.

    Args:
        data: What it holds.
        name: What they are called.
    """
    counts = {
        part: sum(listing["counts"].values())
        for part, listing in data.get("parts", {}).items()
        if isinstance(listing, dict) and isinstance(listing.get("counts"), dict)
    }
    shape, scorers = data.get("input_shape"), data.get("metrics")
    parts = [name, *(f"{part} {count:,}" for part, count in counts.items())]
    parts += [f"input {' x '.join(map(str, shape))}"] if shape else []
    parts += [f"{score}: {how}" for score, how in scorers.items()] if isinstance(scorers, dict) else []
    return ", ".join(parts)


def words_of(settings: Mapping[str, Any]) -> str:
    """Settings in a line; what is off or left out is left out."""
    named = flat({key: value for key, value in settings.items() if key != "name"})
    shown = [
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in named.items()
        if value not in (None, [], False, 0, 0.0)
    ]
    return ", ".join([*([str(settings["name"])] if "name" in settings else []), *shown])
