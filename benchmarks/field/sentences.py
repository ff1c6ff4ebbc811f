"""P: parallel text of which something does not match, and what a network that translates is asked."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

from benchmarks.field.cells import tried
from benchmarks.field.jobs import DATA
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect

ROOT = Path(DATA)


@tried("P", "a line less in one of the languages", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    lines = (ROOT / "train.en").read_text().splitlines(keepends=True)
    (ROOT / "train.en").write_text("".join(lines[:-1]))
    return work.refused(*work.words(column), naming=("do not match", "train.en 39 lines"))


@tried("P", "text in Latin 1", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    lines = (ROOT / "train.de").read_text().splitlines()
    lines[6] = "b\u00e4ume"
    (ROOT / "train.de").write_bytes("\n".join(lines).encode("latin-1"))
    return work.refused(*work.words(column), naming=("train.de, line 7", "not UTF-8"))


@tried("P", "sentences that are empty on one side", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    lines = (ROOT / "train.de").read_text().splitlines()
    lines[3] = lines[9] = ""
    (ROOT / "train.de").write_text("\n".join(lines) + "\n")
    return work.refused_or_right(*work.words(column), naming="2 training pairs have an empty sentence")


@tried("P", "one sentence far too long", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    lines = (ROOT / "train.de").read_text().splitlines()
    lines[3] = "hund " * 400
    (ROOT / "train.de").write_text("\n".join(lines) + "\n")
    return work.refused_or_right(*work.words(column), naming="1 training pairs are longer than 250")


@tried("P", "a packed text that is cut short", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    packed = gzip.compress((ROOT / "train.de").read_bytes())
    (ROOT / "train.de").unlink()
    (ROOT / "train.de.gz").write_bytes(packed[:-9])
    return work.refused(*work.words(column), naming=("train.de.gz", "damaged"))


@tried("P", "a term that has no sense between two sentences", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    words = work.words(column)
    words[1] = "decoder.cross=ga:0110"
    return work.refused(*words, naming="cannot stand between decoder and encoder")


@tried("P", "the vocabulary of another run", "translation")
def _(work: Work, column: str) -> str:
    work.data(column)
    work.done(*work.words(column), "--out", "run")
    (ROOT / "train.de").write_text((ROOT / "train.de").read_text().replace("hund", "katze"))
    work.done(*work.words(column), "--out", "other")
    member = Path("run/none-seed0")
    before = json.loads((member / "data.json").read_text())["vocabulary"]
    shutil.copy("other/none-seed0/data.json", member / "data.json")
    expect(json.loads((member / "data.json").read_text())["vocabulary"] != before, "the same vocabulary")
    return work.refused("export", str(member), "--onnx", "net", naming="another vocabulary")
