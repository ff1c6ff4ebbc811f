"""`autola::cell`: a deployed cell as one operator of PyTorch, built once on the machine that runs it.

The library is compiled for what PyTorch itself uses of the processor and kept in a folder, under a name that
says for what it was built: another version of PyTorch, of these sources or another processor builds its own.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.errors import InputError
from foundation.files import cache_folder, write_atomically

log = logging.getLogger(__name__)

HERE = Path(__file__).parent

FLAGS = ("-std=c++20", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
"""What the loops need to be vectorised; sums are in the order that is written."""

PROCESSOR_FLAGS: dict[str, tuple[str, ...]] = {
    "AVX512": ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"),
    "AVX2": ("-mavx2", "-mfma"),
}
"""What a processor has beyond the least, by PyTorch's name for it."""

INCLUDES = re.compile(r'^#include "(.+)"', re.MULTILINE)
"""A source's own files; those of a library are in angle brackets."""

COMPILERS = ("c++", "g++", "clang++")


@cache
def why_missing() -> str | None:
    """Loads the operator, built the first time. Gives the reason where that is not possible, else None."""
    if (reason := load_once("torch_operator.cpp")) is not None:
        return reason
    torch.library.register_fake("autola::cell", _shape)
    torch.library.register_autograd("autola::cell", _refuse)
    return None


def load_once(source: str) -> str | None:
    """Loads a library of operators, compiled the first time. Gives the reason where that fails, else None."""
    try:
        torch.ops.load_library(library(source))
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"the native operator does not load ({' '.join(str(error).split())[:160]})"
    return None


def load_cell_operator() -> None:
    """Makes `autola::cell` known to PyTorch, for programs that hold it: before `torch.export.load`.

    It is compiled the first time on a machine, which takes seconds, and found again after that.

    Raises:
        InputError: If there is no compiler, it fails, or the folder cannot be written to.
    """
    if reason := why_missing():
        raise InputError(reason)


def library(source: str = "torch_operator.cpp") -> Path:
    """Compiled operators of PyTorch.

    Args:
        source: Name of the file to compile.

    Raises:
        InputError: If there is no compiler, it fails, or the folder cannot be written to.
    """
    torch_folder = Path(torch.__file__).parent
    include = torch_folder / "include"
    libraries = torch_folder / "lib"
    options = [f"-I{include}", f"-I{include / 'torch' / 'csrc' / 'api' / 'include'}", f"-L{libraries}"]
    return built(source, torch.__version__, options, ("-ltorch_cpu", "-ltorch", "-lc10"))


def built(
    source: str,
    version: str = "",
    options: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> Path:
    """A library compiled of one of this folder's sources, or the one that was compiled before.

    Args:
        source: Name of the file to compile.
        version: Of what it is compiled against.
        options: Of the compiler, which say where that is.
        libraries: Names of what it is linked with.

    Raises:
        InputError: If there is no compiler, it fails, or the folder cannot be written to.
    """
    flags = [*FLAGS, *PROCESSOR_FLAGS.get(torch.backends.cpu.get_cpu_capability(), ())]
    digest = hashlib.sha256(repr((flags, version, platform.machine(), sys.platform)).encode())
    for path in sources_of(HERE / source):
        digest.update(path.read_bytes())
    given = os.environ.get("TORCH_EXTENSIONS_DIR")
    folder = Path(given) / "autola" if given else cache_folder() / "native"
    path = folder / f"{Path(source).stem}-{digest.hexdigest()[:16]}.so"
    if path.exists():
        return path
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise InputError(f"no C++ compiler for the native operator ({', '.join(COMPILERS)}, or CXX)")
    log.info("building the native operator, once")

    def compile_to(temporary: Path) -> None:
        command = [*compiler.split(), *flags, "-fPIC", "-shared", *options, str(HERE / source)]
        try:
            done = subprocess.run(
                [*command, "-o", str(temporary), *libraries], capture_output=True, text=True
            )
        except OSError as error:
            raise InputError(
                f"the native operator cannot be built by {compiler} ({error.strerror})"
            ) from None
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr.strip()]
            raise InputError(f"{compiler} does not build the native operator ({errors[0].strip()[:160]})")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, compile_to)
    except OSError as error:
        raise InputError(f"the native operator cannot be built in {folder} ({error.strerror})") from None
    return path


def sources_of(path: Path) -> list[Path]:
    """A source and all files of its folder that it includes, each once."""
    found, left = list[Path](), [path]
    while left:
        if (path := left.pop()) not in found:
            found.append(path)
            left += [path.parent / name for name in INCLUDES.findall(path.read_text(encoding="utf-8"))]
    return found


def _shape(x: Tensor, weights: Tensor, program: Sequence[int]) -> Tensor:
    return torch.empty_like(x)


def _refuse(ctx: Any, *gradients: Tensor) -> None:
    raise InputError(
        "autola::cell has no backward pass; a deployed cell runs another form where gradients are asked"
    )
