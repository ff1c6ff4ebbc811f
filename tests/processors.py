"""Runs the tests that compare numbers as on processors of other kinds than this one.

torch and oneDNN choose their kernels by what the processor can do, and add up in another order in each; so
does another number of threads. What this processor does of itself is left to `make test`, which runs these
tests as well. `make test-processors`, or with pytest's own arguments behind it:

    python -m tests.processors -x
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

from foundation.cores import usable_cores
from tests.alone import ROOT

KINDS = {
    "default": ("SSE41", 1),
    "avx2": ("AVX2", 2),
    "avx512": ("AVX512_CORE", 1),
}
"""ATen's name of a kind, to oneDNN's and the number of threads that the tests then use."""


def numeric_tests() -> list[str]:
    """Tests that use the one rule of equality, themselves or through functions of their file."""
    return sorted(
        f"{path.relative_to(ROOT)}::{name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in _comparing(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("test_")
    )


def _comparing(module: ast.Module) -> set[str]:
    """Functions of a module that call `assert_equal`, or one of the module's functions that does."""
    calls = {
        function.name: {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        for function in module.body
        if isinstance(function, ast.FunctionDef)
    }
    found = {"assert_equal"}
    while more := {name for name, used in calls.items() if used & found} - found:
        found |= more
    return found


def left_out(kind: str) -> str:
    """Why a kind is not run here, if it is not; torch itself does not look whether the processor has it."""
    import torch

    if kind == torch.backends.cpu.get_cpu_capability().lower():
        return "it is this processor's own, which make test runs"
    known = kind == "default" or getattr(torch.cpu, f"_is_{kind}_supported")()
    return "" if known else "this processor does not have it"


def main(arguments: list[str]) -> int:
    """Runs all kinds, and returns the first exit code that is not 0."""
    failed = 0
    for kind, (onednn, threads) in KINDS.items():
        if reason := left_out(kind):
            print(f"{kind}: left out, {reason}", flush=True)
            continue
        print(f"{kind}, {threads} thread(s)", flush=True)
        environment = os.environ | {
            "ATEN_CPU_CAPABILITY": kind,
            "ONEDNN_MAX_CPU_ISA": onednn,
            "OMP_NUM_THREADS": str(threads),
        }
        workers = max(1, usable_cores() // threads)  # threads that share a core wait for one another
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), *numeric_tests(), *arguments]
        code = subprocess.run(command, cwd=ROOT, env=environment).returncode
        failed = failed or code
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
