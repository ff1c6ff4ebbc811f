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


def test_every_package_is_shipped() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    there = {
        ".".join(path.parent.parts)
        for path in MODULES
        if path.name == "__init__.py" and path.parts[0] not in ("tests", "benchmarks")
    }
    assert set(listed["packages"]) == there
