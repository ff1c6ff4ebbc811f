"""Parallel text: layouts that hold the same, and what cannot be read."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluators.tasks.translation.data import TextData
from evaluators.tasks.translation.folder import look
from evaluators.tasks.translation.text import Text
from foundation.errors import InputError
from tests.evaluators.sentences import pairs, text, write

__all__ = ["text"]


def test_layouts_hold_the_same_pairs(text, tmp_path):
    expected = list(Text(text, "train"))
    assert len(expected) == 37
    packed = tmp_path / "packed"
    packed.mkdir()
    for language in ("de", "en"):
        raw = (tmp_path / f"train.{language}").read_bytes()
        (packed / f"train.{language}.gz").write_bytes(gzip.compress(raw))
    lines = [f"{source}\t{target}\r\n" for source, target in expected]
    (tmp_path / "train.tsv").write_text("".join(lines), newline="")
    named = [f"{number}\t{target}\t{source}\n" for number, (source, target) in enumerate(expected)]
    (tmp_path / "named-train.tsv").write_text("﻿id\ten\tde\n" + "".join(named))
    for data in (
        replace(text, root=str(packed)),
        replace(text, format="tsv"),
        replace(text, format="tsv", files="named-{part}.tsv"),
    ):
        assert list(Text(data, "train")) == expected


def test_tables_hold_the_same_pairs(text, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    expected = list(Text(text, "train"))
    rows = [{"de": source, "en": target} for source, target in expected]
    for number, some in enumerate((rows[:20], rows[20:])):
        table = pa.table({"translation": some})
        parquet.write_table(table, tmp_path / f"train-{number:05}-of-00002.parquet")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "columns.parquet")
    assert list(Text(replace(text, format="parquet"), "train")) == expected
    columns = replace(text, format="parquet", files="col{part}.parquet")
    assert list(Text(columns, "umns")) == expected
    with pytest.raises(InputError, match="has no column fr; it has de, en"):
        list(Text(replace(columns, source="fr"), "umns"))
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "columns.parquet").read_bytes()[:-30])
    with pytest.raises(InputError, match="is no whole table"):
        list(Text(replace(columns, files="{part}.parquet"), "cut"))


def spoil(root, name):
    path = root / "train.de"
    match name:
        case "a line too many":
            path.write_text(path.read_text() + "hund\n")
        case "another encoding":
            path.write_bytes(path.read_bytes().replace(b"baum", "bäum".encode("latin-1"), 1))
        case "nothing":
            path.unlink()
        case "a folder":
            path.unlink()
            path.mkdir()
        case "both":
            (root / "train.de.gz").write_bytes(gzip.compress(path.read_bytes()))
        case "cut short":
            whole = gzip.compress(path.read_bytes())
            path.unlink()
            (root / "train.de.gz").write_bytes(whole[:-20])
        case "empty":
            for file in root.glob("train.*"):
                file.write_text("")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a line too many", r"do not match: .*train\.de 38 and .*train\.en 37 lines"),
        ("another encoding", r"train\.de, line \d+: not UTF-8 text"),
        ("nothing", r"no text train\.de or train\.de\.gz"),
        ("a folder", "cannot read a text from"),
        ("both", "is there plain and packed"),
        ("cut short", r"train\.de\.gz is damaged after line \d+"),
        ("empty", "has no sentence"),
    ],
)
def test_text_that_cannot_be_read_is_named(text, tmp_path, name, said):
    spoil(tmp_path, name)
    with pytest.raises(InputError, match=said):
        list(Text(text, "train"))


def test_lines_of_other_columns_are_named(text, tmp_path):
    (tmp_path / "train.tsv").write_text("a\tb\nc\n")
    with pytest.raises(InputError, match=r"train\.tsv, line 2: 1 columns with tabs between, not 2"):
        list(Text(replace(text, format="tsv"), "train"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "en"}, "source and target are both 'en'"),
        ({"files": "x.{part}"}, "has to contain {language}"),
        ({"vocabulary": 3}, "at least 16"),
    ],
)
def test_settings_that_make_no_sense(text, changes, said):
    with pytest.raises(InputError, match=said):
        replace(text, **changes)


def as_files(root: Path, number: str = "") -> None:
    write(root, **{"train": pairs(4), f"test{number}": pairs(2)})


def as_packed_files(root: Path) -> None:
    as_files(root, "_2016_flickr")
    for path in list(root.iterdir()):
        (root / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def as_lines(root: Path) -> None:
    for part in ("train", "valid", "test"):
        (root / f"{part}.tsv").write_text("fr\tit\n" + "".join(f"{a}\t{b}\n" for a, b in pairs(3)))


def as_tables(root: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"translation": {"en": english, "cs": czech}} for czech, english in pairs(3)]
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        parquet.write_table(pa.Table.from_pylist(rows), root / f"{name}.parquet")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (as_files, "train and test, de to en, --data.validation None --data.test test"),
        (
            as_packed_files,
            "train and test_2016_flickr, de to en, --data.validation None --data.test test_2016_flickr",
        ),
        (
            as_lines,
            "train, valid and test, fr to it, --data.format tsv --data.source fr --data.target it "
            "--data.validation valid --data.test test",
        ),
        (
            as_tables,
            "train and test, cs to en, --data.format parquet --data.source cs --data.validation None "
            "--data.test test",
        ),
    ],
)
def test_a_layout_that_is_seen_is_read_by_the_options_that_are_named(make, said, tmp_path):
    make(tmp_path)
    assert look(tmp_path) == said
    words = said.partition(" --data.")[2].split(" --data.")
    options: Any = {name: None if value == "None" else value for name, value in map(str.split, words)}
    data = TextData(root=str(tmp_path), **options)
    for part in filter(None, (data.train, data.validation, data.test)):
        assert len(list(Text(data, part))) > 1


def test_what_a_folder_lacks_of_text_is_named(tmp_path):
    for name in ("train.tar", "train.txt", "test.tar", "test.txt", "train-labels.tsv"):
        (tmp_path / name).write_text("one line")
    with pytest.raises(InputError, match=r"neither train\.de and train\.en"):
        look(tmp_path)
    write(tmp_path, train=pairs(2), newstest2014=pairs(2))
    with pytest.raises(InputError, match=r"has newstest2014 and train in de and en.* --data\.test"):
        look(tmp_path)
