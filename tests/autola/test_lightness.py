"""No command loads what it does not use: a list for each of what it may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autola.cli import COMMANDS

ROOT = Path(__file__).parents[2]

TORCH = ("torch", "torchvision", "timm", "lightning", "jaxtyping")
RECORDS = ("tensorboard", "nni", "sklearn", "matplotlib", "onnx")
COMPILER = ("torch._dynamo", "torch._inductor", "sympy", "triton")
READS = ("pydantic", "rich.table", "PIL")

HELP_WITH_SETTINGS = ("search", "retrain", "compare")
"""Their options come from the configs of searchers, tasks and data."""

UNUSED = {
    **{f"{name} --help": (*TORCH, *RECORDS, *READS) for name in COMMANDS if name not in HELP_WITH_SETTINGS},
    "list": ("torchvision", "timm", "lightning", "sklearn", "tensorboard", "nni", "matplotlib"),
    "cost none se hoga --no-latency": (*COMPILER, "torchvision", "timm", "lightning", *RECORDS),
    "inspect hoga --no-latency": ("torchvision", "timm", "lightning", "tensorboard", "nni", "sklearn"),
    "inspect hoga --svg .png": (*TORCH, *RECORDS, "pydantic"),
    "export nowhere": ("nni", "tensorboard"),
    "nothing": (*TORCH, *RECORDS, *READS, "tyro"),
}

ASKS = """
import contextlib, io, sys
from autola.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
        main(sys.argv[1].split())
    except SystemExit:
        pass
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""


def loaded(words: str, *modules: str) -> list[str]:
    """Which of some modules a command loads, in a process of its own."""
    command = [sys.executable, "-c", ASKS, words, *modules]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return told.stdout.split()


LONG = ("inspect hoga --no-latency", "export nowhere")
"""Seconds each, for PyTorch alone."""


@pytest.mark.parametrize(
    "words", [pytest.param(words, marks=[pytest.mark.slow] * (words in LONG)) for words in UNUSED]
)
def test_a_command_does_not_load_what_it_does_not_use(words: str) -> None:
    assert loaded(words, *UNUSED[words]) == []


@pytest.mark.parametrize("name", HELP_WITH_SETTINGS)
def test_help_with_settings_loads_no_torch(name: str) -> None:
    assert loaded(f"{name} --help", *TORCH, "numpy", *RECORDS, *READS) == []


@pytest.mark.parametrize("registry", ["evaluators.tasks.TASKS", "searchers.SEARCHERS"])
def test_configs_load_no_torch(registry: str) -> None:
    module, _, name = registry.rpartition(".")
    heavy = (*TORCH, "numpy", *RECORDS, *READS)
    code = f"import sys; from {module} import {name}; print(len({name}), *{{*{heavy}}} & {{*sys.modules}})"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    count, *seen = told.stdout.split()
    assert int(count) > 4
    assert seen == []


def test_what_is_used_is_seen() -> None:
    assert loaded("cost --help", "tyro", "torch") == ["tyro"]
