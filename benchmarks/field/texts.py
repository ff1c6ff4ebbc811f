"""G: records and genotypes that went through another editor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.field.cells import tried
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect

MARK = b"\xef\xbb\xbf"


def windows(path: Path) -> None:
    """Stores a text as some editors do: a mark in front, other line ends."""
    path.write_bytes(MARK + path.read_bytes().replace(b"\n", b"\r\n"))


@tried(
    "G",
    "all records with a byte order mark and other line ends",
    "search",
    "front",
    "classification",
    "imagenet",
)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    shutil.copytree("run", "clean")
    for path in [*Path("run").rglob("*.json"), *Path("run").rglob("*.jsonl")]:
        windows(path)
    work.done(*work.resume(column))
    folder = next(Path("run").rglob("metrics.jsonl")).parent
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8-sig").splitlines()
    expect(len(lines) == 2, f"{len(lines)} lines of metrics, not 2")
    return "right"


@tried("G", "a genotype file with a mark, other line ends, blank lines", "inspect", "cost", "retrain")
def _(work: Work, column: str) -> str:
    from search_space.genotype import PUBLISHED

    Path("g.json").write_text(PUBLISHED.to_json() + "\n\n")
    windows(Path("g.json"))
    words = {
        "inspect": ["inspect", "g.json", "--no-latency", "--json"],
        "cost": ["cost", "hoga:g.json", "--no-latency", "--json"],
        "retrain": ["retrain", "hoga:g.json", "--smoke", "--device", "cpu", "--data.limit", "50"],
    }[column]
    if column == "retrain":
        words += ["--train.batch-size", "10", "--width", "8"]
    told = work.done(*words)
    if column == "inspect":
        expect(json.loads(told.out)["genotype"] == json.loads(PUBLISHED.to_json()), "another genotype")
    return "right"


@tried("G", "a literal of the public code with comments, line ends and a name in front", "inspect")
def _(work: Work, column: str) -> str:
    from search_space.genotype import PUBLISHED

    literal = PUBLISHED.to_literal().replace("], ", "],\r\n    ")
    said = list[str]()
    for name, text in {
        "ends": literal + "\r\n",
        "name": f"HOGA = {literal}",
        "comment": f"# from genotypes.py\n{literal}  # found in epoch 50",
    }.items():
        Path(name).write_bytes(MARK + text.encode())
        told = work.run("inspect", name, "--no-latency", "--json")
        if told.code == 0:
            expect(json.loads(told.out)["genotype"] == json.loads(PUBLISHED.to_json()), f"{name}: another")
            said.append(name)
        else:
            work.is_refusal(told, name)
    return f"right: {', '.join(said) or 'all'} read, the rest refused"


@tried("G", "a genotype in UTF-16", "inspect")
def _(work: Work, column: str) -> str:
    from search_space.genotype import PUBLISHED

    Path("g.json").write_bytes(PUBLISHED.to_json().encode("utf-16"))
    return work.refused("inspect", "g.json", naming="g.json")


@tried("G", "a genotype with a comma too many, a comment, single quotes, a key twice", "inspect")
def _(work: Work, column: str) -> str:
    from search_space.genotype import PUBLISHED

    text = PUBLISHED.to_json().strip()
    line = ""
    for other in (
        text[:-1] + ",}",
        "// found\n" + text,
        text.replace('"', "'"),
        text[:-1] + ', "nodes": []}',
        text[:-20],
        "",
        "null",
        "[]",
    ):
        Path("g.json").write_text(other)
        line = work.refused("inspect", "g.json", naming="g.json")
    return line


@tried("G", "metrics.jsonl with a blank line, or its last line without an end", "search", "classification")
def _(work: Work, column: str) -> str:
    work.stopped(column)
    path = next(Path("run").rglob("metrics.jsonl"))
    path.write_text(path.read_text() + "\n\n")
    work.done(*work.resume(column))
    lines = path.read_text().splitlines()
    expect(len(lines) == 2 and all(map(json.loads, lines)), f"lines: {lines}")
    return "right"
