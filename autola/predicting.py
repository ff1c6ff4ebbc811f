"""Predictions of a trained network: drawn onto images, or translations of lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from autola.trained import Trained, open_trained
from evaluators.data.pictures import open_picture
from evaluators.tasks import reads_text
from evaluators.tasks.translation.text import decoded
from outputs.new_folder import make_folder
from outputs.new_folder import numbered as take_number

LINES = 512
"""Lines that are translated before they are given back."""


def open_translator(run: Path) -> Trained:
    """Reads a training of a network that translates.

    Args:
        run: Folder of one training.

    Raises:
        InputError: If it cannot be read, or is of images.
    """
    trained = open_trained(run)
    if not reads_text(trained.task):
        trained.task.translate(trained.network, trained.data, ())  # says what the task reads
    return trained


def translations(trained: Trained, given: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Lines with their translations, some at a time; all lines are read before the first is translated.

    Args:
        trained: A network that translates.
        given: Lines in UTF-8.

    Raises:
        InputError: If one is not UTF-8; none is translated then.
    """
    lines = _decoded(given)
    for first in range(0, len(lines), LINES):
        some = lines[first : first + LINES]
        yield from zip(some, trained.task.translate(trained.network, trained.data, some))


def _decoded(given: Iterable[bytes]) -> list[str]:
    return [
        decoded(line, f"standard input, line {number}", first=number == 1)
        for number, line in enumerate(given, 1)
    ]


def pictured_translations(trained: Trained, given: Iterable[bytes], out: Path) -> list[dict[str, Any]]:
    """Lines with their translations, and pictures of what each attention looked at.

    Args:
        trained: A network that translates.
        given: Lines in UTF-8.
        out: New folder for the pictures: n.png of line n.

    Returns:
        For each line, as JSON values: itself, its translation, and where its picture lies, if it has one.

    Raises:
        InputError: If a line is not UTF-8, or the folder is there.
    """
    from evaluators.tasks.translation.looking import attended
    from outputs.attention_maps import Maps, draw_maps

    lines, entries = _decoded(given), list[dict[str, Any]]()

    def draw(folder: Path) -> None:
        for number, line in enumerate(lines, 1):
            task: Any = trained.task
            translation, sights = attended(task, trained.network, trained.data["vocabulary"], line)
            entry: dict[str, Any] = {"source": line, "translation": translation}
            if sights:
                rows = [
                    Maps(
                        each.place,
                        each.queries,
                        each.keys,
                        {name: m.tolist() for name, m in each.maps.items()},
                    )
                    for each in sights
                ]
                draw_maps(rows, folder / f"{number}.png")
                entry["picture"] = str(out / f"{number}.png")
            entries.append(entry)

    make_folder(out, draw)
    return entries


def run_predictions(
    run: Path, images: Sequence[Path], out: Path | None, *, numbered: bool = False
) -> list[dict[str, Any]]:
    """Shows images to a trained network.

    Args:
        run: Folder of one training.
        images: Files of any type that Pillow knows.
        out: New folder for the drawn pictures, PNGs of the same names; None to draw none.
        numbered: Whether `out` gets the next free number behind it: predict-1, predict-2.

    Returns:
        For each image, as JSON values: where it lies, what was found, and where it was drawn.

    Raises:
        InputError: If the run or an image cannot be read; no folder is made then.
    """
    if out is None:
        trained = open_trained(run)
        return [_one(trained, image, None) for image in images]
    entries = list[dict[str, Any]]()

    def draw(folder: Path) -> None:
        trained = open_trained(run)
        entries[:] = [_one(trained, image, folder) for image in images]

    def make(path: Path) -> Path:
        make_folder(path, draw)
        return path

    whole = take_number(out, make) if numbered else make(out)
    return [{**entry, "picture": str(whole / entry["picture"])} for entry in entries]


def _one(trained: Any, image: Path, partial: Path | None) -> dict[str, Any]:
    picture = open_picture(image)
    prediction = trained.task.predict(trained.network, trained.data, picture)
    entry: dict[str, Any] = {"image": str(image), "found": prediction.found}
    if partial is not None:
        entry["picture"] = _free(partial, image.stem)
        prediction.picture.save(partial / entry["picture"])
    return entry


def _free(folder: Path, stem: str) -> str:
    """A name that no picture of the folder has: images of two folders may have one name."""
    names = chain([f"{stem}.png"], (f"{stem}-{number}.png" for number in count(2)))
    return next(name for name in names if not (folder / name).exists())
