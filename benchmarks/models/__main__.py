"""Puts attention into many networks and does with each what people do with networks.

    python -m benchmarks.models --workers 2

Each network with each attention is a process of its own: attention goes in, is the identity at first,
survives pickling, copying, saving, folding of norms, compiling, exporting, ONNX Runtime and eight bits, and
comes out again. A check passes, or says in a line why not. What the plain network does not pass itself is
counted apart. Answers are kept after every process: a run that was cut off goes on where it was. The table is
written to a page at the end.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.answer import answer
from benchmarks.measure import surroundings
from benchmarks.models.cells import FORKING, LOADED, cell
from benchmarks.models.networks import NETWORKS
from benchmarks.models.page import SAYS, counts, page
from foundation.files import write_text

ATTENTIONS = ("se", "cbam", "hoga", "aa", "dcn")
PACKAGES = ("torchvision", "timm", "transformers", "segmentation-models-pytorch", "onnxruntime", "torchao")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to try, and where the answers go."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Names of the networks, as "timm resnet10t"."""
    attentions: tuple[str, ...] = ATTENTIONS
    """Attentions, in the grammar."""
    checks: tuple[str, ...] = tuple(SAYS)
    """Checks, in their order."""
    results: Path = Path("outputs/published/models.json")
    """File of the answers; what it has is not tried again."""
    page: Path | None = Path("docs/models-matrix.md")
    """Page that the table is written to; none where it is left out."""
    workers: int = 1
    """Networks that are tried at a time, one thread each."""
    limit_s: float = 300.0
    """Processor seconds after which a process is ended, and says so."""
    json: bool = False
    """Prints one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """The answers of all networks with all attentions."""
    FORKING.set_forkserver_preload(list(LOADED))
    file = options.results
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    found["surroundings"] = _surroundings()
    networks: dict[str, Any] = found.setdefault("networks", {})
    lock = threading.Lock()

    def fill(name: str, attention: str) -> None:
        known = networks.setdefault(name, {}).setdefault(attention, {"checks": {}})
        answers = known["checks"]
        left = [check for check in options.checks if check not in answers]
        if not left or answers.get("attach", "pass") != "pass":
            return
        if not NETWORKS[name].is_here:
            new = {"checks": {"attach": f"refused: {NETWORKS[name].library} is not installed"}}
        else:
            new = cell(name, attention, left, options.limit_s)
        bad = [f"{check} {said}" for check, said in new["checks"].items() if said != "pass"]
        print(f"{name}, {attention}: {'; '.join(bad) or 'pass'}", file=sys.stderr, flush=True)
        with lock:
            for key, value in new.items():
                known[key] = known.get(key, {}) | value if isinstance(value, dict) else value
            write_text(file, json.dumps(found, indent=1) + "\n")

    with ThreadPoolExecutor(options.workers) as pool:
        for attention in options.attentions:  # a cut-off run has the first of them everywhere
            list(pool.map(partial(fill, attention=attention), options.networks))
    found["networks"] = {name: networks[name] for name in NETWORKS if name in networks}
    write_text(file, json.dumps(found, indent=1) + "\n")
    if options.page is not None:
        write_text(options.page, page(found))
    return found


def _surroundings() -> dict[str, object]:
    versions = dict[str, object]()
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return surroundings() | {"threads": 1} | versions


def show(figures: dict[str, Any]) -> None:
    """Prints how often each check passed."""
    for check, numbers in counts(figures).items():
        print(f"{check}: " + ", ".join(f"{number} {kind}" for kind, number in numbers.items()))


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
