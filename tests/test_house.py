"""The house itself: what may import what, how long a file may be, what is documented."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from search_space.operator import OPERATORS

ROOT = Path(__file__).parents[1]
ROOMS = (
    "autola",
    "benchmarks",
    "evaluators",
    "foundation",
    "outputs",
    "search_space",
    "searchers",
    "supernet",
    "tests",
)
MODULES = sorted(
    path.relative_to(ROOT)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "runs" not in path.parts
)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_have_a_summary_of_one_line(name: str) -> None:
    recipe = OPERATORS[name]
    summary, _, rest = (recipe.module.__doc__ or "").strip().partition("\n")
    assert recipe.summary == summary
    assert summary.endswith(".")
    assert not rest.partition("\n")[0].strip(), "the summary runs over its line"
    source = sys.modules[recipe.module.__module__].__doc__ or ""
    assert "Source: " in source or "Source: " in rest, "an operator names its paper"


@pytest.mark.parametrize("module", ["search_space.genotype", "search_space.space", "foundation.registry"])
def test_data_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_files_stay_readable(path: Path) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400, "split it by idea"


LISTED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def test_every_package_is_shipped() -> None:
    there = {
        ".".join(path.parent.parts)
        for path in MODULES
        if path.name == "__init__.py" and path.parts[0] not in ("tests", "benchmarks")
    }
    assert set(LISTED["packages"]) == there


def test_files_that_packages_read_are_shipped() -> None:
    rooms = [room for room in ROOMS if room not in ("tests", "benchmarks")]
    read = {
        path.relative_to(ROOT)
        for room in rooms
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".js", ".npz", ".json", ".typed") and "runs" not in path.parts
    }
    shipped = {
        path.relative_to(ROOT)
        for package, patterns in LISTED["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    assert read
    studies = Path("outputs/published")  # for who reads the repository: folders of single trainings
    assert {path for path in read - shipped if studies not in path.parents[1:]} == set()
