"""One cell of the matrix in processes of its own: a network with an attention, through all checks."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from foundation.files import write_text

FORKING = get_context("forkserver")
LOADED = (
    *("torch", "torchvision", "timm", "autola", "onnxscript", "onnxruntime", "onnxruntime.quantization"),
    *("torch._dynamo", "torch.export", "torch.onnx", "torchao", "benchmarks.models.checks"),
    *("segmentation_models_pytorch", "transformers", "benchmarks.models.yolo_like"),
)
"""Modules that processes find loaded; one that is not installed is passed over."""
ANSWERS = "answers.json"
MOST_WAITING = 50
"""Seconds, on a busy machine, for each second of processor time that a process may have."""


def cell(network: str, attention: str, checks: Sequence[str], limit_s: float) -> dict[str, Any]:
    """The answer of every check, where attention goes in at all, with places, seconds and losses.

    Args:
        network: Name in `NETWORKS`.
        attention: In the grammar.
        checks: Names of the checks, in their order.
        limit_s: Processor seconds after which the checks are ended.
    """
    folder = Path(tempfile.mkdtemp(prefix="autola-models-"))
    try:
        ended = _run(_check, (network, attention, list(checks), str(folder)), limit_s)
        file = folder / ANSWERS
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"checks": {}}
        begun = found.pop("begun", checks[0])
        if ended is None:
            found["checks"][begun] = (
                f"refused: not done after {limit_s:.0f} processor seconds, checks behind it not begun"
            )
        elif ended:
            found["checks"][begun] = f"wrong: the process ended with {ended}"
        if found["checks"].get("pickle") == "pass":
            ended = _run(_load, (network, attention, str(folder)), limit_s)
            said = folder / "loaded"
            found["checks"]["pickle"] = said.read_text() if said.exists() else f"wrong: ended with {ended}"
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(target: Any, args: tuple[Any, ...], limit_s: float) -> int | None:
    """Runs a function in a process of its own: its exit code, None where it took too long."""
    process = FORKING.Process(target=_limited, args=(target, args, limit_s))
    process.start()
    process.join(limit_s * MOST_WAITING)
    if process.exitcode is None:
        process.kill()
        process.join()
    return None if process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL) else process.exitcode


def _limited(target: Any, args: tuple[Any, ...], limit_s: float) -> None:
    limit = int(limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 10))
    target(*args)


def _silence() -> None:
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


def _check(network: str, attention: str, checks: list[str], folder: str) -> None:
    from benchmarks.models.checks import CHECKS, RUNTIMES
    from benchmarks.models.networks import NETWORKS
    from benchmarks.models.trial import PASS, Trial, answer_of

    _silence()
    trial = Trial(network=NETWORKS[network], attention=attention, folder=Path(folder))
    answers, seconds = dict[str, str](), dict[str, float]()

    def keep(begun: str) -> None:
        found = {"checks": answers, "seconds": seconds, "losses": trial.losses}
        places = {"places": trial.places} if trial.places else {}
        write_text(Path(folder) / ANSWERS, json.dumps({**places, **found, "begun": begun}))

    for name in checks:
        keep(name)
        start = time.process_time()
        answers[name] = answer_of(CHECKS[name], trial, ask_plain=name in RUNTIMES)
        seconds[name] = round(time.process_time() - start, 2)
        if name == "attach" and answers[name] != PASS:
            break
    keep("")


def _load(network: str, attention: str, folder: str) -> None:
    from benchmarks.models.checks import loaded
    from benchmarks.models.networks import NETWORKS
    from benchmarks.models.trial import Trial, answer_of

    _silence()
    trial = Trial(network=NETWORKS[network], attention=attention, folder=Path(folder))
    write_text(Path(folder) / "loaded", answer_of(loaded, trial, ask_plain=False))
