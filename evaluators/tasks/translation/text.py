"""Parallel text read a pair at a time: two files, lines with a tab, or Hugging Face's tables."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evaluators.tasks.translation.data import TextData
from foundation.errors import InputError, shown
from foundation.reading import check_regular

Pair = tuple[str, str]
"""A sentence and its translation."""

ROWS = 8192
"""Rows of a table that are read at once."""


class Text:
    """A part of a parallel text, which is read anew, and never held, each time it is gone through.

    Attributes:
        digest: Of the sentences that were read, once all of them were.
        count: How many pairs these were.
    """

    def __init__(self, data: TextData, part: str) -> None:
        self.data, self.part = data, part
        self.digest, self.count = "", 0
        self._read = READERS[data.format]

    def __iter__(self) -> Iterator[Pair]:
        """All pairs in order.

        Raises:
            InputError: If a file is missing, damaged, not UTF-8 or of another form, or there is no pair.
        """
        whole, count = hashlib.blake2b(digest_size=16), 0
        for source, target in self._read(self.data, self.part):
            whole.update(f"{source}\0{target}\n".encode())
            count += 1
            yield source, target
        if not count:
            raise InputError(f"the part {self.part!r} of {self.data.root} has no sentence")
        self.digest, self.count = whole.hexdigest(), count


def read_files(data: TextData, part: str) -> Iterator[Pair]:
    """Two files, a sentence a line.

    Raises:
        InputError: As `Text`, and if they have different numbers of lines.
    """
    paths = [
        _found(data, data.pattern.format(part=part, language=name)) for name in (data.source, data.target)
    ]
    numbers = [0, 0]
    for source, target in itertools.zip_longest(*map(lines, paths)):
        numbers = [number + (one is not None) for number, one in zip(numbers, (source, target))]
        if source is not None and target is not None:
            yield source, target
    if numbers[0] != numbers[1]:
        counts = " and ".join(f"{path} {number}" for path, number in zip(paths, numbers))
        raise InputError(f"line by line the two files do not match: {counts} lines")


def read_tsv(data: TextData, part: str) -> Iterator[Pair]:
    """Lines of columns with tabs between them: source, target, or as a first line names them.

    Raises:
        InputError: As `Text`, and if a line has another number of columns.
    """
    path = _found(data, data.pattern.format(part=part, language=""))
    columns, first, second = 2, 0, 1
    for number, line in enumerate(lines(path), 1):
        cells = line.split("\t")
        if number == 1 and {data.source, data.target} <= set(cells):
            columns = len(cells)
            first, second = cells.index(data.source), cells.index(data.target)
            continue
        if len(cells) != columns:
            raise InputError(f"{path}, line {number}: {len(cells)} columns with tabs between, not {columns}")
        yield cells[first], cells[second]


def read_parquet(data: TextData, part: str) -> Iterator[Pair]:
    """Tables with a column `translation` of both languages, or one for each.

    Raises:
        InputError: As `Text`, and if pyarrow is not installed or a table has no such columns.
    """
    root, pattern = _root(data), data.pattern.format(part=part, language="")
    paths = sorted(root.glob(pattern))
    if not paths:
        raise InputError(f"no table {pattern} in {root}; say how it is named: --data.files")
    for path in paths:
        table = open_table(path)
        names = table.schema_arrow.names
        try:
            own = ["translation"] if "translation" in names else [data.source, data.target]
            if missing := [name for name in own if name not in names]:
                raise InputError(f"{path} has no column {missing[0]}; it has {', '.join(names)}")
            for batch in table.iter_batches(ROWS, columns=own):
                for row in batch.to_pylist():
                    yield _row(row, data, path)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(_no_table(path, error)) from None


READERS: dict[str, Callable[[TextData, str], Iterator[Pair]]] = {
    "files": read_files,
    "tsv": read_tsv,
    "parquet": read_parquet,
}


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file, plain or packed by gzip, without what ends them.

    Raises:
        InputError: If it cannot be read, or is not UTF-8; names the line.
    """
    check_regular(path, "text")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number in itertools.count(1):
            try:
                line = file.readline()
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"{path} is damaged after line {number - 1}: {error}") from None
            if not line:
                return
            yield decoded(line, f"{path}, line {number}", first=number == 1)


def open_table(path: Path) -> Any:
    """A table of Hugging Face's, of which the columns are known and nothing is read yet.

    Raises:
        InputError: If pyarrow is not installed, or the file is no table.
    """
    pq = _parquet()
    check_regular(path, "table")
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise InputError(_no_table(path, error)) from None


def decoded(line: bytes, where: str, *, first: bool = False) -> str:
    """A line of UTF-8 without its end; a byte order mark in the first is dropped.

    Raises:
        InputError: If it is no UTF-8.
    """
    try:
        text = line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{where}: not UTF-8 text; convert it, as by iconv -t UTF-8") from None
    return text.rstrip("\r\n")


def _root(data: TextData) -> Path:
    if data.root is None:
        raise InputError("translation needs text: give its folder, --data.root FOLDER")
    root = Path(data.root).expanduser()
    if not root.is_dir():
        raise InputError(f"no folder of text at {root}")
    return root


def _found(data: TextData, name: str) -> Path:
    root = _root(data)
    there = [path for path in (root / name, root / f"{name}.gz") if path.exists()]
    if not there:
        raise InputError(f"no text {name} or {name}.gz in {root}; say how it is named: --data.files")
    if len(there) > 1:
        raise InputError(f"{there[0]} is there plain and packed; keep one of them")
    return there[0]


def _row(row: dict[str, Any], data: TextData, path: Path) -> Pair:
    cells = row.get("translation", row)
    values = [cells.get(name) if isinstance(cells, dict) else None for name in (data.source, data.target)]
    if not all(isinstance(value, str) for value in values):
        raise InputError(f"{path} has a row without text in {data.source} and {data.target}: {shown(cells)}")
    source, target = (value.replace("\n", " ") for value in values if isinstance(value, str))
    return source, target


def _no_table(path: Path, error: Exception) -> str:
    return f"{path} is no whole table: {' '.join(str(error).split())}"


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError("tables need pyarrow: pip install 'autola[parquet]'") from None
    return parquet
