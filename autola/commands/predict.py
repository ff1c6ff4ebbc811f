"""`autola predict`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments

OUT = Path("outputs/runs/predict")

SHOWN = 5
"""Entries printed for each image; --json prints all."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Shows images to a trained network, and draws what it finds onto copies of them.

    A network that translates gets lines of text from standard input, and writes as many to standard output;
    with --out it draws what it looked at.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of one training, as RUN/se-seed0."""
    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGE ...")] = ()
    """Image files to predict on, of any type, size and mode that Pillow knows; none for a network that
    translates."""
    out: Path | None = None
    """Path of a new folder for the drawn pictures; ./outputs/runs/predict-1, -2 ... if left out, none with
    --json. Of lines, what each attention looked at, as n.png of line n; none if left out."""
    json: bool = False
    """Print one JSON list and nothing else: of each image its path (image) and what was found (found), of
    each line itself (source) and its translation (translation); and the path of the drawn picture where there
    is one (picture)."""


def run(arguments: list[str]) -> None:
    """Predicts on the images, and prints or draws what is found."""
    given = read_arguments(Arguments, arguments, command="predict")
    if not given.images:
        _translate(given)
        return
    from autola.predicting import run_predictions  # slow: torch

    out = given.out or (None if given.json else OUT)
    entries = run_predictions(given.run, given.images, out, numbered=given.out is None)
    if given.json:
        print_json(entries)
        return
    for entry in entries:
        out_of_terminal(entry["image"])
        if not entry["found"]:
            out_of_terminal("  nothing found")
        for found in entry["found"][:SHOWN]:
            out_of_terminal("  " + "  ".join(_text(found[key]) for key in found))
        if len(entry["found"]) > SHOWN:
            out_of_terminal(f"  and {len(entry['found']) - SHOWN} more")
    out_of_terminal(f"pictures  {Path(entries[0]['picture']).parent}")


def _translate(given: Arguments) -> None:
    """Translates the lines of standard input."""
    from autola.predicting import open_translator, pictured_translations, translations  # slow: torch

    trained = open_translator(given.run)
    if given.out is None:
        pairs = translations(trained, sys.stdin.buffer)
        entries = ({"source": source, "translation": translation} for source, translation in pairs)
    else:
        entries = pictured_translations(trained, sys.stdin.buffer, given.out)
    if given.json:
        print_json([*entries])
        return
    for entry in entries:
        out_of_terminal(entry["translation"])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        return "  ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)
