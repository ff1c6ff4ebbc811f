"""P: sentences and their translations, as people have them."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

from benchmarks.field.cells import tried
from benchmarks.field.jobs import DATA
from benchmarks.field.texts import windows
from benchmarks.field.work import Told, Work
from benchmarks.field.wrong import expect
from benchmarks.kills import differing, ending

ROOT = Path(DATA)
SOURCE, TARGET = ROOT / "train.de", ROOT / "train.en"


def lines_of(path: Path, *lines: str) -> None:
    """Puts lines behind those of a file."""
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))


def given_lines(work: Work, run: str, lines: bytes) -> Told:
    """What predict says of lines on its standard input."""
    real, sys.stdin = sys.stdin, SimpleNamespace(buffer=io.BytesIO(lines))  # type: ignore[assignment]
    try:
        return work.run("predict", run)
    finally:
        sys.stdin = real


@tried("P", "one file has a line more", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    lines_of(TARGET, "man sees dog")
    return work.refused(*work.words(column), naming="train.en")


@tried("P", "a line in Latin-1, a text in UTF-16", "translation")
def _(work: Work, column: str) -> str:
    line = ""
    for content in ("hund\nb\u00e4um\n".encode("latin-1"), "hund mag baum\n".encode("utf-16")):
        work.data(column)
        SOURCE.write_bytes(content)
        line = work.refused(*work.words(column), naming=("train.de", "UTF-8"))
    return line


@tried("P", "a byte order mark and other line ends", "translation")
def _(work: Work, column: str) -> str:
    work.finished(column)
    Path("run").rename("whole")
    for path in ROOT.iterdir():
        windows(path)
    work.done(*work.words(column))
    others = differing(ending(Path("whole/none-seed0")), ending(Path("run/none-seed0")))
    expect(not others, f"read as another text: {', '.join(others)}")
    return "right: the same to the bit"


@tried("P", "an empty line, and a sentence over the limit", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    lines_of(SOURCE, "", "hund " * 300)
    lines_of(TARGET, "dog", "dog " * 300)
    told = work.done(*work.words(column))
    expect("1 training pair" in told.err and "empty" in told.err, f"no empty one is counted: {told.err}")
    expect("longer than 250" in told.err, f"no long one is counted: {told.err}")
    return "right: both counted"


@tried("P", "no text at all", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    for path in (SOURCE, TARGET):
        path.write_text("")
    return work.refused(*work.words(column), naming="train")


@tried("P", "a tab too many, a tab too few", "translation")
def _(work: Work, column: str) -> str:
    line = ""
    for odd in ("hund\tdog\tmore", "hund"):
        shutil.rmtree(ROOT, ignore_errors=True)
        ROOT.mkdir()
        for part in ("train", "val", "test"):
            (ROOT / f"{part}.tsv").write_text("hund mag mann\tdog likes man\n" * 9)
        lines_of(ROOT / "train.tsv", odd)
        line = work.refused(*work.words(column), "--data.format", "tsv", naming=("train.tsv", "line 10"))
    return line


@tried("P", "a sentence becomes another between stop and resume", "translation")
def _(work: Work, column: str) -> str:
    work.stopped(column)
    first, *rest = TARGET.read_text().splitlines()
    TARGET.write_text("".join(f"{line}\n" for line in (f"{first} tree", *rest)))
    return work.refused(*work.resume(column), naming="the data of run changed")


@tried("P", "lines to translate: none, an empty one, no end, Latin-1", "predict")
def _(work: Work, column: str) -> str:
    run = work.member("translation")
    for lines, count in ((b"", 0), (b"\n", 1), (b"hund mag", 1), (b"hund\r\n\r\nmann\r\n", 3)):
        told = given_lines(work, run, lines)
        expect(told.code == 0 and told.out.count("\n") == count, f"{lines!r}: {told.out!r} {told.err[-200:]}")
    return work.is_refusal(given_lines(work, run, b"hund\nb\xe4um\n"), "line 2: not UTF-8")


@tried("P", "a vocabulary of another run in its record", "predict", "export")
def _(work: Work, column: str) -> str:
    run = Path(work.member("translation"))
    shutil.copytree(ROOT, "more")
    for path in (Path("more/train.de"), Path("more/train.en")):
        lines_of(path, "ganz andere buchstaben", "xyz")
    words = [("more" if word == DATA else word) for word in work.words("translation", "other")]
    work.done(*words)
    mine, theirs = (
        json.loads((folder / "data.json").read_text()) for folder in (run, Path("other/none-seed0"))
    )
    (run / "data.json").write_text(json.dumps(mine | {"vocabulary": theirs["vocabulary"]}))
    if column == "export":
        return work.refused("export", str(run), "--onnx", "net", naming="another vocabulary")
    return work.is_refusal(given_lines(work, str(run), b"hund\n"), "another vocabulary")
