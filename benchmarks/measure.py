"""What the benchmarks measure: CPU seconds side by side, operator calls, memory kept for backward."""

from __future__ import annotations

import platform
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from evaluators.device_table import processor

FREE = frozenset(
    """
    empty empty_like empty_strided new_empty new_empty_strided new_zeros new_ones zeros zeros_like ones
    ones_like full full_like scalar_tensor arange eye lift_fresh
    view _unsafe_view reshape _reshape_alias expand expand_as permute transpose t squeeze unsqueeze select
    slice split split_with_sizes chunk unbind alias detach as_strided view_as flatten unflatten narrow
    diagonal unfold
    """.split()  # noqa: SIM905  a list of forty quoted words is harder to read
)
"""Operators that only allocate, fill or look at memory in another way; they are not counted."""


class CountCalls(TorchDispatchMode):
    """Counts dispatched operator calls by name, forward and backward, without views and allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name not in FREE:
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))


def count_calls(run: Callable[[], object]) -> Counter[str]:
    """Operator calls of `run` by name."""
    with CountCalls() as counter:
        run()
    return counter.calls


def saved_bytes(run: Callable[[], object]) -> int:
    """Bytes that autograd keeps for backward while `run` runs: each storage once, parameters included."""
    storages = dict[int, int]()
    kept = list[Tensor]()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor.detach())  # alive, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    del result
    return sum(storages.values())


def alternate(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of every run, the runs taking turns so that noise meets all of them."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return seconds


def median(values: list[float]) -> float:
    """The median, to four figures."""
    return float(f"{statistics.median(values):.4g}")


def peak_memory_mb() -> float:
    """The largest memory that this process has had, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def surroundings() -> dict[str, object]:
    """Hardware and versions that figures depend on."""
    found: dict[str, object] = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found
