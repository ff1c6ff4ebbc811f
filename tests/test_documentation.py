"""The pages keep their word: code runs, command lines parse, links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from autola import arguments
from autola.cli import COMMANDS
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from docs.write_operators import LAWS, Law, evaluate, measured
from docs.write_reference import places
from evaluators.tasks.classification import Classification
from search_space.grammar import parse_attention

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
FEW = 150
"""Images that the blocks search and train on: enough for a batch of 64 from each half."""
EXTENDING = ROOT / "docs" / "extending.md"


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comment directly above it."""

    language: str
    text: str
    comment: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    fence = re.compile(r"(?:^<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [
        Block(found[2], found[3], found[1] or "", text[: found.start(3)].count("\n"))
        for found in fence.finditer(text)
    ]


def command_lines(page: Path) -> list[list[str]]:
    return [
        words[1:]
        for block in blocks(page)
        if block.language in ("console", "sh")
        for line in block.text.splitlines()
        if (words := shlex.split(line, comments=True))[:1] == ["autola"]
    ]


RUN = [
    page for page in PAGES if any(block.language == "python" for block in blocks(page)) and page != EXTENDING
]
LINES = [
    pytest.param(line, id=f"{page.stem}: autola {shlex.join(line)}")
    for page in PAGES
    if page != EXTENDING
    for line in command_lines(page)
]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    search, retrain = SEARCH_PRESETS["digits"], RETRAIN_PRESETS["digits"]
    assert isinstance(retrain.task, Classification)
    few = replace(search.data, limit=FEW)
    monkeypatch.setitem(SEARCH_PRESETS._entries, "digits", replace(search, data=few))
    task = replace(retrain.task, data=few)
    monkeypatch.setitem(RETRAIN_PRESETS._entries, "digits", replace(retrain, task=task))
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python" and not block.comment.startswith("not run: ") and has_needed(block):
            # As many empty lines above as in the page, so that a traceback names the page's line.
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


def has_needed(block: Block) -> bool:
    """Whether a package is here that a block needs and autola does not."""
    _, needs, package = block.comment.partition("needs ")
    return not needs or importlib.util.find_spec(package) is not None


class Parsed(BaseException):
    """Ends a command once its arguments are read."""


@pytest.mark.parametrize("line", LINES)
def test_command_lines_parse(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, *rest = line
    assert name in COMMANDS
    command = importlib.import_module(f"autola.commands.{name}")

    def read(*given: Any, **options: Any) -> None:
        raise Parsed(arguments.read_arguments(*given, **options))

    monkeypatch.setattr(command, "read_arguments", read)
    with pytest.raises(Parsed) as parsed:
        command.run(rest)
    (given,) = parsed.value.args
    named = getattr(given, "attentions", ()) or getattr(given, "attention", ())
    for attention in (named,) if isinstance(named, str) else named:
        parse_attention(re.sub(r"(hoga|places):.*", "hoga", attention))


DRIVER = """
import json, runpy, sys
from autola.cli import main
sys.path.append(".")
runpy.run_path("my_norms.py")
for line in json.load(sys.stdin):
    if main(line):
        sys.exit(f"failed: autola {' '.join(line)}")
"""


def test_extensions_run(tmp_path: Path) -> None:
    # In a process of its own: what they register stays there.
    programs = ""
    for block in blocks(EXTENDING):
        if block.language == "python":
            kind, _, name = block.comment.partition(": ")
            (tmp_path / name).write_text(block.text, encoding="utf-8")
            programs += block.text if kind == "program" else ""
    lines = command_lines(EXTENDING)
    imported = {line[line.index("--import") + 1] for line in lines}
    imported |= set(re.findall(r"^from (my_\w+) import", programs, re.MULTILINE)) | {"my_norms"}
    assert imported == {path.stem for path in tmp_path.glob("*.py")}
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}){DRIVER}"]
    done = subprocess.run(command, input=json.dumps(lines), cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["reference", "operators"])
def test_written_pages_are_up_to_date(name: str) -> None:
    # In a process of its own: other tests may have registered names.
    code = f"from docs.write_{name} import {name}; print({name}(), end='')"
    written = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True
    )
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert page == written.stdout, "make docs"


def test_an_option_is_of_one_kind_wherever_it_stands() -> None:
    for name, where in places().items():
        kinds = {option.kind.split()[0] for whose in where.values() for option in whose.values()}
        assert len(kinds) == 1, f"{name} is {' here and '.join(sorted(kinds))} there"


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_operators_cost_what_their_laws_say(law: Law) -> None:
    for place in ((32, 5, 7), (64, 16, 16), (96, 1, 9)):
        assert evaluate(law, *place) == measured(law.name, *place), place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_name_no_machine(page: Path) -> None:
    assert not re.search(r"(?<![\w.~])/(work|home|root|tmp|Users)/", page.read_text(encoding="utf-8"))


def test_the_map_names_files_and_contracts_that_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+/[a-z_/.]*)`", page)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    drawing = next(block.text for block in blocks(ROOT / "docs" / "architecture.md"))
    assert sorted(layers, key=drawing.index) == layers, "from the top floor down"
