"""A whole first-order search on CIFAR-10 on whatever device there is: time per epoch and its parts.

The job is the `cifar10` preset (ResNet-20, 50 epochs, 25,000 + 25,000 images, batch 128) unless told
otherwise; `--max-steps` stops early, and the time of the whole is then extrapolated and said to be so.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from autola.configs import SearchConfig
from autola.presets import SEARCH_PRESETS
from autola.runtime import make_fabric, own_state
from autola.searching import start_search
from searchers.darts import Darts, DartsSearch

WARM_UP = 3
"""Steps before the first that counts."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times a whole search."""

    root: str | None = None
    """CIFAR-10 in any layout that `autola search cifar10` reads; digits if left out."""
    preset: Literal["cifar10", "cifar10-34"] = "cifar10"
    """Settings, where there is CIFAR-10."""
    epochs: int | None = None
    """Epochs; the preset's own if left out."""
    batch: int | None = None
    """Batch size; the preset's own if left out."""
    max_steps: int | None = None
    """Stop after so many steps."""
    part_steps: int = 10
    """Steps whose parts are timed one by one, the device waited for after each."""
    form: Literal["plain", "grouped"] = "grouped"
    """How the supernet is computed."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Of the arithmetic."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute."""
    threads: int | None = None
    """CPU threads; PyTorch's own choice if left out."""
    json: bool = False
    """Print one JSON object and nothing else."""


def configure(options: Options) -> SearchConfig:
    """The config of the search that is timed."""
    config = SEARCH_PRESETS[options.preset if options.root else "digits"]
    assert isinstance(config.searcher, Darts)
    searcher = replace(
        config.searcher,
        epochs=options.epochs or config.searcher.epochs,
        batch_size=options.batch or config.searcher.batch_size,
    )
    return replace(
        config,
        data=replace(config.data, root=options.root),
        searcher=searcher,
        form=options.form,
        precision=options.precision,
        device=options.device,
        threads=options.threads,
    )


def measure(options: Options) -> dict[str, Any]:
    """Runs the search and returns its figures; seconds are of the wall clock."""
    config = configure(options)
    with own_state(config):
        fabric = make_fabric(config)
        began = time.perf_counter()
        search, _ = start_search(config, fabric)
        assert isinstance(search, DartsSearch)
        read_seconds = time.perf_counter() - began
        for _ in range(WARM_UP):
            search.advance()
        parts = time_parts(search, options.part_steps)
        steps = min(search.total_steps, options.max_steps or search.total_steps)
        _wait(search)
        began = time.perf_counter()
        epochs = list[float]()
        for done in range(1, steps + 1):
            if search.step == search.total_steps:
                search.step = 0  # the steps that were timed part by part are done again
            search.advance()
            if done % search.steps_per_epoch == 0:
                _wait(search)
                epochs.append(time.perf_counter() - began - sum(epochs))
        _wait(search)
        seconds = time.perf_counter() - began
        figures = {
            "job": f"{config.data.name}, {config.backbone}, batch {search.config.batch_size}, "
            f"{search.config.epochs} epochs of {search.steps_per_epoch} steps",
            "device": torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "processor": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "form": config.form,
            "precision": config.precision,
            "read_s": round(read_seconds, 2),
            "steps": steps,
            "step_s": seconds / steps,
            "epoch_s": statistics.median(epochs) if epochs else seconds / steps * search.steps_per_epoch,
            "search_s": seconds / steps * search.total_steps,
            "extrapolated": steps < search.total_steps,
            "parts_s": parts,
        }
        if fabric.device.type == "cuda":
            figures["peak_gpu_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
        return figures


def time_parts(search: DartsSearch, num_steps: int) -> dict[str, float]:
    """Median seconds of the parts of a step: images, architecture step, weight step."""
    seconds: dict[str, list[float]] = {"images": [], "architecture": [], "weights": []}

    def timed(part: str, run: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = run()
        _wait(search)
        seconds[part].append(time.perf_counter() - began)
        return result

    for index in range(min(num_steps, search.steps_per_epoch)):
        _wait(search)
        batches = timed(
            "images", lambda i=index: (search.alpha_batches.batch(0, i), search.weight_batches.batch(0, i))
        )
        timed("architecture", lambda b=batches: search.update_alphas(*b[0]))
        timed("weights", lambda b=batches: search.update_weights(*b[1]))
    return {part: statistics.median(values) for part, values in seconds.items()}


def _wait(search: DartsSearch) -> None:
    if search.fabric.device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Prints the figures."""
    options = tyro.cli(Options, description=__doc__)
    figures = measure(options)
    if options.json:
        print(json.dumps(figures))
        return
    view = Table(box=None, show_header=False)
    for name, value in figures.items():
        view.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(view)


if __name__ == "__main__":
    main()
