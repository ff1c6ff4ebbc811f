"""What parallel text lies in a folder, by the names of its files and a first line, and the options for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from evaluators.data.parts import PARTS, Part
from evaluators.tasks.translation.data import TextData
from evaluators.tasks.translation.text import lines, open_table
from foundation.errors import InputError

USUAL = TextData()

_LANGUAGE = re.compile(r"[a-z]{2,3}([_-][A-Za-z]{2,4})?")
_TEXT = re.compile(rf"(?P<part>.+?)\.(?P<language>{_LANGUAGE.pattern})(\.gz)?")
_LINES = re.compile(r"(?P<part>.+)\.tsv(\.gz)?")
_TABLE = re.compile(r"(?P<part>.+?)(-\d+-of-\d+)?\.parquet")

_NO_LANGUAGES = frozenset(
    (
        *(
            "bin",
            "bz2",
            "csv",
            "doc",
            "gif",
            "gz",
            "jpg",
            "log",
            "md",
            "npy",
            "npz",
            "pdf",
            "pkl",
            "png",
            "pth",
        ),
        *("py", "rar", "sh", "tar", "tgz", "tif", "tsv", "txt", "xml", "xz", "yml", "zip"),
    )
)
"""Endings of other files that look like a language."""

Languages = dict[str, set[str]]
"""Parts, and the languages that each is there in."""


def look(root: Path) -> str:
    """What parallel text lies in a folder and the options that read it, in a few words.

    Raises:
        InputError: If it holds none, or no part to train on or to translate at the end.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder; parallel text is a folder of files")
    for form, parts in _formats(root):
        train = _first(parts, "train")
        if train is None or len(parts[train]) < 2:
            continue
        source, target = _direction(parts[train])
        whole = sorted(part for part, there in parts.items() if {source, target} <= there)
        validation, test = _first(whole, "val"), _first(whole, "test")
        if test is None:
            raise InputError(
                f"{root} has {' and '.join(whole)} in {source} and {target}, but no part to translate at the "
                "end; add one, or name it by --data.test"
            )
        found = {"format": form, "source": source, "target": target, "train": train, "validation": validation}
        options = {name: value for name, value in found.items() if value != getattr(USUAL, name)}
        text = " ".join(f"--data.{name} {value}" for name, value in (options | {"test": test}).items())
        named = [part for part in (train, validation, test) if part is not None]
        return f"{', '.join(named[:-1])} and {test}, {source} to {target}, {text}"
    usual = f"{USUAL.train}.{USUAL.source} and {USUAL.train}.{USUAL.target}"
    raise InputError(
        f"{root} has neither {usual} (or .gz), nor {USUAL.train}.tsv, nor {USUAL.train}*.parquet; "
        "say by --data.files and --data.train how yours are named"
    )


def _formats(root: Path) -> Iterator[tuple[str, Languages]]:
    """Every format with the parts that are there in it; the first line or the columns are read."""
    names = sorted(path.name for path in root.iterdir() if path.is_file())
    parts = Languages()
    for match in filter(None, map(_TEXT.fullmatch, names)):
        if match["language"] not in _NO_LANGUAGES:
            parts.setdefault(match["part"], set()).add(match["language"])
    yield "files", parts
    for form, pattern, languages in (("tsv", _LINES, _columns), ("parquet", _TABLE, _table_columns)):
        first = {
            str(match["part"]): match.string for match in filter(None, map(pattern.fullmatch, names[::-1]))
        }
        known = {_first(first, part) for part in PARTS} - {None}
        yield form, {part: languages(root / name) for part, name in first.items() if part in known}


def _columns(path: Path) -> set[str]:
    """The languages that a first line names; the usual ones where it is a pair of sentences already."""
    cells = next(lines(path), "").split("\t")
    named = set(filter(_LANGUAGE.fullmatch, cells))
    unnamed = {USUAL.source, USUAL.target} if len(cells) == 2 else set[str]()
    return named if len(named) > 1 else unnamed


def _table_columns(path: Path) -> set[str]:
    """The languages of a table: its columns, or the fields of the column `translation`."""
    schema = open_table(path).schema_arrow
    fields = schema.field("translation").type if "translation" in schema.names else schema
    return set(filter(_LANGUAGE.fullmatch, (field.name for field in fields)))


def _first(parts: Collection[str], part: Part) -> str | None:
    """The part by its usual name, or else one whose name begins so, as test_2016_flickr."""
    ways = (lambda name, usual: name == usual), str.startswith
    return next(
        (name for way in ways for usual in PARTS[part] for name in sorted(parts) if way(name, usual)), None
    )


def _direction(languages: Collection[str]) -> tuple[str, str]:
    """Source and target: the usual ones as far as they are there."""
    rest = sorted(languages)
    target = USUAL.target if USUAL.target in rest else rest[-1]
    rest.remove(target)
    return USUAL.source if USUAL.source in rest else rest[0], target
