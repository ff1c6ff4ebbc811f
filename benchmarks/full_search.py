"""A whole first-order search on CIFAR-10 on whatever device there is: time per epoch and its parts.

The job is the `cifar10` preset (ResNet-20, 50 epochs, 25,000 + 25,000 images, batch 128) unless told
otherwise; `--max-steps` stops early, and the time of the whole is then extrapolated and said to be so.

On a GPU, everything that is measured there:

    python -m benchmarks.full_search --root FOLDER --cuda-graph --precision bf16-mixed --json > gpu.json
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from autola.configs import SearchConfig
from autola.presets import SEARCH_PRESETS
from autola.problem import search_problem
from autola.runtime import make_fabric, own_state
from benchmarks.answer import answer
from benchmarks.measure import count_calls, peak_memory_mb, surroundings
from searchers.darts import Darts
from searchers.searches.differentiable import DifferentiableSearch

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
    """Number format of the arithmetic."""
    compile: bool = False
    """Compile block by block; the time it takes is in `first_steps_s`."""
    cuda_graph: bool = False
    """Record steps as CUDA graphs."""
    recompute: bool = False
    """Compute blocks again in the backward pass."""
    limit: int | None = None
    """Use at most so many training images; all if left out."""
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
        data=replace(config.data, root=options.root, limit=options.limit),
        searcher=searcher,
        form=options.form,
        precision=options.precision,
        compile=options.compile,
        cuda_graph=options.cuda_graph,
        recompute=options.recompute,
        device=options.device,
        threads=options.threads,
    )


def measure(options: Options) -> dict[str, Any]:
    """Runs the search and returns its figures; seconds are of the wall clock."""
    config = configure(options)
    with own_state(config):
        fabric = make_fabric(config)
        began = time.perf_counter()
        search = config.searcher.start(search_problem(config, fabric)[0])
        assert isinstance(search, DifferentiableSearch)
        read_seconds = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(WARM_UP):
            search.advance()
        _wait(search)
        first_seconds = time.perf_counter() - began
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
            **surroundings(),
            "form": config.form,
            "precision": config.precision,
            "compile": config.compile,
            "cuda_graph": config.cuda_graph,
            "recompute": config.recompute,
            "read_s": round(read_seconds, 2),
            "first_steps_s": round(first_seconds, 2),
            "steps": steps,
            "step_s": seconds / steps,
            "epoch_s": statistics.median(epochs) if epochs else seconds / steps * search.steps_per_epoch,
            "search_s": seconds / steps * search.total_steps,
            "extrapolated": steps < search.total_steps,
            "parts_s": parts,
            "epochs_s": [round(value, 3) for value in epochs],
        }
        if fabric.device.type == "cuda":
            figures["peak_gpu_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
            figures |= device_figures(search, options.part_steps)
            figures["utilisation"] = figures["kernel_s_per_step"] / figures["step_s"]
        else:
            figures["ops_per_step"] = count_calls(search.advance).total()
            figures["peak_memory_mb"] = peak_memory_mb()
        return figures


def device_figures(search: DifferentiableSearch, num_steps: int) -> dict[str, float]:
    """Launches and kernels of a step, and how long the GPU computes in it."""
    _wait(search)
    with torch.profiler.profile() as profiler:
        for _ in range(num_steps):
            search.advance()
        _wait(search)
    events = profiler.events() or []
    kernels = [event for event in events if event.device_type.name == "CUDA"]
    launches = [event for event in events if "LaunchKernel" in event.name or "GraphLaunch" in event.name]
    return {
        "launches_per_step": len(launches) / num_steps,
        "kernels_per_step": len(kernels) / num_steps,
        "kernel_s_per_step": sum(event.device_time for event in kernels) / 1e6 / num_steps,
    }


def time_parts(search: DifferentiableSearch, num_steps: int) -> dict[str, float]:
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
        timed(
            "architecture",
            lambda b=batches: search.updates.run("alphas", search.updates.update_alphas, *b[0]),
        )
        timed(
            "weights", lambda b=batches: search.updates.run("weights", search.updates.update_weights, *b[1])
        )
    return {part: statistics.median(values) for part, values in seconds.items()}


def _wait(search: DifferentiableSearch) -> None:
    if search.fabric.device.type == "cuda":
        torch.cuda.synchronize()


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    view = Table(box=None, show_header=False)
    for name, value in figures.items():
        view.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(view)


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
